package kube

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

// caredServices have everything that can be said of how instances are looked after.
func caredServices() []manifesttypes.Service {
	web := clustertest.Service("web", "web:1")
	web.Count = 10
	web.Env = []manifesttypes.EnvVar{{Name: "MODE", Value: "fast"}}
	web.Probes = &manifesttypes.Probes{
		Startup: &manifesttypes.Probe{Http: &manifesttypes.HTTPGet{
			Path: "/health/ready", Port: 8080, Tls: true, Status: 200, Content: "ok", Headers: []manifesttypes.Header{{Name: "Host", Value: "a.example"}},
		}, PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: 60},
		Readiness: &manifesttypes.Probe{TcpPort: 8080, SuccessThreshold: 2},
		Liveness:  &manifesttypes.Probe{Exec: []string{"/bin/ok", "$(HOME)"}, InitialDelaySeconds: 7},
	}
	web.MinReadySeconds = 30
	web.Scale = &manifesttypes.Scale{Min: 2, CooldownSeconds: 120, Triggers: []manifesttypes.Trigger{
		{Resource: "cpu", UtilizationPercent: 70}, {Resource: "memory", AverageValue: 16 << 20},
	}}
	web.Rollout = &manifesttypes.Rollout{MaxSurge: 2}
	web.Hooks = []manifesttypes.Hook{{Name: "seed", When: manifesttypes.WHEN_AFTER_ROLLOUT, Command: []string{"/seed"}}}
	plain := clustertest.Service("plain", "plain:1")
	plain.Expose[0].To = []manifesttypes.To{{Service: "web"}}
	plain.Probes = &manifesttypes.Probes{}
	return []manifesttypes.Service{plain, web}
}

func caredTask(name string) manifesttypes.Service {
	sv := clustertest.Service(name, "task:1")
	sv.Expose, sv.Args = nil, []string{"echo", "$(HOME)"}
	sv.Env = []manifesttypes.EnvVar{{Name: "MODE", Value: "fast"}}
	sv.Cron = &manifesttypes.Cron{Schedule: "0 1 * * 7", Concurrency: manifesttypes.CONCURRENCY_FORBID}
	return sv
}

func caredGolden() map[string]goldenCase {
	metrics := testSettings()
	metrics.Metrics = true
	sold := metrics
	sold.Overcommit = Overcommit{CPU: 2000}
	scaled := clustertest.Service("web", "web:1")
	scaled.Scale = &manifesttypes.Scale{Min: 1, Triggers: []manifesttypes.Trigger{{Resource: "cpu", UtilizationPercent: 80}}}
	off := caredTask("off")
	off.Cron.Suspended, off.Cron.Schedule, off.Cron.StartingDeadlineSeconds, off.Cron.DeadlineSeconds = true, "@every 90s", 30, 600
	off.Cron.Concurrency = manifesttypes.CONCURRENCY_REPLACE
	hook := testSettings()
	before := clustertest.Service("web", "web:1")
	before.Env = []manifesttypes.EnvVar{{Name: "MODE", Value: "fast"}}
	before.Volumes = append(before.Volumes, manifesttypes.Volume{Name: "tmp", Bytes: 1 << 20, Mount: "/tmp"})
	before.Hooks = []manifesttypes.Hook{{Name: "migrate", When: manifesttypes.WHEN_BEFORE_ROLLOUT, Args: []string{"migrate"}, DeadlineSeconds: 30}}
	hook.Stage.Held, hook.Stage.Awaited = map[string]bool{"web": true}, []manifesttypes.Service{before}
	hook.Stage.Start = []hookRun{{before, before.Hooks[0]}}
	hook.Stage.Hooks = hookRecords{"web/migrate": {Manifest: "ab", State: hookMarked, At: 7}}
	return map[string]goldenCase{
		"care":       {metrics, caredServices(), allStart},
		"overcommit": {sold, []manifesttypes.Service{scaled}, allStart},
		"tasks":      {testSettings(), []manifesttypes.Service{caredTask("nightly-" + strings.Repeat("x", 50)), off}, allStart},
		"hook":       {hook, []manifesttypes.Service{before}, func(string) bool { return false }},
	}
}

