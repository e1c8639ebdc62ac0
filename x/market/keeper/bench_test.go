package keeper_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

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
