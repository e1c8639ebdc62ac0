package kube

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// HiddenValue stands in a preview where a secret would stand.
const HiddenValue = "‹secret›"

// Preview is what a provider with default settings and every ability would apply for a group, in that order, as JSON has objects. No
// secret of the group is in it, nor anything that is made of one: values of secret variables are HiddenValue unless they
// were replaced before. The lease, the domain and the network are examples. Its error wraps cluster.ErrRefused for what
// no such provider would take.
func Preview(g manifesttypes.Group) ([]map[string]any, error) {
	g.Salt = make([]byte, manifest.SaltBytes)
	g.Services = slices.Clone(g.Services)
	for i := range g.Services {
		g.Services[i] = hideSecrets(g.Services[i])
	}
	w := cluster.Workload{
		Lease: markettypes.LeaseID{Owner: "berth1tenant", Dseq: 1, Gseq: 1, Oseq: 1, Provider: "berth1provider"}, Group: g,
	}
	r, typed, err := renderTyped(w, previewSettings(g), func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	// Hooks are jobs of their own, each at its time.
	for _, sv := range g.Services {
		for _, h := range sv.Hooks {
			typed = append(typed, r.hookJob(hookRun{sv, h}))
		}
	}
	out := make([]map[string]any, 0, len(typed))
	for _, o := range typed {
		if s, ok := o.(*corev1.Secret); ok {
			s.StringData = make(map[string]string, len(s.Data))
			for key, value := range s.Data {
				s.StringData[key] = string(value)
			}
			s.Data = nil
		}
		u, _, err := unstructuredOf(o, nil)
		if err != nil {
			return nil, fmt.Errorf("render: %w", err)
		}
		out = append(out, u)
	}
	return out, nil
}

// hideSecrets is a service without its secrets.
func hideSecrets(sv manifesttypes.Service) manifesttypes.Service {
	sv.Env = slices.Clone(sv.Env)
	for i := range sv.Env {
		if sv.Env[i].Secret {
			sv.Env[i].Value = HiddenValue
		}
	}
	if c := sv.Credentials; c != nil {
		sv.Credentials = &manifesttypes.Credentials{Host: c.Host, Username: HiddenValue, Password: HiddenValue}
	}
	return sv
}

// previewSettings are those of a cluster that has whatever the group asks for.
func previewSettings(g manifesttypes.Group) settings {
	s := settings{
		Domain: "provider.example", Routes: RouteGateway, GatewayName: "gateway", GatewayNamespace: "ingress", IngressNamespaces: []string{"ingress"},
		DNSNamespace: "kube-system", DNSLabels: map[string]string{"k8s-app": "kube-dns"}, UserNamespaces: true, Metrics: true, DrainSeconds: 5,
		Entries: []entry{{
			Namespace: "ingress", Labels: map[string]string{"app": "proxy"}, Ports: []networkingv1.NetworkPolicyPort{policyPort(8000, corev1.ProtocolTCP)},
		}},
		Able:    routeAbilities{TLSRoute: "v1alpha3", Passthrough: []string{"*"}},
		MaxBody: manifest.MaxBodyBytes, MaxTimeout: time.Hour, Archs: []string{runtime.GOARCH}, StorageClasses: map[string]storageClass{},
		LeasedIPs: LeasedIPs{Count: manifest.MaxEndpoints},
	}
	s.GPUs = append(s.GPUs, (Config{}).withDefaults().gpuKinds()...)
	for _, sv := range g.Services {
		if sv.Arch != "" && !slices.Contains(s.Archs, sv.Arch) {
			s.Archs = append(s.Archs, sv.Arch)
		}
		for _, v := range sv.Volumes {
			if class := attribute(v.Attributes, "class"); class != "" && class != ramClass {
				s.StorageClasses[class] = storageClass{Name: class}
			}
		}
	}
	return s
}
