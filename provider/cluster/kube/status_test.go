package kube

import (
	"bufio"
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

func pod(revision string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{labelRevision: revision}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "hello:1"}}},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func isReady(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
}

func isTerminating(p *corev1.Pod) { now := metav1.Now(); p.DeletionTimestamp = &now }

func isWaiting(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "web", RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}},
		}}
	}
}

func isUnschedulable(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes: Insufficient cpu",
	}}
}

// isForgotten was started again, and the kubelet does not know how it ended.
func isForgotten(p *corev1.Pod) {
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "web", RestartCount: 2, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	}}
}

func TestStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		pods           []*corev1.Pod
		ready, updated uint32
		message        string
		failed         bool
	}{
		"no pods":                {nil, 0, 0, "starting", false},
		"all ready":              {[]*corev1.Pod{pod("new", isReady), pod("new", isReady)}, 2, 2, "", false},
		"one more than wanted":   {[]*corev1.Pod{pod("new", isReady), pod("new", isReady), pod("old", isReady)}, 2, 2, "", false},
		"rolling":                {[]*corev1.Pod{pod("old", isReady), pod("old", isReady), pod("new")}, 2, 0, "starting", false},
		"half rolled":            {[]*corev1.Pod{pod("old", isReady), pod("new", isReady)}, 2, 1, "starting", false},
		"ending ones":            {[]*corev1.Pod{pod("new", isReady, isTerminating), pod("new", isReady)}, 1, 1, "starting", false},
		"no such image":          {[]*corev1.Pod{pod("new", isWaiting("ImagePullBackOff", "hello:1: not found"))}, 0, 0, "hello:1: not found", true},
		"the runtime's words":    {[]*corev1.Pod{pod("new", isWaiting("ErrImagePull", `rpc error: code = NotFound desc = failed to pull: rpc error: code = NotFound desc = hello:1: not found`))}, 0, 0, "pulled: failed to pull: hello:1: not found", true},
		"its end is forgotten":   {[]*corev1.Pod{pod("new", isForgotten)}, 0, 0, "was started again, 2 times by now", false},
		"registry is away":       {[]*corev1.Pod{pod("new", isWaiting("ErrImagePull", "dial tcp: timeout"))}, 0, 0, "dial tcp: timeout", false},
		"bad image name":         {[]*corev1.Pod{pod("new", isWaiting("InvalidImageName", ""))}, 0, 0, "not the name of an image", true},
		"crash loop":             {[]*corev1.Pod{pod("new", isWaiting("CrashLoopBackOff", ""))}, 0, 0, "ended 4 times, last with exit code 137 (OOMKilled)", true},
		"configuration":          {[]*corev1.Pod{pod("new", isWaiting("CreateContainerConfigError", "no secret"))}, 0, 0, "no secret", false},
		"no room":                {[]*corev1.Pod{pod("new", isUnschedulable)}, 0, 0, "Insufficient cpu", false},
		"the old one crashes":    {[]*corev1.Pod{pod("old", isWaiting("CrashLoopBackOff", "")), pod("new")}, 0, 0, "starting", false},
		"failed beside complete": {[]*corev1.Pod{pod("new", isReady), pod("new", isReady), pod("new", isWaiting("CrashLoopBackOff", ""))}, 2, 2, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			web := clustertest.Service("web", "hello:1")
			web.Count = 2
			d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(int32(2))}}
			d.Spec.Template.Labels = map[string]string{labelRevision: "new"}
			got := statusOf(observation{
				workload: clustertest.Workload(testLease, web), instances: map[key]instances{{kindDeployment, "web"}: ofDeployment(d)},
				pods: map[string][]*corev1.Pod{"web": tc.pods}, domain: "d.test", ingressPort: 8080,
			})[0]
			if got.Desired != 2 || got.Ready != tc.ready || got.Updated != tc.updated || got.Failed != tc.failed ||
				!strings.Contains(got.Message, tc.message) || (tc.message == "") != (got.Message == "") {
				t.Errorf("got %+v, want %d ready, %d updated, failed=%v, message %q", got, tc.ready, tc.updated, tc.failed, tc.message)
			}
			if len(got.URLs) != 1 || !strings.HasSuffix(got.URLs[0], ".d.test:8080") {
				t.Errorf("urls %v", got.URLs)
			}
		})
	}
}

func TestStatusRefusedByQuota(t *testing.T) {
	d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(int32(1))}}
	d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota"}}
	svc := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{
		{Port: 53, NodePort: 30053, Protocol: corev1.ProtocolUDP}, {Port: 54, Protocol: corev1.ProtocolTCP},
	}}}
	got := statusOf(observation{
		workload:  clustertest.Workload(testLease, clustertest.Service("web", "hello:1")),
		instances: map[key]instances{{kindDeployment, "web"}: ofDeployment(d)}, ports: map[string]*corev1.Service{"web": svc}, nodeHost: "node.test",
	})[0]
	if !strings.Contains(got.Message, "exceeded quota") {
		t.Errorf("message %q", got.Message)
	}
	want := cluster.ForwardedPort{Host: "node.test", Port: 53, ExternalPort: 30053, Proto: "udp"}
	if len(got.Ports) != 1 || got.Ports[0] != want {
		t.Errorf("ports %+v, want %+v", got.Ports, want)
	}
}

