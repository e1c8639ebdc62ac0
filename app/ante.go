package app

import (
	"context"
	"fmt"

	ibcante "github.com/cosmos/ibc-go/v11/modules/core/ante"

	"github.com/cosmos/cosmos-sdk/client"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/x/auth/ante"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
)

// newAnteHandler checks what every transaction must have: a fee, signatures, a sequence or, for unordered ones, a
// timeout. After it, a relayer's transaction whose packets have all been relayed by others is kept out of the mempool.
func newAnteHandler(k Keepers, txConfig client.TxConfig) (sdk.AnteHandler, error) {
	handler, err := ante.NewAnteHandler(ante.HandlerOptions{
		AccountKeeper:    k.AccountKeeper,
		BankKeeper:       virtualFeeBank{k.BankKeeper},
		SignModeHandler:  txConfig.SignModeHandler(),
		FeegrantKeeper:   k.FeeGrantKeeper,
		SigGasConsumer:   ante.DefaultSigVerificationGasConsumer,
		SigVerifyOptions: []ante.SigVerificationDecoratorOption{ante.WithUnorderedTxGasCost(ante.DefaultUnorderedTxGasCost)},
	})
	if err != nil {
		return nil, fmt.Errorf("build the ante handler: %w", err)
	}
	redundantRelay := ibcante.NewRedundantRelayDecorator(k.IBCKeeper)
	done := func(ctx sdk.Context, _ sdk.Tx, _ bool) (sdk.Context, error) { return ctx, nil }
	return func(ctx sdk.Context, tx sdk.Tx, simulate bool) (sdk.Context, error) {
		if err := checkDecodable(tx); err != nil {
			return ctx, err
		}
		ctx, err := handler(ctx, tx, simulate)
		if err != nil {
			return ctx, err
		}
		return redundantRelay.AnteHandle(ctx, tx, simulate, done)
	}, nil
}

// checkDecodable refuses a transaction whose messages have no signers that can be read: malformed text, for one. The
// SDK's checks would find that later, and give no code with it.
func checkDecodable(tx sdk.Tx) error {
	signed, ok := tx.(authsigning.SigVerifiableTx)
	if !ok {
		return sdkerrors.ErrTxDecode.Wrapf("%T cannot be signed", tx)
	}
	if _, err := signed.GetSigners(); err != nil {
		return sdkerrors.ErrTxDecode.Wrapf("%.500s", err)
	}
	return nil
}

// virtualFeeBank deducts fees by virtual sends, which bank adds up at the end of the block. Otherwise every transaction
// would write the fee collector's balance, and none could be executed beside another.
type virtualFeeBank struct{ bankkeeper.BaseKeeper }

// SendCoinsFromAccountToModule takes a fee.
func (b virtualFeeBank) SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error {
	return b.SendCoinsFromAccountToModuleVirtual(ctx, from, module, amount)
}
