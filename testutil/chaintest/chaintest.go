// Package chaintest runs the real chain inside a test: the app and CometBFT with one validator, in memory, with an RPC
// on a free loopback port. After every block it checks the chain's invariants, and a break fails the test.
package chaintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtlog "github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/rpc/client/local"
	rpcserver "github.com/cometbft/cometbft/rpc/jsonrpc/server"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	sdkclient "github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/codec"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	"github.com/cosmos/cosmos-sdk/server"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/app"
	"berth.dev/berth/units"
)

const (
	// DefaultAccounts is how many accounts a chain funds.
	DefaultAccounts = 4
	// DefaultBlockTime is the time between blocks.
	DefaultBlockTime = 50 * time.Millisecond
	// Funds is what each account has at the start, in units.BaseDenom.
	Funds = 1_000_000_000_000
	// patience is how long a chain may take to reach a height before a test gives up: long, as machines are slow.
	patience = 2 * time.Minute
)

// Options say what chain to start; the zero value is a good one.
type Options struct {
	// Accounts is how many accounts are funded; 0 means DefaultAccounts.
	Accounts int
	// BlockTime is the time between blocks; 0 means DefaultBlockTime.
	BlockTime time.Duration
	// Genesis, if set, edits the modules' genesis state before the chain starts.
	Genesis func(cdc codec.JSONCodec, state map[string]json.RawMessage)
	// ChainID names the chain; empty means berth-test.
	ChainID string
	// Executor is how blocks are executed: sequential or block-stm; empty means the default.
	Executor string
}

// Net is a running chain.
type Net struct {
	// RPCAddr is the address of CometBFT's RPC, tcp://127.0.0.1:PORT.
	RPCAddr string
	ChainID string
	App     *app.App
	// Node is the CometBFT node.
	Node *node.Node
	// Client speaks to the node without a network.
	Client *local.Local
	// Keys are the funded accounts' keys.
	Keys []*secp256k1.PrivKey
	// Operator is the key of the validator's operator, who holds the stake and can vote, but has no coins besides.
	Operator *secp256k1.PrivKey

	stop     sync.Once
	listener net.Listener
	serving  chan struct{}
	broken   brokenLog
}

// brokenLog collects broken invariants from the chain's goroutine for the test's.
type brokenLog struct {
	mu    sync.Mutex
	lines []string
}

func (b *brokenLog) add(height int64, lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range lines {
		b.lines = append(b.lines, fmt.Sprintf("height %d: %s", height, line))
	}
}

func (b *brokenLog) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := b.lines
	b.lines = nil
	return lines
}

// Start runs a chain until the test ends. It returns once the first block is committed.
func Start(t testing.TB, o Options) *Net {
	t.Helper()
	o = o.withDefaults()
	n := &Net{ChainID: o.ChainID, Operator: operatorKey(), Keys: accountKeys(o.Accounts)}
	home := t.TempDir()
	n.newApp(t, o, home)
	validator := privval.NewFilePV(ed25519.GenPrivKeyFromSecret([]byte("chaintest validator")), home+"/key.json", home+"/state.json")
	doc := n.genesis(t, o, validator)
	n.startNode(t, o, home, validator, doc)
	t.Cleanup(func() { n.finish(t) })
	n.WaitHeight(t, 1)
	return n
}

func (o Options) withDefaults() Options {
	if o.Accounts == 0 {
		o.Accounts = DefaultAccounts
	}
	if o.BlockTime == 0 {
		o.BlockTime = DefaultBlockTime
	}
	if o.ChainID == "" {
		o.ChainID = "berth-test"
	}
	return o
}

// appOptions are the node's settings as the app reads them.
type appOptions map[string]any

// Get returns a setting, nil if there is none.
func (o appOptions) Get(name string) any { return o[name] }

var _ servertypes.AppOptions = appOptions{}

