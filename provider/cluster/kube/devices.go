package kube

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/provider/cluster"
)

// Labels by which an operator says what a node's devices are. They win over what device plugins say.
const (
	labelGPUModel     = "berth.dev/gpu.model"
	labelGPURAM       = "berth.dev/gpu.ram"
	labelGPUInterface = "berth.dev/gpu.interface"
)

// deviceLabels are those that the discovery of a vendor's device plugin sets: the product's name, and the memory of one
// device in its unit.
var deviceLabels = map[string]struct {
	product, memory string
	unit            int64
}{
	"nvidia": {"nvidia.com/gpu.product", "nvidia.com/gpu.memory", 1 << 20},
	"amd":    {"amd.com/gpu.product-name", "amd.com/gpu.vram", 1},
}

// deviceClass is what is known of the devices of a node; what is not stays empty, and no order that asks for it is bid on.
func deviceClass(of corev1.ResourceName, labels map[string]string) cluster.GPU {
	domain, _, _ := strings.Cut(string(of), "/")
	vendor := strings.TrimSuffix(domain, ".com")
	vendor = vendor[strings.LastIndexByte(vendor, '.')+1:]
	names := deviceLabels[vendor]
	g := cluster.GPU{Vendor: vendor, RAM: deviceRAM(labels[names.memory], names.unit)}
	g.Model, g.Interface = deviceModel(labels[names.product])
	g.Model = or(labels[labelGPUModel], g.Model)
	g.RAM = or(labels[labelGPURAM], g.RAM)
	g.Interface = or(labels[labelGPUInterface], g.Interface)
	return g
}

// deviceNoise are the parts of a product's name that do not belong to the model: makers, families, memory.
var deviceNoise = regexp.MustCompile(`^(nvidia|tesla|geforce|quadro|amd|radeon|instinct|graphics|oam|nvl|pcie|sxm\d*|hbm\d*e?|\d+gb)$`)

// deviceModel reads the model and the interface from a product's name: NVIDIA-A100-SXM4-80GB is an a100 with sxm, and
// NVIDIA-GeForce-RTX-4090 an rtx4090 of which the interface is not said.
func deviceModel(product string) (model, link string) {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(strings.ToLower(product), func(r rune) bool { return r == '-' || r == '_' || r == ' ' }) {
		switch {
		case strings.HasPrefix(part, "sxm"):
			link = "sxm"
		case part == "pcie":
			link = "pcie"
		}
		if !deviceNoise.MatchString(part) {
			b.WriteString(part)
		}
	}
	return b.String(), link
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

// deviceRAM is the memory of a device as documents write it, from a number of units or an amount. Drivers keep a little
// for themselves: it is rounded to the next whole GiB.
func deviceRAM(label string, unit int64) string {
	if label == "" {
		return ""
	}
	q, err := resource.ParseQuantity(label)
	if err != nil {
		return ""
	}
	n := q.Value()
	if isNumber(label) {
		n = addTimes(0, n, unit)
	} else if !strings.HasSuffix(label, "i") {
		n = n / 1_000_000_000 * (1 << 30) // 192G is what makers call 192 GiB
	}
	const gib = 1 << 30
	if n <= 0 || n > 1<<50 {
		return ""
	}
	return fmt.Sprintf("%dGi", (n+gib-1)/gib)
}
