package chainbench

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/server/config"
	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
)

var noAuction deploymenttypes.Auction

// driven makes a chain that is driven block by block, with a state.
func driven(o Options, s State) (*Chain, []markettypes.OrderID, error) {
	c, err := NewChain(o)
	if err != nil {
		return nil, nil, err
	}
	err = c.InitChain()
	var orders []markettypes.OrderID
	if err == nil {
		orders, err = c.FillNow(s)
	}
	if err == nil {
		_, err = c.Block()
	}
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, orders, nil
}

// must executes a block in which every transaction succeeds.
func (c *Chain) must(txs ...[]byte) (BlockResult, error) {
	res, err := c.Block(txs...)
	if err != nil {
		return res, err
	}
	if n, why := failures(res.TxResults); n > 0 {
		return res, fmt.Errorf("block %d: %d transactions failed, the first with %s", c.height, n, why)
	}
	return res, nil
}

// writes counts the keys that each message writes, in blocks of several transactions of its kind.
func (b *Bench) writes() error {
	const n = 20
	c, orders, err := driven(Options{Accounts: providers + 4*n, MemDB: true}, State{Providers: providers, Orders: batch})
	if err != nil {
		return err
	}
	defer c.Close()
	c.countWrites()
	empty, err := c.writesOf(nil)
	if err != nil {
		return err
	}
	tenant := func(i int) int { return providers + i }
	steps := []struct {
		what    string
		units   int
		message func(i int) (int, sdk.Msg)
		txs     int
	}{
		{"bank send", n, func(i int) (int, sdk.Msg) { return tenant(i), c.sendMsg(tenant(i), tenant(i+n)) }, n},
		{"deployment creation, one group", n, func(i int) (int, sdk.Msg) {
			return tenant(i), c.deployMsg(tenant(i), 100, 5_000_000, noAuction)
		}, n},
		{"deployment creation with an auction", n, func(i int) (int, sdk.Msg) {
			return tenant(i), c.deployMsg(tenant(i), 101, 5_000_000, lowest(50))
		}, n},
		{"bid in a batch of 100", providers * batch, func(i int) (int, sdk.Msg) { return i, c.bidsMsg(i, "100", orders...) }, providers},
		{"a lone bid", n, func(i int) (int, sdk.Msg) {
			return i % providers, c.bidsMsg(i%providers, "100", c.order(tenant(i), 100))
		}, n},
		{"lease of the only bid", n, func(i int) (int, sdk.Msg) {
			return tenant(i), c.leaseMsg(c.order(tenant(i), 100), i%providers)
		}, n},
		{"lease closed by its tenant", n, func(i int) (int, sdk.Msg) {
			return tenant(i), &markettypes.MsgCloseLease{Signer: c.Addr(tenant(i)).String(), Id: c.order(tenant(i), 100).BidID(c.Addr(i % providers).String())}
		}, n},
		{"deployment closed, its order open", n, func(i int) (int, sdk.Msg) {
			return tenant(i), &deploymenttypes.MsgCloseDeployment{Id: c.deploymentID(tenant(i), 100)}
		}, n},
	}
	for _, s := range steps {
		var txs [][]byte
		for i := range s.txs {
			from, msg := s.message(i)
			tx, err := c.Sign(from, 100_000_000, msg)
			if err != nil {
				return err
			}
			txs = append(txs, tx)
		}
		w, err := c.writesOf(txs)
		if err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		if s.what == "bid in a batch of 100" {
			mine := w.ours(empty, s.units)
			b.Holds(b.name, s.what, w.per(empty, s.units), "at most 4", mine <= 4)
			continue
		}
		b.Figure(b.name, s.what, w.per(empty, s.units))
	}
	return nil
}

// writesOf counts the keys that a block of transactions writes.
func (c *Chain) writesOf(txs [][]byte) (Writes, error) {
	if _, err := c.must(txs...); err != nil {
		return nil, err
	}
	return c.takeWrites(), nil
}

