package bid

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	sdkmath "cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// badOrders are what the chain should have refused.
var badOrders = map[string]func(*markettypes.Order){
	"no units":     func(o *markettypes.Order) { o.Spec.Units = nil },
	"count 0":      func(o *markettypes.Order) { o.Spec.Units[0].Count = 0 },
	"count 2^32-1": func(o *markettypes.Order) { o.Spec.Units[0].Count = 1<<32 - 1 },
	"cpu 2^64-1":   func(o *markettypes.Order) { o.Spec.Units[0].CpuMilli = 1<<64 - 1 },
	"memory 2^63":  func(o *markettypes.Order) { o.Spec.Units[0].MemoryBytes = 1 << 63 },
	"gpus 2^32-1":  func(o *markettypes.Order) { o.Spec.Units[0].Gpu.Count = 1<<32 - 1 },
	"no price":     func(o *markettypes.Order) { o.Spec.Units[0].Price = sdk.DecCoin{} },
	"minus":        func(o *markettypes.Order) { o.Spec.Units[0].Price.Amount = sdkmath.LegacyNewDec(-1) },
	"two denoms": func(o *markettypes.Order) {
		o.Spec.Units = append(o.Spec.Units, o.Spec.Units[0])
		o.Spec.Units[1].Price.Denom = "x"
	},
	"storage wraps": func(o *markettypes.Order) {
		o.Spec.Units[0].Storage = []deploymenttypes.Volume{{Bytes: 1 << 63}, {Bytes: 1 << 63}}
	},
}

func TestCompileRefuses(t *testing.T) {
	for name, edit := range badOrders {
		t.Run(name, func(t *testing.T) {
			o := order(1, 1000, 1)
			edit(&o)
			if got, err := Compile(&o); !errors.Is(err, ErrMalformed) {
				t.Errorf("Compile = %+v, %v, want ErrMalformed", got, err)
			}
		})
	}
}

// holds is how much of the capacity is held.
func (l *Loop) holds() (held inventory.Amounts) {
	c, _ := l.Counts()
	for r := range held {
		held[r] = c.Capacity[r] - c.Free[r]
	}
	return held
}

// TestBadOrdersHarmNoOthers: between good orders, whether in a snapshot or in events, bad ones get no bid and take no
// capacity, and the good ones get theirs.
func TestBadOrdersHarmNoOthers(t *testing.T) {
	for _, byEvent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{}
			l := newLoop(t, r)
			l.Enable(0)
			var orders []markettypes.Order
			bad := map[markettypes.OrderID]string{}
			for name, edit := range badOrders {
				good, broken := order(uint64(2*len(bad)+1), 1000, 1), order(uint64(2*len(bad)+2), 1000, 1)
				edit(&broken)
				bad[broken.Id] = name
				orders = append(orders, good, broken)
			}
			start := snapshotOf(0)
			if !byEvent {
				start.Snapshot.Orders = orders
			}
			if err := l.Handle(start); err != nil {
				t.Fatal(err)
			}
			if byEvent {
				var events []proto.Message
				for i := range orders {
					events = append(events, &markettypes.EventOrderCreated{Order: orders[i]})
				}
				if err := l.Handle(chain.Update{Height: 3, Head: 3, Events: events}); err != nil {
					t.Fatal(err)
				}
			}
			run(t, l)
			for _, m := range r.msgs {
				for _, b := range m.(*markettypes.MsgCreateBids).Bids {
					if name, ok := bad[b.OrderId]; ok {
						t.Errorf("%s got a bid", name)
					}
				}
			}
			if r.taken != len(badOrders) {
				t.Errorf("by event %t: %d bids, want %d", byEvent, r.taken, len(badOrders))
			}
			if held := l.holds(); held[inventory.CPU] != int64(1000*len(badOrders)) || held[inventory.GPU] != 0 {
				t.Errorf("by event %t: %v held", byEvent, held)
			}
		})
	}
}

