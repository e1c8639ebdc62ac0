package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

const (
	// callTimeout bounds one call of the driver, however many requests it makes.
	callTimeout = 60 * time.Second
	// qps and burst bound the requests to the API server: 50 leases at once must not wait for a slow limiter.
	qps, burst = 100, 200
)

// Cluster runs workloads on Kubernetes. All methods may be called from several goroutines. Run has to be running for
// depends_on and for the repair of drift.
type Cluster struct {
	cfg     Config
	typed   kubernetes.Interface
	dynamic dynamic.Interface
	// contact is when the API server last answered, in nanoseconds of the Unix epoch.
	contact *atomic.Int64
	now     func() time.Time

	leases keyedMutex
	hosts  sync.Mutex // held while it is decided whose a host name is
	proofs resolver
	env    discovered
	gate   gate
	inside inside
	// waiting are the leases that have hooks which are not through; asking are those of them whose hooks wait for the
	// answers of instances.
	waiting, asking flags
	links           linkMemory
	cache           cache
}

var _ cluster.Cluster = (*Cluster)(nil)

// New returns the driver of a cluster, or an error if the configuration or the kubeconfig cannot be used. It makes no
// request.
func New(cfg Config) (*Cluster, error) { return connect(cfg, qps, burst) }

// connect is New with a limit of requests per second; a negative one is none.
func connect(cfg Config, qps float32, burst int) (*Cluster, error) {
	return connectVia(cfg, qps, burst, func(rt http.RoundTripper) http.RoundTripper { return rt })
}

// connectVia is connect with something between the driver and the API server.
func connectVia(cfg Config, qps float32, burst int, via func(http.RoundTripper) http.RoundTripper) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	rc, err := restConfig(cfg.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kube: read the cluster's access configuration: %w", err)
	}
	contact := &atomic.Int64{}
	rc.QPS, rc.Burst, rc.UserAgent = qps, burst, manager
	rc.WarningHandler = rest.NoWarnings{} // what they warn of is rendered so on purpose
	rc.Wrap(func(rt http.RoundTripper) http.RoundTripper { return via(witness{rt, contact}) })
	dyn, err := dynamic.NewForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	proto := rest.CopyConfig(rc)
	proto.ContentType, proto.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	typed, err := kubernetes.NewForConfig(proto)
	if err != nil {
		return nil, fmt.Errorf("kube: %w", err)
	}
	c := newCluster(cfg, typed, dyn, contact)
	c.inside = inside{rc, typed.CoreV1().RESTClient()}
	c.gate.ask = c.inside.ask
	return c, nil
}

func newCluster(cfg Config, typed kubernetes.Interface, dyn dynamic.Interface, contact *atomic.Int64) *Cluster {
	return &Cluster{
		cfg: cfg.withDefaults(), typed: typed, dynamic: dyn, contact: contact, now: time.Now, proofs: newResolver(cfg.Hosts.Resolver),
	}
}

func restConfig(path string) (*rest.Config, error) {
	if path == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", path)
}

// witness notes when the API server last answered, so that cached answers are not taken for news of a cluster that
// cannot be reached.
type witness struct {
	next    http.RoundTripper
	contact *atomic.Int64
}

func (w witness) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err == nil && resp.StatusCode < http.StatusInternalServerError {
		w.contact.Store(time.Now().UnixNano())
	}
	return resp, err
}

// ourLabels select the objects of all leases of this provider.
func (c *Cluster) ourLabels(pairs ...string) string {
	return labels.Set(with(map[string]string{
		labelManagedBy: manager, labelProvider: labelValue(c.cfg.Provider),
	}, pairs...)).String()
}

// Apply implements cluster.Cluster: the manifest is stored first, then everything that differs is applied.
func (c *Cluster) Apply(ctx context.Context, w cluster.Workload) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if w.Lease.Provider != c.cfg.Provider {
		return fmt.Errorf("kube: apply %s: %w: the lease is of another provider than %s", w.Lease, cluster.ErrRefused, c.cfg.Provider)
	}
	displaced, err := c.applyLocked(ctx, w)
	if err != nil {
		return fmt.Errorf("kube: apply %s: %w", w.Lease, err)
	}
	// Routes of host names that have moved here go when those here are there. What fails is repaired by a later pass.
	for _, ns := range displaced {
		if err := c.reconcile(ctx, ns); err != nil {
			c.cfg.Logger.Warn("a host name has moved, and the route of the former lease is still there", "namespace", ns, "err", err)
		}
	}
	return nil
}

