package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// traefikObject is an object of one of Traefik's kinds, with what the driver uses of them.
type traefikObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              traefikSpec `json:"spec"`
}

// traefikSpec holds the part of one kind.
type traefikSpec struct {
	Buffering          *traefikBuffering `json:"buffering,omitempty"`          // of a Middleware
	ForwardingTimeouts *traefikTimeouts  `json:"forwardingTimeouts,omitempty"` // of a ServersTransport
	Weighted           *traefikWeighted  `json:"weighted,omitempty"`           // of a TraefikService
	Routes             []traefikRoute    `json:"routes,omitempty"`             // of an IngressRoute and an IngressRouteTCP
	TLS                *traefikTLS       `json:"tls,omitempty"`                // of an IngressRouteTCP
}

type traefikBuffering struct {
	MaxRequestBodyBytes int64  `json:"maxRequestBodyBytes,omitempty"`
	RetryExpression     string `json:"retryExpression,omitempty"`
}

type traefikTimeouts struct {
	// ResponseHeaderTimeout is a duration such as 90500ms.
	ResponseHeaderTimeout string `json:"responseHeaderTimeout"`
}

type traefikWeighted struct {
	Services []traefikBackend `json:"services"`
}

type traefikBackend struct {
	Name             string `json:"name"`
	Port             int64  `json:"port,omitempty"`
	Scheme           string `json:"scheme,omitempty"`
	ServersTransport string `json:"serversTransport,omitempty"`
	Weight           int64  `json:"weight,omitempty"`
}

type traefikRoute struct {
	Kind        string           `json:"kind,omitempty"`
	Match       string           `json:"match"`
	Middlewares []traefikBackend `json:"middlewares,omitempty"` // by name alone
	Services    []traefikBackend `json:"services"`
}

type traefikTLS struct {
	Passthrough bool `json:"passthrough"`
}

// DeepCopyObject implements runtime.Object.
func (o *traefikObject) DeepCopyObject() runtime.Object {
	out := *o
	o.DeepCopyInto(&out.ObjectMeta)
	s := &out.Spec
	s.Buffering, s.ForwardingTimeouts, s.TLS = copied(s.Buffering), copied(s.ForwardingTimeouts), copied(s.TLS)
	if s.Weighted = copied(s.Weighted); s.Weighted != nil {
		s.Weighted.Services = append([]traefikBackend(nil), s.Weighted.Services...)
	}
	s.Routes = append([]traefikRoute(nil), s.Routes...)
	for i := range s.Routes {
		r := &s.Routes[i]
		r.Middlewares, r.Services = append([]traefikBackend(nil), r.Middlewares...), append([]traefikBackend(nil), r.Services...)
	}
	return &out
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// traefik makes an object of one of Traefik's kinds.
func (r *rendering) traefik(kind string, meta metav1.ObjectMeta, spec traefikSpec) runtime.Object {
	if r.Routes == RouteIngress && r.IngressClass != "" {
		meta.Annotations = with(meta.Annotations, "kubernetes.io/ingress.class", r.IngressClass)
	}
	return &traefikObject{
		TypeMeta: metav1.TypeMeta{APIVersion: groupTraefik + "/" + versionTraefik, Kind: kind}, ObjectMeta: meta, Spec: spec,
	}
}
