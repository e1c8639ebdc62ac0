// Package netpol enforces Kubernetes network policies on a single node with
// nftables. The rules are a pure function of what the cluster holds; a loop
// around it replaces one table in one transaction whenever they change.
package netpol

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Table is the name of the nftables table, of family inet, that holds the rules.
const Table = "localkube-policy"

// State is everything that the rules depend on.
type State struct {
	// PodNetwork is the network from which pods get their addresses.
	PodNetwork netip.Prefix
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	Policies   []*netv1.NetworkPolicy
	// Assigned are the addresses that pods hold, known from the network
	// plugin before the API server hears of them. Where both know an address,
	// this one is right.
	Assigned map[types.NamespacedName]netip.Addr
}

// endpoint is a pod with an address.
type endpoint struct {
	ip  netip.Addr
	pod *corev1.Pod // nil: the address is in use by a pod that is gone
}

// view is a State prepared for rendering.
type view struct {
	endpoints  []endpoint // sorted by address
	namespaces map[string]labels.Set
	policies   []*netv1.NetworkPolicy // sorted by namespace and name
}

// Render returns the nft(8) script that makes the rules those of s. The same
// state gives the same script, whatever the order of its lists.
//
// A packet meets the sender's egress chain and then the receiver's ingress
// chain; a chain returns for what its policies allow and drops the rest. Pods
// that no policy selects have no chain. The packet filter sees addresses after
// service translation, as the policies mean them. Pods have no IPv6 address;
// what they say over IPv6 on their bridge is dropped. So is what comes from, or
// goes to, an address of the pod network that no pod is known to hold: a pod
// that is being made has its address before its rules.
func Render(s State) string {
	v := newView(s)
	var chains strings.Builder
	var egress, ingress, known []string
	for _, e := range v.endpoints {
		known = append(known, e.ip.String())
		in, out := v.isolation(e)
		name := strings.ReplaceAll(e.ip.String(), ".", "-")
		if out != nil {
			egress = append(egress, fmt.Sprintf("%s : jump out-%s", e.ip, name))
			writeChain(&chains, "out-"+name, "ip daddr "+e.ip.String(), out)
		}
		if in != nil {
			ingress = append(ingress, fmt.Sprintf("%s : jump in-%s", e.ip, name))
			writeChain(&chains, "in-"+name, "ip saddr "+e.ip.String(), in)
		}
	}
	stranger := fmt.Sprintf("ip saddr %s%s counter drop", s.PodNetwork, unlessIn("ip saddr", known))
	nobody := fmt.Sprintf("ip daddr %s%s counter drop", s.PodNetwork, unlessIn("ip daddr", known))
	forward := []string{"ct state established,related accept", "meta nfproto ipv6 drop", stranger, nobody, verdicts("saddr", egress), verdicts("daddr", ingress)}
	// From a pod to the node itself, and to nothing else: the node may always
	// reach its pods.
	input := []string{"ct state established,related accept", `iifname "cni0" meta nfproto ipv6 drop`, verdicts("saddr", egress)}

	var b strings.Builder
	fmt.Fprintf(&b, "table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n", Table)
	b.WriteString(chains.String())
	writeHook(&b, "forward", forward)
	writeHook(&b, "input", input)
	b.WriteString("}\n")
	return b.String()
}

func writeChain(b *strings.Builder, name, self string, allowed []string) {
	fmt.Fprintf(b, "  chain %s {\n    %s return\n", name, self)
	for _, rule := range allowed {
		fmt.Fprintf(b, "    %s\n", strings.TrimSpace(rule+" return"))
	}
	b.WriteString("    counter drop\n  }\n")
}

func writeHook(b *strings.Builder, hook string, rules []string) {
	fmt.Fprintf(b, "  chain %[1]s {\n    type filter hook %[1]s priority filter + 10; policy accept;\n", hook)
	for _, r := range rules {
		if r != "" {
			fmt.Fprintf(b, "    %s\n", r)
		}
	}
	b.WriteString("  }\n")
}

