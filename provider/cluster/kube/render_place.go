package kube

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/inventory"
)

// gpuKind is how the devices of a vendor are asked for.
type gpuKind struct {
	Vendor   string
	Resource corev1.ResourceName
	// RuntimeClass is that of pods with such devices; empty for that of all pods.
	RuntimeClass string
}

// device is a kind of devices that nodes have: those whose labels say the same of them.
type device struct {
	Resource corev1.ResourceName
	// Labels are the labels of nodes that tell devices apart; an empty value means that a node lacks the label.
	Labels map[string]string
	Class  cluster.GPU
}

// deviceKeys are the labels by which devices of a vendor are told apart.
func deviceKeys(vendor string) []string {
	keys := []string{labelGPUModel, labelGPURAM, labelGPUInterface}
	if l, ok := deviceLabels[vendor]; ok {
		keys = append(keys, l.product, l.memory)
	}
	slices.Sort(keys)
	return keys
}

// devicesOf lists the kinds of devices of nodes, whether or not these are ready: labels stay when a node goes for a
// moment. fill says what devices are where labels do not.
func devicesOf(nodes []corev1.Node, kinds []gpuKind, fill cluster.GPU) []device {
	var out []device
	for i := range nodes {
		for _, kind := range kinds {
			if q := nodes[i].Status.Allocatable[kind.Resource]; q.Sign() <= 0 {
				continue
			}
			d := device{Resource: kind.Resource, Labels: map[string]string{}}
			for _, k := range deviceKeys(kind.Vendor) {
				d.Labels[k] = nodes[i].Labels[k]
			}
			d.Class = classOfDevice(kind, d.Labels, fill)
			if !slices.ContainsFunc(out, d.same) {
				out = append(out, d)
			}
		}
	}
	slices.SortFunc(out, func(a, b device) int { return bytes.Compare(mustJSON(a), mustJSON(b)) })
	return out
}

func (d device) same(o device) bool {
	return d.Resource == o.Resource && bytes.Equal(mustJSON(d), mustJSON(o))
}

func classOfDevice(kind gpuKind, labels map[string]string, fill cluster.GPU) cluster.GPU {
	g := deviceClass(kind.Resource, labels)
	g.Vendor = kind.Vendor
	g.Model, g.RAM, g.Interface = or(g.Model, fill.Model), or(g.RAM, fill.RAM), or(g.Interface, fill.Interface)
	return g
}

// wanted reads which devices a service takes: any of those that it names; none named means any device.
func wanted(sv manifesttypes.Service) []inventory.GPUWant {
	var out []inventory.GPUWant
	for _, a := range sv.GpuAttributes {
		if w, ok := inventory.ParseGPU(a.Key); ok && a.Value == "true" {
			out = append(out, w)
		}
	}
	return out
}

func takes(sv manifesttypes.Service, wants []inventory.GPUWant, c cluster.GPU) bool {
	class := inventory.GPUClass{Vendor: c.Vendor, Model: c.Model, RAM: c.RAM, Interface: c.Interface}
	if len(wants) == 0 {
		return len(sv.GpuAttributes) == 0
	}
	return slices.ContainsFunc(wants, func(w inventory.GPUWant) bool { return w.Matches(class) })
}

// placement is which devices a service gets, and on which nodes.
type placement struct {
	kind gpuKind
	// nodes select the nodes with such devices; nil where all devices of the kind will do.
	nodes *corev1.NodeSelector
	found bool
}

// devices finds the devices of a service: of the first vendor of which a node has some that will do, as an instance can
// ask for those of one vendor only. Nodes that come later do not change where a service may run, so that they restart
// nothing: what a lease holds stays for as long as it meets the manifest.
func (s settings) devices(sv manifesttypes.Service) placement {
	wants := wanted(sv)
	for _, kind := range s.GPUs {
		var terms []corev1.NodeSelectorTerm
		for _, d := range s.Devices {
			if d.Resource == kind.Resource && takes(sv, wants, d.Class) {
				terms = append(terms, d.term())
			}
		}
		if kept := s.keptTerms(sv, wants, kind, terms); kept != nil {
			return placement{kind, kept, true}
		}
		switch {
		case len(terms) == 0:
		case !particular(sv):
			return placement{kind: kind, found: true}
		default:
			return placement{kind, &corev1.NodeSelector{NodeSelectorTerms: terms}, true}
		}
	}
	return placement{}
}

