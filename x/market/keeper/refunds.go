package keeper

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	"berth.dev/berth/x/market/types"
)

// When an order ceases to be open its other bids are lost. The transaction that causes it notes only the order: so it
// writes no keys of strangers, and costs the same however many they are. The end block gives the deposits back. Until
// then the bids stay open, but none of them can become a lease.

// queueRefunds notes that an order which is no longer open has bids to be refunded; one without any is not noted.
func (k *Keeper) queueRefunds(ctx context.Context, key types.OrderKey) error {
	left, err := k.openBids(ctx, key, 1)
	if err != nil || len(left) == 0 {
		return err
	}
	return k.refunds.Set(ctx, collections.Join(height(ctx), key))
}

// refundUntil ends bids of orders that were queued up to a height, oldest first, at most limit of them, and says how
// many.
func (k *Keeper) refundUntil(ctx context.Context, last int64, limit int) (int, error) {
	due, err := firstDue(ctx, k.refunds, last, limit)
	if err != nil {
		return 0, errorsmod.Wrap(err, "read the refunds")
	}
	done := 0
	for _, key := range due {
		if done >= limit {
			break
		}
		done += k.tryRefund(ctx, key, limit-done)
	}
	return done, nil
}

// tryRefund refunds bids of one order and returns the work it was. Bids whose refund fails stay open, and may be closed
// by their providers; the order leaves the queue, lest it comes back every block.
func (k *Keeper) tryRefund(ctx context.Context, key types.QueueKey, limit int) int {
	work := 1
	ok := atomically(ctx, "refund", types.QueueKeyCodec.Stringify(key), func(ctx context.Context) (err error) {
		work, err = k.refundOrder(ctx, key, limit)
		return err
	})
	if !ok {
		atomically(ctx, "drop refund", types.QueueKeyCodec.Stringify(key), func(ctx context.Context) error { return k.refunds.Remove(ctx, key) })
	}
	return max(work, 1)
}

// refundOrder ends at most limit open bids of an order and takes it off the queue when none is left.
func (k *Keeper) refundOrder(ctx context.Context, key types.QueueKey, limit int) (int, error) {
	bids, err := k.openBids(ctx, key.K2(), limit+1)
	if err != nil {
		return 1, err
	}
	rest := len(bids) > limit
	if rest {
		bids = bids[:limit]
	}
	for _, b := range bids {
		if err := k.loseBid(ctx, b); err != nil {
			return len(bids), err
		}
	}
	if rest {
		return len(bids), nil
	}
	return len(bids), k.refunds.Remove(ctx, key)
}

// firstDue lists the entries of a queue up to a height, at most limit of them, in the order of height and order id.
func firstDue(ctx context.Context, queue collections.KeySet[types.QueueKey], last int64, limit int) ([]types.QueueKey, error) {
	var due []types.QueueKey
	if limit <= 0 {
		return nil, nil
	}
	rng := collections.NewPrefixUntilPairRange[int64, types.OrderKey](last)
	err := queue.Walk(ctx, rng, func(key types.QueueKey) (bool, error) {
		due = append(due, key)
		return len(due) >= limit, nil
	})
	return due, err
}
