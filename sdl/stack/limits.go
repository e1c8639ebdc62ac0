package stack

import (
	"fmt"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/quantity"
	providertypes "berth.dev/berth/x/provider/types"
)

// What the chain bounds beyond single values shows only when all is put together. It is said here, so that nobody pays
// a fee to learn it.

// units reports resource units that the chain would refuse, and requirements that are too many with the abilities.
func (v *resolver) units(place *Placement, g sdl.Group) {
	at := place.At.Key()
	for _, r := range g.Resources {
		if r.Count > manifest.MaxCount {
			v.Report(at.Problem("E-LIMIT", "services %s of placement %q share a compute profile and have %d instances, at most %d are allowed",
				r.Service, place.Name, r.Count, manifest.MaxCount).WithHint("give one of them a profile of its own"))
		}
		if n := len(r.Endpoints) + len(r.LeasedIPs); n > manifest.MaxEndpoints {
			v.Report(at.Problem("E-LIMIT", "%s of placement %q needs %d endpoints for its public ports and leased addresses, at most %d are allowed",
				r.Service, place.Name, n, manifest.MaxEndpoints).WithHint("open fewer ports to everyone, or divide them among services with compute profiles of their own"))
		}
	}
	if n := len(g.Attributes); n > providertypes.MaxAttributes {
		v.Report(at.Problem("E-LIMIT", "placement %q requires %d attributes of its provider, %d of them for what its services ask for; at most %d are allowed",
			place.Name, n, n-len(place.Attributes), providertypes.MaxAttributes))
	}
}

// totals reports a placement whose instances take more together than the chain allows.
func (v *resolver) totals(place *Placement, g sdl.Group) {
	t := g.Totals()
	refuse := func(what, have, most string) {
		v.Report(place.At.Key().Problem("E-LIMIT", "the instances of placement %q have %s %s in all, at most %s are allowed", place.Name, have, what, most).
			WithAllowed("at most " + most).WithHint("deploy some of them into another placement"))
	}
	if t.CPUMilli > manifest.MaxGroupCPUMilli {
		refuse("cpus", quantity.FormatCPU(t.CPUMilli), quantity.FormatCPU(manifest.MaxGroupCPUMilli))
	}
	if t.MemoryBytes > manifest.MaxGroupMemoryBytes {
		refuse("of memory", quantity.FormatBytes(t.MemoryBytes), quantity.FormatBytes(manifest.MaxGroupMemoryBytes))
	}
	if t.GPU > manifest.MaxGroupGPU {
		refuse("gpus", fmt.Sprint(t.GPU), fmt.Sprint(manifest.MaxGroupGPU))
	}
	for i, n := range t.Storage {
		if n > manifest.MaxGroupStorageBytes {
			what := "of storage"
			if len(t.Storage) > 1 {
				what = fmt.Sprintf("in their %s volumes", ordinal(i+1))
			}
			refuse(what, quantity.FormatBytes(n), quantity.FormatBytes(manifest.MaxGroupStorageBytes))
		}
	}
}

func ordinal(n int) string {
	if n <= 3 {
		return [...]string{"first", "second", "third"}[n-1]
	}
	return fmt.Sprintf("%dth", n)
}

// gpus reports profiles whose models the chain would refuse as attributes.
func (v *resolver) gpus() {
	for _, c := range v.Compute {
		if len(c.GPUAttributes) == 0 {
			continue
		}
		if len(c.GPUAttributes) > providertypes.MaxAttributes {
			v.Report(c.At.Key().Problem("E-LIMIT", "compute profile %q names %d models of gpus, at most %d are allowed", c.Name, len(c.GPUAttributes), providertypes.MaxAttributes))
			continue
		}
		attributes := make([]providertypes.Attribute, len(c.GPUAttributes))
		for i, a := range c.GPUAttributes {
			attributes[i] = providertypes.Attribute{Key: a.Key, Value: a.Value}
		}
		if err := providertypes.ValidateRequirements(attributes); err != nil {
			v.Report(c.At.Key().Problem("E-GPU", "the chain would refuse the gpus of compute profile %q: %s", c.Name, err).
				WithHint("name a model where ram or interface is given"))
		}
	}
}
