package kube

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

const (
	annotationNginx = "nginx.ingress.kubernetes.io/"
	// defaultTries is how often a request is tried in all when a document says when but not how often.
	defaultTries = 3
	// traefikTries is the most that Traefik tries.
	traefikTries = 10
)

// schemeH2C is the word for HTTP/2 without TLS, of Traefik and of Kubernetes for ports.
const schemeH2C = "h2c"

// h2c tells whether a service speaks HTTP/2 without TLS.
func h2c(h *manifesttypes.HTTPOptions) bool { return h != nil && h.H2C }

// backendScheme is how Traefik speaks to a service; empty for what it does by itself.
func backendScheme(h *manifesttypes.HTTPOptions) string {
	if h2c(h) {
		return schemeH2C
	}
	return ""
}

// routeOptions is how the options of an http port are honoured by who carries its route.
type routeOptions struct {
	objects     []runtime.Object
	middlewares []string // of Traefik, by name
	transport   string   // of Traefik, by name
	annotations map[string]string
	// rule is that of an HTTPRoute.
	rule gatewayv1.HTTPRouteRule
}

// options renders the options of an http port. meta is for what has to be made for them.
func (r *rendering) options(meta metav1.ObjectMeta, route cluster.Route) routeOptions {
	o := routeOptions{rule: gatewayv1.HTTPRouteRule{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: backend(route)}}}}
	h := route.Options
	switch {
	case h == nil:
	case r.Able.Extensions:
		r.traefikOptions(&o, meta, route)
	case r.Routes == RouteIngress:
		o.annotations = nginxOptions(h)
	case h.ReadTimeoutMs > 0:
		o.rule.Timeouts = &gatewayv1.HTTPRouteTimeouts{
			BackendRequest: new(gatewayv1.Duration(strconv.FormatUint(uint64(h.ReadTimeoutMs), 10) + "ms")),
		}
	}
	return o
}

// tries is how often a request is tried in all, and whether anything is tried again.
func tries(h *manifesttypes.HTTPOptions) (n uint32, again bool) {
	if slices.Contains(h.NextCases, "off") || h.NextTries == 1 || h.NextTries == 0 && len(h.NextCases) == 0 {
		return 1, false
	}
	return or(h.NextTries, defaultTries), true
}

// cases are when a request is tried again.
func cases(h *manifesttypes.HTTPOptions) []string {
	if len(h.NextCases) == 0 {
		return []string{"error", "timeout"}
	}
	return h.NextCases
}

func (r *rendering) traefikOptions(o *routeOptions, meta metav1.ObjectMeta, route cluster.Route) {
	h := route.Options
	buffering := traefikBuffering{MaxRequestBodyBytes: int64(h.MaxBodyBytes)}
	if n, again := tries(h); again {
		buffering.RetryExpression = retryExpression(n, cases(h))
	}
	if buffering != (traefikBuffering{}) {
		o.objects = append(o.objects, r.traefik(kindMiddleware, meta, traefikSpec{Buffering: &buffering}))
		o.middlewares = []string{meta.Name}
		o.rule.Filters = []gatewayv1.HTTPRouteFilter{{
			Type:         gatewayv1.HTTPRouteFilterExtensionRef,
			ExtensionRef: &gatewayv1.LocalObjectReference{Group: groupTraefik, Kind: kindMiddleware, Name: gatewayv1.ObjectName(meta.Name)},
		}}
	}
	if h.ReadTimeoutMs == 0 {
		return
	}
	o.transport = meta.Name
	o.objects = append(o.objects, r.traefik(kindServersTransport, meta, traefikSpec{
		ForwardingTimeouts: &traefikTimeouts{ResponseHeaderTimeout: strconv.FormatUint(uint64(h.ReadTimeoutMs), 10) + "ms"},
	}))
	if r.Routes == RouteIngress {
		return
	}
	o.objects = append(o.objects, r.traefik(kindTraefikService, meta, traefikSpec{Weighted: &traefikWeighted{Services: []traefikBackend{
		{Name: route.Service, Port: int64(route.Port), ServersTransport: meta.Name, Weight: 1},
	}}}))
	o.rule.BackendRefs = []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{
			Group: new(gatewayv1.Group(groupTraefik)), Kind: new(gatewayv1.Kind(kindTraefikService)), Name: gatewayv1.ObjectName(meta.Name),
		},
	}}}
}

// retryExpression says when Traefik tries a request again. What a request that changes something did before it failed
// is not known, so those are never repeated.
func retryExpression(n uint32, cases []string) string {
	var when []string
	network := false
	for _, c := range cases {
		switch c {
		case "error", "timeout":
			network = true
		default:
			when = append(when, "ResponseCode() == "+c)
		}
	}
	if network {
		when = append(when, "IsNetworkError()")
	}
	return fmt.Sprintf(`Attempts() < %d && RequestMethod() != "POST" && RequestMethod() != "PATCH" && (%s)`, n, strings.Join(when, " || "))
}

