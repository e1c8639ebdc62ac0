package kube

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// roleLink stands on what leads to services of other groups.
const roleLink = "link"

// linkSettings are what rendering needs to know of links.
type linkSettings struct {
	// Peers are where the provider's links are, as policies name it; none where the provider has no links.
	Peers []networkingv1.NetworkPolicyPeer
	// Known are the links of the lease that is rendered; empty before they were told.
	Known []cluster.Link
	// Local are the services of the lease that have a ready instance.
	Local map[string]bool
}

// takeLinks puts what is known of a lease's links into the settings of its rendering, and returns its objects without
// those that must not be touched: links that are not known are not taken for links that are not wanted.
func (s *settings) takeLinks(links []cluster.Link, known bool, have live) live {
	s.Link.Known, s.Link.Local = links, map[string]bool{}
	out := make(live, len(have))
	for k, u := range have {
		if number(u, "status", "readyReplicas") > 0 {
			s.Link.Local[u.GetLabels()[labelService]] = true
		}
		if known || u.GetLabels()[labelRole] != roleLink {
			out[k] = u
		}
	}
	return out
}

// startsWithLinks holds services back that depend on links which are not ready, unless they run already.
func startsWithLinks(starts func(string) bool, g manifesttypes.Group, links []cluster.Link, have live) func(string) bool {
	held := map[string]bool{}
	for _, sv := range g.Services {
		held[sv.Name] = len(cluster.MissingLinks(g, sv, links)) > 0
	}
	for _, u := range have {
		if number(u, "spec", "replicas") > 0 {
			held[u.GetLabels()[labelService]] = false
		}
	}
	return func(service string) bool { return !held[service] && starts(service) }
}

// checkLinks refuses connections with other groups where there are none.
func checkLinks(p *problems, g manifesttypes.Group, s settings) {
	if len(g.Edges) == 0 || len(s.Link.Peers) > 0 {
		return
	}
	e := g.Edges[0]
	p.add("edges[0]", "service %s of group %s is to reach service %s of group %s, and this provider has no links to other groups",
		e.FromService, e.FromGroup, e.ToService, e.ToGroup)
}

// linkPolicies open, at both ends, what links carry: from the services that may use a link to where it begins, and from
// the provider to the ports that other groups may use.
func (r *rendering) linkPolicies() []runtime.Object {
	var out []runtime.Object
	for _, l := range r.Link.Known {
		p := r.policy(policyName("out", l.Service, roleLink, strconv.FormatUint(uint64(l.Port), 10)), nil, networkingv1.PolicyTypeEgress)
		p.Labels = with(p.Labels, labelRole, roleLink)
		p.Spec.PodSelector = metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key: labelService, Operator: metav1.LabelSelectorOpIn, Values: slices.Clone(l.Clients),
		}}}
		port := uint32(l.Address.Port())
		p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{
			To:    r.linkPeers(l.Address.Addr()),
			Ports: []networkingv1.NetworkPolicyPort{policyPort(port, corev1.ProtocolTCP), policyPort(port, corev1.ProtocolUDP)},
		}}
		out = append(out, p)
	}
	for _, sv := range r.workload.Group.Services {
		if ports := linkedPorts(sv, r.workload.Group); len(ports) > 0 {
			p := r.policy(policyName("in", sv.Name, roleLink), r.selector(sv.Name), networkingv1.PolicyTypeIngress)
			p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: r.Link.Peers, Ports: ports}}
			out = append(out, p)
		}
	}
	return out
}

// linkPeers name an address of the provider. Where policies name the provider's pods instead, the address is one of
// theirs.
func (r *rendering) linkPeers(a netip.Addr) []networkingv1.NetworkPolicyPeer {
	if len(r.Link.Peers) > 0 && r.Link.Peers[0].IPBlock == nil {
		return r.Link.Peers
	}
	return []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: netip.PrefixFrom(a, a.BitLen()).String()}}}
}

// linkedPorts are the ports of a service's containers that services of other groups may use.
func linkedPorts(sv manifesttypes.Service, g manifesttypes.Group) []networkingv1.NetworkPolicyPort {
	var out []networkingv1.NetworkPolicyPort
	for _, e := range sv.Expose {
		used := slices.ContainsFunc(g.Edges, func(x manifesttypes.Edge) bool {
			return x.ToGroup == g.Name && x.ToService == sv.Name && x.Port == e.As &&
				slices.Contains(e.To, manifesttypes.To{Service: x.FromService, Global: true})
		})
		p := policyPort(e.Port, transport(e.Proto))
		same := func(q networkingv1.NetworkPolicyPort) bool { return *q.Port == *p.Port && *q.Protocol == *p.Protocol }
		if used && !slices.ContainsFunc(out, same) {
			out = append(out, p)
		}
	}
	return out
}

// links render the names of services of other groups, and where they lead. A service that the lease has as well keeps
// its own name, which leads elsewhere only while no instance here is ready.
func (r *rendering) links() []runtime.Object {
	local := map[string]bool{}
	for _, sv := range r.workload.Group.Services {
		local[sv.Name] = true
	}
	var out []runtime.Object
	ports := map[string][]corev1.ServicePort{}
	var names []string
	for _, l := range r.Link.Known {
		if !local[l.Service] {
			if ports[l.Service] == nil {
				names = append(names, l.Service)
			}
			for _, proto := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
				p := servicePort{l.Port, proto}
				ports[l.Service] = append(ports[l.Service], corev1.ServicePort{
					Name: p.name(), Protocol: proto, Port: int32(l.Port), TargetPort: intstr.FromInt32(int32(l.Port)),
				})
			}
		}
		if l.Ready && !r.Link.Local[l.Service] {
			out = append(out, r.linkSlice(l))
		}
	}
	for _, name := range names {
		out = append(out, &corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: r.meta(name, labelService, name, labelRole, roleLink),
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: ports[name]},
		})
	}
	return out
}

// linkSlice leads a port of a name to where the provider takes its connections.
func (r *rendering) linkSlice(l cluster.Link) *discoveryv1.EndpointSlice {
	family := discoveryv1.AddressTypeIPv4
	if l.Address.Addr().Is6() {
		family = discoveryv1.AddressTypeIPv6
	}
	slice := &discoveryv1.EndpointSlice{
		TypeMeta: metav1.TypeMeta{APIVersion: discoveryv1.SchemeGroupVersion.String(), Kind: kindEndpointSlice},
		ObjectMeta: r.meta(objectName(fmt.Sprintf("link-%d", l.Port), l.Service), labelService, l.Service, labelRole, roleLink,
			discoveryv1.LabelServiceName, l.Service, discoveryv1.LabelManagedBy, manager),
		AddressType: family,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{l.Address.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
		}},
	}
	for _, proto := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{
			Name: new(servicePort{l.Port, proto}.name()), Protocol: &proto, Port: new(int32(l.Address.Port())),
		})
	}
	return slice
}
