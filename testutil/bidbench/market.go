package bidbench

import (
	"fmt"
	"math/rand/v2"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const (
	denom   = "ubrt"
	us      = "berth1provider"
	auditor = "berth1auditor"
	gib     = 1 << 30
)

// market is a provider with 28 attributes, a price for everything, and orders that it may get.
type market struct {
	rnd      *rand.Rand
	policy   bid.Policy
	words    bid.Words
	standing bid.Standing
	next     uint64
}

func newMarket(seed uint64) *market {
	m := &market{rnd: rand.New(rand.NewPCG(seed, 1))}
	m.standing.Tally = &policy.Tally{}
	rate := func(n uint64) pricing.Rate { return pricing.Rate{Amount: pricing.Whole(n), Given: true} }
	m.policy = bid.Policy{
		Provider: us, Rules: &policy.Rules{},
		Prices: pricing.NewSet([]pricing.Table{{
			Denom: denom, CPU: pricing.Whole(10), Memory: pricing.Whole(3), Ephemeral: pricing.Whole(1), HTTP: pricing.Whole(1), Ports: pricing.Whole(1),
			RAM: rate(4), IP: rate(50), AnyClass: rate(2), Minimum: pricing.Whole(1),
			Classes: []pricing.ClassRate{{Class: "beta2", Rate: rate(2).Amount}},
			GPU: []pricing.GPURate{
				{Kind: pricing.GPUKind{Vendor: "nvidia", Model: "a100"}, Rate: pricing.Whole(500)},
				{Kind: pricing.GPUKind{Vendor: "nvidia"}, Rate: pricing.Whole(200)}, {Rate: pricing.Whole(300)},
			},
		}}, nil, false),
	}
	for i := range 25 {
		m.policy.Attributes = append(m.policy.Attributes, providertypes.Attribute{Key: fmt.Sprintf("feature/number-%d", i), Value: "true"})
	}
	m.policy.Attributes = append(m.policy.Attributes, providertypes.Attribute{Key: "ability/arch/amd64", Value: "true"},
		providertypes.Attribute{Key: "region", Value: "eu-west"}, providertypes.Attribute{Key: "tier", Value: "community"})
	m.policy.Audits = []bid.Audit{{Auditor: auditor, Attributes: m.policy.Attributes}, {Auditor: "berth1other", Attributes: m.policy.Attributes[:1]}}
	return m
}

// pools are of all kinds, and large.
func (m *market) pools() inventory.Pools {
	large := inventory.Pool{Known: true, Total: 1 << 58}
	return inventory.Pools{Ports: large, Addresses: large, Persistent: map[string]inventory.Pool{"default": large, "beta1": {}, "beta2": large, "beta3": large}}
}

var classes = []inventory.GPUClass{
	{Vendor: "nvidia", Model: "a100", RAM: "80Gi", Interface: "sxm"}, {Vendor: "nvidia", Model: "t4", RAM: "16Gi", Interface: "pcie"},
	{Vendor: "nvidia", Model: "h100", RAM: "80Gi", Interface: "sxm"}, {Vendor: "amd", Model: "mi300x", RAM: "192Gi"},
}

// nodes have 16, 32 or 64 cores with 4 GiB for each; a tenth of them has eight devices, another tenth is of another
// architecture. The last two are twice as large as any other.
func (m *market) nodes(n int) []inventory.Node {
	out := make([]inventory.Node, n)
	for i := range out {
		cores := int64(16) << m.rnd.IntN(3)
		if i >= n-2 {
			cores = 128
		}
		out[i] = inventory.Node{Name: fmt.Sprintf("node-%05d", i), Arch: "amd64", Capacity: inventory.Amounts{
			inventory.CPU: cores * 1000, inventory.Memory: cores * 4 * gib, inventory.Storage: cores * 20 * gib, inventory.Pods: 110,
		}}
		switch {
		case i >= n-2:
			out[i].GPUs = []inventory.GPUs{{Class: classes[3], Count: 8}}
		case i%10 == 3:
			out[i].GPUs = []inventory.GPUs{{Class: classes[i/10%len(classes)], Count: 8}}
		case i%10 == 7:
			out[i].Arch = "arm64"
		}
	}
	return out
}

// filled is a cluster of which orders hold nine tenths of the cpu or of the memory, and of the devices that any order asks for.
func (m *market) filled(n int) (*inventory.Inventory, error) {
	v := &inventory.Inventory{}
	nodes := m.nodes(n)
	v.Set(inventory.Supply{Nodes: nodes, Pools: m.pools()})
	all, wanted := v.Capacity(), wantedDevices(nodes)
	deviceful := func() bool { return all[inventory.GPU]-v.Free()[inventory.GPU] >= wanted*9/10 }
	full := func(r inventory.Resource) bool { // but for the two largest
		large := nodes[n-1].Capacity[r] + nodes[n-2].Capacity[r]
		return v.Free()[r]-large <= (all[r]-large)/10
	}
	kinds, failed := []kind{devices, plain}, 0
	for tries := 0; !full(inventory.CPU) && !full(inventory.Memory); tries++ {
		switch {
		case failed > 1000:
			return nil, fmt.Errorf("%d nodes can't be filled: %s", n, fullness(v))
		case failed > 100:
			kinds = []kind{small} // into what the others have left
		case deviceful():
			kinds = []kind{plain, other}
		}
		o := m.order(kinds[tries%len(kinds)])
		_, ok, err := v.Reserve(o.ID, &o.Demand)
		if err != nil {
			return nil, err
		}
		if failed++; ok {
			failed = 0
		}
	}
	return v, nil
}

// wantedDevices counts the devices that orders of the kind devices may have.
func wantedDevices(nodes []inventory.Node) (count int64) {
	for i := range nodes {
		for _, g := range nodes[i].GPUs {
			if g.Class.Model == "a100" || g.Class.Model == "h100" {
				count += g.Count
			}
		}
	}
	return count
}

// fullness says how full a cluster is.
func fullness(v *inventory.Inventory) string {
	all, free := v.Capacity(), v.Free()
	part := func(r inventory.Resource) float64 { return 100 - 100*float64(free[r])/float64(all[r]) }
	return fmt.Sprintf("%d reservations hold %.0f %% of cpu, %.0f %% of memory, %.0f %% of devices",
		v.Len(), part(inventory.CPU), part(inventory.Memory), part(inventory.GPU))
}

// kind is a kind of orders.
type kind uint8

const (
	plain       kind = iota // every resource but devices
	other                   // as plain, for any architecture
	devices                 // one of the two services needs a device, of two kinds
	tooLarge                // an instance that no node has room for
	tooMany                 // some of its instances fit
	noDevice                // a device that nobody has
	noAttribute             // the last of its three attributes is not offered
	tooCheap                // pays less than is asked
	small                   // one instance of one service
	fixed                   // two services of three instances with 4 cores and 16 GiB
)

// orders makes a thousand orders of the kinds in turn.
func (m *market) orders(kinds ...kind) []*bid.Order {
	out := make([]*bid.Order, 1024)
	for i := range out {
		out[i] = m.order(kinds[i%len(kinds)])
	}
	return out
}

// order makes an order of a kind, ready for Decide.
func (m *market) order(k kind) *bid.Order {
	raw := m.raw(k)
	o, err := bid.Compile(&raw)
	if err != nil {
		panic(err) // the orders are made here
	}
	m.words.Number(&o)
	m.policy.Learn(&m.words)
	return &o
}

// raw makes an order as the chain has it: two services of three instances, three attributes, one auditor.
func (m *market) raw(k kind) markettypes.Order {
	m.next++
	web, db := m.unit(1), m.unit(2)
	web.Endpoints = []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP}, {Kind: deploymenttypes.ENDPOINT_KIND_PORT}, {Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: 1}}
	db.Storage = append(db.Storage,
		volume("shm", gib/4, "class", "ram", "persistent", "false"), volume("data", 10*gib, "class", "beta2", "persistent", "true"))
	attributes := pairs(fmt.Sprintf("feature/number-%d", m.rnd.IntN(25)), "true", "region", "eu-west", "ability/arch/amd64", "true")
	switch k {
	case other:
		attributes[2] = pairs("tier", "community")[0]
	case devices:
		db.Gpu = gpu("vendor/nvidia/model/a100/ram/80Gi", "vendor/nvidia/model/h100/interface/sxm")
	case tooLarge:
		db.CpuMilli = 200_000
	case tooMany:
		db.CpuMilli, db.MemoryBytes = 100_000, uint64(200+m.rnd.IntN(200))*gib
	case noDevice:
		db.Gpu = gpu("vendor/nvidia/model/b200")
	case noAttribute:
		attributes[2] = pairs("feature/nobody", "true")[0]
	case tooCheap:
		web.Price.Amount, db.Price.Amount = math.LegacyOneDec(), math.LegacyOneDec()
	case small:
		attributes, web.Count, web.CpuMilli, web.MemoryBytes = nil, 1, 250, gib
	case fixed:
		for _, u := range []*deploymenttypes.ResourceUnit{&web, &db} {
			u.CpuMilli, u.MemoryBytes, u.Storage = 4000, 16*gib, u.Storage[:1]
			u.Endpoints = nil
		}
	}
	units := []deploymenttypes.ResourceUnit{web, db}
	if k == small {
		units = units[:1]
	}
	return markettypes.Order{
		Id:    markettypes.OrderID{Owner: fmt.Sprintf("berth1tenant%06d", m.rnd.IntN(5000)), Dseq: m.next, Gseq: 1, Oseq: 1},
		State: markettypes.ORDER_STATE_OPEN, CreatedAt: 1,
		Spec: deploymenttypes.GroupSpec{
			Name: "group", Units: units,
			Requirements: deploymenttypes.PlacementRequirements{Attributes: attributes, SignedBy: deploymenttypes.SignedBy{AllOf: []string{auditor}}},
		},
	}
}

