package fake

import (
	"context"
	"fmt"
	"io"
	"sync"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// Logs implements cluster.Cluster. Lines come service by service in the order of their names.
func (c *Cluster) Logs(ctx context.Context, id markettypes.LeaseID, o cluster.LogOptions) (cluster.LogStream, error) {
	if err := c.enter(ctx, OpLogs); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	l, ok := c.leases[id]
	if !ok || l.terminating {
		return nil, fmt.Errorf("simulated cluster: logs of %s: %w", id, cluster.ErrNotFound)
	}
	if o.Service != "" && l.find(o.Service) == nil {
		return nil, fmt.Errorf("simulated cluster: logs of service %q of %s: %w", o.Service, id, cluster.ErrNotFound)
	}
	l.links = c.links.byLease[id]
	l.step(c.cfg, c.held)
	st := &logStream{cluster: c, lease: id, options: o, read: map[string]int{}, done: make(chan struct{}), ctx: ctx}
	st.options.Follow = o.Follow && !o.Previous
	for _, s := range l.services {
		st.read[s.spec.Name] = tailStart(st.lines(s), o.Tail)
	}
	return st, nil
}

// lines is what is read of a service.
func (s *logStream) lines(sv *service) []cluster.LogLine {
	if s.options.Previous {
		return sv.previous
	}
	return sv.log
}

// tailStart is the index of the first line to give, so that each instance gives its last tail lines or fewer.
func tailStart(log []cluster.LogLine, tail int64) int {
	if tail <= 0 {
		return 0
	}
	seen := map[string]int64{}
	for i := len(log) - 1; i >= 0; i-- {
		if seen[log[i].Instance]++; seen[log[i].Instance] > tail {
			return i + 1
		}
	}
	return 0
}

type logStream struct {
	cluster *Cluster
	ctx     context.Context // the caller's: it ends the stream
	lease   markettypes.LeaseID
	options cluster.LogOptions
	read    map[string]int // service -> lines given
	once    sync.Once
	done    chan struct{}
}

// Next implements cluster.LogStream.
func (s *logStream) Next() (cluster.LogLine, error) {
	for {
		line, ok, ended, changed := s.poll()
		switch {
		case ok:
			return line, nil
		case ended:
			return cluster.LogLine{}, io.EOF
		}
		select {
		case <-s.ctx.Done():
			return cluster.LogLine{}, s.ctx.Err()
		case <-s.done:
			return cluster.LogLine{}, io.EOF
		case <-changed:
		}
	}
}

// poll takes the next line that is there; ended means that there will be none.
func (s *logStream) poll() (line cluster.LogLine, ok, ended bool, changed <-chan struct{}) {
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	select {
	case <-s.done:
		return line, false, true, nil
	default:
	}
	l, held := s.cluster.leases[s.lease]
	if !held || l.terminating {
		return line, false, true, nil
	}
	for _, sv := range l.services {
		name := sv.spec.Name
		if s.options.Service != "" && s.options.Service != name {
			continue
		}
		if n, lines := s.read[name], s.lines(sv); n < len(lines) {
			s.read[name]++
			return lines[n], true, false, nil
		}
	}
	return line, false, !s.options.Follow, s.cluster.changed
}

// Close implements cluster.LogStream; it also ends a Next that waits.
func (s *logStream) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}
