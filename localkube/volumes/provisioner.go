// Package volumes gives claims of persistent storage their volumes: a directory
// each on the only node, made when the first pod that uses the claim is placed,
// and removed when the claim is.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

const (
	// Class is the name of the class of storage.
	Class = "disk"
	// Provisioner stands in the class and on every volume that was made here.
	Provisioner = "localkube-directory"

	annotationProvisionedBy = "pv.kubernetes.io/provisioned-by"
	annotationSelectedNode  = "volume.kubernetes.io/selected-node"

	// namespace holds the objects that tell the capacity.
	namespace = "kube-system"
	// again is how long after a failure everything is looked at anew.
	again = time.Second
)

// Config says where volumes lie.
type Config struct {
	Client kubernetes.Interface
	// Dir holds a directory for each volume, on the file system of the node.
	Dir string
	// Node is the only node.
	Node string
	// Capacity is how many bytes all volumes together may ask for. Nothing
	// keeps a volume from outgrowing what it asked for.
	Capacity int64
	Log      *slog.Logger
}

// everything selects all objects.
var everything = labels.Everything()

type provisioner struct {
	cfg     Config
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	changed chan struct{}
	told    int64 // the capacity that was last told
}

// Run makes and removes volumes until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	p := &provisioner{cfg: cfg, changed: make(chan struct{}, 1), told: -1}
	if err := os.MkdirAll(cfg.Dir, 0o711); err != nil {
		return fmt.Errorf("make the directory of volumes: %w", err)
	}
	p.awaitRights(ctx)
	factory := informers.NewSharedInformerFactory(cfg.Client, 0)
	claims, volumes := factory.Core().V1().PersistentVolumeClaims(), factory.Core().V1().PersistentVolumes()
	p.claims, p.volumes = claims.Lister(), volumes.Lister()
	poke := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { p.poke() }, UpdateFunc: func(any, any) { p.poke() }, DeleteFunc: func(any) { p.poke() },
	}
	for _, informer := range []cache.SharedIndexInformer{claims.Informer(), volumes.Informer()} {
		if _, err := informer.AddEventHandler(poke); err != nil {
			return fmt.Errorf("watch claims and volumes: %w", err)
		}
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	factory.WaitForCacheSync(ctx.Done())
	p.poke()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
		}
		if err := p.sync(ctx); err != nil && ctx.Err() == nil {
			p.cfg.Log.Warn("volumes are not as they should be; trying again", "err", err)
			time.AfterFunc(again, p.poke)
		}
	}
}

