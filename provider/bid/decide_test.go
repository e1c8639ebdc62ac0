package bid

import (
	"errors"
	"testing"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const us, them = "berth1us", "berth1them"

func orderID(n uint64) markettypes.OrderID {
	return markettypes.OrderID{Owner: "berth1tenant", Dseq: n, Gseq: 1, Oseq: 1}
}

// order asks for count instances of cpu milli-cores at up to 1000 ubrt each.
func order(n uint64, cpu uint64, count uint32) markettypes.Order {
	return markettypes.Order{
		Id: orderID(n), State: markettypes.ORDER_STATE_OPEN, CreatedAt: 1,
		Spec: deploymenttypes.GroupSpec{Name: "g", Units: []deploymenttypes.ResourceUnit{{
			Id: 1, CpuMilli: cpu, MemoryBytes: 1 << 20, Count: count, Price: sdk.NewDecCoin("ubrt", math.NewInt(1000)),
		}}},
	}
}

func testPolicy() Policy {
	return Policy{
		Provider:   us,
		Attributes: []providertypes.Attribute{{Key: "region", Value: "east"}, {Key: "gpu/nvidia/a100", Value: "true"}},
		Rules:      &policy.Rules{},
		Prices:     pricesOf(100),
		GPUs:       map[providertypes.Attribute]struct{}{{Key: "vendor", Value: "nvidia"}: {}},
	}
}

// pricesOf asks so much for a core.
func pricesOf(cpu uint64) *pricing.Set {
	return pricing.NewSet([]pricing.Table{{Denom: "ubrt", CPU: pricing.Whole(cpu), GPU: []pricing.GPURate{{}}}}, nil, false)
}

// nothing is how a provider stands that has no bids.
func nothing() *Standing { return &Standing{Tally: &policy.Tally{}} }

func oneNode(cpu int64) *inventory.Inventory {
	var v inventory.Inventory
	v.SetNodes([]inventory.Node{{Name: "a", Capacity: inventory.Amounts{cpu, 1 << 40, 1 << 40, 4}}})
	return &v
}

func TestDecide(t *testing.T) {
	attr := func(k, v string) []providertypes.Attribute { return []providertypes.Attribute{{Key: k, Value: v}} }
	unit := func(o *markettypes.Order) *deploymenttypes.ResourceUnit { return &o.Spec.Units[0] }
	for name, tc := range map[string]struct {
		order  func(*markettypes.Order)
		policy func(*Policy)
		want   Code
		why    string
	}{
		"plain":            {want: Accepted, why: "accepted"},
		"attribute":        {order: func(o *markettypes.Order) { o.Spec.Requirements.Attributes = attr("region", "east") }},
		"attribute glob":   {order: func(o *markettypes.Order) { o.Spec.Requirements.Attributes = attr("gpu/nvidia/*", "true") }},
		"attribute value":  {order: func(o *markettypes.Order) { o.Spec.Requirements.Attributes = attr("region", "west") }, want: Attribute, why: "attribute region=west is not offered"},
		"attribute key":    {order: func(o *markettypes.Order) { o.Spec.Requirements.Attributes = attr("zone", "1") }, want: Attribute},
		"signature all":    {order: func(o *markettypes.Order) { o.Spec.Requirements.SignedBy.AllOf = []string{"x"} }, want: Signature, why: "attributes are not signed by auditor x"},
		"signature any":    {order: func(o *markettypes.Order) { o.Spec.Requirements.SignedBy.AnyOf = []string{"x", "y"} }, want: Signature},
		"signature one of": {order: func(o *markettypes.Order) { o.Spec.Requirements.SignedBy.AnyOf = []string{"x", "y"} }, policy: func(p *Policy) { p.Auditors = map[string]struct{}{"y": {}} }},
		"owner denied":     {policy: func(p *Policy) { p.Rules = &policy.Rules{Deny: map[string]struct{}{"berth1tenant": {}}} }, want: Code(policy.Owner), why: "owner berth1tenant is not served"},
		"owner allowed":    {policy: func(p *Policy) { p.Rules = &policy.Rules{Allow: map[string]struct{}{"berth1tenant": {}}} }},
		"others allowed":   {policy: func(p *Policy) { p.Rules = &policy.Rules{Allow: map[string]struct{}{"berth1x": {}}} }, want: Code(policy.Owner)},
		"denom":            {order: func(o *markettypes.Order) { unit(o).Price.Denom = "uusd" }, want: Denom, why: `prices in "uusd" are not accepted`},
		"excluded":         {order: func(o *markettypes.Order) { o.Excluded, o.ExcludedUntil = us, 11 }, want: Excluded, why: "may not bid on this group before height 11"},
		"excluded until":   {order: func(o *markettypes.Order) { o.Excluded, o.ExcludedUntil = us, 10 }},
		"other excluded":   {order: func(o *markettypes.Order) { o.Excluded, o.ExcludedUntil = them, 11 }},
		"all of a node":    {order: func(o *markettypes.Order) { unit(o).CpuMilli = 4000 }},
		"too large":        {order: func(o *markettypes.Order) { unit(o).CpuMilli = 4001 }, want: Capacity, why: "cpu: 0 of 1 instances fit; an instance needs 4001m, the roomiest node has 4000m left"},
		"gpu of ours": {order: func(o *markettypes.Order) {
			unit(o).Gpu = deploymenttypes.GPU{Count: 1, Attributes: attr("vendor", "nvidia")}
		}},
		"gpu of others": {order: func(o *markettypes.Order) {
			unit(o).Gpu = deploymenttypes.GPU{Count: 1, Attributes: attr("vendor", "amd")}
		}, want: Unsupported, why: "gpu vendor amd is not offered"},
		"persistent": {order: func(o *markettypes.Order) {
			unit(o).Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1, Attributes: attr("persistent", "true")}}
		}, want: Unsupported},
		"ephemeral": {order: func(o *markettypes.Order) {
			unit(o).Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1, Attributes: attr("persistent", "false")}}
		}},
		"own address": {order: func(o *markettypes.Order) {
			unit(o).Endpoints = []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_IP}}
		}, want: Unsupported},
		"at the maximum": {order: func(o *markettypes.Order) { unit(o).Price = sdk.NewDecCoin("ubrt", math.NewInt(100)) }},
		"above it": {order: func(o *markettypes.Order) {
			unit(o).Price = sdk.NewDecCoinFromDec("ubrt", math.LegacyMustNewDecFromStr("99.999999999999999999"))
		}, want: Price, why: "price 100 is above the order's maximum 99.999999999999 per block"},
		"for nothing": {policy: func(p *Policy) { p.Prices = pricesOf(0) }, want: Price},
	} {
		t.Run(name, func(t *testing.T) {
			o, p, free := order(1, 1000, 1), testPolicy(), oneNode(4000)
			if tc.order != nil {
				tc.order(&o)
			}
			if tc.policy != nil {
				tc.policy(&p)
			}
			compiled, err := Compile(&o)
			if err != nil {
				t.Fatal(err)
			}
			before := free.Free()
			d := Decide(&compiled, free, &p, nothing(), 10)
			if d.Bid != (tc.want == Accepted) || d.Reason.Code != tc.want || tc.why != "" && d.Reason.String() != tc.why {
				t.Errorf("Decide = %v, %q (%s), want %q (%s)", d.Bid, d.Reason.Code, d.Reason, tc.want, tc.why)
			}
			if free.Free() != before {
				t.Errorf("Decide changed the capacity from %v to %v", before, free.Free())
			}
		})
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	o := order(1, 1000, 3)
	o.Spec.Requirements.Attributes = []providertypes.Attribute{{Key: "region", Value: "east"}}
	compiled, err := Compile(&o)
	if err != nil {
		t.Fatal(err)
	}
	p, free, st := testPolicy(), oneNode(4000), nothing()
	if n := testing.AllocsPerRun(100, func() { Decide(&compiled, free, &p, st, 10) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestCompileRefuses(t *testing.T) {
	for name, edit := range map[string]func(*markettypes.Order){
		"no units":     func(o *markettypes.Order) { o.Spec.Units = nil },
		"count 0":      func(o *markettypes.Order) { o.Spec.Units[0].Count = 0 },
		"count 2^32-1": func(o *markettypes.Order) { o.Spec.Units[0].Count = 1<<32 - 1 },
		"cpu 2^64-1":   func(o *markettypes.Order) { o.Spec.Units[0].CpuMilli = 1<<64 - 1 },
		"memory 2^63":  func(o *markettypes.Order) { o.Spec.Units[0].MemoryBytes = 1 << 63 },
		"gpus 2^32-1":  func(o *markettypes.Order) { o.Spec.Units[0].Gpu.Count = 1<<32 - 1 },
		"no price":     func(o *markettypes.Order) { o.Spec.Units[0].Price = sdk.DecCoin{} },
		"minus":        func(o *markettypes.Order) { o.Spec.Units[0].Price.Amount = math.LegacyNewDec(-1) },
		"two denoms": func(o *markettypes.Order) {
			o.Spec.Units = append(o.Spec.Units, o.Spec.Units[0])
			o.Spec.Units[1].Price.Denom = "x"
		},
		"storage wraps": func(o *markettypes.Order) {
			o.Spec.Units[0].Storage = []deploymenttypes.Volume{{Bytes: 1 << 63}, {Bytes: 1 << 63}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := order(1, 1000, 1)
			edit(&o)
			if got, err := Compile(&o); !errors.Is(err, ErrMalformed) {
				t.Errorf("Compile = %+v, %v, want ErrMalformed", got, err)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	o := order(1, 1000, 3)
	o.Spec.Requirements.Attributes = []providertypes.Attribute{{Key: "region", Value: "east"}}
	compiled, err := Compile(&o)
	if err != nil {
		b.Fatal(err)
	}
	p, free, st := testPolicy(), oneNode(4000), nothing()
	b.ReportAllocs()
	for b.Loop() {
		if !Decide(&compiled, free, &p, st, 10).Bid {
			b.Fatal("refused")
		}
	}
}
