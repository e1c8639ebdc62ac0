package kube

import (
	"fmt"
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
	instances   map[key]instances            // by what keeps them
	ports       map[string]*corev1.Service   // by service: those that open ports of the provider
	pods        map[string][]*corev1.Pod     // by service
	events      map[string][]corev1.Event    // by involved object, the newest first; nil before they were read
	addresses   map[string][]*corev1.Service // by service: those that have leased addresses
	claims      claims
	able        routeAbilities
	domain      string
	nodeHost    string
	ingressPort int
	links       []cluster.Link
	httpsPort   int
	care
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
		o.look(sv, &st.ServiceStatus)
		if in, ok := o.instances[workloadKey(sv)]; st.Message == "" && (!ok || in.replicas == 0) {
			waiting := slices.Concat(waitingFor(sv, local, func(dep string) bool { return o.ready(local[dep]) }), cluster.MissingLinks(o.workload.Group, sv, o.links))
			if len(waiting) > 0 {
				st.Message, st.Reason = "waiting for "+strings.Join(waiting, ", "), cluster.ReasonDependency
			}
		}
		if st.Message == "" && (st.Ready < st.Desired || st.Updated < st.Desired) {
			st.Message, st.Reason = "starting", cluster.ReasonStarting
		}
		if st.Message == "" {
			if st.Message = o.outside(sv); st.Message != "" {
				st.Reason = cluster.ReasonOutside
			}
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b diagnosed) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// instances are what keeps the pods of a service, a Deployment or a StatefulSet, as far as their status goes.
type instances struct {
	replicas, ready int32
	// observed says that ready is of the present generation.
	observed bool
	revision string
	// refusal says why Kubernetes makes no pods; empty if it does.
	refusal string
	// cramped is the revision for which there is no room beside what runs.
	cramped string
}

func ofDeployment(d *appsv1.Deployment) instances {
	return instances{
		replicas: replicas(d.Spec.Replicas), ready: d.Status.ReadyReplicas, observed: d.Status.ObservedGeneration >= d.Generation,
		revision: d.Spec.Template.Labels[labelRevision], refusal: refusal(d), cramped: d.Annotations[annotationCramped],
	}
}

func ofStatefulSet(s *appsv1.StatefulSet) instances {
	return instances{
		replicas: replicas(s.Spec.Replicas), ready: s.Status.ReadyReplicas, observed: s.Status.ObservedGeneration >= s.Generation,
		revision: s.Spec.Template.Labels[labelRevision],
	}
}

// replicas is a number of instances; Kubernetes takes none given for one.
func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

func (o observation) ready(sv manifesttypes.Service) bool {
	in, ok := o.instances[workloadKey(sv)]
	return ok && in.replicas > 0 && in.observed && in.ready >= in.replicas
}

func (o observation) service(sv manifesttypes.Service) diagnosed {
	st := diagnosed{ServiceStatus: cluster.ServiceStatus{Name: sv.Name, Desired: o.desired(sv)}}
	st.URLs = o.urls(sv)
	st.Ports = append(o.forwardedPorts(sv), o.leasedPorts(sv)...)
	in, ok := o.instances[workloadKey(sv)]
	if !ok {
		return st
	}
	evicted := finding{}
	for _, p := range o.pods[sv.Name] {
		present := p.Labels[labelRevision] == in.revision
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
	if m := in.refusal; m != "" {
		st.worse(finding{reason: cluster.ReasonRefused, message: m})
	}
	return st
}

// urls are where clients reach the http and https ports of a service.
func (o observation) urls(sv manifesttypes.Service) []string {
	var out []string
	for _, r := range cluster.Routes(o.workload.Lease, sv, o.domain) {
		for _, host := range hostsOf(r, o.claims) {
			if r.Proto == manifesttypes.PROTO_HTTPS || o.able.secure(host, o.domain, o.workload.Group.Services) {
				out = append(out, cluster.SecureURL(host, o.httpsPort))
			} else {
				out = append(out, cluster.URL(host, o.ingressPort))
			}
		}
	}
	return out
}

// outside says what clients from outside lack of a service that is well.
func (o observation) outside(sv manifesttypes.Service) string {
	var lost []string
	for _, e := range sv.Expose {
		for _, host := range e.Accept {
			if c, ok := o.claims[host]; ok && c.Lost != "" && cluster.Routed(e) {
				lost = append(lost, fmt.Sprintf("host %s leads to lease %s now", host, c.Lost))
			}
		}
	}
	slices.Sort(lost)
	if lost = slices.Compact(lost); len(lost) > 0 {
		return strings.Join(lost, ", ") + "; send this manifest again to take it back"
	}
	for _, s := range o.addresses[sv.Name] {
		if len(s.Status.LoadBalancer.Ingress) == 0 {
			return "waiting for the leased address"
		}
	}
	return ""
}

// leasedPorts are the ports at the leased addresses that a service has been given.
func (o observation) leasedPorts(sv manifesttypes.Service) []cluster.ForwardedPort {
	var out []cluster.ForwardedPort
	for _, s := range o.addresses[sv.Name] {
		for _, in := range s.Status.LoadBalancer.Ingress {
			for _, p := range s.Spec.Ports {
				out = append(out, cluster.ForwardedPort{
					Host: or(in.IP, in.Hostname), Port: uint32(p.Port), ExternalPort: uint32(p.Port), Proto: strings.ToLower(string(p.Protocol)),
				})
			}
		}
	}
	return out
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
