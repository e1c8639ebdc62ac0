package kube

import (
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/provider/cluster"
)

// accounting says how nodes and pods are counted.
type accounting struct {
	provider string // value of labelProvider of our pods
	shared   bool
	gpus     []gpuKind
}

// usage is an amount of each resource.
type usage struct {
	cpu, memory, storage, pods int64
	gpus                       [maxDevices]int64 // in the order of accounting.gpus
}

// add adds what can't be more than the largest number: a sum of nonsense must not turn into a small one.
func (u *usage) add(v usage) {
	u.cpu = addTimes(u.cpu, 1, v.cpu)
	u.memory = addTimes(u.memory, 1, v.memory)
	u.storage = addTimes(u.storage, 1, v.storage)
	for i := range u.gpus {
		u.gpus[i] = addTimes(u.gpus[i], 1, v.gpus[i])
	}
	u.pods = addTimes(u.pods, 1, v.pods)
}

func larger(a, b usage) usage {
	out := usage{cpu: max(a.cpu, b.cpu), memory: max(a.memory, b.memory), storage: max(a.storage, b.storage), pods: max(a.pods, b.pods)}
	for i := range out.gpus {
		out.gpus[i] = max(a.gpus[i], b.gpus[i])
	}
	return out
}

// capacity returns the nodes that take workloads, in the order of their names, with what foreign pods have requested.
func (a accounting) capacity(nodes []*corev1.Node, pods []*corev1.Pod) []cluster.Node {
	foreign := map[string]usage{}
	for _, p := range pods {
		if p.Spec.NodeName == "" || terminal(p) || a.ours(p) {
			continue
		}
		u := foreign[p.Spec.NodeName]
		u.add(a.requests(p))
		u.pods++
		foreign[p.Spec.NodeName] = u
	}
	var out []cluster.Node
	for _, n := range nodes {
		if schedulable(n) {
			out = append(out, a.node(n, foreign[n.Name]))
		}
	}
	slices.SortFunc(out, func(x, y cluster.Node) int { return strings.Compare(x.Name, y.Name) })
	return out
}

// ours tells whether a pod belongs to a lease, so that a provider's reservation stands for it.
func (a accounting) ours(p *corev1.Pod) bool { return a.oursBy(p.Labels) }

func (a accounting) oursBy(labels map[string]string) bool {
	of, leased := labels[labelProvider]
	return leased && labels[labelManagedBy] == manager && (a.shared || of == a.provider)
}

func (a accounting) node(n *corev1.Node, foreign usage) cluster.Node {
	all := a.amounts(n.Status.Allocatable)
	out := cluster.Node{
		Name:           n.Name,
		CPU:            cluster.MilliCPU(all.cpu),
		Memory:         cluster.Bytes(all.memory),
		Storage:        cluster.Bytes(all.storage),
		Pods:           all.pods,
		Arch:           n.Status.NodeInfo.Architecture,
		ForeignCPU:     cluster.MilliCPU(foreign.cpu),
		ForeignMemory:  cluster.Bytes(foreign.memory),
		ForeignStorage: cluster.Bytes(foreign.storage),
		ForeignPods:    foreign.pods,
	}
	for i, kind := range a.gpus {
		if all.gpus[i] == 0 && foreign.gpus[i] == 0 {
			continue
		}
		class := deviceClass(kind.Resource, n.Labels)
		class.Vendor, class.Count, class.Foreign = kind.Vendor, all.gpus[i], foreign.gpus[i]
		out.GPUs = append(out.GPUs, class)
	}
	return out
}

func (a accounting) amounts(l corev1.ResourceList) usage {
	out := usage{
		cpu: amount(l[corev1.ResourceCPU], 1000), memory: amount(l[corev1.ResourceMemory], 1),
		storage: amount(l[corev1.ResourceEphemeralStorage], 1), pods: amount(l[corev1.ResourcePods], 1),
	}
	for i, kind := range a.gpus {
		out.gpus[i] = amount(l[kind.Resource], 1)
	}
	return out
}

