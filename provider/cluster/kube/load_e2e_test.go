//go:build e2e

package kube

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

// hands are somebody else's: another client, under another name.
func (td *tending) hands(t *testing.T) func(kind string) dynamic.ResourceInterface {
	t.Helper()
	dyn, err := dynamic.NewForConfig(td.admin)
	if err != nil {
		t.Fatal(err)
	}
	return func(kind string) dynamic.ResourceInterface { return dyn.Resource(resources[kind]).Namespace(td.ns) }
}

func (td *tending) patch(t *testing.T, kind, name, patch string, subresource ...string) {
	t.Helper()
	_, err := td.hands(t)(kind).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"}, subresource...)
	if err != nil {
		t.Fatalf("patch %s %s: %v", kind, name, err)
	}
}

func (td *tending) remove(t *testing.T, kind, name string) {
	t.Helper()
	if err := td.hands(t)(kind).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("delete %s %s: %v", kind, name, err)
	}
}

// becomes waits until an object is as it should be; nil says that it is not there.
func (td *tending) becomes(t *testing.T, kind, name, what string, done func(*unstructured.Unstructured) bool) {
	t.Helper()
	get := td.hands(t)(kind)
	awaitFor(t, time.Minute, kind+" "+name+": "+what, func() (bool, string) {
		u, err := get.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		return done(u), fmt.Sprint(u.Object["spec"])
	})
}

// resets watches a Deployment until the returned function is called, which tells of every write that changed both the
// number of instances and something else of the specification: who scales changes the number alone, and whoever changes
// something else has to leave it.
func (td *tending) resets(t *testing.T, name string) func() []string {
	t.Helper()
	last, err := td.hands(t)(kindDeployment).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w, err := td.hands(t)(kindDeployment).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name, ResourceVersion: last.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	parts := func(u *unstructured.Unstructured) (int64, map[string]any) {
		spec, _, _ := unstructured.NestedMap(u.Object, "spec")
		delete(spec, "replicas")
		return number(u, "spec", "replicas"), spec
	}
	done := make(chan []string, 1)
	go func() {
		var found []string
		for e := range w.ResultChan() {
			u, ok := e.Object.(*unstructured.Unstructured)
			if !ok || u.GetKind() != kindDeployment {
				continue
			}
			before, was := parts(last)
			after, is := parts(u)
			if before != after && !reflect.DeepEqual(was, is) {
				found = append(found, fmt.Sprintf("generation %d: from %d instances to %d", u.GetGeneration(), before, after))
			}
			last = u
		}
		done <- found
	}()
	return func() []string {
		cancel()
		return <-done
	}
}

func scaled(name string, least, most uint32) manifesttypes.Service {
	sv := tended(name)
	sv.CpuMilli, sv.Count = 100, most
	sv.Scale = &manifesttypes.Scale{Min: least, CooldownSeconds: 1, Triggers: []manifesttypes.Trigger{{Resource: "cpu", UtilizationPercent: 10}}}
	return sv
}

