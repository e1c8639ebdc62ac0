package chainbench

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/app"
	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/chain"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// TestBidGas: what a provider asks for without a simulation is what the chain takes and some more, not twice as much
// for batches of a size that matters.
func TestBidGas(t *testing.T) {
	const bidders, tenants, hot = 30, 6, 29
	c, _, err := driven(Options{Accounts: bidders + tenants, MemDB: true}, State{Providers: bidders})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	used := func(from int, msg sdk.Msg) uint64 {
		t.Helper()
		tx, err := c.Sign(from, app.MaxBlockGas, msg)
		require.NoError(t, err)
		res, err := c.must(tx)
		require.NoError(t, err)
		return uint64(res.TxResults[0].GasUsed)
	}
	var small, large []markettypes.OrderID
	for i := range tenants {
		msg := c.largestMsg(bidders+i, 1)
		set := &large
		if i < tenants/2 {
			set = &small
			for g := range msg.Groups {
				msg.Groups[g].Units = msg.Groups[g].Units[:1]
			}
		}
		used(bidders+i, msg)
		for g := range deploymenttypes.MaxGroups {
			id := c.order(bidders+i, 1)
			id.Gseq = uint32(g + 1)
			*set = append(*set, id)
		}
	}
	ctx, err := c.App.CreateQueryContext(0, false)
	require.NoError(t, err)
	limit := int(markettypes.DefaultParams().OrderMaxBids)
	// crowd is how many bids the orders have already.
	place := func(p, crowd int, orders ...markettypes.OrderID) {
		t.Helper()
		o, err := c.App.MarketKeeper.Order(ctx, orders[0])
		require.NoError(t, err)
		got := used(p, c.bidsMsg(p, fmt.Sprint(1000-p), orders...))
		asked := bid.Gas(bid.Load{Bids: len(orders), OrderBytes: len(orders) * o.Size(), Full: crowd >= limit/2})
		t.Logf("%d bids on orders of %d bytes by provider %d: %d gas used, %d asked", len(orders), o.Size(), p, got, asked)
		require.LessOrEqual(t, got, asked)
		if len(orders) >= 10 && crowd == 0 || crowd >= limit {
			require.Less(t, asked, 2*got)
		}
	}
	for _, set := range [][]markettypes.OrderID{small, large} {
		place(0, 0, set[0])
		place(1, 0, set[1:3]...)
		place(2, 0, set[3:13]...)
		place(3, 0, set[13:]...)
	}
	for p := range 25 {
		place(4+p, 1+p, small[:20]...)
	}
	closing := &markettypes.MsgCloseBids{Provider: c.Addr(28).String(), OrderIds: small[:20]}
	got := used(28, closing)
	t.Logf("20 bids closed: %d gas used, %d asked", got, bid.CloseGas(20))
	require.LessOrEqual(t, got, bid.CloseGas(20))
	require.Less(t, bid.CloseGas(20), 2*got)

	// A hot key's bids cost the search for its grant, too.
	grant, err := authz.NewMsgGrant(c.Addr(hot), c.Addr(0), authz.NewGenericAuthorization(sdk.MsgTypeURL(closing)), nil)
	require.NoError(t, err)
	used(hot, grant)
	grant, err = authz.NewMsgGrant(c.Addr(hot), c.Addr(0), authz.NewGenericAuthorization(sdk.MsgTypeURL(&markettypes.MsgCreateBids{})), nil)
	require.NoError(t, err)
	used(hot, grant)
	direct := used(28, c.bidsMsg(28, "1000", large[:10]...))
	msg := authz.NewMsgExec(c.Addr(0), []sdk.Msg{c.bidsMsg(hot, "1000", large[:10]...)})
	delegated := used(0, &msg)
	t.Logf("10 bids with the own key %d gas, with a hot key %d, %d added for it", direct, delegated, chain.DelegateGas)
	require.LessOrEqual(t, delegated, direct+chain.DelegateGas)
}
