package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"berth.dev/berth/x/market/types"
)

// contested is an order with open bids of the first n providers, at 100, 101, and so on.
func (c *chain) contested(dseq uint64, n int) types.OrderID {
	c.t.Helper()
	id := c.deploy(deployMsg(0, dseq))
	for i := range n {
		c.bid(i, id, int64(100+i))
	}
	return id
}

func (c *chain) bidStates(id types.OrderID) map[types.BidState]int {
	c.t.Helper()
	r, err := c.query.Bids(c.ctx, &types.QueryBidsRequest{Owner: id.Owner, Dseq: id.Dseq})
	require.NoError(c.t, err)
	n := map[types.BidState]int{}
	for _, b := range r.Bids {
		n[b.State]++
	}
	return n
}

// TestRefundsAreWorkedOffPartByPart: an order with more bids than a block may refund is refunded over several blocks;
// until then its bids are open and none of them can become a lease.
func TestRefundsAreWorkedOffPartByPart(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MaxWorkPerBlock = 4 })
	for i := range 10 {
		c.register(i)
	}
	id := c.contested(1, 10)
	require.NoError(t, c.createLease(id.BidID(provider(0))))
	require.ErrorIs(t, c.createLease(id.BidID(provider(5))), types.ErrOrderNotOpen)
	require.Equal(t, map[types.BidState]int{types.BID_STATE_ACTIVE: 1, types.BID_STATE_OPEN: 9}, c.bidStates(id))
	var lost []int
	for range 4 {
		c.block()
		lost = append(lost, c.bidStates(id)[types.BID_STATE_LOST])
	}
	require.Equal(t, []int{4, 8, 9, 9}, lost)
	for i := 1; i < 10; i++ {
		require.EqualValues(t, startBalance, c.balance(provider(i)).Int64(), "provider %d", i)
	}
	require.EqualValues(t, startBalance-500, c.balance(provider(0)).Int64())
}

// TestALeaseMayEndBeforeTheRefundsDo: the bids that wait when the order closes go on waiting in the same place, and the
// next order of the group does not see them.
func TestALeaseMayEndBeforeTheRefundsDo(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MaxWorkPerBlock = 1 })
	for i := range 4 {
		c.register(i)
	}
	id := c.contested(1, 4)
	win := id.BidID(provider(0))
	require.NoError(t, c.createLease(win))
	c.block()
	require.NoError(t, c.closeLease(tenant(0), win, 0))
	next := id
	next.Oseq = 2
	require.Zero(t, c.order(next).OpenBids)
	c.bid(3, next, 50)
	require.NoError(t, c.createLease(next.BidID(provider(3))))
	c.blocks(3)
	require.Equal(t, types.BID_STATE_LOST, c.theBid(id.BidID(provider(3))).State)
	require.EqualValues(t, startBalance-500, c.balance(provider(3)).Int64(), "one deposit back, one held by the new lease")
	require.EqualValues(t, startBalance, c.balance(provider(1)).Int64())
}

func TestAProviderNeedNotWaitForItsRefund(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MaxWorkPerBlock = 1 })
	for i := range 3 {
		c.register(i)
	}
	id := c.contested(1, 3)
	require.NoError(t, c.closeDeployment(id.DeploymentID()))
	require.Equal(t, types.ItemResult{}, c.closeBid(2, id))
	require.Equal(t, types.ItemResult{}, c.closeBid(1, id))
	require.Equal(t, types.ItemResult{}, c.closeBid(0, id))
	require.Equal(t, code(types.ErrBidNotOpen), c.closeBid(0, id))
	c.block()
	require.Equal(t, map[types.BidState]int{types.BID_STATE_CLOSED: 3}, c.bidStates(id))
	for i := range 3 {
		require.EqualValues(t, startBalance, c.balance(provider(i)).Int64(), "once, and no more")
	}
	c.block()
}

// TestAnAuctionsWindowDoesNotHoldBidsOfAnOrderThatHasEnded: only bids that may still win must stay.
func TestAnAuctionsWindowDoesNotHoldBidsOfAnOrderThatHasEnded(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MaxWorkPerBlock = 1 })
	c.register(0)
	c.register(1)
	id := c.deploy(auctionMsg(0, 1, 5))
	c.bid(0, id, 100)
	c.bid(1, id, 100)
	require.Equal(t, code(types.ErrWindowOpen), c.closeBid(0, id))
	require.NoError(t, c.closeDeployment(id.DeploymentID()))
	require.Equal(t, types.ItemResult{}, c.closeBid(0, id))
	c.blocks(7)
	require.Equal(t, types.BID_STATE_LOST, c.theBid(id.BidID(provider(1))).State)
}

