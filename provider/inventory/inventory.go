// Package inventory is the provider's book of capacity: what each node and the cluster as a whole can give, and what is
// held for bids and leases. It is pure arithmetic on integers, kept in columns with an index, so that whether an order
// fits on ten thousand nodes is known in less than a microsecond: no clock, no I/O, no goroutine. An Inventory is not
// safe for concurrent use; its owner serialises.
//
// PINV-1: what Reserve admits never exceeds what a node can give, per node and resource, nor what the cluster can.
// Capacity that is lost after it was sold (a node that vanishes, a device that fails, a foreign pod that grows) shows as
// negative free capacity, on which nothing fits.
package inventory

import (
	"errors"
	"strings"

	markettypes "berth.dev/berth/x/market/types"
)

// Unit is what each of Count equal instances needs of one node.
type Unit struct {
	// ID is the unit's in its order, for people.
	ID    uint32
	Count int32
	Need  Amounts
	// GPUs are the kinds of devices of which any one will do; none means any device. The devices of an instance are
	// all of one class.
	GPUs []GPUWant
}

// Volume is an amount of a class of persistent storage.
type Volume struct {
	Class string
	Bytes int64
}

// Demand is all that an order takes. It must not change while it is held.
type Demand struct {
	Units []Unit
	// Arch is the architecture that all instances need; empty for any.
	Arch string
	// Persistent, Ports and Addresses are taken of the cluster as a whole, for all instances together. Each class of
	// storage stands once.
	Persistent       []Volume
	Ports, Addresses int64
}

// Key names what a reservation is held for.
type Key = markettypes.OrderID

// ErrReserved is returned for a key that already holds a reservation.
var ErrReserved = errors.New("the order already holds a reservation")

// slot is count instances of a unit on a node, with devices of a class if they have any; -1 is none.
type slot struct {
	node  int32
	count int32
	unit  int16
	class int16
}

type holding struct {
	demand *Demand
	slots  []slot
}

// Inventory holds nodes and reservations. The zero value is an empty cluster.
type Inventory struct {
	names []string
	given []int32 // the numbers of the nodes in the order in which they were last given
	all   []uint64
	cols  [resources]column // but for GPU, whose columns are those of its classes
	gpus  []gpuColumn
	archs []archRow
	arch  []string // of each node
	pools []pool
	// overhead is what each instance takes beside what it needs.
	overhead Amounts

	held map[Key]*holding
	log  []slot // what place has taken since its start: the undo log
	// scratch and taken are room for sets of nodes.
	scratch [2][]uint64
	taken   []int32
}

// archRow is where nodes of an architecture are found.
type archRow struct {
	name  string
	nodes []uint64
}

// plain are the resources that have one column.
var plain = [...]Resource{CPU, Memory, Storage, Pods}

// Fits says whether instances of all units can be placed now, and if not, what is short. It leaves everything as it
// was, and allocates nothing.
func (v *Inventory) Fits(d *Demand) (Shortfall, bool) {
	short, ok := v.place(d)
	v.undo(d)
	return short, ok
}

// Reserve places all units and holds the capacity for key until Release. When not everything fits it holds nothing
// and says what is short. It returns ErrReserved when key already holds a reservation.
func (v *Inventory) Reserve(key Key, d *Demand) (Shortfall, bool, error) {
	if _, ok := v.held[key]; ok {
		return Shortfall{}, false, ErrReserved
	}
	short, ok := v.place(d)
	if !ok {
		v.undo(d)
		return short, false, nil
	}
	v.keep(key, d)
	return Shortfall{}, true, nil
}

// Adopt holds capacity for what already runs or was already promised on chain. Instances that fit nowhere are charged
// to the roomiest node, whose free capacity then is negative: the promise stands, and nothing more is sold on top.
// A key that already holds a reservation keeps it.
func (v *Inventory) Adopt(key Key, d *Demand) {
	if _, ok := v.held[key]; ok {
		return
	}
	arch, _ := v.archOf(d.Arch)
	for u := range d.Units {
		unit := &d.Units[u]
		if left := v.placeUnit(u, unit, arch); left > 0 {
			node, class := v.roomiest(unit)
			v.take(slot{node: node, count: left, unit: int16(u), class: class}, unit)
		}
	}
	v.keep(key, d)
}

