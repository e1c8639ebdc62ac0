package kube

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"berth.dev/berth/provider/cluster"
)

const (
	// resyncEvery is how often all leases are compared with their manifests.
	resyncEvery = 30 * time.Second
	// settleFor gathers the events of one lease.
	settleFor = 100 * time.Millisecond
	// contactAge is how old the last answer of the API server may be for a cached answer to be given.
	contactAge = 5 * time.Second
)

// cache holds what is watched while Run runs.
type cache struct {
	current atomic.Pointer[watched]
}

type watched struct {
	nodes, pods, services toolscache.SharedIndexInformer
}

// everything is the queue's word for a pass over all leases; no namespace is called so.
const everything = ""

// Run watches the cluster and repairs leases until ctx ends: it starts services whose dependencies have become ready
// and brings back whatever differs from the manifests. It returns nil when ctx has ended and everything has stopped.
// What cannot be read or written is logged and tried again.
func (c *Cluster) Run(ctx context.Context) error {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, c.cfg.LookEvery))
	capacity := informers.NewSharedInformerFactoryWithOptions(c.typed, 0, informers.WithTransform(trim))
	ours := informers.NewSharedInformerFactoryWithOptions(c.typed, 0, informers.WithTransform(trim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = c.ourLabels() }))
	core := capacity.Core().V1()
	w := &watched{nodes: core.Nodes().Informer(), pods: core.Pods().Informer(), services: core.Services().Informer()}
	deployments, sets := ours.Apps().V1().Deployments().Informer(), ours.Apps().V1().StatefulSets().Informer()
	for _, kept := range []toolscache.SharedIndexInformer{deployments, sets} {
		if _, err := kept.AddEventHandler(c.enqueue(queue, deployments.GetStore(), sets.GetStore())); err != nil {
			return fmt.Errorf("kube: watch what keeps instances: %w", err)
		}
	}
	if _, err := deployments.AddEventHandler(c.enqueueLinked(queue)); err != nil {
		return fmt.Errorf("kube: watch deployments: %w", err)
	}
	if err := watchJobs(ours, queue); err != nil {
		return err
	}
	capacity.Start(ctx.Done())
	ours.Start(ctx.Done())
	c.cache.current.Store(w)
	defer func() {
		c.cache.current.Store(nil)
		queue.ShutDown()
		capacity.Shutdown()
		ours.Shutdown()
	}()
	context.AfterFunc(ctx, queue.ShutDown)
	queue.Add(everything)
	for {
		item, stop := queue.Get()
		if stop {
			return nil
		}
		c.work(ctx, queue, item)
		queue.Done(item)
	}
}

// work handles one item of the queue. A pass over everything comes again by itself.
func (c *Cluster) work(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string], item string) {
	var err error
	if item == everything {
		err = c.Reconcile(ctx)
	} else {
		err = c.reconcile(ctx, item)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		c.cfg.Logger.Warn("leases could not be brought in line with their manifests", "namespace", item, "err", err)
		queue.AddRateLimited(item)
		return
	case item == everything:
		queue.AddAfter(everything, c.cfg.LookEvery)
	}
	// Nothing tells when an instance begins to answer as it should.
	for _, ns := range c.asking.all() {
		if item == ns || item == everything {
			queue.AddAfter(ns, askAgain)
		}
	}
	queue.Forget(item)
}

// enqueue asks for a look at a lease when one of the objects that keep its instances went away, or changed while another
// one or a hook waits for it.
func (c *Cluster) enqueue(queue workqueue.TypedDelayingInterface[string], stores ...toolscache.Store) toolscache.ResourceEventHandler {
	changed := func(o any) {
		ns, _, ok := keeper(o)
		if !ok {
			return
		}
		if c.waiting.has(ns) {
			queue.AddAfter(ns, settleFor)
			return
		}
		for _, store := range stores {
			for _, other := range store.List() {
				if in, n, ok := keeper(other); ok && in == ns && n == 0 {
					queue.AddAfter(ns, settleFor)
					return
				}
			}
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, o any) { changed(o) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if ns, _, ok := keeper(o); ok {
				queue.AddAfter(ns, settleFor)
			}
		},
	}
}