// executors runs the same blocks with each executor: the hashes must agree, and the times can be compared.
func (b *Bench) executors() error {
	senders := b.n(500, 20)
	blocks := b.n(4, 2)
	kinds := []struct {
		what  string
		state State
		txs   func(c *Chain, orders []markettypes.OrderID, block int) ([][]byte, int, error)
	}{
		{"sends", State{Providers: providers}, func(c *Chain, _ []markettypes.OrderID, _ int) ([][]byte, int, error) {
			return c.signAll(senders, func(i int) (int, sdk.Msg) {
				return providers + i, c.sendMsg(providers+i, providers+(i+senders/2)%senders)
			})
		}},
		{"creations", State{Providers: providers}, func(c *Chain, _ []markettypes.OrderID, block int) ([][]byte, int, error) {
			return c.signAll(senders, func(i int) (int, sdk.Msg) {
				return providers + i, c.deployMsg(providers+i, uint64(block+1), 5_000_000, noAuction)
			})
		}},
		{"bids", State{Providers: providers, Orders: blocks * batch}, func(c *Chain, orders []markettypes.OrderID, block int) ([][]byte, int, error) {
			return c.bidTxs(orders[block*batch : (block+1)*batch])
		}},
	}
	for _, kind := range kinds {
		var hashes []string
		for _, executor := range []string{config.BlockExecutorSequential, config.BlockExecutorBlockSTM} {
			hash, err := b.execute(kind.what, executor, blocks, senders, kind.state, kind.txs)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", kind.what, executor, err)
			}
			hashes = append(hashes, hash)
		}
		b.Holds(b.name, kind.what+": app hash of both executors", hashes[0], "equal", hashes[0] == hashes[1])
	}
	return nil
}

func (b *Bench) execute(what, executor string, blocks, senders int, state State,
	sign func(*Chain, []markettypes.OrderID, int) ([][]byte, int, error),
) (hash string, err error) {
	c, orders, err := driven(Options{Accounts: providers + senders, Executor: executor, MemDB: true}, state)
	if err != nil {
		return "", err
	}
	defer c.Close()
	var wall, cpu time.Duration
	total := 0
	for i := range blocks {
		txs, units, err := sign(c, orders, i)
		if err != nil {
			return "", err
		}
		res, err := c.must(txs...)
		if err != nil {
			return "", err
		}
		wall, cpu, total = wall+res.Finalize+res.Commit, cpu+res.CPU, total+units
		hash = fmt.Sprintf("%X", res.AppHash[:4])
	}
	b.Figure(b.name, what+", "+executor, fmt.Sprintf("%s each, CPU %s (memory, FinalizeBlock and Commit)", us(wall/time.Duration(total)), us(cpu/time.Duration(total))))
	return hash, nil
}

const (
	suspended = "berth.market.v1.EventLeaseSuspended"
	closed    = "berth.market.v1.EventLeaseClosed"
)

// graceBlocks is the grace of the due workload: short, so that the closing is measured too.
const graceBlocks = 40

// due lets all escrow accounts run dry in one block, waits until their leases are suspended, and until they are closed.
func (b *Bench) due() error {
	accounts := b.n(10_000, 100)
	c, _, err := driven(Options{Accounts: providers + 1000, Genesis: func(cdc codec.JSONCodec, state map[string]json.RawMessage) {
		var g escrowtypes.GenesisState
		cdc.MustUnmarshalJSON(state[escrowtypes.ModuleName], &g)
		g.Params.GraceBlocks = graceBlocks
		state[escrowtypes.ModuleName] = cdc.MustMarshalJSON(&g)
	}}, State{Providers: providers, Leases: accounts, Deposit: 500_000, Rate: "50000", Chunk: accounts})
	if err != nil {
		return err
	}
	defer c.Close()
	var finalize, commit, cpu []time.Duration
	waves := map[string]int{}
	for idle := 0; idle < graceBlocks+20; idle++ {
		res, err := c.Block()
		if err != nil {
			return err
		}
		finalize, commit, cpu = append(finalize, res.Finalize), append(commit, res.Commit), append(cpu, res.CPU)
		for _, e := range res.Events {
			switch e.Type {
			case suspended, closed:
				waves[e.Type]++
				idle = 0
			}
		}
	}
	for _, event := range []string{suspended, closed} {
		b.Holds(b.name, event, fmt.Sprint(waves[event]), fmt.Sprint(accounts), waves[event] == accounts)
	}
	b.Say("  %d blocks: FinalizeBlock %s; Commit %s; CPU of both %s", len(finalize), summarise(finalize), summarise(commit), summarise(cpu))
	b.Figure(b.name, fmt.Sprintf("longest Commit, %d accounts", accounts), ms(summarise(commit).max))
	b.AtMost(b.name, fmt.Sprintf("longest FinalizeBlock, %d accounts", accounts), summarise(finalize).max, 200*time.Millisecond)
	return nil
}

