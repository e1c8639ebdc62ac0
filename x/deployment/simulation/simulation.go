// Package simulation makes random messages and a random genesis of deployments, for simulations of the chain.
package simulation

import (
	"context"
	"fmt"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"berth.dev/berth/testutil/simstate"
	"berth.dev/berth/x/deployment/types"
	escrowsim "berth.dev/berth/x/escrow/simulation"
	providersim "berth.dev/berth/x/provider/simulation"
)

// maxActive is how many deployments are active at a time: enough for every state, few enough to read after each block.
const maxActive = 150

// Keeper is what the factories read of deployments.
type Keeper interface {
	ExportGenesis(ctx context.Context) (*types.GenesisState, error)
}

// Audits says who vouches for whom.
type Audits interface {
	// Auditors are those that vouch for something of a provider.
	Auditors(ctx context.Context, provider string) []string
}

// Module is the deployments' part of a simulation.
type Module struct {
	authority string
	state     *simstate.Cached[*types.GenesisState]
	byID      *simstate.Cached[map[types.DeploymentID]types.Deployment]
	providers providersim.Module
	audits    Audits
	grants    escrowsim.Grants
	reclaim   func(context.Context) (low, high uint32)
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
	Audits    Audits
	Grants    escrowsim.Grants
	// Reclaim is the shortest and the longest notice that a deployment may ask for, in seconds.
	Reclaim func(context.Context) (low, high uint32)
	// Authority may change the parameters.
	Authority string
	Taken     *simstate.Taken
}

// New returns the module's part.
func New(o Options) Module {
	m := Module{
		authority: o.Authority, state: simstate.NewCached(o.Keeper.ExportGenesis),
		providers: o.Providers, audits: o.Audits, grants: o.Grants, reclaim: o.Reclaim, taken: o.Taken,
	}
	m.byID = simstate.NewCached(func(ctx context.Context) (map[types.DeploymentID]types.Deployment, error) {
		all := map[types.DeploymentID]types.Deployment{}
		for _, d := range m.state.Get(ctx).Deployments {
			all[d.Id] = d
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

// WeightedOperationsX registers a factory for each message.
func (m Module) WeightedOperationsX(weights simsx.WeightSource, reg simsx.Registry) {
	reg.Add(weights.Get("deployment_create", 90), m.MsgCreateDeploymentFactory())
	reg.Add(weights.Get("deployment_update", 20), m.MsgUpdateDeploymentFactory())
	reg.Add(weights.Get("deployment_close", 15), m.MsgCloseDeploymentFactory())
	reg.Add(weights.Get("deployment_pause_group", 15), m.MsgPauseGroupFactory())
	reg.Add(weights.Get("deployment_start_group", 15), m.MsgStartGroupFactory())
	reg.Add(weights.Get("deployment_close_group", 10), m.MsgCloseGroupFactory())
}

// ProposalMsgsX registers the messages that governance executes.
func (m Module) ProposalMsgsX(weights simsx.WeightSource, reg simsx.Registry) {
	reg.Add(weights.Get("deployment_params", 10), m.MsgUpdateParamsFactory())
}

// MsgUpdateParamsFactory makes other parameters.
func (m Module) MsgUpdateParamsFactory() simsx.SimMsgFactoryFn[*types.MsgUpdateParams] {
	return func(_ context.Context, data *simsx.ChainDataSource, _ simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateParams) {
		return nil, &types.MsgUpdateParams{Authority: m.authority, Params: Params(data.Rand().Rand)}
	}
}

// MsgUpdateDeploymentFactory replaces manifest hashes.
func (m Module) MsgUpdateDeploymentFactory() simsx.SimMsgFactoryFn[*types.MsgUpdateDeployment] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateDeployment) {
		d, owner := m.pickActive(ctx, data, reporter)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{owner}, &types.MsgUpdateDeployment{Id: d.Id, ManifestHash: simstate.Bytes(data.Rand().Rand, types.ManifestHashSize)}
	}
}

// MsgCloseDeploymentFactory closes deployments.
func (m Module) MsgCloseDeploymentFactory() simsx.SimMsgFactoryFn[*types.MsgCloseDeployment] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgCloseDeployment) {
		d, owner := m.pickActive(ctx, data, reporter)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{owner}, &types.MsgCloseDeployment{Id: d.Id}
	}
}

// MsgPauseGroupFactory pauses open groups.
func (m Module) MsgPauseGroupFactory() simsx.SimMsgFactoryFn[*types.MsgPauseGroup] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgPauseGroup) {
		g, owner := m.pickGroup(ctx, data, reporter, types.GROUP_STATE_OPEN)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{owner}, &types.MsgPauseGroup{Id: g.Id}
	}
}

// MsgStartGroupFactory starts paused groups.
func (m Module) MsgStartGroupFactory() simsx.SimMsgFactoryFn[*types.MsgStartGroup] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgStartGroup) {
		g, owner := m.pickGroup(ctx, data, reporter, types.GROUP_STATE_PAUSED)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{owner}, &types.MsgStartGroup{Id: g.Id}
	}
}

// MsgCloseGroupFactory closes groups, open and paused ones.
func (m Module) MsgCloseGroupFactory() simsx.SimMsgFactoryFn[*types.MsgCloseGroup] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgCloseGroup) {
		g, owner := m.pickGroup(ctx, data, reporter, types.GROUP_STATE_OPEN, types.GROUP_STATE_PAUSED)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{owner}, &types.MsgCloseGroup{Id: g.Id}
	}
}

// pickActive picks an active deployment that no other message of this block changes.
func (m Module) pickActive(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) (types.Deployment, simsx.SimAccount) {
	r := data.Rand().Rand
	d, ok := simstate.Pick(r, m.state.Get(ctx).Deployments, func(d types.Deployment) bool {
		return d.State == types.DEPLOYMENT_STATE_ACTIVE && m.taken.Take(ctx, r, TakeKey(d.Id))
	})
	if !ok {
		reporter.Skip("no free deployment")
		return d, simsx.SimAccount{}
	}
	return d, data.GetAccount(reporter, d.Id.Owner)
}

// pickGroup picks a group of an active deployment in one of some states.
func (m Module) pickGroup(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter, states ...types.GroupState) (types.Group, simsx.SimAccount) {
	r := data.Rand().Rand
	g, ok := simstate.Pick(r, m.state.Get(ctx).Groups, func(g types.Group) bool {
		id := types.DeploymentID{Owner: g.Id.Owner, Dseq: g.Id.Dseq}
		if m.byID.Get(ctx)[id].State != types.DEPLOYMENT_STATE_ACTIVE {
			return false
		}
		for _, s := range states {
			if g.State == s {
				return m.taken.Take(ctx, r, TakeKey(id))
			}
		}
		return false
	})
	if !ok {
		reporter.Skip("no free group")
		return g, simsx.SimAccount{}
	}
	return g, data.GetAccount(reporter, g.Id.Owner)
}

// TakeKey is the key that a message takes which changes more than one object of a deployment.
func TakeKey(id types.DeploymentID) string { return fmt.Sprintf("deployment/%s/%d", id.Owner, id.Dseq) }
