package kube

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

func nvidiaNode(product, memory string) corev1.Node {
	n := corev1.Node{}
	n.Labels = map[string]string{"nvidia.com/gpu.product": product, "nvidia.com/gpu.memory": memory, labelArch: "amd64"}
	n.Status.Allocatable = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("8")}
	return n
}

func nvidiaDevice(product, memory string) device {
	return devicesOf([]corev1.Node{nvidiaNode(product, memory)}, []gpuKind{{Vendor: "nvidia", Resource: "nvidia.com/gpu"}}, cluster.GPU{})[0]
}

func gpuService(keys ...string) manifesttypes.Service {
	sv := clustertest.Service("train", "train:1")
	sv.Gpu = 1
	for _, k := range keys {
		sv.GpuAttributes = append(sv.GpuAttributes, manifesttypes.Attribute{Key: k, Value: "true"})
	}
	return sv
}

// products are the values of the product label that a service's instances are held to.
func products(s *corev1.NodeSelector) (out []string) {
	if s == nil {
		return nil
	}
	for _, t := range s.NodeSelectorTerms {
		for _, e := range t.MatchExpressions {
			if e.Key == "nvidia.com/gpu.product" {
				out = append(out, e.Values...)
			}
		}
	}
	return out
}

func TestDevices(t *testing.T) {
	s := settings{
		GPUs:    []gpuKind{{Vendor: "amd", Resource: "amd.com/gpu"}, {Vendor: "nvidia", Resource: "nvidia.com/gpu"}},
		Devices: []device{nvidiaDevice("NVIDIA-A100-PCIE-40GB", "40960"), nvidiaDevice("NVIDIA-A100-SXM4-80GB", "81920"), nvidiaDevice("Tesla-T4", "15360")},
	}
	for name, tc := range map[string]struct {
		keys  []string
		found bool
		want  string
	}{
		"any device":        {nil, true, ""},
		"any of a vendor":   {[]string{"vendor/nvidia/model/*"}, true, ""},
		"a model":           {[]string{"vendor/nvidia/model/a100"}, true, "NVIDIA-A100-PCIE-40GB NVIDIA-A100-SXM4-80GB"},
		"its memory":        {[]string{"vendor/nvidia/model/a100/ram/81920Mi"}, true, "NVIDIA-A100-SXM4-80GB"},
		"its interface":     {[]string{"vendor/nvidia/model/a100/interface/pcie"}, true, "NVIDIA-A100-PCIE-40GB"},
		"memory alone":      {[]string{"vendor/nvidia/model/*/ram/80Gi"}, true, "NVIDIA-A100-SXM4-80GB"},
		"either of vendors": {[]string{"vendor/amd/model/mi300x", "vendor/nvidia/model/t4"}, true, "Tesla-T4"},
		"no such model":     {[]string{"vendor/nvidia/model/h100"}, false, ""},
		"no such vendor":    {[]string{"vendor/amd/model/*"}, false, ""},
		"no such memory":    {[]string{"vendor/nvidia/model/t4/ram/80Gi"}, false, ""},
		"nonsense":          {[]string{"color/red"}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.devices(gpuService(tc.keys...))
			if got.found != tc.found || strings.Join(products(got.nodes), " ") != tc.want || got.found && got.kind.Vendor != "nvidia" {
				t.Errorf("got %+v on %v, want %q", got, products(got.nodes), tc.want)
			}
		})
	}
}

// TestPlacementStays: nodes that come, and nodes that go for a moment, do not change where a service may run.
func TestPlacementStays(t *testing.T) {
	sv := gpuService("vendor/nvidia/model/a100")
	small, large, other := nvidiaDevice("NVIDIA-A100-PCIE-40GB", "40960"), nvidiaDevice("NVIDIA-A100-SXM4-80GB", "81920"), nvidiaDevice("Tesla-T4", "15360")
	s := settings{GPUs: []gpuKind{{Vendor: "nvidia", Resource: "nvidia.com/gpu"}}, Devices: []device{small}}
	s.Held.affinity = map[string]*corev1.NodeSelector{"train": s.devices(sv).nodes}
	for name, tc := range map[string]struct {
		now  []device
		sv   manifesttypes.Service
		want string
	}{
		"nodes of another kind come": {[]device{small, large}, sv, "NVIDIA-A100-PCIE-40GB"},
		"the nodes are away":         {[]device{other}, sv, "NVIDIA-A100-PCIE-40GB"},
		"they were replaced":         {[]device{large, other}, sv, "NVIDIA-A100-SXM4-80GB"},
		"the manifest wants others":  {[]device{small, other}, gpuService("vendor/nvidia/model/t4"), "Tesla-T4"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Devices = tc.now
			if got := strings.Join(products(s.devices(tc.sv).nodes), " "); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestPlaceRefusals(t *testing.T) {
	arm := clustertest.Service("web", "web:1")
	arm.Arch = "arm64"
	sandboxed := testSettings()
	sandboxed.RuntimeClass = "gvisor"
	rooted := testSettings()
	rooted.UserNamespaces = false
	for name, tc := range map[string]struct {
		settings settings
		service  manifesttypes.Service
		say      string
	}{
		"architecture":       {testSettings(), arm, `services.web.arch: no node of this cluster has the architecture "arm64"`},
		"device":             {testSettings(), gpuService("vendor/nvidia/model/h100"), `services.train.gpu: no node of this cluster has devices of "vendor/nvidia/model/h100"`},
		"runtime class":      {sandboxed, clustertest.Service("web", "web:1"), `lacks the runtime class "gvisor"`},
		"no user namespaces": {rooted, clustertest.Service("web", "web:1"), "user namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(clustertest.Workload(testLease, tc.service), tc.settings, allStart)
			if !errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), tc.say) {
				t.Errorf("got %v, want a refusal with %q", err, tc.say)
			}
		})
	}
}

func TestRegistryKey(t *testing.T) {
	for host, want := range map[string]string{
		"ghcr.io": "ghcr.io", "https://ghcr.io/": "ghcr.io", "http://registry.test:5000": "registry.test:5000", "registry.test/team": "registry.test/team",
		"docker.io": "https://index.docker.io/v1/", "https://index.docker.io/v1/": "https://index.docker.io/v1/",
	} {
		if got := registryKey(host); got != want {
			t.Errorf("%s becomes %s, want %s", host, got, want)
		}
	}
}