// Release gives back what key holds, at once. It reports whether key held anything.
func (v *Inventory) Release(key Key) bool {
	h, ok := v.held[key]
	if !ok {
		return false
	}
	for _, s := range h.slots {
		v.charge(s, &h.demand.Units[s.unit], -1)
		v.settle(s)
	}
	v.chargePools(h.demand, -1)
	delete(v.held, key)
	return true
}

// Holds reports whether key holds a reservation.
func (v *Inventory) Holds(key Key) bool {
	_, ok := v.held[key]
	return ok
}

// Len is the number of reservations.
func (v *Inventory) Len() int { return len(v.held) }

// Nodes is the number of nodes.
func (v *Inventory) Nodes() int { return len(v.names) }

// need is what an instance of a unit takes of a node, with what its runtime takes beside it. Devices have no overhead.
func (v *Inventory) need(unit *Unit, r Resource) int64 { return unit.Need[r] + v.overhead[r] }

// take charges a slot and notes it in the log.
func (v *Inventory) take(s slot, unit *Unit) {
	v.charge(s, unit, 1)
	v.log = append(v.log, s)
}

// charge takes a slot's instances from what is free, or gives them back when sign is -1.
func (v *Inventory) charge(s slot, unit *Unit, sign int64) {
	if s.node < 0 {
		return // a promise without any node: nothing to charge, and nothing fits anyway
	}
	n := sign * int64(s.count)
	for _, r := range plain {
		v.cols[r].free[s.node] -= v.need(unit, r) * n
	}
	if s.class >= 0 {
		v.gpus[s.class].free[s.node] -= unit.Need[GPU] * n
	}
}

// settle brings the index in line with what is free on the slot's node.
func (v *Inventory) settle(s slot) {
	if s.node < 0 {
		return
	}
	for _, r := range plain {
		v.cols[r].settle(int(s.node))
	}
	if s.class >= 0 {
		v.gpus[s.class].settle(int(s.node))
	}
}

// undo gives back what place took.
func (v *Inventory) undo(d *Demand) {
	for _, s := range v.log {
		v.charge(s, &d.Units[s.unit], -1)
	}
	v.log = v.log[:0]
}

// keep turns what place took into a reservation.
func (v *Inventory) keep(key Key, d *Demand) {
	if v.held == nil {
		v.held = make(map[Key]*holding)
	}
	h := &holding{demand: d, slots: append([]slot(nil), v.log...)}
	for _, s := range h.slots {
		v.settle(s)
	}
	v.chargePools(d, 1)
	v.held[key] = h
	v.log = v.log[:0]
}

// Capacity is what all nodes can give together.
func (v *Inventory) Capacity() Amounts { return v.sum(func(c *column) []int64 { return c.capacity }) }

// Free is what is neither held nor lost, over all nodes; a resource is negative when more is held than there is.
func (v *Inventory) Free() Amounts { return v.sum(func(c *column) []int64 { return c.free }) }

func (v *Inventory) sum(of func(*column) []int64) (total Amounts) {
	add := func(r Resource, c *column) {
		for _, x := range of(c) {
			total[r] = addCapped(total[r], x)
		}
	}
	for _, r := range plain {
		add(r, &v.cols[r])
	}
	for i := range v.gpus {
		add(GPU, &v.gpus[i].column)
	}
	return total
}

// CompareKeys orders keys by owner, then by number.
func CompareKeys(a, b Key) int {
	if c := strings.Compare(a.Owner, b.Owner); c != 0 {
		return c
	}
	for _, p := range [...][2]uint64{{a.Dseq, b.Dseq}, {uint64(a.Gseq), uint64(b.Gseq)}, {uint64(a.Oseq), uint64(b.Oseq)}} {
		switch {
		case p[0] < p[1]:
			return -1
		case p[0] > p[1]:
			return 1
		}
	}
	return 0
}
