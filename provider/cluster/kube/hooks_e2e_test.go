//go:build e2e

package kube

import (
	"fmt"
	"slices"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

func hook(name string, when manifesttypes.When, args ...string) manifesttypes.Hook {
	return manifesttypes.Hook{Name: name, When: when, Args: args}
}

func (td *tending) job(t *testing.T, w cluster.Workload, service, name string) *batchv1.Job {
	t.Helper()
	job, err := td.typed.BatchV1().Jobs(td.ns).Get(t.Context(), hookJobName(service, name, manifestHash(w), 0), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// hooksRunInTheirPlace: a hook before a rollout that fails leaves the former version as it is, with its code and last lines
// in the status; one that succeeds has ended before the first new instance is made; one after a rollout starts when all
// instances are ready, and one that runs once does so for the first manifest that has it.
func hooksRunInTheirPlace(t *testing.T, td *tending) {
	version := func(n int, hooks ...manifesttypes.Hook) []manifesttypes.Service {
		db, web := tended("db"), tended("web")
		db.Expose[0].To = []manifesttypes.To{{Service: "web"}}
		web.DependsOn = []string{"db"}
		web.Env = []manifesttypes.EnvVar{{Name: "VERSION", Value: fmt.Sprint(n)}}
		web.Hooks = hooks
		return []manifesttypes.Service{db, web}
	}
	td.apply(t, version(1)...)
	td.until(t, "web", "ready", ready)
	old := td.pods(t, "web")[0]

	td.apply(t, version(2, hook("migrate", manifesttypes.WHEN_BEFORE_ROLLOUT, "crash", "60", "7"))...)
	st := td.until(t, "web", "the failure", func(st cluster.ServiceStatus) bool { return st.Failed })
	if st.Reason != cluster.ReasonHook || st.Message != "hook migrate of service web failed: it ended with exit code 7" || st.Ready != 1 || st.Updated != 0 {
		t.Errorf("status %+v", st)
	}
	h := st.Hooks[0]
	if h.State != cluster.HookFailed || h.Message != "it ended with exit code 7" || len(h.Log) != cluster.MaxFailureLog || h.Log[len(h.Log)-1] != "line 60" {
		t.Errorf("hook %+v", h)
	}
	if all := td.pods(t, "web"); len(all) != 1 || all[0].UID != old.UID || container(all[0]).RestartCount != 0 {
		t.Errorf("the former version does not go on: %+v", all)
	}

	// The hook of this one is not told to go on in its time; sent again, it runs again, and is told. Its former run is gone.
	late := hook("migrate", manifesttypes.WHEN_BEFORE_ROLLOUT, "hold")
	late.DeadlineSeconds = 2
	again := td.apply(t, version(2, late)...)
	td.until(t, "web", "the hook to take too long", func(st cluster.ServiceStatus) bool {
		return st.Failed && st.Hooks[0].Message == "it took longer than 2 s"
	})
	first := td.job(t, again, "web", "migrate")
	again.Accepted = time.Now()
	if err := td.c.Apply(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	rerun := hookJobName("web", "migrate", manifestHash(again), 1)
	td.until(t, "web", "the hook to run again", func(st cluster.ServiceStatus) bool {
		_, err := td.typed.BatchV1().Jobs(td.ns).Get(t.Context(), rerun, metav1.GetOptions{})
		return err == nil && (st.Hooks[0].State == cluster.HookRunning || st.Hooks[0].State == cluster.HookFailed)
	})
	if first == nil {
		t.Error("the first run was gone before the manifest was sent again")
	}
	td.until(t, "web", "the hook to take too long once more", func(st cluster.ServiceStatus) bool { return st.Failed })
	if job := td.job(t, again, "web", "migrate"); job != nil && job.DeletionTimestamp == nil {
		t.Errorf("the first run is still there: %+v", job.Status)
	}

	third := version(3, hook("migrate", manifesttypes.WHEN_BEFORE_ROLLOUT, "hold"), hook("seed", manifesttypes.WHEN_AFTER_ROLLOUT, "crash", "1", "0"),
		hook("each", manifesttypes.WHEN_AFTER_ROLLOUT, "crash", "1", "0"))
	third[1].Hooks[1].Once = true
	w := td.apply(t, third...)
	var pod string
	await(t, "the hook to run", func() (bool, string) {
		list, err := td.typed.CoreV1().Pods(td.ns).List(t.Context(), metav1.ListOptions{LabelSelector: labelJob + "=" + hookJobName("web", "migrate", manifestHash(w), 0)})
		if err != nil || len(list.Items) == 0 || container(list.Items[0]).State.Running == nil {
			return false, fmt.Sprintf("%+v, %v", list, err)
		}
		pod = list.Items[0].Name
		return true, ""
	})
	// It is under way for as long as several looks take.
	if err := pause(t.Context(), 3*time.Second); err != nil {
		t.Fatal(err)
	}
	st = td.status(t, "web")
	if st.Hooks[0].State != cluster.HookRunning || st.Updated != 0 || st.Ready != 1 || st.Message != "waiting for hook migrate of service web" {
		t.Errorf("during the hook: %+v", st)
	}
	if all := td.pods(t, "web"); len(all) != 1 || all[0].UID != old.UID {
		t.Errorf("during the hook there are %d instances, or other ones", len(all))
	}
	td.in(t, pod, "put", "go")
	st = td.until(t, "web", "the rollout and what comes after it", func(st cluster.ServiceStatus) bool {
		return ready(st) && !slices.ContainsFunc(st.Hooks, func(h cluster.HookStatus) bool { return h.State != cluster.HookSucceeded })
	})
	fresh := td.pods(t, "web")
	before, seed, each := td.job(t, w, "web", "migrate"), td.job(t, w, "web", "seed"), td.job(t, w, "web", "each")
	if before == nil || seed == nil || each == nil || len(fresh) != 1 {
		t.Fatalf("jobs %v, %v and %v, %d instances", before, seed, each, len(fresh))
	}
	if made := fresh[0].CreationTimestamp; made.Before(before.Status.CompletionTime) {
		t.Errorf("the first new instance was made at %s, before the hook ended at %s", made, before.Status.CompletionTime)
	}
	for _, c := range fresh[0].Status.Conditions {
		if c.Type == "Ready" && seed.CreationTimestamp.Before(&c.LastTransitionTime) {
			t.Errorf("the hook after the rollout was made at %s, before the instance was ready at %s", seed.CreationTimestamp, c.LastTransitionTime)
		}
	}
	if each.CreationTimestamp.Before(seed.Status.CompletionTime) {
		t.Errorf("the second hook was made at %s, before the first one ended at %s", each.CreationTimestamp, seed.Status.CompletionTime)
	}

	fourth := version(4, hook("seed", manifesttypes.WHEN_AFTER_ROLLOUT, "crash", "1", "0"), hook("each", manifesttypes.WHEN_AFTER_ROLLOUT, "crash", "1", "0"))
	fourth[1].Hooks[0].Once = true
	w = td.apply(t, fourth...)
	st = td.until(t, "web", "the next rollout", func(st cluster.ServiceStatus) bool { return ready(st) && st.Hooks[1].State == cluster.HookSucceeded })
	if st.Hooks[0].State != cluster.HookSkipped || td.job(t, w, "web", "seed") != nil {
		t.Errorf("a hook that runs once ran again: %+v", st.Hooks)
	}
	// Pods of hooks are there for their logs, and take nothing of what the lease may have.
	await(t, "the quota to count instances alone", func() (bool, string) {
		pods, err := td.typed.CoreV1().Pods(td.ns).List(t.Context(), metav1.ListOptions{LabelSelector: labelRole + "=" + roleHook})
		if err != nil {
			t.Fatal(err)
		}
		quota, err := td.typed.CoreV1().ResourceQuotas(td.ns).Get(t.Context(), "lease", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		used := quota.Status.Used.Pods().Value()
		return len(pods.Items) > 0 && used == 2, fmt.Sprintf("%d pods of hooks, and the quota counts %d", len(pods.Items), used)
	})
}

// tasksRunByTime: a task runs when its time has come, and its status tells of the run, of one that failed and of one that
// took too long; a suspended one does not run.
func tasksRunByTime(t *testing.T, td *tending) {
	task := func(name string, args ...string) manifesttypes.Service {
		sv := tended(name)
		sv.Args, sv.Expose = args, nil
		sv.Cron = &manifesttypes.Cron{Schedule: "* * * * *", Concurrency: manifesttypes.CONCURRENCY_FORBID}
		return sv
	}
	fails, long, off, runs := task("fails", "crash", "2", "9"), task("long", "hold"), task("off", "crash", "1", "0"), task("runs", "crash", "1", "0")
	off.Cron.Suspended = true
	long.Cron.DeadlineSeconds = 3
	td.apply(t, fails, long, off, runs)
	if st := td.status(t, "runs"); st.Task == nil || st.Task.Last != "" || st.Desired != 0 || st.Failed {
		t.Errorf("before its time: %+v", st)
	}
	began := time.Now()
	// Kubernetes notes a run that has ended at the task a moment after it has at the run.
	st := td.until(t, "runs", "a run", func(st cluster.ServiceStatus) bool {
		return st.Task.Last == cluster.HookSucceeded && !st.Task.Succeeded.IsZero() && st.Task.Active == 0
	})
	if st.Task.Started.Before(began.Add(-time.Minute)) || st.Task.Ended.Before(st.Task.Started) {
		t.Errorf("a run: %+v", st.Task)
	}
	st = td.until(t, "fails", "a run", func(st cluster.ServiceStatus) bool { return st.Task.Last == cluster.HookFailed })
	if st.Task.Message != "it ended with exit code 9" || !st.Task.Succeeded.IsZero() || st.Task.Ended.IsZero() {
		t.Errorf("a run that failed: %+v", st.Task)
	}
	st = td.until(t, "long", "the end of its time", func(st cluster.ServiceStatus) bool { return st.Task.Last == cluster.HookFailed })
	if st.Task.Message != "it took longer than 3 s" {
		t.Errorf("a run that took too long: %+v", st.Task)
	}
	jobs, err := td.typed.BatchV1().Jobs(td.ns).List(t.Context(), metav1.ListOptions{LabelSelector: labelService + "=off"})
	if err != nil || len(jobs.Items) > 0 || !td.status(t, "off").Task.Suspended {
		t.Errorf("a suspended task: %+v, %v", jobs, err)
	}
}
