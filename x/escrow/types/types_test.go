package types_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/units"
	"berth.dev/berth/x/escrow/types"
)

func TestParams(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*types.Params)
		ok   bool
	}{
		"the defaults":        {func(*types.Params) {}, true},
		"two denoms":          {func(p *types.Params) { p.MinDeposits = sdk.NewCoins(sdk.NewInt64Coin("a2c", 1), p.MinDeposits[0]) }, true},
		"no denom":            {func(p *types.Params) { p.MinDeposits = nil }, false},
		"a denom twice":       {func(p *types.Params) { p.MinDeposits = append(p.MinDeposits, p.MinDeposits[0]) }, false},
		"no amount":           {func(p *types.Params) { p.MinDeposits = []sdk.Coin{{Denom: "abc"}} }, false},
		"a zero amount":       {func(p *types.Params) { p.MinDeposits[0].Amount = math.ZeroInt() }, false},
		"shortest grace":      {func(p *types.Params) { p.GraceBlocks = 1 }, true},
		"no grace":            {func(p *types.Params) { p.GraceBlocks = 0 }, false},
		"longest grace":       {func(p *types.Params) { p.GraceBlocks = types.MaxGraceBlocks }, true},
		"grace too long":      {func(p *types.Params) { p.GraceBlocks = types.MaxGraceBlocks + 1 }, false},
		"no resume minimum":   {func(p *types.Params) { p.MinResumeBlocks = 0 }, false},
		"no due a block":      {func(p *types.Params) { p.MaxDuePerBlock = 0 }, false},
		"most due a block":    {func(p *types.Params) { p.MaxDuePerBlock = types.MaxDuePerBlock }, true},
		"too many due":        {func(p *types.Params) { p.MaxDuePerBlock = types.MaxDuePerBlock + 1 }, false},
		"take everything":     {func(p *types.Params) { p.TakeRate = math.LegacyOneDec() }, true},
		"take more":           {func(p *types.Params) { p.TakeRate = math.LegacyMustNewDecFromStr("1.000000000000000001") }, false},
		"take less":           {func(p *types.Params) { p.TakeRate = math.LegacySmallestDec().Neg() }, false},
		"no take rate":        {func(p *types.Params) { p.TakeRate = math.LegacyDec{} }, false},
		"resume over a grace": {func(p *types.Params) { p.MinResumeBlocks = types.MaxGraceBlocks + 1 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := types.DefaultParams()
			tc.edit(&p)
			if err := p.Validate(); tc.ok {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, types.ErrInvalidParams)
			}
		})
	}
}

func TestIDs(t *testing.T) {
	long := strings.Repeat("x", types.MaxIDLength)
	for name, tc := range map[string]struct {
		id types.PaymentID
		ok bool
	}{
		"plain":             {types.PaymentID{AccountId: types.AccountID{Scope: "s", Xid: "a/1"}, Pid: "1/1/p"}, true},
		"longest":           {types.PaymentID{AccountId: types.AccountID{Scope: long, Xid: long}, Pid: long}, true},
		"too long":          {types.PaymentID{AccountId: types.AccountID{Scope: "s", Xid: long + "x"}, Pid: "p"}, false},
		"no scope":          {types.PaymentID{AccountId: types.AccountID{Xid: "a"}, Pid: "p"}, false},
		"no pid":            {types.PaymentID{AccountId: types.AccountID{Scope: "s", Xid: "a"}}, false},
		"a zero byte in it": {types.PaymentID{AccountId: types.AccountID{Scope: "s", Xid: "a\x00b"}, Pid: "p"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.id.Validate(); tc.ok {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, types.ErrInvalidID)
			}
		})
	}
}

// genesis is a small one in which everything adds up: an account with a live and a closed payment, a hold, a claim.
func genesis() types.GenesisState {
	owner := sdk.AccAddress("owner_______________").String()
	payee := sdk.AccAddress("payee_______________").String()
	id := types.AccountID{Scope: "deployment", Xid: owner + "/1"}
	dec := math.LegacyMustNewDecFromStr
	return types.GenesisState{
		Params: types.DefaultParams(),
		Accounts: []types.Account{{
			Id: id, Owner: owner, State: types.ACCOUNT_STATE_OPEN, Denom: units.BaseDenom, SettledAt: 5, DueAt: 20,
			Deposits:  []types.Deposit{{Owner: owner, Source: types.SOURCE_BALANCE, Amount: math.NewInt(100)}},
			Deposited: math.NewInt(100), Accrued: dec("17.5"), Paid: math.NewInt(14), Rate: dec("2.5"), Refunded: math.ZeroInt(),
		}},
		Payments: []types.Payment{
			{Id: types.PaymentID{AccountId: id, Pid: "1"}, Payee: payee, State: types.PAYMENT_STATE_OPEN, Rate: sdk.NewDecCoinFromDec(units.BaseDenom, dec("2.5")), Accrued: dec("7.5"), Withdrawn: math.NewInt(4), TakeRate: dec("0.5"), Taken: math.NewInt(2)},
			{Id: types.PaymentID{AccountId: id, Pid: "2"}, Payee: payee, State: types.PAYMENT_STATE_CLOSED, Rate: sdk.NewDecCoinFromDec(units.BaseDenom, dec("3.7")), Accrued: dec("10.9"), Withdrawn: math.NewInt(10), TakeRate: dec("0"), Taken: math.NewInt(0)},
		},
		Holds:  []types.Hold{{Scope: "bid", Owner: payee, Amount: sdk.NewInt64Coin(units.BaseDenom, 5)}},
		Claims: []types.Claim{{Address: payee, Coins: sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, 3))}},
	}
}

func TestGenesisValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*types.GenesisState)
		want string
	}{
		"sound":                     {func(*types.GenesisState) {}, ""},
		"bad parameters":            {func(g *types.GenesisState) { g.Params.GraceBlocks = 0 }, "grace_blocks"},
		"an account twice":          {func(g *types.GenesisState) { g.Accounts = append(g.Accounts, g.Accounts[0]) }, "twice"},
		"an unknown state":          {func(g *types.GenesisState) { g.Accounts[0].State = 9 }, "unknown state"},
		"a bad owner":               {func(g *types.GenesisState) { g.Accounts[0].Owner = "nobody" }, "owner"},
		"a missing amount":          {func(g *types.GenesisState) { g.Accounts[0].Paid = math.Int{} }, "missing"},
		"deposits that do not add":  {func(g *types.GenesisState) { g.Accounts[0].Deposited = math.NewInt(101) }, "deposits sum up"},
		"a negative deposit":        {func(g *types.GenesisState) { g.Accounts[0].Deposits[0].Amount = math.NewInt(-1) }, "not positive"},
		"accruals that do not add":  {func(g *types.GenesisState) { g.Payments[0].Accrued = math.LegacyNewDec(8) }, "accrued"},
		"payouts that do not add":   {func(g *types.GenesisState) { g.Payments[0].Withdrawn = math.NewInt(5) }, "paid"},
		"too much taken":            {func(g *types.GenesisState) { g.Payments[0].Taken = math.NewInt(3) }, "taken"},
		"a take rate above 1":       {func(g *types.GenesisState) { g.Payments[0].TakeRate = math.LegacyNewDec(2) }, "take rate"},
		"no take rate":              {func(g *types.GenesisState) { g.Payments[0].TakeRate = math.LegacyDec{} }, "take rate"},
		"rates that do not add":     {func(g *types.GenesisState) { g.Accounts[0].Rate = math.LegacyNewDec(3) }, "rate"},
		"a payment twice":           {func(g *types.GenesisState) { g.Payments[1].Id = g.Payments[0].Id }, "twice"},
		"a payment without account": {func(g *types.GenesisState) { g.Payments[0].Id.AccountId.Xid = "x" }, "rate"},
		"more paid than earned":     {func(g *types.GenesisState) { g.Payments[0].Withdrawn = math.NewInt(8) }, "withdrawn"},
		"a closed one not refunded": {func(g *types.GenesisState) { g.Accounts[0].State = types.ACCOUNT_STATE_CLOSED }, "closed with"},
		"a negative height":         {func(g *types.GenesisState) { g.Accounts[0].DueAt = -1 }, "negative height"},
		"a deposit of nowhere":      {func(g *types.GenesisState) { g.Accounts[0].Deposits[0].Source = 0 }, "unknown source"},
		"a grant without grantee":   {func(g *types.GenesisState) { g.Accounts[0].Deposits[0].Source = types.SOURCE_GRANT }, "grantee"},
		"a balance with grantee":    {func(g *types.GenesisState) { g.Accounts[0].Deposits[0].Grantee = "x" }, "grantee"},
		"a deposit of a grant": {func(g *types.GenesisState) {
			d := &g.Accounts[0].Deposits[0]
			d.Source, d.Grantee, d.GrantSerial = types.SOURCE_GRANT, d.Owner, 5
		}, ""},
		"more than may be held":     {func(g *types.GenesisState) { g.Accounts[0].Deposited = types.MaxDeposited.AddRaw(1) }, "may hold"},
		"a deposit of all there is": {func(g *types.GenesisState) { g.Accounts[0].Deposits[0].Amount = types.MaxDeposited.MulRaw(2) }, "amount"},
		"a rate without end":        {func(g *types.GenesisState) { g.Payments[0].Rate.Amount = types.MaxDeposited.ToLegacyDec().MulInt64(2) }, "may pay"},
		"an open one refunded":      {func(g *types.GenesisState) { g.Accounts[0].Refunded = math.OneInt() }, "refunded"},
		"a claim without amount":    {func(g *types.GenesisState) { g.Claims[0].Coins[0].Amount = math.Int{} }, "not positive"},
		"a hold without amount":     {func(g *types.GenesisState) { g.Holds[0].Amount.Amount = math.Int{} }, "not positive"},
		"a hold twice":              {func(g *types.GenesisState) { g.Holds = append(g.Holds, g.Holds[0]) }, "twice"},
		"a hold of nothing":         {func(g *types.GenesisState) { g.Holds[0].Amount.Amount = math.ZeroInt() }, "not positive"},
		"a claim of nothing":        {func(g *types.GenesisState) { g.Claims[0].Coins = nil }, "not positive"},
		"a claim of take alone":     {func(g *types.GenesisState) { g.Claims[0].Take, g.Claims[0].Coins = g.Claims[0].Coins, nil }, ""},
		"a claim twice":             {func(g *types.GenesisState) { g.Claims = append(g.Claims, g.Claims[0]) }, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			g := genesis()
			tc.edit(&g)
			if err := g.Validate(); tc.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.want)
			}
		})
	}
}
