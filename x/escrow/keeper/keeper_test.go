package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"berth.dev/berth/x/escrow/types"
)

func TestOpenAccount(t *testing.T) {
	for name, tc := range map[string]struct {
		id      types.AccountID
		deposit sdk.Coin
		want    error
	}{
		"the minimum":             {id("new"), coin(10), nil},
		"one below the minimum":   {id("new"), coin(9), types.ErrInvalidDeposit},
		"zero":                    {id("new"), coin(0), types.ErrInvalidDeposit},
		"negative":                {id("new"), sdk.Coin{Denom: denom, Amount: math.NewInt(-5)}, types.ErrInvalidDeposit},
		"no amount":               {id("new"), sdk.Coin{Denom: denom}, types.ErrInvalidDeposit},
		"another denom":           {id("new"), sdk.NewInt64Coin("uatom", 100), types.ErrInvalidDenom},
		"an id in use":            {id("taken"), coin(10), types.ErrAccountExists},
		"an id without scope":     {types.AccountID{Xid: "x"}, coin(10), types.ErrInvalidID},
		"an id with a zero byte":  {id("a\x00b"), coin(10), types.ErrInvalidID},
		"more than the owner has": {id("new"), coin(2_000_000), types.ErrInsufficientFunds},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.open("taken", "alice", 10)
			require.ErrorIs(t, e.k.OpenAccount(e.ctx, tc.id, addr("alice"), tc.deposit, nil), tc.want)
		})
	}
}

func TestPaymentEarnsFromItsBlockOn(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 100)
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("1.5")))
	require.True(t, e.payment("a", "p").Accrued.IsZero(), "nothing in the block it was opened in")
	e.end(3)
	require.Equal(t, "4.500000000000000000", e.payment("a", "p").Accrued.String())
	require.Equal(t, int64(1+67), e.account("a").DueAt, "100 units last 66 blocks and a part of one")

	got, err := e.k.Withdraw(e.ctx, pid("a", "p"))
	require.NoError(t, err)
	require.Equal(t, coin(4), got, "whole units")
	require.Zero(t, e.balance("bob"), "paid at the end of the block")
	again, err := e.k.Withdraw(e.ctx, pid("a", "p"))
	require.NoError(t, err)
	require.True(t, again.IsZero(), "nothing twice")
	e.end(1)
	require.Equal(t, int64(4), e.balance("bob"))

	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(1)
	require.Equal(t, int64(6), e.balance("bob"), "four blocks at 1.5")
	require.Equal(t, int64(1_000_000-6), e.balance("alice"), "the deposit less what was earned, exactly")
	require.Empty(t, e.hooks.told, "a close by the owner calls no hooks")
	require.ErrorIs(t, e.k.CloseAccount(e.ctx, id("a")), types.ErrAccountClosed)
	_, err = e.k.Withdraw(e.ctx, pid("a", "p"))
	require.ErrorIs(t, err, types.ErrPaymentClosed)
}

func TestOpenPaymentRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		pid  types.PaymentID
		rate sdk.DecCoin
		want error
	}{
		"as much as is left":     {pid("a", "q"), rate("95"), nil},
		"a smallest more":        {pid("a", "q"), rate("95.000000000000000001"), types.ErrInsufficientFunds},
		"an id in use":           {pid("a", "p"), rate("1"), types.ErrPaymentExists},
		"another denom":          {pid("a", "q"), sdk.NewInt64DecCoin("uatom", 1), types.ErrInvalidDenom},
		"no rate":                {pid("a", "q"), sdk.NewInt64DecCoin(denom, 0), types.ErrInvalidRate},
		"no such account":        {pid("b", "q"), rate("1"), types.ErrAccountNotFound},
		"an id without pid":      {pid("a", ""), rate("1"), types.ErrInvalidID},
		"an account that closed": {pid("closed", "q"), rate("1"), types.ErrAccountClosed},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.open("a", "alice", 100)
			e.open("closed", "alice", 100)
			require.NoError(t, e.k.CloseAccount(e.ctx, id("closed")))
			require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("5")))
			require.ErrorIs(t, e.k.OpenPayment(e.ctx, tc.pid, addr("bob"), tc.rate), tc.want)
		})
	}
}

func TestClosePaymentReturnsItsFraction(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("0.3")))
	e.end(5) // 1.5 earned
	require.NoError(t, e.k.ClosePayment(e.ctx, pid("a", "p")))
	require.ErrorIs(t, e.k.ClosePayment(e.ctx, pid("a", "p")), types.ErrPaymentClosed)
	require.ErrorIs(t, e.k.ClosePayment(e.ctx, pid("a", "q")), types.ErrPaymentNotFound)
	a := e.account("a")
	require.Equal(t, "1.000000000000000000", a.Accrued.String())
	require.True(t, a.Rate.IsZero())
	require.Zero(t, a.DueAt, "an account that pays nothing lasts")
	require.ErrorIs(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("1")), types.ErrPaymentExists, "an id is never used twice")
	e.end(1)
	require.Equal(t, int64(1), e.balance("bob"))
}

