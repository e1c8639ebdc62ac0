package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// LinkConfig says how the provider and its workloads reach each other, for links to other groups.
type LinkConfig struct {
	Enabled bool
	// Address is where pods reach the provider and where it reaches them from; not valid: the provider's address on the
	// way to the nodes.
	Address netip.Addr
	// Namespace and PodLabels select the provider's own pods, where it runs in the cluster and policies by address do not
	// hold for pods; an empty namespace makes policies name the address.
	Namespace string
	PodLabels map[string]string
}

var _ cluster.Linker = (*Cluster)(nil)

// linkMemory is what the driver knows of the links of leases.
type linkMemory struct {
	mu      sync.Mutex
	byLease map[string][]cluster.Link // by namespace
	address netip.Addr
}

func (m *linkMemory) of(ns string) (links []cluster.Link, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	links, known = m.byLease[ns]
	return links, known
}

// set tells whether anything changed.
func (m *linkMemory) set(ns string, links []cluster.Link) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, known := m.byLease[ns]
	if known && reflect.DeepEqual(old, links) {
		return false
	}
	if m.byLease == nil {
		m.byLease = map[string][]cluster.Link{}
	}
	m.byLease[ns] = links
	return true
}

// LinkAddress implements cluster.Linker.
func (c *Cluster) LinkAddress(ctx context.Context) (netip.Addr, error) {
	if !c.cfg.Link.Enabled {
		return netip.Addr{}, errors.New("kube: links are not enabled")
	}
	if a, ok := c.knownLinkAddress(); ok {
		return a, nil
	}
	nodes, err := c.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("kube: list nodes: %w", err)
	}
	return c.findLinkAddress(nodes.Items)
}

func (c *Cluster) knownLinkAddress() (netip.Addr, bool) {
	if a := c.cfg.Link.Address; a.IsValid() {
		return a, true
	}
	c.links.mu.Lock()
	defer c.links.mu.Unlock()
	return c.links.address, c.links.address.IsValid()
}

// findLinkAddress finds the address that this process would send from to the nodes, and by them to pods. It sends
// nothing. Found once, the address stays: policies and endpoints hold it.
func (c *Cluster) findLinkAddress(nodes []corev1.Node) (netip.Addr, error) {
	if a, ok := c.knownLinkAddress(); ok {
		return a, nil
	}
	for _, n := range nodes {
		for _, a := range n.Status.Addresses {
			if a.Type != corev1.NodeInternalIP {
				continue
			}
			local, ok := sourceTo(a.Address)
			if !ok || local.IsLoopback() {
				continue
			}
			c.links.mu.Lock()
			defer c.links.mu.Unlock()
			c.links.address = local
			return local, nil
		}
	}
	return netip.Addr{}, errors.New("kube: no address of this machine leads to the cluster's nodes: set link.address to where pods reach the provider")
}

func sourceTo(address string) (netip.Addr, bool) {
	conn, err := net.Dial("udp", net.JoinHostPort(address, "9"))
	if err != nil {
		return netip.Addr{}, false
	}
	defer conn.Close()
	a, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return a.AddrPort().Addr().Unmap().WithZone(""), true
}

// linkPeers are where the provider's links are, as policies name it, and the address as a range; none without links.
func (c *Cluster) linkPeers(nodes []corev1.Node) (peers []networkingv1.NetworkPolicyPeer, ranges []string) {
	if !c.cfg.Link.Enabled {
		return nil, nil
	}
	a, err := c.findLinkAddress(nodes)
	if err != nil {
		c.cfg.Logger.Warn("links to other groups are off", "err", err)
		return nil, nil
	}
	host := netip.PrefixFrom(a, a.BitLen()).String()
	if c.cfg.Link.Namespace != "" {
		return []networkingv1.NetworkPolicyPeer{{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{namespaceLabel: c.cfg.Link.Namespace}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: c.cfg.Link.PodLabels},
		}}, []string{host}
	}
	return []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: host}}}, []string{host}
}

// SetLinks implements cluster.Linker.
func (c *Cluster) SetLinks(ctx context.Context, id markettypes.LeaseID, links []cluster.Link) error {
	ns := namespaceOf(id)
	kept := make([]cluster.Link, 0, len(links))
	for _, l := range links {
		l.Clients = slices.Clone(l.Clients)
		kept = append(kept, l)
	}
	if !c.links.set(ns, kept) {
		return nil
	}
	if err := c.reconcile(ctx, ns); err != nil {
		return fmt.Errorf("kube: links of %s: %w", id, err)
	}
	return nil
}

