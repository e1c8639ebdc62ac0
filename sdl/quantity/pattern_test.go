package quantity

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// matcher compiles patterns that hold together.
func matcher(patterns []Pattern) func(string) bool {
	all := make([]*regexp.Regexp, len(patterns))
	for i, p := range patterns {
		all[i] = regexp.MustCompile(p.Expr)
	}
	return func(s string) bool {
		if len(s) > MaxText {
			return false
		}
		for _, re := range all {
			if !re.MatchString(s) {
				return false
			}
		}
		return true
	}
}

// texts calls a function with many texts that are amounts, nearly amounts, or at the bounds.
func texts(seed uint64, bounds []uint64, call func(string)) {
	r := rand.New(rand.NewPCG(seed, 0))
	suffixes := []string{"", "", "m", "k", "Ki", "M", "Mi", "G", "Gi", "T", "Ti", "P", "Pi", "E", "Ei", "u", "mu", "\u00b5", "\u03bc", "e3", "e-4", "E+1", "e-4u", "e", "e007", "e100", "mi", "KB", " ", "-", "0", "."}
	digits := func(most int) string {
		b := make([]byte, r.IntN(most+1))
		for i := range b {
			b[i] = byte('0' + r.IntN(10))
			if r.IntN(3) == 0 {
				b[i] = "059"[r.IntN(3)]
			}
		}
		return string(b)
	}
	number := func() string {
		switch r.IntN(6) {
		case 0:
			n := bounds[r.IntN(len(bounds))] + uint64(r.IntN(5)) - 2
			u := units[r.IntN(len(units))]
			whole, fraction := split(n, u.ten, u.two)
			if fraction != "" {
				return fmt.Sprintf("%d.%s", whole, fraction)
			}
			return strconv.FormatUint(whole, 10)
		case 1:
			return strconv.Itoa(r.IntN(2000))
		case 2:
			return digits(4) + "." + digits(5)
		case 3:
			return "." + digits(4)
		case 4:
			return digits(28) + "." + digits(28)
		}
		return digits(8)
	}
	for range 40_000 {
		s := number() + suffixes[r.IntN(len(suffixes))]
		switch r.IntN(12) {
		case 0:
			s = strings.Repeat("0", r.IntN(20)) + s
		case 1:
			s = "-" + s
		case 2:
			s += "0"
		case 3:
			s = s[:len(s)/2] + digits(1) + s[len(s)/2:]
		}
		call(s)
		for _, u := range units { // the bounds themselves in every unit
			if r.IntN(20) == 0 {
				whole, fraction := split(bounds[r.IntN(len(bounds))], u.ten, u.two)
				call(fmt.Sprintf("%d.%s%s", whole, fraction, u.suffix))
			}
		}
	}
}

// fractional tells whether a text has a fraction of more than three digits and a suffix for powers of 1024.
var fractional = regexp.MustCompile(`\.[0-9]{4,}[KMGTPE]i$`)

func TestPatternsAgree(t *testing.T) {
	const seed = 1
	for name, tc := range map[string]struct {
		patterns []Pattern
		bounds   []uint64
		reads    func(string) bool
		// unsure tells of texts that may match and yet not be read.
		unsure func(string) bool
	}{
		"cpu": {CPUPatterns(10, 384_000), []uint64{10, 384_000}, func(s string) bool {
			v, bad := CPU(s)
			return bad == nil && v >= 10 && v <= 384_000
		}, nil},
		"memory": {BytesPatterns(1<<20, 2<<40), []uint64{1 << 20, 2 << 40}, func(s string) bool {
			v, bad := Bytes(s)
			return bad == nil && v >= 1<<20 && v <= 2<<40
		}, fractional.MatchString},
		"any bytes": {BytesPatterns(0, 1<<64-1), []uint64{2, 1<<64 - 3}, func(s string) bool {
			_, bad := Bytes(s)
			return bad == nil
		}, fractional.MatchString},
		"price": {PricePatterns(), []uint64{2}, func(s string) bool {
			v, bad := Price(s)
			return bad == nil && v.IsPositive()
		}, func(s string) bool { return strings.ContainsAny(s, "eE") }},
		"amount": {AmountPatterns(), []uint64{2}, func(s string) bool {
			v, bad := Amount(s)
			return bad == nil && v.IsPositive()
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			matches, read, wrong := matcher(tc.patterns), 0, 0
			texts(seed, tc.bounds, func(s string) {
				want := tc.reads(s)
				if want {
					read++
				}
				if got := matches(s); got != want && (want || tc.unsure == nil || !tc.unsure(s)) && wrong < 10 {
					wrong++
					t.Errorf("seed %d: %q matches: %v, is read: %v", seed, s, got, want)
				}
			})
			if read < 1000 {
				t.Errorf("only %d texts were amounts", read)
			}
		})
	}
}

func TestWholeNumberPattern(t *testing.T) {
	for _, bounds := range [][2]uint64{{0, 0}, {1, 50}, {0, 100}, {1, 720}, {7, 7}, {95, 105}, {123, 4567}, {1, 65535}} {
		re := regexp.MustCompile(WholeNumberPattern(bounds[0], bounds[1]))
		for n := range uint64(70_000) {
			if got, want := re.MatchString(strconv.FormatUint(n, 10)), n >= bounds[0] && n <= bounds[1]; got != want {
				t.Fatalf("%d from %d to %d: matches %v", n, bounds[0], bounds[1], got)
			}
		}
		for _, s := range []string{"", "01", "+1", "-1", "1.0", "1 ", "1\n"} {
			if re.MatchString(s) {
				t.Errorf("%q matches from %d to %d", s, bounds[0], bounds[1])
			}
		}
	}
}
