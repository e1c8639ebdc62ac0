package chain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"

	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/client"
)

// Update is the next thing that is known about the chain: either everything (at the start and after a gap) or one
// block. Heights never go back (PINV-5); blocks follow each other without a hole, or a Snapshot stands between them.
type Update struct {
	// Height is that of the snapshot or the block; Head is the newest block that the node is known to have.
	Height, Head int64
	Snapshot     *Snapshot
	Events       []proto.Message
	// Seen is when the node was asked for the block, as it was due or said to be there; Read is when it had been read.
	Seen, Read time.Time
}

// Node is the part of a CometBFT RPC that following needs.
type Node interface {
	ABCIInfo(ctx context.Context) (*ctypes.ResultABCIInfo, error)
	BlockResults(ctx context.Context, height *int64) (*ctypes.ResultBlockResults, error)
}

// FollowerConfig says what to follow and how. The zero durations and counts mean their defaults.
type FollowerConfig struct {
	// Provider is the address whose bids and leases matter.
	Provider string
	// PlaceFile keeps the height across restarts.
	PlaceFile string
	// Poll is how often the node is asked for its height; default 500 ms. Hints make it faster, never slower.
	Poll time.Duration
	// MaxReplay is the most blocks that are read one by one; after a longer gap everything is read anew. Default 1000.
	MaxReplay int64
	// Collect makes what takes the open orders of one snapshot; nil leaves them in it.
	Collect func() Collector
	Log     *slog.Logger
}

func (c FollowerConfig) withDefaults() FollowerConfig {
	if c.Poll <= 0 {
		c.Poll = 500 * time.Millisecond
	}
	if c.MaxReplay <= 0 {
		c.MaxReplay = 1000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Follower reads the chain block by block. It has one user, Run.
type Follower struct {
	cfg    FollowerConfig
	head   func(context.Context) (client.Head, error)
	node   Node
	reader *Reader
	decode decoder
	hints  <-chan struct{}

	place  Place
	synced bool // the place was reached in this process, so that the next block continues what the sink knows
	saved  time.Time
	seen   time.Time // when the node was last asked
	quiet  bool      // the last failure was already logged
}

// NewFollower makes a follower that starts where its file says it stopped. hints may be nil; each value on it says
// that a new block is likely.
func NewFollower(cfg FollowerConfig, head func(context.Context) (client.Head, error), node Node, reader *Reader, hints <-chan struct{}) (*Follower, error) {
	place, err := LoadPlace(cfg.PlaceFile)
	if err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Follower{cfg: cfg, head: head, node: node, reader: reader, decode: newDecoder(cfg.Provider), hints: hints, place: place}, nil
}

// Run gives every update to sink, in order, until ctx ends; then it returns nil. A chain that can't be reached is
// waited for: nothing is given meanwhile. An error of sink ends Run with that error. A node of another chain than the
// one that was followed before is an error.
func (f *Follower) Run(ctx context.Context, sink func(context.Context, Update) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return f.stop()
		case <-f.hints:
		case <-timer.C:
		}
		timer.Reset(f.cfg.Poll)
		err := f.advance(ctx, sink)
		var fatal *fatalError
		switch {
		case errors.As(err, &fatal):
			return errors.Join(fatal.err, f.stop())
		case err != nil && ctx.Err() == nil:
			f.complain(err)
		case err == nil && f.quiet:
			f.quiet = false
			f.cfg.Log.Info("following the chain again", "height", f.place.Height)
		}
	}
}

// fatalError ends Run; any other error is waited out.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }

// complain logs a failure once, until something works again.
func (f *Follower) complain(err error) {
	if errors.Is(err, errNotYet) || errors.Is(err, ErrStale) || f.quiet {
		return
	}
	f.quiet = true
	f.cfg.Log.Warn("can't follow the chain; nothing is changed until it is back", "height", f.place.Height, "err", err)
}

func (f *Follower) stop() error {
	if f.place.ChainID == "" {
		return nil
	}
	return f.place.Save(f.cfg.PlaceFile)
}

// errNotYet means that a block's results are not there yet, which resolves itself within moments.
var errNotYet = errors.New("the block's results are not there yet")

// advance gives the sink everything up to the node's head.
func (f *Follower) advance(ctx context.Context, sink func(context.Context, Update) error) error {
	f.seen = time.Now()
	answer := f.ask(ctx)
	head, err := f.head(ctx)
	told := <-answer
	if err != nil {
		return err
	}
	if err := f.checkHead(head); err != nil {
		return err
	}
	for len(told.blocks) > 0 {
		for _, b := range told.blocks {
			u := Update{Height: b.height, Head: max(head.Height, told.head), Events: b.events}
			if err := f.deliver(ctx, u, f.place.ChainID, sink); err != nil {
				return err
			}
		}
		if f.place.Height >= told.head || ctx.Err() != nil {
			break
		}
		told = <-f.ask(ctx) // an answer holds only so much
	}
	if f.synced && head.Height <= f.place.Height {
		return nil
	}
	return f.catchUp(ctx, head, sink)
}

// told is what the node's feed has of the blocks to come.
type told struct {
	blocks []fed
	head   int64
}

