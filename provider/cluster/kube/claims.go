package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// patchClaims makes persistent volumes larger, and marks those that are kept.
func (c *Cluster) patchClaims(ctx context.Context, ns string, patches []claimPatch) error {
	for _, p := range patches {
		patch := map[string]any{"metadata": map[string]any{"labels": map[string]any{labelKept: nil}}}
		if p.kept {
			patch = map[string]any{"metadata": map[string]any{"labels": map[string]any{labelKept: "true"}}}
		}
		if p.bytes > 0 {
			size := bytesQuantity(p.bytes).String()
			patch["spec"] = map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": size}}}
		}
		data, err := json.Marshal(patch)
		if err != nil {
			return fmt.Errorf("encode the change of claim %s: %w", p.name, err)
		}
		err = c.patchClaim(ctx, ns, p.name, data)
		switch {
		case exceedsQuota(err):
			return fmt.Errorf("change claim %s: %w", p.name, err)
		case apierrors.IsInvalid(err) || p.bytes > 0 && apierrors.IsForbidden(err):
			return fmt.Errorf("%w: change claim %s: %w", cluster.ErrRefused, p.name, err)
		case err != nil && !apierrors.IsNotFound(err):
			return fmt.Errorf("change claim %s: %w", p.name, err)
		}
	}
	return nil
}

// quotaWait is how long a quota that was raised may take to come into force.
const quotaWait = 15 * time.Second

// patchClaim changes a claim. A quota that was just raised holds its former limits for a moment.
func (c *Cluster) patchClaim(ctx context.Context, ns, name string, patch []byte) error {
	return withinQuota(ctx, func(ctx context.Context) error {
		_, err := c.resource(kindClaim, ns).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
		return err
	})
}

// withinQuota writes, and tries again for some time what the quota refuses.
func withinQuota(ctx context.Context, write func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, quotaWait, true, func(ctx context.Context) (bool, error) {
		last = write(ctx)
		return !exceedsQuota(last), nil
	})
	return cmp.Or(last, err)
}

// exceedsQuota tells the quota's refusal, which passes, from those that stay. The API server gives it as text alone.
func exceedsQuota(err error) bool {
	return apierrors.IsForbidden(err) && (strings.Contains(err.Error(), "exceeded quota") || strings.Contains(err.Error(), "status unknown for quota"))
}

// releaseWait is how long a StatefulSet may take to let go of its instances; what is left of it is tried again.
const releaseWait = 20 * time.Second

// release deletes a StatefulSet without its instances, which the next one of its name takes over, and waits until it is
// gone: until then an apply would change the old one, which goes with what was applied.
func (c *Cluster) release(ctx context.Context, ns, name string) error {
	sets := c.resource(kindStatefulSet, ns)
	orphan := metav1.DeletePropagationOrphan
	if err := sets.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &orphan}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("release the instances of StatefulSet %s: %w", name, err)
	}
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, releaseWait, true, func(ctx context.Context) (bool, error) {
		_, err := sets.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("wait until StatefulSet %s has released its instances: %w", name, err)
	}
	return nil
}

// Volumes implements cluster.Cluster.
func (c *Cluster) Volumes(ctx context.Context, id markettypes.LeaseID) ([]cluster.Volume, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	w, _, err := c.held(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("kube: volumes of %s: %w", id, err)
	}
	items, err := c.list(ctx, kindClaim, namespaceOf(id))
	if err != nil {
		return nil, fmt.Errorf("kube: volumes of %s: %w", id, err)
	}
	l := live{}
	for i := range items {
		l[keyOf(&items[i])] = &items[i]
	}
	var out []cluster.Volume
	for _, cl := range claimsOf(l) {
		_, used := cl.volumeOf(w.Group.Services)
		out = append(out, cluster.Volume{
			Service: cl.service, Instance: max(0, int(cl.ordinal)), Name: cl.volume, Class: cl.class,
			Bytes: cluster.Bytes(cl.bytes), ID: cl.uid, Kept: !used,
		})
	}
	cluster.SortVolumes(out)
	return out, nil
}