// settle makes the server's Deployments of a lease ready, as a cluster would.
func (s *apiServer) settle(t *testing.T, ns string) {
	t.Helper()
	for _, p := range s.paths(ns) {
		if p.resource != "deployments" {
			continue
		}
		s.edit(t, p.resource, ns, p.name, func(u *unstructured.Unstructured) {
			n := number(u, "spec", "replicas")
			if _, set, _ := unstructured.NestedInt64(u.Object, "spec", "replicas"); !set {
				n = 1
				_ = unstructured.SetNestedField(u.Object, n, "spec", "replicas")
			}
			u.Object["status"] = map[string]any{"observedGeneration": u.GetGeneration(), "replicas": n, "updatedReplicas": n, "readyReplicas": n}
		})
	}
}

// finishJob ends a job of a lease with a condition.
func (s *apiServer) finishJob(t *testing.T, ns, name, condition string) {
	t.Helper()
	s.edit(t, "jobs", ns, name, func(u *unstructured.Unstructured) {
		u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": condition, "status": "True", "message": "it broke"}}}
	})
}

func (s *apiServer) image(t *testing.T, ns, service string) (image string, replicas int64) {
	t.Helper()
	s.edit(t, "deployments", ns, service, func(u *unstructured.Unstructured) {
		containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
		image, _ = containers[0].(map[string]any)["image"].(string)
		replicas = number(u, "spec", "replicas")
	})
	return image, replicas
}

func (s *apiServer) jobs(ns string) []string {
	var out []string
	for _, p := range s.paths(ns) {
		if p.resource == "jobs" {
			out = append(out, p.name)
		}
	}
	return out
}

func hooked(image string, hooks ...manifesttypes.Hook) cluster.Workload {
	db, web := clustertest.Service("db", image), clustertest.Service("web", image)
	web.DependsOn = []string{"db"}
	web.Hooks = hooks
	other := clustertest.Service("other", image)
	return clustertest.Workload(testLease, db, other, web)
}

func before(name string) manifesttypes.Hook {
	return manifesttypes.Hook{Name: name, When: manifesttypes.WHEN_BEFORE_ROLLOUT, Command: []string{"/" + name}}
}

// pass lets the driver look at all leases until it writes nothing.
func pass(t *testing.T, s *apiServer, c *Cluster, ns string) {
	t.Helper()
	for range 10 {
		s.takeWrites()
		if err := c.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(s.takeWrites()) == 0 {
			return
		}
	}
	t.Fatal("the driver does not come to rest")
}

func serviceStatus(t *testing.T, c *Cluster, name string) cluster.ServiceStatus {
	t.Helper()
	all, err := c.Status(t.Context(), testLease)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(st cluster.ServiceStatus) bool { return st.Name == name })
	return all[i]
}

func TestHookGatesTheFirstRollout(t *testing.T) {
	s, c := serve(t, Config{})
	ns := namespaceOf(testLease)
	w := hooked("app:1", before("migrate"))
	apply(t, c, w)
	pass(t, s, c, ns)
	if _, n := s.image(t, ns, "db"); n != 1 {
		t.Fatal("what the hook's service depends on does not start")
	}
	if _, n := s.image(t, ns, "other"); n != 0 || len(s.jobs(ns)) != 0 {
		t.Fatalf("other services start, or the hook, before its dependency is ready: %d, %v", n, s.jobs(ns))
	}
	s.settle(t, ns)
	pass(t, s, c, ns)
	jobs := s.jobs(ns)
	if len(jobs) != 1 {
		t.Fatalf("jobs %v, want the hook's", jobs)
	}
	if st := serviceStatus(t, c, "web"); st.Message != "waiting for hook migrate of service web" || st.Hooks[0].State != cluster.HookRunning {
		t.Errorf("status %+v", st)
	}
	s.finishJob(t, ns, jobs[0], "Complete")
	pass(t, s, c, ns)
	s.settle(t, ns)
	pass(t, s, c, ns)
	for _, name := range []string{"db", "other", "web"} {
		if _, n := s.image(t, ns, name); n != 1 {
			t.Errorf("service %s has %d instances after the hook", name, n)
		}
	}
	// Neither a repair nor a restart, nor the end of what Kubernetes keeps, runs it again.
	s.remove(objectPath{"jobs", ns, jobs[0]})
	next, err := connect(c.cfg, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, next, w)
	pass(t, s, next, ns)
	if jobs := s.jobs(ns); len(jobs) != 0 {
		t.Errorf("the hook runs again: %v", jobs)
	}
	if st := serviceStatus(t, next, "web"); st.Hooks[0].State != cluster.HookSucceeded {
		t.Errorf("status %+v", st)
	}
}