// newApp builds the app with an end block that checks the invariants.
func (n *Net) newApp(t testing.TB, o Options, home string) {
	t.Helper()
	opts := appOptions{flags.FlagHome: home}
	if o.Executor != "" {
		opts[server.FlagBlockExecutor] = o.Executor
	}
	n.App = app.New(log.NewNopLogger(), dbm.NewMemDB(), false, opts, baseapp.SetChainID(o.ChainID))
	n.App.SetEndBlocker(func(ctx sdk.Context) (sdk.EndBlock, error) {
		end, err := n.App.EndBlocker(ctx)
		if err == nil {
			n.broken.add(ctx.BlockHeight(), n.App.Invariants(ctx))
		}
		return end, err
	})
	if err := n.App.LoadLatestVersion(); err != nil {
		t.Fatalf("load the app: %v", err)
	}
}

// genesis funds the accounts and makes the validator.
func (n *Net) genesis(t testing.TB, o Options, validator *privval.FilePV) *cmttypes.GenesisDoc {
	t.Helper()
	pubKey, err := cryptocodec.FromCmtPubKeyInterface(validator.Key.PubKey)
	if err != nil {
		t.Fatalf("validator key: %v", err)
	}
	operator := sdk.AccAddress(n.Operator.PubKey().Address())
	spec := app.Genesis{
		ChainID:    o.ChainID,
		Time:       time.Now(),
		Validators: []app.GenesisValidator{{Moniker: "test", PubKey: pubKey, Operator: operator, Stake: math.NewInt(1_000_000_000)}},
		Edit: func(state map[string]json.RawMessage) error {
			if o.Genesis != nil {
				o.Genesis(n.App.AppCodec(), state)
			}
			return nil
		},
	}
	for i := range n.Keys {
		spec.Accounts = append(spec.Accounts, app.GenesisAccount{
			Address: n.Addr(i), Coins: sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, Funds)),
		})
	}
	genesis, err := n.App.BuildGenesis(spec)
	if err != nil {
		t.Fatalf("build the genesis: %v", err)
	}
	doc, err := genesis.ToGenesisDoc()
	if err != nil {
		t.Fatalf("encode the genesis: %v", err)
	}
	return doc
}

// startNode runs CometBFT around the app and serves its RPC.
func (n *Net) startNode(t testing.TB, o Options, home string, validator *privval.FilePV, doc *cmttypes.GenesisDoc) {
	t.Helper()
	cmtcfg.EnsureRoot(home)
	cfg := cmtcfg.DefaultConfig().SetRoot(home)
	cfg.DBBackend = "memdb"
	cfg.Consensus.TimeoutCommit = o.BlockTime
	cfg.RPC.ListenAddress = "" // served below, on a port that the kernel picks
	cfg.P2P.ListenAddress = "tcp://127.0.0.1:0"
	cfg.P2P.PexReactor = false // its address book would be written while the test removes the directory

	cfg.P2P.PexReactor = false // there are no peers to find

	// Only errors are shown, so that a chain that stands still says why; peers cause none here but at the end.
	logger := cmtlog.NewFilter(cmtlog.NewTMLogger(cmtlog.NewSyncWriter(os.Stderr)), cmtlog.AllowError(), cmtlog.AllowNoneWith("module", "p2p"))
	var err error
	n.Node, err = node.NewNode(cfg, validator, &p2p.NodeKey{PrivKey: ed25519.GenPrivKey()},
		proxy.NewConnSyncLocalClientCreator(server.NewCometABCIWrapper(n.App)),
		func() (*cmttypes.GenesisDoc, error) { return doc, nil },
		cmtcfg.DefaultDBProvider, node.DefaultMetricsProvider(cfg.Instrumentation), logger)
	if err != nil {
		t.Fatalf("build the node: %v", err)
	}
	n.Client = local.New(n.Node)
	clientCtx := sdkclient.Context{}.WithCodec(n.App.AppCodec()).WithInterfaceRegistry(n.App.InterfaceRegistry()).
		WithTxConfig(n.App.TxConfig()).WithChainID(n.ChainID).WithClient(n.Client)
	n.App.RegisterTxService(clientCtx)
	n.App.RegisterTendermintService(clientCtx)
	if err := n.Node.Start(); err != nil {
		t.Fatalf("start the node: %v", err)
	}
	n.serveRPC(t, logger)
}