func list(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

func requesting(cpu, memory string) corev1.Container {
	return corev1.Container{Resources: corev1.ResourceRequirements{Requests: list(cpu, memory)}}
}

// counted is a node of TestCapacity with what others take of it.
func counted(name string, cpu cluster.MilliCPU, memory cluster.Bytes, pods, gpus int64) cluster.Node {
	return cluster.Node{
		Name: name, CPU: 4000, Memory: 8 << 30, Storage: 101, Pods: 110, Arch: "arm64",
		GPUs:       []cluster.GPU{{Vendor: "nvidia", Model: "a100", RAM: "80Gi", Interface: "sxm", Count: 2, Foreign: gpus}},
		ForeignCPU: cpu, ForeignMemory: memory, ForeignPods: pods,
	}
}

func TestCapacity(t *testing.T) {
	ready := []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	node := func(name string, change ...func(*corev1.Node)) *corev1.Node {
		alloc := list("4", "8Gi")
		alloc[corev1.ResourceEphemeralStorage] = resource.MustParse("101")
		alloc["nvidia.com/gpu"] = resource.MustParse("2")
		alloc[corev1.ResourcePods] = resource.MustParse("110")
		n := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
				"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81559",
			}},
			Status: corev1.NodeStatus{
				Allocatable: alloc, Conditions: ready, NodeInfo: corev1.NodeSystemInfo{Architecture: "arm64"},
			},
		}
		for _, f := range change {
			f(n)
		}
		return n
	}
	on := func(node string, change ...func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{requesting("1", "1Gi")}}}
		for _, f := range change {
			f(p)
		}
		return p
	}
	of := func(provider string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Labels = map[string]string{labelManagedBy: manager, labelProvider: provider} }
	}
	sidecar := requesting("100m", "1Mi")
	sidecar.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)

	nodes := []*corev1.Node{
		node("b"), node("a"),
		node("cordoned", func(n *corev1.Node) { n.Spec.Unschedulable = true }),
		node("tainted", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Effect: corev1.TaintEffectNoSchedule}} }),
		node("down", func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
		}),
		node("new", func(n *corev1.Node) { n.Status.Conditions = nil }),
		node("without pods", func(n *corev1.Node) { delete(n.Status.Allocatable, corev1.ResourcePods) }),
	}
	pods := []*corev1.Pod{
		on("a", func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests["nvidia.com/gpu"] = resource.MustParse("1")
		}), on("a", of("me")), on("a", of("other")), on(""),
		on("a", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		on("b", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{sidecar, requesting("3", "1Mi")}
			p.Spec.Overhead = list("50m", "1Mi")
		}),
	}
	for name, tc := range map[string]struct {
		acc  accounting
		want []cluster.Node
	}{
		"alone": {accounting{provider: "me", gpus: []gpuKind{{Vendor: "nvidia", Resource: "nvidia.com/gpu"}}}, []cluster.Node{
			counted("a", 2000, 2<<30, 2, 1), counted("b", 3150, 1<<30+2<<20, 1, 0),
		}},
		"on shared nodes": {accounting{provider: "me", shared: true, gpus: []gpuKind{{Vendor: "nvidia", Resource: "nvidia.com/gpu"}}}, []cluster.Node{
			counted("a", 1000, 1<<30, 1, 1), counted("b", 3150, 1<<30+2<<20, 1, 0),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.acc.capacity(nodes, pods)
			if len(got) != len(tc.want) {
				t.Fatalf("got %+v", got)
			}
			for i := range got {
				if !reflect.DeepEqual(got[i], tc.want[i]) {
					t.Errorf("got  %+v\nwant %+v", got[i], tc.want[i])
				}
			}
			var trimmedNodes []*corev1.Node
			for _, n := range nodes {
				trimmedNodes = append(trimmedNodes, trimNode(n))
			}
			var trimmed []*corev1.Pod
			for _, p := range pods {
				trimmed = append(trimmed, trimPod(p))
			}
			if cached := tc.acc.capacity(trimmedNodes, trimmed); !reflect.DeepEqual(cached, got) {
				t.Errorf("trimmed objects count as %+v", cached)
			}
		})
	}
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", maxLogLine+5000)
	r := bufio.NewReaderSize(strings.NewReader("one\r\n\n"+long+"\nlast"), 64)
	for i, want := range []string{"one", "", long[:maxLogLine], "last"} {
		got, err := readLine(r)
		if err != nil || got != want {
			t.Fatalf("line %d: %d bytes, %v, want %d bytes", i, len(got), err, len(want))
		}
	}
	if _, err := readLine(r); err == nil {
		t.Error("no end")
	}
}

func TestLiteral(t *testing.T) {
	got := literal([]string{"$(HOME)", "$$", "plain", "cost $5"})
	for i, want := range []string{"$$(HOME)", "$$$$", "plain", "cost $$5"} {
		if got[i] != want {
			t.Errorf("got %q, want %q", got[i], want)
		}
	}
}

func TestNames(t *testing.T) {
	if a, b := policyName("in", "x-from-y", "from", "z"), policyName("in", "x", "from", "y-from-z"); a == b {
		t.Errorf("two edges are called %s", a)
	}
	long := strings.Repeat("a", 63)
	if a, b := policyName("in", long, "from", "x"), policyName("in", long, "from", "y"); a == b || len(a) > 63 {
		t.Errorf("names %s and %s", a, b)
	}
	if v := labelValue("berth1" + strings.Repeat("q", 58)); len(v) > 63 {
		t.Errorf("label %s", v)
	}
	if _, err := leaseOf(map[string]string{annotationLease: testLease.String()}, "lease-other"); err == nil {
		t.Error("an id in a namespace of another lease is taken")
	}
}

func TestAddTimes(t *testing.T) {
	const most = 1<<63 - 1
	for _, tc := range []struct{ total, n, each, want int64 }{{1, 2, 3, 7}, {0, 3, 0, 0}, {most, 1, 1, most}, {1, most, 2, most}} {
		if got := addTimes(tc.total, tc.n, tc.each); got != tc.want {
			t.Errorf("addTimes(%d, %d, %d) = %d, want %d", tc.total, tc.n, tc.each, got, tc.want)
		}
	}
}
