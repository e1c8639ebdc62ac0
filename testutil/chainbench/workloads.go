package chainbench

import (
	"fmt"
	"slices"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/app"
	"berth.dev/berth/internal/nodeconfig"
	markettypes "berth.dev/berth/x/market/types"
)

// Workload is one measurement.
type Workload struct {
	Name, About string
	run         func(*Bench) error
}

// Workloads are all measurements in the order in which they run.
var Workloads = []Workload{
	{"sends", "bank sends under CometBFT", (*Bench).sends},
	{"deployments", "deployment creations under CometBFT", (*Bench).deployments},
	{"bids", "bids in batches of 100 under CometBFT", (*Bench).bids},
	{"writes", "store keys that each message writes", (*Bench).writes},
	{"executors", "the sequential and the parallel executor over the same blocks", (*Bench).executors},
	{"due", "escrow accounts that run dry at once", (*Bench).due},
	{"auctions", "auctions that end at once", (*Bench).auctions},
	{"idle", "idle blocks with a large state, and their cost against a small one", (*Bench).idle},
}

// Bench runs workloads.
type Bench struct {
	*Report
	// Scale multiplies the numbers of transactions and records; 1 gives the published figures.
	Scale float64
	// name is the running workload's.
	name string
}

// Run runs one workload.
func (b *Bench) Run(w Workload) error {
	b.name = w.Name
	start := time.Now()
	b.Say("\n== %s: %s (%s)", w.Name, w.About, Machine())
	if err := w.run(b); err != nil {
		return fmt.Errorf("workload %s: %w", w.Name, err)
	}
	b.Say("  took %s", time.Since(start).Round(100*time.Millisecond))
	return nil
}

// n scales a number, down to at least a floor.
func (b *Bench) n(full, floor int) int { return max(floor, int(float64(full)*b.Scale)) }

// blockTimes are those that the throughput is measured at.
var blockTimes = []time.Duration{nodeconfig.BlockTime, 200 * time.Millisecond}

