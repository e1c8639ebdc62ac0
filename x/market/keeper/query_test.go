package keeper_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/x/market/types"
)

// marketplace has deployments 1 to 3 of tenants 0 and 1, bids of providers 0 and 1 on all, and a lease on each
// deployment 1; provider 1 has closed its bids on each deployment 3.
func marketplace(t *testing.T) (*chain, []types.OrderID) {
	c := newChain(t)
	c.register(0)
	c.register(1)
	var ids []types.OrderID
	for i := range 2 {
		for dseq := range uint64(3) {
			id := c.deploy(deployMsg(i, dseq+1))
			ids = append(ids, id)
			c.bid(0, id, 100)
			c.bid(1, id, 110)
			switch dseq {
			case 0:
				require.NoError(t, c.createLease(id.BidID(provider(0))))
			case 2:
				require.Zero(t, c.closeBid(1, id).Code)
			}
		}
	}
	c.block()
	return c, ids
}

func TestOrdersQuery(t *testing.T) {
	c, ids := marketplace(t)
	for name, tc := range map[string]struct {
		req  types.QueryOrdersRequest
		want int
	}{
		"all":                         {types.QueryOrdersRequest{}, 6},
		"open":                        {types.QueryOrdersRequest{State: types.ORDER_STATE_OPEN}, 4},
		"active":                      {types.QueryOrdersRequest{State: types.ORDER_STATE_ACTIVE}, 2},
		"of an owner":                 {types.QueryOrdersRequest{Owner: tenant(0)}, 3},
		"of a deployment":             {types.QueryOrdersRequest{Owner: tenant(0), Dseq: 2}, 1},
		"open of an owner":            {types.QueryOrdersRequest{Owner: tenant(1), State: types.ORDER_STATE_OPEN}, 2},
		"open of a leased deployment": {types.QueryOrdersRequest{Owner: tenant(1), Dseq: 1, State: types.ORDER_STATE_OPEN}, 0},
		"of a stranger":               {types.QueryOrdersRequest{Owner: tenant(7)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, page := range []uint64{1, 2, 100} {
				var got []types.Order
				req := tc.req
				req.Pagination = &query.PageRequest{Limit: page}
				for {
					r, err := c.query.Orders(c.ctx, &req)
					require.NoError(t, err)
					got = append(got, r.Orders...)
					if len(r.Pagination.NextKey) == 0 {
						break
					}
					req.Pagination = &query.PageRequest{Limit: page, Key: r.Pagination.NextKey}
				}
				require.Len(t, got, tc.want, "in pages of %d", page)
			}
		})
	}
	require.EqualValues(t, 2, c.order(ids[1]).OpenBids)
	require.EqualValues(t, 1, c.order(ids[2]).OpenBids)
	require.Zero(t, c.order(ids[0]).OpenBids)
	_, err := c.query.Orders(c.ctx, &types.QueryOrdersRequest{Dseq: 1})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	_, err = c.query.Order(c.ctx, &types.QueryOrderRequest{Id: types.OrderID{Owner: tenant(0), Dseq: 1, Gseq: 1, Oseq: 2}})
	require.Equal(t, codes.NotFound, status.Code(err))
}

