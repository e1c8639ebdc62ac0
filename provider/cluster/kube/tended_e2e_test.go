//go:build e2e

package kube

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	markettypes "berth.dev/berth/x/market/types"
)

// TestTended shows on a real cluster how instances are looked after: probes, what a rollout asks of answers, hooks, tasks,
// rollouts without room, numbers of instances by load, and all of it over a suspension and over other people's changes. Its
// parts mostly wait, for different things, so all of them run at once. The driver has no more rights than its role.
func TestTended(t *testing.T) {
	t.Parallel()
	cfg := storageConfig(t)
	admin, err := restConfig(cfg.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kubeconfig = underRole(t, cfg.Kubeconfig)
	// What a provider waits for in minutes is waited for in seconds.
	cfg.DrainSeconds, cfg.RoomAfter, cfg.LookEvery, cfg.HooksStay = 1, 2*time.Second, 2*time.Second, 2*time.Second
	var all sync.WaitGroup
	for name, part := range map[string]func(*testing.T, *tending){
		"Probes": probesAreObeyed, "Gate": answersGateARollout, "Hooks": hooksRunInTheirPlace, "Tasks": tasksRunByTime,
		"Room": rolloutWithoutRoom, "Scale": instancesFollowTheirLoad, "Suspension": suspensionKeepsEverything,
	} {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				mine := cfg
				mine.Provider = "berth1e2e" + digest([]byte(t.Name()+run), 6)
				c, _ := start(t, mine)
				typed, err := kubernetes.NewForConfig(admin)
				if err != nil {
					t.Fatal(err)
				}
				td := &tending{c: c, admin: admin, typed: typed, id: testLease}
				td.id.Provider, td.id.Owner = mine.Provider, "berth1e2e"
				td.ns = namespaceOf(td.id)
				ctx := context.WithoutCancel(t.Context())
				t.Cleanup(func() {
					if err := c.Remove(ctx, td.id); err != nil {
						t.Errorf("Remove: %v", err)
					}
				})
				part(t, td)
			})
		})
	}
	all.Wait()
}

// tending is a lease that a part of the test looks at, also with an administrator's eyes and hands.
type tending struct {
	c     *Cluster
	admin *rest.Config
	typed kubernetes.Interface
	id    markettypes.LeaseID
	ns    string
}

// tended is a service whose health the test decides, by files; it begins with some.
func tended(name string, files ...string) manifesttypes.Service {
	sv := clustertest.Service(name, probeImage())
	sv.Args = append([]string{"tended"}, files...)
	sv.Volumes = append(sv.Volumes, manifesttypes.Volume{Name: "state", Bytes: 8 << 20, Mount: "/state"})
	return sv
}

func (td *tending) apply(t *testing.T, services ...manifesttypes.Service) cluster.Workload {
	t.Helper()
	w := clustertest.Workload(td.id, services...)
	valid := w.Group
	valid.Services = slices.Clone(valid.Services)
	for i, sv := range valid.Services {
		if sv.Cron != nil && sv.Cron.Suspended {
			valid.Services[i].UnitId = 0 // a suspended task has no unit
		}
	}
	if err := manifest.Validate(valid); err != nil {
		t.Fatalf("the test's manifest is not valid: %v", err)
	}
	if err := td.c.Apply(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return w
}

func (td *tending) status(t *testing.T, service string) cluster.ServiceStatus {
	t.Helper()
	all, err := td.c.Status(t.Context(), td.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range all {
		if st.Name == service {
			return st
		}
	}
	t.Fatalf("no status of %s", service)
	return cluster.ServiceStatus{}
}

// until waits for a status.
func (td *tending) until(t *testing.T, service, what string, done func(cluster.ServiceStatus) bool) cluster.ServiceStatus {
	t.Helper()
	var last cluster.ServiceStatus
	awaitFor(t, 2*time.Minute, service+": "+what, func() (bool, string) {
		last = td.status(t, service)
		return done(last), fmt.Sprintf("%+v", last)
	})
	return last
}

func ready(st cluster.ServiceStatus) bool {
	return st.Desired > 0 && st.Ready == st.Desired && st.Updated == st.Desired
}

// pods are the instances of a service that are not ending, the oldest first; those of its hooks are not among them.
func (td *tending) pods(t *testing.T, service string) []corev1.Pod {
	t.Helper()
	list, err := td.typed.CoreV1().Pods(td.ns).List(t.Context(), metav1.ListOptions{LabelSelector: labelService + "=" + service + ",!" + labelJob})
	if err != nil {
		t.Fatal(err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil || terminal(&p) })
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return list.Items
}

// running waits for the only instance of a service to run.
func (td *tending) running(t *testing.T, service string) corev1.Pod {
	t.Helper()
	var p corev1.Pod
	await(t, service+" to run", func() (bool, string) {
		all := td.pods(t, service)
		if len(all) != 1 {
			return false, fmt.Sprintf("%d instances", len(all))
		}
		p = all[0]
		return container(p).State.Running != nil, fmt.Sprintf("%+v", p.Status)
	})
	return p
}

func container(p corev1.Pod) corev1.ContainerStatus {
	if len(p.Status.ContainerStatuses) == 0 {
		return corev1.ContainerStatus{}
	}
	return p.Status.ContainerStatuses[0]
}

// in runs the probe in a pod.
func (td *tending) in(t *testing.T, pod string, args ...string) {
	t.Helper()
	if err := td.try(t, pod, args...); err != nil {
		t.Fatal(err)
	}
}

func (td *tending) try(t *testing.T, pod string, args ...string) error {
	t.Helper()
	req := td.typed.CoreV1().RESTClient().Post().Resource("pods").Namespace(td.ns).Name(pod).SubResource("exec").VersionedParams(
		&corev1.PodExecOptions{Command: append([]string{"/probe"}, args...), Stdout: true, Stderr: true}, scheme.ParameterCodec)
	var out bytes.Buffer
	exec, err := remotecommand.NewSPDYExecutor(td.admin, "POST", req.URL())
	if err == nil {
		err = exec.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: &out, Stderr: &out})
	}
	if err != nil {
		return fmt.Errorf("probe %v in %s: %w %s", args, pod, err, out.String())
	}
	return nil
}

