package chain

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

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

// TestParseOrderCreated: the short way reads what the general one does.
func TestParseOrderCreated(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	short := 0
	for range 3000 {
		ev := eventOf(t, randomOrder(r))
		want, err := sdk.ParseTypedEvent(ev)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := parseOrderCreated(&ev)
		if !ok {
			continue // an enumeration's unknown value, which the general way may read
		}
		short++
		a, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		b, err := proto.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Fatalf("read %v, want %v", got, want)
		}
	}
	if short < 1000 {
		t.Errorf("only %d of 3000 orders were read the short way", short)
	}
}

// TestParseOrderCreatedGivesWay: what it does not know is left to the general way.
func TestParseOrderCreatedGivesWay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	o := randomOrder(r)
	o.State, o.Auction.Mode, o.Spec.Units = markettypes.ORDER_STATE_OPEN, deploymenttypes.AUCTION_MODE_TENANT, nil
	for name, edit := range map[string]func(*abci.Event){
		"a new attribute": func(ev *abci.Event) {
			ev.Attributes = append(ev.Attributes, abci.EventAttribute{Key: "more", Value: "1"})
		},
		"no order": func(ev *abci.Event) { ev.Attributes = nil },
		"a new field": func(ev *abci.Event) {
			for i := range ev.Attributes {
				ev.Attributes[i].Value = strings.Replace(ev.Attributes[i].Value, `"open_bids"`, `"shut_bids"`, 1)
			}
		},
		"a new state": func(ev *abci.Event) {
			for i := range ev.Attributes {
				ev.Attributes[i].Value = strings.Replace(ev.Attributes[i].Value, "ORDER_STATE_OPEN", "ORDER_STATE_AJAR", 1)
			}
		},
		"more after it": func(ev *abci.Event) {
			for i := range ev.Attributes {
				ev.Attributes[i].Value += "{}"
			}
		},
	} {
		ev := eventOf(t, o)
		if _, ok := parseOrderCreated(&ev); !ok {
			t.Fatalf("%s: the order itself was not read", name)
		}
		edit(&ev)
		if got, ok := parseOrderCreated(&ev); ok {
			t.Errorf("%s: read %v", name, got)
		}
	}
}

func BenchmarkParseOrderCreated(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	o := randomOrder(r)
	o.State, o.Auction.Mode = markettypes.ORDER_STATE_OPEN, deploymenttypes.AUCTION_MODE_TENANT
	o.Spec.Units = []deploymenttypes.ResourceUnit{{
		Id: 1, CpuMilli: 500, MemoryBytes: 1 << 30, Count: 3, Price: sdk.NewDecCoin("ubrt", math.NewInt(1000)),
		Storage:   []deploymenttypes.Volume{{Name: "default", Bytes: 1 << 30}},
		Endpoints: []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP, Sequence: 1}},
	}}
	ev := eventOf(b, o)
	b.Run("short", func(b *testing.B) {
		for b.Loop() {
			if _, ok := parseOrderCreated(&ev); !ok {
				b.Fatal("not read")
			}
		}
	})
	b.Run("general", func(b *testing.B) {
		for b.Loop() {
			if _, err := sdk.ParseTypedEvent(ev); err != nil {
				b.Fatal(err)
			}
		}
	})
}