func TestHookThatFailsStopsTheRollout(t *testing.T) {
	s, c := serve(t, Config{})
	ns := namespaceOf(testLease)
	apply(t, c, hooked("app:1"))
	pass(t, s, c, ns)
	s.settle(t, ns)
	pass(t, s, c, ns)
	s.settle(t, ns)

	w := hooked("app:2", before("migrate"), before("check"))
	apply(t, c, w)
	if image, _ := s.image(t, ns, "db"); image != "app:2" {
		t.Errorf("what the hook's service depends on runs %s", image)
	}
	if jobs := s.jobs(ns); len(jobs) != 0 {
		t.Errorf("the hook starts before the new %v", jobs)
	}
	s.settle(t, ns)
	pass(t, s, c, ns)
	jobs := s.jobs(ns)
	for _, name := range []string{"other", "web"} {
		if image, n := s.image(t, ns, name); image != "app:1" || n != 1 {
			t.Errorf("%s runs %s with %d instances during the hook", name, image, n)
		}
	}
	if len(jobs) != 1 {
		t.Fatalf("jobs %v, want the first hook's", jobs)
	}
	s.finishJob(t, ns, jobs[0], "Failed")
	pass(t, s, c, ns)
	st := serviceStatus(t, c, "other")
	if st.Updated != 0 || !st.Failed || st.Message != "hook migrate of service web failed: it broke" {
		t.Errorf("status %+v", st)
	}
	// Repairs go on with what runs.
	s.edit(t, "deployments", ns, "web", func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(u.Object, int64(7), "spec", "replicas")
	})
	pass(t, s, c, ns)
	if image, n := s.image(t, ns, "web"); image != "app:1" || n != 1 {
		t.Errorf("web was repaired to %s with %d instances", image, n)
	}
	// A manifest without the hook, and without a service, gets through; one in between that fails as well changes nothing.
	apply(t, c, hooked("app:3", before("migrate")))
	pass(t, s, c, ns)
	if image, _ := s.image(t, ns, "web"); image != "app:1" {
		t.Errorf("web runs %s before the hook of the third manifest", image)
	}
	if now := s.jobs(ns); slices.Contains(now, jobs[0]) {
		t.Errorf("the job of the former manifest is still there: %v", now)
	}
	apply(t, c, hooked("app:4"))
	pass(t, s, c, ns)
	if image, _ := s.image(t, ns, "web"); image != "app:4" {
		t.Errorf("web runs %s", image)
	}
	if slices.ContainsFunc(s.paths(ns), func(p objectPath) bool { return p.name == formerSecret }) {
		t.Error("the former manifest is still kept")
	}
}

func TestHookThatNeverStartedHoldsTheNextManifestToo(t *testing.T) {
	s, c := serve(t, Config{})
	ns := namespaceOf(testLease)
	web := clustertest.Service("web", "app:1")
	web.Hooks = []manifesttypes.Hook{before("migrate")}
	apply(t, c, clustertest.Workload(testLease, web))
	s.finishJob(t, ns, s.jobs(ns)[0], "Failed")
	pass(t, s, c, ns)
	web.Image = "app:2"
	apply(t, c, clustertest.Workload(testLease, web))
	pass(t, s, c, ns)
	if _, n := s.image(t, ns, "web"); n != 0 {
		t.Errorf("%d instances of a service whose hook never succeeded", n)
	}
}

func TestHooksAfterARolloutAndOnce(t *testing.T) {
	s, c := serve(t, Config{})
	ns := namespaceOf(testLease)
	web := clustertest.Service("web", "app:1")
	web.Hooks = []manifesttypes.Hook{
		{Name: "first", When: manifesttypes.WHEN_AFTER_ROLLOUT, Once: true, Command: []string{"/a"}},
		{Name: "each", When: manifesttypes.WHEN_AFTER_ROLLOUT, Command: []string{"/b"}},
	}
	w := clustertest.Workload(testLease, web)
	apply(t, c, w)
	pass(t, s, c, ns)
	if jobs := s.jobs(ns); len(jobs) != 0 {
		t.Fatalf("jobs %v before the rollout is complete", jobs)
	}
	s.settle(t, ns)
	pass(t, s, c, ns)
	first := s.jobs(ns)
	if want := hookJobName("web", "first", manifestHash(w), 0); !slices.Equal(first, []string{want}) {
		t.Fatalf("jobs %v, want %s alone", first, want)
	}
	s.finishJob(t, ns, first[0], "Failed")
	pass(t, s, c, ns)
	if jobs := s.jobs(ns); len(jobs) != 1 {
		t.Errorf("a hook runs after one that failed: %v", jobs)
	}
	web.Image = "app:2"
	w = clustertest.Workload(testLease, web)
	apply(t, c, w)
	s.settle(t, ns)
	pass(t, s, c, ns)
	if want := hookJobName("web", "each", manifestHash(w), 0); !slices.Equal(s.jobs(ns), []string{want}) {
		t.Errorf("jobs %v, want %s alone", s.jobs(ns), want)
	}
	if st := serviceStatus(t, c, "web"); st.Hooks[0].State != cluster.HookSkipped || st.Hooks[1].State != cluster.HookRunning {
		t.Errorf("hooks %+v", st.Hooks)
	}
}