// auctions lets many auctions with full bids end in one block.
func (b *Bench) auctions() error {
	n := b.n(400, batch)
	window := uint32(n/batch + 8)
	c, orders, err := driven(Options{Accounts: providers + 400}, State{Providers: providers, Orders: n, Auction: lowest(window), Chunk: n})
	if err != nil {
		return err
	}
	defer c.Close()
	for chunk := range slices.Chunk(orders, batch) {
		txs, _, err := c.bidTxs(chunk)
		if err != nil {
			return err
		}
		if _, err := c.must(txs...); err != nil {
			return err
		}
	}
	var finalize, commit, cpu []time.Duration
	leases, lost := 0, 0
	for idle := 0; idle < int(window)+5; idle++ {
		res, err := c.Block()
		if err != nil {
			return err
		}
		finalize, commit, cpu = append(finalize, res.Finalize), append(commit, res.Commit), append(cpu, res.CPU)
		for _, e := range res.Events {
			switch e.Type {
			case "berth.market.v1.EventLeaseCreated":
				leases, idle = leases+1, 0
			case "berth.market.v1.EventBidClosed":
				lost, idle = lost+1, 0
			}
		}
	}
	b.Say("  %d blocks: FinalizeBlock %s; Commit %s; CPU of both %s", len(finalize), summarise(finalize), summarise(commit), summarise(cpu))
	b.Holds(b.name, "auctions decided, bids refunded", fmt.Sprintf("%d, %d", leases, lost), fmt.Sprintf("%d, %d", n, n*(providers-1)), leases == n && lost == n*(providers-1))
	b.AtMost(b.name, fmt.Sprintf("longest FinalizeBlock, %d auctions of %d bids", n, providers), summarise(finalize).max, 200*time.Millisecond)
	return nil
}

// idle starts a node on a large state, watches its idle blocks, and compares what an empty block costs with a small state.
func (b *Bench) idle() error {
	orders, leases, few := b.n(100_000, 500), b.n(200_000, 1000), b.n(1000, 10)
	c, err := NewChain(Options{Accounts: providers + 2000})
	if err != nil {
		return err
	}
	defer c.Close()
	start := time.Now()
	fill := c.Fill(State{Providers: providers, Orders: orders, Leases: leases})
	n, err := StartNode(c, NodeOptions{})
	if err != nil {
		return err
	}
	if err := n.waitFilled(fill); err != nil {
		n.Stop()
		return err
	}
	b.Say("  %d open orders and %d active leases made in %s", orders, leases, time.Since(start).Round(time.Second))
	if _, err := n.Idle(3); err != nil { // what the filling left to do
		n.Stop()
		return err
	}
	times, err := n.Idle(b.n(20, 4))
	n.Stop()
	if err != nil {
		return err
	}
	s := summarise(times)
	b.Say("  idle blocks: %s", s)
	b.Holds(b.name, fmt.Sprintf("idle block interval, %d open orders, %d active leases", orders, leases), ms(s.median), "500 ms, within 5 %", s.median < 525*time.Millisecond)
	return b.emptyBlocks(c, leases, few)
}

// emptyBlocks compares the cost of empty blocks of two chains, in turns, so that what else the machine does hits both.
func (b *Bench) emptyBlocks(large *Chain, leases, few int) error {
	small, _, err := driven(Options{Accounts: providers + 2000}, State{Providers: providers, Leases: few})
	if err != nil {
		return err
	}
	defer small.Close()
	large.time = large.time.Add(time.Hour)
	var cost [2][]time.Duration
	for range b.n(300, 30) {
		for i, c := range []*Chain{large, small} {
			res, err := c.must()
			if err != nil {
				return err
			}
			cost[i] = append(cost[i], res.Finalize+res.Commit)
		}
	}
	l, s := summarise(cost[0]), summarise(cost[1])
	ratio := float64(l.median) / float64(s.median)
	b.Say("  empty block, %d leases: %s", leases, l)
	b.Say("  empty block, %d leases: %s", few, s)
	b.Holds(b.name, fmt.Sprintf("empty block with %d leases against %d, medians", leases, few), fmt.Sprintf("%s / %s = %.3f", ms(l.median), ms(s.median), ratio), "at most 1.100", ratio <= 1.1)
	return nil
}
