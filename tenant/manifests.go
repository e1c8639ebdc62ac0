package tenant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// callTimeout bounds one call to a provider.
	callTimeout = 10 * time.Second
	// refusalGrace is how long a refusal is not believed: a provider may be some blocks behind the chain.
	refusalGrace = 4 * time.Second
)

// sendManifests gives each provider its group's manifest. A provider that has it already takes it again.
func sendManifests(ctx context.Context, m *Machine, s *State) (Step, error) {
	all, ctx := errgroup.WithContext(ctx)
	for i := range s.Groups {
		all.Go(func() error { return m.sendManifest(ctx, s, i) })
	}
	if err := all.Wait(); err != nil {
		return "", err
	}
	return StepRollout, nil
}

// sendManifest tries until the provider takes the manifest of group i, refuses it, or time is up.
func (m *Machine) sendManifest(ctx context.Context, s *State, i int) error {
	g := s.Groups[i]
	env, err := g.envelope()
	if err != nil {
		return err
	}
	lease := s.BidID(i)
	start := m.Clock.Now()
	for pause := m.Timing.Poll; ; pause = min(2*pause, 2*time.Second) {
		err := m.call(ctx, lease.Provider, func(ctx context.Context, gw Gateway) error { return gw.PutManifest(ctx, lease, env) })
		if err == nil {
			m.tell(Accepted{Lease: leaseText(lease), Provider: lease.Provider, Group: g.Name})
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		waited := m.Clock.Now().Sub(start)
		if errors.Is(err, ErrRefused) && waited >= refusalGrace || waited >= m.Timing.ManifestWait {
			return failf(KindLease, []Hint{HintResume, HintStatus, HintClose}, "send the manifest of group %q to %s: %w", g.Name, lease.Provider, err)
		}
		if err := m.Clock.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// call does one thing with a provider, within callTimeout. A connection that failed is not used again.
func (m *Machine) call(ctx context.Context, provider string, do func(context.Context, Gateway) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	g, err := m.gateway(ctx, provider)
	if err != nil {
		return err
	}
	if err := do(ctx, g); err != nil {
		if !errors.Is(err, ErrRefused) {
			m.hangUp(provider, g)
		}
		return fmt.Errorf("provider %s: %w", provider, err)
	}
	return nil
}
