package kube

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/doctor"
)

func (l *look) networkChecks() []doctor.Check {
	return []doctor.Check{
		{Name: "network-policy", What: "a NetworkPolicy enforcer keeps leases apart (probe)", Limit: probeLimit, Grace: probeCleanup, Run: l.checkPolicies,
			Mend: "install a network that enforces NetworkPolicy, such as Cilium or Calico"},
		{Name: "isolation", What: "a lease reaches neither the API server nor a kubelet nor the metadata service (probe)", Limit: probeLimit, Grace: probeCleanup, Run: l.checkIsolation,
			Mend: "install a network that enforces NetworkPolicy for addresses of nodes too, and add missing ranges to cluster.deny_cidrs in provider.yaml"},
		{Name: "dns", What: "a lease's names are answered for (probe)", Limit: probeLimit, Grace: probeCleanup, Run: l.checkNames,
			Mend: "let the cluster's name server run in kube-system with the label k8s-app=kube-dns, or set cluster.dns_cidrs in provider.yaml"},
		{Name: "dns-pods", What: "the pods that answer names are found by their labels and ready", Run: l.checkDNSPods,
			Mend: "kubectl -n kube-system get pods -l k8s-app=kube-dns; label them so, or set cluster.dns_cidrs in provider.yaml"},
		{Name: "ranges", What: "the addresses of pods and Services are closed to leases as part of the internet", Run: l.checkRanges,
			Mend: "add the ranges to cluster.deny_cidrs in provider.yaml"},
		{Name: "node-ports", What: "the cluster has as many ports for tcp and udp as are sold (probe)", Limit: probeLimit, Grace: probeCleanup, Run: l.checkNodePorts,
			Mend: "start the API server with --service-node-port-range=30000-32767"},
		{Name: "node-host", What: "the host of forwarded ports is known to name servers", Run: l.checkNodeHost,
			Mend: "make a record for it, or set cluster.node_host in provider.yaml to an address of a node"},
	}
}

func (l *look) routeChecks() []doctor.Check {
	return []doctor.Check{
		{Name: "routes", What: "hosts can be led to services, by the Gateway API or by Ingress", Run: l.checkRoutes,
			Mend: "install a Gateway controller or an ingress controller, and set cluster.route_mode and cluster.ingress_namespaces in provider.yaml"},
		{Name: "gateway", What: "the Gateway is programmed and takes routes of all namespaces", Run: l.checkGateway,
			Mend: "kubectl -n NAMESPACE edit gateway NAME: set allowedRoutes.namespaces.from: All on its listeners"},
		{Name: "tls-routes", What: "https is passed through by server name: TLSRoute is served and the Gateway has a listener for it", Run: l.checkTLSRoutes,
			Mend: "install the Gateway API with TLSRoute, and add a listener with protocol TLS and tls.mode Passthrough to the Gateway"},
		{Name: "ingress-class", What: "the class of Ingress objects exists", Run: l.checkIngressClass,
			Mend: "set cluster.ingress_class in provider.yaml: kubectl get ingressclasses"},
		{Name: "ingress-peers", What: "the pods or addresses that http comes from are known", Run: l.checkIngressPeers,
			Mend: "set cluster.ingress_namespaces or cluster.ingress_cidrs in provider.yaml"},
		{Name: "wildcard-dns", What: "every name below the domain leads to the entry of http", Run: l.checkWildcard,
			Mend: "make a record *.DOMAIN that leads to the address of the Gateway or the ingress controller"},
		{Name: "ingress", What: "the entry of http answers", Run: l.checkEntry,
			Mend: "open the port of the entry to the world: set cluster.ingress_port in provider.yaml if it is not 80"},
	}
}

