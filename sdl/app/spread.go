package app

import (
	"cosmossdk.io/math"

	"berth.dev/berth/sdl"
)

// monthNanos is a month of 30 days.
const monthNanos = int64(30 * 24 * 3600 * 1_000_000_000)

// What a unit of a resource counts when a budget is spread: a core as much as 4 GiB of memory, and that as much as
// 64 GiB of storage.
const (
	bytesOfMemory = 4 * gibi      // that count as a core
	bytesOfDisk   = 16 * 4 * gibi // that count as a core
)

// weight is what an instance of a resource takes, in parts of a core.
func weight(r sdl.Resource) math.LegacyDec {
	bytes := func(n, core uint64) math.LegacyDec {
		return math.LegacyNewDecFromInt(math.NewIntFromUint64(n)).MulInt64(1000).QuoInt(math.NewIntFromUint64(core))
	}
	w := math.LegacyNewDecFromInt(math.NewIntFromUint64(r.CPUMilli)).Add(bytes(r.MemoryBytes, bytesOfMemory))
	for _, v := range r.Storage {
		w = w.Add(bytes(v.Bytes, bytesOfDisk))
	}
	return w
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
			total = total.Add(weight(*r).MulInt64(int64(r.Count)))
		} else {
			left = left.Sub(r.Price.MulInt64(int64(r.Count)))
		}
	})
	if !left.IsPositive() || !total.IsPositive() {
		return
	}
	each(p, func(r *sdl.Resource) {
		if price := left.Mul(weight(*r)).QuoTruncate(total); r.Open() && price.IsPositive() {
			r.Price, r.Denom = price, p.Extras.Budget.Denom
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
