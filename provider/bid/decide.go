// Package bid decides which orders to bid on and carries the bids to the chain. Decide and Book are pure: values in,
// values out, so that a decision can be replayed and a whole history of crashes can be tested in memory. Loop is the
// thin shell around them that talks to the chain.
package bid

import (
	"fmt"

	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/pricing"
	providertypes "berth.dev/berth/x/provider/types"
)

// Code says what kind of reason a refusal has; it labels metrics.
type Code string

// The reasons for not bidding, in the order in which they are checked.
const (
	Accepted    Code = ""
	Malformed   Code = "malformed"
	Owner       Code = "owner"
	Denom       Code = "denom"
	Excluded    Code = "excluded"
	Attribute   Code = "attribute"
	Signature   Code = "signature"
	Unsupported Code = "unsupported"
	Capacity    Code = "capacity"
	Overflow    Code = "overflow"
	Price       Code = "price"
)

// Reason is why an order gets no bid, with the numbers that decided it.
type Reason struct {
	Code Code
	// Key and Value name what was asked for: an owner, a denom, an attribute, an auditor.
	Key, Value string
	// Until is the height from which an excluded provider may bid.
	Until int64
	// Short is what capacity lacks.
	Short inventory.Shortfall
	// Ask is the price that would have been bid, Max the most that the order pays.
	Ask, Max pricing.Amount
}

// String tells people why.
func (r Reason) String() string {
	switch r.Code {
	case Accepted:
		return "accepted"
	case Owner:
		return fmt.Sprintf("owner %s is not served", r.Value)
	case Denom:
		return fmt.Sprintf("prices in %q are not accepted", r.Value)
	case Excluded:
		return fmt.Sprintf("may not bid on this group before height %d", r.Until)
	case Attribute:
		return fmt.Sprintf("attribute %s=%s is not offered", r.Key, r.Value)
	case Signature:
		return fmt.Sprintf("attributes are not signed by auditor %s", r.Value)
	case Unsupported:
		return fmt.Sprintf("%s %s is not offered", r.Key, r.Value)
	case Capacity:
		return r.Short.String()
	case Overflow:
		return "the price is too large to compute"
	case Price:
		return fmt.Sprintf("price %s is above the order's maximum %s per block", r.Ask, r.Max)
	default:
		return string(r.Code)
	}
}

// Policy is what an operator sells, to whom and for how much.
type Policy struct {
	// Provider is our own address.
	Provider string
	// Attributes are what our record on chain says.
	Attributes []providertypes.Attribute
	// Auditors have signed our attributes.
	Auditors map[string]struct{}
	// GPUs are the attributes of our graphics processors.
	GPUs map[providertypes.Attribute]struct{}
	// Allow, if not empty, are the only owners served; Deny are never served.
	Allow, Deny map[string]struct{}
	// Prices per block.
	Prices pricing.Table
}

// Decision is the answer to an order: a price, or the reason for none.
type Decision struct {
	Bid    bool
	Price  pricing.Amount
	Reason Reason
}

// Decide says whether to bid on an order at a height, and at what price. It reads nothing but its arguments and
// changes none of them; an accepted order has not been given its capacity yet.
func Decide(o *Order, free *inventory.Inventory, p *Policy, height int64) Decision {
	for _, check := range [...]func(*Order, *Policy, int64) Reason{checkPolicy, checkAttributes, checkSignatures, checkKinds} {
		if r := check(o, p, height); r.Code != Accepted {
			return Decision{Reason: r}
		}
	}
	if short, ok := free.Fits(o.Units); !ok {
		return Decision{Reason: Reason{Code: Capacity, Short: short}}
	}
	price, ok := p.Prices.Price(o.Totals)
	if !ok {
		return Decision{Reason: Reason{Code: Overflow}}
	}
	if price.IsZero() || price.Cmp(o.Max) > 0 {
		return Decision{Reason: Reason{Code: Price, Ask: price, Max: o.Max}}
	}
	return Decision{Bid: true, Price: price}
}

func checkPolicy(o *Order, p *Policy, height int64) Reason {
	if _, denied := p.Deny[o.ID.Owner]; denied {
		return Reason{Code: Owner, Value: o.ID.Owner}
	}
	if _, allowed := p.Allow[o.ID.Owner]; len(p.Allow) > 0 && !allowed {
		return Reason{Code: Owner, Value: o.ID.Owner}
	}
	if o.Denom != p.Prices.Denom {
		return Reason{Code: Denom, Value: o.Denom}
	}
	if o.Excluded == p.Provider && o.Excluded != "" && height < o.ExcludedUntil {
		return Reason{Code: Excluded, Until: o.ExcludedUntil}
	}
	return Reason{}
}

func checkAttributes(o *Order, p *Policy, _ int64) Reason {
	for i, a := range o.Attributes {
		if !providertypes.MatchAttributes(o.Attributes[i:i+1], p.Attributes) { // the chain's own rule
			return Reason{Code: Attribute, Key: a.Key, Value: a.Value}
		}
	}
	return Reason{}
}

func checkSignatures(o *Order, p *Policy, _ int64) Reason {
	for _, auditor := range o.AllOf {
		if _, ok := p.Auditors[auditor]; !ok {
			return Reason{Code: Signature, Value: auditor}
		}
	}
	for _, auditor := range o.AnyOf {
		if _, ok := p.Auditors[auditor]; ok {
			return Reason{}
		}
	}
	if len(o.AnyOf) > 0 {
		return Reason{Code: Signature, Value: o.AnyOf[0]}
	}
	return Reason{}
}

// checkKinds refuses what no node of this provider has, whatever is free. Volumes are ephemeral here, so that an
// attribute is refused unless it says just that.
func checkKinds(o *Order, p *Policy, _ int64) Reason {
	for _, a := range o.Volumes {
		if a != (providertypes.Attribute{Key: "persistent", Value: "false"}) {
			return Reason{Code: Unsupported, Key: "storage " + a.Key, Value: a.Value}
		}
	}
	for _, a := range o.GPUs {
		if _, ok := p.GPUs[a]; !ok {
			return Reason{Code: Unsupported, Key: "gpu " + a.Key, Value: a.Value}
		}
	}
	if o.Addresses > 0 {
		return Reason{Code: Unsupported, Key: "endpoint", Value: "with an address of its own"}
	}
	return Reason{}
}
