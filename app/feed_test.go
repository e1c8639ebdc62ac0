package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"berth.dev/berth/internal/squeeze"
	"berth.dev/berth/testutil/chaintest"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// TestFeedOfANode: a running node gives its open orders in pages of any size, to the end, and the orders of its blocks; both
// are those that its queries give.
func TestFeedOfANode(t *testing.T) {
	m := newMarket(t, chaintest.Options{}, nil)
	for dseq := range uint64(5) {
		m.create(dseq+1, 5_000_000, deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_TENANT})
	}
	m.send(tenant, &deploymenttypes.MsgCloseDeployment{Id: m.id(3)})
	conn := m.clients[tenant].Conn()
	listed, err := markettypes.NewQueryClient(conn).Orders(t.Context(), &markettypes.QueryOrdersRequest{State: markettypes.ORDER_STATE_OPEN})
	require.NoError(t, err)
	require.Len(t, listed.Orders, 4)
	feed := markettypes.NewFeedClient(conn)
	for _, limit := range []uint32{0, 1, 2, 3, 4, 5} {
		var got []markettypes.Order
		for req := (&markettypes.FeedOrdersRequest{Limit: limit}); ; {
			res, err := feed.OpenOrders(t.Context(), req)
			require.NoError(t, err, "in pages of %d, after %d orders", limit, len(got))
			data, err := squeeze.Unpack(res.Orders, 1<<20)
			require.NoError(t, err)
			var page markettypes.FeedOrders
			require.NoError(t, page.Unmarshal(data))
			for _, order := range page.Orders {
				var o markettypes.Order
				require.NoError(t, o.Unmarshal(order))
				got = append(got, o)
			}
			if len(res.Next) == 0 {
				break
			}
			req.After = res.Next
		}
		require.Equal(t, listed.Orders, got, "in pages of %d", limit)
	}
	res, err := feed.Blocks(t.Context(), &markettypes.FeedBlocksRequest{From: 1})
	require.NoError(t, err)
	data, err := squeeze.Unpack(res.Blocks, 1<<20)
	require.NoError(t, err)
	var blocks markettypes.FeedBlocks
	require.NoError(t, blocks.Unmarshal(data))
	orders := 0
	for i, b := range blocks.Blocks {
		require.EqualValues(t, i+1, b.Height)
		for _, e := range b.Events {
			if e.Order != nil {
				orders++
			}
		}
	}
	require.Equal(t, 5, orders)
	require.GreaterOrEqual(t, res.Head, blocks.Blocks[len(blocks.Blocks)-1].Height)
}
