// Package simulation makes random messages and a random genesis of the escrow, for simulations of the chain.
package simulation

import (
	"context"
	"math/rand"
	"time"

	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/testutil/simstate"
	"berth.dev/berth/x/escrow/types"
)

// Keeper is what the factories read of the escrow.
type Keeper interface {
	ExportGenesis(ctx context.Context) (*types.GenesisState, error)
}

// Module is the escrow's part of a simulation.
type Module struct {
	authority string
	state     *simstate.Cached[*types.GenesisState]
	byID      *simstate.Cached[map[types.AccountID]types.Account]
	grants    Grants
	taken     *simstate.Taken
}

var (
	_ module.AppModuleSimulation   = Module{}
	_ simsx.HasWeightedOperationsX = Module{}
	_ simsx.HasProposalMsgsX       = Module{}
)

// New returns the module's part over its keeper; authority may change the parameters.
func New(k Keeper, grants Grants, authority string, taken *simstate.Taken) Module {
	m := Module{authority: authority, state: simstate.NewCached(k.ExportGenesis), grants: grants, taken: taken}
	m.byID = simstate.NewCached(func(ctx context.Context) (map[types.AccountID]types.Account, error) {
		all := map[types.AccountID]types.Account{}
		for _, a := range m.Accounts(ctx) {
			all[a.Id] = a
		}
		return all, nil
	})
	return m
}

// GenerateGenesisState has random parameters and nothing else.
func (Module) GenerateGenesisState(s *module.SimulationState) {
	g := types.DefaultGenesis()
	g.Params = Params(s.Rand)
	s.GenState[types.ModuleName] = s.Cdc.MustMarshalJSON(g)
}

// RegisterStoreDecoder registers nothing: stores are compared by their exports.
func (Module) RegisterStoreDecoder(simtypes.StoreDecoderRegistry) {}

// WeightedOperations is nil: the messages are made by WeightedOperationsX.
func (Module) WeightedOperations(module.SimulationState) []simtypes.WeightedOperation { return nil }

// WeightedOperationsX registers a factory for each message, and those for the grants that deposits draw on.
func (m Module) WeightedOperationsX(weights simsx.WeightSource, reg simsx.Registry) {
	reg.Add(weights.Get("escrow_deposit", 80), m.MsgDepositFactory())
	reg.Add(weights.Get("escrow_deposit_exec", 8), m.MsgExecDepositFactory())
	reg.Add(weights.Get("escrow_grant", 20), m.MsgGrantFactory())
	reg.Add(weights.Get("escrow_revoke", 6), m.MsgRevokeFactory())
}

// ProposalMsgsX registers the messages that governance executes.
func (m Module) ProposalMsgsX(weights simsx.WeightSource, reg simsx.Registry) {
	reg.Add(weights.Get("escrow_params", 10), m.MsgUpdateParamsFactory())
}

// Accounts are the accounts that are not closed.
func (m Module) Accounts(ctx context.Context) []types.Account {
	return simstate.Filter(m.state.Get(ctx).Accounts, func(a types.Account) bool { return a.State != types.ACCOUNT_STATE_CLOSED })
}

// Params are the parameters in force.
func (m Module) Params(ctx context.Context) types.Params { return m.state.Get(ctx).Params }

// CanPay says whether an account is open and has a few blocks of a further rate left, as far as its record tells.
func (m Module) CanPay(ctx context.Context, id types.AccountID, rate math.LegacyDec) bool {
	a, ok := m.byID.Get(ctx)[id]
	if !ok || a.State != types.ACCOUNT_STATE_OPEN {
		return false
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	left := math.LegacyNewDecFromInt(a.Deposited).Sub(a.Accrued).Sub(a.Rate.MulInt64(height - a.SettledAt))
	return left.GTE(a.Rate.Add(rate).MulInt64(3))
}

// MsgUpdateParamsFactory makes other parameters.
func (m Module) MsgUpdateParamsFactory() simsx.SimMsgFactoryFn[*types.MsgUpdateParams] {
	return func(_ context.Context, data *simsx.ChainDataSource, _ simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateParams) {
		return nil, &types.MsgUpdateParams{Authority: m.authority, Params: Params(data.Rand().Rand)}
	}
}

// MsgDepositFactory tops accounts up, open and suspended ones, by their owner, a grantee or a stranger.
func (m Module) MsgDepositFactory() simsx.SimMsgFactoryFn[*types.MsgDeposit] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgDeposit) {
		r := data.Rand().Rand
		account, ok := m.pickAccount(ctx, r)
		if !ok {
			reporter.Skip("no account")
			return nil, nil
		}
		depositor := data.AnyAccount(reporter)
		if simstate.Chance(r, 70) {
			depositor = data.GetAccount(reporter, account.Owner)
		}
		if reporter.IsSkipped() {
			return nil, nil
		}
		amount := m.topUp(ctx, r, account)
		return []simsx.SimAccount{depositor}, &types.MsgDeposit{
			Depositor: depositor.AddressBech32, AccountId: account.Id, Amount: amount,
			Sources: m.grants.Sources(ctx, r, depositor.AddressBech32, amount),
		}
	}
}

