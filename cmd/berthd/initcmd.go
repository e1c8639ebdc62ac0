package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"

	"berth.dev/berth/app"
	"berth.dev/berth/internal/nodeconfig"
)

// noPrepare replaces the root's preparation for commands that write a home themselves.
func noPrepare(cmd *cobra.Command, _ []string) error {
	return client.SetCmdClientContextHandler(client.Context{}, cmd)
}

// initCommand writes the home of a node of a new chain whose genesis has no accounts yet.
func initCommand(chain *app.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init MONIKER",
		Short: "Write the keys, configuration and genesis of a new node",
		Long: "Write a new node's home: its keys, config.toml, app.toml, client.toml, and a genesis with the chain's\n" +
			"parameters and no accounts. To join a chain, replace config/genesis.json by that chain's.",
		Args:              cobra.ExactArgs(1),
		PersistentPreRunE: noPrepare,
	}
	home := cmd.Flags().String(flags.FlagHome, app.DefaultHome(), "the node's directory")
	chainID := cmd.Flags().String(flags.FlagChainID, "", "the chain's id (required)")
	overwrite := cmd.Flags().BoolP("overwrite", "o", false, "start a new chain in a home that has one")
	must(cmd.MarkFlagRequired(flags.FlagChainID))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkFree(*home, *overwrite); err != nil {
			return err
		}
		if *overwrite {
			if err := clearData(*home); err != nil {
				return err
			}
		}
		h := nodeHome{dir: *home, comet: nodeconfig.Comet(), app: nodeconfig.App(nodeconfig.GasPrice), chainID: *chainID, keyringBackend: "os", node: "tcp://localhost:26657"}
		h.comet.Moniker = args[0]
		id, _, err := h.makeKeys()
		if err != nil {
			return err
		}
		genesis, err := chain.BuildGenesis(app.Genesis{ChainID: *chainID, Time: time.Now()})
		if err != nil {
			return err
		}
		if err := h.write(genesis); err != nil {
			return err
		}
		return printJSON(cmd, map[string]string{"moniker": args[0], "chain_id": *chainID, "node_id": id, "home": *home})
	}
	return cmd
}

// printJSON writes a result for programs on stdout.
func printJSON(cmd *cobra.Command, v any) error {
	bz, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), string(bz))
	return err
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
