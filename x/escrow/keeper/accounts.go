package keeper

import (
	"context"
	"fmt"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/ledger"
	"berth.dev/berth/x/escrow/types"
)

// OpenAccount opens an account with its owner's first deposit. It fails with types.ErrAccountExists if the id was ever
// used, types.ErrInvalidDenom or types.ErrInvalidDeposit if the deposit is not accepted, and with bank's error if the
// owner cannot pay it.
func (k *Keeper) OpenAccount(ctx context.Context, id types.AccountID, owner sdk.AccAddress, deposit sdk.Coin, sources []types.DepositSource) error {
	if err := id.Validate(); err != nil {
		return err
	}
	if err := k.checkFirstDeposit(ctx, deposit); err != nil {
		return err
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
	if err := k.takeDeposit(ctx, s, owner, deposit); err != nil {
		return err
	}
	return k.saveDeposit(ctx, s, owner, deposit)
}

// Deposit tops an account up. Anybody may; somebody else than the owner must deposit at least the minimum that opens an
// account. An account that is suspended resumes once what is left covers min_resume_blocks of its rate.
func (k *Keeper) Deposit(ctx context.Context, id types.AccountID, depositor sdk.AccAddress, amount sdk.Coin) error {
	s, err := k.touch(ctx, id)
	if err != nil {
		return err
	}
	if s.account.State == types.ACCOUNT_STATE_CLOSED {
		return errorsmod.Wrap(types.ErrAccountClosed, id.String())
	}
	if err := k.checkTopUp(ctx, s.account, depositor, amount); err != nil {
		return err
	}
	if err := k.takeDeposit(ctx, s, depositor, amount); err != nil {
		return err
	}
	if s.account.State == types.ACCOUNT_STATE_SUSPENDED {
		params, err := k.GetParams(ctx)
		if err != nil {
			return err
		}
		if s.book().Covers(params.MinResumeBlocks) {
			return k.resume(ctx, s, depositor, amount)
		}
	}
	return k.saveDeposit(ctx, s, depositor, amount)
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

// checkFirstDeposit refuses a deposit that may not open an account.
func (k *Keeper) checkFirstDeposit(ctx context.Context, deposit sdk.Coin) error {
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	return checkMinimum(params, deposit)
}

// checkTopUp refuses an amount that may not be added to an account. A stranger's minimum keeps the list of depositors
// from being filled with dust.
func (k *Keeper) checkTopUp(ctx context.Context, account types.Account, depositor sdk.AccAddress, amount sdk.Coin) error {
	if amount.Denom != account.Denom {
		return errorsmod.Wrapf(types.ErrInvalidDenom, "%s holds %s, not %s", account.Id, account.Denom, amount.Denom)
	}
	if account.Owner == depositor.String() {
		if err := amount.Validate(); err != nil || !amount.IsPositive() {
			return errorsmod.Wrapf(types.ErrInvalidDeposit, "%s is not a positive amount", amount)
		}
		return nil
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	return checkMinimum(params, amount)
}

func checkMinimum(params types.Params, amount sdk.Coin) error {
	if amount.Amount.IsNil() || amount.IsNegative() {
		return errorsmod.Wrapf(types.ErrInvalidDeposit, "%s is not a positive amount", amount)
	}
	least, err := params.MinDeposit(amount.Denom)
	if err != nil {
		return err
	}
	if amount.Amount.LT(least) {
		return errorsmod.Wrapf(types.ErrInvalidDeposit, "%s is below the minimum of %s%s", amount, least, amount.Denom)
	}
	return nil
}

// takeDeposit moves the coins to the pool and adds them to the account's deposits.
func (k *Keeper) takeDeposit(ctx context.Context, s *sheet, from sdk.AccAddress, amount sdk.Coin) error {
	deposits, err := addDeposit(s.account.Deposits, s.account.Paid, types.Deposit{
		Owner: from.String(), Source: types.SOURCE_BALANCE, Amount: amount.Amount, Height: height(ctx),
	})
	if err != nil {
		return errorsmod.Wrap(err, s.account.Id.String())
	}
	total, err := s.account.Deposited.SafeAdd(amount.Amount)
	if err != nil {
		return errorsmod.Wrapf(types.ErrInvalidDeposit, "%s: %s", amount, err)
	}
	if err := k.bank.SendCoinsFromAccountToModuleVirtual(ctx, from, types.ModuleName, sdk.NewCoins(amount)); err != nil {
		return errorsmod.Wrapf(err, "deposit %s of %s to %s", amount, from, s.account.Id)
	}
	s.account.Deposits, s.account.Deposited = deposits, total
	return nil
}

// addDeposit appends a deposit, or adds it to the last one if that is of the same owner and source. A full list first
// folds those that are spent; if it stays full, the deposit joins its owner's latest one.
func addDeposit(deposits []types.Deposit, spent math.Int, d types.Deposit) ([]types.Deposit, error) {
	same := func(other types.Deposit) bool { return other.Owner == d.Owner && other.Source == d.Source }
	if n := len(deposits); n > 0 && same(deposits[n-1]) {
		return joinDeposit(deposits, n-1, d), nil
	}
	if len(deposits) >= types.MaxDeposits {
		deposits = foldSpent(deposits, spent)
	}
	if len(deposits) < types.MaxDeposits {
		return append(deposits[:len(deposits):len(deposits)], d), nil
	}
	for i := len(deposits) - 1; i >= 0; i-- {
		if same(deposits[i]) {
			return joinDeposit(deposits, i, d), nil
		}
	}
	return nil, types.ErrTooManyDeposits
}

func joinDeposit(deposits []types.Deposit, i int, d types.Deposit) []types.Deposit {
	out := append([]types.Deposit(nil), deposits...)
	out[i].Amount, out[i].Height = out[i].Amount.Add(d.Amount), d.Height
	return out
}

// foldSpent joins the deposits at the front that are spent to the last unit into one: they are owed nothing, so that it
// does not matter in whose name their sum stands.
func foldSpent(deposits []types.Deposit, spent math.Int) []types.Deposit {
	sum, n := math.ZeroInt(), 0
	for n < len(deposits) && sum.Add(deposits[n].Amount).LTE(spent) {
		sum = sum.Add(deposits[n].Amount)
		n++
	}
	if n < 2 {
		return deposits
	}
	folded := deposits[n-1]
	folded.Amount = sum
	return append([]types.Deposit{folded}, deposits[n:]...)
}

func (k *Keeper) saveDeposit(ctx context.Context, s *sheet, depositor sdk.AccAddress, amount sdk.Coin) error {
	if err := k.save(ctx, s); err != nil {
		return err
	}
	return emit(ctx, &types.EventDeposited{Xid: s.account.Id.Xid, Depositor: depositor.String(), Amount: amount, Account: s.account})
}

// resume reopens a suspended account from this block on.
func (k *Keeper) resume(ctx context.Context, s *sheet, depositor sdk.AccAddress, amount sdk.Coin) error {
	s.setState(types.ACCOUNT_STATE_OPEN, types.PAYMENT_STATE_OPEN)
	s.account.SettledAt = height(ctx)
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

// suspend stops a dry account. Its grace counts from the height at which it ran dry, however late it is handled.
func (k *Keeper) suspend(ctx context.Context, s *sheet) error {
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	s.setState(types.ACCOUNT_STATE_SUSPENDED, types.PAYMENT_STATE_SUSPENDED)
	s.account.DueAt = s.account.SettledAt + params.GraceBlocks
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

// refund claims what is left of each deposit for its depositor.
func (k *Keeper) refund(ctx context.Context, s *sheet) error {
	amounts := make([]math.Int, len(s.account.Deposits))
	for i, d := range s.account.Deposits {
		amounts[i] = d.Amount
	}
	for i, left := range ledger.Remainders(amounts, s.account.Paid) {
		if !left.IsPositive() {
			continue
		}
		if err := k.claim(ctx, s.account.Deposits[i].Owner, sdk.NewCoin(s.account.Denom, left), sdk.NewInt64Coin(s.account.Denom, 0)); err != nil {
			return err
		}
		s.account.Refunded = s.account.Refunded.Add(left)
	}
	return nil
}
