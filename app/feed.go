package app

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	abci "github.com/cometbft/cometbft/abci/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"berth.dev/berth/internal/orderevent"
	"berth.dev/berth/internal/squeeze"
	markettypes "berth.dev/berth/x/market/types"
)

// The bounds of what a node remembers for followers.
const (
	feedBlocks = 100
	feedBytes  = 32 << 20
)

// The bounds of one answer, before it is compressed.
const (
	feedAnswer = 8 << 20
	feedOrders = 5000
)

// feed remembers the events of the last blocks that providers act on. A follower could read them from the blocks' results, which hold
// the events of all modules and come as JSON that takes a second to read for a block with thousands of orders. It is no
// part of the state, and nothing that the chain decides depends on it.
type feed struct {
	market orderWalker

	mu     sync.RWMutex
	blocks []feedBlock // of growing height
	bytes  int
	// committed is the last block whose state is saved: what comes after it is not told yet.
	committed int64
	// asked: somebody follows this node, so that orders are encoded when their block is kept. Else they wait as JSON, and a
	// node that nobody follows does nothing for nobody.
	asked atomic.Bool
}

type orderWalker interface {
	WalkOpenOrders(ctx context.Context, after []byte, each func(key, order []byte) (stop bool)) error
}

type feedBlock struct {
	bytes int
	markettypes.FeedBlock
	encoded bool // each order that can be is in place of its event
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
	b := feedBlock{}
	b.Height = height
	for _, tx := range res.TxResults {
		b.add(tx.Events)
	}
	b.add(res.Events)
	if f.asked.Load() {
		b.encode()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := len(f.blocks); n > 0 && f.blocks[n-1].Height >= height; n-- {
		f.bytes -= f.blocks[n-1].bytes
		f.blocks = f.blocks[:n-1]
	}
	f.committed = min(f.committed, height-1)
	f.blocks = append(f.blocks, b)
	f.bytes += b.bytes
	for len(f.blocks) > 1 && (len(f.blocks) > feedBlocks || f.bytes > feedBytes) {
		f.bytes -= f.blocks[0].bytes
		f.blocks = f.blocks[1:]
	}
}

// commit makes the blocks that are kept known.
func (f *feed) commit() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.blocks); n > 0 {
		f.committed = f.blocks[n-1].Height
	}
}

func (b *feedBlock) add(events []abci.Event) {
	for i := range events {
		e := &events[i]
		if !isFed(e) {
			continue
		}
		out := markettypes.FeedEvent{Type: e.Type, Attributes: make([]markettypes.FeedAttribute, len(e.Attributes))}
		for i, a := range e.Attributes {
			out.Attributes[i] = markettypes.FeedAttribute{Key: a.Key, Value: a.Value}
		}
		b.bytes += sizeOf(&out)
		b.Events = append(b.Events, out)
	}
}

// sizeOf is about what an event takes.
func sizeOf(e *markettypes.FeedEvent) int {
	n := len(e.Order)
	for i := range e.Attributes {
		n += len(e.Attributes[i].Key) + len(e.Attributes[i].Value)
	}
	return n
}

// encode puts orders in place of the events that tell of them: they are a quarter of their JSON, and so is the work of
// reading them. An event that is in any way unusual stays.
func (b *feedBlock) encode() {
	if b.encoded {
		return
	}
	b.encoded = true
	for i := range b.Events {
		e := &b.Events[i]
		if e.Type != orderevent.Type {
			continue
		}
		ev := abci.Event{Type: e.Type, Attributes: make([]abci.EventAttribute, len(e.Attributes))}
		for j, a := range e.Attributes {
			ev.Attributes[j] = abci.EventAttribute{Key: a.Key, Value: a.Value}
		}
		var o markettypes.Order
		if !orderevent.Parse(&ev, &o) {
			continue
		}
		order, err := o.Marshal()
		if err != nil || len(order) == 0 {
			continue
		}
		b.bytes += len(order) - sizeOf(e)
		*e = markettypes.FeedEvent{Order: order}
	}
}

// Blocks implements markettypes.FeedServer.
func (f *feed) Blocks(_ context.Context, req *markettypes.FeedBlocksRequest) (*markettypes.FeedBlocksResponse, error) {
	out, head, err := f.since(req.From, req.Provider)
	if err != nil {
		return nil, err
	}
	data, err := out.Marshal()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	packed, err := squeeze.Pack(data)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &markettypes.FeedBlocksResponse{Head: head, Blocks: packed}, nil
}

// since gives the committed blocks from a height on; none if that is the next one.
func (f *feed) since(from int64, provider string) (out markettypes.FeedBlocks, head int64, err error) {
	f.encodeAll()
	f.mu.RLock()
	defer f.mu.RUnlock()
	if n := len(f.blocks); n == 0 || from < f.blocks[0].Height || from > f.committed+1 {
		return out, 0, status.Errorf(codes.NotFound, "this node does not remember the events of block %d", from)
	}
	size := 0
	for i := range f.blocks {
		b := &f.blocks[i]
		if b.Height < from || b.Height > f.committed {
			continue
		}
		if size += b.bytes; size > feedAnswer && len(out.Blocks) > 0 {
			break
		}
		block := markettypes.FeedBlock{Height: b.Height}
		for j := range b.Events {
			if concerns(&b.Events[j], provider) {
				block.Events = append(block.Events, b.Events[j])
			}
		}
		out.Blocks = append(out.Blocks, block)
	}
	return out, f.committed, nil
}

// encodeAll encodes what was kept before anybody asked.
func (f *feed) encodeAll() {
	if f.asked.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.blocks {
		b := &f.blocks[i]
		f.bytes -= b.bytes
		b.encode()
		f.bytes += b.bytes
	}
	f.asked.Store(true)
}

// OpenOrders implements markettypes.FeedServer.
func (f *feed) OpenOrders(ctx context.Context, req *markettypes.FeedOrdersRequest) (*markettypes.FeedOrdersResponse, error) {
	limit := int(req.Limit)
	if limit == 0 || limit > feedOrders {
		limit = feedOrders
	}
	var orders markettypes.FeedOrders
	var last []byte
	size, more := 0, false
	err := f.market.WalkOpenOrders(ctx, req.After, func(key, order []byte) bool {
		if more = len(orders.Orders) == limit || size > feedAnswer; more {
			return true
		}
		size += len(order)
		last, orders.Orders = key, append(orders.Orders, order)
		return false
	})
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	data, err := orders.Marshal()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	res := &markettypes.FeedOrdersResponse{}
	if res.Orders, err = squeeze.Pack(data); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if more {
		res.Next = last
	}
	return res, nil
}

// concerns says whether an event may matter to a provider. What is not about a provider matters to all; so do leases of
// others, which take orders off the market.
func concerns(e *markettypes.FeedEvent, provider string) bool {
	if provider == "" || e.Order != nil || e.Type == marketEvents+"EventLeaseCreated" {
		return true
	}
	key := "provider"
	if strings.HasPrefix(e.Type, providerEvents) {
		key = "owner" // "provider" is the whole record there
	}
	for i := range e.Attributes {
		if a := &e.Attributes[i]; a.Key == key {
			return strings.TrimSpace(a.Value) == `"`+provider+`"`
		}
	}
	return true
}
