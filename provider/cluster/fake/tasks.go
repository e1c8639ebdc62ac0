package fake

import (
	"errors"
	"fmt"
	"slices"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// hook is the simulated state of a hook for the manifest that it was started for last.
type hook struct {
	manifest string
	once     bool
	// passed says that it failed and does not run again.
	passed bool
	state  cluster.HookState
	// age counts the steps since it was started.
	age int
	log []string
}

func hookKey(service, name string) string { return service + "/" + name }

func (l *lease) manifest() string { return string(l.workload.ManifestHash) }

// nextHooks are what a lease remembers of its hooks when it gets another manifest, or the same one again: then those that
// failed run again, but for those that run once only.
func nextHooks(old map[string]*hook, manifest string, again bool) map[string]*hook {
	out := map[string]*hook{}
	for k, h := range old {
		failed := again && h.manifest == manifest && h.state == cluster.HookFailed
		if failed && h.once {
			h.passed = true
		}
		if h.once || h.manifest == manifest && !failed {
			out[k] = h
		}
	}
	return out
}

// pending is the first hook of a service that a rollout waits for, or that waits for the rollout.
func (l *lease) pending(sv manifesttypes.Service, when manifesttypes.When) *manifesttypes.Hook {
	for i := range sv.Hooks {
		h := &sv.Hooks[i]
		rec := l.hooks[hookKey(sv.Name, h.Name)]
		ran := rec != nil && (h.Once && rec.manifest != l.manifest() || rec.passed || rec.manifest == l.manifest() && rec.state == cluster.HookSucceeded)
		if h.When == when && !ran {
			return h
		}
	}
	return nil
}

// held are the services that hooks before the rollout hold back: all but those that the hooks' own services depend on.
func (l *lease) held() map[string]bool {
	held, free := map[string]bool{}, map[string]bool{}
	for _, s := range l.services {
		if l.pending(s.spec, manifesttypes.WHEN_BEFORE_ROLLOUT) != nil {
			held[s.spec.Name] = true
			l.dependencies(s.spec, free)
		}
	}
	if len(held) == 0 {
		return nil
	}
	for _, s := range l.services {
		if !free[s.spec.Name] {
			held[s.spec.Name] = true
		}
	}
	return held
}

// dependencies adds the services that a service depends on, those included that these depend on.
func (l *lease) dependencies(sv manifesttypes.Service, into map[string]bool) {
	for _, name := range sv.DependsOn {
		if s := l.find(name); s != nil && !into[name] {
			into[name] = true
			l.dependencies(s.spec, into)
		}
	}
}

// stepHooks moves one hook of each service one step on, and tells whether one ended.
func (l *lease) stepHooks(cfg Config) bool {
	through := len(l.held()) == 0
	for _, s := range l.services {
		through = through && s.updated >= s.wanted()
	}
	ended := false
	for _, s := range l.services {
		h := l.pending(s.spec, manifesttypes.WHEN_BEFORE_ROLLOUT)
		if h == nil && through {
			h = l.pending(s.spec, manifesttypes.WHEN_AFTER_ROLLOUT)
		}
		if h == nil || !l.dependenciesReady(s) {
			continue
		}
		k := hookKey(s.spec.Name, h.Name)
		rec := l.hooks[k]
		if rec == nil || rec.manifest != l.manifest() {
			rec = &hook{manifest: l.manifest(), once: h.Once, state: cluster.HookRunning}
			l.hooks[k] = rec
		}
		if rec.state != cluster.HookRunning {
			continue
		}
		if rec.age++; rec.age <= cfg.ReadyAfter {
			continue
		}
		ended = true
		rec.state = cluster.HookSucceeded
		if slices.Contains(cfg.FailingHooks, h.Name) {
			rec.state = cluster.HookFailed
			for i := max(0, crashLines-cluster.MaxFailureLog); i < crashLines; i++ {
				rec.log = append(rec.log, fmt.Sprintf("line %d", i+1))
			}
		}
	}
	return ended
}

// failedWith is what a program says that ended as those of simulated clusters do.
const failedWith = "it ended with exit code 3"

// lookAtHooks adds what there is to say of a service's hooks.
func (l *lease) lookAtHooks(sv manifesttypes.Service, held map[string]bool, st *cluster.ServiceStatus) {
	for _, h := range sv.Hooks {
		out := cluster.HookStatus{Name: h.Name, State: cluster.HookWaiting}
		switch rec := l.hooks[hookKey(sv.Name, h.Name)]; {
		case rec == nil:
		case rec.manifest != l.manifest() || rec.passed:
			if h.Once {
				out.State = cluster.HookSkipped
			}
		default:
			out.State, out.Log = rec.state, slices.Clone(rec.log)
			if rec.state == cluster.HookFailed {
				out.Message = failedWith
			}
		}
		st.Hooks = append(st.Hooks, out)
	}
	if !held[sv.Name] || l.workload.Suspended {
		return
	}
	st.Updated, st.Reason, st.Message, st.Failed = 0, cluster.ReasonHook, "", false
	for _, other := range l.services {
		h := l.pending(other.spec, manifesttypes.WHEN_BEFORE_ROLLOUT)
		if h == nil {
			continue
		}
		rec := l.hooks[hookKey(other.spec.Name, h.Name)]
		if rec != nil && rec.manifest == l.manifest() && rec.state == cluster.HookFailed {
			st.Message, st.Failed = fmt.Sprintf("hook %s of service %s failed: %s", h.Name, other.spec.Name, failedWith), true
			return
		}
		if st.Message == "" {
			st.Message = fmt.Sprintf("waiting for hook %s of service %s", h.Name, other.spec.Name)
		}
	}
}

// wanted is how many instances a service wants now: a task none, and one that scales as many as its load asks for.
func (s *service) wanted() uint32 {
	switch {
	case s.spec.Cron != nil:
		return 0
	case s.spec.Scale != nil:
		return min(max(s.load, s.spec.Scale.Min), s.spec.Count)
	}
	return s.spec.Count
}

// taskStatus is what there is to know of a task; nil for a service that is none.
func (s *service) taskStatus(suspended bool) *cluster.TaskStatus {
	if s.spec.Cron == nil {
		return nil
	}
	t := s.task
	t.Suspended = suspended || s.spec.Cron.Suspended
	return &t
}

// RunTask lets the time of a task come: it runs and has ended at once, with success unless its image is one of
// Config.CrashingImages. It returns cluster.ErrNotFound if there is no such task, and another error if it is suspended.
func (c *Cluster) RunTask(id markettypes.LeaseID, service string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.leases[id]
	s := l.find(service)
	if s == nil || s.spec.Cron == nil {
		return fmt.Errorf("simulated cluster: task %s of %s: %w", service, id, cluster.ErrNotFound)
	}
	if l.workload.Suspended || s.spec.Cron.Suspended {
		return errors.New("simulated cluster: the task is suspended")
	}
	now := c.cfg.Now()
	s.task.Last, s.task.Message, s.task.Started, s.task.Ended = cluster.HookFailed, failedWith, now, now
	if !slices.Contains(c.cfg.CrashingImages, s.spec.Image) {
		s.task.Last, s.task.Message, s.task.Succeeded = cluster.HookSucceeded, "", now
	}
	return nil
}

// SetLoad sets how many instances the load of a service asks for; it has as many as its bounds allow of that. It returns
// cluster.ErrNotFound if there is no such service that scales.
func (c *Cluster) SetLoad(id markettypes.LeaseID, service string, instances uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.leases[id].find(service)
	if s == nil || s.spec.Scale == nil {
		return fmt.Errorf("simulated cluster: service %s of %s that scales: %w", service, id, cluster.ErrNotFound)
	}
	s.load = instances
	s.ready, s.updated = min(s.ready, s.wanted()), min(s.updated, s.wanted())
	return nil
}
