package bid

import (
	"cmp"
	"flag"
	"os"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"
	"pgregory.net/rapid"

	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/pricing"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// model is a chain as our provider meets it, and a book that follows it with delays, losses and crashes.
type model struct {
	height int64 // the last committed block
	orders map[uint64]*modelOrder
	next   uint64
	events []proto.Message       // of the block being made
	blocks [][]proto.Message     // committed, not yet followed
	queue  []markettypes.OrderID // offered, not sent yet
	flying []flying

	book    *Book
	supply  inventory.Supply
	steady  bool // the supply never changed
	decides bool // false after a crash, until what was on its way has settled and was followed
	resume  int64
}

type modelOrder struct {
	order markettypes.Order
	open  bool
	bid   *markettypes.Bid // ours
	lease bool             // ours, active
}

type flying struct {
	items  []markettypes.BidItem
	orphan bool // sent by a process that has crashed
}

// sums is one amount of each resource that the model counts.
type sums struct{ cpu, memory, gpus, persistent, ports int64 }

// parts are the amounts with their names.
func (s sums) parts() map[string]int64 {
	return map[string]int64{"cpu": s.cpu, "memory": s.memory, "gpus": s.gpus, "persistent": s.persistent, "ports": s.ports}
}

var modelGPU = inventory.GPUClass{Vendor: "nvidia", Model: "a100"}

// modelSupply is a cluster of two nodes.
func modelSupply(cpuA, cpuB, gpus, persistent, ports int64) inventory.Supply {
	a := inventory.Node{Name: "a", Capacity: room(cpuA, 1<<24), GPUs: []inventory.GPUs{{Class: modelGPU, Count: gpus}}}
	b := inventory.Node{Name: "b", Capacity: room(cpuB, 1<<23)}
	s := inventory.Supply{Nodes: []inventory.Node{a, b}}
	if cpuB == 0 {
		s.Nodes = s.Nodes[:1] // the node is gone
	}
	s.Pools.Persistent = map[string]inventory.Pool{"default": {Known: true, Total: persistent}}
	s.Pools.Ports = inventory.Pool{Known: true, Total: ports}
	return s
}

func newModel() *model {
	m := &model{orders: map[uint64]*modelOrder{}, decides: true, steady: true, supply: modelSupply(500, 500, 2, 100, 4)}
	m.newBook()
	return m
}

// there is what the cluster has.
func (m *model) there() (s sums) {
	for _, n := range m.supply.Nodes {
		s.cpu += n.Capacity[inventory.CPU]
		s.memory += n.Capacity[inventory.Memory]
		for _, g := range n.GPUs {
			s.gpus += g.Count
		}
	}
	s.persistent, s.ports = m.supply.Pools.Persistent["default"].Total, m.supply.Pools.Ports.Total
	return s
}

// room is what may be sold: of each node what is free, also where another node has lost what is held of it.
func (m *model) room() (s sums) {
	_, nodes := m.book.inv.Snapshot()
	for _, n := range nodes {
		s.cpu += max(0, n.Capacity[inventory.CPU])
		s.memory += max(0, n.Capacity[inventory.Memory])
		for _, g := range n.GPUs {
			s.gpus += max(0, g.Count)
		}
	}
	f := m.free()
	s.persistent, s.ports = max(0, f.persistent), max(0, f.ports)
	return s
}

// free is what the book has free.
func (m *model) free() sums {
	f := m.book.inv.Free()
	s := sums{cpu: f[inventory.CPU], memory: f[inventory.Memory], gpus: f[inventory.GPU]}
	for _, p := range m.book.inv.Pools() {
		switch p.Resource {
		case inventory.Persistent:
			s.persistent = p.Total - p.Held
		case inventory.Ports:
			s.ports = p.Total - p.Held
		}
	}
	return s
}

func (m *model) newBook() {
	m.book = NewBook(testPolicy(), []sdk.Coin{sdk.NewInt64Coin("ubrt", 1)}, 5)
	m.book.SetSupply(m.supply)
}

func (m *model) emit(ev proto.Message) { m.events = append(m.events, ev) }

// endBid ends our bid on an order.
func (m *model) endBid(o *modelOrder) {
	if o.bid != nil {
		m.emit(&markettypes.EventBidClosed{Bid: *o.bid})
		o.bid = nil
	}
}

func (m *model) commit() {
	m.height++
	m.blocks = append(m.blocks, m.events)
	m.events = nil
}

// deliver takes one transaction off the wire into the block being made; it returns the results.
func (m *model) deliver(t *rapid.T, items []markettypes.BidItem) (results []bool) {
	for _, item := range items {
		o := m.orders[item.OrderId.Dseq]
		ok := o != nil && o.open && item.ValidUntil > m.height+1
		if ok && o.bid != nil {
			t.Fatalf("PINV-6: a second bid on order %d", item.OrderId.Dseq)
		}
		if ok {
			o.bid = &markettypes.Bid{Id: item.OrderId.BidID(us), State: markettypes.BID_STATE_OPEN, Price: item.Price, Deposit: item.Deposit, ValidUntil: item.ValidUntil}
			m.emit(&markettypes.EventBidCreated{Provider: us, Bid: *o.bid})
		}
		results = append(results, ok)
	}
	return results
}

// settle tells the book about a batch, unless the process that sent it is gone.
func (m *model) settle(f flying, results []bool, height int64) {
	if f.orphan {
		return
	}
	for i, item := range f.items {
		if results != nil && results[i] {
			m.book.Confirm(item.OrderId, height)
		} else {
			m.book.Fail(item.OrderId, results == nil)
		}
	}
}

// decide runs one pass, as Loop does after each update.
func (m *model) decide(t *rapid.T) {
	if !m.decides && m.book.height >= m.resume && !m.hasOrphans() {
		m.decides = true
	}
	if !m.decides || len(m.blocks) > 0 && m.height-m.book.height > maxLag {
		return
	}
	before, room := m.promised().parts(), m.room().parts()
	m.book.Pass(nil, func(id markettypes.OrderID) { m.queue = append(m.queue, id) })
	if rapid.Bool().Draw(t, "sent at once") {
		m.send(len(m.queue))
	}
	for name, p := range m.promised().parts() {
		if p > before[name] && p-before[name] > room[name] {
			t.Fatalf("PINV-1: %s: %d more promised, of %d", name, p-before[name], room[name])
		}
	}
}

// send makes one transaction of the first bids that were offered.
func (m *model) send(n int) {
	var items []markettypes.BidItem
	for _, id := range m.queue[:n] {
		if item, ok := m.book.Take(id); ok {
			items = append(items, item)
		}
	}
	if m.queue = m.queue[n:]; len(items) > 0 {
		m.flying = append(m.flying, flying{items: items})
	}
}

func (m *model) hasOrphans() bool {
	for _, f := range m.flying {
		if f.orphan {
			return true
		}
	}
	return false
}

func (m *model) snapshot() Chain {
	c := Chain{Height: m.height}
	for n := uint64(1); n <= m.next; n++ {
		o := m.orders[n]
		switch {
		case o.lease:
			c.Leases = append(c.Leases, markettypes.Lease{Id: o.order.Id.BidID(us), State: markettypes.LEASE_STATE_ACTIVE})
			c.Held = append(c.Held, o.order)
		case o.bid != nil:
			c.Bids = append(c.Bids, *o.bid)
		}
		if o.open {
			c.Orders = append(c.Orders, o.order)
		}
	}
	return c
}

// promised is what all takes that we may have to run: leases, bids that can still become leases, and bids on their way.
func (m *model) promised() (s sums) {
	counted := map[uint64]bool{}
	add := func(n uint64) {
		if o := m.orders[n]; o != nil && !counted[n] {
			counted[n] = true
			u := &o.order.Spec.Units[0]
			n := int64(u.Count)
			s.cpu += int64(u.CpuMilli) * n
			s.memory += int64(u.MemoryBytes) * n
			s.gpus += int64(u.Gpu.Count) * n
			for _, v := range u.Storage {
				s.persistent += int64(v.Bytes) * n
			}
			s.ports += int64(len(u.Endpoints))
		}
	}
	for n, o := range m.orders {
		if o.lease || o.bid != nil && o.open && o.bid.ValidUntil > m.height {
			add(n)
		}
	}
	for _, id := range m.queue {
		if m.orders[id.Dseq].open {
			add(id.Dseq)
		}
	}
	for _, f := range m.flying {
		for _, item := range f.items {
			if o := m.orders[item.OrderId.Dseq]; o != nil && o.open && item.ValidUntil > m.height+1 {
				add(item.OrderId.Dseq)
			}
		}
	}
	return s
}

// checkTally compares the sums that the book keeps with sums over all its bids.
func (m *model) checkTally(t *rapid.T) {
	var bids, leases int64
	var exposure, deposits pricing.Amount
	for id, bid := range m.book.bids {
		switch bid.stage {
		case sending, open:
			bids++
		case won:
			leases++
		}
		if bid.stage != expired {
			exposure, _ = exposure.Add(bid.holding.Price)
		}
		deposits, _ = deposits.Add(bid.holding.Deposit)
		if !bid.tallied {
			t.Fatalf("bid on %s is not in the tally", id)
		}
	}
	gotOpen, gotLeases, gotExposure := m.book.tally.Owner("berth1tenant", "ubrt")
	if gotOpen != bids || gotLeases != leases || gotExposure != exposure || m.book.tally.Deposits("ubrt") != deposits ||
		m.book.tally.OpenBids() != bids || m.book.tally.Leases() != leases {
		t.Fatalf("tally: %d open, %d leases, exposure %s, deposits %s; counted: %d, %d, %s, %s", gotOpen, gotLeases, gotExposure,
			m.book.tally.Deposits("ubrt"), bids, leases, exposure, deposits)
	}
}

// pick draws one of the orders for which the condition holds; nil if there is none.
func (m *model) pick(t *rapid.T, cond func(*modelOrder) bool) *modelOrder {
	var fit []uint64
	for n := uint64(1); n <= m.next; n++ {
		if cond(m.orders[n]) {
			fit = append(fit, n)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return m.orders[rapid.SampledFrom(fit).Draw(t, "order")]
}

// TestHistories: whatever happens in whatever order, no order is bid on twice (PINV-6), and what we have promised never
// exceeds what there is (PINV-1). When all is quiet, exactly what is promised is held. BID_HISTORIES says how many, BID_SEED
// which.
func TestHistories(t *testing.T) {
	setFlag(t, "rapid.checks", "BID_HISTORIES", "1000")
	setFlag(t, "rapid.seed", "BID_SEED", "")
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				m.checkTally(t)
				if !m.steady {
					return
				}
				there := m.there().parts()
				for name, p := range m.promised().parts() {
					if p > there[name] {
						t.Fatalf("PINV-1: %s: %d of %d promised", name, p, there[name])
					}
				}
				for name, f := range m.free().parts() {
					if f < 0 {
						t.Fatalf("PINV-1: %s: %d free", name, f)
					}
				}
			},
			"supply": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
					t.Skip()
				}
				draw := func(name string, from, to int64) int64 { return rapid.Int64Range(from, to).Draw(t, name) }
				m.steady = false
				m.supply = modelSupply(draw("a", 0, 5)*100, draw("b", 0, 5)*100, draw("gpus", 1, 3), draw("persistent", 0, 100), draw("ports", 0, 4))
				m.book.SetSupply(m.supply)
			},
			"order": func(t *rapid.T) {
				m.next++
				o := order(m.next, rapid.Uint64Range(50, 400).Draw(t, "cpu"), rapid.Uint32Range(1, 2).Draw(t, "count"))
				m.demandMore(t, &o.Spec.Units[0])
				m.orders[m.next] = &modelOrder{order: o, open: true}
				m.emit(&markettypes.EventOrderCreated{Order: o})
			},
			"commit": func(t *rapid.T) { m.commit() },
			"follow": func(t *rapid.T) {
				if len(m.blocks) == 0 {
					t.Skip()
				}
				h := m.height - int64(len(m.blocks)) + 1
				m.book.Block(h, m.blocks[0])
				if rapid.Bool().Draw(t, "repeated") {
					m.book.Block(h, m.blocks[0])
				}
				m.blocks = m.blocks[1:]
				m.decide(t)
			},
			"send": func(t *rapid.T) {
				if len(m.queue) == 0 {
					t.Skip()
				}
				m.send(rapid.IntRange(1, len(m.queue)).Draw(t, "bids"))
			},
			"land": func(t *rapid.T) {
				if len(m.flying) == 0 {
					t.Skip()
				}
				f := m.flying[0]
				m.flying = m.flying[1:]
				results := m.deliver(t, f.items)
				m.commit()
				m.resume = max(m.resume, m.height)
				if rapid.Bool().Draw(t, "outcome before events") {
					m.settle(f, results, m.height)
					return
				}
				for len(m.blocks) > 0 {
					m.book.Block(m.height-int64(len(m.blocks))+1, m.blocks[0])
					m.blocks = m.blocks[1:]
				}
				m.settle(f, results, m.height)
			},
			"lose": func(t *rapid.T) {
				if len(m.flying) == 0 {
					t.Skip()
				}
				f := m.flying[0]
				m.flying = m.flying[1:]
				m.settle(f, nil, 0)
			},
			"lease": func(t *rapid.T) {
				o := m.pick(t, func(o *modelOrder) bool { return o.open && o.bid != nil && o.bid.ValidUntil > m.height })
				if o == nil {
					t.Skip()
				}
				o.open, o.lease = false, true
				m.emit(&markettypes.EventLeaseCreated{Provider: us, Lease: markettypes.Lease{Id: o.order.Id.BidID(us)}})
			},
			"lose to others": func(t *rapid.T) {
				o := m.pick(t, func(o *modelOrder) bool { return o.open })
				if o == nil {
					t.Skip()
				}
				o.open = false
				m.endBid(o)
				m.emit(&markettypes.EventLeaseCreated{Provider: them, Lease: markettypes.Lease{Id: o.order.Id.BidID(them)}})
			},
			"close": func(t *rapid.T) {
				o := m.pick(t, func(o *modelOrder) bool { return o.open || o.lease })
				if o == nil {
					t.Skip()
				}
				if o.lease {
					m.emit(&markettypes.EventLeaseClosed{Provider: us, Lease: markettypes.Lease{Id: o.order.Id.BidID(us), State: markettypes.LEASE_STATE_CLOSED}})
				}
				o.open, o.lease = false, false
				m.endBid(o)
				m.emit(&markettypes.EventOrderClosed{Order: o.order})
			},
			"evict": func(t *rapid.T) {
				o := m.pick(t, func(o *modelOrder) bool { return o.open && o.bid != nil })
				if o == nil {
					t.Skip()
				}
				m.endBid(o)
			},
			"resync": func(t *rapid.T) {
				m.commit()
				m.blocks = nil
				m.book.Reset(m.snapshot())
				m.decide(t)
			},
			"crash": func(t *rapid.T) {
				m.commit()
				m.blocks = nil
				for i := range m.flying {
					m.flying[i].orphan = true
				}
				m.queue = nil
				m.newBook()
				m.decides = false
				m.book.Reset(m.snapshot())
				m.decide(t)
			},
		})
		m.calm(t)
	})
}

