package kube

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// discoveryAge is how long what was learned of the cluster is taken for true.
const discoveryAge = time.Minute

var gateways = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}

// discovered is what was last learned of the cluster.
type discovered struct {
	mu       sync.Mutex
	at       time.Time
	settings settings
	// routes is decided once: a Gateway that is away for a moment must not turn routes into Ingress objects.
	routes *routing
	// metrics stays true once they were found.
	metrics bool
	// onHost are the pods with ports on the host that were last seen in a namespace of the ingress controller.
	onHost map[string][]entry
	// able is what was last learned of what routes can do; nil before.
	able atomic.Pointer[routeAbilities]
}

// routing is how hosts are led to services.
type routing struct {
	mode                          RouteMode // empty: the cluster has neither
	gatewayName, gatewayNamespace string
}

// settings returns the settings for rendering: the configuration with what is learned of the cluster.
func (c *Cluster) settings(ctx context.Context) (settings, error) {
	c.env.mu.Lock()
	defer c.env.mu.Unlock()
	if !c.env.at.IsZero() && c.now().Sub(c.env.at) < discoveryAge {
		return c.env.settings, nil
	}
	s, err := c.discover(ctx)
	if err != nil {
		return settings{}, fmt.Errorf("learn about the cluster: %w", err)
	}
	c.env.settings, c.env.at = s, c.now()
	return s, nil
}

func (c *Cluster) discover(ctx context.Context) (settings, error) {
	cfg := c.cfg
	s := settings{
		Domain: cfg.Domain, IngressClass: cfg.IngressClass, IngressNamespaces: cfg.IngressNamespaces, IngressCIDRs: cfg.IngressCIDRs,
		DNSNamespace: cfg.DNSNamespace, DNSLabels: cfg.DNSLabels, DNSCIDRs: cfg.DNSCIDRs, ImageUsers: cfg.ImageUsers,
		RuntimeClass: cfg.RuntimeClass, GPUs: cfg.gpuKinds(), DeviceClass: cfg.DeviceClass, DrainSeconds: cfg.DrainSeconds,
		Overcommit:    cfg.Overcommit,
		HTTPSRedirect: cfg.HTTPSRedirect, HTTPSPort: cfg.HTTPSPort, MaxBody: cfg.MaxBody, MaxTimeout: cfg.MaxTimeout, LeasedIPs: cfg.LeasedIPs,
	}
	r, err := c.routing(ctx)
	if err != nil {
		return s, err
	}
	s.Routes, s.GatewayName, s.GatewayNamespace = r.mode, r.gatewayName, r.gatewayNamespace
	if s.Able, err = c.routeAbilities(ctx, r); err != nil {
		return s, err
	}
	c.env.able.Store(&s.Able)
	if s.Routes == RouteGateway && len(s.IngressNamespaces) == 0 {
		s.IngressNamespaces = []string{s.GatewayNamespace}
	}
	if s.Routes == RouteIngress && len(s.IngressNamespaces)+len(s.IngressCIDRs) == 0 {
		return s, errors.New("routes are Ingress objects: the configuration must name the namespaces or addresses of the ingress controller")
	}
	if s.Entries, err = c.entries(ctx, s.IngressNamespaces); err != nil {
		return s, err
	}
	if s.Metrics, err = c.haveMetrics(); err != nil {
		return s, err
	}
	nodes, err := c.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return s, fmt.Errorf("list nodes: %w", err)
	}
	s.UserNamespaces = cfg.UserNamespaces == UserNamespacesOn ||
		cfg.UserNamespaces == UserNamespacesAuto && haveUserNamespaces(nodes.Items)
	s.Devices, s.Archs = devicesOf(nodes.Items, s.GPUs, cfg.DeviceClass), archsOf(nodes.Items)
	if s.Overheads, err = c.overheads(ctx); err != nil {
		return s, err
	}
	if s.StorageClasses, err = c.storageClasses(ctx); err != nil {
		return s, err
	}
	if s.DenyCIDRs, s.IPv6, err = c.clusterRanges(ctx, nodes.Items); err != nil {
		return s, err
	}
	var own []string
	s.NodeAddresses = nodeAddresses(nodes.Items)
	s.Link.Peers, own = c.linkPeers(nodes.Items)
	s.DenyCIDRs = append(s.DenyCIDRs, own...)
	slices.Sort(s.DenyCIDRs)
	s.DenyCIDRs = slices.Compact(s.DenyCIDRs)
	return s, nil
}

