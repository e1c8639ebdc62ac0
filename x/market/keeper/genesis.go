package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

// InitGenesis writes the state of a validated genesis. Indexes and the auction queue are made from the records: every
// open order of an auction is queued, and one that has had its window and waits for a first bid is found to have
// nothing to match at its next end block.
func (k *Keeper) InitGenesis(ctx context.Context, gs types.GenesisState) error {
	if err := k.params.Set(ctx, gs.Params); err != nil {
		return errorsmod.Wrap(err, "store the market parameters")
	}
	for _, o := range gs.Orders {
		if err := k.putOrder(ctx, o, types.ORDER_STATE_UNSPECIFIED); err != nil {
			return err
		}
		if o.State == types.ORDER_STATE_OPEN && byChain(o) {
			if err := k.queueAuction(ctx, o); err != nil {
				return err
			}
		}
	}
	for _, b := range gs.Bids {
		if err := k.putBid(ctx, b, types.BID_STATE_UNSPECIFIED); err != nil {
			return err
		}
	}
	for _, l := range gs.Leases {
		if err := k.putLease(ctx, l, types.LEASE_STATE_UNSPECIFIED); err != nil {
			return err
		}
	}
	for _, r := range gs.Records {
		provider, err := sdk.AccAddressFromBech32(r.Provider)
		if err != nil {
			return errorsmod.Wrapf(err, "record of %q", r.Provider)
		}
		if err := k.records.Set(ctx, provider, r); err != nil {
			return errorsmod.Wrapf(err, "store the record of %s", r.Provider)
		}
	}
	return nil
}

// ExportGenesis reads the whole state in the order of its keys.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	p, err := k.Params(ctx)
	if err != nil {
		return nil, err
	}
	gs := &types.GenesisState{Params: p}
	err = k.orders.Walk(ctx, nil, func(_ types.OrderKey, o types.Order) (bool, error) {
		gs.Orders = append(gs.Orders, o)
		return false, nil
	})
	if err != nil {
		return nil, errorsmod.Wrap(err, "read orders")
	}
	err = k.bids.Walk(ctx, nil, func(_ types.BidKey, b types.Bid) (bool, error) {
		gs.Bids = append(gs.Bids, b)
		return false, nil
	})
	if err != nil {
		return nil, errorsmod.Wrap(err, "read bids")
	}
	err = k.leases.Walk(ctx, nil, func(_ types.BidKey, l types.Lease) (bool, error) {
		gs.Leases = append(gs.Leases, l)
		return false, nil
	})
	if err != nil {
		return nil, errorsmod.Wrap(err, "read leases")
	}
	err = k.records.Walk(ctx, nil, func(_ sdk.AccAddress, r types.ProviderRecord) (bool, error) {
		gs.Records = append(gs.Records, r)
		return false, nil
	})
	return gs, errorsmod.Wrap(err, "read records")
}
