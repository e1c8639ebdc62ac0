package keeper

import (
	"errors"

	"cosmossdk.io/collections"

	"berth.dev/berth/x/market/types"
)

// indexes checks INV-7: an entry for each record and a record for each entry.
func (a *audit) indexes() error {
	orders, bids, leases, frozen := 0, 0, 0, 0
	if err := a.k.orders.Walk(a.ctx, nil, func(key types.OrderKey, o types.Order) (bool, error) {
		if o.State != types.ORDER_STATE_OPEN {
			return false, nil
		}
		orders++
		return false, expect(a, "open_orders", a.k.openOrders, key)
	}); err != nil {
		return err
	}
	if err := a.k.liveBids.Walk(a.ctx, nil, func(key types.BidKey, b types.Bid) (bool, error) {
		bids++
		return false, expect(a, "provider_bids", a.k.providerBids, providerBidKey(key))
	}); err != nil {
		return err
	}
	if err := a.k.leases.Walk(a.ctx, nil, func(key types.BidKey, l types.Lease) (bool, error) {
		leases++
		if living(l.State) {
			frozen += len(l.Matched)
			for _, attribute := range l.Matched {
				if err := expect(a, "frozen_attributes", a.k.frozen, collections.Join3(key.K4(), attribute, types.OrderKeyOf(key))); err != nil {
					return false, err
				}
			}
		}
		return false, expect(a, "provider_leases", a.k.providerLeases, providerLeaseKey(key, l.State))
	}); err != nil {
		return err
	}
	for _, err := range []error{
		sized(a, "open_orders", a.k.openOrders, orders), sized(a, "provider_bids", a.k.providerBids, bids),
		sized(a, "provider_leases", a.k.providerLeases, leases), sized(a, "frozen_attributes", a.k.frozen, frozen),
	} {
		if err != nil {
			return err
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
		a.fail("INV-7: %s has %d entries, there should be %d", name, n, want)
	}
	return err
}

// auctions checks the queue of auctions: an entry belongs to an open order of an auction, and every such order whose
// window is open, or that has bids, has one.
func (a *audit) auctions() error {
	err := a.k.auctions.Walk(a.ctx, nil, func(key types.QueueKey) (bool, error) {
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

// refunds checks the queue of refunds: an entry belongs to an order that is not open, an order stands in it once, and
// every order that is not open but has open bids does. An entry may have no bids left, as their providers may close them,
// and then outlive the order, which may be pruned.
func (a *audit) refunds() error {
	queued := map[types.OrderID]bool{}
	err := a.k.refunds.Walk(a.ctx, nil, func(key types.QueueKey) (bool, error) {
		o, err := a.k.orders.Get(a.ctx, key.K2())
		if errors.Is(err, collections.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if o.State == types.ORDER_STATE_OPEN || queued[o.Id] {
			a.fail("INV-7: order %s (%s) is queued for refunds, twice: %t", o.Id, o.State, queued[o.Id])
		}
		queued[o.Id] = true
		return false, nil
	})
	if err != nil {
		return err
	}
	return a.k.orders.Walk(a.ctx, nil, func(_ types.OrderKey, o types.Order) (bool, error) {
		if o.State != types.ORDER_STATE_OPEN && a.open[o.Id] > 0 && !queued[o.Id] {
			a.fail("INV-7: order %s is %s and not queued, it has %d open bids", o.Id, o.State, a.open[o.Id])
		}
		return false, nil
	})
}
