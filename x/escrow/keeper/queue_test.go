package keeper_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"berth.dev/berth/x/escrow/types"
)

// atMost lets an end block do so many units of work on due accounts.
func (e *env) atMost(units uint32) {
	params, err := e.k.GetParams(e.ctx)
	require.NoError(e.t, err)
	params.MaxDuePerBlock = units
	require.NoError(e.t, e.k.SetParams(e.ctx, params))
}

// dryAtFour opens accounts 0, 1, ... with payments of a rate of 4 together, which all run dry at height 4.
func (e *env) dryAtFour(n, payments int) {
	for i := range n {
		xid := fmt.Sprint(i)
		e.open(xid, "alice", 10)
		for p := range payments {
			require.NoError(e.t, e.k.OpenPayment(e.ctx, pid(xid, fmt.Sprint("p", p)), addr("bob"), rate([]string{"", "4", "2"}[payments])))
		}
	}
}

// TestLateQueue: with one account a block, accounts wait in the queue, and it changes nothing of what is owed.
func TestLateQueue(t *testing.T) {
	e := newEnv(t)
	e.atMost(1)
	const n = 4
	e.dryAtFour(n, 1)
	e.end(4) // the first has been handled
	require.Equal(t, []string{"suspended 0"}, e.hooks.told)
	require.Equal(t, types.ACCOUNT_STATE_OPEN, e.account("3").State)
	require.Equal(t, "10.000000000000000000", e.payment("3", "p0").Accrued.String(), "no accrual past the dry height")
	require.Equal(t, int64(4), e.account("3").SettledAt)

	_, err := e.k.Withdraw(e.ctx, pid("3", "p0"))
	require.NoError(t, err)
	require.Equal(t, []string{"suspended 0", "suspended 3"}, e.hooks.told, "a message handles what is due first")
	e.end(2)
	require.Equal(t, []string{"suspended 0", "suspended 3", "suspended 1", "suspended 2"}, e.hooks.told)
	for i := range n {
		require.Equal(t, int64(14), e.account(fmt.Sprint(i)).DueAt, "grace counts from the dry height, however late")
	}
	e.end(20)
	require.Len(t, e.hooks.told, 2*n)
	require.Equal(t, int64(10*n), e.balance("bob"))
}

// TestEveryMessageHandlesADueAccountFirst: one that is dry, or whose grace has ended, while the queue is late.
func TestEveryMessageHandlesADueAccountFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(e *env) error
		dry  error // of an account that ran dry
		over error // of one whose grace is over
	}{
		"a deposit that resumes": {func(e *env) error { return e.deposit("a", "alice", 20) }, nil, types.ErrAccountClosed},
		"a deposit too small":    {func(e *env) error { return e.deposit("a", "alice", 19) }, nil, types.ErrAccountClosed},
		"a new payment": {func(e *env) error { return e.k.OpenPayment(e.ctx, pid("a", "q"), addr("bob"), rate("1")) },
			types.ErrAccountSuspended, types.ErrAccountClosed},
		"a withdrawal":      {func(e *env) error { _, err := e.k.Withdraw(e.ctx, pid("a", "p")); return err }, nil, types.ErrPaymentClosed},
		"a payment's close": {func(e *env) error { return e.k.ClosePayment(e.ctx, pid("a", "p")) }, nil, types.ErrPaymentClosed},
	} {
		t.Run(name, func(t *testing.T) {
			for height, want := range map[int64]error{4: tc.dry, 7: tc.dry, 13: tc.dry, 14: tc.over, 100: tc.over} {
				e := newEnv(t)
				e.open("a", "alice", 10)
				require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("4")))
				e.bank.endBlock()
				e.ctx = e.ctx.WithBlockHeight(height) // no end block ran at 4, nor at 14
				require.ErrorIs(t, tc.do(e), want, "height %d", height)
				require.Equal(t, "suspended a", e.hooks.told[0])
				if want == nil {
					require.LessOrEqual(t, e.payment("a", "p").Accrued.TruncateInt64(), int64(10), "nothing past the dry height")
				}
			}
		})
	}
}

