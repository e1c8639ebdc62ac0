package app_test

import (
	"testing"

	"cosmossdk.io/math"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
)

// TestFillPrices: an open price is one and a half times the median of what leases cost for what they take; those that take
// or cost nothing tell nothing, and a price that is given stays.
func TestFillPrices(t *testing.T) {
	one := sdl.Resource{Service: "web", Count: 1, CPUMilli: 1000, MemoryBytes: 1 << 30, Denom: "ubrt"}
	two := one
	two.CPUMilli, two.MemoryBytes = 2000, 2<<30
	given := one
	given.Price = math.LegacyNewDec(7)
	plan := func() *sdl.Plan { return &sdl.Plan{Groups: []sdl.Group{{Resources: []sdl.Resource{one, two, given}}}} }
	weight := app.Weight(one)
	at := func(rate int64) app.Leased { return app.Leased{Weight: weight, Price: math.LegacyNewDec(rate)} }
	nothing := app.Leased{Weight: math.LegacyZeroDec(), Price: math.LegacyNewDec(1000)}
	for name, tc := range map[string]struct {
		leased []app.Leased
		want   math.LegacyDec
	}{
		"one lease":           {[]app.Leased{at(10)}, math.LegacyNewDec(15)},
		"the median of three": {[]app.Leased{at(100), at(10), at(20)}, math.LegacyNewDec(30)},
		"between two":         {[]app.Leased{at(10), at(20)}, math.LegacyMustNewDecFromStr("22.5")},
		"what takes nothing":  {[]app.Leased{nothing, at(10), at(0)}, math.LegacyNewDec(15)},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan()
			app.FillPrices(p, tc.leased, 6_000_000_000)
			r := p.Groups[0].Resources
			// Rates are rounded in the 18th place, and then multiplied by what is taken.
			if off := r[0].Price.Sub(tc.want).Abs(); off.GT(math.LegacyNewDecWithPrec(1, 9)) {
				t.Errorf("%s, want %s", r[0].Price, tc.want)
			}
			if !r[1].Price.GT(r[0].Price) || !r[2].Price.Equal(given.Price) {
				t.Errorf("twice as much: %s; one that is given: %s", r[1].Price, r[2].Price)
			}
		})
	}
	p := plan()
	app.FillPrices(p, nil, 6_000_000_000)
	if p.OpenPrices() || !p.Groups[0].Resources[0].Price.IsPositive() {
		t.Errorf("without leases: %s", p.Groups[0].Resources[0].Price)
	}
	p = plan()
	if app.FillPrices(p, nil, 0); !p.OpenPrices() {
		t.Error("without a time between blocks there is no price per block")
	}
}
