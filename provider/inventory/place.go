package inventory

import (
	"math"
	"math/bits"
)

// Placing is first fit over nodes in an order that does not depend on what is free: those without devices before those
// with some, then the smaller before the larger. So instances fill up the nodes that nothing else needs: an order
// without devices leaves the nodes that have them alone, and small instances leave large nodes whole for those that
// fit nowhere else. That is what best fit is for, but the first candidate of a fixed order is found by a walk over bits,
// while the best one asks for a look at all of them; and equal books give equal places, whatever came before. Units
// are placed in the order in which they stand; Demand makers put the hardest first.

// place puts all units on nodes and leaves what it took in the log.
func (v *Inventory) place(d *Demand) (Shortfall, bool) {
	arch, ok := v.archOf(d.Arch)
	if !ok {
		return Shortfall{Resource: Arch, What: d.Arch, None: len(v.names) == 0}, false
	}
	if short, ok := v.fitsPools(d); !ok {
		return short, false
	}
	if short, hopeless := v.hopeless(d, arch); hopeless {
		return short, false
	}
	for u := range d.Units {
		unit := &d.Units[u]
		if left := v.placeUnit(u, unit, arch); left > 0 {
			return v.shortfall(unit, arch, left), false
		}
	}
	return Shortfall{}, true
}

// hopeless finds a unit that needs more of something than any node has free, before anything is placed. Most refusals
// end here.
func (v *Inventory) hopeless(d *Demand, arch []uint64) (Shortfall, bool) {
	for u := range d.Units {
		unit := &d.Units[u]
		for _, r := range plain {
			if need := v.need(unit, r); need > 0 && need > v.cols[r].top() {
				s := Shortfall{Unit: unit.ID, Wanted: unit.Count, Resource: r, Need: need, None: len(v.names) == 0}
				if !s.None {
					s.Largest = v.largest(&v.cols[r], apart{still: arch})
				}
				return s, true
			}
		}
	}
	return Shortfall{}, false
}

// archOf gives the nodes of an architecture, all of them for any; false when there are none.
func (v *Inventory) archOf(name string) ([]uint64, bool) {
	if name == "" {
		return v.all, true
	}
	for i := range v.archs {
		if v.archs[i].name == name {
			return v.archs[i].nodes, true
		}
	}
	return nil, false
}

// placeUnit puts as many instances as fit on nodes of arch, and returns how many are left over.
func (v *Inventory) placeUnit(u int, unit *Unit, arch []uint64) (left int32) {
	left = unit.Count
	if unit.Need[GPU] <= 0 {
		return v.placeOn(u, unit, arch, -1, left)
	}
	for c := range v.gpus {
		if left > 0 && unit.takes(&v.gpus[c]) {
			left = v.placeOn(u, unit, arch, int16(c), left)
		}
	}
	return left
}

// search is what to look for in one column.
type search struct {
	need               int64 // below all amounts where nothing is needed
	row                []uint64
	super, block, free []int64
}

// searchFor fills in what to look for in a column; false when no node can have room.
func (v *Inventory) searchFor(s *search, c *column, need int64) bool {
	s.need, s.row, s.super, s.block, s.free = math.MinInt64, v.all, c.super, c.block, c.free
	if need > 0 {
		s.need, s.row = need, c.row(need)
	}
	return len(s.row) > 0
}

// searches are what to look for in all columns of a unit.
type searches struct{ cpu, memory, disk, pods, gpu search }

// searchesFor fills in what to look for; false when no node can have room.
func (v *Inventory) searchesFor(s *searches, unit *Unit, class int16) bool {
	ok := v.searchFor(&s.cpu, &v.cols[CPU], v.need(unit, CPU)) && v.searchFor(&s.memory, &v.cols[Memory], v.need(unit, Memory)) &&
		v.searchFor(&s.disk, &v.cols[Storage], v.need(unit, Storage)) && v.searchFor(&s.pods, &v.cols[Pods], v.need(unit, Pods))
	if class < 0 {
		return ok && v.searchFor(&s.gpu, &v.cols[Pods], 0)
	}
	return ok && v.searchFor(&s.gpu, &v.gpus[class].column, unit.Need[GPU])
}