// applyLocked applies a workload and returns the namespaces of this provider that lost host names to it.
func (c *Cluster) applyLocked(ctx context.Context, w cluster.Workload) (displaced []string, err error) {
	ns := namespaceOf(w.Lease)
	defer c.leases.lock(ns)()
	return c.apply(ctx, ns, w)
}

func (c *Cluster) apply(ctx context.Context, ns string, w cluster.Workload) (displaced []string, err error) {
	s, err := c.settings(ctx)
	if err != nil {
		return nil, err
	}
	have, err := c.readLease(ctx, ns)
	if err != nil && !errors.Is(err, cluster.ErrNotFound) {
		return nil, err
	}
	s.Accepted, s.Again = acceptance(w, have), sentAgain(w, have)
	seen, err := c.see(ctx, ns, have)
	if err != nil {
		return nil, err
	}
	ch, err := c.changesFor(ns, w, s, have, seen)
	if err != nil {
		return nil, err
	}
	c.note(ns, ch)
	wanted := wantedHosts(w)
	if len(wanted) == 0 {
		return nil, c.refused(ctx, w.Lease, s, have, c.converge(ctx, ns, ch))
	}
	plan := func(got claims) (changes, error) {
		s.Claims = got
		return c.changesFor(ns, w, s, have, seen)
	}
	write := func(ch changes) error { return c.refused(ctx, w.Lease, s, have, c.converge(ctx, ns, ch)) }
	return c.claimHosts(ctx, claimant{ns: ns, workload: w, wanted: wanted, accepted: s.Accepted, plan: plan, write: write})
}

// refused brings a lease back to what it was if the API server refused a manifest halfway; err is that of the attempt.
func (c *Cluster) refused(ctx context.Context, lease markettypes.LeaseID, s settings, have live, err error) error {
	if errors.Is(err, cluster.ErrRefused) {
		if err := c.restore(ctx, namespaceOf(lease), have, s); err != nil {
			c.cfg.Logger.Warn("a lease could not go back to what it ran before a manifest that was refused", "lease", lease.String(), "err", err)
		}
	}
	return err
}

// restore brings a lease back to what it was before an Apply that the API server refused halfway: to its former
// manifest, or to nothing but its namespace if it had none.
func (c *Cluster) restore(ctx context.Context, ns string, before live, s settings) error {
	now, err := c.readLease(ctx, ns)
	if err != nil {
		return err
	}
	seen, err := c.see(ctx, ns, now)
	if err != nil {
		return err
	}
	s.Again = false
	ch := diff(nil, now)
	former, had, err := heldBy(ns, before)
	if err == nil && had {
		err = s.recall(before)
	}
	if err == nil && had {
		ch, err = c.changesFor(ns, former, s, now, seen)
	}
	if err != nil {
		return err
	}
	return c.converge(ctx, ns, ch)
}

