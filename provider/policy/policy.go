// Package policy says which orders an operator wants at all, whatever room there is: whose they are, what they ask for,
// and how much of the provider one owner may hold. It is pure: orders and sums in, reasons out.
package policy

import (
	"fmt"
	"slices"
	"time"

	"berth.dev/berth/provider/pricing"
	providertypes "berth.dev/berth/x/provider/types"
)

// Code says what kind of reason a Refusal has; it labels metrics.
type Code string

// The reasons for wanting no bid, in the order in which they are checked.
const (
	Allowed       Code = ""
	Owner         Code = "owner"
	Denom         Code = "denom"
	Attribute     Code = "attribute_rule"
	OrderPrice    Code = "order_price"
	OpenBids      Code = "open_bids"
	OwnerOpenBids Code = "owner_open_bids"
	Deposit       Code = "deposit_at_risk"
	Exposure      Code = "owner_exposure"
	RuleSaysNo    Code = "rule"
	RuleFailed    Code = "rule_failed"
)

// Passing reports whether a reason is a limit, which may have room when bids and leases of our own end.
func (c Code) Passing() bool {
	switch c {
	case OpenBids, OwnerOpenBids, Deposit, Exposure:
		return true
	}
	return false
}

// Stated reports whether a reason comes from a rule that reads the Standing, so that any change may make it go away.
func (c Code) Stated() bool { return c == RuleSaysNo || c == RuleFailed }

// Refusal is why an order is not wanted, with the numbers that decided it. The zero value says that it is.
type Refusal struct {
	Code Code
	// What names an owner, a denom, an attribute or the error of a rule.
	What string
	// Have is what stands already, Want what this order would add, Limit what may be; of counts and of amounts.
	HaveCount, LimitCount int64
	Have, Want, Limit     pricing.Amount
}

// String tells people why.
func (r Refusal) String() string {
	switch r.Code {
	case Allowed:
		return "allowed"
	case Owner:
		return fmt.Sprintf("owner %s is not served", r.What)
	case Denom:
		return fmt.Sprintf("prices in %q are not accepted", r.What)
	case Attribute:
		return "by the operator's rule for attributes: " + r.What
	case OrderPrice:
		return fmt.Sprintf("the order pays at most %s%s per block, below the least that is worth a bid, %s%s", r.Want, r.What, r.Limit, r.What)
	case OpenBids:
		return fmt.Sprintf("%d bids are open, and %d may be", r.HaveCount, r.LimitCount)
	case OwnerOpenBids:
		return fmt.Sprintf("%d bids for owner %s are open, and %d may be", r.HaveCount, r.What, r.LimitCount)
	case Deposit:
		return fmt.Sprintf("deposits of %s%s are held, and %s more would pass the limit of %s", r.Have, r.What, r.Want, r.Limit)
	case Exposure:
		return fmt.Sprintf("the owner's bids and leases come to %s%s per block, and %s more would pass the limit of %s", r.Have, r.What, r.Want, r.Limit)
	case RuleSaysNo:
		return "the operator's rule does not want it"
	case RuleFailed:
		return "the operator's rule failed: " + r.What
	default:
		return string(r.Code)
	}
}

// Limit is an amount of a denom.
type Limit struct {
	Denom  string
	Amount pricing.Amount
}

// find gives the limit of a denom, if there is one.
func find(limits []Limit, denom string) (pricing.Amount, bool) {
	for i := range limits {
		if limits[i].Denom == denom {
			return limits[i].Amount, true
		}
	}
	return pricing.Amount{}, false
}

// Rules are what an operator wants. The zero value wants everything.
type Rules struct {
	// Allow, if not empty, are the only owners served; Deny are never served.
	Allow, Deny map[string]struct{}
	// Denoms, if not empty, are the only ones accepted.
	Denoms []string
	// Require are attributes of which an order must ask for each, Refuse those of which it may ask for none. An empty
	// value stands for any.
	Require, Refuse []providertypes.Attribute
	// MinOrderPrice is the least that an order must be ready to pay per block, so that a bid is worth its gas.
	MinOrderPrice []Limit
	// MaxOpenBids bounds bids that may become leases, MaxOwnerOpenBids those for one owner; 0 is no bound.
	MaxOpenBids, MaxOwnerOpenBids int64
	// MaxDeposit bounds what the chain holds for all bids and leases.
	MaxDeposit []Limit
	// MaxExposure bounds the sum of the prices per block of one owner's bids and leases.
	MaxExposure []Limit
	// Rule, if set, must say yes.
	Rule *pricing.Rule
}