func TestSuspensionResumptionExpiry(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("3")))
	e.end(4) // dry at 1 + ceil(10/3) = 5
	require.Equal(t, types.ACCOUNT_STATE_OPEN, e.account("a").State)
	e.end(1)
	a := e.account("a")
	require.Equal(t, types.ACCOUNT_STATE_SUSPENDED, a.State)
	require.Equal(t, int64(15), a.DueAt, "grace counts from the dry height")
	require.Equal(t, types.PAYMENT_STATE_SUSPENDED, e.payment("a", "p").State)
	require.ErrorIs(t, e.k.OpenPayment(e.ctx, pid("a", "q"), addr("bob"), rate("1")), types.ErrAccountSuspended)
	e.end(3)
	require.Equal(t, "10.000000000000000000", e.payment("a", "p").Accrued.String(), "nothing accrues meanwhile")

	require.NoError(t, e.k.Deposit(e.ctx, id("a"), addr("alice"), coin(14), nil))
	require.Equal(t, types.ACCOUNT_STATE_SUSPENDED, e.account("a").State, "one unit short of five blocks")
	require.NoError(t, e.k.Deposit(e.ctx, id("a"), addr("alice"), coin(1), nil))
	require.Equal(t, types.ACCOUNT_STATE_OPEN, e.account("a").State)
	require.Equal(t, types.PAYMENT_STATE_OPEN, e.payment("a", "p").State)
	require.Equal(t, e.ctx.BlockHeight()+5, e.account("a").DueAt)

	e.end(5 + 1 + 10) // dry again, then the grace
	require.Equal(t, []string{"suspended a", "resumed a", "suspended a", "expired a"}, e.hooks.told)
	require.Equal(t, types.ACCOUNT_STATE_CLOSED, e.account("a").State)
	require.Equal(t, int64(25), e.balance("bob"))
	require.Equal(t, int64(1_000_000-25), e.balance("alice"))
	require.ErrorIs(t, e.k.Deposit(e.ctx, id("a"), addr("alice"), coin(10), nil), types.ErrAccountClosed)
}

func TestExpiryRefundsWhatATopUpTooSmallLeft(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("5")))
	e.end(3)
	require.NoError(t, e.k.Deposit(e.ctx, id("a"), addr("alice"), coin(24), nil))
	e.end(11)
	require.Equal(t, []string{"suspended a", "expired a"}, e.hooks.told)
	require.Equal(t, int64(1_000_000-10), e.balance("alice"), "what could not resume the account is refunded")
	require.Equal(t, int64(10), e.balance("bob"))
}

// TestShortfallIsSharedInOrder: three equal payments share one last unit; its undivided rest goes back.
func TestShortfallIsSharedInOrder(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	for _, p := range []string{"3", "1", "2"} {
		require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", p), addr("bob"+p), rate("1")))
	}
	e.end(20)
	for p, want := range map[string]string{"1": "3.333333333333333334", "2": "3.333333333333333333", "3": "3.333333333333333333"} {
		require.Equal(t, want, e.payment("a", p).Accrued.String())
		require.Equal(t, int64(3), e.balance("bob"+p))
	}
	require.Equal(t, int64(1_000_000-9), e.balance("alice"))
}

func TestDepositors(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	e.bank.fund(addr("carol"), coin(1000))
	require.ErrorIs(t, e.k.Deposit(e.ctx, id("a"), addr("carol"), coin(9), nil), types.ErrInvalidDeposit, "a stranger's minimum")
	require.ErrorIs(t, e.k.Deposit(e.ctx, id("a"), addr("alice"), coin(0), nil), types.ErrInvalidDeposit)
	require.ErrorIs(t, e.k.Deposit(e.ctx, id("a"), addr("carol"), sdk.NewInt64Coin("uatom", 50), nil), types.ErrInvalidDenom)
	require.ErrorIs(t, e.k.Deposit(e.ctx, id("b"), addr("carol"), coin(50), nil), types.ErrAccountNotFound)
	require.NoError(t, e.k.Deposit(e.ctx, id("a"), addr("carol"), coin(20), nil))
	require.NoError(t, e.k.Deposit(e.ctx, id("a"), addr("alice"), coin(1), nil), "the owner may top up by any amount")
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("3")))
	e.end(5) // 15 of 31: alice's first ten and five of carol's
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(1)
	require.Equal(t, int64(1_000_000-10), e.balance("alice"), "first in, first out: her second deposit is whole")
	require.Equal(t, int64(1000-5), e.balance("carol"))
	require.Equal(t, int64(15), e.balance("bob"))
}

