package kube

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

// TestSuspendedRendering holds that a suspended lease is rendered as ever, but for instances and the note of it.
func TestSuspendedRendering(t *testing.T) {
	s, c := serve(t, Config{})
	web := clustertest.Service("web", "hello:1")
	web.Count = 3
	w := clustertest.Workload(testLease, web)
	apply(t, c, w)
	s.takeWrites()
	ns := namespaceOf(testLease)
	replicas := func() (n int64) {
		s.edit(t, "deployments", ns, "web", func(u *unstructured.Unstructured) { n = number(u, "spec", "replicas") })
		return n
	}
	w.Suspended = true
	apply(t, c, w)
	if got := s.takeWrites(); !slices.Equal(got, []string{"apply secrets/manifest", "apply deployments/web"}) || replicas() != 0 {
		t.Errorf("suspended: writes %v, %d instances", got, replicas())
	}
	for range 2 { // by itself the driver keeps it so
		if err := c.Reconcile(t.Context()); err != nil || len(s.takeWrites()) > 0 {
			t.Errorf("a pass over a suspended lease: %v", err)
		}
	}
	w.Suspended = false
	apply(t, c, w)
	if replicas() != 3 {
		t.Errorf("resumed: %d instances, want 3", replicas())
	}
}

// TestRefusedHalfway lets the API server refuse an object in the middle: the former manifest stays the one that is held
// and run, and of a first manifest nothing is left.
func TestRefusedHalfway(t *testing.T) {
	s, c := serve(t, Config{})
	refuse := func(what string) {
		s.fail = func(method, path string) int {
			if method == http.MethodPatch && strings.Contains(path, what) {
				s.fail = nil
				return http.StatusUnprocessableEntity
			}
			return 0
		}
	}
	ns := namespaceOf(testLease)
	first := clustertest.Workload(testLease, clustertest.Service("web", "hello:1"))
	refuse("deployments/web")
	if _, refused := cluster.Refusal(c.Apply(t.Context(), first)); !refused {
		t.Fatal("not refused")
	}
	if left := s.paths(ns); len(left) > 0 {
		t.Errorf("of a first manifest that was refused is left: %v", left)
	}
	if all, err := c.List(t.Context()); err != nil || len(all) != 1 || len(all[0].ManifestHash) > 0 {
		t.Errorf("listed: %+v, %v, want the lease without a manifest", all, err)
	}

	apply(t, c, first)
	db := clustertest.Service("db", "hello:1")
	second := clustertest.Workload(testLease, db, clustertest.Service("web", "hello:2"))
	refuse("deployments/web")
	text, refused := cluster.Refusal(c.Apply(t.Context(), second))
	if !refused || !strings.Contains(text, "Deployment web") {
		t.Fatalf("refused %v: %q, want the object's name", refused, text)
	}
	all, err := c.List(t.Context())
	if err != nil || string(all[0].ManifestHash) != string(first.ManifestHash) {
		t.Errorf("listed: %+v, %v, want the former manifest", all, err)
	}
	for _, p := range s.paths(ns) {
		if p.name == "db" {
			t.Errorf("%v of the refused manifest is left", p)
		}
	}
	s.takeWrites()
	if err := c.Reconcile(t.Context()); err != nil || len(s.takeWrites()) > 0 {
		t.Errorf("the next pass: %v, or it wrote", err)
	}
}

// TestStraysAreTakenBack holds that what others set in an object's spec goes, and what they set elsewhere stays.
func TestStraysAreTakenBack(t *testing.T) {
	s, c := serve(t, Config{})
	apply(t, c, clustertest.Workload(testLease, clustertest.Service("web", "hello:1")))
	s.takeWrites()
	ns := namespaceOf(testLease)
	entry := func(manager, sub, fields string) any {
		return map[string]any{"manager": manager, "operation": "Update", "subresource": sub, "fieldsType": "FieldsV1", "fieldsV1": map[string]any{fields: map[string]any{}}}
	}
	s.edit(t, "networkpolicies", ns, "deny-all", func(u *unstructured.Unstructured) {
		u.Object["spec"].(map[string]any)["egress"] = []any{map[string]any{}}
		u.Object["metadata"].(map[string]any)["managedFields"] = []any{entry("somebody", "", "f:spec"), entry("tool", "", "f:metadata")}
	})
	s.edit(t, "deployments", ns, "web", func(u *unstructured.Unstructured) {
		u.Object["metadata"].(map[string]any)["managedFields"] = []any{entry("controller", "status", "f:status"), entry("scaler", "scale", "f:spec")}
	})
	if err := c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.takeWrites(); !slices.Equal(got, []string{"apply networkpolicies/deny-all", "patch networkpolicies/deny-all"}) {
		t.Errorf("writes %v", got)
	}
	s.edit(t, "networkpolicies", ns, "deny-all", func(u *unstructured.Unstructured) {
		if _, open, _ := unstructured.NestedSlice(u.Object, "spec", "egress"); open || len(u.GetManagedFields()) != 1 {
			t.Errorf("after the pass: %v", u.Object)
		}
	})
	if err := c.Reconcile(t.Context()); err != nil || len(s.takeWrites()) > 0 {
		t.Errorf("the next pass: %v, or it wrote", err)
	}
}