// haveMetrics tells whether the cluster tells what pods use. Metrics that are out of order for a moment are there.
func (c *Cluster) haveMetrics() (bool, error) {
	_, err := c.typed.Discovery().ServerResourcesForGroupVersion(metricsAPI)
	switch {
	case err == nil || apierrors.IsServiceUnavailable(err):
		c.env.metrics = true
	case !apierrors.IsNotFound(err):
		return false, fmt.Errorf("look for resource metrics: %w", err)
	}
	return c.env.metrics, nil
}

// metricsAPI is where clusters tell what pods use.
const metricsAPI = "metrics.k8s.io/v1beta1"

// haveUserNamespaces tells whether the container runtimes of all nodes that take workloads say that they can map users.
func haveUserNamespaces(nodes []corev1.Node) bool {
	found := false
	for i := range nodes {
		if !schedulable(&nodes[i]) {
			continue
		}
		able := slices.ContainsFunc(nodes[i].Status.RuntimeHandlers, func(h corev1.NodeRuntimeHandler) bool {
			return h.Features != nil && h.Features.UserNamespaces != nil && *h.Features.UserNamespaces
		})
		if !able {
			return false
		}
		found = true
	}
	return found
}

// archsOf are the architectures of all nodes, whether or not these are ready.
func archsOf(nodes []corev1.Node) []string {
	var out []string
	for i := range nodes {
		if arch := nodes[i].Labels[labelArch]; arch != "" {
			out = append(out, arch)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// overheads reads what the configured runtime classes take for each pod; one that the cluster lacks is left out.
func (c *Cluster) overheads(ctx context.Context) (map[string]usage, error) {
	out := map[string]usage{}
	for _, name := range c.cfg.runtimeClasses() {
		class, err := c.typed.NodeV1().RuntimeClasses().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read runtime class %s: %w", name, err)
		}
		out[name] = usage{}
		if class.Overhead != nil {
			out[name] = c.accounting().amounts(class.Overhead.PodFixed)
		}
	}
	return out, nil
}

// runtimeClasses are the names of the runtime classes that instances may run with.
func (c Config) runtimeClasses() []string {
	out := []string{c.RuntimeClass}
	for _, g := range c.GPUs {
		out = append(out, g.RuntimeClass)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(s string) bool { return s == "" })
}

// storageClasses are the configured classes that the cluster has.
func (c *Cluster) storageClasses(ctx context.Context) (map[string]storageClass, error) {
	out := map[string]storageClass{}
	if len(c.cfg.StorageClasses) == 0 {
		return out, nil
	}
	all, err := c.typed.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list storage classes: %w", err)
	}
	for class, s := range c.cfg.StorageClasses {
		for i := range all.Items {
			if all.Items[i].Name == s.Name {
				grows := all.Items[i].AllowVolumeExpansion
				out[class] = storageClass{Name: s.Name, Grows: grows != nil && *grows}
			}
		}
	}
	return out, nil
}

// routing decides once how hosts are led to services.
func (c *Cluster) routing(ctx context.Context) (routing, error) {
	if c.env.routes != nil {
		return *c.env.routes, nil
	}
	r, err := c.findRouting(ctx)
	if err == nil && r.mode != "" {
		c.env.routes = &r
	}
	return r, err
}

func (c *Cluster) findRouting(ctx context.Context) (routing, error) {
	cfg := c.cfg
	if cfg.RouteMode == RouteIngress {
		return routing{mode: RouteIngress}, nil
	}
	if cfg.GatewayName != "" && cfg.RouteMode == RouteGateway {
		return routing{RouteGateway, cfg.GatewayName, cfg.GatewayNamespace}, nil
	}
	gw, err := c.findGateway(ctx)
	if err != nil {
		return routing{}, err
	}
	if gw != nil {
		return routing{RouteGateway, gw.GetName(), gw.GetNamespace()}, nil
	}
	if cfg.RouteMode == RouteGateway {
		return routing{}, errors.New("the cluster has no Gateway with an HTTP listener")
	}
	classes, err := c.typed.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return routing{}, fmt.Errorf("list ingress classes: %w", err)
	}
	if len(classes.Items) > 0 || cfg.IngressClass != "" {
		return routing{mode: RouteIngress}, nil
	}
	return routing{}, nil
}

