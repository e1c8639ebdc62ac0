package inventory

import (
	"maps"
	"slices"
)

// Pool is what the cluster as a whole can give of something.
type Pool struct {
	Total int64
	// Known is false where the amount can't be learned: none of it is sold, but what is held is kept count of.
	Known bool
}

// Pools are what is not given by single nodes.
type Pools struct {
	// Persistent are the classes of persistent storage by name, in bytes. A class that is not listed is not there.
	Persistent map[string]Pool
	Ports      Pool
	Addresses  Pool
}

// pool is one of the Pools with what is held of it.
type pool struct {
	resource Resource
	class    string
	offered  bool
	Pool
	used int64
}

func (p *pool) free() int64 { return p.Total - p.used }

// find gives a pool; nil when nothing was ever heard of it.
func (v *Inventory) find(r Resource, class string) *pool {
	for i := range v.pools {
		if p := &v.pools[i]; p.resource == r && p.class == class {
			return p
		}
	}
	return nil
}

// fitsPools says whether the pools have what a demand takes.
func (v *Inventory) fitsPools(d *Demand) (Shortfall, bool) {
	for i := range d.Persistent {
		if short, ok := v.fitsPool(Persistent, d.Persistent[i].Class, d.Persistent[i].Bytes); !ok {
			return short, false
		}
	}
	if short, ok := v.fitsPool(Ports, "", d.Ports); !ok {
		return short, false
	}
	return v.fitsPool(Addresses, "", d.Addresses)
}

func (v *Inventory) fitsPool(r Resource, class string, need int64) (Shortfall, bool) {
	if need <= 0 {
		return Shortfall{}, true
	}
	p := v.find(r, class)
	switch {
	case p == nil || !p.offered:
		return Shortfall{Resource: r, What: class, Need: need, None: r == Persistent, Unknown: r != Persistent}, false
	case !p.Known:
		return Shortfall{Resource: r, What: class, Need: need, Unknown: true}, false
	case p.free() < need:
		return Shortfall{Resource: r, What: class, Need: need, Largest: max(0, p.free())}, false
	}
	return Shortfall{}, true
}

// chargePools takes what a demand holds of the pools, or gives it back when sign is -1.
func (v *Inventory) chargePools(d *Demand, sign int64) {
	for i := range d.Persistent {
		v.chargePool(Persistent, d.Persistent[i].Class, sign*d.Persistent[i].Bytes)
	}
	v.chargePool(Ports, "", sign*d.Ports)
	v.chargePool(Addresses, "", sign*d.Addresses)
}

func (v *Inventory) chargePool(r Resource, class string, n int64) {
	if n == 0 {
		return
	}
	p := v.find(r, class)
	if p == nil {
		v.pools = append(v.pools, pool{resource: r, class: class})
		p = &v.pools[len(v.pools)-1]
	}
	p.used += n
}

// setPools replaces what the pools can give, and reports whether more is free than before.
func (v *Inventory) setPools(s Pools) (grew bool) {
	for i := range v.pools {
		v.pools[i].offered = false
	}
	offer := func(r Resource, class string, to Pool) {
		p := v.find(r, class)
		if p == nil {
			v.pools = append(v.pools, pool{resource: r, class: class})
			p = &v.pools[len(v.pools)-1]
		}
		grew = grew || to.Known && (!p.Known || to.Total > p.Total)
		p.offered, p.Pool = true, to
	}
	offer(Ports, "", s.Ports)
	offer(Addresses, "", s.Addresses)
	for _, class := range slices.Sorted(maps.Keys(s.Persistent)) {
		offer(Persistent, class, s.Persistent[class])
	}
	for i := range v.pools {
		if p := &v.pools[i]; !p.offered {
			p.Pool = Pool{}
		}
	}
	return grew
}

// PoolUse is what is known of a pool.
type PoolUse struct {
	// Resource is Persistent, Ports or Addresses, Class the class of persistent storage.
	Resource Resource
	Class    string
	Pool
	// Held is what reservations take of it.
	Held int64
}

// Pools lists the pools that the cluster has or that something is held of.
func (v *Inventory) Pools() []PoolUse {
	out := make([]PoolUse, 0, len(v.pools))
	for i := range v.pools {
		p := &v.pools[i]
		if p.offered || p.used != 0 {
			out = append(out, PoolUse{Resource: p.resource, Class: p.class, Pool: p.Pool, Held: p.used})
		}
	}
	return out
}
