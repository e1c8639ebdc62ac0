package keeper

import (
	"context"
	"fmt"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

// OpenPayment starts to pay a payee a rate per block out of an account, from this height on. The account must be open
// and able to pay one block of its new total rate, else types.ErrAccountSuspended, ErrAccountClosed or
// ErrInsufficientFunds; the id must never have been used. The take rate of the parameters is the payment's for its life.
func (k *Keeper) OpenPayment(ctx context.Context, id types.PaymentID, payee sdk.AccAddress, rate sdk.DecCoin) error {
	if err := id.Validate(); err != nil {
		return err
	}
	s, err := k.touch(ctx, id.AccountId)
	if err != nil {
		return err
	}
	if err := k.checkNewPayment(ctx, s, id, rate); err != nil {
		return err
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	s.open(types.Payment{
		Id:        id,
		Payee:     payee.String(),
		State:     types.PAYMENT_STATE_OPEN,
		Rate:      rate,
		Accrued:   math.LegacyZeroDec(),
		Withdrawn: math.ZeroInt(),
		TakeRate:  params.TakeRate,
		Taken:     math.ZeroInt(),
		CreatedAt: height(ctx),
	})
	if err := k.live.Set(ctx, keyOfPayment(id)); err != nil {
		return fmt.Errorf("open payment %s: %w", id, err)
	}
	return k.save(ctx, s)
}

// ClosePayment settles a payment, pays it out and ends it; its last fraction of a unit stays with the account. It fails
// with types.ErrPaymentNotFound or types.ErrPaymentClosed.
func (k *Keeper) ClosePayment(ctx context.Context, id types.PaymentID) error {
	s, i, err := k.livePayment(ctx, id)
	if err != nil {
		return err
	}
	if err := k.endPayment(ctx, s, i); err != nil {
		return err
	}
	return k.save(ctx, s)
}

// Withdraw pays out the whole units that a payment has earned and not been paid, and returns what of them goes to the
// payee; nothing earned is no error. It fails with types.ErrPaymentNotFound or, as a closed payment has been paid, types.ErrPaymentClosed.
func (k *Keeper) Withdraw(ctx context.Context, id types.PaymentID) (sdk.Coin, error) {
	s, i, err := k.livePayment(ctx, id)
	if err != nil {
		return sdk.Coin{}, err
	}
	out := s.pay(i)
	if err := k.save(ctx, s); err != nil {
		return sdk.Coin{}, err
	}
	return sdk.NewCoin(s.account.Denom, out.amount), k.payOut(ctx, s.account.Denom, out)
}

// Payment returns a payment as of the context's height.
func (k *Keeper) Payment(ctx context.Context, id types.PaymentID) (types.Payment, error) {
	payment, err := k.payments.Get(ctx, keyOfPayment(id))
	if err != nil {
		return types.Payment{}, notFound(err, types.ErrPaymentNotFound, id)
	}
	if payment.State != types.PAYMENT_STATE_OPEN {
		return payment, nil
	}
	s, err := k.load(ctx, id.AccountId)
	if err != nil {
		return types.Payment{}, err
	}
	s.settle(height(ctx))
	return s.live[s.find(id.Pid)], nil
}

// checkNewPayment says why a settled account cannot take a payment.
func (k *Keeper) checkNewPayment(ctx context.Context, s *sheet, id types.PaymentID, rate sdk.DecCoin) error {
	switch s.account.State {
	case types.ACCOUNT_STATE_SUSPENDED:
		return errorsmod.Wrap(types.ErrAccountSuspended, id.AccountId.String())
	case types.ACCOUNT_STATE_CLOSED:
		return errorsmod.Wrap(types.ErrAccountClosed, id.AccountId.String())
	}
	if rate.Denom != s.account.Denom {
		return errorsmod.Wrapf(types.ErrInvalidDenom, "%s holds %s, not %s", id.AccountId, s.account.Denom, rate.Denom)
	}
	if rate.Amount.IsNil() || !rate.Amount.IsPositive() {
		return errorsmod.Wrapf(types.ErrInvalidRate, "%s is not a positive rate", rate)
	}
	used, err := k.payments.Has(ctx, keyOfPayment(id))
	if err != nil {
		return fmt.Errorf("open payment %s: %w", id, err)
	}
	if used {
		return errorsmod.Wrap(types.ErrPaymentExists, id.String())
	}
	if book := s.book(); !book.CanPayBlock(rate.Amount) {
		return errorsmod.Wrapf(types.ErrInsufficientFunds, "%s has %s%s left, which does not pay one block more at a further %s",
			id.AccountId, book.Left(), s.account.Denom, rate)
	}
	return nil
}

// livePayment loads the settled account of a payment that is open or suspended, with the payment's place in it.
func (k *Keeper) livePayment(ctx context.Context, id types.PaymentID) (*sheet, int, error) {
	s, err := k.touch(ctx, id.AccountId)
	if err != nil {
		return nil, 0, err
	}
	if i := s.find(id.Pid); i >= 0 {
		return s, i, nil
	}
	known, err := k.payments.Has(ctx, keyOfPayment(id))
	if err != nil {
		return nil, 0, fmt.Errorf("read payment %s: %w", id, err)
	}
	if known {
		return nil, 0, errorsmod.Wrap(types.ErrPaymentClosed, id.String())
	}
	return nil, 0, errorsmod.Wrap(types.ErrPaymentNotFound, id.String())
}

// endPayment closes a live payment of a settled sheet and records its payout.
func (k *Keeper) endPayment(ctx context.Context, s *sheet, i int) error {
	return k.payOut(ctx, s.account.Denom, s.end(i, height(ctx)))
}

// payOut claims a payout and tells of it; one of nothing is nothing.
func (k *Keeper) payOut(ctx context.Context, denom string, out payout) error {
	amount, take := sdk.NewCoin(denom, out.amount), sdk.NewCoin(denom, out.take)
	if amount.IsZero() && take.IsZero() {
		return nil
	}
	if err := k.claim(ctx, out.payment.Payee, amount, take); err != nil {
		return err
	}
	return emit(ctx, &types.EventPaid{
		Xid: out.payment.Id.AccountId.Xid, Payee: out.payment.Payee, Amount: amount, Take: take, Payment: out.payment,
	})
}
