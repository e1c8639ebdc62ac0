package tenant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	manifesttypes "berth.dev/berth/manifest/types"
	markettypes "berth.dev/berth/x/market/types"
)

// refusalGrace is how long a refusal is not believed: a provider may be some blocks behind the chain.
const refusalGrace = 4 * time.Second

// sendManifests gives each provider its group's manifest. A provider that has it already takes it again.
func sendManifests(ctx context.Context, m *Machine, s *State) (Step, error) {
	all, allCtx := errgroup.WithContext(ctx)
	taken := make([]bool, len(s.Groups))
	for i := range s.Groups {
		all.Go(func() (err error) {
			err = m.sendManifest(allCtx, s, i)
			taken[i] = err == nil
			return err
		})
	}
	err := all.Wait()
	for i, g := range s.Groups {
		if lease := s.BidID(i); taken[i] {
			m.tell(Accepted{Lease: leaseText(lease), Provider: lease.Provider, Group: g.Name})
		}
	}
	if err != nil {
		return "", err
	}
	return StepRollout, nil
}

// sendManifest gives the provider of group i its manifest.
func (m *Machine) sendManifest(ctx context.Context, s *State, i int) error {
	g := s.Groups[i]
	env, err := g.envelope()
	if err != nil {
		return err
	}
	return m.putManifest(ctx, s.BidID(i), g.Name, env)
}

// putManifest tries until the provider takes the manifest of a group, refuses it, or time is up.
func (m *Machine) putManifest(ctx context.Context, lease markettypes.LeaseID, group string, env manifesttypes.Envelope) error {
	start, warned := m.Clock.Now(), false
	for pause := m.Timing.Poll; ; pause = min(2*pause, 2*time.Second) {
		err := m.call(ctx, lease.Provider, m.Timing.Put, func(ctx context.Context, gw Gateway) error { return gw.PutManifest(ctx, lease, env) })
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		waited := m.Clock.Now().Sub(start)
		if errors.Is(err, ErrRefused) && waited >= refusalGrace || waited >= m.Timing.ManifestWait {
			hints := []Hint{HintResume, HintStatus, HintClose}
			if !errors.Is(err, ErrRefused) { // another provider may be there
				hints = []Hint{HintResume, HintLeave, HintClose}
			}
			return failf(KindLease, hints, "send the manifest of group %q to %s: %w", group, lease.Provider, err)
		}
		if !warned && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrNotHere) { // those two pass when it is up to date
			warned = true
			m.tell(Warned{fmt.Sprintf("group %q: %s; trying again for up to %s", group, err, m.Timing.ManifestWait)})
		}
		if err := m.Clock.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// call does one thing with a provider, within a time. A connection that failed is not used again, as the provider may
// have moved.
func (m *Machine) call(ctx context.Context, provider string, timeout time.Duration, do func(context.Context, Gateway) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	g, err := m.gateway(ctx, provider)
	if err != nil {
		return err
	}
	if err := do(ctx, g); err != nil {
		if !errors.Is(err, ErrRefused) && !errors.Is(err, ErrNotHere) {
			m.hangUp(provider, g)
		}
		return fmt.Errorf("provider %s: %w", provider, err)
	}
	return nil
}
