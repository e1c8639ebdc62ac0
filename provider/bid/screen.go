package bid

import (
	"context"

	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	markettypes "berth.dev/berth/x/market/types"
)

// Screening is what would become of an order.
type Screening struct {
	Decision
	// Denom is that of the price.
	Denom string
}

// Screen says what would become of orders now, each for itself: it is what Decide answers, or Closed while this provider
// bids on nothing. It changes nothing and holds nothing. The height is that of the block that the answers rest on.
func (l *Loop) Screen(ctx context.Context, orders []markettypes.Order) (answers []Screening, height int64) {
	l.mu.Lock()
	answers, questions := l.screen(orders, nil)
	height = l.book.height
	quoter := l.cfg.Quoter
	l.mu.Unlock()
	if len(questions) == 0 || quoter == nil {
		return answers, height
	}
	// A pricing program is asked without the lock, and what its prices are compared with may have moved on meanwhile.
	quotes := quoter.Quote(ctx, questions)
	l.mu.Lock()
	defer l.mu.Unlock()
	answers, _ = l.screen(orders, quotes)
	return answers, l.book.height
}

// screen decides all orders, those that a pricing program has to be asked about with its quotes, or gives the questions.
func (l *Loop) screen(orders []markettypes.Order, quotes []pricing.Quote) ([]Screening, []pricing.Question) {
	out := make([]Screening, len(orders))
	var questions []pricing.Question
	asked := 0
	for i := range orders {
		if !l.bidding() {
			out[i].Reason.Code = Closed
			continue
		}
		d, denom, question := l.book.Screen(&orders[i], nil)
		if question != nil {
			if asked < len(quotes) {
				d, denom, _ = l.book.Screen(&orders[i], &quotes[asked])
			}
			questions = append(questions, *question)
			asked++
		}
		out[i] = Screening{Decision: d, Denom: denom}
	}
	return out, questions
}

// Screen says what Decide would answer to an order that stood on chain now, with the answer of a pricing program if there
// is one; question is what that program has to be asked first.
func (b *Book) Screen(o *markettypes.Order, quote *pricing.Quote) (d Decision, denom string, question *pricing.Question) {
	order, err := Compile(o)
	if err != nil {
		return Decision{Reason: Reason{Code: Malformed}}, "", nil
	}
	st := Standing{Tally: &b.tally, Cluster: b.cluster()}
	deposit := b.depositFor(order.Denom)
	st.Deposit = policy.Limit{Denom: deposit.Denom, Amount: pricing.OfInt(deposit.Amount)}
	order.Ask.Quote = quote
	d = Decide(&order, &b.inv, &b.policy, &st, b.height)
	if d.Reason.Code == Code(pricing.Unquoted) {
		q := b.policy.Prices.Question(order.ID.String(), &order.Ask, st.of(&order))
		question = &q
	}
	return d, order.Denom, question
}
