package keeper

import (
	"context"
	"errors"
	"sort"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

// eligible says why an open bid cannot become a lease at this height, or nil. What was true when the bid was made is
// checked again: the provider may have changed since.
func (k *Keeper) eligible(ctx context.Context, o types.Order, b types.Bid) error {
	if expired(b, height(ctx)) {
		return types.ErrBidExpired.Wrapf("bid %s was valid until height %d", b.Id, b.ValidUntil)
	}
	provider, err := sdk.AccAddressFromBech32(b.Id.Provider)
	if err != nil {
		return types.ErrInvalidID.Wrapf("provider %q: %s", b.Id.Provider, err)
	}
	return k.matches(ctx, o, provider)
}

// openLease turns an eligible bid into a lease, which is paid from this height on. All other bids are lost.
func (k *Keeper) openLease(ctx context.Context, o types.Order, b types.Bid) error {
	provider, err := sdk.AccAddressFromBech32(b.Id.Provider)
	if err != nil {
		return types.ErrInvalidID.Wrapf("provider %q: %s", b.Id.Provider, err)
	}
	if err := k.escrow.OpenPayment(ctx, b.Id.PaymentID(), provider, b.Price); err != nil {
		return errorsmod.Wrapf(err, "open the payment of lease %s", b.Id)
	}
	b.State = types.BID_STATE_ACTIVE
	if err := k.putBid(ctx, b, types.BID_STATE_OPEN); err != nil {
		return err
	}
	if _, err := k.loseBids(ctx, o.Id); err != nil {
		return err
	}
	if byChain(o) {
		if err := k.unqueueAuction(ctx, o); err != nil {
			return err
		}
	}
	o.State = types.ORDER_STATE_ACTIVE
	if err := k.putOrder(ctx, o, types.ORDER_STATE_OPEN); err != nil {
		return err
	}
	l := types.Lease{Id: b.Id, State: types.LEASE_STATE_ACTIVE, Price: b.Price, CreatedAt: height(ctx)}
	if err := k.putLease(ctx, l, types.LEASE_STATE_UNSPECIFIED); err != nil {
		return err
	}
	if err := k.countOpened(ctx, provider); err != nil {
		return err
	}
	return emitLease(ctx, l, types.LEASE_STATE_UNSPECIFIED)
}

// closeLease ends one lease, pays it out, and asks for bids on its group again.
func (k *Keeper) closeLease(ctx context.Context, id types.LeaseID, reason types.CloseReason) error {
	if _, err := k.liveLease(ctx, id); err != nil {
		return err
	}
	if err := k.escrow.ClosePayment(ctx, id.PaymentID()); err != nil {
		return errorsmod.Wrapf(err, "close the payment of lease %s", id)
	}
	// The escrow may have found the account dry and suspended the lease meanwhile.
	l, err := k.liveLease(ctx, id)
	if err != nil {
		return err
	}
	o, err := k.Order(ctx, id.OrderID())
	if err != nil {
		return err
	}
	if err := k.endLease(ctx, l, o, reason); err != nil {
		return err
	}
	return k.reopenOrder(ctx, o, id.Provider)
}

func (k *Keeper) liveLease(ctx context.Context, id types.LeaseID) (types.Lease, error) {
	l, err := k.Lease(ctx, id)
	if err == nil && l.State == types.LEASE_STATE_CLOSED {
		return l, types.ErrLeaseClosed.Wrapf("%s was closed at height %d", id, l.ClosedAt)
	}
	return l, err
}

// endLease closes a lease with its bid and its order. Its payment is the caller's concern.
func (k *Keeper) endLease(ctx context.Context, l types.Lease, o types.Order, reason types.CloseReason) error {
	prev := l.State
	l.State, l.ClosedAt, l.Reason = types.LEASE_STATE_CLOSED, height(ctx), reason
	if err := k.putLease(ctx, l, prev); err != nil {
		return err
	}
	if err := k.countClosed(ctx, l); err != nil {
		return err
	}
	if err := emitLease(ctx, l, prev); err != nil {
		return err
	}
	b, err := k.Bid(ctx, l.Id)
	if err != nil {
		return err
	}
	if err := k.endBid(ctx, b, types.BID_STATE_CLOSED, reason); err != nil {
		return err
	}
	return k.closeOrder(ctx, o)
}

// Record returns what the chain remembers of a provider's leases; zeros for one without any.
func (k *Keeper) Record(ctx context.Context, provider sdk.AccAddress) (types.ProviderRecord, error) {
	r, err := k.records.Get(ctx, provider)
	if errors.Is(err, collections.ErrNotFound) {
		return types.ProviderRecord{Provider: provider.String()}, nil
	}
	return r, errorsmod.Wrapf(err, "read the record of %s", provider)
}

func (k *Keeper) countOpened(ctx context.Context, provider sdk.AccAddress) error {
	r, err := k.Record(ctx, provider)
	if err != nil {
		return err
	}
	r.Leases++
	r.Active++
	return k.records.Set(ctx, provider, r)
}

func (k *Keeper) countClosed(ctx context.Context, l types.Lease) error {
	provider, err := sdk.AccAddressFromBech32(l.Id.Provider)
	if err != nil {
		return types.ErrInvalidID.Wrapf("provider %q: %s", l.Id.Provider, err)
	}
	r, err := k.Record(ctx, provider)
	if err != nil {
		return err
	}
	r.Active--
	i := sort.Search(len(r.Closed), func(i int) bool { return r.Closed[i].Reason >= l.Reason })
	if i == len(r.Closed) || r.Closed[i].Reason != l.Reason {
		r.Closed = append(r.Closed, types.ReasonCount{})
		copy(r.Closed[i+1:], r.Closed[i:])
		r.Closed[i] = types.ReasonCount{Reason: l.Reason}
	}
	r.Closed[i].Count++
	return k.records.Set(ctx, provider, r)
}
