package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"berth.dev/berth/x/escrow/types"
)

// taking sets the take rate for payments that are opened from now on.
func (e *env) taking(rate string) {
	params, err := e.k.GetParams(e.ctx)
	require.NoError(e.t, err)
	params.TakeRate = math.LegacyMustNewDecFromStr(rate)
	require.NoError(e.t, e.k.SetParams(e.ctx, params))
}

func (e *env) communityPool() int64 { return e.bank.balances[communityPool].AmountOf(denom).Int64() }

// TestTakeIsOfAllThatWasEverPaid: 10 % of one unit at a time is never taken if each payout is looked at alone.
func TestTakeIsOfAllThatWasEverPaid(t *testing.T) {
	for name, often := range map[string]bool{"withdrawn in every block": true, "withdrawn once": false} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.taking("0.1")
			e.open("a", "alice", 100)
			require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("1")))
			for range 25 {
				e.end(1)
				if often {
					_, err := e.k.Withdraw(e.ctx, pid("a", "p"))
					require.NoError(t, err)
				}
			}
			require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
			e.end(1)
			require.Equal(t, int64(2), e.communityPool(), "floor(25 x 0.1)")
			require.Equal(t, int64(23), e.balance("bob"))
			require.Equal(t, int64(1_000_000-25), e.balance("alice"))
			p := e.payment("a", "p")
			require.Equal(t, []int64{25, 2}, []int64{p.Withdrawn.Int64(), p.Taken.Int64()}, "withdrawn is gross")
		})
	}
}

// TestTakeRateIsFrozen: a payment keeps the rate that it was opened with.
func TestTakeRateIsFrozen(t *testing.T) {
	e := newEnv(t)
	e.taking("0.5")
	e.open("a", "alice", 100)
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "half"), addr("bob"), rate("1")))
	e.taking("1")
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "whole"), addr("carol"), rate("1")))
	e.taking("0")
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "none"), addr("dave"), rate("1")))
	e.end(10)
	paid, err := e.k.Withdraw(e.ctx, pid("a", "half"))
	require.NoError(t, err)
	require.Equal(t, coin(5), paid, "what the payee gets")
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(1)
	require.Equal(t, []int64{5, 0, 10}, []int64{e.balance("bob"), e.balance("carol"), e.balance("dave")})
	require.Equal(t, int64(5+10), e.communityPool())
}

// TestTakeThatCannotBeSent: what the community pool does not get waits, and holds up no payee.
func TestTakeThatCannotBeSent(t *testing.T) {
	e := newEnv(t)
	e.taking("0.5")
	e.open("a", "alice", 100)
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("1")))
	e.bank.blocked[communityPool] = true
	e.end(10)
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(2)
	require.Equal(t, int64(5), e.balance("bob"))
	delete(e.bank.blocked, communityPool)
	e.end(1)
	require.Equal(t, int64(5), e.communityPool())
	require.True(t, e.bank.balances[pool()].IsZero())
}

// TestClaimsOfTransactionsAreApart: two transactions of a block that pay one address write different keys, and the end
// block adds them up.
func TestClaimsOfTransactionsAreApart(t *testing.T) {
	e := newEnv(t)
	for i, xid := range []string{"a", "b", "c"} {
		e.open(xid, "alice", 100)
		require.NoError(t, e.k.OpenPayment(e.ctx, pid(xid, "p"), addr("bob"), rate("1")))
		require.NoError(t, e.k.CloseAccount(e.ctx.WithBlockHeight(11).WithTxIndex(i), id(xid)))
	}
	e.bank.endBlock()
	exported, err := e.k.ExportGenesis(e.ctx)
	require.NoError(t, err)
	require.Len(t, exported.Claims, 2, "one of bob, one of alice")
	for _, c := range exported.Claims {
		want := map[string]int64{addr("bob").String(): 30, addr("alice").String(): 270}[c.Address]
		require.Equal(t, coin(want), c.Coins[0])
	}
	e.ctx = e.ctx.WithBlockHeight(11)
	e.end(1)
	require.Equal(t, int64(30), e.balance("bob"))
}

func TestPruneAccount(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 1000)
	for _, p := range []string{"1", "2", "3"} {
		require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", p), addr("bob"), rate("1")))
	}
	_, _, err := e.k.PruneAccount(e.ctx, id("a"), 10)
	require.ErrorIs(t, err, types.ErrAccountOpen)
	e.end(4)
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	for _, want := range []struct {
		limit, removed int
		done           bool
	}{{0, 0, false}, {2, 2, false}, {1, 1, false}, {1, 1, true}, {1, 0, true}} {
		removed, done, err := e.k.PruneAccount(e.ctx, id("a"), want.limit)
		require.NoError(t, err)
		require.Equal(t, []any{want.removed, want.done}, []any{removed, done}, "limit %d", want.limit)
	}
	_, err = e.k.Account(e.ctx, id("a"))
	require.ErrorIs(t, err, types.ErrAccountNotFound)
	_, err = e.k.Payment(e.ctx, pid("a", "1"))
	require.ErrorIs(t, err, types.ErrPaymentNotFound)
	e.end(1)
	require.Equal(t, int64(12), e.balance("bob"), "claims outlive the account")
	require.Equal(t, int64(1_000_000-12), e.balance("alice"))
}
