package chaintest

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	"github.com/cosmos/cosmos-sdk/server"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"

	"berth.dev/berth/app"
	"berth.dev/berth/units"
)

const (
	// TxGas is the gas of a transaction that asks for none.
	TxGas = 20_000_000
	// blockStep is the time between a Chain's blocks.
	blockStep = time.Second
)

// Chain is the app without CometBFT: the test makes each block, so that nothing depends on how fast the machine is.
// After every block it checks the chain's invariants, and a break fails the test.
type Chain struct {
	App     *app.App
	ChainID string
	// Keys are the funded accounts' keys, the same ones as a Net's.
	Keys []*secp256k1.PrivKey
	// Operator is the key of the validator's operator, who holds the stake and can vote, but has no coins besides.
	Operator *secp256k1.PrivKey
	// Now is the time of the last block.
	Now time.Time

	t      testing.TB
	height int64
	// governed is what governance does in the next block.
	governed []func(sdk.Context)
	// signed counts the transactions that each account has signed since the last block.
	signed map[string]uint64
}

// NewChain makes a chain and its first block. Its options' BlockTime is not used.
func NewChain(t testing.TB, o Options) *Chain {
	t.Helper()
	o = o.withDefaults()
	c := &Chain{
		t: t, ChainID: o.ChainID, Operator: operatorKey(), Keys: accountKeys(o.Accounts),
		Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), signed: map[string]uint64{},
	}
	opts := appOptions{}
	if o.Executor != "" {
		opts[server.FlagBlockExecutor] = o.Executor
	}
	c.load(app.New(log.NewNopLogger(), dbm.NewMemDB(), false, opts, baseapp.SetChainID(o.ChainID)))
	pubKey, err := cryptocodec.FromCmtPubKeyInterface(ed25519.GenPrivKeyFromSecret([]byte("chaintest validator")).PubKey())
	if err != nil {
		t.Fatalf("validator key: %v", err)
	}
	spec := app.Genesis{
		ChainID: o.ChainID, Time: c.Now,
		Validators: []app.GenesisValidator{{
			Moniker: "test", PubKey: pubKey, Operator: sdk.AccAddress(c.Operator.PubKey().Address()), Stake: math.NewInt(1_000_000_000),
		}},
		Edit: func(state map[string]json.RawMessage) error {
			if o.Genesis != nil {
				o.Genesis(c.App.AppCodec(), state)
			}
			return nil
		},
	}
	for i := range c.Keys {
		spec.Accounts = append(spec.Accounts, app.GenesisAccount{
			Address: c.Addr(i), Coins: sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, Funds)),
		})
	}
	genesis, err := c.App.BuildGenesis(spec)
	if err != nil {
		t.Fatalf("build the genesis: %v", err)
	}
	params := genesis.Consensus.Params.ToProto()
	c.init(&abci.RequestInitChain{
		ChainId: o.ChainID, Time: c.Now, InitialHeight: 1, AppStateBytes: genesis.AppState, ConsensusParams: &params,
	})
	return c
}

// Import starts a new chain from an exported state; its keys are those of the old one.
func (c *Chain) Import(t testing.TB, state []byte, height int64, params cmtproto.ConsensusParams) *Chain {
	t.Helper()
	n := &Chain{t: t, ChainID: c.ChainID, Operator: c.Operator, Keys: c.Keys, Now: c.Now, height: height - 1, signed: map[string]uint64{}}
	n.load(app.New(log.NewNopLogger(), dbm.NewMemDB(), false, appOptions{}, baseapp.SetChainID(c.ChainID)))
	n.init(&abci.RequestInitChain{ChainId: n.ChainID, Time: n.Now, InitialHeight: height, AppStateBytes: state, ConsensusParams: &params})
	return n
}

// Resume goes on with an app that has a state already, but has not loaded it: app.New's loadLatest was false.
func Resume(t testing.TB, a *app.App, chainID string, now time.Time, accounts int) *Chain {
	t.Helper()
	c := &Chain{t: t, ChainID: chainID, Operator: operatorKey(), Keys: accountKeys(accounts), Now: now, signed: map[string]uint64{}}
	c.load(a)
	c.height = a.LastBlockHeight()
	return c
}

// load has the app's end blocks do first what governance was told to do.
func (c *Chain) load(a *app.App) {
	c.t.Helper()
	c.App = a
	a.SetEndBlocker(func(ctx sdk.Context) (sdk.EndBlock, error) {
		for _, do := range c.governed {
			do(ctx)
		}
		return a.EndBlocker(ctx)
	})
	if err := a.LoadLatestVersion(); err != nil {
		c.t.Fatalf("load the app: %v", err)
	}
	c.t.Cleanup(func() { _ = a.Close() })
}