// Remove implements cluster.Cluster: the namespace goes, and with it all that is in it.
func (c *Cluster) Remove(ctx context.Context, id markettypes.LeaseID) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	name := namespaceOf(id)
	defer c.leases.lock(name)()
	ns, err := c.namespace(ctx, name)
	switch {
	case errors.Is(err, cluster.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("kube: remove %s: %w", id, err)
	case ns.DeletionTimestamp != nil:
		return nil
	}
	err = c.typed.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{
		Preconditions: metav1.NewUIDPreconditions(string(ns.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("kube: remove %s: %w", id, err)
	}
	return nil
}

// namespace reads the namespace of a lease. It returns ErrNotFound if there is none, and another error if there is one
// that is not of this provider.
func (c *Cluster) namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	ns, err := c.typed.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("namespace %s: %w", name, cluster.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read namespace %s: %w", name, err)
	}
	if !c.owns(ns) {
		return nil, fmt.Errorf("namespace %s exists and was not made by this provider", name)
	}
	return ns, nil
}

// owns tells whether a namespace is of a lease of this provider: by its labels or, if somebody changed those, by the lease
// that it was made for.
func (c *Cluster) owns(ns metav1.Object) bool {
	labels := ns.GetLabels()
	if labels[labelManagedBy] == manager && labels[labelProvider] == labelValue(c.cfg.Provider) {
		return true
	}
	id, err := leaseOf(ns.GetAnnotations(), ns.GetName())
	return err == nil && id.Provider == c.cfg.Provider
}

// List implements cluster.Cluster. A namespace whose manifest is missing, because its creation or removal was cut
// short, is listed with its lease id alone.
func (c *Cluster) List(ctx context.Context) ([]cluster.Deployed, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	namespaces, err := c.typed.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("kube: list namespaces: %w", err)
	}
	secrets, err := c.typed.CoreV1().Secrets("").List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels(labelRole, roleManifest)})
	if err != nil {
		return nil, fmt.Errorf("kube: list manifests: %w", err)
	}
	manifests := map[string]*corev1.Secret{}
	for i := range secrets.Items {
		manifests[secrets.Items[i].Namespace] = &secrets.Items[i]
	}
	var out []cluster.Deployed
	for i := range namespaces.Items {
		ns := &namespaces.Items[i]
		if !c.owns(ns) {
			continue
		}
		id, err := leaseOf(ns.Annotations, ns.Name)
		if err != nil {
			c.cfg.Logger.Warn("a namespace with the provider's label is not a lease's", "err", err)
			continue
		}
		d, err := c.deployed(ctx, id, ns, manifests[ns.Name])
		if err != nil {
			return nil, fmt.Errorf("kube: list: %w", err)
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b cluster.Deployed) int { return strings.Compare(a.Lease.String(), b.Lease.String()) })
	return out, nil
}

// deployed is what a namespace holds. A manifest that was not among those with our labels is asked for by its name, as
// somebody may have changed them.
func (c *Cluster) deployed(ctx context.Context, id markettypes.LeaseID, ns *corev1.Namespace, secret *corev1.Secret) (cluster.Deployed, error) {
	d := cluster.Deployed{Workload: cluster.Workload{Lease: id}, Terminating: ns.DeletionTimestamp != nil}
	if secret == nil && !d.Terminating {
		var err error
		secret, err = c.typed.CoreV1().Secrets(ns.Name).Get(ctx, manifestSecret, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return d, nil
		}
		if err != nil {
			return d, fmt.Errorf("read the manifest in namespace %s: %w", ns.Name, err)
		}
	}
	if secret == nil {
		return d, nil
	}
	w, err := remembered(secret)
	if err != nil {
		c.cfg.Logger.Warn("the manifest that the cluster holds of a lease cannot be read", "lease", id.String(), "err", err)
		d.Damaged = true
		return d, nil
	}
	d.Workload = w
	return d, nil
}

// remembered reads a workload back from its Secret.
func remembered(secret *corev1.Secret) (cluster.Workload, error) {
	id, err := leaseOf(secret.Annotations, secret.Namespace)
	if err != nil {
		return cluster.Workload{}, err
	}
	w := cluster.Workload{
		Lease: id, ManifestHash: secret.Data[keyHash], Suspended: secret.Annotations[annotationSuspended] == "true",
	}
	if err := w.Envelope.Unmarshal(secret.Data[keyEnvelope]); err != nil {
		return w, fmt.Errorf("manifest of lease %s: decode the envelope: %w", id, err)
	}
	if err := w.Group.Unmarshal(w.Envelope.Group); err != nil {
		return w, fmt.Errorf("manifest of lease %s: decode the group: %w", id, err)
	}
	if len(w.ManifestHash) == 0 || len(w.Group.Services) == 0 {
		return w, fmt.Errorf("manifest of lease %s: it is empty", id)
	}
	if at := acceptedIn(secret); at != 0 {
		w.Accepted = time.Unix(0, at)
	}
	return w, nil
}

// Status implements cluster.Cluster.
func (c *Cluster) Status(ctx context.Context, id markettypes.LeaseID) ([]cluster.ServiceStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	o, err := c.observe(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("kube: status of %s: %w", id, err)
	}
	return c.diagnose(ctx, o), nil
}

