package chain

import (
	"context"
	"log/slog"
	"time"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
)

const (
	// hintSilence is how long a subscription may be silent before it is made anew.
	hintSilence = 30 * time.Second
	// hintBackoff is the pause after a subscription that failed.
	hintBackoff = 5 * time.Second
)

// Hints subscribes to new blocks by websocket and gives a value on the channel for each. It is a hint only: a
// subscription that fails, or loses blocks, costs nothing but the time until the next poll. Run it beside a Follower.
type Hints struct {
	node string
	log  *slog.Logger
	c    chan struct{}
}

// NewHints watches the node at this address.
func NewHints(node string, log *slog.Logger) *Hints {
	return &Hints{node: node, log: log, c: make(chan struct{}, 1)}
}

// C is where the hints come; several at once are one.
func (h *Hints) C() <-chan struct{} { return h.c }

// Run watches until ctx ends; it never fails.
func (h *Hints) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := h.watch(ctx); err != nil && ctx.Err() == nil {
			h.log.Debug("no block hints by websocket; polling goes on", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(hintBackoff):
		}
	}
	return nil
}

func (h *Hints) watch(ctx context.Context) error {
	rpc, err := rpchttp.New(h.node, "/websocket")
	if err != nil {
		return err
	}
	if err := rpc.Start(); err != nil {
		return err
	}
	defer func() { _ = rpc.Stop() }()
	blocks, err := rpc.Subscribe(ctx, "berth-provider", "tm.event='NewBlockHeader'", 4)
	if err != nil {
		return err
	}
	silence := time.NewTimer(hintSilence)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-silence.C:
			return nil // a dead connection and an idle chain look alike; a new subscription settles it
		case _, ok := <-blocks:
			if !ok {
				return nil
			}
			silence.Reset(hintSilence)
			select {
			case h.c <- struct{}{}:
			default:
			}
		}
	}
}
