package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/spf13/cobra"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/app"
	"berth.dev/berth/units"
)

const (
	// devnetStake is what each validator of a devnet stakes, and devnetFunds what its operator has besides.
	devnetStake = 1_000_000 * units.MicroPerToken
	devnetFunds = 1_000_000 * units.MicroPerToken
	// maxDevnetValidators bounds what one machine is asked to run.
	maxDevnetValidators = 20
	// portStep lies between the ports of two validators of a devnet.
	portStep = 10
	// operatorKey is the name of a validator's key in its home's keyring.
	operatorKey = "validator"
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

// devnetNode is one validator of a devnet: its home, keys and addresses.
type devnetNode struct {
	nodeHome
	id       string
	pubKey   cryptotypes.PubKey
	operator sdk.AccAddress
	rpc, p2p string
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
	f.DurationVar(&o.blockTime, "block-time", defaultBlockTime, "time between blocks")
	f.StringArrayVar(&o.fund, "fund", nil, "ADDRESS=COINS that an account has from the start (may be given again)")
	f.IntVar(&o.validators, "validators", 1, "number of validators")
	f.StringVar(&o.rpc, "rpc", "tcp://127.0.0.1:26657", "address of the first validator's RPC; its peers' port is one below")
	f.BoolVarP(&o.overwrite, "overwrite", "o", false, "start a new chain in a home that has one")
	return cmd
}

// initDevnet writes the homes of a devnet.
func initDevnet(chain *app.App, o devnetOptions) ([]devnetNode, error) {
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
	return nodes, writeDevnet(chain, o, nodes, accounts)
}

// writeDevnet makes the nodes' keys, then writes the genesis that names all of them into each home.
func writeDevnet(chain *app.App, o devnetOptions, nodes []devnetNode, accounts []app.GenesisAccount) error {
	genesis := app.Genesis{ChainID: o.chainID, Time: time.Now(), Accounts: accounts}
	for i := range nodes {
		n := &nodes[i]
		if o.overwrite {
			if err := clearData(n.dir); err != nil {
				return err
			}
		}
		if err := n.makeAllKeys(chain); err != nil {
			return err
		}
		genesis.Validators = append(genesis.Validators, app.GenesisValidator{
			Moniker: n.comet.Moniker, PubKey: n.pubKey, Operator: n.operator, Stake: math.NewInt(devnetStake),
		})
		genesis.Accounts = append(genesis.Accounts, app.GenesisAccount{
			Address: n.operator, Coins: sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, devnetFunds)),
		})
	}
	doc, err := chain.BuildGenesis(genesis)
	if err != nil {
		return err
	}
	for i, n := range nodes {
		n.comet.P2P.PersistentPeers = peersOf(nodes, i)
		if err := n.write(doc); err != nil {
			return err
		}
	}
	return nil
}

// makeAllKeys makes the node's keys and its operator's.
func (n *devnetNode) makeAllKeys(chain *app.App) error {
	var err error
	if n.id, n.pubKey, err = n.makeKeys(); err != nil {
		return err
	}
	kr, err := keyring.New(sdk.KeyringServiceName(), keyring.BackendTest, n.dir, strings.NewReader(""), chain.AppCodec())
	if err != nil {
		return fmt.Errorf("open the keyring in %s: %w", n.dir, err)
	}
	record, err := kr.Key(operatorKey)
	if err != nil {
		record, _, err = kr.NewMnemonic(operatorKey, keyring.English, sdk.FullFundraiserPath, keyring.DefaultBIP39Passphrase, hd.Secp256k1)
	}
	if err != nil {
		return fmt.Errorf("make the operator's key: %w", err)
	}
	n.operator, err = record.GetAddress()
	return err
}

// parseFunds reads ADDRESS=COINS.
func parseFunds(funds []string) ([]app.GenesisAccount, error) {
	var accounts []app.GenesisAccount
	for _, fund := range funds {
		address, amount, ok := strings.Cut(fund, "=")
		if !ok {
			return nil, fmt.Errorf("--fund %q: is not ADDRESS=COINS", fund)
		}
		addr, err := sdk.AccAddressFromBech32(address)
		if err != nil {
			return nil, fmt.Errorf("--fund %q: %w", fund, err)
		}
		coins, err := sdk.ParseCoinsNormalized(amount)
		if err != nil || coins.Empty() {
			return nil, fmt.Errorf("--fund %q: %q are not coins, for example 1000000%s", fund, amount, units.BaseDenom)
		}
		accounts = append(accounts, app.GenesisAccount{Address: addr, Coins: coins})
	}
	return accounts, nil
}

// layOutDevnet gives each validator its directory and ports.
func layOutDevnet(o devnetOptions) ([]devnetNode, error) {
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
	nodes := make([]devnetNode, o.validators)
	for i := range nodes {
		n := devnetNode{
			rpc: "tcp://" + net.JoinHostPort(u.Hostname(), strconv.Itoa(port+i*portStep)),
			p2p: net.JoinHostPort("127.0.0.1", strconv.Itoa(port-1+i*portStep)),
		}
		dir := o.home
		if o.validators > 1 {
			dir = filepath.Join(o.home, fmt.Sprintf("node%d", i))
		}
		n.nodeHome = nodeHome{dir: dir, comet: devnetComet(o, n, i), app: appConfig("0" + units.BaseDenom), chainID: o.chainID, keyringBackend: keyring.BackendTest, node: n.rpc}
		n.app.GRPC.Enable, n.app.GRPCWeb.Enable, n.app.API.Enable = false, false, false // clients use the RPC; the usual ports stay free
		nodes[i] = n
	}
	return nodes, nil
}

// devnetComet is the config.toml of a devnet's validator.
func devnetComet(o devnetOptions, n devnetNode, i int) *cmtcfg.Config {
	cfg := cmtcfg.DefaultConfig()
	cfg.Moniker = fmt.Sprintf("node%d", i)
	cfg.Consensus.TimeoutCommit = o.blockTime
	cfg.RPC.ListenAddress = n.rpc
	cfg.P2P.ListenAddress = "tcp://" + n.p2p
	cfg.P2P.AddrBookStrict = false  // peers are on the loopback interface,
	cfg.P2P.AllowDuplicateIP = true // all with one address
	return cfg
}

// peersOf lists the addresses of all nodes but one.
func peersOf(nodes []devnetNode, self int) string {
	var peers []string
	for i, n := range nodes {
		if i != self {
			peers = append(peers, n.id+"@"+n.p2p)
		}
	}
	return strings.Join(peers, ",")
}

// describeDevnet is what devnet init prints.
func describeDevnet(o devnetOptions, nodes []devnetNode) any {
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