// TestHooksOfAManifestThatIsSentAgain: a repair runs nothing again. Sent again, hooks that failed run in a job of another
// name, the former one goes, and what runs once only is passed over.
func TestHooksOfAManifestThatIsSentAgain(t *testing.T) {
	s, c := serve(t, Config{})
	ns := namespaceOf(testLease)
	once := before("once")
	once.Once = true
	w := hooked("app:1", once, before("migrate"))
	w.Accepted = time.Unix(1000, 0)
	apply(t, c, w)
	s.settle(t, ns)
	pass(t, s, c, ns)
	fail := func() {
		t.Helper()
		for _, name := range s.jobs(ns) {
			s.finishJob(t, ns, name, "Failed")
		}
		pass(t, s, c, ns)
	}
	states := func(when string, want ...cluster.HookState) {
		t.Helper()
		var got []cluster.HookState
		for _, h := range serviceStatus(t, c, "web").Hooks {
			got = append(got, h.State)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	again := func(at int64) {
		t.Helper()
		w.Accepted = time.Unix(at, 0)
		apply(t, c, w)
		pass(t, s, c, ns)
	}
	fail()
	states("the first one failed", cluster.HookFailed, cluster.HookWaiting)
	again(1000)
	states("applied again", cluster.HookFailed, cluster.HookWaiting)
	again(1001)
	states("sent again", cluster.HookSkipped, cluster.HookRunning)
	hash := manifestHash(w)
	if want := hookJobName("web", "migrate", hash, 0); !slices.Contains(s.jobs(ns), want) {
		t.Errorf("jobs %v, want %s among them", s.jobs(ns), want)
	}
	fail()
	states("the second one failed", cluster.HookSkipped, cluster.HookFailed)
	w.Suspended = true
	again(1002)
	states("sent again while suspended", cluster.HookSkipped, cluster.HookWaiting)
	w.Suspended = false
	again(1002)
	s.settle(t, ns)
	pass(t, s, c, ns)
	rerun := hookJobName("web", "migrate", hash, 1)
	want := []string{rerun, hookJobName("web", "once", hash, 0)}
	slices.Sort(want)
	there := func(when string) {
		t.Helper()
		got := s.jobs(ns)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Fatalf("%s: jobs %v, want %v", when, got, want)
		}
	}
	there("started again")
	s.finishJob(t, ns, rerun, "Complete")
	pass(t, s, c, ns)
	states("it succeeded", cluster.HookSkipped, cluster.HookSucceeded)
	again(1003)
	states("sent again after all succeeded", cluster.HookSkipped, cluster.HookSucceeded)
	there("sent again after all succeeded")
}

// TestEndedHooksGoWhereInstancesFollowTheirLoad: a hook that succeeded is remembered and its job goes after a minute, where its
// pod would be counted; one that failed stays, as its pod is not counted.
func TestEndedHooksGoWhereInstancesFollowTheirLoad(t *testing.T) {
	web := clustertest.Service("web", "app:1")
	web.Scale = &manifesttypes.Scale{Min: 1, Triggers: []manifesttypes.Trigger{{Resource: "cpu", UtilizationPercent: 80}}}
	web.Hooks = []manifesttypes.Hook{before("migrate")}
	w := clustertest.Workload(testLease, web)
	plain := web
	plain.Scale = nil
	hash, now := manifestHash(w), time.Unix(10_000, 0)
	job := func(name string) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{"kind": kindJob}}
		u.SetName(name)
		u.SetLabels(map[string]string{labelManifest: shortHash(hash)})
		return u
	}
	current := job(hookJobName("web", "migrate", hash, 0))
	for name, tc := range map[string]struct {
		service manifesttypes.Service
		job     *unstructured.Unstructured
		rec     hookRecord
		stays   bool
	}{
		"running":               {web, current, hookRecord{Manifest: hash, State: hookRunning}, true},
		"just ended":            {web, current, hookRecord{Manifest: hash, State: hookSucceeded, Ended: now.Unix() - 59}, true},
		"ended a while ago":     {web, current, hookRecord{Manifest: hash, State: hookSucceeded, Ended: now.Unix() - 60}, false},
		"failed a while ago":    {web, current, hookRecord{Manifest: hash, State: hookFailed, Ended: now.Unix() - endedSeconds}, true},
		"does not scale":        {plain, current, hookRecord{Manifest: hash, State: hookSucceeded, Ended: now.Unix() - 60}, true},
		"a former run":          {web, current, hookRecord{Manifest: hash, State: hookMarked, Again: 1}, false},
		"nobody's":              {web, job("other"), hookRecord{Manifest: hash, State: hookRunning}, false},
		"without a record":      {web, current, hookRecord{}, true},
		"of a former manifest":  {web, current, hookRecord{Manifest: "ff", State: hookSucceeded, Ended: 1}, true},
		"end that nobody noted": {web, current, hookRecord{Manifest: hash, State: hookSucceeded}, true},
	} {
		w.Group.Services = []manifesttypes.Service{tc.service}
		if got := (hookRecords{"web/migrate": tc.rec}).settled(tc.job, w, sight{now: now, hooksStay: hooksStay}); got != tc.stays {
			t.Errorf("%s: the job is left alone: %v, want %v", name, got, tc.stays)
		}
	}
}

