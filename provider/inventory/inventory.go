// Package inventory is the provider's book of capacity: what each node can give, and what is held for bids and leases.
// It is pure arithmetic on integers, kept in columns, so that a whole cluster is scanned in microseconds: no clock, no
// I/O, no goroutine. An Inventory is not safe for concurrent use; its owner serialises.
//
// PINV-1: what Reserve admits never exceeds what a node can give, per node and resource. Capacity that is lost after
// it was sold (a node that vanishes, a foreign pod that grows) shows as negative free capacity, on which nothing fits.
package inventory

import (
	"errors"
	"slices"
	"strings"

	markettypes "berth.dev/berth/x/market/types"
)

// Resource names one column.
type Resource uint8

// The resources that a node gives and a unit takes.
const (
	CPU     Resource = iota // thousandths of a core
	Memory                  // bytes
	Storage                 // bytes of ephemeral storage
	GPU                     // devices
	resources
)

// Resources lists all columns in their order.
func Resources() []Resource { return []Resource{CPU, Memory, Storage, GPU} }

// String gives the resource's name as metrics and messages use it.
func (r Resource) String() string {
	switch r {
	case CPU:
		return "cpu"
	case Memory:
		return "memory"
	case Storage:
		return "storage"
	case GPU:
		return "gpu"
	default:
		return "unknown"
	}
}

// Amounts is one amount of each resource, in the resource's unit.
type Amounts [resources]int64

// Node is what one node can give to leases in all, whether or not some of it is held.
type Node struct {
	Name     string
	Capacity Amounts
}

// Unit is what each of Count equal instances needs of one node.
type Unit struct {
	Need  Amounts
	Count int32
}

// Key names what a reservation is held for.
type Key = markettypes.OrderID

// ErrReserved is returned for a key that already holds a reservation.
var ErrReserved = errors.New("the order already holds a reservation")

// slot is Count instances of a unit on a node.
type slot struct {
	node  int32
	unit  int32
	count int32
}

type holding struct {
	units []Unit
	slots []slot
}

// Inventory holds nodes and reservations. The zero value is an empty cluster.
type Inventory struct {
	names    []string
	capacity [resources][]int64
	free     [resources][]int64
	held     map[Key]*holding
	log      []slot // what place has taken since its start: the undo log
}

// Fits says whether instances of all units can be placed now, and if not, what is short. It changes nothing.
func (v *Inventory) Fits(units []Unit) (Shortfall, bool) {
	short, ok := v.place(units)
	v.undo(units)
	return short, ok
}

// Reserve places all units and holds the capacity for key until Release. When not everything fits it holds nothing
// and says what is short. It returns ErrReserved when key already holds a reservation.
func (v *Inventory) Reserve(key Key, units []Unit) (Shortfall, bool, error) {
	if _, ok := v.held[key]; ok {
		return Shortfall{}, false, ErrReserved
	}
	short, ok := v.place(units)
	if !ok {
		v.undo(units)
		return short, false, nil
	}
	v.keep(key, units)
	return Shortfall{}, true, nil
}

// Adopt holds capacity for what already runs or was already promised on chain. Instances that fit nowhere are charged
// to the roomiest node, whose free capacity then is negative: the promise stands, and nothing more is sold on top.
// A key that already holds a reservation keeps it.
func (v *Inventory) Adopt(key Key, units []Unit) {
	if _, ok := v.held[key]; ok {
		return
	}
	for u := range units {
		if left := v.placeUnit(int32(u), &units[u]); left > 0 {
			v.take(slot{v.roomiest(), int32(u), left}, &units[u])
		}
	}
	v.keep(key, units)
}

