package bid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	markettypes "berth.dev/berth/x/market/types"
)

const (
	// batchSize is the most bids of one message; the chain takes no more.
	batchSize = 100
	// inFlight is the most transactions on their way at once.
	inFlight = 64
	// toldEach is how many decisions of a pass are logged one by one: thousands of lines would keep the bids waiting.
	toldEach = 50
	// closeBatches is the most transactions of one pass that take deposits back.
	closeBatches = 4
	// maxLag is how many blocks behind the head orders are only noted: most of them will be decided by the time the
	// head is reached.
	maxLag = 20
)

// Sender carries messages to the chain; see chain.Sender for the meaning of its errors.
type Sender interface {
	SendWith(ctx context.Context, o chain.Options, msgs ...sdk.Msg) (*client.Result, error)
}

// Observer is told what happens, for metrics.
type Observer interface {
	Decided(code Code)
	BidsSent(taken, refused, lost int)
	// Reached is told the time from seeing a block to the end of a step on the way of the bids on its orders.
	Reached(s Step, after time.Duration)
}

// Step is a part of the way from a block to the bids on its orders.
type Step string

// The steps, in their order. The first two happen once for all orders of a block, the others for each transaction.
const (
	Read      Step = "read"
	Decided   Step = "decided"
	Signed         = Step(chain.Signed)
	Noted          = Step(chain.Noted)
	Broadcast Step = "broadcast"
	// Answered is once for a block, when the last of the bids on its orders has been broadcast.
	Answered Step = "answered"
)

// batch is a transaction that waits to be sent. The message of bids is made as late as its turn comes.
type batch struct {
	bids []markettypes.OrderID
	msg  sdk.Msg
	load Load // of bids
	pass *pass
}

// pass is what is measured of the orders that were decided together.
type pass struct {
	seen time.Time    // when the block that led to it was seen; zero where that says nothing
	left atomic.Int64 // what is not broadcast yet; the deciding itself counts for one
}

// Terms are prices and rules before the length of a block is known, which prices per month depend on.
type Terms interface {
	// Bind gives them for blocks of a length.
	Bind(block time.Duration) (*pricing.Set, *policy.Rules, error)
}

// Quoter asks an external program for prices.
type Quoter interface {
	// Quote answers the questions in their order. It returns soon after ctx ends.
	Quote(ctx context.Context, questions []pricing.Question) []pricing.Quote
}

// LoopConfig is what a Loop needs besides its book.
type LoopConfig struct {
	// Provider is our address.
	Provider string
	// Terms are what is asked of whom.
	Terms Terms
	// Quoter asks the external program of terms that have one.
	Quoter Quoter
	// ValidFor is how long a bid may become a lease.
	ValidFor time.Duration
	Observer Observer
	Log      *slog.Logger
}

// Loop carries the book's bids to the chain: all new orders of a block in one pass, their bids in as few transactions
// as there are hundreds of them. A transaction is on its way as soon as its hundred is decided, while the pass goes on.
// Handle and SetSupply may be called from any goroutine and never wait for the network.
type Loop struct {
	cfg    LoopConfig
	sender Sender
	out    chan batch    // made, to be sent by Run; it always has room
	ask    chan struct{} // there are questions for a pricing program

	mu      sync.Mutex
	book    *Book
	block   time.Duration
	params  markettypes.Params
	ready   bool    // nodes and the chain's state are known
	nodes   bool    // the cluster's nodes are known now
	told    bool    // what the chain says of us is known
	enabled int64   // no bids below this height; 0: none at all yet
	busy    int     // batches that are made and not settled, at most inFlight
	queue   []batch // those for which there was no room
	queries []Question
	asked   time.Time // when the block of the newest question was seen
	crowded bool      // orders were found to have all the bids they take
	lastBid time.Time
	// decided and bids count what the present pass has decided.
	decided, bids int
}

// NewLoop makes a loop for a policy; the policy's prices and rules are replaced by the configuration's terms.
func NewLoop(policy Policy, sender Sender, cfg LoopConfig) *Loop {
	return &Loop{
		cfg: cfg, sender: sender, out: make(chan batch, inFlight), ask: make(chan struct{}, 1), book: NewBook(policy, nil, 0),
	}
}

// SetTerms replaces the terms for orders to come, and for those that were refused by the former ones. When the new ones
// cannot be used the former ones stay.
func (l *Loop) SetTerms(t Terms, q Quoter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.cfg
	l.cfg.Terms, l.cfg.Quoter = t, q
	if err := l.setTerms(); err != nil {
		l.cfg = old
		return err
	}
	return nil
}

