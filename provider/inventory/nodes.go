package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// Node is what one node can give to leases in all, whether or not some of it is held.
type Node struct {
	Name string
	// Capacity counts as GPU the devices of which nothing is known.
	Capacity Amounts
	// Arch is the node's architecture; empty when it is not known.
	Arch string
	// GPUs are the devices of known classes. No class stands twice.
	GPUs []GPUs
}

// GPUs is a number of devices of a class.
type GPUs struct {
	Class GPUClass
	Count int64
}

// devices is how many devices of a class the node has.
func (n *Node) devices(class GPUClass) (count int64) {
	if class == (GPUClass{}) {
		count = n.Capacity[GPU]
	}
	for i := range n.GPUs {
		if n.GPUs[i].Class == class {
			count += n.GPUs[i].Count
		}
	}
	return count
}

// classes calls f for each class of devices that the node has.
func (n *Node) classes(f func(GPUClass)) {
	if n.Capacity[GPU] > 0 {
		f(GPUClass{})
	}
	for i := range n.GPUs {
		if n.GPUs[i].Count > 0 {
			f(n.GPUs[i].Class)
		}
	}
}

func (n *Node) hasGPU() (has bool) {
	n.classes(func(GPUClass) { has = true })
	return has
}

// Supply is all that may be sold.
type Supply struct {
	Nodes []Node
	Pools Pools
	// Overhead is what each instance takes of its node beside what it needs; its GPU and Pods columns are 0.
	Overhead Amounts
}

// Set replaces what can be given. Reservations on nodes that stay keep their place; those on nodes that are gone are
// placed anew. It reports whether anything is free that was not, so that refused orders are worth another look. No
// node's name may stand twice.
func (v *Inventory) Set(s Supply) (grew bool) {
	grew = v.setPools(s.Pools)
	if s.Overhead != v.overhead {
		old := *v
		v.overhead = s.Overhead
		v.relay(s.Nodes, &old)
		return v.grewSince(&old) || grew
	}
	return v.SetNodes(s.Nodes) || grew
}

// relay makes columns for nodes and charges all that was held to them.
func (v *Inventory) relay(nodes []Node, old *Inventory) {
	v.lay(nodes)
	v.moveHoldings(old)
}

// SetNodes is Set for the nodes alone.
func (v *Inventory) SetNodes(nodes []Node) (grew bool) {
	if v.sameNodes(nodes) {
		for i, at := range v.given {
			grew = v.putNode(int(at), &nodes[i]) || grew
		}
		return grew
	}
	old := *v
	v.relay(nodes, &old)
	return v.grewSince(&old)
}

// sameNodes tells whether these are the nodes that we have, but for the amounts.
func (v *Inventory) sameNodes(nodes []Node) bool {
	if len(nodes) != len(v.given) || len(nodes) == 0 {
		return false
	}
	for i, at := range v.given {
		n := &nodes[i]
		if n.Name != v.names[at] || n.Arch != v.arch[at] {
			return false
		}
		known := true
		n.classes(func(c GPUClass) { known = known && v.gpuAt(c) >= 0 })
		if !known {
			return false
		}
	}
	return true
}

// gpuAt is the number of a class of devices; -1 when no node has it.
func (v *Inventory) gpuAt(class GPUClass) int {
	return slices.IndexFunc(v.gpus, func(c gpuColumn) bool { return c.class == class })
}

// putNode sets what node at can give, and reports whether any of it grew.
func (v *Inventory) putNode(at int, n *Node) (grew bool) {
	for _, r := range plain {
		grew = v.cols[r].put(at, max(0, n.Capacity[r])) || grew
	}
	for c := range v.gpus {
		grew = v.gpus[c].put(at, max(0, n.devices(v.gpus[c].class))) || grew
	}
	return grew
}

// lay makes columns for nodes on which nothing is held, in the order in which they are to be filled.
func (v *Inventory) lay(nodes []Node) {
	order := make([]int32, len(nodes))
	var classes []GPUClass
	for i := range nodes {
		order[i] = int32(i)
		nodes[i].classes(func(c GPUClass) {
			if !slices.Contains(classes, c) {
				classes = append(classes, c)
			}
		})
	}
	slices.SortFunc(order, func(a, b int32) int { return compareNodes(&nodes[a], &nodes[b]) })
	slices.SortFunc(classes, compareClasses)
	v.names, v.arch = make([]string, len(nodes)), make([]string, len(nodes))
	v.given, v.all, v.archs = make([]int32, len(nodes)), make([]uint64, words(len(nodes))), nil
	for i := range v.scratch {
		v.scratch[i] = make([]uint64, len(v.all))
	}
	for _, r := range plain {
		v.cols[r].reset(scales[r], len(nodes))
	}
	v.gpus = make([]gpuColumn, len(classes))
	for i, c := range classes {
		v.gpus[i] = gpuColumn{class: c, ram: gpuRAM(c.RAM)}
		v.gpus[i].reset(scales[GPU], len(nodes))
	}
	for at, i := range order {
		v.given[i] = int32(at)
		v.names[at], v.arch[at] = nodes[i].Name, nodes[i].Arch
		v.all[at/blockSize] |= 1 << (at % blockSize)
		v.markArch(at, nodes[i].Arch)
		v.putNode(at, &nodes[i])
	}
	for i := range v.archs {
		if slices.Equal(v.archs[i].nodes, v.all) {
			v.archs[i].nodes = v.all // no restriction at all
		}
	}
}

