package simulate

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"
	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// perCore are terms that ask a price for a core, whatever a block takes.
type perCore struct{ price uint64 }

func (p perCore) Bind(time.Duration) (*pricing.Set, *policy.Rules, error) {
	return pricing.NewSet([]pricing.Table{{Denom: "ubrt", CPU: pricing.Whole(p.price)}}, nil, false), &policy.Rules{}, nil
}

func price(n int64) sdk.DecCoin { return sdk.NewDecCoin("ubrt", math.NewInt(n)) }

func orderID(n uint64) markettypes.OrderID {
	return markettypes.OrderID{Owner: "berth1tenant", Dseq: n, Gseq: 1, Oseq: 1}
}

// created is an order of so many cores.
func created(height int64, n uint64, cores uint64, most int64) Event {
	o := markettypes.Order{
		Id: orderID(n), State: markettypes.ORDER_STATE_OPEN, CreatedAt: height,
		Spec: deploymenttypes.GroupSpec{Name: "g", Units: []deploymenttypes.ResourceUnit{{
			Id: 1, CpuMilli: 1000 * cores, MemoryBytes: 1 << 20, Count: 1, Price: price(most),
		}}},
	}
	return Event{height, &markettypes.EventOrderCreated{Owner: o.Id.Owner, Dseq: n, Order: o}}
}

func leased(height int64, n uint64, provider string, amount int64) Event {
	l := markettypes.Lease{Id: orderID(n).BidID(provider), State: markettypes.LEASE_STATE_ACTIVE, Price: price(amount), CreatedAt: height}
	return Event{height, &markettypes.EventLeaseCreated{Owner: l.Id.Owner, Dseq: n, Provider: provider, Lease: l}}
}

func ended(height int64, n uint64, provider string) Event {
	l := markettypes.Lease{Id: orderID(n).BidID(provider), State: markettypes.LEASE_STATE_CLOSED}
	return Event{height, &markettypes.EventLeaseClosed{Owner: l.Id.Owner, Dseq: n, Provider: provider, Lease: l}}
}

func closed(height int64, n uint64) Event {
	return Event{height, &markettypes.EventOrderClosed{Owner: "berth1tenant", Dseq: n, Order: markettypes.Order{Id: orderID(n)}}}
}

func recording(to int64, events ...Event) *Recording {
	return &Recording{
		Header: Header{Recording: 1, ChainID: "c", From: 1, To: to, BlockSeconds: "0.5", Deposits: sdk.NewCoins(sdk.NewInt64Coin("ubrt", 7))},
		Events: events,
	}
}

// snapshot is a provider with one node of so many cores.
func snapshot(cores int64) Snapshot {
	return Snapshot{
		Snapshot: 1, Provider: "us", Attributes: []providertypes.Attribute{}, Audits: []bid.Audit{},
		Nodes: []Node{{Name: "a", CPUMilli: 1000 * cores, MemoryBytes: 1 << 30, StorageBytes: 1 << 40, Pods: 100}},
	}
}

