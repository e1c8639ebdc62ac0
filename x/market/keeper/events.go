package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/typedevent"
	"berth.dev/berth/x/market/types"
)

// orderSlack is left free in the first event of an order for what its later events add (closed_at, a longer oseq).
const orderSlack = 256

func emit(ctx context.Context, ev proto.Message) error {
	return errorsmod.Wrap(typedevent.Emit(ctx, ev), "emit an event")
}

// emitOrderCreated emits the event of a new order and refuses one whose object would be too large for it: followers
// and indexes of the chain read whole objects from events.
func emitOrderCreated(ctx context.Context, o types.Order) error {
	ev, err := typedevent.Encode(&types.EventOrderCreated{Owner: o.Id.Owner, Dseq: o.Id.Dseq, Order: o})
	if err != nil {
		return errorsmod.Wrapf(err, "encode order %s", o.Id)
	}
	for _, a := range ev.Attributes {
		if len(a.Value) > types.MaxObjectBytes-orderSlack {
			return types.ErrOrderTooLarge.Wrapf("group %d takes %d bytes as JSON, %d are allowed", o.Id.Gseq, len(a.Value), types.MaxObjectBytes-orderSlack)
		}
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(ev)
	return nil
}

func emitOrderClosed(ctx context.Context, o types.Order) error {
	return emit(ctx, &types.EventOrderClosed{Owner: o.Id.Owner, Dseq: o.Id.Dseq, Order: o})
}

func emitBidCreated(ctx context.Context, b types.Bid) error {
	return emit(ctx, &types.EventBidCreated{Owner: b.Id.Owner, Dseq: b.Id.Dseq, Provider: b.Id.Provider, Bid: b})
}

func emitBidClosed(ctx context.Context, b types.Bid) error {
	return emit(ctx, &types.EventBidClosed{Owner: b.Id.Owner, Dseq: b.Id.Dseq, Provider: b.Id.Provider, Bid: b})
}

// emitLease emits the event that fits the lease's new state.
func emitLease(ctx context.Context, l types.Lease, prev types.LeaseState) error {
	owner, dseq, provider := l.Id.Owner, l.Id.Dseq, l.Id.Provider
	switch {
	case l.State == types.LEASE_STATE_CLOSED:
		return emit(ctx, &types.EventLeaseClosed{Owner: owner, Dseq: dseq, Provider: provider, Lease: l})
	case l.State == types.LEASE_STATE_SUSPENDED:
		return emit(ctx, &types.EventLeaseSuspended{Owner: owner, Dseq: dseq, Provider: provider, Lease: l})
	case prev == types.LEASE_STATE_SUSPENDED:
		return emit(ctx, &types.EventLeaseResumed{Owner: owner, Dseq: dseq, Provider: provider, Lease: l})
	case l.State == types.LEASE_STATE_RECLAIMING:
		return emit(ctx, &types.EventLeaseReclaiming{Owner: owner, Dseq: dseq, Provider: provider, Lease: l})
	}
	return emit(ctx, &types.EventLeaseCreated{Owner: owner, Dseq: dseq, Provider: provider, Lease: l})
}
