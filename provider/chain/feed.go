package chain

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/internal/squeeze"
	markettypes "berth.dev/berth/x/market/types"
)

// maxAnswer is the most that a compressed answer may unfold to: several times what a node gives.
const maxAnswer = 256 << 20

// fed is a block of a node's feed.
type fed struct {
	height int64
	events []proto.Message
}

// errFeed means that an answer is not what a feed gives.
var errFeed = errors.New("the node's feed can't be read")

// feed returns the blocks from a height on, up to the last one that the node has committed, which is head, if the node
// remembers the first of them. There may be none yet.
func (r *Reader) feed(ctx context.Context, from int64, d decoder) (blocks []fed, head int64, err error) {
	res, err := markettypes.NewFeedClient(r.conn).Blocks(ctx, &markettypes.FeedBlocksRequest{From: from, Provider: r.provider})
	if err != nil {
		return nil, 0, fmt.Errorf("read the events from block %d on: %w", from, err)
	}
	data, err := squeeze.Unpack(res.Blocks, maxAnswer)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errFeed, err)
	}
	if blocks, err = decodeFeed(data, d); err != nil {
		return nil, 0, err
	}
	for i := range blocks {
		if blocks[i].height != from+int64(i) || blocks[i].height > res.Head {
			return nil, 0, fmt.Errorf("%w: asked for blocks from %d on, got %d as number %d, the last being %d", errFeed, from, blocks[i].height, i, res.Head)
		}
	}
	return blocks, res.Head, nil
}

// decodeFeed reads an encoded FeedBlocks. Orders are read where they lie, on all cores; they do not hold on to data.
func decodeFeed(data []byte, d decoder) (blocks []fed, err error) {
	err = fields(data, func(num protowire.Number, value []byte, _ uint64) error {
		if num != 1 {
			return nil
		}
		b, err := decodeBlock(value, d)
		blocks = append(blocks, b)
		return err
	})
	return blocks, err
}

func decodeBlock(data []byte, d decoder) (b fed, err error) {
	var raw []rawEvent
	err = fields(data, func(num protowire.Number, value []byte, n uint64) error {
		switch num {
		case 1:
			b.height = int64(n)
		case 2:
			e, err := d.event(value)
			if err != nil {
				return err
			}
			if e.order != nil || e.event != nil {
				raw = append(raw, e)
			}
		}
		return nil
	})
	if err != nil {
		return b, err
	}
	b.events = make([]proto.Message, len(raw))
	var g errgroup.Group
	for at := 0; at < len(raw); at += parseTogether {
		g.Go(func() error {
			for i := at; i < min(at+parseTogether, len(raw)); i++ {
				msg, err := raw[i].parse()
				if err != nil {
					return fmt.Errorf("block %d: %w", b.height, err)
				}
				b.events[i] = msg
			}
			return nil
		})
	}
	return b, g.Wait()
}

// rawEvent is an event that is to be parsed: an encoded order, or an event with attributes.
type rawEvent struct {
	order []byte
	event *abci.Event
}

// event looks at an encoded FeedEvent. One that does not concern us is empty.
func (d decoder) event(data []byte) (out rawEvent, err error) {
	err = fields(data, func(num protowire.Number, value []byte, _ uint64) error {
		if num == 3 {
			out.order = value
		}
		return nil
	})
	if err != nil || len(out.order) > 0 {
		return out, err
	}
	var e markettypes.FeedEvent
	if err := e.Unmarshal(data); err != nil {
		return rawEvent{}, fmt.Errorf("%w: %w", errFeed, err)
	}
	ev := &abci.Event{Type: e.Type, Attributes: make([]abci.EventAttribute, len(e.Attributes))}
	for i, a := range e.Attributes {
		ev.Attributes[i] = abci.EventAttribute{Key: a.Key, Value: a.Value}
	}
	if d.wants(ev) {
		out.event = ev
	}
	return out, nil
}

func (e rawEvent) parse() (proto.Message, error) {
	if e.event != nil {
		return parse(e.event)
	}
	out := &markettypes.EventOrderCreated{}
	if err := out.Order.Unmarshal(e.order); err != nil {
		return nil, fmt.Errorf("%w: an order: %w", errFeed, err)
	}
	out.Owner, out.Dseq = out.Order.Id.Owner, out.Order.Id.Dseq
	return out, nil
}

// fields gives each field of an encoded message to each: the bytes of one that has a length, the number of one that is a
// varint. Others are passed over, as are those that each does not know.
func fields(data []byte, each func(num protowire.Number, value []byte, n uint64) error) error {
	for len(data) > 0 {
		num, typ, size := protowire.ConsumeTag(data)
		if size < 0 {
			return fmt.Errorf("%w: %w", errFeed, protowire.ParseError(size))
		}
		data = data[size:]
		var value []byte
		var n uint64
		switch typ {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(data)
		default:
			size = protowire.ConsumeFieldValue(num, typ, data)
		}
		if size < 0 {
			return fmt.Errorf("%w: %w", errFeed, protowire.ParseError(size))
		}
		if err := each(num, value, n); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

// errNoFeed means that a node does not give orders in this way: it is older, or something between us and it lets only
// known queries pass.
var errNoFeed = errors.New("the node does not list open orders by its feed")

// fedOrders reads the open orders by the node's feed, one page ahead of what is done with them.
func (r *Reader) fedOrders(ctx context.Context, notBelow int64, each func(*markettypes.Order)) error {
	g, ctx := errgroup.WithContext(ctx)
	pages := make(chan []byte)
	g.Go(func() error {
		defer close(pages)
		return r.readPages(ctx, notBelow, pages)
	})
	g.Go(func() error {
		for page := range pages {
			if err := eachOrder(page, each); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// readPages reads page after page, still compressed.
func (r *Reader) readPages(ctx context.Context, notBelow int64, pages chan<- []byte) error {
	q := markettypes.NewFeedClient(r.conn)
	for req := (&markettypes.FeedOrdersRequest{}); ; {
		var a answer
		res, err := q.OpenOrders(ctx, req, a.option())
		if err != nil && len(req.After) == 0 && ctx.Err() == nil {
			return fmt.Errorf("%w: %w", errNoFeed, err)
		}
		if err == nil {
			err = a.notBelow(notBelow)
		}
		if err != nil {
			return err
		}
		select {
		case pages <- res.Orders:
		case <-ctx.Done():
			return ctx.Err()
		}
		if len(res.Next) == 0 {
			return nil
		}
		if bytes.Compare(res.Next, req.After) <= 0 {
			return fmt.Errorf("%w: its pages do not go on", errFeed)
		}
		req.After = res.Next
	}
}

// eachOrder reads a compressed FeedOrders.
func eachOrder(page []byte, each func(*markettypes.Order)) error {
	data, err := squeeze.Unpack(page, maxAnswer)
	if err != nil {
		return fmt.Errorf("%w: %w", errFeed, err)
	}
	return fields(data, func(num protowire.Number, value []byte, _ uint64) error {
		if num != 1 {
			return nil
		}
		var o markettypes.Order
		if err := o.Unmarshal(value); err != nil {
			return fmt.Errorf("%w: an order: %w", errFeed, err)
		}
		each(&o)
		return nil
	})
}
