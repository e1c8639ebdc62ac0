package bid

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// quoter answers as it is told, and notes what it was asked.
type quoter struct {
	answer func(n int, q *pricing.Question) pricing.Quote
	asked  []int // questions of each batch
	tables []string
}

func (q *quoter) Quote(_ context.Context, questions []pricing.Question) []pricing.Quote {
	q.asked = append(q.asked, len(questions))
	out := make([]pricing.Quote, len(questions))
	for i := range questions {
		q.tables = append(q.tables, questions[i].Table.String())
		out[i] = q.answer(i, &questions[i])
	}
	return out
}

// quoted are prices by a program over a table of 100 a core.
func quoted() fixed {
	return fixed{pricing.NewSet([]pricing.Table{{Denom: "ubrt", CPU: pricing.Whole(100)}}, nil, true), &policy.Rules{}}
}

// TestLoopAsksTheProgram: the orders of a block are asked about together, once; each is bid on, or not, as answered; and
// what a program failed to answer is asked again some blocks later.
func TestLoopAsksTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		l := newLoop(t, r)
		q := &quoter{answer: func(n int, _ *pricing.Question) pricing.Quote {
			switch n {
			case 1:
				return pricing.Quote{Refusal: pricing.Refusal{Code: pricing.ProgramDeclined}}
			case 2:
				return pricing.Quote{Refusal: pricing.Refusal{Code: pricing.ProgramLate}}
			case 3:
				return pricing.Quote{Price: pricing.Whole(1001)} // more than the order pays
			}
			return pricing.Quote{Price: pricing.Whole(77)}
		}}
		if err := l.SetTerms(quoted(), q); err != nil {
			t.Fatal(err)
		}
		l.Enable(0)
		if err := l.Handle(snapshotOf(5)); err != nil {
			t.Fatal(err)
		}
		if len(r.msgs) != 0 {
			t.Fatal("bids without prices")
		}
		run(t, l)
		if len(q.asked) != 1 || q.asked[0] != 5 || q.tables[0] != "100" {
			t.Errorf("asked %v, tables %v", q.asked, q.tables)
		}
		if len(r.msgs) != 1 || len(r.msgs[0].(*markettypes.MsgCreateBids).Bids) != 2 || r.msgs[0].(*markettypes.MsgCreateBids).Bids[0].Price.Amount.String() != "77.000000000000000000" {
			t.Fatalf("sent %v", r.msgs)
		}
		if r.codes["program_declined"] != 1 || r.codes["program_late"] != 1 || r.codes[Price] != 1 || r.codes["unquoted"] != 0 {
			t.Errorf("counted %v", r.codes)
		}
		q.answer = func(int, *pricing.Question) pricing.Quote { return pricing.Quote{Price: pricing.Whole(78)} }
		for h := int64(3); h < 12; h++ {
			if err := l.Handle(chain.Update{Height: h, Head: h}); err != nil {
				t.Fatal(err)
			}
		}
		run(t, l)
		if len(q.asked) != 2 || q.asked[1] != 1 || r.taken != 3 {
			t.Errorf("asked %v, %d bids taken", q.asked, r.taken)
		}
		// other terms put what was declined up for decision again
		if err := l.SetTerms(fixed{pricesOf(100), &policy.Rules{}}, nil); err != nil {
			t.Fatal(err)
		}
		if err := l.Handle(chain.Update{Height: 12, Head: 12}); err != nil {
			t.Fatal(err)
		}
		run(t, l)
		if r.taken != 5 {
			t.Errorf("%d bids taken by the new terms", r.taken)
		}
	})
}

// TestBookKeepsToThePolicy: limits on what we hold refuse orders before they take capacity, and the end of a bid makes
// room for the next.
func TestBookKeepsToThePolicy(t *testing.T) {
	for name, rules := range map[string]policy.Rules{
		"open bids":       {MaxOpenBids: 2},
		"owner_open_bids": {MaxOwnerOpenBids: 2},
		"deposits":        {MaxDeposit: []policy.Limit{{Denom: "ubrt", Amount: pricing.Whole(2)}}},
		"exposure":        {MaxExposure: []policy.Limit{{Denom: "ubrt", Amount: pricing.Whole(20)}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			p := testPolicy()
			p.Rules = &rules
			m.book.SetTerms(p.Prices, p.Rules, m.book.deposits, 5)
			var events []proto.Message
			for n := range uint64(4) {
				events = append(events, &markettypes.EventOrderCreated{Order: order(n+1, 100, 1)}) // 10 ubrt each
			}
			m.book.Block(1, events)
			items := m.book.Decide(nil)
			if len(items) != 2 {
				t.Fatalf("%d bids, want 2", len(items))
			}
			if held := m.book.inv.Capacity(); held[0]-m.book.inv.Free()[0] != 200 {
				t.Errorf("%d held, want what two bids take", held[0]-m.book.inv.Free()[0])
			}
			if more := m.book.Decide(nil); len(more) != 0 {
				t.Errorf("%d bids more", len(more))
			}
			m.book.Confirm(items[0].OrderId, 1)
			m.book.Block(2, []proto.Message{&markettypes.EventBidClosed{Bid: markettypes.Bid{Id: items[0].OrderId.BidID(us)}}})
			if more := m.book.Decide(nil); len(more) != 1 {
				t.Errorf("%d bids after one has ended, want 1", len(more))
			}
		})
	}
}

