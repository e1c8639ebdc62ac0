package kube

import (
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// maxRouteHosts is how many host names a route of the Gateway API may have.
const maxRouteHosts = 16

// hostsOf are the host names of a route that the lease has: the generated one first, none twice.
func hostsOf(route cluster.Route, c claims) []string {
	hosts := []string{route.Host}
	for _, h := range route.Accept {
		if !slices.Contains(hosts, h) && c.has(h) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// secure tells whether clients reach a host of an http port by https, with the certificate of the provider's domain:
// names directly below it whose TLS is not passed through to a service.
func (a routeAbilities) secure(host, domain string, services []manifesttypes.Service) bool {
	label, below := strings.CutSuffix(host, "."+domain)
	if !a.EdgeTLS || !below || strings.Contains(label, ".") {
		return false
	}
	for _, sv := range services {
		for _, e := range sv.Expose {
			if e.Proto == manifesttypes.PROTO_HTTPS && cluster.Anyone(e) && slices.Contains(e.Accept, host) {
				return false
			}
		}
	}
	return true
}

// routes renders what leads host names to the ports that anyone may reach.
func (r *rendering) routes(sv manifesttypes.Service) []runtime.Object {
	var out []runtime.Object
	for _, route := range cluster.Routes(r.workload.Lease, sv, r.Domain) {
		port := "p" + strconv.FormatUint(uint64(route.Port), 10)
		hosts := hostsOf(route, r.Claims)
		switch {
		case route.Proto == manifesttypes.PROTO_HTTPS && r.Routes == RouteIngress:
			out = append(out, r.ingressTLS(r.meta(objectName(port, sv.Name), labelService, sv.Name), route, hosts))
		case route.Proto == manifesttypes.PROTO_HTTPS:
			for i, some := range chunks(hosts) {
				out = append(out, r.tlsRoute(r.routeMeta(port, i, sv.Name), route, some))
			}
		case r.Routes == RouteIngress:
			out = append(out, r.ingressRoutes(r.meta(objectName(port, sv.Name), labelService, sv.Name), route, hosts)...)
		default:
			out = append(out, r.httpRoutes(port, route, hosts)...)
		}
	}
	return out
}

func chunks(hosts []string) [][]string { return slices.Collect(slices.Chunk(hosts, maxRouteHosts)) }

// routeMeta is the metadata of the route of the i-th part of a port's host names.
func (r *rendering) routeMeta(port string, i int, service string) metav1.ObjectMeta {
	if i > 0 {
		return r.meta(objectName(port, strconv.Itoa(i+1), service), labelService, service)
	}
	return r.meta(objectName(port, service), labelService, service)
}

// httpRoutes lead host names to an http port. Where clients are sent from http to https, the names with a certificate
// have routes of their own for the two.
func (r *rendering) httpRoutes(port string, route cluster.Route, hosts []string) []runtime.Object {
	o := r.options(r.meta(objectName(port, route.Service), labelService, route.Service), route)
	out := o.objects
	if !r.HTTPSRedirect || !r.Able.EdgeTLS {
		for i, some := range chunks(hosts) {
			out = append(out, r.httpRoute(r.routeMeta(port, i, route.Service), some, "", o.rule))
		}
		return out
	}
	var covered, plain []string
	for _, h := range hosts {
		if r.Able.secure(h, r.Domain, r.workload.Group.Services) {
			covered = append(covered, h)
		} else {
			plain = append(plain, h)
		}
	}
	for i, some := range chunks(covered) {
		redirect := r.meta(objectName(port, "to-https", strconv.Itoa(i+1), route.Service), labelService, route.Service)
		out = append(out, r.httpRoute(r.routeMeta(port, i, route.Service), some, r.Able.EdgeListener, o.rule),
			r.httpRoute(redirect, some, r.Able.HTTPListener, r.redirect()))
	}
	for i, some := range chunks(plain) {
		meta := r.meta(objectName(port, "plain", strconv.Itoa(i+1), route.Service), labelService, route.Service)
		out = append(out, r.httpRoute(meta, some, r.Able.HTTPListener, o.rule))
	}
	return out
}

// redirect sends a client to https.
func (r *rendering) redirect() gatewayv1.HTTPRouteRule {
	port := r.HTTPSPort
	if port == 0 {
		port = 443
	}
	return gatewayv1.HTTPRouteRule{Filters: []gatewayv1.HTTPRouteFilter{{
		Type: gatewayv1.HTTPRouteFilterRequestRedirect,
		RequestRedirect: &gatewayv1.HTTPRequestRedirectFilter{
			Scheme: new("https"), Port: new(gatewayv1.PortNumber(port)), StatusCode: new(301),
		},
	}}}
}

// parent is the Gateway, or one of its listeners.
func (r *rendering) parent(listener string) gatewayv1.CommonRouteSpec {
	ref := gatewayv1.ParentReference{
		Name: gatewayv1.ObjectName(r.GatewayName), Namespace: new(gatewayv1.Namespace(r.GatewayNamespace)),
	}
	if listener != "" {
		ref.SectionName = new(gatewayv1.SectionName(listener))
	}
	return gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{ref}}
}

func hostnames(hosts []string) []gatewayv1.Hostname {
	var out []gatewayv1.Hostname
	for _, h := range hosts {
		out = append(out, gatewayv1.Hostname(h))
	}
	return out
}

func backend(route cluster.Route) gatewayv1.BackendRef {
	return gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{
		Name: gatewayv1.ObjectName(route.Service), Port: new(gatewayv1.PortNumber(route.Port)),
	}}
}

func (r *rendering) httpRoute(meta metav1.ObjectMeta, hosts []string, listener string, rule gatewayv1.HTTPRouteRule) *gatewayv1.HTTPRoute {
	return &gatewayv1.HTTPRoute{
		TypeMeta:   metav1.TypeMeta{APIVersion: gatewayv1.GroupVersion.String(), Kind: kindHTTPRoute},
		ObjectMeta: meta,
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: r.parent(listener), Hostnames: hostnames(hosts), Rules: []gatewayv1.HTTPRouteRule{rule},
		},
	}
}

