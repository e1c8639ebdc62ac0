// Package simulation makes random messages and a random genesis of the provider registry, for simulations of the chain.
package simulation

import (
	"context"
	"fmt"
	"math/rand"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"berth.dev/berth/testutil/simstate"
	"berth.dev/berth/x/provider/types"
)

// maxProviders is how many providers a simulated chain has at a time: few enough that they compete.
const maxProviders = 20

// Keeper is what the factories read of the registry.
type Keeper interface {
	ExportGenesis(ctx context.Context) (*types.GenesisState, error)
}

// Module is the registry's part of a simulation.
type Module struct {
	state *simstate.Cached[*types.GenesisState]
	busy  func(ctx context.Context, owner string) bool
	taken *simstate.Taken
}

// New returns the module's part over its keeper; busy says of a provider whether it has living leases.
func New(k Keeper, busy func(ctx context.Context, owner string) bool, taken *simstate.Taken) Module {
	return Module{state: simstate.NewCached(k.ExportGenesis), busy: busy, taken: taken}
}

// GenerateGenesisState starts without providers: they come by messages.
func (Module) GenerateGenesisState(s *module.SimulationState) {
	s.GenState[types.ModuleName] = s.Cdc.MustMarshalJSON(types.DefaultGenesis())
}

// RegisterStoreDecoder registers nothing: stores are compared by their exports.
func (Module) RegisterStoreDecoder(simtypes.StoreDecoderRegistry) {}

// WeightedOperations is nil: the messages are made by WeightedOperationsX.
func (Module) WeightedOperations(module.SimulationState) []simtypes.WeightedOperation { return nil }

// WeightedOperationsX registers a factory for each message.
func (m Module) WeightedOperationsX(weights simsx.WeightSource, reg simsx.Registry) {
	reg.Add(weights.Get("provider_create", 20), m.MsgCreateProviderFactory())
	reg.Add(weights.Get("provider_update", 20), m.MsgUpdateProviderFactory())
	reg.Add(weights.Get("provider_delete", 25), m.MsgDeleteProviderFactory())
	reg.Add(weights.Get("provider_gateway_key", 8), m.MsgSetGatewayKeyFactory())
}

// Providers are the registered ones.
func (m Module) Providers(ctx context.Context) []types.Provider { return m.state.Get(ctx).Providers }

// Provider is the record of an owner, if it is registered.
func (m Module) Provider(ctx context.Context, owner string) (types.Provider, bool) {
	for _, p := range m.Providers(ctx) {
		if p.Owner == owner {
			return p, true
		}
	}
	return types.Provider{}, false
}

// MsgCreateProviderFactory registers accounts that are none yet.
func (m Module) MsgCreateProviderFactory() simsx.SimMsgFactoryFn[*types.MsgCreateProvider] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgCreateProvider) {
		r := data.Rand().Rand
		if len(m.Providers(ctx)) >= maxProviders {
			reporter.Skip("there are enough providers")
			return nil, nil
		}
		owner := data.AnyAccount(reporter, simsx.SimAccountFilterFn(func(a simsx.SimAccount) bool {
			_, registered := m.Provider(ctx, a.AddressBech32)
			return !registered && m.taken.Take(ctx, r, "provider/"+a.AddressBech32)
		}))
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{owner}, &types.MsgCreateProvider{
			Owner: owner.AddressBech32, HostUri: hostURI(r), TlsPins: pins(r), Attributes: simstate.Attributes(r), Info: info(r),
		}
	}
}

// MsgUpdateProviderFactory changes records: some changes touch attributes that leases were matched on.
func (m Module) MsgUpdateProviderFactory() simsx.SimMsgFactoryFn[*types.MsgUpdateProvider] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgUpdateProvider) {
		r := data.Rand().Rand
		p, owner := m.registered(ctx, data, reporter, func(types.Provider) bool { return true })
		if reporter.IsSkipped() {
			return nil, nil
		}
		msg := &types.MsgUpdateProvider{Owner: p.Owner, HostUri: hostURI(r), TlsPins: pins(r), Attributes: p.Attributes, Info: info(r)}
		if simstate.Chance(r, 40) {
			msg.Attributes = simstate.Attributes(r)
		}
		return []simsx.SimAccount{owner}, msg
	}
}

// MsgDeleteProviderFactory removes providers, some of which still have leases.
func (m Module) MsgDeleteProviderFactory() simsx.SimMsgFactoryFn[*types.MsgDeleteProvider] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgDeleteProvider) {
		r := data.Rand().Rand
		p, owner := m.registered(ctx, data, reporter, func(p types.Provider) bool {
			return !m.busy(ctx, p.Owner) || r.Intn(1000) == 0
		})
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{owner}, &types.MsgDeleteProvider{Owner: p.Owner}
	}
}

// MsgSetGatewayKeyFactory names and removes gateway keys of any account.
func (m Module) MsgSetGatewayKeyFactory() simsx.SimMsgFactoryFn[*types.MsgSetGatewayKey] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgSetGatewayKey) {
		r := data.Rand().Rand
		if keys := m.state.Get(ctx).GatewayKeys; len(keys) > 0 && simstate.Chance(r, 30) {
			owner := data.GetAccount(reporter, keys[r.Intn(len(keys))].Owner)
			if reporter.IsSkipped() {
				return nil, nil
			}
			return []simsx.SimAccount{owner}, &types.MsgSetGatewayKey{Owner: owner.AddressBech32}
		}
		owner := data.AnyAccount(reporter)
		if reporter.IsSkipped() {
			return nil, nil
		}
		key := secp256k1.GenPrivKeyFromSecret(simstate.Bytes(r, 16)).PubKey().Bytes()
		return []simsx.SimAccount{owner}, &types.MsgSetGatewayKey{Owner: owner.AddressBech32, Key: key}
	}
}

// registered picks a wanted provider that no other message of this block changes.
func (m Module) registered(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter, wanted func(types.Provider) bool) (types.Provider, simsx.SimAccount) {
	r := data.Rand().Rand
	p, ok := simstate.Pick(r, m.Providers(ctx), func(p types.Provider) bool {
		return wanted(p) && m.taken.Take(ctx, r, "provider/"+p.Owner)
	})
	if !ok {
		reporter.Skip("no free provider")
		return p, simsx.SimAccount{}
	}
	return p, data.GetAccount(reporter, p.Owner)
}

func hostURI(r *rand.Rand) string {
	return fmt.Sprintf("https://p%d.example.org:%d", r.Intn(1000), simstate.Between(r, 1, 65535))
}

func pins(r *rand.Rand) [][]byte {
	out := make([][]byte, simstate.Between(r, 1, types.MaxTLSPins))
	for i := range out {
		out[i] = simstate.Bytes(r, types.TLSPinSize)
	}
	return out
}

func info(r *rand.Rand) types.Info {
	if simstate.Chance(r, 50) {
		return types.Info{}
	}
	return types.Info{Email: "ops@example.org", Website: "https://example.org"}
}

var (
	_ module.AppModuleSimulation   = Module{}
	_ simsx.HasWeightedOperationsX = Module{}
)
