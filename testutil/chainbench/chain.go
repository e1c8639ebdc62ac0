// Package chainbench measures the chain as a node runs it: the app with its defaults on goleveldb, with CometBFT around
// it or driven block by block, with real signatures. `make bench-chain` runs its workloads; docs/benchmarks.md has the
// figures.
package chainbench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/spf13/viper"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/codec"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	"github.com/cosmos/cosmos-sdk/server"
	srvcfg "github.com/cosmos/cosmos-sdk/server/config"
	simtestutil "github.com/cosmos/cosmos-sdk/testutil/sims"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/app"
	"berth.dev/berth/internal/nodeconfig"
	"berth.dev/berth/units"
)

const (
	chainID = "berth-bench"
	// funds is what each account has at the start, in units.BaseDenom.
	funds = 1_000_000_000_000_000
)

// Options say what chain to build.
type Options struct {
	// Accounts is how many accounts are funded.
	Accounts int
	// Executor is how blocks are executed; empty means the node's default.
	Executor string
	// MemDB keeps the state in memory; the default is goleveldb in a temporary directory.
	MemDB bool
	// Settings are changes to app.toml by their names there.
	Settings map[string]any
	// Params changes the consensus parameters of the genesis, Genesis the modules' state.
	Params  func(*cmttypes.ConsensusParams)
	Genesis func(cdc codec.JSONCodec, state map[string]json.RawMessage)
}

// Chain is an app over its own database, with accounts whose keys it holds.
type Chain struct {
	App *app.App

	home    string
	db      dbm.DB
	signer  ed25519.PrivKey
	genesis *cmttypes.GenesisDoc
	keys    []*secp256k1.PrivKey
	seqs    []uint64
	rand    *rand.Rand

	// fill, if set, runs at the beginning of each block; see Fill.
	fill func(sdk.Context)
	// height and time are those of the last block that Block executed.
	height int64
	time   time.Time
}

// NewChain builds an app as berthd does, from the same defaults. Close removes what it wrote.
func NewChain(o Options) (*Chain, error) {
	home, err := os.MkdirTemp("", "chainbench")
	if err != nil {
		return nil, fmt.Errorf("make a home: %w", err)
	}
	c := &Chain{
		home: home, signer: ed25519.GenPrivKeyFromSecret([]byte("chainbench validator")),
		seqs: make([]uint64, o.Accounts), rand: rand.New(rand.NewSource(1)),
		time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for i := range o.Accounts {
		c.keys = append(c.keys, secp256k1.GenPrivKeyFromSecret(fmt.Appendf(nil, "chainbench account %d", i)))
	}
	if err := c.build(o); err != nil {
		_ = os.RemoveAll(home)
		return nil, err
	}
	return c, nil
}

// build makes the app and its genesis.
func (c *Chain) build(o Options) error {
	settings, err := c.settings(o)
	if err != nil {
		return err
	}
	backend := dbm.GoLevelDBBackend
	if o.MemDB {
		backend = dbm.MemDBBackend
	}
	if c.db, err = dbm.NewDB("application", backend, filepath.Join(c.home, "data")); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	c.App = app.New(log.NewNopLogger(), c.db, false, settings, server.DefaultBaseappOptions(settings)...)
	c.App.SetBeginBlocker(func(ctx sdk.Context) (sdk.BeginBlock, error) {
		begin, err := c.App.BeginBlocker(ctx)
		if c.fill != nil && err == nil {
			c.fill(ctx)
		}
		return begin, err
	})
	if err := c.App.LoadLatestVersion(); err != nil {
		return fmt.Errorf("load the app: %w", err)
	}
	return c.makeGenesis(o)
}

// settings are app.toml's as a node reads them, and the defaults of the flags that have no line there.
func (c *Chain) settings(o Options) (*viper.Viper, error) {
	path := filepath.Join(c.home, "app.toml")
	srvcfg.WriteConfigFile(path, nodeconfig.App("0"+units.BaseDenom))
	v := viper.New()
	v.SetConfigFile(path)
	if err := v.ReadInConfig(); err != nil {
		return nil, fmt.Errorf("read app.toml: %w", err)
	}
	v.Set(flags.FlagHome, c.home)
	v.Set(flags.FlagChainID, chainID)
	v.Set(server.FlagInterBlockCache, true)
	if o.Executor != "" {
		v.Set(server.FlagBlockExecutor, o.Executor)
	}
	for name, value := range o.Settings {
		v.Set(name, value)
	}
	return v, nil
}

// makeGenesis funds the accounts and makes the validator.
func (c *Chain) makeGenesis(o Options) error {
	pubKey, err := cryptocodec.FromCmtPubKeyInterface(c.signer.PubKey())
	if err != nil {
		return fmt.Errorf("validator key: %w", err)
	}
	spec := app.Genesis{
		ChainID: chainID,
		Time:    c.time,
		Validators: []app.GenesisValidator{{
			Moniker: "bench", PubKey: pubKey, Operator: bytes.Repeat([]byte{9}, 20), Stake: math.NewInt(1_000_000_000),
		}},
		Edit: func(state map[string]json.RawMessage) error {
			if o.Genesis != nil {
				o.Genesis(c.App.AppCodec(), state)
			}
			return nil
		},
	}
	for i := range c.keys {
		spec.Accounts = append(spec.Accounts, app.GenesisAccount{
			Address: c.Addr(i), Coins: sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, funds)),
		})
	}
	genesis, err := c.App.BuildGenesis(spec)
	if err != nil {
		return fmt.Errorf("build the genesis: %w", err)
	}
	if o.Params != nil {
		o.Params(genesis.Consensus.Params)
	}
	if c.genesis, err = genesis.ToGenesisDoc(); err != nil {
		return fmt.Errorf("encode the genesis: %w", err)
	}
	return nil
}

