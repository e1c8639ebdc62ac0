package netpol

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	netv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	netlisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
)

const (
	// settle is how long the loop waits for changes that come together.
	settle = 20 * time.Millisecond
	// retry is how long it waits after the packet filter refused a script.
	retry = time.Second
	// catchUp is how long a new pod may wait until we have seen what the API
	// server holds. The kubelet tries again after a failure, but only after
	// ten seconds: waiting is better.
	catchUp = 15 * time.Second
	// ask is how often we try to read before we may.
	ask = 50 * time.Millisecond
)

// Config configures an enforcer.
type Config struct {
	Client kubernetes.Interface
	// PodNetwork is the network from which pods get their addresses.
	PodNetwork netip.Prefix
	// Socket is where the network plugin tells of pods.
	Socket string
	// Apply gives a script to the packet filter; nil means nft(8).
	Apply func(ctx context.Context, script string) error
	Log   *slog.Logger
}

// assignment tells the loop which address a pod holds from now on, and is
// answered when the rules hold.
type assignment struct {
	pod types.NamespacedName
	ip  netip.Addr
	// gone is set when the pod has given the address up.
	gone bool
	done chan error
}

// Enforcer keeps the packet filter's rules those of the cluster.
type Enforcer struct {
	cfg        Config
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   netlisters.NetworkPolicyLister

	// ready is closed when the listers know the cluster.
	ready       chan struct{}
	changed     chan struct{}
	assignments chan assignment
	// assigned and applied belong to the loop.
	assigned map[types.NamespacedName]netip.Addr
	applied  string
}

// Run enforces policies until ctx ends. The rules stay in force afterwards.
// Pods that start before it knows the cluster wait for it.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Apply == nil {
		cfg.Apply = nft
	}
	e := &Enforcer{
		cfg: cfg, changed: make(chan struct{}, 1), assignments: make(chan assignment), assigned: map[types.NamespacedName]netip.Addr{},
		ready: make(chan struct{}),
	}
	listener, err := listen(ctx, cfg.Socket)
	if err != nil {
		return err
	}
	var served sync.WaitGroup
	served.Go(func() { e.serve(ctx, listener) })
	defer served.Wait()
	defer listener.Close()

	factory := informers.NewSharedInformerFactory(cfg.Client, 0)
	if err := e.watch(ctx, factory); err != nil {
		return err
	}
	defer factory.Shutdown()
	close(e.ready)
	e.loop(ctx)
	return nil
}

// watch returns when the whole cluster is known.
func (e *Enforcer) watch(ctx context.Context, factory informers.SharedInformerFactory) error {
	pods, namespaces, policies := factory.Core().V1().Pods(), factory.Core().V1().Namespaces(), factory.Networking().V1().NetworkPolicies()
	e.pods, e.namespaces, e.policies = pods.Lister(), namespaces.Lister(), policies.Lister()
	poke := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { e.poke() }, UpdateFunc: func(any, any) { e.poke() }, DeleteFunc: func(any) { e.poke() },
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(poke); err != nil {
			return fmt.Errorf("watch the cluster: %w", err)
		}
	}
	e.awaitRights(ctx)
	factory.Start(ctx.Done())
	for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("watch the cluster: %s: %w", kind, ctx.Err())
		}
	}
	return nil
}

// awaitRights returns when the API server lets us read. In a new cluster our
// rights come a moment after us, and informers that are refused once wait
// ever longer.
func (e *Enforcer) awaitRights(ctx context.Context) {
	for ctx.Err() == nil {
		_, err := e.cfg.Client.NetworkingV1().NetworkPolicies("").List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil {
			return
		}
		wait(ctx, ask)
	}
}

func listen(ctx context.Context, socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen for the network plugin: %w", err)
	}
	return l, os.Chmod(socket, 0o600)
}

func (e *Enforcer) poke() {
	select {
	case e.changed <- struct{}{}:
	default: // a look at everything is due already
	}
}

// loop is the only one that changes rules. A pod that waits for its network is
// served at once; other changes may come in numbers and are taken together.
func (e *Enforcer) loop(ctx context.Context) {
	e.poke()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-e.assignments:
			e.take(a)
			a.done <- e.sync(ctx)
		case <-e.changed:
			wait(ctx, settle)
			if err := e.sync(ctx); err != nil {
				e.cfg.Log.Error("the rules are out of date", "error", err)
				time.AfterFunc(retry, e.poke)
			}
		}
	}
}

// take notes an assignment. A pod whose sandbox was made anew may have got its
// new address before it gives the old one up: only what it holds is forgotten.
func (e *Enforcer) take(a assignment) {
	switch {
	case !a.gone:
		e.assigned[a.pod] = a.ip
	case !a.ip.IsValid() || e.assigned[a.pod] == a.ip:
		delete(e.assigned, a.pod)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// sync makes the rules those of the moment.
func (e *Enforcer) sync(ctx context.Context) error {
	s := State{PodNetwork: e.cfg.PodNetwork, Assigned: e.assigned}
	var err [3]error
	s.Pods, err[0] = e.pods.List(labels.Everything())
	s.Namespaces, err[1] = e.namespaces.List(labels.Everything())
	s.Policies, err[2] = e.policies.List(labels.Everything())
	if err := errors.Join(err[:]...); err != nil {
		return fmt.Errorf("read the cluster: %w", err)
	}
	script := Render(s)
	if script == e.applied {
		return nil
	}
	if err := e.cfg.Apply(ctx, script); err != nil {
		return fmt.Errorf("replace the rules: %w", err)
	}
	e.applied = script
	e.cfg.Log.Info("replaced the rules", "pods", len(s.Pods), "policies", len(s.Policies))
	return nil
}

// assign makes the rules for a pod hold before it starts. It first waits until
// we have seen the pod, its namespace and every policy that the API server
// holds for that namespace now: a policy that was made before the pod must be
// in force when the pod's first packet leaves.
func (e *Enforcer) assign(ctx context.Context, r request) error {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	select {
	case <-e.ready:
	case <-ctx.Done():
		return errors.New("the cluster is not known yet")
	}
	fresh, err := e.cfg.Client.NetworkingV1().NetworkPolicies(r.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the policies of %s: %w", r.Namespace, err)
	}
	for !e.caughtUp(r, fresh.Items) {
		if ctx.Err() != nil {
			return fmt.Errorf("pod %s/%s or its policies have not been seen yet", r.Namespace, r.Name)
		}
		wait(ctx, 5*time.Millisecond)
	}
	return e.tell(ctx, assignment{pod: r.pod(), ip: r.IP})
}

func (e *Enforcer) caughtUp(r request, policies []netv1.NetworkPolicy) bool {
	pod, err := e.pods.Pods(r.Namespace).Get(r.Name)
	if err != nil || (r.UID != "" && string(pod.UID) != r.UID) {
		return false
	}
	if _, err := e.namespaces.Get(r.Namespace); err != nil {
		return false
	}
	for _, want := range policies {
		got, err := e.policies.NetworkPolicies(r.Namespace).Get(want.Name)
		if apierrors.IsNotFound(err) || (err == nil && got.UID == want.UID && got.Generation < want.Generation) {
			return false
		}
	}
	return true
}

// tell hands an assignment to the loop and waits until it is in force.
func (e *Enforcer) tell(ctx context.Context, a assignment) error {
	a.done = make(chan error, 1)
	select {
	case e.assignments <- a:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-a.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nft gives a script to nft(8), which applies it whole or not at all.
func nft(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}
