package kube

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// settings are what rendering needs besides the workload: the provider's configuration and what was learned of the
// cluster.
type settings struct {
	Domain           string
	Routes           RouteMode // gateway or ingress
	GatewayName      string
	GatewayNamespace string
	// Able is what routes can do here.
	Able              routeAbilities
	HTTPSRedirect     bool
	HTTPSPort         int
	MaxBody           uint32
	MaxTimeout        time.Duration
	LeasedIPs         LeasedIPs
	IngressClass      string
	IngressNamespaces []string
	IngressCIDRs      []string
	// Entries are where clients from outside reach the ingress controller.
	Entries      []entry
	DNSNamespace string
	DNSLabels    map[string]string
	// DNSCIDRs are addresses of name servers that are no pods, such as a cache on each node.
	DNSCIDRs []string
	// DenyCIDRs are the configured ranges and those of nodes, pods and services, sorted.
	DenyCIDRs []string
	// IPv6 says that pods have IPv6 addresses as well: without, no policy mentions any, and all of it stays closed.
	IPv6           bool
	UserNamespaces bool
	ImageUsers     map[string]int64
	// RuntimeClass is that of all pods but those with devices of a vendor that has its own. Overheads are what the
	// classes that the cluster has take for each pod.
	RuntimeClass string
	Overheads    map[string]usage
	// GPUs are the devices that are sold, in the order of their vendors, Devices the kinds of them that nodes have.
	GPUs    []gpuKind
	Devices []device
	// DeviceClass says what devices are where the cluster does not.
	DeviceClass cluster.GPU
	// Archs are the architectures of the nodes.
	Archs []string
	// StorageClasses are the classes of persistent volumes that the cluster has, by their names in documents.
	StorageClasses map[string]storageClass
	DrainSeconds   int64
	Overcommit     Overcommit
	// Claims are the host names that the tenant asked for, by whether the lease has them; one that is missing it has.
	Claims claims
	// Accepted is when the tenant sent the manifest, in nanoseconds of the Unix epoch; 0 if that is not known.
	Accepted int64
	// Again says that the tenant has sent the manifest that the lease has once more.
	Again bool
	// LeaseKey hides what hashes would tell of secrets; see leaseKey. Without it the salt of the workload is the key.
	LeaseKey []byte
	// Metrics says that the cluster tells what pods use.
	Metrics bool
	// Stage is how far the lease has come; see stageOf.
	Stage stage
	// Link is what is known of links to other groups; NodeAddresses are the nodes' own.
	Link          linkSettings
	NodeAddresses []netip.Addr
	// SuspendedAt is since when a suspended lease is, in nanoseconds of the Unix epoch; 0 if that is not known.
	SuspendedAt int64
	// Restarts are those that the lease remembers; Restart is one that is asked for now.
	Restarts restarts
	Restart  *restartOf
	// Held is what the lease has already.
	Held held
}

// rendering carries what all renderers of one lease share.
type rendering struct {
	settings
	workload  cluster.Workload
	namespace string
	labels    map[string]string
	// starts tells which services may have instances.
	starts func(service string) bool
	// shared are what many objects have in common.
	shared shared
}

// shared are maps that stand in many objects, each made once: nobody changes them there. Names of Secrets are hashes, and
// kept for the same reason.
type shared struct {
	labels, selectors map[string]map[string]string // by service
	envs              map[*manifesttypes.EnvVar]string
}

// labelsOf are the labels of most objects of a service.
func (r *rendering) labelsOf(service string) map[string]string {
	l, ok := r.shared.labels[service]
	if !ok {
		if r.shared.labels == nil {
			r.shared.labels = map[string]map[string]string{}
		}
		l = with(r.labels, labelService, service)
		r.shared.labels[service] = l
	}
	return l
}

// selector selects the pods of a service within the namespace.
func (r *rendering) selector(service string) map[string]string {
	l, ok := r.shared.selectors[service]
	if !ok {
		if r.shared.selectors == nil {
			r.shared.selectors = map[string]map[string]string{}
		}
		l = map[string]string{labelService: service}
		r.shared.selectors[service] = l
	}
	return l
}

