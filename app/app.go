// Package app is the chain as one program: it joins the SDK's modules and Berth's into an application that CometBFT
// runs. It holds no logic of the market; what it decides is what stands beside what, and in which order.
package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/spf13/cast"

	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/baseapp/blockexec"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/runtime"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/version"

	"berth.dev/berth/units"
)

const (
	// Name is the application's name, and the name of the node's program.
	Name = "berthd"
	// FlagOptimisticExecution makes a node execute a proposed block while it is being voted on.
	FlagOptimisticExecution = "optimistic-execution"
	// EnvPrefix starts the environment variables that override the node's flags.
	EnvPrefix = "BERTHD"
)

// The default genesis of every SDK module is in the chain's own denom.
func init() { sdk.DefaultBondDenom = units.BaseDenom }

// DefaultHome is where a node keeps its files unless it is told otherwise.
func DefaultHome() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ".berthd"
	}
	return filepath.Join(home, ".berthd")
}

var (
	_ servertypes.Application = (*App)(nil)
	_ runtime.AppI            = (*App)(nil)
)

// App is the chain's application.
type App struct {
	*baseapp.BaseApp
	Keepers

	guard        guard
	feed         feed
	encoding     Encoding
	stores       stores
	manager      *module.Manager
	basics       module.BasicManager
	configurator module.Configurator
}

// New builds the application over a database. opts are the node's settings (app.toml and flags). With loadLatest it
// loads the last committed state; otherwise the caller loads a height of its choice. It panics on a mistake in the
// wiring or on a database that cannot be read, as there is no chain to run then.
func New(logger log.Logger, db dbm.DB, loadLatest bool, opts servertypes.AppOptions, baseOpts ...func(*baseapp.BaseApp)) *App {
	encoding, err := newEncoding()
	must(err)
	optimistic := cast.ToBool(opts.Get(FlagOptimisticExecution))
	if optimistic {
		baseOpts = append(baseOpts, baseapp.SetOptimisticExecution())
	}
	// IAVL's index of the newest values is not kept by version: a query beside a block could read two heights in one, and
	// "not found" must be true at the height it is said of. The option comes last, so that no setting brings it back.
	baseOpts = append(slices.Clip(baseOpts), baseapp.SetIAVLDisableFastNode(true))
	base := baseapp.NewBaseApp(Name, logger, db, encoding.TxConfig.TxDecoder(), baseOpts...)
	base.SetVersion(version.Version)
	base.SetInterfaceRegistry(encoding.Registry)
	base.SetTxEncoder(encoding.TxConfig.TxEncoder())

	app := &App{BaseApp: base, encoding: encoding, stores: newStores(), guard: guard{optimistic: optimistic}}
	blockexec.Apply(base, opts, app.stores.all(), encoding.TxConfig.TxDecoder(),
		func(storetypes.MultiStore) string { return units.BaseDenom })
	home := cast.ToString(opts.Get(flags.FlagHome))
	app.Keepers = newKeepers(base, encoding, app.stores, home, upgradeSkips(opts))
	app.EscrowKeeper.SetInvariants(app.Invariants)
	app.setModules()
	app.setUpgrades(home)

	app.MountKVStores(app.stores.kv)
	app.MountObjectStores(app.stores.object)
	app.SetInitChainer(app.InitChainer)
	app.SetPreBlocker(func(ctx sdk.Context, _ *abci.RequestFinalizeBlock) (*sdk.ResponsePreBlock, error) {
		return app.manager.PreBlock(ctx)
	})
	app.SetBeginBlocker(app.BeginBlocker)
	app.SetEndBlocker(app.EndBlocker)
	ante, err := newAnteHandler(app.Keepers, encoding.TxConfig)
	must(err)
	app.SetAnteHandler(ante)
	if loadLatest {
		must(app.LoadLatestVersion())
	}
	return app
}

// BeginBlocker runs the modules' work before a block's transactions.
func (app *App) BeginBlocker(ctx sdk.Context) (sdk.BeginBlock, error) {
	return app.manager.BeginBlock(ctx)
}

// EndBlocker runs the modules' work after a block's transactions.
func (app *App) EndBlocker(ctx sdk.Context) (sdk.EndBlock, error) {
	end, err := app.manager.EndBlock(ctx)
	app.guard.beforeWrite()
	return end, err
}

// InitChainer stores the genesis.
func (app *App) InitChainer(ctx sdk.Context, req *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	var genesis map[string]json.RawMessage
	if err := json.Unmarshal(req.AppStateBytes, &genesis); err != nil {
		return nil, fmt.Errorf("read the genesis state: %w", err)
	}
	if err := app.UpgradeKeeper.SetModuleVersionMap(ctx, app.manager.GetVersionMap()); err != nil {
		return nil, fmt.Errorf("store the modules' versions: %w", err)
	}
	return app.manager.InitGenesis(ctx, app.encoding.Codec, genesis)
}

// LoadHeight loads the state of a height that is still kept.
func (app *App) LoadHeight(height int64) error { return app.LoadVersion(height) }

// DefaultGenesis is the genesis of a chain with no accounts and no validators, with the chain's denom and parameters.
func (app *App) DefaultGenesis() map[string]json.RawMessage {
	return app.basics.DefaultGenesis(app.encoding.Codec)
}

// Name is the application's name.
func (app *App) Name() string { return app.BaseApp.Name() }

// LegacyAmino is the amino codec, with which Ledger devices sign.
func (app *App) LegacyAmino() *codec.LegacyAmino { return app.encoding.Amino }

// AppCodec is the codec of state and genesis.
func (app *App) AppCodec() codec.Codec { return app.encoding.Codec }

// InterfaceRegistry knows every message of the chain.
func (app *App) InterfaceRegistry() codectypes.InterfaceRegistry { return app.encoding.Registry }

// TxConfig is how transactions are written and signed.
func (app *App) TxConfig() client.TxConfig { return app.encoding.TxConfig }

// StoreKeys are the keys of all stores, in the order of their names: those for one block's objects, then the persistent ones.
func (app *App) StoreKeys() []storetypes.StoreKey { return app.stores.all() }

// BasicManager gives the modules' parts that need no keeper: default genesis and its validation.
func (app *App) BasicManager() module.BasicManager { return app.basics }

// SimulationManager is nil: the tests join the parts of a simulation, so that no program carries them.
func (app *App) SimulationManager() *module.SimulationManager { return nil }

// must turns a mistake in the wiring into a panic.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
