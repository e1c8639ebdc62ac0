package kube

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// observation is what Status is computed from.
type observation struct {
	workload    cluster.Workload
	deployments map[string]*appsv1.Deployment // by service
	ports       map[string]*corev1.Service    // by service: those that open ports of the provider
	pods        map[string][]*corev1.Pod      // by service
	events      map[string][]corev1.Event // by involved object, the newest first; nil before they were read
	domain      string
	nodeHost    string
	ingressPort int
	links       []cluster.Link
}

// statusOf gives the state of every service of the manifest, in the order of their names.
func statusOf(o observation) []diagnosed {
	local := map[string]manifesttypes.Service{}
	for _, sv := range o.workload.Group.Services {
		local[sv.Name] = sv
	}
	var out []diagnosed
	for _, sv := range o.workload.Group.Services {
		st := o.service(sv)
		if o.workload.Suspended {
			st.Ready, st.Updated, st.finding = 0, 0, finding{reason: cluster.ReasonSuspended, message: cluster.SuspendedMessage}
		}
		st.conclude()
		if d := o.deployments[sv.Name]; st.Message == "" && (d == nil || replicas(d) == 0) {
			waiting := slices.Concat(waitingFor(sv, local, o.ready), cluster.MissingLinks(o.workload.Group, sv, o.links))
			if len(waiting) > 0 {
				st.Message, st.Reason = "waiting for "+strings.Join(waiting, ", "), cluster.ReasonDependency
			}
		}
		if st.Message == "" && (st.Ready < st.Desired || st.Updated < st.Desired) {
			st.Message, st.Reason = "starting", cluster.ReasonStarting
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b diagnosed) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

func (o observation) ready(service string) bool {
	d := o.deployments[service]
	return d != nil && replicas(d) > 0 && d.Status.ObservedGeneration >= d.Generation && d.Status.ReadyReplicas >= replicas(d)
}

func (o observation) service(sv manifesttypes.Service) diagnosed {
	st := diagnosed{ServiceStatus: cluster.ServiceStatus{Name: sv.Name, Desired: sv.Count}}
	for _, r := range cluster.Routes(o.workload.Lease, sv, o.domain) {
		for _, host := range hostsOf(r) {
			st.URLs = append(st.URLs, cluster.URL(host, o.ingressPort))
		}
	}
	st.Ports = o.forwardedPorts(sv)
	d := o.deployments[sv.Name]
	if d == nil {
		return st
	}
	revision := d.Spec.Template.Labels[labelRevision]
	evicted := finding{}
	for _, p := range o.pods[sv.Name] {
		present := p.Labels[labelRevision] == revision
		if present && terminal(p) {
			evicted = evicted.again(p)
		}
		if p.DeletionTimestamp != nil || terminal(p) {
			continue
		}
		if podReady(p) {
			st.Ready++
			if present {
				st.Updated++
			}
			continue
		}
		if present {
			st.worse(o.trouble(p))
		}
	}
	// A rollout or a scaling down may have one instance more.
	st.Ready, st.Updated = min(st.Ready, st.Desired), min(st.Updated, st.Desired)
	if st.Updated == st.Desired {
		st.finding = finding{}
		return st
	}
	st.worse(evicted)
	if m := refusal(d); m != "" {
		st.worse(finding{reason: cluster.ReasonRefused, message: m})
	}
	return st
}

func (o observation) forwardedPorts(sv manifesttypes.Service) []cluster.ForwardedPort {
	svc := o.ports[sv.Name]
	if svc == nil {
		return nil
	}
	var out []cluster.ForwardedPort
	for _, p := range svc.Spec.Ports {
		if p.NodePort == 0 {
			continue
		}
		out = append(out, cluster.ForwardedPort{
			Host: o.nodeHost, Port: uint32(p.Port), ExternalPort: uint32(p.NodePort),
			Proto: strings.ToLower(string(p.Protocol)),
		})
	}
	return out
}

func terminal(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// refusal says why Kubernetes makes no pods for a Deployment; empty if it does.
func refusal(d *appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return "instances are refused: " + c.Message
		}
	}
	return ""
}

// imageOf is the image as the manifest has it: the status may hold another form of it, or none yet.
func imageOf(p *corev1.Pod, container string) string {
	for _, c := range p.Spec.Containers {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

// noSuchImage tells a registry's positive answer from trouble on the way to it. The kubelet passes it on as text alone;
// a form that is not known here only means that the tenant waits longer.
func noSuchImage(message string) bool {
	m := strings.ToLower(message)
	for _, s := range []string{
		"not found", "manifest unknown", "manifest_unknown", "name_unknown", "name unknown", "does not exist",
		"invalid reference format", "no matching manifest", "no match for platform",
	} {
		if strings.Contains(m, s) {
			return true
		}
	}
	return false
}
