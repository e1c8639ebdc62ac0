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
	return nil
}

// ExportGenesis reads the registry in the order of addresses.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	gs := &types.GenesisState{}
	err := k.providers.Walk(ctx, nil, func(_ sdk.AccAddress, p types.Provider) (bool, error) {
		gs.Providers = append(gs.Providers, p)
		return false, nil
	})
	return gs, err
}
