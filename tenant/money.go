package tenant

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/units"
)

// Month is the month of all prices: 30 days.
const Month = 30 * 24 * time.Hour

// Price is an exact amount of a denom, for example per block. Its JSON is {"amount":"12.5","denom":"ubrt"}.
type Price struct{ sdk.DecCoin }

type amountJSON struct {
	Amount string `json:"amount"`
	Denom  string `json:"denom"`
}

// MarshalJSON gives the amount as a decimal string without zeros at its end.
func (p Price) MarshalJSON() ([]byte, error) {
	amount := "0"
	if !p.Amount.IsNil() {
		amount = TrimDecimal(p.Amount.String())
	}
	return json.Marshal(amountJSON{Amount: amount, Denom: p.Denom})
}

// TrimDecimal cuts the zeros behind a decimal's point, and the point itself when nothing is left behind it.
func TrimDecimal(s string) string { return units.TrimDecimal(s) }

// SumPrices adds prices of one denom. It returns the zero Price for none, and an error for mixed denoms.
func SumPrices(prices ...Price) (Price, error) {
	var sum Price
	for i, p := range prices {
		if i == 0 {
			sum = p
			continue
		}
		if p.Denom != sum.Denom {
			return Price{}, fmt.Errorf("add prices: %s and %s are different denoms", sum.Denom, p.Denom)
		}
		sum.Amount = sum.Amount.Add(p.Amount)
	}
	return sum, nil
}

// Over is what a price per block comes to in a time, at a mean time per block. It is nil when the block time is
// unknown (not positive). The quotient is cut to 18 decimals.
func (p Price) Over(d, blockTime time.Duration) *Price {
	if blockTime <= 0 || p.Amount.IsNil() {
		return nil
	}
	amount := p.Amount.MulInt(math.NewInt(int64(d))).QuoInt(math.NewInt(int64(blockTime)))
	return &Price{sdk.DecCoin{Denom: p.Denom, Amount: amount}}
}

// Moment is a height and the time at which the chain will reach it.
type Moment struct {
	Height int64 `json:"height"`
	// Time is an estimate from the mean block time; nil when that is unknown or the time is beyond maxRunway.
	Time *time.Time `json:"time,omitempty"`
}

// maxRunway bounds the times that are estimated.
const maxRunway = 100 * 365 * 24 * time.Hour

// momentAt estimates when a chain whose block at height came at now will reach target.
func momentAt(target, height int64, now time.Time, blockTime time.Duration) *Moment {
	m := &Moment{Height: target}
	if blockTime <= 0 {
		return m
	}
	blocks := target - height
	if blocks > int64(maxRunway/blockTime) {
		return m
	}
	t := now.Add(time.Duration(blocks) * blockTime).UTC().Truncate(time.Second)
	m.Time = &t
	return m
}

// blocksIn is how many blocks come in a time, at least 1.
func blocksIn(d, blockTime time.Duration) int64 {
	if blockTime <= 0 {
		return 1
	}
	return max(1, int64(d/blockTime))
}

// ParseCoin reads an amount such as 5BRT, 0.25BRT or 5000000ubrt. It refuses amounts that are not positive and
// fractions of the smallest unit.
func ParseCoin(s string) (sdk.Coin, error) {
	dec, err := sdk.ParseDecCoin(strings.TrimSpace(s))
	if err != nil {
		return sdk.Coin{}, fmt.Errorf("amount %q: want a number and a denom, such as 5%s or 5000000%s", s, units.DisplayDenom, units.BaseDenom)
	}
	if strings.EqualFold(dec.Denom, units.DisplayDenom) {
		dec = sdk.DecCoin{Denom: units.BaseDenom, Amount: dec.Amount.MulInt64(units.MicroPerToken)}
	}
	if !dec.Amount.IsInteger() {
		return sdk.Coin{}, fmt.Errorf("amount %q: the smallest unit is 1%s", s, dec.Denom)
	}
	if !dec.Amount.IsPositive() {
		return sdk.Coin{}, fmt.Errorf("amount %q: must be more than zero", s)
	}
	return sdk.NewCoin(dec.Denom, dec.Amount.TruncateInt()), nil
}

// FormatCoin writes an amount for people: 1.5 BRT for 1500000ubrt, and other denoms as they are.
func FormatCoin(c sdk.Coin) string {
	if c.Amount.IsNil() {
		return "0"
	}
	return FormatDec(sdk.NewDecCoinFromCoin(c))
}

// FormatDec writes a decimal amount for people, exactly; see FormatCoin.
func FormatDec(c sdk.DecCoin) string { return units.FormatDec(c) }
