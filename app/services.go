package app

import (
	"maps"
	"slices"

	"cosmossdk.io/client/v2/autocli"
	"cosmossdk.io/core/appmodule"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	nodeservice "github.com/cosmos/cosmos-sdk/client/grpc/node"
	runtimeservices "github.com/cosmos/cosmos-sdk/runtime/services"
	"github.com/cosmos/cosmos-sdk/server/api"
	"github.com/cosmos/cosmos-sdk/server/config"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
)

// AutoCLI describes the commands that are derived from the modules' services.
func (app *App) AutoCLI() autocli.AppOptions {
	modules := map[string]appmodule.AppModule{}
	for _, name := range slices.Sorted(maps.Keys(app.manager.Modules)) {
		if am, ok := app.manager.Modules[name].(appmodule.AppModule); ok {
			modules[name] = am
		}
	}
	return autocli.AppOptions{
		Modules:               modules,
		ModuleOptions:         runtimeservices.ExtractAutoCLIOptions(app.manager.Modules),
		AddressCodec:          accountCodec(),
		ValidatorAddressCodec: validatorCodec(),
		ConsensusAddressCodec: consensusCodec(),
	}
}

// RegisterAPIRoutes serves the queries over HTTP.
func (app *App) RegisterAPIRoutes(server *api.Server, _ config.APIConfig) {
	clientCtx, router := server.ClientCtx, server.GRPCGatewayRouter
	authtx.RegisterGRPCGatewayRoutes(clientCtx, router)
	cmtservice.RegisterGRPCGatewayRoutes(clientCtx, router)
	nodeservice.RegisterGRPCGatewayRoutes(clientCtx, router)
	app.basics.RegisterGRPCGatewayRoutes(clientCtx, router)
}

// RegisterTxService serves simulation and look-ups of transactions.
func (app *App) RegisterTxService(clientCtx client.Context) {
	authtx.RegisterTxService(app.GRPCQueryRouter(), clientCtx, app.Simulate, app.encoding.Registry)
}

// RegisterTendermintService serves queries on blocks and validators.
func (app *App) RegisterTendermintService(clientCtx client.Context) {
	cmtservice.RegisterTendermintService(clientCtx, app.GRPCQueryRouter(), app.encoding.Registry, app.Query)
}

// RegisterNodeService serves the node's settings.
func (app *App) RegisterNodeService(clientCtx client.Context, cfg config.Config) {
	nodeservice.RegisterNodeService(clientCtx, app.GRPCQueryRouter(), cfg,
		func() int64 { return app.CommitMultiStore().EarliestVersion() })
}
