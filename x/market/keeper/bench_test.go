package keeper_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
)

// benchTB makes a benchmark fit for the harness.
type benchTB struct{ *testing.B }

// BenchmarkBid is what placing one bid of a batch of 100 costs the state machine, without what the store's commit does.
func BenchmarkBid(b *testing.B) {
	c := newChain(benchTB{b})
	c.register(0)
	var orders []types.BidItem
	for i := range uint64(100) {
		orders = append(orders, item(c.deploy(deployMsg(0, i+1)), 100))
	}
	msg := &types.MsgCreateBids{Provider: provider(0), Bids: orders}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += len(orders) {
		ctx, _ := c.ctx.CacheContext()
		res, err := c.msgs.CreateBids(context.Context(ctx), msg)
		require.NoError(b, err)
		require.Zero(b, res.Results[99].Code)
	}
}

// BenchmarkEndBlock is an end block with more work than it may do, of refunds only or of auctions only, and the commit
// of what it has changed, on goleveldb with some 100,000 keys in the market's store. The longest of the blocks is what
// max_work_per_block was chosen by.
func BenchmarkEndBlock(b *testing.B) {
	for name, kind := range map[string]struct{ auction, bidders int }{
		"refunds of 20 bids":  {0, 20},
		"auctions of 20 bids": {1, 20},
		"auctions of one bid": {1, 1},
	} {
		b.Run(name, func(b *testing.B) {
			db, err := dbm.NewGoLevelDB("bench", b.TempDir(), nil)
			require.NoError(b, err)
			b.Cleanup(func() { _ = db.Close() })
			c := newChainOn(benchTB{b}, db)
			c.fill(30_000)
			for i := range kind.bidders {
				c.register(i)
			}
			longest, busiest, dseq := time.Duration(0), time.Duration(0), uint64(1_000_000)
			for range b.N {
				b.StopTimer()
				c.overload(&dseq, kind.auction == 1, kind.bidders)
				b.StartTimer()
				start, cpu := time.Now(), cpuTime(b)
				require.NoError(b, c.market.EndBlock(c.ctx))
				c.stores.Commit()
				longest, busiest = max(longest, time.Since(start)), max(busiest, cpuTime(b)-cpu)
			}
			b.ReportMetric(float64(longest.Milliseconds()), "ms/longest")
			b.ReportMetric(float64(busiest.Milliseconds()), "cpu-ms/longest")
		})
	}
}

// cpuTime is what the process has used of its processors: unlike the time on the wall it does not depend on what else
// the machine does.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill writes orders, and bids that have ended, of deployments that no test touches, and commits them.
func (c *chain) fill(orders int) {
	gs := types.GenesisState{Params: types.DefaultParams()}
	gs.Params.BidMinDeposits[0].Amount = math.NewInt(500)
	for i := range orders {
		id := types.OrderID{Owner: tenant(9), Dseq: uint64(i) + 1, Gseq: 1, Oseq: 1}
		gs.Orders = append(gs.Orders, types.Order{Id: id, State: types.ORDER_STATE_OPEN, Spec: deployMsg(0, 1).Groups[0]})
		gs.Bids = append(gs.Bids, types.Bid{Id: id.BidID(provider(29)), State: types.BID_STATE_CLOSED, Price: dec(1), Deposit: coin(500)})
	}
	require.NoError(c.t, c.market.InitGenesis(c.ctx, gs))
	c.stores.Commit()
}

// overload makes more work than an end block may do, and commits it: orders that have ended with bids on them, or
// auctions whose window has.
func (c *chain) overload(dseq *uint64, auctions bool, bidders int) {
	height := c.ctx.BlockHeight()
	for range types.DefaultMaxWorkPerBlock/(bidders+1) + 1 {
		*dseq++
		msg := deployMsg(0, *dseq)
		if auctions {
			msg.Auction = lowest(1)
		}
		id := c.deploy(msg)
		for i := range bidders {
			require.Equal(c.t, []types.ItemResult{{}}, c.bids(i, item(id, int64(100+i))), fmt.Sprint(id))
		}
		if !auctions {
			require.NoError(c.t, c.closeDeployment(deploymenttypes.DeploymentID{Owner: id.Owner, Dseq: id.Dseq}))
		}
	}
	c.stores.Commit()
	c.ctx = c.ctx.WithBlockHeight(height + 1)
}
