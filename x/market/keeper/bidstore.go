package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	"berth.dev/berth/x/market/types"
)

// Live bids (open, active) and ended ones (lost, closed) stand in maps of their own. So an order's live bids are those
// below its prefix, without an index that each bid would write, and whoever leaves ended ones behind makes nothing
// dear. An id stands in one of the two maps at most.

// Bid returns a bid, or ErrBidNotFound.
func (k *Keeper) Bid(ctx context.Context, id types.BidID) (types.Bid, error) {
	key, err := id.Key()
	if err != nil {
		return types.Bid{}, err
	}
	b, err := k.liveBids.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		b, err = k.endedBids.Get(ctx, key)
	}
	return b, found(err, types.ErrBidNotFound, id)
}

// addBid stores a new bid in the place of one that has ended. It fails with ErrBidExists if the provider has a live one.
func (k *Keeper) addBid(ctx context.Context, key types.BidKey, b types.Bid) error {
	live, err := k.liveBids.Has(ctx, key)
	if err != nil {
		return errorsmod.Wrapf(err, "read bid %s", b.Id)
	}
	if live {
		return types.ErrBidExists.Wrap(b.Id.String())
	}
	ended, err := k.endedBids.Has(ctx, key)
	if err != nil {
		return errorsmod.Wrapf(err, "read bid %s", b.Id)
	}
	if ended {
		if err := k.endedBids.Remove(ctx, key); err != nil {
			return errorsmod.Wrapf(err, "replace bid %s", b.Id)
		}
	}
	return k.setLive(ctx, key, b)
}

// setLive stores an open or active bid with its index entry.
func (k *Keeper) setLive(ctx context.Context, key types.BidKey, b types.Bid) error {
	if err := k.liveBids.Set(ctx, key, b); err != nil {
		return errorsmod.Wrapf(err, "store bid %s", b.Id)
	}
	return k.providerBids.Set(ctx, providerBidKey(key))
}

// retire moves a bid that has ended from the live ones to the others.
func (k *Keeper) retire(ctx context.Context, key types.BidKey, b types.Bid) error {
	if err := k.liveBids.Remove(ctx, key); err != nil {
		return errorsmod.Wrapf(err, "end bid %s", b.Id)
	}
	if err := k.providerBids.Remove(ctx, providerBidKey(key)); err != nil {
		return errorsmod.Wrapf(err, "end bid %s", b.Id)
	}
	return errorsmod.Wrapf(k.endedBids.Set(ctx, key, b), "store bid %s", b.Id)
}

func providerBidKey(key types.BidKey) types.ProviderBidKey {
	return collections.Join(key.K4(), types.OrderKeyOf(key))
}

// openBids returns the open bids of an order in the order of the providers' addresses, at most limit of them; 0 is no
// limit.
func (k *Keeper) openBids(ctx context.Context, key types.OrderKey, limit int) ([]types.Bid, error) {
	var bids []types.Bid
	err := k.liveBids.Walk(ctx, bidsOf(key), func(_ types.BidKey, b types.Bid) (bool, error) {
		if b.State == types.BID_STATE_OPEN {
			bids = append(bids, b)
		}
		return limit > 0 && len(bids) >= limit, nil
	})
	return bids, errorsmod.Wrapf(err, "read the open bids of %s", types.OrderKeyCodec.Stringify(key))
}

// CountOpenBids counts the bids of an open order. It reads their keys only, and none of those that have ended: there is
// no end to how many of these a stranger could leave behind.
func (k *Keeper) CountOpenBids(ctx context.Context, key types.OrderKey) (uint32, error) {
	it, err := k.liveBids.Iterate(ctx, bidsOf(key))
	if err != nil {
		return 0, errorsmod.Wrap(err, "count open bids")
	}
	n := uint32(0)
	for ; it.Valid(); it.Next() {
		n++
	}
	return n, errorsmod.Wrap(it.Close(), "count open bids")
}