// ForgetLinks implements cluster.Linker.
func (c *Cluster) ForgetLinks(id markettypes.LeaseID) {
	c.links.mu.Lock()
	defer c.links.mu.Unlock()
	delete(c.links.byLease, namespaceOf(id))
}

// Instances implements cluster.Linker.
func (c *Cluster) Instances(ctx context.Context, id markettypes.LeaseID, service string, port uint32, udp bool) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pods, err := c.podsOf(ctx, namespaceOf(id))
	if err != nil {
		return nil, fmt.Errorf("kube: instances of %s of %s: %w", service, id, err)
	}
	var out []netip.AddrPort
	for _, p := range pods {
		if p.Labels[labelService] != service || p.DeletionTimestamp != nil || terminal(p) || !podReady(p) {
			continue
		}
		if a, err := netip.ParseAddr(p.Status.PodIP); err == nil {
			out = append(out, netip.AddrPortFrom(a.Unmap(), uint16(port)))
		}
	}
	return out, nil
}

// podsOf are the pods of a lease: from the watched cache, as long as the API server answers.
func (c *Cluster) podsOf(ctx context.Context, ns string) ([]*corev1.Pod, error) {
	if w := c.cache.current.Load(); w != nil && w.pods.HasSynced() {
		if err := c.checkContact(ctx); err != nil {
			return nil, err
		}
		all, err := w.pods.GetIndexer().ByIndex(toolscache.NamespaceIndex, ns)
		if err != nil {
			return nil, fmt.Errorf("look up pods: %w", err)
		}
		out := make([]*corev1.Pod, 0, len(all))
		for _, o := range all {
			if p, ok := o.(*corev1.Pod); ok && p.Labels[labelProvider] == labelValue(c.cfg.Provider) {
				out = append(out, p)
			}
		}
		return out, nil
	}
	return c.listPods(ctx, ns)
}

func (c *Cluster) listPods(ctx context.Context, ns string) ([]*corev1.Pod, error) {
	list, err := c.typed.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels()})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return pointers(list.Items), nil
}

// Client implements cluster.Linker. A pod may be older than the last look at the pods, so that an address that is not
// known is looked up once more.
func (c *Cluster) Client(ctx context.Context, id markettypes.LeaseID, from netip.Addr) (string, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ns, from := namespaceOf(id), from.Unmap()
	for _, look := range []func(context.Context, string) ([]*corev1.Pod, error){c.podsOf, c.listPods} {
		pods, err := look(ctx, ns)
		if err != nil {
			return "", false, fmt.Errorf("kube: whose address is %s: %w", from, err)
		}
		for _, p := range pods {
			if a, err := netip.ParseAddr(p.Status.PodIP); err == nil && a.Unmap() == from && !terminal(p) {
				return p.Labels[labelService], true, nil
			}
		}
		// Pods whose addresses a node replaces by its own are told apart by policies alone.
		if node, err := c.isNode(ctx, from); err != nil || node {
			return "", node, err
		}
	}
	return "", false, nil
}

func (c *Cluster) isNode(ctx context.Context, from netip.Addr) (bool, error) {
	s, err := c.settings(ctx)
	if err != nil {
		return false, fmt.Errorf("kube: whose address is %s: %w", from, err)
	}
	return slices.Contains(s.NodeAddresses, from), nil
}

// nodeAddresses are the addresses of nodes, at which pods' connections may seem to come from.
func nodeAddresses(nodes []corev1.Node) []netip.Addr {
	var out []netip.Addr
	for _, n := range nodes {
		for _, a := range n.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); err == nil {
				out = append(out, ip.Unmap())
			}
		}
	}
	return out
}

// enqueueLinked asks for a look at a lease when one of its services that it could also reach elsewhere gets its first
// ready instance or loses its last.
func (c *Cluster) enqueueLinked(queue workqueue.TypedDelayingInterface[string]) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{UpdateFunc: func(old, now any) {
		a, okA := old.(*appsv1.Deployment)
		b, okB := now.(*appsv1.Deployment)
		if !okA || !okB || (a.Status.ReadyReplicas > 0) == (b.Status.ReadyReplicas > 0) {
			return
		}
		links, _ := c.links.of(b.Namespace)
		if slices.ContainsFunc(links, func(l cluster.Link) bool { return l.Service == b.Labels[labelService] }) {
			queue.Add(b.Namespace)
		}
	}}
}
