package kube

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// closedRanges are never reachable from a workload as part of "the internet": this network, shared address space (which
// clouds use for their own services), loopback, link-local (metadata services), Azure's address of the host, private
// ranges, those for protocols and for measuring networks, multicast and reserved addresses; for IPv6 also the prefixes
// by which gateways and tunnels lead to IPv4 addresses.
var closedRanges = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
	"::/127", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8",
}

const (
	anyIPv4 = "0.0.0.0/0"
	anyIPv6 = "::/0"
	// namespaceLabel stands on every namespace with its name.
	namespaceLabel = "kubernetes.io/metadata.name"
)

// networkPolicies render who may talk to whom: nobody, except for DNS, the internet, what this cluster offers to anyone,
// and one policy for each connection that expose.to allows, which opens both its ends.
func (r *rendering) networkPolicies() []runtime.Object {
	out := []runtime.Object{r.denyAll(), r.allowDNS(), r.allowInternet(), r.allowEntries()}
	for _, sv := range r.workload.Group.Services {
		for _, c := range clientsOf(sv, r.workload.Group.Services) {
			out = append(out, r.edge(c, sv)...)
		}
		if p := r.fromOutside(sv); p != nil {
			out = append(out, p)
		}
	}
	return append(out, r.linkPolicies()...)
}

func (r *rendering) policy(name string, pods map[string]string, types ...networkingv1.PolicyType) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: r.meta(name),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: pods}, PolicyTypes: types,
		},
	}
}

func (r *rendering) denyAll() *networkingv1.NetworkPolicy {
	return r.policy("deny-all", nil, networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)
}

func (r *rendering) allowDNS() *networkingv1.NetworkPolicy {
	p := r.policy("allow-dns", nil, networkingv1.PolicyTypeEgress)
	to := []networkingv1.NetworkPolicyPeer{{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{namespaceLabel: r.DNSNamespace}},
		PodSelector:       &metav1.LabelSelector{MatchLabels: r.DNSLabels},
	}}
	for _, cidr := range r.DNSCIDRs {
		to = append(to, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}})
	}
	p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{
		To: to,
		Ports: []networkingv1.NetworkPolicyPort{
			policyPort(53, corev1.ProtocolUDP), policyPort(53, corev1.ProtocolTCP),
		},
	}}
	return p
}

// allowInternet opens what is neither private nor of the cluster: otherwise a rule by address would open the pods of
// other leases.
func (r *rendering) allowInternet() *networkingv1.NetworkPolicy {
	p := r.policy("allow-internet", nil, networkingv1.PolicyTypeEgress)
	to := []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: anyIPv4, Except: r.closed(true)}}}
	if r.IPv6 {
		to = append(to, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: anyIPv6, Except: r.closed(false)}})
	}
	p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: to}}
	return p
}

// closed are the ranges of one address family that workloads cannot reach, each once and none inside another.
func (r *rendering) closed(v4 bool) []string {
	var all []netip.Prefix
	for _, s := range slices.Concat(closedRanges, r.DenyCIDRs) {
		// Ranges that cannot be parsed were refused when they were configured.
		if p, err := netip.ParsePrefix(s); err == nil && p.Addr().Is4() == v4 {
			all = append(all, p.Masked())
		}
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		if c := a.Bits() - b.Bits(); c != 0 {
			return c
		}
		return a.Addr().Compare(b.Addr())
	})
	var kept []netip.Prefix
	for _, p := range all {
		inside := func(k netip.Prefix) bool { return k.Contains(p.Addr()) }
		// A range that is all there is cannot be excepted from itself.
		if p.Bits() > 0 && !slices.ContainsFunc(kept, inside) {
			kept = append(kept, p)
		}
	}
	slices.SortFunc(kept, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	var out []string
	for _, p := range kept {
		out = append(out, p.String())
	}
	return out
}

// client is what may connect to some ports of a service; an empty name means every service of the lease.
type client struct {
	service string
	ports   []networkingv1.NetworkPolicyPort
}