func (m *market) unit(id uint32) deploymenttypes.ResourceUnit {
	cpu := []uint64{250, 500, 500, 1000, 1000, 2000, 4000}[m.rnd.IntN(7)]
	return deploymenttypes.ResourceUnit{
		Id: id, CpuMilli: cpu, MemoryBytes: cpu * 2 * gib / 1000 * uint64(1+m.rnd.IntN(3)), Count: 3,
		Storage: []deploymenttypes.Volume{volume("default", uint64(1+m.rnd.IntN(4))*gib)},
		Price:   sdk.NewDecCoin(denom, math.NewInt(1_000_000)),
	}
}

func volume(name string, bytes uint64, attributes ...string) deploymenttypes.Volume {
	return deploymenttypes.Volume{Name: name, Bytes: bytes, Attributes: pairs(attributes...)}
}

func gpu(keys ...string) deploymenttypes.GPU {
	g := deploymenttypes.GPU{Count: 1}
	for _, k := range keys {
		g.Attributes = append(g.Attributes, pairs(k, "true")...)
	}
	return g
}

func pairs(s ...string) (out []providertypes.Attribute) {
	for i := 0; i < len(s); i += 2 {
		out = append(out, providertypes.Attribute{Key: s[i], Value: s[i+1]})
	}
	return out
}