// SetBlockTime tells how long a block takes, which prices per month and the validity of bids depend on.
func (l *Loop) SetBlockTime(d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.block = d
	return l.setTerms()
}

// setTerms makes the terms of bids from the configuration, the chain's parameters and the block time, once that is known.
func (l *Loop) setTerms() error {
	if l.block <= 0 {
		return nil
	}
	prices, rules, err := l.cfg.Terms.Bind(l.block)
	if err != nil {
		return err
	}
	l.book.SetTerms(prices, rules, l.params.BidMinDeposits, Blocks(l.cfg.ValidFor, l.block))
	return nil
}

// Enable lets bidding begin once this height has been followed; before, orders are only noted. It is called when the
// provider's record stands on chain and what a former process had on its way shows at the height.
func (l *Loop) Enable(height int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enabled = max(1, height)
}

// SetSupply tells the capacity of the cluster. With ok false it could not be read: what is held stays held, and no new
// bid is made until the cluster answers again.
func (l *Loop) SetSupply(s inventory.Supply, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes = ok
	if ok {
		l.book.SetSupply(s)
	}
}

// SetRecord tells what the chain says of this provider: before the first time no bids are made. Orders that were refused
// for what it said before are looked at again with the next block.
func (l *Loop) SetRecord(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = true
	if l.book.SetRecord(r) {
		l.cfg.Log.Info("the provider's record was read", "attributes", len(r.Attributes), "audits", len(r.Audits))
	}
}

// Handle takes the next update of the chain.
func (l *Loop) Handle(u chain.Update) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := u.Snapshot; s != nil {
		l.params = s.Params
		if err := l.setTerms(); err != nil {
			return err
		}
		draft, _ := s.Collected.(*Draft)
		l.book.Reset(Chain{Height: s.Height, Orders: s.Orders, Draft: draft, Bids: s.Bids, Leases: s.Leases, Held: s.Held})
		l.ready = true
	} else {
		l.book.Block(u.Height, u.Events)
	}
	if u.Head-u.Height <= maxLag && l.decide(u.Seen) > 0 && !u.Seen.IsZero() {
		l.cfg.Observer.Reached(Read, u.Read.Sub(u.Seen))
	}
	return nil
}

// bidding says whether all is known that bids need.
func (l *Loop) bidding() bool {
	return l.enabled != 0 && l.book.height >= l.enabled && l.ready && l.nodes && l.told && l.block > 0 && len(l.params.BidMinDeposits) > 0
}

// decide gives the bids of one pass to Run, and returns how many they are.
func (l *Loop) decide(seen time.Time) (bids int) {
	if !l.bidding() {
		return 0
	}
	l.decided, l.bids = 0, 0
	p := &pass{seen: seen}
	p.left.Store(1)
	var ids []markettypes.OrderID
	l.book.Pass(l.observe, func(id markettypes.OrderID) {
		if ids == nil {
			ids = make([]markettypes.OrderID, 0, batchSize)
		}
		if ids = append(ids, id); len(ids) == batchSize {
			l.enqueue(batch{bids: ids, pass: p})
			ids = nil
		}
	})
	if len(ids) > 0 {
		l.enqueue(batch{bids: slices.Clip(ids), pass: p})
	}
	if l.bids > 0 {
		l.reached(p, Decided)
		l.broadcast(p)
	}
	if l.decided > toldEach {
		l.cfg.Log.Info("decided many orders at once; the rest of them is told at level debug", "orders", l.decided, "bids", l.bids)
	}
	for ids := range slices.Chunk(l.book.TakeExpired(closeBatches*batchSize), batchSize) {
		l.enqueue(batch{msg: &markettypes.MsgCloseBids{Provider: l.cfg.Provider, OrderIds: ids}})
	}
	if questions := l.book.Questions(); len(questions) > 0 {
		l.queries, l.asked = append(l.queries, questions...), seen
		nudge(l.ask)
	}
	return l.bids
}

// enqueue has a batch sent, at once if there is room.
func (l *Loop) enqueue(b batch) {
	if b.pass != nil {
		b.pass.left.Add(1)
	}
	if len(l.queue) > 0 || !l.start(b) {
		l.queue = append(l.queue, b)
	}
}

