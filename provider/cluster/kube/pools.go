package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/provider/cluster"
)

// Pools implements cluster.Cluster. Ports are those of the cluster's range that no Service of others holds. Classes of
// persistent storage are those of the configuration that the cluster has; one whose driver does not tell its capacity
// is unknown. Addresses are those of the configuration.
func (c *Cluster) Pools(ctx context.Context) (cluster.Pools, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	services, err := c.allServices(ctx)
	if err != nil {
		return cluster.Pools{}, fmt.Errorf("kube: read the services: %w", err)
	}
	out := cluster.Pools{
		Ports:     cluster.Pool{Known: true, Total: c.cfg.NodePorts, Foreign: c.accounting().foreignPorts(services)},
		Addresses: cluster.Pool{Known: true, Total: c.cfg.LeasedIPs.Count},
	}
	if out.Overhead, err = c.instanceOverhead(ctx); err != nil {
		return cluster.Pools{}, fmt.Errorf("kube: %w", err)
	}
	if len(c.cfg.StorageClasses) > 0 {
		if out.Persistent, err = c.storagePools(ctx); err != nil {
			return cluster.Pools{}, fmt.Errorf("kube: read the storage: %w", err)
		}
	}
	return out, nil
}

func (c *Cluster) accounting() accounting {
	return accounting{provider: labelValue(c.cfg.Provider), shared: c.cfg.Shared, gpus: c.cfg.gpuKinds()}
}

// instanceOverhead is the most that a configured runtime class takes for each instance.
func (c *Cluster) instanceOverhead(ctx context.Context) (cluster.Overhead, error) {
	all, err := c.overheads(ctx)
	if err != nil {
		return cluster.Overhead{}, err
	}
	var most usage
	for _, o := range all {
		most = larger(most, o)
	}
	return cluster.Overhead{CPU: cluster.MilliCPU(most.cpu), Memory: cluster.Bytes(most.memory), Storage: cluster.Bytes(most.storage)}, nil
}

// allServices returns the Services of all namespaces, from the cache while Run runs.
func (c *Cluster) allServices(ctx context.Context) ([]*corev1.Service, error) {
	if w := c.cache.current.Load(); w != nil && w.services.HasSynced() {
		if err := c.checkContact(ctx); err != nil {
			return nil, err
		}
		return fromStore[*corev1.Service](w.services.GetStore()), nil
	}
	all, err := c.typed.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return pointers(all.Items), nil
}

// foreignPorts counts the node ports that are not of leases.
func (a accounting) foreignPorts(services []*corev1.Service) int64 {
	taken := map[int32]struct{}{}
	for _, s := range services {
		if a.oursBy(s.Labels) {
			continue
		}
		for _, p := range s.Spec.Ports {
			if p.NodePort > 0 {
				taken[p.NodePort] = struct{}{}
			}
		}
		if s.Spec.HealthCheckNodePort > 0 {
			taken[s.Spec.HealthCheckNodePort] = struct{}{}
		}
	}
	return int64(len(taken))
}

// storagePools reads what the configured classes can give: what their drivers say is left, and what claims of leases
// hold already, for which reservations stand.
func (c *Cluster) storagePools(ctx context.Context) (map[string]cluster.Pool, error) {
	classes, err := c.typed.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	left, err := c.typed.StorageV1().CSIStorageCapacities(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	claims, err := c.typed.CoreV1().PersistentVolumeClaims(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: labelManagedBy + "=" + manager})
	if err != nil {
		return nil, err
	}
	return c.accounting().storage(c.cfg.StorageClasses, classes.Items, left.Items, claims.Items), nil
}

// storage makes pools of the classes that names gives names in documents to.
func (a accounting) storage(
	names map[string]StorageClass, classes []storagev1.StorageClass, left []storagev1.CSIStorageCapacity, claims []corev1.PersistentVolumeClaim,
) map[string]cluster.Pool {
	out := map[string]cluster.Pool{}
	for market, class := range names {
		for i := range classes {
			if classes[i].Name == class.Name {
				out[market] = a.storagePool(class, left, claims)
			}
		}
	}
	return out
}

// storagePool is what a class can give. What its driver says is left, or what the operator says there is, less what is
// kept of services that left their manifests: no reservation stands for that. Claims that wait for their volumes have
// taken nothing of what is left yet.
func (a accounting) storagePool(class StorageClass, left []storagev1.CSIStorageCapacity, claims []corev1.PersistentVolumeClaim) (p cluster.Pool) {
	p.Known, p.Total = class.Capacity > 0, class.Capacity
	for i := range left {
		if class.Capacity == 0 && left[i].StorageClassName == class.Name && left[i].Capacity != nil {
			p.Known = true
			p.Total = addTimes(p.Total, 1, max(0, amount(*left[i].Capacity, 1)))
		}
	}
	if !p.Known {
		return cluster.Pool{}
	}
	for i := range claims {
		c := &claims[i]
		if !a.oursBy(c.Labels) || c.Spec.StorageClassName == nil || *c.Spec.StorageClassName != class.Name {
			continue
		}
		size := max(0, amount(*c.Spec.Resources.Requests.Storage(), 1))
		if class.Capacity == 0 && c.Status.Phase == corev1.ClaimBound {
			p.Total = addTimes(p.Total, 1, size)
		}
		if c.Labels[labelKept] == "true" {
			p.Foreign = addTimes(p.Foreign, 1, size)
		}
	}
	return p
}
