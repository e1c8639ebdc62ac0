package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// stillMatches says why the provider of an open bid may not run the order's group, or nil. What was true when the bid
// was made is checked again: the provider, or what auditors say of it, may have changed since.
func (k *Keeper) stillMatches(ctx context.Context, o types.Order, b types.Bid) error {
	provider, record, err := k.registered(ctx, b.Id.Provider)
	if err != nil {
		return err
	}
	return k.matches(ctx, o, provider, record.Attributes)
}

// registered reads the present record of a provider.
func (k *Keeper) registered(ctx context.Context, provider string) (sdk.AccAddress, providertypes.Provider, error) {
	address, err := sdk.AccAddressFromBech32(provider)
	if err != nil {
		return nil, providertypes.Provider{}, types.ErrInvalidID.Wrapf("provider %q: %s", provider, err)
	}
	record, err := k.providers.Provider(ctx, address)
	if err != nil {
		return nil, providertypes.Provider{}, types.ErrProviderNotRegistered.Wrap(provider)
	}
	return address, record, nil
}

// openLease turns an eligible bid into a lease, which is paid from this height on. All other bids are lost.
func (k *Keeper) openLease(ctx context.Context, o types.Order, b types.Bid) error {
	provider, record, err := k.registered(ctx, b.Id.Provider)
	if err != nil {
		return err
	}
	if err := k.escrow.OpenPayment(ctx, b.Id.PaymentID(), provider, b.Price); err != nil {
		return errorsmod.Wrapf(err, "open the payment of lease %s", b.Id)
	}
	key, err := b.Id.Key()
	if err != nil {
		return err
	}
	b.State = types.BID_STATE_ACTIVE
	if err := k.liveBids.Set(ctx, key, b); err != nil {
		return errorsmod.Wrapf(err, "store bid %s", b.Id)
	}
	o.State = types.ORDER_STATE_ACTIVE
	if err := k.leaveMarket(ctx, o); err != nil {
		return err
	}
	if err := k.putOrder(ctx, o, types.ORDER_STATE_OPEN); err != nil {
		return err
	}
	l := types.Lease{
		Id: b.Id, State: types.LEASE_STATE_ACTIVE, Price: b.Price, CreatedAt: height(ctx), ReclaimWindowSeconds: b.ReclaimWindowSeconds,
		Matched: matched(o.Spec.Requirements.Attributes, record.Attributes),
	}
	if err := k.putLease(ctx, l, types.LEASE_STATE_UNSPECIFIED); err != nil {
		return err
	}
	if err := k.note(ctx, provider, types.ProviderDelta{Opened: 1}); err != nil {
		return err
	}
	return emitLease(ctx, l, types.LEASE_STATE_UNSPECIFIED)
}

// endPaid pays a living lease out and ends it, with its bid and its order. allow is asked once the escrow has handled
// what was due: it may have found the account dry and suspended the lease.
func (k *Keeper) endPaid(ctx context.Context, id types.LeaseID, reason types.CloseReason, allow func(types.Lease) error) (types.Order, error) {
	if _, err := k.liveLease(ctx, id); err != nil {
		return types.Order{}, err
	}
	if err := k.escrow.ClosePayment(ctx, id.PaymentID()); err != nil {
		return types.Order{}, errorsmod.Wrapf(err, "close the payment of lease %s", id)
	}
	l, err := k.liveLease(ctx, id)
	if err != nil {
		return types.Order{}, err
	}
	if err := allow(l); err != nil {
		return types.Order{}, err
	}
	if reason == types.CLOSE_REASON_UNSPECIFIED {
		reason = l.ReclaimReason
	}
	o, err := k.Order(ctx, id.OrderID())
	if err != nil {
		return types.Order{}, err
	}
	return o, k.endLease(ctx, l, o, reason)
}

func (k *Keeper) liveLease(ctx context.Context, id types.LeaseID) (types.Lease, error) {
	l, err := k.Lease(ctx, id)
	if err == nil && l.State == types.LEASE_STATE_CLOSED {
		return l, types.ErrLeaseClosed.Wrapf("%s was closed at height %d", id, l.ClosedAt)
	}
	return l, err
}

// endLease closes a lease with its bid and its order. Its payment is the caller's concern; the deposit of the bid is
// given back by the end block.
func (k *Keeper) endLease(ctx context.Context, l types.Lease, o types.Order, reason types.CloseReason) error {
	prev := l.State
	l.State, l.ClosedAt, l.Reason = types.LEASE_STATE_CLOSED, height(ctx), reason
	if err := k.putLease(ctx, l, prev); err != nil {
		return err
	}
	if err := emitLease(ctx, l, prev); err != nil {
		return err
	}
	b, err := k.Bid(ctx, l.Id)
	if err != nil {
		return err
	}
	provider, err := k.endBid(ctx, b, types.BID_STATE_CLOSED, reason)
	if err != nil {
		return err
	}
	delta := types.ProviderDelta{Closed: []types.ReasonCount{{Reason: reason, Count: 1}}, Released: []sdk.Coin{b.Deposit}}
	if err := k.note(ctx, provider, delta); err != nil {
		return err
	}
	return k.closeOrder(ctx, o)
}