func TestHookRecordOfAJobThatIsNotThere(t *testing.T) {
	now := time.Unix(100_000, 0)
	for name, tc := range map[string]struct {
		rec  hookRecord
		want hookState
	}{
		"about to be made": {hookRecord{State: hookMarked, At: now.Unix() - 10}, hookMarked},
		"never seen":       {hookRecord{State: hookMarked, At: now.Unix() - endedSeconds}, hookFailed},
		"gone":             {hookRecord{State: hookRunning, At: now.Unix() - 10}, hookFailed},
		"through":          {hookRecord{State: hookSucceeded}, hookSucceeded},
	} {
		if got := tc.rec.observed(nil, "x", sight{now: now}); got.State != tc.want {
			t.Errorf("%s: %s, want %s", name, got.State, tc.want)
		}
	}
}

// TestHooksWithoutWhatRanBefore holds that not knowing what held services ran changes nothing of them.
func TestHooksWithoutWhatRanBefore(t *testing.T) {
	s, c := serve(t, Config{})
	ns := namespaceOf(testLease)
	apply(t, c, hooked("app:1"))
	s.settle(t, ns)
	pass(t, s, c, ns)
	s.settle(t, ns)
	apply(t, c, hooked("app:2", before("migrate")))
	s.remove(objectPath{"secrets", ns, formerSecret})
	s.takeWrites()
	if err := c.Reconcile(t.Context()); err == nil || !strings.Contains(err.Error(), "what it ran before is not known") {
		t.Errorf("Reconcile = %v", err)
	}
	if w := s.takeWrites(); len(w) != 0 {
		t.Errorf("writes %v", w)
	}
}

func TestCareIsRefusedWithItsField(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*manifesttypes.Service)
		says   string
	}{
		"no metrics": {func(sv *manifesttypes.Service) {
			sv.Scale = &manifesttypes.Scale{Min: 1, Triggers: []manifesttypes.Trigger{{Resource: "cpu", UtilizationPercent: 80}}}
		}, "services.web.scale: this cluster has no resource metrics"},
		"probe": {func(sv *manifesttypes.Service) {
			sv.Probes = &manifesttypes.Probes{Readiness: &manifesttypes.Probe{}}
		}, "probes.readiness: exactly one"},
		"schedule": {func(sv *manifesttypes.Service) {
			sv.Expose, sv.Cron = nil, &manifesttypes.Cron{Schedule: "61 * * * *", Concurrency: manifesttypes.CONCURRENCY_ALLOW}
		}, "cron.schedule: minute"},
	} {
		sv := clustertest.Service("web", "web:1")
		tc.change(&sv)
		_, err := render(clustertest.Workload(testLease, sv), testSettings(), allStart)
		if !errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want a refusal with %q", name, err, tc.says)
		}
	}
}
