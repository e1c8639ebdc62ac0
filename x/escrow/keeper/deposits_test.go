package keeper_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

func (e *env) deposit(xid, who string, amount int64, sources ...types.DepositSource) error {
	return e.k.Deposit(e.ctx, id(xid), addr(who), coin(amount), sources)
}

// strangers fills an account with deposits of ten by as many strangers as are asked for.
func (e *env) strangers(xid string, n int) {
	for i := range n {
		name := fmt.Sprintf("stranger %d", i)
		e.bank.fund(addr(name), coin(10))
		require.NoError(e.t, e.deposit(xid, name, 10))
	}
}

const strangersPlaces = types.MaxDeposits - types.MaxSources

// TestFullListOfDepositors: strangers cannot lock the owner out by filling the list, and spent deposits make room.
func TestFullListOfDepositors(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	e.strangers("a", strangersPlaces-1)
	e.bank.fund(addr("late"), coin(10))
	require.ErrorIs(t, e.deposit("a", "late", 10), types.ErrTooManyDeposits)
	require.NoError(t, e.deposit("a", "alice", 5))
	require.NoError(t, e.deposit("a", "alice", 5), "joins the last")
	require.Len(t, e.account("a").Deposits, strangersPlaces+1)

	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("40")))
	e.end(1)
	_, err := e.k.Withdraw(e.ctx, pid("a", "p"))
	require.NoError(t, err)
	require.NoError(t, e.deposit("a", "late", 10), "spent deposits make room")
	require.Less(t, len(e.account("a").Deposits), strangersPlaces)
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(1)
	require.Equal(t, int64(10), e.balance("late"))
	require.Equal(t, int64(1_000_000-10), e.balance("alice"), "40 were spent: ten of hers, and three strangers'")
	require.Equal(t, []int64{0, 0, 0, 10}, []int64{e.balance("stranger 0"), e.balance("stranger 1"), e.balance("stranger 2"), e.balance("stranger 3")})
}

// TestOwnerWithoutADepositOfItsOwn: an owner whose account a grant has paid for has a place in a full list for its own
// balance, and for the grant.
func TestOwnerWithoutADepositOfItsOwn(t *testing.T) {
	e := newEnv(t)
	e.bank.fund(addr("alice"), coin(100))
	e.granted("carol", "alice", 100)
	require.NoError(t, e.k.OpenAccount(e.ctx, id("a"), addr("alice"), coin(10), []types.DepositSource{grantOf("carol")}))
	e.strangers("a", strangersPlaces-1)
	require.NoError(t, e.deposit("a", "alice", 1))
	require.NoError(t, e.deposit("a", "alice", 1, grantOf("carol")))
	for range 2 * types.MaxSources {
		require.NoError(t, e.deposit("a", "alice", 1))
		require.NoError(t, e.deposit("a", "alice", 1, grantOf("carol")))
	}
	require.LessOrEqual(t, len(e.account("a").Deposits), types.MaxDeposits)
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(1)
	require.Equal(t, []int64{100, 1_000_000}, []int64{e.balance("alice"), e.balance("carol")})
}

// TestFullListDoesNotRewriteThePast: when the list is full, a deposit joins one of its own only if nothing behind that has
// been spent; else it would pay for what others have paid since.
func TestFullListDoesNotRewriteThePast(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	e.strangers("a", strangersPlaces-1)
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("15")))
	for i := range 2 {
		e.bank.fund(addr(fmt.Sprintf("stranger %d", i)), coin(10))
	}
	e.end(1) // 15 are earned: alice's ten, five of stranger 0's; nothing is paid, so that nothing is folded
	require.NoError(t, e.deposit("a", "stranger 0", 10), "its ten are not spent")
	e.end(1) // 30: stranger 0's twenty
	e.bank.fund(addr("stranger 0"), coin(10))
	require.NoError(t, e.deposit("a", "stranger 0", 10), "nothing behind them is spent")
	e.end(2) // 60: its thirty, 20 behind
	e.bank.fund(addr("stranger 0"), coin(10))
	require.ErrorIs(t, e.deposit("a", "stranger 0", 10), types.ErrTooManyDeposits)
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(1)
	require.Equal(t, int64(10), e.balance("stranger 0"), "the ten that were refused")
	require.Equal(t, int64(10), e.balance("stranger 1"), "the ten that it was funded with")
	require.Equal(t, int64(10), e.balance("stranger 3"))
}

// TestOwnersPlacesAreNotTheGrantees: who draws a grant of the owner's is a stranger all the same.
func TestOwnersPlacesAreNotTheGrantees(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	e.strangers("a", strangersPlaces-1)
	e.granted("alice", "dave", 10)
	require.ErrorIs(t, e.deposit("a", "dave", 10, grantOf("alice")), types.ErrTooManyDeposits)
	require.Equal(t, int64(10), e.left("alice", "dave"))
}

