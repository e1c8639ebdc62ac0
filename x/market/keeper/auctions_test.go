package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

func auctionMsg(i int, dseq uint64, window uint32) *deploymenttypes.MsgCreateDeployment {
	m := deployMsg(i, dseq)
	m.Auction = lowest(window)
	return m
}

func TestAuctionPicksTheLowestAtTheEndOfItsWindow(t *testing.T) {
	c := newChain(t)
	for i := range 4 {
		c.register(i)
	}
	id := c.deploy(auctionMsg(0, 1, 3)) // at height 10: bids until and including 13
	c.bid(0, id, 150)
	c.block()
	c.bid(2, id, 120)
	c.bid(1, id, 120)
	c.block()
	require.Equal(t, code(types.ErrWindowOpen), c.closeBid(0, id))
	c.block()
	require.EqualValues(t, 13, c.ctx.BlockHeight())
	late := c.bid(3, id, 120)
	require.Equal(t, code(types.ErrWindowOpen), c.closeBid(3, id), "the last block of the window")
	evs := c.block()
	require.Equal(t, 1, named(evs, "EventLeaseCreated"))
	require.Equal(t, 3, named(evs, "EventBidClosed"))
	require.Equal(t, types.BID_STATE_ACTIVE, c.theBid(id.BidID(provider(1))).State, "the lowest price, the earliest height, the smallest address")
	require.Equal(t, types.BID_STATE_LOST, c.theBid(late).State)
	require.EqualValues(t, startBalance, c.balance(provider(3)).Int64(), "refunded in the same block")
	c.blocks(2)
	require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(id.BidID(provider(1))).State)
}

func TestAuctionWithoutBidsWaitsForTheFirst(t *testing.T) {
	c := newChain(t)
	c.register(0)
	c.register(1)
	id := c.deploy(auctionMsg(0, 1, 1))
	c.blocks(7)
	c.bid(0, id, 180)
	c.bid(1, id, 170)
	require.Equal(t, types.ItemResult{}, c.closeBid(0, id), "the window has ended")
	c.block()
	require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(id.BidID(provider(1))).State)
}

func TestAuctionSkipsTheIneligible(t *testing.T) {
	c := newChain(t)
	for i := range 3 {
		c.register(i, providertypes.Attribute{Key: "region", Value: "eu"})
	}
	leave := func(i int) {
		_, err := c.provider.UpdateProvider(c.ctx, &providertypes.MsgUpdateProvider{Owner: provider(i), HostUri: "https://a.example", TlsPins: [][]byte{make([]byte, 32)}})
		require.NoError(t, err)
	}
	msg := auctionMsg(0, 1, 2)
	require1("region", "eu")(msg)
	id := c.deploy(msg)
	for i, price := range []int64{100, 110, 120} {
		c.bid(i, id, price)
	}
	leave(0)
	c.blocks(3)
	require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(id.BidID(provider(1))).State)
	require.Equal(t, types.BID_STATE_LOST, c.theBid(id.BidID(provider(0))).State)

	msg = auctionMsg(0, 2, 2)
	require1("region", "eu")(msg)
	id = c.deploy(msg)
	c.bid(2, id, 10)
	leave(2)
	c.blocks(3)
	require.Equal(t, types.ORDER_STATE_OPEN, c.order(id).State, "no bid was eligible: the order waits")
	require.Equal(t, types.BID_STATE_LOST, c.theBid(id.BidID(provider(2))).State)
	c.bid(1, id, 10)
	c.block()
	require.Equal(t, types.ORDER_STATE_ACTIVE, c.order(id).State)
}

func TestAuctionClosesAnOrderThatCannotBePaid(t *testing.T) {
	c := newChain(t)
	c.register(0)
	msg := auctionMsg(0, 1, 2)
	msg.Deposit = coin(1000)
	msg.Groups[0].Units = []deploymenttypes.ResourceUnit{unit(1, 2000, 1)}
	id := c.deploy(msg)
	c.bid(0, id, 1001)
	c.blocks(2)
	evs := c.block()
	require.Equal(t, 1, named(evs, "EventOrderClosed"))
	require.Zero(t, named(evs, "EventLeaseCreated"))
	require.Equal(t, types.ORDER_STATE_CLOSED, c.order(id).State)
	require.EqualValues(t, startBalance, c.balance(provider(0)).Int64())
	require.NoError(t, c.closeDeployment(id.DeploymentID()))
	c.block()
	require.EqualValues(t, startBalance, c.balance(tenant(0)).Int64())
}

func TestAuctionsShareTheWorkOfABlock(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MaxWorkPerBlock = 17 }) // two auctions are 16, a third may begin
	c.register(0)
	const n = 7
	for i := range uint64(n) {
		c.bid(0, c.deploy(auctionMsg(0, i+1, 1)), 100)
	}
	c.block()
	var created []int
	for range 4 {
		created = append(created, named(c.block(), "EventLeaseCreated"))
	}
	require.Equal(t, []int{3, 3, 1, 0}, created)
}

func TestReopenedAuctionHasAWindowOfItsOwn(t *testing.T) {
	c := newChain(t)
	c.register(0)
	c.register(1)
	id := c.deploy(auctionMsg(0, 1, 2))
	c.bid(0, id, 100)
	c.blocks(3)
	require.NoError(t, c.closeLease(provider(0), id.BidID(provider(0)), types.CLOSE_REASON_DECOMMISSION))
	id.Oseq = 2
	c.bid(1, id, 100)
	c.blocks(2)
	require.Equal(t, types.ORDER_STATE_OPEN, c.order(id).State)
	c.block()
	require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(id.BidID(provider(1))).State)
	require.NoError(t, c.closeDeployment(id.DeploymentID()))
	c.block()
}

func TestClosedDeploymentLeavesNoAuctionBehind(t *testing.T) {
	c := newChain(t)
	c.register(0)
	id := c.deploy(auctionMsg(0, 1, 2))
	c.bid(0, id, 100)
	require.NoError(t, c.closeDeployment(id.DeploymentID()))
	require.Equal(t, types.ORDER_STATE_CLOSED, c.order(id).State)
	c.blocks(4)
	require.Equal(t, types.BID_STATE_LOST, c.theBid(id.BidID(provider(0))).State)
	require.EqualValues(t, startBalance, c.balance(provider(0)).Int64())
	require.EqualValues(t, startBalance, c.balance(tenant(0)).Int64())
}
