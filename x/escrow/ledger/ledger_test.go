package ledger_test

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"cosmossdk.io/math"

	"berth.dev/berth/x/escrow/ledger"
)

func dec(s string) math.LegacyDec { return math.LegacyMustNewDecFromStr(s) }

// open is a book with a deposit and lines of these rates, at height 100.
func open(deposit int64, rates ...string) ledger.Book {
	b := ledger.Book{Deposited: math.NewInt(deposit), Spent: math.LegacyZeroDec(), SettledAt: 100}
	for i, r := range rates {
		b.Lines = append(b.Lines, ledger.Line{ID: fmt.Sprint(i), Rate: dec(r), Accrued: math.LegacyZeroDec()})
	}
	return b
}

func TestDryHeight(t *testing.T) {
	for name, tc := range map[string]struct {
		book   ledger.Book
		want   int64
		finite bool
	}{
		"no lines":                     {open(10), 0, false},
		"an exact multiple":            {open(10, "2"), 105, true},
		"the last block is partial":    {open(11, "2"), 106, true},
		"one block":                    {open(2, "2"), 101, true},
		"less than a block":            {open(1, "2"), 101, true},
		"nothing left":                 {open(0, "2"), 100, true},
		"several rates":                {open(10, "0.5", "1.5"), 105, true},
		"the smallest rate":            {open(1, "0.000000000000000001"), 100 + 1_000_000_000_000_000_000, true},
		"beyond any chain's life":      {open(5, "0.000000000000000001"), ledger.MaxHeight, true},
		"a rate of many decimals":      {open(1, "0.333333333333333333"), 104, true},
		"a rate that divides the rest": {open(1, "0.25"), 104, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, finite := tc.book.DryHeight()
			require.Equal(t, tc.finite, finite)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestSettle(t *testing.T) {
	for name, tc := range map[string]struct {
		book    ledger.Book
		height  int64
		accrued []string
		at      int64
		dry     bool
	}{
		"no block passed":            {open(10, "2"), 100, []string{"0"}, 100, false},
		"a height below":             {open(10, "2"), 99, []string{"0"}, 100, false},
		"one block":                  {open(10, "2"), 101, []string{"2"}, 101, false},
		"the block before dry":       {open(10, "2"), 104, []string{"8"}, 104, false},
		"dry to the unit":            {open(10, "2"), 105, []string{"10"}, 105, true},
		"long after dry":             {open(10, "2"), 1_000_000, []string{"10"}, 105, true},
		"a shortfall, shared":        {open(7, "1", "3"), 200, []string{"1.75", "5.25"}, 102, true},
		"a shortfall with remainder": {open(1, "1", "1", "1"), 200, []string{"0.333333333333333334", "0.333333333333333333", "0.333333333333333333"}, 101, true},
		"dry at once":                {open(0, "1"), 100, []string{"0"}, 100, true},
		"nothing earns":              {open(10), 200, nil, 200, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, dry := tc.book.Settle(tc.height)
			require.Equal(t, tc.dry, dry)
			require.Equal(t, tc.at, got.SettledAt)
			for i, want := range tc.accrued {
				require.True(t, dec(want).Equal(got.Lines[i].Accrued), "line %d: got %s, want %s", i, got.Lines[i].Accrued, want)
			}
		})
	}
}

func TestSettleLeavesItsInputAlone(t *testing.T) {
	b := open(7, "1", "3")
	b.Settle(103)
	b.Settle(200)
	require.Equal(t, open(7, "1", "3"), b)
}

func TestCanPayBlock(t *testing.T) {
	for name, tc := range map[string]struct {
		book ledger.Book
		rate string
		want bool
	}{
		"exactly one block":  {open(5, "3"), "2", true},
		"a smallest less":    {open(5, "3"), "2.000000000000000001", false},
		"the first line":     {open(5), "5", true},
		"more than all left": {open(5), "5.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, tc.book.CanPayBlock(dec(tc.rate)))
		})
	}
}

func TestCovers(t *testing.T) {
	require.True(t, open(10, "2").Covers(5))
	require.False(t, open(10, "2").Covers(6))
	require.True(t, open(0).Covers(1_000_000))
	require.False(t, open(10, "2").Covers(1<<62), "the product does not overflow")
}

func TestRemainders(t *testing.T) {
	deposits := []math.Int{math.NewInt(5), math.NewInt(3), math.NewInt(2)}
	for spent, want := range map[int64][]int64{
		0:  {5, 3, 2},
		4:  {1, 3, 2},
		5:  {0, 3, 2},
		7:  {0, 1, 2},
		10: {0, 0, 0},
	} {
		got := ledger.Remainders(deposits, math.NewInt(spent))
		for i := range want {
			require.Equal(t, want[i], got[i].Int64(), "spent %d, deposit %d", spent, i)
		}
	}
}

// genRate draws a rate of up to 18 decimals: tiny, ordinary or large.
func genRate(t *rapid.T) math.LegacyDec {
	switch rapid.IntRange(0, 2).Draw(t, "kind of rate") {
	case 0:
		return math.LegacyNewDecWithPrec(rapid.Int64Range(1, 1000).Draw(t, "tiny"), math.LegacyPrecision)
	case 1:
		return math.LegacyNewDecWithPrec(rapid.Int64Range(1, 1<<62).Draw(t, "fraction"), math.LegacyPrecision)
	}
	return math.LegacyNewDecWithPrec(rapid.Int64Range(1, 1<<62).Draw(t, "large"), 9)
}

func genBook(t *rapid.T) ledger.Book {
	b := ledger.Book{
		Deposited: math.NewInt(rapid.Int64Range(0, 1<<40).Draw(t, "deposit")),
		Spent:     math.LegacyZeroDec(),
		SettledAt: rapid.Int64Range(0, 1<<40).Draw(t, "height"),
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "lines") {
		b.Lines = append(b.Lines, ledger.Line{ID: fmt.Sprint(i), Rate: genRate(t), Accrued: math.LegacyZeroDec()})
	}
	return b
}

// accruedSum is what the lines of a book have earned.
func accruedSum(b ledger.Book) math.LegacyDec {
	sum := math.LegacyZeroDec()
	for _, l := range b.Lines {
		sum = sum.Add(l.Accrued)
	}
	return sum
}

// TestSettlingOftenEqualsOnce: any way of settling up to a height gives the same accruals as one settlement.
func TestSettlingOftenEqualsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := genBook(t)
		target := b.SettledAt + rapid.Int64Range(0, 200).Draw(t, "blocks")
		once, dryOnce := b.Settle(target)
		often, dry := b, false
		for h := b.SettledAt; h <= target && !dry; h += rapid.Int64Range(1, 7).Draw(t, "step") {
			often, dry = often.Settle(h)
		}
		if !dry {
			often, dry = often.Settle(target)
		}
		require.Equal(t, dryOnce, dry)
		require.Equal(t, once.SettledAt, often.SettledAt)
		require.True(t, once.Spent.Equal(often.Spent))
		for i := range once.Lines {
			require.True(t, once.Lines[i].Accrued.Equal(often.Lines[i].Accrued),
				"line %d: once %s, often %s", i, once.Lines[i].Accrued, often.Lines[i].Accrued)
		}
	})
}

