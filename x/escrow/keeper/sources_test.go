package keeper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/x/escrow/types"
)

var depositURL = sdk.MsgTypeURL(&types.MsgDeposit{})

func grantOf(granter string) types.DepositSource { return types.FromGrant(addr(granter).String()) }

// granted funds a granter with a million and has it grant some of it to a grantee, for ever.
func (e *env) granted(granter, grantee string, limit int64) {
	e.bank.fund(addr(granter), coin(1_000_000))
	e.grantUntil(granter, grantee, limit, nil)
}

func (e *env) grantUntil(granter, grantee string, limit int64, expires *time.Time) {
	a := types.NewDepositAuthorization(coin(limit))
	require.NoError(e.t, a.ValidateBasic())
	require.NoError(e.t, e.authz.SaveGrant(e.ctx, addr(grantee), addr(granter), a, expires))
}

// left is what may still be drawn of a grant, -1 if there is none.
func (e *env) left(granter, grantee string) int64 {
	a, _ := e.authz.GetAuthorization(e.ctx, addr(grantee), addr(granter), depositURL)
	if a == nil {
		return -1
	}
	return a.(*types.DepositAuthorization).Left(denom).Int64()
}

// TestGrantIsRestored, with the numbers of an example: 3,000,000 of a grant of 5,000,000, half of it spent.
func TestGrantIsRestored(t *testing.T) {
	e := newEnv(t)
	e.bank.fund(addr("carol"), coin(10_000_000))
	e.grantUntil("carol", "alice", 5_000_000, nil)
	require.NoError(t, e.k.OpenAccount(e.ctx, id("a"), addr("alice"), coin(3_000_000), []types.DepositSource{grantOf("carol")}))
	require.Equal(t, int64(2_000_000), e.left("carol", "alice"))
	require.Equal(t, int64(7_000_000), e.balance("carol"))
	deposit := e.account("a").Deposits[0]
	require.Equal(t, []string{addr("carol").String(), addr("alice").String()}, []string{deposit.Owner, deposit.Grantee})
	require.Equal(t, types.SOURCE_GRANT, deposit.Source)

	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("150000")))
	e.end(10)
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(1)
	require.Equal(t, int64(1_500_000), e.balance("bob"))
	require.Equal(t, int64(8_500_000), e.balance("carol"), "1,500,000 came back to the granter")
	require.Equal(t, int64(3_500_000), e.left("carol", "alice"))
	require.Zero(t, e.balance("alice"))
}

// TestTwoGranters: sources are drawn in the order given and each gets back what is left of its own.
func TestTwoGranters(t *testing.T) {
	e := newEnv(t)
	e.bank.fund(addr("alice"), coin(100))
	e.granted("carol", "alice", 300)
	e.granted("dave", "alice", 500)
	sources := []types.DepositSource{grantOf("carol"), types.FromBalance(), grantOf("dave")}
	require.NoError(t, e.k.OpenAccount(e.ctx, id("a"), addr("alice"), coin(600), sources))
	require.Equal(t, []int64{0, 300}, []int64{e.left("carol", "alice"), e.left("dave", "alice")})
	require.Zero(t, e.balance("alice"))
	require.Len(t, e.account("a").Deposits, 3)

	require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("45")))
	e.end(10) // 450: carol's 300, alice's 100, 50 of dave's 200
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	e.end(1)
	require.Equal(t, []int64{1_000_000 - 300, 0, 1_000_000 - 50}, []int64{e.balance("carol"), e.balance("alice"), e.balance("dave")})
	require.Equal(t, []int64{0, 450}, []int64{e.left("carol", "alice"), e.left("dave", "alice")})
}

// TestShortfall: sources that cannot cover a deposit are not touched.
func TestShortfall(t *testing.T) {
	e := newEnv(t)
	e.bank.fund(addr("alice"), coin(100))
	e.granted("carol", "alice", 300)
	e.granted("poor", "alice", 1_000_000_000) // has a million
	expired := e.ctx.BlockTime().Add(time.Hour)
	e.bank.fund(addr("past"), coin(1_000_000))
	e.grantUntil("past", "alice", 1000, &expired)
	e.ctx = e.ctx.WithBlockTime(expired)
	sources := []types.DepositSource{types.FromBalance(), grantOf("carol"), grantOf("past"), grantOf("nobody"), grantOf("poor")}
	err := e.k.OpenAccount(e.ctx, id("a"), addr("alice"), coin(1_000_401), sources)
	require.ErrorIs(t, err, types.ErrInsufficientFunds)
	for _, part := range []string{"test/a", "balance has 100ubrt", addr("carol").String() + " has 300ubrt", addr("past").String() + " has 0ubrt", addr("poor").String() + " has 1000000ubrt"} {
		require.ErrorContains(t, err, part)
	}
	require.Equal(t, []int64{100, 1_000_000}, []int64{e.balance("alice"), e.balance("carol")})
	require.Equal(t, int64(300), e.left("carol", "alice"))
	require.NoError(t, e.k.OpenAccount(e.ctx, id("a"), addr("alice"), coin(1_000_400), sources), "to the last unit")
}

// TestLockedCoins: what a vesting account cannot spend, it cannot deposit; more locked than there is spends nothing.
func TestLockedCoins(t *testing.T) {
	e := newEnv(t)
	e.bank.fund(addr("alice"), coin(100))
	e.bank.locked[addr("alice").String()] = sdk.NewCoins(coin(80))
	require.ErrorIs(t, e.k.OpenAccount(e.ctx, id("a"), addr("alice"), coin(21), nil), types.ErrInsufficientFunds)
	require.NoError(t, e.k.OpenAccount(e.ctx, id("a"), addr("alice"), coin(20), nil))
	require.ErrorIs(t, e.deposit("a", "alice", 1), types.ErrInsufficientFunds)
	e.bank.locked[addr("alice").String()] = sdk.NewCoins(coin(81))
	require.ErrorIs(t, e.deposit("a", "alice", 1), types.ErrInsufficientFunds)
}

