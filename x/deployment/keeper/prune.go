package keeper

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/typedevent"
	"berth.dev/berth/x/deployment/types"
)

// EndBlock removes closed deployments whose retention has ended, in the order of the queue, with all that belonged to
// them. It removes at most max_prune_per_block records; what is left goes on in the next block.
func (k *Keeper) EndBlock(ctx context.Context) error {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	p, err := k.Params(ctx)
	if err != nil {
		return err
	}
	budget := int(p.MaxPrunePerBlock)
	due, err := k.duePrunes(ctx, sdkCtx.BlockHeight(), budget)
	if err != nil {
		return err
	}
	for _, id := range due {
		if budget <= 0 {
			return nil
		}
		d, err := k.Deployment(ctx, id)
		if err != nil {
			return err
		}
		cached, write := sdkCtx.CacheContext()
		removed, err := k.prune(cached, d, budget)
		if err != nil {
			// One deployment that cannot be removed must neither stop the chain nor hold up the queue.
			sdkCtx.Logger().Error("a closed deployment cannot be pruned; it is tried again after its retention", "deployment", id.String(), "error", err)
			if err := k.postponePrune(ctx, d, p.RetentionBlocks); err != nil {
				return err
			}
			budget--
			continue
		}
		write()
		// An attempt costs one even if nothing could go yet.
		budget -= max(1, removed)
	}
	return nil
}

// duePrunes returns at most limit deployments that are due at a height.
func (k *Keeper) duePrunes(ctx context.Context, height int64, limit int) ([]types.DeploymentID, error) {
	var due []types.DeploymentID
	err := k.pruneQueue.Walk(ctx, nil, func(key types.PruneKey) (bool, error) {
		if key.K1() > height || len(due) == limit {
			return true, nil
		}
		due = append(due, types.DeploymentID{Owner: key.K2().String(), Dseq: key.K3()})
		return false, nil
	})
	return due, errorsmod.Wrap(err, "read the prune queue")
}

// prune removes at most limit records of a closed deployment and returns how many. The market's go first, then the
// escrow's. The deployment and its groups go with the last of them, all at once, and raise the owner's floor: so the
// chain never lacks a deployment's account, nor a deployment that is not below the floor.
func (k *Keeper) prune(ctx context.Context, d types.Deployment, limit int) (int, error) {
	removed := 0
	if k.hooks != nil {
		n, done, err := k.hooks.PruneDeployment(ctx, d, limit)
		if err != nil || !done {
			return n, errorsmod.Wrapf(err, "prune what stood on %s", d.Id)
		}
		removed = n
	}
	groups, err := k.Groups(ctx, d.Id)
	if err != nil {
		return removed, err
	}
	own := len(groups) + 1
	if limit-removed <= own {
		return removed, nil
	}
	n, done, err := k.escrow.PruneAccount(ctx, d.Id.EscrowID(), limit-removed-own)
	removed += n
	if err != nil || !done {
		return removed, errorsmod.Wrapf(err, "prune the escrow account of %s", d.Id)
	}
	return removed + own, k.remove(ctx, d, groups)
}

// remove takes a closed deployment and its groups out of the state and raises the owner's floor.
func (k *Keeper) remove(ctx context.Context, d types.Deployment, groups []types.Group) error {
	for _, g := range groups {
		key, err := g.Id.Key()
		if err != nil {
			return err
		}
		if err := k.groups.Remove(ctx, key); err != nil {
			return errorsmod.Wrapf(err, "remove group %s", g.Id)
		}
	}
	key, err := d.Id.Key()
	if err != nil {
		return err
	}
	if err := k.deployments.Remove(ctx, key); err != nil {
		return errorsmod.Wrapf(err, "remove deployment %s", d.Id)
	}
	if err := k.unqueuePrune(ctx, d); err != nil {
		return err
	}
	floor, err := k.raiseFloor(ctx, key.K1(), d.Id.Dseq)
	if err != nil {
		return err
	}
	ev := &types.EventDeploymentPruned{Owner: d.Id.Owner, Dseq: d.Id.Dseq, Floor: floor}
	return typedevent.Emit(ctx, ev)
}

// postponePrune moves a deployment to a later place in the queue.
func (k *Keeper) postponePrune(ctx context.Context, d types.Deployment, blocks int64) error {
	if err := k.unqueuePrune(ctx, d); err != nil {
		return err
	}
	d.PruneAt = sdk.UnwrapSDKContext(ctx).BlockHeight() + blocks
	if err := k.setDeployment(ctx, d); err != nil {
		return err
	}
	return k.queuePrune(ctx, d)
}

func (k *Keeper) queuePrune(ctx context.Context, d types.Deployment) error {
	key, err := pruneKey(d)
	if err != nil {
		return err
	}
	return errorsmod.Wrapf(k.pruneQueue.Set(ctx, key), "queue %s for pruning", d.Id)
}

func (k *Keeper) unqueuePrune(ctx context.Context, d types.Deployment) error {
	key, err := pruneKey(d)
	if err != nil {
		return err
	}
	return errorsmod.Wrapf(k.pruneQueue.Remove(ctx, key), "take %s out of the prune queue", d.Id)
}

func pruneKey(d types.Deployment) (types.PruneKey, error) {
	key, err := d.Id.Key()
	return collections.Join3(d.PruneAt, key.K1(), key.K2()), err
}