func replayed(t *testing.T, r *Recording, s Snapshot, terms Terms) *Result {
	t.Helper()
	got, err := Replay(t.Context(), r, Setup{Name: "a.yaml", Snapshot: s, Terms: terms, ValidFor: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestReplay: a provider of two cores that asks 10 for a core.
func TestReplay(t *testing.T) {
	r := recording(101,
		created(1, 1, 1, 50), // won below 12, for 20 blocks
		created(1, 2, 1, 50), // lost to 10, as equal prices are
		created(1, 3, 1, 50), // no room: two cores are held for bids
		created(2, 4, 1, 9),  // no room, and when there is some, too little money
		leased(11, 1, "x", 12), leased(11, 2, "x", 10),
		leased(12, 3, "x", 40), // the core of order 2 was free, but a bid on 3 would have come too late
		created(20, 5, 1, 50),
		closed(25, 5),
		ended(31, 1, "x"), ended(40, 2, "x"),
		created(41, 6, 2, 50), leased(51, 6, "us", 30), // won from ourselves, to the end
	)
	got := replayed(t, r, snapshot(2), perCore{10})
	type figures struct{ Orders, Bids, Leased, Contested, Won, Running int }
	want := figures{6, 5, 4, 3, 2, 1}
	if diff := cmp.Diff(want, figures{got.Orders, got.Bids, got.Leased, got.Contested, got.Won, got.Running}); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	if got.WinRate != 666 {
		t.Errorf("win rate %d, want 666", got.WinRate)
	}
	// 20 blocks of 10, and 50 blocks of 20 for the two cores of order 6; 51 seconds are 101 blocks of 0.5, cut.
	if diff := cmp.Diff([]Money{{"ubrt", "1200"}}, got.Revenue); diff != "" {
		t.Errorf("revenue:\n%s", diff)
	}
	if diff := cmp.Diff([]Money{{"ubrt", "62208000"}}, got.Month); diff != "" { // 1200 * 2592000 / 50
		t.Errorf("revenue per month:\n%s", diff)
	}
	if diff := cmp.Diff([]Money{{"ubrt", "12"}}, got.Left); diff != "" { // 12-10 and 30-20
		t.Errorf("left on the table:\n%s", diff)
	}
	if len(got.Refusals) != 2 || got.Refusals[0].Orders != 2 || got.Refusals[0].Code != "capacity" || got.Refusals[1].Code != "price" ||
		!strings.Contains(got.Refusals[1].Example, "above the order's maximum 9") {
		t.Errorf("refusals %+v", got.Refusals)
	}
	cpu := got.Utilisation[0]
	// Blocks 1-11 two cores, 12-19 one, 20-24 two, 25-30 one, 31-40 none, 41-101 two: 2*77+14 of 2*101.
	if cpu.Resource != "cpu" || cpu.Peak != 1000 || cpu.Mean != 831 || cpu.Course[0] != 1000 || cpu.Course[len(cpu.Course)-1] != 1000 {
		t.Errorf("cpu %+v", cpu)
	}
}

// TestReplayForgetsOldBids: a bid whose time is up when the order is leased has not won it, even if nothing happened in
// the block in which it ran out.
func TestReplayForgetsOldBids(t *testing.T) {
	r := recording(100, created(1, 1, 1, 50), leased(90, 1, "x", 40))
	got, err := Replay(t.Context(), r, Setup{Name: "a", Snapshot: snapshot(2), Terms: perCore{1}, ValidFor: 10 * time.Second})
	if err != nil || got.Won != 0 || got.Contested != 0 || got.Bids != 1 || got.Expired != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// randomMarket is a recording of orders that come and go.
func randomMarket(r *rand.Rand, orders int) *Recording {
	type live struct {
		n     uint64
		until int64
	}
	var events []Event
	var running []live
	height := int64(1)
	for n := range uint64(orders) {
		height += r.Int64N(3)
		for len(running) > 0 && running[0].until <= height {
			events = append(events, ended(height, running[0].n, "x"))
			running = running[1:]
		}
		most := 5 + r.Int64N(60)
		events = append(events, created(height, n, 1+r.Uint64N(3), most))
		switch r.IntN(4) {
		case 0:
			height++
			events = append(events, closed(height, n))
		default:
			height++
			events = append(events, leased(height, n, "x", 1+r.Int64N(most)))
			until := height + 1 + r.Int64N(50)
			if k := len(running); k > 0 && running[k-1].until > until {
				until = running[k-1].until
			}
			running = append(running, live{n, until})
		}
	}
	return recording(height, events...)
}

// TestReplayAddsUp: over random markets nothing is won without a bid, capacity is never used twice, and a provider that
// asks less wins no less of what it bids on.
func TestReplayAddsUp(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 50 {
		r := randomMarket(rnd, 200)
		cheap, dear := replayed(t, r, snapshot(1000), perCore{2}), replayed(t, r, snapshot(1000), perCore{9})
		for _, got := range []*Result{cheap, dear, replayed(t, r, snapshot(4), perCore{3})} {
			if got.Won > got.Contested || got.Contested > got.Leased || got.Contested > got.Bids || got.Bids > got.Orders || got.Orders != 200 {
				t.Fatalf("%+v", got)
			}
			if got.Utilisation[0].Peak > 1000 || got.Utilisation[0].Mean > got.Utilisation[0].Peak {
				t.Fatalf("utilisation %+v", got.Utilisation[0])
			}
			refused := 0
			for _, f := range got.Refusals {
				refused += f.Orders
			}
			if got.Bids+refused < got.Orders {
				t.Fatalf("%d bids and %d refusals for %d orders", got.Bids, refused, got.Orders)
			}
		}
		if cheap.Won < dear.Won {
			t.Fatalf("won %d asking 2, %d asking 9", cheap.Won, dear.Won)
		}
	}
}

// TestReplayRepeats: the same recording gives the same result.
func TestReplayRepeats(t *testing.T) {
	r := randomMarket(rand.New(rand.NewPCG(3, 3)), 300)
	a, err := json.Marshal(replayed(t, r, snapshot(8), perCore{3}))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		b, err := json.Marshal(replayed(t, r, snapshot(8), perCore{3}))
		if err != nil || !bytes.Equal(a, b) {
			t.Fatalf("%v\n%s\n%s", err, a, b)
		}
	}
}

// TestRecordingRoundTrip: what is written is read back, event for event.
func TestRecordingRoundTrip(t *testing.T) {
	r := randomMarket(rand.New(rand.NewPCG(1, 2)), 100)
	var file bytes.Buffer
	w, err := NewWriter(&file, r.Header)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Events {
		if err := w.Write(e.Height, e.Msg); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Write(r.To, &markettypes.EventBidCreated{}); err != nil || w.Orders != 100 {
		t.Errorf("%d orders, %v", w.Orders, err)
	}
	got, err := Read("r.jsonl", &file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Header, got.Header); diff != "" {
		t.Error(diff)
	}
	if len(got.Events) != len(r.Events) {
		t.Fatalf("%d events, want %d", len(got.Events), len(r.Events))
	}
	for i, e := range got.Events {
		a, err := proto.Marshal(e.Msg)
		if err != nil {
			t.Fatal(err)
		}
		b, err := proto.Marshal(r.Events[i].Msg)
		if err != nil || e.Height != r.Events[i].Height || !bytes.Equal(a, b) {
			t.Fatalf("event %d is %v, want %v", i, e, r.Events[i])
		}
	}
}

func TestReadRefuses(t *testing.T) {
	const header = `{"recording":1,"chain_id":"c","from":5,"to":9,"block_seconds":"0.5","deposits":[{"denom":"ubrt","amount":"7"}]}` + "\n"
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":         {"", "r.jsonl is empty"},
		"no JSON":         {"hello\n", "r.jsonl:1: not a line"},
		"no header":       {`{"height":5}` + "\n", "r.jsonl:1: not a line"},
		"other version":   {strings.Replace(header, `"recording":1`, `"recording":2`, 1), "version 1"},
		"no block time":   {strings.Replace(header, `"0.5"`, `"-3"`, 1), "block_seconds"},
		"heights":         {strings.Replace(header, `"to":9`, `"to":4`, 1), "heights from 5 to 4"},
		"unknown kind":    {header + `{"height":5,"kind":"order_eaten","event":{}}`, "r.jsonl:2: kind"},
		"unknown key":     {header + `{"height":5,"kind":"order_closed","event":{},"x":1}`, "r.jsonl:2: not a line"},
		"unknown field":   {header + `{"height":5,"kind":"order_closed","event":{"x":1}}`, "r.jsonl:2: event"},
		"backwards":       {header + "\n" + `{"height":7,"kind":"order_closed","event":{}}` + "\n" + `{"height":6,"kind":"order_closed","event":{}}`, "r.jsonl:4: height 6 after 7"},
		"after the end":   {header + `{"height":10,"kind":"order_closed","event":{}}`, "height 10"},
		"a line too long": {header + strings.Repeat("x", maxLine+1), "r.jsonl:2: the line is longer"},
		"two on a line":   {header + `{"height":5,"kind":"order_closed","event":{}} {}`, "stands behind it"},
	} {
		if _, err := Read("r.jsonl", strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// TestSnapshotRoundTrip: a supply that is written and read back sells the same.
func TestSnapshotRoundTrip(t *testing.T) {
	supply := inventory.Supply{
		Nodes: []inventory.Node{
			{Name: "a", Capacity: inventory.Amounts{4000, 1 << 34, 1 << 38, 0, 110}, Arch: "amd64", GPUs: []inventory.GPUs{{Class: inventory.GPUClass{Vendor: "nvidia", Model: "a100", RAM: "80Gi"}, Count: 8}}},
			{Name: "b", Capacity: inventory.Amounts{8000, 1 << 35, 1 << 39, 2, 110}},
		},
		Pools: inventory.Pools{
			Persistent: map[string]inventory.Pool{"beta2": {Total: 1 << 40, Known: true}}, Ports: inventory.Pool{Total: 100, Known: true},
		},
	}
	var file bytes.Buffer
	if err := json.NewEncoder(&file).Encode(NewSnapshot("us", bid.Record{}, supply)); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSnapshot("s.json", &file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(supply, got.Supply()); diff != "" {
		t.Error(diff)
	}
}

func TestReadSnapshotRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":        {"", "not a snapshot"},
		"no version":     {`{"provider":"us"}`, "version 1"},
		"no provider":    {`{"snapshot":1}`, "no provider"},
		"unknown key":    {`{"snapshot":1,"provider":"us","x":1}`, "unknown field"},
		"negative":       {`{"snapshot":1,"provider":"us","nodes":[{"name":"a","cpu_milli":-1}]}`, `node 1 ("a")`},
		"too many GPUs":  {`{"snapshot":1,"provider":"us","nodes":[{"name":"a","gpus":[{"count":9223372036854775807}]}]}`, `node 1 ("a")`},
		"2^64-1 GPUs":    {`{"snapshot":1,"provider":"us","nodes":[{"name":"a","gpus":[{"count":18446744073709551615}]}]}`, "not a snapshot"},
		"a node twice":   {`{"snapshot":1,"provider":"us","nodes":[{"name":"a"},{"name":"a"}]}`, `node "a" stands twice`},
		"a node unnamed": {`{"snapshot":1,"provider":"us","nodes":[{}]}`, "no name"},
		"storage":        {`{"snapshot":1,"provider":"us","storage":{"beta1":-1}}`, `"beta1"`},
	} {
		if _, err := ReadSnapshot("s.json", strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// TestReports: both forms hold the figures, and the page is well-formed whatever names and reasons hold.
func TestReports(t *testing.T) {
	r := randomMarket(rand.New(rand.NewPCG(5, 6)), 300)
	r.ChainID = `<script>"&`
	a, b := replayed(t, r, snapshot(4), perCore{3}), replayed(t, r, snapshot(4), perCore{7})
	a.Name, b.Name = `</td><script>alert(1)</script>`, "b.yaml"
	b.Refusals = append(b.Refusals, Refusal{Code: "<svg>", Orders: 1, Example: `"><img src=x>`})
	var text, html bytes.Buffer
	if err := errors.Join(WriteText(&text, []*Result{a, b}), WriteHTML(&html, []*Result{a, b})); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"win rate", "cpu used, mean (peak)", fmt.Sprint(a.Bids), "b.yaml", "for example"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
	for _, bad := range []string{"<script>", "<img", "src=x>"} {
		if strings.Contains(html.String(), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	dec := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(html.String(), "<!doctype html>")))
	dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
	}
}

func FuzzRead(f *testing.F) {
	var file bytes.Buffer
	r := randomMarket(rand.New(rand.NewPCG(1, 2)), 3)
	w, err := NewWriter(&file, r.Header)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range r.Events {
		if err := w.Write(e.Height, e.Msg); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Read("r.jsonl", bytes.NewReader(data))
		if err != nil {
			return
		}
		if _, err := Replay(t.Context(), r, Setup{Name: "a", Snapshot: snapshot(4), Terms: perCore{3}, ValidFor: time.Hour}); err != nil {
			t.Fatalf("what was read cannot be replayed: %v", err)
		}
	})
}

func FuzzReadSnapshot(f *testing.F) {
	text, err := json.Marshal(snapshot(4))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadSnapshot("s.json", bytes.NewReader(data))
		if err != nil {
			return
		}
		var inv inventory.Inventory
		inv.Set(s.Supply())
		for _, x := range inv.Free() {
			if x < 0 {
				t.Fatalf("a snapshot sells %v", inv.Free())
			}
		}
	})
}
