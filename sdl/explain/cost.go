package explain

import (
	"encoding/json"

	"cosmossdk.io/math"

	sdktypes "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/sdl"
	"berth.dev/berth/units"
)

// The times that costs are given for, in nanoseconds. A month has 30 days.
const (
	second = int64(1_000_000_000)
	hour   = 3600 * second
	day    = 24 * hour
	month  = 30 * day
)

// Cost is what something may cost at most. PerHour and PerMonth are nil when the time per block is unknown. A result
// that has no end is rounded up in its 18th decimal, so that a maximum stays one.
type Cost struct {
	Denom                       string
	PerBlock, PerHour, PerMonth math.LegacyDec
	// Open says that a price of it is still to be found, and is not counted.
	Open bool
}

// MarshalJSON writes amounts as decimal strings in the denomination.
func (c Cost) MarshalJSON() ([]byte, error) {
	type costJSON struct {
		Denom    string `json:"denom"`
		PerBlock string `json:"per_block"`
		PerHour  string `json:"per_hour,omitempty"`
		PerMonth string `json:"per_month,omitempty"`
		Open     bool   `json:"open,omitempty"`
	}
	out := costJSON{Denom: c.Denom, PerBlock: sdl.FormatPrice(c.PerBlock), Open: c.Open}
	if !c.PerHour.IsNil() {
		out.PerHour, out.PerMonth = sdl.FormatPrice(c.PerHour), sdl.FormatPrice(c.PerMonth)
	}
	return json.Marshal(out)
}

// MaxPrice is the most that a group may cost per block: the sum over its resources of price times count, but for prices
// that are open. The group has at least one resource, and all have one denom.
func MaxPrice(g sdl.Group) (amount math.LegacyDec, denom string) {
	amount = math.LegacyZeroDec()
	for _, r := range g.Resources {
		denom = r.Denom
		if !r.Open() {
			amount = amount.Add(r.Price.MulInt64(int64(r.Count)))
		}
	}
	return amount, denom
}

// costOf is what some instances cost.
func (e *Explanation) costOf(r sdl.Resource, instances uint32) Cost {
	if r.Open() {
		c := e.cost(math.LegacyZeroDec(), r.Denom)
		c.Open = true
		return c
	}
	return e.cost(r.Price.MulInt64(int64(instances)), r.Denom)
}

// PriceText writes the price per block for people.
func (c Cost) PriceText() string { return c.text(Money(c.PerBlock, c.Denom)) }

// text says of an amount what is open of it.
func (c Cost) text(amount string) string {
	switch {
	case !c.Open:
		return amount
	case c.PerBlock.IsZero():
		return "open"
	}
	return amount + " and what is open"
}

func (e *Explanation) cost(perBlock math.LegacyDec, denom string) Cost {
	c := Cost{Denom: denom, PerBlock: perBlock}
	if e.BlockNanos > 0 {
		c.PerHour, c.PerMonth = over(perBlock, hour, e.BlockNanos), over(perBlock, month, e.BlockNanos)
	}
	return c
}

// over is what a price per block comes to in a time, rounded up in its last decimal.
func over(perBlock math.LegacyDec, nanos, blockNanos int64) math.LegacyDec {
	all, block := perBlock.MulInt64(nanos), math.NewInt(blockNanos)
	out := all.QuoInt(block)
	if out.MulInt(block).LT(all) {
		out = out.Add(math.LegacySmallestDec())
	}
	return out
}

// total is what all placements may cost together; nil for none, or for prices in several denominations, which no plan
// has.
func (e *Explanation) total() *Cost {
	sum, open := math.LegacyZeroDec(), false
	for _, p := range e.Placements {
		open = open || p.AtMost.Open
		if p.AtMost.Denom != e.Placements[0].AtMost.Denom {
			return nil
		}
		sum = sum.Add(p.AtMost.PerBlock)
	}
	if len(e.Placements) == 0 {
		return nil
	}
	c := e.cost(sum, e.Placements[0].AtMost.Denom)
	c.Open = open
	return &c
}

// Deposit is what is put into escrow, and how long it lasts at the maximum price, that is at least.
type Deposit struct {
	Amount string `json:"amount"`
	Denom  string `json:"denom"`
	// Blocks and Seconds are whole ones; Seconds is 0 when the time per block is unknown.
	Blocks  string `json:"blocks"`
	Seconds string `json:"seconds,omitempty"`

	nanos math.Int
}

// lasts works out what a deposit buys; nil if it is in another denomination than the prices.
func (e *Explanation) lasts(c sdktypes.Coin) *Deposit {
	if c.Denom != e.AtMost.Denom || e.AtMost.Open || !e.AtMost.PerBlock.IsPositive() {
		return nil
	}
	// In whole smallest steps, so that the quotient is cut and never rounded.
	blocks := math.NewIntFromBigInt(math.LegacyNewDecFromInt(c.Amount).BigInt()).Quo(math.NewIntFromBigInt(e.AtMost.PerBlock.BigInt()))
	d := &Deposit{Amount: c.Amount.String(), Denom: c.Denom, Blocks: blocks.String(), nanos: blocks.MulRaw(e.BlockNanos)}
	if e.BlockNanos > 0 {
		d.Seconds = d.nanos.QuoRaw(second).String()
	}
	return d
}

// Money writes an amount for people, exactly.
func Money(amount math.LegacyDec, denom string) string {
	return units.FormatDec(sdktypes.DecCoin{Denom: denom, Amount: amount})
}

// MoneyUp writes an amount for people. Of a large one, what is finer than the smallest coin is rounded up.
func MoneyUp(amount math.LegacyDec, denom string) string {
	if !amount.IsNil() && amount.GTE(math.LegacyNewDec(100)) {
		amount = amount.Ceil()
	}
	return Money(amount, denom)
}