func verdicts(side string, elements []string) string {
	if len(elements) == 0 {
		return ""
	}
	return fmt.Sprintf("ip %s vmap { %s }", side, strings.Join(elements, ", "))
}

func unlessIn(field string, elements []string) string {
	if len(elements) == 0 {
		return ""
	}
	return fmt.Sprintf(" %s != { %s }", field, strings.Join(elements, ", "))
}

func newView(s State) view {
	v := view{namespaces: map[string]labels.Set{}, policies: slices.Clone(s.Policies)}
	for _, ns := range s.Namespaces {
		v.namespaces[ns.Name] = ns.Labels
	}
	slices.SortFunc(v.policies, func(a, b *netv1.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	byIP := map[netip.Addr]endpoint{}
	byName := map[types.NamespacedName]*corev1.Pod{}
	pods := slices.Clone(s.Pods)
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.UID, b.UID) })
	for _, p := range pods {
		if p.Spec.HostNetwork {
			continue
		}
		byName[keyOf(p)] = p
		if ip, ok := reportedIP(p); ok {
			byIP[ip] = endpoint{ip: ip, pod: p}
		}
	}
	for key, ip := range s.Assigned {
		byIP[ip] = endpoint{ip: ip, pod: byName[key]}
	}
	for _, e := range byIP {
		v.endpoints = append(v.endpoints, e)
	}
	slices.SortFunc(v.endpoints, func(a, b endpoint) int { return a.ip.Compare(b.ip) })
	return v
}

func keyOf(p *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}

// reportedIP returns the address that a pod holds according to its status. A
// pod that has ended holds none, although its status still shows one.
func reportedIP(p *corev1.Pod) (netip.Addr, bool) {
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(p.Status.PodIP)
	return ip, err == nil && ip.Is4()
}

// isolation returns what may enter and leave an endpoint; nil means that no
// policy restricts it, an empty list that nothing may. An address whose pod is
// gone may do nothing.
func (v view) isolation(e endpoint) (in, out []string) {
	if e.pod == nil {
		return []string{}, []string{}
	}
	for _, p := range v.policies {
		if p.Namespace != e.pod.Namespace || !selects(&p.Spec.PodSelector, e.pod.Labels) {
			continue
		}
		if restricts(p, netv1.PolicyTypeIngress) {
			if in == nil {
				in = []string{}
			}
			for _, r := range p.Spec.Ingress {
				in = append(in, v.allow(p.Namespace, "saddr", r.From, r.Ports, &e)...)
			}
		}
		if restricts(p, netv1.PolicyTypeEgress) {
			if out == nil {
				out = []string{}
			}
			for _, r := range p.Spec.Egress {
				out = append(out, v.allow(p.Namespace, "daddr", r.To, r.Ports, nil)...)
			}
		}
	}
	return in, out
}

// restricts says whether a policy is about a direction. The API server fills
// in the list; without it a policy is about ingress, and about egress if it has
// such rules.
func restricts(p *netv1.NetworkPolicy, direction netv1.PolicyType) bool {
	if len(p.Spec.PolicyTypes) > 0 {
		return slices.Contains(p.Spec.PolicyTypes, direction)
	}
	return direction == netv1.PolicyTypeIngress || len(p.Spec.Egress) > 0
}

// peer is one side of a rule: an nft match, and the pods behind it.
type peer struct {
	match string
	pods  []endpoint
}

// allow returns the matches of one policy rule. owner is the pod that the
// policy selects when the rule is about what may enter it: its named ports
// count; otherwise those of the peers do.
func (v view) allow(ns, side string, peers []netv1.NetworkPolicyPeer, ports []netv1.NetworkPolicyPort, owner *endpoint) []string {
	var rules []string
	for _, p := range v.peers(ns, side, peers) {
		if len(ports) == 0 {
			rules = append(rules, p.match)
		}
		for _, port := range ports {
			targets := p.pods
			if owner != nil {
				targets = []endpoint{*owner}
			}
			for _, m := range portMatches(port, targets) {
				rules = append(rules, strings.TrimSpace(p.match+" "+m))
			}
		}
	}
	return rules
}

