package kube

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
)

// leasedIPs are the names of the leased addresses of a service, sorted.
func leasedIPs(sv manifesttypes.Service) []string {
	var out []string
	for _, e := range sv.Expose {
		if name := manifest.LeasedIP(e); name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// addressName is that of the Service by which a service has a leased address; see portsName.
func addressName(ip, service string) string {
	return objectName("ip", digest([]byte(ip+"/"+service), 4), service)
}

// addresses renders the Services that give leased addresses. No node port is taken for them, as what announces
// addresses to the network needs none.
func (r *rendering) addresses(sv manifesttypes.Service) []runtime.Object {
	var out []runtime.Object
	for _, ip := range leasedIPs(sv) {
		meta := r.meta(addressName(ip, sv.Name), labelService, sv.Name, labelRole, roleAddress)
		meta.Annotations = with(r.LeasedIPs.Annotations)
		if r.LeasedIPs.SharingKey != "" {
			meta.Annotations[r.LeasedIPs.SharingKey] = r.namespace + "-" + digest([]byte(ip), 4)
		}
		s := &corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: kindService},
			ObjectMeta: meta,
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, Selector: r.selector(sv.Name), AllocateLoadBalancerNodePorts: new(false),
				Ports: servicePorts(sv, func(e manifesttypes.Expose) bool { return manifest.LeasedIP(e) == ip }),
			},
		}
		if r.LeasedIPs.Class != "" {
			s.Spec.LoadBalancerClass = &r.LeasedIPs.Class
		}
		out = append(out, s)
	}
	return out
}

// checkAddresses refuses leased addresses that this cluster cannot give.
func checkAddresses(p *problems, services []manifesttypes.Service, s settings) {
	type port struct {
		ip string
		servicePort
	}
	holder, taken := map[string]string{}, map[port]bool{}
	for _, sv := range services {
		for i, e := range sv.Expose {
			ip := manifest.LeasedIP(e)
			if ip == "" {
				continue
			}
			at := fmt.Sprintf("services.%s.expose[%d].to.ip", sv.Name, i)
			key := port{ip, portOf(e)}
			switch other, used := holder[ip]; {
			case s.LeasedIPs.Count == 0:
				p.add(at, "this provider leases no addresses")
			case used && other != sv.Name && s.LeasedIPs.SharingKey == "":
				p.add(at, "the address is that of service %s already, and services cannot share one here", other)
			case taken[key]:
				p.add(at, "the address has port %d already", e.As)
			}
			holder[ip], taken[key] = sv.Name, true
		}
	}
	if n := int64(len(holder)); s.LeasedIPs.Count > 0 && n > s.LeasedIPs.Count {
		p.add("services", "%d leased addresses, this provider has %d", n, s.LeasedIPs.Count)
	}
}