// TestSettleIsTheClosedForm: before the dry height a line has earned rate x blocks, and at it all that was deposited is
// earned, each line's last share within one smallest decimal of its proportion.
func TestSettleIsTheClosedForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := genBook(t)
		blocks := rapid.Int64Range(0, 500).Draw(t, "blocks")
		got, dry := b.Settle(b.SettledAt + blocks)
		require.True(t, accruedSum(got).Equal(got.Spent), "spent is what the lines have earned")
		require.False(t, got.Left().IsNegative())
		if !dry {
			for _, l := range got.Lines {
				require.True(t, l.Rate.MulInt64(blocks).Equal(l.Accrued))
			}
			return
		}
		require.True(t, got.Left().IsZero(), "a dry account has nothing left")
		full := max(0, got.SettledAt-b.SettledAt-1)
		last := math.LegacyNewDecFromInt(b.Deposited).Sub(b.Rate().MulInt64(full))
		require.False(t, last.GT(b.Rate()), "the last block costs no more than the rate")
		for _, l := range got.Lines {
			share := l.Accrued.Sub(l.Rate.MulInt64(full))
			require.False(t, share.GT(l.Rate), "no line earns more than its rate in the last block")
			// |share - last*rate/total| <= one smallest decimal, multiplied out
			off := new(big.Int).Sub(new(big.Int).Mul(share.BigInt(), b.Rate().BigInt()), new(big.Int).Mul(last.BigInt(), l.Rate.BigInt()))
			require.LessOrEqual(t, off.CmpAbs(b.Rate().BigInt()), 0, "share %s of %s at rate %s of %s", share, last, l.Rate, b.Rate())
		}
	})
}

