package main

import (
	"errors"
	"fmt"
	"os"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/spf13/cobra"
	"github.com/spf13/viper"

	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/client"
	clientcfg "github.com/cosmos/cosmos-sdk/client/config"
	"github.com/cosmos/cosmos-sdk/client/debug"
	"github.com/cosmos/cosmos-sdk/client/keys"
	"github.com/cosmos/cosmos-sdk/client/pruning"
	"github.com/cosmos/cosmos-sdk/client/rpc"
	"github.com/cosmos/cosmos-sdk/client/snapshot"
	"github.com/cosmos/cosmos-sdk/server"
	srvcfg "github.com/cosmos/cosmos-sdk/server/config"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	authcmd "github.com/cosmos/cosmos-sdk/x/auth/client/cli"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	genutilcli "github.com/cosmos/cosmos-sdk/x/genutil/client/cli"

	"berth.dev/berth/app"
	"berth.dev/berth/internal/nodeconfig"
)

// noOptions are the settings of an app that is never run: it supplies codecs, default genesis and command descriptions.
type noOptions struct{}

// Get returns no setting.
func (noOptions) Get(string) any { return nil }

// newRootCommand builds the whole command tree.
func newRootCommand() *cobra.Command {
	chain := app.New(log.NewNopLogger(), dbm.NewMemDB(), false, noOptions{})
	clientCtx := client.Context{}.
		WithCodec(chain.AppCodec()).
		WithInterfaceRegistry(chain.InterfaceRegistry()).
		WithLegacyAmino(chain.LegacyAmino()).
		WithTxConfig(chain.TxConfig()).
		WithInput(os.Stdin).
		WithAccountRetriever(authtypes.AccountRetriever{}).
		WithHomeDir(app.DefaultHome()).
		WithViper(app.EnvPrefix)

	root := &cobra.Command{
		Use:               "berthd",
		Short:             "Run a node of the Berth network, and speak to one",
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return prepare(cmd, clientCtx) },
	}
	root.SetOut(os.Stdout) // results; cobra's default would be stderr
	root.AddCommand(
		initCommand(chain),
		devnetCommand(chain),
		testnetCommand(chain),
		doctorCommand(),
		genutilcli.Commands(chain.TxConfig(), chain.BasicManager(), app.DefaultHome()),
		keys.Commands(),
		debug.Cmd(),
		snapshot.Cmd(newApp),
		pruning.Cmd(newApp, app.DefaultHome()),
		server.StatusCommand(),
		rpc.WaitTxCmd(),
		queryCommand(),
		txCommand(),
	)
	server.AddCommandsWithStartCmdOptions(root, app.DefaultHome(), newApp, exportApp, server.StartCmdOptions{
		StartCommandHandler: startNode,
		AddFlags: func(cmd *cobra.Command) {
			cmd.Flags().Bool(app.FlagOptimisticExecution, false, "execute a proposed block while it is being voted on")
		},
	})
	auto := chain.AutoCLI()
	auto.ClientCtx = clientCtx
	if err := auto.EnhanceRootCommand(root); err != nil {
		panic(fmt.Sprintf("build the commands of the modules: %s", err))
	}
	addDocumentCommands(root)
	return root
}

// prepare reads the home's configuration into the command's contexts, and writes the default one to a home that has
// none.
func prepare(cmd *cobra.Command, clientCtx client.Context) error {
	clientCtx, err := client.ReadPersistentCommandFlags(clientCtx.WithCmdContext(cmd.Context()).WithOutput(cmd.OutOrStdout()), cmd.Flags())
	if err != nil {
		return err
	}
	if clientCtx, err = clientcfg.ReadFromClientConfig(clientCtx); err != nil {
		return err
	}
	if err := client.SetCmdClientContextHandler(clientCtx, cmd); err != nil {
		return err
	}
	srv, err := server.InterceptConfigsAndCreateContext(cmd, srvcfg.DefaultConfigTemplate, nodeconfig.App(nodeconfig.GasPrice), nodeconfig.Comet())
	if err != nil {
		return err
	}
	logger, err := server.CreateSDKLogger(srv, cmd.ErrOrStderr()) // stdout is for results
	if err != nil {
		return err
	}
	srv.Logger = logger.With(log.ModuleKey, "server")
	return server.SetCmdServerContext(cmd, srv)
}

func queryCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "query", Aliases: []string{"q"}, Short: "Read the chain", RunE: client.ValidateCmd}
	cmd.AddCommand(authcmd.QueryTxCmd(), authcmd.QueryTxsByEventsCmd(), rpc.WaitTxCmd(), server.QueryBlockCmd(), server.QueryBlocksCmd(), server.QueryBlockResultsCmd())
	return cmd
}

func txCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "tx", Short: "Send transactions", RunE: client.ValidateCmd}
	cmd.AddCommand(
		authcmd.GetSignCommand(), authcmd.GetSignBatchCommand(), authcmd.GetMultiSignCommand(), authcmd.GetMultiSignBatchCmd(),
		authcmd.GetValidateSignaturesCommand(), authcmd.GetBroadcastCommand(), authcmd.GetEncodeCommand(),
		authcmd.GetDecodeCommand(), authcmd.GetSimulateCmd(),
	)
	return cmd
}

func newApp(logger log.Logger, db dbm.DB, opts servertypes.AppOptions) servertypes.Application {
	return app.New(logger, db, true, opts, server.DefaultBaseappOptions(opts)...)
}

// exportApp reads a height's state, the last one's for -1.
func exportApp(logger log.Logger, db dbm.DB, height int64, forZeroHeight bool, jailAllowed []string,
	opts servertypes.AppOptions, modules []string,
) (servertypes.ExportedApp, error) {
	v, ok := opts.(*viper.Viper)
	if !ok {
		return servertypes.ExportedApp{}, errors.New("export: the node's settings are not readable")
	}
	a := app.New(logger, db, height == -1, v)
	if height != -1 {
		if err := a.LoadHeight(height); err != nil {
			return servertypes.ExportedApp{}, fmt.Errorf("load height %d: %w", height, err)
		}
	}
	return a.ExportAppStateAndValidators(forZeroHeight, jailAllowed, modules)
}
