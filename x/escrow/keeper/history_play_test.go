package keeper

import (
	"cosmossdk.io/math"

	"berth.dev/berth/x/escrow/ledger"
	"berth.dev/berth/x/escrow/types"
)

// player plays a history on a sheet, as the keeper does, without a store.
type player struct {
	h   history
	s   *sheet
	out outcome
}

func newPlayer(h history) *player {
	p := &player{h: h, out: newOutcome()}
	p.s = &sheet{account: types.Account{
		Id: types.AccountID{Scope: "s", Xid: "x"}, Owner: "owner", State: types.ACCOUNT_STATE_OPEN, SettledAt: 1,
		Deposited: math.ZeroInt(), Accrued: math.LegacyZeroDec(), Paid: math.ZeroInt(), Rate: math.LegacyZeroDec(), Refunded: math.ZeroInt(),
	}}
	p.deposit("owner", h.first, 1)
	return p
}

// playEachBlock settles in every block, and handles the account in the block in which it is due.
func playEachBlock(h history) outcome {
	p := newPlayer(h)
	next := 0
	for height := int64(1); height <= h.end; height++ {
		for ; next < len(h.steps) && h.steps[next].height == height; next++ {
			p.step(h.steps[next], true)
		}
		p.touch(height)
		p.s.schedule()
	}
	return p.finish()
}

// playSeldom settles only when something changes what is earned: the queue comes too late for everything, and nobody
// withdraws.
func playSeldom(h history) outcome {
	p := newPlayer(h)
	for _, step := range h.steps {
		p.step(step, false)
	}
	return p.finish()
}

// touch is what the keeper does before a message.
func (p *player) touch(height int64) {
	for p.s.isDue(height) {
		if p.s.account.State == types.ACCOUNT_STATE_SUSPENDED {
			p.out.expired++
			p.close(height)
			return
		}
		if p.s.settle(height) {
			p.s.suspend(p.h.graceBlocks)
			p.out.suspended++
			p.out.dryAt = append(p.out.dryAt, p.s.account.SettledAt)
		}
		p.s.schedule()
	}
	p.s.settle(height)
}

func (p *player) step(step historyStep, withdraws bool) {
	if step.kind == historyWithdraw && !withdraws {
		return
	}
	p.touch(step.height)
	if p.s.account.State == types.ACCOUNT_STATE_CLOSED {
		return
	}
	if p.try(step) && step.kind != historyWithdraw {
		p.out.accepted[step.kind]++
	}
	p.s.schedule()
}

func (p *player) try(step historyStep) bool {
	i := p.s.find(step.pid)
	switch step.kind {
	case historyDeposit:
		p.deposit(step.who, step.amount, step.height)
		if p.s.account.State == types.ACCOUNT_STATE_SUSPENDED && p.s.book().Covers(p.h.minResume) {
			p.s.resume(step.height)
			p.out.resumed++
		}
		return true
	case historyOpen:
		_, used := p.out.payments[step.pid]
		if i >= 0 || used || p.s.account.State != types.ACCOUNT_STATE_OPEN || !p.s.book().CanPayBlock(step.rate) {
			return false
		}
		payment := types.Payment{
			Id: types.PaymentID{AccountId: p.s.account.Id, Pid: step.pid}, Payee: step.who, State: types.PAYMENT_STATE_OPEN,
			Accrued: math.LegacyZeroDec(), Withdrawn: math.ZeroInt(), TakeRate: step.take, Taken: math.ZeroInt(),
		}
		payment.Rate.Amount = step.rate
		p.s.open(payment)
		return true
	case historyClose:
		if i < 0 {
			return false
		}
		p.record(p.s.end(i, step.height).payment)
		return true
	case historyWithdraw:
		if i >= 0 {
			p.s.pay(i)
		}
	}
	return false
}

func (p *player) deposit(who string, amount, height int64) {
	d := types.Deposit{Owner: who, Source: types.SOURCE_BALANCE, Amount: math.NewInt(amount), Height: height}
	if err := p.s.addDeposit(d); err != nil {
		panic(err) // the list is longer than a history
	}
	p.s.schedule()
}

func (p *player) close(height int64) {
	for len(p.s.live) > 0 {
		p.record(p.s.end(0, height).payment)
	}
	amounts := make([]math.Int, len(p.s.account.Deposits))
	for i, d := range p.s.account.Deposits {
		amounts[i] = d.Amount
	}
	for i, left := range ledger.Remainders(amounts, p.s.account.Paid) {
		p.out.refunds[p.s.account.Deposits[i].Owner] += left.Int64()
	}
	p.s.account.State = types.ACCOUNT_STATE_CLOSED
	p.s.schedule()
}

func (p *player) record(payment types.Payment) {
	p.out.payments[payment.Id.Pid] = paymentOutcome{
		payee: payment.Payee, accrued: payment.Accrued.String(), withdrawn: payment.Withdrawn.Int64(), taken: payment.Taken.Int64(),
	}
}

// finish closes what is still open at the end of the history.
func (p *player) finish() outcome {
	p.touch(p.h.end)
	if p.s.account.State != types.ACCOUNT_STATE_CLOSED {
		p.close(p.h.end)
	}
	return p.out
}
