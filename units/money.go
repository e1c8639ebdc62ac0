package units

import (
	"strings"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// FormatDec writes a decimal amount for people, exactly: 1.5 BRT for 1500000ubrt, and other denoms as they are.
func FormatDec(c sdk.DecCoin) string {
	if c.Amount.IsNil() {
		return "0"
	}
	if c.Denom != BaseDenom {
		return TrimDecimal(c.Amount.String()) + " " + c.Denom
	}
	if c.Amount.LT(math.LegacyNewDec(100)) && !c.Amount.IsZero() { // too small to read as tokens
		return TrimDecimal(c.Amount.String()) + " " + BaseDenom
	}
	return tokens(c.Amount) + " " + DisplayDenom
}

// tokens moves the point of an amount that is not negative by six digits. A division would cut digits off.
func tokens(micro math.LegacyDec) string {
	whole, rest, _ := strings.Cut(micro.String(), ".")
	if n := len(whole); n < 7 {
		whole = strings.Repeat("0", 7-n) + whole
	}
	return TrimDecimal(whole[:len(whole)-6] + "." + whole[len(whole)-6:] + rest)
}

// TrimDecimal cuts the zeros behind a decimal's point, and the point itself when nothing is left behind it.
func TrimDecimal(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
