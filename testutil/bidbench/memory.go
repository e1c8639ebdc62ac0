package bidbench

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/inventory"
	markettypes "berth.dev/berth/x/market/types"
)

// bookWith is an inventory of n nodes with so many open bids.
func (m *market) bookWith(n, open int) (*inventory.Inventory, error) {
	v := &inventory.Inventory{}
	nodes := m.nodes(n)
	for i := range nodes { // room for all of them, of which nine tenths get used
		nodes[i].Capacity[inventory.CPU] *= 6
		nodes[i].Capacity[inventory.Memory] *= 6
		nodes[i].Capacity[inventory.Pods] *= 6
	}
	v.Set(inventory.Supply{Nodes: nodes, Pools: m.pools()})
	for tries := 0; v.Len() < open; tries++ {
		k := plain
		if tries%3 == 0 {
			k = other
		}
		o := m.order(k)
		if short, ok, err := v.Reserve(o.ID, &o.Demand); err != nil || !ok {
			return nil, fmt.Errorf("open bid %d: %s, %w", v.Len(), short, err)
		}
	}
	return v, nil
}

// sameFree is a cluster without reservations whose nodes have just what is free on those of another.
func (m *market) sameFree(of *inventory.Inventory) *inventory.Inventory {
	v := &inventory.Inventory{}
	full, left := of.Snapshot()
	v.Set(inventory.Supply{Nodes: full, Pools: m.pools()})
	v.Set(inventory.Supply{Nodes: left, Pools: m.pools()}) // keeps their order
	return v
}

// memory measures what the book of a provider takes with all of a large market open.
func (b *Bench) memory() error {
	const nodes, open, most = 10_000, 100_000, 300
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return float64(s.HeapAlloc) / 1e6
	}
	m := newMarket(b.Seed)
	before := heap()
	book := bid.NewBook(m.policy, []sdk.Coin{sdk.NewInt64Coin(denom, 1)}, 0)
	book.SetSupply(inventory.Supply{Nodes: m.nodes(nodes), Pools: m.pools()})
	bids := 0
	var decided time.Duration
	for height := int64(1); height <= open/1000; height++ {
		events := make([]proto.Message, 0, 1000)
		for i := range 1000 {
			o, err := decoded(m.raw([]kind{plain, devices, tooLarge, other}[i%4]))
			if err != nil {
				return err
			}
			events = append(events, &markettypes.EventOrderCreated{Order: o})
		}
		start := cpu()
		book.Block(height, events)
		bids += len(book.Decide(nil))
		decided += cpu() - start
	}
	c := book.Counts()
	took := heap() - before
	runtime.KeepAlive(book)
	b.holds(fmt.Sprintf("memory of %d nodes and %d open orders, %d of them bid on", nodes, c.Waiting+c.Sending, bids),
		fmt.Sprintf("%.0f MB of heap, %s of the whole process", took, resident()), fmt.Sprintf("at most %d MB", most), took <= most)
	b.add(row{what: "reading, compiling, deciding and reserving them", figure: fmt.Sprintf("%.1f us an order", float64(decided.Microseconds())/open)})
	return nil
}

// decoded is an order as it comes from the wire: nothing of it is shared with another.
func decoded(o markettypes.Order) (out markettypes.Order, err error) {
	data, err := o.Marshal()
	if err != nil {
		return out, err
	}
	return out, out.Unmarshal(data)
}

// resident is the memory of the process, with what is garbage by now.
func resident() string {
	s, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(s)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}
