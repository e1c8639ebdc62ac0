package types

import (
	"slices"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// DefaultGenesis has the default parameters and an empty market.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate checks all records, that none stands twice, and that orders, bids, leases and counters fit together.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return ErrInvalidGenesis.Wrap(err.Error())
	}
	orders, err := g.orders()
	if err != nil {
		return err
	}
	bids, err := g.bids(orders)
	if err != nil {
		return err
	}
	records, err := g.leases(bids)
	if err != nil {
		return err
	}
	return g.records(records)
}

func (g GenesisState) orders() (map[OrderID]Order, error) {
	orders := make(map[OrderID]Order, len(g.Orders))
	for _, o := range g.Orders {
		if err := o.validate(); err != nil {
			return nil, ErrInvalidGenesis.Wrapf("order %s: %s", o.Id, err)
		}
		if _, dup := orders[o.Id]; dup {
			return nil, ErrInvalidGenesis.Wrapf("order %s stands twice", o.Id)
		}
		orders[o.Id] = o
	}
	return orders, nil
}

func (o Order) validate() error {
	if err := o.Id.Validate(); err != nil {
		return err
	}
	if o.State < ORDER_STATE_OPEN || o.State > ORDER_STATE_CLOSED {
		return ErrInvalidGenesis.Wrapf("state %s", o.State)
	}
	if o.OpenBids != 0 {
		return ErrInvalidGenesis.Wrap("open_bids is counted when an order is queried, never stored")
	}
	return o.Spec.Validate(o.Spec.Denom(), math.NewIntWithDecimal(1, 30))
}

func (g GenesisState) bids(orders map[OrderID]Order) (map[BidID]Bid, error) {
	bids := make(map[BidID]Bid, len(g.Bids))
	active := make(map[OrderID]struct{})
	for _, b := range g.Bids {
		if err := b.validate(orders); err != nil {
			return nil, ErrInvalidGenesis.Wrapf("bid %s: %s", b.Id, err)
		}
		if _, dup := bids[b.Id]; dup {
			return nil, ErrInvalidGenesis.Wrapf("bid %s stands twice", b.Id)
		}
		bids[b.Id] = b
		if b.State == BID_STATE_ACTIVE {
			if _, dup := active[b.Id.OrderID()]; dup {
				return nil, ErrInvalidGenesis.Wrapf("order %s has two active bids", b.Id.OrderID())
			}
			active[b.Id.OrderID()] = struct{}{}
		}
	}
	return bids, nil
}

func (b Bid) validate(orders map[OrderID]Order) error {
	if err := b.Id.Validate(); err != nil {
		return err
	}
	o, ok := orders[b.Id.OrderID()]
	switch {
	case !ok:
		return ErrInvalidGenesis.Wrap("it has no order")
	case b.State < BID_STATE_OPEN || b.State > BID_STATE_CLOSED:
		return ErrInvalidGenesis.Wrapf("state %s", b.State)
	case b.State == BID_STATE_ACTIVE && o.State != ORDER_STATE_ACTIVE:
		return ErrInvalidGenesis.Wrapf("it is active, its order is %s", o.State)
	}
	if err := deploymenttypes.ValidateDecCoin(b.Price); err != nil {
		return err
	}
	return deploymenttypes.ValidateCoin(b.Deposit)
}

func (g GenesisState) leases(bids map[BidID]Bid) (map[string]uint64, error) {
	seen := make(map[BidID]struct{}, len(g.Leases))
	live := make(map[OrderID]struct{})
	perProvider := make(map[string]uint64)
	for _, l := range g.Leases {
		b, known := bids[l.Id]
		if _, dup := seen[l.Id]; dup || !known {
			return nil, ErrInvalidGenesis.Wrapf("lease %s stands twice or has no bid", l.Id)
		}
		seen[l.Id] = struct{}{}
		if err := l.validate(b); err != nil {
			return nil, ErrInvalidGenesis.Wrapf("lease %s: %s", l.Id, err)
		}
		if l.State != LEASE_STATE_CLOSED {
			live[l.Id.OrderID()] = struct{}{}
			perProvider[l.Id.Provider]++
		}
	}
	for _, o := range g.Orders {
		if _, has := live[o.Id]; has != (o.State == ORDER_STATE_ACTIVE) {
			return nil, ErrInvalidGenesis.Wrapf("order %s is %s, has a lease: %t", o.Id, o.State, has)
		}
	}
	return perProvider, nil
}