func TestBidsQuery(t *testing.T) {
	c, _ := marketplace(t)
	for name, tc := range map[string]struct {
		req  types.QueryBidsRequest
		want int
	}{
		"all":                              {types.QueryBidsRequest{}, 12},
		"open":                             {types.QueryBidsRequest{State: types.BID_STATE_OPEN}, 6},
		"lost":                             {types.QueryBidsRequest{State: types.BID_STATE_LOST}, 2},
		"live of a provider":               {types.QueryBidsRequest{Provider: provider(0)}, 6},
		"live of another provider":         {types.QueryBidsRequest{Provider: provider(1)}, 2},
		"active of a provider":             {types.QueryBidsRequest{Provider: provider(0), State: types.BID_STATE_ACTIVE}, 2},
		"open of a provider":               {types.QueryBidsRequest{Provider: provider(1), State: types.BID_STATE_OPEN}, 2},
		"closed of a provider on an owner": {types.QueryBidsRequest{Owner: tenant(0), Provider: provider(1), State: types.BID_STATE_CLOSED}, 1},
		"of an owner":                      {types.QueryBidsRequest{Owner: tenant(0)}, 6},
		"of a deployment":                  {types.QueryBidsRequest{Owner: tenant(0), Dseq: 3}, 2},
		"open of a deployment":             {types.QueryBidsRequest{Owner: tenant(0), Dseq: 3, State: types.BID_STATE_OPEN}, 1},
		"of a provider on a deployment":    {types.QueryBidsRequest{Owner: tenant(0), Dseq: 3, Provider: provider(1)}, 1},
		"open of a provider with an owner": {types.QueryBidsRequest{Owner: tenant(0), Provider: provider(1), State: types.BID_STATE_OPEN}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := c.query.Bids(c.ctx, &tc.req)
			require.NoError(t, err)
			require.Len(t, r.Bids, tc.want)
		})
	}
	_, err := c.query.Bids(c.ctx, &types.QueryBidsRequest{Provider: "berth1x"})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestLeasesQuery(t *testing.T) {
	c, ids := marketplace(t)
	for name, tc := range map[string]struct {
		req  types.QueryLeasesRequest
		want int
	}{
		"all":                   {types.QueryLeasesRequest{}, 2},
		"active":                {types.QueryLeasesRequest{State: types.LEASE_STATE_ACTIVE}, 2},
		"suspended":             {types.QueryLeasesRequest{State: types.LEASE_STATE_SUSPENDED}, 0},
		"of a provider":         {types.QueryLeasesRequest{Provider: provider(0)}, 2},
		"active of a provider":  {types.QueryLeasesRequest{Provider: provider(0), State: types.LEASE_STATE_ACTIVE}, 2},
		"of another provider":   {types.QueryLeasesRequest{Provider: provider(1)}, 0},
		"of an owner":           {types.QueryLeasesRequest{Owner: tenant(0)}, 1},
		"of a whole deployment": {types.QueryLeasesRequest{Owner: tenant(0), Dseq: 2}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := c.query.Leases(c.ctx, &tc.req)
			require.NoError(t, err)
			require.Len(t, r.Leases, tc.want)
			for _, l := range r.Leases {
				require.Equal(t, l.Lease.Id.PaymentID(), l.Payment.Id)
			}
		})
	}
	c.blocks(4)
	r, err := c.query.Lease(c.ctx, &types.QueryLeaseRequest{Id: ids[0].BidID(provider(0))})
	require.NoError(t, err)
	require.Equal(t, "500.000000000000000000", r.Payment.Accrued.String(), "settled as of the height of the query")
	rec, err := c.query.ProviderRecord(c.ctx, &types.QueryProviderRecordRequest{Provider: provider(0)})
	require.NoError(t, err)
	require.Equal(t, types.ProviderRecord{Provider: provider(0), Leases: 2, Active: 2}, rec.Record)
	rec, err = c.query.ProviderRecord(c.ctx, &types.QueryProviderRecordRequest{Provider: provider(5)})
	require.NoError(t, err)
	require.Equal(t, types.ProviderRecord{Provider: provider(5)}, rec.Record)
}

func TestStrangersCannotMakeALeaseDear(t *testing.T) {
	c := newChain(t)
	c.register(0)
	id := c.deploy(deployMsg(0, 1))
	cost := func() uint64 {
		ctx, _ := c.ctx.CacheContext()
		before := ctx.GasMeter().GasConsumed()
		_, err := c.msgs.CreateLease(ctx, &types.MsgCreateLease{Id: id.BidID(provider(0))})
		require.NoError(t, err)
		return ctx.GasMeter().GasConsumed() - before
	}
	c.bid(0, id, 100)
	alone := cost()
	for i := 1; i < 25; i++ {
		c.register(i)
		c.bid(i, id, 100)
		require.Zero(t, c.closeBid(i, id).Code)
	}
	require.Equal(t, fmt.Sprint(alone), fmt.Sprint(cost()), "bids that are closed are not read")
}

// TestWalkOpenOrders: the orders as they are stored are those that the query lists, in pages of any size, but for the count
// of their bids.
func TestWalkOpenOrders(t *testing.T) {
	c, _ := marketplace(t)
	r, err := c.query.Orders(c.ctx, &types.QueryOrdersRequest{State: types.ORDER_STATE_OPEN})
	require.NoError(t, err)
	require.Len(t, r.Orders, 4)
	for i := range r.Orders {
		r.Orders[i].OpenBids = 0
	}
	for _, page := range []int{1, 2, 3, 100} {
		var got []types.Order
		for after := []byte(nil); ; {
			n := 0
			require.NoError(t, c.market.WalkOpenOrders(c.ctx, after, func(key, order []byte) bool {
				var o types.Order
				require.NoError(t, o.Unmarshal(order))
				got, after = append(got, o), key
				n++
				return n == page
			}))
			if n < page {
				break
			}
		}
		require.Equal(t, r.Orders, got, "in pages of %d", page)
	}
}
