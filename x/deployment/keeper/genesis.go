package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// InitGenesis writes the state of a validated genesis; the prune queue follows from the closed deployments.
func (k *Keeper) InitGenesis(ctx context.Context, gs types.GenesisState) error {
	if err := k.params.Set(ctx, gs.Params); err != nil {
		return errorsmod.Wrap(err, "store the deployment parameters")
	}
	for _, d := range gs.Deployments {
		if err := k.setDeployment(ctx, d); err != nil {
			return err
		}
		if d.State != types.DEPLOYMENT_STATE_CLOSED {
			continue
		}
		if err := k.queuePrune(ctx, d); err != nil {
			return err
		}
	}
	for _, g := range gs.Groups {
		if err := k.setGroup(ctx, g); err != nil {
			return err
		}
	}
	for _, f := range gs.Floors {
		owner, err := providertypes.ParseAddress("owner", f.Owner)
		if err != nil {
			return err
		}
		if _, err := k.raiseFloor(ctx, owner, f.Dseq); err != nil {
			return err
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
	err = k.deployments.Walk(ctx, nil, func(_ types.DeploymentKey, d types.Deployment) (bool, error) {
		gs.Deployments = append(gs.Deployments, d)
		return false, nil
	})
	if err != nil {
		return nil, errorsmod.Wrap(err, "read deployments")
	}
	err = k.groups.Walk(ctx, nil, func(_ types.GroupKey, g types.Group) (bool, error) {
		gs.Groups = append(gs.Groups, g)
		return false, nil
	})
	if err != nil {
		return nil, errorsmod.Wrap(err, "read groups")
	}
	err = k.floors.Walk(ctx, nil, func(owner sdk.AccAddress, dseq uint64) (bool, error) {
		gs.Floors = append(gs.Floors, types.PruneFloor{Owner: owner.String(), Dseq: dseq})
		return false, nil
	})
	if err != nil {
		return nil, errorsmod.Wrap(err, "read prune floors")
	}
	return gs, nil
}