// sends measures committed bank sends: a thousand senders, several transactions each.
func (b *Bench) sends() error {
	senders := b.n(1000, 50)
	for _, blockTime := range blockTimes {
		err := b.load(loadSpec{
			what: "sends", blockTime: blockTime, target: 1800, accounts: senders,
			txs: func(c *Chain, _ []markettypes.OrderID) ([][]byte, int, error) {
				return c.signAll(b.n(10_000, 200), func(i int) (int, sdk.Msg) {
					return i % senders, c.sendMsg(i%senders, (i+senders/2)%senders)
				})
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deployments measures deployment creations on an empty market.
func (b *Bench) deployments() error {
	tenants := b.n(1000, 50)
	for _, blockTime := range blockTimes {
		err := b.load(loadSpec{
			what: "creations", blockTime: blockTime, target: 800, accounts: tenants,
			txs: func(c *Chain, _ []markettypes.OrderID) ([][]byte, int, error) {
				return c.signAll(b.n(4000, 100), func(i int) (int, sdk.Msg) {
					return i % tenants, c.deployMsg(i%tenants, uint64(i/tenants+1), 5_000_000, noAuction)
				})
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// providers are as many as an order takes bids.
const providers = 20

// bids measures bids in batches: on a market of about 10,000 keys, and on one of 100,000.
func (b *Bench) bids() error {
	for _, market := range []struct {
		orders int
		target float64
	}{{1000, 2500}, {12_500, 0}} {
		for _, blockTime := range blockTimes {
			err := b.load(loadSpec{
				what: "bids", blockTime: blockTime, target: market.target, accounts: providers + 1000,
				state: State{Providers: providers, Orders: b.n(market.orders, batch)},
				txs: func(c *Chain, orders []markettypes.OrderID) ([][]byte, int, error) {
					return c.bidTxs(spread(orders, b.n(1000, batch)))
				},
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// spread picks n orders that lie evenly among all.
func spread(orders []markettypes.OrderID, n int) []markettypes.OrderID {
	if n >= len(orders) {
		return orders
	}
	picked := make([]markettypes.OrderID, n)
	for i := range picked {
		picked[i] = orders[i*len(orders)/n]
	}
	return picked
}

// bidTxs are bids of every provider on every order.
func (c *Chain) bidTxs(orders []markettypes.OrderID) (txs [][]byte, bids int, err error) {
	var gas uint64
	for chunk := range slices.Chunk(orders, batch) {
		for p := range providers {
			msg := c.bidsMsg(p, fmt.Sprint(100+p), chunk...)
			if gas == 0 {
				if gas, err = c.gas(p, msg); err != nil {
					return nil, 0, err
				}
				gas = gas * 6 / 5 // later bids on an order read those before them
			}
			tx, err := c.Sign(p, gas, msg)
			if err != nil {
				return nil, 0, err
			}
			txs, bids = append(txs, tx), bids+len(chunk)
		}
	}
	return txs, bids, nil
}

// signAll signs n transactions of one message each. All have the same gas, a quarter more than the first one uses.
func (c *Chain) signAll(n int, message func(i int) (int, sdk.Msg)) (txs [][]byte, count int, err error) {
	var gas uint64
	for i := range n {
		from, msg := message(i)
		if gas == 0 {
			if gas, err = c.gas(from, msg); err != nil {
				return nil, 0, err
			}
		}
		tx, err := c.Sign(from, gas, msg)
		if err != nil {
			return nil, 0, err
		}
		txs = append(txs, tx)
	}
	return txs, n, nil
}

// gas is what a client would set for a message: a quarter more than it uses in a simulation.
func (c *Chain) gas(from int, msg sdk.Msg) (uint64, error) {
	tx, err := c.Sign(from, app.MaxBlockGas, msg)
	if err != nil {
		return 0, err
	}
	c.seqs[from]--
	info, _, err := c.App.Simulate(tx)
	if err != nil {
		return 0, fmt.Errorf("simulate %T: %w", msg, err)
	}
	return info.GasUsed * 5 / 4, nil
}

// loadSpec is a load of transactions on a running node.
type loadSpec struct {
	what      string
	blockTime time.Duration
	// target is the least rate; 0 means that there is none.
	target   float64
	accounts int
	state    State
	// txs signs the transactions; units is how many things, of which the rate is measured, are in them.
	txs func(c *Chain, orders []markettypes.OrderID) (txs [][]byte, units int, err error)
}

// load measures a load and reports its rate.
func (b *Bench) load(s loadSpec) error {
	c, err := NewChain(Options{Accounts: s.accounts})
	if err != nil {
		return err
	}
	defer c.Close()
	fill := c.Fill(s.state)
	n, err := StartNode(c, NodeOptions{BlockTime: s.blockTime})
	if err != nil {
		return err
	}
	defer n.Stop()
	if err := n.waitFilled(fill); err != nil {
		return err
	}
	if _, err := n.next(quiet); err != nil { // so that a simulation sees what was filled in
		return err
	}
	txs, units, err := s.txs(c, fill.orders)
	if err != nil {
		return err
	}
	before, err := c.countKeys()
	if err != nil {
		return err
	}
	r, err := n.Load(txs)
	if err != nil {
		return err
	}
	after, err := c.countKeys()
	if err != nil {
		return err
	}
	if err := b.checkBatches(r.Results); err != nil {
		return err
	}
	b.reportLoad(s, r, units, before, after)
	return nil
}

// checkBatches fails if an item of a batch was refused: a rate of refusals would be no figure.
func (b *Bench) checkBatches(results []*abci.ExecTxResult) error {
	for _, r := range results {
		var data sdk.TxMsgData
		if err := proto.Unmarshal(r.Data, &data); err != nil {
			return fmt.Errorf("decode a result: %w", err)
		}
		for _, response := range data.MsgResponses {
			if response.TypeUrl != "/"+proto.MessageName(&markettypes.MsgCreateBidsResponse{}) {
				continue
			}
			var bids markettypes.MsgCreateBidsResponse
			if err := proto.Unmarshal(response.Value, &bids); err != nil {
				return fmt.Errorf("decode bids' results: %w", err)
			}
			for i, item := range bids.Results {
				if item.Code != 0 {
					return fmt.Errorf("bid %d of a batch was refused: %s %d", i, item.Codespace, item.Code)
				}
			}
		}
	}
	return nil
}

func (b *Bench) reportLoad(s loadSpec, r Run, units, before, after int) {
	rate := float64(units) / r.Wall.Seconds()
	gas := int64(0)
	for _, res := range r.Results {
		gas += res.GasUsed
	}
	finalize := summarise(r.Spans["finalize"])
	b.Say("  %s at %s: %d transactions with %d %s in %d blocks of up to %d, %s; %d to %d keys in the market's stores", s.what, s.blockTime,
		r.Committed, units, s.what, r.Blocks, r.Largest, r.Wall.Round(time.Millisecond), before, after)
	b.Say("    CPU %s each, %.2f cores; gas %d a transaction, %.0f ns a unit executed", us(r.CPU/time.Duration(units)), r.CPU.Seconds()/r.Wall.Seconds(),
		gas/int64(r.Committed), float64((finalize.sum+summarise(r.Spans["commit"]).sum).Nanoseconds())/float64(gas))
	b.Say("    block intervals: %s", summarise(r.Intervals))
	wanted := int64(0)
	for _, res := range r.Results {
		wanted += res.GasWanted
	}
	// A proposal is full by what its transactions may use; what they do use is less.
	full := time.Duration(float64(app.MaxBlockGas) / float64(wanted) * float64(finalize.sum+summarise(r.Spans["commit"]).sum))
	for _, span := range []string{"check", "recheck", "finalize", "commit"} {
		if t := summarise(r.Spans[span]); t.n > 0 {
			b.Say("    %-9s %6d calls, %8s in all; %s", span, t.n, ms(t.sum), t)
		}
	}
	what := fmt.Sprintf("%s, %s blocks, %d keys at the start", s.what, s.blockTime, before)
	if s.target > 0 {
		b.AtLeast(b.name, what, rate, s.target)
	} else {
		b.Figure(b.name, what, fmt.Sprintf("%.0f/s", rate))
	}
	if s.target > 0 && s.blockTime == nodeconfig.BlockTime {
		b.AtMost(b.name, fmt.Sprintf("a block full of %s, FinalizeBlock and Commit", s.what), full, nodeconfig.BlockTime)
	}
}
