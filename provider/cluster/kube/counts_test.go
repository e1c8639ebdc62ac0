package kube

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

func scaling(least, most uint32) manifesttypes.Service {
	sv := clustertest.Service("web", "hello:1")
	sv.Count = most
	sv.Scale = &manifesttypes.Scale{Min: least, Triggers: []manifesttypes.Trigger{{Resource: "cpu", UtilizationPercent: 50}}}
	return sv
}

// setter is what the API server notes of who set a number of instances.
func setter(manager, subresource string) any {
	return map[string]any{
		"manager": manager, "operation": "Apply", "subresource": subresource, "fieldsType": "FieldsV1",
		"fieldsV1": map[string]any{"f:spec": map[string]any{"f:replicas": map[string]any{}}},
	}
}

// TestCountOfAServiceThatScales holds that the number of instances is set where nobody else will, and left alone otherwise.
func TestCountOfAServiceThatScales(t *testing.T) {
	for name, tc := range map[string]struct {
		there bool
		n     int64
		by    any
		want  int32 // 0: none is set
	}{
		"new":                 {false, 0, nil, 2},
		"ours":                {true, 3, setter(manager, ""), 3},
		"ours, below":         {true, 1, setter(manager, ""), 2},
		"ours, above":         {true, 9, setter(manager, ""), 5},
		"suspended by us":     {true, 0, setter(manager, ""), 2},
		"scaled by load":      {true, 4, setter("kube-controller-manager", "scale"), 0},
		"scaled to nothing":   {true, 0, setter("somebody", "scale"), 2},
		"nobody is noted":     {true, 4, setter("somebody", "status"), 0},
		"ours by another way": {true, 4, setter(manager, "scale"), 0},
	} {
		d := &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"managedFields": []any{tc.by}}, "spec": map[string]any{"replicas": tc.n},
		}}
		got := countOf(d, tc.there, scaling(2, 5))
		if (got == nil) != (tc.want == 0) || got != nil && *got != tc.want {
			t.Errorf("%s: %v, want %d", name, got, tc.want)
		}
	}
}

// TestTakingBackKeepsTheCount holds that an instance more or less of a service that scales is not what is taken back with
// other people's fields.
func TestTakingBackKeepsTheCount(t *testing.T) {
	have := map[string]any{"replicas": int64(4), "paused": true}
	for name, tc := range map[string]struct {
		kind string
		want map[string]any
		n    any
	}{
		"left to who scales": {kindDeployment, map[string]any{"x": "y"}, int64(4)},
		"ours":               {kindDeployment, map[string]any{"x": "y", "replicas": int64(2)}, int64(2)},
		"another kind":       {kindStatefulSet, map[string]any{"x": "y"}, nil},
	} {
		got, _ := withCount(tc.kind, tc.want, have).(map[string]any)
		if got["replicas"] != tc.n || got["x"] != "y" || got["paused"] != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := withCount(kindDeployment, map[string]any{}, nil); len(got.(map[string]any)) != 0 {
		t.Errorf("from nothing: %v", got)
	}
}

// TestQuotaOfHooksOfAnUpdate: a hook of a service that goes on as it was meanwhile has its place in the quota.
func TestQuotaOfHooksOfAnUpdate(t *testing.T) {
	s, c := serve(t, Config{})
	ns := namespaceOf(testLease)
	jobs := func() (n string) {
		s.edit(t, "resourcequotas", ns, "lease", func(u *unstructured.Unstructured) {
			n, _, _ = unstructured.NestedString(u.Object, "spec", "hard", "count/jobs.batch")
		})
		return n
	}
	web := clustertest.Service("web", "app:1")
	apply(t, c, clustertest.Workload(testLease, web))
	if n := jobs(); n != "0" {
		t.Fatalf("%s jobs without hooks", n)
	}
	web.Image, web.Hooks = "app:2", []manifesttypes.Hook{before("migrate")}
	apply(t, c, clustertest.Workload(testLease, web))
	if image, _ := s.image(t, ns, "web"); image != "app:1" || jobs() != "2" || len(s.jobs(ns)) != 1 {
		t.Errorf("during the hook %s runs, with %s jobs allowed and %v there", image, jobs(), s.jobs(ns))
	}
}

// TestHooksAskAgain holds that a lease whose hook after the rollout waits for an answer is looked at until it comes, as
// nothing tells of it.
func TestHooksAskAgain(t *testing.T) {
	s, c := serve(t, Config{})
	ns := namespaceOf(testLease)
	wrong := "not healthy (302, want 200)"
	c.gate.ask = func(context.Context, *corev1.Pod, *manifesttypes.HTTPGet, time.Duration) string { return wrong }
	now := time.Unix(1000, 0)
	c.now = func() time.Time { return now }
	web := clustertest.Service("web", "app:1")
	web.Probes = &manifesttypes.Probes{Readiness: &manifesttypes.Probe{Http: &manifesttypes.HTTPGet{Path: "/", Port: 8080, Status: 200}}}
	web.Hooks = []manifesttypes.Hook{{Name: "after", When: manifesttypes.WHEN_AFTER_ROLLOUT, Command: []string{"/a"}}}
	apply(t, c, clustertest.Workload(testLease, web))
	s.settle(t, ns)
	s.edit(t, "deployments", ns, "web", func(u *unstructured.Unstructured) {
		labels, _, _ := unstructured.NestedStringMap(u.Object, "spec", "template", "metadata", "labels")
		pod := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "web-1", "namespace": ns, "uid": "u"},
			"status": map[string]any{"phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": "True"}}},
		}}
		pod.SetLabels(labels)
		s.objects[objectPath{"pods", ns, "web-1"}] = pod
	})
	look := func() {
		t.Helper()
		if err := c.reconcile(t.Context(), ns); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if len(s.jobs(ns)) != 0 || !c.asking.has(ns) || len(c.asking.all()) != 1 {
		t.Fatalf("jobs %v, asked again: %v", s.jobs(ns), c.asking.all())
	}
	wrong, now = "", now.Add(askAgain)
	look()
	if len(s.jobs(ns)) != 1 || c.asking.has(ns) {
		t.Errorf("jobs %v, asked again: %v", s.jobs(ns), c.asking.all())
	}
	wrong, now = "changed", now.Add(time.Hour)
	c.asking.set(ns, true)
	s.remove(objectPath{"namespaces", "", ns})
	look()
	if c.asking.has(ns) {
		t.Error("a lease that is gone is asked for again")
	}
}

