package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var gatewayClasses = schema.GroupVersionResource{Group: groupGateway, Version: "v1", Resource: "gatewayclasses"}

// carrier is who carries the routes, as far as it has settings of its own that the driver knows.
type carrier string

// The carriers by what they call themselves; carrierOther is any other.
const (
	carrierOther   carrier = ""
	carrierTraefik carrier = "traefik"
	carrierNginx   carrier = "nginx"
)

var controllers = map[string]carrier{
	"traefik.io/gateway-controller": carrierTraefik,
	"traefik.io/ingress-controller": carrierTraefik,
	"k8s.io/ingress-nginx":          carrierNginx,
}

// routeAbilities is what routes can do in this cluster beyond http by host.
type routeAbilities struct {
	Carrier carrier
	// Extensions says that Traefik's own kinds are served.
	Extensions bool
	// BackendTimeout says that the Gateway honours the timeout of a request to a backend.
	BackendTimeout bool
	// BackendH2C says that the Gateway speaks HTTP/2 without TLS to backends whose port says so.
	BackendH2C bool
	// TLSRoute is the version in which TLSRoute is served; empty if it is not.
	TLSRoute string
	// Passthrough are the host names for which TLS is passed through: names, *.DOMAIN, or * for all.
	Passthrough []string
	// EdgeTLS says that names directly below the provider's domain have a certificate at the edge.
	EdgeTLS bool
	// HTTPListener and EdgeListener are the names of the Gateway's listeners for http, and for https of the domain.
	HTTPListener, EdgeListener string
}

// passes tells whether TLS of a host can be passed through.
func (a routeAbilities) passes(host string) bool {
	return slices.ContainsFunc(a.Passthrough, func(p string) bool { return stands(p, host) })
}

// stands tells whether the host name of a listener stands for a host: itself, or *.DOMAIN for all below the domain.
func stands(pattern, host string) bool {
	if pattern == "*" || pattern == host {
		return true
	}
	domain, ok := strings.CutPrefix(pattern, "*.")
	return ok && strings.HasSuffix(host, "."+domain)
}

// routeAbilities learns what routes of a mode can do.
func (c *Cluster) routeAbilities(ctx context.Context, r routing) (routeAbilities, error) {
	var a routeAbilities
	var err error
	switch r.mode {
	case RouteGateway:
		a, err = c.gatewayAbilities(ctx, r)
	case RouteIngress:
		a, err = c.ingressAbilities(ctx)
	}
	if err != nil {
		return a, err
	}
	if c.cfg.Passthrough == SwitchOff {
		a.Passthrough = nil
	}
	if c.cfg.EdgeTLS == SwitchOff {
		a.EdgeTLS = false
	}
	return a, nil
}

func (c *Cluster) gatewayAbilities(ctx context.Context, r routing) (routeAbilities, error) {
	var a routeAbilities
	u, err := c.dynamic.Resource(gateways).Namespace(r.gatewayNamespace).Get(ctx, r.gatewayName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("read gateway %s/%s: %w", r.gatewayNamespace, r.gatewayName, err)
	}
	a.listeners(u, c.cfg.Domain)
	if len(a.Passthrough) > 0 {
		if a.TLSRoute, err = c.newest(groupGateway, "tlsroutes", "v1", "v1alpha3", "v1alpha2"); err != nil {
			return a, err
		}
		if a.TLSRoute == "" {
			a.Passthrough = nil
		}
	}
	name, _, _ := unstructured.NestedString(u.Object, "spec", "gatewayClassName")
	if name == "" {
		return a, nil
	}
	class, err := c.dynamic.Resource(gatewayClasses).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("read the class of gateway %s/%s: %w", r.gatewayNamespace, r.gatewayName, err)
	}
	controller, _, _ := unstructured.NestedString(class.Object, "spec", "controllerName")
	a.Carrier = controllers[controller]
	features, _, _ := unstructured.NestedSlice(class.Object, "status", "supportedFeatures")
	has := func(name string) bool {
		return slices.ContainsFunc(features, func(f any) bool {
			m, ok := f.(map[string]any)
			return ok && m["name"] == name
		})
	}
	a.BackendTimeout, a.BackendH2C = has("HTTPRouteBackendTimeout"), has("HTTPRouteBackendProtocolH2C")
	return a, c.extensions(&a)
}

// listeners reads what the listeners of a Gateway offer.
func (a *routeAbilities) listeners(gw *unstructured.Unstructured, domain string) {
	all, _, _ := unstructured.NestedSlice(gw.Object, "spec", "listeners")
	for _, l := range all {
		m, ok := l.(map[string]any)
		if !ok {
			continue
		}
		name, _, _ := unstructured.NestedString(m, "name")
		host, _, _ := unstructured.NestedString(m, "hostname")
		mode, _, _ := unstructured.NestedString(m, "tls", "mode")
		if host == "" {
			host = "*"
		}
		switch {
		case m["protocol"] == string(gatewayv1.HTTPProtocolType) && a.HTTPListener == "":
			a.HTTPListener = name
		case m["protocol"] == string(gatewayv1.TLSProtocolType) && mode == string(gatewayv1.TLSModePassthrough):
			a.Passthrough = append(a.Passthrough, host)
		case m["protocol"] == string(gatewayv1.HTTPSProtocolType) && mode != string(gatewayv1.TLSModePassthrough):
			if a.EdgeListener == "" && (host == "*" || host == "*."+domain) {
				a.EdgeTLS, a.EdgeListener = true, name
			}
		}
	}
}

// ingressAbilities are those of the controller of Ingress objects. What it was set up for cannot be seen: the operator
// says so, but for TLS by server name where Traefik's kinds are served.
func (c *Cluster) ingressAbilities(ctx context.Context) (routeAbilities, error) {
	a := routeAbilities{EdgeTLS: c.cfg.EdgeTLS == SwitchOn}
	classes, err := c.typed.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return a, fmt.Errorf("list ingress classes: %w", err)
	}
	for _, ic := range classes.Items {
		isDefault := ic.Annotations["ingressclass.kubernetes.io/is-default-class"] == "true"
		if ic.Name == c.cfg.IngressClass || c.cfg.IngressClass == "" && isDefault {
			a.Carrier = controllers[ic.Spec.Controller]
		}
	}
	if err := c.extensions(&a); err != nil {
		return a, err
	}
	if a.Extensions || a.Carrier == carrierNginx && c.cfg.Passthrough == SwitchOn {
		a.Passthrough = []string{"*"}
	}
	return a, nil
}

// extensions finds out whether Traefik's own kinds are served.
func (c *Cluster) extensions(a *routeAbilities) error {
	if a.Carrier != carrierTraefik {
		return nil
	}
	version, err := c.newest(groupTraefik, "middlewares", versionTraefik)
	a.Extensions = version != ""
	return err
}

// newest is the first of some versions in which a resource is served; empty for none.
func (c *Cluster) newest(group, resource string, versions ...string) (string, error) {
	for _, v := range versions {
		list, err := c.typed.Discovery().ServerResourcesForGroupVersion(group + "/" + v)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("ask what %s/%s serves: %w", group, v, err)
		}
		if slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == resource }) {
			return v, nil
		}
	}
	return "", nil
}

// rare are the kinds that not every cluster serves, by whether this one does, as far as routes are made of them.
func (a routeAbilities) rare() map[string]bool {
	return map[string]bool{
		kindTLSRoute: a.TLSRoute != "", kindMiddleware: a.Extensions, kindServersTransport: a.Extensions,
		kindTraefikService: a.Extensions, kindIngressRoute: a.Extensions, kindIngressRouteTCP: a.Extensions,
	}
}
