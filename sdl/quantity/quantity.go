// Package quantity reads amounts as documents write them: processor shares, bytes and prices. All arithmetic is
// exact; an amount that cannot be had exactly is refused, never rounded.
package quantity

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"cosmossdk.io/math"
)

// Problem says why a text is not an amount.
type Problem struct {
	Reason string
	// Allowed, Suggestion and Hint are as in a diagnostic; each may be empty.
	Allowed, Suggestion, Hint string
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return p.Reason }

// What each kind of amount may look like.
const (
	allowedCPU   = "a share of a processor such as 0.5 or 2, or thousandths of one such as 500m"
	allowedBytes = "bytes, with an optional suffix k, Ki, M, Mi, G, Gi, T, Ti, P, Pi, E, Ei"
	allowedPrice = "tokens such as 1, 0.05 or 1e-4, or micro tokens such as 20u, 20mu or 20µ"
)

// CPU reads a processor share and returns thousandths: "0.5" is 500, "100m" is 100.
func CPU(text string) (uint64, *Problem) {
	d, suffix, ok := parse(text, false)
	if !ok || suffix != "" && suffix != "m" {
		return 0, cpuProblem(text, d, suffix, ok)
	}
	if suffix == "" {
		d.exp += 3
	}
	milli, whole := d.uint()
	switch {
	case d.negative:
		return 0, &Problem{Reason: fmt.Sprintf("%s is negative", quote(text)), Allowed: allowedCPU}
	case whole == tooLarge:
		return 0, &Problem{Reason: fmt.Sprintf("%s is too large", quote(text)), Allowed: allowedCPU}
	case whole == notWhole:
		return 0, &Problem{
			Reason:  fmt.Sprintf("%s is not a whole number of thousandths of a processor", quote(text)),
			Allowed: allowedCPU, Suggestion: strconv.FormatUint(milli+1, 10) + "m",
		}
	}
	return milli, nil
}

func cpuProblem(text string, d decimal, suffix string, number bool) *Problem {
	p := &Problem{Reason: fmt.Sprintf("%s is not a share of a processor", quote(text)), Allowed: allowedCPU}
	if !number || strings.Contains(text, ",") {
		return withComma(p, text, func(s string) bool { _, bad := CPU(s); return bad == nil })
	}
	var fixed string
	switch s := strings.ToLower(strings.TrimSpace(suffix)); s {
	case "m", "milli", "millicpu", "mcpu":
		fixed = d.text + "m"
	case "%":
		percent := d
		percent.exp++
		if v, whole := percent.uint(); whole == exact {
			fixed = strconv.FormatUint(v, 10) + "m"
		}
	case "", "cpu", "cpus", "vcpu", "vcpus", "core", "cores", "c":
		fixed = d.text
	}
	if _, bad := CPU(fixed); bad == nil {
		p.Suggestion = fixed
	}
	return p
}

// units are the suffixes of bytes: 10^ten * 2^two.
var units = []struct {
	suffix   string
	ten, two int
}{
	{"", 0, 0},
	{"k", 3, 0}, {"Ki", 0, 10}, {"M", 6, 0}, {"Mi", 0, 20}, {"G", 9, 0}, {"Gi", 0, 30},
	{"T", 12, 0}, {"Ti", 0, 40}, {"P", 15, 0}, {"Pi", 0, 50}, {"E", 18, 0}, {"Ei", 0, 60},
}

// Bytes reads an amount of memory or storage: "512Mi" is 536870912, "1.5k" is 1500. A fraction is allowed when the
// result is a whole number of bytes.
func Bytes(text string) (uint64, *Problem) {
	d, suffix, ok := parse(text, false)
	if ok && suffix == "" || ok && isUnit(suffix) {
		return d.bytes(text, suffix)
	}
	return 0, bytesProblem(text, d, suffix, ok)
}

func isUnit(s string) bool {
	for _, u := range units {
		if u.suffix == s {
			return true
		}
	}
	return false
}

func (d decimal) bytes(text, suffix string) (uint64, *Problem) {
	if d.negative {
		return 0, &Problem{Reason: fmt.Sprintf("%s is negative", quote(text)), Allowed: allowedBytes}
	}
	for _, u := range units {
		if u.suffix != suffix {
			continue
		}
		d.exp += u.ten
		v, whole := d.scaled(uint(u.two))
		switch whole {
		case tooLarge:
			return 0, &Problem{Reason: fmt.Sprintf("%s is too large", quote(text)), Allowed: allowedBytes}
		case notWhole:
			return 0, &Problem{
				Reason:  fmt.Sprintf("%s is not a whole number of bytes", quote(text)),
				Allowed: allowedBytes, Suggestion: strconv.FormatUint(v+1, 10),
			}
		}
		return v, nil
	}
	return 0, &Problem{Reason: fmt.Sprintf("suffix %q is not known", suffix), Allowed: allowedBytes}
}

