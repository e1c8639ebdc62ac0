package kube

import (
	"reflect"
	"testing"
)

// TestRouteAbilities: what routes can do is learned of the Gateway, its class and the kinds that are served; with Ingress
// objects the operator says it.
func TestRouteAbilities(t *testing.T) {
	listener := func(name, protocol, host, mode string) any {
		l := map[string]any{"name": name, "protocol": protocol}
		if host != "" {
			l["hostname"] = host
		}
		if mode != "" {
			l["tls"] = map[string]any{"mode": mode}
		}
		return l
	}
	gateway := func(listeners ...any) func(*apiServer) {
		return func(s *apiServer) {
			s.put("gateways", map[string]any{
				"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": map[string]any{"name": "gw", "namespace": "ingress"},
				"spec": map[string]any{"gatewayClassName": "class", "listeners": listeners},
			})
		}
	}
	class := func(controller string, features ...any) func(*apiServer) {
		return func(s *apiServer) {
			s.put("gatewayclasses", map[string]any{
				"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": map[string]any{"name": "class"},
				"spec": map[string]any{"controllerName": controller}, "status": map[string]any{"supportedFeatures": features},
			})
		}
	}
	ingressClass := func(name, controller, isDefault string) func(*apiServer) {
		return func(s *apiServer) {
			s.put("ingressclasses", map[string]any{
				"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
				"metadata": map[string]any{"name": name, "annotations": map[string]any{"ingressclass.kubernetes.io/is-default-class": isDefault}},
				"spec":     map[string]any{"controller": controller},
			})
		}
	}
	serves := func(group string, names ...string) func(*apiServer) {
		return func(s *apiServer) { s.groups[group] = names }
	}
	http, tls := listener("web", "HTTP", "", ""), listener("tls", "TLS", "", "Passthrough")
	experimental, traefik := serves("gateway.networking.k8s.io/v1alpha2", "tcproutes", "tlsroutes"), serves("traefik.io/v1alpha1", "middlewares")
	for name, tc := range map[string]struct {
		cfg     Config
		prepare []func(*apiServer)
		want    routeAbilities
	}{
		"http alone":              {Config{}, []func(*apiServer){gateway(http)}, routeAbilities{HTTPListener: "web"}},
		"passthrough, no kind":    {Config{}, []func(*apiServer){gateway(http, tls)}, routeAbilities{HTTPListener: "web"}},
		"passthrough":             {Config{}, []func(*apiServer){gateway(http, tls), experimental}, routeAbilities{HTTPListener: "web", TLSRoute: "v1alpha2", Passthrough: []string{"*"}}},
		"passthrough, both":       {Config{}, []func(*apiServer){gateway(http, tls), experimental, serves("gateway.networking.k8s.io/v1", "tlsroutes")}, routeAbilities{HTTPListener: "web", TLSRoute: "v1", Passthrough: []string{"*"}}},
		"passthrough off":         {Config{Passthrough: SwitchOff}, []func(*apiServer){gateway(http, tls), experimental}, routeAbilities{HTTPListener: "web", TLSRoute: "v1alpha2"}},
		"tls ended for services":  {Config{}, []func(*apiServer){gateway(http, listener("t", "TLS", "", "Terminate")), experimental}, routeAbilities{HTTPListener: "web"}},
		"edge":                    {Config{}, []func(*apiServer){gateway(http, listener("s", "HTTPS", "*.east.test", "Terminate"))}, routeAbilities{HTTPListener: "web", EdgeTLS: true, EdgeListener: "s"}},
		"edge without a name":     {Config{}, []func(*apiServer){gateway(http, listener("s", "HTTPS", "", ""))}, routeAbilities{HTTPListener: "web", EdgeTLS: true, EdgeListener: "s"}},
		"edge of another domain":  {Config{}, []func(*apiServer){gateway(http, listener("s", "HTTPS", "*.west.test", ""))}, routeAbilities{HTTPListener: "web"}},
		"edge off":                {Config{EdgeTLS: SwitchOff}, []func(*apiServer){gateway(http, listener("s", "HTTPS", "", ""))}, routeAbilities{HTTPListener: "web", EdgeListener: "s"}},
		"another class":           {Config{}, []func(*apiServer){gateway(http), class("example.com/x", map[string]any{"name": "HTTPRouteBackendTimeout"}), traefik}, routeAbilities{HTTPListener: "web", BackendTimeout: true}},
		"h2c":                     {Config{}, []func(*apiServer){gateway(http), class("example.com/x", map[string]any{"name": "HTTPRouteBackendProtocolH2C"}), traefik}, routeAbilities{HTTPListener: "web", BackendH2C: true}},
		"traefik":                 {Config{}, []func(*apiServer){gateway(http), class("traefik.io/gateway-controller"), traefik}, routeAbilities{HTTPListener: "web", Carrier: carrierTraefik, Extensions: true}},
		"traefik, its kinds away": {Config{}, []func(*apiServer){gateway(http), class("traefik.io/gateway-controller")}, routeAbilities{HTTPListener: "web", Carrier: carrierTraefik}},
		"ingress, another":        {Config{RouteMode: RouteIngress, EdgeTLS: SwitchOn, Passthrough: SwitchOn}, []func(*apiServer){ingressClass("x", "example.com/x", "true")}, routeAbilities{EdgeTLS: true}},
		"ingress, nginx":          {Config{RouteMode: RouteIngress}, []func(*apiServer){ingressClass("x", "k8s.io/ingress-nginx", "true")}, routeAbilities{Carrier: carrierNginx}},
		"ingress, nginx, on":      {Config{RouteMode: RouteIngress, Passthrough: SwitchOn}, []func(*apiServer){ingressClass("x", "k8s.io/ingress-nginx", "true")}, routeAbilities{Carrier: carrierNginx, Passthrough: []string{"*"}}},
		"ingress, traefik":        {Config{RouteMode: RouteIngress, IngressClass: "t"}, []func(*apiServer){ingressClass("x", "k8s.io/ingress-nginx", "true"), ingressClass("t", "traefik.io/ingress-controller", ""), traefik}, routeAbilities{Carrier: carrierTraefik, Extensions: true, Passthrough: []string{"*"}}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.cfg.IngressNamespaces = []string{"ingress"}
			s, c := serve(t, tc.cfg)
			s.groups = map[string][]string{}
			for _, f := range tc.prepare {
				f(s)
			}
			got, err := c.settings(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Able, tc.want) {
				t.Errorf("got %+v, want %+v", got.Able, tc.want)
			}
		})
	}
}
