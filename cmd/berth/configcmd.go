package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"berth.dev/berth/tenant/home"
)

// configInfo is the configuration for output.
type configInfo struct {
	Home           string        `json:"home"`
	DefaultNetwork string        `json:"default_network"`
	KeyringBackend string        `json:"keyring_backend"`
	Key            string        `json:"key"`
	Networks       []networkInfo `json:"networks"`
}

type networkInfo struct {
	Name      string `json:"name"`
	ChainID   string `json:"chain_id"`
	Node      string `json:"node"`
	GasPrices string `json:"gas_prices,omitempty"`
}

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Name the networks to use",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "Show the configuration", Args: cobra.NoArgs, RunE: listConfig},
		&cobra.Command{Use: "use NAME", Short: "Make a network the default", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			return changeConfig(cmd, func(c *home.Config) error {
				if _, _, err := c.Network(args[0]); err != nil {
					return err
				}
				c.DefaultNetwork = args[0]
				return nil
			})
		}},
		newConfigAddCommand(),
	)
	return cmd
}

func newConfigAddCommand() *cobra.Command {
	var chainID, gasPrices string
	cmd := &cobra.Command{
		Use:     "add NAME --node ADDRESS",
		Short:   "Add a network, or change one",
		Example: "  berth config add mainnet --node https://rpc.example.org:443 --chain-id berth-1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node := setting(cmd, "node", "BERTH_NODE")
			if node == "" {
				return usageErrorf("name the network's node with --node")
			}
			if err := checkNode(node); err != nil {
				return usageErrorf("--node: %w", err)
			}
			return changeConfig(cmd, func(c *home.Config) error {
				if c.Networks == nil {
					c.Networks = map[string]home.Network{}
				}
				c.Networks[args[0]] = home.Network{ChainID: chainID, Node: node, GasPrices: gasPrices}
				if c.DefaultNetwork == "" {
					c.DefaultNetwork = args[0]
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&chainID, "chain-id", "", "the chain's id, which nodes must then have (default: ask the node each time)")
	cmd.Flags().StringVar(&gasPrices, "gas-prices", "", "what transactions offer per unit of gas")
	return cmd
}

// changeConfig changes the configuration and shows it.
func changeConfig(cmd *cobra.Command, change func(*home.Config) error) error {
	dir, err := homeDir(cmd)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(dir)
	if err != nil {
		return err
	}
	if err := change(&cfg); err != nil {
		return exitWith(exitUsage, err)
	}
	if err := cfg.Validate(); err != nil {
		return exitWith(exitUsage, err)
	}
	if err := home.Save(dir, cfg); err != nil {
		return err
	}
	return listConfig(cmd, nil)
}

func listConfig(cmd *cobra.Command, _ []string) error {
	dir, err := homeDir(cmd)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(dir)
	if err != nil {
		return err
	}
	info := configInfo{
		Home: dir, DefaultNetwork: cfg.DefaultNetwork, KeyringBackend: backend(cmd, cfg),
		Key: firstNonEmpty(setting(cmd, "key", "BERTH_KEY"), cfg.Key, home.DefaultKey), Networks: []networkInfo{},
	}
	for _, name := range cfg.Names() {
		n := cfg.Networks[name]
		info.Networks = append(info.Networks, networkInfo{Name: name, ChainID: n.ChainID, Node: n.Node, GasPrices: n.GasPrices})
	}
	return printResult(cmd, info, func(w io.Writer) error {
		fmt.Fprintf(w, "home %s, key %s in the %s keyring\n", info.Home, info.Key, info.KeyringBackend)
		t := newTable("", "NETWORK", "CHAIN", "NODE")
		for _, n := range info.Networks {
			mark := ""
			if n.Name == info.DefaultNetwork {
				mark = "*"
			}
			t.add(mark, n.Name, orDash(n.ChainID), n.Node)
		}
		_, err := io.WriteString(w, t.String())
		return err
	})
}
