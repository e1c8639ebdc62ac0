package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/ledger"
	"berth.dev/berth/x/escrow/types"
)

// Deposit tops an account up from the depositor's sources. Anybody may; of somebody else than the owner, what each
// source gives must be at least the minimum that opens an account. An account that is suspended resumes once what is
// left covers min_resume_blocks of its rate.
func (k *Keeper) Deposit(ctx context.Context, id types.AccountID, depositor sdk.AccAddress, amount sdk.Coin, sources []types.DepositSource) error {
	if err := types.ValidateAmount(amount); err != nil {
		return errorsmod.Wrap(err, id.String())
	}
	s, err := k.touch(ctx, id)
	if err != nil {
		return err
	}
	if s.account.State == types.ACCOUNT_STATE_CLOSED {
		return errorsmod.Wrap(types.ErrAccountClosed, id.String())
	}
	if amount.Denom != s.account.Denom {
		return errorsmod.Wrapf(types.ErrInvalidDenom, "%s holds %s, not %s", id, s.account.Denom, amount.Denom)
	}
	if err := k.takeDeposit(ctx, s, depositor, amount, sources); err != nil {
		return errorsmod.Wrap(err, id.String())
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

// takeDeposit moves the coins to the pool and adds them to the account's deposits.
func (k *Keeper) takeDeposit(ctx context.Context, s *sheet, depositor sdk.AccAddress, amount sdk.Coin, list []types.DepositSource) error {
	if total := s.account.Deposited.Add(amount.Amount); total.GT(types.MaxDeposited) {
		return errorsmod.Wrapf(types.ErrInvalidDeposit, "%s and the %s deposited before are more than the %s that an account may hold",
			amount, s.account.Deposited, types.MaxDeposited)
	}
	sources, err := k.parseSources(depositor, list)
	if err != nil {
		return err
	}
	draws, err := k.plan(ctx, depositor, sources, amount)
	if err != nil {
		return err
	}
	if s.account.Owner != depositor.String() {
		if err := k.checkStranger(ctx, draws); err != nil {
			return err
		}
	}
	for _, d := range draws {
		if err := s.addDeposit(d.record(ctx, depositor)); err != nil {
			return err
		}
	}
	for _, d := range draws {
		if err := k.spend(ctx, depositor, d); err != nil {
			return err
		}
	}
	return nil
}

// checkMinimum refuses a deposit that may not open an account.
func (k *Keeper) checkMinimum(ctx context.Context, amount sdk.Coin) error {
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
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

// checkStranger refuses a stranger's deposit that is, or is made of, less than the minimum: each part takes a place in
// the account's list of deposits, which else could be filled with dust.
func (k *Keeper) checkStranger(ctx context.Context, draws []draw) error {
	for _, d := range draws {
		if err := k.checkMinimum(ctx, d.amount); err != nil {
			return errorsmod.Wrapf(err, "from %s", d.Name())
		}
	}
	return nil
}

// addDeposit adds a record to the list of deposits: it joins the last one if that is of the same source, else it is
// appended. A full list first folds what is spent. The last MaxSources places are for what the account's owner
// deposits. If the list stays full, the deposit joins the latest of its source, unless that has been spent: joining it
// would take back what later deposits have paid since.
func (s *sheet) addDeposit(d types.Deposit) error {
	deposits := s.account.Deposits
	s.account.Deposited = s.account.Deposited.Add(d.Amount)
	if n := len(deposits); n > 0 && sameSource(deposits[n-1], d) {
		s.joinDeposit(n-1, d)
		return nil
	}
	places := types.MaxDeposits
	if depositorOf(d) != s.account.Owner {
		places -= types.MaxSources
	}
	if len(deposits) >= places {
		deposits = foldSpent(deposits, s.account.Paid)
		s.account.Deposits = deposits
	}
	if len(deposits) < places {
		s.account.Deposits = append(deposits[:len(deposits):len(deposits)], d)
		return nil
	}
	if i := s.latestUnspent(d); i >= 0 {
		s.joinDeposit(i, d)
		return nil
	}
	return errorsmod.Wrapf(types.ErrTooManyDeposits, "%d deposits are not spent yet", len(deposits))
}

func sameSource(a, b types.Deposit) bool {
	return a.Owner == b.Owner && a.Source == b.Source && a.Grantee == b.Grantee && a.GrantSerial == b.GrantSerial
}

// depositorOf is who made a deposit, whose coins ever it was of.
func depositorOf(d types.Deposit) string {
	if d.Source == types.SOURCE_GRANT {
		return d.Grantee
	}
	return d.Owner
}

func (s *sheet) joinDeposit(i int, d types.Deposit) {
	joined := append([]types.Deposit(nil), s.account.Deposits...)
	joined[i].Amount, joined[i].Height = joined[i].Amount.Add(d.Amount), d.Height
	s.account.Deposits = joined
}

// latestUnspent is the latest deposit of the same source with nothing spent behind it, or -1.
func (s *sheet) latestUnspent(d types.Deposit) int {
	latest, end := -1, math.ZeroInt()
	spent := s.account.Accrued.Ceil().TruncateInt()
	for i, other := range s.account.Deposits {
		end = end.Add(other.Amount)
		if sameSource(other, d) && end.GTE(spent) {
			latest = i
		}
	}
	return latest
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

// refund claims what is left of each deposit for whose coins it was.
func (k *Keeper) refund(ctx context.Context, s *sheet) error {
	amounts := make([]math.Int, len(s.account.Deposits))
	for i, d := range s.account.Deposits {
		amounts[i] = d.Amount
	}
	for i, left := range ledger.Remainders(amounts, s.account.Paid) {
		if !left.IsPositive() {
			continue
		}
		d, amount := s.account.Deposits[i], sdk.NewCoin(s.account.Denom, left)
		if err := k.claim(ctx, d.Owner, amount, sdk.NewInt64Coin(amount.Denom, 0)); err != nil {
			return err
		}
		if d.Source == types.SOURCE_GRANT {
			if err := k.restore(ctx, d, amount); err != nil {
				return err
			}
		}
		s.account.Refunded = s.account.Refunded.Add(left)
	}
	return nil
}
