package lease

import (
	"slices"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// Held is one of our leases with the manifest that was last accepted for it.
type Held struct {
	Lease     markettypes.LeaseID
	Suspended bool
	// Accepted says whether there is a manifest; Workload is empty without.
	Accepted bool
	Workload cluster.Workload
}

// Held lists our leases in the order of their ids. known is false until both the chain and the cluster, which keeps the
// manifests, have been read.
func (c *Controller) Held() (all []Held, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, state := range c.leases {
		w, ok := c.accepted[id]
		all = append(all, Held{Lease: id, Suspended: state.Suspended, Accepted: ok, Workload: w})
	}
	slices.SortFunc(all, func(a, b Held) int { return Compare(a.Lease, b.Lease) })
	return all, c.synced && c.listed
}
