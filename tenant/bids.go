package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Chooser picks one of a group's offers, of which there is at least one, and returns its index. The offers are sorted,
// cheapest first.
type Chooser func(ctx context.Context, g GroupOffers) (int, error)

// Lowest takes the cheapest offer.
func Lowest(context.Context, GroupOffers) (int, error) { return 0, nil }

// collectBids waits for bids on the groups without a lease and chooses among them, or waits until the chain has.
func collectBids(ctx context.Context, m *Machine, s *State) (Step, error) {
	if _, err := m.syncLeases(ctx, s); err != nil {
		return "", err
	}
	if s.allLeased() {
		return StepManifest, nil
	}
	w, err := m.newBidWatch(ctx, s)
	if err != nil {
		return "", err
	}
	if err := w.await(ctx); err != nil {
		return "", err
	}
	if s.Auction.Lowest {
		return StepManifest, nil
	}
	for _, g := range w.groups {
		i, err := m.Choose(ctx, g)
		if err != nil {
			return "", err
		}
		o := g.Offers[i]
		s.Groups[g.Gseq-1].Choice = &Choice{Oseq: o.ID.Oseq, Provider: o.Provider}
		m.tell(Chosen{Gseq: g.Gseq, Group: g.Name, Offer: o})
	}
	return StepLease, nil
}

// bidWatch follows the bids on the groups of a deployment that have no lease.
type bidWatch struct {
	m         *Machine
	s         *State
	specs     []deploymenttypes.GroupSpec
	providers []providertypes.Provider
	records   map[string]Record
	audits    map[string][]string
	accept    func(Offer) string
	blockTime time.Duration
	groups    []GroupOffers
	seen      int
	lastNews  int64
}

func (m *Machine) newBidWatch(ctx context.Context, s *State) (*bidWatch, error) {
	specs, err := s.Specs()
	if err != nil {
		return nil, err
	}
	providers, err := m.Chain.Providers(ctx)
	if err != nil {
		return nil, err
	}
	w := &bidWatch{m: m, s: s, specs: specs, providers: providers, records: map[string]Record{}, audits: map[string][]string{}, blockTime: m.blockTime(ctx), seen: -1}
	if !s.Auction.Lowest { // there the chain chooses
		w.accept = m.Accept
	}
	for i, g := range s.Groups {
		if eligible(providers, specs[i]) == 0 && !g.Leased {
			m.tell(Warned{fmt.Sprintf("group %q: %s", g.Name, explainNoBids(providers, specs[i]))})
		}
	}
	return w, nil
}

// await looks at each new block until the bids have settled or, with the chain's own auction, until all leases stand.
func (w *bidWatch) await(ctx context.Context) error {
	wait := w.m.Timing.BidWait + time.Duration(w.s.Auction.Window)*w.blockTime
	deadline := w.m.Clock.Now().Add(wait)
	for height := int64(0); ; {
		head, err := w.m.Chain.Head(ctx)
		if err != nil {
			return err
		}
		if head.Height > height {
			height = head.Height
			done, err := w.look(ctx, height, deadline.Sub(w.m.Clock.Now()))
			if err != nil || done {
				return err
			}
		}
		if !w.m.Clock.Now().Before(deadline) {
			return w.timedOut(ctx, wait)
		}
		if err := w.m.Clock.Sleep(ctx, w.m.Timing.Poll); err != nil {
			return err
		}
	}
}

// look reads the bids of one block and tells of news.
func (w *bidWatch) look(ctx context.Context, height int64, left time.Duration) (done bool, err error) {
	bids, err := w.m.Chain.Bids(ctx, w.s.ID())
	if err != nil {
		return false, err
	}
	if w.s.Auction.Lowest {
		if _, err := w.m.syncLeases(ctx, w.s); err != nil {
			return false, err
		}
		if w.s.allLeased() {
			w.tellPicked()
			return true, nil
		}
	}
	if err := w.gather(ctx, bids, height); err != nil {
		return false, err
	}
	n := 0
	for _, g := range w.groups {
		n += len(g.Offers) + len(g.Refused)
	}
	if n != w.seen {
		if n > w.seen {
			w.lastNews = height
		}
		w.seen = n
		w.m.tell(BidsSeen{Height: height, Groups: w.groups, LeftSeconds: left.Seconds()})
	}
	return !w.s.Auction.Lowest && settled(w.groups, height, w.lastNews, w.m.Timing.QuietBlocks), nil
}

