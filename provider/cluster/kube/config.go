package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"berth.dev/berth/manifest"
	"berth.dev/berth/provider/cluster"
)

// RouteMode says which objects lead hosts to services.
type RouteMode string

// The modes. RouteAuto takes the Gateway API where the cluster serves it and has the Gateway, else Ingress.
const (
	RouteAuto    RouteMode = "auto"
	RouteGateway RouteMode = "gateway"
	RouteIngress RouteMode = "ingress"
)

// Switch turns an ability of routes on or off.
type Switch string

// The values. SwitchAuto goes by what the cluster tells of its Gateway; with Ingress objects, SwitchOn is the word of the
// operator that the controller is set up for it.
const (
	SwitchAuto Switch = "auto"
	SwitchOn   Switch = "on"
	SwitchOff  Switch = "off"
)

// LeasedIPs describes the addresses that Services of type LoadBalancer get.
type LeasedIPs struct {
	// Count is how many there are; 0 for none.
	Count int64
	// Class is the class of load balancers; empty for the cluster's default.
	Class string
	// Annotations stand on each such Service: what names the pool to take addresses from.
	Annotations map[string]string
	// SharingKey is the annotation by whose equal values several Services get one address. Without it an address is
	// refused to more than one service.
	SharingKey string
}

// Hosts says how it is found out whose a host name is.
type Hosts struct {
	// ChainID stands in proofs: one for another chain is none.
	ChainID string
	// NeedNoProof gives hosts outside of the provider's domain to whoever asks first.
	NeedNoProof bool
	// Resolver is the DNS server that is asked for proofs, HOST:PORT; the system's if empty.
	Resolver string
}

// UserNamespaces says whether pods may ask for a user namespace of their own.
type UserNamespaces string

// The values. UserNamespacesAuto asks the nodes' container runtimes.
const (
	UserNamespacesAuto UserNamespaces = "auto"
	UserNamespacesOn   UserNamespaces = "on"
	UserNamespacesOff  UserNamespaces = "off"
)

// Overcommit holds factors in thousandths; 0 is 1000, no more than there is.
type Overcommit struct{ CPU, Memory, Storage uint32 }

// GPU is how the devices of a vendor are asked for.
type GPU struct {
	// Resource is the extended resource that the vendor's device plugin offers.
	Resource string
	// RuntimeClass is that of pods with such devices; empty for that of all pods.
	RuntimeClass string
}

// StorageClass is a class of persistent storage in the cluster.
type StorageClass struct {
	// Name is that of the cluster's StorageClass.
	Name string
	// Capacity is how many bytes of it there are for leases of all providers, where its driver does not tell; 0 if it does.
	Capacity int64
}

// maxDevices is how many vendors' devices can be told apart.
const maxDevices = 8