func (l *look) checkDNSPods(ctx context.Context) doctor.Finding {
	if len(l.cfg.DNSCIDRs) > 0 {
		return doctor.Okf("names are answered for from %s", brief(l.cfg.DNSCIDRs))
	}
	pods, err := l.pods(ctx)
	if err != nil {
		return unread("the pods", err)
	}
	found, ready := 0, 0
	for i := range pods {
		if p := &pods[i]; p.Namespace == l.cfg.DNSNamespace && has(p.Labels, l.cfg.DNSLabels) {
			if found++; podReady(p) {
				ready++
			}
		}
	}
	switch {
	case found == 0:
		return doctor.Failf("no pod in %s has the labels %v", l.cfg.DNSNamespace, l.cfg.DNSLabels)
	case ready == 0:
		return doctor.Failf("none of %d pods is ready", found)
	}
	return doctor.Okf("%d of %d pods are ready", ready, found)
}

func has(labels, wanted map[string]string) bool {
	for k, v := range wanted {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// checkRanges looks at the addresses that pods and Services really have: they must be in what policies close.
func (l *look) checkRanges(ctx context.Context) doctor.Finding {
	s, err := l.settled(ctx)
	if err != nil {
		return unread("the cluster's ranges", err)
	}
	r := rendering{settings: s}
	var closed []netip.Prefix
	for _, cidr := range slices.Concat(r.closed(true), r.closed(false)) {
		if p, err := netip.ParsePrefix(cidr); err == nil {
			closed = append(closed, p)
		}
	}
	isOpen := func(address string) bool {
		a, err := netip.ParseAddr(address)
		return err == nil && !slices.ContainsFunc(closed, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	}
	pods, err := l.pods(ctx)
	if err != nil {
		return unread("the pods", err)
	}
	var open []string
	for _, p := range pods {
		for _, ip := range p.Status.PodIPs {
			if !p.Spec.HostNetwork && isOpen(ip.IP) {
				open = append(open, ip.IP)
			}
		}
	}
	services, err := l.typed.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return unread("the services", err)
	}
	for _, svc := range services.Items {
		for _, ip := range svc.Spec.ClusterIPs {
			if isOpen(ip) {
				open = append(open, ip)
			}
		}
	}
	if len(open) > 0 {
		slices.Sort(open)
		return doctor.Failf("leases may reach %s as if they were the internet", brief(slices.Compact(open)))
	}
	return doctor.Okf("all addresses of %d pods and %d services are closed", len(pods), len(services.Items))
}

// checkNodePorts compares what is sold with the range that the probe was told.
func (l *look) checkNodePorts(ctx context.Context) doctor.Finding {
	return l.probeFinding(ctx, func(r probeResult) doctor.Finding {
		services, err := l.allServices(ctx)
		if err != nil {
			return unread("the services", err)
		}
		foreign := l.accounting().foreignPorts(services)
		switch n := r.lastPort - r.firstPort + 1; {
		case r.lastPort == 0:
			return doctor.Warnf("the cluster does not tell its range")
		case n < l.cfg.NodePorts:
			return doctor.Failf("%d ports are sold, and the cluster has %d (%d-%d)", l.cfg.NodePorts, n, r.firstPort, r.lastPort)
		case foreign*10 > n*9:
			return doctor.Warnf("others hold %d of %d ports", foreign, n)
		default:
			return doctor.Okf("%d ports (%d-%d), of which others hold %d", n, r.firstPort, r.lastPort, foreign)
		}
	})
}

func (l *look) checkNodeHost(ctx context.Context) doctor.Finding {
	return l.resolves(ctx, l.cfg.NodeHost, doctor.Warn)
}

// resolves tells whether a host is an address, or a name that is answered for.
func (l *look) resolves(ctx context.Context, host string, otherwise doctor.Level) doctor.Finding {
	if _, err := netip.ParseAddr(host); err == nil {
		return doctor.Okf("%s is an address", host)
	}
	if local(host) {
		return doctor.Okf("%s is this machine wherever it is asked for", host)
	}
	addresses, err := l.lookup(ctx, host)
	if err != nil {
		f := doctor.Failf("%s is not found: %v", host, err)
		f.Level = otherwise
		return f
	}
	return doctor.Okf("%s is %s", host, brief(addresses))
}

// local tells whether a name stands for the machine that asks for it.
func local(host string) bool { return host == "localhost" || strings.HasSuffix(host, ".localhost") }

// lookup asks for the addresses of a host.
func (l *look) lookup(ctx context.Context, host string) ([]string, error) {
	return net.DefaultResolver.LookupHost(ctx, host)
}

func (l *look) checkRoutes(ctx context.Context) doctor.Finding {
	s, err := l.settled(ctx)
	switch {
	case err != nil:
		return unread("how hosts are led to services", err)
	case s.Routes == RouteGateway:
		return doctor.Okf("by the Gateway %s/%s", s.GatewayNamespace, s.GatewayName)
	case s.Routes == RouteIngress:
		return doctor.Okf("by Ingress objects of class %s", or(s.IngressClass, "default"))
	}
	return doctor.Failf("the cluster has neither a Gateway with a listener for http nor an ingress controller: http ports are refused")
}

// theGateway is the Gateway that routes are attached to; nil when they are not.
func (l *look) theGateway(ctx context.Context) (*unstructured.Unstructured, error) {
	s, err := l.settled(ctx)
	if err != nil || s.Routes != RouteGateway {
		return nil, err
	}
	return l.findGateway(ctx)
}

// listener is a listener of a Gateway.
type listener struct{ name, protocol, mode, from string }

func listenersOf(gw *unstructured.Unstructured) []listener {
	var out []listener
	all, _, _ := unstructured.NestedSlice(gw.Object, "spec", "listeners")
	for _, l := range all {
		m, ok := l.(map[string]any)
		if !ok {
			continue
		}
		at := func(path ...string) string {
			v, _, _ := unstructured.NestedString(m, path...)
			return v
		}
		out = append(out, listener{
			at("name"), at("protocol"), at("tls", "mode"), or(at("allowedRoutes", "namespaces", "from"), "Same"),
		})
	}
	return out
}

func (l *look) checkGateway(ctx context.Context) doctor.Finding {
	gw, err := l.theGateway(ctx)
	if err != nil {
		return unread("the Gateway", err)
	}
	if gw == nil {
		return doctor.Okf("not used")
	}
	name := gw.GetNamespace() + "/" + gw.GetName()
	http := slices.DeleteFunc(listenersOf(gw), func(l listener) bool { return l.protocol != "HTTP" })
	if len(http) == 0 {
		return doctor.Failf("Gateway %s has no listener for http", name)
	}
	if !slices.ContainsFunc(http, func(l listener) bool { return l.from != "Same" }) {
		return doctor.Failf("Gateway %s takes routes of its own namespace only", name)
	}
	conditions, _, _ := unstructured.NestedSlice(gw.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Programmed" && m["status"] == "True" {
			return doctor.Okf("%s is programmed", name)
		}
	}
	return doctor.Failf("Gateway %s is not programmed", name).By("kubectl -n %s describe gateway %s", gw.GetNamespace(), gw.GetName())
}

func (l *look) checkTLSRoutes(ctx context.Context) doctor.Finding {
	gw, err := l.theGateway(ctx)
	if err != nil {
		return unread("the Gateway", err)
	}
	if gw == nil {
		return doctor.Warnf("there is no Gateway: https ports get a port of the provider instead of a name")
	}
	served, err := l.served(ctx, "gateway.networking.k8s.io", "tlsroutes")
	switch {
	case err != nil:
		return unread("what the API server serves", err)
	case !served:
		return doctor.Warnf("TLSRoute is not served")
	case !slices.ContainsFunc(listenersOf(gw), func(l listener) bool { return l.protocol == "TLS" && l.mode == "Passthrough" }):
		return doctor.Warnf("Gateway %s/%s has no listener that passes TLS through", gw.GetNamespace(), gw.GetName())
	}
	return doctor.Okf("served, with a listener")
}

// served tells whether the API server serves a resource in any version.
func (l *look) served(ctx context.Context, group, resource string) (bool, error) {
	groups, err := l.typed.Discovery().ServerGroups()
	if err != nil {
		return false, err
	}
	for _, g := range groups.Groups {
		if g.Name != group {
			continue
		}
		for _, v := range g.Versions {
			gv := schema.GroupVersion{Group: group, Version: v.Version}
			all, err := l.typed.Discovery().ServerResourcesForGroupVersion(gv.String())
			if err != nil {
				return false, fmt.Errorf("%s: %w", gv, err)
			}
			if slices.ContainsFunc(all.APIResources, func(r metav1.APIResource) bool { return r.Name == resource }) {
				return true, nil
			}
		}
	}
	return false, ctx.Err()
}

func (l *look) checkIngressClass(ctx context.Context) doctor.Finding {
	s, err := l.settled(ctx)
	if err != nil {
		return unread("how hosts are led to services", err)
	}
	if s.Routes != RouteIngress {
		return doctor.Okf("not used")
	}
	all, err := l.typed.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return unread("the ingress classes", err)
	}
	for _, class := range all.Items {
		if class.Name == s.IngressClass || s.IngressClass == "" && class.Annotations["ingressclass.kubernetes.io/is-default-class"] == "true" {
			return doctor.Okf("%s", class.Name)
		}
	}
	if s.IngressClass == "" {
		return doctor.Failf("the cluster has no default class")
	}
	return doctor.Failf("there is no class %q", s.IngressClass)
}

