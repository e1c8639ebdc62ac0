package kube

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

const (
	// annotationCramped stands on a Deployment whose rollout found no room for instances beyond the wanted ones. It
	// holds the revision that it is for: the next rollout tries again.
	annotationCramped = "berth.dev/cramped"
	// crampedAfter is how long an instance has to be without room, unless the configuration says otherwise, before others
	// are ended for it.
	crampedAfter = 60 * time.Second
)

// stage is how far a lease has come on the way to its manifest, as its objects tell. Rendering follows from it.
type stage struct {
	// Cramped are the services whose rollout has no room for more instances, with the revision that it leads to.
	Cramped map[string]string
	// Counts are the numbers of instances of services that scale which are ours to set: as long as nobody else has set the
	// number, leaving it out would set it to 1.
	Counts map[string]*int32
	// Held are the services of a new manifest that have to wait for hooks; see hooks.go.
	Held map[string]bool
	// Former is what runs meanwhile in their stead, by service.
	Former []manifesttypes.Service
	// Awaited are the services of the new manifest whose hooks a rollout waits for.
	Awaited []manifesttypes.Service
	// Hooks is what is known of hooks, Start the one to be started for each service.
	Hooks hookRecords
	Start []hookRun
}

// sight is what is seen of a lease beside the objects that the driver makes.
type sight struct {
	now time.Time
	// roomAfter is how long an instance has to be without room before others are ended for it.
	roomAfter time.Duration
	// hooksStay is how long jobs of hooks that succeeded stay where instances are counted by their load.
	hooksStay time.Duration
	pods      []*corev1.Pod
	// endings are how jobs have ended, by name.
	endings map[string]ended
	// unhealthy are the services whose instances do not answer as their manifest asks, with what they answer.
	unhealthy map[string]string
}

// read reads from the objects of a lease what rendering its services has to go by.
func (st *stage) read(services []manifesttypes.Service, l live, seen sight) {
	st.Cramped, st.Counts = map[string]string{}, map[string]*int32{}
	for _, sv := range services {
		d, ok := l[key{kindDeployment, sv.Name}]
		if sv.Scale != nil {
			st.Counts[sv.Name] = countOf(d, ok, sv)
		}
		if !ok {
			continue
		}
		if revision := crampedAt(d, seen); revision != "" {
			st.Cramped[sv.Name] = revision
		}
	}
}

// countOf is the number of instances to set of a service that scales; nil if it is somebody else's to set. Kubernetes does
// not scale what has none: whoever set that, the least is set for it.
func countOf(d *unstructured.Unstructured, there bool, sv manifesttypes.Service) *int32 {
	if !there {
		return new(int32(sv.Scale.Min))
	}
	if n := number(d, "spec", "replicas"); n == 0 || ownsReplicas(d) {
		return new(int32(min(max(n, int64(sv.Scale.Min)), int64(sv.Count))))
	}
	return nil
}

// crampedAt is the revision that a Deployment is being rolled out to without room for it; empty if there is room, or
// nothing to replace.
func crampedAt(d *unstructured.Unstructured, seen sight) string {
	revision := revisionOf(d)
	if rolledOut(d) || number(d, "status", "replicas") <= number(d, "status", "updatedReplicas") && !refusedFor(d, seen) {
		return ""
	}
	if d.GetAnnotations()[annotationCramped] == revision || refusedFor(d, seen) {
		return revision
	}
	for _, p := range seen.pods {
		if p.Labels[labelService] == d.GetName() && p.Labels[labelRevision] == revision && roomless(p, seen) {
			return revision
		}
	}
	return ""
}

// revisionOf is the revision of a Deployment's template.
func revisionOf(d *unstructured.Unstructured) string {
	revision, _, _ := unstructured.NestedString(d.Object, "spec", "template", "metadata", "labels", labelRevision)
	return revision
}

// roomless tells whether no node has had room for a pod for long enough.
func roomless(p *corev1.Pod, seen sight) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return seen.now.Sub(c.LastTransitionTime.Time) >= seen.roomAfter
		}
	}
	return false
}

