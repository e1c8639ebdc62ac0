package orderevent

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// randomOrder is any order that protobuf can carry, not only those that a chain would make.
func randomOrder(r *rand.Rand) markettypes.Order {
	text := func() string { return strings.Repeat("é\"\\\n<&\u2028x", r.IntN(3)) }
	attributes := func() (out []providertypes.Attribute) {
		for range r.IntN(4) {
			out = append(out, providertypes.Attribute{Key: text(), Value: text()})
		}
		return out
	}
	o := markettypes.Order{
		Id:    markettypes.OrderID{Owner: text(), Dseq: r.Uint64(), Gseq: r.Uint32(), Oseq: r.Uint32()},
		State: markettypes.OrderState(r.IntN(4)),
		Spec: deploymenttypes.GroupSpec{Name: text(), Requirements: deploymenttypes.PlacementRequirements{
			Attributes: attributes(), SignedBy: deploymenttypes.SignedBy{AllOf: strings.Fields(text()), AnyOf: strings.Fields(text())},
		}},
		Auction:   deploymenttypes.Auction{Mode: deploymenttypes.AuctionMode(r.IntN(3)), Window: r.Uint32()},
		CreatedAt: int64(r.Uint64()), ClosedAt: int64(r.Uint64()), OpenBids: r.Uint32(), Excluded: text(), ExcludedUntil: int64(r.Uint64()),
		Reclamation: deploymenttypes.Reclamation{MinWindowSeconds: r.Uint32()},
	}
	for range r.IntN(4) {
		u := deploymenttypes.ResourceUnit{
			Id: r.Uint32(), CpuMilli: r.Uint64(), MemoryBytes: r.Uint64(), Count: r.Uint32(),
			Gpu:   deploymenttypes.GPU{Count: r.Uint32(), Attributes: attributes()},
			Price: sdk.DecCoin{Denom: text(), Amount: math.LegacyNewDecWithPrec(r.Int64(), int64(r.IntN(19)))},
		}
		for range r.IntN(3) {
			u.Storage = append(u.Storage, deploymenttypes.Volume{Name: text(), Bytes: r.Uint64(), Attributes: attributes()})
			u.Endpoints = append(u.Endpoints, deploymenttypes.Endpoint{Kind: deploymenttypes.EndpointKind(r.IntN(4)), Sequence: r.Uint32()})
		}
		o.Spec.Units = append(o.Spec.Units, u)
	}
	return o
}

func eventOf(t testing.TB, o markettypes.Order) abci.Event {
	t.Helper()
	ev, err := sdk.TypedEventToEvent(&markettypes.EventOrderCreated{Owner: o.Id.Owner, Dseq: o.Id.Dseq, Order: o})
	if err != nil {
		t.Fatal(err)
	}
	return abci.Event(ev)
}

// jsonOf is the order in an event.
func jsonOf(ev abci.Event) string {
	for _, a := range ev.Attributes {
		if a.Key == "order" {
			return a.Value
		}
	}
	return ""
}

// general reads an event as all events are read.
func general(ev abci.Event) (*markettypes.EventOrderCreated, error) {
	msg, err := sdk.ParseTypedEvent(ev)
	if err != nil {
		return nil, err
	}
	return msg.(*markettypes.EventOrderCreated), nil
}

