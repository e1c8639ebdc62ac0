package app

import (
	"slices"

	"cosmossdk.io/math"

	"berth.dev/berth/sdl"
)

// monthNanos is a month of 30 days.
const monthNanos = int64(30 * 24 * 3600 * 1_000_000_000)

// What resources count beside each other, as providers price them by default: a core as much as 2 GiB of memory, as
// 40 GiB of storage, and as 100 public ports.
const (
	memoryOfCore   = 2 * gibi
	storageOfCore  = 40 * gibi
	endpointWeight = 10 // thousandths of a core
)

// defaultRate is what a core costs per month where nothing is leased yet, in the chain's own micro tokens: what
// providers ask by default.
const defaultRate = 2_000_000

// Weight is what an instance takes, in thousandths of a core.
func Weight(r sdl.Resource) math.LegacyDec {
	bytes := func(n, core uint64) math.LegacyDec {
		return math.LegacyNewDecFromInt(math.NewIntFromUint64(n)).MulInt64(1000).QuoInt(math.NewIntFromUint64(core))
	}
	w := math.LegacyNewDecFromInt(math.NewIntFromUint64(r.CPUMilli)).Add(bytes(r.MemoryBytes, memoryOfCore))
	for _, v := range r.Storage {
		w = w.Add(bytes(v.Bytes, storageOfCore))
	}
	return w.Add(math.LegacyNewDec(int64(len(r.Endpoints)) * endpointWeight))
}

// Spread gives the open prices of a plan the parts of its budget that are left by the others, by what each instance
// takes, for a time per block. Without a budget, or with nothing left of it, prices stay open.
func Spread(p *sdl.Plan, blockNanos int64) {
	if p.Extras == nil || p.Extras.Budget == nil || blockNanos <= 0 {
		return
	}
	left := p.Extras.Budget.PerMonth.MulInt64(blockNanos).QuoInt64(monthNanos)
	total := math.LegacyZeroDec()
	each(p, func(r *sdl.Resource) {
		if r.Open() {
			total = total.Add(Weight(*r).MulInt64(int64(r.Count)))
		} else {
			left = left.Sub(r.Price.MulInt64(int64(r.Count)))
		}
	})
	if !left.IsPositive() || !total.IsPositive() {
		return
	}
	rate := left.QuoTruncate(total)
	each(p, func(r *sdl.Resource) {
		if price := rate.MulTruncate(Weight(*r)); r.Open() && price.IsPositive() {
			r.Price, r.Denom = price, p.Extras.Budget.Denom
		}
	})
}

// Leased is what a lease takes, in all, and what it costs per block.
type Leased struct {
	Weight math.LegacyDec
	Price  math.LegacyDec
}

// FillPrices sets the prices that are open to one and a half times the median of what such leases cost for what they
// take, or, where there are none, to that of what providers ask by default. A budget that nothing is left of keeps
// prices open.
func FillPrices(p *sdl.Plan, leases []Leased, blockNanos int64) {
	if p.Extras != nil && p.Extras.Budget != nil || blockNanos <= 0 {
		return
	}
	var rates []math.LegacyDec
	for _, l := range leases {
		if l.Weight.IsPositive() && l.Price.IsPositive() {
			rates = append(rates, l.Price.Quo(l.Weight))
		}
	}
	rate := math.LegacyNewDec(defaultRate).QuoInt64(1000).MulInt64(blockNanos).QuoInt64(monthNanos)
	if n := len(rates); n > 0 {
		slices.SortFunc(rates, func(a, b math.LegacyDec) int { return a.BigInt().Cmp(b.BigInt()) })
		rate = rates[n/2].Add(rates[(n-1)/2]).QuoInt64(2)
	}
	each(p, func(r *sdl.Resource) {
		if r.Open() {
			r.Price = rate.Mul(Weight(*r)).MulInt64(3).QuoInt64(2)
		}
	})
}

func each(p *sdl.Plan, do func(r *sdl.Resource)) {
	for i := range p.Groups {
		for j := range p.Groups[i].Resources {
			do(&p.Groups[i].Resources[j])
		}
	}
}
