package main

import (
	"fmt"
	"strings"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/tenant"
	"berth.dev/berth/units"
)

// unknownText stands for what could not be learned.
const unknownText = "?"

// perMonth writes a price per month, rounded, for people.
func perMonth(p *tenant.Price) string {
	if p == nil {
		return unknownText
	}
	return rounded(p.DecCoin)
}

// rounded writes an amount with as many digits as people read: two decimals of whole tokens, up to six below.
func rounded(c sdk.DecCoin) string {
	if c.Amount.IsNil() || c.Denom != units.BaseDenom {
		return tenant.FormatDec(c)
	}
	tokens := c.Amount.QuoInt64(units.MicroPerToken)
	digits := int64(6)
	switch {
	case tokens.GTE(math.LegacyOneDec()):
		digits = 2
	case tokens.GTE(math.LegacyNewDecWithPrec(1, 2)):
		digits = 4
	}
	unit := math.LegacyNewDec(10).Power(uint64(digits))
	text := math.LegacyNewDecFromInt(tokens.Mul(unit).RoundInt()).Quo(unit).String()
	return tenant.TrimDecimal(text) + " " + units.DisplayDenom
}

// wholeUnits writes what is left of an amount, cut to whole units.
func wholeUnits(p tenant.Price) string {
	if p.Amount.IsNil() {
		return tenant.FormatDec(p.DecCoin)
	}
	return tenant.FormatDec(sdk.DecCoin{Denom: p.Denom, Amount: math.LegacyNewDecFromInt(p.Amount.TruncateInt())})
}

// costText is a price per block and per month.
func costText(block tenant.Price, month *tenant.Price) string {
	if block.Amount.IsNil() || block.Amount.IsZero() {
		return "nothing yet"
	}
	return fmt.Sprintf("%s per block, about %s per month", tenant.FormatDec(block.DecCoin), perMonth(month))
}

// momentText is a height with its time and how far off it is.
func momentText(m *tenant.Moment, now time.Time) string {
	if m == nil {
		return "no end: it costs nothing yet"
	}
	if m.Time == nil {
		return fmt.Sprintf("block %d", m.Height)
	}
	return fmt.Sprintf("block %d, about %s (%s)", m.Height, m.Time.Local().Format("Mon 2 Jan 2006 15:04 MST"), fromNow(m.Time.Sub(now)))
}

// fromNow writes a distance in time in its two largest units.
func fromNow(d time.Duration) string {
	if d < 0 {
		return roughly(-d) + " ago"
	}
	return "in " + roughly(d)
}

func roughly(d time.Duration) string {
	days, hours, minutes := int(d.Hours()/24), int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days >= 10:
		return fmt.Sprintf("%d days", days)
	case days > 0:
		return fmt.Sprintf("%dd %dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh %dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm", minutes)
	default:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	}
}

// runway is how long something is still funded, for a column of a table.
func runway(m *tenant.Moment, now time.Time) string {
	switch {
	case m == nil:
		return "-"
	case m.Time == nil:
		return fmt.Sprintf("block %d", m.Height)
	default:
		return roughly(max(0, m.Time.Sub(now)))
	}
}

// shortAddress keeps both ends of an address.
func shortAddress(a string) string {
	if len(a) <= 20 {
		return a
	}
	return a[:11] + "…" + a[len(a)-6:]
}

// recordText sums up a provider's record on this chain.
func recordText(r tenant.Record) string {
	if r.Leases == 0 {
		return "new"
	}
	text := fmt.Sprintf("%d leases", r.Leases)
	if r.Leases == 1 {
		text = "1 lease"
	}
	for _, bad := range []string{"unstable", "manifest_timeout", "decommission"} {
		if n := r.Closed[bad]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, strings.ReplaceAll(bad, "_", " "))
		}
	}
	return text
}