// TestBadProgramHarmsNoOthers: whatever a pricing program does about one order, the others of the block are bid on, at
// its prices, and only they hold capacity.
func TestBadProgramHarmsNoOthers(t *testing.T) {
	const orders = 5
	for name, tc := range map[string]struct {
		do   string // about the first order
		want Code
	}{
		"hangs":          {"sleep 1000", Code(pricing.ProgramLate)},
		"dies":           {"exit 1", Code(pricing.ProgramDown)},
		"dies in a line": {`printf '{"id":'; exit 0`, Code(pricing.ProgramDown)},
		"garbage":        {`echo "$1: not a price"`, Code(pricing.ProgramGarbage)},
		"negative":       {`echo "{\"id\":$1,\"price\":\"-5\"}"`, Code(pricing.ProgramGarbage)},
		"too large":      {`echo "{\"id\":$1,\"price\":\"1000000000000000000000000000000000\"}"`, Code(pricing.ProgramGarbage)},
		"a number":       {`echo "{\"id\":$1,\"price\":5e3}"`, Code(pricing.ProgramGarbage)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The first process misbehaves once, and notes that it did.
			script := `bad() { ` + tc.do + `; }
				while read -r line; do
					id=${line#*\"id\":}; id=${id%%,*}
					if [ ! -e "$DONE" ]; then : > "$DONE"; bad "$id"; continue; fi
					echo "{\"id\":$id,\"price\":\"77\"}"
				done`
			program := pricing.NewProgram(pricing.ProgramConfig{
				Command: []string{"/bin/sh", "-c", script}, Env: map[string]string{"DONE": filepath.Join(t.TempDir(), "done")},
				Timeout: time.Second, StartTimeout: time.Second, BatchTimeout: 20 * time.Second,
			}, slog.New(slog.DiscardHandler))
			defer program.Close()
			r := &recorder{}
			l := newLoop(t, r)
			if err := l.SetTerms(quoted(), program); err != nil {
				t.Fatal(err)
			}
			l.Enable(0)
			if err := l.Handle(snapshotOf(orders)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- l.Run(ctx) }()
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				if c, _ := l.Counts(); c.Open == orders-1 {
					break
				}
				select {
				case <-ctx.Done():
					c, _ := l.Counts()
					t.Fatalf("%+v, decided %v", c, r.codes)
				case <-tick.C:
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if c, _ := l.Counts(); c.Waiting != 1 || r.codes[tc.want] != 1 || r.codes[Accepted] != orders-1 {
				t.Errorf("%d wait, decided %v, want one %q", c.Waiting, r.codes, tc.want)
			}
			if held := l.holds(); held[inventory.CPU] != 1000*(orders-1) {
				t.Errorf("%v held by %d bids", held, orders-1)
			}
			for _, m := range r.msgs {
				for _, b := range m.(*markettypes.MsgCreateBids).Bids {
					if b.OrderId == orderID(1) || !b.Price.Amount.Equal(sdkmath.LegacyNewDec(77)) {
						t.Errorf("bid %+v", b)
					}
				}
			}
		})
	}
}

// TestBadNodeHarmsNoOthers: the devices of a node that reports more than there can be are not sold, its other resources
// and all other nodes are.
func TestBadNodeHarmsNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		l := newLoop(t, r)
		gpu := func(count int64) []cluster.GPU { return []cluster.GPU{{Vendor: "nvidia", Model: "a100", Count: count}} }
		node := func(name string, gpus []cluster.GPU) cluster.Node {
			return cluster.Node{Name: name, CPU: 1000, Memory: 8 << 30, Storage: 64 << 30, Pods: 110, GPUs: gpus}
		}
		supply, problems := inventory.Read([]cluster.Node{node("bad", gpu(math.MaxInt64)), node("well", gpu(2))}, cluster.Pools{}, inventory.Terms{})
		if len(problems) != 1 {
			t.Fatalf("problems %v", problems)
		}
		l.SetSupply(supply, true)
		l.Enable(0)
		if err := l.SetTerms(fixed{pricesOf(100), &policy.Rules{}}, nil); err != nil {
			t.Fatal(err)
		}
		start := snapshotOf(3)
		for i := range 2 {
			start.Snapshot.Orders[i].Spec.Units[0].Gpu.Count = 2
			start.Snapshot.Orders[i].Spec.Units[0].CpuMilli = 100
		}
		if err := l.Handle(start); err != nil {
			t.Fatal(err)
		}
		run(t, l)
		if c, _ := l.Counts(); c.Capacity[inventory.GPU] != 2 || c.Free[inventory.GPU] != 0 || c.Open != 2 || r.codes[Capacity] != 1 {
			t.Errorf("%+v, decided %v: want one order with two devices, one without any and one refused", c, r.codes)
		}
	})
}