// nginxOptions are the settings of ingress-nginx. It counts time in seconds.
func nginxOptions(h *manifesttypes.HTTPOptions) map[string]string {
	out := map[string]string{}
	seconds := func(ms uint32) uint32 { return (ms + 999) / 1000 }
	for name, n := range map[string]uint32{
		"proxy-body-size": h.MaxBodyBytes, "proxy-buffer-size": h.ProxyBufferBytes,
		"proxy-read-timeout": seconds(h.ReadTimeoutMs), "proxy-send-timeout": seconds(h.SendTimeoutMs),
		"proxy-next-upstream-tries": h.NextTries, "proxy-next-upstream-timeout": seconds(h.NextTimeoutMs),
	} {
		if n > 0 {
			out[annotationNginx+name] = strconv.FormatUint(uint64(n), 10)
		}
	}
	if h.H2C {
		out[annotationNginx+"backend-protocol"] = "GRPC"
	}
	var words []string
	for _, c := range h.NextCases {
		if _, err := strconv.Atoi(c); err == nil {
			c = "http_" + c
		}
		words = append(words, c)
	}
	if len(words) > 0 {
		out[annotationNginx+"proxy-next-upstream"] = strings.Join(words, " ")
	}
	return out
}

// checkOptions refuses options that who carries the route cannot honour, and those beyond what the operator allows.
func checkOptions(p *problems, at string, e manifesttypes.Expose, s settings) {
	h := e.HttpOptions
	if h == nil {
		return
	}
	at += ".http_options."
	if e.Proto != manifesttypes.PROTO_HTTP || !cluster.Anyone(e) {
		p.add(strings.TrimSuffix(at, "."), "the port is not an http port that anyone may reach: it has no route")
		return
	}
	if h.MaxBodyBytes > s.MaxBody {
		p.add(at+"max_body_size", "%d bytes, this provider allows at most %d", h.MaxBodyBytes, s.MaxBody)
	}
	for _, t := range []struct {
		name string
		ms   uint32
	}{{"read_timeout", h.ReadTimeoutMs}, {"send_timeout", h.SendTimeoutMs}, {"next_timeout", h.NextTimeoutMs}} {
		if wait := time.Duration(t.ms) * time.Millisecond; wait > s.MaxTimeout {
			p.add(at+t.name, "%s, this provider allows at most %s", wait, s.MaxTimeout)
		}
	}
	for _, name := range s.beyond(h) {
		p.add(at+name, "the proxy of this provider has no such setting for one port")
	}
	if h.NextTries > traefikTries && s.Able.Extensions {
		p.add(at+"next_tries", "%d, the proxy of this provider tries at most %d times", h.NextTries, traefikTries)
	}
	for i, c := range h.NextCases {
		if !slices.Contains(nextCases, c) {
			p.add(fmt.Sprintf("%snext_cases[%d]", at, i), "%.100q is not known", c)
		}
	}
}

var nextCases = []string{"403", "404", "429", "500", "502", "503", "504", "error", "off", "timeout"}

// beyond are the options that are set and that who carries routes here has no setting for. Traefik waits for a service
// to take a request for as long as that takes, which honours every send_timeout.
func (s settings) beyond(h *manifesttypes.HTTPOptions) []string {
	nginx := s.Routes == RouteIngress && s.Able.Carrier == carrierNginx
	var out []string
	refuse := func(set, able bool, name string) {
		if set && !able && !nginx {
			out = append(out, name)
		}
	}
	_, again := tries(h)
	refuse(h.MaxBodyBytes > 0, s.Able.Extensions, "max_body_size")
	// Traefik waits for an answer in HTTP/2 without TLS for as long as that takes.
	refuse(h.ReadTimeoutMs > 0, s.Able.Extensions && !h.H2C || !s.Able.Extensions && s.Routes == RouteGateway && s.Able.BackendTimeout, "read_timeout")
	refuse(h.H2C, s.Able.Extensions || s.Routes == RouteGateway && s.Able.BackendH2C, "h2c")
	refuse(h.SendTimeoutMs > 0, s.Able.Extensions, "send_timeout")
	refuse(again && h.NextTries > 0, s.Able.Extensions, "next_tries")
	refuse(len(h.NextCases) > 0, s.Able.Extensions, "next_cases")
	refuse(h.NextTimeoutMs > 0, false, "next_timeout")
	refuse(h.ProxyBufferBytes > 0, false, "proxy_buffer_size")
	return out
}
