package chainbench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtlog "github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/rpc/client/local"
	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/cosmos/cosmos-sdk/server"

	"berth.dev/berth/internal/nodeconfig"
)

// Node is a chain under CometBFT, with one validator, in this process.
type Node struct {
	*Chain
	Comet  *node.Node
	Client *local.Local

	app    *timedApp
	blocks <-chan block
	stop   func()
}

// block is a committed block.
type block struct {
	height  int64
	at      time.Time
	results []*abci.ExecTxResult
}

// timedApp measures what CometBFT asks of the app.
type timedApp struct {
	abci.Application
	mu    sync.Mutex
	spans map[string][]time.Duration
}

func (a *timedApp) add(what string, start time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spans[what] = append(a.spans[what], time.Since(start))
}

// take returns the times since the last call.
func (a *timedApp) take() map[string][]time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	spans := a.spans
	a.spans = map[string][]time.Duration{}
	return spans
}

// FinalizeBlock executes a block.
func (a *timedApp) FinalizeBlock(ctx context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	defer a.add("finalize", time.Now())
	return a.Application.FinalizeBlock(ctx, req)
}

// Commit stores a block's state.
func (a *timedApp) Commit(ctx context.Context, req *abci.RequestCommit) (*abci.ResponseCommit, error) {
	defer a.add("commit", time.Now())
	return a.Application.Commit(ctx, req)
}

// CheckTx checks a transaction, new or again.
func (a *timedApp) CheckTx(ctx context.Context, req *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	what := "check"
	if req.Type == abci.CheckTxType_Recheck {
		what = "recheck"
	}
	defer a.add(what, time.Now())
	return a.Application.CheckTx(ctx, req)
}

// NodeOptions say how CometBFT runs.
type NodeOptions struct {
	// BlockTime is the time between blocks; 0 means the node's default.
	BlockTime time.Duration
	// OneMutex uses one mutex for all connections to the app, as the SDK's own start does.
	OneMutex bool
}

// StartNode runs CometBFT around a chain, with berthd's defaults, and returns when the first block is committed.
func StartNode(c *Chain, o NodeOptions) (*Node, error) {
	n := &Node{Chain: c, app: &timedApp{Application: server.NewCometABCIWrapper(c.App), spans: map[string][]time.Duration{}}}
	cmtcfg.EnsureRoot(c.home)
	cfg := nodeconfig.Comet().SetRoot(c.home)
	cfg.DBBackend = "goleveldb"
	if o.BlockTime != 0 {
		cfg.Consensus.TimeoutCommit = o.BlockTime
	}
	cfg.RPC.ListenAddress = "" // clients are local
	cfg.P2P.ListenAddress = "tcp://127.0.0.1:0"
	cfg.P2P.PexReactor = false // there are no peers to find
	logger := cmtlog.NewFilter(cmtlog.NewTMLogger(cmtlog.NewSyncWriter(os.Stderr)), cmtlog.AllowError(), cmtlog.AllowNoneWith("module", "p2p"))
	creator := proxy.NewConnSyncLocalClientCreator(n.app)
	if o.OneMutex {
		creator = proxy.NewLocalClientCreator(n.app)
	}
	validator := privval.NewFilePV(c.signer, filepath.Join(c.home, "key.json"), filepath.Join(c.home, "state.json"))
	var err error
	n.Comet, err = node.NewNode(cfg, validator, &p2p.NodeKey{PrivKey: ed25519.GenPrivKey()}, creator,
		func() (*cmttypes.GenesisDoc, error) { return c.genesis, nil },
		cmtcfg.DefaultDBProvider, node.DefaultMetricsProvider(cfg.Instrumentation), logger)
	if err != nil {
		return nil, fmt.Errorf("build the node: %w", err)
	}
	n.Client = local.New(n.Comet)
	if err := n.follow(); err != nil {
		return nil, err
	}
	if err := n.Comet.Start(); err != nil {
		return nil, fmt.Errorf("start the node: %w", err)
	}
	_, err = n.next(time.Minute)
	return n, err
}

// follow delivers each block once it is committed.
func (n *Node) follow() error {
	sub, err := n.Comet.EventBus().Subscribe(context.Background(), "chainbench", cmttypes.EventQueryNewBlock, 10_000)
	if err != nil {
		return fmt.Errorf("subscribe to blocks: %w", err)
	}
	blocks, done := make(chan block, 10_000), make(chan struct{})
	go func() {
		defer close(blocks)
		for {
			select {
			case msg := <-sub.Out():
				e := msg.Data().(cmttypes.EventDataNewBlock)
				blocks <- block{height: e.Block.Height, at: time.Now(), results: e.ResultFinalizeBlock.TxResults}
			case <-sub.Canceled():
				return
			case <-done:
				return
			}
		}
	}()
	n.blocks, n.stop = blocks, sync.OnceFunc(func() { close(done) })
	return nil
}

// next waits for the next block.
func (n *Node) next(patience time.Duration) (block, error) {
	select {
	case b, ok := <-n.blocks:
		if !ok {
			return block{}, fmt.Errorf("the node has stopped")
		}
		n.height, n.time = b.height, b.at
		return b, nil
	case <-time.After(patience):
		return block{}, fmt.Errorf("no block within %s; the last was %d", patience, n.height)
	}
}

// Stop ends CometBFT; the chain can still be driven block by block.
func (n *Node) Stop() {
	n.stop()
	if err := n.Comet.Stop(); err == nil {
		n.Comet.Wait()
	}
	n.height = n.App.LastBlockHeight()
}
