// Package quantity reads amounts as documents write them: processor shares, bytes and prices. All arithmetic is
// exact; an amount that cannot be had exactly is refused, never rounded.
package quantity

import (
	"fmt"
	"math/big"
	"regexp"
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
	if fixed := mend(text); fixed != text {
		return p.as(fixed, func() *Problem { _, bad := CPU(fixed); return bad })
	}
	if !number || d.negative {
		return p
	}
	var fixed string
	switch s := strings.ToLower(strings.TrimSpace(suffix)); s {
	case "m", "mc", "milli", "millis", "millicpu", "millicpus", "mcpu", "mcpus", "millicore", "millicores", "mcore", "mcores":
		fixed = d.text + "m"
	case "%":
		d.exp++
		fixed = d.milli()
	case "", "cpu", "cpus", "vcpu", "vcpus", "core", "cores", "c", "processor", "processors":
		fixed = d.text
	default:
		if of, err := strconv.ParseUint(strings.TrimPrefix(s, "/"), 10, 16); err == nil && s[0] == '/' && of > 0 {
			if d.exp += 3; d.exp >= 0 {
				if v, _ := d.uint(); v%of == 0 {
					fixed = FormatCPU(v / of)
				}
			}
		} else if d, rest, ok := parse(text, true); ok && rest == "" {
			d.exp += 3
			fixed = d.milli()
		}
	}
	if fixed != "" {
		if _, bad := CPU(fixed); bad == nil {
			p.Suggestion = fixed
		}
	}
	return p
}

// milli writes a whole number of thousandths, or nothing for another number.
func (d decimal) milli() string {
	v, whole := d.uint()
	if whole != exact {
		return ""
	}
	return strconv.FormatUint(v, 10) + "m"
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
	if fixed := mend(text); fixed != text {
		return p.as(fixed, func() *Problem { _, bad := Bytes(fixed); return bad })
	}
	if !number || d.negative {
		return p
	}
	p.Reason = fmt.Sprintf("%s is not a number of bytes: suffix %q is not known", quote(text), strings.TrimSpace(suffix))
	if d, rest, ok := parse(text, true); ok && rest == "" {
		if v, whole := d.uint(); whole == exact {
			p.Suggestion = FormatBytes(v)
		}
		return p
	}
	unit, ok := unitOf(suffix)
	if !ok {
		return p
	}
	fixed := d.text + unit
	if _, bad := Bytes(fixed); bad != nil {
		return p
	}
	p.Suggestion = fixed
	switch {
	case strings.TrimSpace(suffix) == "m":
		p.Suggestion = d.text + "Mi"
		p.Hint = "m would be thousandths of a byte; for powers of 1000 write " + fixed
	case unit != "" && !strings.HasSuffix(unit, "i"):
		p.Hint = fmt.Sprintf("%s counts in powers of 1000; for powers of 1024 write %s", fixed, d.text+binary(unit))
	}
	return p
}

// unitOf is the suffix that is meant by another spelling of it.
func unitOf(suffix string) (string, bool) {
	s := strings.ToLower(strings.TrimSpace(suffix))
	s = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(s, "s"), "yte"), "b")
	switch s {
	case "kilo", "meg", "mega", "gig", "giga", "tera":
		s = s[:1]
	case "kibi", "mebi", "gibi", "tebi":
		s = s[:1] + "i"
	}
	for _, u := range units {
		if strings.ToLower(u.suffix) == s {
			return u.suffix, true
		}
	}
	return "", false
}

// binary is the suffix for powers of 1024 that goes with one for powers of 1000.
func binary(suffix string) string { return strings.ToUpper(suffix) + "i" }

// thousands is a number with commas between groups of three digits, and what follows.
var thousands = regexp.MustCompile(`^[1-9][0-9]{0,2}(,[0-9]{3})+([^0-9,].*)?$`)

// mend removes what people write into numbers: spaces around them, a plus sign, an underscore between digits, a comma
// between thousands; a comma that separates a fraction becomes a point.
func mend(text string) string {
	if len(text) > maxText {
		return text
	}
	s := strings.TrimPrefix(strings.TrimSpace(text), "+")
	switch {
	case strings.Contains(s, "_"):
		s = strings.ReplaceAll(s, "_", "")
	case thousands.MatchString(s):
		s = strings.ReplaceAll(s, ",", "")
	case strings.Count(s, ",") == 1 && !strings.Contains(s, "."):
		s = strings.Replace(s, ",", ".", 1)
	}
	return s
}

// as completes a problem with what is said of a mended text.
func (p *Problem) as(fixed string, read func() *Problem) *Problem {
	bad := read()
	if bad == nil {
		p.Suggestion = fixed
		return p
	}
	p.Suggestion, p.Hint = bad.Suggestion, bad.Hint
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
	p := &Problem{Reason: fmt.Sprintf("%s is not an amount", quote(text)), Allowed: allowedAmount, Hint: currency(text)}
	if fixed := mend(text); fixed != text {
		return math.LegacyDec{}, p.as(fixed, func() *Problem { _, bad := Amount(fixed); return bad })
	}
	fixed := ""
	if scientific, rest, e := parse(text, true); e && rest == "" {
		fixed = scientific.plain()
	} else if ok && isMicro(suffix) {
		fixed = d.text
	}
	if fixed != "" {
		if _, bad := Amount(fixed); bad == nil {
			p.Suggestion = fixed
		}
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
	p := &Problem{Reason: fmt.Sprintf("%s is not a price", quote(text)), Allowed: allowedPrice, Hint: currency(text)}
	if fixed := mend(text); fixed != text {
		return p.as(fixed, func() *Problem { _, bad := Price(fixed); return bad })
	}
	if !number || d.negative {
		return p
	}
	fixed := ""
	switch s := strings.ToLower(strings.TrimSpace(suffix)); {
	case isMicro(s):
		fixed = d.text + "u"
	case s == "" || s == "brt" || s == "akt":
		fixed = d.text
	}
	if fixed != "" {
		if _, bad := Price(fixed); bad == nil {
			p.Suggestion = fixed
		}
	}
	return p
}

// isMicro tells whether a suffix probably stands for micro tokens: it is one of those, or a denomination that starts
// with one, such as ubrt.
func isMicro(suffix string) bool {
	s := strings.ToLower(strings.TrimSpace(suffix))
	return slices.Contains(micro, s) || s == "micro" || strings.HasPrefix(s, "u") && len(s) >= 4 && len(s) <= 8 && s != "usdt" && s != "usdc"
}

// currency says what to do about a price in money.
func currency(text string) string {
	s := strings.ToLower(text)
	for _, c := range []string{"$", "\u20ac", "\u00a3", "usd", "eur", "dollar", "cent"} {
		if strings.Contains(s, c) {
			return "a price is in tokens per block, not in a currency"
		}
	}
	return ""
}

func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return strconv.Quote(s)
}
