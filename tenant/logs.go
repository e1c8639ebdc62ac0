package tenant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// LogRequest selects the log lines of a deployment.
type LogRequest struct {
	ID deploymenttypes.DeploymentID
	LogOptions
}

// Logs reads the log lines of all of a deployment's leases at once and hands them to line, one at a time, until all
// streams end, line fails, or ctx ends. A stream that is lost while others go on is a warning; when all are lost, the
// error is returned.
func (m *Machine) Logs(ctx context.Context, r LogRequest, line func(LogLine) error) error {
	leases, err := m.logLeases(ctx, r)
	if err != nil {
		return asFailure(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		line LogLine
		err  error // of a whole stream; io.EOF when it ended well
	}
	results := make(chan result)
	for _, lease := range leases {
		go func() {
			err := m.readLogs(ctx, lease, r.LogOptions, func(l LogLine) error {
				select {
				case results <- result{line: l}:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			if err == nil {
				err = io.EOF
			}
			results <- result{err: err} // received below, for each stream
		}()
	}
	var lost []error
	var stopped error
	for open := len(leases); open > 0; {
		switch res := <-results; {
		case res.err == nil && stopped == nil:
			if stopped = line(res.line); stopped != nil {
				cancel()
			}
		case res.err == nil:
		default:
			open--
			if !errors.Is(res.err, io.EOF) && ctx.Err() == nil {
				lost = append(lost, res.err)
				m.warnLost(leases, res.err)
			}
		}
	}
	switch {
	case stopped != nil:
		return stopped
	case ctx.Err() != nil:
		return ctx.Err()
	case len(lost) == len(leases):
		return allLost(r.ID.Dseq, lost)
	}
	return nil
}

// warnLost tells that one of several streams is lost; where there is but one, the error of the whole says it.
func (m *Machine) warnLost(leases []markettypes.LeaseID, err error) {
	if len(leases) > 1 {
		m.tell(Warned{err.Error()})
	}
}

// allLost is the failure of all streams of a deployment: refused, or only out of reach.
func allLost(dseq uint64, errs []error) *Failure {
	f := &Failure{Kind: KindOther, Dseq: dseq, Err: errors.Join(errs...), Hints: []Hint{HintStatus}}
	for _, err := range errs {
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrNotHere) {
			f.Kind = KindLease
		}
	}
	if f.Kind == KindOther {
		f.Hints = append(f.Hints, HintLeave)
	}
	return f
}

func (m *Machine) readLogs(ctx context.Context, lease markettypes.LeaseID, o LogOptions, line func(LogLine) error) error {
	g, err := m.gateway(ctx, lease.Provider)
	if err != nil {
		return err
	}
	o.OnBreak = func(err error) { m.tell(Warned{fmt.Sprintf("%s; opening the log stream again", err)}) }
	stream, err := g.Logs(ctx, lease, o)
	if err != nil {
		return fmt.Errorf("read the logs of %s: %w", leaseText(lease), err)
	}
	defer stream.Close()
	for {
		l, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the log stream of %s was lost: %w", leaseText(lease), err)
		}
		if err := line(l); err != nil {
			return err
		}
	}
}

// logLeases are the leases to read: those that stand and, with a service, run it.
func (m *Machine) logLeases(ctx context.Context, r LogRequest) ([]markettypes.LeaseID, error) {
	st, err := m.Status(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	var leases []markettypes.LeaseID
	var names []string
	for _, g := range st.Groups {
		if g.Lease == nil {
			continue
		}
		has := r.Service == "" || g.Lease.Unknown != "" // unknown is not absent: ask it
		for _, s := range g.Lease.Services {
			names = append(names, s.Name)
			has = has || s.Name == r.Service
		}
		if has {
			leases = append(leases, g.Lease.id)
		}
	}
	switch {
	case len(leases) > 0:
		return leases, nil
	case len(names) > 0:
		slices.Sort(names)
		return nil, &Failure{Kind: KindUsage, Dseq: r.ID.Dseq, Hints: []Hint{HintStatus},
			Err: fmt.Errorf("deployment %d has no service %q (have: %s)", r.ID.Dseq, r.Service, strings.Join(slices.Compact(names), ", "))}
	case st.State != "active":
		return nil, failf(KindLease, []Hint{HintDeploy}, "deployment %d is closed; its logs are gone with it", r.ID.Dseq)
	default:
		return nil, &Failure{Kind: KindLease, Dseq: r.ID.Dseq, Err: fmt.Errorf("deployment %d has no lease yet", r.ID.Dseq), Hints: []Hint{HintResume, HintStatus}}
	}
}
