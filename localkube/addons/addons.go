// Package addons puts into a new cluster what every cluster needs: names for
// services, a way in for HTTP, and the rights that the node's own programs use.
package addons

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/localkube/usage"
)

// Names that workloads and providers refer to.
const (
	// IngressNamespace holds the proxy; policies let HTTP in from it.
	IngressNamespace = "ingress"
	// GatewayName is the Gateway, in that namespace, that routes attach to.
	GatewayName = "gateway"
	// GatewayClass and IngressClass both name the proxy.
	GatewayClass = "traefik"
	// UsagePort is the node's port at which it is told what pods use.
	UsagePort = 10270
)

// fieldManager owns what we apply.
const fieldManager = "localkube"

//go:embed manifests.yaml
var manifests string

// Values fill in the manifests.
type Values struct {
	// CoreDNS and Traefik are image references.
	CoreDNS string
	Traefik string
	// DNS is the name server's cluster address.
	DNS string
	// Node is the node's address, Authority the certificate by which its programs
	// are known: PEM in base64.
	Node, Authority string
	// Domains have a certificate at the edge for all names directly below them:
	// Certificate and Key, PEM in base64.
	Domains          []string
	Certificate, Key string
}

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// kinds maps what we apply to its resource, so that no discovery is needed.
var kinds = map[string]schema.GroupVersionResource{
	"APIService":               apiServices,
	"CSIDriver":                {Group: "storage.k8s.io", Version: "v1", Resource: "csidrivers"},
	"ClusterRole":              {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	"ClusterRoleBinding":       {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
	"ConfigMap":                {Version: "v1", Resource: "configmaps"},
	"CustomResourceDefinition": {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	"EndpointSlice":            {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	"Deployment":               {Group: "apps", Version: "v1", Resource: "deployments"},
	"Gateway":                  {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"},
	"GatewayClass":             {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gatewayclasses"},
	"HTTPRoute":                {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	"Ingress":                  {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	"IngressClass":             {Group: "networking.k8s.io", Version: "v1", Resource: "ingressclasses"},
	"Namespace":                {Version: "v1", Resource: "namespaces"},
	"NetworkPolicy":            {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	"Secret":                   {Version: "v1", Resource: "secrets"},
	"RuntimeClass":             {Group: "node.k8s.io", Version: "v1", Resource: "runtimeclasses"},
	"Service":                  {Version: "v1", Resource: "services"},
	"ServiceAccount":           {Version: "v1", Resource: "serviceaccounts"},
	"StorageClass":             {Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"},
	"TLSStore":                 {Group: "traefik.io", Version: "v1alpha1", Resource: "tlsstores"},

	"ValidatingAdmissionPolicy":        {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"},
	"ValidatingAdmissionPolicyBinding": {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"},
}

// Render returns the objects to apply, in order.
func Render(v Values) ([]*unstructured.Unstructured, error) {
	tmpl, err := template.New("manifests").Funcs(template.FuncMap{"usagePort": func() int { return UsagePort }}).Option("missingkey=error").Parse(manifests)
	if err != nil {
		return nil, fmt.Errorf("read the add-ons' manifests: %w", err)
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("fill in the add-ons' manifests: %w", err)
	}
	return Parse(out.Bytes())
}

// Parse reads a YAML stream of objects. Empty documents are left out.
func Parse(stream []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for i, doc := range bytes.Split(stream, []byte("\n---\n")) {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &obj.Object); err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		if len(obj.Object) > 0 {
			objects = append(objects, obj)
		}
	}
	return objects, nil
}

// ParseDir reads every YAML file of a directory.
func ParseDir(dir string) ([]*unstructured.Unstructured, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read custom resources: %w", err)
		}
		some, err := Parse(data)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Base(file), err)
		}
		objects = append(objects, some...)
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("no custom resources in %s", dir)
	}
	return objects, nil
}

// Apply applies the objects, several at a time but none before those that
// precede it: an object whose namespace or kind is not there yet is tried
// again until ctx ends.
func Apply(ctx context.Context, client dynamic.Interface, objects []*unstructured.Unstructured) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(6)
	for _, obj := range objects {
		g.Go(func() error { return applyOne(ctx, client, obj) })
	}
	return g.Wait()
}

func applyOne(ctx context.Context, client dynamic.Interface, obj *unstructured.Unstructured) error {
	gvr, ok := kinds[obj.GetKind()]
	if !ok {
		return fmt.Errorf("apply %s %s: unknown kind", obj.GetKind(), obj.GetName())
	}
	var r dynamic.ResourceInterface = client.Resource(gvr)
	if ns := obj.GetNamespace(); ns != "" {
		r = client.Resource(gvr).Namespace(ns)
	}
	for {
		_, err := r.Apply(ctx, obj.GetName(), obj, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
		if err == nil {
			return nil
		}
		if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) { // no waiting will help
			return fmt.Errorf("apply %s %s: %w", obj.GetKind(), obj.GetName(), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("apply %s %s: %w", obj.GetKind(), obj.GetName(), errors.Join(err, ctx.Err()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Deployments are those that must be available before a cluster is of use.
func Deployments() []metav1.ObjectMeta {
	return []metav1.ObjectMeta{{Namespace: "kube-system", Name: "coredns"}, {Namespace: IngressNamespace, Name: "traefik"}}
}

// Available says whether the deployment runs as it was last described.
func Available(ctx context.Context, client kubernetes.Interface, m metav1.ObjectMeta) (bool, error) {
	d, err := client.AppsV1().Deployments(m.Namespace).Get(ctx, m.Name, metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	return rolledOut(d), nil
}

func rolledOut(d *appsv1.Deployment) bool {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas >= want && s.AvailableReplicas >= want && s.Replicas == s.UpdatedReplicas
}

// Served returns nil when the API server answers what pods use.
func Served(ctx context.Context, client dynamic.Interface) error {
	const name = usage.Version + "." + usage.Group
	s, err := client.Resource(apiServices).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	conditions, _, _ := unstructured.NestedSlice(s.Object, "status", "conditions")
	for _, c := range conditions {
		m, ok := c.(map[string]any)
		switch {
		case !ok || m["type"] != "Available":
		case m["status"] == "True":
			return nil
		default:
			return fmt.Errorf("%s is not available: %v", name, m["message"])
		}
	}
	return fmt.Errorf("%s is not available yet", name)
}
