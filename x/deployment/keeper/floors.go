package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
)

// PruneFloor returns the highest dseq of an owner that was pruned, or 0. No deployment is ever created at or below it,
// so that one which is not there now, read at the same height, never comes again: it is closed for good. Deployments
// below it that still stand keep standing.
func (k *Keeper) PruneFloor(ctx context.Context, owner sdk.AccAddress) (uint64, error) {
	floor, err := k.floors.Get(ctx, owner)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	return floor, errorsmod.Wrapf(err, "read the prune floor of %s", owner)
}

// raiseFloor lifts an owner's floor to dseq, unless it is above it already, and returns it.
func (k *Keeper) raiseFloor(ctx context.Context, owner sdk.AccAddress, dseq uint64) (uint64, error) {
	floor, err := k.PruneFloor(ctx, owner)
	if err != nil || dseq <= floor {
		return floor, err
	}
	return dseq, errorsmod.Wrapf(k.floors.Set(ctx, owner, dseq), "raise the prune floor of %s", owner)
}

// checkDseq refuses a dseq that a new deployment cannot have: one in use, one at or below the owner's floor, or one so
// high that pruning it would leave the owner few to choose from (see types.MaxDseq).
func (k *Keeper) checkDseq(ctx context.Context, id types.DeploymentID) error {
	key, err := id.Key()
	if err != nil {
		return types.ErrInvalidID.Wrap(err.Error())
	}
	used, err := k.deployments.Has(ctx, key)
	if err != nil {
		return errorsmod.Wrapf(err, "read deployment %s", id)
	}
	if used {
		return types.ErrDeploymentExists.Wrap(id.String())
	}
	floor, err := k.PruneFloor(ctx, key.K1())
	if err != nil {
		return err
	}
	if id.Dseq <= floor {
		return types.ErrDeploymentPruned.Wrapf("dseq %d of %s, the floor is %d", id.Dseq, id.Owner, floor)
	}
	if top := types.MaxDseq(sdk.UnwrapSDKContext(ctx).BlockTime()); id.Dseq > top {
		return types.ErrDseqTooHigh.Wrapf("dseq %d of %s, at most %d is allowed now", id.Dseq, id.Owner, top)
	}
	return nil
}
