package types

import (
	"cosmossdk.io/math"

	deploymenttypes "berth.dev/berth/x/deployment/types"
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
	case b.State == BID_STATE_OPEN && o.State != ORDER_STATE_OPEN:
		return ErrInvalidGenesis.Wrapf("it is open, its order is %s", o.State)
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
		if l.State < LEASE_STATE_ACTIVE || l.State > LEASE_STATE_CLOSED {
			return nil, ErrInvalidGenesis.Wrapf("lease %s: state %s", l.Id, l.State)
		}
		if (l.State != LEASE_STATE_CLOSED) != (b.State == BID_STATE_ACTIVE) {
			return nil, ErrInvalidGenesis.Wrapf("lease %s is %s, its bid is %s", l.Id, l.State, b.State)
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

func (g GenesisState) records(active map[string]uint64) error {
	seen := make(map[string]struct{}, len(g.Records))
	for _, r := range g.Records {
		if _, dup := seen[r.Provider]; dup {
			return ErrInvalidGenesis.Wrapf("the record of %s stands twice", r.Provider)
		}
		seen[r.Provider] = struct{}{}
		if r.Active != active[r.Provider] {
			return ErrInvalidGenesis.Wrapf("the record of %s counts %d active leases, there are %d", r.Provider, r.Active, active[r.Provider])
		}
	}
	for _, l := range g.Leases {
		if _, ok := seen[l.Id.Provider]; !ok {
			return ErrInvalidGenesis.Wrapf("provider %s has leases but no record", l.Id.Provider)
		}
	}
	return nil
}
