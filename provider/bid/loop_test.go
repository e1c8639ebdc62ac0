package bid

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	markettypes "berth.dev/berth/x/market/types"
)

// recorder answers transactions and counts what it is told.
type recorder struct {
	mu      sync.Mutex
	msgs    []sdk.Msg
	gas     []uint64
	err     error
	results func(n int) []markettypes.ItemResult

	outOfGas             int // how many of the first transactions run out of gas
	broadcasts, answered int
	codes                map[Code]int
	taken, refused, lost int
}

func (r *recorder) SendWith(_ context.Context, o chain.Options, msgs ...sdk.Msg) (*client.Result, error) {
	if o.Sent != nil {
		o.Sent()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.msgs = append(r.msgs, msgs...)
	r.gas = append(r.gas, o.Gas)
	if len(r.gas) <= r.outOfGas {
		return nil, &client.TxError{Codespace: sdkerrors.ErrOutOfGas.Codespace(), Code: sdkerrors.ErrOutOfGas.ABCICode()}
	}
	m, ok := msgs[0].(*markettypes.MsgCreateBids)
	if r.err != nil || !ok {
		return &client.Result{}, r.err
	}
	out := markettypes.MsgCreateBidsResponse{Results: make([]markettypes.ItemResult, len(m.Bids))}
	if r.results != nil {
		out.Results = r.results(len(m.Bids))
	}
	value, err := proto.Marshal(&out)
	return &client.Result{Height: 3, Responses: []*codectypes.Any{{Value: value}}}, err
}

func (r *recorder) Decided(c Code) { r.codes[c]++ }

func (r *recorder) Reached(s Step, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch s {
	case Broadcast:
		r.broadcasts++
	case Answered:
		r.answered++
	}
}

func (r *recorder) BidsSent(taken, refused, lost int) {
	r.taken, r.refused, r.lost = r.taken+taken, r.refused+refused, r.lost+lost
}

// fixed are terms that no block time changes.
type fixed struct {
	prices *pricing.Set
	rules  *policy.Rules
}

func (f fixed) Bind(time.Duration) (*pricing.Set, *policy.Rules, error) {
	return f.prices, f.rules, nil
}

func newLoop(t *testing.T, r *recorder) *Loop {
	t.Helper()
	r.codes = map[Code]int{}
	l := NewLoop(testPolicy(), r, LoopConfig{
		Provider: us, Terms: fixed{pricesOf(100), &policy.Rules{}}, ValidFor: time.Minute, Observer: r, Log: slog.New(slog.DiscardHandler),
	})
	l.SetRecord(testPolicy().Record)
	if err := l.SetBlockTime(500 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	l.SetSupply(inventory.Supply{Nodes: []inventory.Node{{Name: "a", Capacity: inventory.Amounts{
		inventory.CPU: 1 << 40, inventory.Memory: 1 << 50, inventory.Storage: 1 << 55, inventory.Pods: inventory.NoLimit,
	}}}}, true)
	return l
}

func snapshotOf(n int) chain.Update {
	s := &chain.Snapshot{Height: 2, Params: markettypes.Params{BidMinDeposits: []sdk.Coin{sdk.NewInt64Coin("ubrt", 7)}}}
	for i := range n {
		s.Orders = append(s.Orders, order(uint64(i+1), 1000, 1))
	}
	return chain.Update{Height: 2, Head: 2, Snapshot: s, Seen: time.Now()}
}

// run lets the loop send everything it has decided.
func run(t *testing.T, l *Loop) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	synctest.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestLoopBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		l := newLoop(t, r)
		l.Enable(0)
		if err := l.Handle(snapshotOf(250)); err != nil {
			t.Fatal(err)
		}
		run(t, l)
		sizes, seen := map[int]int{}, map[markettypes.OrderID]bool{}
		for _, m := range r.msgs {
			bids := m.(*markettypes.MsgCreateBids).Bids
			sizes[len(bids)]++
			for _, b := range bids {
				seen[b.OrderId] = true
				if b.Deposit.String() != "7ubrt" || b.ValidUntil != 2+120 || b.Price.String() != "100.000000000000000000ubrt" {
					t.Fatalf("bid %+v", b)
				}
			}
		}
		if sizes[100] != 2 || sizes[50] != 1 || len(seen) != 250 || r.taken != 250 || r.codes[Accepted] != 250 {
			t.Errorf("sizes %v, %d orders, %d taken, decided %v", sizes, len(seen), r.taken, r.codes)
		}
		if c, last := l.Counts(); c.Open != 250 || c.Sending != 0 || last.IsZero() {
			t.Errorf("counts %+v, last bid %v", c, last)
		}
	})
}