// demandMore makes some orders ask for more than cpu and memory.
func (m *model) demandMore(t *rapid.T, u *deploymenttypes.ResourceUnit) {
	u.MemoryBytes = rapid.Uint64Range(1<<20, 1<<23).Draw(t, "memory")
	what := rapid.IntRange(0, 7).Draw(t, "what")
	if what&1 > 0 {
		u.Gpu = deploymenttypes.GPU{Count: 1, Attributes: []providertypes.Attribute{{Key: "vendor/nvidia/model/*", Value: "true"}}}
	}
	if what&2 > 0 {
		u.Storage = []deploymenttypes.Volume{{
			Name: "data", Bytes: rapid.Uint64Range(1, 60).Draw(t, "bytes"), Attributes: []providertypes.Attribute{{Key: "persistent", Value: "true"}},
		}}
	}
	if what&4 > 0 {
		u.Endpoints = []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_PORT}}
	}
}

// setFlag sets a flag of the test binary from the environment for the length of a test.
func setFlag(t *testing.T, name, env, otherwise string) {
	value := cmp.Or(os.Getenv(env), otherwise)
	if value == "" {
		return
	}
	f := flag.Lookup(name)
	before := f.Value.String()
	if err := f.Value.Set(value); err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	t.Cleanup(func() { _ = f.Value.Set(before) })
}

