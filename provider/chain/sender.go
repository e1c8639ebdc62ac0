package chain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	comettypes "github.com/cometbft/cometbft/types"

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
	c       TxClient
	cfg     SenderConfig
	journal *journal

	mu      sync.Mutex
	account *uint64
	last    time.Time // the latest timeout given out: they are the nonces, so no two may be equal
	clock   time.Time // the chain's, when it was last asked
	asked   time.Time // by this machine's clock
}

// SenderConfig has the sender's times; zero values mean the defaults.
type SenderConfig struct {
	// Journal is a file that keeps the transactions on their way across restarts; see Recover. Empty keeps none.
	Journal string
	// Lifetime is how long the chain may take a transaction; default 20 s, at most 10 minutes.
	Lifetime time.Duration
	// Poll is when the outcome is first asked for, and how much longer each further pause is, up to five times that;
	// default 200 ms.
	Poll time.Duration
	// Resend is how often an unanswered transaction is handed to the node again; default 2 s.
	Resend time.Duration
	// ClockAge is how long an answer about the chain's clock is used, so that the transactions of a burst need not ask for
	// each of them; default a twentieth of Lifetime.
	ClockAge time.Duration
	Log      *slog.Logger
}

// NewSender makes a sender for the client's key. It fails only if the journal can't be read.
func NewSender(c TxClient, cfg SenderConfig) (*Sender, error) {
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = 20 * time.Second
	}
	if cfg.Poll <= 0 {
		cfg.Poll = 200 * time.Millisecond
	}
	if cfg.Resend <= 0 {
		cfg.Resend = 2 * time.Second
	}
	if cfg.ClockAge <= 0 {
		cfg.ClockAge = cfg.Lifetime / 20
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	j, err := openJournal(cfg.Journal)
	if err != nil {
		return nil, err
	}
	return &Sender{c: c, cfg: cfg, journal: j}, nil
}

// unorderedGas is what the check of an unordered transaction's nonce costs above a simulation of the sequenced one.
const unorderedGas = 5000

// Options say how to send.
type Options struct {
	// Gas is what to ask for; 0 has it found by a simulation, which costs a round trip and an execution.
	Gas uint64
	// Sent, if not nil, is called once, when the node has the transaction or may have it.
	Sent func()
	// Passed, if not nil, is told what has been done on the way there.
	Passed func(Step)
}

// Step is a part of a transaction's way to the node.
type Step string

// The steps, in their order.
const (
	Signed Step = "signed"
	Noted  Step = "noted" // in the journal
)

func (o Options) pass(s Step) {
	if o.Passed != nil {
		o.Passed(s)
	}
}

// Send puts the messages into one transaction with gas found by simulation; see SendWith.
func (s *Sender) Send(ctx context.Context, msgs ...sdk.Msg) (*client.Result, error) {
	return s.SendWith(ctx, Options{}, msgs...)
}

// SendWith puts the messages into one transaction and waits for its outcome. Errors:
//   - *client.TxError: the chain refused it, or it failed in its block; nothing was done.
//   - ErrNotIncluded: it was not taken and never will be; nothing was done.
//   - client.ErrUnknownOutcome: ctx ended first; only a later look at the chain can tell.
//   - anything else: it was never handed to the node; nothing was done.
func (s *Sender) SendWith(ctx context.Context, o Options, msgs ...sdk.Msg) (*client.Result, error) {
	f, err := s.prepare(ctx, o.Gas, msgs)
	if err != nil {
		return nil, err
	}
	o.pass(Signed)
	if err := s.journal.add(f.hash, f.timeout); err != nil {
		return nil, err
	}
	o.pass(Noted)
	_, err = s.c.Broadcast(ctx, f.tx)
	var refused *client.TxError
	if errors.As(err, &refused) { // the first try, refused before it was in any pool
		s.forgetAccount(err)
		s.landed(f)
		return nil, err
	}
	if err != nil {
		s.cfg.Log.Warn("a broadcast was not answered; asking until the outcome is known", "hash", fmt.Sprintf("%X", f.hash), "err", err)
	}
	if o.Sent != nil {
		o.Sent()
	}
	return s.await(ctx, f)
}