// ask asks the node's feed for the next blocks, while something else goes on. What it does not have is read in the general
// way, and so is what was asked before anything is known.
func (f *Follower) ask(ctx context.Context) <-chan told {
	out := make(chan told, 1)
	if !f.synced || f.reader == nil {
		out <- told{}
		return out
	}
	from := f.place.Height + 1
	go func() {
		blocks, head, err := f.reader.feed(ctx, from, f.decode)
		if err != nil {
			out <- told{}
			return
		}
		out <- told{blocks, head}
	}()
	return out
}

// catchUp reads what the feed did not give: everything, at the start and after a gap, or block by block.
func (f *Follower) catchUp(ctx context.Context, head client.Head, sink func(context.Context, Update) error) error {
	var err error
	if head.Height, err = f.committed(ctx, head.Height); err != nil {
		return err
	}
	if !f.synced || head.Height-f.place.Height > f.cfg.MaxReplay {
		if err := f.snapshot(ctx, head, sink); err != nil {
			return err
		}
	}
	for f.place.Height < head.Height && ctx.Err() == nil {
		if err := f.block(ctx, f.place.Height+1, head.Height, sink); err != nil {
			return f.maybeGap(err, head)
		}
	}
	return nil
}

// committed is the newest height whose block was executed and committed: a node's status counts a block as soon as it
// is stored, when neither its results nor its state are there yet.
func (f *Follower) committed(ctx context.Context, head int64) (int64, error) {
	info, err := f.node.ABCIInfo(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask the node for its committed height: %w", err)
	}
	return min(head, info.Response.LastBlockHeight), nil
}

// checkHead refuses a node that would lead back in height or to another chain.
func (f *Follower) checkHead(head client.Head) error {
	switch {
	case f.place.ChainID != "" && f.place.ChainID != head.ChainID:
		return &fatalError{fmt.Errorf("the node serves chain %s, but this provider followed %s; use another home for another chain", head.ChainID, f.place.ChainID)}
	case head.CatchingUp:
		return fmt.Errorf("the node is still catching up, at height %d", head.Height)
	case head.Height < f.place.Height:
		return fmt.Errorf("the node is at height %d, behind %d where this provider has been; if the chain was started anew, use a new home", head.Height, f.place.Height)
	}
	return nil
}

// maybeGap turns a block that is long committed but can't be read (pruned, or skipped by state sync) into a gap.
func (f *Follower) maybeGap(err error, head client.Head) error {
	if errors.Is(err, errNotYet) && head.Height-f.place.Height > 2 {
		f.synced = false
		return fmt.Errorf("reading everything anew, as block %d can't be had: %w", f.place.Height+1, err)
	}
	return err
}

func (f *Follower) snapshot(ctx context.Context, head client.Head, sink func(context.Context, Update) error) error {
	var c Collector
	if f.cfg.Collect != nil {
		c = f.cfg.Collect()
	}
	s, err := f.reader.Snapshot(ctx, f.place.Height, c)
	if err != nil {
		return err
	}
	return f.deliver(ctx, Update{Height: s.Height, Head: max(s.Height, head.Height), Snapshot: s}, head.ChainID, sink)
}

func (f *Follower) block(ctx context.Context, height, head int64, sink func(context.Context, Update) error) error {
	raw, err := f.events(ctx, height)
	if err != nil {
		return err
	}
	events, err := f.decode.decode(raw)
	if err != nil {
		return fmt.Errorf("block %d: %w", height, err)
	}
	return f.deliver(ctx, Update{Height: height, Head: head, Events: events}, f.place.ChainID, sink)
}

// events reads the events of a block from the block's results, which every node has and which hold the events of all
// modules and providers.
func (f *Follower) events(ctx context.Context, height int64) ([]abci.Event, error) {
	res, err := f.node.BlockResults(ctx, &height)
	if err != nil {
		// A node answers that it lacks the results, or does not answer; the former is ordinary right after a block.
		return nil, fmt.Errorf("%w: block %d: %w", errNotYet, height, err)
	}
	if res.Height != height {
		return nil, fmt.Errorf("asked for the results of block %d, got those of %d", height, res.Height)
	}
	var events []abci.Event
	for _, tx := range res.TxsResults {
		events = append(events, tx.Events...)
	}
	return append(events, res.FinalizeBlockEvents...), nil
}

// saveEvery bounds how often an eventless height is made durable.
const saveEvery = time.Second

// deliver hands over an update and then remembers its height: at once when there was something to act on, so that a
// restart never acts below it, otherwise every second.
func (f *Follower) deliver(ctx context.Context, u Update, chainID string, sink func(context.Context, Update) error) error {
	u.Seen, u.Read = f.seen, time.Now()
	if err := sink(ctx, u); err != nil {
		return &fatalError{err}
	}
	f.place, f.synced = Place{ChainID: chainID, Height: u.Height}, true
	now := time.Now()
	if u.Snapshot == nil && len(u.Events) == 0 && now.Sub(f.saved) < saveEvery {
		return nil
	}
	f.saved = now
	return f.place.Save(f.cfg.PlaceFile)
}