func (l *look) checkIngressPeers(ctx context.Context) doctor.Finding {
	s, err := l.settled(ctx)
	if err != nil {
		return unread("how hosts are led to services", err)
	}
	if s.Routes == "" {
		return doctor.Okf("not used")
	}
	pods, err := l.pods(ctx)
	if err != nil {
		return unread("the pods", err)
	}
	for _, ns := range s.IngressNamespaces {
		inside := slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return p.Namespace != ns })
		if len(inside) == 0 && len(s.IngressCIDRs) == 0 {
			return doctor.Failf("namespace %s has no pods: http would come from elsewhere and be refused", ns)
		}
		onHost := func(p corev1.Pod) bool { return p.Spec.HostNetwork }
		if len(inside) > 0 && !slices.ContainsFunc(inside, func(p corev1.Pod) bool { return !onHost(p) }) && len(s.IngressCIDRs) == 0 {
			return doctor.Warnf("the pods of %s use the hosts' network, which policies do not select", ns).
				By("set cluster.ingress_cidrs in provider.yaml to the addresses that they connect from")
		}
	}
	return doctor.Okf("namespaces %v, addresses %v", s.IngressNamespaces, s.IngressCIDRs)
}

func (l *look) checkWildcard(ctx context.Context) doctor.Finding {
	host := probeName + "-" + rand.String(6) + "." + l.cfg.Domain
	f := l.resolves(ctx, host, doctor.Fail)
	gw, err := l.theGateway(ctx)
	if f.Level != doctor.OK || err != nil || gw == nil || local(host) {
		return f
	}
	addresses, err := l.lookup(ctx, host)
	if err != nil {
		return doctor.Failf("%s is not found: %v", host, err)
	}
	var entries []string
	all, _, _ := unstructured.NestedSlice(gw.Object, "status", "addresses")
	for _, a := range all {
		if m, ok := a.(map[string]any); ok {
			if v, ok := m["value"].(string); ok {
				entries = append(entries, v)
			}
		}
	}
	if len(entries) > 0 && !slices.ContainsFunc(entries, func(e string) bool { return slices.Contains(addresses, e) }) {
		return doctor.Warnf("%s is %s, and the Gateway's address is %s: is something in between?", host, brief(addresses), brief(entries))
	}
	return f
}

// checkEntry asks for a host that no lease has: any answer by http will do.
func (l *look) checkEntry(ctx context.Context) doctor.Finding {
	s, err := l.settled(ctx)
	if err != nil {
		return unread("how hosts are led to services", err)
	}
	if s.Routes == "" {
		return doctor.Okf("not used")
	}
	url := cluster.URL(probeName+"-"+rand.String(6)+"."+l.cfg.Domain, l.cfg.IngressPort)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return doctor.Failf("%v", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return doctor.Warnf("no answer from here: %v", err)
	}
	if err := res.Body.Close(); err != nil {
		return doctor.Warnf("the answer broke off: %v", err)
	}
	return doctor.Okf("%s answers %s", url, res.Status)
}