// tlsRoute leads server names of TLS to an https port. All versions of TLSRoute agree on what is used of it.
func (r *rendering) tlsRoute(meta metav1.ObjectMeta, route cluster.Route, hosts []string) *gatewayv1alpha2.TLSRoute {
	return &gatewayv1alpha2.TLSRoute{
		TypeMeta:   metav1.TypeMeta{APIVersion: groupGateway + "/" + r.Able.TLSRoute, Kind: kindTLSRoute},
		ObjectMeta: meta,
		Spec: gatewayv1alpha2.TLSRouteSpec{
			CommonRouteSpec: r.parent(""), Hostnames: hostnames(hosts),
			Rules: []gatewayv1alpha2.TLSRouteRule{{BackendRefs: []gatewayv1.BackendRef{backend(route)}}},
		},
	}
}

// ingressRoutes lead host names to an http port where the Gateway API is not used.
func (r *rendering) ingressRoutes(meta metav1.ObjectMeta, route cluster.Route, hosts []string) []runtime.Object {
	o := r.options(meta, route)
	own := o.transport != "" || len(o.middlewares) > 0 || h2c(route.Options) && r.Able.Extensions
	if !own {
		in := r.ingress(meta, route, hosts)
		in.Annotations = o.annotations
		return []runtime.Object{in}
	}
	// Traefik takes settings of one port from its own kind of route only.
	rule := traefikRoute{
		Kind: "Rule", Match: matchHosts("Host", hosts),
		Services: []traefikBackend{{Name: route.Service, Port: int64(route.Port), Scheme: backendScheme(route.Options), ServersTransport: o.transport}},
	}
	for _, m := range o.middlewares {
		rule.Middlewares = append(rule.Middlewares, traefikBackend{Name: m})
	}
	return append(o.objects, r.traefik(kindIngressRoute, meta, traefikSpec{Routes: []traefikRoute{rule}}))
}

// matchHosts is a rule of Traefik. Hosts are names of letters, digits, dots and hyphens: nothing in them can end it.
func matchHosts(by string, hosts []string) string {
	var parts []string
	for _, h := range hosts {
		parts = append(parts, by+"(`"+h+"`)")
	}
	return strings.Join(parts, " || ")
}

// ingressTLS leads server names of TLS to an https port where the Gateway API is not used.
func (r *rendering) ingressTLS(meta metav1.ObjectMeta, route cluster.Route, hosts []string) runtime.Object {
	if r.Able.Carrier == carrierNginx {
		in := r.ingress(meta, route, hosts)
		in.Annotations = map[string]string{annotationNginx + "ssl-passthrough": "true"}
		return in
	}
	return r.traefik(kindIngressRouteTCP, meta, traefikSpec{
		Routes: []traefikRoute{{
			Match: matchHosts("HostSNI", hosts), Services: []traefikBackend{{Name: route.Service, Port: int64(route.Port)}},
		}},
		TLS: &traefikTLS{Passthrough: true},
	})
}

func (r *rendering) ingress(meta metav1.ObjectMeta, route cluster.Route, hosts []string) *networkingv1.Ingress {
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
		Name: route.Service, Port: networkingv1.ServiceBackendPort{Number: int32(route.Port)},
	}}
	in := &networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: meta,
	}
	if r.IngressClass != "" {
		in.Spec.IngressClassName = &r.IngressClass
	}
	for _, host := range hosts {
		in.Spec.Rules = append(in.Spec.Rules, networkingv1.IngressRule{
			Host: host,
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: new(networkingv1.PathTypePrefix), Backend: backend,
				}},
			}},
		})
	}
	return in
}
