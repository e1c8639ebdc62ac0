package kube

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// RouteMode says which objects lead hosts to services.
type RouteMode string

// The modes. RouteAuto takes the Gateway API where the cluster serves it and has the Gateway, else Ingress.
const (
	RouteAuto    RouteMode = "auto"
	RouteGateway RouteMode = "gateway"
	RouteIngress RouteMode = "ingress"
)

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
	// GPUResource is the extended resource of a GPU; nvidia.com/gpu if empty.
	GPUResource string
	// Overcommit says how much more is sold than there is: pods ask the scheduler for that much less than they may use.
	Overcommit Overcommit
	// NodePorts is how many ports the cluster gives to Services; 2768, as Kubernetes does by default, if 0.
	NodePorts int64
	// StorageClasses gives names in documents to the cluster's classes of persistent storage.
	StorageClasses map[string]string
	// DrainSeconds is how long an instance goes on serving after it was told to stop, so that the ingress learns of it
	// in time; 5 if 0.
	DrainSeconds int64

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
	c.UserNamespaces = or(c.UserNamespaces, UserNamespacesAuto)
	c.DNSNamespace = or(c.DNSNamespace, "kube-system")
	if len(c.DNSLabels) == 0 {
		c.DNSLabels = map[string]string{"k8s-app": "kube-dns"}
	}
	c.GPUResource = or(c.GPUResource, "nvidia.com/gpu")
	c.NodePorts = or(c.NodePorts, 2768)
	c.DrainSeconds = or(c.DrainSeconds, 5)
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
	for image, user := range c.ImageUsers {
		if user <= 0 {
			errs = append(errs, fmt.Errorf("kube: user %d of image %s is not above 0", user, image))
		}
	}
	return errors.Join(errs...)
}
