package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// servicePort is a port of a Service, by which exposes are told apart.
type servicePort struct {
	as    uint32
	proto corev1.Protocol
}

func portOf(e manifesttypes.Expose) servicePort { return servicePort{e.As, transport(e.Proto)} }

func (p servicePort) name() string {
	if p.proto == corev1.ProtocolUDP {
		return fmt.Sprintf("udp-%d", p.as)
	}
	return fmt.Sprintf("tcp-%d", p.as)
}

func transport(p manifesttypes.Proto) corev1.Protocol {
	if p == manifesttypes.PROTO_UDP {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}

// forwarded tells whether an expose gets a port of the provider: everything for anyone that is not routed by host.
func forwarded(e manifesttypes.Expose) bool {
	return cluster.Anyone(e) && !cluster.Routed(e)
}

// portsName differs from the name of any service that a tenant chooses, unless it is chosen for that: then the
// rendering is refused.
func portsName(service string) string {
	return objectName("ports", digest([]byte(service), 4), service)
}

// services renders the name that other services of the lease use and, where there are ports of the provider, the
// Service that opens them.
func (r *rendering) services(sv manifesttypes.Service) []runtime.Object {
	var out []runtime.Object
	if ports := servicePorts(sv, func(manifesttypes.Expose) bool { return true }); len(ports) > 0 {
		out = append(out, &corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: r.meta(sv.Name, labelService, sv.Name),
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeClusterIP, Selector: r.selector(sv.Name), Ports: ports,
			},
		})
	}
	if ports := servicePorts(sv, forwarded); len(ports) > 0 {
		out = append(out, &corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: r.meta(portsName(sv.Name), labelService, sv.Name, labelRole, rolePorts),
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeNodePort, Selector: r.selector(sv.Name), Ports: ports,
			},
		})
	}
	return out
}

func servicePorts(sv manifesttypes.Service, wanted func(manifesttypes.Expose) bool) []corev1.ServicePort {
	var out []corev1.ServicePort
	seen := map[servicePort]bool{}
	for _, e := range sv.Expose {
		p := portOf(e)
		if seen[p] || !wanted(e) {
			continue
		}
		seen[p] = true
		port := corev1.ServicePort{
			Name: p.name(), Protocol: p.proto, Port: int32(e.As), TargetPort: intstr.FromInt32(int32(e.Port)),
		}
		if h2c(e.HttpOptions) {
			port.AppProtocol = new("kubernetes.io/" + schemeH2C)
		}
		out = append(out, port)
	}
	return out
}