// TestResumptionThroughALateQueue: a deposit in the block in which a late account is dry for long resumes it from that
// block on; what lies between is not earned.
func TestResumptionThroughALateQueue(t *testing.T) {
	e := newEnv(t)
	e.atMost(1)
	e.dryAtFour(3, 1)
	e.end(4)
	require.NoError(t, e.deposit("2", "alice", 20))
	require.Equal(t, []string{"suspended 0", "suspended 2", "resumed 2"}, e.hooks.told)
	require.Equal(t, e.ctx.BlockHeight()+5, e.account("2").DueAt)
	e.end(2)
	require.Equal(t, "18.000000000000000000", e.payment("2", "p0").Accrued.String())
}

// TestQueueIsBoundedByWork: an account counts with its payments, and an expiring one with its deposits.
func TestQueueIsBoundedByWork(t *testing.T) {
	for name, tc := range map[string]struct {
		limit         uint32
		first, second int // accounts suspended after one end block, and after two
	}{
		"less than one account": {1, 1, 2},
		"one":                   {3, 1, 2},
		"one and a part":        {5, 1, 2},
		"two":                   {6, 2, 4},
		"all":                   {100, 5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.atMost(tc.limit)
			e.dryAtFour(5, 2) // three units each
			e.end(4)
			require.Len(t, e.hooks.told, tc.first)
			e.end(1)
			require.Len(t, e.hooks.told, tc.second)
			for i, told := range e.hooks.told {
				require.Equal(t, fmt.Sprint("suspended ", i), told, "in the order of the ids")
			}
		})
	}
	t.Run("deposits", func(t *testing.T) {
		e := newEnv(t)
		for _, xid := range []string{"a", "b"} {
			e.open(xid, "alice", 10)
			e.strangers(xid, 5)
			require.NoError(t, e.k.OpenPayment(e.ctx, pid(xid, "p"), addr("bob"), rate("60")))
		}
		e.atMost(15)
		e.end(2)
		require.Len(t, e.hooks.told, 2, "two units each")
		e.end(10)
		require.Len(t, e.hooks.told, 3, "eight units each: one account, one payment, six deposits")
		e.end(1)
		require.Len(t, e.hooks.told, 4)
	})
}

// TestQueueInOrderOfHeight: who ran dry earlier is handled earlier, whatever its id.
func TestQueueInOrderOfHeight(t *testing.T) {
	e := newEnv(t)
	e.atMost(1)
	for xid, deposit := range map[string]int64{"z": 10, "y": 11, "x": 12} {
		e.open(xid, "alice", deposit)
		require.NoError(t, e.k.OpenPayment(e.ctx, pid(xid, "p"), addr("bob"), rate("1")))
	}
	e.bank.endBlock()
	e.ctx = e.ctx.WithBlockHeight(14)
	e.end(3)
	require.Equal(t, []string{"suspended z", "suspended y", "suspended x"}, e.hooks.told)
}

// TestFailingHook: an account whose hook fails stays as it was and is tried again; a message that needs it fails.
func TestFailingHook(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("10")))
	for _, fail := range []error{errors.New("no"), types.ErrInvalidRate} {
		e.hooks.fail = fail
		e.end(3)
		require.Equal(t, types.ACCOUNT_STATE_OPEN, e.account("a").State)
		ctx, _ := e.ctx.CacheContext()
		_, err := e.k.Withdraw(ctx, pid("a", "p"))
		require.ErrorIs(t, err, fail, "a registered error stays one")
	}
	e.hooks.fail = nil
	e.end(1)
	require.Equal(t, types.ACCOUNT_STATE_SUSPENDED, e.account("a").State)
}

// TestFailuresDoNotHoldUpTheQueue: accounts that fail, or panic, for ever at the front of the queue take their turn, and
// no more than that.
func TestFailuresDoNotHoldUpTheQueue(t *testing.T) {
	for name, panics := range map[string]bool{"errors": false, "panics": true} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.atMost(2) // one account with its payment
			e.dryAtFour(6, 1)
			e.hooks.bad = append(e.hooks.bad, "0", "1", "3")
			e.hooks.panics = panics
			e.end(3 + 6)
			require.Equal(t, []string{"suspended 2", "suspended 4", "suspended 5"}, e.hooks.told)
			e.hooks.bad = nil
			e.end(4) // it goes back to the front
			require.Equal(t, []string{"suspended 0", "suspended 1", "suspended 3"}, e.hooks.told[3:6])
			e.end(30)
			require.Len(t, e.hooks.told, 12)
			require.Equal(t, int64(60), e.balance("bob"))
		})
	}
}
