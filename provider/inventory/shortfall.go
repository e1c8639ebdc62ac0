package inventory

import (
	"fmt"
	"math/bits"
)

// Shortfall says why a demand does not fit: how many instances of which unit found a place, and what the best node
// lacks; or what the cluster as a whole lacks.
type Shortfall struct {
	// Unit is the ID of the unit that did not fit; 0 where the whole order is meant.
	Unit uint32
	// Placed of Wanted instances fit.
	Placed, Wanted int32
	// Resource is what was short on the node that came nearest; Need is the instance's, or the order's where it is
	// of the whole cluster, Largest what the best node or the cluster had left of it.
	Resource Resource
	Need     int64
	Largest  int64
	// What names the class of storage, the first of the wanted kinds of devices, or the architecture.
	What string
	// None says that there is no such thing at all: no node is known, or none of the devices or class.
	None bool
	// Unknown says that how much there is can't be learned.
	Unknown bool
}

// String tells people what is short, for example "memory: 3 of 5 instances fit; an instance needs 2Gi, the roomiest
// node has 1.5Gi left".
func (s Shortfall) String() string {
	switch {
	case s.Resource == Arch && !s.None:
		return fmt.Sprintf("arch: no node is known to be %s", s.What)
	case s.Resource < resources && s.None && s.What == "", s.Resource == Arch:
		return "no node is known"
	case s.Resource >= resources:
		return s.ofCluster()
	case s.None:
		return fmt.Sprintf("%s: no node has %s", s.Resource, s.What)
	}
	what := s.Resource.String()
	if s.What != "" {
		what += " " + s.What
	}
	need, largest := s.amounts()
	return fmt.Sprintf("%s: %d of %d instances fit; an instance needs %s, the roomiest node has %s left",
		what, s.Placed, s.Wanted, need, largest)
}

// amounts gives what is needed and what there is, to the last byte where they would read alike.
func (s Shortfall) amounts() (need, largest string) {
	need, largest = format(s.Resource, s.Need), format(s.Resource, s.Largest)
	if need == largest && s.Need != s.Largest {
		return fmt.Sprintf("%dB", s.Need), fmt.Sprintf("%dB", s.Largest)
	}
	return need, largest
}

// ofCluster is String for what single nodes do not give.
func (s Shortfall) ofCluster() string {
	what := s.Resource.String()
	if s.What != "" {
		what += " of class " + s.What
	}
	switch {
	case s.None:
		return what + ": there is none"
	case s.Unknown:
		return fmt.Sprintf("%s: %s needed, how much there is can't be learned", what, format(s.Resource, s.Need))
	}
	need, largest := s.amounts()
	return fmt.Sprintf("%s: %s needed, %s left", what, need, largest)
}

// shortfall explains why left instances of a unit have no place on nodes of arch, from the present free capacity.
func (v *Inventory) shortfall(u int, unit *Unit, arch []uint64, left int32) Shortfall {
	s := Shortfall{Unit: unit.ID, Placed: unit.Count - left, Wanted: unit.Count}
	if len(v.names) == 0 {
		s.None = true
		return s
	}
	if unit.Need[GPU] > 0 && !v.explainGPU(&s, unit, arch) {
		return s
	}
	// A resource that no node has enough of explains the refusal alone. If each resource is free somewhere, only not
	// together, the one that the fewest nodes have enough of is named, as the index counts them.
	fewest := -1
	for _, r := range plain {
		need := unit.Need[r]
		if need <= 0 {
			continue
		}
		largest, able := v.outlook(unit, arch, r)
		if fewest < 0 || able < fewest {
			fewest = able
			s.Resource, s.Need, s.Largest = r, need, largest
		}
	}
	return s
}

// explainGPU names devices as what is short if no node of arch has enough of them; else it reports true, and the
// other resources of the nodes that have are to be looked at.
func (v *Inventory) explainGPU(s *Shortfall, unit *Unit, arch []uint64) (enough bool) {
	s.Resource, s.Need, s.None = GPU, unit.Need[GPU], true
	if len(unit.GPUs) > 0 {
		s.What = unit.GPUs[0].Key
	} else {
		s.What = "a device"
	}
	for c := range v.gpus {
		if !unit.takes(&v.gpus[c]) {
			continue
		}
		s.None = false
		s.Largest = max(s.Largest, v.gpus[c].most(arch))
	}
	if len(unit.GPUs) == 0 && !s.None {
		s.What = ""
	}
	if s.Largest < s.Need {
		return false
	}
	s.What = ""
	return true
}

// most is the largest that a node of arch has free, at least 0. The blocks' largest may promise too much, never too
// little, so that only blocks which promise more than was found are looked into.
func (c *column) most(arch []uint64) (most int64) {
	for w, promise := range c.block {
		if promise <= most {
			continue
		}
		for m := arch[w]; m != 0; m &= m - 1 {
			most = max(most, c.free[w*blockSize+bits.TrailingZeros64(m)])
		}
	}
	return most
}

// outlook is the largest free amount of r on the nodes that a unit may be placed on, and on how many of them there is
// enough for an instance, as the index counts them.
func (v *Inventory) outlook(unit *Unit, arch []uint64, r Resource) (largest int64, able int) {
	c := &v.cols[r]
	row := c.row(unit.Need[r])
	if unit.Need[GPU] <= 0 {
		largest = c.largest(arch, len(v.log) == 0 && &arch[0] == &v.all[0])
		if largest < unit.Need[r] {
			return largest, 0
		}
		for w := range row {
			able += bits.OnesCount64(row[w] & arch[w])
		}
		return largest, able
	}
	for w := range arch {
		var has uint64
		for g := range v.gpus {
			if unit.takes(&v.gpus[g]) {
				if gr := v.gpus[g].row(unit.Need[GPU]); gr != nil {
					has |= gr[w]
				}
			}
		}
		has &= arch[w]
		if row != nil {
			able += bits.OnesCount64(row[w] & has)
		}
		if c.block[w] > largest {
			for ; has != 0; has &= has - 1 {
				largest = max(largest, c.free[w*blockSize+bits.TrailingZeros64(has)])
			}
		}
	}
	if largest < unit.Need[r] {
		able = 0
	}
	return largest, able
}

// largest is the most that a node of arch has free; settled says that all nodes are meant and the index is exact.
func (c *column) largest(arch []uint64, settled bool) int64 {
	if settled {
		return c.top()
	}
	return c.most(arch)
}

// format prints an amount in the unit that people use for the resource; bytes are cut to a tenth, never rounded up.
func format(r Resource, x int64) string {
	switch r {
	case CPU:
		return fmt.Sprintf("%dm", x)
	case Memory, Storage, Persistent:
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
	whole, tenth := x/size, uint64(x%size)*10/uint64(size)
	if tenth == 0 {
		return fmt.Sprintf("%d%ci", whole, units[shift])
	}
	return fmt.Sprintf("%d.%d%ci", whole, tenth, units[shift])
}
