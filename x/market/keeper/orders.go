package keeper

import (
	"context"
	"math"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
)

// windowEnd is the last height at which an order of an auction collects bids: it is matched at the end of that block.
func windowEnd(o types.Order) int64 { return o.CreatedAt + int64(o.Auction.Window) }

func byChain(o types.Order) bool { return o.Auction.Mode == deploymenttypes.AUCTION_MODE_LOWEST }

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

// reopenOrder asks for bids again after a lease has ended, while the group is open. The provider whose lease it was
// may not bid for a while, so that a group does not come back to where it has just failed.
func (k *Keeper) reopenOrder(ctx context.Context, old types.Order, provider string) error {
	g, err := k.deployments.Group(ctx, old.Id.GroupID())
	if err != nil {
		return errorsmod.Wrapf(err, "reopen order %s", old.Id)
	}
	if g.State != deploymenttypes.GROUP_STATE_OPEN || old.Id.Oseq == math.MaxUint32 {
		return nil
	}
	p, err := k.Params(ctx)
	if err != nil {
		return err
	}
	next := types.Order{Id: old.Id, Spec: old.Spec, Auction: old.Auction}
	next.Id.Oseq++
	if p.ExclusionBlocks > 0 {
		next.Excluded, next.ExcludedUntil = provider, height(ctx)+p.ExclusionBlocks
	}
	return k.openOrder(ctx, next)
}

// closeOrder ends an order whose bids and lease have ended.
func (k *Keeper) closeOrder(ctx context.Context, o types.Order) error {
	prev := o.State
	if prev == types.ORDER_STATE_OPEN && byChain(o) {
		if err := k.unqueueAuction(ctx, o); err != nil {
			return err
		}
	}
	o.State, o.ClosedAt = types.ORDER_STATE_CLOSED, height(ctx)
	if err := k.putOrder(ctx, o, prev); err != nil {
		return err
	}
	return emitOrderClosed(ctx, o)
}

// lastOrders returns the newest order of each group of a deployment, in the order of gseq. Only these can be open or
// active: a group gets its next order when the one before has ended. Older orders are skipped, not read.
func (k *Keeper) lastOrders(ctx context.Context, id deploymenttypes.DeploymentID) ([]types.Order, error) {
	key, err := id.Key()
	if err != nil {
		return nil, err
	}
	var orders []types.Order
	for gseq := uint32(1); gseq <= deploymenttypes.MaxGroups; gseq++ {
		rng := new(collections.Range[types.OrderKey]).
			StartInclusive(collections.Join3(key.K1(), key.K2(), types.Slot(gseq, 0))).
			EndInclusive(collections.Join3(key.K1(), key.K2(), types.Slot(gseq, math.MaxUint32))).
			Descending()
		before := len(orders)
		err := k.orders.Walk(ctx, rng, func(_ types.OrderKey, o types.Order) (bool, error) {
			orders = append(orders, o)
			return true, nil
		})
		if err != nil {
			return nil, errorsmod.Wrapf(err, "read the orders of %s", id)
		}
		if len(orders) == before {
			break
		}
	}
	return orders, nil
}

// matches says why a provider may not run an order's group, or nil. It reads the provider's present record.
func (k *Keeper) matches(ctx context.Context, o types.Order, provider sdk.AccAddress) error {
	p, err := k.providers.Provider(ctx, provider)
	if err != nil {
		return types.ErrProviderNotRegistered.Wrap(provider.String())
	}
	return checkPlacement(o, p.Attributes)
}
