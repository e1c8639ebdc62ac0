package keeper_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/x/escrow/keeper"
	"berth.dev/berth/x/escrow/types"
)

func TestQueryAccount(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 100)
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("2")))
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "q"), addr("bob"), rate("0.5")))
	require.NoError(t, e.k.ClosePayment(e.ctx, pid("a", "q")))
	e.end(4)
	q := keeper.NewQueryServer(e.k)
	res, err := q.Account(e.ctx, &types.QueryAccountRequest{Scope: "test", Xid: "a"})
	require.NoError(t, err)
	require.Equal(t, "92.000000000000000000"+denom, res.Spendable.String())
	require.Equal(t, int64(51), res.FundedUntil)
	require.Equal(t, int64(5), res.Height)
	require.Len(t, res.Payments, 2, "closed ones too")
	require.Equal(t, "8.000000000000000000", res.Payments[0].Accrued.String())

	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	res, err = q.Account(e.ctx, &types.QueryAccountRequest{Scope: "test", Xid: "a"})
	require.NoError(t, err)
	require.True(t, res.Spendable.IsZero())
	_, err = q.Account(e.ctx, &types.QueryAccountRequest{Scope: "test", Xid: "none"})
	require.Equal(t, codes.NotFound, status.Code(err))
}

func TestQueryPages(t *testing.T) {
	e := newEnv(t)
	for i := range 5 {
		xid := fmt.Sprint(i)
		e.open(xid, "alice", 100)
		require.NoError(t, e.k.OpenPayment(e.ctx, pid(xid, "p"), addr("bob"), rate("1")))
		require.NoError(t, e.k.OpenPayment(e.ctx, pid(xid, "q"), addr("bob"), rate("1")))
	}
	require.NoError(t, e.k.CloseAccount(e.ctx, id("2")))
	q := keeper.NewQueryServer(e.k)

	first, err := q.Accounts(e.ctx, &types.QueryAccountsRequest{State: types.ACCOUNT_STATE_OPEN, Pagination: &query.PageRequest{Limit: 3}})
	require.NoError(t, err)
	require.Len(t, first.Accounts, 3)
	rest, err := q.Accounts(e.ctx, &types.QueryAccountsRequest{State: types.ACCOUNT_STATE_OPEN, Pagination: &query.PageRequest{Limit: 3, Key: first.Pagination.NextKey}})
	require.NoError(t, err)
	require.Len(t, rest.Accounts, 1)
	require.Equal(t, "4", rest.Accounts[0].Id.Xid)

	of, err := q.Payments(e.ctx, &types.QueryPaymentsRequest{Scope: "test", Xid: "2"})
	require.NoError(t, err)
	require.Len(t, of.Payments, 2)
	open, err := q.Payments(e.ctx, &types.QueryPaymentsRequest{State: types.PAYMENT_STATE_OPEN, Pagination: &query.PageRequest{Limit: 1000}})
	require.NoError(t, err)
	require.Len(t, open.Payments, 8)
	_, err = q.Payments(e.ctx, &types.QueryPaymentsRequest{Xid: "2"})
	require.Equal(t, codes.InvalidArgument, status.Code(err))

	broken, err := q.Invariants(e.ctx, &types.QueryInvariantsRequest{})
	require.NoError(t, err)
	require.Len(t, broken.Broken, 1, "before bank has credited the block's deposits, INV-1 does not hold")
	require.Contains(t, broken.Broken[0], "INV-1")
}
