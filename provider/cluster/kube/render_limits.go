package kube

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// quota caps what the namespace may hold at all. It is a second line: the driver renders exactly what was leased. A
// rollout holds one instance more and those that are ending, so every service may have twice its instances and one.
func (r *rendering) quota() *corev1.ResourceQuota {
	var pods, cpu, mem, disk, addresses int64
	gpus := map[corev1.ResourceName]int64{}
	for _, sv := range r.workload.Group.Services {
		n := room(sv)
		overhead := r.overhead(sv)
		pods += n
		cpu = addTimes(addTimes(cpu, n, int64(sv.CpuMilli)), n, overhead.cpu)
		mem = addTimes(addTimes(mem, n, memory(sv)), n, overhead.memory)
		disk = addTimes(addTimes(disk, n, storage(sv)), n, overhead.storage)
		if sv.Gpu > 0 {
			of := r.devices(sv).kind.Resource
			gpus[of] = addTimes(gpus[of], n, int64(sv.Gpu))
		}
		addresses += int64(len(leasedIPs(sv)))
	}
	count := func(n int64) resource.Quantity { return *resource.NewQuantity(n, resource.DecimalSI) }
	hard := corev1.ResourceList{
		corev1.ResourcePods:                                 count(pods),
		corev1.ResourceRequestsCPU:                          *resource.NewMilliQuantity(cpu, resource.DecimalSI),
		corev1.ResourceLimitsCPU:                            *resource.NewMilliQuantity(cpu, resource.DecimalSI),
		corev1.ResourceRequestsMemory:                       *bytesQuantity(mem),
		corev1.ResourceLimitsMemory:                         *bytesQuantity(mem),
		corev1.ResourceRequestsEphemeralStorage:             *bytesQuantity(disk),
		corev1.ResourceLimitsEphemeralStorage:               *bytesQuantity(disk),
		corev1.ResourceServicesLoadBalancers:                count(addresses),
		corev1.ResourceName("count/jobs.batch"):             count(r.jobs()),
		corev1.ResourceName("count/daemonsets.apps"):        count(0),
		corev1.ResourceName("count/replicationcontrollers"): count(0),
	}
	for _, kind := range r.GPUs {
		hard["requests."+kind.Resource] = count(gpus[kind.Resource])
	}
	r.storageQuota(hard)
	return &corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: r.meta("lease"),
		Spec:       corev1.ResourceQuotaSpec{Hard: hard},
	}
}

// storageQuota caps what the namespace may hold of persistent storage: what the manifest asks for, and what is kept.
func (r *rendering) storageQuota(hard corev1.ResourceList) {
	use := r.storageUse()
	sets := int64(0)
	for _, sv := range r.workload.Group.Services {
		if stateful(sv) {
			sets += 2 // its own, and that of a service that leaves in the same update
		}
	}
	hard["count/statefulsets.apps"] = *resource.NewQuantity(sets, resource.DecimalSI)
	hard[corev1.ResourcePersistentVolumeClaims] = *resource.NewQuantity(use.claims, resource.DecimalSI)
	hard[corev1.ResourceRequestsStorage] = *bytesQuantity(addTimes(total(use.wanted), 1, total(use.kept)))
	for _, classes := range []map[string]int64{use.wanted, use.kept} {
		for class := range classes {
			name := corev1.ResourceName(class + ".storageclass.storage.k8s.io/requests.storage")
			hard[name] = *bytesQuantity(addTimes(use.wanted[class], 1, use.kept[class]))
		}
	}
}

// addTimes is total + n*each, at most the largest number: an amount that large is no limit any more, but it must not
// turn into a small one.
func addTimes(total, n, each int64) int64 {
	if each > 0 && n > (math.MaxInt64-total)/each {
		return math.MaxInt64
	}
	return total + n*each
}

// limitRange gives limits to containers that ask for none and refuses those that ask for more than the largest
// service.
func (r *rendering) limitRange() *corev1.LimitRange {
	var cpu, mem, disk int64
	for _, sv := range r.workload.Group.Services {
		cpu, mem, disk = max(cpu, int64(sv.CpuMilli)), max(mem, memory(sv)), max(disk, storage(sv))
	}
	list := func() corev1.ResourceList {
		return corev1.ResourceList{
			corev1.ResourceCPU:              *resource.NewMilliQuantity(cpu, resource.DecimalSI),
			corev1.ResourceMemory:           *bytesQuantity(mem),
			corev1.ResourceEphemeralStorage: *bytesQuantity(disk),
		}
	}
	return &corev1.LimitRange{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"},
		ObjectMeta: r.meta("lease"),
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Default: list(), DefaultRequest: list(), Max: list(),
		}}},
	}
}
