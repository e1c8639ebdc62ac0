package simulate

import (
	"context"
	"fmt"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	markettypes "berth.dev/berth/x/market/types"
)

// Terms are prices and rules, for a length of blocks; terms.Terms is one.
type Terms interface {
	Bind(block time.Duration) (*pricing.Set, *policy.Rules, error)
}

// Quoter asks a pricing program; pricing.Program is one.
type Quoter interface {
	Quote(ctx context.Context, questions []pricing.Question) []pricing.Quote
}

// Setup is one provider in a replay.
type Setup struct {
	// Name is what the report calls it.
	Name     string
	Snapshot Snapshot
	Terms    Terms
	// Quoter answers for terms with a pricing program.
	Quoter Quoter
	// ValidFor is how long a bid may become a lease.
	ValidFor time.Duration
	// MaxNotice is the longest notice that is given before a lease is taken back.
	MaxNotice time.Duration
}

// Replay lets a provider live through a recording. An order that was leased in the recording goes to the provider if it
// had a bid standing below the price of the lease in time; bids of equal price lose, as they are later than the recorded one. A
// lease lasts as long as the recorded one did, or to the end of the recording. It fails if the prices cannot be had per
// block, or when ctx ends.
func Replay(ctx context.Context, r *Recording, s Setup) (*Result, error) {
	block, err := r.Block()
	if err != nil {
		return nil, err
	}
	prices, rules, err := s.Terms.Bind(block)
	if err != nil {
		return nil, err
	}
	p := &replay{
		recording: r, setup: s, provider: s.Snapshot.Provider, block: block,
		bids: map[markettypes.OrderID]offer{}, won: map[markettypes.OrderID]*win{}, refused: map[refusal]bool{},
		result: newResult(r, s, block),
	}
	p.book = bid.NewBook(bid.Policy{
		Provider: p.provider, Record: bid.Record{Attributes: s.Snapshot.Attributes, Audits: s.Snapshot.Audits},
		MaxNotice: bid.Seconds(s.MaxNotice), Prices: prices, Rules: rules,
	}, r.Deposits, bid.Blocks(s.ValidFor, block))
	p.book.SetSupply(s.Snapshot.Supply())
	p.quoted = prices.Quoted()
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	return p.result, nil
}

// replay is a provider on its way through a recording.
type replay struct {
	recording *Recording
	setup     Setup
	provider  string
	block     time.Duration
	book      *bid.Book
	quoted    bool // prices come from a program

	bids    map[markettypes.OrderID]offer // that stand
	won     map[markettypes.OrderID]*win
	refused map[refusal]bool // that were counted
	result  *Result
}

// offer is a bid of ours, and the block after which it was made.
type offer struct {
	price sdk.DecCoin
	made  int64
}

// before says whether the bid was there to be chosen for a lease: it comes into the block after the one that it answers,
// and whoever chooses does so after that.
func (o offer) before(lease int64) bool { return lease > o.made+1 }

// refusal is an order that got no bid for a kind of reason.
type refusal struct {
	order markettypes.OrderID
	code  bid.Code
}

// win is an order that would have been ours.
type win struct {
	price sdk.DecCoin
	since int64
}

// run goes through the blocks in which something happens.
func (p *replay) run(ctx context.Context) error {
	events := p.recording.Events
	for i := 0; i < len(events); {
		height := events[i].Height
		j := i
		for j < len(events) && events[j].Height == height {
			j++
		}
		if err := p.at(ctx, height, events[i:j]); err != nil {
			return err
		}
		i = j
	}
	p.finish()
	return nil
}

// at applies a block and decides.
func (p *replay) at(ctx context.Context, height int64, events []Event) error {
	p.book.Block(height-1, nil) // bids whose time was up before
	var own []proto.Message
	for _, id := range p.book.TakeExpired(len(p.bids)) {
		delete(p.bids, id)
		p.result.Expired++
		own = append(own, &markettypes.EventBidClosed{Provider: p.provider, Bid: markettypes.Bid{Id: id.BidID(p.provider)}})
	}
	for _, e := range events {
		own = p.applied(own, e)
	}
	p.book.Block(height, own)
	p.take(height, p.book.Decide(p.observe))
	for p.quoted {
		questions := p.book.Questions()
		if len(questions) == 0 {
			break
		}
		if err := p.answer(ctx, questions); err != nil {
			return err
		}
		p.take(height, p.book.Decide(p.observe))
	}
	p.result.sample(height, p.book.Counts())
	return ctx.Err()
}