// calm lets everything settle and compares the book with the chain.
func (m *model) calm(t *rapid.T) {
	for range 3 {
		m.send(len(m.queue))
		for _, f := range m.flying {
			results := m.deliver(t, f.items)
			m.commit()
			m.settle(f, results, m.height)
		}
		m.flying = nil
		m.commit()
		for len(m.blocks) > 0 {
			m.book.Block(m.height-int64(len(m.blocks))+1, m.blocks[0])
			m.blocks = m.blocks[1:]
		}
	}
	there, promised := m.there().parts(), m.promised().parts()
	for name, free := range m.free().parts() {
		if want := there[name] - promised[name]; free != want {
			t.Fatalf("%s: %d free, want %d", name, free, want)
		}
	}
	c := m.book.Counts()
	if c.Sending != 0 {
		t.Fatalf("%d bids are still on their way", c.Sending)
	}
}

func TestExpiredBidsAreClosedOnce(t *testing.T) {
	b := NewBook(testPolicy(), []sdk.Coin{sdk.NewInt64Coin("ubrt", 1)}, 5)
	b.SetSupply(inventory.Supply{Nodes: []inventory.Node{{Name: "a", Capacity: room(1000, 1<<40)}}})
	o := order(1, 1000, 1)
	b.Block(10, []proto.Message{&markettypes.EventOrderCreated{Order: o}})
	items := b.Decide(nil)
	if len(items) != 1 || items[0].ValidUntil != 15 {
		t.Fatalf("items %+v, want one bid until 15", items)
	}
	b.Confirm(o.Id, 11)
	b.Block(14, nil)
	if got := b.Counts(); got.Open != 1 || got.Free[inventory.CPU] != 0 {
		t.Fatalf("at 14: %+v", got)
	}
	b.Block(15, nil)
	if got := b.Counts(); got.Expired != 1 || got.Free[inventory.CPU] != 1000 {
		t.Fatalf("at 15: %+v", got)
	}
	if ids := b.TakeExpired(10); len(ids) != 1 || ids[0] != o.Id {
		t.Fatalf("to close: %v", ids)
	}
	if ids := b.TakeExpired(10); len(ids) != 0 {
		t.Fatalf("to close again at once: %v", ids)
	}
	b.Block(15+closeAgain, nil)
	if ids := b.TakeExpired(10); len(ids) != 1 {
		t.Fatalf("to close again later: %v", ids)
	}
	b.Block(80, []proto.Message{&markettypes.EventBidClosed{Bid: markettypes.Bid{Id: o.Id.BidID(us)}}})
	if got := b.Counts(); got.Expired != 0 || b.TakeExpired(10) != nil {
		t.Fatalf("after the close: %+v", got)
	}
}