func (c *Cluster) observe(ctx context.Context, id markettypes.LeaseID) (observation, error) {
	o := observation{
		domain: c.cfg.Domain, nodeHost: c.cfg.NodeHost, ingressPort: c.cfg.IngressPort, httpsPort: c.cfg.HTTPSPort,
		addresses: map[string][]*corev1.Service{},
		instances: map[key]instances{}, ports: map[string]*corev1.Service{}, pods: map[string][]*corev1.Pod{},
		care: care{runs: map[string]*corev1.Pod{}},
	}
	var err error
	if o.workload, o.claims, err = c.held(ctx, id); err != nil {
		return o, err
	}
	s, err := c.settings(ctx)
	if err != nil {
		return o, err
	}
	o.able = s.Able
	ns := namespaceOf(id)
	o.links, _ = c.links.of(ns)
	deployments, err := c.typed.AppsV1().Deployments(ns).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels()})
	if err != nil {
		return o, fmt.Errorf("list deployments: %w", err)
	}
	for i := range deployments.Items {
		o.instances[key{kindDeployment, deployments.Items[i].Name}] = ofDeployment(&deployments.Items[i])
	}
	sets, err := c.typed.AppsV1().StatefulSets(ns).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels()})
	if err != nil {
		return o, fmt.Errorf("list stateful sets: %w", err)
	}
	for i := range sets.Items {
		o.instances[key{kindStatefulSet, sets.Items[i].Name}] = ofStatefulSet(&sets.Items[i])
	}
	services, err := c.typed.CoreV1().Services(ns).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels()})
	if err != nil {
		return o, fmt.Errorf("list services: %w", err)
	}
	for i := range services.Items {
		s := &services.Items[i]
		switch name := s.Labels[labelService]; s.Labels[labelRole] {
		case rolePorts:
			o.ports[name] = s
		case roleAddress:
			o.addresses[name] = append(o.addresses[name], s)
		}
	}
	pods, err := c.typed.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels()})
	if err != nil {
		return o, fmt.Errorf("list pods: %w", err)
	}
	for i := range pods.Items {
		if job := pods.Items[i].Labels[labelJob]; job != "" {
			o.runs[job] = &pods.Items[i]
			continue
		}
		name := pods.Items[i].Labels[labelService]
		o.pods[name] = append(o.pods[name], &pods.Items[i])
	}
	return o, c.observeCare(ctx, ns, &o)
}

// held reads what the cluster was told to run for a lease; ErrNotFound if it runs nothing or is removing it.
func (c *Cluster) held(ctx context.Context, id markettypes.LeaseID) (cluster.Workload, claims, error) {
	name := namespaceOf(id)
	ns, err := c.namespace(ctx, name)
	if err != nil {
		return cluster.Workload{}, nil, err
	}
	if ns.DeletionTimestamp != nil {
		return cluster.Workload{}, nil, fmt.Errorf("namespace %s is being removed: %w", name, cluster.ErrNotFound)
	}
	secret, err := c.typed.CoreV1().Secrets(name).Get(ctx, manifestSecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return cluster.Workload{}, nil, fmt.Errorf("manifest in namespace %s: %w", name, cluster.ErrNotFound)
	}
	if err != nil {
		return cluster.Workload{}, nil, fmt.Errorf("read the manifest: %w", err)
	}
	w, err := remembered(secret)
	if err != nil {
		return w, nil, err
	}
	had, err := claimsIn(secret)
	return w, had, err
}

// keyedMutex holds a lock for each key that is in use.
type keyedMutex struct {
	mu   sync.Mutex
	held map[string]*keyLock
}

type keyLock struct {
	sync.Mutex
	users int
}

// lock waits for the lock of a key and returns what releases it.
func (m *keyedMutex) lock(key string) (unlock func()) {
	m.mu.Lock()
	if m.held == nil {
		m.held = map[string]*keyLock{}
	}
	l, ok := m.held[key]
	if !ok {
		l = &keyLock{}
		m.held[key] = l
	}
	l.users++
	m.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		m.mu.Lock()
		defer m.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(m.held, key)
		}
	}
}
