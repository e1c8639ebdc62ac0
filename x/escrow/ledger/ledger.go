// Package ledger is the arithmetic of an escrow account: what its payments have earned at a height, when it runs dry,
// how the last blocks' shortfall is shared, and who gets what is left. It is pure: values in, values out.
//
// Amounts are exact. Deposits are whole units; a payment accrues rate x blocks in decimals of 18 places, which is the
// precision of a rate, so that no product is ever rounded. Whole units are paid out of the cumulative accrual, hence
// the sum paid does not depend on how often an account is settled.
package ledger

import (
	"math/big"

	"cosmossdk.io/math"
)

// MaxHeight is the height that stands for "not within any chain's life". A dry height is never above it, so that a
// grace period can be added to it without overflow.
const MaxHeight = int64(1) << 62

// Line is a payment that earns.
type Line struct {
	// ID orders lines: the remainder of a shared shortfall goes to the lower ids first.
	ID string
	// Rate is earned each block; it is positive.
	Rate math.LegacyDec
	// Accrued is what the line has earned since it was opened.
	Accrued math.LegacyDec
}

// Book is an account's state as far as its arithmetic goes.
type Book struct {
	// Deposited is all that was ever deposited.
	Deposited math.Int
	// Spent is what all lines have accrued and what closed payments were paid. It never exceeds Deposited.
	Spent math.LegacyDec
	// SettledAt is the height up to which the lines have accrued.
	SettledAt int64
	// Lines are the payments that earn, in ascending order of ID.
	Lines []Line
}

// Rate is what the lines earn together in a block.
func (b Book) Rate() math.LegacyDec {
	sum := math.LegacyZeroDec()
	for _, l := range b.Lines {
		sum = sum.Add(l.Rate)
	}
	return sum
}

// Left is what has been deposited and not yet been earned.
func (b Book) Left() math.LegacyDec { return math.LegacyNewDecFromInt(b.Deposited).Sub(b.Spent) }

// DryHeight is the height at which everything deposited is spent: the first at which the lines would have earned as
// much as is left. ok is false when no line earns, so that the account lasts forever.
func (b Book) DryHeight() (height int64, ok bool) {
	rate := b.Rate()
	if !rate.IsPositive() {
		return 0, false
	}
	blocks := ceilQuo(b.Left().BigInt(), rate.BigInt())
	if !blocks.IsInt64() || blocks.Int64() > MaxHeight-b.SettledAt {
		return MaxHeight, true
	}
	return b.SettledAt + blocks.Int64(), true
}

// Settle lets the lines accrue up to a height, or to the dry height if that comes first, and says whether the account
// is dry there. A height below the settled one changes nothing. The identity that holds throughout:
//
//	Spent(after) - Spent(before) = sum over the lines of Accrued(after) - Accrued(before), and Spent <= Deposited
//
// b is not changed.
func (b Book) Settle(height int64) (settled Book, dry bool) {
	dryAt, finite := b.DryHeight()
	if height < b.SettledAt {
		return b, false
	}
	if finite && height >= dryAt {
		return b.drain(dryAt), true
	}
	return b.accrue(height), false
}

// accrue adds full blocks up to a height that the account can pay.
func (b Book) accrue(height int64) Book {
	blocks := height - b.SettledAt
	out := b
	out.SettledAt = height
	out.Lines = make([]Line, len(b.Lines))
	for i, l := range b.Lines {
		earned := l.Rate.MulInt64(blocks)
		l.Accrued = l.Accrued.Add(earned)
		out.Spent = out.Spent.Add(earned)
		out.Lines[i] = l
	}
	return out
}

// drain adds the full blocks before the dry height and shares what is left for the last one.
func (b Book) drain(dryAt int64) Book {
	out := b
	if dryAt > b.SettledAt {
		out = b.accrue(dryAt - 1)
	} else {
		out.Lines = append([]Line(nil), b.Lines...)
	}
	for i, share := range Share(out.Left(), out.Lines) {
		out.Lines[i].Accrued = out.Lines[i].Accrued.Add(share)
	}
	out.Spent = math.LegacyNewDecFromInt(out.Deposited)
	out.SettledAt = dryAt
	return out
}

// Share divides an amount among lines in proportion to their rates, exactly: each gets its share rounded down to the
// smallest decimal, and the remainder, fewer of those than there are lines, goes one each to the lines in their order.
// The shares of no lines are none, whatever the amount.
func Share(amount math.LegacyDec, lines []Line) []math.LegacyDec {
	total := new(big.Int)
	for _, l := range lines {
		total.Add(total, l.Rate.BigInt())
	}
	shares := make([]math.LegacyDec, len(lines))
	rest := amount.BigInt()
	for i, l := range lines {
		share := new(big.Int).Mul(amount.BigInt(), l.Rate.BigInt())
		share.Quo(share, total)
		rest.Sub(rest, share)
		shares[i] = math.LegacyNewDecFromBigIntWithPrec(share, math.LegacyPrecision)
	}
	smallest := math.LegacySmallestDec()
	for i := 0; i < len(shares) && rest.Sign() > 0; i++ {
		shares[i] = shares[i].Add(smallest)
		rest.Sub(rest, big.NewInt(1))
	}
	return shares
}

// Payout is the whole units of an accrual that have not been paid yet.
func Payout(accrued math.LegacyDec, paid math.Int) math.Int { return accrued.TruncateInt().Sub(paid) }

// Take is the whole units of an amount that go to the community pool at a rate from 0 to 1. Of a payment it is computed
// on all that was ever paid, so that the sum taken does not depend on how often one withdraws; what a payout leaves to
// the payee is never negative.
func Take(paid math.Int, rate math.LegacyDec) math.Int {
	taken := new(big.Int).Mul(paid.BigInt(), rate.BigInt())
	return math.NewIntFromBigInt(taken.Quo(taken, math.LegacyOneDec().BigInt()))
}

// CanPayBlock says whether the book can pay one full block with a further line of this rate.
func (b Book) CanPayBlock(rate math.LegacyDec) bool {
	left := b.Left()
	if rate.GT(left) {
		return false
	}
	return b.Rate().Add(rate).LTE(left)
}

// Covers says whether what is left pays for at least so many blocks of the whole rate.
func (b Book) Covers(blocks int64) bool {
	need := new(big.Int).Mul(b.Rate().BigInt(), big.NewInt(blocks))
	return b.Left().BigInt().Cmp(need) >= 0
}

// Remainders says how much of each deposit is left after so many whole units were spent: the first deposits are spent
// first. spent must not exceed the sum of the deposits; the remainders then sum up to the difference.
func Remainders(deposits []math.Int, spent math.Int) []math.Int {
	out := make([]math.Int, len(deposits))
	for i, d := range deposits {
		used := math.MinInt(d, spent)
		spent = spent.Sub(used)
		out[i] = d.Sub(used)
	}
	return out
}

// ceilQuo is a/b rounded up, for a >= 0 and b > 0.
func ceilQuo(a, b *big.Int) *big.Int {
	q, m := new(big.Int).QuoRem(a, b, new(big.Int))
	if m.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}
