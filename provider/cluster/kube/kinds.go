package kube

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds that the driver makes, and no others.
const (
	kindNamespace      = "Namespace"
	kindSecret         = "Secret"
	kindServiceAccount = "ServiceAccount"
	kindNetworkPolicy  = "NetworkPolicy"
	kindQuota          = "ResourceQuota"
	kindLimitRange     = "LimitRange"
	kindService        = "Service"
	kindDeployment     = "Deployment"
	kindStatefulSet    = "StatefulSet"
	kindHTTPRoute      = "HTTPRoute"
	kindIngress        = "Ingress"
	kindAutoscaler     = "HorizontalPodAutoscaler"
	kindCronJob        = "CronJob"
	kindJob            = "Job"
	kindEndpointSlice  = "EndpointSlice"
	kindTLSRoute       = "TLSRoute"

	// kindClaim is made by Kubernetes for StatefulSets, and read, grown and marked here.
	kindClaim = "PersistentVolumeClaim"

	// Of Traefik, where it carries the routes.
	kindMiddleware       = "Middleware"
	kindServersTransport = "ServersTransport"
	kindTraefikService   = "TraefikService"
	kindIngressRoute     = "IngressRoute"
	kindIngressRouteTCP  = "IngressRouteTCP"
)

// resources are where the kinds are served.
var resources = map[string]schema.GroupVersionResource{
	kindNamespace:      {Version: "v1", Resource: "namespaces"},
	kindSecret:         {Version: "v1", Resource: "secrets"},
	kindServiceAccount: {Version: "v1", Resource: "serviceaccounts"},
	kindNetworkPolicy:  {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	kindQuota:          {Version: "v1", Resource: "resourcequotas"},
	kindLimitRange:     {Version: "v1", Resource: "limitranges"},
	kindService:        {Version: "v1", Resource: "services"},
	kindDeployment:     {Group: "apps", Version: "v1", Resource: "deployments"},
	kindStatefulSet:    {Group: "apps", Version: "v1", Resource: "statefulsets"},
	kindClaim:          {Version: "v1", Resource: "persistentvolumeclaims"},
	kindHTTPRoute:      {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	kindAutoscaler:     {Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"},
	kindCronJob:        {Group: "batch", Version: "v1", Resource: "cronjobs"},
	kindJob:            {Group: "batch", Version: "v1", Resource: "jobs"},
	kindIngress:        {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	kindEndpointSlice:  {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	// The version is that of the cluster, if it serves another one.
	kindTLSRoute: {Group: groupGateway, Version: "v1alpha3", Resource: "tlsroutes"},

	kindMiddleware:       {Group: groupTraefik, Version: versionTraefik, Resource: "middlewares"},
	kindServersTransport: {Group: groupTraefik, Version: versionTraefik, Resource: "serverstransports"},
	kindTraefikService:   {Group: groupTraefik, Version: versionTraefik, Resource: "traefikservices"},
	kindIngressRoute:     {Group: groupTraefik, Version: versionTraefik, Resource: "ingressroutes"},
	kindIngressRouteTCP:  {Group: groupTraefik, Version: versionTraefik, Resource: "ingressroutetcps"},
}

const (
	groupGateway   = "gateway.networking.k8s.io"
	groupTraefik   = "traefik.io"
	versionTraefik = "v1alpha1"
)

// pruneOrder are the kinds of objects in a lease's namespace, in the order in which those that are no longer rendered
// are deleted: what leads to a workload before it, and what confines it after it.
var pruneOrder = []string{
	kindHTTPRoute, kindTLSRoute, kindIngress, kindIngressRoute, kindIngressRouteTCP, kindTraefikService, kindMiddleware, kindServersTransport,
	kindEndpointSlice, kindAutoscaler, kindCronJob, kindJob, kindDeployment, kindStatefulSet, kindService, kindSecret, kindServiceAccount,
	kindNetworkPolicy,
	kindLimitRange, kindQuota,
}

// readKinds are the kinds of objects in a lease's namespace that are read: those that are made, and claims, which are in
// no rendering and so are never deleted but with the namespace.
var readKinds = append(slices.Clone(pruneOrder), kindClaim)

// key names an object within a lease.
type key struct{ kind, name string }

func keyOf(u *unstructured.Unstructured) key { return key{u.GetKind(), u.GetName()} }