// answer puts questions to the pricing program.
func (p *replay) answer(ctx context.Context, questions []bid.Question) error {
	if p.setup.Quoter == nil {
		return fmt.Errorf("%s: the prices come from a program, and none runs", p.setup.Name)
	}
	ask := make([]pricing.Question, len(questions))
	for i := range questions {
		ask[i] = questions[i].Question
	}
	for i, q := range p.setup.Quoter.Quote(ctx, ask) {
		p.book.Answer(questions[i].ID, q)
	}
	return ctx.Err()
}

// take notes bids, which the chain takes in the next block.
func (p *replay) take(height int64, items []markettypes.BidItem) {
	for i := range items {
		id := items[i].OrderId
		p.bids[id] = offer{items[i].Price, height}
		p.result.Bids++
		p.book.Confirm(id, height)
	}
}

// observe counts decisions: an order counts for each kind of reason once.
func (p *replay) observe(o *bid.Order, d bid.Decision) {
	r := refusal{o.ID, d.Reason.Code}
	if !d.Bid && !p.refused[r] {
		p.refused[r] = true
		p.result.refuse(d.Reason)
	}
}

// applied appends what the provider would have seen of an event: if it had been there, some leases would be its own.
func (p *replay) applied(own []proto.Message, e Event) []proto.Message {
	switch m := e.Msg.(type) {
	case *markettypes.EventOrderCreated:
		p.result.Orders++
		order := m.Order
		if order.Excluded == p.provider {
			order.Excluded = "" // that was for what happened in the recording
		}
		return append(own, &markettypes.EventOrderCreated{Owner: m.Owner, Dseq: m.Dseq, Order: order})
	case *markettypes.EventOrderClosed:
		return p.lost(append(own, m), m.Order.Id)
	case *markettypes.EventLeaseCreated:
		return p.leased(own, e.Height, &m.Lease)
	case *markettypes.EventLeaseClosed:
		return p.ended(own, e.Height, &m.Lease)
	}
	return own
}

// leased decides who gets an order that was leased in the recording.
func (p *replay) leased(own []proto.Message, height int64, l *markettypes.Lease) []proto.Message {
	id := l.Id.OrderID()
	p.result.Leased++
	o, ok := p.bids[id]
	price := o.price
	if !ok || !o.before(height) || !p.book.Stands(id) {
		return p.lost(append(own, &markettypes.EventLeaseCreated{Lease: other(*l)}), id)
	}
	p.result.Contested++
	if price.Denom != l.Price.Denom || !price.Amount.LT(l.Price.Amount) {
		return p.lost(append(own, &markettypes.EventLeaseCreated{Lease: other(*l)}), id)
	}
	delete(p.bids, id)
	p.won[id] = &win{price: price, since: height}
	p.result.Won++
	p.result.undercut(l.Price, price)
	mine := *l
	mine.Id, mine.Price = id.BidID(p.provider), price
	return append(own, &markettypes.EventLeaseCreated{Provider: p.provider, Lease: mine})
}

// rival is the name of whoever held a lease in the recording: even if that was the same provider, the capacity that it
// took is not held in the replay.
const rival = "rival"

func other(l markettypes.Lease) markettypes.Lease {
	l.Id.Provider = rival
	return l
}

// lost ends a bid of ours on an order that went elsewhere.
func (p *replay) lost(own []proto.Message, id markettypes.OrderID) []proto.Message {
	if _, ok := p.bids[id]; !ok {
		return own
	}
	delete(p.bids, id)
	return append(own, &markettypes.EventBidClosed{Provider: p.provider, Bid: markettypes.Bid{Id: id.BidID(p.provider)}})
}

// ended ends our lease where the recorded one ended.
func (p *replay) ended(own []proto.Message, height int64, l *markettypes.Lease) []proto.Message {
	id := l.Id.OrderID()
	w := p.won[id]
	if w == nil {
		return own
	}
	delete(p.won, id)
	p.result.earn(w.price, height-w.since)
	mine := *l
	mine.Id = id.BidID(p.provider)
	return append(own, &markettypes.EventLeaseClosed{Provider: p.provider, Lease: mine})
}

// finish counts what leases that still run have earned.
func (p *replay) finish() {
	for _, w := range p.won {
		p.result.earn(w.price, p.recording.To-w.since)
	}
	p.result.Running = len(p.won)
	p.result.close(p.recording.To)
}