func encoded(t testing.TB, o *markettypes.Order) []byte {
	t.Helper()
	b, err := o.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plain is an order of which each text is one that tenants may use, as all that a chain makes are.
func plain(r *rand.Rand) markettypes.Order {
	o := randomOrder(r)
	text, n := strings.NewReplacer("\u00e9", "e", "\"", "", "\\", "", "\n", "/", "<", "", "&", "*", "\u2028", ""), 0
	clean := func(s *string) {
		*s = text.Replace(*s)
		n++
	}
	attributes := func(list []providertypes.Attribute) {
		for i := range list {
			clean(&list[i].Key)
			clean(&list[i].Value)
		}
	}
	clean(&o.Id.Owner)
	clean(&o.Spec.Name)
	clean(&o.Excluded)
	attributes(o.Spec.Requirements.Attributes)
	o.Spec.Requirements.SignedBy = deploymenttypes.SignedBy{AllOf: []string{"berth1a"}, AnyOf: []string{"berth1b", "berth1c"}}
	for i := range o.Spec.Units {
		u := &o.Spec.Units[i]
		attributes(u.Gpu.Attributes)
		clean(&u.Price.Denom)
		for j := range u.Storage {
			clean(&u.Storage[j].Name)
			attributes(u.Storage[j].Attributes)
		}
	}
	return o
}

// TestParse: each short way reads what the general one does.
func TestParse(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	any, written := 0, 0
	for i := range 4000 {
		o := randomOrder(r)
		if i%2 == 0 {
			o = plain(r)
		}
		ev := eventOf(t, o)
		want, err := general(ev)
		if err != nil {
			t.Fatal(err)
		}
		var got markettypes.Order
		if !Parse(&ev, &got) {
			continue // an enumeration's unknown value, which the general way may read
		}
		any++
		if !bytes.Equal(encoded(t, &got), encoded(t, &want.Order)) || want.Owner != got.Id.Owner || want.Dseq != got.Id.Dseq {
			t.Fatalf("read %v, want %v", got, want)
		}
		if parseWritten(jsonOf(ev), &got) {
			written++
			if !bytes.Equal(encoded(t, &got), encoded(t, &want.Order)) {
				t.Fatalf("read %v in the order of writing, want %v", got, want)
			}
		}
	}
	if any < 1500 || written < 700 {
		t.Errorf("only %d of 4000 orders were read short ways, %d of them in the order of writing", any, written)
	}
}

// TestParseGivesWay: what it does not know is left to the general way, and nothing of a failed try is left in the order.
func TestParseGivesWay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	o := plain(r)
	o.State, o.Auction.Mode, o.Spec.Units = markettypes.ORDER_STATE_OPEN, deploymenttypes.AUCTION_MODE_TENANT, nil
	replace := func(from, to string) func(*abci.Event) {
		return func(ev *abci.Event) {
			for i := range ev.Attributes {
				ev.Attributes[i].Value = strings.Replace(ev.Attributes[i].Value, from, to, 1)
			}
		}
	}
	for name, edit := range map[string]func(*abci.Event){
		"a new attribute": func(ev *abci.Event) {
			ev.Attributes = append(ev.Attributes, abci.EventAttribute{Key: "more", Value: "1"})
		},
		"no order":    func(ev *abci.Event) { ev.Attributes = nil },
		"a new field": replace(`"open_bids"`, `"shut_bids"`),
		"a new state": replace("ORDER_STATE_OPEN", "ORDER_STATE_AJAR"),
		"more after it": func(ev *abci.Event) {
			for i := range ev.Attributes {
				ev.Attributes[i].Value += "{}"
			}
		},
		"a number too large": replace(`"gseq":`, `"gseq":9999999999`),
		"minus zero":         replace(`"closed_at":"`, `"closed_at":"-+`),
	} {
		ev := eventOf(t, o)
		var got markettypes.Order
		if !Parse(&ev, &got) || !parseWritten(jsonOf(ev), &got) {
			t.Fatalf("%s: the order itself was not read", name)
		}
		edit(&ev)
		if Parse(&ev, &got) {
			t.Errorf("%s: read %v", name, got)
		}
	}
	// Fields in another order are read, and spaces.
	ev := eventOf(t, o)
	replace(`{"id":`, "{ \n\"open_bids\":7,\"id\":")(&ev)
	replace(`"open_bids":`+fmt.Sprint(o.OpenBids)+`,`, "")(&ev)
	o.OpenBids = 7
	got := markettypes.Order{Excluded: "left over"}
	if !Parse(&ev, &got) || !bytes.Equal(encoded(t, &got), encoded(t, &o)) {
		t.Errorf("read %v, want %v", got, o)
	}
}

// FuzzParse: whatever an event says, a short way reads what the general one does, or nothing.
func FuzzParse(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 20 {
		o := randomOrder(r)
		if i%2 == 0 {
			o = plain(r)
		}
		ev := eventOf(f, o)
		f.Add(jsonOf(ev))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var written, any markettypes.Order
		if !parseWritten(text, &written) {
			return
		}
		if !parseAny(text, &any) {
			t.Fatalf("read %q, which is not an order's JSON", text)
		}
		if !bytes.Equal(encoded(t, &written), encoded(t, &any)) {
			t.Fatalf("read %v, want %v", written, any)
		}
		want, err := general(abci.Event{Type: Type, Attributes: []abci.EventAttribute{{Key: "order", Value: text}}})
		if err == nil && !bytes.Equal(encoded(t, &written), encoded(t, &want.Order)) {
			t.Fatalf("read %v, want %v", written, want.Order)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	o := plain(r)
	o.State, o.Auction.Mode = markettypes.ORDER_STATE_OPEN, deploymenttypes.AUCTION_MODE_TENANT
	o.Spec.Units = []deploymenttypes.ResourceUnit{{
		Id: 1, CpuMilli: 500, MemoryBytes: 1 << 30, Count: 3, Price: sdk.NewDecCoin("ubrt", math.NewInt(1000)),
		Storage:   []deploymenttypes.Volume{{Name: "default", Bytes: 1 << 30}},
		Endpoints: []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP, Sequence: 1}},
	}}
	ev := eventOf(b, o)
	text := jsonOf(ev)
	for name, read := range map[string]func() bool{
		"as written": func() bool { return parseWritten(text, new(markettypes.Order)) },
		"any":        func() bool { return parseAny(text, new(markettypes.Order)) },
		"general":    func() bool { _, err := general(ev); return err == nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !read() {
					b.Fatal("not read")
				}
			}
		})
	}
}
