package app

import (
	"context"
	"strings"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	markettypes "berth.dev/berth/x/market/types"
)

// The bounds of what a node remembers for followers.
const (
	feedBlocks = 100
	feedBytes  = 32 << 20
)

// feed remembers the events of the last blocks that providers act on. A follower could read them from the blocks' results, which hold
// the events of all modules and come as JSON that takes a second to read for a block with thousands of orders. It is no
// part of the state, and nothing that the chain decides depends on it.
type feed struct {
	mu     sync.RWMutex
	blocks []feedBlock // of growing height
	bytes  int
}

type feedBlock struct {
	height int64
	bytes  int
	events []markettypes.FeedEvent
}

// fed are how the events begin that a feed holds: the market's, and what decides whether a provider may bid.
var fed = [...]string{marketEvents, "berth.audit.v1.", providerEvents}

const (
	marketEvents   = "berth.market.v1."
	providerEvents = "berth.provider.v1."
)

func isFed(e *abci.Event) bool {
	for _, prefix := range fed {
		if strings.HasPrefix(e.Type, prefix) {
			return true
		}
	}
	return false
}

// keep remembers a block's events. A block that is executed again replaces what it was, and all after it.
func (f *feed) keep(height int64, res *abci.ResponseFinalizeBlock) {
	b := feedBlock{height: height}
	for _, tx := range res.TxResults {
		b.add(tx.Events)
	}
	b.add(res.Events)
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := len(f.blocks); n > 0 && f.blocks[n-1].height >= height; n-- {
		f.bytes -= f.blocks[n-1].bytes
		f.blocks = f.blocks[:n-1]
	}
	f.blocks = append(f.blocks, b)
	f.bytes += b.bytes
	for len(f.blocks) > 1 && (len(f.blocks) > feedBlocks || f.bytes > feedBytes) {
		f.bytes -= f.blocks[0].bytes
		f.blocks = f.blocks[1:]
	}
}

func (b *feedBlock) add(events []abci.Event) {
	for _, e := range events {
		if !isFed(&e) {
			continue
		}
		out := markettypes.FeedEvent{Type: e.Type, Attributes: make([]*markettypes.FeedAttribute, len(e.Attributes))}
		for i, a := range e.Attributes {
			out.Attributes[i] = &markettypes.FeedAttribute{Key: a.Key, Value: a.Value}
			b.bytes += len(a.Key) + len(a.Value)
		}
		b.events = append(b.events, out)
	}
}

// Block implements markettypes.FeedServer.
func (f *feed) Block(_ context.Context, req *markettypes.FeedBlockRequest) (*markettypes.FeedBlockResponse, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for i := range f.blocks {
		if f.blocks[i].height != req.Height {
			continue
		}
		res := &markettypes.FeedBlockResponse{Height: req.Height}
		for j := range f.blocks[i].events {
			if e := &f.blocks[i].events[j]; concerns(e, req.Provider) {
				res.Events = append(res.Events, e)
			}
		}
		return res, nil
	}
	return nil, status.Errorf(codes.NotFound, "this node does not remember the events of block %d", req.Height)
}

// concerns says whether an event may matter to a provider. What is not about a provider matters to all; so do leases of
// others, which take orders off the market.
func concerns(e *markettypes.FeedEvent, provider string) bool {
	if provider == "" || e.Type == marketEvents+"EventLeaseCreated" {
		return true
	}
	key := "provider"
	if strings.HasPrefix(e.Type, providerEvents) {
		key = "owner" // "provider" is the whole record there
	}
	for _, a := range e.Attributes {
		if a.Key == key {
			return strings.TrimSpace(a.Value) == `"`+provider+`"`
		}
	}
	return true
}