// Config says which cluster to use and how. Only Provider and Domain have no default.
type Config struct {
	// Kubeconfig is the path of a kubeconfig file; empty means the service account of the pod that we run in.
	Kubeconfig string
	// Provider is the provider's address: leases of other providers are never listed nor touched.
	Provider string
	// Domain is the domain of generated host names.
	Domain string
	// IngressPort is the port that clients reach the ingress on; it stands in URLs when it is neither 0 nor 80.
	IngressPort int
	// HTTPSPort is the port that clients reach TLS on; it stands in URLs when it is neither 0 nor 443.
	HTTPSPort int
	// EdgeTLS says whether http ports are reached by https as well; auto if empty.
	EdgeTLS Switch
	// HTTPSRedirect sends clients of http to https where the edge ends TLS. It needs the Gateway API.
	HTTPSRedirect bool
	// Passthrough says whether TLS is passed through to https ports by server name; auto if empty.
	Passthrough Switch
	// MaxBody is the largest body of a request that http_options may allow, in bytes; 100 MiB if 0. MaxTimeout is the
	// longest of their timeouts; a minute if 0.
	MaxBody    uint32
	MaxTimeout time.Duration
	// LeasedIPs are the addresses that can be leased; the zero value is none.
	LeasedIPs LeasedIPs
	// Hosts says who may have host names outside of Domain.
	Hosts Hosts
	// NodeHost is the host of forwarded ports; Domain if empty.
	NodeHost string

	// RouteMode is auto if empty.
	RouteMode RouteMode
	// GatewayName and GatewayNamespace name the Gateway; if both are empty, the first one with an HTTP listener, by
	// namespace and name, is taken.
	GatewayName, GatewayNamespace string
	// IngressClass is the class of Ingress objects; empty means the cluster's default class.
	IngressClass string
	// IngressNamespaces hold the pods of the ingress controller or gateway; the Gateway's namespace if empty.
	IngressNamespaces []string
	// IngressCIDRs are the addresses that an ingress controller with the host's network connects from.
	IngressCIDRs []string

	// DNSNamespace and DNSLabels select the pods of the cluster's DNS: kube-system and k8s-app=kube-dns if empty.
	DNSNamespace string
	DNSLabels    map[string]string
	// DNSCIDRs are addresses of name servers that are no pods, such as a cache on each node.
	DNSCIDRs []string
	// DenyCIDRs are closed to workloads, besides the private ranges and what is known of nodes, pods and services.
	DenyCIDRs []string

	// UserNamespaces is auto if empty.
	UserNamespaces UserNamespaces
	// ImageUsers holds the numeric users of images that are known not to run as root: they run `restricted`, without
	// a user namespace.
	ImageUsers map[string]int64
	// RuntimeClass is the runtime class of all pods; empty for the cluster's default.
	RuntimeClass string
	// GPUs are the devices that are sold, by vendor; those of nvidia, amd and intel under the names of their device
	// plugins if nil.
	GPUs map[string]GPU
	// DeviceClass says what devices are where the labels of their nodes do not; its counts are ignored.
	DeviceClass cluster.GPU
	// Overcommit says how much more is sold than there is: pods ask the scheduler for that much less than they may use.
	Overcommit Overcommit
	// NodePorts is how many ports the cluster gives to Services; 2768, as Kubernetes does by default, if 0.
	NodePorts int64
	// StorageClasses gives names in documents to the cluster's classes of persistent storage.
	StorageClasses map[string]StorageClass
	// DrainSeconds is how long an instance goes on serving after it was told to stop, so that the ingress learns of it
	// in time; 5 if 0.
	DrainSeconds int64

	// RoomAfter is how long a new instance has to be without room before others are ended for it; a minute if 0. LookEvery is
	// how often all leases are compared with their manifests, whatever is told of them meanwhile; half a minute if 0.
	RoomAfter, LookEvery time.Duration
	// HooksStay is how long the job of a hook that succeeded stays where instances are counted by their load; a minute if 0.
	HooksStay time.Duration

	// Link says how links to other groups reach pods and are reached by them.
	Link LinkConfig

	// Shared says that other Berth providers sell a part of the same nodes: their pods are not counted as foreign.
	Shared bool

	// Logger gets what the reconcile loop does; discarded if nil.
	Logger *slog.Logger
}

