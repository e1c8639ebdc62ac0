package keeper

import (
	"bytes"
	"context"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/typedevent"
	"berth.dev/berth/x/deployment/types"
)

type msgServer struct{ *Keeper }

// NewMsgServer returns the transaction service over k.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

// CreateDeployment opens a deployment.
func (m msgServer) CreateDeployment(ctx context.Context, msg *types.MsgCreateDeployment) (*types.MsgCreateDeploymentResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	p, err := m.Params(ctx)
	if err != nil {
		return nil, err
	}
	if err := types.ValidateGroups(msg.Groups, msg.Deposit.Denom, p.MaxUnitPrice); err != nil {
		return nil, err
	}
	if err := msg.Auction.Validate(p.MaxAuctionWindow); err != nil {
		return nil, err
	}
	if err := m.checkDseq(ctx, msg.Id); err != nil {
		return nil, err
	}
	if err := m.create(ctx, msg); err != nil {
		return nil, err
	}
	return &types.MsgCreateDeploymentResponse{}, nil
}

// UpdateDeployment replaces the manifest hash of an active deployment by a different one.
func (m msgServer) UpdateDeployment(ctx context.Context, msg *types.MsgUpdateDeployment) (*types.MsgUpdateDeploymentResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	d, err := m.active(ctx, msg.Id)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(d.ManifestHash, msg.ManifestHash) {
		return nil, types.ErrSameHash.Wrapf("%s has %x", msg.Id, d.ManifestHash)
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	d.ManifestHash, d.UpdatedAt = msg.ManifestHash, sdkCtx.BlockHeight()
	if err := m.setDeployment(ctx, d); err != nil {
		return nil, err
	}
	ev := &types.EventDeploymentUpdated{Owner: d.Id.Owner, Dseq: d.Id.Dseq, Deployment: d}
	return &types.MsgUpdateDeploymentResponse{}, typedevent.Emit(ctx, ev)
}

// CloseDeployment ends an active deployment and refunds what its escrow account still holds.
func (m msgServer) CloseDeployment(ctx context.Context, msg *types.MsgCloseDeployment) (*types.MsgCloseDeploymentResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	d, err := m.active(ctx, msg.Id)
	if err != nil {
		return nil, err
	}
	if err := m.close(ctx, d, types.CloseByOwner); err != nil {
		return nil, err
	}
	if err := m.escrow.CloseAccount(ctx, d.Id.EscrowID()); err != nil {
		return nil, errorsmod.Wrapf(err, "close the escrow account of %s", d.Id)
	}
	return &types.MsgCloseDeploymentResponse{}, nil
}

// PauseGroup ends an open group's lease and order until it is started again.
func (m msgServer) PauseGroup(ctx context.Context, msg *types.MsgPauseGroup) (*types.MsgPauseGroupResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	d, g, err := m.groupOf(ctx, msg.Id)
	if err != nil {
		return nil, err
	}
	switch g.State {
	case types.GROUP_STATE_OPEN:
		return &types.MsgPauseGroupResponse{}, m.stopGroup(ctx, d, g, types.GROUP_STATE_PAUSED)
	case types.GROUP_STATE_CLOSED:
		return nil, types.ErrGroupClosed.Wrap(msg.Id.String())
	}
	return nil, types.ErrGroupNotOpen.Wrapf("%s is paused already", msg.Id)
}

// StartGroup asks for bids on a paused group again.
func (m msgServer) StartGroup(ctx context.Context, msg *types.MsgStartGroup) (*types.MsgStartGroupResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	d, g, err := m.groupOf(ctx, msg.Id)
	if err != nil {
		return nil, err
	}
	switch g.State {
	case types.GROUP_STATE_PAUSED:
		return &types.MsgStartGroupResponse{}, m.startGroup(ctx, d, g)
	case types.GROUP_STATE_CLOSED:
		return nil, types.ErrGroupClosed.Wrap(msg.Id.String())
	}
	return nil, types.ErrGroupNotPaused.Wrapf("%s is open already", msg.Id)
}

// CloseGroup ends an open or paused group for good. Its deployment stays active, even if it was the last one, until it
// is closed itself: only that refunds the deposit.
func (m msgServer) CloseGroup(ctx context.Context, msg *types.MsgCloseGroup) (*types.MsgCloseGroupResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	d, g, err := m.groupOf(ctx, msg.Id)
	if err != nil {
		return nil, err
	}
	switch g.State {
	case types.GROUP_STATE_OPEN:
		return &types.MsgCloseGroupResponse{}, m.stopGroup(ctx, d, g, types.GROUP_STATE_CLOSED)
	case types.GROUP_STATE_PAUSED:
		return &types.MsgCloseGroupResponse{}, m.moveGroup(ctx, g, types.GROUP_STATE_CLOSED)
	}
	return nil, types.ErrGroupClosed.Wrap(msg.Id.String())
}

// UpdateParams replaces the parameters; only the module's authority may.
func (m msgServer) UpdateParams(ctx context.Context, msg *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	if msg.Authority != m.authority {
		return nil, types.ErrUnauthorized.Wrapf("parameters are changed by %s, not by %s", m.authority, msg.Authority)
	}
	return &types.MsgUpdateParamsResponse{}, m.params.Set(ctx, msg.Params)
}
