package inventory

import "math/bits"

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
	for u := range d.Units {
		unit := &d.Units[u]
		if left := v.placeUnit(u, unit, arch); left > 0 {
			return v.shortfall(u, unit, arch, left), false
		}
	}
	return Shortfall{}, true
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

// rows are those of the index whose conjunction holds all nodes on which an instance may fit.
type rows [len(plain) + 2][]uint64

// rowsOf gives the rows of a unit with devices of a class, -1 for none; false when no node can have room.
func (v *Inventory) rowsOf(unit *Unit, arch []uint64, class int16) (rows, bool) {
	out := rows{len(plain): arch, len(plain) + 1: v.all}
	for i, r := range plain {
		out[i] = v.all
		if need := unit.Need[r]; need > 0 {
			out[i] = v.cols[r].row(need)
		}
	}
	if class >= 0 {
		out[len(plain)+1] = v.gpus[class].row(unit.Need[GPU])
	}
	for _, row := range out {
		if len(row) == 0 {
			return out, false
		}
	}
	return out, true
}

// placeOn puts at most left instances on nodes with devices of a class, -1 for any node; it returns what is left over.
func (v *Inventory) placeOn(u int, unit *Unit, arch []uint64, class int16, left int32) int32 {
	r, ok := v.rowsOf(unit, arch, class)
	if !ok {
		return left
	}
	n := len(v.all)
	r0, r1, r2, r3, r4, r5 := r[0][:n], r[1][:n], r[2][:n], r[3][:n], r[4][:n], r[5][:n]
	for w := range r0 {
		maybe := r0[w] & r1[w]
		if maybe == 0 {
			continue
		}
		for maybe &= r2[w] & r3[w] & r4[w] & r5[w]; maybe != 0; maybe &= maybe - 1 {
			node := w*blockSize + bits.TrailingZeros64(maybe)
			k := v.room(node, unit, class, left)
			if k <= 0 {
				continue
			}
			v.take(slot{node: int32(node), count: k, unit: int16(u), class: class}, unit)
			if left -= k; left == 0 {
				return 0
			}
		}
	}
	return left
}

// room is how many instances of the unit fit on a node, at most limit.
func (v *Inventory) room(node int, unit *Unit, class int16, limit int32) int32 {
	k := int64(limit)
	for _, r := range plain {
		k = fit(v.cols[r].free[node], unit.Need[r], k)
	}
	if class >= 0 {
		k = fit(v.gpus[class].free[node], unit.Need[GPU], k)
	}
	return int32(k)
}

// fit is how many times need is in free, at most k. Needs are below 2^50 and k is below 2^9: products fit.
func fit(free, need, k int64) int64 {
	switch {
	case need <= 0 || free >= need*k:
		return k
	case free < need:
		return 0
	default:
		return free / need
	}
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
