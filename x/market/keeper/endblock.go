package keeper

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

// EndBlock matches auctions whose window has ended and gives the bids of orders that are no longer open their deposits
// back, until the block's work is done; the rest goes on in the next block. Refunds that waited from earlier blocks come
// first but take no more than half, so that neither kind can hold up the other. Then the deltas of the block's
// transactions are folded.
func (k *Keeper) EndBlock(ctx context.Context) error {
	p, err := k.Params(ctx)
	if err != nil {
		return err
	}
	work := int(p.MaxWorkPerBlock)
	done, err := k.refundUntil(ctx, height(ctx)-1, (work+1)/2)
	if err != nil {
		return err
	}
	work -= done
	if done, err = k.runAuctions(ctx, work); err != nil {
		return err
	}
	work -= done
	if _, err = k.refundUntil(ctx, height(ctx), work); err != nil {
		return err
	}
	return k.foldDeltas(ctx)
}

// atomically does one item of the end block's work, wholly or not at all, and says whether it was done. A failure is
// logged: one bad record must not halt the chain.
func atomically(ctx context.Context, what, item string, do func(context.Context) error) bool {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	cached, write := sdkCtx.CacheContext()
	if err := do(cached); err != nil {
		sdkCtx.Logger().Error(what+" failed", "module", types.ModuleName, "item", item, "error", err)
		return false
	}
	write()
	return true
}
