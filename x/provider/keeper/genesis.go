package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/provider/types"
)

// InitGenesis writes the registry of a validated genesis.
func (k *Keeper) InitGenesis(ctx context.Context, gs types.GenesisState) error {
	for _, p := range gs.Providers {
		owner, err := types.ParseAddress("owner", p.Owner)
		if err != nil {
			return err
		}
		if err := k.providers.Set(ctx, owner, p); err != nil {
			return errorsmod.Wrapf(err, "store provider %s", p.Owner)
		}
	}
	for _, key := range gs.GatewayKeys {
		owner, err := types.ParseAddress("owner", key.Owner)
		if err != nil {
			return err
		}
		if err := k.gatewayKeys.Set(ctx, owner, key); err != nil {
			return errorsmod.Wrapf(err, "store the gateway key of %s", key.Owner)
		}
	}
	return nil
}

// ExportGenesis reads the registry in the order of addresses.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	gs := &types.GenesisState{}
	err := k.providers.Walk(ctx, nil, func(_ sdk.AccAddress, p types.Provider) (bool, error) {
		gs.Providers = append(gs.Providers, p)
		return false, nil
	})
	if err != nil {
		return nil, errorsmod.Wrap(err, "read providers")
	}
	err = k.gatewayKeys.Walk(ctx, nil, func(_ sdk.AccAddress, key types.GatewayKey) (bool, error) {
		gs.GatewayKeys = append(gs.GatewayKeys, key)
		return false, nil
	})
	if err != nil {
		return nil, errorsmod.Wrap(err, "read gateway keys")
	}
	return gs, nil
}
