package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/spf13/cobra"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"

	"berth.dev/berth/app"
	"berth.dev/berth/internal/nodeconfig"
	"berth.dev/berth/units"
)

const (
	// devnetStake is what each validator of a devnet stakes, and devnetFunds what its operator has besides.
	devnetStake = 1_000_000 * units.MicroPerToken
	devnetFunds = 1_000_000 * units.MicroPerToken
	// maxDevnetValidators bounds what one machine is asked to run.
	maxDevnetValidators = 20
)

// devnetOptions are the flags of devnet init.
type devnetOptions struct {
	home       string
	chainID    string
	blockTime  time.Duration
	fund       []string
	validators int
	rpc        string
	overwrite  bool
}

// devnetCommand groups the commands for chains on one machine.
func devnetCommand(chain *app.App) *cobra.Command {
	cmd := &cobra.Command{Use: "devnet", Short: "Chains on one machine, for development"}
	cmd.AddCommand(devnetInitCommand(chain))
	return cmd
}

func devnetInitCommand(chain *app.App) *cobra.Command {
	var o devnetOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write everything that a chain on this machine needs, ready to start",
		Long: "Write a chain of its own: validators that are bonded from the first block, and funded accounts. With one\n" +
			"validator the home is --home itself, with more it is --home/node0, --home/node1 and so on, whose RPC ports\n" +
			"follow --rpc in steps of ten. Each home's keyring (backend test) holds its operator's key, \"validator\".\n" +
			"Nodes listen on the loopback interface only.",
		Example:           "berthd devnet init --home /tmp/chain --fund berth1...=1000000000ubrt && berthd start --home /tmp/chain",
		Args:              cobra.NoArgs,
		PersistentPreRunE: noPrepare,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := initDevnet(chain, o)
			if err != nil {
				return err
			}
			return printJSON(cmd, describeDevnet(o, nodes))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.home, flags.FlagHome, app.DefaultHome(), "directory to write")
	f.StringVar(&o.chainID, flags.FlagChainID, "berth-devnet", "the chain's id")
	f.DurationVar(&o.blockTime, "block-time", nodeconfig.BlockTime, "time between blocks")
	f.StringArrayVar(&o.fund, "fund", nil, "ADDRESS=COINS that an account has from the start (may be given again)")
	f.IntVar(&o.validators, "validators", 1, "number of validators")
	f.StringVar(&o.rpc, "rpc", "tcp://127.0.0.1:26657", "address of the first validator's RPC; its peers' port is one below")
	f.BoolVarP(&o.overwrite, "overwrite", "o", false, "start a new chain in a home that has one")
	return cmd
}

// initDevnet writes the homes of a devnet.
func initDevnet(chain *app.App, o devnetOptions) ([]genesisNode, error) {
	if o.validators < 1 || o.validators > maxDevnetValidators {
		return nil, fmt.Errorf("--validators: %d is not in 1..%d", o.validators, maxDevnetValidators)
	}
	if o.blockTime <= 0 {
		return nil, fmt.Errorf("--block-time: %s is not positive", o.blockTime)
	}
	accounts, err := parseFunds(o.fund)
	if err != nil {
		return nil, err
	}
	nodes, err := layOutDevnet(o)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if err := checkFree(n.dir, o.overwrite); err != nil {
			return nil, err
		}
	}
	if o.overwrite {
		for _, n := range nodes {
			if err := clearData(n.dir); err != nil {
				return nil, err
			}
		}
	}
	w := network{
		genesis: app.Genesis{ChainID: o.chainID, Time: time.Now(), Accounts: accounts},
		stake:   math.NewInt(devnetStake), funds: math.NewInt(devnetFunds), nodes: nodes,
	}
	return nodes, w.write(chain)
}

// layOutDevnet gives each validator its directory and ports.
func layOutDevnet(o devnetOptions) ([]genesisNode, error) {
	u, err := url.Parse(o.rpc)
	if err != nil || u.Scheme != "tcp" {
		return nil, fmt.Errorf("--rpc: %q is not of the form tcp://HOST:PORT", o.rpc)
	}
	port, err := strconv.Atoi(u.Port())
	if last := port + (o.validators-1)*portStep; err != nil || port < 2 || last > 65535 {
		return nil, fmt.Errorf("--rpc: %q leaves no ports for %d validators", o.rpc, o.validators)
	}
	if u.Hostname() == "" {
		return nil, errors.New("--rpc: the host is missing")
	}
	nodes := make([]genesisNode, o.validators)
	for i := range nodes {
		n := genesisNode{
			validates: true,
			rpc:       "tcp://" + net.JoinHostPort(u.Hostname(), strconv.Itoa(port+i*portStep)),
			p2p:       net.JoinHostPort("127.0.0.1", strconv.Itoa(port-1+i*portStep)),
		}
		dir := o.home
		if o.validators > 1 {
			dir = filepath.Join(o.home, fmt.Sprintf("node%d", i))
		}
		n.nodeHome = nodeHome{dir: dir, comet: devnetComet(o, n, i), app: nodeconfig.App("0" + units.BaseDenom), chainID: o.chainID, keyringBackend: keyring.BackendTest, node: n.rpc}
		n.app.GRPC.Enable, n.app.GRPCWeb.Enable, n.app.API.Enable = false, false, false // clients use the RPC; the usual ports stay free
		nodes[i] = n
	}
	return nodes, nil
}

// devnetComet is the config.toml of a devnet's validator.
func devnetComet(o devnetOptions, n genesisNode, i int) *cmtcfg.Config {
	cfg := cmtcfg.DefaultConfig()
	cfg.Moniker = fmt.Sprintf("node%d", i)
	cfg.Consensus.TimeoutCommit = o.blockTime
	cfg.RPC.ListenAddress = n.rpc
	cfg.P2P.ListenAddress = "tcp://" + n.p2p
	cfg.P2P.AddrBookStrict = false  // peers are on the loopback interface,
	cfg.P2P.AllowDuplicateIP = true // all with one address
	return cfg
}

// describeDevnet is what devnet init prints.
func describeDevnet(o devnetOptions, nodes []genesisNode) any {
	type described struct {
		Home     string `json:"home"`
		RPC      string `json:"rpc"`
		NodeID   string `json:"node_id"`
		Operator string `json:"operator"`
	}
	out := struct {
		ChainID string      `json:"chain_id"`
		Nodes   []described `json:"nodes"`
	}{ChainID: o.chainID}
	for _, n := range nodes {
		out.Nodes = append(out.Nodes, described{n.dir, n.rpc, n.id, n.operator.String()})
	}
	return out
}