// Per turns rules whose amounts of money are per period into ones per block of the given length. Bounds from below
// round up, bounds from above too: by less than 10^-12.
func (r Rules) Per(period, block time.Duration) (Rules, error) {
	for _, limits := range []*[]Limit{&r.MinOrderPrice, &r.MaxExposure} {
		*limits = slices.Clone(*limits)
		for i := range *limits {
			var err error
			if (*limits)[i].Amount, err = (*limits)[i].Amount.Per(period, block); err != nil {
				return Rules{}, fmt.Errorf("policy: per block: %w", err)
			}
		}
	}
	return r, nil
}

// NeedsStanding reports whether Check reads the Standing. Without, an empty one will do.
func (r *Rules) NeedsStanding() bool { return r.Rule != nil }

// Check says whether an order is wanted, before anything is known of room and price. deposit is what a bid on it would
// put at risk.
func (r *Rules) Check(a *pricing.Ask, t *Tally, deposit Limit, st *pricing.Standing) Refusal {
	if refused := r.checkOrder(a); refused.Code != Allowed {
		return refused
	}
	if n := t.OpenBids(); r.MaxOpenBids > 0 && n >= r.MaxOpenBids {
		return Refusal{Code: OpenBids, HaveCount: n, LimitCount: r.MaxOpenBids}
	}
	if r.MaxOwnerOpenBids > 0 {
		if n, _, _ := t.Owner(a.Owner, a.Denom); n >= r.MaxOwnerOpenBids {
			return Refusal{Code: OwnerOpenBids, What: a.Owner, HaveCount: n, LimitCount: r.MaxOwnerOpenBids}
		}
	}
	if limit, ok := find(r.MaxDeposit, deposit.Denom); ok {
		have := t.Deposits(deposit.Denom)
		if sum, fits := have.Add(deposit.Amount); !fits || sum.Cmp(limit) > 0 {
			return Refusal{Code: Deposit, What: deposit.Denom, Have: have, Want: deposit.Amount, Limit: limit}
		}
	}
	if r.Rule != nil {
		yes, err := r.Rule.Allows(a, st)
		if err != nil {
			return Refusal{Code: RuleFailed, What: err.Error()}
		}
		if !yes {
			return Refusal{Code: RuleSaysNo}
		}
	}
	return Refusal{}
}

// checkOrder checks what lies in the order alone.
func (r *Rules) checkOrder(a *pricing.Ask) Refusal {
	if _, denied := r.Deny[a.Owner]; denied {
		return Refusal{Code: Owner, What: a.Owner}
	}
	if _, allowed := r.Allow[a.Owner]; len(r.Allow) > 0 && !allowed {
		return Refusal{Code: Owner, What: a.Owner}
	}
	if len(r.Denoms) > 0 && !slices.Contains(r.Denoms, a.Denom) {
		return Refusal{Code: Denom, What: a.Denom}
	}
	for i := range r.Require {
		if !asks(a, &r.Require[i]) {
			return Refusal{Code: Attribute, What: "it does not ask for " + text(&r.Require[i])}
		}
	}
	for i := range r.Refuse {
		if asks(a, &r.Refuse[i]) {
			return Refusal{Code: Attribute, What: "it asks for " + text(&r.Refuse[i])}
		}
	}
	if least, ok := find(r.MinOrderPrice, a.Denom); ok && a.Max.Cmp(least) < 0 {
		return Refusal{Code: OrderPrice, What: a.Denom, Want: a.Max, Limit: least}
	}
	return Refusal{}
}

func asks(a *pricing.Ask, want *providertypes.Attribute) bool {
	for i := range a.Attributes {
		if have := &a.Attributes[i]; have.Key == want.Key && (want.Value == "" || have.Value == want.Value) {
			return true
		}
	}
	return false
}

func text(a *providertypes.Attribute) string {
	if a.Value == "" {
		return a.Key
	}
	return a.Key + "=" + a.Value
}

// CheckPrice says whether the owner may hold a bid at a price besides what it holds.
func (r *Rules) CheckPrice(a *pricing.Ask, price pricing.Amount, t *Tally) Refusal {
	limit, ok := find(r.MaxExposure, a.Denom)
	if !ok {
		return Refusal{}
	}
	_, _, have := t.Owner(a.Owner, a.Denom)
	if sum, fits := have.Add(price); !fits || sum.Cmp(limit) > 0 {
		return Refusal{Code: Exposure, What: a.Denom, Have: have, Want: price, Limit: limit}
	}
	return Refusal{}
}