func TestTinyTopUps(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	e.bank.fund(addr("carol"), coin(1000))
	e.bank.fund(addr("dave"), coin(1000))
	e.granted("carol", "dave", 1000)
	e.granted("erin", "dave", 9)
	require.ErrorIs(t, e.deposit("a", "carol", 9), types.ErrInvalidDeposit, "a stranger's minimum is ten")
	require.ErrorIs(t, e.deposit("a", "dave", 15, grantOf("erin"), types.FromBalance()), types.ErrInvalidDeposit,
		"nine of the grant are a stranger's dust, also as a part of fifteen")
	require.NoError(t, e.deposit("a", "dave", 25, grantOf("carol")))
	require.NoError(t, e.deposit("a", "alice", 1), "the owner may top up by any amount")

	// One that does not resume a suspended account is kept and adds up with the next.
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("18")))
	e.end(3)
	require.Equal(t, types.ACCOUNT_STATE_SUSPENDED, e.account("a").State)
	for range 89 {
		require.NoError(t, e.deposit("a", "alice", 1))
	}
	require.Equal(t, types.ACCOUNT_STATE_SUSPENDED, e.account("a").State, "89 of 5 x 18")
	require.NoError(t, e.deposit("a", "alice", 1))
	require.Equal(t, types.ACCOUNT_STATE_OPEN, e.account("a").State)
}

func TestDepositRefusals(t *testing.T) {
	big := func(exp uint, less int64) sdk.Coin {
		return sdk.Coin{Denom: denom, Amount: math.NewInt(2).ToLegacyDec().Power(uint64(exp)).TruncateInt().SubRaw(less)}
	}
	for name, tc := range map[string]struct {
		xid    string
		amount sdk.Coin
		want   error
	}{
		"0":                {"a", coin(0), types.ErrInvalidDeposit},
		"1":                {"a", coin(1), nil},
		"-1":               {"a", sdk.Coin{Denom: denom, Amount: math.NewInt(-1)}, types.ErrInvalidDeposit},
		"2^63-1":           {"a", big(63, 1), types.ErrInsufficientFunds},
		"2^63":             {"a", big(63, 0), types.ErrInsufficientFunds},
		"2^128-1":          {"a", big(128, 1), types.ErrInvalidDeposit},
		"2^256-1":          {"a", sdk.Coin{Denom: denom, Amount: maxInt()}, types.ErrInvalidDeposit},
		"no amount":        {"a", sdk.Coin{Denom: denom}, types.ErrInvalidDeposit},
		"another denom":    {"a", sdk.NewInt64Coin("uatom", 1), types.ErrInvalidDenom},
		"no denom":         {"a", sdk.Coin{Amount: math.OneInt()}, types.ErrInvalidDenom},
		"a malformed one":  {"a", sdk.Coin{Denom: "!", Amount: math.OneInt()}, types.ErrInvalidDenom},
		"no such account":  {"b", coin(1), types.ErrAccountNotFound},
		"a closed account": {"closed", coin(1), types.ErrAccountClosed},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.open("a", "alice", 10)
			e.open("closed", "alice", 10)
			require.NoError(t, e.k.CloseAccount(e.ctx, id("closed")))
			err := e.k.Deposit(e.ctx, id(tc.xid), addr("alice"), tc.amount, nil)
			require.ErrorIs(t, err, tc.want)
			if tc.want != nil {
				require.ErrorContains(t, err, "test/"+tc.xid, "it names the account")
			}
			e.end(1) // with its invariants
		})
	}
}

func maxInt() math.Int {
	one := math.OneInt().BigInt()
	return math.NewIntFromBigInt(one.Sub(one.Lsh(one, 256), math.OneInt().BigInt()))
}

// TestLargestAccount: an account may hold 2^128-1 and nothing overflows.
func TestLargestAccount(t *testing.T) {
	e := newEnv(t)
	most := sdk.NewCoin(denom, types.MaxDeposited)
	e.bank.fund(addr("alice"), most, coin(1))
	require.NoError(t, e.k.OpenAccount(e.ctx, id("a"), addr("alice"), most, nil))
	require.ErrorIs(t, e.deposit("a", "alice", 1), types.ErrInvalidDeposit)
	half := sdk.NewDecCoinFromDec(denom, types.MaxDeposited.ToLegacyDec().QuoInt64(2))
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), half))
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "q"), addr("bob"), half))
	require.ErrorIs(t, e.k.OpenPayment(e.ctx, pid("a", "r"), addr("bob"), sdk.NewDecCoinFromDec(denom, math.LegacySmallestDec())), types.ErrInsufficientFunds)
	e.end(20)
	require.Equal(t, types.ACCOUNT_STATE_CLOSED, e.account("a").State)
}
