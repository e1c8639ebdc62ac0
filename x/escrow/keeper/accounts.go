package keeper

import (
	"context"
	"fmt"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

// OpenAccount opens an account with its owner's first deposit, drawn from the owner's sources; none means its balance. It
// fails with types.ErrAccountExists if the id is used, types.ErrInvalidDenom or types.ErrInvalidDeposit if the deposit is
// not accepted, types.ErrInvalidSource if the list of sources is not, and types.ErrInsufficientFunds if they cannot cover
// the deposit.
func (k *Keeper) OpenAccount(ctx context.Context, id types.AccountID, owner sdk.AccAddress, deposit sdk.Coin, sources []types.DepositSource) error {
	if err := id.Validate(); err != nil {
		return err
	}
	if err := types.ValidateAmount(deposit); err != nil {
		return errorsmod.Wrap(err, id.String())
	}
	if err := k.checkMinimum(ctx, deposit); err != nil {
		return errorsmod.Wrap(err, id.String())
	}
	exists, err := k.accounts.Has(ctx, keyOfAccount(id))
	if err != nil {
		return fmt.Errorf("open %s: %w", id, err)
	}
	if exists {
		return errorsmod.Wrap(types.ErrAccountExists, id.String())
	}
	s := &sheet{account: types.Account{
		Id:        id,
		Owner:     owner.String(),
		State:     types.ACCOUNT_STATE_OPEN,
		Denom:     deposit.Denom,
		SettledAt: height(ctx),
		Deposited: math.ZeroInt(),
		Accrued:   math.LegacyZeroDec(),
		Paid:      math.ZeroInt(),
		Rate:      math.LegacyZeroDec(),
		Refunded:  math.ZeroInt(),
	}}
	if err := k.takeDeposit(ctx, s, owner, deposit, sources); err != nil {
		return errorsmod.Wrap(err, id.String())
	}
	return k.saveDeposit(ctx, s, owner, deposit)
}

// CloseAccount settles an account, closes and pays its payments and gives each depositor what is left of its deposits.
// It calls no hooks: the caller closes what stands above.
func (k *Keeper) CloseAccount(ctx context.Context, id types.AccountID) error {
	s, err := k.load(ctx, id)
	if err != nil {
		return err
	}
	if s.account.State == types.ACCOUNT_STATE_CLOSED {
		return errorsmod.Wrap(types.ErrAccountClosed, id.String())
	}
	s.settle(height(ctx))
	return k.close(ctx, s)
}

// Account returns an account as of the context's height: accrued up to it, or to its dry height. Its state is the
// stored one, also when the end block has yet to handle it.
func (k *Keeper) Account(ctx context.Context, id types.AccountID) (types.Account, error) {
	s, err := k.load(ctx, id)
	if err != nil {
		return types.Account{}, err
	}
	s.settle(height(ctx))
	return s.account, nil
}

// resume reopens a suspended account from this block on.
func (k *Keeper) resume(ctx context.Context, s *sheet, depositor sdk.AccAddress, amount sdk.Coin) error {
	s.resume(height(ctx))
	if err := k.saveDeposit(ctx, s, depositor, amount); err != nil {
		return err
	}
	if err := emit(ctx, &types.EventAccountResumed{Xid: s.account.Id.Xid, Account: s.account}); err != nil {
		return err
	}
	if k.hooks == nil {
		return nil
	}
	return k.hooks.AfterAccountResumed(ctx, s.account)
}

// suspend stops a dry account.
func (k *Keeper) suspend(ctx context.Context, s *sheet) error {
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	s.suspend(params.GraceBlocks)
	if err := k.save(ctx, s); err != nil {
		return err
	}
	if err := emit(ctx, &types.EventAccountSuspended{Xid: s.account.Id.Xid, Account: s.account}); err != nil {
		return err
	}
	if k.hooks == nil {
		return nil
	}
	return k.hooks.AfterAccountSuspended(ctx, s.account)
}

// expire closes an account whose grace has ended.
func (k *Keeper) expire(ctx context.Context, s *sheet) error {
	if err := k.close(ctx, s); err != nil {
		return err
	}
	if k.hooks == nil {
		return nil
	}
	return k.hooks.AfterAccountExpired(ctx, s.account)
}

// close pays and closes the payments of a settled account and refunds the rest: paid + refunded = deposited.
func (k *Keeper) close(ctx context.Context, s *sheet) error {
	for len(s.live) > 0 {
		if err := k.endPayment(ctx, s, 0); err != nil {
			return err
		}
	}
	if err := k.refund(ctx, s); err != nil {
		return err
	}
	s.account.State = types.ACCOUNT_STATE_CLOSED
	if err := k.save(ctx, s); err != nil {
		return err
	}
	return emit(ctx, &types.EventAccountClosed{Xid: s.account.Id.Xid, Account: s.account})
}