// peers resolves a rule's peers; none named means everyone.
func (v view) peers(ns, side string, peers []netv1.NetworkPolicyPeer) []peer {
	if len(peers) == 0 {
		return []peer{{pods: v.endpoints}}
	}
	var out []peer
	for _, p := range peers {
		if p.IPBlock != nil {
			if m := blockMatch(side, p.IPBlock); m != "" {
				out = append(out, peer{match: m})
			}
			continue
		}
		pods := v.selected(ns, p)
		if len(pods) == 0 {
			continue
		}
		ips := make([]string, len(pods))
		for i, e := range pods {
			ips[i] = e.ip.String()
		}
		out = append(out, peer{match: fmt.Sprintf("ip %s { %s }", side, strings.Join(ips, ", ")), pods: pods})
	}
	return out
}

// selected lists the pods that a peer's selectors name.
func (v view) selected(ns string, p netv1.NetworkPolicyPeer) []endpoint {
	var out []endpoint
	for _, e := range v.endpoints {
		if e.pod == nil {
			continue
		}
		inNamespace := e.pod.Namespace == ns
		if p.NamespaceSelector != nil {
			inNamespace = selects(p.NamespaceSelector, v.namespaces[e.pod.Namespace])
		}
		if inNamespace && (p.PodSelector == nil || selects(p.PodSelector, e.pod.Labels)) {
			out = append(out, e)
		}
	}
	return out
}

// blockMatch matches a network less its exceptions. Each exception is a match
// of its own: exceptions may overlap, and the elements of a set may not. What
// is not IPv4 matches nothing.
func blockMatch(side string, b *netv1.IPBlock) string {
	cidr, err := netip.ParsePrefix(b.CIDR)
	if err != nil || !cidr.Addr().Is4() {
		return ""
	}
	match := fmt.Sprintf("ip %s %s", side, cidr.Masked())
	for _, text := range b.Except {
		if except, err := netip.ParsePrefix(text); err == nil && except.Addr().Is4() {
			match += fmt.Sprintf(" ip %s != %s", side, except.Masked())
		}
	}
	return match
}

// portMatches matches a policy's port; a named one matches the numbers that
// the target pods give it, each with its pod's address.
func portMatches(p netv1.NetworkPolicyPort, targets []endpoint) []string {
	proto := "tcp"
	if p.Protocol != nil {
		proto = strings.ToLower(string(*p.Protocol))
	}
	switch {
	case p.Port == nil:
		return []string{"meta l4proto " + proto}
	case p.Port.Type == intstr.Int && p.EndPort != nil:
		return []string{fmt.Sprintf("%s dport %d-%d", proto, p.Port.IntVal, *p.EndPort)}
	case p.Port.Type == intstr.Int:
		return []string{fmt.Sprintf("%s dport %d", proto, p.Port.IntVal)}
	}
	var out []string
	for _, e := range targets {
		for _, number := range namedPorts(e.pod, p.Port.StrVal, proto) {
			out = append(out, fmt.Sprintf("ip daddr %s %s dport %d", e.ip, proto, number))
		}
	}
	return out
}

// namedPorts returns the numbers of a pod's ports with that name and protocol,
// those of its sidecars included.
func namedPorts(p *corev1.Pod, name, proto string) []int32 {
	if p == nil {
		return nil
	}
	var out []int32
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		for _, port := range c.Ports {
			if port.Name == name && strings.EqualFold(cmp.Or(string(port.Protocol), "TCP"), proto) {
				out = append(out, port.ContainerPort)
			}
		}
	}
	return out
}

// selects says whether a selector matches; one that cannot be read matches
// nothing, so that a mistake never opens a door.
func selects(s *metav1.LabelSelector, set labels.Set) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(set)
}
