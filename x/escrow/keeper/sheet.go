package keeper

import (
	"context"
	"fmt"
	"sort"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"berth.dev/berth/x/escrow/ledger"
	"berth.dev/berth/x/escrow/types"
)

// sheet is an account with its live payments, as one value that is loaded, changed and saved together.
type sheet struct {
	account types.Account
	// live are the open or suspended payments in ascending order of their ids.
	live []types.Payment
	// ended are payments that were closed since the sheet was loaded.
	ended []types.Payment
	// queued is the height at which the stored account stands in the queue; 0 for none.
	queued int64
}

// load reads an account and its live payments as they are stored; it fails with types.ErrAccountNotFound.
func (k *Keeper) load(ctx context.Context, id types.AccountID) (*sheet, error) {
	account, err := k.accounts.Get(ctx, keyOfAccount(id))
	if err != nil {
		return nil, notFound(err, types.ErrAccountNotFound, id)
	}
	s := &sheet{account: account, queued: account.DueAt}
	prefix := collections.NewSuperPrefixedTripleRange[string, string, string](id.Scope, id.Xid)
	err = k.live.Walk(ctx, prefix, func(key paymentKey) (bool, error) {
		payment, err := k.payments.Get(ctx, key)
		s.live = append(s.live, payment)
		return false, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the payments of %s: %w", id, err)
	}
	return s, nil
}

// save stores the sheet and moves the account in the queue to where its funds put it.
func (k *Keeper) save(ctx context.Context, s *sheet) error {
	s.schedule()
	for _, p := range s.ended {
		if err := k.live.Remove(ctx, keyOfPayment(p.Id)); err != nil {
			return fmt.Errorf("save payment %s: %w", p.Id, err)
		}
		if err := k.payments.Set(ctx, keyOfPayment(p.Id), p); err != nil {
			return fmt.Errorf("save payment %s: %w", p.Id, err)
		}
	}
	for _, p := range s.live {
		if err := k.payments.Set(ctx, keyOfPayment(p.Id), p); err != nil {
			return fmt.Errorf("save payment %s: %w", p.Id, err)
		}
	}
	if err := k.requeue(ctx, s); err != nil {
		return fmt.Errorf("schedule %s: %w", s.account.Id, err)
	}
	if err := k.accounts.Set(ctx, keyOfAccount(s.account.Id), s.account); err != nil {
		return fmt.Errorf("save %s: %w", s.account.Id, err)
	}
	s.ended = nil
	return nil
}

// requeue makes the queue agree with the account's due height.
func (k *Keeper) requeue(ctx context.Context, s *sheet) error {
	if s.queued == s.account.DueAt {
		return nil
	}
	if s.queued != 0 {
		if err := k.due.Remove(ctx, keyOfDue(s.queued, s.account.Id)); err != nil {
			return err
		}
	}
	s.queued = s.account.DueAt
	if s.queued == 0 {
		return nil
	}
	return k.due.Set(ctx, keyOfDue(s.queued, s.account.Id))
}

// book is the sheet as the ledger's value.
func (s *sheet) book() ledger.Book {
	b := ledger.Book{
		Deposited: s.account.Deposited,
		Spent:     s.account.Accrued,
		SettledAt: s.account.SettledAt,
		Lines:     make([]ledger.Line, len(s.live)),
	}
	for i, p := range s.live {
		b.Lines[i] = ledger.Line{ID: p.Id.Pid, Rate: p.Rate.Amount, Accrued: p.Accrued}
	}
	return b
}

// settle lets an open account's payments accrue up to a height or its dry height, and says whether it is dry.
// Accounts in other states accrue nothing.
func (s *sheet) settle(height int64) (dry bool) {
	if s.account.State != types.ACCOUNT_STATE_OPEN {
		return false
	}
	settled, dry := s.book().Settle(height)
	s.account.SettledAt, s.account.Accrued = settled.SettledAt, settled.Spent
	for i := range s.live {
		s.live[i].Accrued = settled.Lines[i].Accrued
	}
	return dry
}

// schedule sets the due height: of an open account the dry height, of a closed one none. A suspended one keeps its
// deadline.
func (s *sheet) schedule() {
	switch s.account.State {
	case types.ACCOUNT_STATE_OPEN:
		s.account.DueAt, _ = s.book().DryHeight()
	case types.ACCOUNT_STATE_CLOSED:
		s.account.DueAt = 0
	}
}

// isDue says whether there is something to do for the account at a height.
func (s *sheet) isDue(height int64) bool { return s.account.DueAt != 0 && s.account.DueAt <= height }

// open adds a payment that earns from the settled height on.
func (s *sheet) open(p types.Payment) {
	s.live = append(s.live, p)
	sort.Slice(s.live, func(i, j int) bool { return s.live[i].Id.Pid < s.live[j].Id.Pid })
	s.account.Rate = s.account.Rate.Add(p.Rate.Amount)
}

// suspend stops a dry account. Its grace counts from the height at which it ran dry, however late it is handled.
func (s *sheet) suspend(graceBlocks int64) {
	s.setState(types.ACCOUNT_STATE_SUSPENDED, types.PAYMENT_STATE_SUSPENDED)
	s.account.DueAt = s.account.SettledAt + graceBlocks
}

// resume lets a suspended account and its payments go on from a height.
func (s *sheet) resume(height int64) {
	s.setState(types.ACCOUNT_STATE_OPEN, types.PAYMENT_STATE_OPEN)
	s.account.SettledAt = height
}

// setState puts an account and its live payments into a pair of states.
func (s *sheet) setState(account types.AccountState, payments types.PaymentState) {
	s.account.State = account
	for i := range s.live {
		s.live[i].State = payments
	}
}

// find is the index of a live payment, or -1.
func (s *sheet) find(pid string) int {
	for i, p := range s.live {
		if p.Id.Pid == pid {
			return i
		}
	}
	return -1
}

// payout is what a payment pays at a time, in whole units: amount goes to the payee, take to the community pool.
type payout struct {
	payment      types.Payment
	amount, take math.Int
}

// pay moves the whole units that a live payment has earned and not been paid from accrued to paid.
func (s *sheet) pay(i int) payout {
	p := &s.live[i]
	gross := ledger.Payout(p.Accrued, p.Withdrawn)
	p.Withdrawn = p.Withdrawn.Add(gross)
	s.account.Paid = s.account.Paid.Add(gross)
	taken := ledger.Take(p.Withdrawn, p.TakeRate)
	take := taken.Sub(p.Taken)
	p.Taken = taken
	return payout{payment: *p, amount: gross.Sub(take), take: take}
}

// end pays and closes a live payment. Its last fraction of a unit can never be paid and goes back to the account.
func (s *sheet) end(i int, height int64) payout {
	out := s.pay(i)
	p := s.live[i]
	fraction := p.Accrued.Sub(math.LegacyNewDecFromInt(p.Withdrawn))
	s.account.Accrued = s.account.Accrued.Sub(fraction)
	s.account.Rate = s.account.Rate.Sub(p.Rate.Amount)
	p.State, p.ClosedAt = types.PAYMENT_STATE_CLOSED, height
	s.live = append(s.live[:i:i], s.live[i+1:]...)
	s.ended = append(s.ended, p)
	out.payment = p
	return out
}
