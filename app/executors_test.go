package app_test

import (
	"bytes"
	"fmt"
	"math/rand"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/ed25519"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	"github.com/cosmos/cosmos-sdk/server"
	"github.com/cosmos/cosmos-sdk/server/config"
	simtestutil "github.com/cosmos/cosmos-sdk/testutil/sims"
	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/app"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const executorChain = "berth-executors"

// people sign the transactions of a scripted chain, which is driven without CometBFT.
type people struct {
	keys []*secp256k1.PrivKey
	seqs []uint64
	next uint64
}

func newPeople(n int) *people {
	p := &people{seqs: make([]uint64, n)}
	for i := range n {
		p.keys = append(p.keys, secp256k1.GenPrivKeyFromSecret(fmt.Appendf(nil, "executor account %d", i)))
	}
	return p
}

func (p *people) addr(i int) sdk.AccAddress { return sdk.AccAddress(p.keys[i].PubKey().Address()) }

// sign writes a transaction of person i, whose sequence it moves on.
func (p *people) sign(t *testing.T, a *app.App, i int, msgs ...sdk.Msg) []byte {
	t.Helper()
	p.next++
	tx, err := simtestutil.GenSignedMockTx(rand.New(rand.NewSource(int64(p.next))), a.TxConfig(), msgs, sdk.NewCoins(ubrt(10)), 2_000_000,
		executorChain, []uint64{uint64(i)}, []uint64{p.seqs[i]}, p.keys[i])
	require.NoError(t, err)
	p.seqs[i]++
	bz, err := a.TxConfig().TxEncoder()(tx)
	require.NoError(t, err)
	return bz
}

// script is the transactions of a few blocks: everybody does something in each, and in every block some touch what
// others touch.
func script(t *testing.T, a *app.App, p *people) [][][]byte {
	t.Helper()
	n := len(p.keys)
	deployment := func(i int) deploymenttypes.DeploymentID {
		return deploymenttypes.DeploymentID{Owner: p.addr(i).String(), Dseq: 1}
	}
	bid := func(i, provider int) markettypes.BidID {
		return markettypes.BidID{Owner: p.addr(i).String(), Dseq: 1, Gseq: 1, Oseq: 1, Provider: p.addr(provider).String()}
	}
	providers := []int{0, 1}
	var blocks [][][]byte
	block := func(txs ...[]byte) { blocks = append(blocks, txs) }

	var register, create, bids, leases, mixed, closes [][]byte
	for _, i := range providers {
		register = append(register, p.sign(t, a, i, &providertypes.MsgCreateProvider{
			Owner: p.addr(i).String(), HostUri: fmt.Sprintf("https://p%d.example.org", i), TlsPins: [][]byte{bytes.Repeat([]byte{1}, 32)},
		}))
	}
	block(register...)
	for i := 2; i < n; i++ {
		create = append(create, p.sign(t, a, i, &deploymenttypes.MsgCreateDeployment{
			Id: deployment(i), ManifestHash: bytes.Repeat([]byte{7}, 32), Deposit: ubrt(500_000),
			Groups: []deploymenttypes.GroupSpec{{Name: "web", Units: []deploymenttypes.ResourceUnit{{
				Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 1, Price: perBlock("1000000"),
				Storage: []deploymenttypes.Volume{{Name: "default", Bytes: 512 << 20}},
			}}}},
		}))
	}
	block(create...)
	for _, provider := range providers {
		var items []markettypes.BidItem
		for i := 2; i < n; i++ {
			items = append(items, markettypes.BidItem{
				OrderId: bid(i, provider).OrderID(), Price: perBlock(fmt.Sprintf("%d.25", 50_000*(i%4+provider+1))), Deposit: markettypes.DefaultParams().BidMinDeposits[0],
			})
		}
		bids = append(bids, p.sign(t, a, provider, &markettypes.MsgCreateBids{Provider: p.addr(provider).String(), Bids: items}))
	}
	block(bids...)
	for i := 2; i < n; i++ {
		leases = append(leases, p.sign(t, a, i, &markettypes.MsgCreateLease{Id: bid(i, i%2)}))
	}
	block(leases...)
	block()
	for i := 2; i < n; i++ {
		target := escrowtypes.AccountID{Scope: "deployment", Xid: deployment(2 + (i+1)%(n-2)).String()}
		mixed = append(mixed,
			p.sign(t, a, i, banktypes.NewMsgSend(p.addr(i), p.addr((i+1)%n), sdk.NewCoins(ubrt(5)))),
			p.sign(t, a, i, &escrowtypes.MsgDeposit{Depositor: p.addr(i).String(), AccountId: target, Amount: ubrt(600_000)}),
		)
	}
	for _, provider := range providers {
		var ids []markettypes.BidID
		for i := 2; i < n; i++ {
			if i%2 == provider {
				ids = append(ids, bid(i, provider))
			}
		}
		mixed = append(mixed, p.sign(t, a, provider, &markettypes.MsgWithdrawLeases{Provider: p.addr(provider).String(), Ids: ids}))
	}
	block(mixed...)
	block()
	for i := 2; i < n; i += 2 {
		closes = append(closes, p.sign(t, a, i, &deploymenttypes.MsgCloseDeployment{Id: deployment(i)}))
	}
	block(closes...)
	block()
	return blocks
}

// play runs the script on a new chain and returns each block's hash, and how each transaction ended.
func play(t *testing.T, executor string) (hashes []string, codes []uint32) {
	t.Helper()
	opts := options{server.FlagBlockExecutor: executor, server.FlagBlockSTMWorkers: 4}
	a := app.New(log.NewNopLogger(), dbm.NewMemDB(), true, opts, baseapp.SetChainID(executorChain))
	p := newPeople(12)
	pubKey, err := cryptocodec.FromCmtPubKeyInterface(ed25519.GenPrivKeyFromSecret([]byte("validator")).PubKey())
	require.NoError(t, err)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	spec := app.Genesis{
		ChainID: executorChain, Time: at,
		Validators: []app.GenesisValidator{{Moniker: "v", PubKey: pubKey, Operator: bytes.Repeat([]byte{9}, 20), Stake: math.NewInt(1_000_000)}},
	}
	for i := range p.keys {
		spec.Accounts = append(spec.Accounts, app.GenesisAccount{Address: p.addr(i), Coins: sdk.NewCoins(ubrt(1_000_000_000))})
	}
	genesis, err := a.BuildGenesis(spec)
	require.NoError(t, err)
	params := genesis.Consensus.Params.ToProto()
	_, err = a.InitChain(&abci.RequestInitChain{ChainId: executorChain, Time: at, InitialHeight: 1, AppStateBytes: genesis.AppState, ConsensusParams: &params})
	require.NoError(t, err)
	for i, txs := range script(t, a, p) {
		res, err := a.FinalizeBlock(&abci.RequestFinalizeBlock{Height: int64(i + 1), Time: at.Add(time.Duration(i) * time.Second), Txs: txs})
		require.NoError(t, err)
		for j, tx := range res.TxResults {
			codes = append(codes, tx.Code)
			if tx.Code != 0 {
				t.Logf("%s: block %d, transaction %d: %s", executor, i+1, j, tx.Log)
			}
		}
		_, err = a.Commit()
		require.NoError(t, err)
		hashes = append(hashes, fmt.Sprintf("%x", res.AppHash))
		require.Empty(t, a.Invariants(a.NewContextLegacy(true, header(int64(i+1)))), "after block %d", i+1)
	}
	return hashes, codes
}

// TestExecutorsAgree: the parallel executor comes to the same state as the sequential one, block by block.
func TestExecutorsAgree(t *testing.T) {
	wantHashes, wantCodes := play(t, config.BlockExecutorSequential)
	for _, code := range wantCodes {
		require.Zero(t, code, "the script is made of transactions that succeed")
	}
	hashes, codes := play(t, config.BlockExecutorBlockSTM)
	require.Equal(t, wantCodes, codes)
	require.Equal(t, wantHashes, hashes)
}
