package addons

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	ktesting "k8s.io/client-go/testing"
)

func values() Values {
	return Values{CoreDNS: "localkube.local/coredns@sha256:aa", Traefik: "localkube.local/traefik@sha256:bb", DNS: "10.96.0.10"}
}

func TestRender(t *testing.T) {
	objects, err := Render(values())
	if err != nil {
		t.Fatal(err)
	}
	images, seen := map[string]string{}, map[string]bool{}
	for _, o := range objects {
		if _, ok := kinds[o.GetKind()]; !ok {
			t.Errorf("no resource is known for kind %s", o.GetKind())
		}
		id := o.GetKind() + "/" + o.GetNamespace() + "/" + o.GetName()
		if seen[id] {
			t.Errorf("%s stands twice", id)
		}
		seen[id] = true
		if o.GetKind() == "Deployment" {
			containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			images[o.GetName()], _, _ = unstructured.NestedString(containers[0].(map[string]any), "image")
		}
	}
	if images["coredns"] != values().CoreDNS || images["traefik"] != values().Traefik {
		t.Errorf("images = %v", images)
	}
	for _, d := range Deployments() {
		if !seen["Deployment/"+d.Namespace+"/"+d.Name] {
			t.Errorf("deployment %s is waited for but not made", d.Name)
		}
	}
	if !seen["Gateway/"+IngressNamespace+"/"+GatewayName] || !seen["GatewayClass//"+GatewayClass] {
		t.Error("the gateway has another name than it is told to have")
	}
}

func TestParse(t *testing.T) {
	objects, err := Parse([]byte("# a comment\n---\nkind: A\nmetadata: {name: a}\n---\n\n---\nkind: B\n"))
	if err != nil || len(objects) != 2 || objects[0].GetName() != "a" || objects[1].GetKind() != "B" {
		t.Errorf("Parse = %v, %v", objects, err)
	}
	if _, err := Parse([]byte("kind: A\n---\n: : :")); err == nil || !strings.Contains(err.Error(), "document 2") {
		t.Errorf("Parse of a broken second document = %v", err)
	}
	if _, err := ParseDir(t.TempDir()); err == nil {
		t.Error("ParseDir of an empty directory = nil error")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("kind: A\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if objects, err := ParseDir(dir); err != nil || len(objects) != 1 {
		t.Errorf("ParseDir = %v, %v", objects, err)
	}
}

func client(fail func(ktesting.PatchAction) error) *fake.FakeDynamicClient {
	c := fake.NewSimpleDynamicClient(runtime.NewScheme())
	c.PrependReactor("patch", "*", func(a ktesting.Action) (bool, runtime.Object, error) {
		return true, &unstructured.Unstructured{Object: map[string]any{}}, fail(a.(ktesting.PatchAction))
	})
	return c
}

func TestApplyWaitsForWhatIsMissing(t *testing.T) {
	tries := 0
	c := client(func(a ktesting.PatchAction) error {
		if a.GetPatchType() != "application/apply-patch+yaml" {
			t.Errorf("patch type %s", a.GetPatchType())
		}
		if tries++; tries < 3 {
			return apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ingress")
		}
		return nil
	})
	objects, err := Parse([]byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Apply(t.Context(), c, objects); err != nil || tries != 3 {
		t.Errorf("Apply = %v after %d tries, want nil after 3", err, tries)
	}
}

func TestApplyGivesUp(t *testing.T) {
	objects, err := Parse([]byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n"))
	if err != nil {
		t.Fatal(err)
	}
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "a", nil)
	if err := Apply(t.Context(), client(func(ktesting.PatchAction) error { return invalid }), objects); !apierrors.IsInvalid(errors.Unwrap(err)) {
		t.Errorf("Apply of an invalid object = %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	refused := errors.New("connection refused")
	if err := Apply(ctx, client(func(ktesting.PatchAction) error { return refused }), objects); !errors.Is(err, refused) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Apply until the end of its time = %v", err)
	}
	objects[0].SetKind("Unknown")
	if err := Apply(t.Context(), client(func(ktesting.PatchAction) error { return nil }), objects); err == nil {
		t.Error("Apply of an unknown kind = nil")
	}
}

func TestRolledOut(t *testing.T) {
	status := func(change func(*appsv1.Deployment)) *appsv1.Deployment {
		two := int32(2)
		d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &two}}
		d.Generation = 3
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}
		change(d)
		return d
	}
	for name, tc := range map[string]struct {
		change func(*appsv1.Deployment)
		want   bool
	}{
		"all there":         {func(*appsv1.Deployment) {}, true},
		"not seen yet":      {func(d *appsv1.Deployment) { d.Status.ObservedGeneration = 2 }, false},
		"one not available": {func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }, false},
		"one of the old":    {func(d *appsv1.Deployment) { d.Status.Replicas = 3 }, false},
		"one not updated":   {func(d *appsv1.Deployment) { d.Status.UpdatedReplicas, d.Status.Replicas = 1, 1 }, false},
		"one wanted, by default": {func(d *appsv1.Deployment) {
			d.Spec.Replicas = nil
			d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas = 1, 1, 1
		}, true},
	} {
		if got := rolledOut(status(tc.change)); got != tc.want {
			t.Errorf("%s: rolledOut = %v, want %v", name, got, tc.want)
		}
	}
}