// keeper tells where an object that keeps instances is, and how many it keeps.
func keeper(o any) (namespace string, n int32, ok bool) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return o.Namespace, replicas(o.Spec.Replicas), true
	case *appsv1.StatefulSet:
		return o.Namespace, replicas(o.Spec.Replicas), true
	}
	return "", 0, false
}

// trim drops what is never read from what is cached.
func trim(o any) (any, error) {
	switch o := o.(type) {
	case *corev1.Node:
		return trimNode(o), nil
	case *corev1.Pod:
		return trimPod(o), nil
	case *corev1.Service:
		return trimService(o), nil
	case *batchv1.Job:
		return &batchv1.Job{TypeMeta: o.TypeMeta, ObjectMeta: trimMeta(o.ObjectMeta), Status: batchv1.JobStatus{Conditions: o.Status.Conditions}}, nil
	case *appsv1.Deployment:
		return &appsv1.Deployment{
			TypeMeta: o.TypeMeta, ObjectMeta: trimMeta(o.ObjectMeta),
			Spec: appsv1.DeploymentSpec{Replicas: o.Spec.Replicas}, Status: appsv1.DeploymentStatus{ReadyReplicas: o.Status.ReadyReplicas},
		}, nil
	case *appsv1.StatefulSet:
		return &appsv1.StatefulSet{
			TypeMeta: o.TypeMeta, ObjectMeta: trimMeta(o.ObjectMeta),
			Spec: appsv1.StatefulSetSpec{Replicas: o.Spec.Replicas}, Status: appsv1.StatefulSetStatus{ReadyReplicas: o.Status.ReadyReplicas},
		}, nil
	}
	return o, nil
}

// Reconcile compares all leases with their manifests once and repairs those that differ. It reads each kind of object
// once for all leases, and writes nothing if nothing differs.
func (c *Cluster) Reconcile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s, err := c.settings(ctx)
	if err != nil {
		return fmt.Errorf("kube: reconcile: %w", err)
	}
	leases, err := c.readAll(ctx)
	if err != nil {
		return fmt.Errorf("kube: reconcile: %w", err)
	}
	var errs []error
	lost, err := c.settleHosts(ctx, leases)
	if err != nil {
		errs = append(errs, fmt.Errorf("kube: reconcile: %w", err))
	}
	for ns, have := range leases {
		seen, err := c.glance(ctx, ns, have)
		if err != nil {
			errs = append(errs, fmt.Errorf("kube: reconcile namespace %s: %w", ns, err))
			continue
		}
		ch, err := c.plan(ns, have, s, seen)
		c.waiting.set(ns, ch.waits)
		if err == nil && (lost[ns] || !ch.none()) {
			err = c.reconcile(ctx, ns)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("kube: reconcile namespace %s: %w", ns, err))
		}
	}
	return errors.Join(errs...)
}

// readAll reads the objects of all leases, by namespace.
func (c *Cluster) readAll(ctx context.Context) (map[string]live, error) {
	namespaces, err := c.listAll(ctx, kindNamespace, "", "")
	if err != nil {
		return nil, err
	}
	out := map[string]live{}
	for i := range namespaces {
		if u := &namespaces[i]; u.GetDeletionTimestamp() == nil && c.owns(u) {
			out[u.GetName()] = live{keyOf(u): u}
		}
	}
	for _, kind := range readKinds {
		items, err := c.list(ctx, kind, "")
		if err != nil {
			return nil, err
		}
		for i := range items {
			if l, ok := out[items[i].GetNamespace()]; ok {
				l[keyOf(&items[i])] = &items[i]
			}
		}
	}
	return out, nil
}

// plan computes what a lease lacks by its own manifest. A lease without a manifest, whose creation was cut short, is
// left to the provider, which will apply or remove it.
func (c *Cluster) plan(ns string, have live, s settings, seen sight) (changes, error) {
	w, ok, err := heldBy(ns, have)
	if err != nil || !ok {
		return changes{}, err
	}
	if err := s.recall(have); err != nil {
		return changes{}, err
	}
	return c.changesFor(ns, w, s, have, seen)
}