// Close ends the chain and removes its files.
func (c *Chain) Close() {
	_ = c.App.Close()
	_ = os.RemoveAll(c.home)
}

// Addr is the address of account i.
func (c *Chain) Addr(i int) sdk.AccAddress { return sdk.AccAddress(c.keys[i].PubKey().Address()) }

// Sign writes a transaction of account i and moves its sequence on.
func (c *Chain) Sign(i int, gas uint64, msgs ...sdk.Msg) ([]byte, error) {
	tx, err := simtestutil.GenSignedMockTx(c.rand, c.App.TxConfig(), msgs, sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, 10)), gas,
		chainID, []uint64{uint64(i)}, []uint64{c.seqs[i]}, c.keys[i])
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	c.seqs[i]++
	bz, err := c.App.TxConfig().TxEncoder()(tx)
	if err != nil {
		return nil, fmt.Errorf("encode a transaction: %w", err)
	}
	return bz, nil
}

// InitChain starts a chain that Block drives, without CometBFT.
func (c *Chain) InitChain() error {
	params := c.genesis.ConsensusParams.ToProto()
	_, err := c.App.InitChain(&abci.RequestInitChain{
		ChainId: chainID, Time: c.genesis.GenesisTime, InitialHeight: 1, AppStateBytes: c.genesis.AppState, ConsensusParams: &params,
	})
	if err != nil {
		return fmt.Errorf("start the chain: %w", err)
	}
	return nil
}

// BlockResult is what one block of Block's cost.
type BlockResult struct {
	*abci.ResponseFinalizeBlock
	Finalize, Commit time.Duration
	CPU              time.Duration
}

// Block executes and commits the next block.
func (c *Chain) Block(txs ...[]byte) (BlockResult, error) {
	c.height++
	c.time = c.time.Add(nodeconfig.BlockTime)
	cpu, start := cpuTime(), time.Now()
	res, err := c.App.FinalizeBlock(&abci.RequestFinalizeBlock{Height: c.height, Time: c.time, Txs: txs, ProposerAddress: c.signer.PubKey().Address()})
	if err != nil {
		return BlockResult{}, fmt.Errorf("execute block %d: %w", c.height, err)
	}
	finalized := time.Now()
	if _, err := c.App.Commit(); err != nil {
		return BlockResult{}, fmt.Errorf("commit block %d: %w", c.height, err)
	}
	return BlockResult{ResponseFinalizeBlock: res, Finalize: finalized.Sub(start), Commit: time.Since(finalized), CPU: cpuTime() - cpu}, nil
}

// failures lists the first few transactions of a block that failed.
func failures(results []*abci.ExecTxResult) (n int, first string) {
	for _, r := range results {
		if r.Code != 0 {
			if n == 0 {
				first = fmt.Sprintf("%s %d: %s", r.Codespace, r.Code, r.Log)
			}
			n++
		}
	}
	return n, first
}
