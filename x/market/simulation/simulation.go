// Package simulation makes random messages and a random genesis of the market, for simulations of the chain.
package simulation

import (
	"context"
	"math/rand"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/testutil/simstate"
	deploymentsim "berth.dev/berth/x/deployment/simulation"
	escrowsim "berth.dev/berth/x/escrow/simulation"
	"berth.dev/berth/x/market/types"
	providersim "berth.dev/berth/x/provider/simulation"
)

// Keeper is what the factories read of the market.
type Keeper interface {
	ExportGenesis(ctx context.Context) (*types.GenesisState, error)
}

// Module is the market's part of a simulation.
type Module struct {
	authority string
	state     *simstate.Cached[*types.GenesisState]
	byOrder   *simstate.Cached[map[types.OrderID]types.Order]
	// bidsOf are the open bids of each provider.
	bidsOf *simstate.Cached[map[string][]types.Bid]
	// waiting is how many open bids an order has.
	waiting   *simstate.Cached[map[types.OrderID]int]
	living    *simstate.Cached[[]types.Lease]
	providers providersim.Module
	audits    deploymentsim.Audits
	grants    escrowsim.Grants
	escrow    escrowsim.Module
	taken     *simstate.Taken
}

var (
	_ module.AppModuleSimulation   = Module{}
	_ simsx.HasWeightedOperationsX = Module{}
	_ simsx.HasProposalMsgsX       = Module{}
)

// Options are what a Module is made of.
type Options struct {
	Keeper    Keeper
	Providers providersim.Module
	Audits    deploymentsim.Audits
	Grants    escrowsim.Grants
	Escrow    escrowsim.Module
	// Authority may change the parameters.
	Authority string
	Taken     *simstate.Taken
}

