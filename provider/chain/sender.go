package chain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"berth.dev/berth/client"
)

// ErrNotIncluded means that it is certain that the chain did not take the transaction and never will: its lifetime
// has passed, by the chain's own clock. The messages may be sent again.
var ErrNotIncluded = errors.New("the transaction was not included before its lifetime ended")

// TxClient is the part of client.Client that sending needs.
type TxClient interface {
	Account(ctx context.Context) (number, sequence uint64, err error)
	Head(ctx context.Context) (client.Head, error)
	Estimate(ctx context.Context, msgs ...sdk.Msg) (client.Fee, error)
	BuildTx(ctx context.Context, o client.BuildOptions, msgs ...sdk.Msg) ([]byte, error)
	Broadcast(ctx context.Context, tx []byte) ([]byte, error)
	FindTx(ctx context.Context, hash []byte) (*client.Result, error)
}

// Sender carries messages to the chain and returns only when their outcome is known.
//
// Its transactions are unordered with a timeout, not sequenced. That is what makes an unknown outcome become known:
// such a transaction is valid until a moment of the chain's clock and never after, and its nonce admits it at most
// once, so that the same bytes may be handed to the node again and again, and after the moment has passed the answer
// is final. There is no sequence to lose step with: neither the operator's own transactions nor several in flight
// disturb each other.
type Sender struct {
	c   TxClient
	cfg SenderConfig

	mu      sync.Mutex
	account *uint64
	last    time.Time // the latest timeout given out: they are the nonces, so no two may be equal
}

// SenderConfig has the sender's times; zero values mean the defaults.
type SenderConfig struct {
	// Lifetime is how long the chain may take a transaction; default 30 s, at most 10 minutes.
	Lifetime time.Duration
	// Poll is how often the outcome is asked for; default 200 ms.
	Poll time.Duration
	// Resend is how often an unanswered transaction is handed to the node again; default 2 s.
	Resend time.Duration
	Log    *slog.Logger
}

// NewSender makes a sender for the client's key.
func NewSender(c TxClient, cfg SenderConfig) *Sender {
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = 30 * time.Second
	}
	if cfg.Poll <= 0 {
		cfg.Poll = 200 * time.Millisecond
	}
	if cfg.Resend <= 0 {
		cfg.Resend = 2 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Sender{c: c, cfg: cfg}
}

// unorderedGas is what the check of an unordered transaction's nonce costs above a simulation of the sequenced one.
const unorderedGas = 5000

// Send puts the messages into one transaction and waits for its outcome. Errors:
//   - *client.TxError: the chain refused it, or it failed in its block; nothing was done.
//   - ErrNotIncluded: it was not taken and never will be; nothing was done.
//   - client.ErrUnknownOutcome: ctx ended first; only a later look at the chain can tell.
//   - anything else: it was never handed to the node; nothing was done.
func (s *Sender) Send(ctx context.Context, msgs ...sdk.Msg) (*client.Result, error) {
	f, err := s.prepare(ctx, msgs)
	if err != nil {
		return nil, err
	}
	hash, err := s.c.Broadcast(ctx, f.tx)
	var refused *client.TxError
	if errors.As(err, &refused) {
		s.forgetAccount(err)
		return nil, err // the first try, refused before it was in any pool
	}
	if err != nil {
		s.cfg.Log.Warn("a broadcast was not answered; asking until the outcome is known", "hash", fmt.Sprintf("%X", hash), "err", err)
	}
	f.hash = hash
	return s.await(ctx, f)
}

// flight is a signed transaction on its way.
type flight struct {
	tx      []byte
	hash    []byte
	timeout time.Time // by the chain's clock
}

func (s *Sender) prepare(ctx context.Context, msgs []sdk.Msg) (flight, error) {
	fee, err := s.c.Estimate(ctx, msgs...)
	if err != nil {
		return flight{}, fmt.Errorf("estimate the gas: %w", err)
	}
	number, err := s.accountNumber(ctx)
	if err != nil {
		return flight{}, err
	}
	head, err := s.c.Head(ctx)
	if err != nil {
		return flight{}, err
	}
	f := flight{timeout: s.nonce(head.Time)}
	f.tx, err = s.c.BuildTx(ctx, client.BuildOptions{
		Gas: fee.Gas + unorderedGas, AccountNumber: number, Unordered: true, TimeoutTimestamp: f.timeout,
	}, msgs...)
	return f, err
}

// nonce is a moment one lifetime after the chain's time that was never given out before. The random part keeps a
// restarted process from repeating one of its predecessor's.
func (s *Sender) nonce(chainTime time.Time) time.Time {
	t := chainTime.Add(s.cfg.Lifetime).Add(time.Duration(rand.Int64N(int64(time.Millisecond))))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.After(s.last) {
		t = s.last.Add(1)
	}
	s.last = t
	return t
}

func (s *Sender) accountNumber(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	known := s.account
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	number, _, err := s.c.Account(ctx)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.account = &number
	s.mu.Unlock()
	return number, nil
}

// forgetAccount drops the account number when the chain did not accept the signature made with it.
func (s *Sender) forgetAccount(err error) {
	if errors.Is(err, sdkerrors.ErrUnauthorized) {
		s.mu.Lock()
		s.account = nil
		s.mu.Unlock()
	}
}

// expiryBlocks is how many blocks after the timeout the transaction index is given to catch up.
const expiryBlocks = 3

// await asks for the outcome until it is known or ctx ends.
func (s *Sender) await(ctx context.Context, f flight) (*client.Result, error) {
	tick := time.NewTicker(s.cfg.Poll)
	defer tick.Stop()
	resend := time.Now().Add(s.cfg.Resend)
	expired := int64(0) // the first height seen whose time is past the timeout
	for {
		res, err := s.c.FindTx(ctx, f.hash)
		var failed *client.TxError
		if err == nil || errors.As(err, &failed) {
			return res, err
		}
		if errors.Is(err, client.ErrTxNotFound) {
			over, first := s.isOver(ctx, f, expired)
			if over {
				return nil, fmt.Errorf("transaction %X: %w", f.hash, ErrNotIncluded)
			}
			expired = first
		}
		if now := time.Now(); expired == 0 && now.After(resend) {
			resend = now.Add(s.cfg.Resend)
			// A refusal says nothing now: the node may hold the transaction already, or have included it a moment ago.
			_, _ = s.c.Broadcast(ctx, f.tx)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("transaction %X: %w: %w", f.hash, client.ErrUnknownOutcome, ctx.Err())
		case <-tick.C:
		}
	}
}

// isOver reports whether the chain's clock has passed the timeout long enough ago.
func (s *Sender) isOver(ctx context.Context, f flight, expired int64) (over bool, first int64) {
	head, err := s.c.Head(ctx)
	if err != nil || head.CatchingUp || !head.Time.After(f.timeout) {
		return false, expired
	}
	if expired == 0 {
		return false, head.Height
	}
	return head.Height >= expired+expiryBlocks, expired
}
