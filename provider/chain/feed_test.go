package chain

import (
	"bytes"
	"math/rand/v2"
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

// someOrder is an order with a bit of everything.
func someOrder(r *rand.Rand) markettypes.Order {
	text := func() string { return []string{"", "a", "é\"<&", "region"}[r.IntN(4)] }
	attributes := func() (out []providertypes.Attribute) {
		for range r.IntN(3) {
			out = append(out, providertypes.Attribute{Key: text(), Value: text()})
		}
		return out
	}
	o := markettypes.Order{
		Id:    markettypes.OrderID{Owner: text(), Dseq: r.Uint64N(10), Gseq: r.Uint32N(3), Oseq: r.Uint32N(3)},
		State: markettypes.OrderState(r.IntN(5)),
		Spec: deploymenttypes.GroupSpec{Name: text(), Requirements: deploymenttypes.PlacementRequirements{
			Attributes: attributes(), SignedBy: deploymenttypes.SignedBy{AllOf: []string{text()}},
		}},
		Auction:  deploymenttypes.Auction{Mode: deploymenttypes.AuctionMode(r.IntN(3)), Window: r.Uint32()},
		Excluded: text(), ExcludedUntil: r.Int64(),
	}
	for range r.IntN(3) {
		o.Spec.Units = append(o.Spec.Units, deploymenttypes.ResourceUnit{
			Id: r.Uint32(), CpuMilli: r.Uint64(), MemoryBytes: r.Uint64(), Count: r.Uint32(),
			Gpu:       deploymenttypes.GPU{Count: r.Uint32N(3), Attributes: attributes()},
			Storage:   []deploymenttypes.Volume{{Name: text(), Bytes: r.Uint64(), Attributes: attributes()}},
			Endpoints: []deploymenttypes.Endpoint{{Kind: deploymenttypes.EndpointKind(r.IntN(5)), Sequence: r.Uint32()}},
			Price:     sdk.DecCoin{Denom: text(), Amount: math.LegacyNewDecWithPrec(r.Int64(), int64(r.IntN(19)))},
		})
	}
	return o
}

// someEvents are events of a block, of which some do not concern us.
func someEvents(t testing.TB, r *rand.Rand) (out []abci.Event) {
	t.Helper()
	who := func() string { return []string{us, them}[r.IntN(2)] }
	for range r.IntN(400) {
		var msg proto.Message
		switch r.IntN(6) {
		case 0:
			msg = &markettypes.EventBidCreated{Provider: who(), Bid: markettypes.Bid{Id: markettypes.BidID{Provider: us, Dseq: r.Uint64N(9)}}}
		case 1:
			msg = &markettypes.EventLeaseCreated{Provider: who(), Lease: lease(r.Uint64N(9), who())}
		case 2:
			msg = &providertypes.EventProviderUpdated{Owner: who()}
		case 3:
			o := someOrder(r)
			msg = &markettypes.EventOrderClosed{Owner: o.Id.Owner, Dseq: o.Id.Dseq, Order: o}
		default:
			o := someOrder(r)
			msg = &markettypes.EventOrderCreated{Owner: o.Id.Owner, Dseq: o.Id.Dseq, Order: o}
		}
		ev, err := sdk.TypedEventToEvent(msg)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, abci.Event(ev))
	}
	return append(out, abci.Event{Type: "transfer"})
}

func encode(t testing.TB, block markettypes.FeedBlock) []byte {
	t.Helper()
	data, err := (&markettypes.FeedBlocks{Blocks: []markettypes.FeedBlock{block}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestFeedIsTheResults: what comes by the feed is what comes by the block's results, for blocks of any events.
func TestFeedIsTheResults(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	d := newDecoder(us)
	for range 50 {
		events := someEvents(t, r)
		want, err := d.decode(events)
		if err != nil {
			t.Fatal(err)
		}
		block := markettypes.FeedBlock{Height: 7}
		for i := range events {
			block.Events = append(block.Events, feedEvent(&events[i]))
		}
		got, err := decodeFeed(encode(t, block), d)
		if err != nil || len(got) != 1 || got[0].height != 7 {
			t.Fatalf("got %v, %v", got, err)
		}
		if len(got[0].events) != len(want) {
			t.Fatalf("%d events, want %d", len(got[0].events), len(want))
		}
		for i := range want {
			a, err := proto.Marshal(want[i])
			if err != nil {
				t.Fatal(err)
			}
			b, err := proto.Marshal(got[0].events[i])
			if err != nil {
				t.Fatal(err)
			}
			if proto.MessageName(want[i]) != proto.MessageName(got[0].events[i]) || !bytes.Equal(a, b) {
				t.Fatalf("event %d is %v, want %v", i, got[0].events[i], want[i])
			}
		}
	}
}

// TestFeedDoesNotHoldItsAnswer: events live as long as orders wait, an answer only while it is read.
func TestFeedDoesNotHoldItsAnswer(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	o := someOrder(r)
	order, err := o.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	data := encode(t, markettypes.FeedBlock{Height: 1, Events: []markettypes.FeedEvent{{Order: order}}})
	got, err := decodeFeed(data, newDecoder(us))
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	again, err := got[0].events[0].(*markettypes.EventOrderCreated).Order.Marshal()
	if err != nil || !bytes.Equal(again, order) {
		t.Fatalf("the order changed with the answer: %v", err)
	}
}

// FuzzDecodeFeed: whatever a node answers, it is read as protobuf reads it, or refused.
func FuzzDecodeFeed(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		events := someEvents(f, r)
		block := markettypes.FeedBlock{Height: r.Int64()}
		for i := range events[:min(len(events), 5)] {
			block.Events = append(block.Events, feedEvent(&events[i]))
		}
		f.Add(encode(f, block))
	}
	d := newDecoder(us)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeFeed(data, d)
		var want markettypes.FeedBlocks
		if wrong := want.Unmarshal(data); wrong != nil {
			return // what is read of it is checked by height, and with the chain before it is acted on
		}
		if err != nil {
			return // an order or event in it can't be read
		}
		if len(got) != len(want.Blocks) {
			t.Fatalf("%d blocks, want %d", len(got), len(want.Blocks))
		}
		for i, b := range want.Blocks {
			n := 0
			for _, e := range b.Events {
				ev := abci.Event{Type: e.Type}
				for _, a := range e.Attributes {
					ev.Attributes = append(ev.Attributes, abci.EventAttribute{Key: a.Key, Value: a.Value})
				}
				if len(e.Order) > 0 || d.wants(&ev) {
					n++
				}
			}
			if got[i].height != b.Height || len(got[i].events) != n {
				t.Fatalf("block %d has %d events, want %d of block %d", got[i].height, len(got[i].events), n, b.Height)
			}
		}
	})
}