// superMay, blockMay and has tell whether there is enough in a block of blocks, a block, and on a node.
func (s *searches) superMay(i int) bool {
	return s.cpu.super[i] >= s.cpu.need && s.memory.super[i] >= s.memory.need && s.gpu.super[i] >= s.gpu.need &&
		s.disk.super[i] >= s.disk.need && s.pods.super[i] >= s.pods.need
}

func (s *searches) blockMay(i int) bool {
	return s.cpu.block[i] >= s.cpu.need && s.memory.block[i] >= s.memory.need && s.gpu.block[i] >= s.gpu.need &&
		s.disk.block[i] >= s.disk.need && s.pods.block[i] >= s.pods.need
}

func (s *searches) has(i int) bool {
	return s.cpu.free[i] >= s.cpu.need && s.memory.free[i] >= s.memory.need && s.gpu.free[i] >= s.gpu.need &&
		s.disk.free[i] >= s.disk.need && s.pods.free[i] >= s.pods.need
}

// placeOn puts at most left instances on nodes of arch, with devices of a class if it is not -1; it returns what is left
// over.
func (v *Inventory) placeOn(u int, unit *Unit, arch []uint64, class int16, left int32) int32 {
	var s searches
	if !v.searchesFor(&s, unit, class) || len(arch) == 0 {
		return left
	}
	for first := 0; first < len(v.all) && left > 0; first += blockSize {
		if !s.superMay(first / blockSize) {
			continue
		}
		last := min(first+blockSize, len(v.all))
		memory, cpu, gpu := s.memory.row[first:last], s.cpu.row[first:last], s.gpu.row[first:last]
		disk, pods, meant := s.disk.row[first:last], s.pods.row[first:last], arch[first:last]
		n := len(memory)
		cpu, gpu, disk, pods, meant = cpu[:n], gpu[:n], disk[:n], pods[:n], meant[:n]
		for w, maybe := range memory {
			if maybe &= cpu[w]; maybe == 0 {
				continue
			}
			// Rows are coarse; the block's largest are not.
			if maybe &= meant[w] & gpu[w] & disk[w] & pods[w]; maybe == 0 || !s.blockMay(first+w) {
				continue
			}
			if left = v.placeIn(&s, slot{unit: int16(u), class: class}, unit, (first+w)*blockSize, maybe, left); left == 0 {
				return 0
			}
		}
	}
	return left
}

// placeIn is placeOn for the nodes of one block that may have room.
func (v *Inventory) placeIn(s *searches, at slot, unit *Unit, first int, maybe uint64, left int32) int32 {
	for ; maybe != 0; maybe &= maybe - 1 {
		i := first + bits.TrailingZeros64(maybe)
		if !s.has(i) {
			continue
		}
		at.node, at.count = int32(i), v.room(i, unit, at.class, left)
		v.take(at, unit)
		if left -= at.count; left == 0 {
			break
		}
	}
	return left
}

// room is how many instances of the unit fit on a node that has room for one, at most limit.
func (v *Inventory) room(node int, unit *Unit, class int16, limit int32) int32 {
	k := int64(limit)
	for _, r := range plain {
		k = fit(v.cols[r].free[node], v.need(unit, r), k)
	}
	if class >= 0 {
		k = fit(v.gpus[class].free[node], unit.Need[GPU], k)
	}
	return int32(k)
}

// fit is how many times need is in free, at most k. Needs are below 2^50 and k is below 2^9: products fit.
func fit(free, need, k int64) int64 {
	if need <= 0 || free >= need*k {
		return k
	}
	return free / need
}

// roomiest is the node with the most free memory, then cpu, and its class of devices for a unit that has some; -1
// without nodes, and for a class that is nowhere.
func (v *Inventory) roomiest(unit *Unit) (node int32, class int16) {
	node, class = -1, -1
	better := func(n int) bool {
		memory, cpu := v.cols[Memory].free, v.cols[CPU].free
		return node < 0 || memory[n] > memory[node] || memory[n] == memory[node] && cpu[n] > cpu[node]
	}
	for c := range v.gpus {
		if unit.Need[GPU] <= 0 || !unit.takes(&v.gpus[c]) {
			continue
		}
		for n := range v.names {
			if v.gpus[c].capacity[n] > 0 && better(n) {
				node, class = int32(n), int16(c)
			}
		}
	}
	if class >= 0 {
		return node, class
	}
	for n := range v.names {
		if better(n) {
			node = int32(n)
		}
	}
	return node, class
}
