package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	comettypes "github.com/cometbft/cometbft/types"

	"cosmossdk.io/math"

	clienttx "github.com/cosmos/cosmos-sdk/client/tx"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
)

var (
	// ErrTxNotFound means that the node was reached and does not know the transaction (yet).
	ErrTxNotFound = errors.New("transaction not found")
	// ErrUnknownOutcome means that a transaction was sent and it could not be learned whether it was included.
	ErrUnknownOutcome = errors.New("the outcome of the transaction is unknown")
	// ErrNoAccount means that the signer's address has never held funds on this chain.
	ErrNoAccount = errors.New("the account does not exist on chain")
)

const (
	// gasMargin is what a simulation's result is multiplied with, as state may change before inclusion: 13/10.
	gasMarginNum, gasMarginDen = 13, 10
	// includeWait bounds how long Send waits for inclusion.
	includeWait = 60 * time.Second
	// includePoll is how often it asks.
	includePoll = 100 * time.Millisecond
	// sequenceTries bounds how often Send starts over when another transaction of the account came first.
	sequenceTries = 5
)

// TxError is a transaction that the chain refused or that failed in its block.
type TxError struct {
	Codespace string
	Code      uint32
	// Log is the chain's text, for people only.
	Log  string
	Hash string
}

// Error gives the chain's text with its code.
func (e *TxError) Error() string {
	return fmt.Sprintf("transaction failed: %s (%s/%d)", strings.TrimSpace(e.Log), e.Codespace, e.Code)
}

// Is reports whether the error is the registered one of the same codespace and code.
func (e *TxError) Is(target error) bool {
	var registered interface {
		Codespace() string
		ABCICode() uint32
	}
	return errors.As(target, &registered) && registered.Codespace() == e.Codespace && registered.ABCICode() == e.Code
}

// Result is a transaction that was included with success.
type Result struct {
	Hash    string
	Height  int64
	GasUsed int64
	Events  []abci.Event
	// Responses are the answers to the messages, in their order.
	Responses []*codectypes.Any
}

// Fee is what a transaction will cost.
type Fee struct {
	Gas    uint64
	Amount sdk.Coins
}

// BuildOptions are the parts of a transaction that are not its messages.
type BuildOptions struct {
	Gas           uint64
	AccountNumber uint64
	Sequence      uint64
	// TimeoutHeight is the last height at which the transaction may be included; 0 means no end.
	TimeoutHeight uint64
	// Unordered leaves the sequence out; TimeoutTimestamp then bounds the transaction's life and makes it unique.
	Unordered        bool
	TimeoutTimestamp time.Time
}

// Account returns the signer's account number and next sequence, or ErrNoAccount.
func (c *Client) Account(ctx context.Context) (number, sequence uint64, err error) {
	if c.cfg.Key == "" {
		return 0, 0, ErrReadOnly
	}
	res, err := authtypes.NewQueryClient(c.Conn()).AccountInfo(ctx, &authtypes.QueryAccountInfoRequest{Address: c.address.String()})
	if IsNotFound(err) {
		return 0, 0, fmt.Errorf("account %s: %w", c.address, ErrNoAccount)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read account %s: %w", c.address, err)
	}
	return res.Info.AccountNumber, res.Info.Sequence, nil
}

// Estimate simulates a transaction and returns the gas to ask for and its price. It tries again when another transaction
// of the account comes between.
func (c *Client) Estimate(ctx context.Context, msgs ...sdk.Msg) (Fee, error) {
	for try := 1; ; try++ {
		number, sequence, err := c.Account(ctx)
		if err != nil {
			return Fee{}, err
		}
		fee, err := c.estimate(ctx, BuildOptions{AccountNumber: number, Sequence: sequence}, msgs)
		if err == nil || !isWrongSequence(err) || try >= sequenceTries {
			return fee, err
		}
		if err := wait(ctx, includePoll); err != nil {
			return Fee{}, err
		}
	}
}

// isWrongSequence tells whether a simulation failed because another transaction of the account came first: what the node
// answers is a text.
func isWrongSequence(err error) bool {
	return strings.Contains(err.Error(), sdkerrors.ErrWrongSequence.Error())
}

func (c *Client) estimate(ctx context.Context, o BuildOptions, msgs []sdk.Msg) (Fee, error) {
	tx, err := c.unsigned(o, msgs)
	if err != nil {
		return Fee{}, err
	}
	res, err := txtypes.NewServiceClient(c.Conn()).Simulate(ctx, &txtypes.SimulateRequest{TxBytes: tx})
	if err != nil {
		return Fee{}, fmt.Errorf("simulate the transaction: %w", Plain(err))
	}
	gas := res.GasInfo.GasUsed * gasMarginNum / gasMarginDen
	return Fee{Gas: gas, Amount: c.feeFor(gas)}, nil
}

