package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/rpc/client/local"
	cmttypes "github.com/cometbft/cometbft/types"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/server"
	"github.com/cosmos/cosmos-sdk/server/api"
	srvcfg "github.com/cosmos/cosmos-sdk/server/config"
	servercmtlog "github.com/cosmos/cosmos-sdk/server/log"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	"github.com/cosmos/cosmos-sdk/telemetry"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
)

// errInProcess refuses to run the app without CometBFT.
var errInProcess = errors.New("berthd runs CometBFT in its own process: --with-comet=false and --grpc-only are not supported")

// startNode runs the node until it is told to stop. It differs from the SDK's own start in one thing: CometBFT's four
// connections to the app have a mutex each instead of one in common, so that queries and checks of new transactions do
// not wait for a block that is being executed. The app is safe for that: it keeps a state for each of them, and closes
// its guard while a block's writes go into the trees they share. docs/adr/009-start-path.md says more; `make soak` tries it.
func startNode(srv *server.Context, clientCtx client.Context, create servertypes.AppCreator, inProcess bool, opts server.StartCmdOptions) error {
	if !inProcess || srv.Viper.GetBool("grpc-only") {
		return errInProcess
	}
	cfg, err := srvcfg.GetConfig(srv.Viper)
	if err != nil {
		return fmt.Errorf("read app.toml: %w", err)
	}
	if err := cfg.ValidateBasic(); err != nil {
		return fmt.Errorf("check app.toml: %w", err)
	}
	if err := telemetry.InitializeOpenTelemetry(filepath.Join(clientCtx.HomeDir, "config", telemetry.OtelFileName)); err != nil {
		return fmt.Errorf("start telemetry: %w", err)
	}
	defer stopTelemetry(srv)
	db, err := opts.DBOpener(srv.Config.RootDir, server.GetAppDBBackend(srv.Viper))
	if err != nil {
		return fmt.Errorf("open the application's database: %w", err)
	}
	chain := create(srv.Logger, db, srv.Viper)
	err = runNode(srv, cfg, clientCtx, chain)
	return errors.Join(err, chain.Close())
}

// runNode runs CometBFT and the servers around an app. All have stopped when it returns.
func runNode(srv *server.Context, cfg srvcfg.Config, clientCtx client.Context, chain servertypes.Application) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	server.ListenForQuitSignals(g, true, cancel, srv.Logger)

	comet, err := newComet(ctx, srv, chain)
	if err != nil {
		return err
	}
	clientCtx = clientCtx.WithClient(local.New(comet))
	chain.RegisterTxService(clientCtx)
	chain.RegisterTendermintService(clientCtx)
	chain.RegisterNodeService(clientCtx, cfg)
	if err := comet.Start(); err != nil {
		return fmt.Errorf("start CometBFT: %w", err)
	}
	defer func() {
		if comet.IsRunning() {
			err = errors.Join(err, comet.Stop())
			comet.Wait()
		}
	}()
	grpcServer, clientCtx, err := server.StartGrpcServer(ctx, g, cfg.GRPC, clientCtx, srv, chain)
	if err != nil {
		return fmt.Errorf("start the gRPC server: %w", err)
	}
	startAPI(ctx, g, srv, cfg, clientCtx, chain, grpcServer)
	return g.Wait()
}

// newComet builds the CometBFT node around the app.
func newComet(ctx context.Context, srv *server.Context, chain servertypes.Application) (*node.Node, error) {
	cfg := srv.Config
	nodeKey, err := p2p.LoadOrGenNodeKey(cfg.NodeKeyFile())
	if err != nil {
		return nil, fmt.Errorf("read the node's key: %w", err)
	}
	comet, err := node.NewNodeWithContext(ctx, cfg,
		privval.LoadOrGenFilePV(cfg.PrivValidatorKeyFile(), cfg.PrivValidatorStateFile()),
		nodeKey,
		proxy.NewConnSyncLocalClientCreator(server.NewCometABCIWrapper(chain)),
		genesisReader(cfg),
		cmtcfg.DefaultDBProvider,
		node.DefaultMetricsProvider(cfg.Instrumentation),
		servercmtlog.CometLoggerWrapper{Logger: srv.Logger},
	)
	if err != nil {
		return nil, fmt.Errorf("build the CometBFT node: %w", err)
	}
	return comet, nil
}

func genesisReader(cfg *cmtcfg.Config) node.GenesisDocProvider {
	return func() (*cmttypes.GenesisDoc, error) {
		genesis, err := genutiltypes.AppGenesisFromFile(cfg.GenesisFile())
		if err != nil {
			return nil, fmt.Errorf("read the genesis: %w", err)
		}
		return genesis.ToGenesisDoc()
	}
}

// startAPI serves the queries over HTTP where the operator wants it.
func startAPI(ctx context.Context, g *errgroup.Group, srv *server.Context, cfg srvcfg.Config, clientCtx client.Context,
	chain servertypes.Application, grpcServer *grpc.Server,
) {
	if !cfg.API.Enable {
		return
	}
	server := api.New(clientCtx.WithHomeDir(srv.Config.RootDir), srv.Logger.With("module", "api-server"), grpcServer)
	chain.RegisterAPIRoutes(server, cfg.API)
	g.Go(func() error { return server.Start(ctx, cfg) })
}

func stopTelemetry(srv *server.Context) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := telemetry.Shutdown(ctx); err != nil {
		srv.Logger.Error("stop telemetry", "err", err)
	}
}
