package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/typedevent"
	"berth.dev/berth/x/deployment/types"
)

// create stores a deployment with one open group for each spec, opens its escrow account and tells the market.
// Everything has been validated.
func (k *Keeper) create(ctx context.Context, msg *types.MsgCreateDeployment) error {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	h := sdkCtx.BlockHeight()
	d := types.Deployment{
		Id: msg.Id, State: types.DEPLOYMENT_STATE_ACTIVE, ManifestHash: msg.ManifestHash,
		Auction: msg.Auction.Normal(), CreatedAt: h, UpdatedAt: h,
		Reclamation: msg.Reclamation,
	}
	owner, err := sdk.AccAddressFromBech32(msg.Id.Owner)
	if err != nil {
		return err
	}
	if err := k.escrow.OpenAccount(ctx, d.Id.EscrowID(), owner, msg.Deposit, msg.DepositSources); err != nil {
		return errorsmod.Wrapf(err, "open the escrow account of %s", d.Id)
	}
	if err := k.setDeployment(ctx, d); err != nil {
		return err
	}
	groups := make([]types.Group, len(msg.Groups))
	for i, spec := range msg.Groups {
		groups[i] = types.Group{
			Id:    types.GroupID{Owner: d.Id.Owner, Dseq: d.Id.Dseq, Gseq: uint32(i) + 1},
			State: types.GROUP_STATE_OPEN, Spec: spec, CreatedAt: h,
		}
		if err := k.setGroup(ctx, groups[i]); err != nil {
			return err
		}
	}
	if err := typedevent.Emit(ctx, createdEvent(d, groups)); err != nil {
		return errorsmod.Wrapf(err, "emit the creation of %s", d.Id)
	}
	if k.hooks == nil {
		return nil
	}
	return k.hooks.AfterDeploymentCreated(ctx, d, groups)
}

func createdEvent(d types.Deployment, groups []types.Group) *types.EventDeploymentCreated {
	ev := &types.EventDeploymentCreated{Owner: d.Id.Owner, Dseq: d.Id.Dseq, Deployment: d, Groups: make([]types.Group, len(groups))}
	for i, g := range groups {
		ev.Groups[i] = named(g)
	}
	return ev
}

// close ends an active deployment: first what stands on it, then its groups and itself. The escrow account is closed
// by the caller, or was closed before.
func (k *Keeper) close(ctx context.Context, d types.Deployment, cause types.CloseCause) error {
	if k.hooks != nil {
		if err := k.hooks.BeforeDeploymentClosed(ctx, d, cause); err != nil {
			return errorsmod.Wrapf(err, "end what stands on %s", d.Id)
		}
	}
	groups, err := k.Groups(ctx, d.Id)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.State == types.GROUP_STATE_CLOSED {
			continue
		}
		g.State = types.GROUP_STATE_CLOSED
		if err := k.setGroup(ctx, g); err != nil {
			return err
		}
	}
	p, err := k.Params(ctx)
	if err != nil {
		return err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	d.State = types.DEPLOYMENT_STATE_CLOSED
	d.ClosedAt = sdkCtx.BlockHeight()
	d.PruneAt = d.ClosedAt + p.RetentionBlocks
	if err := k.setDeployment(ctx, d); err != nil {
		return err
	}
	if err := k.queuePrune(ctx, d); err != nil {
		return err
	}
	return typedevent.Emit(ctx, &types.EventDeploymentClosed{Owner: d.Id.Owner, Dseq: d.Id.Dseq, Deployment: d})
}

// active returns a deployment that is not closed.
func (k *Keeper) active(ctx context.Context, id types.DeploymentID) (types.Deployment, error) {
	d, err := k.Deployment(ctx, id)
	if err != nil {
		return types.Deployment{}, err
	}
	if d.State != types.DEPLOYMENT_STATE_ACTIVE {
		return types.Deployment{}, types.ErrDeploymentClosed.Wrapf("%s was closed at height %d", id, d.ClosedAt)
	}
	return d, nil
}