// tellPicked tells which of the offers seen last the chain has picked.
func (w *bidWatch) tellPicked() {
	for _, g := range w.groups {
		for _, o := range g.Offers {
			if o.ID == w.s.BidID(int(g.Gseq-1)) {
				w.m.tell(Chosen{Gseq: g.Gseq, Group: g.Name, Offer: o})
			}
		}
	}
}

// gather sorts the open bids, that can still be taken in the next block, by group.
func (w *bidWatch) gather(ctx context.Context, bids []markettypes.Bid, height int64) error {
	w.groups = nil
	for i, g := range w.s.Groups {
		if g.Leased {
			continue
		}
		group := GroupOffers{Gseq: uint32(i + 1), Name: g.Name, Offers: []Offer{}, Eligible: eligible(w.providers, w.specs[i])}
		for _, b := range bids {
			usable := b.State == markettypes.BID_STATE_OPEN && (b.ValidUntil == 0 || b.ValidUntil > height+1)
			if b.Id.Gseq != group.Gseq || !usable {
				continue
			}
			o, err := w.offer(ctx, b)
			if err != nil {
				return err
			}
			if w.accept != nil {
				o.Refused = w.accept(o)
			}
			if o.Refused == "" {
				group.Offers = append(group.Offers, o)
			} else {
				group.Refused = append(group.Refused, o)
			}
		}
		sortOffers(group.Offers)
		sortOffers(group.Refused)
		w.groups = append(w.groups, group)
	}
	return nil
}

// offer joins a bid with its provider's record.
func (w *bidWatch) offer(ctx context.Context, b markettypes.Bid) (Offer, error) {
	record, ok := w.records[b.Id.Provider]
	if !ok {
		r, err := w.m.Chain.Record(ctx, b.Id.Provider)
		if err != nil {
			return Offer{}, err
		}
		record = newRecord(r)
		if w.audits[b.Id.Provider], err = w.m.Chain.Auditors(ctx, b.Id.Provider); err != nil {
			return Offer{}, err
		}
		w.records[b.Id.Provider] = record
	}
	o := Offer{
		ID: b.Id, Provider: b.Id.Provider, PricePerBlock: Price{b.Price}, Record: record, Height: b.CreatedAt, ValidUntil: b.ValidUntil,
		Attributes: map[string]string{}, AuditedBy: nonNil(w.audits[b.Id.Provider]),
	}
	o.PricePerMonth = o.PricePerBlock.Over(Month, w.blockTime)
	for _, p := range w.providers {
		if p.Owner == b.Id.Provider {
			o.Host, o.Attributes = p.HostUri, attributeMap(p.Attributes)
			o.Region = o.Attributes["region"]
		}
	}
	return o, nil
}

// why says why nobody bids on each of some groups: what the providers themselves say, who are asked about all groups at
// once, or what their records tell.
func (w *bidWatch) why(ctx context.Context, specs []deploymenttypes.GroupSpec) []string {
	out := make([]string, len(specs))
	asked := false
	for i, spec := range specs {
		out[i] = explainNoBids(w.providers, spec)
		asked = asked || eligible(w.providers, spec) > 0
	}
	if !asked {
		return out
	}
	answers, err := w.m.screen(ctx, specs, w.s.Reclaim)
	if err != nil {
		return out
	}
	for i, spec := range specs {
		if eligible(w.providers, spec) > 0 {
			out[i] = explainSilence(answers[i])
		}
	}
	return out
}

// timedOut says which groups got no bid and, as far as it is known, why.
func (w *bidWatch) timedOut(ctx context.Context, wait time.Duration) error {
	var lines, silent []string
	var specs []deploymenttypes.GroupSpec
	for _, g := range w.groups {
		switch {
		case len(g.Refused) > 0 && len(g.Offers) == 0:
			lines = append(lines, fmt.Sprintf("group %q got no acceptable bid within %s: %s", g.Name, wait.Round(time.Second), explainUnacceptable(g.Refused)))
		case len(g.Offers) == 0:
			silent, specs = append(silent, g.Name), append(specs, w.specs[g.Gseq-1])
		}
	}
	if len(silent) > 0 {
		for i, why := range w.why(ctx, specs) {
			lines = append(lines, fmt.Sprintf("group %q got no bid within %s: %s", silent[i], wait.Round(time.Second), why))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if len(lines) == 0 {
		lines = append(lines, fmt.Sprintf("the chain made no lease within %s although there are bids: the providers may not be able to take them any more", wait.Round(time.Second)))
	}
	return &Failure{Kind: KindNoBid, Err: errors.New(strings.Join(lines, "\n")), Hints: []Hint{HintResume, HintClose, HintProviders}}
}