func (l Lease) validate(b Bid) error {
	switch {
	case l.State < LEASE_STATE_ACTIVE || l.State > LEASE_STATE_RECLAIMING:
		return ErrInvalidGenesis.Wrapf("state %s", l.State)
	case (l.State != LEASE_STATE_CLOSED) != (b.State == BID_STATE_ACTIVE):
		return ErrInvalidGenesis.Wrapf("it is %s, its bid is %s", l.State, b.State)
	case (l.State == LEASE_STATE_RECLAIMING && l.ReclaimDeadline == 0) || (l.State == LEASE_STATE_ACTIVE && l.ReclaimDeadline != 0):
		return ErrInvalidGenesis.Wrapf("it is %s with the deadline %d", l.State, l.ReclaimDeadline)
	case !slices.IsSorted(l.Matched) || len(slices.Compact(slices.Clone(l.Matched))) != len(l.Matched):
		return ErrInvalidGenesis.Wrap("the keys that it was matched on are not in ascending order")
	}
	return deploymenttypes.ValidateDecCoin(l.Price)
}

// records checks that the records, with the deltas that wait, count the living leases. Of leases that have ended some may
// have been pruned.
func (g GenesisState) records(living map[string]uint64) error {
	counted, err := g.deltas()
	if err != nil {
		return err
	}
	seen := make(map[string]struct{}, len(g.Records))
	for _, r := range g.Records {
		if _, err := providertypes.ParseAddress("provider", r.Provider); err != nil {
			return ErrInvalidGenesis.Wrapf("record: %s", err)
		}
		if _, dup := seen[r.Provider]; dup {
			return ErrInvalidGenesis.Wrapf("the record of %s stands twice", r.Provider)
		}
		seen[r.Provider] = struct{}{}
		counted[r.Provider] += r.Active
	}
	for _, l := range g.Leases {
		if n := counted[l.Id.Provider]; n != living[l.Id.Provider] {
			return ErrInvalidGenesis.Wrapf("%d living leases of %s are counted, there are %d", n, l.Id.Provider, living[l.Id.Provider])
		}
	}
	for _, r := range g.Records {
		if n := counted[r.Provider]; n != living[r.Provider] {
			return ErrInvalidGenesis.Wrapf("%d living leases of %s are counted, there are %d", n, r.Provider, living[r.Provider])
		}
	}
	return nil
}

// deltas checks the deltas and returns what they add to the numbers of living leases, which may be below zero: the sums
// wrap around as unsigned numbers do, and come out right.
func (g GenesisState) deltas() (map[string]uint64, error) {
	add := make(map[string]uint64, len(g.Deltas))
	for _, d := range g.Deltas {
		if _, err := providertypes.ParseAddress("provider", d.Provider); err != nil {
			return nil, ErrInvalidGenesis.Wrapf("delta: %s", err)
		}
		if _, dup := add[d.Provider]; dup {
			return nil, ErrInvalidGenesis.Wrapf("the delta of %s stands twice", d.Provider)
		}
		add[d.Provider] = d.Opened
		for _, c := range d.Closed {
			add[d.Provider] -= c.Count
		}
		if err := sdk.Coins(d.Released).Validate(); err != nil {
			return nil, ErrInvalidGenesis.Wrapf("what the delta of %s releases: %s", d.Provider, err)
		}
	}
	return add, nil
}
