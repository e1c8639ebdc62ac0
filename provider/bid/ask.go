package bid

import (
	"cmp"
	"slices"
	"strings"

	"berth.dev/berth/provider/pricing"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// askOf is what the price of an order depends on. The units have passed checkUnit, so that no sum overflows.
func askOf(owner, denom string, limit pricing.Amount, spec *deploymenttypes.GroupSpec, ips uint64) pricing.Ask {
	a := pricing.Ask{Owner: owner, Denom: denom, Max: limit, Attributes: spec.Requirements.Attributes, IPs: ips}
	for i := range spec.Units {
		u := &spec.Units[i]
		n := uint64(u.Count)
		a.Instances += n
		a.CPUMilli += u.CpuMilli * n
		a.MemoryBytes += u.MemoryBytes * n
		for j := range u.Storage {
			addVolume(&a, &u.Storage[j], n)
		}
		if u.Gpu.Count > 0 {
			a.GPUs = append(a.GPUs, pricing.GPUs{Count: uint64(u.Gpu.Count) * n, Any: gpuKinds(u.Gpu.Attributes)})
		}
		for _, e := range u.Endpoints {
			switch e.Kind {
			case deploymenttypes.ENDPOINT_KIND_HTTP:
				a.HTTP++
			case deploymenttypes.ENDPOINT_KIND_IP: // those of the same number share one
			default:
				a.Ports++
			}
		}
	}
	slices.SortFunc(a.Volumes, func(x, y pricing.ClassBytes) int { return strings.Compare(x.Class, y.Class) })
	return a
}

// The attributes of volumes, as documents write them.
const (
	volumeClass      = "class"
	volumePersistent = "persistent"
	classRAM         = "ram"
	classDefault     = "default"
)

// addVolume adds n instances of a volume to the bytes of its kind.
func addVolume(a *pricing.Ask, v *deploymenttypes.Volume, n uint64) {
	class, persistent := "", false
	for _, attr := range v.Attributes {
		switch attr.Key {
		case volumeClass:
			class = attr.Value
		case volumePersistent:
			persistent = attr.Value == "true"
		}
	}
	bytes := v.Bytes * n
	switch {
	case class == classRAM:
		a.RAMBytes += bytes
	case !persistent:
		a.EphemeralBytes += bytes
	default:
		class = cmp.Or(class, classDefault)
		for i := range a.Volumes {
			if a.Volumes[i].Class == class {
				a.Volumes[i].Bytes += bytes
				return
			}
		}
		a.Volumes = append(a.Volumes, pricing.ClassBytes{Class: class, Bytes: bytes})
	}
}

// gpuKinds reads attributes such as vendor/nvidia/model/a100/ram/80Gi, of which a device must have one.
func gpuKinds(attrs []providertypes.Attribute) []pricing.GPUKind {
	var out []pricing.GPUKind
	for _, attr := range attrs {
		var k pricing.GPUKind
		parts := strings.Split(attr.Key, "/")
		for i := 0; i+1 < len(parts); i += 2 {
			value := parts[i+1]
			if value == "*" {
				value = ""
			}
			switch parts[i] {
			case "vendor":
				k.Vendor = value
			case "model":
				k.Model = value
			case "ram":
				k.RAM = value
			case "interface":
				k.Interface = value
			}
		}
		out = append(out, k)
	}
	return out
}
