// Package keeper stores the provider registry.
package keeper

import (
	"context"
	"errors"

	errorsmod "cosmossdk.io/errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/provider/types"
)

// Keeper reads and writes the registry.
type Keeper struct {
	schema    collections.Schema
	hooks     types.ProviderHooks
	providers collections.Map[sdk.AccAddress, types.Provider]
	// gatewayKeys are of any account, registered as a provider or not.
	gatewayKeys collections.Map[sdk.AccAddress, types.GatewayKey]
}

// NewKeeper returns a keeper over the module's store. It panics if the schema is inconsistent, which is a mistake in
// this package.
func NewKeeper(cdc codec.BinaryCodec, ss store.KVStoreService) *Keeper {
	sb := collections.NewSchemaBuilder(ss)
	k := &Keeper{
		providers:   collections.NewMap(sb, types.ProvidersPrefix, "providers", sdk.AccAddressKey, codec.CollValue[types.Provider](cdc)),
		gatewayKeys: collections.NewMap(sb, types.GatewayKeysPrefix, "gateway_keys", sdk.AccAddressKey, codec.CollValue[types.GatewayKey](cdc)),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(errorsmod.Wrap(err, "build the provider schema"))
	}
	k.schema = schema
	return k
}

// SetHooks names who is asked before a record changes. The app calls it once; without it nobody is asked.
func (k *Keeper) SetHooks(h types.ProviderHooks) { k.hooks = h }

// Provider returns the record of owner, or ErrProviderNotFound.
func (k *Keeper) Provider(ctx context.Context, owner sdk.AccAddress) (types.Provider, error) {
	p, err := k.providers.Get(ctx, owner)
	if errors.Is(err, collections.ErrNotFound) {
		return types.Provider{}, types.ErrProviderNotFound.Wrap(owner.String())
	}
	if err != nil {
		return types.Provider{}, errorsmod.Wrapf(err, "read provider %s", owner)
	}
	return p, nil
}

// GatewayKey returns the gateway key of owner, or ErrNoGatewayKey.
func (k *Keeper) GatewayKey(ctx context.Context, owner sdk.AccAddress) (types.GatewayKey, error) {
	key, err := k.gatewayKeys.Get(ctx, owner)
	if errors.Is(err, collections.ErrNotFound) {
		return types.GatewayKey{}, types.ErrNoGatewayKey.Wrap(owner.String())
	}
	return key, errorsmod.Wrapf(err, "read the gateway key of %s", owner)
}
