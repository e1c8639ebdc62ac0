package quantity

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Pattern is a regular expression, in the syntax that RE2 and ECMAScript share, with what to say of a text that does
// not match it.
type Pattern struct {
	Expr, Otherwise string
}

// MaxText is the most bytes of an amount's text.
const MaxText = maxText

// CPUPatterns are what a text matches, all of them, exactly when CPU reads from least to most thousandths out of it.
func CPUPatterns(least, most uint64) []Pattern {
	return []Pattern{
		{anchored(between(least, most, 3, 0), between(least, most, 0, 0)+"m"), allowedCPU + ", from " + FormatCPU(least) + " to " + FormatCPU(most)},
		{anchored(`[0-9]*(\.[0-9]{0,3}0*)?`, `[0-9]*(\.0*)?m`), "a whole number of thousandths of a processor"},
	}
}

// BytesPatterns are what a text matches, all of them, if Bytes reads from least to most bytes out of it. A fraction of
// more than three digits with a suffix for powers of 1024 may match although it is not a whole number of bytes: no
// expression of sensible length can tell.
func BytesPatterns(least, most uint64) []Pattern {
	var amounts, whole []string
	for _, u := range units {
		amounts = append(amounts, between(least, most, u.ten, u.two)+u.suffix)
		if u.two == 0 {
			whole = append(whole, fmt.Sprintf(`[0-9]*(\.%s0*)?%s`, anyDigits(0, u.ten), u.suffix))
		}
	}
	// What is left of 1/1024 and its powers ends in these digits.
	whole = append(whole, `[0-9]*(\.(5|25|75|[0-9]*(125|375|625|875))?0*)?[KMGTPE]i`)
	return []Pattern{
		{anchored(amounts...), allowedBytes + "; from " + FormatBytes(least) + " to " + FormatBytes(most)},
		{anchored(whole...), "a whole number of bytes"},
	}
}

// number is a decimal number without sign and exponent.
const number = `([0-9]+(\.[0-9]*)?|\.[0-9]+)`

// PricePatterns are what a text matches, all of them, if Price reads more than 0 out of it. A price with an exponent
// may match although it is too large or too fine.
func PricePatterns() []Pattern {
	suffix := "(" + strings.Join(micro, "|") + ")"
	return []Pattern{
		{anchored(number + `([eE][+-]?0*[0-9]{1,2})?` + suffix + "?"), allowedPrice},
		positive,
		{anchored(limited(6), limited(0)+suffix, `[0-9.]*[eE].*`), "a price that is not so large or so fine"},
	}
}

// AmountPatterns are what a text matches, all of them, exactly when Amount reads more than 0 out of it.
func AmountPatterns() []Pattern {
	return []Pattern{{anchored(number), allowedAmount}, positive, {anchored(limited(0)), "an amount that is not so large or so fine"}}
}

var positive = Pattern{`^[0.]*[1-9]`, "more than 0"}

// limited is a number that is neither too large nor too fine as 10^shift micro tokens.
func limited(shift int) string {
	return fmt.Sprintf(`0*[0-9]{0,%d}(\.[0-9]{0,%d}0*)?`, priceDigits-shift, shift+math18)
}

// math18 is the precision of a price in micro tokens.
const math18 = 18

// PriceBounds are the least price that is read, and the least that is too large, in tokens for Price and in micro
// tokens for Amount.
func PriceBounds(tokens bool) (least, tooLarge string) {
	shift := 0
	if tokens {
		shift = 6
	}
	return fmt.Sprintf("1e-%d", shift+math18), fmt.Sprintf("1e%d", priceDigits-shift)
}

// WholeNumberPattern matches the whole numbers from least to most in decimal digits, without leading zeros.
func WholeNumberPattern(least, most uint64) string { return anchored(integers(least, most)) }

func anchored(alternatives ...string) string { return "^(" + strings.Join(alternatives, "|") + ")$" }

// between matches numbers from least to most, in units of 10^ten * 2^two.
func between(least, most uint64, ten, two int) string {
	a, f := split(least, ten, two)
	b, g := split(most, ten, two)
	var out []string
	if a == b {
		return "(" + strings.Join(append(out, fraction(a, fractionBetween(f, g))...), "|") + ")"
	}
	low := a
	if f != "" {
		low++
		out = append(out, fraction(a, fractionFrom(f))...)
	}
	if low < b {
		out = append(out, `0*`+integers(low, b-1)+`(\.[0-9]*)?`)
		if low == 0 {
			out = append(out, `\.[0-9]+`)
		}
	}
	out = append(out, fmt.Sprintf(`0*%d(\.%s)?`, b, fractionTo(g)))
	return "(" + strings.Join(out, "|") + ")"
}

