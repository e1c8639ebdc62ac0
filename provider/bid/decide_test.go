package bid

import (
	"reflect"
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
		Provider: us,
		Record: Record{Attributes: []providertypes.Attribute{
			{Key: "region", Value: "east"}, {Key: "gpu/nvidia/a100", Value: "true"},
			{Key: "ability/arch/amd64", Value: "true"}, {Key: "ability/arch/arm64", Value: "true"},
		}},
		Rules:  &policy.Rules{},
		Prices: pricesOf(100),
	}
}

// pricesOf asks so much for a core.
func pricesOf(cpu uint64) *pricing.Set {
	return pricing.NewSet([]pricing.Table{{
		Denom: "ubrt", CPU: pricing.Whole(cpu), GPU: []pricing.GPURate{{}}, IP: pricing.Rate{Given: true}, AnyClass: pricing.Rate{Given: true},
	}}, nil, false)
}

// nothing is how a provider stands that has no bids.
func nothing() *Standing { return &Standing{Tally: &policy.Tally{}} }

func oneNode(cpu int64) *inventory.Inventory {
	var v inventory.Inventory
	v.Set(inventory.Supply{
		Nodes: []inventory.Node{{
			Name: "a", Arch: "amd64", Capacity: room(cpu, 1<<40),
			GPUs: []inventory.GPUs{{Class: inventory.GPUClass{Vendor: "nvidia", Model: "a100", RAM: "80Gi", Interface: "sxm"}, Count: 4}},
		}},
		Pools: inventory.Pools{
			Ports: inventory.Pool{Known: true, Total: 2}, Addresses: inventory.Pool{Known: true, Total: 1},
			Persistent: map[string]inventory.Pool{"default": {Known: true, Total: 1 << 30}, "beta1": {}},
		},
	})
	return &v
}

