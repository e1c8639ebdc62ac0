package keeper

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// bidder is who bids: what one message reads once for all of its bids.
type bidder struct {
	address sdk.AccAddress
	record  providertypes.Provider
	params  types.Params
}

// placeBids takes each bid that can be taken. The deposits of all are held in one, as a transfer costs more than a bid
// does. A provider that cannot pay them all pays for each bid by itself, as far as its balance goes.
func (k *Keeper) placeBids(ctx context.Context, by bidder, items []types.BidItem) []types.ItemResult {
	cached, write := sdk.UnwrapSDKContext(ctx).CacheContext()
	none := func(context.Context, sdk.Coin) error { return nil }
	results := k.eachBid(cached, by, items, none)
	hold := func(ctx context.Context, c sdk.Coin) error {
		return errorsmod.Wrap(k.escrow.Hold(ctx, types.HoldScope, by.address, c), "hold the deposit")
	}
	if !holdAll(cached, items, results, hold) {
		return k.eachBid(ctx, by, items, hold)
	}
	write()
	return results
}

// holdAll holds the deposits of all bids that were taken, one sum for each denom, and says whether that was possible.
func holdAll(ctx context.Context, items []types.BidItem, results []types.ItemResult, hold func(context.Context, sdk.Coin) error) bool {
	var sums []sdk.Coin
	for i, item := range items {
		if results[i].Code != 0 {
			continue
		}
		at := slices.IndexFunc(sums, func(c sdk.Coin) bool { return c.Denom == item.Deposit.Denom })
		if at < 0 {
			sums = append(sums, item.Deposit)
			continue
		}
		sum, err := sums[at].Amount.SafeAdd(item.Deposit.Amount)
		if err != nil {
			return false
		}
		sums[at].Amount = sum
	}
	for _, c := range sums {
		if hold(ctx, c) != nil {
			return false
		}
	}
	return true
}

// eachBid takes each bid in a context of its own.
func (k *Keeper) eachBid(ctx context.Context, by bidder, items []types.BidItem, hold func(context.Context, sdk.Coin) error) []types.ItemResult {
	results := make([]types.ItemResult, len(items))
	for i, item := range items {
		results[i] = result(runItem(ctx, bidGas, "market bid", func(ctx context.Context) error {
			if err := k.placeBid(ctx, by, item); err != nil {
				return err
			}
			return hold(ctx, item.Deposit)
		}))
	}
	return results
}

// placeBid takes one bid: it is checked and makes room if the order is full. Its deposit is held by the caller.
func (k *Keeper) placeBid(ctx context.Context, by bidder, item types.BidItem) error {
	orderKey, err := item.OrderId.Key()
	if err != nil {
		return err
	}
	o, err := k.orders.Get(ctx, orderKey)
	if err != nil {
		return found(err, types.ErrOrderNotFound, item.OrderId)
	}
	if err := k.checkBid(ctx, o, by, item); err != nil {
		return err
	}
	if err := k.makeRoom(ctx, o, orderKey, item.Price, by.params.OrderMaxBids); err != nil {
		return err
	}
	b := types.Bid{
		Id: o.Id.BidID(by.record.Owner), State: types.BID_STATE_OPEN, Price: item.Price, Deposit: item.Deposit,
		ValidUntil: item.ValidUntil, CreatedAt: height(ctx), ReclaimWindowSeconds: item.ReclaimWindowSeconds,
	}
	if err := k.addBid(ctx, types.BidKeyOf(orderKey, by.address), b); err != nil {
		return err
	}
	// After an empty window the entry is gone: the first bid brings it back, and it is due at the end of this block.
	if byChain(o) && height(ctx) > windowEnd(o) {
		if err := k.queueAuction(ctx, o); err != nil {
			return err
		}
	}
	return emitBidCreated(ctx, b)
}

// checkBid says why a bid cannot be taken, or nil.
func (k *Keeper) checkBid(ctx context.Context, o types.Order, by bidder, item types.BidItem) error {
	if err := checkTerms(o, by, item, height(ctx)); err != nil {
		return err
	}
	if late, err := k.overdue(ctx, o); err != nil || late {
		return beingDecided(err, o)
	}
	return k.matches(ctx, o, by.address, by.record.Attributes)
}

// checkTerms says why a bid cannot be taken, or nil. It reads nothing but its arguments.
func checkTerms(o types.Order, by bidder, item types.BidItem, height int64) error {
	switch {
	case o.State != types.ORDER_STATE_OPEN:
		return types.ErrOrderNotOpen.Wrapf("%s is %s", o.Id, o.State)
	case o.Id.Owner == by.record.Owner:
		return types.ErrOwnOrder.Wrap(o.Id.String())
	case o.Excluded == by.record.Owner && height < o.ExcludedUntil:
		return types.ErrExcluded.Wrapf("%s, until height %d", o.Id, o.ExcludedUntil)
	}
	if err := checkPrice(o, item.Price); err != nil {
		return err
	}
	if err := by.params.CheckDeposit(item.Deposit); err != nil {
		return err
	}
	if err := checkValidUntil(o, item.ValidUntil, height); err != nil {
		return err
	}
	if err := checkNotice(o, by.params, item.ReclaimWindowSeconds); err != nil {
		return err
	}
	if len(item.Offer) == 0 {
		return nil
	}
	return types.CheckOffer(item.Offer, o.Spec.Units)
}

func beingDecided(err error, o types.Order) error {
	if err != nil {
		return err
	}
	return types.ErrBeingDecided.Wrap(o.Id.String())
}