// TestShareIsExact: shares sum up to the amount, and never favour a line by more than one smallest decimal.
func TestShareIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := genBook(t)
		if len(b.Lines) == 0 {
			return
		}
		amount := math.LegacyNewDecWithPrec(rapid.Int64Range(0, 1<<62).Draw(t, "amount"), rapid.Int64Range(0, 18).Draw(t, "decimals"))
		sum := math.LegacyZeroDec()
		for _, s := range ledger.Share(amount, b.Lines) {
			require.False(t, s.IsNegative())
			sum = sum.Add(s)
		}
		require.True(t, amount.Equal(sum), "amount %s, shares sum up to %s", amount, sum)
	})
}

// TestRemaindersConserve: what is left of deposits is what was not spent, and the first are spent first.
func TestRemaindersConserve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amounts := rapid.SliceOfN(rapid.Int64Range(1, 1000), 1, 10).Draw(t, "deposits")
		deposits, total := make([]math.Int, len(amounts)), int64(0)
		for i, a := range amounts {
			deposits[i] = math.NewInt(a)
			total += a
		}
		spent := rapid.Int64Range(0, total).Draw(t, "spent")
		left, touched := int64(0), false
		for i, r := range ledger.Remainders(deposits, math.NewInt(spent)) {
			left += r.Int64()
			require.False(t, touched && r.Int64() != amounts[i], "a later deposit is touched only when the earlier are gone")
			touched = touched || r.IsPositive()
		}
		require.Equal(t, total-spent, left)
	})
}

// FuzzLifetime drives a book through random deposits, opens, closes, payouts and settlements, the way the keeper does,
// and checks that no unit is made or lost.
func FuzzLifetime(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5})
	f.Fuzz(rapid.MakeFuzz(lifetime))
}

// TestLifetime is FuzzLifetime on the generator's own seeds.
func TestLifetime(t *testing.T) { rapid.Check(t, lifetime) }

func lifetime(t *rapid.T) {
	b := ledger.Book{Deposited: math.NewInt(rapid.Int64Range(1, 10_000).Draw(t, "first")), Spent: math.LegacyZeroDec()}
	paid := map[string]math.Int{}
	total := math.ZeroInt()
	next := 0
	payOut := func(l ledger.Line) {
		units := ledger.Payout(l.Accrued, paid[l.ID])
		require.False(t, units.IsNegative())
		paid[l.ID] = paid[l.ID].Add(units)
		total = total.Add(units)
	}
	closeLine := func(i int) {
		payOut(b.Lines[i])
		b.Spent = b.Spent.Sub(b.Lines[i].Accrued.Sub(math.LegacyNewDecFromInt(paid[b.Lines[i].ID])))
		b.Lines = append(b.Lines[:i:i], b.Lines[i+1:]...)
	}
	for range rapid.IntRange(1, 30).Draw(t, "steps") {
		before := b.SettledAt
		b, _ = b.Settle(b.SettledAt + rapid.Int64Range(0, 40).Draw(t, "blocks"))
		require.LessOrEqual(t, before, b.SettledAt)
		switch rapid.IntRange(0, 3).Draw(t, "step") {
		case 0:
			b.Deposited = b.Deposited.AddRaw(rapid.Int64Range(1, 1000).Draw(t, "deposit"))
		case 1:
			if rate := genRate(t); b.CanPayBlock(rate) {
				id := fmt.Sprintf("%03d", next)
				next++
				paid[id] = math.ZeroInt()
				b.Lines = append(b.Lines, ledger.Line{ID: id, Rate: rate, Accrued: math.LegacyZeroDec()})
			}
		case 2:
			if n := len(b.Lines); n > 0 {
				closeLine(rapid.IntRange(0, n-1).Draw(t, "closed"))
			}
		case 3:
			for _, l := range b.Lines {
				payOut(l)
			}
		}
		require.False(t, b.Left().IsNegative(), "never more is spent than deposited")
	}
	for len(b.Lines) > 0 {
		closeLine(0)
	}
	require.True(t, math.LegacyNewDecFromInt(total).Equal(b.Spent), "spent is what was paid: %s, %s", b.Spent, total)
	require.True(t, b.Left().IsInteger(), "what is refunded is whole units")
	require.True(t, total.Add(b.Left().TruncateInt()).Equal(b.Deposited))
}
