package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	"berth.dev/berth/x/market/types"
)

// audit collects what is broken while it reads the whole state.
type audit struct {
	k      *Keeper
	ctx    context.Context
	broken []string

	live    map[types.OrderID]types.Lease
	open    map[types.OrderID]int
	records map[string]uint64
}

// Invariants checks the market's part of INV-3 to INV-8 and returns what is broken, one sentence each; none is good.
// It holds after each end block. It reads the whole state: it is for tests, simulations and a query, never for a block.
func (k *Keeper) Invariants(ctx context.Context) []string {
	a := &audit{k: k, ctx: ctx, live: map[types.OrderID]types.Lease{}, open: map[types.OrderID]int{}, records: map[string]uint64{}}
	for _, check := range []func() error{a.leases, a.bids, a.orders, a.counters, a.indexes, a.queue} {
		if err := check(); err != nil {
			a.fail("the market's state cannot be read: %s", err)
		}
	}
	return a.broken
}

func (a *audit) fail(format string, args ...any) {
	a.broken = append(a.broken, fmt.Sprintf(format, args...))
}

// leases checks INV-3, INV-4 and INV-5.
func (a *audit) leases() error {
	return a.k.leases.Walk(a.ctx, nil, func(_ types.BidKey, l types.Lease) (bool, error) {
		a.records[l.Id.Provider] += 0
		b, err := a.k.Bid(a.ctx, l.Id)
		if err != nil {
			a.fail("INV-4: lease %s has no bid: %s", l.Id, err)
		}
		o, err := a.k.Order(a.ctx, l.Id.OrderID())
		if err != nil {
			a.fail("INV-4: lease %s has no order: %s", l.Id, err)
		}
		p, err := a.k.escrow.Payment(a.ctx, l.Id.PaymentID())
		if err != nil {
			a.fail("INV-4: lease %s has no payment: %s", l.Id, err)
		}
		if want := paymentState(l.State); p.State != want {
			a.fail("INV-4: lease %s is %s, its payment is %s", l.Id, l.State, p.State)
		}
		if l.State == types.LEASE_STATE_CLOSED {
			if b.State != types.BID_STATE_CLOSED || o.State != types.ORDER_STATE_CLOSED {
				a.fail("INV-4: lease %s is closed, its bid is %s, its order is %s", l.Id, b.State, o.State)
			}
			return false, nil
		}
		if other, dup := a.live[o.Id]; dup {
			a.fail("INV-3: order %s has the leases %s and %s", o.Id, other.Id, l.Id)
		}
		a.live[o.Id] = l
		a.records[l.Id.Provider]++
		if b.State != types.BID_STATE_ACTIVE || o.State != types.ORDER_STATE_ACTIVE {
			a.fail("INV-4: lease %s is %s, its bid is %s, its order is %s", l.Id, l.State, b.State, o.State)
		}
		a.account(l)
		return false, nil
	})
}

// paymentState is the state of the payment of a lease in a state.
func paymentState(s types.LeaseState) escrowtypes.PaymentState {
	switch s {
	case types.LEASE_STATE_ACTIVE:
		return escrowtypes.PAYMENT_STATE_OPEN
	case types.LEASE_STATE_SUSPENDED:
		return escrowtypes.PAYMENT_STATE_SUSPENDED
	}
	return escrowtypes.PAYMENT_STATE_CLOSED
}

func (a *audit) account(l types.Lease) {
	acc, err := a.k.escrow.Account(a.ctx, l.Id.DeploymentID().EscrowID())
	if err != nil {
		a.fail("INV-5: the escrow account of lease %s cannot be read: %s", l.Id, err)
		return
	}
	if (l.State == types.LEASE_STATE_ACTIVE) != (acc.State == escrowtypes.ACCOUNT_STATE_OPEN) {
		a.fail("INV-5: lease %s is %s, its escrow account is %s", l.Id, l.State, acc.State)
	}
}

// bids checks INV-6 (one record, hence at most one open bid, per order and provider; the number of open bids is in
// bounds) and INV-8 (a deposit is held exactly while the bid is open or active).
func (a *audit) bids() error {
	return a.k.bids.Walk(a.ctx, nil, func(key types.BidKey, b types.Bid) (bool, error) {
		if k, err := b.Id.Key(); err != nil || types.BidKeyCodec.Stringify(k) != types.BidKeyCodec.Stringify(key) {
			a.fail("INV-6: bid %s is stored as %s", b.Id, types.BidKeyCodec.Stringify(key))
		}
		o, err := a.k.Order(a.ctx, b.Id.OrderID())
		if err != nil {
			a.fail("INV-7: bid %s has no order: %s", b.Id, err)
		}
		if b.State == types.BID_STATE_OPEN {
			a.open[o.Id]++
			if o.State != types.ORDER_STATE_OPEN {
				a.fail("INV-4: bid %s is open, its order is %s", b.Id, o.State)
			}
		}
		return false, nil
	})
}

