package quantity_test

import (
	"math/big"
	"strings"
	"testing"

	"cosmossdk.io/math"
	"pgregory.net/rapid"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/quantity"
)

func TestCPU(t *testing.T) {
	for text, want := range map[string]uint64{
		"1": 1000, "2": 2000, "0.5": 500, ".5": 500, "1.": 1000, "100m": 100, "50m": 50, "0.01": 10, "0.001": 1, "1m": 1,
		"0.1000": 100, "1.0m": 1, "384": 384_000, "0": 0, "00.5": 500,
	} {
		if got, bad := quantity.CPU(text); bad != nil || got != want {
			t.Errorf("CPU(%q) = %d, %v; want %d", text, got, bad, want)
		}
	}
}

func TestCPURefuses(t *testing.T) {
	for text, suggestion := range map[string]string{
		"": "", "m": "", "-1": "", "+1": "1", "1e3": "1000000m", "1e-1": "100m", "0x10": "", "1_000": "1000", "1/2": "0.5", "1/3": "", "3/4 ": "0.75",
		"1000mcpu": "1000m", "500 m": "500m", "0,5 cores": "0.5", "-1 cores": "", " 2": "2", "a": "", "1 2": "", "NaN": "", "inf": "",
		"0.0005": "1m", "0.1234": "124m", "100.5m": "101m", "100M": "100m", "100 m": "100m", "50%": "500m", "0.05%": "",
		"2 cores": "2", "2vCPU": "2", "0,5": "0.5", "1,000,000": "1000000", strings.Repeat("9", 65): "", "99999999999999999999": "",
	} {
		got, bad := quantity.CPU(text)
		if bad == nil {
			t.Errorf("CPU(%q) = %d, want a problem", text, got)
			continue
		}
		if bad.Suggestion != suggestion {
			t.Errorf("CPU(%q) suggests %q, want %q", text, bad.Suggestion, suggestion)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "1": 1, "1k": 1000, "1Ki": 1 << 10, "1M": 1e6, "1Mi": 1 << 20, "1G": 1e9, "1Gi": 1 << 30, "1T": 1e12, "1Ti": 1 << 40,
		"1P": 1e15, "1Pi": 1 << 50, "1E": 1e18, "1Ei": 1 << 60, "128Mi": 128 << 20, "1.5k": 1500, "0.5Gi": 512 << 20, ".5Ki": 512,
		"1.5Gi": 3 << 29, "0.001k": 1, "15Ei": 15 << 60, "18.446744073709551615E": 1<<64 - 1, "1.0": 1,
	} {
		if got, bad := quantity.Bytes(text); bad != nil || got != want {
			t.Errorf("Bytes(%q) = %d, %v; want %d", text, got, bad, want)
		}
	}
}

func TestBytesRefuses(t *testing.T) {
	for text, suggestion := range map[string]string{
		"": "", "Mi": "", "-1Gi": "", "-1gb": "", "1e3": "1k", "1e9": "1G", "0x10": "", "1z": "", "1,024Mi": "1024Mi", "1.5 Gi": "1.5Gi", " 1Gi ": "1Gi",
		"512megabytes": "512M", "16 gigs": "16G", "1 gibibyte": "1Gi", "512m": "512Mi", "512MB": "512M", "1GiB": "1Gi", "16Ei": "", "18.446744073709551616E": "",
		"512mi": "512Mi", "512MI": "512Mi", "512mI": "512Mi", "512MiB": "512Mi", "512mib": "512Mi", "16GB": "16G", "2gb": "2G", "2g": "2G",
		"1K": "1k", "1KB": "1k", "1ki": "1Ki", "512 Mi": "512Mi", "512B": "512", "512 bytes": "512", "1,5Gi": "1.5Gi", "0.3Ki": "308", "1.5": "2",
		"1m": "1Mi", "1GiBytes": "1Gi", "0.0001kb": "",
	} {
		got, bad := quantity.Bytes(text)
		if bad == nil {
			t.Errorf("Bytes(%q) = %d, want a problem", text, got)
			continue
		}
		if bad.Suggestion != suggestion {
			t.Errorf("Bytes(%q) suggests %q, want %q", text, bad.Suggestion, suggestion)
		}
	}
}

func TestPrice(t *testing.T) {
	for text, want := range map[string]string{
		"1": "1000000", "1e-4": "100", "20u": "20", "20mu": "20", "20\u00b5": "20", "20\u03bc": "20", ".001": "1000", ".8": "800000", "5e-3": "5000",
		"2e-3": "2000", ".101": "101000", "0.05": "50000", "1E2": "100000000", "1e+2": "100000000", "0.5u": "0.5", "1e-6": "1", "1e-7": "0.1",
		"0.000000000000000001u": "0.000000000000000001", "1e-24": "0.000000000000000001", "100": "100000000", "1e2u": "100",
		"999999999999999999999999u": "999999999999999999999999", "0": "0", "0e99": "0",
	} {
		got, bad := quantity.Price(text)
		if bad != nil || sdl.FormatPrice(got) != want {
			t.Errorf("Price(%q) = %v, %v; want %s", text, got, bad, want)
		}
	}
}

func TestPriceRefuses(t *testing.T) {
	for text, suggestion := range map[string]string{
		"": "", "u": "", "-1": "", "+1": "1", "1,000u": "1000u", "0,5u": "0.5u", "5 USD": "", "5 usdt": "", "5uusdc": "5u", "-5brt": "", "1e": "", "1e--4": "", "1e+-4": "", "e5": "", "1e100": "", "1e-100": "", "1e-25": "", "1e18": "",
		"1000000000000000000000000u": "", "$5": "", "0x10": "", "20 u": "20u", "20U": "20u", "20uakt": "20u", "20ubrt": "20u", "5brt": "5", "5 BRT": "5",
		"0,5": "0.5", "1,000": "1000", "20k": "", "NaN": "", strings.Repeat("1", 65): "",
	} {
		got, bad := quantity.Price(text)
		if bad == nil {
			t.Errorf("Price(%q) = %s, want a problem", text, got)
			continue
		}
		if bad.Suggestion != suggestion {
			t.Errorf("Price(%q) suggests %q, want %q", text, bad.Suggestion, suggestion)
		}
	}
}

// TestExact holds that amounts are what exact arithmetic says, or refused.
func TestExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[0-9]{1,12}(\.[0-9]{1,12})?`).Draw(t, "number")
		value, ok := new(big.Rat).SetString(number)
		if !ok {
			t.Fatal(number)
		}
		milli := new(big.Rat).Mul(value, big.NewRat(1000, 1))
		got, bad := quantity.CPU(number)
		if milli.IsInt() != (bad == nil) || bad == nil && new(big.Rat).SetFrac(new(big.Int).SetUint64(got), big.NewInt(1)).Cmp(milli) != 0 {
			t.Fatalf("CPU(%s) = %d, %v; want %s", number, got, bad, milli)
		}
		gibi := new(big.Rat).Mul(value, big.NewRat(1<<30, 1))
		got, bad = quantity.Bytes(number + "Gi")
		fits := gibi.IsInt() && gibi.Num().IsUint64()
		if fits != (bad == nil) || fits && new(big.Int).SetUint64(got).Cmp(gibi.Num()) != 0 {
			t.Fatalf("Bytes(%sGi) = %d, %v; want %s", number, got, bad, gibi)
		}
		price, bad := quantity.Price(number)
		micro := new(big.Rat).Mul(value, big.NewRat(1_000_000, 1))
		if bad != nil || micro.FloatString(18) != price.String() {
			t.Fatalf("Price(%s) = %s, %v; want %s", number, price, bad, micro.FloatString(18))
		}
	})
}

func TestFormatRoundTrip(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 1: "1", 999: "999", 1000: "1k", 1024: "1Ki", 1 << 20: "1Mi", 5 << 20: "5Mi", 1e9: "1G", 1500 << 20: "1500Mi", 1<<64 - 1: "18446744073709551615", 1 << 60: "1Ei"} {
		if got := quantity.FormatBytes(n); got != want {
			t.Errorf("FormatBytes(%d) = %s, want %s", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64().Draw(t, "n") >> rapid.IntRange(0, 63).Draw(t, "shift")
		if got, bad := quantity.Bytes(quantity.FormatBytes(n)); bad != nil || got != n {
			t.Fatalf("Bytes(FormatBytes(%d)) = %d, %v", n, got, bad)
		}
		milli := n % (1 << 50)
		if got, bad := quantity.CPU(quantity.FormatCPU(milli)); bad != nil || got != milli {
			t.Fatalf("CPU(FormatCPU(%d)) = %d, %v", milli, got, bad)
		}
	})
}

// FuzzQuantities holds that no text panics and that what is accepted is never negative.
func FuzzQuantities(f *testing.F) {
	for _, s := range []string{"1", "0.5", "100m", "512Mi", "1e-4", "20u", "20µ", "-0", "1e99", "16GB", "%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = quantity.CPU(s)
		_, _ = quantity.Bytes(s)
		price, bad := quantity.Price(s)
		if bad == nil && (price.IsNegative() || price.GTE(math.LegacyNewDec(10).Power(24))) {
			t.Fatalf("Price(%q) = %s", s, price)
		}
	})
}
