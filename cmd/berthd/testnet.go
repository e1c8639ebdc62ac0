package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/spf13/cobra"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	srvcfg "github.com/cosmos/cosmos-sdk/server/config"
	pruningtypes "github.com/cosmos/cosmos-sdk/store/v2/pruning/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"berth.dev/berth/app"
	"berth.dev/berth/internal/nodeconfig"
	"berth.dev/berth/units"
)

const (
	// maxTestnetNodes bounds a network that is written at once.
	maxTestnetNodes = 100
	// The ports of a node, counted from its first one. The SDK's and CometBFT's defaults follow from 26656.
	portP2P, portRPC, portGRPC, portMetrics = 0, 1, 3, 4
	// testnetFunds is what each operator has besides its stake, in whole tokens.
	testnetFunds = 1_000_000
	// mnemonicFile is where a validator's mnemonic goes when it is asked for.
	mnemonicFile = "operator.mnemonic"
)

// errOutputInUse refuses to write into a directory that holds something.
var errOutputInUse = errors.New("is not empty; choose another --output-dir, or remove what is there")

// testnetOptions are the flags of testnet.
type testnetOptions struct {
	dir              string
	format           string
	chainID          string
	validators       int
	fullNodes        int
	blockTime        time.Duration
	votingPeriod     time.Duration
	fund             []string
	stake            uint64
	host             string
	hostFirst        int
	rpcListen        string
	portsBase        int
	gasPrice         string
	pruning          string
	snapshotInterval uint64
	snapshotKeep     uint32
	mnemonics        bool
}

func testnetCommand(chain *app.App) *cobra.Command {
	var o testnetOptions
	cmd := &cobra.Command{
		Use:   "testnet",
		Short: "Write the homes of a new network of several validators",
		Long: "Write a home for each node of a new network: node0, node1 and so on below --output-dir, with keys, a common\n" +
			"genesis in which the validators are bonded from the first block, and configuration that names the others as\n" +
			"persistent peers. Full nodes follow after the validators.\n\n" +
			"Without --host all nodes run on this machine: they listen on 127.0.0.1, and node N takes the ports from\n" +
			"--ports-base + 10*N on (peers, then RPC, gRPC at +3, metrics at +4). With --host each runs on a machine of its\n" +
			"own, which others reach by the pattern; all take the same ports, and RPC, gRPC and metrics stay on the\n" +
			"loopback interface unless --rpc-listen opens the RPC. Copy each home to its machine.\n\n" +
			"Each validator's keyring (backend test, not encrypted) holds its operator's key, \"validator\". Nothing secret is\n" +
			"printed. An output directory that holds something is refused, and a failure leaves none behind.",
		Example: "berthd testnet --output-dir /tmp/net\n" +
			"berthd testnet --output-dir /tmp/net --validators 7 --full-nodes 1 --block-time 1s -o json\n" +
			"berthd testnet --output-dir net --chain-id berth-test-2 --host 'val%d.example.com'\n" +
			"berthd testnet --output-dir net --host 10.0.0.%d --host-first 11 --rpc-listen 0.0.0.0",
		Args:              cobra.NoArgs,
		PersistentPreRunE: noPrepare,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := writeTestnet(chain, o)
			if err != nil {
				return err
			}
			return printTestnet(cmd, o, nodes)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "output-dir", "testnet", "directory to write; it must not exist or be empty")
	f.StringVarP(&o.format, "output", "o", "text", "format of the summary: text or json")
	f.StringVar(&o.chainID, flags.FlagChainID, "berth-testnet", "the chain's id")
	f.IntVar(&o.validators, "validators", 4, "number of validators")
	f.IntVar(&o.fullNodes, "full-nodes", 0, "number of nodes that follow the chain without validating")
	f.DurationVar(&o.blockTime, "block-time", nodeconfig.BlockTime, "time between blocks")
	f.DurationVar(&o.votingPeriod, "voting-period", 0, "how long governance votes; 0 takes the chain's default")
	f.StringArrayVar(&o.fund, "fund", nil, "ADDRESS=COINS that an account has from the start (may be given again)")
	f.Uint64Var(&o.stake, "stake", 1_000_000, "whole tokens that each validator stakes")
	f.StringVar(&o.host, "host", "", "host name or address by which others reach a node; %d is its number")
	f.IntVar(&o.hostFirst, "host-first", 0, "number of the first node in --host")
	f.StringVar(&o.rpcListen, "rpc-listen", "127.0.0.1", "address on which the RPC listens")
	f.IntVar(&o.portsBase, "ports-base", 26656, "first port of the first node")
	f.StringVar(&o.gasPrice, "min-gas-price", nodeconfig.GasPrice, "least price of a unit of gas that the nodes take")
	f.StringVar(&o.pruning, "pruning", pruningtypes.PruningOptionDefault, "states that the nodes keep: default, nothing (all) or everything (the last two)")
	f.Uint64Var(&o.snapshotInterval, "snapshot-interval", 1000, "blocks between two snapshots, from which new nodes can start; 0 takes none")
	f.Uint32Var(&o.snapshotKeep, "snapshot-keep", 2, "snapshots that a node keeps")
	f.BoolVar(&o.mnemonics, "mnemonics", false, "write each operator's mnemonic to "+mnemonicFile+" in its home")
	return cmd
}

