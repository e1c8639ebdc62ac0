package tenant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"berth.dev/berth/provider/cluster"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// EventRequest selects what happened to a deployment's instances.
type EventRequest struct {
	ID deploymenttypes.DeploymentID
	cluster.EventOptions
}

// Happening is something that happened to what runs for a deployment. It comes from a stranger: whoever prints it to a
// terminal takes control characters out.
type Happening struct {
	Time time.Time `json:"time"`
	// Lease is where it happened; Service and Instance are empty for the lease as a whole.
	Lease    string `json:"lease"`
	Service  string `json:"service,omitempty"`
	Instance string `json:"instance,omitempty"`
	// Kind is what happened, for programs, in the words of the provider's cluster.
	Kind    string `json:"kind"`
	Warning bool   `json:"warning"`
	Message string `json:"message"`
	// Count is how often it happened until Time.
	Count uint32 `json:"count"`
}

// Happenings hands over what happened to a deployment's instances, in the order of time for what is known at the start.
// With Follow it goes on until line fails or ctx ends. A lease whose provider cannot be asked is a warning while others
// can.
func (m *Machine) Happenings(ctx context.Context, r EventRequest, take func(Happening) error) error {
	leases, err := m.logLeases(ctx, LogRequest{ID: r.ID, LogOptions: LogOptions{Service: r.Service}})
	if err != nil {
		return asFailure(err)
	}
	if r.Follow {
		return m.followHappenings(ctx, r, leases, take)
	}
	found, errs := make([][]Happening, len(leases)), make([]error, len(leases))
	var group sync.WaitGroup
	for i, lease := range leases {
		group.Go(func() {
			errs[i] = m.readHappenings(ctx, lease, r.EventOptions, func(h Happening) error {
				found[i] = append(found[i], h)
				return nil
			})
		})
	}
	group.Wait()
	var all []Happening
	var lost []error
	for i, err := range errs {
		all = append(all, found[i]...)
		if err != nil {
			lost = append(lost, err)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(lost) < len(leases) {
		for _, err := range lost {
			m.tell(Warned{err.Error()})
		}
	} else {
		return allLost(r.ID.Dseq, lost)
	}
	slices.SortStableFunc(all, func(a, b Happening) int { return a.Time.Compare(b.Time) })
	for _, h := range all {
		if err := take(h); err != nil {
			return err
		}
	}
	return nil
}

// followHappenings reads all leases at once; take is called by one goroutine at a time.
func (m *Machine) followHappenings(ctx context.Context, r EventRequest, leases []markettypes.LeaseID, take func(Happening) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var group sync.WaitGroup
	lost := make([]error, len(leases))
	for i, lease := range leases {
		group.Go(func() {
			lost[i] = m.readHappenings(ctx, lease, r.EventOptions, func(h Happening) error {
				mu.Lock()
				defer mu.Unlock()
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err := take(h); err != nil {
					cancel(err)
					return err
				}
				return nil
			})
			if lost[i] != nil && ctx.Err() == nil {
				m.warnLost(leases, lost[i])
			}
		})
	}
	group.Wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !slices.Contains(lost, nil):
		return allLost(r.ID.Dseq, lost)
	}
	return nil
}

// readHappenings reads those of one lease.
func (m *Machine) readHappenings(ctx context.Context, lease markettypes.LeaseID, o cluster.EventOptions, take func(Happening) error) error {
	g, err := m.gateway(ctx, lease.Provider)
	if err != nil {
		return err
	}
	stream, err := g.Events(ctx, lease, o, func(err error) { m.tell(Warned{fmt.Sprintf("%s; opening the stream of events again", err)}) })
	if err != nil {
		return fmt.Errorf("read the events of %s: %w", leaseText(lease), err)
	}
	err = readEvents(stream, func(e cluster.Event) error {
		return take(Happening{
			Time: e.Time, Lease: leaseText(lease), Service: e.Service, Instance: e.Instance, Kind: e.Kind, Warning: e.Warning, Message: e.Message, Count: e.Count,
		})
	})
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("the events of %s: %w", leaseText(lease), err)
}

// readEvents reads a stream and closes it. It returns io.EOF at its end.
func readEvents(s cluster.EventStream, take func(cluster.Event) error) error {
	defer s.Close()
	for {
		e, err := s.Next()
		if err != nil {
			return err
		}
		if err := take(e); err != nil {
			return err
		}
	}
}