func TestHolds(t *testing.T) {
	e := newEnv(t)
	e.bank.fund(addr("bob"), coin(100))
	require.ErrorIs(t, e.k.Hold(e.ctx, "", addr("bob"), coin(1)), types.ErrInvalidID)
	require.ErrorIs(t, e.k.Hold(e.ctx, "h", addr("bob"), coin(0)), types.ErrInvalidDeposit)
	require.ErrorIs(t, e.k.Hold(e.ctx, "h", addr("bob"), coin(101)), sdkerrors.ErrInsufficientFunds)
	require.NoError(t, e.k.Hold(e.ctx, "h", addr("bob"), coin(40)))
	require.NoError(t, e.k.Hold(e.ctx, "h", addr("bob"), coin(20)))
	require.NoError(t, e.k.Hold(e.ctx, "other", addr("bob"), coin(5)))
	e.end(1)
	require.Equal(t, int64(35), e.balance("bob"))
	held, err := e.k.Held(e.ctx, "h", addr("bob"))
	require.NoError(t, err)
	require.Equal(t, sdk.NewCoins(coin(60)), held)

	require.NoError(t, e.k.Release(e.ctx, "h", addr("bob"), coin(40)))
	require.ErrorIs(t, e.k.Release(e.ctx, "h", addr("bob"), coin(21)), types.ErrHoldNotFound, "INV-8: never more than is held")
	require.ErrorIs(t, e.k.Release(e.ctx, "h", addr("bob"), coin(0)), types.ErrHoldNotFound)
	require.ErrorIs(t, e.k.Release(e.ctx, "h", addr("alice"), coin(1)), types.ErrHoldNotFound)
	require.NoError(t, e.k.Release(e.ctx, "h", addr("bob"), coin(20)))
	require.ErrorIs(t, e.k.Release(e.ctx, "h", addr("bob"), coin(1)), types.ErrHoldNotFound)
	e.end(1)
	require.Equal(t, int64(95), e.balance("bob"))
}

// TestDepositAndReleaseInOneBlock: what came and went in one block passes through the pool.
func TestDepositAndReleaseInOneBlock(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 50)
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(1)
	require.Equal(t, int64(1_000_000), e.balance("alice"))
}

// TestUnsendableClaimIsKept: a payee who cannot receive holds up nobody else and loses nothing.
func TestUnsendableClaimIsKept(t *testing.T) {
	e := newEnv(t)
	e.open("a", "alice", 10)
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("1")))
	e.bank.blocked[addr("bob").String()] = true
	e.end(2)
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(3)
	require.Equal(t, int64(1_000_000-2), e.balance("alice"))
	require.Zero(t, e.balance("bob"))
	delete(e.bank.blocked, addr("bob").String())
	e.end(1)
	require.Equal(t, int64(2), e.balance("bob"))
}

// encoded is a genesis as it stands in a file.
func encoded(t *testing.T, g *types.GenesisState) string {
	bz, err := codec.NewProtoCodec(codectypes.NewInterfaceRegistry()).MarshalJSON(g)
	require.NoError(t, err)
	return string(bz)
}

func TestGenesisRoundTrip(t *testing.T) {
	e := newEnv(t)
	e.open("open", "alice", 100)
	e.open("dry", "alice", 10)
	e.open("gone", "alice", 10)
	e.bank.fund(addr("bob"), coin(100))
	for _, xid := range []string{"open", "dry", "gone"} {
		require.NoError(t, e.k.OpenPayment(e.ctx, pid(xid, "p"), addr("bob"), rate("3.7")))
	}
	require.NoError(t, e.k.Hold(e.ctx, "h", addr("bob"), coin(7)))
	require.NoError(t, e.k.CloseAccount(e.ctx, id("gone")))
	e.taking("0.5")
	e.granted("carol", "alice", 500)
	require.NoError(t, e.deposit("open", "alice", 300, grantOf("carol")))
	require.NoError(t, e.k.OpenPayment(e.ctx, pid("open", "half"), addr("dave"), rate("2.6")))
	e.end(5)
	require.NoError(t, e.k.ClosePayment(e.ctx, pid("open", "p")))     // leaves a claim
	_, err := e.k.Withdraw(e.ctx.WithTxIndex(7), pid("open", "half")) // and one with a take
	require.NoError(t, err)
	e.bank.endBlock()

	exported, err := e.k.ExportGenesis(e.ctx)
	require.NoError(t, err)
	require.Len(t, exported.Claims, 2)
	require.NotZero(t, exported.Accounts[2].Deposits[1].GrantSerial)
	require.NoError(t, exported.Validate())

	again := newEnv(t)
	again.bank.balances = e.bank.balances
	again.ctx = again.ctx.WithBlockHeight(e.ctx.BlockHeight())
	require.NoError(t, again.k.InitGenesis(again.ctx, *exported))
	second, err := again.k.ExportGenesis(again.ctx)
	require.NoError(t, err)
	require.Equal(t, exported, second)
	require.Equal(t, encoded(t, exported), encoded(t, second), "to the byte")
	again.authz.byKey = e.authz.byKey
	again.end(30)
	require.Equal(t, []string{"expired dry"}, again.hooks.told, "the queue goes on where it was")
	require.NoError(t, again.k.CloseAccount(again.ctx, id("open")))
	again.end(1)
	require.Equal(t, int64(500-9), again.left("carol", "alice"), "so does the grant: of 35 x 2.6 and 18 of 5 x 3.7, alice has paid 100")

	poor := newEnv(t)
	require.ErrorContains(t, poor.k.InitGenesis(poor.ctx, *exported), "INV-1")
}