// instancesFollowTheirLoad: the number of instances grows to its most while they are busy and shrinks to its least when
// they are not; an update, and changes that others make and the driver takes back, leave it as it is meanwhile.
func instancesFollowTheirLoad(t *testing.T, td *tending) {
	web := scaled("web", 1, 3)
	td.apply(t, web)
	td.until(t, "web", "ready", func(st cluster.ServiceStatus) bool { return st.Desired == 1 && ready(st) })
	td.in(t, td.pods(t, "web")[0].Name, "put", "load")
	td.until(t, "web", "its most instances", func(st cluster.ServiceStatus) bool { return st.Desired == 3 && ready(st) })
	for _, p := range td.pods(t, "web") {
		td.in(t, p.Name, "put", "load")
	}

	// Other people's changes while there is load.
	resets := td.resets(t, "web")
	td.patch(t, kindDeployment, "web", `{"spec":{"revisionHistoryLimit":5,"template":{"spec":{"nodeName":"localkube"}}}}`)
	td.becomes(t, kindDeployment, "web", "what was changed and added", func(u *unstructured.Unstructured) bool {
		_, added, _ := unstructured.NestedString(u.Object, "spec", "template", "spec", "nodeName")
		return number(u, "spec", "revisionHistoryLimit") == 1 && !added
	})
	td.patch(t, kindAutoscaler, "web", `{"spec":{"minReplicas":2,"maxReplicas":50}}`)
	td.becomes(t, kindAutoscaler, "web", "its bounds", func(u *unstructured.Unstructured) bool {
		return number(u, "spec", "minReplicas") == 1 && number(u, "spec", "maxReplicas") == 3
	})
	td.remove(t, kindAutoscaler, "web")
	td.becomes(t, kindAutoscaler, "web", "there", func(*unstructured.Unstructured) bool { return true })
	web.Env = []manifesttypes.EnvVar{{Name: "VERSION", Value: "2"}}
	web.Args = append(web.Args, "load") // goes on in the new instances
	web.Hooks = []manifesttypes.Hook{hook("prepare", manifesttypes.WHEN_BEFORE_ROLLOUT, "crash", "1", "0")}
	w := td.apply(t, web)
	td.until(t, "web", "the update", func(st cluster.ServiceStatus) bool { return st.Desired == 3 && ready(st) })
	if all := resets(); len(all) > 0 {
		t.Errorf("the number of instances was changed together with something else: %v", all)
	}

	for _, p := range td.pods(t, "web") {
		if !slices.Contains(p.Spec.Containers[0].Args, "load") {
			continue // one of before the update that has not been told to end yet
		}
		await(t, p.Name+" has no load, or is gone", func() (bool, string) { // others are ended as soon as there is less load
			err := td.try(t, p.Name, "drop", "load")
			if err == nil {
				return true, ""
			}
			return !slices.ContainsFunc(td.pods(t, "web"), func(left corev1.Pod) bool { return left.Name == p.Name }), err.Error()
		})
	}
	// The pod of the hook, whose use nobody knows, keeps instances for a moment and not for as long as hooks stay elsewhere.
	td.until(t, "web", "its least instances", func(st cluster.ServiceStatus) bool { return st.Desired == 1 && ready(st) })
	if job := td.job(t, w, "web", "prepare"); job != nil && job.DeletionTimestamp == nil {
		t.Error("the hook's job is still there, and instances were ended all the same")
	}
	if st := td.status(t, "web"); st.Hooks[0].State != cluster.HookSucceeded {
		t.Errorf("the hook whose job is gone: %+v", st.Hooks)
	}
	// Kubernetes leaves alone what was scaled to nothing; the manifest wants an instance.
	td.patch(t, kindDeployment, "web", `{"spec":{"replicas":0}}`, "scale")
	td.becomes(t, kindDeployment, "web", "an instance again", func(u *unstructured.Unstructured) bool { return number(u, "spec", "replicas") == 1 })
}

