package pricing

import (
	"math/big"
	"testing"
	"time"

	"cosmossdk.io/math"
	"pgregory.net/rapid"
)

func amount(t interface{ Fatalf(string, ...any) }, s string) Amount {
	a, err := ParseAmount(s)
	if err != nil {
		t.Fatalf("ParseAmount(%q): %v", s, err)
	}
	return a
}

func TestParseAmount(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "1": "1", "007": "7", "0.5": "0.5", "1.50": "1.5", "0.000000000001": "0.000000000001",
		"123456789012345678901234": "123456789012345678901234",
	} {
		if got := amount(t, in).String(); got != want {
			t.Errorf("ParseAmount(%q) = %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", " 1", "1,5", "0.0000000000001", "1234567890123456789012345", "340282366920938463463374608", "٣"} {
		if a, err := ParseAmount(in); err == nil {
			t.Errorf("ParseAmount(%q) = %s, want an error", in, a)
		}
	}
}

// TestScaleIsExact compares scale and add with arbitrary precision.
func TestScaleIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Amount{rapid.Uint64().Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")}
		if rapid.Bool().Draw(t, "small") {
			a.hi = 0
		}
		q := rapid.Uint64().Draw(t, "quantity")
		per := rapid.SampledFrom([]uint64{1, 1000, 1 << 30, 7}).Draw(t, "per")
		want := new(big.Int).Mul(a.big(), new(big.Int).SetUint64(q))
		want.Add(want, new(big.Int).SetUint64(per-1)).Quo(want, new(big.Int).SetUint64(per))
		got, ok := a.scale(q, per)
		if fits := want.BitLen() <= 128; ok != fits || ok && got.big().Cmp(want) != 0 {
			t.Fatalf("%s * %d / %d = %s, %v, want %s", a.big(), q, per, got.big(), ok, want)
		}
		b := Amount{rapid.Uint64().Draw(t, "bhi"), rapid.Uint64().Draw(t, "blo")}
		sum := new(big.Int).Add(a.big(), b.big())
		if got, ok := a.add(b); ok != (sum.BitLen() <= 128) || ok && got.big().Cmp(sum) != 0 {
			t.Fatalf("%s + %s = %s, %v", a.big(), b.big(), got.big(), ok)
		}
		if a.Cmp(b) != a.big().Cmp(b.big()) {
			t.Fatalf("Cmp(%s, %s) = %d", a.big(), b.big(), a.Cmp(b))
		}
	})
}

func TestFloorDec(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-1": "0", "1.5": "1.5", "0.000000000001999999": "0.000000000001", "0.000000000000999999": "0",
	} {
		if got := FloorDec(math.LegacyMustNewDecFromStr(in)).String(); got != want {
			t.Errorf("FloorDec(%s) = %s, want %s", in, got, want)
		}
	}
	if got := FloorDec(math.LegacyDec{}); !got.IsZero() {
		t.Errorf("FloorDec(nil) = %s", got)
	}
	if got := amount(t, "12.000000000345").Dec(); !got.Equal(math.LegacyMustNewDecFromStr("12.000000000345")) {
		t.Errorf("Dec = %s", got)
	}
}

func TestPrice(t *testing.T) {
	table := Table{
		Denom: "ubrt", CPU: amount(t, "100"), Memory: amount(t, "10"), Storage: amount(t, "1"), GPU: amount(t, "5000"),
		Endpoint: amount(t, "0.25"), Minimum: amount(t, "2"),
	}
	for name, tc := range map[string]struct {
		g    Totals
		want string
	}{
		"nothing costs the minimum": {Totals{}, "2"},
		"a milli-cpu":               {Totals{CPUMilli: 20}, "2"},
		"a core":                    {Totals{CPUMilli: 1000}, "100"},
		"a third of a core":         {Totals{CPUMilli: 333}, "33.3"},
		"one byte rounds up":        {Totals{CPUMilli: 1000, MemoryBytes: 1}, "100.000000009314"},
		"everything":                {Totals{CPUMilli: 1500, MemoryBytes: 2 << 30, StorageBytes: 5 << 29, GPUs: 2, Endpoints: 3}, "10173.25"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := table.Price(tc.g)
			if !ok || got.String() != tc.want {
				t.Errorf("Price(%+v) = %s, %v, want %s", tc.g, got, ok, tc.want)
			}
		})
	}
	huge := Table{GPU: Amount{hi: 1 << 63}}
	if got, ok := huge.Price(Totals{GPUs: 2}); ok {
		t.Errorf("an overflow gave %s", got)
	}
}

// TestPerBlockLosesNothing: over a month the rounded rate never earns less than the month's price, and at most
// 10^-12 a block more.
func TestPerBlockLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		month := Amount{lo: rapid.Uint64().Draw(t, "month")}
		block := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "block"))
		got, err := Table{CPU: month}.PerBlock(block)
		if err != nil {
			t.Fatal(err)
		}
		earned := new(big.Int).Mul(got.CPU.big(), big.NewInt(int64(Month)))
		owed := new(big.Int).Mul(month.big(), big.NewInt(int64(block)))
		if d := earned.Sub(earned, owed); d.Sign() < 0 || d.Cmp(big.NewInt(int64(Month))) >= 0 {
			t.Fatalf("%s a month at %s is %s a block", month, block, got.CPU)
		}
	})
	if _, err := (Table{}).PerBlock(0); err == nil {
		t.Error("a block time of zero was taken")
	}
}

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"1", "0.5", "", ".", "1e9", "340282366.920938463463374607431768211455"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAmount(s)
		if err != nil {
			return
		}
		again, err := ParseAmount(a.String())
		if err != nil || again != a {
			t.Fatalf("%q reads as %s, which reads as %s, %v", s, a, again, err)
		}
	})
}
