package chainbench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// State says what stands in a chain's state before a workload starts. It is made by the messages' own handlers at the
// beginning of a few blocks, without signatures, fees and events: what is in the store afterwards is what transactions
// would have written.
//
// Accounts 0 to Providers-1 are providers, all others tenants.
type State struct {
	Providers int
	// Orders is how many open orders stand without a bid, Leases how many leases are active, each on a deployment of
	// its own.
	Orders, Leases int
	// Deposit is what each deployment has, Rate what each lease earns per block; empty means 10.
	Deposit int64
	Rate    string
	// Auction is the orders' mode; a lease's order is always matched by its tenant.
	Auction deploymenttypes.Auction
	// Chunk is how many deployments are made in a block; 0 means 20,000.
	Chunk int
}

// filler makes a State, one block after the other.
type filler struct {
	c      *Chain
	s      State
	orders []markettypes.OrderID
	done   int
	began  bool
	err    error
	// over is set when nothing is left to do; what stands above may be read then.
	over atomic.Bool
}

// Fill makes the next blocks add a state. It is called before a node starts, or between two blocks.
func (c *Chain) Fill(s State) *filler {
	if s.Chunk == 0 {
		s.Chunk = 20_000
	}
	if s.Deposit == 0 {
		s.Deposit = 5_000_000
	}
	if s.Rate == "" {
		s.Rate = "10"
	}
	f := &filler{c: c, s: s}
	c.fill = f.step
	return f
}

// step runs at the beginning of a block.
func (f *filler) step(ctx sdk.Context) {
	if f.over.Load() {
		return
	}
	if !f.began {
		f.began = true
		for i := range f.s.Providers {
			f.run(ctx, f.c.providerMsg(i))
		}
	}
	for end := min(f.done+f.s.Chunk, f.s.Orders+f.s.Leases); f.done < end && f.err == nil; f.done++ {
		f.deploy(ctx, f.done)
	}
	if f.err != nil || f.done >= f.s.Orders+f.s.Leases {
		f.over.Store(true)
	}
}

// deploy makes the n-th deployment: the first ones have leases, the others open orders.
func (f *filler) deploy(ctx sdk.Context, n int) {
	tenants := len(f.c.keys) - f.s.Providers
	owner, dseq := f.s.Providers+n%tenants, uint64(n/tenants+1)
	auction := f.s.Auction
	if n < f.s.Leases {
		auction = deploymenttypes.Auction{}
	}
	f.run(ctx, f.c.deployMsg(owner, dseq, f.s.Deposit, auction))
	order := f.c.order(owner, dseq)
	if n >= f.s.Leases {
		f.orders = append(f.orders, order)
		return
	}
	provider := n % f.s.Providers
	f.run(ctx, f.c.bidsMsg(provider, f.s.Rate, order))
	f.run(ctx, f.c.leaseMsg(order, provider))
}

// run executes a message as a transaction would.
func (f *filler) run(ctx sdk.Context, msg sdk.Msg) {
	if f.err != nil {
		return
	}
	f.err = f.c.execute(ctx, msg)
}

// execute runs a message's handler; a batch's items must all succeed.
func (c *Chain) execute(ctx context.Context, msg sdk.Msg) error {
	res, err := c.App.MsgServiceRouter().Handler(msg)(sdk.UnwrapSDKContext(ctx), msg)
	if err != nil {
		return fmt.Errorf("%T: %w", msg, err)
	}
	if _, ok := msg.(*markettypes.MsgCreateBids); !ok {
		return nil
	}
	var bids markettypes.MsgCreateBidsResponse
	if err := proto.Unmarshal(res.MsgResponses[0].Value, &bids); err != nil {
		return fmt.Errorf("decode the results: %w", err)
	}
	for i, r := range bids.Results {
		if r.Code != 0 {
			return fmt.Errorf("bid %d: %s %d", i, r.Codespace, r.Code)
		}
	}
	return nil
}

// FillNow adds a state to a chain that Block drives.
func (c *Chain) FillNow(s State) ([]markettypes.OrderID, error) {
	f := c.Fill(s)
	for !f.over.Load() {
		if _, err := c.Block(); err != nil {
			return nil, err
		}
	}
	c.fill = nil
	return f.orders, f.err
}

// waitFilled waits until a node's chain has the state that was asked for before it started.
func (n *Node) waitFilled(f *filler) error {
	for !f.over.Load() {
		if _, err := n.next(10 * time.Minute); err != nil {
			return err
		}
	}
	return f.err
}
