// Package bid decides which orders to bid on and carries the bids to the chain. Decide and Book are pure: values in,
// values out, so that a decision can be replayed and a whole history of crashes can be tested in memory. Loop is the
// thin shell around them that talks to the chain.
package bid

import (
	"fmt"

	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
)

// Code says what kind of reason a refusal has; it labels metrics.
type Code string

// The reasons for not bidding, in the order in which they are checked.
const (
	Accepted    Code = ""
	Closed      Code = "closed" // this provider bids on nothing now; only Screen says so
	Malformed   Code = "malformed"
	Denom       Code = "denom"
	Excluded    Code = "excluded"
	Attribute   Code = "attribute"
	Signature   Code = "signature"
	Notice      Code = "notice"
	Unsupported Code = "unsupported"
	Capacity    Code = "capacity"
	Price       Code = "price"
	// Further codes are those of policy.Code, checked first, and of pricing.Code, checked after the capacity.
)

// isTerms reports whether new prices or rules may change the reason away.
func (c Code) isTerms() bool {
	switch c {
	case Accepted, Malformed, Excluded, Attribute, Signature, Notice, Unsupported, Capacity:
		return false
	}
	return true
}

// Reason is why an order gets no bid, with the numbers that decided it.
type Reason struct {
	Code Code
	// Key and Value name what was asked for: a denom, an attribute, a kind of device.
	Key, Value string
	// Auditor has not signed the attribute, or, where Key is empty, nothing at all.
	Auditor string
	// Notice is how many seconds of notice the order wants before a lease is taken back, MaxNotice how many are given.
	Notice, MaxNotice uint32
	// Until is the height from which an excluded provider may bid.
	Until int64
	// Short is what capacity lacks.
	Short inventory.Shortfall
	// Ask is the price that would have been bid, Max the most that the order pays.
	Ask, Max pricing.Amount
	// Policy is why the operator does not want the order, Pricing why it has no price.
	Policy  policy.Refusal
	Pricing pricing.Refusal
}

// String tells people why.
func (r Reason) String() string {
	switch {
	case r.Policy.Code != policy.Allowed:
		return r.Policy.String()
	case r.Pricing.Code != pricing.Priced:
		return r.Pricing.String()
	}
	switch r.Code {
	case Accepted:
		return "accepted"
	case Closed:
		return "the provider makes no bids at the moment"
	case Denom:
		return fmt.Sprintf("prices in %q are not accepted", r.Value)
	case Excluded:
		return fmt.Sprintf("may not bid on this group before height %d", r.Until)
	case Attribute:
		return fmt.Sprintf("attribute %s=%s is not offered", r.Key, r.Value)
	case Signature:
		if r.Key == "" {
			return fmt.Sprintf("auditor %s has signed nothing of this provider", r.Auditor)
		}
		return fmt.Sprintf("attribute %s=%s is not signed by auditor %s", r.Key, r.Value, r.Auditor)
	case Notice:
		return fmt.Sprintf("%d s of notice are wanted before a lease is taken back, at most %d s are given", r.Notice, r.MaxNotice)
	case Unsupported:
		return fmt.Sprintf("%s %s is not offered", r.Key, r.Value)
	case Capacity:
		return r.Short.String()
	case Price:
		if r.Ask.IsZero() {
			return "the price is zero, and no bid may be for nothing"
		}
		return fmt.Sprintf("price %s is above the order's maximum %s per block", r.Ask, r.Max)
	default:
		return string(r.Code)
	}
}

// Policy is what an operator sells, to whom and for how much.
type Policy struct {
	// Provider is our own address.
	Provider string
	// Record is what the chain says of us.
	Record
	// MaxNotice is the longest notice, in seconds, that is given before a lease is taken back; orders that want more get no
	// bid.
	MaxNotice uint32
	// Rules say which orders are wanted at all.
	Rules *policy.Rules
	// Prices per block.
	Prices *pricing.Set

	words  *Words
	known  int            // the words that were looked at
	met    bits           // the words that Attributes meet
	signed []bits         // the words that each of Audits has signed
	audits map[string]int // positions in Audits of auditors who have signed anything
}