// bytesProblem explains a suffix that is not known. Upper and lower case matter; B, b and bytes are not written.
func bytesProblem(text string, d decimal, suffix string, number bool) *Problem {
	p := &Problem{Reason: fmt.Sprintf("%s is not a number of bytes", quote(text)), Allowed: allowedBytes}
	if !number || strings.Contains(text, ",") {
		return withComma(p, text, func(s string) bool { _, bad := Bytes(s); return bad == nil })
	}
	p.Reason = fmt.Sprintf("%s is not a number of bytes: suffix %q is not known", quote(text), strings.TrimSpace(suffix))
	s := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(strings.TrimSpace(suffix)), "ytes"), "yte")
	s = strings.TrimSuffix(s, "b")
	for _, u := range units {
		if strings.ToLower(u.suffix) != s {
			continue
		}
		if _, bad := Bytes(d.text + u.suffix); bad != nil {
			return p
		}
		p.Suggestion = d.text + u.suffix
		if u.ten > 0 {
			p.Hint = fmt.Sprintf("%s counts in powers of 1000; for powers of 1024 write %s", p.Suggestion, d.text+binary(u.suffix))
		}
		return p
	}
	return p
}

// binary is the suffix for powers of 1024 that goes with one for powers of 1000.
func binary(suffix string) string { return strings.ToUpper(suffix) + "i" }

// withComma suggests a point for a comma.
func withComma(p *Problem, text string, good func(string) bool) *Problem {
	if fixed := strings.Replace(text, ",", ".", 1); fixed != text && good(fixed) {
		p.Suggestion = fixed
	}
	return p
}

// micro are the suffixes of a price in micro tokens; the last two look alike and are two code points, the micro sign
// and the Greek letter.
var micro = []string{"u", "mu", "\u00b5", "\u03bc"}

// priceDigits bounds a price: below 10^priceDigits micro tokens.
const priceDigits = 24

// Price reads a price and returns micro tokens, exactly: "1" is 1000000, "1e-4" is 100, "20u" is 20. A price below the
// smallest step of 10^-18 micro tokens is refused.
func Price(text string) (math.LegacyDec, *Problem) {
	d, suffix, ok := parse(text, true)
	if !ok || suffix != "" && !slices.Contains(micro, suffix) {
		return math.LegacyDec{}, priceProblem(text, d, suffix, ok)
	}
	if suffix == "" {
		d.exp += 6
	}
	return d.micro(text, allowedPrice)
}

// allowedAmount is what an amount of a named denomination may look like.
const allowedAmount = "a decimal number such as 20 or 0.5, in the denomination that is given"

// Amount reads an amount of a denomination that is given beside it: "20" is 20, "0.5" is 0.5. Unlike Price it knows
// neither suffixes nor exponents.
func Amount(text string) (math.LegacyDec, *Problem) {
	d, suffix, ok := parse(text, false)
	if ok && suffix == "" {
		return d.micro(text, allowedAmount)
	}
	p := &Problem{Reason: fmt.Sprintf("%s is not an amount", quote(text)), Allowed: allowedAmount}
	if !ok || strings.Contains(text, ",") {
		return math.LegacyDec{}, withComma(p, text, func(s string) bool { _, bad := Amount(s); return bad == nil })
	}
	if v, bad := Price(text); bad == nil && !slices.Contains(micro, suffix) {
		p.Suggestion = strings.TrimRight(strings.TrimRight(v.QuoInt64(1_000_000).String(), "0"), ".")
	} else if slices.Contains(micro, strings.ToLower(strings.TrimSpace(suffix))) {
		p.Suggestion = d.text
	}
	return math.LegacyDec{}, p
}

// micro is a decimal as micro tokens.
func (d decimal) micro(text, allowed string) (math.LegacyDec, *Problem) {
	switch d = d.trim(); {
	case d.negative:
		return math.LegacyDec{}, &Problem{Reason: fmt.Sprintf("%s is negative", quote(text)), Allowed: allowed}
	case len(d.digits)+d.exp > priceDigits:
		return math.LegacyDec{}, &Problem{Reason: fmt.Sprintf("%s is too large", quote(text)), Allowed: allowed}
	case d.exp < -math.LegacyPrecision:
		return math.LegacyDec{}, &Problem{
			Reason: fmt.Sprintf("%s has more than %d decimals of a micro token", quote(text), math.LegacyPrecision), Allowed: allowed,
		}
	}
	v, _ := new(big.Int).SetString(d.digits+strings.Repeat("0", max(0, d.exp)), 10)
	return math.LegacyNewDecFromBigIntWithPrec(v, int64(max(0, -d.exp))), nil
}

func priceProblem(text string, d decimal, suffix string, number bool) *Problem {
	p := &Problem{Reason: fmt.Sprintf("%s is not a price", quote(text)), Allowed: allowedPrice}
	if !number || strings.Contains(text, ",") {
		return withComma(p, text, func(s string) bool { _, bad := Price(s); return bad == nil })
	}
	s := strings.ToLower(strings.TrimSpace(suffix))
	switch {
	case slices.Contains(micro, s), s == "micro", strings.HasPrefix(s, "u") && len(s) <= 8:
		p.Suggestion = d.text + "u"
	case s == "" || s == "brt":
		p.Suggestion = d.text
	}
	return p
}

func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return strconv.Quote(s)
}