// withDefaults fills in what is empty.
func (c Config) withDefaults() Config {
	c.NodeHost = or(c.NodeHost, c.Domain)
	c.RouteMode = or(c.RouteMode, RouteAuto)
	c.EdgeTLS, c.Passthrough = or(c.EdgeTLS, SwitchAuto), or(c.Passthrough, SwitchAuto)
	c.MaxBody, c.MaxTimeout = or(c.MaxBody, manifest.MaxBodyBytes), or(c.MaxTimeout, time.Minute)
	c.UserNamespaces = or(c.UserNamespaces, UserNamespacesAuto)
	c.DNSNamespace = or(c.DNSNamespace, "kube-system")
	if len(c.DNSLabels) == 0 {
		c.DNSLabels = map[string]string{"k8s-app": "kube-dns"}
	}
	if c.GPUs == nil {
		c.GPUs = map[string]GPU{"nvidia": {Resource: "nvidia.com/gpu"}, "amd": {Resource: "amd.com/gpu"}, "intel": {Resource: "gpu.intel.com/i915"}}
	}
	c.NodePorts = or(c.NodePorts, 2768)
	c.DrainSeconds = or(c.DrainSeconds, 5)
	c.RoomAfter, c.LookEvery, c.HooksStay = or(c.RoomAfter, crampedAfter), or(c.LookEvery, resyncEvery), or(c.HooksStay, hooksStay)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Validate returns everything that is wrong with a configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Provider == "" {
		errs = append(errs, errors.New("kube: the provider's address is missing"))
	}
	if msgs := validation.IsDNS1123Subdomain(c.Domain); len(msgs) > 0 {
		errs = append(errs, fmt.Errorf("kube: domain %q: %s", c.Domain, strings.Join(msgs, "; ")))
	}
	if !slices.Contains([]RouteMode{RouteAuto, RouteGateway, RouteIngress}, c.RouteMode) {
		errs = append(errs, fmt.Errorf("kube: route mode %q is not auto, gateway or ingress", c.RouteMode))
	}
	errs = append(errs, c.validateRoutes()...)
	if !slices.Contains([]UserNamespaces{UserNamespacesAuto, UserNamespacesOn, UserNamespacesOff}, c.UserNamespaces) {
		errs = append(errs, fmt.Errorf("kube: user namespaces %q is not auto, on or off", c.UserNamespaces))
	}
	if (c.GatewayName == "") != (c.GatewayNamespace == "") {
		errs = append(errs, errors.New("kube: a gateway needs both its name and its namespace"))
	}
	for _, s := range slices.Concat(c.DenyCIDRs, c.IngressCIDRs, c.DNSCIDRs) {
		p, err := netip.ParsePrefix(s)
		if err == nil && p.Addr().Is4In6() {
			err = fmt.Errorf("%s: write IPv4 addresses as such", s)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("kube: address range: %w", err))
		}
	}
	if c.DrainSeconds < 0 || c.DrainSeconds > maxDrainSeconds {
		errs = append(errs, fmt.Errorf("kube: drain seconds %d is not in 0..%d", c.DrainSeconds, maxDrainSeconds))
	}
	if min(c.RoomAfter, c.LookEvery, c.HooksStay) < 0 {
		errs = append(errs, fmt.Errorf("kube: waiting for room %s, looking every %s, or keeping hooks %s, is below 0", c.RoomAfter, c.LookEvery, c.HooksStay))
	}
	for image, user := range c.ImageUsers {
		if user <= 0 {
			errs = append(errs, fmt.Errorf("kube: user %d of image %s is not above 0", user, image))
		}
	}
	errs = append(errs, c.validateDevices(), c.validateStorage())
	return errors.Join(errs...)
}

func (c Config) validateDevices() error {
	var errs []error
	seen := map[string]string{}
	for vendor, g := range c.GPUs {
		if other, twice := seen[g.Resource]; twice {
			errs = append(errs, fmt.Errorf("kube: gpus of %s and %s are the same resource %s", vendor, other, g.Resource))
		}
		seen[g.Resource] = vendor
		if domain, name, ok := strings.Cut(g.Resource, "/"); !ok || domain == "" || len(validation.IsQualifiedName(g.Resource)) > 0 || name == "" {
			errs = append(errs, fmt.Errorf("kube: gpus of %s: %q is not a resource such as nvidia.com/gpu", vendor, g.Resource))
		}
		if g.RuntimeClass != "" && len(validation.IsDNS1123Subdomain(g.RuntimeClass)) > 0 {
			errs = append(errs, fmt.Errorf("kube: gpus of %s: %q cannot name a runtime class", vendor, g.RuntimeClass))
		}
	}
	if len(c.GPUs) > maxDevices {
		errs = append(errs, fmt.Errorf("kube: gpus of %d vendors, at most %d are allowed", len(c.GPUs), maxDevices))
	}
	if c.RuntimeClass != "" && len(validation.IsDNS1123Subdomain(c.RuntimeClass)) > 0 {
		errs = append(errs, fmt.Errorf("kube: %q cannot name a runtime class", c.RuntimeClass))
	}
	return errors.Join(errs...)
}

