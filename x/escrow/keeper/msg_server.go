package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"berth.dev/berth/x/escrow/types"
)

type msgServer struct{ keeper *Keeper }

// NewMsgServer serves the module's messages.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

// Deposit tops an account up.
func (m msgServer) Deposit(ctx context.Context, msg *types.MsgDeposit) (*types.MsgDepositResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	depositor, err := m.keeper.accountKeeper.AddressCodec().StringToBytes(msg.Depositor)
	if err != nil {
		return nil, errorsmod.Wrapf(sdkerrors.ErrInvalidAddress, "depositor %q: %s", msg.Depositor, err)
	}
	if err := m.keeper.Deposit(ctx, msg.AccountId, depositor, msg.Amount, msg.Sources); err != nil {
		return nil, err
	}
	return &types.MsgDepositResponse{}, nil
}

// UpdateParams replaces the parameters.
func (m msgServer) UpdateParams(ctx context.Context, msg *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if msg.Authority != m.keeper.authority {
		return nil, errorsmod.Wrapf(types.ErrUnauthorized, "%s may not change the parameters, only %s", msg.Authority, m.keeper.authority)
	}
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	if err := m.keeper.SetParams(ctx, msg.Params); err != nil {
		return nil, err
	}
	return &types.MsgUpdateParamsResponse{}, nil
}