// TestRulesAreAskedAgain: what an expression refused is looked at again when something changed, not at every change.
func TestRulesAreAskedAgain(t *testing.T) {
	m := newModel()
	rule, err := pricing.CompileRule("cluster.open_bids + cluster.leases == 0")
	if err != nil {
		t.Fatal(err)
	}
	m.book.SetTerms(pricesOf(100), &policy.Rules{Rule: rule}, m.book.deposits, 5)
	m.book.Block(1, []proto.Message{
		&markettypes.EventOrderCreated{Order: order(1, 100, 1)}, &markettypes.EventOrderCreated{Order: order(2, 100, 1)},
	})
	items := m.book.Decide(nil)
	if len(items) != 1 {
		t.Fatalf("%d bids, want 1", len(items))
	}
	m.book.Confirm(items[0].OrderId, 1)
	m.book.Block(2, []proto.Message{&markettypes.EventBidClosed{Bid: markettypes.Bid{Id: items[0].OrderId.BidID(us)}}})
	for h := int64(2); h <= 1+lookAgain; h++ {
		m.book.Block(h, nil)
		if items := m.book.Decide(nil); len(items) != 0 && h < 1+lookAgain || len(items) != 1 && h == 1+lookAgain {
			t.Errorf("%d bids at height %d", len(items), h)
		}
	}
}

// TestPriceOfTwoReplicas is the reference's example: 2 a thousandth of a core, 1 a MiB, 100 an endpoint, which instances
// share.
func TestPriceOfTwoReplicas(t *testing.T) {
	table := pricing.Table{
		Denom: "ubrt", CPU: pricing.Whole(2000), Memory: pricing.Whole(1024), HTTP: pricing.Whole(100), IP: pricing.Rate{Amount: pricing.Whole(500), Given: true},
	}
	p := testPolicy()
	p.Prices = pricing.NewSet([]pricing.Table{table}, nil, false)
	for limit, want := range map[string]Code{"2562": Accepted, "2561.5": Price} {
		o := order(1, 1000, 2)
		u := &o.Spec.Units[0]
		u.MemoryBytes, u.Endpoints = 512<<20, []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP}}
		u.Price = sdk.NewDecCoinFromDec("ubrt", math.LegacyMustNewDecFromStr(limit))
		compiled, err := Compile(&o)
		if err != nil {
			t.Fatal(err)
		}
		d := Decide(&compiled, oneNode(4000), &p, nothing(), 1)
		if d.Reason.Code != want || d.Bid && d.Price != pricing.Whole(5124) {
			t.Errorf("up to %s an instance: %s, %s", limit, d.Price, d.Reason)
		}
	}
}

// TestAskOf: what an order asks for comes to the price by what it is.
func TestAskOf(t *testing.T) {
	attr := func(kv ...string) (out []providertypes.Attribute) {
		for i := 0; i < len(kv); i += 2 {
			out = append(out, providertypes.Attribute{Key: kv[i], Value: kv[i+1]})
		}
		return out
	}
	o := order(1, 100, 3)
	u := &o.Spec.Units[0]
	u.Storage = []deploymenttypes.Volume{
		{Bytes: 1}, {Bytes: 2, Attributes: attr("persistent", "false")}, {Bytes: 10, Attributes: attr("class", "ram", "persistent", "false")},
		{Bytes: 100, Attributes: attr("class", "beta2", "persistent", "true")}, {Bytes: 1000, Attributes: attr("persistent", "true")},
		{Bytes: 200, Attributes: attr("class", "beta2", "persistent", "true")},
	}
	u.Gpu = deploymenttypes.GPU{Count: 2, Attributes: attr("vendor/nvidia/model/a100/ram/80Gi/interface/sxm", "true", "vendor/amd/model/*", "true")}
	u.Endpoints = []deploymenttypes.Endpoint{
		{Kind: deploymenttypes.ENDPOINT_KIND_HTTP}, {Kind: deploymenttypes.ENDPOINT_KIND_PORT},
		{Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: 1}, {Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: 1}, {Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: 2},
	}
	got := askOf("o", "ubrt", pricing.Whole(1), &o.Spec, uint64(addresses(o.Spec.Units)))
	want := pricing.Ask{
		Owner: "o", Denom: "ubrt", Max: pricing.Whole(1), Instances: 3, CPUMilli: 300, MemoryBytes: 3 << 20, EphemeralBytes: 9, RAMBytes: 30,
		Volumes: []pricing.ClassBytes{{Class: "beta2", Bytes: 900}, {Class: "default", Bytes: 3000}},
		GPUs:    []pricing.GPUs{{Count: 6, Any: []pricing.GPUKind{{Vendor: "nvidia", Model: "a100", RAM: "80Gi", Interface: "sxm"}, {Vendor: "amd"}}}},
		HTTP:    1, Ports: 1, IPs: 2,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("askOf = %+v, want %+v", got, want)
	}
}

// TestNewTermsBindWithTheBlockTime: terms that cannot be bound change nothing.
func TestNewTermsBindWithTheBlockTime(t *testing.T) {
	r := &recorder{}
	l := newLoop(t, r)
	before := l.book.policy.Prices
	if err := l.SetTerms(broken{}, nil); err == nil || l.book.policy.Prices != before {
		t.Errorf("SetTerms = %v", err)
	}
	if err := l.SetBlockTime(time.Second); err != nil {
		t.Errorf("the former terms are gone: %v", err)
	}
}

type broken struct{}

func (broken) Bind(time.Duration) (*pricing.Set, *policy.Rules, error) {
	return nil, nil, pricing.ErrOverflow
}
