package inventory

import (
	"strings"

	"berth.dev/berth/sdl/quantity"
)

// GPUClass is a kind of graphics processors: all of one class are as good as each other. What is not known is empty.
type GPUClass struct {
	Vendor, Model, RAM, Interface string
}

// String gives the class as documents and orders name it, for example vendor/nvidia/model/a100/ram/80Gi/interface/sxm;
// what is not known is left out.
func (c GPUClass) String() string {
	var b strings.Builder
	for i, part := range c.parts() {
		if *part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('/')
		}
		b.WriteString(gpuKeys[i] + "/" + *part)
	}
	return b.String()
}

func (c *GPUClass) parts() [4]*string { return [4]*string{&c.Vendor, &c.Model, &c.RAM, &c.Interface} }

var gpuKeys = [4]string{"vendor", "model", "ram", "interface"}

// any is the model that stands for all models.
const anyModel = "*"

// GPUWant is one kind of device that an order takes: every part that it names must be known and equal. The memory is
// compared as an amount, so that 80Gi and 81920Mi are one.
type GPUWant struct {
	// Key is the attribute as the order holds it.
	Key   string
	class GPUClass
	ram   int64 // bytes; 0 when class.RAM is no amount
}

// ParseGPU reads what an order wants of its devices: vendor/V/model/M with an optional /ram/R and /interface/I, where
// model * is any. It reports false for anything else.
func ParseGPU(key string) (GPUWant, bool) {
	w := GPUWant{Key: key}
	parts := strings.Split(key, "/")
	if len(parts)%2 != 0 || parts[0] != gpuKeys[0] {
		return GPUWant{}, false
	}
	known := w.class.parts()
	at := 0
	for i := 0; i < len(parts); i += 2 {
		for at < len(gpuKeys) && gpuKeys[at] != parts[i] {
			at++ // parts that stand in another order, or twice, are never found
		}
		if at == len(gpuKeys) || parts[i+1] == "" {
			return GPUWant{}, false
		}
		*known[at] = parts[i+1]
		at++
	}
	if w.class.Model == anyModel {
		w.class.Model = ""
	}
	w.ram = gpuRAM(w.class.RAM)
	return w, !strings.Contains(w.class.String(), "*")
}

func gpuRAM(s string) int64 {
	n, bad := quantity.Bytes(s)
	if s == "" || bad != nil || n > 1<<62 {
		return 0
	}
	return int64(n)
}

// matches tells whether a device of the class will do.
func (w *GPUWant) matches(c *gpuColumn) bool {
	return (w.class.Vendor == c.class.Vendor) &&
		(w.class.Model == "" || w.class.Model == c.class.Model) &&
		(w.class.Interface == "" || w.class.Interface == c.class.Interface) &&
		(w.class.RAM == "" || w.class.RAM == c.class.RAM || w.ram != 0 && w.ram == c.ram)
}

// Matches tells whether a device of a class will do.
func (w *GPUWant) Matches(c GPUClass) bool {
	return w.matches(&gpuColumn{class: c, ram: gpuRAM(c.RAM)})
}

// takes tells whether a unit may have devices of the class.
func (u *Unit) takes(c *gpuColumn) bool {
	for i := range u.GPUs {
		if u.GPUs[i].matches(c) {
			return true
		}
	}
	return len(u.GPUs) == 0
}