// TestListSurvivesOthers holds that a manifest that cannot be read hides no other lease, and that labels that were
// changed hide none.
func TestListSurvivesOthers(t *testing.T) {
	s, c := serve(t, Config{})
	apply(t, c, clustertest.Workload(testLease, clustertest.Service("web", "hello:1")))
	second := testLease
	second.Dseq++
	apply(t, c, clustertest.Workload(second, clustertest.Service("web", "hello:1")))
	s.edit(t, "secrets", namespaceOf(testLease), manifestSecret, func(u *unstructured.Unstructured) {
		u.Object["data"].(map[string]any)[keyEnvelope] = "bm9uc2Vuc2U="
	})
	s.edit(t, "secrets", namespaceOf(second), manifestSecret, func(u *unstructured.Unstructured) { u.SetLabels(nil) })
	s.edit(t, "namespaces", "", namespaceOf(second), func(u *unstructured.Unstructured) { u.SetLabels(nil) })
	all, err := c.List(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("listed %+v, %v", all, err)
	}
	for _, d := range all {
		if d.Damaged != (d.Lease == testLease) || (len(d.ManifestHash) == 0) != d.Damaged {
			t.Errorf("listed %+v", d)
		}
	}
}

func TestReasons(t *testing.T) {
	now := metav1.Now()
	event := func(kind, name, reason, message string) corev1.Event {
		return corev1.Event{InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name}, Reason: reason, Message: message, LastTimestamp: now}
	}
	named := func(p *corev1.Pod) { p.Name = "web-1" }
	evictedFor := func(message string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", message
		}
	}
	again := func(code int32, reason string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: "web", RestartCount: 1, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, FinishedAt: now}},
			}}
		}
	}
	full := evictedFor("Pod ephemeral local storage usage exceeds the total limit of containers 64Mi.")
	for name, tc := range map[string]struct {
		pods   []*corev1.Pod
		events []corev1.Event
		reason cluster.Reason
		failed bool
		log    bool
	}{
		"nothing known":      {[]*corev1.Pod{pod("new", named)}, nil, cluster.ReasonStarting, false, false},
		"sandbox":            {[]*corev1.Pod{pod("new", named)}, []corev1.Event{event("Pod", "web-1", "FailedCreatePodSandBox", "no")}, cluster.ReasonNode, false, false},
		"another's event":    {[]*corev1.Pod{pod("new", named)}, []corev1.Event{event("Pod", "web-2", "FailedCreatePodSandBox", "no")}, cluster.ReasonStarting, false, false},
		"volume":             {[]*corev1.Pod{pod("new", named)}, []corev1.Event{event("Pod", "web-1", "FailedMount", "no")}, cluster.ReasonVolume, false, false},
		"readiness":          {[]*corev1.Pod{pod("new", named)}, []corev1.Event{event("Pod", "web-1", "Unhealthy", "Readiness probe failed: no")}, cluster.ReasonUnhealthy, false, false},
		"unschedulable":      {[]*corev1.Pod{pod("new", named, isUnschedulable)}, nil, cluster.ReasonCapacity, false, false},
		"image":              {[]*corev1.Pod{pod("new", isWaiting("ImagePullBackOff", "not found"))}, nil, cluster.ReasonImage, true, false},
		"crash loop, memory": {[]*corev1.Pod{pod("new", isWaiting("CrashLoopBackOff", ""))}, nil, cluster.ReasonMemory, true, true},
		"runs again":         {[]*corev1.Pod{pod("new", named, again(3, "Error"))}, nil, cluster.ReasonCrash, false, true},
		"liveness":           {[]*corev1.Pod{pod("new", named, again(137, "Error"))}, []corev1.Event{event("Pod", "web-1", "Unhealthy", "Liveness probe failed: no")}, cluster.ReasonUnhealthy, false, true},
		"disk":               {[]*corev1.Pod{pod("new", full), pod("new")}, nil, cluster.ReasonStorage, false, false},
		"disk, thrice":       {[]*corev1.Pod{pod("new", full), pod("new", full), pod("new", full), pod("new")}, nil, cluster.ReasonStorage, true, false},
		"the node's disk":    {[]*corev1.Pod{pod("new", evictedFor("The node was low on resource: memory.")), pod("new")}, nil, cluster.ReasonNode, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(int32(1))}}
			d.Spec.Template.Labels = map[string]string{labelRevision: "new"}
			o := observation{
				workload: clustertest.Workload(testLease, clustertest.Service("web", "hello:1")), instances: map[key]instances{{kindDeployment, "web"}: ofDeployment(d)},
				pods: map[string][]*corev1.Pod{"web": tc.pods}, events: map[string][]corev1.Event{},
			}
			for _, e := range tc.events {
				k := e.InvolvedObject.Kind + "/" + e.InvolvedObject.Name
				o.events[k] = append(o.events[k], e)
			}
			got := statusOf(o)[0]
			if got.Reason != tc.reason || got.Failed != tc.failed || got.Message == "" || (got.finding.culprit != nil) != tc.log {
				t.Errorf("got %+v, want reason %s, failed %v, log %v", got, tc.reason, tc.failed, tc.log)
			}
		})
	}
	long := diagnosed{finding: finding{message: strings.Repeat("ä", maxMessage)}}
	if long.conclude(); len(long.Message) > maxMessage || !strings.HasSuffix(long.Message, "ä") {
		t.Errorf("a message of %d bytes", len(long.Message))
	}
	if e := (corev1.Event{Series: &corev1.EventSeries{LastObservedTime: metav1.NewMicroTime(time.Unix(5, 0))}}); eventTime(e).Unix() != 5 {
		t.Error("the time of a series")
	}
}