// checkNotice refuses a notice that is shorter than what the order asks for, or that the parameters do not allow.
func checkNotice(o types.Order, p types.Params, window uint32) error {
	if least := o.Reclamation.MinWindowSeconds; window < least {
		return types.ErrReclaimWindow.Wrapf("%d seconds on %s, which asks for %d", window, o.Id, least)
	}
	return p.CheckReclaimWindow(window)
}

func checkPrice(o types.Order, price sdk.DecCoin) error {
	limit := o.Spec.Price()
	switch {
	case price.Denom != limit.Denom:
		return types.ErrInvalidPrice.Wrapf("%s on %s: its denom is %s", price, o.Id, limit.Denom)
	case price.Amount.GT(limit.Amount):
		return types.ErrPriceTooHigh.Wrapf("%s on %s: its maximum is %s", price, o.Id, limit)
	}
	return nil
}

// checkValidUntil refuses a bid that could never be chosen. In an auction that is one which ends before the window
// does: it could still drive out others that could be chosen.
func checkValidUntil(o types.Order, until, height int64) error {
	switch {
	case until == 0:
		return nil
	case until <= height:
		return types.ErrBidExpired.Wrapf("valid_until %d at height %d on %s", until, height, o.Id)
	case byChain(o) && until < windowEnd(o):
		return types.ErrBidExpired.Wrapf("valid_until %d on %s, whose window ends at height %d", until, o.Id, windowEnd(o))
	}
	return nil
}

// makeRoom makes a bid lose if the order has as many as it can take: one that has expired, else the worst one, if the
// new price is strictly below its price.
func (k *Keeper) makeRoom(ctx context.Context, o types.Order, key types.OrderKey, price sdk.DecCoin, limit uint32) error {
	n, err := k.CountOpenBids(ctx, key)
	if err != nil || n < limit {
		return err
	}
	bids, err := k.openBids(ctx, key, 0)
	if err != nil {
		return err
	}
	worst := bids[0]
	for _, b := range bids {
		if expired(b, height(ctx)) {
			return k.evict(ctx, b)
		}
		if ranking(worst, b) < 0 {
			worst = b
		}
	}
	if !price.Amount.LT(worst.Price.Amount) {
		return types.ErrBidsFull.Wrapf("%s has %d bids, the highest is %s", o.Id, n, worst.Price)
	}
	return k.evict(ctx, worst)
}

// expired says whether a bid can no longer become a lease at a height.
func expired(b types.Bid, height int64) bool { return b.ValidUntil != 0 && b.ValidUntil < height }

// ranking compares two bids of an order, the better one first: the lower price, then the earlier bid, then the smaller
// address (of its bytes).
func ranking(a, b types.Bid) int {
	if c := a.Price.Amount.BigInt().Cmp(b.Price.Amount.BigInt()); c != 0 {
		return c
	}
	if a.CreatedAt != b.CreatedAt {
		return cmp.Compare(a.CreatedAt, b.CreatedAt)
	}
	return bytes.Compare(sdk.MustAccAddressFromBech32(a.Id.Provider), sdk.MustAccAddressFromBech32(b.Id.Provider))
}

// endBid ends a live bid. What becomes of its deposit is the caller's concern.
func (k *Keeper) endBid(ctx context.Context, b types.Bid, state types.BidState, reason types.CloseReason) (sdk.AccAddress, error) {
	key, err := b.Id.Key()
	if err != nil {
		return nil, err
	}
	b.State, b.ClosedAt, b.Reason = state, height(ctx), reason
	if err := k.retire(ctx, key, b); err != nil {
		return nil, err
	}
	return key.K4(), emitBidClosed(ctx, b)
}

// evict makes a bid lose in another provider's transaction: the end block gives the deposit back.
func (k *Keeper) evict(ctx context.Context, b types.Bid) error {
	provider, err := k.endBid(ctx, b, types.BID_STATE_LOST, types.CLOSE_REASON_UNSPECIFIED)
	if err != nil {
		return err
	}
	return k.note(ctx, provider, types.ProviderDelta{Released: []sdk.Coin{b.Deposit}})
}

// loseBid makes a bid lose in the end block.
func (k *Keeper) loseBid(ctx context.Context, b types.Bid) error {
	return k.endAndRelease(ctx, b, types.BID_STATE_LOST)
}

func (k *Keeper) endAndRelease(ctx context.Context, b types.Bid, state types.BidState) error {
	provider, err := k.endBid(ctx, b, state, types.CLOSE_REASON_UNSPECIFIED)
	if err != nil {
		return err
	}
	return errorsmod.Wrapf(k.escrow.Release(ctx, types.HoldScope, provider, b.Deposit), "release the deposit of bid %s", b.Id)
}

// withdrawBid closes a provider's open bid at its own wish. One on an order that is no longer open need not wait for
// its refund.
func (k *Keeper) withdrawBid(ctx context.Context, id types.BidID) error {
	b, err := k.Bid(ctx, id)
	if err != nil {
		return err
	}
	if b.State != types.BID_STATE_OPEN {
		return types.ErrBidNotOpen.Wrapf("%s is %s", id, b.State)
	}
	o, err := k.Order(ctx, id.OrderID())
	if err != nil {
		return err
	}
	if byChain(o) && o.State == types.ORDER_STATE_OPEN && height(ctx) <= windowEnd(o) {
		return types.ErrWindowOpen.Wrapf("%s, at height %d", o.Id, windowEnd(o))
	}
	if late, err := k.overdue(ctx, o); err != nil || late {
		return beingDecided(err, o)
	}
	return k.endAndRelease(ctx, b, types.BID_STATE_CLOSED)
}
