// Package pricing says what an order costs: amounts of money that never round by accident, and tables of rates.
package pricing

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strings"

	"cosmossdk.io/math"
)

// decimals is how many digits an Amount has after the point.
const decimals = 12

// Amount is an exact, unsigned sum of money per block: 128 bits counting 10^-12 of the denom. It never allocates.
type Amount struct{ hi, lo uint64 }

// ErrOverflow is returned where a sum or product does not fit.
var ErrOverflow = errors.New("the amount is too large")

// ParseAmount reads a decimal with at most twelve digits after the point. It refuses signs, exponents and spaces.
func ParseAmount(s string) (Amount, error) {
	whole, frac, point := strings.Cut(s, ".")
	digits := whole + frac
	switch {
	case whole == "" || point && frac == "" || strings.Trim(digits, "0123456789") != "":
		return Amount{}, fmt.Errorf("%q is not a decimal number", s)
	case len(frac) > decimals:
		return Amount{}, fmt.Errorf("%q has more than %d digits after the point", s, decimals)
	case len(whole) > 24:
		return Amount{}, fmt.Errorf("%q: %w", s, ErrOverflow)
	}
	n, _ := new(big.Int).SetString(digits+strings.Repeat("0", decimals-len(frac)), 10)
	return amountOf(n)
}

// Whole is n units of the denom, exactly.
func Whole(n uint64) Amount {
	hi, lo := bits.Mul64(n, 1_000_000_000_000)
	return Amount{hi, lo}
}

func amountOf(n *big.Int) (Amount, error) {
	if n.Sign() < 0 || n.BitLen() > 128 {
		return Amount{}, ErrOverflow
	}
	var b [16]byte
	n.FillBytes(b[:])
	return Amount{hi: be64(b[:8]), lo: be64(b[8:])}, nil
}

func be64(b []byte) (x uint64) {
	for _, c := range b {
		x = x<<8 | uint64(c)
	}
	return x
}

func (a Amount) big() *big.Int {
	n := new(big.Int).SetUint64(a.hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(a.lo))
}

// FloorDec is the largest Amount that is not above d; a negative d counts as zero, one too large as the largest.
func FloorDec(d math.LegacyDec) Amount {
	if d.IsNil() || d.IsNegative() {
		return Amount{}
	}
	n := d.BigInt()
	n.Quo(n, big.NewInt(1_000_000)) // LegacyDec counts 10^-18
	a, err := amountOf(n)
	if err != nil {
		return Amount{hi: ^uint64(0), lo: ^uint64(0)}
	}
	return a
}

// OfInt is a whole number of the denom; a negative one counts as zero, one too large as the largest.
func OfInt(n math.Int) Amount {
	if n.IsNil() || n.IsNegative() {
		return Amount{}
	}
	a, err := amountOf(new(big.Int).Mul(n.BigInt(), big.NewInt(1_000_000_000_000)))
	if err != nil {
		return Amount{hi: ^uint64(0), lo: ^uint64(0)}
	}
	return a
}

// Dec gives the amount as the chain's decimal, exactly.
func (a Amount) Dec() math.LegacyDec { return math.LegacyNewDecFromBigIntWithPrec(a.big(), decimals) }

// String gives the shortest decimal that is equal.
func (a Amount) String() string {
	s := a.big().String()
	if len(s) <= decimals {
		s = strings.Repeat("0", decimals+1-len(s)) + s
	}
	whole, frac := s[:len(s)-decimals], strings.TrimRight(s[len(s)-decimals:], "0")
	if frac == "" {
		return whole
	}
	return whole + "." + frac
}

// IsZero reports whether the amount is nothing.
func (a Amount) IsZero() bool { return a.hi|a.lo == 0 }

// Cmp is -1, 0 or 1 as a is below, equal to or above b.
func (a Amount) Cmp(b Amount) int {
	switch {
	case a.hi < b.hi || a.hi == b.hi && a.lo < b.lo:
		return -1
	case a == b:
		return 0
	default:
		return 1
	}
}

// max is the larger of both.
func (a Amount) max(b Amount) Amount {
	if a.Cmp(b) < 0 {
		return b
	}
	return a
}

// Sub is a-b; ok is false when b is larger.
func (a Amount) Sub(b Amount) (rest Amount, ok bool) {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, under := bits.Sub64(a.hi, b.hi, borrow)
	return Amount{hi, lo}, under == 0
}

// Add is a+b; ok is false when it does not fit.
func (a Amount) Add(b Amount) (sum Amount, ok bool) {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, over := bits.Add64(a.hi, b.hi, carry)
	return Amount{hi, lo}, over == 0
}

// scale is a*quantity/per, rounded up; ok is false when it does not fit.
func (a Amount) scale(quantity, per uint64) (Amount, bool) {
	hiHi, hiLo := bits.Mul64(a.hi, quantity)
	loHi, loLo := bits.Mul64(a.lo, quantity)
	mid, carry := bits.Add64(hiLo, loHi, 0)
	top := hiHi + carry // cannot overflow: the product has at most 192 bits
	if top >= per {
		return Amount{}, false // the quotient has more than 128 bits
	}
	hi, rem := bits.Div64(top, mid, per)
	lo, rem := bits.Div64(rem, loLo, per)
	out := Amount{hi, lo}
	if rem == 0 {
		return out, true
	}
	return out.Add(Amount{lo: 1})
}
