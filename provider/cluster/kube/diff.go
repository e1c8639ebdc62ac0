package kube

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	manifesttypes "berth.dev/berth/manifest/types"
)

// live is what the cluster holds of a lease.
type live map[key]*unstructured.Unstructured

// changes are the writes that make the cluster hold what was rendered.
type changes struct {
	apply  []*unstructured.Unstructured // in the order of the rendering
	remove []key                        // afterwards, in pruneOrder
}

// diff compares what was rendered with what is there. Fields that differ from the rendering, that an earlier rendering had
// and this one lacks, or that somebody else set, make the object be applied again; see strays.
func diff(rendered []*unstructured.Unstructured, l live) changes {
	var c changes
	wanted := map[key]bool{}
	for _, want := range rendered {
		k := keyOf(want)
		wanted[k] = true
		if have, ok := l[k]; !ok || !covers(have.Object, want.Object) || strays(have) {
			c.apply = append(c.apply, want)
		}
	}
	for k, have := range l {
		if !wanted[k] && k.kind != kindNamespace && have.GetDeletionTimestamp() == nil && !inUse(have, l, wanted) {
			c.remove = append(c.remove, k)
		}
	}
	slices.SortFunc(c.remove, func(a, b key) int {
		if d := slices.Index(pruneOrder, a.kind) - slices.Index(pruneOrder, b.kind); d != 0 {
			return d
		}
		return strings.Compare(a.name, b.name)
	})
	return c
}

// inUse tells whether instances of a former manifest of a service that goes on may still need an object: the values of
// their env.
func inUse(o *unstructured.Unstructured, l live, wanted map[key]bool) bool {
	if o.GetLabels()[labelRole] != roleEnv {
		return false
	}
	k := key{kindDeployment, o.GetLabels()[labelService]}
	d, ok := l[k]
	return ok && wanted[k] && !rolledOut(d)
}

// rolledOut tells whether all instances of a Deployment are of its present template.
func rolledOut(d *unstructured.Unstructured) bool {
	want := number(d, "spec", "replicas")
	return number(d, "status", "observedGeneration") >= d.GetGeneration() &&
		number(d, "status", "updatedReplicas") >= want && number(d, "status", "replicas") <= want
}

// number is an integer field, 0 if it is missing.
func number(o *unstructured.Unstructured, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(o.Object, path...)
	return n
}

// covers tells whether everything in want stands in have: maps may hold more, lists and values must be equal. Something
// empty in want may be missing in have, as the API server leaves empty maps and lists out; but false is not nothing.
func covers(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok && len(want) > 0 {
			return false
		}
		for k, w := range want {
			if !covers(have[k], w) {
				return false
			}
		}
		return true
	case []any:
		have, ok := have.([]any)
		if !ok && len(want) > 0 || len(have) != len(want) {
			return false
		}
		for i := range want {
			if !covers(have[i], want[i]) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(have, want)
	}
}

// starter tells which services may have instances: those that have been started before, and those whose dependencies
// within the lease are ready. Services of other leases are not waited for.
func starter(services []manifesttypes.Service, l live) func(string) bool {
	ready := map[string]bool{}
	local := map[string]manifesttypes.Service{}
	for _, sv := range services {
		local[sv.Name] = sv
		d, ok := l[key{kindDeployment, sv.Name}]
		ready[sv.Name] = ok && allReady(d, sv)
	}
	return func(name string) bool {
		if d, ok := l[key{kindDeployment, name}]; ok && number(d, "spec", "replicas") > 0 {
			return true
		}
		return len(waitingFor(local[name], local, func(dep string) bool { return ready[dep] })) == 0
	}
}

// waitingFor are the dependencies of a service within its lease that are not ready, in the order of the manifest.
func waitingFor(sv manifesttypes.Service, local map[string]manifesttypes.Service, ready func(string) bool) []string {
	var out []string
	for _, dep := range sv.DependsOn {
		if _, here := local[dep]; here && !ready(dep) {
			out = append(out, dep)
		}
	}
	return out
}

func allReady(d *unstructured.Unstructured, sv manifesttypes.Service) bool {
	return number(d, "status", "observedGeneration") >= d.GetGeneration() &&
		number(d, "status", "readyReplicas") >= int64(sv.Count)
}
