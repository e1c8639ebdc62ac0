package bid

import (
	"cmp"
	"slices"

	"berth.dev/berth/provider/inventory"
)

// Use is how much of a resource there is, and how much of it is held for bids and leases.
type Use struct {
	Resource inventory.Resource
	// Class is that of devices or of persistent storage; empty for what has none.
	Class          string
	Capacity, Held int64
}

// Usage tells how much there is and is held of everything that is sold: what nodes have, devices of each class, and what the
// cluster has as a whole.
func (l *Loop) Usage() []Use {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.book.Usage()
}

// Usage tells how much there is and is held of everything that is sold.
func (b *Book) Usage() []Use {
	capacity, free := b.inv.Capacity(), b.inv.Free()
	var out []Use
	for _, r := range inventory.Resources() {
		out = append(out, Use{Resource: r, Capacity: capacity[r], Held: capacity[r] - free[r]})
	}
	for _, p := range b.inv.Pools() {
		out = append(out, Use{Resource: p.Resource, Class: p.Class, Capacity: p.Total, Held: p.Held})
	}
	return append(out, b.devices()...)
}

// devices sums up the devices of each class.
func (b *Book) devices() []Use {
	var out []Use
	for _, d := range b.inv.Devices() {
		out = append(out, Use{Resource: inventory.GPU, Class: d.Class.String(), Capacity: d.Capacity, Held: d.Capacity - d.Free})
	}
	slices.SortFunc(out, func(x, y Use) int { return cmp.Compare(x.Class, y.Class) })
	return out
}