// check refuses options before anything is written.
func (o testnetOptions) check() error {
	prunings := []string{pruningtypes.PruningOptionDefault, pruningtypes.PruningOptionNothing, pruningtypes.PruningOptionEverything}
	switch {
	case o.format != "text" && o.format != "json":
		return fmt.Errorf("--output: %q is neither text nor json (--output-dir names the directory)", o.format)
	case o.dir == "":
		return errors.New("--output-dir: the directory is missing")
	case o.chainID == "":
		return errors.New("--chain-id: it is empty")
	case !slices.Contains(prunings, o.pruning):
		return fmt.Errorf("--pruning: %q is none of default, nothing and everything", o.pruning)
	case net.ParseIP(o.rpcListen) == nil:
		return fmt.Errorf("--rpc-listen: %q is not an IP address", o.rpcListen)
	}
	if _, err := sdk.ParseDecCoins(o.gasPrice); err != nil {
		return fmt.Errorf("--min-gas-price: %w", err)
	}
	return errors.Join(o.checkNumbers(), o.checkPorts(), o.checkHost())
}

func (o testnetOptions) checkNumbers() error {
	switch {
	case o.validators < 1 || o.validators > maxTestnetNodes:
		return fmt.Errorf("--validators: %d is not in 1..%d", o.validators, maxTestnetNodes)
	case o.fullNodes < 0 || o.validators+o.fullNodes > maxTestnetNodes:
		return fmt.Errorf("--full-nodes: %d leaves not between 1 and %d nodes in all", o.fullNodes, maxTestnetNodes)
	case o.blockTime <= 0:
		return fmt.Errorf("--block-time: %s is not positive", o.blockTime)
	case o.votingPeriod != 0 && o.votingPeriod < 2*time.Second:
		return fmt.Errorf("--voting-period: %s is shorter than 2s", o.votingPeriod)
	case o.stake < 1 || o.stake > 1_000_000_000:
		return fmt.Errorf("--stake: %d is not in 1..1000000000 whole tokens", o.stake)
	case o.snapshotInterval > 0 && o.snapshotKeep == 0:
		return errors.New("--snapshot-keep: at least 1, or --snapshot-interval 0 for no snapshots")
	}
	return nil
}

func (o testnetOptions) checkPorts() error {
	last := o.portsBase + portStep - 1
	if o.host == "" {
		last += (o.validators + o.fullNodes - 1) * portStep
	}
	if o.portsBase < 1024 || last > 65535 {
		return fmt.Errorf("--ports-base: ports %d to %d are not all in 1024..65535", o.portsBase, last)
	}
	return nil
}

func (o testnetOptions) checkHost() error {
	if o.host == "" {
		return nil
	}
	if strings.Count(o.host, "%") != strings.Count(o.host, "%d") || strings.Count(o.host, "%d") > 1 ||
		(!strings.Contains(o.host, "%d") && o.validators+o.fullNodes > 1) {
		return fmt.Errorf("--host: %q is not a name with one %%d for the node's number, such as val%%d.example.com", o.host)
	}
	return nil
}

// writeTestnet writes the network beside its directory and moves it there when it is complete.
func writeTestnet(chain *app.App, o testnetOptions) (_ []genesisNode, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	accounts, err := parseFunds(o.fund)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, fmt.Errorf("--output-dir: %w", err)
	}
	if err := checkEmpty(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("make the output directory: %w", err)
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return nil, fmt.Errorf("make the output directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(partial))
		}
	}()
	w := network{
		genesis: app.Genesis{ChainID: o.chainID, Time: time.Now(), Accounts: accounts, Edit: o.editGenesis(chain.AppCodec())},
		stake:   math.NewIntFromUint64(o.stake).MulRaw(units.MicroPerToken),
		funds:   math.NewInt(testnetFunds * units.MicroPerToken),
		nodes:   o.layOut(partial),
	}
	if err := w.write(chain); err != nil {
		return nil, err
	}
	if err := o.writeMnemonics(w.nodes); err != nil {
		return nil, err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // it goes only if it is empty
		return nil, fmt.Errorf("move the network to its place: %w", err)
	}
	if err := os.Rename(partial, dir); err != nil {
		return nil, fmt.Errorf("move the network to its place: %w", err)
	}
	for i := range w.nodes {
		w.nodes[i].dir = filepath.Join(dir, filepath.Base(w.nodes[i].dir))
	}
	return w.nodes, nil
}

// checkEmpty returns errOutputInUse if a directory exists and holds something.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look into %s: %w", dir, err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s: %w", dir, errOutputInUse)
	}
	return nil
}

