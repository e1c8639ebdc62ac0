// Package escrow holds the market's money: deposits that pay providers a rate per block, and deposits that are given
// back whole. Its README is the specification.
package escrow

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

	"berth.dev/berth/x/escrow/client/cli"
	"berth.dev/berth/x/escrow/keeper"
	"berth.dev/berth/x/escrow/types"
)

var (
	_ module.AppModuleBasic      = AppModule{}
	_ module.HasGenesis          = AppModule{}
	_ module.HasServices         = AppModule{}
	_ module.HasConsensusVersion = AppModule{}
	_ appmodule.AppModule        = AppModule{}
	_ appmodule.HasEndBlocker    = AppModule{}
)

// AppModule is the escrow as a part of the app.
type AppModule struct {
	cdc    codec.Codec
	keeper *keeper.Keeper
}

// NewAppModule returns the module around a keeper.
func NewAppModule(cdc codec.Codec, k *keeper.Keeper) AppModule { return AppModule{cdc: cdc, keeper: k} }

// IsAppModule marks the type as a module.
func (AppModule) IsAppModule() {}

// IsOnePerModuleType marks the type as one that the app has once.
func (AppModule) IsOnePerModuleType() {}

// Name is the module's name.
func (AppModule) Name() string { return types.ModuleName }

// ConsensusVersion is the version of the module's state; a change of it needs a migration.
func (AppModule) ConsensusVersion() uint64 { return 2 }

// RegisterLegacyAminoCodec registers nothing: messages are signed as protobuf or amino JSON by their descriptors.
func (AppModule) RegisterLegacyAminoCodec(*codec.LegacyAmino) {}

// RegisterInterfaces makes the module's messages and its authorization known.
func (AppModule) RegisterInterfaces(registry codectypes.InterfaceRegistry) {
	types.RegisterInterfaces(registry)
}

// RegisterGRPCGatewayRoutes serves the module's queries over HTTP.
func (AppModule) RegisterGRPCGatewayRoutes(clientCtx client.Context, mux *gwruntime.ServeMux) {
	if err := types.RegisterQueryHandlerClient(context.Background(), mux, types.NewQueryClient(clientCtx)); err != nil {
		panic(err)
	}
}

// GetTxCmd returns the module's transaction commands.
func (AppModule) GetTxCmd() *cobra.Command { return cli.NewTxCmd() }

// RegisterServices serves the module's messages and queries, and the migrations of the state. It panics if one is
// registered twice, which is a mistake in this package.
func (m AppModule) RegisterServices(cfg module.Configurator) {
	types.RegisterMsgServer(cfg.MsgServer(), keeper.NewMsgServer(m.keeper))
	types.RegisterQueryServer(cfg.QueryServer(), keeper.NewQueryServer(m.keeper))
	if err := cfg.RegisterMigration(types.ModuleName, 1, keeper.NewMigrator(m.keeper).Migrate1to2); err != nil {
		panic(fmt.Errorf("register the escrow's migration: %w", err))
	}
}

// DefaultGenesis is an empty escrow.
func (AppModule) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(types.DefaultGenesis())
}

// ValidateGenesis checks a genesis without the chain.
func (AppModule) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g types.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return fmt.Errorf("read the %s genesis: %w", types.ModuleName, err)
	}
	return g.Validate()
}

// InitGenesis stores a genesis; it panics on a bad one, as a chain must not start from it.
func (m AppModule) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g types.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	if err := m.keeper.InitGenesis(ctx, g); err != nil {
		panic(fmt.Errorf("%s genesis: %w", types.ModuleName, err))
	}
}

// ExportGenesis reads the module's state.
func (m AppModule) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	g, err := m.keeper.ExportGenesis(ctx)
	if err != nil {
		panic(fmt.Errorf("export the %s genesis: %w", types.ModuleName, err))
	}
	return cdc.MustMarshalJSON(g)
}

// EndBlock handles due accounts and sends claims. It must run after bank's, which credits the block's deposits, and
// after the modules that pay out in theirs.
func (m AppModule) EndBlock(ctx context.Context) error { return m.keeper.EndBlock(ctx) }
