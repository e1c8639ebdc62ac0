package keeper

import (
	"context"
	"math"
	"slices"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
)

// newOrder is the first order of a group.
func newOrder(d deploymenttypes.Deployment, g deploymenttypes.Group) types.Order {
	return types.Order{
		Id:   types.OrderID{Owner: g.Id.Owner, Dseq: g.Id.Dseq, Gseq: g.Id.Gseq, Oseq: 1},
		Spec: g.Spec, Auction: d.Auction, Reclamation: d.Reclamation,
	}
}

// openOrder stores a new order and asks for bids on it.
func (k *Keeper) openOrder(ctx context.Context, o types.Order) error {
	o.State, o.CreatedAt = types.ORDER_STATE_OPEN, height(ctx)
	if err := k.putOrder(ctx, o, types.ORDER_STATE_UNSPECIFIED); err != nil {
		return err
	}
	if byChain(o) {
		if err := k.queueAuction(ctx, o); err != nil {
			return err
		}
	}
	return emitOrderCreated(ctx, o)
}

// nextOrder is the order that follows the last one of a group. Numbers only go up: the id of an order is never used
// twice. What is left of a provider's exclusion goes on.
func nextOrder(last types.Order, height int64) (types.Order, error) {
	if last.Id.Oseq == math.MaxUint32 {
		return types.Order{}, types.ErrOseqExhausted.Wrap(last.Id.GroupID().String())
	}
	next := types.Order{Id: last.Id, Spec: last.Spec, Auction: last.Auction, Reclamation: last.Reclamation}
	next.Id.Oseq++
	if height < last.ExcludedUntil {
		next.Excluded, next.ExcludedUntil = last.Excluded, last.ExcludedUntil
	}
	return next, nil
}

// reopenOrder asks for bids again after a lease has ended, while the group is open. The provider whose lease it was
// may not bid for a while, so that a group does not come back to where it has just failed.
func (k *Keeper) reopenOrder(ctx context.Context, old types.Order, provider string) error {
	g, err := k.deployments.Group(ctx, old.Id.GroupID())
	if err != nil {
		return errorsmod.Wrapf(err, "reopen order %s", old.Id)
	}
	if g.State != deploymenttypes.GROUP_STATE_OPEN {
		return nil
	}
	next, err := nextOrder(old, height(ctx))
	if err != nil {
		return err
	}
	p, err := k.Params(ctx)
	if err != nil {
		return err
	}
	next.Excluded, next.ExcludedUntil = "", 0
	if p.ExclusionBlocks > 0 {
		next.Excluded, next.ExcludedUntil = provider, height(ctx)+p.ExclusionBlocks
	}
	return k.openOrder(ctx, next)
}

// closeOrder ends an order without a lease. Its open bids are lost and refunded by the end block.
func (k *Keeper) closeOrder(ctx context.Context, o types.Order) error {
	prev := o.State
	o.State, o.ClosedAt = types.ORDER_STATE_CLOSED, height(ctx)
	if prev == types.ORDER_STATE_OPEN {
		if err := k.leaveMarket(ctx, o); err != nil {
			return err
		}
	}
	if err := k.putOrder(ctx, o, prev); err != nil {
		return err
	}
	return emitOrderClosed(ctx, o)
}

// leaveMarket takes an order that ceases to be open off the auctions and queues the refunds of its open bids. An active
// order has done so before.
func (k *Keeper) leaveMarket(ctx context.Context, o types.Order) error {
	if byChain(o) {
		if err := k.unqueueAuction(ctx, o); err != nil {
			return err
		}
	}
	key, err := o.Id.Key()
	if err != nil {
		return err
	}
	return k.queueRefunds(ctx, key)
}

// lastOrder returns the newest order of a group, or ErrOrderNotFound.
func (k *Keeper) lastOrder(ctx context.Context, id deploymenttypes.GroupID) (types.Order, error) {
	key, err := id.DeploymentID().Key()
	if err != nil {
		return types.Order{}, err
	}
	o, ok, err := k.newest(ctx, key, types.Slot(id.Gseq, 0), types.Slot(id.Gseq, math.MaxUint32))
	if err == nil && !ok {
		err = types.ErrOrderNotFound.Wrapf("group %s has none", id)
	}
	return o, err
}

// lastOrders returns the newest order of each group of a deployment that has one, in the order of gseq. Only these can
// be open or active: a group gets its next order when the one before has ended. Older orders are skipped, not read.
func (k *Keeper) lastOrders(ctx context.Context, id deploymenttypes.DeploymentID) ([]types.Order, error) {
	key, err := id.Key()
	if err != nil {
		return nil, err
	}
	var orders []types.Order
	for end := uint64(math.MaxUint64); ; {
		o, ok, err := k.newest(ctx, key, 0, end)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		orders = append(orders, o)
		end = types.Slot(o.Id.Gseq, 0)
	}
	slices.Reverse(orders)
	return orders, nil
}

// newest returns the last order of a deployment whose slot is in from..to, if there is any.
func (k *Keeper) newest(ctx context.Context, id deploymenttypes.DeploymentKey, from, to uint64) (types.Order, bool, error) {
	rng := new(collections.Range[types.OrderKey]).
		StartInclusive(collections.Join3(id.K1(), id.K2(), from)).
		EndInclusive(collections.Join3(id.K1(), id.K2(), to)).
		Descending()
	var last types.Order
	ok := false
	err := k.orders.Walk(ctx, rng, func(_ types.OrderKey, o types.Order) (bool, error) {
		last, ok = o, true
		return true, nil
	})
	return last, ok, errorsmod.Wrap(err, "read the orders of a deployment")
}

// WalkOpenOrders calls each with the open orders as they are stored, sorted by their ids, from the one after a key on, until
// it says to stop. The keys are for this function only. It is for queries that give orders away whole: nothing
// is decoded, counted or checked.
func (k *Keeper) WalkOpenOrders(ctx context.Context, after []byte, each func(key, order []byte) (stop bool)) error {
	s := k.store.OpenKVStore(ctx)
	prefix := types.OpenOrdersPrefix.Bytes()
	start := slices.Concat(prefix, after)
	if len(after) > 0 {
		start = append(start, 0)
	}
	keys, err := s.Iterator(start, storetypes.PrefixEndBytes(prefix))
	if err != nil {
		return errorsmod.Wrap(err, "read the open orders")
	}
	defer func() { _ = keys.Close() }()
	for ; keys.Valid(); keys.Next() {
		key := keys.Key()[len(prefix):]
		order, err := s.Get(slices.Concat(types.OrdersPrefix.Bytes(), key))
		if err != nil {
			return errorsmod.Wrap(err, "read an open order")
		}
		if each(key, order) {
			break
		}
	}
	return nil // Error is of no use here: at its end an iterator over what a transaction may have changed calls itself invalid
}