// TestRefundToAGrantThatIsGone: the coins are the granter's whatever became of the grant, which is never made anew.
func TestRefundToAGrantThatIsGone(t *testing.T) {
	hour := newEnv(t).ctx.BlockTime().Add(time.Hour)
	for name, tc := range map[string]struct {
		expires *time.Time
		change  func(e *env)
		left    int64
	}{
		"it stands":          {&hour, func(*env) {}, 300 - 50},
		"it has expired":     {&hour, func(e *env) { e.ctx = e.ctx.WithBlockTime(hour.Add(time.Second)) }, -1},
		"it expires now":     {&hour, func(e *env) { e.ctx = e.ctx.WithBlockTime(hour) }, 300 - 200},
		"it was revoked":     {nil, func(e *env) { clear(e.authz.byKey) }, -1},
		"another limit":      {nil, func(e *env) { e.grantUntil("carol", "alice", 7, nil) }, 7},
		"another, and drawn": {nil, func(e *env) { e.grantUntil("carol", "alice", 70, nil); e.drawnAgain() }, 40},
		"a generic one": {nil, func(e *env) {
			require.NoError(e.t, e.authz.SaveGrant(e.ctx, addr("alice"), addr("carol"), authz.NewGenericAuthorization(depositURL), nil))
		}, -2},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.bank.fund(addr("carol"), coin(1000))
			e.grantUntil("carol", "alice", 300, tc.expires)
			require.NoError(t, e.k.OpenAccount(e.ctx, id("a"), addr("alice"), coin(200), []types.DepositSource{grantOf("carol")}))
			require.NoError(t, e.k.OpenPayment(e.ctx, pid("a", "p"), addr("bob"), rate("5")))
			e.end(10)
			tc.change(e)
			before := e.balance("carol")
			require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
			e.end(1)
			require.Equal(t, int64(150), e.balance("carol")-before)
			if tc.left >= -1 {
				require.Equal(t, tc.left, e.left("carol", "alice"))
			}
		})
	}
}

// drawnAgain opens another account with thirty of the grant that stands.
func (e *env) drawnAgain() {
	require.NoError(e.t, e.k.OpenAccount(e.ctx, id("b"), addr("alice"), coin(30), []types.DepositSource{grantOf("carol")}))
}

// TestNewGrantInTheSameBlock: two grants that are first drawn in one block have two serials.
func TestNewGrantInTheSameBlock(t *testing.T) {
	e := newEnv(t)
	e.granted("carol", "alice", 100)
	require.NoError(t, e.k.OpenAccount(e.ctx.WithTxIndex(1), id("a"), addr("alice"), coin(100), []types.DepositSource{grantOf("carol")}))
	e.granted("carol", "alice", 10)
	require.NoError(t, e.k.OpenAccount(e.ctx.WithTxIndex(2), id("b"), addr("alice"), coin(10), []types.DepositSource{grantOf("carol")}))
	require.NoError(t, e.k.CloseAccount(e.ctx, id("a")))
	require.Zero(t, e.left("carol", "alice"), "what came back was the first grant's")
	require.NoError(t, e.k.CloseAccount(e.ctx, id("b")))
	require.Equal(t, int64(10), e.left("carol", "alice"))
}

func TestSourceRefusals(t *testing.T) {
	many := make([]types.DepositSource, types.MaxSources+1)
	for i := range many {
		many[i] = grantOf(strings.Repeat("x", i+1))
	}
	for name, tc := range map[string]struct {
		sources []types.DepositSource
		want    error
	}{
		"none":                 {nil, nil},
		"the balance":          {[]types.DepositSource{types.FromBalance()}, nil},
		"as many as may be":    {append(many[:types.MaxSources-1:types.MaxSources-1], types.FromBalance()), nil},
		"one more":             {many, types.ErrInvalidSource},
		"the balance twice":    {[]types.DepositSource{types.FromBalance(), types.FromBalance()}, types.ErrInvalidSource},
		"a grant twice":        {[]types.DepositSource{grantOf("carol"), grantOf("carol")}, types.ErrInvalidSource},
		"a grant in capitals":  {[]types.DepositSource{grantOf("carol"), types.FromGrant(strings.ToUpper(addr("carol").String()))}, types.ErrInvalidSource},
		"a grant of one's own": {[]types.DepositSource{grantOf("alice")}, types.ErrInvalidSource},
		"no granter":           {[]types.DepositSource{types.FromGrant("")}, types.ErrInvalidSource},
		"a bad granter":        {[]types.DepositSource{types.FromGrant("carol")}, types.ErrInvalidSource},
		"a balance of another": {[]types.DepositSource{{Kind: types.SOURCE_BALANCE, Granter: addr("carol").String()}}, types.ErrInvalidSource},
		"no kind":              {[]types.DepositSource{{}}, types.ErrInvalidSource},
		"an unknown kind":      {[]types.DepositSource{{Kind: 9}}, types.ErrInvalidSource},
		"a grant unasked for":  {[]types.DepositSource{grantOf("carol")}, types.ErrInsufficientFunds},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.open("a", "alice", 10)
			require.ErrorIs(t, e.deposit("a", "alice", 5, tc.sources...), tc.want)
		})
	}
}
