package keeper

import (
	"context"
	"errors"
	"slices"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	"berth.dev/berth/x/market/types"
)

// windowEnd is the last height at which an order of an auction collects bids: it is matched at the end of that block.
func windowEnd(o types.Order) int64 { return o.CreatedAt + int64(o.Auction.Window) }

func byChain(o types.Order) bool { return o.Auction.Mode == deploymenttypes.AUCTION_MODE_LOWEST }

// The unit of work is a refund. To make a lease costs about as much as leaseWork refunds; of the bids that an auction
// only reads, and the attributes that it freezes, perUnit cost as much as one.
const (
	leaseWork = 8
	perUnit   = 4
)

// runAuctions matches the orders whose auction is due, oldest first, and returns the work it was. An auction is never
// split: one that has begun is finished.
func (k *Keeper) runAuctions(ctx context.Context, limit int) (int, error) {
	due, err := firstDue(ctx, k.auctions, height(ctx), limit)
	if err != nil {
		return 0, errorsmod.Wrap(err, "read the due auctions")
	}
	done := 0
	for _, key := range due {
		if done >= limit {
			break
		}
		done += k.tryAuction(ctx, key)
	}
	return done, nil
}

// tryAuction runs one auction and returns the work it was. An auction that fails is undone and taken off the queue: it
// must neither stop the chain nor come back every block. It is matched again when the next bid arrives.
func (k *Keeper) tryAuction(ctx context.Context, key types.QueueKey) int {
	work, item := leaseWork, types.QueueKeyCodec.Stringify(key)
	ok := atomically(ctx, "auction", item, func(ctx context.Context) (err error) {
		work, err = k.runAuction(ctx, key)
		return err
	})
	if !ok {
		atomically(ctx, "drop auction", item, func(ctx context.Context) error { return k.auctions.Remove(ctx, key) })
	}
	return work
}

// runAuction gives an order to its best eligible bid. Without any bid it waits for the first one; if no bid is eligible
// all are lost and it waits too; if the deployment cannot pay the best one, the order closes.
func (k *Keeper) runAuction(ctx context.Context, key types.QueueKey) (int, error) {
	o, err := k.orders.Get(ctx, key.K2())
	if err != nil {
		return 1, errorsmod.Wrap(err, "read the order")
	}
	bids, err := k.openBids(ctx, key.K2(), 0)
	if err != nil {
		return 1, err
	}
	work := leaseWork + (len(bids)+len(o.Spec.Requirements.Attributes))/perUnit
	at := decidedAt(o, bids)
	slices.SortFunc(bids, ranking)
	for _, b := range bids {
		if expired(b, at) || k.stillMatches(ctx, o, b) != nil {
			continue
		}
		return work, k.award(ctx, o, b)
	}
	for _, b := range bids {
		if err := k.loseBid(ctx, b); err != nil {
			return work, err
		}
	}
	return work, k.auctions.Remove(ctx, key)
}

// decidedAt is the height as of which an auction is decided, however late the queue is: the end of its window, or, when
// that went by without a bid, the block of the first one. While a decision is late no bid comes or goes, see overdue.
func decidedAt(o types.Order, bids []types.Bid) int64 {
	if len(bids) == 0 {
		return windowEnd(o)
	}
	first := bids[0].CreatedAt
	for _, b := range bids {
		first = min(first, b.CreatedAt)
	}
	return max(first, windowEnd(o))
}

// overdue says whether an auction should have been decided in an earlier block and waits for its turn. Its bids stand:
// a late decision is the one that would have been made in time.
func (k *Keeper) overdue(ctx context.Context, o types.Order) (bool, error) {
	if !byChain(o) || o.State != types.ORDER_STATE_OPEN || height(ctx) <= windowEnd(o) {
		return false, nil
	}
	key, err := auctionKey(o)
	if err != nil {
		return false, err
	}
	queued, err := k.auctions.Has(ctx, key)
	if err != nil || !queued {
		return false, err
	}
	bids, err := k.openBids(ctx, key.K2(), 0)
	return err == nil && len(bids) > 0 && decidedAt(o, bids) < height(ctx), err
}

// award makes the winning bid a lease. If its deployment cannot pay it the order closes, as any other bid would cost as
// much or more, and the group is paused: its tenant may fill the account and start it again.
func (k *Keeper) award(ctx context.Context, o types.Order, b types.Bid) error {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	cached, write := sdkCtx.CacheContext()
	err := k.openLease(cached, o, b)
	if err == nil {
		write()
		return nil
	}
	if !cannotPay(err) {
		return err
	}
	sdkCtx.Logger().Info("an auction closes its order", "module", types.ModuleName, "bid", b.Id.String(), "reason", err)
	if err := k.closeOrder(ctx, o); err != nil {
		return err
	}
	return errorsmod.Wrapf(k.deployments.PauseGroup(ctx, o.Id.GroupID()), "pause the group of %s", o.Id)
}

// cannotPay says whether the escrow has refused a payment for want of funds.
func cannotPay(err error) bool {
	return errors.Is(err, escrowtypes.ErrInsufficientFunds) || errors.Is(err, escrowtypes.ErrAccountSuspended) ||
		errors.Is(err, escrowtypes.ErrAccountClosed)
}
