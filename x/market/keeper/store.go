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
	if err == nil {
		return nil
	}
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
	was, is := prev == types.ORDER_STATE_OPEN, o.State == types.ORDER_STATE_OPEN
	switch {
	case is && !was:
		return k.openOrders.Set(ctx, key)
	case was && !is:
		return k.openOrders.Remove(ctx, key)
	}
	return nil
}

// putLease stores a lease that was in state prev before (unspecified for a new one) and moves its index entries: the
// one by provider and state, and those of the attributes that are frozen while it lives.
func (k *Keeper) putLease(ctx context.Context, l types.Lease, prev types.LeaseState) error {
	key, err := l.Id.Key()
	if err != nil {
		return err
	}
	if err := k.leases.Set(ctx, key, l); err != nil {
		return errorsmod.Wrapf(err, "store lease %s", l.Id)
	}
	if prev == l.State {
		return nil
	}
	if prev != types.LEASE_STATE_UNSPECIFIED {
		if err := k.providerLeases.Remove(ctx, providerLeaseKey(key, prev)); err != nil {
			return err
		}
	}
	if err := k.providerLeases.Set(ctx, providerLeaseKey(key, l.State)); err != nil {
		return err
	}
	return k.moveFrozen(ctx, key, l, prev)
}

func providerLeaseKey(key types.BidKey, s types.LeaseState) types.ProviderLeaseKey {
	return collections.Join3(key.K4(), int32(s), key)
}

// living says whether a lease is one that a tenant may use and a provider must keep.
func living(s types.LeaseState) bool {
	return s == types.LEASE_STATE_ACTIVE || s == types.LEASE_STATE_SUSPENDED || s == types.LEASE_STATE_RECLAIMING
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

func auctionKey(o types.Order) (types.QueueKey, error) {
	key, err := o.Id.Key()
	return collections.Join(windowEnd(o), key), err
}

// orderLease returns the lease that an active order has; there is never a second one on an order.
func (k *Keeper) orderLease(ctx context.Context, id types.OrderID) (types.Lease, error) {
	key, err := id.Key()
	if err != nil {
		return types.Lease{}, err
	}
	lease, ok := types.Lease{}, false
	err = k.leases.Walk(ctx, bidsOf(key), func(_ types.BidKey, l types.Lease) (bool, error) {
		lease, ok = l, true
		return true, nil
	})
	if err == nil && !ok {
		err = types.ErrLeaseNotFound
	}
	return lease, errorsmod.Wrapf(err, "read the lease of %s", id)
}

// bidsOf is the range of an order's bids, or leases, in a map that is keyed by BidKey.
func bidsOf(key types.OrderKey) collections.Ranger[types.BidKey] {
	return collections.NewSuperPrefixedQuadRange3[sdk.AccAddress, uint64, uint64, sdk.AccAddress](key.K1(), key.K2(), key.K3())
}