// failures counts how often a check of a pod has failed, as the kubelet tells.
func (td *tending) failures(t *testing.T, pod, check string) (n int32) {
	t.Helper()
	events, err := td.typed.CoreV1().Events(td.ns).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + pod})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		if e.Reason == "Unhealthy" && strings.HasPrefix(e.Message, check) {
			n += max(1, e.Count)
		}
	}
	return n
}

// probesAreObeyed: for each kind of probe, an instance is not started before its startup probe passes, and until then no
// other is asked; it gets no connections while its readiness probe fails, and goes on; and it is started anew when its
// liveness probe fails.
func probesAreObeyed(t *testing.T, td *tending) {
	check := func(kind, name string, port uint32) *manifesttypes.Probe {
		p := &manifesttypes.Probe{PeriodSeconds: 1, TimeoutSeconds: 2, FailureThreshold: 2}
		switch kind {
		case "http":
			p.Http = &manifesttypes.HTTPGet{Path: "/check/" + name, Port: 8080}
		case "tcp":
			p.TcpPort = port
		default:
			p.Exec = []string{"/probe", "has", name}
		}
		return p
	}
	kinds := []string{"exec", "http", "tcp"}
	var services []manifesttypes.Service
	for _, kind := range kinds {
		sv := tended(kind)
		sv.Probes = &manifesttypes.Probes{Startup: check(kind, "started", 9090), Readiness: check(kind, "ready", 9091), Liveness: check(kind, "alive", 9092)}
		sv.Probes.Startup.FailureThreshold, sv.Probes.Startup.PeriodSeconds = 1000, 2
		services = append(services, sv)
	}
	td.apply(t, services...)
	pods := map[string]string{}
	for _, kind := range kinds {
		pods[kind] = td.running(t, kind).Name
	}
	state := func(kind string) corev1.ContainerStatus {
		t.Helper()
		all := td.pods(t, kind)
		if len(all) != 1 || all[0].Name != pods[kind] {
			t.Fatalf("%s: %d instances, want %s alone", kind, len(all), pods[kind])
		}
		return container(all[0])
	}
	became := func(kind, what string, done func(corev1.ContainerStatus) bool) {
		t.Helper()
		await(t, kind+" "+what, func() (bool, string) {
			s := state(kind)
			return done(s), fmt.Sprintf("%+v", s)
		})
	}
	while := func(what string) { // longer than the failures take that end an instance
		t.Helper()
		if err := pause(t.Context(), 4*time.Second); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	// says tells whether the status names the check that fails, as far as the kubelet has told of it: it stops telling of what
	// happens too often.
	says := func(kind, check string, st cluster.ServiceStatus) bool {
		return td.failures(t, pods[kind], check) == 0 || st.Reason == cluster.ReasonUnhealthy && strings.Contains(st.Message, check)
	}
	while("not started")
	for _, kind := range kinds {
		s, st := state(kind), td.status(t, kind)
		if *s.Started || s.RestartCount != 0 || st.Ready != 0 || !says(kind, "Startup", st) {
			t.Errorf("%s before it has started: %+v, %+v", kind, s, st)
		}
		if n := td.failures(t, pods[kind], "Liveness"); n > 0 {
			t.Errorf("%s: it was asked %d times whether it lives, before it had started", kind, n)
		}
	}
	for _, kind := range kinds {
		td.in(t, pods[kind], "put", "alive")
		td.in(t, pods[kind], "put", "started")
	}
	for _, kind := range kinds {
		became(kind, "starts", func(s corev1.ContainerStatus) bool { return *s.Started })
	}
	while("not ready")
	for _, kind := range kinds {
		if st := td.status(t, kind); st.Ready != 0 {
			t.Errorf("%s is ready before its file is there: %+v", kind, st)
		}
		td.in(t, pods[kind], "put", "ready")
	}
	for _, kind := range kinds {
		td.until(t, kind, "ready", ready)
		td.in(t, pods[kind], "drop", "ready")
	}
	for _, kind := range kinds {
		td.until(t, kind, "not ready", func(st cluster.ServiceStatus) bool { return st.Ready == 0 && says(kind, "Readiness", st) })
		td.in(t, pods[kind], "put", "ready")
	}
	for _, kind := range kinds {
		td.until(t, kind, "ready again", ready)
		if s := state(kind); s.RestartCount != 0 {
			t.Errorf("%s was started %d times anew for its readiness", kind, s.RestartCount)
		}
		td.in(t, pods[kind], "drop", "alive")
	}
	for _, kind := range kinds {
		became(kind, "is started anew", func(s corev1.ContainerStatus) bool { return s.RestartCount == 1 && s.State.Running != nil })
		// The driver may see it a moment later than the API server has it; the kubelet may forget how it ended.
		await(t, kind+" tells that it was ended by its liveness probe", func() (bool, string) {
			s, st := state(kind), td.status(t, kind)
			told := strings.Contains(st.Message, "it ended with exit code") || s.LastTerminationState.Terminated == nil && strings.Contains(st.Message, "was started again")
			return st.Ready == 0 && told && says(kind, "Liveness", st), fmt.Sprintf("%+v, %+v", st, s)
		})
	}
}

// answersGateARollout: an answer that passes the probe and is not the wanted one keeps a rollout from being complete, and
// a hook after the rollout from starting, until it is.
func answersGateARollout(t *testing.T, td *tending) {
	web := tended("web", "ready=302")
	web.Probes = &manifesttypes.Probes{Readiness: &manifesttypes.Probe{
		PeriodSeconds: 1, Http: &manifesttypes.HTTPGet{Path: "/check/ready", Port: 8080, Status: 200, Content: "ready"},
	}}
	web.Hooks = []manifesttypes.Hook{{Name: "after", When: manifesttypes.WHEN_AFTER_ROLLOUT, Args: []string{"crash", "1", "0"}}}
	td.apply(t, web)
	pod := td.running(t, "web")
	if pod.Spec.HostUsers == nil || *pod.Spec.HostUsers {
		t.Error("the instance has no user namespace: nothing is shown of asking into one")
	}
	st := td.until(t, "web", "the answer", func(st cluster.ServiceStatus) bool { return st.Reason == cluster.ReasonUnhealthy && st.Ready == 1 })
	if st.Updated != 0 || st.Failed || st.Message != "not healthy (302, want 200)" || st.Hooks[0].State != cluster.HookWaiting {
		t.Errorf("status %+v", st)
	}
	td.in(t, pod.Name, "put", "ready", "200")
	td.until(t, "web", "a complete rollout and its hook", func(st cluster.ServiceStatus) bool {
		return ready(st) && st.Message == "" && st.Hooks[0].State == cluster.HookSucceeded
	})

	web.Probes.Readiness.Http.Content = "something else"
	td.apply(t, web)
	st = td.until(t, "web", "the text", func(st cluster.ServiceStatus) bool { return strings.Contains(st.Message, "wanted text") })
	if st.Updated != 0 || st.Ready != 1 {
		t.Errorf("status %+v", st)
	}
}

// rolloutWithoutRoom: where a node has no room for an instance more, an instance is ended first, and the status says so.
func rolloutWithoutRoom(t *testing.T, td *tending) {
	nodes, err := td.typed.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 1 {
		t.Fatalf("needs a cluster with one node: %v", err)
	}
	// Disk is what no other test takes much of.
	disk := nodes.Items[0].Status.Allocatable[corev1.ResourceEphemeralStorage]
	web := tended("web")
	web.Volumes[0].Bytes = uint64(disk.Value()) / 100 * 55
	td.apply(t, web)
	td.until(t, "web", "ready", ready)
	first := td.pods(t, "web")[0].Name
	for i := range 2 { // each rollout begins by looking for room
		web.Env = []manifesttypes.EnvVar{{Name: "VERSION", Value: fmt.Sprint(i)}}
		td.apply(t, web)
		td.until(t, "web", "no room", func(st cluster.ServiceStatus) bool {
			return st.Reason == cluster.ReasonCapacity && strings.Contains(st.Message, "no room on the nodes")
		})
		if all := td.pods(t, "web"); len(all) != 2 || all[0].Name != first || !podReady(&all[0]) {
			t.Errorf("before the former instance is ended there are %d", len(all))
		}
		td.until(t, "web", "what is done about it", func(st cluster.ServiceStatus) bool {
			return strings.HasPrefix(st.Message, "no room for an instance more") || ready(st)
		})
		td.until(t, "web", "the rollout", ready)
		all := td.pods(t, "web")
		if len(all) != 1 || all[0].Name == first {
			t.Fatalf("after the rollout there are %d instances", len(all))
		}
		first = all[0].Name
	}
}