// awaitRights returns when the API server lets us read: in a new cluster our
// rights come a moment after us.
func (p *provisioner) awaitRights(ctx context.Context) {
	for ctx.Err() == nil {
		_, err := p.cfg.Client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *provisioner) poke() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// sync makes what is missing and removes what was given back.
func (p *provisioner) sync(ctx context.Context) error {
	volumes, err := p.volumes.List(everything)
	if err != nil {
		return err
	}
	claims, err := p.claims.List(everything)
	if err != nil {
		return err
	}
	var errs []error
	byName := map[string]*corev1.PersistentVolume{}
	used := int64(0)
	for _, v := range volumes {
		if v.Annotations[annotationProvisionedBy] != Provisioner {
			continue
		}
		if v.Status.Phase == corev1.VolumeReleased {
			errs = append(errs, p.remove(ctx, v))
			continue
		}
		byName[v.Name] = v
		used += v.Spec.Capacity.Storage().Value()
	}
	for _, c := range claims {
		if !ours(c) {
			continue
		}
		size := c.Spec.Resources.Requests.Storage().Value()
		switch v := byName[volumeName(c)]; {
		case v == nil && p.waits(c):
			if used+size > p.cfg.Capacity {
				continue // shows at the pod; a volume that goes is a change
			}
			used += size
			errs = append(errs, p.make(ctx, c))
		case v != nil && c.Status.Phase == corev1.ClaimBound && c.Status.Capacity.Storage().Value() < size:
			if more := size - v.Spec.Capacity.Storage().Value(); used+more <= p.cfg.Capacity {
				used += more
				errs = append(errs, p.grow(ctx, v, c))
			}
		}
	}
	errs = append(errs, p.tell(ctx, max(0, p.cfg.Capacity-used)))
	return errors.Join(errs...)
}

// waits tells whether a claim is to be given a volume on this node.
func (p *provisioner) waits(c *corev1.PersistentVolumeClaim) bool {
	return c.Spec.VolumeName == "" && c.DeletionTimestamp == nil && c.Annotations[annotationSelectedNode] == p.cfg.Node
}

// ours tells whether a claim wants a volume from here.
func ours(c *corev1.PersistentVolumeClaim) bool {
	return c.Spec.StorageClassName != nil && *c.Spec.StorageClassName == Class
}

func volumeName(c *corev1.PersistentVolumeClaim) string { return "pvc-" + string(c.UID) }

// make makes a directory and the volume that stands for it. Everyone may walk
// into it, as containers run as users that the machine does not know.
func (p *provisioner) make(ctx context.Context, c *corev1.PersistentVolumeClaim) error {
	name := volumeName(c)
	dir := filepath.Join(p.cfg.Dir, name)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	mode := corev1.PersistentVolumeFilesystem
	_, err := p.cfg.Client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{annotationProvisionedBy: Provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: c.Spec.Resources.Requests, AccessModes: c.Spec.AccessModes, VolumeMode: &mode,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: dir}},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete, StorageClassName: Class,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: c.Namespace, Name: c.Name, UID: c.UID, ResourceVersion: c.ResourceVersion,
			},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{p.cfg.Node}}},
			}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	return nil
}

// remove removes what a volume holds, then the volume.
func (p *provisioner) remove(ctx context.Context, v *corev1.PersistentVolume) error {
	if v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || v.Spec.Local == nil {
		return nil
	}
	if dir := v.Spec.Local.Path; filepath.Dir(dir) == p.cfg.Dir {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove volume %s: %w", v.Name, err)
		}
	}
	err := p.cfg.Client.CoreV1().PersistentVolumes().Delete(ctx, v.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove volume %s: %w", v.Name, err)
	}
	return nil
}

// grow makes a volume as large as its claim: a directory needs no more than to
// be said so.
func (p *provisioner) grow(ctx context.Context, v *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) error {
	v, c = v.DeepCopy(), c.DeepCopy()
	size := c.Spec.Resources.Requests[corev1.ResourceStorage]
	v.Spec.Capacity[corev1.ResourceStorage] = size
	if _, err := p.cfg.Client.CoreV1().PersistentVolumes().Update(ctx, v, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("grow volume %s: %w", v.Name, err)
	}
	c.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: size}
	c.Status.Conditions, c.Status.AllocatedResources, c.Status.AllocatedResourceStatuses = nil, nil, nil
	if _, err := p.cfg.Client.CoreV1().PersistentVolumeClaims(c.Namespace).UpdateStatus(ctx, c, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("grow volume %s: %w", v.Name, err)
	}
	return nil
}

// tell says how much is left, as drivers of storage do.
func (p *provisioner) tell(ctx context.Context, left int64) error {
	if left == p.told {
		return nil
	}
	capacities := p.cfg.Client.StorageV1().CSIStorageCapacities(namespace)
	want := &storagev1.CSIStorageCapacity{
		ObjectMeta:       metav1.ObjectMeta{Name: "localkube-" + Class, Namespace: namespace},
		NodeTopology:     &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelHostname: p.cfg.Node}},
		StorageClassName: Class, Capacity: resource.NewQuantity(left, resource.BinarySI),
	}
	have, err := capacities.Get(ctx, want.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = capacities.Create(ctx, want, metav1.CreateOptions{})
	case err == nil:
		want.ResourceVersion = have.ResourceVersion
		_, err = capacities.Update(ctx, want, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("tell the capacity: %w", err)
	}
	p.told = left
	return nil
}
