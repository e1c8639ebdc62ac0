package keeper

import (
	"fmt"
	"math/rand/v2"

	"cosmossdk.io/math"
)

// A history is what happens to one account: its first deposit at height 1, then steps at ascending heights until it
// ends. It is drawn from a seed, and means the same to the escrow and to the oracle that it is compared with.
type history struct {
	first                  int64
	graceBlocks, minResume int64
	steps                  []historyStep
	end                    int64
}

type historyKind int

const (
	historyDeposit historyKind = iota
	historyOpen
	historyClose
	historyWithdraw
	historyKinds
)

// historyStep is one step. What cannot be done at its time, such as opening a payment on a suspended account, is refused.
type historyStep struct {
	height int64
	kind   historyKind
	// who deposits, or is paid.
	who    string
	amount int64
	pid    string
	rate   math.LegacyDec
	take   math.LegacyDec
}

const (
	historyPeople = 4
	historyPids   = 5
)

// drawHistory draws a history that is likely to run dry, now and then to be resumed, and sometimes to expire.
func drawHistory(r *rand.Rand) history {
	h := history{
		first:       1 + r.Int64N(400),
		graceBlocks: 1 + r.Int64N(25),
		minResume:   1 + r.Int64N(4),
	}
	at := int64(1)
	for range 2 + r.IntN(14) {
		at += r.Int64N(9)
		h.steps = append(h.steps, drawStep(r, at))
	}
	h.end = at + r.Int64N(40)
	return h
}

func drawStep(r *rand.Rand, height int64) historyStep {
	step := historyStep{
		height: height,
		kind:   []historyKind{historyDeposit, historyDeposit, historyOpen, historyOpen, historyOpen, historyClose, historyWithdraw}[r.IntN(7)],
		who:    fmt.Sprintf("person %d", r.IntN(historyPeople)),
		pid:    fmt.Sprint(r.IntN(historyPids)),
		rate:   drawRate(r),
		take:   math.LegacyNewDecWithPrec(r.Int64N(1001), 3),
		amount: 1 + r.Int64N(120),
	}
	if r.IntN(4) == 0 {
		step.amount = 1
	}
	return step
}

// drawRate draws a rate of few decimals, of eighteen, or one that no sum of deposits is a multiple of.
func drawRate(r *rand.Rand) math.LegacyDec {
	switch r.IntN(4) {
	case 0:
		return math.LegacyNewDec(1 + r.Int64N(12))
	case 1:
		return math.LegacyNewDecWithPrec(1+r.Int64N(9_000_000_000_000_000_000), math.LegacyPrecision)
	case 2:
		return math.LegacyNewDecWithPrec(1+r.Int64N(3000), 3)
	}
	return math.LegacyNewDec(1 + r.Int64N(9)).QuoInt64(1 + r.Int64N(9))
}

// outcome is what a history comes to: who was paid and refunded what, to the unit, what was taken for the community
// pool, and how often each thing happened.
type outcome struct {
	payments                    map[string]paymentOutcome
	refunds                     map[string]int64
	accepted                    [historyKinds]int
	suspended, resumed, expired int
	// dryAt are the heights at which the account ran dry.
	dryAt []int64
}

type paymentOutcome struct {
	payee, accrued   string
	withdrawn, taken int64
}

func newOutcome() outcome {
	return outcome{payments: map[string]paymentOutcome{}, refunds: map[string]int64{}}
}
