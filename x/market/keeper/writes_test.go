package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// TestStoreWrites holds the numbers that x/market/README.md gives: how many keys of market and escrow each message
// changes, by the prefixes of its keys. What a message costs a node is mostly the number of these.
func TestStoreWrites(t *testing.T) {
	c := newChain(t)
	c.writes.on = true
	for i := range 4 {
		c.register(i, providertypes.Attribute{Key: "region", Value: "eu"})
	}
	region := func(m *deploymenttypes.MsgCreateDeployment) *deploymenttypes.MsgCreateDeployment {
		require1("region", "eu")(m)
		return m
	}
	var id, auction, notice types.OrderID
	var batch []types.BidItem
	for _, s := range []struct {
		what string
		do   func()
		want map[string]int
	}{
		{"a deployment: escrow account; order and its index entry", func() { id = c.deploy(region(deployMsg(0, 1))) },
			map[string]int{"account": 1, "order": 1, "open order": 1}},
		{"a deployment with an auction: its queue entry too", func() { auction = c.deploy(auctionMsg(0, 2, 1)) },
			map[string]int{"account": 1, "order": 1, "open order": 1, "auction": 1}},
		{"a bid: bid, index entry; hold", func() { c.bid(0, id, 100) }, map[string]int{"live bid": 1, "bid index": 1, "hold": 1}},
		{"a bid in an auction", func() { c.bid(0, auction, 100) }, map[string]int{"live bid": 1, "bid index": 1, "hold": 1}},
		{"100 more orders", func() {
			for i := range uint64(100) {
				batch = append(batch, item(c.deploy(deployMsg(1, i+1)), 100))
			}
		}, map[string]int{"account": 100, "order": 100, "open order": 100}},
		{"100 bids in a batch: one hold for all", func() { c.bids(1, batch...) }, map[string]int{"live bid": 100, "bid index": 100, "hold": 1}},
		{"a bid is closed: bid, index entry, ended bid; hold, claim", func() { require.Zero(t, c.closeBid(0, id).Code) },
			map[string]int{"live bid": 1, "bid index": 1, "ended bid": 1, "hold": 1, "claim": 1}},
		{"the block's end: auction matched (order, its entries, bid, lease and entry, record; payment and entry, account, queue); claim sent", func() { c.blocks(2) },
			map[string]int{"order": 1, "open order": 1, "auction": 1, "live bid": 1, "lease": 1, "lease index": 1, "record": 1,
				"payment": 1, "live payment": 1, "account": 1, "due": 1, "claim": 1}},
		{"a bid again: the ended one goes", func() { c.bid(0, id, 100) }, map[string]int{"live bid": 1, "bid index": 1, "ended bid": 1, "hold": 1}},
		{"a lease of the only bid: bid, order and entry, lease and entry, delta, frozen attribute; payment and entry, account, queue",
			func() { require.NoError(t, c.createLease(id.BidID(provider(0)))) },
			map[string]int{"live bid": 1, "order": 1, "open order": 1, "lease": 1, "lease index": 1, "delta": 1, "frozen": 1,
				"payment": 1, "live payment": 1, "account": 1, "due": 1}},
		{"the block's end: record for delta", func() { c.block() }, map[string]int{"record": 1, "delta": 1}},
		{"a lease is closed: lease, 2 entries, bid moves (3), two orders and an entry, delta, frozen attribute; payment and entry, account, queue, claim",
			func() { require.NoError(t, c.closeLease(tenant(0), id.BidID(provider(0)), 0)) },
			map[string]int{"lease": 1, "lease index": 2, "live bid": 1, "bid index": 1, "ended bid": 1, "order": 2, "open order": 1, "delta": 1, "frozen": 1,
				"payment": 1, "live payment": 1, "account": 1, "due": 1, "claim": 1}},
		{"the block's end: record, hold; claim", func() { c.block() }, map[string]int{"record": 1, "delta": 1, "hold": 1, "claim": 1}},
		{"an order with three bids", func() {
			notice = c.deploy(deployMsg(2, 1))
			for i := range 3 {
				c.bids(i, types.BidItem{OrderId: notice, Price: dec(100), Deposit: coin(500), ReclaimWindowSeconds: 3600})
			}
		}, map[string]int{"account": 1, "order": 1, "open order": 1, "live bid": 3, "bid index": 3, "hold": 3}},
		{"its lease: the queue of refunds is all that the other bids cost the tenant", func() { require.NoError(t, c.createLease(notice.BidID(provider(0)))) },
			map[string]int{"live bid": 1, "order": 1, "open order": 1, "lease": 1, "lease index": 1, "delta": 1, "refund": 1,
				"payment": 1, "live payment": 1, "account": 1, "due": 1}},
		{"the block's end: two refunds of bid, index entry, ended bid and hold", func() { c.block() },
			map[string]int{"record": 1, "delta": 1, "refund": 1, "live bid": 2, "bid index": 2, "ended bid": 2, "hold": 2}},
		{"a reclaim: lease and two entries", func() {
			_, err := c.msgs.StartReclaim(c.ctx, &types.MsgStartReclaim{Provider: provider(0), Id: notice.BidID(provider(0))})
			require.NoError(t, err)
		}, map[string]int{"lease": 1, "lease index": 2}},
		{"a withdrawal: account, payment, claim", func() { require.Zero(t, c.withdraw(0, notice.BidID(provider(0)))[0].Code) },
			map[string]int{"account": 1, "payment": 1, "claim": 1}},
	} {
		c.writes.changed(c.ctx)
		s.do()
		got := c.writes.changed(c.ctx)
		require.Equal(t, s.want, got, s.what)
	}
}
