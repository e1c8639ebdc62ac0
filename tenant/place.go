package tenant

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"berth.dev/berth/provider/cluster"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// Place is where in a deployment something is done.
type Place struct {
	ID deploymenttypes.DeploymentID
	// Service may be empty where the deployment has one service alone.
	Service string
	// Instance is empty for any that is ready.
	Instance string
}

// place is a Place that was found.
type place struct {
	Place
	lease markettypes.LeaseID
}

func (p place) target() cluster.Target {
	return cluster.Target{Service: p.Service, Instance: p.Instance}
}

// find looks up the lease that runs a service. Unknown is not absent: of a provider that does not answer nothing is known,
// so a service that is found nowhere may be there.
func (m *Machine) find(ctx context.Context, p Place) (place, error) {
	st, err := m.Status(ctx, p.ID)
	if err != nil {
		return place{}, err
	}
	var names []string
	var unknown []error
	found := map[string]markettypes.LeaseID{}
	for _, g := range st.Groups {
		if g.Lease == nil {
			continue
		}
		if g.Lease.Unknown != "" {
			unknown = append(unknown, g.Lease.unknown)
		}
		for _, s := range g.Lease.Services {
			if _, twice := found[s.Name]; !twice {
				names, found[s.Name] = append(names, s.Name), g.Lease.id
			}
		}
	}
	slices.Sort(names)
	if p.Service == "" && len(names) == 1 && len(unknown) == 0 {
		p.Service = names[0]
	}
	if lease, ok := found[p.Service]; ok {
		return place{p, lease}, nil
	}
	return place{}, m.notFound(st, p, names, unknown)
}

// notFound says why a service cannot be reached.
func (m *Machine) notFound(st *Status, p Place, names []string, unknown []error) *Failure {
	fail := func(kind Kind, hints []Hint, format string, args ...any) *Failure {
		return &Failure{Kind: kind, Dseq: p.ID.Dseq, Hints: hints, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case st.State != "active":
		return fail(KindLease, []Hint{HintDeploy}, "deployment %d is closed", p.ID.Dseq)
	case len(unknown) > 0:
		f := allLost(p.ID.Dseq, unknown)
		f.Err = fmt.Errorf("which services run is not known: %w", f.Err)
		return f
	case len(names) == 0:
		return fail(KindLease, []Hint{HintResume, HintStatus}, "deployment %d runs nothing yet", p.ID.Dseq)
	case p.Service == "":
		return fail(KindUsage, []Hint{HintStatus}, "deployment %d has several services; name one of %s", p.ID.Dseq, strings.Join(names, ", "))
	default:
		return fail(KindUsage, []Hint{HintStatus}, "deployment %d has no service %q (have: %s)", p.ID.Dseq, p.Service, strings.Join(names, ", "))
	}
}

// at does something at the provider that runs a service.
func (m *Machine) at(ctx context.Context, p place, do func(Gateway) error) error {
	g, err := m.gateway(ctx, p.lease.Provider)
	if err == nil {
		err = do(g)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return &Failure{Kind: KindLease, Dseq: p.ID.Dseq, Err: fmt.Errorf("service %s: %w", p.Service, err), Hints: []Hint{HintStatus, HintEvents}}
}

// Exec runs a program in an instance of a service and returns its exit code.
func (m *Machine) Exec(ctx context.Context, p Place, command []string, terminal bool, s cluster.Streams) (exitCode int, err error) {
	found, err := m.find(ctx, p)
	if err != nil {
		return 0, asFailure(err)
	}
	return m.exec(ctx, found, command, terminal, s)
}

func (m *Machine) exec(ctx context.Context, p place, command []string, terminal bool, s cluster.Streams) (code int, err error) {
	err = m.at(ctx, p, func(g Gateway) (err error) {
		code, err = g.Exec(ctx, p.lease, cluster.ExecOptions{Target: p.target(), Command: command, Terminal: terminal}, s)
		return err
	})
	return code, err
}

// Restarted is a service whose instances were replaced.
type Restarted struct {
	Dseq    uint64 `json:"dseq"`
	Service string `json:"service"`
	// Ready is true when all of its new instances are ready.
	Ready bool `json:"ready"`
}

// Restart replaces the instances of a service. With wait it returns when the new ones are ready, or fails when they are
// not in time.
func (m *Machine) Restart(ctx context.Context, p Place, wait bool) (*Restarted, error) {
	found, err := m.find(ctx, p)
	if err != nil {
		return nil, asFailure(err)
	}
	err = m.at(ctx, found, func(g Gateway) error { return g.Restart(ctx, found.lease, found.Service) })
	if err != nil {
		return nil, asFailure(err)
	}
	out := &Restarted{Dseq: p.ID.Dseq, Service: found.Service}
	if !wait {
		return out, nil
	}
	for start := m.Clock.Now(); ; {
		sv, err := m.serviceAt(ctx, found)
		if err != nil {
			return nil, asFailure(err)
		}
		late := m.Clock.Now().Sub(start) >= m.Timing.ReadyWait
		switch {
		case sv.Complete():
			out.Ready = true
			return out, nil
		case sv.Failed || late:
			return nil, &Failure{
				Kind: KindRollout, Dseq: p.ID.Dseq, Hints: []Hint{HintLogs, HintEvents, HintUpdate},
				Err: fmt.Errorf("service %s: %d of %d new instances are ready: %s", sv.Name, sv.Updated, sv.Desired, orText(sv.Message, "not ready in time")),
			}
		}
		if err := m.Clock.Sleep(ctx, m.Timing.PollProvider); err != nil {
			return nil, err
		}
	}
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// serviceAt is the state of a service that was found.
func (m *Machine) serviceAt(ctx context.Context, p place) (out ServiceStatus, err error) {
	err = m.call(ctx, p.lease.Provider, m.Timing.Look, func(ctx context.Context, g Gateway) error {
		res, err := g.LeaseStatus(ctx, p.lease)
		if err != nil {
			return err
		}
		for _, sv := range newServices(res.Services) {
			if sv.Name == p.Service {
				out = sv
				return nil
			}
		}
		return fmt.Errorf("service %s: %w", p.Service, ErrNotHere)
	})
	return out, err
}