// Govern makes a block that executes a message as a proposal that has passed does: at the end of the block, wholly or
// not at all. It returns the message's error; a panic is sdkerrors.ErrPanic, as in a transaction.
func (c *Chain) Govern(msg sdk.Msg) error {
	c.t.Helper()
	var failed error
	c.governed = append(c.governed, func(ctx sdk.Context) {
		cached, write := ctx.CacheContext()
		if failed = c.execute(cached, msg); failed == nil {
			write()
		}
	})
	c.Block()
	c.governed = nil
	return failed
}

func (c *Chain) execute(ctx sdk.Context, msg sdk.Msg) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = sdkerrors.ErrPanic.Wrapf("%v\n%s", r, debug.Stack())
		}
	}()
	_, err = c.App.MsgServiceRouter().Handler(msg)(ctx, msg)
	return err
}

func (c *Chain) init(req *abci.RequestInitChain) {
	c.t.Helper()
	if _, err := c.App.InitChain(req); err != nil {
		c.t.Fatalf("start the chain: %v", err)
	}
	c.Block()
}

// Addr is the address of funded account i.
func (c *Chain) Addr(i int) sdk.AccAddress { return sdk.AccAddress(c.Keys[i].PubKey().Address()) }

// Height is that of the last block.
func (c *Chain) Height() int64 { return c.height }

// Context reads the state after the last block.
func (c *Chain) Context() sdk.Context {
	return c.App.NewContextLegacy(true, cmtproto.Header{ChainID: c.ChainID, Height: c.height, Time: c.Now})
}

