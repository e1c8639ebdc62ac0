package quantity

import (
	"math/big"
	"strconv"
	"strings"
)

// The bounds of a number's text. Nothing that is larger or finer has a use, and they keep the arithmetic small.
const (
	maxText     = 64
	maxExponent = 99
)

// decimal is digits * 10^exp.
type decimal struct {
	negative bool
	digits   string // without leading zeros; "0" for zero
	exp      int
	text     string // as written, without what follows the number
}

// exactness says whether a decimal is a whole number that fits.
type exactness int

const (
	exact exactness = iota
	notWhole
	tooLarge
)

// parse reads a number at the start of text: digits with an optional point among, before or after them, and an
// exponent where scientific notation is allowed. rest is what follows.
func parse(text string, scientific bool) (d decimal, rest string, ok bool) {
	if len(text) > maxText {
		return d, "", false
	}
	s := text
	if strings.HasPrefix(s, "-") {
		d.negative, s = true, s[1:]
	}
	whole := leadingDigits(s)
	s = s[len(whole):]
	fraction := ""
	if strings.HasPrefix(s, ".") {
		fraction = leadingDigits(s[1:])
		s = s[1+len(fraction):]
	}
	if whole == "" && fraction == "" {
		return d, "", false
	}
	d.exp = -len(fraction)
	if scientific {
		var e int
		if e, s, ok = exponent(s); !ok {
			return d, "", false
		}
		d.exp += e
	}
	d.digits = strings.TrimLeft(whole+fraction, "0")
	if d.digits == "" {
		d.digits, d.exp = "0", 0
	}
	d.text = text[:len(text)-len(s)]
	return d, s, true
}

func leadingDigits(s string) string {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n]
}

// exponent reads e or E with a number, which may have a sign. Without one, nothing is read.
func exponent(s string) (e int, rest string, ok bool) {
	if s == "" || s[0] != 'e' && s[0] != 'E' {
		return 0, s, true
	}
	sign, body := 1, s[1:]
	if strings.HasPrefix(body, "-") {
		sign = -1
	}
	body = strings.TrimLeft(body, "+-")
	if len(s)-1-len(body) > 1 {
		return 0, "", false
	}
	digits := leadingDigits(body)
	e, err := strconv.Atoi(digits)
	if err != nil || e > maxExponent {
		return 0, "", false
	}
	return sign * e, body[len(digits):], true
}

// trim moves trailing zeros into the exponent.
func (d decimal) trim() decimal {
	t := strings.TrimRight(d.digits, "0")
	if t == "" {
		d.digits, d.exp = "0", 0
		return d
	}
	d.exp += len(d.digits) - len(t)
	d.digits = t
	return d
}

// plain writes the number without an exponent.
func (d decimal) plain() string {
	d = d.trim()
	sign, digits := "", d.digits+strings.Repeat("0", max(0, d.exp))
	if d.negative {
		sign = "-"
	}
	if d.exp >= 0 {
		return sign + digits
	}
	digits = strings.Repeat("0", max(0, 1-d.exp-len(digits))) + digits
	return sign + digits[:len(digits)+d.exp] + "." + digits[len(digits)+d.exp:]
}

// uint is the number rounded down, and whether it is exact.
func (d decimal) uint() (uint64, exactness) { return d.scaled(0) }

// scaled is the number times 2^shift rounded down, and whether that is exact.
func (d decimal) scaled(shift uint) (uint64, exactness) {
	d = d.trim()
	v, _ := new(big.Int).SetString(d.digits+strings.Repeat("0", max(0, d.exp)), 10)
	v.Lsh(v, shift)
	rest := new(big.Int)
	if d.exp < 0 {
		ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-d.exp)), nil)
		v.QuoRem(v, ten, rest)
	}
	switch {
	case !v.IsUint64():
		return 0, tooLarge
	case rest.Sign() != 0:
		return v.Uint64(), notWhole
	}
	return v.Uint64(), exact
}

// FormatBytes writes a number of bytes in the shortest way that is exact, with a suffix for powers of 1024 rather than
// of 1000 where both are as short.
func FormatBytes(n uint64) string {
	best := strconv.FormatUint(n, 10)
	for _, u := range units[1:] {
		size := uint64(1) << u.two
		for range u.ten {
			size *= 10
		}
		s := strconv.FormatUint(n/size, 10) + u.suffix
		if n >= size && n%size == 0 && len(s)-len(u.suffix) < len(strings.TrimRight(best, "kKMGTPEi")) {
			best = s
		}
	}
	return best
}

// FormatCPU writes thousandths of a processor: 2 for 2000, 0.5 for 500.
func FormatCPU(milli uint64) string {
	s := strconv.FormatUint(milli/1000, 10)
	if rest := milli % 1000; rest != 0 {
		s += "." + strings.TrimRight(strconv.FormatUint(1000+rest, 10)[1:], "0")
	}
	return s
}