// TestRefundsAndAuctionsDoNotHoldUpEachOther: with a backlog of refunds an auction is still decided in its block, and
// with auctions in every block the refunds go on.
func TestRefundsAndAuctionsDoNotHoldUpEachOther(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MaxWorkPerBlock = 4 })
	for i := range 10 {
		c.register(i)
	}
	var orders []types.OrderID
	for dseq := range uint64(3) {
		id := c.contested(dseq+1, 10)
		require.NoError(t, c.closeDeployment(id.DeploymentID()))
		orders = append(orders, id)
	}
	var auctions []types.OrderID
	for w := range uint32(6) {
		id := c.deploy(auctionMsg(1, uint64(w)+1, w+1))
		c.bid(int(w), id, 100)
		auctions = append(auctions, id)
	}
	c.block()
	for i, id := range auctions {
		before := c.bidStates(orders[0])[types.BID_STATE_LOST] + c.bidStates(orders[1])[types.BID_STATE_LOST]
		c.block()
		require.Equal(t, types.ORDER_STATE_ACTIVE, c.order(id).State, "auction %d", i)
		after := c.bidStates(orders[0])[types.BID_STATE_LOST] + c.bidStates(orders[1])[types.BID_STATE_LOST]
		require.Equal(t, before+2, after, "half of the work is for refunds that wait")
	}
}

// TestExpiryRefundsInTheNextBlock: a grace period ends in the escrow's end block, after the market's. The deposits of the
// lease that it ends, and of bids on the deployment's other order, come back one block later.
func TestExpiryRefundsInTheNextBlock(t *testing.T) {
	c := newChain(t)
	c.register(0)
	c.register(1)
	msg := deployMsg(0, 1)
	msg.Deposit = coin(1000)
	second := msg.Groups[0]
	second.Name = "east"
	msg.Groups = append(msg.Groups, second)
	id := c.deploy(msg)
	east := types.OrderID{Owner: id.Owner, Dseq: 1, Gseq: 2, Oseq: 1}
	lease := c.bid(0, id, 100)
	c.bid(1, east, 100)
	require.NoError(t, c.createLease(lease))
	for c.lease(lease).State != types.LEASE_STATE_CLOSED {
		c.block()
		require.Less(t, c.ctx.BlockHeight(), int64(60))
	}
	r, err := c.market.Record(c.ctx, addr(10))
	require.NoError(t, err)
	require.Equal(t, types.ProviderRecord{Provider: provider(0), Leases: 1, Closed: []types.ReasonCount{{Reason: types.CLOSE_REASON_INSUFFICIENT_FUNDS, Count: 1}}}, r,
		"what waits is counted")
	require.Equal(t, types.BID_STATE_OPEN, c.theBid(east.BidID(provider(1))).State)
	c.block()
	require.Equal(t, types.BID_STATE_LOST, c.theBid(east.BidID(provider(1))).State)
	require.EqualValues(t, startBalance, c.balance(provider(1)).Int64())
	require.EqualValues(t, startBalance+1000, c.balance(provider(0)).Int64())
}

// TestEvictionTouchesNoKeyOfTheOtherProvidersHold: the evicted bid's deposit is released by the end block.
func TestEvictionTouchesNoKeyOfTheOtherProvidersHold(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.OrderMaxBids = 1 })
	c.writes.on = true
	c.register(0)
	c.register(1)
	id := c.contested(1, 1)
	c.block()
	c.writes.changed(c.ctx)
	c.bid(1, id, 99)
	require.Equal(t, map[string]int{"live bid": 2, "bid index": 2, "ended bid": 1, "delta": 1, "hold": 1}, c.writes.changed(c.ctx))
	held, err := c.escrow.Held(c.ctx, types.HoldScope, addr(10))
	require.NoError(t, err)
	require.Equal(t, coin(500), held[0])
	c.block()
	require.EqualValues(t, startBalance, c.balance(provider(0)).Int64())
}