// Release gives back what key holds, at once. It reports whether key held anything.
func (v *Inventory) Release(key Key) bool {
	h, ok := v.held[key]
	if !ok {
		return false
	}
	for _, s := range h.slots {
		v.give(s, &h.units[s.unit])
	}
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

// SetNodes replaces what the nodes can give. Reservations on nodes that stay keep their place; those on nodes that
// are gone are placed anew. It reports whether any free capacity grew, so that refused orders are worth another look.
func (v *Inventory) SetNodes(nodes []Node) (grew bool) {
	before := v.Free()
	index := make(map[string]int32, len(nodes))
	old := v.names
	v.names = make([]string, len(nodes))
	for r := range resources {
		v.capacity[r] = make([]int64, len(nodes))
		v.free[r] = make([]int64, len(nodes))
	}
	for i, n := range nodes {
		v.names[i] = n.Name
		index[n.Name] = int32(i)
		for r := range resources {
			v.capacity[r][i] = max(0, n.Capacity[r])
			v.free[r][i] = v.capacity[r][i]
		}
	}
	v.moveHoldings(old, index)
	after := v.Free()
	for r := range resources {
		grew = grew || after[r] > before[r]
	}
	return grew
}

// moveHoldings charges all reservations to the new columns: first those that stay, then the homeless ones, in the
// order of their keys so that equal inputs give equal books.
func (v *Inventory) moveHoldings(old []string, index map[string]int32) {
	var homeless []Key
	for key, h := range v.held {
		if !h.renumber(old, index) {
			homeless = append(homeless, key)
			continue
		}
		for _, s := range h.slots {
			v.charge(s, &h.units[s.unit])
		}
	}
	slices.SortFunc(homeless, CompareKeys)
	for _, key := range homeless {
		units := v.held[key].units
		delete(v.held, key)
		v.Adopt(key, units)
	}
}

// renumber gives the holding's slots the nodes' new numbers; false when one of the nodes is gone.
func (h *holding) renumber(old []string, index map[string]int32) bool {
	slots := slices.Clone(h.slots)
	for i, s := range slots {
		if s.node < 0 {
			return false
		}
		n, ok := index[old[s.node]]
		if !ok {
			return false
		}
		slots[i].node = n
	}
	h.slots = slots
	return true
}

// place puts all units on nodes, first fit, and leaves what it took in the log.
func (v *Inventory) place(units []Unit) (Shortfall, bool) {
	for u := range units {
		if left := v.placeUnit(int32(u), &units[u]); left > 0 {
			return v.shortfall(u, &units[u], left), false
		}
	}
	return Shortfall{}, true
}

// placeUnit puts as many instances as fit, and returns how many are left over.
func (v *Inventory) placeUnit(u int32, unit *Unit) (left int32) {
	left = unit.Count
	for n := 0; n < len(v.names) && left > 0; n++ {
		if k := v.room(n, unit, left); k > 0 {
			v.take(slot{int32(n), u, k}, unit)
			left -= k
		}
	}
	return left
}

// room is how many instances of the unit fit on a node, at most limit.
func (v *Inventory) room(n int, unit *Unit, limit int32) int32 {
	k := int64(limit)
	for r := range resources {
		need, free := unit.Need[r], v.free[r][n]
		switch {
		case need <= 0:
		case free < need:
			return 0
		case free/need < k:
			k = free / need
		}
	}
	return int32(k)
}

// roomiest is the node with the most free memory, then cpu; -1 without nodes.
func (v *Inventory) roomiest() int32 {
	best := int32(-1)
	for n := range v.names {
		if best < 0 || v.free[Memory][n] > v.free[Memory][best] ||
			v.free[Memory][n] == v.free[Memory][best] && v.free[CPU][n] > v.free[CPU][best] {
			best = int32(n)
		}
	}
	return best
}

func (v *Inventory) take(s slot, unit *Unit) {
	v.charge(s, unit)
	v.log = append(v.log, s)
}

func (v *Inventory) charge(s slot, unit *Unit) {
	if s.node < 0 {
		return // a promise without any node: nothing to charge, and nothing fits anyway
	}
	for r := range resources {
		v.free[r][s.node] -= unit.Need[r] * int64(s.count)
	}
}

func (v *Inventory) give(s slot, unit *Unit) {
	if s.node < 0 {
		return
	}
	for r := range resources {
		v.free[r][s.node] += unit.Need[r] * int64(s.count)
	}
}

func (v *Inventory) undo(units []Unit) {
	for _, s := range v.log {
		v.give(s, &units[s.unit])
	}
	v.log = v.log[:0]
}

func (v *Inventory) keep(key Key, units []Unit) {
	if v.held == nil {
		v.held = make(map[Key]*holding)
	}
	v.held[key] = &holding{units: units, slots: slices.Clone(v.log)}
	v.log = v.log[:0]
}

// Capacity is what all nodes can give together.
func (v *Inventory) Capacity() Amounts { return v.sum(&v.capacity) }

// Free is what is neither held nor lost, over all nodes; a resource is negative when more is held than there is.
func (v *Inventory) Free() Amounts { return v.sum(&v.free) }

// Nodes is the number of nodes.
func (v *Inventory) Nodes() int { return len(v.names) }

func (v *Inventory) sum(columns *[resources][]int64) (total Amounts) {
	for r := range resources {
		for _, x := range columns[r] {
			total[r] += x
		}
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