// Standing is how we stand when an order is decided.
type Standing struct {
	// Tally sums up our bids and leases.
	Tally *policy.Tally
	// Deposit is what a bid on the order would put at risk.
	Deposit policy.Limit
	// Cluster is what expressions and programs see of the cluster. What is told there of the order's owner is filled in by
	// Decide.
	Cluster pricing.Standing
}

// Decision is the answer to an order: a price, or the reason for none.
type Decision struct {
	Bid    bool
	Price  pricing.Amount
	Reason Reason
}

// Decide says whether to bid on an order at a height, and at what price. It reads nothing but its arguments and leaves
// them as they are; an accepted order has not been given its capacity yet. With plain tables and rules it allocates
// nothing. The inventory notes what it tries: it must not be used by others meanwhile. What an external program asks for
// the order comes in o.Ask.Quote; without it, where there is such a program, the reason is pricing.Unquoted.
func Decide(o *Order, free *inventory.Inventory, p *Policy, st *Standing, height int64) Decision {
	if refused := checkRules(o, p, st); refused.Code != policy.Allowed {
		return Decision{Reason: Reason{Code: Code(refused.Code), Policy: refused}}
	}
	if r := p.check(o, height); r.Code != Accepted {
		return Decision{Reason: r}
	}
	if short, ok := free.Fits(&o.Demand); !ok {
		return Decision{Reason: Reason{Code: Capacity, Short: short}}
	}
	price, refused := priceOf(o, p, st)
	if refused.Code != pricing.Priced {
		return Decision{Reason: Reason{Code: Code(refused.Code), Pricing: refused}}
	}
	if price.IsZero() || price.Cmp(o.Max) > 0 {
		return Decision{Reason: Reason{Code: Price, Ask: price, Max: o.Max}}
	}
	if refused := p.Rules.CheckPrice(&o.Ask, price, st.Tally); refused.Code != policy.Allowed {
		return Decision{Reason: Reason{Code: Code(refused.Code), Policy: refused, Ask: price, Max: o.Max}}
	}
	return Decision{Bid: true, Price: price}
}

// check is what depends neither on rules nor on what is free or asked, in the order of Decide.
func (p *Policy) check(o *Order, height int64) Reason {
	if r := checkPolicy(o, p, height); r.Code != Accepted {
		return r
	}
	if i := p.unmet(o); i >= 0 {
		return Reason{Code: Attribute, Key: o.Attributes[i].Key, Value: o.Attributes[i].Value}
	}
	if r := p.checkSignatures(o); r.Code != Accepted {
		return r
	}
	if o.Unsupported != nil {
		return *o.Unsupported
	}
	return Reason{}
}

// checkRules asks the operator's rules.
func checkRules(o *Order, p *Policy, st *Standing) policy.Refusal {
	cluster := &st.Cluster
	if p.Rules.NeedsStanding() {
		cluster = st.of(o)
	}
	return p.Rules.Check(&o.Ask, st.Tally, st.Deposit, cluster)
}

// priceOf asks for the price.
func priceOf(o *Order, p *Policy, st *Standing) (pricing.Amount, pricing.Refusal) {
	cluster := &st.Cluster
	if p.Prices.NeedsStanding() {
		cluster = st.of(o)
	}
	return p.Prices.Price(&o.Ask, cluster)
}

// of is what expressions and programs see for an order. Plain tables and rules do without, as it takes memory.
func (st *Standing) of(o *Order) *pricing.Standing {
	c := st.Cluster
	c.OpenBids, c.Leases = st.Tally.OpenBids(), st.Tally.Leases()
	c.OwnerOpenBids, c.OwnerLeases, c.OwnerExposure = st.Tally.Owner(o.ID.Owner, o.Denom)
	return &c
}

func checkPolicy(o *Order, p *Policy, height int64) Reason {
	if p.Prices.Table(o.Denom) == nil {
		return Reason{Code: Denom, Value: o.Denom}
	}
	if o.Excluded == p.Provider && o.Excluded != "" && height < o.ExcludedUntil {
		return Reason{Code: Excluded, Until: o.ExcludedUntil}
	}
	if o.Notice > p.MaxNotice {
		return Reason{Code: Notice, Notice: o.Notice, MaxNotice: p.MaxNotice}
	}
	return Reason{}
}
