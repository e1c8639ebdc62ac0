package keeper

import (
	"context"
	"errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/typedevent"
	"berth.dev/berth/x/audit/types"
	providertypes "berth.dev/berth/x/provider/types"
)

type msgServer struct{ *Keeper }

// NewMsgServer returns the transaction service over k.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

// SignAttributes vouches for attributes of a provider, next to those that the signer has signed before. The provider
// need not be registered: a signature may come first.
func (m msgServer) SignAttributes(ctx context.Context, msg *types.MsgSignAttributes) (*types.MsgSignAttributesResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	provider, auditor, err := parties(msg.Provider, msg.Auditor)
	if err != nil {
		return nil, err
	}
	r, err := m.Record(ctx, provider, auditor)
	if errors.Is(err, types.ErrRecordNotFound) {
		r, err = types.SignedAttributes{Provider: msg.Provider, Auditor: msg.Auditor}, nil
	}
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	r = r.Merge(msg.Attributes)
	r.UpdatedAt = sdkCtx.BlockHeight()
	if len(r.Attributes) > providertypes.MaxAttributes {
		return nil, types.ErrTooMany.Wrapf("%d with those signed before of provider %s, at most %d are allowed", len(r.Attributes), msg.Provider, providertypes.MaxAttributes)
	}
	ev, err := providertypes.ObjectEvent(&types.EventAttributesSigned{Provider: r.Provider, Auditor: r.Auditor, Record: r}, types.ErrRecordTooLarge)
	if err != nil {
		return nil, err
	}
	if err := m.setRecord(ctx, r); err != nil {
		return nil, err
	}
	sdkCtx.EventManager().EmitEvent(ev)
	return &types.MsgSignAttributesResponse{}, nil
}

// RevokeAttributes takes signatures back: those of the keys given, or all. A record with nothing left is removed.
func (m msgServer) RevokeAttributes(ctx context.Context, msg *types.MsgRevokeAttributes) (*types.MsgRevokeAttributesResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	provider, auditor, err := parties(msg.Provider, msg.Auditor)
	if err != nil {
		return nil, err
	}
	r, err := m.Record(ctx, provider, auditor)
	if err != nil {
		return nil, err
	}
	if r, err = r.Without(msg.Keys); err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	r.UpdatedAt = sdkCtx.BlockHeight()
	if err := m.setRecord(ctx, r); err != nil {
		return nil, err
	}
	ev := &types.EventAttributesRevoked{Provider: r.Provider, Auditor: r.Auditor, Record: r}
	return &types.MsgRevokeAttributesResponse{}, typedevent.Emit(ctx, ev)
}
