package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"berth.dev/berth/provider/cluster"
)

// resource gives access to the objects of a kind, in a namespace unless the kind has none.
func (c *Cluster) resource(kind, namespace string) dynamic.ResourceInterface {
	r := c.dynamic.Resource(c.served(kind))
	if kind == kindNamespace {
		return r
	}
	return r.Namespace(namespace)
}

// served is where a kind is served in this cluster.
func (c *Cluster) served(kind string) schema.GroupVersionResource {
	at := resources[kind]
	if able := c.env.able.Load(); kind == kindTLSRoute && able != nil && able.TLSRoute != "" {
		at.Version = able.TLSRoute
	}
	return at
}

// absent tells whether a kind is known not to be served here.
func (c *Cluster) absent(kind string) bool {
	able := c.env.able.Load()
	if able == nil {
		return false
	}
	served, rare := able.rare()[kind]
	return rare && !served
}

// readLease reads all objects of a lease. It returns ErrNotFound if there is no namespace, and an error if the
// namespace is being removed or belongs to somebody else.
func (c *Cluster) readLease(ctx context.Context, ns string) (live, error) {
	u, err := c.resource(kindNamespace, "").Get(ctx, ns, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("namespace %s: %w", ns, cluster.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read namespace %s: %w", ns, err)
	}
	if !c.owns(u) {
		return nil, fmt.Errorf("namespace %s exists and was not made by this provider", ns)
	}
	if u.GetDeletionTimestamp() != nil {
		return nil, fmt.Errorf("namespace %s is being removed", ns)
	}
	l := live{keyOf(u): u}
	for _, kind := range readKinds {
		items, err := c.list(ctx, kind, ns)
		if err != nil {
			return nil, err
		}
		for i := range items {
			l[keyOf(&items[i])] = &items[i]
		}
	}
	return l, nil
}

// list reads the objects of a kind that are this provider's, in one namespace or, if it is empty, in all of them.
func (c *Cluster) list(ctx context.Context, kind, ns string) ([]unstructured.Unstructured, error) {
	return c.listAll(ctx, kind, ns, c.ourLabels())
}

// listAll reads the objects of a kind that a selector of labels selects. A cluster that does not serve a kind of
// routes has none of it.
func (c *Cluster) listAll(ctx context.Context, kind, ns, selector string) ([]unstructured.Unstructured, error) {
	if c.absent(kind) {
		return nil, nil
	}
	all, err := c.resource(kind, ns).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if _, rare := (routeAbilities{}).rare()[kind]; (rare || kind == kindHTTPRoute) && apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list objects of kind %s: %w", kind, err)
	}
	// What a controller made of our objects has our labels, but is the controller's.
	all.Items = slices.DeleteFunc(all.Items, func(u unstructured.Unstructured) bool { return metav1.GetControllerOf(&u) != nil })
	for i := range all.Items {
		// The items of a list need not repeat what they are.
		all.Items[i].SetKind(kind)
		all.Items[i].SetAPIVersion(c.served(kind).GroupVersion().String())
	}
	return all.Items, nil
}

// converge makes the changes. What confines comes before what runs, so the first error ends it: policies are applied,
// and those that no longer hold are removed, before any instance of a new manifest can start. As one policy always
// denies everything, a policy less is a door less.
func (c *Cluster) converge(ctx context.Context, ns string, ch changes) error {
	confines, rest := splitAt(ch.apply, func(u *unstructured.Unstructured) bool { return !slices.Contains(confining, u.GetKind()) })
	doors, removed := split(ch.remove, func(k key) bool { return k.kind == kindNetworkPolicy })
	if err := c.applyAll(ctx, ns, confines, ch.replace); err != nil {
		return err
	}
	if err := c.removeAll(ctx, ns, doors, ch.switched); err != nil {
		return err
	}
	// The quota stands before claims grow, and they are as large as instances want them before these are changed.
	limits, running := splitAt(rest, func(u *unstructured.Unstructured) bool { return keepsInstances(u.GetKind()) })
	if err := c.applyAll(ctx, ns, limits, ch.replace); err != nil {
		return err
	}
	if err := c.patchClaims(ctx, ns, ch.claims); err != nil {
		return err
	}
	if err := c.applyAll(ctx, ns, running, ch.replace); err != nil {
		return err
	}
	return c.removeAll(ctx, ns, removed, ch.switched)
}

// confining are the kinds that are rendered first: nothing of them runs.
var confining = []string{kindNamespace, kindSecret, kindServiceAccount, kindNetworkPolicy}

// split parts a list in two and keeps its order.
func split[T any](all []T, first func(T) bool) (a, b []T) {
	for _, v := range all {
		if first(v) {
			a = append(a, v)
		} else {
			b = append(b, v)
		}
	}
	return a, b
}

// splitAt parts a list before the first of its elements that is meant.
func splitAt[T any](all []T, first func(T) bool) (a, b []T) {
	i := slices.IndexFunc(all, first)
	if i < 0 {
		i = len(all)
	}
	return all[:i], all[i:]
}

// applyAll applies objects in their order. Those of replace are released from their instances before.
func (c *Cluster) applyAll(ctx context.Context, ns string, objects []*unstructured.Unstructured, replace map[key]bool) error {
	for _, u := range objects {
		if replace[keyOf(u)] {
			if err := c.release(ctx, ns, u.GetName()); err != nil {
				return err
			}
		}
		got, err := c.applyOne(ctx, ns, u)
		if err == nil && strays(got) {
			err = c.takeBack(ctx, ns, u, got)
		}
		if apierrors.IsInvalid(err) {
			return fmt.Errorf("%w: apply %s %s: %w", cluster.ErrRefused, u.GetKind(), u.GetName(), err)
		}
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	return nil
}

// applyOne applies an object. The first hook of a lease comes with the quota that allows jobs, and may come before that is
// in force.
func (c *Cluster) applyOne(ctx context.Context, ns string, u *unstructured.Unstructured) (got *unstructured.Unstructured, err error) {
	apply := func(ctx context.Context) error {
		got, err = c.resource(u.GetKind(), ns).Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: manager, Force: true})
		return err
	}
	if u.GetKind() == kindJob {
		err = withinQuota(ctx, apply)
	} else {
		err = apply(ctx)
	}
	return got, err
}

// removeAll deletes objects. Those of switched stay visible until all that belongs to them is gone.
func (c *Cluster) removeAll(ctx context.Context, ns string, keys []key, switched map[key]bool) error {
	var errs []error
	for _, k := range keys {
		how := metav1.DeletePropagationBackground
		if switched[k] {
			how = metav1.DeletePropagationForeground
		}
		err := c.resource(k.kind, ns).Delete(ctx, k.name, metav1.DeleteOptions{PropagationPolicy: &how})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("delete %s %s: %w", k.kind, k.name, err))
		}
	}
	return errors.Join(errs...)
}