// clientsOf are the clients of a service within its lease. A port that anyone may reach is open to all of them; a
// client that is not in this lease is another provider's.
func clientsOf(sv manifesttypes.Service, all []manifesttypes.Service) []client {
	ports := map[string][]networkingv1.NetworkPolicyPort{}
	open := func(name string, e manifesttypes.Expose) {
		p := policyPort(e.Port, transport(e.Proto))
		if !slices.ContainsFunc(ports[name], func(q networkingv1.NetworkPolicyPort) bool { return *q.Port == *p.Port && *q.Protocol == *p.Protocol }) {
			ports[name] = append(ports[name], p)
		}
	}
	for _, e := range sv.Expose {
		if cluster.Anyone(e) {
			open("", e)
		}
		for _, to := range e.To {
			if to.Service != "" {
				open(to.Service, e)
			}
		}
	}
	var out []client
	if len(ports[""]) > 0 {
		out = append(out, client{"", ports[""]})
	}
	for _, c := range all {
		if len(ports[c.Name]) > 0 {
			out = append(out, client{c.Name, ports[c.Name]})
		}
	}
	return out
}

// edge opens the connection from a client to a service at both ends.
func (r *rendering) edge(c client, sv manifesttypes.Service) []runtime.Object {
	var from map[string]string
	parts := []string{sv.Name, "any"}
	if c.service != "" {
		from, parts = r.selector(c.service), []string{sv.Name, "from", c.service}
	}
	in := r.policy(policyName("in", parts...), r.selector(sv.Name), networkingv1.PolicyTypeIngress)
	in.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
		From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: from}}},
		Ports: c.ports,
	}}
	out := r.policy(policyName("out", parts...), from, networkingv1.PolicyTypeEgress)
	out.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{
		To:    []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: r.selector(sv.Name)}}},
		Ports: c.ports,
	}}
	return []runtime.Object{in, out}
}

// policyName joins parts by dots, which no service has in its name, so that different parts never give one name.
func policyName(direction string, parts ...string) string {
	return shorten(strings.Join(append([]string{direction}, parts...), "."))
}

// fromOutside lets the ingress controller reach http ports for anyone, and everybody the forwarded ports. It is nil for
// a service without such ports.
func (r *rendering) fromOutside(sv manifesttypes.Service) runtime.Object {
	var routed, direct []networkingv1.NetworkPolicyPort
	for _, e := range sv.Expose {
		port := policyPort(e.Port, transport(e.Proto))
		switch {
		case !cluster.Anyone(e):
		case forwarded(e) || manifest.LeasedIP(e) != "":
			direct = append(direct, port)
		}
		if cluster.Routed(e) {
			routed = append(routed, port)
		}
	}
	p := r.policy(policyName("in", sv.Name, "outside"), r.selector(sv.Name), networkingv1.PolicyTypeIngress)
	if peers := r.ingressPeers(); len(routed) > 0 && len(peers) > 0 {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: peers, Ports: routed})
	}
	if len(direct) > 0 {
		// Without peers it is everybody. A range of addresses would not do: some enforcers hold that no pod is in any.
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{Ports: direct})
	}
	if len(p.Spec.Ingress) == 0 {
		return nil
	}
	return p
}

func (r *rendering) ingressPeers() []networkingv1.NetworkPolicyPeer {
	var out []networkingv1.NetworkPolicyPeer
	for _, ns := range r.IngressNamespaces {
		out = append(out, networkingv1.NetworkPolicyPeer{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{namespaceLabel: ns}},
		})
	}
	for _, cidr := range r.IngressCIDRs {
		out = append(out, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}})
	}
	return out
}

func policyPort(port uint32, proto corev1.Protocol) networkingv1.NetworkPolicyPort {
	n := intstr.FromInt32(int32(port))
	return networkingv1.NetworkPolicyPort{Port: &n, Protocol: &proto}
}