// roomy is a node with room for orders of the kind fixed.
func roomy(i int) inventory.Node {
	return inventory.Node{Name: fmt.Sprintf("node-%05d", i), Arch: "amd64", Capacity: inventory.Amounts{
		inventory.CPU: 16_000, inventory.Memory: 64 * gib, inventory.Storage: 320 * gib, inventory.Pods: 110,
	}}
}

// apart has memory on every other node and cpu on those between, and a few roomy nodes at the end.
func apart(n, fit int) []inventory.Node {
	out := make([]inventory.Node, n)
	for i := range out {
		out[i] = roomy(i)
		switch {
		case i >= n-fit:
		case i%2 == 0:
			out[i].Capacity[inventory.CPU] = 500
		default:
			out[i].Capacity[inventory.Memory] = gib
		}
	}
	return out
}

// justShort has nodes that lack a thousandth of a core, and a few roomy ones at the end.
func justShort(n, fit int) []inventory.Node {
	out := make([]inventory.Node, n)
	for i := range out {
		out[i] = roomy(i)
		if i < n-fit {
			out[i].Capacity[inventory.CPU] = 3999
		}
	}
	return out
}

// decoys is justShort with a node among each few that has enough cpu and no storage.
func decoys(n, fit int) []inventory.Node {
	out := justShort(n, fit)
	for i := 0; i < n-fit; i += 20 {
		out[i].Capacity[inventory.CPU], out[i].Capacity[inventory.Storage] = 16_000, 1
	}
	return out
}