// Roots are the hashes of stores' trees after the last block: as long as nothing is written to a store, its hash stays.
func (c *Chain) Roots(stores ...string) string {
	c.t.Helper()
	committed, ok := c.App.CommitMultiStore().(interface {
		GetCommitInfo(version int64) (*storetypes.CommitInfo, error)
	})
	if !ok {
		c.t.Fatalf("%T tells no commit info", c.App.CommitMultiStore())
	}
	info, err := committed.GetCommitInfo(c.height)
	if err != nil {
		c.t.Fatalf("read the hashes of height %d: %v", c.height, err)
	}
	var lines []string
	for _, store := range info.StoreInfos {
		if slices.Contains(stores, store.Name) {
			lines = append(lines, fmt.Sprintf("%s %x", store.Name, store.CommitId.Hash))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Block makes a block of transactions and returns how each ended.
func (c *Chain) Block(txs ...[]byte) []*abci.ExecTxResult {
	c.t.Helper()
	results, _ := c.BlockEvents(txs...)
	return results
}

// BlockEvents makes a block of transactions and returns how each ended, and the events of the block itself.
func (c *Chain) BlockEvents(txs ...[]byte) ([]*abci.ExecTxResult, []abci.Event) {
	c.t.Helper()
	c.Now = c.Now.Add(blockStep)
	res, err := c.App.FinalizeBlock(&abci.RequestFinalizeBlock{Height: c.height + 1, Time: c.Now, Txs: txs})
	if err != nil {
		c.t.Fatalf("block %d: %v", c.height+1, err)
	}
	if _, err := c.App.Commit(); err != nil {
		c.t.Fatalf("commit block %d: %v", c.height+1, err)
	}
	c.height++
	clear(c.signed)
	if lines := c.App.Invariants(c.Context()); len(lines) > 0 {
		c.t.Fatalf("broken invariants after block %d:\n%s", c.height, strings.Join(lines, "\n"))
	}
	return res.TxResults, res.Events
}

// Blocks makes empty blocks.
func (c *Chain) Blocks(n int) {
	c.t.Helper()
	for range n {
		c.Block()
	}
}

// Send makes a block of one transaction of an account and returns its messages' responses. It fails the test if the
// transaction fails.
func (c *Chain) Send(who int, msgs ...sdk.Msg) []*codectypes.Any {
	c.t.Helper()
	res := c.Deliver(Tx{Signers: []*secp256k1.PrivKey{c.Keys[who]}, Msgs: msgs})
	if res.Code != 0 {
		c.t.Fatalf("block %d: %s/%d: %s", c.height, res.Codespace, res.Code, res.Log)
	}
	return Responses(c.t, res)
}

// Refused makes a block of one transaction of an account, which must fail, and returns how.
func (c *Chain) Refused(who int, msgs ...sdk.Msg) *abci.ExecTxResult {
	c.t.Helper()
	res := c.Deliver(Tx{Signers: []*secp256k1.PrivKey{c.Keys[who]}, Msgs: msgs})
	if res.Code == 0 {
		c.t.Fatalf("block %d: %T was accepted", c.height, msgs[0])
	}
	return res
}

// Deliver makes a block of one transaction and returns how it ended.
func (c *Chain) Deliver(tx Tx) *abci.ExecTxResult {
	c.t.Helper()
	return c.Block(c.Sign(tx))[0]
}

// Responses are the answers to a transaction's messages.
func Responses(t testing.TB, res *abci.ExecTxResult) []*codectypes.Any {
	t.Helper()
	var data sdk.TxMsgData
	if err := data.Unmarshal(res.Data); err != nil {
		t.Fatalf("decode the responses: %v", err)
	}
	return data.MsgResponses
}

// Tx is a transaction to be signed.
type Tx struct {
	Msgs []sdk.Msg
	// Raw are messages as bytes, which may be malformed; they stand in for Msgs.
	Raw []*codectypes.Any
	// Signers sign in their order; the first pays the fee.
	Signers []*secp256k1.PrivKey
	// Gas is the limit; 0 means TxGas.
	Gas uint64
	Fee sdk.Coins
	// FeeGranter pays the fee in the first signer's place.
	FeeGranter sdk.AccAddress
	// Unordered leaves the sequence out; Timeout then ends the transaction's life and makes it unique.
	Unordered bool
	Timeout   time.Time
}

// Sign writes a transaction. Several of one account in a block get sequences that follow each other.
func (c *Chain) Sign(tx Tx) []byte {
	c.t.Helper()
	body := txtypes.TxBody{Messages: tx.Raw, Unordered: tx.Unordered}
	if !tx.Timeout.IsZero() {
		at := tx.Timeout
		body.TimeoutTimestamp = &at
	}
	for _, msg := range tx.Msgs {
		packed, err := codectypes.NewAnyWithValue(msg)
		if err != nil {
			c.t.Fatalf("pack %T: %v", msg, err)
		}
		body.Messages = append(body.Messages, packed)
	}
	gas := tx.Gas
	if gas == 0 {
		gas = TxGas
	}
	auth := txtypes.AuthInfo{Fee: &txtypes.Fee{Amount: tx.Fee, GasLimit: gas}}
	if !tx.FeeGranter.Empty() {
		auth.Fee.Granter = tx.FeeGranter.String()
	}
	var numbers []uint64
	for _, key := range tx.Signers {
		number, sequence := c.next(key, tx.Unordered)
		packed, err := codectypes.NewAnyWithValue(key.PubKey())
		if err != nil {
			c.t.Fatalf("pack a public key: %v", err)
		}
		auth.SignerInfos = append(auth.SignerInfos, &txtypes.SignerInfo{
			PublicKey: packed, Sequence: sequence,
			ModeInfo: &txtypes.ModeInfo{Sum: &txtypes.ModeInfo_Single_{Single: &txtypes.ModeInfo_Single{Mode: signing.SignMode_SIGN_MODE_DIRECT}}},
		})
		numbers = append(numbers, number)
	}
	raw := txtypes.TxRaw{BodyBytes: c.encode(&body), AuthInfoBytes: c.encode(&auth)}
	for i, key := range tx.Signers {
		doc := txtypes.SignDoc{BodyBytes: raw.BodyBytes, AuthInfoBytes: raw.AuthInfoBytes, ChainId: c.ChainID, AccountNumber: numbers[i]}
		sig, err := key.Sign(c.encode(&doc))
		if err != nil {
			c.t.Fatalf("sign: %v", err)
		}
		raw.Signatures = append(raw.Signatures, sig)
	}
	return c.encode(&raw)
}

// next is an account's number and its next sequence.
func (c *Chain) next(key *secp256k1.PrivKey, unordered bool) (number, sequence uint64) {
	c.t.Helper()
	address := sdk.AccAddress(key.PubKey().Address())
	account := c.App.AccountKeeper.GetAccount(c.Context(), address)
	if account == nil {
		c.t.Fatalf("account %s does not exist", address)
	}
	if unordered {
		return account.GetAccountNumber(), 0
	}
	sequence = account.GetSequence() + c.signed[address.String()]
	c.signed[address.String()]++
	return account.GetAccountNumber(), sequence
}

func (c *Chain) encode(m interface{ Marshal() ([]byte, error) }) []byte {
	c.t.Helper()
	bz, err := m.Marshal()
	if err != nil {
		c.t.Fatalf("encode %T: %v", m, err)
	}
	return bz
}

func operatorKey() *secp256k1.PrivKey {
	return secp256k1.GenPrivKeyFromSecret([]byte("chaintest operator"))
}

func accountKeys(n int) []*secp256k1.PrivKey {
	var keys []*secp256k1.PrivKey
	for i := range n {
		keys = append(keys, secp256k1.GenPrivKeyFromSecret(fmt.Appendf(nil, "chaintest account %d", i)))
	}
	return keys
}