// render returns the objects of a workload in the order in which they must be applied: the namespace and what limits
// the workload come before what runs. starts tells which services may have instances; none of a suspended lease has. An
// error wraps cluster.ErrRefused and names every field that cannot be honoured.
func render(w cluster.Workload, s settings, starts func(service string) bool) ([]*unstructured.Unstructured, error) {
	r, typed, err := renderTyped(w, s, starts)
	if err != nil {
		return nil, err
	}
	return r.finish(typed)
}

// renderTyped is render before the conversion to what is sent.
func renderTyped(w cluster.Workload, s settings, starts func(service string) bool) (*rendering, []runtime.Object, error) {
	if err := check(w, s); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", cluster.ErrRefused, err)
	}
	if len(s.LeaseKey) == 0 {
		s.LeaseKey = w.Group.Salt
	}
	if w.Suspended {
		starts = func(string) bool { return false }
	}
	r := &rendering{settings: s, workload: w, namespace: namespaceOf(w.Lease), labels: leaseLabels(w.Lease), starts: starts}
	if err := r.checkKept(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", cluster.ErrRefused, err)
	}
	memory, err := r.memory()
	if err != nil {
		return nil, nil, fmt.Errorf("render %s: %w", w.Lease, err)
	}
	typed := []runtime.Object{r.namespaceObject()}
	if len(s.Stage.Held) > 0 {
		former, err := r.former()
		if err != nil {
			return nil, nil, fmt.Errorf("render %s: %w", w.Lease, err)
		}
		typed = append(typed, former)
	}
	typed = append(typed, memory, r.serviceAccount())
	typed = append(typed, r.networkPolicies()...)
	typed = append(typed, r.quota(), r.limitRange())
	for _, sv := range w.Group.Services {
		typed = append(typed, r.service(sv)...)
	}
	typed = append(typed, r.links()...)
	return r, append(typed, r.hookJobs(w.Group.Services)...), nil
}

// finish converts the objects and makes sure that each has a name of its own.
func (r *rendering) finish(typed []runtime.Object) ([]*unstructured.Unstructured, error) {
	out := make([]*unstructured.Unstructured, 0, len(typed))
	seen := make(map[key]bool, len(typed))
	e := &encoder{}
	if len(r.labels) > 0 {
		e.share(r.labels)
	}
	for _, all := range []map[string]map[string]string{r.shared.labels, r.shared.selectors} {
		for _, m := range all {
			e.share(m)
		}
	}
	var room []byte
	for _, o := range typed {
		var u *unstructured.Unstructured
		var err error
		if u, room, err = e.toUnstructured(o, r.LeaseKey, room); err != nil {
			return nil, fmt.Errorf("render %s: %w", r.workload.Lease, err)
		}
		k := keyOf(u)
		if seen[k] {
			return nil, fmt.Errorf("%w: two objects would be %s %s: rename a service", cluster.ErrRefused, k.kind, k.name)
		}
		seen[k] = true
		out = append(out, u)
	}
	return out, nil
}

// service renders everything of one service.
func (r *rendering) service(sv manifesttypes.Service) []runtime.Object {
	var out []runtime.Object
	if len(sv.Env) > 0 {
		out = append(out, r.envSecret(sv))
	}
	if sv.Credentials != nil {
		out = append(out, r.pullSecret(sv))
	}
	if sv.Cron != nil {
		return append(out, r.cronJob(sv))
	}
	out = append(out, r.services(sv)...)
	out = append(out, r.addresses(sv)...)
	if stateful(sv) {
		out = append(out, r.statefulSet(sv))
	} else {
		out = append(out, r.deployment(sv))
	}
	if sv.Scale != nil {
		out = append(out, r.autoscaler(sv))
	}
	return append(out, r.routes(sv)...)
}

// meta is the metadata of an object in the lease's namespace.
func (r *rendering) meta(name string, labels ...string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: name, Namespace: r.namespace}
	switch {
	case len(labels) == 0:
		m.Labels = r.labels
	case len(labels) == 2 && labels[0] == labelService:
		m.Labels = r.labelsOf(labels[1])
	default:
		m.Labels = with(r.labels, labels...)
	}
	return m
}

// podSecurityLevel is `restricted` when every service can run so.
func (r *rendering) podSecurityLevel() string {
	for _, sv := range r.workload.Group.Services {
		if _, known := r.ImageUsers[sv.Image]; !known {
			return "baseline"
		}
	}
	return "restricted"
}