// editGenesis sets how long governance votes.
func (o testnetOptions) editGenesis(cdc codec.JSONCodec) func(map[string]json.RawMessage) error {
	if o.votingPeriod == 0 {
		return nil
	}
	return func(state map[string]json.RawMessage) error {
		var gov govv1.GenesisState
		if err := cdc.UnmarshalJSON(state[govtypes.ModuleName], &gov); err != nil {
			return fmt.Errorf("read the genesis of governance: %w", err)
		}
		expedited := o.votingPeriod / 2 // it must be the shorter one
		gov.Params.VotingPeriod, gov.Params.ExpeditedVotingPeriod = &o.votingPeriod, &expedited
		state[govtypes.ModuleName] = cdc.MustMarshalJSON(&gov)
		return nil
	}
}

// layOut gives each node its directory, addresses and configuration.
func (o testnetOptions) layOut(dir string) []genesisNode {
	nodes := make([]genesisNode, o.validators+o.fullNodes)
	for i := range nodes {
		name := fmt.Sprintf("node%d", i)
		base, host := o.portsBase+i*portStep, "127.0.0.1"
		if o.host != "" {
			base, host = o.portsBase, o.host
			if strings.Contains(o.host, "%d") {
				host = fmt.Sprintf(o.host, o.hostFirst+i)
			}
		}
		n := genesisNode{validates: i < o.validators, p2p: address(host, base+portP2P), rpc: "tcp://" + address("127.0.0.1", base+portRPC)}
		if ip := net.ParseIP(o.rpcListen); !ip.IsLoopback() && !ip.IsUnspecified() {
			n.rpc = "tcp://" + address(o.rpcListen, base+portRPC)
		}
		n.nodeHome = nodeHome{
			dir: filepath.Join(dir, name), comet: o.comet(name, base, n.p2p), app: o.app(base), chainID: o.chainID,
			keyringBackend: keyring.BackendTest, node: n.rpc,
		}
		nodes[i] = n
	}
	return nodes
}

// comet is the config.toml of a node.
func (o testnetOptions) comet(name string, base int, p2p string) *cmtcfg.Config {
	cfg := nodeconfig.Comet()
	cfg.Moniker = name
	cfg.Consensus.TimeoutCommit = o.blockTime
	cfg.RPC.ListenAddress = "tcp://" + address(o.rpcListen, base+portRPC)
	cfg.Instrumentation.Prometheus = true
	cfg.Instrumentation.PrometheusListenAddr = address("127.0.0.1", base+portMetrics)
	cfg.P2P.AddrBookStrict = false // a network for trying things lies on private addresses as a rule
	if o.host == "" {
		cfg.P2P.ListenAddress = "tcp://" + p2p
		cfg.P2P.AllowDuplicateIP = true // all are on one machine
		return cfg
	}
	cfg.P2P.ListenAddress = "tcp://" + address("0.0.0.0", base+portP2P)
	cfg.P2P.ExternalAddress = p2p
	return cfg
}

// app is the app.toml of a node.
func (o testnetOptions) app(base int) *srvcfg.Config {
	cfg := nodeconfig.App(o.gasPrice)
	cfg.Pruning = o.pruning
	cfg.StateSync.SnapshotInterval, cfg.StateSync.SnapshotKeepRecent = o.snapshotInterval, o.snapshotKeep
	cfg.GRPC.Address = address("127.0.0.1", base+portGRPC)
	return cfg
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func (o testnetOptions) writeMnemonics(nodes []genesisNode) error {
	if !o.mnemonics {
		return nil
	}
	for _, n := range nodes {
		if !n.validates {
			continue
		}
		if err := os.WriteFile(filepath.Join(n.dir, mnemonicFile), []byte(n.mnemonic+"\n"), 0o600); err != nil {
			return fmt.Errorf("write a mnemonic: %w", err)
		}
	}
	return nil
}

// describedNode is a node in the summary of testnet.
type describedNode struct {
	Name     string `json:"name"`
	Home     string `json:"home"`
	NodeID   string `json:"node_id"`
	Peer     string `json:"peer"`
	RPC      string `json:"rpc"`
	Operator string `json:"operator,omitempty"`
}

// printTestnet writes the summary.
func printTestnet(cmd *cobra.Command, o testnetOptions, nodes []genesisNode) error {
	out := struct {
		ChainID string          `json:"chain_id"`
		Genesis string          `json:"genesis"`
		Nodes   []describedNode `json:"nodes"`
	}{ChainID: o.chainID, Genesis: filepath.Join(nodes[0].dir, "config", "genesis.json")}
	for _, n := range nodes {
		d := describedNode{Name: n.comet.Moniker, Home: n.dir, NodeID: n.id, Peer: n.id + "@" + n.p2p, RPC: n.rpc}
		if n.validates {
			d.Operator = n.operator.String()
		}
		out.Nodes = append(out.Nodes, d)
	}
	if o.format == "json" {
		return printJSON(cmd, out)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "NODE\tOPERATOR\tRPC\tPEER\n")
	for _, d := range out.Nodes {
		operator := d.Operator
		if operator == "" {
			operator = "(full node)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", d.Name, operator, d.RPC, d.Peer)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "\nStart each node:\n  berthd start --home %s\n", out.Nodes[0].Home)
	return err
}
