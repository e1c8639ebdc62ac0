package inventory

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Factor is the exact share of a cluster that this provider may sell, in (0, 1]. Providers that share a cluster have
// factors that sum to at most 1; then neither can sell what the other may. The zero value is the whole.
type Factor struct{ num, den uint64 }

// ParseFactor reads a decimal such as 0.5 or 1. It refuses anything outside (0, 1] and more than nine digits: a
// factor above 1 would promise what the scheduler can't place.
func ParseFactor(s string) (Factor, error) {
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) > 9 || len(whole) > 1 {
		return Factor{}, fmt.Errorf("capacity factor %q is not a decimal in (0, 1] with at most nine digits", s)
	}
	den := uint64(1)
	for range frac {
		den *= 10
	}
	num, err := strconv.ParseUint(whole+frac, 10, 64)
	if err != nil {
		return Factor{}, fmt.Errorf("capacity factor %q is not a decimal in (0, 1]: %w", s, errors.Unwrap(err))
	}
	if num == 0 || num > den {
		return Factor{}, fmt.Errorf("capacity factor %q is not in (0, 1]", s)
	}
	return Factor{num: num, den: den}, nil
}

// Of is the factor's share of x, rounded down; x below zero counts as zero.
func (f Factor) Of(x int64) int64 {
	if x <= 0 {
		return 0
	}
	if f.den == 0 {
		return x
	}
	hi, lo := bits.Mul64(uint64(x), f.num)
	q, _ := bits.Div64(hi, lo, f.den) // num <= den, so the quotient is at most x
	return int64(q)
}
