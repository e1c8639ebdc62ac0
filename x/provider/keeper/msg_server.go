package keeper

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"berth.dev/berth/x/provider/types"
)

type msgServer struct{ *Keeper }

// NewMsgServer returns the transaction service over k.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

// CreateProvider registers the signer.
func (m msgServer) CreateProvider(ctx context.Context, msg *types.MsgCreateProvider) (*types.MsgCreateProviderResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	owner := sdk.MustAccAddressFromBech32(msg.Owner)
	known, err := m.providers.Has(ctx, owner)
	if err != nil {
		return nil, err
	}
	if known {
		return nil, types.ErrProviderExists.Wrap(msg.Owner)
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	p := types.Provider{
		Owner: msg.Owner, HostUri: msg.HostUri, TlsPins: msg.TlsPins, Attributes: msg.Attributes, Info: msg.Info,
		CreatedAt: sdkCtx.BlockHeight(), UpdatedAt: sdkCtx.BlockHeight(),
	}
	if err := m.providers.Set(ctx, owner, p); err != nil {
		return nil, err
	}
	ev := &types.EventProviderCreated{Owner: p.Owner, Provider: p}
	return &types.MsgCreateProviderResponse{}, sdkCtx.EventManager().EmitTypedEvent(ev)
}

// UpdateProvider replaces the signer's record; the height of its creation stays.
func (m msgServer) UpdateProvider(ctx context.Context, msg *types.MsgUpdateProvider) (*types.MsgUpdateProviderResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	owner := sdk.MustAccAddressFromBech32(msg.Owner)
	p, err := m.Provider(ctx, owner)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	p.HostUri, p.TlsPins, p.Attributes, p.Info = msg.HostUri, msg.TlsPins, msg.Attributes, msg.Info
	p.UpdatedAt = sdkCtx.BlockHeight()
	if err := m.providers.Set(ctx, owner, p); err != nil {
		return nil, err
	}
	ev := &types.EventProviderUpdated{Owner: p.Owner, Provider: p}
	return &types.MsgUpdateProviderResponse{}, sdkCtx.EventManager().EmitTypedEvent(ev)
}

// DeleteProvider removes the signer's record.
func (m msgServer) DeleteProvider(context.Context, *types.MsgDeleteProvider) (*types.MsgDeleteProviderResponse, error) {
	return nil, sdkerrors.ErrNotSupported
}

// SetGatewayKey names or removes the signer's gateway key.
func (m msgServer) SetGatewayKey(context.Context, *types.MsgSetGatewayKey) (*types.MsgSetGatewayKeyResponse, error) {
	return nil, sdkerrors.ErrNotSupported
}
