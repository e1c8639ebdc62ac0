// Package deployment keeps what tenants want to run: deployments of groups, each with a manifest hash and an escrow
// account, and the limits of what may be asked for.
package deployment

import (
	"context"
	"encoding/json"
	"fmt"

	gwruntime "github.com/grpc-ecosystem/grpc-gateway/runtime"
	"github.com/spf13/cobra"

	"cosmossdk.io/core/appmodule"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"

	"berth.dev/berth/x/deployment/client/cli"
	"berth.dev/berth/x/deployment/keeper"
	"berth.dev/berth/x/deployment/types"
)

var (
	_ module.AppModuleBasic      = AppModule{}
	_ module.HasGenesis          = AppModule{}
	_ module.HasServices         = AppModule{}
	_ module.HasConsensusVersion = AppModule{}
	_ appmodule.AppModule        = AppModule{}
	_ appmodule.HasEndBlocker    = AppModule{}
)

// AppModule joins the module to an app.
type AppModule struct {
	cdc codec.Codec
	k   *keeper.Keeper
}

// NewAppModule returns the module over a keeper.
func NewAppModule(cdc codec.Codec, k *keeper.Keeper) AppModule { return AppModule{cdc: cdc, k: k} }

// IsAppModule marks the type for the SDK.
func (AppModule) IsAppModule() {}

// IsOnePerModuleType marks the type for the SDK.
func (AppModule) IsOnePerModuleType() {}

// Name is the module's name.
func (AppModule) Name() string { return types.ModuleName }

// ConsensusVersion counts changes of state that need a migration.
func (AppModule) ConsensusVersion() uint64 { return 2 }

// RegisterLegacyAminoCodec does nothing: amino JSON is made from the protobuf descriptors.
func (AppModule) RegisterLegacyAminoCodec(*codec.LegacyAmino) {}

// RegisterInterfaces makes the module's messages known.
func (AppModule) RegisterInterfaces(r codectypes.InterfaceRegistry) { types.RegisterInterfaces(r) }

// RegisterGRPCGatewayRoutes serves the queries as REST. It panics if a route cannot be registered.
func (AppModule) RegisterGRPCGatewayRoutes(c client.Context, mux *gwruntime.ServeMux) {
	if err := types.RegisterQueryHandlerClient(context.Background(), mux, types.NewQueryClient(c)); err != nil {
		panic(fmt.Errorf("register the %s routes: %w", types.ModuleName, err))
	}
}

// GetTxCmd returns the module's transaction commands.
func (AppModule) GetTxCmd() *cobra.Command { return cli.NewTxCmd() }

// RegisterServices registers messages and queries, and the migrations of the state. It panics if one is
// registered twice, which is a mistake in this package.
func (am AppModule) RegisterServices(cfg module.Configurator) {
	types.RegisterMsgServer(cfg.MsgServer(), keeper.NewMsgServer(am.k))
	types.RegisterQueryServer(cfg.QueryServer(), keeper.NewQueryServer(am.k))
	if err := cfg.RegisterMigration(types.ModuleName, 1, keeper.NewMigrator(am.k).Migrate1to2); err != nil {
		panic(fmt.Errorf("register the deployment's migration: %w", err))
	}
}

// EndBlock prunes closed deployments whose retention has ended.
func (am AppModule) EndBlock(ctx context.Context) error { return am.k.EndBlock(ctx) }

// DefaultGenesis has default parameters and no records.
func (AppModule) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(types.DefaultGenesis())
}

// ValidateGenesis checks a genesis without writing it.
func (AppModule) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var gs types.GenesisState
	if err := cdc.UnmarshalJSON(bz, &gs); err != nil {
		return fmt.Errorf("read the %s genesis: %w", types.ModuleName, err)
	}
	return gs.Validate()
}

// InitGenesis writes a genesis; a chain cannot start from one that does not fit, so it panics.
func (am AppModule) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var gs types.GenesisState
	cdc.MustUnmarshalJSON(bz, &gs)
	if err := am.k.InitGenesis(ctx, gs); err != nil {
		panic(fmt.Errorf("start the %s module from genesis: %w", types.ModuleName, err))
	}
}

// ExportGenesis reads the state as a genesis.
func (am AppModule) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	gs, err := am.k.ExportGenesis(ctx)
	if err != nil {
		panic(fmt.Errorf("export the %s module: %w", types.ModuleName, err))
	}
	return cdc.MustMarshalJSON(gs)
}