// refusedFor tells whether Kubernetes has made no pods of a Deployment that has some for long enough, as a quota does.
func refusedFor(d *unstructured.Unstructured, seen sight) bool {
	conditions, _, _ := unstructured.NestedSlice(d.Object, "status", "conditions")
	return number(d, "status", "replicas") > 0 && slices.ContainsFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		if !ok || m["type"] != "ReplicaFailure" || m["status"] != "True" {
			return false
		}
		text, _ := m["lastTransitionTime"].(string)
		since, err := time.Parse(time.RFC3339, text)
		return err == nil && seen.now.Sub(since) >= seen.roomAfter
	})
}

// ownsReplicas tells whether the number of a Deployment's instances was last set by us.
func ownsReplicas(d *unstructured.Unstructured) bool {
	for _, f := range d.GetManagedFields() {
		if f.Manager != manager || f.Subresource != "" || f.FieldsV1 == nil {
			continue
		}
		var fields struct {
			Spec map[string]json.RawMessage `json:"f:spec"`
		}
		if json.Unmarshal(f.FieldsV1.GetRawBytes(), &fields) == nil {
			if _, ok := fields.Spec["f:replicas"]; ok {
				return true
			}
		}
	}
	return false
}

// secretData is a value of a Secret as it was read; nil if it is not there.
func secretData(l live, secret, name string) []byte {
	u, ok := l[key{kindSecret, secret}]
	if !ok {
		return nil
	}
	text, _, _ := unstructured.NestedString(u.Object, "data", name)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return data
}

// changesFor computes what has to be written so that the cluster runs a workload where it holds have, from what is known
// of both.
func changesFor(w cluster.Workload, s settings, have live, seen sight, links []cluster.Link) (changes, error) {
	s.Metrics = s.Metrics || have.holds(kindAutoscaler) // it was there, and cannot be asked at the moment
	var st stage
	if err := st.hooks(w, have, seen, s.Again); err != nil {
		return changes{}, err
	}
	if len(st.Held) > 0 {
		if err := check(w, s); err != nil {
			return changes{}, fmt.Errorf("%w: %w", cluster.ErrRefused, err)
		}
	}
	run := w
	run.Group.Services = compose(w.Group.Services, st.Held, st.Former)
	st.read(run.Group.Services, have, seen)
	starts := st.mayStart(startsWithLinks(starter(run.Group.Services, have), w.Group, links, have))
	others := have.without(func(u *unstructured.Unstructured) bool { return st.Hooks.settled(u, w, seen) })
	s.Stage = st
	rendered, err := render(run, s, starts)
	if err != nil {
		return changes{}, err
	}
	ch := diff(rendered, others)
	ch.waits, ch.asks = st.waits(w), len(seen.unhealthy) > 0
	if runs := st.startable(w, have, through(w, have, ch, seen)); len(runs) > 0 && !w.Suspended {
		st.start(runs, manifestHash(w), seen.now)
		s.Stage = st
		if rendered, err = render(run, s, starts); err != nil {
			return changes{}, err
		}
		ch = diff(rendered, others)
		ch.waits, ch.asks = true, len(seen.unhealthy) > 0
	}
	ch.claims = patchesOf(run.Group.Services, s.Held.claims)
	return ch, nil
}

// holds tells whether a lease has an object of a kind.
func (l live) holds(kind string) bool {
	for k := range l {
		if k.kind == kind {
			return true
		}
	}
	return false
}

// without is what a lease has besides some objects.
func (l live) without(some func(*unstructured.Unstructured) bool) live {
	out := make(live, len(l))
	for k, u := range l {
		if !some(u) {
			out[k] = u
		}
	}
	return out
}

// through tells which services run as the manifest has them, with as many instances as they need.
func through(w cluster.Workload, l live, ch changes, seen sight) func(service string) bool {
	changing := map[string]bool{}
	for _, u := range ch.apply {
		if keepsInstances(u.GetKind()) {
			changing[u.GetLabels()[labelService]] = true
		}
	}
	return func(name string) bool {
		i := slices.IndexFunc(w.Group.Services, func(sv manifesttypes.Service) bool { return sv.Name == name })
		if i < 0 {
			return false
		}
		d, ok := l[workloadKey(w.Group.Services[i])]
		return ok && !changing[name] && number(d, "spec", "replicas") > 0 && rolledOut(d) &&
			allReady(d, w.Group.Services[i]) && seen.unhealthy[name] == ""
	}
}
