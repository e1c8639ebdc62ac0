package keeper

import (
	"context"
	"sort"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

// EndBlock matches the orders whose auction is due, oldest first, until the block's work is done; the rest goes on in
// the next block. An auction is never split: its bids are decided and refunded in one block.
func (k *Keeper) EndBlock(ctx context.Context) error {
	p, err := k.Params(ctx)
	if err != nil {
		return err
	}
	due, err := k.dueAuctions(ctx, int(p.MaxWorkPerBlock))
	if err != nil {
		return err
	}
	work := int(p.MaxWorkPerBlock)
	for _, key := range due {
		if work <= 0 {
			break
		}
		work -= k.tryAuction(ctx, key)
	}
	return nil
}

// dueAuctions lists the entries that are due, in the order of height and order id.
func (k *Keeper) dueAuctions(ctx context.Context, limit int) ([]types.AuctionKey, error) {
	var due []types.AuctionKey
	rng := collections.NewPrefixUntilPairRange[int64, types.OrderKey](height(ctx))
	err := k.auctions.Walk(ctx, rng, func(key types.AuctionKey) (bool, error) {
		due = append(due, key)
		return len(due) >= limit, nil
	})
	return due, errorsmod.Wrap(err, "read the due auctions")
}

// tryAuction runs one auction and returns the work it was. An auction that fails is undone and taken off the queue: it
// must neither stop the chain nor come back every block. It is matched again when the next bid arrives.
func (k *Keeper) tryAuction(ctx context.Context, key types.AuctionKey) int {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	cached, write := sdkCtx.CacheContext()
	work, err := k.runAuction(cached, key)
	if err == nil {
		write()
		return work
	}
	sdkCtx.Logger().Error("auction failed", "module", types.ModuleName, "auction", types.AuctionKeyCodec.Stringify(key), "error", err)
	if err := k.auctions.Remove(ctx, key); err != nil {
		sdkCtx.Logger().Error("auction stays queued", "module", types.ModuleName, "error", err)
	}
	return 1
}

// runAuction gives an order to its best eligible bid. Without any bid it waits for the first one; if all bids are
// ineligible they are lost and it waits too; if escrow cannot pay the best one, the order closes.
func (k *Keeper) runAuction(ctx context.Context, key types.AuctionKey) (int, error) {
	o, err := k.orders.Get(ctx, key.K2())
	if err != nil {
		return 1, errorsmod.Wrap(err, "read the order")
	}
	bids, err := k.orderBids(ctx, o.Id)
	if err != nil {
		return 1, err
	}
	work := 1 + len(bids)
	sort.Slice(bids, func(i, j int) bool { return better(bids[i], bids[j]) })
	for _, b := range bids {
		if k.eligible(ctx, o, b) != nil {
			continue
		}
		return work, k.award(ctx, o, b)
	}
	if _, err := k.loseBids(ctx, o.Id); err != nil {
		return work, err
	}
	return work, k.auctions.Remove(ctx, key)
}

// award makes the winning bid a lease, or closes the order if its deployment cannot pay for it: any other bid would
// cost as much or more.
func (k *Keeper) award(ctx context.Context, o types.Order, b types.Bid) error {
	cached, write := sdk.UnwrapSDKContext(ctx).CacheContext()
	err := k.openLease(cached, o, b)
	if err == nil {
		write()
		return nil
	}
	sdk.UnwrapSDKContext(ctx).Logger().Info("auction closes its order", "module", types.ModuleName, "bid", b.Id.String(), "reason", err)
	return k.abandonOrder(ctx, o)
}