// orders checks that an order is active exactly when it has a lease, is the last of its group if it is not closed, and
// never outlives its group.
func (a *audit) orders() error {
	var last types.Order
	return a.k.orders.Walk(a.ctx, nil, func(_ types.OrderKey, o types.Order) (bool, error) {
		if _, has := a.live[o.Id]; has != (o.State == types.ORDER_STATE_ACTIVE) {
			a.fail("INV-4: order %s is %s, has a lease: %t", o.Id, o.State, has)
		}
		if last.Id.GroupID() == o.Id.GroupID() && last.State != types.ORDER_STATE_CLOSED {
			a.fail("INV-3: order %s is %s, but %s follows it", last.Id, last.State, o.Id)
		}
		last = o
		g, err := a.k.deployments.Group(a.ctx, o.Id.GroupID())
		if err != nil {
			a.fail("INV-7: order %s has no group: %s", o.Id, err)
		} else if o.State != types.ORDER_STATE_CLOSED && g.State != deploymenttypes.GROUP_STATE_OPEN {
			a.fail("INV-4: order %s is %s, its group is %s", o.Id, o.State, g.State)
		}
		return false, nil
	})
}

func (a *audit) counters() error {
	return a.k.records.Walk(a.ctx, nil, func(_ sdk.AccAddress, r types.ProviderRecord) (bool, error) {
		closed := uint64(0)
		for _, c := range r.Closed {
			closed += c.Count
		}
		if r.Active != a.records[r.Provider] || r.Leases != r.Active+closed {
			a.fail("INV-7: the record of %s counts %d leases, %d active, %d closed; %d are active", r.Provider, r.Leases, r.Active, closed, a.records[r.Provider])
		}
		return false, nil
	})
}

// indexes checks INV-7: an entry for each record and a record for each entry.
func (a *audit) indexes() error {
	orders, bids, leases := 0, 0, 0
	if err := a.k.orders.Walk(a.ctx, nil, func(key types.OrderKey, o types.Order) (bool, error) {
		if o.State == types.ORDER_STATE_OPEN {
			orders++
			return false, expect(a, "open_orders", a.k.openOrders, key)
		}
		return false, nil
	}); err != nil {
		return err
	}
	openBids := 0
	if err := a.k.bids.Walk(a.ctx, nil, func(key types.BidKey, b types.Bid) (bool, error) {
		bids++
		if b.State == types.BID_STATE_OPEN {
			openBids++
			if err := expect(a, "open_bids", a.k.openBids, key); err != nil {
				return false, err
			}
		}
		return false, expect(a, "provider_bids", a.k.providerBids, collections.Join3(key.K4(), int32(b.State), key))
	}); err != nil {
		return err
	}
	if err := a.k.leases.Walk(a.ctx, nil, func(key types.BidKey, l types.Lease) (bool, error) {
		leases++
		return false, expect(a, "provider_leases", a.k.providerLeases, collections.Join3(key.K4(), int32(l.State), key))
	}); err != nil {
		return err
	}
	for _, c := range []error{
		sized(a, "open_orders", a.k.openOrders, orders), sized(a, "open_bids", a.k.openBids, openBids),
		sized(a, "provider_bids", a.k.providerBids, bids), sized(a, "provider_leases", a.k.providerLeases, leases),
	} {
		if c != nil {
			return c
		}
	}
	return nil
}

func expect[K any](a *audit, name string, set collections.KeySet[K], key K) error {
	has, err := set.Has(a.ctx, key)
	if err == nil && !has {
		a.fail("INV-7: %s lacks the entry %s", name, set.KeyCodec().Stringify(key))
	}
	return err
}

func sized[K any](a *audit, name string, set collections.KeySet[K], want int) error {
	n := 0
	err := set.Walk(a.ctx, nil, func(K) (bool, error) { n++; return false, nil })
	if err == nil && n != want {
		a.fail("INV-7: %s has %d entries for %d records", name, n, want)
	}
	return err
}

// queue checks the auction queue: an entry belongs to an open order of an auction, and every such order whose window is
// open, or that has bids, has one.
func (a *audit) queue() error {
	err := a.k.auctions.Walk(a.ctx, nil, func(key types.AuctionKey) (bool, error) {
		o, err := a.k.orders.Get(a.ctx, key.K2())
		if err != nil {
			return false, err
		}
		if o.State != types.ORDER_STATE_OPEN || !byChain(o) || windowEnd(o) != key.K1() {
			a.fail("INV-7: order %s (%s) is queued for height %d", o.Id, o.State, key.K1())
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	return a.k.openOrders.Walk(a.ctx, nil, func(key types.OrderKey) (bool, error) {
		o, err := a.k.orders.Get(a.ctx, key)
		if err != nil || !byChain(o) || (height(a.ctx) >= windowEnd(o) && a.open[o.Id] == 0) {
			return false, err
		}
		entry, err := auctionKey(o)
		if err != nil {
			return false, err
		}
		return false, expect(a, "auctions", a.k.auctions, entry)
	})
}
