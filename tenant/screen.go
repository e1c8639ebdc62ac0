package tenant

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	gatewaytypes "berth.dev/berth/provider/gateway/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/chainspec"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const (
	// screenAtOnce is how many providers are asked at the same time whether they would bid.
	screenAtOnce = 64
	// screenRounds is for how many times the wait for one provider all of them may take together, so that many that hang
	// cost no more time than some.
	screenRounds = 3
)

// GroupScreening is what the registered providers say of a group, those who would bid first, cheapest first.
type GroupScreening struct {
	Group   string            `json:"group"`
	Answers []ScreeningAnswer `json:"answers"`
}

// ScreeningAnswer is what one provider says of a group. Its texts are a stranger's.
type ScreeningAnswer struct {
	Provider string `json:"provider"`
	Host     string `json:"host"`
	Region   string `json:"region"`
	WouldBid bool   `json:"would_bid"`
	// PricePerBlock is for the whole group; absent without a bid.
	PricePerBlock *Price `json:"price_per_block,omitempty"`
	PricePerMonth *Price `json:"price_per_month,omitempty"`
	// Code is the kind of reason against a bid, for example capacity; Reason says it with its numbers.
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Unknown says why the provider could not be asked.
	Unknown string `json:"unknown,omitempty"`
}

// WouldBid counts the providers that would bid.
func (g GroupScreening) WouldBid() int {
	n := 0
	for _, a := range g.Answers {
		if a.WouldBid {
			n++
		}
	}
	return n
}

// Screen asks all registered providers whether they would bid on the groups of a plan, and at which price. Nothing is
// signed or sent to the chain. A provider that does not answer is told of as unknown.
func (m *Machine) Screen(ctx context.Context, plan *sdl.Plan) ([]GroupScreening, error) {
	if err := m.FillPrices(ctx, plan); err != nil {
		return nil, err
	}
	return m.screen(ctx, chainspec.Groups(plan), plan.Reclaim)
}

func (m *Machine) screen(ctx context.Context, specs []deploymenttypes.GroupSpec, reclaim uint32) ([]GroupScreening, error) {
	providers, err := m.Chain.Providers(ctx)
	if err != nil {
		return nil, err
	}
	block := m.blockTime(ctx)
	req := &gatewaytypes.WouldBidRequest{Owner: m.Chain.Address(), Groups: specs, ReclaimWindowSeconds: reclaim}
	answers := make([][]ScreeningAnswer, len(providers))
	all, cancel := context.WithTimeout(ctx, screenRounds*m.Timing.Look)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(screenAtOnce)
	for i, p := range providers {
		g.Go(func() error {
			answers[i] = m.ask(all, p, req, block)
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := make([]GroupScreening, len(specs))
	for i, spec := range specs {
		out[i] = GroupScreening{Group: spec.Name, Answers: make([]ScreeningAnswer, len(providers))}
		for j := range providers {
			out[i].Answers[j] = answers[j][i]
		}
		slices.SortStableFunc(out[i].Answers, betterAnswer)
	}
	return out, nil
}

// ask asks one provider about all groups.
func (m *Machine) ask(ctx context.Context, p providertypes.Provider, req *gatewaytypes.WouldBidRequest, block time.Duration) []ScreeningAnswer {
	out := make([]ScreeningAnswer, len(req.Groups))
	for i := range out {
		out[i] = ScreeningAnswer{Provider: p.Owner, Host: p.HostUri, Region: attributeMap(p.Attributes)["region"]}
	}
	ctx, cancel := context.WithTimeout(ctx, m.Timing.Look)
	defer cancel()
	var res gatewaytypes.WouldBidResponse
	g, err := m.gateway(ctx, p.Owner)
	if err == nil {
		if res, err = g.WouldBid(ctx, req); err != nil {
			m.hangUp(p.Owner, g)
		}
	} else if ctx.Err() != nil {
		err = fmt.Errorf("there was no time left to ask it: %w", err)
	}
	if err == nil && len(res.Groups) != len(req.Groups) {
		err = fmt.Errorf("it answered for %d groups of %d", len(res.Groups), len(req.Groups))
	}
	for i := range out {
		if err != nil {
			out[i].Unknown = err.Error()
			continue
		}
		out[i].take(res.Groups[i], req.Groups[i], block)
	}
	return out
}

// take fills in what a provider said. A price that could not be a bid's makes the answer unknown.
func (a *ScreeningAnswer) take(s gatewaytypes.Screening, spec deploymenttypes.GroupSpec, block time.Duration) {
	switch {
	case !s.WouldBid:
		a.Code, a.Reason = s.Code, cmp.Or(s.Reason, s.Code, "it gives no reason")
	case s.Price == nil || s.Price.Amount.IsNil() || !s.Price.Amount.IsPositive() || s.Price.Denom != spec.Denom():
		a.Unknown = "it names no price that a bid could have"
	default:
		a.WouldBid = true
		price := Price{*s.Price}
		a.PricePerBlock, a.PricePerMonth = &price, price.Over(Month, block)
	}
}

func betterAnswer(a, b ScreeningAnswer) int {
	switch {
	case a.WouldBid != b.WouldBid:
		if a.WouldBid {
			return -1
		}
		return 1
	case a.WouldBid:
		return cmp.Or(comparePrices(*a.PricePerBlock, *b.PricePerBlock), strings.Compare(a.Provider, b.Provider))
	}
	return strings.Compare(a.Provider, b.Provider)
}

// RefusalGroups counts providers by what they say against a group, most frequent first: reasons of one kind are joined,
// with one of them as an example.
func (g GroupScreening) RefusalGroups() []RefusalGroup {
	var out []RefusalGroup
	for _, a := range g.Answers {
		if a.WouldBid {
			continue
		}
		code, reason := a.Code, a.Reason
		if a.Unknown != "" {
			code, reason = "unknown", a.Unknown
		}
		i := slices.IndexFunc(out, func(r RefusalGroup) bool { return r.Code == code })
		if i < 0 {
			i = len(out)
			out = append(out, RefusalGroup{Code: code, Example: reason})
		}
		out[i].Providers++
	}
	slices.SortStableFunc(out, func(a, b RefusalGroup) int {
		return cmp.Or(cmp.Compare(b.Providers, a.Providers), strings.Compare(a.Code, b.Code))
	})
	return out
}

// RefusalGroup is a kind of reason against a bid.
type RefusalGroup struct {
	Code      string
	Providers int
	// Example is what one of the providers says.
	Example string
}
