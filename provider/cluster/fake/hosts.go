package fake

import (
	"bytes"
	"fmt"
	"maps"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// wanted are the hosts that a workload asks for.
func wanted(w cluster.Workload) map[string]bool {
	out := map[string]bool{}
	for _, sv := range w.Group.Services {
		for _, e := range sv.Expose {
			for _, host := range e.Accept {
				out[host] = out[host] || cluster.Routed(e)
			}
		}
	}
	return out
}

// claim gives the hosts that a workload asks for to its lease, takes them from other leases of its owner, and returns
// those that it has lost for good. The simulated cluster asks nobody for proofs: the first owner has a host for as long
// as one of its leases asks for it. c.mu is held.
func (c *Cluster) claim(w cluster.Workload) (map[string]markettypes.LeaseID, error) {
	own := c.leases[w.Lease]
	lost := map[string]markettypes.LeaseID{}
	var from []*lease
	for host := range wanted(w) {
		if own != nil && wanted(own.workload)[host] {
			to, gone := own.lost[host]
			if gone && !renewed(w, own.workload) {
				lost[host] = to
			}
			if !gone || !renewed(w, own.workload) {
				continue
			}
		}
		have, err := c.havers(w, host)
		if err != nil {
			return nil, err
		}
		from = append(from, have...)
	}
	for _, l := range from {
		next := maps.Clone(l.lost)
		if next == nil {
			next = map[string]markettypes.LeaseID{}
		}
		for host := range wanted(w) {
			if _, gone := lost[host]; !gone && wanted(l.workload)[host] {
				next[host] = w.Lease
			}
		}
		if err := store(c.cfg.Dir, stored{l.workload, l.volumes, next}); err != nil {
			return nil, err
		}
		l.lost = next
	}
	return lost, nil
}

// havers are the other leases of the owner that have a host; another owner's is an error.
func (c *Cluster) havers(w cluster.Workload, host string) ([]*lease, error) {
	var out []*lease
	for _, l := range c.leases {
		if _, gone := l.lost[host]; l == c.leases[w.Lease] || l.terminating || gone || !wanted(l.workload)[host] {
			continue
		}
		if l.workload.Lease.Owner != w.Lease.Owner {
			return nil, fmt.Errorf("%w: host %s belongs to another tenant", cluster.ErrRefused, host)
		}
		out = append(out, l)
	}
	return out, nil
}

// renewed tells whether a manifest was sent since the one that is held.
func renewed(w, held cluster.Workload) bool {
	return w.Accepted.After(held.Accepted) || !bytes.Equal(w.Envelope.Group, held.Envelope.Group)
}
