package main

import (
	"encoding/json"
	"errors"
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

// initCommand writes the home of a node: of a new chain whose genesis has no accounts yet, or of one that exists.
func initCommand(chain *app.App) *cobra.Command {
	var join joinOptions
	cmd := &cobra.Command{
		Use:   "init MONIKER",
		Short: "Write the keys, configuration and genesis of a new node",
		Long: "Write a new node's home: its keys, config.toml, app.toml, client.toml, and the genesis. With --genesis the node\n" +
			"joins the chain of that file; without, the genesis is of a new chain with the default parameters and no accounts.\n\n" +
			"With --state-sync the node starts from a snapshot instead of the first block. Its state is checked against a\n" +
			"block that the named nodes vouch for, which is printed: compare it with what somebody else says.",
		Example: "berthd init me --chain-id berth-try-1\n" +
			"berthd init me --genesis genesis.json --persistent-peers ID@HOST:26656\n" +
			"berthd init me --genesis genesis.json --persistent-peers ID@HOST:26656 --state-sync tcp://HOST:26657,tcp://OTHER:26657",
		Args:              cobra.ExactArgs(1),
		PersistentPreRunE: noPrepare,
	}
	home := cmd.Flags().String(flags.FlagHome, app.DefaultHome(), "the node's directory")
	chainID := cmd.Flags().String(flags.FlagChainID, "", "the chain's id; required for a new chain")
	overwrite := cmd.Flags().BoolP("overwrite", "o", false, "start anew in a home that has a node: its keys stay, its blocks and state go")
	join.addFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkFree(*home, *overwrite); err != nil {
			return err
		}
		genesis, err := join.readGenesis(*chainID)
		if err != nil {
			return err
		}
		if genesis == nil {
			genesis, err = chain.BuildGenesis(app.Genesis{ChainID: *chainID, Time: time.Now()})
			if err != nil {
				return err
			}
		}
		h := nodeHome{dir: *home, comet: nodeconfig.Comet(), app: nodeconfig.App(nodeconfig.GasPrice), chainID: genesis.ChainID, keyringBackend: "os", node: "tcp://localhost:26657"}
		h.comet.Moniker = args[0]
		if err := errors.Join(join.checkPeers(), join.configure(cmd.Context(), h.comet, genesis.ChainID)); err != nil {
			return err
		}
		if *overwrite {
			if err := clearData(*home); err != nil {
				return err
			}
		}
		id, _, err := h.makeKeys()
		if err != nil {
			return err
		}
		if err := h.write(genesis); err != nil {
			return err
		}
		out := map[string]any{"moniker": args[0], "chain_id": genesis.ChainID, "node_id": id, "home": *home}
		if h.comet.StateSync.Enable {
			out["trust_height"], out["trust_hash"] = h.comet.StateSync.TrustHeight, h.comet.StateSync.TrustHash
		}
		return printJSON(cmd, out)
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