// feeFor is gas times the gas prices, rounded up to whole units.
func (c *Client) feeFor(gas uint64) sdk.Coins {
	fee := sdk.NewCoins()
	for _, p := range c.gasPrices {
		fee = fee.Add(sdk.NewCoin(p.Denom, p.Amount.MulInt(math.NewIntFromUint64(gas)).Ceil().TruncateInt()))
	}
	return fee
}

// BuildTx signs a transaction and returns its bytes. It asks the node only for its chain id, and only once.
func (c *Client) BuildTx(ctx context.Context, o BuildOptions, msgs ...sdk.Msg) ([]byte, error) {
	if c.cfg.Key == "" {
		return nil, ErrReadOnly
	}
	chainID, err := c.chainID(ctx)
	if err != nil {
		return nil, err
	}
	return c.sign(chainID, o, msgs)
}

// sign builds a transaction by hand. The SDK's way takes several times as long over large ones, as it encodes and decodes
// the messages anew to find their signers, and a block's bids are many in one.
func (c *Client) sign(chainID string, o BuildOptions, msgs []sdk.Msg) ([]byte, error) {
	record, err := c.cfg.Keyring.Key(c.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("find key %q in the keyring: %w", c.cfg.Key, err)
	}
	body := txtypes.TxBody{TimeoutHeight: o.TimeoutHeight, Unordered: o.Unordered}
	if !o.TimeoutTimestamp.IsZero() {
		body.TimeoutTimestamp = &o.TimeoutTimestamp
	}
	if body.Messages, err = txtypes.SetMsgs(msgs); err != nil {
		return nil, fmt.Errorf("build the transaction: %w", err)
	}
	auth := txtypes.AuthInfo{
		SignerInfos: []*txtypes.SignerInfo{{
			PublicKey: record.PubKey, Sequence: o.Sequence,
			ModeInfo: &txtypes.ModeInfo{Sum: &txtypes.ModeInfo_Single_{Single: &txtypes.ModeInfo_Single{Mode: signing.SignMode_SIGN_MODE_DIRECT}}},
		}},
		Fee: &txtypes.Fee{Amount: c.feeFor(o.Gas), GasLimit: o.Gas},
	}
	var raw txtypes.TxRaw
	if raw.BodyBytes, err = body.Marshal(); err != nil {
		return nil, fmt.Errorf("encode the transaction: %w", err)
	}
	if raw.AuthInfoBytes, err = auth.Marshal(); err != nil {
		return nil, fmt.Errorf("encode the transaction: %w", err)
	}
	doc, err := (&txtypes.SignDoc{
		BodyBytes: raw.BodyBytes, AuthInfoBytes: raw.AuthInfoBytes, ChainId: chainID, AccountNumber: o.AccountNumber,
	}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode the transaction: %w", err)
	}
	sig, _, err := c.cfg.Keyring.Sign(c.cfg.Key, doc, signing.SignMode_SIGN_MODE_DIRECT)
	if err != nil {
		return nil, fmt.Errorf("sign the transaction with key %q: %w", c.cfg.Key, err)
	}
	raw.Signatures = [][]byte{sig}
	return raw.Marshal()
}

func (c *Client) factory(o BuildOptions) clienttx.Factory {
	f := clienttx.Factory{}.WithTxConfig(c.txConfig).WithSignMode(signing.SignMode_SIGN_MODE_DIRECT).
		WithGas(o.Gas).WithAccountNumber(o.AccountNumber).WithSequence(o.Sequence).
		WithTimeoutHeight(o.TimeoutHeight).WithUnordered(o.Unordered)
	if fee := c.feeFor(o.Gas); !fee.IsZero() {
		f = f.WithFees(fee.String())
	}
	if !o.TimeoutTimestamp.IsZero() {
		f = f.WithTimeoutTimestamp(o.TimeoutTimestamp)
	}
	return f
}

// unsigned gives a transaction with the signer's public key and an empty signature, good for simulation only.
func (c *Client) unsigned(o BuildOptions, msgs []sdk.Msg) ([]byte, error) {
	record, err := c.cfg.Keyring.Key(c.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("find key %q in the keyring: %w", c.cfg.Key, err)
	}
	pub, err := record.GetPubKey()
	if err != nil {
		return nil, fmt.Errorf("public key of %q: %w", c.cfg.Key, err)
	}
	builder, err := c.factory(o).WithChainID("simulation").BuildUnsignedTx(msgs...)
	if err != nil {
		return nil, fmt.Errorf("build the transaction: %w", err)
	}
	err = builder.SetSignatures(signing.SignatureV2{
		PubKey: pub, Sequence: o.Sequence,
		Data: &signing.SingleSignatureData{SignMode: signing.SignMode_SIGN_MODE_DIRECT},
	})
	if err != nil {
		return nil, fmt.Errorf("build the transaction: %w", err)
	}
	return c.txConfig.TxEncoder()(builder.GetTx())
}

