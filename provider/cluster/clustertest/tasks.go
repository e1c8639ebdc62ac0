package clustertest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// FailingHook is the name of the hooks of the suite that fail.
const FailingHook = "fails"

func (s *suite) hook(name string, when manifesttypes.When) manifesttypes.Hook {
	return manifesttypes.Hook{Name: name, When: when, Args: s.HookArgs(name != FailingHook)}
}

// version is a service that differs from its other versions, with hooks.
func (s *suite) version(n int, hooks ...manifesttypes.Hook) manifesttypes.Service {
	web := s.Programs("web")
	web.Env = []manifesttypes.EnvVar{{Name: "VERSION", Value: fmt.Sprint(n)}}
	web.Hooks = hooks
	return web
}

// testHooks: a hook before a rollout that fails keeps what ran before, and says why; others run in their order, and one that
// runs once does so for the first manifest that has it. A manifest that is applied again runs nothing again; one that is sent
// again passes over what failed and runs once only.
func testHooks(t *testing.T, s *suite) {
	id := s.lease(t)
	s.apply(t, Workload(id, s.version(1)))
	s.awaitReady(t, id)

	s.apply(t, Workload(id, s.version(2, s.hook(FailingHook, manifesttypes.WHEN_BEFORE_ROLLOUT))))
	var web cluster.ServiceStatus
	s.await(t, "the hook to fail", func() (bool, string) {
		web = find(t, s.status(t, id), "web")
		return web.Failed, fmt.Sprintf("%+v", web)
	})
	if web.Ready != 1 || web.Updated != 0 || web.Reason != cluster.ReasonHook || len(web.Hooks) != 1 {
		t.Fatalf("after a hook that failed: %+v", web)
	}
	h := web.Hooks[0]
	if h.State != cluster.HookFailed || h.Message != "it ended with exit code 3" || len(h.Log) != cluster.MaxFailureLog || h.Log[len(h.Log)-1] != "line 60" {
		t.Errorf("a hook that failed: %+v", h)
	}
	if want := "hook " + FailingHook + " of service web failed: " + h.Message; web.Message != want {
		t.Errorf("message %q, want %q", web.Message, want)
	}

	failing := s.hook(FailingHook, manifesttypes.WHEN_BEFORE_ROLLOUT)
	failing.Once = true
	w := Workload(id, s.version(5, failing))
	w.Accepted = time.Now()
	s.apply(t, w)
	failed := func(when string) {
		t.Helper()
		s.await(t, when, func() (bool, string) {
			web := find(t, s.status(t, id), "web")
			return web.Failed && web.Hooks[0].State == cluster.HookFailed, fmt.Sprintf("%+v", web)
		})
	}
	failed("the hook to fail")
	s.apply(t, w)
	failed("the hook to have failed")
	w.Accepted = w.Accepted.Add(time.Second)
	s.apply(t, w)
	s.awaitReady(t, id)
	if web := find(t, s.status(t, id), "web"); web.Hooks[0].State != cluster.HookSkipped {
		t.Errorf("a hook that failed and runs once only, after its manifest was sent again: %+v", web)
	}

	once := s.hook("seed", manifesttypes.WHEN_AFTER_ROLLOUT)
	once.Once = true
	each := s.hook("each", manifesttypes.WHEN_AFTER_ROLLOUT)
	s.apply(t, Workload(id, s.version(3, s.hook("prepare", manifesttypes.WHEN_BEFORE_ROLLOUT), once, each)))
	states := func(want ...cluster.HookState) {
		t.Helper()
		s.await(t, "the rollout and its hooks", func() (bool, string) {
			all := s.status(t, id)
			done, _ := Complete(all)
			web := find(t, all, "web")
			for i, st := range want {
				done = done && len(web.Hooks) == len(want) && web.Hooks[i].State == st
			}
			return done, fmt.Sprintf("%+v", web)
		})
	}
	states(cluster.HookSucceeded, cluster.HookSucceeded, cluster.HookSucceeded)
	s.Cluster = s.Restart(t)
	states(cluster.HookSucceeded, cluster.HookSucceeded, cluster.HookSucceeded)
	s.apply(t, Workload(id, s.version(4, once, each)))
	states(cluster.HookSkipped, cluster.HookSucceeded)
}

// testTasks: tasks want no instances, and their status says whether runs are started.
func testTasks(t *testing.T, s *suite) {
	id := s.lease(t)
	task := func(name string, suspended bool) manifesttypes.Service {
		sv := s.Programs(name)
		sv.Expose, sv.Cron = nil, &manifesttypes.Cron{Schedule: "0 0 1 1 *", Concurrency: manifesttypes.CONCURRENCY_FORBID, Suspended: suspended}
		return sv
	}
	w := Workload(id, task("off", true), task("on", false), Service("web", s.Image))
	check := func(when string, on bool) {
		t.Helper()
		s.await(t, when, func() (bool, string) {
			all := s.status(t, id)
			first, second := find(t, all, "off"), find(t, all, "on")
			for _, st := range []cluster.ServiceStatus{first, second} {
				if st.Task == nil || st.Desired != 0 || st.Ready != 0 || st.Failed || st.Task.Last != "" || st.Task.Active != 0 {
					t.Fatalf("%s: a task that never ran: %+v", when, st)
				}
			}
			return first.Task.Suspended && second.Task.Suspended == !on, fmt.Sprintf("%+v, %+v", first.Task, second.Task)
		})
	}
	s.apply(t, w)
	s.awaitReady(t, id)
	check("at the start", true)
	if web := find(t, s.status(t, id), "web"); web.Task != nil {
		t.Errorf("a service that is no task: %+v", web)
	}
	w.Suspended = true
	s.apply(t, w)
	check("suspended", false)
	w.Suspended = false
	s.apply(t, w)
	s.awaitReady(t, id)
	check("resumed", true)
}

// testScale: a service that scales has its least instances at first; a cluster that does not tell what instances use
// refuses it.
func testScale(t *testing.T, s *suite) {
	id := s.lease(t)
	web := Service("web", s.Image)
	web.Count = 3
	web.Scale = &manifesttypes.Scale{Min: 2, Triggers: []manifesttypes.Trigger{{Resource: "cpu", UtilizationPercent: 90}}}
	if !s.Measures {
		if err := s.Cluster.Apply(t.Context(), Workload(id, web)); !errors.Is(err, cluster.ErrRefused) {
			t.Errorf("Apply = %v, want a refusal", err)
		}
		return
	}
	has := func(n uint32) {
		t.Helper()
		s.await(t, fmt.Sprint(n, " instances"), func() (bool, string) {
			web := find(t, s.status(t, id), "web")
			return web.Desired == n && web.Ready == n && web.Updated == n, fmt.Sprintf("%+v", web)
		})
	}
	s.apply(t, Workload(id, web))
	has(2)
	w := Workload(id, web)
	w.Suspended = true
	s.apply(t, w)
	s.awaitSuspended(t, w)
	w.Suspended = false
	s.apply(t, w)
	has(2)
	web.Scale = nil
	s.apply(t, Workload(id, web))
	has(3)
}
