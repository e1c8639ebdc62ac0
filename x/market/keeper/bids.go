package keeper

import (
	"bytes"
	"context"
	"errors"

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

// placeBid takes one bid: it is checked, makes room if the order is full, and its deposit is held.
func (k *Keeper) placeBid(ctx context.Context, by bidder, item types.BidItem) error {
	o, err := k.Order(ctx, item.OrderId)
	if err != nil {
		return err
	}
	if err := checkBid(o, by, item, height(ctx)); err != nil {
		return err
	}
	id := o.Id.BidID(by.record.Owner)
	prev, err := k.previousBid(ctx, id)
	if err != nil {
		return err
	}
	if err := k.makeRoom(ctx, o, item.Price, by.params.OrderMaxBids); err != nil {
		return err
	}
	b := types.Bid{
		Id: id, State: types.BID_STATE_OPEN, Price: item.Price, Deposit: item.Deposit,
		ValidUntil: item.ValidUntil, CreatedAt: height(ctx),
	}
	if err := k.putBid(ctx, b, prev); err != nil {
		return err
	}
	if err := k.escrow.Hold(ctx, types.HoldScope, by.address, item.Deposit); err != nil {
		return errorsmod.Wrapf(err, "hold the deposit of bid %s", id)
	}
	// After an empty window the entry is gone: the first bid brings it back, and it is due at the end of this block.
	if byChain(o) && height(ctx) > windowEnd(o) {
		if err := k.queueAuction(ctx, o); err != nil {
			return err
		}
	}
	return emitBidCreated(ctx, b)
}

// checkBid says why a bid cannot be taken, or nil. It reads nothing but its arguments.
func checkBid(o types.Order, by bidder, item types.BidItem, height int64) error {
	switch {
	case o.State != types.ORDER_STATE_OPEN:
		return types.ErrOrderNotOpen.Wrapf("%s is %s", o.Id, o.State)
	case o.Id.Owner == by.record.Owner:
		return types.ErrOwnOrder.Wrap(o.Id.String())
	case o.Excluded == by.record.Owner && height < o.ExcludedUntil:
		return types.ErrExcluded.Wrapf("%s, until height %d", o.Id, o.ExcludedUntil)
	}
	if err := checkPlacement(o, by.record.Attributes); err != nil {
		return err
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
	if len(item.Offer) == 0 {
		return nil
	}
	return types.CheckOffer(item.Offer, o.Spec.Units)
}

// checkPlacement says whether attributes meet what an order requires of a provider. No module keeps auditors'
// signatures, so no provider meets an order that asks for them.
func checkPlacement(o types.Order, have []providertypes.Attribute) error {
	req := o.Spec.Requirements
	if len(req.SignedBy.AllOf)+len(req.SignedBy.AnyOf) > 0 {
		return types.ErrNotAudited.Wrap(o.Id.String())
	}
	if !providertypes.MatchAttributes(req.Attributes, have) {
		return types.ErrAttributes.Wrap(o.Id.String())
	}
	return nil
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

// previousBid returns the state of a bid that the provider made on the order before; a new one replaces it unless it
// is open.
func (k *Keeper) previousBid(ctx context.Context, id types.BidID) (types.BidState, error) {
	old, err := k.Bid(ctx, id)
	if errors.Is(err, types.ErrBidNotFound) {
		return types.BID_STATE_UNSPECIFIED, nil
	}
	if err != nil {
		return types.BID_STATE_UNSPECIFIED, err
	}
	if old.State == types.BID_STATE_OPEN || old.State == types.BID_STATE_ACTIVE {
		return types.BID_STATE_UNSPECIFIED, types.ErrBidExists.Wrap(id.String())
	}
	return old.State, nil
}

// makeRoom makes a bid lose if the order has as many as it can take: one that has expired, else the worst one, if the
// new price is strictly below its price.
func (k *Keeper) makeRoom(ctx context.Context, o types.Order, price sdk.DecCoin, limit uint32) error {
	n, err := k.CountOpenBids(ctx, o.Id)
	if err != nil || n < limit {
		return err
	}
	bids, err := k.orderBids(ctx, o.Id)
	if err != nil {
		return err
	}
	worst := bids[0]
	for _, b := range bids {
		if expired(b, height(ctx)) {
			return k.endBid(ctx, b, types.BID_STATE_LOST, types.CLOSE_REASON_UNSPECIFIED)
		}
		if better(worst, b) {
			worst = b
		}
	}
	if !price.Amount.LT(worst.Price.Amount) {
		return types.ErrBidsFull.Wrapf("%s has %d bids, the highest is %s", o.Id, n, worst.Price)
	}
	return k.endBid(ctx, worst, types.BID_STATE_LOST, types.CLOSE_REASON_UNSPECIFIED)
}

// expired says whether a bid can no longer become a lease at a height.
func expired(b types.Bid, height int64) bool { return b.ValidUntil != 0 && b.ValidUntil < height }

// better says whether a wins over b: the lower price, then the earlier bid, then the smaller address (of its bytes).
func better(a, b types.Bid) bool {
	if !a.Price.Amount.Equal(b.Price.Amount) {
		return a.Price.Amount.LT(b.Price.Amount)
	}
	if a.CreatedAt != b.CreatedAt {
		return a.CreatedAt < b.CreatedAt
	}
	return bytes.Compare(sdk.MustAccAddressFromBech32(a.Id.Provider), sdk.MustAccAddressFromBech32(b.Id.Provider)) < 0
}

// endBid ends an open or active bid and gives its deposit back.
func (k *Keeper) endBid(ctx context.Context, b types.Bid, state types.BidState, reason types.CloseReason) error {
	prev := b.State
	b.State, b.ClosedAt, b.Reason = state, height(ctx), reason
	if err := k.putBid(ctx, b, prev); err != nil {
		return err
	}
	provider, err := sdk.AccAddressFromBech32(b.Id.Provider)
	if err != nil {
		return types.ErrInvalidID.Wrapf("provider %q: %s", b.Id.Provider, err)
	}
	if err := k.escrow.Release(ctx, types.HoldScope, provider, b.Deposit); err != nil {
		return errorsmod.Wrapf(err, "release the deposit of bid %s", b.Id)
	}
	return emitBidClosed(ctx, b)
}

// loseBids ends all open bids of an order as lost and returns how many there were.
func (k *Keeper) loseBids(ctx context.Context, id types.OrderID) (int, error) {
	bids, err := k.orderBids(ctx, id)
	if err != nil {
		return 0, err
	}
	for _, b := range bids {
		if err := k.endBid(ctx, b, types.BID_STATE_LOST, types.CLOSE_REASON_UNSPECIFIED); err != nil {
			return 0, err
		}
	}
	return len(bids), nil
}

// withdrawBid closes a provider's open bid at its own wish.
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
	if byChain(o) && height(ctx) <= windowEnd(o) {
		return types.ErrWindowOpen.Wrapf("%s, at height %d", o.Id, windowEnd(o))
	}
	return k.endBid(ctx, b, types.BID_STATE_CLOSED, types.CLOSE_REASON_UNSPECIFIED)
}