// New returns the module's part.
func New(o Options) Module {
	m := Module{
		authority: o.Authority, state: simstate.NewCached(o.Keeper.ExportGenesis),
		providers: o.Providers, audits: o.Audits, grants: o.Grants, escrow: o.Escrow, taken: o.Taken,
	}
	m.byOrder = simstate.NewCached(func(ctx context.Context) (map[types.OrderID]types.Order, error) {
		all := map[types.OrderID]types.Order{}
		for _, o := range m.state.Get(ctx).Orders {
			all[o.Id] = o
		}
		return all, nil
	})
	m.bidsOf = simstate.NewCached(func(ctx context.Context) (map[string][]types.Bid, error) {
		all := map[string][]types.Bid{}
		for _, b := range m.state.Get(ctx).Bids {
			if b.State == types.BID_STATE_OPEN {
				all[b.Id.Provider] = append(all[b.Id.Provider], b)
			}
		}
		return all, nil
	})
	m.waiting = simstate.NewCached(func(ctx context.Context) (map[types.OrderID]int, error) {
		all := map[types.OrderID]int{}
		for _, b := range m.state.Get(ctx).Bids {
			if b.State == types.BID_STATE_OPEN {
				all[b.Id.OrderID()]++
			}
		}
		return all, nil
	})
	m.living = simstate.NewCached(func(ctx context.Context) ([]types.Lease, error) {
		return simstate.Filter(m.state.Get(ctx).Leases, func(l types.Lease) bool { return l.State != types.LEASE_STATE_CLOSED }), nil
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

// WeightedOperationsX registers a factory for each message, and those by which a hot key acts for a provider.
func (m Module) WeightedOperationsX(weights simsx.WeightSource, reg simsx.Registry) {
	reg.Add(weights.Get("market_create_bids", 220), m.MsgCreateBidsFactory())
	reg.Add(weights.Get("market_close_bids", 25), m.MsgCloseBidsFactory())
	reg.Add(weights.Get("market_create_lease", 110), m.MsgCreateLeaseFactory())
	reg.Add(weights.Get("market_close_lease", 30), m.MsgCloseLeaseFactory())
	reg.Add(weights.Get("market_start_reclaim", 25), m.MsgStartReclaimFactory())
	reg.Add(weights.Get("market_withdraw_leases", 60), m.MsgWithdrawLeasesFactory())
	reg.Add(weights.Get("market_grant", 15), m.MsgGrantFactory())
	reg.Add(weights.Get("market_exec", 60), m.MsgExecFactory())
}

// ProposalMsgsX registers the messages that governance executes.
func (m Module) ProposalMsgsX(weights simsx.WeightSource, reg simsx.Registry) {
	reg.Add(weights.Get("market_params", 10), m.MsgUpdateParamsFactory())
}

// Notice is the shortest and the longest notice of a reclamation, in seconds.
func (m Module) Notice(ctx context.Context) (low, high uint32) {
	p := m.state.Get(ctx).Params
	return p.MinReclaimWindowSeconds, p.MaxReclaimWindowSeconds
}

// MsgUpdateParamsFactory makes other parameters.
func (m Module) MsgUpdateParamsFactory() simsx.SimMsgFactoryFn[*types.MsgUpdateParams] {
	return func(_ context.Context, data *simsx.ChainDataSource, _ simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateParams) {
		return nil, &types.MsgUpdateParams{Authority: m.authority, Params: Params(data.Rand().Rand)}
	}
}

// MsgGrantFactory lets an account bid, close bids or withdraw for a provider, as its hot key does.
func (m Module) MsgGrantFactory() simsx.SimMsgFactoryFn[*authz.MsgGrant] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *authz.MsgGrant) {
		r := data.Rand().Rand
		all := m.providers.Providers(ctx)
		if len(all) == 0 {
			reporter.Skip("no provider")
			return nil, nil
		}
		granter := data.GetAccount(reporter, all[r.Intn(len(all))].Owner)
		grantee := data.AnyAccountN(10, reporter, simsx.ExcludeAccounts(granter))
		if reporter.IsSkipped() {
			return nil, nil
		}
		msgs := []sdk.Msg{&types.MsgCreateBids{}, &types.MsgCreateBids{}, &types.MsgCloseBids{}, &types.MsgWithdrawLeases{}}
		a := authz.NewGenericAuthorization(sdk.MsgTypeURL(msgs[r.Intn(len(msgs))]))
		return []simsx.SimAccount{granter}, escrowsim.Grant(simsx.BlockTime(ctx), r, granter.AddressBech32, grantee.AddressBech32, a)
	}
}

// MsgExecFactory has a hot key act for a provider.
func (m Module) MsgExecFactory() simsx.SimMsgFactoryFn[*authz.MsgExec] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *authz.MsgExec) {
		r := data.Rand().Rand
		make := []func(context.Context, *rand.Rand, string) sdk.Msg{
			func(ctx context.Context, r *rand.Rand, provider string) sdk.Msg {
				return orNil(m.bids(ctx, r, provider))
			},
			func(ctx context.Context, r *rand.Rand, provider string) sdk.Msg {
				return orNil(m.closing(ctx, r, provider))
			},
			func(ctx context.Context, r *rand.Rand, provider string) sdk.Msg {
				return orNil(m.withdrawal(ctx, r, provider))
			},
		}
		kinds := []sdk.Msg{&types.MsgCreateBids{}, &types.MsgCloseBids{}, &types.MsgWithdrawLeases{}}
		i := r.Intn(len(kinds))
		g, ok := m.grants.PickGeneric(ctx, r, kinds[i])
		if !ok {
			reporter.Skip("no grant")
			return nil, nil
		}
		grantee := data.GetAccount(reporter, g.Grantee)
		msg := make[i](ctx, r, g.Granter)
		if msg == nil || reporter.IsSkipped() {
			reporter.Skip("nothing to do for the provider")
			return nil, nil
		}
		return []simsx.SimAccount{grantee}, escrowsim.Exec(g.Grantee, msg)
	}
}

// orNil keeps a nil pointer from becoming a message that is not nil.
func orNil[T any, M interface {
	*T
	sdk.Msg
}](msg M) sdk.Msg {
	if msg == nil {
		return nil
	}
	return msg
}
