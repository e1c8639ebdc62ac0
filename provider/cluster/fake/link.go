package fake

import (
	"context"
	"net/netip"
	"slices"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// The names of the calls of links, as given to Intercept.
const (
	OpSetLinks  = "set links"
	OpInstances = "instances"
	OpClient    = "client"
)

var _ cluster.Linker = (*Cluster)(nil)

// links is what a simulated cluster keeps of links.
type links struct {
	byLease map[markettypes.LeaseID][]cluster.Link
	// places are where instances listen in truth; see PlaceInstances.
	places map[string][]netip.AddrPort
}

// LinkAddress implements cluster.Linker.
func (c *Cluster) LinkAddress(context.Context) (netip.Addr, error) {
	return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
}

// SetLinks implements cluster.Linker.
func (c *Cluster) SetLinks(ctx context.Context, id markettypes.LeaseID, all []cluster.Link) error {
	if err := c.enter(ctx, OpSetLinks); err != nil {
		return err
	}
	defer c.mu.Unlock()
	kept := make([]cluster.Link, 0, len(all))
	for _, l := range all {
		l.Clients = slices.Clone(l.Clients)
		kept = append(kept, l)
	}
	if c.links.byLease == nil {
		c.links.byLease = map[markettypes.LeaseID][]cluster.Link{}
	}
	c.links.byLease[id] = kept
	return nil
}

// ForgetLinks implements cluster.Linker.
func (c *Cluster) ForgetLinks(id markettypes.LeaseID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.links.byLease, id)
}

// Links are those that were last set for a lease.
func (c *Cluster) Links(id markettypes.LeaseID) []cluster.Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.links.byLease[id])
}

// Instances implements cluster.Linker. A ready instance is at an address that nobody has, unless PlaceInstances gave it
// one.
func (c *Cluster) Instances(ctx context.Context, id markettypes.LeaseID, service string, port uint32, _ bool) ([]netip.AddrPort, error) {
	if err := c.enter(ctx, OpInstances); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	l := c.leases[id]
	s := l.find(service)
	if s == nil || l.terminating || s.ready == 0 {
		return nil, nil
	}
	if places, ok := c.links.places[service]; ok {
		return slices.Clone(places), nil
	}
	var out []netip.AddrPort
	for n := range min(s.ready, 250) {
		out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n + 1)}), uint16(port)))
	}
	return out, nil
}

// Client implements cluster.Linker: whoever comes from this machine may be any service.
func (c *Cluster) Client(ctx context.Context, id markettypes.LeaseID, from netip.Addr) (string, bool, error) {
	if err := c.enter(ctx, OpClient); err != nil {
		return "", false, err
	}
	defer c.mu.Unlock()
	l, held := c.leases[id]
	return "", held && !l.terminating && from.Unmap().IsLoopback(), nil
}

// PlaceInstances says where the ready instances of all services of this name take connections.
func (c *Cluster) PlaceInstances(service string, at ...netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.links.places == nil {
		c.links.places = map[string][]netip.AddrPort{}
	}
	c.links.places[service] = at
}
