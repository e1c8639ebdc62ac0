package keeper

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

// InitGenesis writes the state of a validated genesis. Indexes and queues are made from the records: every open order
// of an auction is queued, and one that has had its window and waits for a first bid is found to have nothing to match
// at its next end block; an order that is not open but has open bids waits for their refunds.
func (k *Keeper) InitGenesis(ctx context.Context, gs types.GenesisState) error {
	if err := k.params.Set(ctx, gs.Params); err != nil {
		return errorsmod.Wrap(err, "store the market parameters")
	}
	for _, o := range gs.Orders {
		if err := k.putOrder(ctx, o, types.ORDER_STATE_UNSPECIFIED); err != nil {
			return err
		}
	}
	for _, b := range gs.Bids {
		if err := k.initBid(ctx, b); err != nil {
			return err
		}
	}
	for _, l := range gs.Leases {
		if err := k.putLease(ctx, l, types.LEASE_STATE_UNSPECIFIED); err != nil {
			return err
		}
	}
	for _, o := range gs.Orders {
		if err := k.initQueues(ctx, o); err != nil {
			return err
		}
	}
	return k.initRecords(ctx, gs)
}

func (k *Keeper) initBid(ctx context.Context, b types.Bid) error {
	key, err := b.Id.Key()
	if err != nil {
		return err
	}
	if types.LiveBid(b.State) {
		return k.setLive(ctx, key, b)
	}
	return errorsmod.Wrapf(k.endedBids.Set(ctx, key, b), "store bid %s", b.Id)
}

func (k *Keeper) initQueues(ctx context.Context, o types.Order) error {
	if o.State == types.ORDER_STATE_OPEN {
		if byChain(o) {
			return k.queueAuction(ctx, o)
		}
		return nil
	}
	key, err := o.Id.Key()
	if err != nil {
		return err
	}
	return k.queueRefunds(ctx, key)
}

func (k *Keeper) initRecords(ctx context.Context, gs types.GenesisState) error {
	for _, r := range gs.Records {
		provider, err := sdk.AccAddressFromBech32(r.Provider)
		if err != nil {
			return types.ErrInvalidID.Wrapf("record of %q: %s", r.Provider, err)
		}
		if err := k.records.Set(ctx, provider, r); err != nil {
			return errorsmod.Wrapf(err, "store the record of %s", r.Provider)
		}
	}
	for _, d := range gs.Deltas {
		provider, err := sdk.AccAddressFromBech32(d.Provider)
		if err != nil {
			return types.ErrInvalidID.Wrapf("delta of %q: %s", d.Provider, err)
		}
		if err := k.note(ctx, provider, d); err != nil {
			return err
		}
	}
	return nil
}

// ExportGenesis reads the whole state in the order of its keys, live bids before those that have ended.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	p, err := k.Params(ctx)
	if err != nil {
		return nil, err
	}
	gs := &types.GenesisState{Params: p}
	if gs.Orders, err = values(ctx, k.orders, gs.Orders); err != nil {
		return nil, errorsmod.Wrap(err, "read orders")
	}
	if gs.Bids, err = values(ctx, k.liveBids, gs.Bids); err != nil {
		return nil, errorsmod.Wrap(err, "read live bids")
	}
	if gs.Bids, err = values(ctx, k.endedBids, gs.Bids); err != nil {
		return nil, errorsmod.Wrap(err, "read ended bids")
	}
	if gs.Leases, err = values(ctx, k.leases, gs.Leases); err != nil {
		return nil, errorsmod.Wrap(err, "read leases")
	}
	if gs.Records, err = values(ctx, k.records, gs.Records); err != nil {
		return nil, errorsmod.Wrap(err, "read records")
	}
	waiting, err := k.pendingDeltas(ctx)
	for _, w := range waiting {
		gs.Deltas = append(gs.Deltas, w.sum)
	}
	return gs, err
}

// values appends all values of a map to a list.
func values[K, V any](ctx context.Context, m collections.Map[K, V], to []V) ([]V, error) {
	err := m.Walk(ctx, nil, func(_ K, v V) (bool, error) {
		to = append(to, v)
		return false, nil
	})
	return to, err
}
