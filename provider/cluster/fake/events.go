package fake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// eventLog is what happened to a lease: the last cluster.MaxEvents events.
type eventLog struct {
	all []cluster.Event
	// dropped counts those that are no longer in all.
	dropped int
}

// note adds an event that happened now.
func (l *lease) note(now time.Time, e cluster.Event) {
	e.Time, e.Count = now, max(e.Count, 1)
	l.events.all = append(l.events.all, e)
	if n := len(l.events.all) - cluster.MaxEvents; n > 0 {
		l.events.all, l.events.dropped = l.events.all[n:], l.events.dropped+n
	}
}

// AddEvent adds an event to a lease, as one that happened now. It returns cluster.ErrNotFound if there is no such lease.
func (c *Cluster) AddEvent(id markettypes.LeaseID, e cluster.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.leases[id]
	if !ok {
		return fmt.Errorf("simulated cluster: event of %s: %w", id, cluster.ErrNotFound)
	}
	l.note(c.cfg.Now(), e)
	c.notify()
	return nil
}

// noteApplied notes what a workload has that the former one of the lease, if there was one, had not.
func (c *Cluster) noteApplied(l, old *lease) {
	now := c.cfg.Now()
	if old == nil || !bytes.Equal(old.workload.ManifestHash, l.workload.ManifestHash) {
		l.note(now, cluster.Event{Kind: cluster.EventManifest, Message: "a manifest was accepted"})
	}
	if l.workload.Suspended && (old == nil || !old.workload.Suspended) {
		l.note(now, cluster.Event{Kind: cluster.EventSuspended, Warning: true, Message: cluster.SuspendedMessage})
	}
}

// Events implements cluster.Cluster.
func (c *Cluster) Events(ctx context.Context, id markettypes.LeaseID, o cluster.EventOptions) (cluster.EventStream, error) {
	if err := c.enter(ctx, OpEvents); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	l, ok := c.leases[id]
	if !ok || l.terminating {
		return nil, fmt.Errorf("simulated cluster: events of %s: %w", id, cluster.ErrNotFound)
	}
	if o.Service != "" && l.find(o.Service) == nil {
		return nil, fmt.Errorf("simulated cluster: events of service %q of %s: %w", o.Service, id, cluster.ErrNotFound)
	}
	return &eventStream{cluster: c, lease: id, options: o, ctx: ctx, done: make(chan struct{})}, nil
}

type eventStream struct {
	cluster *Cluster
	ctx     context.Context // the caller's: it ends the stream
	lease   markettypes.LeaseID
	options cluster.EventOptions
	read    int // events given or passed over
	once    sync.Once
	done    chan struct{}
}

// Next implements cluster.EventStream.
func (s *eventStream) Next() (cluster.Event, error) {
	for {
		e, ok, ended, changed := s.poll()
		switch {
		case ok:
			return e, nil
		case ended:
			return cluster.Event{}, io.EOF
		}
		select {
		case <-s.ctx.Done():
			return cluster.Event{}, s.ctx.Err()
		case <-s.done:
			return cluster.Event{}, io.EOF
		case <-changed:
		}
	}
}

// poll takes the next event that is there; ended means that there will be none.
func (s *eventStream) poll() (e cluster.Event, ok, ended bool, changed <-chan struct{}) {
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	select {
	case <-s.done:
		return e, false, true, nil
	default:
	}
	l, held := s.cluster.leases[s.lease]
	if !held || l.terminating {
		return e, false, true, nil
	}
	s.read = max(s.read, l.events.dropped)
	for s.read-l.events.dropped < len(l.events.all) {
		e = l.events.all[s.read-l.events.dropped]
		s.read++
		if (s.options.Service == "" || s.options.Service == e.Service) && !e.Time.Before(s.options.Since) {
			return e, true, false, nil
		}
	}
	return cluster.Event{}, false, !s.options.Follow, s.cluster.changed
}

// Close implements cluster.EventStream; it also ends a Next that waits.
func (s *eventStream) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}