func TestLoopWaitsUntilItMay(t *testing.T) {
	for name, hold := range map[string]func(*Loop){
		"not registered":       func(*Loop) {},
		"former txs not shown": func(l *Loop) { l.Enable(3) },
		"cluster away":         func(l *Loop) { l.Enable(0); l.SetSupply(inventory.Supply{}, false) },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{}
			l := newLoop(t, r)
			hold(l)
			if err := l.Handle(snapshotOf(1)); err != nil {
				t.Fatal(err)
			}
			run(t, l)
			if len(r.msgs) != 0 {
				t.Errorf("%s: sent %v", name, r.msgs)
			}
			l.Enable(0)
			l.SetSupply(inventory.Supply{Nodes: []inventory.Node{{Name: "a", Capacity: room(4000, 1<<40)}}}, true)
			if err := l.Handle(chain.Update{Height: 3, Head: 3}); err != nil {
				t.Fatal(err)
			}
			run(t, l)
			if len(r.msgs) != 1 {
				t.Errorf("%s: sent %v afterwards, want the bid", name, r.msgs)
			}
		})
	}
}

func TestLoopSettles(t *testing.T) {
	one := func(codespace string, code uint32) func(int) []markettypes.ItemResult {
		return func(int) []markettypes.ItemResult {
			return []markettypes.ItemResult{{Codespace: codespace, Code: code}}
		}
	}
	for name, tc := range map[string]struct {
		err                    error
		results                func(int) []markettypes.ItemResult
		open, sending, waiting int
		again                  bool
	}{
		"taken":           {open: 1},
		"refused":         {results: one("market", 5), waiting: 1},
		"no funds":        {results: one("sdk", 5), waiting: 1, again: true},
		"not included":    {err: chain.ErrNotIncluded, waiting: 1, again: true},
		"tx failed":       {err: &client.TxError{Code: 11}, waiting: 1, again: true},
		"unknown":         {err: client.ErrUnknownOutcome, sending: 1},
		"too few results": {results: func(int) []markettypes.ItemResult { return nil }, sending: 1},
		"anything else":   {err: errors.New("no route"), waiting: 1, again: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{err: tc.err, results: tc.results}
			l := newLoop(t, r)
			l.Enable(0)
			if err := l.Handle(snapshotOf(1)); err != nil {
				t.Fatal(err)
			}
			run(t, l)
			if c, _ := l.Counts(); c.Open != tc.open || c.Sending != tc.sending || c.Waiting != tc.waiting {
				t.Errorf("%s: %+v", name, c)
			}
			if err := l.Handle(chain.Update{Height: 10, Head: 10}); err != nil {
				t.Fatal(err)
			}
			run(t, l)
			if again := len(r.msgs) == 2; again != tc.again {
				t.Errorf("%s: tried again %v, want %v", name, again, tc.again)
			}
		})
	}
}

// TestLoopAsksForMoreGas: bids that ran out of gas go once more with gas for crowded orders, then with a simulation's;
// later batches ask for a crowd at once.
func TestLoopAsksForMoreGas(t *testing.T) {
	for fails, want := range [][]bool{{false}, {false, true}, {false, true, false}} { // whether the gas was that of a crowd
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{outOfGas: fails}
			l := newLoop(t, r)
			l.Enable(0)
			if err := l.Handle(snapshotOf(1)); err != nil {
				t.Fatal(err)
			}
			run(t, l)
			calm, crowd := Gas(l.lastLoad(false)), Gas(l.lastLoad(true))
			gas := []uint64{calm, crowd, 0}[:len(want)]
			if !slices.Equal(r.gas, gas) {
				t.Errorf("asked for %v, want %v", r.gas, gas)
			}
			if c, _ := l.Counts(); c.Open != 1 || r.broadcasts != 1 {
				t.Errorf("%d fails: %+v, %d broadcasts", fails, c, r.broadcasts)
			}
			if l.crowded != (fails > 0) {
				t.Errorf("%d fails: crowded %v", fails, l.crowded)
			}
		})
	}
}

