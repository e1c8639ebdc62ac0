package orderevent

import (
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// The parts of an order in the order in which they are written.

func (c *cursor) order(o *markettypes.Order) {
	c.lit(`{"id":{"owner":`)
	o.Id.Owner = c.str()
	c.lit(`,"dseq":`)
	o.Id.Dseq = c.uint64()
	c.lit(`,"gseq":`)
	o.Id.Gseq = c.uint32()
	c.lit(`,"oseq":`)
	o.Id.Oseq = c.uint32()
	c.lit(`},"state":`)
	o.State = markettypes.OrderState(c.name(markettypes.OrderState_value))
	c.lit(`,"spec":`)
	c.spec(&o.Spec)
	c.lit(`,"auction":{"mode":`)
	o.Auction.Mode = deploymenttypes.AuctionMode(c.name(deploymenttypes.AuctionMode_value))
	c.lit(`,"window":`)
	o.Auction.Window = c.uint32()
	c.lit(`},"created_at":`)
	o.CreatedAt = c.int64()
	c.lit(`,"closed_at":`)
	o.ClosedAt = c.int64()
	c.lit(`,"open_bids":`)
	o.OpenBids = c.uint32()
	c.lit(`,"excluded":`)
	o.Excluded = c.str()
	c.lit(`,"excluded_until":`)
	o.ExcludedUntil = c.int64()
	c.lit(`,"reclamation":{"min_window_seconds":`)
	o.Reclamation.MinWindowSeconds = c.uint32()
	c.lit(`}}`)
}

func (c *cursor) spec(s *deploymenttypes.GroupSpec) {
	c.lit(`{"name":`)
	s.Name = c.str()
	c.lit(`,"requirements":{"attributes":`)
	s.Requirements.Attributes = c.attributes()
	c.lit(`,"signed_by":{"all_of":`)
	s.Requirements.SignedBy.AllOf = c.strs()
	c.lit(`,"any_of":`)
	s.Requirements.SignedBy.AnyOf = c.strs()
	c.lit(`}},"units":`)
	c.list(func() {
		s.Units = append(s.Units, deploymenttypes.ResourceUnit{})
		c.unit(&s.Units[len(s.Units)-1])
	})
	c.lit(`}`)
}

func (c *cursor) unit(u *deploymenttypes.ResourceUnit) {
	c.lit(`{"id":`)
	u.Id = c.uint32()
	c.lit(`,"cpu_milli":`)
	u.CpuMilli = c.uint64()
	c.lit(`,"memory_bytes":`)
	u.MemoryBytes = c.uint64()
	c.lit(`,"storage":`)
	c.list(func() {
		v := deploymenttypes.Volume{}
		c.lit(`{"name":`)
		v.Name = c.str()
		c.lit(`,"bytes":`)
		v.Bytes = c.uint64()
		c.lit(`,"attributes":`)
		v.Attributes = c.attributes()
		c.lit(`}`)
		u.Storage = append(u.Storage, v)
	})
	c.lit(`,"gpu":{"count":`)
	u.Gpu.Count = c.uint32()
	c.lit(`,"attributes":`)
	u.Gpu.Attributes = c.attributes()
	c.lit(`},"endpoints":`)
	c.list(func() {
		e := deploymenttypes.Endpoint{}
		c.lit(`{"kind":`)
		e.Kind = deploymenttypes.EndpointKind(c.name(deploymenttypes.EndpointKind_value))
		c.lit(`,"sequence":`)
		e.Sequence = c.uint32()
		c.lit(`}`)
		u.Endpoints = append(u.Endpoints, e)
	})
	c.lit(`,"count":`)
	u.Count = c.uint32()
	c.lit(`,"price":`)
	u.Price = c.price()
	c.lit(`}`)
}

func (c *cursor) price() (p sdk.DecCoin) {
	c.lit(`{"denom":`)
	p.Denom = c.str()
	c.lit(`,"amount":`)
	amount := c.str()
	c.lit(`}`)
	if !c.known {
		return p
	}
	var err error
	if p.Amount, err = math.LegacyNewDecFromStr(amount); err != nil {
		c.known = false
	}
	return p
}

func (c *cursor) attributes() (out []providertypes.Attribute) {
	c.list(func() {
		a := providertypes.Attribute{}
		c.lit(`{"key":`)
		a.Key = c.str()
		c.lit(`,"value":`)
		a.Value = c.str()
		c.lit(`}`)
		out = append(out, a)
	})
	return out
}

func (c *cursor) strs() (out []string) {
	c.list(func() { out = append(out, c.str()) })
	return out
}