func (c *Client) chainID(ctx context.Context) (string, error) {
	if c.cfg.ChainID != "" {
		return c.cfg.ChainID, nil
	}
	head, err := c.Head(ctx)
	return head.ChainID, err
}

// Broadcast hands a transaction to the node. It returns a *TxError when the node refused it, and ErrUnknownOutcome
// (with the hash) when the node did not answer: it may or may not have the transaction then.
func (c *Client) Broadcast(ctx context.Context, tx []byte) (hash []byte, err error) {
	hash = comettypes.Tx(tx).Hash()
	res, err := c.rpc.BroadcastTxSync(ctx, tx)
	if err != nil {
		if strings.Contains(err.Error(), "tx already exists in cache") { // the node has it: our own earlier try
			return hash, nil
		}
		return hash, fmt.Errorf("broadcast transaction %X: %w: %w", hash, ErrUnknownOutcome, err)
	}
	if res.Code != 0 {
		return hash, &TxError{Codespace: res.Codespace, Code: res.Code, Log: res.Log, Hash: hex.EncodeToString(hash)}
	}
	return hash, nil
}

// FindTx looks for an included transaction: its result, a *TxError when it failed in its block, ErrTxNotFound when
// the node does not know it, or another error when nothing was learned.
func (c *Client) FindTx(ctx context.Context, hash []byte) (*Result, error) {
	res, err := c.rpc.Tx(ctx, hash, false)
	if err != nil {
		if strings.Contains(err.Error(), "not found") {
			return nil, fmt.Errorf("transaction %X: %w", hash, ErrTxNotFound)
		}
		return nil, fmt.Errorf("look for transaction %X: %w", hash, err)
	}
	return txResult(res)
}

func txResult(res *ctypes.ResultTx) (*Result, error) {
	hash := strings.ToUpper(hex.EncodeToString(res.Hash))
	if r := res.TxResult; r.Code != 0 {
		return nil, &TxError{Codespace: r.Codespace, Code: r.Code, Log: r.Log, Hash: hash}
	}
	var data sdk.TxMsgData
	if err := data.Unmarshal(res.TxResult.Data); err != nil {
		return nil, fmt.Errorf("decode the responses of transaction %s: %w", hash, err)
	}
	return &Result{
		Hash: hash, Height: res.Height, GasUsed: res.TxResult.GasUsed, Events: res.TxResult.Events, Responses: data.MsgResponses,
	}, nil
}

// Send estimates, signs and broadcasts the messages as one transaction and waits until it is included. It returns a
// *TxError when the chain refused it, ErrNoAccount for an account that never held funds, and ErrUnknownOutcome when
// the wait ended without an answer.
func (c *Client) Send(ctx context.Context, msgs ...sdk.Msg) (*Result, error) {
	for try := 1; ; try++ {
		hash, err := c.sendOnce(ctx, msgs)
		if errors.Is(err, sdkerrors.ErrWrongSequence) && try < sequenceTries {
			if err := wait(ctx, includePoll); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		return c.WaitTx(ctx, hash)
	}
}

func (c *Client) sendOnce(ctx context.Context, msgs []sdk.Msg) ([]byte, error) {
	number, sequence, err := c.Account(ctx)
	if err != nil {
		return nil, err
	}
	o := BuildOptions{AccountNumber: number, Sequence: sequence}
	fee, err := c.estimate(ctx, o, msgs)
	if err != nil {
		if isWrongSequence(err) {
			return nil, fmt.Errorf("%w: %w", sdkerrors.ErrWrongSequence, err)
		}
		return nil, err
	}
	o.Gas = fee.Gas
	tx, err := c.BuildTx(ctx, o, msgs...)
	if err != nil {
		return nil, err
	}
	return c.Broadcast(ctx, tx)
}

// WaitTx waits until a transaction is included; see Send for its errors.
func (c *Client) WaitTx(ctx context.Context, hash []byte) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, includeWait)
	defer cancel()
	for {
		res, err := c.FindTx(ctx, hash)
		var failed *TxError
		if err == nil || errors.As(err, &failed) {
			return res, err
		}
		if wait(ctx, includePoll) != nil {
			return nil, fmt.Errorf("wait for transaction %X: %w", hash, ErrUnknownOutcome)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
