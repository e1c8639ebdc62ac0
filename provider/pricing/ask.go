package pricing

import (
	"cmp"
	"fmt"
	"strings"

	providertypes "berth.dev/berth/x/provider/types"
)

// Ask is all that the price of an order depends on, as values: amounts are totals over all instances.
type Ask struct {
	Owner, Denom string
	// Instances counts those of all services.
	Instances uint64
	CPUMilli  uint64
	// MemoryBytes is without volumes in memory, which are RAMBytes.
	MemoryBytes, RAMBytes, EphemeralBytes uint64
	// Volumes are the persistent ones: one entry for each class, sorted by class.
	Volumes []ClassBytes
	GPUs    []GPUs
	// HTTP and Ports count ways in from outside; they do not grow with instances. IPs counts leased addresses.
	HTTP, Ports, IPs uint64
	// Attributes are those that the order requires of a provider.
	Attributes []providertypes.Attribute
	// Max is the most that the order pays for the whole group per block.
	Max Amount
	// Quote is what an external program answered for this order; nil while it has not been asked. It comes with the ask so
	// that a price stays a function of values.
	Quote *Quote
}

// ClassBytes is so many bytes of a class of storage.
type ClassBytes struct {
	Class string
	Bytes uint64
}

// GPUs is so many devices, each of which may be of any of the kinds; without kinds, of any kind at all.
type GPUs struct {
	Count uint64
	Any   []GPUKind
}

// GPUKind describes a device; an empty field is left open.
type GPUKind struct{ Vendor, Model, RAM, Interface string }

// String is the kind as tables write it: vendor/model/ram/interface, with * for what is left open, up to the last part
// that is named.
func (k GPUKind) String() string {
	parts, last := k.parts(), -1
	for i := range parts {
		if parts[i] != "" {
			last = i
		}
	}
	switch last {
	case -1:
		return "*"
	case 0:
		return k.Vendor + "/*"
	}
	for i := range parts {
		parts[i] = cmp.Or(parts[i], "*")
	}
	return strings.Join(parts[:last+1], "/")
}

// ParseGPUKind reads what String writes; trailing parts may be left out. It refuses empty parts and more than four.
func ParseGPUKind(s string) (GPUKind, error) {
	parts := strings.Split(s, "/")
	if len(parts) > 4 {
		return GPUKind{}, fmt.Errorf("%q has more than the four parts vendor/model/ram/interface", s)
	}
	var k GPUKind
	for i, into := range []*string{&k.Vendor, &k.Model, &k.RAM, &k.Interface}[:len(parts)] {
		switch part := parts[i]; {
		case part == "":
			return GPUKind{}, fmt.Errorf("%q has an empty part", s)
		case part != "*" && strings.ContainsAny(part, "* \t"):
			return GPUKind{}, fmt.Errorf("%q: a part is a name or a single *", s)
		case part != "*":
			*into = part
		}
	}
	return k, nil
}

func (k GPUKind) parts() [4]string { return [4]string{k.Vendor, k.Model, k.RAM, k.Interface} }

// covers reports whether every device of kind o is of kind k.
func (k GPUKind) covers(o GPUKind) bool {
	mine, others := k.parts(), o.parts()
	for i, p := range mine {
		if p != "" && p != others[i] {
			return false
		}
	}
	return true
}

// meet is the kind of the devices that are of both kinds, if there can be any.
func (k GPUKind) meet(o GPUKind) (both GPUKind, ok bool) {
	if both.Vendor, ok = agree(k.Vendor, o.Vendor); !ok {
		return both, false
	}
	if both.Model, ok = agree(k.Model, o.Model); !ok {
		return both, false
	}
	if both.RAM, ok = agree(k.RAM, o.RAM); !ok {
		return both, false
	}
	both.Interface, ok = agree(k.Interface, o.Interface)
	return both, ok
}

// agree gives the one of two names of a part that is given, if they do not differ.
func agree(a, b string) (string, bool) {
	switch {
	case a == "":
		return b, true
	case b == "" || a == b:
		return a, true
	}
	return "", false
}

// String lists the kinds.
func (g GPUs) String() string {
	if len(g.Any) == 0 {
		return "*"
	}
	names := make([]string, len(g.Any))
	for i, k := range g.Any {
		names[i] = k.String()
	}
	return strings.Join(names, " or ")
}

// GPUCount is how many devices are asked for.
func (a *Ask) GPUCount() (n uint64) {
	for _, g := range a.GPUs {
		n += g.Count
	}
	return n
}

// Standing is how the provider stands when it is asked: its cluster, its own bids and leases, and how much of them
// belongs to the owner of the order. Expressions and external programs see it.
type Standing struct {
	Nodes          int64
	Capacity, Free Resources
	OpenBids       int64
	Leases         int64
	OwnerOpenBids  int64
	OwnerLeases    int64
	OwnerExposure  Amount // of bids and leases per block, in the order's denom
	Height         int64
}

// Resources is an amount of each resource that can be summed over a cluster. Amounts may be negative: what was sold is
// more than what is there.
type Resources struct {
	CPUMilli, MemoryBytes, EphemeralBytes, GPUs int64
}
