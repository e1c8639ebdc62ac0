package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// keyRestarts is what the Secret of a manifest remembers of restarts: when a service was last restarted, in nanoseconds of
// the Unix epoch. It stands on the service's instances, so that those of before are replaced, and stays with the lease, so
// that no later manifest and no repair replaces them again.
const (
	keyRestarts       = "restarts"
	annotationRestart = "berth.dev/restarted"
)

// restarts are by service.
type restarts map[string]int64

// restartsIn reads what is remembered of a lease's restarts.
func restartsIn(data []byte) (restarts, error) {
	r := restarts{}
	if len(data) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("read what is remembered of restarts: %w", err)
	}
	return r, nil
}

// with are these restarts with that of one more service, which is later than its former one.
func (r restarts) with(service string, now int64) restarts {
	out := maps.Clone(r)
	out[service] = max(now, r[service]+1)
	return out
}

// encode is what is written into the Secret of a manifest with these services; nil if there is nothing to remember.
func (r restarts) encode(services []manifesttypes.Service) []byte {
	kept := maps.Clone(r)
	maps.DeleteFunc(kept, func(name string, _ int64) bool {
		return !slices.ContainsFunc(services, func(sv manifesttypes.Service) bool { return sv.Name == name })
	})
	if len(kept) == 0 {
		return nil
	}
	return mustJSON(kept)
}

// Restart implements cluster.Cluster.
func (c *Cluster) Restart(ctx context.Context, id markettypes.LeaseID, service string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.restart(ctx, id, service); err != nil {
		return fmt.Errorf("kube: restart in %s: %w", id, err)
	}
	return nil
}

func (c *Cluster) restart(ctx context.Context, id markettypes.LeaseID, name string) error {
	ns := namespaceOf(id)
	defer c.leases.lock(ns)()
	w, sv, err := c.service(ctx, id, name)
	switch {
	case err != nil:
		return err
	case sv.Cron != nil:
		return fmt.Errorf("%w: service %s is a task; it has no instances that go on", cluster.ErrRefused, name)
	case w.Suspended:
		return fmt.Errorf("%w: service %s has no instances, as the lease is %s", cluster.ErrRefused, name, cluster.SuspendedMessage)
	}
	s, err := c.settings(ctx)
	if err != nil {
		return err
	}
	have, err := c.readLease(ctx, ns)
	if err != nil {
		return err
	}
	seen, err := c.see(ctx, ns, have)
	if err != nil {
		return err
	}
	s.Restart = &restartOf{service: name, at: c.now().UnixNano()}
	ch, err := c.plan(ns, have, s, seen)
	if err != nil {
		return err
	}
	c.waiting.set(ns, ch.waits)
	return c.converge(ctx, ns, ch)
}

// restartOf asks for the restart of a service.
type restartOf struct {
	service string
	at      int64
}

// markRestart puts the mark of a restart on the instances of a service. Without one nothing is there, so that services
// which were never restarted stay as they are.
func (r *rendering) markRestart(t *corev1.PodTemplateSpec, service string) {
	at, ok := r.Restarts[service]
	if !ok {
		return
	}
	mark := fmt.Sprint(at)
	t.Annotations = with(t.Annotations, annotationRestart, mark)
	t.Labels[labelRevision] = digest([]byte(t.Labels[labelRevision]+"/"+mark), 8)
}
