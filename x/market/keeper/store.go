package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

// Order returns an order, or ErrOrderNotFound. Its open_bids is not filled in; see CountOpenBids.
func (k *Keeper) Order(ctx context.Context, id types.OrderID) (types.Order, error) {
	key, err := id.Key()
	if err != nil {
		return types.Order{}, err
	}
	o, err := k.orders.Get(ctx, key)
	return o, found(err, types.ErrOrderNotFound, id)
}

// Bid returns a bid, or ErrBidNotFound.
func (k *Keeper) Bid(ctx context.Context, id types.BidID) (types.Bid, error) {
	key, err := id.Key()
	if err != nil {
		return types.Bid{}, err
	}
	b, err := k.bids.Get(ctx, key)
	return b, found(err, types.ErrBidNotFound, id)
}

// Lease returns a lease, or ErrLeaseNotFound.
func (k *Keeper) Lease(ctx context.Context, id types.LeaseID) (types.Lease, error) {
	key, err := id.Key()
	if err != nil {
		return types.Lease{}, err
	}
	l, err := k.leases.Get(ctx, key)
	return l, found(err, types.ErrLeaseNotFound, id)
}

// found turns the absence of a record into the module's error for it.
func found(err error, absent *errorsmod.Error, id interface{ String() string }) error {
	if errors.Is(err, collections.ErrNotFound) {
		return absent.Wrap(id.String())
	}
	return errorsmod.Wrapf(err, "read %s", id)
}

// putOrder stores an order that was in state prev before (unspecified for a new one) and moves its index entry.
func (k *Keeper) putOrder(ctx context.Context, o types.Order, prev types.OrderState) error {
	key, err := o.Id.Key()
	if err != nil {
		return err
	}
	if err := k.orders.Set(ctx, key, o); err != nil {
		return errorsmod.Wrapf(err, "store order %s", o.Id)
	}
	return move(ctx, k.openOrders, key, prev == types.ORDER_STATE_OPEN, o.State == types.ORDER_STATE_OPEN)
}

// putBid stores a bid that was in state prev before (unspecified for a new one) and moves its index entries.
func (k *Keeper) putBid(ctx context.Context, b types.Bid, prev types.BidState) error {
	key, err := b.Id.Key()
	if err != nil {
		return err
	}
	if err := k.bids.Set(ctx, key, b); err != nil {
		return errorsmod.Wrapf(err, "store bid %s", b.Id)
	}
	if err := move(ctx, k.openBids, key, prev == types.BID_STATE_OPEN, b.State == types.BID_STATE_OPEN); err != nil {
		return err
	}
	return moveState(ctx, k.providerBids, key, int32(prev), int32(b.State))
}

// putLease stores a lease that was in state prev before (unspecified for a new one) and moves its index entry.
func (k *Keeper) putLease(ctx context.Context, l types.Lease, prev types.LeaseState) error {
	key, err := l.Id.Key()
	if err != nil {
		return err
	}
	if err := k.leases.Set(ctx, key, l); err != nil {
		return errorsmod.Wrapf(err, "store lease %s", l.Id)
	}
	return moveState(ctx, k.providerLeases, key, int32(prev), int32(l.State))
}

// move adds or removes an entry of a set of keys when membership has changed.
func move[K any](ctx context.Context, set collections.KeySet[K], key K, was, is bool) error {
	switch {
	case is && !was:
		return set.Set(ctx, key)
	case was && !is:
		return set.Remove(ctx, key)
	}
	return nil
}

// moveState moves an entry of an index by provider from one state to another; 0 is no state.
func moveState(ctx context.Context, set collections.KeySet[types.ProviderKey], key types.BidKey, prev, next int32) error {
	if prev == next {
		return nil
	}
	if prev != 0 {
		if err := set.Remove(ctx, collections.Join3(key.K4(), prev, key)); err != nil {
			return err
		}
	}
	return set.Set(ctx, collections.Join3(key.K4(), next, key))
}

// queueAuction notes that the order is to be matched at the end of the block that its window ends in. It is the same
// entry whenever it is called, so that it can be removed without knowing when it was made.
func (k *Keeper) queueAuction(ctx context.Context, o types.Order) error {
	key, err := auctionKey(o)
	if err != nil {
		return err
	}
	return k.auctions.Set(ctx, key)
}

func (k *Keeper) unqueueAuction(ctx context.Context, o types.Order) error {
	key, err := auctionKey(o)
	if err != nil {
		return err
	}
	return k.auctions.Remove(ctx, key)
}

func auctionKey(o types.Order) (types.AuctionKey, error) {
	key, err := o.Id.Key()
	return collections.Join(windowEnd(o), key), err
}

// orderBids returns the open bids of an order in the order of the providers' addresses.
func (k *Keeper) orderBids(ctx context.Context, id types.OrderID) ([]types.Bid, error) {
	keys, err := k.orderBidKeys(ctx, id)
	if err != nil {
		return nil, err
	}
	bids := make([]types.Bid, len(keys))
	for i, key := range keys {
		if bids[i], err = k.bids.Get(ctx, key); err != nil {
			return nil, errorsmod.Wrapf(err, "read an open bid of %s", id)
		}
	}
	return bids, nil
}

// CountOpenBids counts the open bids of an order.
func (k *Keeper) CountOpenBids(ctx context.Context, id types.OrderID) (uint32, error) {
	keys, err := k.orderBidKeys(ctx, id)
	return uint32(len(keys)), err
}

// orderBidKeys reads only the open bids, never those that were closed or lost: there is no end to how many of those a
// stranger could leave behind.
func (k *Keeper) orderBidKeys(ctx context.Context, id types.OrderID) ([]types.BidKey, error) {
	key, err := id.Key()
	if err != nil {
		return nil, err
	}
	rng := collections.NewSuperPrefixedQuadRange3[sdk.AccAddress, uint64, uint64, sdk.AccAddress](key.K1(), key.K2(), key.K3())
	it, err := k.openBids.Iterate(ctx, rng)
	if err != nil {
		return nil, errorsmod.Wrapf(err, "read the open bids of %s", id)
	}
	keys, err := it.Keys()
	return keys, errorsmod.Wrapf(err, "read the open bids of %s", id)
}

// orderLease returns the lease that an active order has; there is never a second one on an order.
func (k *Keeper) orderLease(ctx context.Context, id types.OrderID) (types.Lease, error) {
	key, err := id.Key()
	if err != nil {
		return types.Lease{}, err
	}
	lease, ok := types.Lease{}, false
	rng := collections.NewSuperPrefixedQuadRange3[sdk.AccAddress, uint64, uint64, sdk.AccAddress](key.K1(), key.K2(), key.K3())
	err = k.leases.Walk(ctx, rng, func(_ types.BidKey, l types.Lease) (bool, error) {
		lease, ok = l, true
		return true, nil
	})
	if err == nil && !ok {
		err = types.ErrLeaseNotFound
	}
	return lease, errorsmod.Wrapf(err, "read the lease of %s", id)
}
