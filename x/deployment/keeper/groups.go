package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/internal/typedevent"
	"berth.dev/berth/x/deployment/types"
)

// PauseGroup pauses an open group without telling the market, which calls it when it has ended the group's order
// itself.
func (k *Keeper) PauseGroup(ctx context.Context, id types.GroupID) error {
	g, err := k.Group(ctx, id)
	if err != nil {
		return err
	}
	if g.State != types.GROUP_STATE_OPEN {
		return types.ErrGroupNotOpen.Wrapf("%s is %s", id, g.State)
	}
	return k.moveGroup(ctx, g, types.GROUP_STATE_PAUSED)
}

// stopGroup ends what stands on an open group of an active deployment, then pauses or closes it.
func (k *Keeper) stopGroup(ctx context.Context, d types.Deployment, g types.Group, to types.GroupState) error {
	if k.hooks != nil {
		if err := k.hooks.BeforeGroupStopped(ctx, d, g); err != nil {
			return errorsmod.Wrapf(err, "end what stands on group %s", g.Id)
		}
	}
	// To end the lease's payment is to settle the account, and if its grace period has ended that closes the whole
	// deployment. Then the message fails, and the end block closes it.
	if _, err := k.active(ctx, d.Id); err != nil {
		return err
	}
	return k.moveGroup(ctx, g, to)
}

// startGroup opens a paused group of an active deployment: the market opens its next order.
func (k *Keeper) startGroup(ctx context.Context, d types.Deployment, g types.Group) error {
	if err := k.moveGroup(ctx, g, types.GROUP_STATE_OPEN); err != nil {
		return err
	}
	if k.hooks == nil {
		return nil
	}
	g.State = types.GROUP_STATE_OPEN
	return errorsmod.Wrapf(k.hooks.AfterGroupStarted(ctx, d, g), "start group %s", g.Id)
}

// moveGroup stores a group in another state and tells of it.
func (k *Keeper) moveGroup(ctx context.Context, g types.Group, to types.GroupState) error {
	g.State = to
	if err := k.setGroup(ctx, g); err != nil {
		return err
	}
	err := typedevent.Emit(ctx, groupEvent(g))
	return errorsmod.Wrapf(err, "tell of group %s", g.Id)
}

// groupEvent is the event that fits a group's new state.
func groupEvent(g types.Group) proto.Message {
	g = named(g)
	switch g.State {
	case types.GROUP_STATE_PAUSED:
		return &types.EventGroupPaused{Owner: g.Id.Owner, Dseq: g.Id.Dseq, Group: g}
	case types.GROUP_STATE_CLOSED:
		return &types.EventGroupClosed{Owner: g.Id.Owner, Dseq: g.Id.Dseq, Group: g}
	}
	return &types.EventGroupStarted{Owner: g.Id.Owner, Dseq: g.Id.Dseq, Group: g}
}

// named leaves out a group's units and requirements. They stand whole in the event of the group's order, and twenty of
// them would not fit into one attribute.
func named(g types.Group) types.Group {
	g.Spec = types.GroupSpec{Name: g.Spec.Name}
	return g
}

// groupOf returns a group with its deployment, which must be active.
func (k *Keeper) groupOf(ctx context.Context, id types.GroupID) (types.Deployment, types.Group, error) {
	d, err := k.active(ctx, id.DeploymentID())
	if err != nil {
		return types.Deployment{}, types.Group{}, err
	}
	g, err := k.Group(ctx, id)
	return d, g, err
}