func TestRefusedOrdersAreTriedAgain(t *testing.T) {
	b := NewBook(testPolicy(), []sdk.Coin{sdk.NewInt64Coin("ubrt", 1)}, 0)
	b.SetSupply(inventory.Supply{Nodes: []inventory.Node{{Name: "a", Capacity: room(1000, 1<<40)}}})
	first, second := order(1, 800, 1), order(2, 800, 1)
	b.Block(1, []proto.Message{&markettypes.EventOrderCreated{Order: first}, &markettypes.EventOrderCreated{Order: second}})
	var codes []Code
	observe := func(_ *Order, d Decision) { codes = append(codes, d.Reason.Code) }
	if items := b.Decide(observe); len(items) != 1 || items[0].OrderId != first.Id {
		t.Fatalf("items %+v, want a bid on the first", items)
	}
	if len(codes) != 2 || codes[1] != Capacity {
		t.Fatalf("decisions %q", codes)
	}
	if items := b.Decide(observe); len(items) != 0 || len(codes) != 2 {
		t.Fatalf("nothing has changed, yet %+v, %q", items, codes)
	}
	b.Block(2, []proto.Message{&markettypes.EventBidClosed{Bid: markettypes.Bid{Id: first.Id.BidID(us)}}})
	if items := b.Decide(observe); len(items) != 1 || items[0].OrderId != second.Id {
		t.Fatalf("items %+v, want a bid on the second", items)
	}
	b.Fail(second.Id, true)
	for h := int64(3); h < 10; h++ {
		b.Block(h, nil)
		if items := b.Decide(nil); len(items) != 0 {
			t.Fatalf("tried again at once, at height %d", h)
		}
	}
	b.Block(10, nil)
	if items := b.Decide(nil); len(items) != 1 {
		t.Fatal("not tried again after eight blocks")
	}
	b.Fail(second.Id, false)
	b.Block(10_000, nil)
	if items := b.Decide(nil); len(items) != 0 {
		t.Fatal("tried again after a final refusal")
	}
}