// markArch enters node at among those of its architecture.
func (v *Inventory) markArch(at int, arch string) {
	if arch == "" {
		return
	}
	i := slices.IndexFunc(v.archs, func(r archRow) bool { return r.name == arch })
	if i < 0 {
		i = len(v.archs)
		v.archs = append(v.archs, archRow{arch, make([]uint64, len(v.all))})
	}
	v.archs[i].nodes[at/blockSize] |= 1 << (at % blockSize)
}

// compareNodes is the order in which nodes are filled: see place.
func compareNodes(a, b *Node) int {
	if x, y := a.hasGPU(), b.hasGPU(); x != y {
		if x {
			return 1
		}
		return -1
	}
	for _, r := range [...]Resource{Memory, CPU, Storage} {
		if c := cmp.Compare(a.Capacity[r], b.Capacity[r]); c != 0 {
			return c
		}
	}
	return strings.Compare(a.Name, b.Name)
}

// compareClasses is the order in which classes of devices are handed out where several will do: those with less
// memory first, those of which less is known before all.
func compareClasses(a, b GPUClass) int {
	return cmp.Or(cmp.Compare(gpuRAM(a.RAM), gpuRAM(b.RAM)), strings.Compare(a.String(), b.String()))
}

// moveHoldings charges all reservations to the new columns: first those that stay, then the homeless ones, in the
// order of their keys so that equal inputs give equal books.
func (v *Inventory) moveHoldings(old *Inventory) {
	m := v.movesFrom(old)
	var homeless []Key
	for key, h := range v.held {
		if !m.move(h) {
			homeless = append(homeless, key)
			continue
		}
		for _, s := range h.slots {
			v.charge(s, &h.demand.Units[s.unit], 1)
		}
	}
	for n := range v.names {
		for _, r := range plain {
			v.cols[r].settle(n)
		}
		for c := range v.gpus {
			v.gpus[c].settle(n)
		}
	}
	slices.SortFunc(homeless, CompareKeys)
	for _, key := range homeless {
		d := v.held[key].demand
		delete(v.held, key)
		v.chargePools(d, -1)
		v.Adopt(key, d)
	}
}

// moves are the new numbers of nodes and classes by their old ones; -1 for what is gone.
type moves struct {
	nodes   []int32
	classes []int16
}

func (v *Inventory) movesFrom(old *Inventory) moves {
	index := make(map[string]int32, len(v.names))
	for n, name := range v.names {
		index[name] = int32(n)
	}
	m := moves{make([]int32, len(old.names)), make([]int16, len(old.gpus))}
	for i, name := range old.names {
		m.nodes[i] = -1
		if n, ok := index[name]; ok {
			m.nodes[i] = n
		}
	}
	for i := range old.gpus {
		m.classes[i] = int16(v.gpuAt(old.gpus[i].class))
	}
	return m
}

// move gives a holding's slots their new numbers; false when a node or a class of devices is gone.
func (m *moves) move(h *holding) bool {
	slots := slices.Clone(h.slots)
	for i, s := range slots {
		if s.node < 0 || m.nodes[s.node] < 0 {
			return false
		}
		slots[i].node = m.nodes[s.node]
		if h.demand.Units[s.unit].Need[GPU] > 0 {
			if s.class < 0 || m.classes[s.class] < 0 {
				return false
			}
			slots[i].class = m.classes[s.class]
		}
	}
	h.slots = slots
	return true
}

// grewSince tells whether any node has more free of anything than it had, or is new.
func (v *Inventory) grewSince(old *Inventory) bool {
	back := old.movesFrom(v)
	for n := range v.names {
		was := back.nodes[n]
		if was < 0 {
			return true
		}
		for _, r := range plain {
			if v.cols[r].free[n] > old.cols[r].free[was] {
				return true
			}
		}
		for c := range v.gpus {
			before := int64(0)
			if x := back.classes[c]; x >= 0 {
				before = old.gpus[x].free[was]
			}
			if v.gpus[c].free[n] > before {
				return true
			}
		}
		if v.arch[n] != old.arch[was] {
			return true
		}
	}
	return false
}

// Snapshot lists the nodes in the order in which they are filled: with what they can give, and with what is free.
func (v *Inventory) Snapshot() (capacity, free []Node) {
	of := func(amounts func(*column) []int64) []Node {
		out := make([]Node, len(v.names))
		for n := range out {
			out[n] = Node{Name: v.names[n], Arch: v.arch[n]}
			for _, r := range plain {
				out[n].Capacity[r] = amounts(&v.cols[r])[n]
			}
			for c := range v.gpus {
				g := &v.gpus[c]
				switch x := amounts(&g.column)[n]; {
				case g.capacity[n] <= 0:
				case g.class == GPUClass{}:
					out[n].Capacity[GPU] = x
				default:
					out[n].GPUs = append(out[n].GPUs, GPUs{g.class, x})
				}
			}
		}
		return out
	}
	return of(func(c *column) []int64 { return c.capacity }), of(func(c *column) []int64 { return c.free })
}

// DeviceUse is how many devices of a class nodes have, and how many of them are free.
type DeviceUse struct {
	Class          GPUClass
	Capacity, Free int64
}

// Devices sums up the devices of each class that is known.
func (v *Inventory) Devices() []DeviceUse {
	var out []DeviceUse
	for i := range v.gpus {
		g := &v.gpus[i]
		d := DeviceUse{Class: g.class}
		for n, capacity := range g.capacity {
			if capacity > 0 {
				d.Capacity, d.Free = d.Capacity+capacity, d.Free+g.free[n]
			}
		}
		if d.Capacity > 0 && d.Class != (GPUClass{}) {
			out = append(out, d)
		}
	}
	return out
}
