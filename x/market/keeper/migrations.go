package keeper

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/internal/migrate"
	"berth.dev/berth/x/market/types"
)

// Indexes of the first version of the state, which are gone: open bids, and all bids by provider and state.
var (
	openBidsPrefixV1     = collections.NewPrefix(7)
	providerBidsPrefixV1 = collections.NewPrefix(8)
)

// Migrator brings the module's state from one version to the next.
type Migrator struct{ k *Keeper }

// NewMigrator returns a migrator of the keeper's state.
func NewMigrator(k *Keeper) Migrator { return Migrator{k} }

// Migrate1to2 moves the bids that have ended to a map of their own, and replaces the two indexes of all bids by one of
// the live ones. Living leases freeze the attributes that meet their orders' requirements today. A group whose last order
// closed as the escrow could not pay an auction's winner was left open, without a way to go on: it is paused.
func (m Migrator) Migrate1to2(ctx sdk.Context) error {
	p, err := m.k.Params(ctx)
	if err != nil {
		return err
	}
	if p.MinReclaimWindowSeconds == 0 && p.MaxReclaimWindowSeconds == 0 {
		p.MinReclaimWindowSeconds, p.MaxReclaimWindowSeconds = types.DefaultMinReclaimWindow, types.DefaultMaxReclaimWindow
	}
	if err := m.k.params.Set(ctx, p); err != nil {
		return errorsmod.Wrap(err, "store the market parameters")
	}
	if err := migrate.InPages(ctx, m.k.liveBids, func(key types.BidKey, b types.Bid) error { return m.bid(ctx, key, b) }); err != nil {
		return errorsmod.Wrap(err, "migrate bids")
	}
	if err := m.dropIndexes(ctx); err != nil {
		return errorsmod.Wrap(err, "drop the indexes of the first version")
	}
	if err := migrate.InPages(ctx, m.k.leases, func(key types.BidKey, l types.Lease) error { return m.lease(ctx, key, l) }); err != nil {
		return errorsmod.Wrap(err, "migrate leases")
	}
	err = migrate.InPages(ctx, m.k.orders, func(_ types.OrderKey, o types.Order) error { return m.order(ctx, o) })
	return errorsmod.Wrap(err, "migrate orders")
}

// bid leaves a live bid where it stands, with its entry in the index by provider, and moves any other. The escrow keeps
// one sum of an owner's deposits from now on; the bids that hold them are the live ones.
func (m Migrator) bid(ctx context.Context, key types.BidKey, b types.Bid) error {
	if types.LiveBid(b.State) {
		return m.k.providerBids.Set(ctx, providerBidKey(key))
	}
	if err := m.k.liveBids.Remove(ctx, key); err != nil {
		return err
	}
	return m.k.endedBids.Set(ctx, key, b)
}

func (m Migrator) dropIndexes(ctx context.Context) error {
	sb := collections.NewSchemaBuilder(m.k.store)
	openBids := collections.NewKeySet(sb, openBidsPrefixV1, "open_bids_v1", collections.BytesKey)
	providerBids := collections.NewKeySet(sb, providerBidsPrefixV1, "provider_bids_v1", collections.BytesKey)
	if _, err := sb.Build(); err != nil {
		return err
	}
	if err := openBids.Clear(ctx, nil); err != nil {
		return err
	}
	return providerBids.Clear(ctx, nil)
}

func (m Migrator) lease(ctx context.Context, key types.BidKey, l types.Lease) error {
	if !living(l.State) {
		return nil
	}
	o, err := m.k.Order(ctx, l.Id.OrderID())
	if err != nil {
		return err
	}
	record, err := m.k.providers.Provider(ctx, key.K4())
	if err != nil {
		return errorsmod.Wrapf(err, "the provider of lease %s", l.Id)
	}
	l.Matched = matched(o.Spec.Requirements.Attributes, record.Attributes)
	if err := m.k.leases.Set(ctx, key, l); err != nil {
		return err
	}
	return m.k.moveFrozen(ctx, key, l, types.LEASE_STATE_UNSPECIFIED)
}

// order pauses an open group whose last order is closed.
func (m Migrator) order(ctx context.Context, o types.Order) error {
	if o.State != types.ORDER_STATE_CLOSED {
		return nil
	}
	next := o.Id
	next.Oseq++
	key, err := next.Key()
	if err != nil {
		return err
	}
	if later, err := m.k.orders.Has(ctx, key); err != nil || later {
		return err
	}
	group := deploymenttypes.GroupID{Owner: o.Id.Owner, Dseq: o.Id.Dseq, Gseq: o.Id.Gseq}
	g, err := m.k.deployments.Group(ctx, group)
	if err != nil {
		return err
	}
	if g.State != deploymenttypes.GROUP_STATE_OPEN {
		return nil
	}
	return m.k.deployments.PauseGroup(ctx, group)
}