// particular tells whether a service names more of its devices than their vendor.
func particular(sv manifesttypes.Service) bool {
	return slices.ContainsFunc(sv.GpuAttributes, func(a manifesttypes.Attribute) bool {
		parts := strings.Split(a.Key, "/")
		return len(parts) > 4 || len(parts) == 4 && parts[3] != "*"
	})
}

// term selects the nodes that have a kind of devices.
func (d device) term() corev1.NodeSelectorTerm {
	var t corev1.NodeSelectorTerm
	for _, k := range slices.Sorted(maps.Keys(d.Labels)) {
		e := corev1.NodeSelectorRequirement{Key: k, Operator: corev1.NodeSelectorOpDoesNotExist}
		if v := d.Labels[k]; v != "" {
			e = corev1.NodeSelectorRequirement{Key: k, Operator: corev1.NodeSelectorOpIn, Values: []string{v}}
		}
		t.MatchExpressions = append(t.MatchExpressions, e)
	}
	return t
}

// keptTerms are the nodes that a service's instances may run on already, if they are for devices of the kind, all of
// these meet the manifest, and there still are such nodes or none that would do instead.
func (s settings) keptTerms(sv manifesttypes.Service, wants []inventory.GPUWant, kind gpuKind, now []corev1.NodeSelectorTerm) *corev1.NodeSelector {
	have := s.Held.affinity[sv.Name]
	if have == nil || !particular(sv) {
		return nil
	}
	present := len(now) == 0
	for _, t := range have.NodeSelectorTerms {
		labels, ok := labelsOf(t, kind)
		if !ok || !takes(sv, wants, classOfDevice(kind, labels, s.DeviceClass)) {
			return nil
		}
		present = present || slices.ContainsFunc(now, func(n corev1.NodeSelectorTerm) bool { return bytes.Equal(mustJSON(n), mustJSON(t)) })
	}
	if !present || len(have.NodeSelectorTerms) == 0 {
		return nil
	}
	return have
}

// labelsOf reads a term back; false if it is not one for devices of the kind.
func labelsOf(t corev1.NodeSelectorTerm, kind gpuKind) (map[string]string, bool) {
	labels := map[string]string{}
	for _, e := range t.MatchExpressions {
		labels[e.Key] = ""
		if e.Operator == corev1.NodeSelectorOpIn && len(e.Values) == 1 {
			labels[e.Key] = e.Values[0]
		}
	}
	return labels, slices.Equal(slices.Sorted(maps.Keys(labels)), deviceKeys(kind.Vendor))
}

// labelArch is the label of nodes that says their architecture.
const labelArch = corev1.LabelArchStable

// place says on which nodes the instances of a service may run.
func (r *rendering) place(spec *corev1.PodSpec, sv manifesttypes.Service) {
	if sv.Arch != "" {
		spec.NodeSelector = map[string]string{labelArch: sv.Arch}
	}
	if sv.Gpu == 0 {
		return
	}
	if nodes := r.devices(sv).nodes; nodes != nil {
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: nodes}}
	}
}

// runtimeClass is what the pods of a service run with; empty for the cluster's default.
func (s settings) runtimeClass(sv manifesttypes.Service) string {
	if sv.Gpu > 0 {
		return or(s.devices(sv).kind.RuntimeClass, s.RuntimeClass)
	}
	return s.RuntimeClass
}

// overhead is what the runtime of a service's pods takes for each of them.
func (s settings) overhead(sv manifesttypes.Service) usage { return s.Overheads[s.runtimeClass(sv)] }

// checkPlace refuses what no node can run, and what would run in another way than the operator says.
func checkPlace(p *problems, field string, sv manifesttypes.Service, s settings) {
	if sv.Arch != "" && !slices.Contains(s.Archs, sv.Arch) {
		p.add(field+".arch", "no node of this cluster has the architecture %.100q", sv.Arch)
	}
	if sv.Gpu > 0 && !s.devices(sv).found {
		var keys []string
		for _, a := range sv.GpuAttributes {
			keys = append(keys, a.Key)
		}
		p.add(field+".gpu", "no node of this cluster has devices of %.300q", strings.Join(keys, " or "))
		return
	}
	if class := s.runtimeClass(sv); class != "" {
		if _, exists := s.Overheads[class]; !exists {
			p.add(field, "this cluster lacks the runtime class %q that its operator wants instances to run with", class)
		}
	}
}
