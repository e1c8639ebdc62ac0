package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/typedevent"
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
	owner, err := types.ParseAddress("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	known, err := m.providers.Has(ctx, owner)
	if err != nil {
		return nil, errorsmod.Wrapf(err, "read provider %s", msg.Owner)
	}
	if known {
		return nil, types.ErrProviderExists.Wrap(msg.Owner)
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	p := types.Provider{
		Owner: msg.Owner, HostUri: msg.HostUri, TlsPins: msg.TlsPins, Attributes: msg.Attributes, Info: msg.Info,
		CreatedAt: height, UpdatedAt: height,
	}
	ev, err := types.ObjectEvent(&types.EventProviderCreated{Owner: p.Owner, Provider: p}, types.ErrRecordTooLarge)
	if err != nil {
		return nil, err
	}
	return &types.MsgCreateProviderResponse{}, m.store(ctx, owner, p, ev)
}

// UpdateProvider replaces the signer's record; the height of its creation stays. Attributes that a living lease was
// matched on stay too.
func (m msgServer) UpdateProvider(ctx context.Context, msg *types.MsgUpdateProvider) (*types.MsgUpdateProviderResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	owner, err := types.ParseAddress("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	p, err := m.Provider(ctx, owner)
	if err != nil {
		return nil, err
	}
	if changed := types.ChangedKeys(p.Attributes, msg.Attributes); len(changed) > 0 && m.hooks != nil {
		if err := m.hooks.BeforeAttributesChanged(ctx, owner, changed); err != nil {
			return nil, errorsmod.Wrapf(err, "update provider %s", msg.Owner)
		}
	}
	p.HostUri, p.TlsPins, p.Attributes, p.Info = msg.HostUri, msg.TlsPins, msg.Attributes, msg.Info
	p.UpdatedAt = sdk.UnwrapSDKContext(ctx).BlockHeight()
	ev, err := types.ObjectEvent(&types.EventProviderUpdated{Owner: p.Owner, Provider: p}, types.ErrRecordTooLarge)
	if err != nil {
		return nil, err
	}
	return &types.MsgUpdateProviderResponse{}, m.store(ctx, owner, p, ev)
}

// store writes a record and tells of it.
func (m msgServer) store(ctx context.Context, owner sdk.AccAddress, p types.Provider, ev sdk.Event) error {
	if err := m.providers.Set(ctx, owner, p); err != nil {
		return errorsmod.Wrapf(err, "store provider %s", p.Owner)
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(ev)
	return nil
}

// DeleteProvider removes the signer's record, if none of its leases lives. Its open bids cannot be chosen any more, and
// its gateway key and what auditors have signed of it stay.
func (m msgServer) DeleteProvider(ctx context.Context, msg *types.MsgDeleteProvider) (*types.MsgDeleteProviderResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	owner, err := types.ParseAddress("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	p, err := m.Provider(ctx, owner)
	if err != nil {
		return nil, err
	}
	if m.hooks != nil {
		if err := m.hooks.BeforeProviderDeleted(ctx, owner); err != nil {
			return nil, errorsmod.Wrapf(err, "delete provider %s", msg.Owner)
		}
	}
	if err := m.providers.Remove(ctx, owner); err != nil {
		return nil, errorsmod.Wrapf(err, "remove provider %s", msg.Owner)
	}
	ev := &types.EventProviderDeleted{Owner: p.Owner, Provider: p}
	return &types.MsgDeleteProviderResponse{}, typedevent.Emit(ctx, ev)
}

// SetGatewayKey names the key that signs the signer's tokens, or removes it.
func (m msgServer) SetGatewayKey(ctx context.Context, msg *types.MsgSetGatewayKey) (*types.MsgSetGatewayKeyResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	owner, err := types.ParseAddress("owner", msg.Owner)
	if err != nil {
		return nil, err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	key := types.GatewayKey{Owner: msg.Owner, Key: msg.Key, UpdatedAt: sdkCtx.BlockHeight()}
	if len(msg.Key) > 0 {
		err = m.gatewayKeys.Set(ctx, owner, key)
	} else if _, err = m.GatewayKey(ctx, owner); err == nil {
		err = m.gatewayKeys.Remove(ctx, owner)
	}
	if err != nil {
		return nil, errorsmod.Wrap(err, "set the gateway key")
	}
	return &types.MsgSetGatewayKeyResponse{}, typedevent.Emit(ctx, &types.EventGatewayKeySet{Owner: key.Owner, GatewayKey: key})
}
