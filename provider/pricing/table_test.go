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
		if got, ok := a.Add(b); ok != (sum.BitLen() <= 128) || ok && got.big().Cmp(sum) != 0 {
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
		Denom: "ubrt", CPU: amount(t, "100"), Memory: amount(t, "10"), Ephemeral: amount(t, "1"), HTTP: amount(t, "0.25"), Ports: amount(t, "0.5"),
		IP: Rate{amount(t, "7"), true}, Classes: []ClassRate{{"beta2", amount(t, "3")}},
		GPU:     []GPURate{{GPUKind{}, amount(t, "900")}, {GPUKind{Vendor: "nvidia"}, amount(t, "1000")}, {GPUKind{Vendor: "nvidia", Model: "a100"}, amount(t, "5000")}, {GPUKind{Vendor: "nvidia", Model: "a100", RAM: "40Gi"}, amount(t, "4000")}},
		Minimum: amount(t, "2"),
	}
	SortGPUs(table.GPU)
	gpus := func(n uint64, kinds ...string) []GPUs {
		g := GPUs{Count: n}
		for _, k := range kinds {
			kind, err := ParseGPUKind(k)
			if err != nil {
				t.Fatal(err)
			}
			g.Any = append(g.Any, kind)
		}
		return []GPUs{g}
	}
	for name, tc := range map[string]struct {
		ask  Ask
		want string
	}{
		"nothing costs the minimum": {Ask{}, "2"},
		"a milli-cpu":               {Ask{CPUMilli: 20}, "2"},
		"a core":                    {Ask{CPUMilli: 1000}, "100"},
		"a third of a core":         {Ask{CPUMilli: 333}, "33.3"},
		"one byte rounds up":        {Ask{CPUMilli: 1000, MemoryBytes: 1}, "100.000000009314"},
		"in memory":                 {Ask{RAMBytes: 2 << 30}, "20"},
		"endpoints":                 {Ask{HTTP: 4, Ports: 2, IPs: 1}, "9"},
		"a class":                   {Ask{Volumes: []ClassBytes{{"beta2", 5 << 30}}}, "15"},
		"another class":             {Ask{Volumes: []ClassBytes{{"beta3", 5 << 30}}}, "there is no price for storage of class beta3"},
		"a model":                   {Ask{GPUs: gpus(2, "nvidia/a100/80Gi")}, "10000"},
		"the most specific":         {Ask{GPUs: gpus(2, "nvidia/a100/40Gi/sxm")}, "8000"},
		"the vendor":                {Ask{GPUs: gpus(1, "nvidia/t4")}, "1000"},
		"anything else":             {Ask{GPUs: gpus(1, "amd/mi300")}, "900"},
		"an open model may be dear": {Ask{GPUs: gpus(1, "nvidia")}, "5000"},
		"so may anything":           {Ask{GPUs: gpus(1)}, "5000"},
		"an open interface":         {Ask{GPUs: gpus(1, "nvidia/a100")}, "5000"},
		"the dearer of two":         {Ask{GPUs: gpus(1, "amd/mi300", "nvidia/t4")}, "1000"},
		"everything": {Ask{
			CPUMilli: 1500, MemoryBytes: 2 << 30, EphemeralBytes: 5 << 29, GPUs: gpus(2, "nvidia/a100/80Gi"), HTTP: 3,
		}, "10173.25"},
	} {
		t.Run(name, func(t *testing.T) {
			got, refused := table.Price(&tc.ask)
			text := got.String()
			if refused.Code != Priced {
				text = refused.String()
			}
			if text != tc.want {
				t.Errorf("Price(%+v) = %s, want %s", tc.ask, text, tc.want)
			}
		})
	}
	huge := Table{GPU: []GPURate{{GPUKind{}, Amount{hi: 1 << 63}}}}
	if got, refused := huge.Price(&Ask{GPUs: gpus(2)}); refused.Code != Overflow {
		t.Errorf("an overflow gave %s, %v", got, refused)
	}
	if _, refused := (&Table{GPU: []GPURate{{GPUKind{Vendor: "amd"}, Whole(1)}}}).Price(&Ask{GPUs: gpus(1, "nvidia/a100", "nvidia/t4")}); refused.String() != "there is no price for gpu nvidia/a100 or nvidia/t4" {
		t.Errorf("refused: %v", refused)
	}
	if _, refused := (&Table{}).Price(&Ask{IPs: 1}); refused.Code != Unpriced {
		t.Errorf("an ip without a rate: %v", refused)
	}
}

func TestGPUKind(t *testing.T) {
	for in, want := range map[string]string{
		"*": "*", "nvidia": "nvidia/*", "nvidia/*": "nvidia/*", "nvidia/a100": "nvidia/a100", "nvidia/a100/*/sxm": "nvidia/a100/*/sxm",
		"*/*/80Gi": "*/*/80Gi", "nvidia/*/*/*": "nvidia/*",
	} {
		k, err := ParseGPUKind(in)
		if err != nil || k.String() != want {
			t.Errorf("ParseGPUKind(%q) = %s, %v, want %s", in, k, err, want)
		}
	}
	for _, in := range []string{"", "/", "nvidia/", "a/b/c/d/e", "nv*", "a b"} {
		if k, err := ParseGPUKind(in); err == nil {
			t.Errorf("ParseGPUKind(%q) = %s, want an error", in, k)
		}
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