// serveRPC serves the node's RPC, websocket included.
func (n *Net) serveRPC(t testing.TB, logger cmtlog.Logger) {
	t.Helper()
	env, err := n.Node.ConfigureRPC()
	if err != nil {
		t.Fatalf("configure the RPC: %v", err)
	}
	n.listener, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for the RPC: %v", err)
	}
	n.RPCAddr = "tcp://" + n.listener.Addr().String()
	mux := http.NewServeMux()
	routes := env.GetRoutes()
	ws := rpcserver.NewWebsocketManager(routes, rpcserver.OnDisconnect(func(remote string) {
		// A client that never subscribed has nothing to unsubscribe: no error of this test's.
		_ = n.Node.EventBus().UnsubscribeAll(context.Background(), remote)
	}))
	ws.SetLogger(logger)
	mux.HandleFunc("/websocket", ws.WebsocketHandler)
	rpcserver.RegisterRPCFuncs(mux, routes, logger)
	n.serving = make(chan struct{})
	go func() {
		defer close(n.serving)
		_ = rpcserver.Serve(n.listener, mux, cmtlog.NewNopLogger(), rpcserver.DefaultConfig()) // ends when Stop closes the listener
	}()
}

// Addr is the address of funded account i.
func (n *Net) Addr(i int) sdk.AccAddress { return sdk.AccAddress(n.Keys[i].PubKey().Address()) }

// Keyring holds the funded accounts' keys, named k0, k1 and so on, and the validator's, named operator.
func (n *Net) Keyring(t testing.TB) keyring.Keyring {
	t.Helper()
	kr := keyring.NewInMemory(n.App.AppCodec())
	for i, key := range n.Keys {
		importKey(t, kr, fmt.Sprintf("k%d", i), key)
	}
	importKey(t, kr, "operator", n.Operator)
	return kr
}

func importKey(t testing.TB, kr keyring.Keyring, name string, key *secp256k1.PrivKey) {
	t.Helper()
	if err := kr.ImportPrivKeyHex(name, fmt.Sprintf("%x", key.Key), string(hd.Secp256k1Type)); err != nil {
		t.Fatalf("import key %s: %v", name, err)
	}
}

// Height is that of the last committed block.
func (n *Net) Height() int64 { return n.App.LastBlockHeight() }

// WaitHeight waits until a block of at least this height is committed. It fails the test if an invariant has broken, or
// if the chain does not get there.
func (n *Net) WaitHeight(t testing.TB, height int64) {
	t.Helper()
	n.WaitFor(t, fmt.Sprintf("height %d", height), func() bool { return n.Height() >= height })
}

// WaitFor waits until a condition holds, looking again after each block. what names it in the failure.
func (n *Net) WaitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		if lines := n.broken.take(); len(lines) > 0 {
			t.Fatalf("broken invariants:\n%s", strings.Join(lines, "\n"))
		}
		if time.Now().After(deadline) {
			t.Fatalf("the chain did not come to %s within %s; it is at height %d", what, patience, n.Height())
		}
		<-look.C
	}
}

// Context reads the last committed state; a test may look into the app's keepers with it.
func (n *Net) Context(t testing.TB) sdk.Context {
	t.Helper()
	ctx, err := n.App.CreateQueryContext(0, false)
	if err != nil {
		t.Fatalf("read the committed state: %v", err)
	}
	return ctx
}

// Stop ends the chain. It may be called more than once.
func (n *Net) Stop() {
	n.stop.Do(func() {
		if n.listener != nil {
			_ = n.listener.Close()
			<-n.serving
		}
		if n.Node != nil {
			if err := n.Node.Stop(); err == nil || errors.Is(err, context.Canceled) {
				n.Node.Wait()
			}
		}
		_ = n.App.Close()
	})
}

// finish stops the chain at the end of the test and reports what broke since the last wait.
func (n *Net) finish(t testing.TB) {
	t.Helper()
	n.Stop()
	if lines := n.broken.take(); len(lines) > 0 {
		t.Errorf("broken invariants:\n%s", strings.Join(lines, "\n"))
	}
}
