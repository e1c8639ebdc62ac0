package inventory

import "fmt"

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
	but := ""
	if s.Largest >= s.Need {
		but = ", but not of all else that it needs"
	}
	return fmt.Sprintf("%s: %d of %d instances fit; an instance needs %s, the roomiest node has %s left%s",
		what, s.Placed, s.Wanted, need, largest, but)
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
func (v *Inventory) shortfall(unit *Unit, arch []uint64, left int32) Shortfall {
	s := Shortfall{Unit: unit.ID, Placed: unit.Count - left, Wanted: unit.Count}
	if len(v.names) == 0 {
		s.None = true
		return s
	}
	eligible := arch
	if unit.Need[GPU] > 0 {
		if eligible = v.explainGPU(&s, unit, arch); eligible == nil {
			return s
		}
	}
	set := v.setApart(eligible)
	// The resource is named that the fewest eligible nodes have enough of: if none has, it explains the refusal alone;
	// else each is free somewhere, only not together.
	fewest := -1
	for _, r := range plain {
		if need := v.need(unit, r); need > 0 {
			if able := v.able(r, need, set, fewest); fewest < 0 || able < fewest {
				fewest = able
				s.Resource, s.Need = r, need
			}
		}
	}
	s.Largest = v.largest(&v.cols[s.Resource], set)
	return s
}

// apart is a set of nodes, of which those that place has taken from stand apart: the index is not true of them.
type apart struct {
	still []uint64
	taken []int32
}

// setApart divides a set of nodes.
func (v *Inventory) setApart(set []uint64) apart {
	if len(v.log) == 0 {
		return apart{still: set}
	}
	still := v.scratch[0]
	copy(still, set)
	v.taken = v.taken[:0]
	for _, s := range v.log {
		if w, bit := s.node/blockSize, uint64(1)<<(s.node%blockSize); s.node >= 0 && still[w]&bit != 0 {
			still[w] &^= bit
			v.taken = append(v.taken, s.node)
		}
	}
	return apart{still, v.taken}
}

// able is how many nodes of a set have enough of a resource; where there are more than limit, some number above it. A
// limit below 0 is none.
func (v *Inventory) able(r Resource, need int64, set apart, limit int) int {
	if limit < 0 {
		limit = len(v.names)
	}
	c := &v.cols[r]
	n := c.able(need, set.still, limit)
	for _, i := range set.taken {
		if c.free[i] >= need {
			n++
		}
	}
	return n
}

// largest is the most that a node of a set has free.
func (v *Inventory) largest(c *column, set apart) (most int64) {
	if len(v.log) == 0 && &set.still[0] == &v.all[0] {
		return c.top()
	}
	most = c.largest(set.still)
	for _, i := range set.taken {
		most = max(most, c.free[i])
	}
	return most
}

// explainGPU names devices as what is short if no node of arch has enough of them. Else it gives the nodes that have:
// then it is another resource of those nodes.
func (v *Inventory) explainGPU(s *Shortfall, unit *Unit, arch []uint64) []uint64 {
	s.Resource, s.Need, s.None, s.What = GPU, unit.Need[GPU], true, "a device"
	if len(unit.GPUs) > 0 {
		s.What = unit.GPUs[0].Key
	}
	set, eligible := v.setApart(arch), v.scratch[1]
	clear(eligible)
	for c := range v.gpus {
		g := &v.gpus[c]
		if !unit.takes(g) {
			continue
		}
		s.None = false
		s.Largest = max(s.Largest, v.largest(&g.column, set))
		for w, has := range g.row(unit.Need[GPU]) {
			eligible[w] |= has & arch[w]
		}
	}
	if !s.None && len(unit.GPUs) == 0 || s.Largest >= s.Need {
		s.What = ""
	}
	if s.Largest < s.Need {
		return nil
	}
	return eligible
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
