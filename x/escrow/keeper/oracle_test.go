package keeper

import (
	"math/big"
	"slices"
	"strings"

	"cosmossdk.io/math"
)

// The oracle computes a history's outcome by its definition, in fractions: what a payment has earned between two changes
// is rate x blocks up to the height at which the account runs dry. It shares no arithmetic with the escrow.
type oracle struct {
	h        history
	out      outcome
	state    string // open, suspended, closed
	since    int64  // the height from which the live payments have earned
	deadline int64
	// left is what was deposited and not earned.
	left     *big.Rat
	deposits []oracleDeposit
	live     []*oraclePayment // in the order of their ids
	closed   map[string]bool
	paid     int64
}

type oracleDeposit struct {
	who    string
	amount int64
}

type oraclePayment struct {
	pid, payee          string
	rate, take, accrued *big.Rat
}

// smallest is the last decimal of an accrual.
var smallest = big.NewRat(1, 1_000_000_000_000_000_000)

func playOracle(h history) outcome {
	o := &oracle{h: h, out: newOutcome(), state: "open", since: 1, left: new(big.Rat), closed: map[string]bool{}}
	o.deposit("owner", h.first)
	for _, step := range h.steps {
		o.advance(step.height)
		if step.kind != historyWithdraw && o.state != "closed" && o.step(step) {
			o.out.accepted[step.kind]++
		}
	}
	o.advance(h.end)
	if o.state != "closed" {
		o.close()
	}
	return o.out
}

// advance lets time pass up to a height.
func (o *oracle) advance(height int64) {
	if o.state == "open" && len(o.live) > 0 {
		o.earn(height)
	}
	if o.state == "open" {
		o.since = height
	}
	if o.state == "suspended" && o.deadline <= height {
		o.out.expired++
		o.close()
	}
}

// earn gives each live payment rate x blocks if that can be paid. If not, they get it up to the last block that can, and
// what is left by then in proportion to their rates.
func (o *oracle) earn(height int64) {
	rate := o.rate()
	affordable := floor(new(big.Rat).Quo(o.left, rate)) // whole blocks
	blocks := height - o.since
	exact := new(big.Rat).Mul(rate, big.NewRat(affordable, 1)).Cmp(o.left) == 0
	if blocks < affordable || blocks == affordable && !exact {
		o.earnBlocks(blocks)
		return
	}
	dryAt := o.since + affordable
	o.earnBlocks(affordable)
	if !exact {
		dryAt++
		o.share(rate)
	}
	if dryAt > height {
		panic("an account is dry after the height that it is dry at")
	}
	o.state, o.since, o.deadline = "suspended", dryAt, dryAt+o.h.graceBlocks
	o.out.suspended++
	o.out.dryAt = append(o.out.dryAt, dryAt)
}

func (o *oracle) rate() *big.Rat {
	sum := new(big.Rat)
	for _, p := range o.live {
		sum.Add(sum, p.rate)
	}
	return sum
}

func (o *oracle) earnBlocks(blocks int64) {
	for _, p := range o.live {
		o.give(p, new(big.Rat).Mul(p.rate, big.NewRat(blocks, 1)))
	}
}

func (o *oracle) give(p *oraclePayment, amount *big.Rat) {
	p.accrued.Add(p.accrued, amount)
	o.left.Sub(o.left, amount)
}

// share divides what is left: rounded down to the last decimal, and one more of those each, in the order of ids, until
// nothing is left.
func (o *oracle) share(rate *big.Rat) {
	whole := new(big.Rat).Set(o.left)
	for _, p := range o.live {
		part := new(big.Rat).Mul(whole, p.rate)
		part.Quo(part, rate)
		decimals := new(big.Rat).Quo(part, smallest)
		down := new(big.Int).Quo(decimals.Num(), decimals.Denom())
		o.give(p, new(big.Rat).Mul(new(big.Rat).SetInt(down), smallest))
	}
	for _, p := range o.live {
		if o.left.Sign() > 0 {
			o.give(p, smallest)
		}
	}
	if o.left.Sign() != 0 {
		panic("the remainder of a share is not shared")
	}
}

func (o *oracle) step(step historyStep) bool {
	i := slices.IndexFunc(o.live, func(p *oraclePayment) bool { return p.pid == step.pid })
	switch step.kind {
	case historyDeposit:
		o.deposit(step.who, step.amount)
		if o.state == "suspended" && new(big.Rat).Mul(o.rate(), big.NewRat(o.h.minResume, 1)).Cmp(o.left) <= 0 {
			o.state, o.since = "open", step.height
			o.out.resumed++
		}
		return true
	case historyOpen:
		rate := ratOf(step.rate)
		if i >= 0 || o.closed[step.pid] || o.state != "open" || new(big.Rat).Add(o.rate(), rate).Cmp(o.left) > 0 {
			return false
		}
		o.live = append(o.live, &oraclePayment{step.pid, step.who, rate, ratOf(step.take), new(big.Rat)})
		slices.SortFunc(o.live, func(a, b *oraclePayment) int { return strings.Compare(a.pid, b.pid) })
		return true
	case historyClose:
		if i >= 0 {
			o.closePayment(i)
		}
		return i >= 0
	}
	return false
}

func (o *oracle) deposit(who string, amount int64) {
	o.deposits = append(o.deposits, oracleDeposit{who, amount})
	o.left.Add(o.left, big.NewRat(amount, 1))
}

// closePayment pays the whole units of what was earned; the rest of the last one goes back.
func (o *oracle) closePayment(i int) {
	p := o.live[i]
	o.live = slices.Delete(o.live, i, i+1)
	o.closed[p.pid] = true
	units := floor(p.accrued)
	taken := floor(new(big.Rat).Mul(big.NewRat(units, 1), p.take))
	o.out.payments[p.pid] = paymentOutcome{payee: p.payee, accrued: p.accrued.FloatString(math.LegacyPrecision), withdrawn: units, taken: taken}
	o.paid += units
	o.left.Add(o.left, p.accrued)
	o.left.Sub(o.left, big.NewRat(units, 1))
}

// close pays all and gives each deposit back what is left of it, the first having been spent first.
func (o *oracle) close() {
	for len(o.live) > 0 {
		o.closePayment(0)
	}
	spent := o.paid
	for _, d := range o.deposits {
		used := min(spent, d.amount)
		spent -= used
		o.out.refunds[d.who] += d.amount - used
	}
	o.state = "closed"
}

// ratOf reads a decimal from its text.
func ratOf(d math.LegacyDec) *big.Rat {
	r, ok := new(big.Rat).SetString(d.String())
	if !ok {
		panic("not a number: " + d.String())
	}
	return r
}

func floor(r *big.Rat) int64 { return new(big.Int).Quo(r.Num(), r.Denom()).Int64() }
