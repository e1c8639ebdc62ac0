package kube

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// entry is where clients from outside come in to reach http ports: pods of the ingress controller, and those of their
// ports that are published.
type entry struct {
	Namespace string
	Labels    map[string]string
	Ports     []networkingv1.NetworkPolicyPort
}

// entries finds the published ports in the namespaces of the ingress controller: those of its Services that lead in
// from outside, and ports of its pods on the host. Other ports, such as its metrics or its dashboard, are none.
func (c *Cluster) entries(ctx context.Context, namespaces []string) ([]entry, error) {
	var out []entry
	for _, ns := range namespaces {
		services, err := c.typed.CoreV1().Services(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list the services of the ingress controller: %w", err)
		}
		pods, err := c.typed.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list the pods of the ingress controller: %w", err)
		}
		out = append(out, serviceEntries(services.Items)...)
		out = append(out, c.env.hostEntries(ns, pods.Items)...)
	}
	return out, nil
}

// serviceEntries are the Services that lead in from outside, in the order of their names.
func serviceEntries(services []corev1.Service) []entry {
	var out []entry
	slices.SortFunc(services, func(a, b corev1.Service) int { return cmp.Compare(a.Name, b.Name) })
	for _, s := range services {
		outside := s.Spec.Type == corev1.ServiceTypeLoadBalancer || s.Spec.Type == corev1.ServiceTypeNodePort || len(s.Spec.ExternalIPs) > 0
		if !outside || len(s.Spec.Selector) == 0 {
			continue
		}
		e := entry{Namespace: s.Namespace, Labels: s.Spec.Selector}
		for _, p := range s.Spec.Ports {
			target := p.TargetPort
			if target == (intstr.IntOrString{}) {
				target = intstr.FromInt32(p.Port)
			}
			e.Ports = append(e.Ports, networkingv1.NetworkPolicyPort{Port: &target, Protocol: new(or(p.Protocol, corev1.ProtocolTCP))})
		}
		out = append(out, e)
	}
	return out
}

// volatileLabels differ between the pods of one controller, or between its revisions.
var volatileLabels = []string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
}

// hostEntries are the pods of a namespace with ports on the host. While there are none, those that there were before
// stay: a controller that is started again must not change what every lease may reach.
func (d *discovered) hostEntries(ns string, pods []corev1.Pod) []entry {
	byLabels := map[string]entry{}
	for i := range pods {
		ports := hostPorts(&pods[i])
		own := maps.Clone(pods[i].Labels)
		for _, l := range volatileLabels {
			delete(own, l)
		}
		// A policy cannot name pods on the host's network, nor pods without labels alone.
		if len(ports) > 0 && len(own) > 0 && !pods[i].Spec.HostNetwork {
			byLabels[labels.FormatLabels(own)] = entry{Namespace: ns, Labels: own, Ports: ports}
		}
	}
	if len(byLabels) == 0 {
		return d.onHost[ns]
	}
	var out []entry
	for _, k := range slices.Sorted(maps.Keys(byLabels)) {
		out = append(out, byLabels[k])
	}
	if d.onHost == nil {
		d.onHost = map[string][]entry{}
	}
	d.onHost[ns] = out
	return out
}

func hostPorts(p *corev1.Pod) []networkingv1.NetworkPolicyPort {
	var out []networkingv1.NetworkPolicyPort
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		for _, port := range c.Ports {
			if port.HostPort > 0 {
				out = append(out, policyPort(uint32(port.ContainerPort), or(port.Protocol, corev1.ProtocolTCP)))
			}
		}
	}
	return out
}

// allowEntries opens what anyone may reach at this cluster: a client that happens to run on it is anyone as well. A
// connection to a node's port has the address of an instance by the time that most enforcers see it, so instances of
// leases with such ports are open here, and their own policies say which ports.
func (r *rendering) allowEntries() *networkingv1.NetworkPolicy {
	p := r.policy("allow-entries", nil, networkingv1.PolicyTypeEgress)
	p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{labelManagedBy: manager, labelForwards: forwardsYes}},
	}}}}
	for _, e := range r.Entries {
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{
			To: []networkingv1.NetworkPolicyPeer{{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{namespaceLabel: e.Namespace}},
				PodSelector:       &metav1.LabelSelector{MatchLabels: e.Labels},
			}},
			Ports: e.Ports,
		})
	}
	if len(r.IngressCIDRs) > 0 {
		rule := networkingv1.NetworkPolicyEgressRule{Ports: []networkingv1.NetworkPolicyPort{
			policyPort(80, corev1.ProtocolTCP), policyPort(443, corev1.ProtocolTCP),
		}}
		for _, cidr := range r.IngressCIDRs {
			rule.To = append(rule.To, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}})
		}
		p.Spec.Egress = append(p.Spec.Egress, rule)
	}
	return p
}

// forwards tells whether a lease has ports of the provider.
func (r *rendering) forwards() bool {
	for _, sv := range r.workload.Group.Services {
		if slices.ContainsFunc(sv.Expose, forwarded) {
			return true
		}
	}
	return false
}
