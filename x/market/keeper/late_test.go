package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"berth.dev/berth/x/market/types"
)

// The tests of this file fail under versions that are easier to write and are right most of the time.

// TestALateAuctionIsDecidedAsInTime: when the queue is late a bid that was valid at the end of the window still wins, no
// bid comes or goes meanwhile, and a better one that comes too late is refused.
func TestALateAuctionIsDecidedAsInTime(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MaxWorkPerBlock = 1 })
	for i := range 5 {
		c.register(i)
	}
	// The orders of tenant 0 come before that of tenant 1, one a block.
	for dseq := range uint64(3) {
		c.bid(4, c.deploy(auctionMsg(0, dseq+1, 2)), 100)
	}
	id := c.deploy(auctionMsg(1, 1, 2))
	short := item(id, 50)
	short.ValidUntil = 12
	require.Equal(t, types.ItemResult{}, c.bids(0, short)[0])
	c.bid(1, id, 60)
	c.blocks(3)
	require.EqualValues(t, 13, c.ctx.BlockHeight())
	require.Equal(t, types.ORDER_STATE_OPEN, c.order(id).State, "its window ended at 12, its turn has not come")
	require.Equal(t, code(types.ErrBeingDecided), c.bids(2, item(id, 10))[0], "a bid after the window")
	require.Equal(t, code(types.ErrBeingDecided), c.closeBid(1, id), "a bid stands until it is decided on")
	for c.order(id).State == types.ORDER_STATE_OPEN {
		c.block()
		require.Less(t, c.ctx.BlockHeight(), int64(30))
	}
	require.Equal(t, types.BID_STATE_ACTIVE, c.theBid(id.BidID(provider(0))).State, "valid until the end of the window is enough")
	c.blocks(5)
	require.Equal(t, types.BID_STATE_LOST, c.theBid(id.BidID(provider(1))).State)
}

// TestALateFirstBidIsDecidedAsInTime: after an empty window it is the block of the first bid that counts.
func TestALateFirstBidIsDecidedAsInTime(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MaxWorkPerBlock = 1 })
	for i := range 4 {
		c.register(i)
	}
	id := c.deploy(auctionMsg(1, 1, 1))
	c.blocks(6)
	// Two auctions that are due in this block come before it in the queue.
	for dseq := range uint64(2) {
		c.ctx = c.ctx.WithBlockHeight(10)
		c.bid(3, c.deploy(auctionMsg(0, dseq+1, 1)), 100)
		c.ctx = c.ctx.WithBlockHeight(16)
	}
	c.bid(0, id, 80)
	c.bid(1, id, 90)
	c.block()
	require.Equal(t, types.ORDER_STATE_OPEN, c.order(id).State)
	require.Equal(t, code(types.ErrBeingDecided), c.bids(2, item(id, 10))[0])
	require.Equal(t, code(types.ErrBeingDecided), c.closeBid(0, id))
	c.blocks(3)
	require.Equal(t, types.BID_STATE_ACTIVE, c.theBid(id.BidID(provider(0))).State)
	c.blocks(2)
}

// TestOnlyOpenBidsFillAnOrder: at the default of 20 the 20th is taken and the 21st is not, however many have been closed
// or have lost before; a strictly lower one takes the place of the highest.
func TestOnlyOpenBidsFillAnOrder(t *testing.T) {
	c := newChain(t)
	for i := range 28 {
		c.register(i)
	}
	id := c.deploy(deployMsg(0, 1))
	for i := range 28 {
		c.bid(i, id, 100)
		require.Equal(t, types.ItemResult{}, c.closeBid(i, id))
	}
	c.block()
	for i := range 19 {
		c.bid(i, id, int64(100+i))
	}
	require.EqualValues(t, 19, c.order(id).OpenBids)
	c.bid(19, id, 150)
	require.EqualValues(t, 20, c.order(id).OpenBids)
	require.Equal(t, code(types.ErrBidsFull), c.bids(20, item(id, 150))[0], "an equal one does not evict")
	require.Equal(t, code(types.ErrBidsFull), c.bids(20, item(id, 151))[0])
	c.bid(20, id, 149)
	require.EqualValues(t, 20, c.order(id).OpenBids)
	require.Equal(t, types.BID_STATE_LOST, c.theBid(id.BidID(provider(19))).State)
	require.Equal(t, code(types.ErrBidsFull), c.bids(21, item(id, 149))[0])
	require.Equal(t, types.ItemResult{}, c.closeBid(3, id))
	c.bid(21, id, 200)
	c.block()
	require.NoError(t, c.createLease(id.BidID(provider(21))))
	c.block()
	require.Equal(t, types.BID_STATE_LOST, c.theBid(id.BidID(provider(0))).State)
}

// TestARefusedBidEvictsNobody: room is made only for a bid that is taken. A bid on an order where the provider has one
// already, or whose deposit it cannot pay, must leave the others alone.
func TestARefusedBidEvictsNobody(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.OrderMaxBids = 2 })
	for i := range 3 {
		c.register(i)
	}
	id := c.contested(1, 2)
	require.Equal(t, code(types.ErrBidExists), c.bids(0, item(id, 1))[0])
	poor := item(id, 1)
	poor.Deposit = coin(startBalance + 1)
	require.Equal(t, notEnough, c.bids(2, poor)[0])
	require.Equal(t, map[types.BidState]int{types.BID_STATE_OPEN: 2}, c.bidStates(id))
	c.block()
}