// fraction matches a whole part and a fraction, which is not empty.
func fraction(whole uint64, digits string) []string {
	if whole == 0 {
		return []string{`0*\.` + digits}
	}
	return []string{fmt.Sprintf(`0*%d\.%s`, whole, digits)}
}

// split is n / (10^ten * 2^two): its whole part, and the digits of its fraction without zeros at their end.
func split(n uint64, ten, two int) (uint64, string) {
	five := new(big.Int).Exp(big.NewInt(5), big.NewInt(int64(two)), nil)
	all := five.Mul(five, new(big.Int).SetUint64(n)).String()
	digits := ten + two
	if missing := digits + 1 - len(all); missing > 0 {
		all = strings.Repeat("0", missing) + all
	}
	whole, err := strconv.ParseUint(all[:len(all)-digits], 10, 64)
	if err != nil {
		panic(err) // at most n
	}
	return whole, strings.TrimRight(all[len(all)-digits:], "0")
}

// fractionFrom matches the digits after the point of a fraction that is at least the one with these digits.
func fractionFrom(f string) string {
	if f == "" {
		return `[0-9]*`
	}
	same := f[:1] + fractionFrom(f[1:])
	if f[0] == '9' {
		return same
	}
	return "(" + digit(f[0]+1, '9') + `[0-9]*|` + same + ")"
}

// fractionTo matches the digits after the point of a fraction that is at most the one with these digits.
func fractionTo(g string) string {
	if g == "" {
		return `0*`
	}
	same := g[:1] + fractionTo(g[1:])
	if g[0] == '0' {
		return "(" + same + ")?"
	}
	return "(" + digit('0', g[0]-1) + `[0-9]*|` + same + ")?"
}

// fractionBetween matches the digits after the point of a fraction from one to a larger one.
func fractionBetween(f, g string) string {
	if f == "" {
		return fractionTo(g)
	}
	if f[0] == g[0] {
		return f[:1] + fractionBetween(f[1:], g[1:])
	}
	out := []string{f[:1] + fractionFrom(f[1:])}
	if f[0]+1 < g[0] {
		out = append(out, digit(f[0]+1, g[0]-1)+`[0-9]*`)
	}
	return "(" + strings.Join(append(out, g[:1]+fractionTo(g[1:])), "|") + ")"
}

// integers matches the whole numbers from least to most.
func integers(least, most uint64) string {
	var out []string
	low, high := strconv.FormatUint(least, 10), strconv.FormatUint(most, 10)
	power := func(digits int) string { return "1" + strings.Repeat("0", digits) }
	if len(low) < len(high) && low != power(len(low)-1) {
		out = append(out, sameLength(low, strings.Repeat("9", len(low))))
		low = power(len(low))
	}
	if len(low) < len(high) { // every number of so many digits
		out = append(out, "[1-9]"+anyDigits(len(low)-1, len(high)-2))
		low = power(len(high) - 1)
	}
	return "(" + strings.Join(append(out, sameLength(low, high)), "|") + ")"
}

// sameLength matches the whole numbers from low to high, which have as many digits.
func sameLength(low, high string) string {
	switch {
	case low == "":
		return ""
	case low[0] == high[0]:
		return low[:1] + sameLength(low[1:], high[1:])
	}
	zeros, nines := strings.Repeat("0", len(low)-1), strings.Repeat("9", len(low)-1)
	first, last := low[0], high[0]
	var out []string
	if low[1:] != zeros {
		out = append(out, low[:1]+sameLength(low[1:], nines))
		first++
	}
	if high[1:] != nines {
		last--
	}
	if first <= last {
		out = append(out, digit(first, last)+anyDigits(len(low)-1, len(low)-1))
	}
	if high[1:] != nines {
		out = append(out, high[:1]+sameLength(zeros, high[1:]))
	}
	if len(out) == 1 {
		return out[0]
	}
	return "(" + strings.Join(out, "|") + ")"
}

func digit(from, to byte) string {
	if from == to {
		return string(from)
	}
	return "[" + string(from) + "-" + string(to) + "]"
}

// anyDigits matches from least to most digits.
func anyDigits(least, most int) string {
	switch {
	case most == 0:
		return ""
	case least == most && most == 1:
		return "[0-9]"
	case least == most:
		return fmt.Sprintf("[0-9]{%d}", most)
	}
	return fmt.Sprintf("[0-9]{%d,%d}", least, most)
}
