package kube

import (
	"slices"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// maxRouteHosts is how many host names an HTTPRoute may have.
const maxRouteHosts = 16

// hostsOf are all host names of a route: the generated one first, none twice.
func hostsOf(route cluster.Route) []string {
	hosts := []string{route.Host}
	for _, h := range route.Accept {
		if !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// routes renders what leads host names to the http ports that anyone may reach.
func (r *rendering) routes(sv manifesttypes.Service) []runtime.Object {
	var out []runtime.Object
	for _, route := range cluster.Routes(r.workload.Lease, sv, r.Domain) {
		port := "p" + strconv.FormatUint(uint64(route.Port), 10)
		meta := r.meta(objectName(port, sv.Name), labelService, sv.Name)
		if r.Routes == RouteIngress {
			out = append(out, r.ingress(meta, route))
			continue
		}
		for i, hosts := range slices.Collect(slices.Chunk(hostsOf(route), maxRouteHosts)) {
			if i > 0 {
				meta = r.meta(objectName(port, strconv.Itoa(i+1), sv.Name), labelService, sv.Name)
			}
			out = append(out, r.httpRoute(meta, route, hosts))
		}
	}
	return out
}

func (r *rendering) httpRoute(meta metav1.ObjectMeta, route cluster.Route, hosts []string) *gatewayv1.HTTPRoute {
	var hostnames []gatewayv1.Hostname
	for _, h := range hosts {
		hostnames = append(hostnames, gatewayv1.Hostname(h))
	}
	backend := gatewayv1.BackendObjectReference{
		Name: gatewayv1.ObjectName(route.Service), Port: new(gatewayv1.PortNumber(route.Port)),
	}
	return &gatewayv1.HTTPRoute{
		TypeMeta:   metav1.TypeMeta{APIVersion: gatewayv1.GroupVersion.String(), Kind: "HTTPRoute"},
		ObjectMeta: meta,
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{
				Name: gatewayv1.ObjectName(r.GatewayName), Namespace: new(gatewayv1.Namespace(r.GatewayNamespace)),
			}}},
			Hostnames: hostnames,
			Rules: []gatewayv1.HTTPRouteRule{{
				BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{BackendObjectReference: backend}}},
			}},
		},
	}
}

func (r *rendering) ingress(meta metav1.ObjectMeta, route cluster.Route) *networkingv1.Ingress {
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
	for _, host := range hostsOf(route) {
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
