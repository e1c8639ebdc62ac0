// Package simulation makes random messages of auditors, for simulations of the chain.
package simulation

import (
	"context"
	"slices"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"berth.dev/berth/testutil/simstate"
	"berth.dev/berth/x/audit/types"
	providersim "berth.dev/berth/x/provider/simulation"
	providertypes "berth.dev/berth/x/provider/types"
)

// auditors is how many accounts audit: few, so that they sign the same provider more than once.
const auditors = 3

// Keeper is what the factories read of the signatures.
type Keeper interface {
	ExportGenesis(ctx context.Context) (*types.GenesisState, error)
}

// Module is the audit's part of a simulation.
type Module struct {
	state     *simstate.Cached[*types.GenesisState]
	providers providersim.Module
	taken     *simstate.Taken
}

var (
	_ module.AppModuleSimulation   = Module{}
	_ simsx.HasWeightedOperationsX = Module{}
)

// New returns the module's part over its keeper and the registry's part.
func New(k Keeper, providers providersim.Module, taken *simstate.Taken) Module {
	return Module{state: simstate.NewCached(k.ExportGenesis), providers: providers, taken: taken}
}

// GenerateGenesisState starts without signatures: they come by messages.
func (Module) GenerateGenesisState(s *module.SimulationState) {
	s.GenState[types.ModuleName] = s.Cdc.MustMarshalJSON(&types.GenesisState{})
}

// RegisterStoreDecoder registers nothing: stores are compared by their exports.
func (Module) RegisterStoreDecoder(simtypes.StoreDecoderRegistry) {}

// WeightedOperations is nil: the messages are made by WeightedOperationsX.
func (Module) WeightedOperations(module.SimulationState) []simtypes.WeightedOperation { return nil }

// WeightedOperationsX registers a factory for each message.
func (m Module) WeightedOperationsX(weights simsx.WeightSource, reg simsx.Registry) {
	reg.Add(weights.Get("audit_sign", 20), m.MsgSignAttributesFactory())
	reg.Add(weights.Get("audit_revoke", 8), m.MsgRevokeAttributesFactory())
}

// Records are all signatures.
func (m Module) Records(ctx context.Context) []types.SignedAttributes {
	return m.state.Get(ctx).Records
}

// Signed is what an auditor vouches for of a provider.
func (m Module) Signed(ctx context.Context, provider, auditor string) []providertypes.Attribute {
	for _, rec := range m.Records(ctx) {
		if rec.Provider == provider && rec.Auditor == auditor {
			return rec.Attributes
		}
	}
	return nil
}

// MsgSignAttributesFactory vouches for what providers say of themselves, and sometimes for what they do not.
func (m Module) MsgSignAttributesFactory() simsx.SimMsgFactoryFn[*types.MsgSignAttributes] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgSignAttributes) {
		r := data.Rand().Rand
		auditor := data.AccountAt(reporter, r.Intn(auditors))
		all := m.providers.Providers(ctx)
		if len(all) == 0 {
			reporter.Skip("no provider")
			return nil, nil
		}
		p := all[r.Intn(len(all))]
		msg := &types.MsgSignAttributes{Auditor: auditor.AddressBech32, Provider: p.Owner, Attributes: slices.Clone(p.Attributes)}
		switch {
		case len(p.Attributes) == 0 || simstate.Chance(r, 20):
			msg.Attributes = simstate.Attributes(r)
		case simstate.Chance(r, 30):
			msg.Attributes = msg.Attributes[:1]
		}
		return []simsx.SimAccount{auditor}, msg
	}
}

// MsgRevokeAttributesFactory takes some or all keys of a record back.
func (m Module) MsgRevokeAttributesFactory() simsx.SimMsgFactoryFn[*types.MsgRevokeAttributes] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgRevokeAttributes) {
		r := data.Rand().Rand
		rec, ok := simstate.Pick(r, m.Records(ctx), func(rec types.SignedAttributes) bool {
			return m.taken.Take(ctx, r, "signed/"+rec.Provider+"/"+rec.Auditor)
		})
		if !ok {
			reporter.Skip("no free record")
			return nil, nil
		}
		auditor := data.GetAccount(reporter, rec.Auditor)
		if reporter.IsSkipped() {
			return nil, nil
		}
		msg := &types.MsgRevokeAttributes{Auditor: rec.Auditor, Provider: rec.Provider}
		if simstate.Chance(r, 70) {
			for _, a := range rec.Attributes {
				if len(msg.Keys) == 0 || simstate.Chance(r, 30) {
					msg.Keys = append(msg.Keys, a.Key)
				}
			}
		}
		return []simsx.SimAccount{auditor}, msg
	}
}

// Auditors are those that vouch for something of a provider.
func (m Module) Auditors(ctx context.Context, provider string) []string {
	var out []string
	for _, rec := range m.Records(ctx) {
		if rec.Provider == provider {
			out = append(out, rec.Auditor)
		}
	}
	return out
}
