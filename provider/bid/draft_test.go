package bid

import (
	"math/big"
	"reflect"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/inventory"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// variedOrders are orders of all sizes: some are refused, some are malformed, some stand twice.
func variedOrders(n int) (out []markettypes.Order) {
	for i := range n {
		o := order(uint64(i%(n-5)+1), uint64(i%7)*700, uint32(i%4))
		o.Spec.Requirements.Attributes = []providertypes.Attribute{{Key: "region", Value: []string{"east", "west"}[i%11/10]}}
		o.Spec.Requirements.SignedBy.AnyOf = []string{"a", "b"}[:i%13/12]
		u := &o.Spec.Units[0]
		u.Storage = []deploymenttypes.Volume{{Bytes: 1 << 20, Attributes: []providertypes.Attribute{{Key: "persistent", Value: "true"}}}}
		if i%5 == 0 {
			u.Gpu = deploymenttypes.GPU{Count: 1, Attributes: []providertypes.Attribute{{Key: "vendor/nvidia/model/a100", Value: "true"}}}
		}
		out = append(out, o)
	}
	return out
}

func supplied(c Chain) *Book {
	b := NewBook(testPolicy(), []sdk.Coin{sdk.NewInt64Coin("ubrt", 7)}, 0)
	b.SetSupply(modelSupply(40_000, 20_000, 8, 1<<26, 9))
	b.Reset(c)
	return b
}

// TestDraftIsAList: a market that is read order by order leads to the same decisions as a list of it, also as a second
// reading beside bids that stand.
func TestDraftIsAList(t *testing.T) {
	orders := variedOrders(300)
	bids := []markettypes.Bid{{Id: markettypes.BidID{Owner: orders[3].Id.Owner, Dseq: orders[3].Id.Dseq, Gseq: 1, Oseq: 1, Provider: us}}}
	draft := func() *Draft {
		d := NewDraft()
		for i := range orders {
			o := orders[i]
			d.Order(&o)
		}
		return d
	}
	list, drafted := supplied(Chain{Height: 5, Orders: orders, Bids: bids}), supplied(Chain{Height: 5, Draft: draft(), Bids: bids})
	for round := range 3 {
		type told struct {
			id markettypes.OrderID
			d  Decision
		}
		var a, b []told
		want := list.Decide(func(o *Order, d Decision) { a = append(a, told{o.ID, d}) })
		got := drafted.Decide(func(o *Order, d Decision) { b = append(b, told{o.ID, d}) })
		if !reflect.DeepEqual(want, got) || !reflect.DeepEqual(a, b) {
			t.Fatalf("round %d: %d bids of %d decisions, want %d of %d", round, len(got), len(b), len(want), len(a))
		}
		if round == 0 && (len(got) == 0 || len(got) == len(b)) {
			t.Fatalf("%d bids in %d decisions are no test", len(got), len(b))
		}
		if !reflect.DeepEqual(list.Counts(), drafted.Counts()) {
			t.Fatalf("round %d: %+v, want %+v", round, drafted.Counts(), list.Counts())
		}
		height := int64(6 + round)
		list.Reset(Chain{Height: height, Orders: orders, Bids: bids})
		drafted.Reset(Chain{Height: height, Draft: draft(), Bids: bids})
	}
}

// TestDraftThatFails: a reading that is not handed over changes nothing.
func TestDraftThatFails(t *testing.T) {
	b := supplied(Chain{Height: 5, Orders: variedOrders(20)})
	before := b.Counts()
	d := NewDraft()
	for _, o := range variedOrders(50) {
		d.Order(&o)
	}
	if after := b.Counts(); after != before {
		t.Errorf("%+v, want %+v", after, before)
	}
}

// TestOrdersShare: what orders have in common is held once, and nothing of what they were read from is changed or held.
func TestOrdersShare(t *testing.T) {
	read := func() *markettypes.Order {
		o := order(1, 100, 1)
		o.Spec.Requirements.Attributes = []providertypes.Attribute{{Key: string([]byte("region")), Value: string([]byte("east"))}}
		o.Spec.Units[0].Gpu = deploymenttypes.GPU{Count: 1, Attributes: []providertypes.Attribute{{Key: string([]byte("vendor/nvidia/model/a100")), Value: "true"}}}
		return &o
	}
	var s sharing
	first, second := read(), read()
	a, b := s.compile(first), s.compile(second)
	if &a.order.Attributes[0] != &b.order.Attributes[0] || &a.order.Attributes[0] == &first.Spec.Requirements.Attributes[0] {
		t.Error("lists of attributes are not shared, or are the order's own")
	}
	if unsafe.StringData(a.order.ID.Owner) != unsafe.StringData(b.order.Ask.Owner) {
		t.Error("owners are not shared")
	}
	plain, err := Compile(second)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(plain, b.order) {
		t.Errorf("sharing changed the order: %+v, want %+v", b.order, plain)
	}
	want := b.order.Demand.Units[0].GPUs[0]
	if parsed, ok := inventory.ParseGPU("vendor/nvidia/model/a100"); !ok || want != parsed {
		t.Errorf("wants %+v, want %+v", want, parsed)
	}
	// Lists beyond what is remembered are still right.
	for i := range maxLists + 10 {
		list := []providertypes.Attribute{{Key: "k", Value: string(rune('a' + i))}}
		if got := s.attributes(list); !reflect.DeepEqual(got, list) || &got[0] == &list[0] {
			t.Fatalf("list %d came back as %v", i, got)
		}
	}
	if len(s.lists) > maxLists {
		t.Errorf("%d lists are remembered", len(s.lists))
	}
}

// TestSizeOf: the size that gas is asked for by is that of the encoded order, or a few bytes more.
func TestSizeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := order(rapid.Uint64().Draw(t, "dseq"), rapid.Uint64().Draw(t, "cpu"), rapid.Uint32().Draw(t, "count"))
		unit := o.Spec.Units[0]
		o.Spec.Units = nil
		for range rapid.IntRange(0, 20).Draw(t, "units") {
			u := unit
			u.Price.Amount = math.LegacyNewDecFromBigInt(new(big.Int).Lsh(big.NewInt(rapid.Int64Min(0).Draw(t, "price")), rapid.UintRange(0, 190).Draw(t, "shift")))
			for range rapid.IntRange(0, 3).Draw(t, "volumes") {
				u.Storage = append(u.Storage, deploymenttypes.Volume{Name: rapid.StringN(0, 99, 99).Draw(t, "name"), Bytes: 1})
			}
			o.Spec.Units = append(o.Spec.Units, u)
		}
		if got, want := sizeOf(&o), o.Size(); got < want || got > want+7*len(o.Spec.Units) {
			t.Fatalf("sizeOf = %d, want %d or a few more", got, want)
		}
	})
}
