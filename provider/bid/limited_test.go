package bid

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	markettypes "berth.dev/berth/x/market/types"
)

// limitedBook has room for all orders and rules that bound bids in every way.
func limitedBook(rules *policy.Rules) *Book {
	b := NewBook(testPolicy(), nil, 0)
	b.SetTerms(b.policy.Prices, rules, []sdk.Coin{sdk.NewInt64Coin("ubrt", 3)}, 0)
	b.SetSupply(inventory.Supply{Nodes: []inventory.Node{{Name: "a", Capacity: room(1<<40, 1<<50)}}})
	return b
}

// wakeAll has every order that a limit refused looked at again, if a bid or lease of ours has ended.
func wakeAll(b *Book) {
	if len(b.eased) > 0 {
		b.eased, b.limits = nil, nil
		for _, w := range b.waiting {
			w.limit = nil
		}
		b.wake(func(c Code) bool { return policy.Code(c).Passing() })
	}
}

// TestLimitsWakeWhoCanPass: a book that looks only at the orders that may pass bids as one does that looks at all, in the same
// order.
func TestLimitsWakeWhoCanPass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := &policy.Rules{
			MaxOpenBids: rapid.Int64Range(0, 6).Draw(t, "bids"), MaxOwnerOpenBids: rapid.Int64Range(0, 3).Draw(t, "an owner's"),
		}
		if most := rapid.Uint64Range(0, 20).Draw(t, "deposits"); most > 0 {
			rules.MaxDeposit = []policy.Limit{{Denom: "ubrt", Amount: pricing.Whole(most)}}
		}
		if most := rapid.Uint64Range(0, 1000).Draw(t, "exposure"); most > 0 {
			rules.MaxExposure = []policy.Limit{{Denom: "ubrt", Amount: pricing.Whole(most)}}
		}
		some, all := limitedBook(rules), limitedBook(rules)
		var ours []markettypes.OrderID
		next := uint64(0)
		for height := int64(1); height < 30; height++ {
			var events []proto.Message
			for range rapid.IntRange(0, 5).Draw(t, "orders") {
				next++
				o := order(next, 100, rapid.Uint32Range(1, 4).Draw(t, "count"))
				o.Id.Owner = rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "owner")
				o.Spec.Units[0].Price.Amount = math.LegacyNewDec(1_000_000)
				events = append(events, &markettypes.EventOrderCreated{Order: o})
			}
			for range rapid.IntRange(0, min(3, len(ours))).Draw(t, "ends") {
				i := rapid.IntRange(0, len(ours)-1).Draw(t, "which")
				events = append(events, &markettypes.EventBidClosed{Bid: markettypes.Bid{Id: ours[i].BidID(us)}})
				ours = slices.Delete(ours, i, i+1)
			}
			if next > 0 && rapid.Bool().Draw(t, "leaves") {
				n := rapid.Uint64Range(1, next).Draw(t, "order")
				for _, owner := range []string{"x", "y", "z"} {
					o := order(n, 100, 1)
					o.Id.Owner = owner
					if !slices.Contains(ours, o.Id) {
						events = append(events, &markettypes.EventOrderClosed{Order: o})
					}
				}
			}
			some.Block(height, events)
			all.Block(height, events)
			if rapid.IntRange(0, 9).Draw(t, "new terms") == 0 {
				some.wake(Code.isTerms)
				all.wake(Code.isTerms)
			}
			got := some.Decide(nil)
			wakeAll(all)
			want := all.Decide(nil)
			if !slices.EqualFunc(got, want, func(x, y markettypes.BidItem) bool { return x.OrderId == y.OrderId && x.Price.Equal(y.Price) }) {
				t.Fatalf("height %d: bids %v, want %v", height, got, want)
			}
			for i := range got {
				ours = append(ours, got[i].OrderId)
			}
			checkLimits(t, some)
		}
	})
}

// checkLimits compares the heaps with what waits.
func checkLimits(t *rapid.T, b *Book) {
	for _, w := range b.waiting {
		limited := policy.Code(w.reason).Passing()
		if limited != (w.limit != nil) || limited && (b.limits[w.limit.limit] != w.limit || !slices.Contains(w.limit.orders, parked{w, w.turn})) {
			t.Fatalf("order %s was refused as %q and waits for %+v", w.order.ID, w.reason, w.limit)
		}
	}
	for _, l := range b.limits {
		dead := 0
		for _, p := range l.orders {
			if !l.waits(p) {
				dead++
			} else if b.waiting[p.order.ID] != p.candidate {
				t.Fatalf("order %s waits for %v and not for a decision", p.order.ID, l.limit)
			}
		}
		if dead != l.dead || dead*2 > len(l.orders) && dead > 1 {
			t.Fatalf("%v: %d of %d are dead, counted %d", l.limit, dead, len(l.orders), l.dead)
		}
	}
}

// TestOneEndWakesFew: where one bid ends, few of a hundred thousand orders that wait for it are looked at.
func TestOneEndWakesFew(t *testing.T) {
	b := limitedBook(&policy.Rules{MaxOpenBids: 1})
	const orders = 3 * roomy
	for i := range orders {
		o := order(uint64(i+1), 100, 1)
		b.addOrder(&o)
	}
	first := b.Decide(nil)
	if len(first) != 1 || len(b.waiting) != orders-1 {
		t.Fatalf("%d bids, %d orders wait", len(first), len(b.waiting))
	}
	b.Block(2, []proto.Message{&markettypes.EventBidClosed{Bid: markettypes.Bid{Id: first[0].OrderId.BidID(us)}}})
	looked := 0
	eased := b.easedLimits()
	b.grew, b.eased = false, nil
	st := Standing{Tally: &b.tally}
	b.lookAtLimited(eased, func(id markettypes.OrderID) {
		looked++
		b.decide(id, &st, nil, func(markettypes.OrderID) {})
	})
	if looked != 2 || len(b.waiting) != orders-2 {
		t.Errorf("looked at %d orders, want the one that passes and the next; %d wait", looked, len(b.waiting))
	}
}
