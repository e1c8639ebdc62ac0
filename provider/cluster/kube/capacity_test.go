package kube

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/provider/cluster"
)

func TestDeviceClass(t *testing.T) {
	nvidia := func(product, memory string) map[string]string {
		return map[string]string{"nvidia.com/gpu.product": product, "nvidia.com/gpu.memory": memory}
	}
	for name, tc := range map[string]struct {
		of     corev1.ResourceName
		labels map[string]string
		want   cluster.GPU
	}{
		"a100":             {"nvidia.com/gpu", nvidia("NVIDIA-A100-SXM4-80GB", "81920"), cluster.GPU{Vendor: "nvidia", Model: "a100", RAM: "80Gi", Interface: "sxm"}},
		"a100 pcie":        {"nvidia.com/gpu", nvidia("NVIDIA-A100-PCIE-40GB", "40960"), cluster.GPU{Vendor: "nvidia", Model: "a100", RAM: "40Gi", Interface: "pcie"}},
		"h100":             {"nvidia.com/gpu", nvidia("NVIDIA-H100-80GB-HBM3", "81559"), cluster.GPU{Vendor: "nvidia", Model: "h100", RAM: "80Gi"}},
		"h200":             {"nvidia.com/gpu", nvidia("NVIDIA-H200-HBM3e", ""), cluster.GPU{Vendor: "nvidia", Model: "h200"}},
		"t4":               {"nvidia.com/gpu", nvidia("Tesla-T4", "15360"), cluster.GPU{Vendor: "nvidia", Model: "t4", RAM: "15Gi"}},
		"4090":             {"nvidia.com/gpu", nvidia("NVIDIA-GeForce-RTX-4090", "24564"), cluster.GPU{Vendor: "nvidia", Model: "rtx4090", RAM: "24Gi"}},
		"a6000":            {"nvidia.com/gpu", nvidia("NVIDIA-RTX-A6000", "49140"), cluster.GPU{Vendor: "nvidia", Model: "rtxa6000", RAM: "48Gi"}},
		"shared in time":   {"nvidia.com/gpu", nvidia("NVIDIA-A100-SXM4-80GB-SHARED", "81920"), cluster.GPU{Vendor: "nvidia", Model: "a100shared", RAM: "80Gi", Interface: "sxm"}},
		"no labels":        {"nvidia.com/gpu", nil, cluster.GPU{Vendor: "nvidia"}},
		"nonsense":         {"nvidia.com/gpu", nvidia("", "a lot"), cluster.GPU{Vendor: "nvidia"}},
		"negative":         {"nvidia.com/gpu", nvidia("Tesla-T4", "-1"), cluster.GPU{Vendor: "nvidia", Model: "t4"}},
		"amd":              {"amd.com/gpu", map[string]string{"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G"}, cluster.GPU{Vendor: "amd", Model: "mi300x", RAM: "192Gi"}},
		"intel":            {"gpu.intel.com/i915", nil, cluster.GPU{Vendor: "intel"}},
		"operator's words": {"nvidia.com/gpu", map[string]string{"nvidia.com/gpu.product": "Tesla-T4", labelGPUModel: "t4x", labelGPURAM: "16Gi", labelGPUInterface: "pcie"}, cluster.GPU{Vendor: "nvidia", Model: "t4x", RAM: "16Gi", Interface: "pcie"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := deviceClass(tc.of, tc.labels); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestCapacityOfFaultyNode: what can't be is passed on as it stands, for the inventory to refuse; it never wraps around.
func TestCapacityOfFaultyNode(t *testing.T) {
	all := list("4", "-8Gi")
	all["nvidia.com/gpu"] = resource.MustParse("18446744073709551615")
	all[corev1.ResourcePods] = resource.MustParse("110")
	n := &corev1.Node{Status: corev1.NodeStatus{
		Allocatable: all, Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
	}}
	huge := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{requesting("9223372036854775807", "9223372036854775807"), requesting("1", "1")}}}
	huge.Spec.NodeName = "a"
	n.Name = "a"
	got := accounting{gpus: []gpuKind{{Vendor: "nvidia", Resource: "nvidia.com/gpu"}}}.capacity([]*corev1.Node{n}, []*corev1.Pod{huge})[0]
	const most = 1<<63 - 1
	if got.Memory != -8<<30 || len(got.GPUs) != 1 || got.GPUs[0].Count != most || got.ForeignMemory != most || got.ForeignCPU != most {
		t.Errorf("got %+v", got)
	}
}

func TestForeignPorts(t *testing.T) {
	service := func(labels map[string]string, ports ...int32) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Labels: labels}}
		for _, p := range ports {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: 80, NodePort: p})
		}
		return s
	}
	health := service(nil, 30002)
	health.Spec.HealthCheckNodePort = 30003
	all := []*corev1.Service{
		service(nil, 0), service(nil, 30000, 30001), service(nil, 30001), health,
		service(map[string]string{labelManagedBy: manager, labelProvider: "me"}, 30004),
		service(map[string]string{labelManagedBy: manager, labelProvider: "other"}, 30005),
	}
	for want, a := range map[int64]accounting{5: {provider: "me"}, 4: {provider: "me", shared: true}} {
		if got := a.foreignPorts(all); got != want {
			t.Errorf("%+v: %d, want %d", a, got, want)
		}
		for i := range all {
			all[i] = trimService(all[i])
		}
	}
}

func TestStoragePools(t *testing.T) {
	class := func(name string) storagev1.StorageClass {
		return storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	left := func(class, n string) storagev1.CSIStorageCapacity {
		q := resource.MustParse(n)
		return storagev1.CSIStorageCapacity{StorageClassName: class, Capacity: &q}
	}
	claim := func(provider, class, n string) corev1.PersistentVolumeClaim {
		c := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{labelManagedBy: manager, labelProvider: provider}}}
		c.Spec.StorageClassName = &class
		c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(n)}
		c.Status.Phase = corev1.ClaimBound
		return c
	}
	waits, kept := claim("me", "ssd", "4Gi"), claim("me", "ssd", "1Gi")
	waits.Status.Phase, kept.Labels[labelKept] = corev1.ClaimPending, "true"
	keptToo := claim("me", "nfs", "6Gi")
	keptToo.Labels[labelKept] = "true"
	got := accounting{provider: "me"}.storage(
		map[string]StorageClass{"beta1": {Name: "disk"}, "beta2": {Name: "ssd"}, "beta3": {Name: "gone"}, "default": {Name: "nfs", Capacity: 100 << 30}},
		[]storagev1.StorageClass{class("disk"), class("ssd"), class("another"), class("nfs")},
		[]storagev1.CSIStorageCapacity{left("ssd", "5Gi"), left("ssd", "3Gi"), left("another", "1Ti")},
		[]corev1.PersistentVolumeClaim{claim("me", "ssd", "2Gi"), claim("other", "ssd", "1Gi"), claim("me", "disk", "1Gi"), waits, kept, keptToo, claim("me", "nfs", "1Gi")},
	)
	want := map[string]cluster.Pool{
		"beta1": {}, "beta2": {Known: true, Total: 11 << 30, Foreign: 1 << 30}, "default": {Known: true, Total: 100 << 30, Foreign: 6 << 30},
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