// MsgExecDepositFactory executes a deposit as the grantee of a depositor.
func (m Module) MsgExecDepositFactory() simsx.SimMsgFactoryFn[*authz.MsgExec] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *authz.MsgExec) {
		r := data.Rand().Rand
		account, ok := m.pickAccount(ctx, r)
		if !ok {
			reporter.Skip("no account")
			return nil, nil
		}
		g, ok := m.grants.PickGeneric(ctx, r, &types.MsgDeposit{})
		if !ok {
			reporter.Skip("no grant")
			return nil, nil
		}
		grantee := data.GetAccount(reporter, g.Grantee)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{grantee}, Exec(g.Grantee, &types.MsgDeposit{Depositor: g.Granter, AccountId: account.Id, Amount: m.topUp(ctx, r, account)})
	}
}

// MsgGrantFactory lets accounts draw on others: mostly up to a limit, sometimes as a plain authorization.
func (m Module) MsgGrantFactory() simsx.SimMsgFactoryFn[*authz.MsgGrant] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *authz.MsgGrant) {
		r := data.Rand().Rand
		granter := data.AnyAccount(reporter)
		grantee := data.AnyAccountN(10, reporter, simsx.ExcludeAccounts(granter))
		if reporter.IsSkipped() {
			return nil, nil
		}
		var limits sdk.Coins
		for _, denom := range simstate.Denoms() {
			if len(limits) == 0 || simstate.Chance(r, 50) {
				limits = limits.Add(sdk.NewInt64Coin(denom, simstate.Between(r, 1000, 200_000)))
			}
		}
		var a authz.Authorization = authz.NewGenericAuthorization(sdk.MsgTypeURL(&types.MsgDeposit{}))
		if simstate.Chance(r, 80) {
			a = &types.DepositAuthorization{Limits: limits}
		}
		return []simsx.SimAccount{granter}, Grant(simsx.BlockTime(ctx), r, granter.AddressBech32, grantee.AddressBech32, a)
	}
}

// MsgRevokeFactory takes grants back, whatever they are for.
func (m Module) MsgRevokeFactory() simsx.SimMsgFactoryFn[*authz.MsgRevoke] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *authz.MsgRevoke) {
		r := data.Rand().Rand
		g, ok := simstate.Pick(r, m.grants.All(ctx), func(g authz.GrantAuthorization) bool {
			return m.taken.Take(ctx, r, "grant/"+g.Granter+"/"+g.Grantee+"/"+typeOf(g))
		})
		if !ok {
			reporter.Skip("no grant")
			return nil, nil
		}
		granter := data.GetAccount(reporter, g.Granter)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{granter}, &authz.MsgRevoke{Granter: g.Granter, Grantee: g.Grantee, MsgTypeUrl: typeOf(g)}
	}
}

// pickAccount prefers accounts that wait for a deposit, but not so much that none expires.
func (m Module) pickAccount(ctx context.Context, r *rand.Rand) (types.Account, bool) {
	accounts := m.Accounts(ctx)
	if simstate.Chance(r, 20) {
		a, ok := simstate.Pick(r, accounts, func(a types.Account) bool {
			return a.State == types.ACCOUNT_STATE_SUSPENDED && m.taken.Take(ctx, r, "resume/"+a.Id.Xid)
		})
		if ok {
			return a, true
		}
	}
	return simstate.Pick(r, accounts, func(a types.Account) bool { return a.State == types.ACCOUNT_STATE_OPEN })
}

// topUp is enough for a few blocks of the account's rate, and one time in four a tiny amount.
func (m Module) topUp(ctx context.Context, r *rand.Rand, a types.Account) sdk.Coin {
	if simstate.Chance(r, 25) {
		return sdk.NewInt64Coin(a.Denom, simstate.Between(r, minDeposit, 20*minDeposit))
	}
	blocks := m.Params(ctx).MinResumeBlocks + simstate.Between(r, 0, 25)
	return sdk.NewCoin(a.Denom, a.Rate.MulInt64(blocks).Ceil().TruncateInt().Add(math.NewInt(simstate.Between(r, minDeposit, 10*minDeposit))))
}

// Grant is a grant that ends within minutes or not at all.
func Grant(now time.Time, r *rand.Rand, granter, grantee string, a authz.Authorization) *authz.MsgGrant {
	packed, err := codectypes.NewAnyWithValue(a)
	if err != nil {
		panic(err)
	}
	msg := &authz.MsgGrant{Granter: granter, Grantee: grantee, Grant: authz.Grant{Authorization: packed}}
	if simstate.Chance(r, 60) {
		end := now.Add(time.Duration(simstate.Between(r, 10, 600)) * time.Second)
		msg.Grant.Expiration = &end
	}
	return msg
}

// Exec wraps a message for its grantee.
func Exec(grantee string, msg sdk.Msg) *authz.MsgExec {
	packed, err := codectypes.NewAnyWithValue(msg)
	if err != nil {
		panic(err)
	}
	return &authz.MsgExec{Grantee: grantee, Msgs: []*codectypes.Any{packed}}
}
