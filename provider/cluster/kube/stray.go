package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// An object that the driver made may get fields that the rendering does not have at all, such as a rule in a policy that
// has none: they open what should be closed, and server-side apply leaves them to whoever set them. The API server notes
// who set which field. strays tells whether anybody but the driver set something that is neither metadata nor status nor
// set through a subresource, as controllers do.
func strays(u *unstructured.Unstructured) bool {
	return slices.ContainsFunc(u.GetManagedFields(), stray)
}

func stray(e metav1.ManagedFieldsEntry) bool {
	if e.Manager == manager || e.Subresource != "" || e.FieldsV1 == nil {
		return false
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields); err != nil {
		return false
	}
	for f := range fields {
		if f != "f:metadata" && f != "f:status" && f != "f:apiVersion" && f != "f:kind" {
			return true
		}
	}
	return false
}

// takeBack takes away what others set of an object that was just applied: everything but metadata and status becomes
// what was rendered.
func (c *Cluster) takeBack(ctx context.Context, ns string, want, have *unstructured.Unstructured) error {
	type op struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	kept := slices.DeleteFunc(have.GetManagedFields(), stray)
	ops := []op{
		{"test", "/metadata/resourceVersion", have.GetResourceVersion()}, // nobody changed it since
		{"replace", "/metadata/managedFields", kept},
	}
	for _, k := range slices.Sorted(maps.Keys(have.Object)) {
		if k == "apiVersion" || k == "kind" || k == "metadata" || k == "status" {
			continue
		}
		if v, ok := want.Object[k]; ok {
			ops = append(ops, op{"replace", "/" + k, withCount(want.GetKind(), v, have.Object[k])})
		} else {
			ops = append(ops, op{Op: "remove", Path: "/" + k})
		}
	}
	data, err := json.Marshal(ops)
	if err != nil {
		return fmt.Errorf("encode a patch: %w", err)
	}
	_, err = c.resource(want.GetKind(), ns).Patch(ctx, want.GetName(), types.JSONPatchType, data, metav1.PatchOptions{FieldManager: manager})
	if apierrors.IsInvalid(err) {
		// What was rendered has just been accepted: it is the test that failed, as when the number of instances was changed in
		// between. That is no refusal of the manifest, and passes.
		return apierrors.NewConflict(schema.GroupResource{Resource: want.GetKind()}, want.GetName(), errChangedMeanwhile)
	}
	return err
}

var errChangedMeanwhile = errors.New("somebody changed it meanwhile")

// withCount is a spec with the number of instances that is there, where the rendering leaves it to who scales: to take it
// away would set it to 1.
func withCount(kind string, want, have any) any {
	w, ok1 := want.(map[string]any)
	h, ok2 := have.(map[string]any)
	if !ok1 || !ok2 || kind != kindDeployment {
		return want
	}
	n, there := h["replicas"]
	if _, ours := w["replicas"]; ours || !there {
		return want
	}
	w = maps.Clone(w)
	w["replicas"] = n
	return w
}