func (c Config) validateStorage() error {
	var errs []error
	seen := map[string]string{}
	for class, s := range c.StorageClasses {
		if len(validation.IsValidLabelValue(class)) > 0 || class == "" || class == ramClass {
			errs = append(errs, fmt.Errorf("kube: storage class %q cannot be a class of persistent volumes in documents", class))
		}
		if len(validation.IsDNS1123Subdomain(s.Name)) > 0 {
			errs = append(errs, fmt.Errorf("kube: storage class %s: %q cannot name a class of the cluster", class, s.Name))
		}
		if s.Capacity < 0 {
			errs = append(errs, fmt.Errorf("kube: storage class %s: the capacity is negative", class))
		}
		if other, twice := seen[s.Name]; twice {
			errs = append(errs, fmt.Errorf("kube: storage classes %s and %s are the same class %s of the cluster, whose capacity would be sold twice", class, other, s.Name))
		}
		seen[s.Name] = class
	}
	return errors.Join(errs...)
}

// gpuKinds are the devices that are sold, in the order of their vendors.
func (c Config) gpuKinds() []gpuKind {
	var out []gpuKind
	for _, vendor := range slices.Sorted(maps.Keys(c.GPUs)) {
		g := c.GPUs[vendor]
		out = append(out, gpuKind{Vendor: vendor, Resource: corev1.ResourceName(g.Resource), RuntimeClass: g.RuntimeClass})
	}
	return out
}

// validateRoutes checks what concerns ways in from outside.
func (c Config) validateRoutes() []error {
	var errs []error
	for name, s := range map[string]Switch{"edge TLS": c.EdgeTLS, "TLS passthrough": c.Passthrough} {
		if !slices.Contains([]Switch{SwitchAuto, SwitchOn, SwitchOff}, s) {
			errs = append(errs, fmt.Errorf("kube: %s %q is not auto, on or off", name, s))
		}
	}
	if c.HTTPSRedirect && c.RouteMode == RouteIngress {
		errs = append(errs, errors.New("kube: a redirect to https needs the Gateway API; ingress controllers have a setting of their own"))
	}
	if c.MaxBody > manifest.MaxBodyBytes {
		errs = append(errs, fmt.Errorf("kube: the largest body is above %d bytes", manifest.MaxBodyBytes))
	}
	if c.MaxTimeout < 0 || c.MaxTimeout > manifest.MaxRouteTimeoutMs*time.Millisecond {
		errs = append(errs, fmt.Errorf("kube: the longest timeout %s is not in 0..%s", c.MaxTimeout, manifest.MaxRouteTimeoutMs*time.Millisecond))
	}
	errs = append(errs, c.LeasedIPs.validate()...)
	if r := c.Hosts.Resolver; r != "" {
		if _, err := netip.ParseAddrPort(r); err != nil {
			errs = append(errs, fmt.Errorf("kube: resolver %q is not ADDRESS:PORT", r))
		}
	}
	return errs
}

// validate checks what is said of leased addresses.
func (l LeasedIPs) validate() []error {
	var errs []error
	if l.Count < 0 || l.Count == 0 && (l.Class != "" || len(l.Annotations) > 0 || l.SharingKey != "") {
		errs = append(errs, errors.New("kube: leased addresses: their number is missing or negative"))
	}
	for _, k := range append(slices.Sorted(maps.Keys(l.Annotations)), l.SharingKey) {
		if k != "" && len(validation.IsQualifiedName(k)) > 0 {
			errs = append(errs, fmt.Errorf("kube: leased addresses: %q cannot be an annotation", k))
		}
	}
	return errs
}