// findGateway returns the configured Gateway or else the first one with an HTTP listener; nil if there is none.
func (c *Cluster) findGateway(ctx context.Context) (*unstructured.Unstructured, error) {
	all, err := c.dynamic.Resource(gateways).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list gateways: %w", err)
	}
	slices.SortFunc(all.Items, func(a, b unstructured.Unstructured) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
	})
	for i := range all.Items {
		gw := &all.Items[i]
		if c.cfg.GatewayName != "" {
			if gw.GetName() == c.cfg.GatewayName && gw.GetNamespace() == c.cfg.GatewayNamespace {
				return gw, nil
			}
			continue
		}
		if hasHTTPListener(gw) {
			return gw, nil
		}
	}
	if c.cfg.GatewayName != "" {
		return nil, fmt.Errorf("the cluster has no Gateway %s/%s", c.cfg.GatewayNamespace, c.cfg.GatewayName)
	}
	return nil, nil
}

func hasHTTPListener(gw *unstructured.Unstructured) bool {
	listeners, _, _ := unstructured.NestedSlice(gw.Object, "spec", "listeners")
	return slices.ContainsFunc(listeners, func(l any) bool {
		m, ok := l.(map[string]any)
		return ok && m["protocol"] == "HTTP"
	})
}

// clusterRanges are the addresses of nodes, pods, services and the API server, and the configured ones: workloads may
// not reach any of them as "the internet". ipv6 tells whether pods or services have IPv6 addresses.
func (c *Cluster) clusterRanges(ctx context.Context, nodes []corev1.Node) (ranges []string, ipv6 bool, err error) {
	services, err := c.serviceRanges(ctx)
	if err != nil {
		return nil, false, err
	}
	inside := services
	out := slices.Clone(c.cfg.DenyCIDRs)
	for _, n := range nodes {
		inside = append(inside, n.Spec.PodCIDRs...)
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP || a.Type == corev1.NodeExternalIP {
				out = appendHost(out, a.Address)
			}
		}
	}
	endpoints, err := c.typed.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=kubernetes",
	})
	if err != nil {
		return nil, false, fmt.Errorf("list the addresses of the API server: %w", err)
	}
	for _, es := range endpoints.Items {
		for _, e := range es.Endpoints {
			for _, a := range e.Addresses {
				out = appendHost(out, a)
			}
		}
	}
	out = append(out, inside...)
	slices.Sort(out)
	return slices.Compact(out), slices.ContainsFunc(inside, isIPv6), nil
}

// serviceRanges are the ranges of Services. A cluster that does not tell them is older than the API: its range has to
// be configured if it is not private.
func (c *Cluster) serviceRanges(ctx context.Context) ([]string, error) {
	all, err := c.typed.NetworkingV1().ServiceCIDRs().List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the ranges of services: %w", err)
	}
	var out []string
	for _, sc := range all.Items {
		out = append(out, sc.Spec.CIDRs...)
	}
	return out, nil
}

func isIPv6(cidr string) bool {
	p, err := netip.ParsePrefix(cidr)
	return err == nil && p.Addr().Is6()
}

func appendHost(cidrs []string, address string) []string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return cidrs
	}
	a = a.Unmap()
	return append(cidrs, netip.PrefixFrom(a, a.BitLen()).String())
}