// suspensionKeepsEverything: a lease with a volume, a task, hooks and a service that scales is repaired, suspended and
// resumed; volumes and what came of hooks stay, and nobody else's change lasts.
func suspensionKeepsEverything(t *testing.T, td *tending) {
	db := tended("db")
	db.Image = rootProbe() // a new volume is root's
	db.Volumes[1] = clustertest.Persistent("state", "default", 16<<20)
	db.Volumes[1].Mount = "/state"
	// The hook's own instance has none of the volumes that last.
	db.Hooks = []manifesttypes.Hook{hook("prepare", manifesttypes.WHEN_BEFORE_ROLLOUT, "crash", "1", "0"), hook("seed", manifesttypes.WHEN_AFTER_ROLLOUT, "crash", "1", "0")}
	task := tended("task")
	task.Expose, task.Cron = nil, &manifesttypes.Cron{Schedule: "0 0 1 1 *", Concurrency: manifesttypes.CONCURRENCY_FORBID}
	web := scaled("web", 2, 3)
	w := td.apply(t, db, task, web)
	well := func(what string) {
		t.Helper()
		td.until(t, "web", what, func(st cluster.ServiceStatus) bool { return st.Desired == 2 && ready(st) })
		td.until(t, "db", what, func(st cluster.ServiceStatus) bool {
			return ready(st) && st.Hooks[0].State == cluster.HookSucceeded && st.Hooks[1].State == cluster.HookSucceeded
		})
	}
	well("ready")
	td.in(t, "db-0", "put", "kept")
	jobs := func() string {
		t.Helper()
		list, err := td.typed.BatchV1().Jobs(td.ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, j := range list.Items {
			out = append(out, j.Name+"="+string(j.UID))
		}
		return strings.Join(out, " ")
	}
	hooksRan, volumes := jobs(), td.volumes(t)

	td.patch(t, kindStatefulSet, "db", `{"spec":{"replicas":3,"template":{"spec":{"nodeName":"localkube"}}}}`)
	td.patch(t, kindCronJob, "task", `{"spec":{"schedule":"* * * * *","suspend":true,"jobTemplate":{"spec":{"completions":7}}}}`)
	td.becomes(t, kindStatefulSet, "db", "as the manifest has it", func(u *unstructured.Unstructured) bool {
		_, added, _ := unstructured.NestedString(u.Object, "spec", "template", "spec", "nodeName")
		return number(u, "spec", "replicas") == 1 && !added
	})
	td.becomes(t, kindCronJob, "task", "as the manifest has it", func(u *unstructured.Unstructured) bool {
		schedule, _, _ := unstructured.NestedString(u.Object, "spec", "schedule")
		off, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend")
		_, added, _ := unstructured.NestedInt64(u.Object, "spec", "jobTemplate", "spec", "completions")
		return schedule == "0 0 1 1 *" && !off && !added
	})
	td.remove(t, kindStatefulSet, "db")
	td.remove(t, kindCronJob, "task")
	td.becomes(t, kindStatefulSet, "db", "there", func(u *unstructured.Unstructured) bool { return number(u, "status", "readyReplicas") == 1 })
	td.becomes(t, kindCronJob, "task", "there", func(*unstructured.Unstructured) bool { return true })
	well("repaired")

	w.Suspended = true
	if err := td.c.Apply(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	await(t, "all instances to end", func() (bool, string) {
		n := len(td.pods(t, "web")) + len(td.pods(t, "db"))
		return n == 0, fmt.Sprint(n)
	})
	td.becomes(t, kindCronJob, "task", "suspended", func(u *unstructured.Unstructured) bool {
		off, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend")
		return off
	})
	for _, name := range []string{"db", "web"} {
		if st := td.status(t, name); st.Reason != cluster.ReasonSuspended || st.Ready != 0 {
			t.Errorf("suspended: %+v", st)
		}
	}
	if now := td.volumes(t); now != volumes {
		t.Errorf("volumes %s, want %s", now, volumes)
	}
	// While it sleeps nobody wakes it up.
	td.patch(t, kindDeployment, "web", `{"spec":{"replicas":2}}`, "scale")
	td.becomes(t, kindDeployment, "web", "asleep", func(u *unstructured.Unstructured) bool { return number(u, "spec", "replicas") == 0 })

	w.Suspended = false
	if err := td.c.Apply(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	well("resumed")
	td.in(t, "db-0", "has", "kept")
	if now := jobs(); now != hooksRan || td.volumes(t) != volumes {
		t.Errorf("after it was resumed: hooks %s, want %s; volumes %s, want %s", now, hooksRan, td.volumes(t), volumes)
	}
	td.becomes(t, kindCronJob, "task", "resumed", func(u *unstructured.Unstructured) bool {
		off, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend")
		return !off
	})
}

func (td *tending) volumes(t *testing.T) string {
	t.Helper()
	all, err := td.c.Volumes(t.Context(), td.id)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v", all)
}
