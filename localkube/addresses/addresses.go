// Package addresses gives Services of type LoadBalancer an address of a pool
// whose packets the host sends to the only node.
package addresses

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Share is the annotation by whose equal values Services of one namespace get
// one address, as far as their ports differ.
const Share = "localkube.berth.dev/share"

// again is how long after a failure everything is looked at anew.
const again = time.Second

// Config says which addresses there are.
type Config struct {
	Client kubernetes.Interface
	// Pool is all addresses that can be given.
	Pool netip.Prefix
	Log  *slog.Logger
}

// port is what two Services cannot both have at one address.
type port struct {
	address  netip.Addr
	protocol corev1.Protocol
	number   int32
}

// giver is one pass over all Services.
type giver struct {
	pool    netip.Prefix
	sharers map[netip.Addr]string
	ports   map[port]bool
	given   map[types.NamespacedName]netip.Addr
}

// Assign decides which address each Service of type LoadBalancer has. One that
// has an address of the pool keeps it; the others get one in the order of their
// creation, or none if all are taken.
func Assign(pool netip.Prefix, services []*corev1.Service) map[types.NamespacedName]netip.Addr {
	g := giver{pool: pool, sharers: map[netip.Addr]string{}, ports: map[port]bool{}, given: map[types.NamespacedName]netip.Addr{}}
	var waiting []*corev1.Service
	for _, s := range sorted(services) {
		if at, ok := present(s); !ok || !pool.Contains(at) || !g.give(s, at) {
			waiting = append(waiting, s)
		}
	}
	for _, s := range waiting {
		g.find(s)
	}
	return g.given
}

// sorted are the Services that want an address, by creation and name.
func sorted(services []*corev1.Service) []*corev1.Service {
	var out []*corev1.Service
	for _, s := range services {
		if s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.LoadBalancerClass == nil && s.DeletionTimestamp == nil {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// present is the address that a Service has.
func present(s *corev1.Service) (netip.Addr, bool) {
	if len(s.Status.LoadBalancer.Ingress) == 0 {
		return netip.Addr{}, false
	}
	at, err := netip.ParseAddr(s.Status.LoadBalancer.Ingress[0].IP)
	return at, err == nil
}

// sharer is what Services with one address have in common.
func sharer(s *corev1.Service) string {
	if key := s.Annotations[Share]; key != "" {
		return s.Namespace + "/*/" + key
	}
	return s.Namespace + "/" + s.Name
}

// give gives an address to a Service, unless another has it.
func (g *giver) give(s *corev1.Service, at netip.Addr) bool {
	who := sharer(s)
	if has, taken := g.sharers[at]; taken && has != who {
		return false
	}
	for _, p := range s.Spec.Ports {
		if g.ports[port{at, p.Protocol, p.Port}] {
			return false
		}
	}
	for _, p := range s.Spec.Ports {
		g.ports[port{at, p.Protocol, p.Port}] = true
	}
	g.sharers[at] = who
	g.given[types.NamespacedName{Namespace: s.Namespace, Name: s.Name}] = at
	return true
}

// find gives a Service the address that it may share, or else the first one
// that is free.
func (g *giver) find(s *corev1.Service) {
	for _, free := range []bool{false, true} {
		for at := g.pool.Masked().Addr(); g.pool.Contains(at); at = at.Next() {
			if _, taken := g.sharers[at]; taken != free && g.give(s, at) {
				return
			}
		}
	}
}

// Run gives addresses until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	awaitRights(ctx, cfg.Client)
	factory := informers.NewSharedInformerFactory(cfg.Client, 0)
	services := factory.Core().V1().Services()
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	_, err := services.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { poke() }, UpdateFunc: func(any, any) { poke() }, DeleteFunc: func(any) { poke() },
	})
	if err != nil {
		return fmt.Errorf("watch services: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	factory.WaitForCacheSync(ctx.Done())
	poke()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		all, err := services.Lister().List(labels.Everything())
		if err == nil {
			err = cfg.sync(ctx, all)
		}
		if err != nil && ctx.Err() == nil {
			cfg.Log.Warn("addresses are not as they should be; trying again", "err", err)
			time.AfterFunc(again, poke)
		}
	}
}

// sync tells Services the addresses that they do not have yet.
func (cfg Config) sync(ctx context.Context, services []*corev1.Service) error {
	given := Assign(cfg.Pool, services)
	var errs []error
	for _, s := range services {
		at, ok := given[types.NamespacedName{Namespace: s.Namespace, Name: s.Name}]
		if has, there := present(s); !ok || there && has == at {
			continue
		}
		next := s.DeepCopy()
		mode := corev1.LoadBalancerIPModeVIP
		next.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: at.String(), IPMode: &mode}}
		if _, err := cfg.Client.CoreV1().Services(s.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
			errs = append(errs, fmt.Errorf("give %s/%s the address %s: %w", s.Namespace, s.Name, at, err))
		}
	}
	return errors.Join(errs...)
}

// awaitRights returns when the API server lets us read: in a new cluster our
// rights come a moment after us.
func awaitRights(ctx context.Context, client kubernetes.Interface) {
	for ctx.Err() == nil {
		if _, err := client.CoreV1().Services("").List(ctx, metav1.ListOptions{Limit: 1}); err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}