// amount is q in parts of 1/per, rounded up. What does not fit becomes the largest number: a Quantity's own Value would
// wrap around.
func amount(q resource.Quantity, per int64) int64 {
	switch most := math.MaxInt64 / per; {
	case q.CmpInt64(most) >= 0:
		return math.MaxInt64
	case q.CmpInt64(-most) <= 0:
		return math.MinInt64
	case per == 1000:
		return q.MilliValue()
	}
	return q.Value()
}

// requests is what the scheduler counts for a pod: its containers and sidecars together, or the largest init container
// with the sidecars that were started before it, or what the pod asks for as a whole; and the overhead of its runtime.
func (a accounting) requests(p *corev1.Pod) usage {
	var running, peak usage
	for _, c := range p.Spec.InitContainers {
		r := a.amounts(c.Resources.Requests)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			running.add(r)
			peak = larger(peak, running)
			continue
		}
		r.add(running)
		peak = larger(peak, r)
	}
	for _, c := range p.Spec.Containers {
		running.add(a.amounts(c.Resources.Requests))
	}
	total := larger(running, peak)
	if p.Spec.Resources != nil {
		total = larger(total, a.amounts(p.Spec.Resources.Requests))
	}
	total.add(a.amounts(p.Spec.Overhead))
	return total
}

// schedulable tells whether a node is up and takes pods that tolerate nothing. One that names no number of pods takes
// none, by the scheduler's own rule.
func schedulable(n *corev1.Node) bool {
	if n.Spec.Unschedulable || n.Status.Allocatable.Pods().IsZero() {
		return false
	}
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute {
			return false
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// trimNode and trimPod drop what is never read from cached objects, so that a large cluster costs little memory.
func trimNode(n *corev1.Node) *corev1.Node {
	return &corev1.Node{
		TypeMeta:   n.TypeMeta,
		ObjectMeta: trimMeta(n.ObjectMeta),
		Spec:       corev1.NodeSpec{Unschedulable: n.Spec.Unschedulable, Taints: n.Spec.Taints},
		Status: corev1.NodeStatus{
			Allocatable: n.Status.Allocatable, Conditions: n.Status.Conditions,
			NodeInfo: corev1.NodeSystemInfo{Architecture: n.Status.NodeInfo.Architecture},
		},
	}
}

func trimPod(p *corev1.Pod) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   p.TypeMeta,
		ObjectMeta: trimMeta(p.ObjectMeta),
		Spec: corev1.PodSpec{
			NodeName: p.Spec.NodeName, Overhead: p.Spec.Overhead, Resources: p.Spec.Resources,
			InitContainers: trimContainers(p.Spec.InitContainers), Containers: trimContainers(p.Spec.Containers),
		},
		Status: corev1.PodStatus{Phase: p.Status.Phase, PodIP: p.Status.PodIP, Conditions: onlyReady(p.Status.Conditions)},
	}
}

// onlyReady keeps whether a pod is ready.
func onlyReady(all []corev1.PodCondition) []corev1.PodCondition {
	for _, c := range all {
		if c.Type == corev1.PodReady {
			return []corev1.PodCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return nil
}

func trimContainers(in []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, 0, len(in))
	for _, c := range in {
		out = append(out, corev1.Container{
			RestartPolicy: c.RestartPolicy, Resources: corev1.ResourceRequirements{Requests: c.Resources.Requests},
		})
	}
	return out
}

// trimService keeps which ports a Service holds, and whose it is.
func trimService(s *corev1.Service) *corev1.Service {
	out := &corev1.Service{TypeMeta: s.TypeMeta, ObjectMeta: trimMeta(s.ObjectMeta)}
	out.Spec.HealthCheckNodePort = s.Spec.HealthCheckNodePort
	for _, p := range s.Spec.Ports {
		if p.NodePort > 0 {
			out.Spec.Ports = append(out.Spec.Ports, corev1.ServicePort{NodePort: p.NodePort})
		}
	}
	return out
}

func trimMeta(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
		DeletionTimestamp: m.DeletionTimestamp, Labels: m.Labels,
	}
}
