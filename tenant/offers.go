package tenant

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Offer is a bid with what is known of its provider.
type Offer struct {
	ID markettypes.BidID `json:"-"`
	// Provider is the address, Host the gateway and Region the attribute of that name.
	Provider      string            `json:"provider"`
	Host          string            `json:"host"`
	Region        string            `json:"region"`
	Attributes    map[string]string `json:"attributes"`
	PricePerBlock Price             `json:"price_per_block"`
	PricePerMonth *Price            `json:"price_per_month"`
	Record        Record            `json:"record"`
	// AuditedBy are the accounts that have signed attributes of the provider, in the order of their addresses.
	AuditedBy []string `json:"audited_by"`
	// Refused says why the tenant's selection does not accept the offer; empty if it does.
	Refused string `json:"refused,omitempty"`
	// Height is when the bid was made, ValidUntil the last height at which it can be taken; 0 means no end.
	Height     int64 `json:"height"`
	ValidUntil int64 `json:"valid_until"`
}

// Record is what the chain remembers of a provider.
type Record struct {
	Leases uint64 `json:"leases"`
	Active uint64 `json:"active"`
	// Closed counts ended leases by reason.
	Closed map[string]uint64 `json:"closed"`
}

// GroupOffers are the bids on one group, cheapest first.
type GroupOffers struct {
	Gseq   uint32  `json:"gseq"`
	Name   string  `json:"name"`
	Offers []Offer `json:"offers"`
	// Refused are the bids that the tenant's selection does not accept, cheapest first.
	Refused []Offer `json:"refused,omitempty"`
	// Eligible counts the registered providers that have the attributes the group asks for.
	Eligible int `json:"eligible"`
}

// sortOffers puts the cheapest first; equal prices go by height, then by provider, as the chain's own auction does.
func sortOffers(offers []Offer) {
	slices.SortFunc(offers, func(a, b Offer) int {
		return cmp.Or(comparePrices(a.PricePerBlock, b.PricePerBlock), cmp.Compare(a.Height, b.Height), strings.Compare(a.Provider, b.Provider))
	})
}

func comparePrices(a, b Price) int {
	switch {
	case a.Amount.LT(b.Amount):
		return -1
	case a.Amount.GT(b.Amount):
		return 1
	default:
		return 0
	}
}

// settled reports whether waiting longer for bids promises little: each group has one that is acceptable, and either all providers that
// could bid did, or no new bid has come for quiet blocks.
func settled(groups []GroupOffers, height, lastNews, quiet int64) bool {
	complete := true
	for _, g := range groups {
		if len(g.Offers) == 0 {
			return false
		}
		complete = complete && len(g.Offers)+len(g.Refused) >= g.Eligible
	}
	return complete || height-lastNews >= quiet
}

// matches reports whether a provider has all the attributes that a group asks for.
func matches(p providertypes.Provider, spec deploymenttypes.GroupSpec) bool {
	for _, want := range spec.Requirements.Attributes {
		if !slices.Contains(p.Attributes, want) {
			return false
		}
	}
	return true
}

func eligible(providers []providertypes.Provider, spec deploymenttypes.GroupSpec) int {
	n := 0
	for _, p := range providers {
		if matches(p, spec) {
			n++
		}
	}
	return n
}

// explainNoBids says, for people, what is known of why nobody bids on a group.
func explainNoBids(providers []providertypes.Provider, spec deploymenttypes.GroupSpec) string {
	switch n := eligible(providers, spec); {
	case len(providers) == 0:
		return "no provider is registered"
	case n == 0:
		return fmt.Sprintf("none of the %s has %s", count(len(providers), "registered provider"), strings.Join(missing(providers, spec), ", "))
	default:
		return fmt.Sprintf("%s could run it but did not bid: the price may be too low, or they have no room for it", count(n, "registered provider"))
	}
}

// explainSilence says, for people, why providers that could bid on a group do not: what they have against it, or that
// they say otherwise.
func explainSilence(g GroupScreening) string {
	var parts []string
	if n := g.WouldBid(); n > 0 {
		parts = append(parts, count(n, "provider")+": would bid now, and did not in this time; wait longer with --bid-wait")
	}
	for _, r := range g.RefusalGroups() {
		parts = append(parts, count(r.Providers, "provider")+": "+r.Example)
	}
	return strings.Join(parts, "; ")
}

// explainUnacceptable says, for people, why none of a group's bids is taken: reasons that several share are said once.
func explainUnacceptable(offers []Offer) string {
	var parts []string
	seen := map[string]int{}
	for _, o := range offers {
		seen[o.Refused]++
	}
	for _, o := range offers {
		if n := seen[o.Refused]; n > 0 {
			parts = append(parts, count(n, "bid")+": "+o.Refused)
			seen[o.Refused] = 0
		}
	}
	return strings.Join(parts, "; ")
}

// missing lists the attributes that no provider has; when each has some provider, all of them, as it is then the
// combination that is missing.
func missing(providers []providertypes.Provider, spec deploymenttypes.GroupSpec) []string {
	var none, all []string
	for _, want := range spec.Requirements.Attributes {
		text := want.Key + "=" + want.Value
		all = append(all, text)
		if !slices.ContainsFunc(providers, func(p providertypes.Provider) bool { return slices.Contains(p.Attributes, want) }) {
			none = append(none, text)
		}
	}
	if len(none) == 0 {
		return all
	}
	return none
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func attributeMap(list []providertypes.Attribute) map[string]string {
	m := make(map[string]string, len(list))
	for _, a := range list {
		m[a.Key] = a.Value
	}
	return m
}

func newRecord(r markettypes.ProviderRecord) Record {
	out := Record{Leases: r.Leases, Active: r.Active, Closed: map[string]uint64{}}
	for _, c := range r.Closed {
		out.Closed[ReasonText(c.Reason)] += c.Count
	}
	return out
}

// ReasonText names the reason why a lease ended: tenant, unstable, manifest_timeout and so on.
func ReasonText(r markettypes.CloseReason) string { return enumText(r.String(), "CLOSE_REASON_") }

func enumText(s, prefix string) string {
	if s = strings.TrimPrefix(s, prefix); s == "UNSPECIFIED" {
		return ""
	}
	return strings.ToLower(s)
}