// Recover waits until the outcome of everything that a former process had on its way is known, and returns a height
// at which all of it shows on chain. It returns ctx's error if that ends first.
func (s *Sender) Recover(ctx context.Context) (height int64, err error) {
	flights, err := s.journal.flights()
	if err != nil {
		return 0, err
	}
	for _, f := range flights {
		s.cfg.Log.Info("waiting for a transaction of the former process", "hash", fmt.Sprintf("%X", f.hash))
		res, err := s.await(ctx, f)
		if errors.Is(err, client.ErrUnknownOutcome) {
			return 0, err
		}
		if err == nil {
			height = max(height, res.Height)
		}
	}
	return height, nil
}

// landed drops a transaction whose outcome is known from the journal.
func (s *Sender) landed(f flight) {
	if err := s.journal.done(f.hash); err != nil {
		s.cfg.Log.Error("can't forget a transaction that has landed", "err", err)
	}
}

// flight is a signed transaction on its way; one of a former process has no bytes.
type flight struct {
	tx      []byte
	hash    []byte
	timeout time.Time // by the chain's clock
}

func (s *Sender) prepare(ctx context.Context, gas uint64, msgs []sdk.Msg) (flight, error) {
	if gas == 0 {
		fee, err := s.c.Estimate(ctx, msgs...)
		if err != nil {
			return flight{}, fmt.Errorf("estimate the gas: %w", err)
		}
		gas = fee.Gas + unorderedGas
	}
	number, err := s.accountNumber(ctx)
	if err != nil {
		return flight{}, err
	}
	now, err := s.chainTime(ctx)
	if err != nil {
		return flight{}, err
	}
	f := flight{timeout: s.nonce(now)}
	f.tx, err = s.c.BuildTx(ctx, client.BuildOptions{
		Gas: gas, AccountNumber: number, Unordered: true, TimeoutTimestamp: f.timeout,
	}, msgs...)
	f.hash = comettypes.Tx(f.tx).Hash()
	return f, err
}

// chainTime is the chain's clock, behind by ClockAge at most.
func (s *Sender) chainTime(ctx context.Context) (time.Time, error) {
	s.mu.Lock()
	known, asked := s.clock, s.asked
	s.mu.Unlock()
	if !known.IsZero() && time.Since(asked) < s.cfg.ClockAge {
		return known, nil
	}
	now := time.Now()
	head, err := s.c.Head(ctx)
	if err != nil {
		return time.Time{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock, s.asked = head.Time, now
	return head.Time, nil
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
	res, err := s.outcome(ctx, f)
	if !errors.Is(err, client.ErrUnknownOutcome) {
		s.landed(f)
	}
	return res, err
}

func (s *Sender) outcome(ctx context.Context, f flight) (*client.Result, error) {
	resend := time.Now().Add(s.cfg.Resend)
	pause, expired := s.cfg.Poll, int64(0) // the first height seen whose time is past the timeout
	// What was sent this moment nobody can know of yet, and others are still being sent.
	if f.tx != nil && !sleep(ctx, pause) {
		return nil, fmt.Errorf("transaction %X: %w: %w", f.hash, client.ErrUnknownOutcome, ctx.Err())
	}
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
		if now := time.Now(); expired == 0 && f.tx != nil && now.After(resend) {
			resend = now.Add(s.cfg.Resend)
			// A refusal says nothing now: the node may hold the transaction already, or have included it a moment ago.
			_, _ = s.c.Broadcast(ctx, f.tx)
		}
		pause = min(pause+s.cfg.Poll, slowest*s.cfg.Poll)
		if !sleep(ctx, pause) {
			return nil, fmt.Errorf("transaction %X: %w: %w", f.hash, client.ErrUnknownOutcome, ctx.Err())
		}
	}
}

// slowest is how many times Poll the pauses grow to: with many transactions on their way a node is kept from taking them by
// being asked for them.
const slowest = 5

// sleep waits; it returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return ctx.Err() == nil
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
