package chain

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	comettypes "github.com/cometbft/cometbft/types"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	markettypes "berth.dev/berth/x/market/types"
)

// flakyChain takes unordered transactions as a real one does, and loses answers and transactions on the way. Time is
// that of its blocks; every question makes one.
type flakyChain struct {
	mu       sync.Mutex
	r        *rand.Rand
	height   int64
	now      time.Time
	pool     [][]byte
	timeouts map[string]time.Time
	included map[string]int
	heights  map[string]int64
	built    int

	loseBroadcast, loseTx, loseAnswer int // percent
	refuse                            error
}

func newFlakyChain(seed uint64) *flakyChain {
	return &flakyChain{
		r: rand.New(rand.NewPCG(seed, 1)), height: 1, now: time.Unix(1000, 0), timeouts: map[string]time.Time{},
		included: map[string]int{}, heights: map[string]int64{},
	}
}

func (c *flakyChain) chance(percent int) bool { return c.r.IntN(100) < percent }

// block includes what is in the pool and still alive.
func (c *flakyChain) block() {
	c.height++
	c.now = c.now.Add(time.Second)
	for _, tx := range c.pool {
		hash := string(comettypes.Tx(tx).Hash())
		if c.included[hash] > 0 || c.timeouts[string(tx)].Before(c.now) {
			continue
		}
		c.included[hash]++
		c.heights[hash] = c.height
	}
	c.pool = nil
}

func (c *flakyChain) Account(context.Context) (uint64, uint64, error) { return 7, 0, nil }

func (c *flakyChain) Estimate(context.Context, ...sdk.Msg) (client.Fee, error) {
	return client.Fee{Gas: 1}, nil
}

func (c *flakyChain) Head(context.Context) (client.Head, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chance(c.loseAnswer) {
		return client.Head{}, errors.New("no answer")
	}
	c.block()
	return client.Head{Height: c.height, Time: c.now}, nil
}

func (c *flakyChain) BuildTx(_ context.Context, o client.BuildOptions, _ ...sdk.Msg) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !o.Unordered || o.Sequence != 0 || o.AccountNumber != 7 {
		return nil, fmt.Errorf("bad options %+v", o)
	}
	c.built++
	tx := fmt.Appendf(nil, "%d", o.TimeoutTimestamp.UnixNano())
	if _, dup := c.timeouts[string(tx)]; dup {
		return nil, errors.New("a nonce was given out twice")
	}
	c.timeouts[string(tx)] = o.TimeoutTimestamp
	return tx, nil
}

func (c *flakyChain) Broadcast(_ context.Context, tx []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hash := comettypes.Tx(tx).Hash()
	if c.refuse != nil {
		return hash, c.refuse
	}
	if c.chance(c.loseBroadcast) {
		return hash, client.ErrUnknownOutcome
	}
	if !c.chance(c.loseTx) {
		c.pool = append(c.pool, tx)
	}
	if c.chance(c.loseAnswer) {
		return hash, client.ErrUnknownOutcome
	}
	return hash, nil
}

func (c *flakyChain) FindTx(_ context.Context, hash []byte) (*client.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chance(c.loseAnswer) {
		return nil, errors.New("no answer")
	}
	if h := c.heights[string(hash)]; h > 0 && c.height > h { // the index is a block late
		return &client.Result{Height: h}, nil
	}
	return nil, client.ErrTxNotFound
}

func quickSender(t testing.TB, c TxClient, journal string) *Sender {
	s, err := NewSender(c, SenderConfig{Journal: journal, Poll: time.Microsecond, Resend: 20 * time.Microsecond, ClockAge: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSendOverALossyNetwork: Send's answer is always the truth, and no transaction is included twice, whatever gets
// lost. 1,000 transactions, of which a good part meets each kind of loss.
func TestSendOverALossyNetwork(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := newFlakyChain(seed)
	c.loseBroadcast, c.loseTx, c.loseAnswer = 20, 20, 20
	s := quickSender(t, c, "")
	sent, expired, failed := 0, 0, 0
	for range 1000 {
		built, before := c.built, total(c.included)
		_, err := s.Send(t.Context(), &markettypes.MsgCreateBids{})
		took := total(c.included) - before
		switch {
		case err == nil && took == 1:
			sent++
		case errors.Is(err, ErrNotIncluded) && took == 0:
			expired++
		case err != nil && c.built == built && took == 0:
			failed++ // never handed over
		default:
			t.Fatalf("Send = %v, yet the chain took %d", err, took)
		}
	}
	for hash, n := range c.included {
		if n != 1 {
			t.Errorf("transaction %x was included %d times", hash, n)
		}
	}
	t.Logf("%d sent, %d expired, %d not handed over", sent, expired, failed)
	if sent < 500 {
		t.Errorf("only %d of 1000 got through", sent)
	}
}

func total(m map[string]int) (n int) {
	for _, k := range m {
		n += k
	}
	return n
}

func TestSendGivesRefusals(t *testing.T) {
	c := newFlakyChain(1)
	c.refuse = &client.TxError{Codespace: "sdk", Code: 5, Log: "no funds"}
	_, err := quickSender(t, c, "").Send(t.Context(), &markettypes.MsgCreateBids{})
	var refused *client.TxError
	if !errors.As(err, &refused) {
		t.Errorf("Send = %v, want the refusal", err)
	}
}

// TestRecoverWaitsForTheFormerProcess: a process that ends with a transaction on its way leaves it in the journal, and
// the next one knows its outcome before it goes on.
func TestRecoverWaitsForTheFormerProcess(t *testing.T) {
	for name, lost := range map[string]int{"included": 0, "lost": 100} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "inflight.json")
			c := newFlakyChain(1)
			c.loseTx = lost
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := quickSender(t, c, file).Send(ctx, &markettypes.MsgCreateBids{}); !errors.Is(err, client.ErrUnknownOutcome) {
				t.Fatalf("Send = %v, want ErrUnknownOutcome", err)
			}
			next := quickSender(t, c, file)
			if flights, err := next.journal.flights(); err != nil || len(flights) != 1 {
				t.Fatalf("journal: %v, %v, want one", flights, err)
			}
			height, err := next.Recover(t.Context())
			if err != nil || (height > 0) != (lost == 0) {
				t.Fatalf("Recover = %d, %v", height, err)
			}
			if lost > 0 && c.now.Before(time.Unix(1000, 0).Add(20*time.Second)) {
				t.Error("Recover did not wait for the timeout")
			}
			if flights, _ := quickSender(t, c, file).journal.flights(); len(flights) != 0 {
				t.Errorf("still in the journal: %v", flights)
			}
		})
	}
}