// start makes a batch and gives it to Run, unless there are as many on their way as there may be.
func (l *Loop) start(b batch) bool {
	if l.busy == inFlight {
		return false
	}
	if len(b.bids) > 0 {
		msg := &markettypes.MsgCreateBids{Provider: l.cfg.Provider, Bids: make([]markettypes.BidItem, 0, len(b.bids))}
		for _, id := range b.bids {
			if item, ok := l.book.Take(id); ok {
				msg.Bids = append(msg.Bids, item)
			}
		}
		if b.bids = nil; len(msg.Bids) == 0 {
			l.broadcast(b.pass) // nothing of it is worth sending any more
			return true
		}
		b.msg, b.load = msg, l.loadOf(msg.Bids)
	}
	l.busy++
	l.out <- b
	return true
}

// finished makes room for the next batch, and starts it unless ctx has ended.
func (l *Loop) finished(ctx context.Context) {
	l.busy--
	for ctx.Err() == nil && len(l.queue) > 0 && l.start(l.queue[0]) {
		l.queue[0] = batch{}
		if l.queue = l.queue[1:]; len(l.queue) == 0 {
			l.queue = nil
		}
	}
}

// nudge wakes who waits on c, once.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keepAsking puts questions to the pricing program, those of a block together, and decides with its answers, until ctx
// ends.
func (l *Loop) keepAsking(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.ask:
		}
		l.mu.Lock()
		queries, quoter, seen := l.queries, l.cfg.Quoter, l.asked
		l.queries = nil
		l.mu.Unlock()
		questions := make([]pricing.Question, len(queries))
		for i := range queries {
			questions[i] = queries[i].Question
		}
		quotes := make([]pricing.Quote, len(queries))
		for i := range quotes {
			quotes[i].Refusal = pricing.Refusal{Code: pricing.ProgramDown, Detail: "there is none any more"}
		}
		if quoter != nil {
			quotes = quoter.Quote(ctx, questions)
		}
		l.mu.Lock()
		for i := range queries {
			l.book.Answer(queries[i].ID, quotes[i])
		}
		l.decide(seen)
		l.mu.Unlock()
	}
}

// loadOf is what the gas of bids depends on.
func (l *Loop) loadOf(items []markettypes.BidItem) Load {
	out := Load{Bids: len(items), Full: l.crowded}
	for i := range items {
		bytes, auditors := l.book.weight(items[i].OrderId)
		out.OrderBytes, out.Auditors = out.OrderBytes+bytes, out.Auditors+auditors
	}
	return out
}

func (l *Loop) observe(o *Order, d Decision) {
	l.cfg.Observer.Decided(d.Reason.Code)
	level := slog.LevelInfo
	if l.decided++; l.decided > toldEach {
		level = slog.LevelDebug
	}
	if d.Bid {
		l.bids++
	}
	switch {
	case !l.cfg.Log.Enabled(context.Background(), level):
	case d.Bid:
		l.cfg.Log.Log(context.Background(), level, "bidding", "order", o.ID.String(), "price", d.Price.String())
	default:
		l.cfg.Log.Log(context.Background(), level, "not bidding",
			"order", o.ID.String(), "reason", string(d.Reason.Code), "why", d.Reason.String())
	}
}

// Counts tells the size of the book and when a bid was last taken by the chain; the zero time if never.
func (l *Loop) Counts() (Counts, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.book.Counts(), l.lastBid
}

// Run sends what Handle decided, until ctx ends; it returns when all its senders have stopped.
func (l *Loop) Run(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(inFlight)
	defer func() { _ = g.Wait() }()
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		l.keepAsking(ctx)
	}()
	defer func() { <-asking }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-l.out:
			g.Go(func() error {
				l.send(ctx, b)
				return nil
			})
		}
	}
}