// lastLoad is what a bid on the only order weighs.
func (l *Loop) lastLoad(full bool) Load {
	for id := range l.book.bids {
		bytes, auditors := l.book.weight(id)
		return Load{Bids: 1, OrderBytes: bytes, Auditors: auditors, Full: full}
	}
	return Load{}
}

// gate answers transactions like a recorder, but only as it is told to.
type gate struct {
	*recorder
	open chan struct{}
	in   atomic.Int64
}

func (g *gate) SendWith(ctx context.Context, o chain.Options, msgs ...sdk.Msg) (*client.Result, error) {
	g.in.Add(1)
	<-g.open
	return g.recorder.SendWith(ctx, o, msgs...)
}

// TestLoopMakesBidsInWaves: of a market full of orders only so many bids are made as are on their way, and in the end each
// order has got one.
func TestLoopMakesBidsInWaves(t *testing.T) {
	const orders = (2*inFlight + 3) * batchSize
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		g := &gate{recorder: r, open: make(chan struct{})}
		l := newLoop(t, r)
		l.sender = g
		l.Enable(0)
		if err := l.Handle(snapshotOf(orders)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		synctest.Wait()
		made := 0
		for _, b := range l.book.bids {
			if b.taken {
				made++
			}
		}
		if n := g.in.Load(); n != inFlight || made != inFlight*batchSize {
			t.Errorf("%d transactions on their way with %d bids, want %d", n, made, inFlight)
		}
		// An order that leaves the market before its turn comes gets no bid.
		gone := l.queue[0].bids[0]
		if err := l.Handle(chain.Update{Height: 3, Head: 3, Events: []proto.Message{&markettypes.EventOrderClosed{Order: markettypes.Order{Id: gone}}}}); err != nil {
			t.Fatal(err)
		}
		close(g.open)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		seen := map[markettypes.OrderID]int{}
		for _, m := range r.msgs {
			for _, b := range m.(*markettypes.MsgCreateBids).Bids {
				seen[b.OrderId]++
			}
		}
		if c, _ := l.Counts(); len(seen) != orders-1 || seen[gone] != 0 || r.taken != orders-1 || c.Open != orders-1 || c.Sending != 0 {
			t.Errorf("%d of %d orders bid on, %d taken, counts %+v", len(seen), orders, r.taken, c)
		}
		if len(r.msgs) != 2*inFlight+3 || l.busy != 0 || l.queue != nil {
			t.Errorf("%d transactions, %d busy, %d queued", len(r.msgs), l.busy, len(l.queue))
		}
	})
}

// watcher hears of decisions.
type watcher struct {
	*recorder
	decided func()
}

func (w watcher) Decided(c Code) {
	w.decided()
	w.recorder.Decided(c)
}

// TestLoopSendsWhileItDecides: the first transaction is ready when its bids are, not when the last order is decided; how
// long all of them took is told once.
func TestLoopSendsWhileItDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		l := newLoop(t, r)
		var ready []int
		l.cfg.Observer = watcher{r, func() { ready = append(ready, len(l.out)) }}
		l.Enable(0)
		if err := l.Handle(snapshotOf(250)); err != nil {
			t.Fatal(err)
		}
		if ready[99] != 0 || ready[100] != 1 || ready[200] != 2 || len(l.out) != 3 {
			t.Errorf("transactions ready after each decision: %v, in the end %d", ready, len(l.out))
		}
		run(t, l)
		if r.broadcasts != 3 || r.answered != 1 {
			t.Errorf("%d broadcasts, told %d times that all is answered", r.broadcasts, r.answered)
		}
	})
}
