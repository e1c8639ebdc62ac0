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
	// replace are those of apply that have to be made anew around their instances, claims the changes of persistent
	// volumes. switched are those of remove whose service goes on as an object of another kind: they are gone only when
	// all of their instances are.
	replace, switched map[key]bool
	claims            []claimPatch
	// waits says that the lease has hooks that are not through: what happens in it is looked at as it happens. asks says
	// that they wait for the answers of instances.
	waits, asks bool
}

// none tells whether there is nothing to write.
func (c changes) none() bool { return len(c.apply)+len(c.remove)+len(c.claims) == 0 }

// diff compares what was rendered with what is there. Fields that differ from the rendering, that an earlier rendering had
// and this one lacks, or that somebody else set, make the object be applied again; see strays.
func diff(rendered []*unstructured.Unstructured, l live) changes {
	c := changes{replace: map[key]bool{}, switched: map[key]bool{}}
	wanted, keepers := map[key]bool{}, map[string]key{}
	for _, want := range rendered {
		k := keyOf(want)
		wanted[k] = true
		if keepsInstances(k.kind) {
			keepers[want.GetLabels()[labelService]] = k
		}
		have, ok := l[k]
		if ok && covers(have.Object, want.Object) && !strays(have) {
			continue
		}
		c.apply = append(c.apply, want)
		c.replace[k] = ok && mustReplace(have, want)
	}
	for k, have := range l {
		prunable := k.kind != kindNamespace && k.kind != kindClaim && have.GetDeletionTimestamp() == nil
		if wanted[k] || !prunable || inUse(have, l, keepers) {
			continue
		}
		c.remove = append(c.remove, k)
		_, goesOn := keepers[have.GetLabels()[labelService]]
		c.switched[k] = goesOn && keepsInstances(k.kind)
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
// their env, and what their image is pulled with. keepers are the rendered objects that keep the instances of services.
func inUse(o *unstructured.Unstructured, l live, keepers map[string]key) bool {
	if role := o.GetLabels()[labelRole]; role != roleEnv && role != rolePull {
		return false
	}
	if t, ok := l[key{kindCronJob, cronName(o.GetLabels()[labelService])}]; ok {
		active, _, _ := unstructured.NestedSlice(t.Object, "status", "active")
		return len(active) > 0
	}
	k, goesOn := keepers[o.GetLabels()[labelService]]
	d, ok := l[k]
	return goesOn && ok && !rolledOut(d)
}

// rolledOut tells whether all instances of a Deployment or StatefulSet are of its present template.
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
		d, ok := l[workloadKey(sv)]
		ready[sv.Name] = ok && allReady(d, sv)
	}
	return func(name string) bool {
		if _, former := l[otherKey(local[name])]; former {
			return false // its instances end first, so that there never are two sets of them
		}
		if d, ok := l[workloadKey(local[name])]; ok && number(d, "spec", "replicas") > 0 {
			return true
		}
		if t, ok := l[key{kindCronJob, cronName(name)}]; ok && local[name].Cron != nil && !local[name].Cron.Suspended {
			if off, _, _ := unstructured.NestedBool(t.Object, "spec", "suspend"); !off {
				return true
			}
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
		number(d, "status", "readyReplicas") >= int64(least(sv))
}
