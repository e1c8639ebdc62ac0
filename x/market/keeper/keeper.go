// Package keeper stores orders, bids and leases and matches them.
//
// One file holds one idea: placing bids, matching providers, auctions, refunds, counters, reclamation, pruning.
// store.go and bidstore.go are the only ones that write records, so that every index moves with its record.
package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"
	errorsmod "cosmossdk.io/errors"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

// Keeper reads and writes the market.
type Keeper struct {
	store       store.KVStoreService // for migrations, which drop what is gone
	schema      collections.Schema
	escrow      types.EscrowKeeper
	deployments types.DeploymentKeeper
	providers   types.ProviderKeeper
	audits      types.AuditKeeper
	authority   string

	params    collections.Item[types.Params]
	orders    collections.Map[types.OrderKey, types.Order]
	liveBids  collections.Map[types.BidKey, types.Bid]
	endedBids collections.Map[types.BidKey, types.Bid]
	leases    collections.Map[types.BidKey, types.Lease]
	records   collections.Map[sdk.AccAddress, types.ProviderRecord]

	// The indexes. A changed record moves its entries in store.go or bidstore.go and nowhere else.
	openOrders     collections.KeySet[types.OrderKey]
	providerBids   collections.KeySet[types.ProviderBidKey]
	providerLeases collections.KeySet[types.ProviderLeaseKey]
	frozen         collections.KeySet[types.FrozenKey]

	// What waits for an end block.
	auctions collections.KeySet[types.QueueKey]
	refunds  collections.KeySet[types.QueueKey]
	deltas   collections.Map[types.DeltaKey, types.ProviderDelta]
}

// NewKeeper returns a keeper over the module's store; authority is the address that may change parameters. It panics
// if the schema is inconsistent, which is a mistake in this package.
func NewKeeper(cdc codec.BinaryCodec, ss store.KVStoreService, escrow types.EscrowKeeper, deployments types.DeploymentKeeper,
	providers types.ProviderKeeper, audits types.AuditKeeper, authority string,
) *Keeper {
	sb := collections.NewSchemaBuilder(ss)
	k := &Keeper{
		escrow: escrow, deployments: deployments, providers: providers, audits: audits, authority: authority, store: ss,
		params:    collections.NewItem(sb, types.ParamsPrefix, "params", codec.CollValue[types.Params](cdc)),
		orders:    collections.NewMap(sb, types.OrdersPrefix, "orders", types.OrderKeyCodec, codec.CollValue[types.Order](cdc)),
		liveBids:  collections.NewMap(sb, types.LiveBidsPrefix, "live_bids", types.BidKeyCodec, codec.CollValue[types.Bid](cdc)),
		endedBids: collections.NewMap(sb, types.EndedBidsPrefix, "ended_bids", types.BidKeyCodec, codec.CollValue[types.Bid](cdc)),
		leases:    collections.NewMap(sb, types.LeasesPrefix, "leases", types.BidKeyCodec, codec.CollValue[types.Lease](cdc)),
		records:   collections.NewMap(sb, types.RecordsPrefix, "records", sdk.AccAddressKey, codec.CollValue[types.ProviderRecord](cdc)),

		openOrders:     collections.NewKeySet(sb, types.OpenOrdersPrefix, "open_orders", types.OrderKeyCodec),
		providerBids:   collections.NewKeySet(sb, types.ProviderBidsPrefix, "provider_bids", types.ProviderBidKeyCodec),
		providerLeases: collections.NewKeySet(sb, types.ProviderLeasesPrefix, "provider_leases", types.ProviderLeaseKeyCodec),
		frozen:         collections.NewKeySet(sb, types.FrozenPrefix, "frozen_attributes", types.FrozenKeyCodec),

		auctions: collections.NewKeySet(sb, types.AuctionsPrefix, "auctions", types.QueueKeyCodec),
		refunds:  collections.NewKeySet(sb, types.RefundsPrefix, "refunds", types.QueueKeyCodec),
		deltas:   collections.NewMap(sb, types.DeltasPrefix, "deltas", types.DeltaKeyCodec, codec.CollValue[types.ProviderDelta](cdc)),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(fmt.Errorf("build the market schema: %w", err))
	}
	k.schema = schema
	return k
}

// Params returns the parameters.
func (k *Keeper) Params(ctx context.Context) (types.Params, error) {
	p, err := k.params.Get(ctx)
	return p, errorsmod.Wrap(err, "read the market parameters")
}

func height(ctx context.Context) int64 { return sdk.UnwrapSDKContext(ctx).BlockHeight() }

// seconds is the time of the block in seconds since 1970.
func seconds(ctx context.Context) int64 { return sdk.UnwrapSDKContext(ctx).BlockTime().Unix() }
