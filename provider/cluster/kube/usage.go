package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// podMetrics is where the cluster tells what pods use, if it does.
var podMetrics = schema.GroupVersionResource{Group: "metrics.k8s.io", Version: "v1beta1", Resource: "pods"}

// Usage implements cluster.Cluster. Instances that were not measured yet are missing; runs of tasks and hooks are among
// the instances of their service.
func (c *Cluster) Usage(ctx context.Context, id markettypes.LeaseID) ([]cluster.Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, _, err := c.held(ctx, id); err != nil {
		return nil, fmt.Errorf("kube: usage of %s: %w", id, err)
	}
	ns := namespaceOf(id)
	list, err := c.dynamic.Resource(podMetrics).Namespace(ns).List(ctx, metav1.ListOptions{LabelSelector: c.ourLabels(labelLease, ns)})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("kube: usage of %s: %w", id, cluster.ErrUnknown)
	}
	if err != nil {
		return nil, fmt.Errorf("kube: usage of %s: %w", id, err)
	}
	out := make([]cluster.Usage, 0, len(list.Items))
	for i := range list.Items {
		u, err := readUsage(&list.Items[i])
		if err != nil {
			return nil, fmt.Errorf("kube: usage of %s: instance %s: %w", id, list.Items[i].GetName(), err)
		}
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b cluster.Usage) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Instance, b.Instance))
	})
	return out, nil
}

// readUsage sums up what the containers of a pod use.
func readUsage(u *unstructured.Unstructured) (cluster.Usage, error) {
	out := cluster.Usage{Service: u.GetLabels()[labelService], Instance: u.GetName()}
	stamp, _, _ := unstructured.NestedString(u.Object, "timestamp")
	var err error
	if out.Time, err = time.Parse(time.RFC3339, stamp); err != nil {
		return out, fmt.Errorf("when it was measured: %w", err)
	}
	containers, _, err := unstructured.NestedSlice(u.Object, "containers")
	if err != nil {
		return out, fmt.Errorf("what was measured: %w", err)
	}
	for _, c := range containers {
		m, _ := c.(map[string]any)
		cpu, err := measured(m, "cpu")
		if err != nil {
			return out, err
		}
		memory, err := measured(m, "memory")
		if err != nil {
			return out, err
		}
		out.CPU += cluster.MilliCPU(cpu.MilliValue())
		out.Memory += cluster.Bytes(memory.Value())
	}
	return out, nil
}

func measured(container map[string]any, what string) (resource.Quantity, error) {
	text, ok, err := unstructured.NestedString(container, "usage", what)
	if err != nil || !ok {
		return resource.Quantity{}, fmt.Errorf("its %s is missing", what)
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return q, fmt.Errorf("its %s: %w", what, err)
	}
	return q, nil
}
