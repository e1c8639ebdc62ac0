package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"berth.dev/berth/x/market/types"
)

// TestStoreWrites holds the numbers that x/market/README.md gives: how many keys of market and escrow each message
// writes or removes. What a message costs a node is mostly the number of these.
func TestStoreWrites(t *testing.T) {
	c := newChain(t)
	for i := range 3 {
		c.register(i)
	}
	var id, auction types.OrderID
	var bid types.BidID
	steps := []struct {
		what string
		want int
		do   func()
	}{
		{"create a deployment: escrow account; order, its index entry", 3, func() { id = c.deploy(deployMsg(0, 1)) }},
		{"create a deployment with an auction: and its queue entry", 4, func() { auction = c.deploy(auctionMsg(0, 2, 1)) }},
		{"bid: bid, two index entries; hold", 4, func() { bid = c.bid(0, id, 100) }},
		{"bid in an auction", 4, func() { c.bid(0, auction, 100) }},
		{"close a bid: bid, three index entries; hold, claim", 6, func() { require.Zero(t, c.closeBid(0, id).Code) }},
		{"bid again: and the entry of the closed bid goes", 5, func() { c.bid(0, id, 100) }},
		{"create a lease of the only bid: bid and 3 entries, order and entry, lease and entry, record; payment, its entry, account, queue entry", 13,
			func() { require.NoError(t, c.createLease(bid)) }},
	}
	for _, s := range steps {
		before := *c.writes
		s.do()
		require.Equal(t, s.want, *c.writes-before, s.what)
	}
}