// room is a node's capacity of cpu and memory, with much of the rest and without devices.
func room(cpu, memory int64) inventory.Amounts {
	return inventory.Amounts{
		inventory.CPU: cpu, inventory.Memory: memory, inventory.Storage: 1 << 40, inventory.Pods: 110,
	}
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
		"signature all":    {order: func(o *markettypes.Order) { o.Spec.Requirements.SignedBy.AllOf = []string{"x"} }, want: Signature, why: "auditor x has signed nothing of this provider"},
		"signature any":    {order: func(o *markettypes.Order) { o.Spec.Requirements.SignedBy.AnyOf = []string{"x", "y"} }, want: Signature},
		"signature one of": {order: func(o *markettypes.Order) { o.Spec.Requirements.SignedBy.AnyOf = []string{"x", "y"} }, policy: func(p *Policy) { p.Audits = []Audit{{"y", attr("tier", "a")}} }},
		"signed nothing":   {order: func(o *markettypes.Order) { o.Spec.Requirements.SignedBy.AllOf = []string{"x"} }, policy: func(p *Policy) { p.Audits = []Audit{{"x", nil}} }, want: Signature},
		"signed by glob": {order: func(o *markettypes.Order) {
			o.Spec.Requirements = deploymenttypes.PlacementRequirements{Attributes: attr("gpu/*/a100", "true"), SignedBy: deploymenttypes.SignedBy{AllOf: []string{"x"}}}
		}, policy: func(p *Policy) { p.Audits = []Audit{{"x", attr("gpu/nvidia/a100", "true")}} }},
		"signed something else": {order: func(o *markettypes.Order) {
			o.Spec.Requirements = deploymenttypes.PlacementRequirements{Attributes: attr("region", "east"), SignedBy: deploymenttypes.SignedBy{AllOf: []string{"x"}}}
		}, policy: func(p *Policy) { p.Audits = []Audit{{"x", attr("region", "west")}} }, want: Signature, why: "attribute region=east is not signed by auditor x"},
		"notice": {order: func(o *markettypes.Order) { o.Reclamation.MinWindowSeconds = 3600 },
			want: Notice, why: "3600 s of notice are wanted before a lease is taken back, at most 0 s are given"},
		"notice within":  {order: func(o *markettypes.Order) { o.Reclamation.MinWindowSeconds = 3600 }, policy: func(p *Policy) { p.MaxNotice = 3600 }},
		"notice beyond":  {order: func(o *markettypes.Order) { o.Reclamation.MinWindowSeconds = 3601 }, policy: func(p *Policy) { p.MaxNotice = 3600 }, want: Notice},
		"owner denied":   {policy: func(p *Policy) { p.Rules = &policy.Rules{Deny: map[string]struct{}{"berth1tenant": {}}} }, want: Code(policy.Owner), why: "owner berth1tenant is not served"},
		"owner allowed":  {policy: func(p *Policy) { p.Rules = &policy.Rules{Allow: map[string]struct{}{"berth1tenant": {}}} }},
		"others allowed": {policy: func(p *Policy) { p.Rules = &policy.Rules{Allow: map[string]struct{}{"berth1x": {}}} }, want: Code(policy.Owner)},
		"denom":          {order: func(o *markettypes.Order) { unit(o).Price.Denom = "uusd" }, want: Denom, why: `prices in "uusd" are not accepted`},
		"excluded":       {order: func(o *markettypes.Order) { o.Excluded, o.ExcludedUntil = us, 11 }, want: Excluded, why: "may not bid on this group before height 11"},
		"excluded until": {order: func(o *markettypes.Order) { o.Excluded, o.ExcludedUntil = us, 10 }},
		"other excluded": {order: func(o *markettypes.Order) { o.Excluded, o.ExcludedUntil = them, 11 }},
		"all of a node":  {order: func(o *markettypes.Order) { unit(o).CpuMilli = 4000 }},
		"too large":      {order: func(o *markettypes.Order) { unit(o).CpuMilli = 4001 }, want: Capacity, why: "cpu: 0 of 1 instances fit; an instance needs 4001m, the roomiest node has 4000m left"},
		"gpu": {order: func(o *markettypes.Order) {
			unit(o).Gpu = deploymenttypes.GPU{Count: 4, Attributes: attr("vendor/nvidia/model/*", "true")}
		}},
		"gpu of any kind": {order: func(o *markettypes.Order) { unit(o).Gpu.Count = 1 }},
		"one of several gpus": {order: func(o *markettypes.Order) {
			unit(o).Gpu = deploymenttypes.GPU{Count: 1, Attributes: append(attr("vendor/nvidia/model/a100/ram/80Gi/interface/sxm", "true"), attr("vendor/amd/model/*", "true")...)}
		}},
		"gpu of others": {order: func(o *markettypes.Order) {
			unit(o).Gpu = deploymenttypes.GPU{Count: 1, Attributes: attr("vendor/amd/model/mi300x", "true")}
		}, want: Capacity, why: "gpu: no node has vendor/amd/model/mi300x"},
		"too many gpus": {order: func(o *markettypes.Order) {
			unit(o).Gpu = deploymenttypes.GPU{Count: 5, Attributes: attr("vendor/nvidia/model/a100", "true")}
		}, want: Capacity, why: "gpu vendor/nvidia/model/a100: 0 of 1 instances fit; an instance needs 5, the roomiest node has 4 left"},
		"gpu of no kind": {order: func(o *markettypes.Order) {
			unit(o).Gpu = deploymenttypes.GPU{Count: 1, Attributes: attr("vendor", "nvidia")}
		}, want: Unsupported, why: "gpu vendor nvidia is not offered"},
		"persistent": {order: func(o *markettypes.Order) {
			unit(o).Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1 << 29, Attributes: attr("persistent", "true")}}
			unit(o).Count = 2
		}},
		"too much persistent": {order: func(o *markettypes.Order) {
			unit(o).Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1 << 29, Attributes: attr("persistent", "true")}}
			unit(o).Count = 3
		}, want: Capacity, why: "persistent storage of class default: 1.5Gi needed, 1Gi left"},
		"persistent of unknown size": {order: func(o *markettypes.Order) {
			unit(o).Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1 << 29, Attributes: append(attr("persistent", "true"), attr("class", "beta1")...)}}
		}, want: Capacity, why: "persistent storage of class beta1: 512Mi needed, how much there is can't be learned"},
		"persistent of no class": {order: func(o *markettypes.Order) {
			unit(o).Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1 << 29, Attributes: append(attr("persistent", "true"), attr("class", "beta2")...)}}
		}, want: Capacity, why: "persistent storage of class beta2: there is none"},
		"ephemeral": {order: func(o *markettypes.Order) {
			unit(o).Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1, Attributes: attr("persistent", "false")}}
		}},
		"volume of no kind": {order: func(o *markettypes.Order) {
			unit(o).Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1, Attributes: attr("color", "red")}}
		}, want: Unsupported, why: "storage color red is not offered"},
		"in memory": {order: func(o *markettypes.Order) {
			unit(o).Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1 << 40, Attributes: append(attr("persistent", "false"), attr("class", "ram")...)}}
		}, want: Capacity, why: "memory: 0 of 1 instances fit; an instance needs 1099512676352B, the roomiest node has 1099511627776B left"},
		"ports": {order: func(o *markettypes.Order) {
			unit(o).Endpoints = []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_PORT}, {Kind: deploymenttypes.ENDPOINT_KIND_HTTP}}
		}},
		"too many ports": {order: func(o *markettypes.Order) {
			unit(o).Endpoints = make([]deploymenttypes.Endpoint, 3)
			for i := range unit(o).Endpoints {
				unit(o).Endpoints[i].Kind = deploymenttypes.ENDPOINT_KIND_PORT
			}
		}, want: Capacity, why: "ports: 3 needed, 2 left"},
		"address of its own": {order: func(o *markettypes.Order) {
			e := deploymenttypes.Endpoint{Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: 1}
			unit(o).Endpoints = []deploymenttypes.Endpoint{e, e}
		}},
		"two addresses": {order: func(o *markettypes.Order) {
			unit(o).Endpoints = []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: 1}, {Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: 2}}
		}, want: Capacity, why: "addresses: 2 needed, 1 left"},
		"arch": {order: func(o *markettypes.Order) { o.Spec.Requirements.Attributes = attr("ability/arch/amd64", "true") }},
		"other arch": {order: func(o *markettypes.Order) { o.Spec.Requirements.Attributes = attr("ability/arch/arm64", "true") },
			want: Capacity, why: "arch: no node is known to be arm64"},
		"two archs": {order: func(o *markettypes.Order) {
			o.Spec.Requirements.Attributes = append(attr("ability/arch/arm64", "true"), attr("ability/arch/amd64", "true")...)
		}, want: Unsupported, why: "arch arm64 and amd64 in one group is not offered"},
		"pods": {order: func(o *markettypes.Order) { unit(o).Count, unit(o).CpuMilli = 111, 10 },
			want: Capacity, why: "pods: 110 of 111 instances fit; an instance needs 1, the roomiest node has 0 left"},
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
			var w Words
			w.Number(&compiled)
			p.Learn(&w)
			if again := Decide(&compiled, free, &p, nothing(), 10); !reflect.DeepEqual(again, d) {
				t.Errorf("with numbered words: %+v, want %+v", again, d)
			}
			if d.Bid != (tc.want == Accepted) || d.Reason.Code != tc.want || tc.why != "" && d.Reason.String() != tc.why {
				t.Errorf("Decide = %v, %q (%s), want %q (%s)", d.Bid, d.Reason.Code, d.Reason, tc.want, tc.why)
			}
			if free.Free() != before {
				t.Errorf("Decide changed the capacity from %v to %v", before, free.Free())
			}
		})
	}
}

