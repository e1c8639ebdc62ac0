package bid

import (
	"context"
	"testing"
	"time"

	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	markettypes "berth.dev/berth/x/market/types"
)

// oracle is a pricing program that asks a fixed price and remembers what it was asked.
type oracle struct {
	price pricing.Amount
	asked int
}

func (o *oracle) Quote(_ context.Context, questions []pricing.Question) []pricing.Quote {
	o.asked += len(questions)
	out := make([]pricing.Quote, len(questions))
	for i := range out {
		out[i].Price = o.price
	}
	return out
}

// TestScreenIsWhatWouldHappen: the answer is the decision that the order then gets, and asking changes nothing.
func TestScreenIsWhatWouldHappen(t *testing.T) {
	r := &recorder{}
	l := newLoop(t, r)
	orders := []markettypes.Order{order(1, 1000, 1), order(2, 1000, 3), order(3, 1<<41, 1), order(4, 20_000, 1)}
	if answers, _ := l.Screen(t.Context(), orders); answers[0].Bid || answers[0].Reason.Code != Closed {
		t.Errorf("before anything is known: %+v", answers[0])
	}
	l.Enable(0)
	if err := l.Handle(snapshotOf(0)); err != nil {
		t.Fatal(err)
	}
	before, _ := l.Counts()
	for range 3 { // answers do not depend on having been asked
		answers, height := l.Screen(t.Context(), orders)
		if height != 2 || !answers[0].Bid || !answers[1].Bid || answers[1].Denom != "ubrt" || answers[1].Price.String() != "300" {
			t.Fatalf("answers %+v at height %d", answers, height)
		}
		if answers[2].Reason.Code != Capacity || answers[3].Reason.Code != Price {
			t.Fatalf("refusals %v and %v", answers[2].Reason, answers[3].Reason)
		}
	}
	if after, _ := l.Counts(); after != before || len(r.codes) != 0 {
		t.Errorf("screening changed %+v to %+v, and observed %v", before, after, r.codes)
	}
	if broken, _ := l.Screen(t.Context(), []markettypes.Order{{}}); broken[0].Reason.Code != Malformed {
		t.Errorf("an order without units: %v", broken[0].Reason)
	}
}

// TestScreenAsksTheProgram: prices of a pricing program are those of screening too.
func TestScreenAsksTheProgram(t *testing.T) {
	l := newLoop(t, &recorder{})
	l.Enable(0)
	q := &oracle{price: pricing.Whole(42)}
	set := pricing.NewSet([]pricing.Table{{Denom: "ubrt", CPU: pricing.Whole(1)}}, nil, true)
	if err := l.SetTerms(fixed{set, &policy.Rules{}}, q); err != nil {
		t.Fatal(err)
	}
	if err := l.SetBlockTime(time.Second); err != nil {
		t.Fatal(err)
	}
	if err := l.Handle(snapshotOf(0)); err != nil {
		t.Fatal(err)
	}
	answers, _ := l.Screen(t.Context(), []markettypes.Order{order(1, 1000, 1), order(2, 1<<41, 1), order(3, 1000, 1)})
	if !answers[0].Bid || answers[0].Price != q.price || answers[1].Reason.Code != Capacity || !answers[2].Bid || q.asked != 2 {
		t.Errorf("answers %+v after %d questions", answers, q.asked)
	}
}