// TestHookThatCannotStart: what keeps a hook from running shows while its rollout waits for it.
func TestHookThatCannotStart(t *testing.T) {
	s, c := serve(t, Config{})
	ns := namespaceOf(testLease)
	web := clustertest.Service("web", "absent:1")
	web.Hooks = []manifesttypes.Hook{before("migrate")}
	apply(t, c, clustertest.Workload(testLease, web))
	job := s.jobs(ns)[0]
	pod := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": job + "-x", "namespace": ns},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "web", "image": "absent:1"}}},
		"status": map[string]any{"phase": "Pending", "containerStatuses": []any{map[string]any{
			"name": "web", "state": map[string]any{"waiting": map[string]any{"reason": "ImagePullBackOff", "message": "absent:1: not found"}},
		}}},
	}}
	labels := leaseLabels(testLease)
	labels[labelService], labels[labelJob] = "web", job
	pod.SetLabels(labels)
	s.put("pods", pod.Object)
	const want = "waiting for hook migrate of service web: image absent:1 cannot be pulled: absent:1: not found"
	if st := serviceStatus(t, c, "web"); st.Message != want || st.Hooks[0].State != cluster.HookRunning {
		t.Errorf("status %+v, want %q", st, want)
	}
}

// TestChangedMeanwhileIsNoRefusal: when an object changes between two writes of a repair, the manifest is not taken for
// refused, and a later pass repairs it.
func TestChangedMeanwhileIsNoRefusal(t *testing.T) {
	s, c := serve(t, Config{})
	w := clustertest.Workload(testLease, clustertest.Service("web", "hello:1"))
	apply(t, c, w)
	s.edit(t, "networkpolicies", namespaceOf(testLease), "deny-all", func(u *unstructured.Unstructured) {
		u.Object["spec"].(map[string]any)["egress"] = []any{map[string]any{}}
		u.Object["metadata"].(map[string]any)["managedFields"] = []any{map[string]any{
			"manager": "somebody", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": map[string]any{"f:spec": map[string]any{}},
		}}
	})
	writes := 0
	s.fail = func(method, path string) int {
		if method == http.MethodPatch && strings.HasSuffix(path, "/deny-all") {
			if writes++; writes == 2 { // after it was applied
				return http.StatusUnprocessableEntity
			}
		}
		return 0
	}
	if err := c.Apply(t.Context(), w); err == nil || errors.Is(err, cluster.ErrRefused) {
		t.Errorf("Apply = %v, want an error that is no refusal", err)
	}
	if err := c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.edit(t, "networkpolicies", namespaceOf(testLease), "deny-all", func(u *unstructured.Unstructured) {
		if _, open, _ := unstructured.NestedSlice(u.Object, "spec", "egress"); open {
			t.Error("what somebody opened is open")
		}
	})
}