// heldBy is the workload whose manifest is among the objects of a lease; ok is false if there is none.
func heldBy(ns string, have live) (w cluster.Workload, ok bool, err error) {
	u, ok := have[key{kindSecret, manifestSecret}]
	if !ok {
		return cluster.Workload{}, false, nil
	}
	var secret corev1.Secret
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &secret); err != nil {
		return cluster.Workload{}, false, fmt.Errorf("read the manifest in namespace %s: %w", ns, err)
	}
	w, err = remembered(&secret)
	return w, err == nil, err
}

// reconcile repairs one lease; one that is gone or being removed is left alone.
func (c *Cluster) reconcile(ctx context.Context, ns string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	defer c.leases.lock(ns)()
	namespace, err := c.namespace(ctx, ns)
	switch {
	case errors.Is(err, cluster.ErrNotFound):
		c.note(ns, changes{})
		return nil
	case err != nil:
		return err
	case namespace.DeletionTimestamp != nil:
		c.note(ns, changes{})
		return nil
	}
	s, err := c.settings(ctx)
	if err != nil {
		return err
	}
	have, err := c.readLease(ctx, ns)
	if err != nil {
		return err
	}
	seen, err := c.see(ctx, ns, have)
	if err != nil {
		return err
	}
	ch, err := c.plan(ns, have, s, seen)
	if err != nil {
		return err
	}
	c.note(ns, ch)
	c.logChanges(ns, ch, have)
	return c.converge(ctx, ns, ch)
}

// note remembers of a lease what it waits for.
func (c *Cluster) note(ns string, ch changes) {
	c.waiting.set(ns, ch.waits)
	c.asking.set(ns, ch.asks)
}

func (c *Cluster) logChanges(ns string, ch changes, have live) {
	if ch.none() {
		return
	}
	var applied, removed []string
	for _, u := range ch.apply {
		applied = append(applied, u.GetKind()+"/"+u.GetName())
	}
	for _, k := range ch.remove {
		removed = append(removed, k.kind+"/"+k.name)
	}
	lease := have[key{kindNamespace, ns}].GetAnnotations()[annotationLease]
	c.cfg.Logger.Info("bringing a lease in line with its manifest", "lease", lease, "apply", applied, "delete", removed)
}

// Nodes implements cluster.Cluster. While Run runs it answers from a watched cache, as long as the API server answers.
func (c *Cluster) Nodes(ctx context.Context) ([]cluster.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nodes, pods, err := c.nodesAndPods(ctx)
	if err != nil {
		return nil, fmt.Errorf("kube: read the nodes: %w", err)
	}
	return c.accounting().capacity(nodes, pods), nil
}

func (c *Cluster) nodesAndPods(ctx context.Context) ([]*corev1.Node, []*corev1.Pod, error) {
	if w := c.cache.current.Load(); w != nil && w.nodes.HasSynced() && w.pods.HasSynced() {
		if err := c.checkContact(ctx); err != nil {
			return nil, nil, err
		}
		return fromStore[*corev1.Node](w.nodes.GetStore()), fromStore[*corev1.Pod](w.pods.GetStore()), nil
	}
	nodes, err := c.typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	pods, err := c.typed.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	return pointers(nodes.Items), pointers(pods.Items), nil
}

// checkContact returns an error unless the API server answered lately or answers now.
func (c *Cluster) checkContact(ctx context.Context) error {
	if c.now().Sub(time.Unix(0, c.contact.Load())) < contactAge {
		return nil
	}
	if _, err := c.typed.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{}); err != nil {
		return fmt.Errorf("reach the API server: %w", err)
	}
	return ctx.Err()
}

func fromStore[T any](s toolscache.Store) []T {
	var out []T
	for _, o := range s.List() {
		if v, ok := o.(T); ok {
			out = append(out, v)
		}
	}
	return out
}

func pointers[T any](items []T) []*T {
	out := make([]*T, 0, len(items))
	for i := range items {
		out = append(out, &items[i])
	}
	return out
}