// TestDecideAllocatesNothing: neither an accepted order nor a refused one takes memory, whatever it asks for.
func TestDecideAllocatesNothing(t *testing.T) {
	full := func(t *testing.T, edit func(*markettypes.Order)) Order {
		o := order(1, 1000, 3)
		o.Spec.Units = append(o.Spec.Units, o.Spec.Units[0])
		o.Spec.Requirements.Attributes = []providertypes.Attribute{{Key: "region", Value: "east"}, {Key: "ability/arch/amd64", Value: "true"}, {Key: "gpu/*/a100", Value: "true"}}
		o.Spec.Requirements.SignedBy.AllOf = []string{"auditor"}
		u := &o.Spec.Units[1]
		u.CpuMilli, u.Gpu = 100, deploymenttypes.GPU{Count: 1, Attributes: []providertypes.Attribute{{Key: "vendor/nvidia/model/a100", Value: "true"}}}
		u.Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1 << 20, Attributes: []providertypes.Attribute{{Key: "persistent", Value: "true"}}}}
		u.Endpoints = []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: 1}, {Kind: deploymenttypes.ENDPOINT_KIND_PORT}}
		if edit != nil {
			edit(&o)
		}
		compiled, err := Compile(&o)
		if err != nil {
			t.Fatal(err)
		}
		return compiled
	}
	for name, tc := range map[string]struct {
		edit func(*markettypes.Order)
		want Code
	}{
		"accepted":   {nil, Accepted},
		"attribute":  {func(o *markettypes.Order) { o.Spec.Requirements.Attributes[0].Value = "west" }, Attribute},
		"signature":  {func(o *markettypes.Order) { o.Spec.Requirements.SignedBy.AllOf[0] = "x" }, Signature},
		"cpu":        {func(o *markettypes.Order) { o.Spec.Units[0].CpuMilli = 1300 }, Capacity},
		"gpu":        {func(o *markettypes.Order) { o.Spec.Units[1].Gpu.Count = 5 }, Capacity},
		"persistent": {func(o *markettypes.Order) { o.Spec.Units[1].Storage[0].Bytes = 1 << 40 }, Capacity},
		"price": {func(o *markettypes.Order) {
			o.Spec.Units[0].Price.Amount = math.LegacyOneDec()
			o.Spec.Units[1].Price.Amount = math.LegacyOneDec()
		}, Price},
	} {
		t.Run(name, func(t *testing.T) {
			compiled, p, free, st := full(t, tc.edit), testPolicy(), oneNode(4000), nothing()
			p.Audits = []Audit{{"auditor", p.Attributes}}
			var w Words
			w.Number(&compiled)
			p.Learn(&w)
			if d := Decide(&compiled, free, &p, st, 10); d.Reason.Code != tc.want {
				t.Fatalf("%s, want %q", d.Reason, tc.want)
			}
			if n := testing.AllocsPerRun(100, func() { Decide(&compiled, free, &p, st, 10) }); n != 0 {
				t.Errorf("%v allocations, want 0", n)
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
