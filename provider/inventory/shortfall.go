package inventory

import "fmt"

// Shortfall says why units do not fit: how many instances of which unit found a place, and what the best node lacks.
type Shortfall struct {
	// Unit is the position of the unit that did not fit.
	Unit int
	// Placed of Wanted instances fit.
	Placed, Wanted int32
	// Resource is what was short on the node that came nearest; Need is the instance's, Largest what the best node
	// had left of it. With None set no node was known at all.
	Resource Resource
	Need     int64
	Largest  int64
	None     bool
}

// String tells people what is short, for example "memory: 3 of 5 instances fit; an instance needs 2Gi, the roomiest
// node has 1.5Gi left".
func (s Shortfall) String() string {
	if s.None {
		return "no node is known"
	}
	return fmt.Sprintf("%s: %d of %d instances fit; an instance needs %s, the roomiest node has %s left",
		s.Resource, s.Placed, s.Wanted, format(s.Resource, s.Need), format(s.Resource, s.Largest))
}

// shortfall explains why left instances of a unit have no place, from the present free capacity.
func (v *Inventory) shortfall(u int, unit *Unit, left int32) Shortfall {
	s := Shortfall{Unit: u, Placed: unit.Count - left, Wanted: unit.Count}
	if len(v.names) == 0 {
		s.None = true
		return s
	}
	// A resource that no node has enough of explains the refusal alone. If each resource is free somewhere, only not
	// together, the one that is short on most nodes is named.
	worst := -1
	for r := range resources {
		if unit.Need[r] <= 0 {
			continue
		}
		short, largest := 0, v.free[r][0]
		for _, free := range v.free[r] {
			largest = max(largest, free)
			if free < unit.Need[r] {
				short++
			}
		}
		if short > worst {
			worst = short
			s.Resource, s.Need, s.Largest = r, unit.Need[r], max(0, largest)
		}
	}
	return s
}

// format prints an amount in the unit that people use for the resource; bytes are cut to a tenth, never rounded up.
func format(r Resource, x int64) string {
	switch r {
	case CPU:
		return fmt.Sprintf("%dm", x)
	case Memory, Storage:
		return formatBytes(x)
	default:
		return fmt.Sprint(x)
	}
}

func formatBytes(x int64) string {
	const units = "KMGTPE"
	shift := -1
	for i := range units {
		if x>>(10*(i+1)) == 0 {
			break
		}
		shift = i
	}
	if shift < 0 {
		return fmt.Sprintf("%dB", x)
	}
	size := int64(1) << (10 * (shift + 1))
	whole, tenth := x/size, x%size/(size/10+1)
	if tenth == 0 {
		return fmt.Sprintf("%d%ci", whole, units[shift])
	}
	return fmt.Sprintf("%d.%d%ci", whole, tenth, units[shift])
}