func (l *Loop) send(ctx context.Context, b batch) {
	var settle func()
	switch m := b.msg.(type) {
	case *markettypes.MsgCreateBids:
		res, err := l.sendBids(ctx, b)
		settle = func() { l.settle(m, res, err) }
	case *markettypes.MsgCloseBids:
		_, err := l.sender.SendWith(ctx, chain.Options{Gas: CloseGas(len(m.OrderIds))}, m)
		settle = func() {
			if err != nil && ctx.Err() == nil {
				l.cfg.Log.Warn("expired bids could not be closed; will try again", "bids", len(m.OrderIds), "err", err)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	settle()
	l.finished(ctx)
}

// sendBids sends bids with the gas of the model. Out of gas, nothing of them was done: the orders are crowded, or the
// deposits were paid one by one, and the batch goes once more, with gas for a crowd or, after that, as a simulation finds.
func (l *Loop) sendBids(ctx context.Context, b batch) (*client.Result, error) {
	var once sync.Once
	sent := func() {
		once.Do(func() {
			l.reached(b.pass, Broadcast)
			l.broadcast(b.pass)
		})
	}
	o := chain.Options{Gas: Gas(b.load), Sent: sent, Passed: func(s chain.Step) { l.reached(b.pass, Step(s)) }}
	res, err := l.sender.SendWith(ctx, o, b.msg)
	for errors.Is(err, sdkerrors.ErrOutOfGas) && o.Gas > 0 {
		o.Gas = 0
		if !b.load.Full {
			b.load.Full = true
			o.Gas = Gas(b.load)
		}
		o.Passed = nil
		l.setCrowded()
		res, err = l.sender.SendWith(ctx, o, b.msg)
	}
	return res, err
}

func (l *Loop) reached(p *pass, s Step) {
	if !p.seen.IsZero() {
		l.cfg.Observer.Reached(s, time.Since(p.seen))
	}
}

// broadcast notes that a part of a pass is done.
func (l *Loop) broadcast(p *pass) {
	if p.left.Add(-1) == 0 {
		l.reached(p, Answered)
	}
}

// setCrowded makes later batches ask for the gas of full orders. It stays so: asking for more than is used costs a part
// of a fee, failing costs all of one.
func (l *Loop) setCrowded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.crowded = true
}

// settle tells the book what became of a batch of bids. One whose outcome is unknown stays on its way: the events of
// its block will confirm it, or the next process reads its bids from the chain.
func (l *Loop) settle(m *markettypes.MsgCreateBids, res *client.Result, err error) {
	if errors.Is(err, client.ErrUnknownOutcome) {
		l.cfg.Observer.BidsSent(0, 0, len(m.Bids))
		return
	}
	if err != nil {
		l.cfg.Log.Warn("bids were not taken; will try again", "bids", len(m.Bids), "err", err)
		for i := range m.Bids {
			l.book.Fail(m.Bids[i].OrderId, true)
		}
		l.cfg.Observer.BidsSent(0, len(m.Bids), 0)
		return
	}
	results, err := bidResults(res, len(m.Bids))
	if err != nil {
		l.cfg.Log.Error("the outcome of bids can't be read; waiting for their events", "err", err)
		l.cfg.Observer.BidsSent(0, 0, len(m.Bids))
		return
	}
	l.record(m, results, res.Height)
}

// record enters the results of a batch that was included.
func (l *Loop) record(m *markettypes.MsgCreateBids, results []markettypes.ItemResult, height int64) {
	taken := 0
	for i, r := range results {
		if r.Code == 0 {
			taken++
			l.book.Confirm(m.Bids[i].OrderId, height)
			continue
		}
		l.cfg.Log.Info("the chain refused a bid", "order", m.Bids[i].OrderId.String(), "codespace", r.Codespace, "code", r.Code)
		l.book.Fail(m.Bids[i].OrderId, isLackOfFunds(r))
	}
	if taken > 0 {
		l.lastBid = time.Now()
	}
	l.cfg.Observer.BidsSent(taken, len(results)-taken, 0)
}

// isLackOfFunds reports whether the bid's deposit could not be paid, which another block may change; every other
// refusal is final for its order.
func isLackOfFunds(r markettypes.ItemResult) bool {
	return r.Codespace == sdkerrors.ErrInsufficientFunds.Codespace() && r.Code == sdkerrors.ErrInsufficientFunds.ABCICode()
}

// bidResults reads the result of each bid out of a transaction's.
func bidResults(res *client.Result, want int) ([]markettypes.ItemResult, error) {
	if len(res.Responses) != 1 {
		return nil, fmt.Errorf("transaction %s has %d responses, not 1", res.Hash, len(res.Responses))
	}
	var out markettypes.MsgCreateBidsResponse
	if err := out.Unmarshal(res.Responses[0].Value); err != nil {
		return nil, fmt.Errorf("decode the results of transaction %s: %w", res.Hash, err)
	}
	if len(out.Results) != want {
		return nil, fmt.Errorf("transaction %s has %d results for %d bids", res.Hash, len(out.Results), want)
	}
	return out.Results, nil
}