func (r *rendering) namespaceObject() *corev1.Namespace {
	labels := with(r.labels,
		"pod-security.kubernetes.io/enforce", r.podSecurityLevel(),
		"pod-security.kubernetes.io/enforce-version", "latest")
	if r.forwards() {
		labels[labelForwards] = forwardsYes
	}
	return &corev1.Namespace{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        r.namespace,
			Labels:      labels,
			Annotations: map[string]string{annotationLease: r.workload.Lease.String()},
		},
	}
}

// The keys of the Secret that holds a manifest.
const (
	keyEnvelope = "envelope"
	keyHash     = "hash"
	keyLease    = "key"
	keyHosts    = "hosts"
	keyAccepted = "accepted"
	// keySuspended is since when the lease is suspended, in nanoseconds of the Unix epoch.
	keySuspended = "suspended"
)

// leaseKey is the key of the hashes that stand where more can be read than the values of Secrets: in names and
// annotations. It is the salt of the first manifest that a lease had, and stays when later manifests bring other salts,
// as a new one would give all services new names of their env and so restart those that did not change.
func leaseKey(l live) []byte {
	u, ok := l[key{kindSecret, manifestSecret}]
	if !ok {
		return nil
	}
	text, _, _ := unstructured.NestedString(u.Object, "data", keyLease)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return data
}

// memory is the Secret that the workload can be read back from.
func (r *rendering) memory() (*corev1.Secret, error) {
	envelope, err := r.workload.Envelope.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode the manifest: %w", err)
	}
	meta := r.meta(manifestSecret, labelRole, roleManifest)
	meta.Annotations = map[string]string{
		annotationLease: r.workload.Lease.String(), annotationSuspended: strconv.FormatBool(r.workload.Suspended),
	}
	data := map[string][]byte{keyEnvelope: envelope, keyHash: r.workload.ManifestHash, keyLease: r.LeaseKey}
	if hooks := r.Stage.Hooks.encode(); hooks != nil {
		data[keyHooks] = hooks
	}
	if r.workload.Suspended && r.SuspendedAt != 0 {
		data[keySuspended] = strconv.AppendInt(nil, r.SuspendedAt, 10)
	}
	if marks := r.Restarts.encode(r.workload.Group.Services); marks != nil {
		data[keyRestarts] = marks
	}
	if r.Accepted != 0 {
		data[keyAccepted] = strconv.AppendInt(nil, r.Accepted, 10)
	}
	if len(r.Claims) > 0 {
		if data[keyHosts], err = json.Marshal(r.Claims); err != nil {
			return nil, fmt.Errorf("encode the host names: %w", err)
		}
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: meta,
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	}, nil
}

// serviceAccountName is an account of our own, so that pods need not wait for the default one.
const serviceAccountName = "workload"

func (r *rendering) serviceAccount() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   r.meta(serviceAccountName),
		AutomountServiceAccountToken: new(false),
	}
}

// toUnstructured converts an object to what is sent: without nulls and without a status, and with a hash of itself in
// an annotation, by which a later rendering that lacks a field is told from a cluster that added one. The hash of a
// Secret is a keyed one: it must not confirm a guess of what the Secret holds. room is what a former call returned as its
// second value, so that the text that is hashed is not given new memory for each object.
func (e *encoder) toUnstructured(o runtime.Object, key, room []byte) (u *unstructured.Unstructured, _ []byte, err error) {
	m, data, err := e.unstructured(o, room[:0])
	if err != nil {
		return nil, nil, fmt.Errorf("convert %T: %w", o, err)
	}
	u = &unstructured.Unstructured{Object: m}
	rendered := ""
	if u.GetKind() == kindSecret {
		rendered = keyedDigest(key, data, 16)
	} else {
		rendered = digest(data, 16)
	}
	meta, ok := m["metadata"].(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("convert %T: it has no metadata", o)
	}
	if annotations, ok := meta["annotations"].(map[string]any); ok {
		annotations[annotationRendered] = rendered
	} else {
		meta["annotations"] = map[string]any{annotationRendered: rendered}
	}
	return u, data, nil
}
