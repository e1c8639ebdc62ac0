package simulate

import (
	"context"
	"errors"
	"slices"

	"github.com/cosmos/gogoproto/proto"

	markettypes "berth.dev/berth/x/market/types"
)

// Market is the chain as a recorder reads it.
type Market interface {
	// Block returns the events of a block that recordings hold.
	Block(ctx context.Context, height int64) ([]proto.Message, error)
	// OpenOrders returns the orders that are open now.
	OpenOrders(ctx context.Context) ([]markettypes.Order, error)
	// Order returns one order, or an error that is ErrGone if the chain has it no more.
	Order(ctx context.Context, id markettypes.OrderID) (markettypes.Order, error)
}

// ErrGone means that the chain has pruned what was asked for.
var ErrGone = errors.New("the chain has it no more")

// Record reads the blocks of a header's heights. Orders that are older and were open then stand at the first height, as
// far as the chain still has them. progress, which may be nil, is told of each block that was read.
func Record(ctx context.Context, m Market, h Header, progress func(height int64)) (*Recording, error) {
	r := &Recording{Header: h}
	r.Header.Recording = recordingVersion
	known := map[markettypes.OrderID]bool{}
	var unknown []markettypes.OrderID
	for height := h.From; height <= h.To; height++ {
		msgs, err := m.Block(ctx, height)
		if err != nil {
			return nil, err
		}
		for _, msg := range msgs {
			if kindOf(msg) == "" {
				continue
			}
			if id := orderOf(msg); !known[id] {
				known[id] = true
				if _, created := msg.(*markettypes.EventOrderCreated); !created {
					unknown = append(unknown, id)
				}
			}
			r.Events = append(r.Events, Event{height, msg})
		}
		if progress != nil {
			progress(height)
		}
	}
	older, err := olderOrders(ctx, m, h, known, unknown)
	r.Events = append(older, r.Events...)
	return r, err
}

// orderOf is the order that an event is about.
func orderOf(msg proto.Message) markettypes.OrderID {
	switch m := msg.(type) {
	case *markettypes.EventOrderCreated:
		return m.Order.Id
	case *markettypes.EventOrderClosed:
		return m.Order.Id
	case *markettypes.EventLeaseCreated:
		return m.Lease.Id.OrderID()
	case *markettypes.EventLeaseClosed:
		return m.Lease.Id.OrderID()
	}
	return markettypes.OrderID{}
}

// olderOrders are those that were made before the recording and open when it began.
func olderOrders(ctx context.Context, m Market, h Header, known map[markettypes.OrderID]bool, ids []markettypes.OrderID) ([]Event, error) {
	open, err := m.OpenOrders(ctx)
	if err != nil {
		return nil, err
	}
	orders := slices.DeleteFunc(open, func(o markettypes.Order) bool { return known[o.Id] || o.CreatedAt >= h.From })
	for _, id := range ids {
		o, err := m.Order(ctx, id)
		switch {
		case errors.Is(err, ErrGone):
			continue
		case err != nil:
			return nil, err
		case o.CreatedAt < h.From:
			orders = append(orders, o)
		}
	}
	slices.SortStableFunc(orders, func(a, b markettypes.Order) int { return int(a.CreatedAt - b.CreatedAt) })
	out := make([]Event, len(orders))
	for i, o := range orders {
		o.State, o.ClosedAt, o.OpenBids = markettypes.ORDER_STATE_OPEN, 0, 0
		out[i] = Event{h.From, &markettypes.EventOrderCreated{Owner: o.Id.Owner, Dseq: o.Id.Dseq, Order: o}}
	}
	return out, nil
}

// Write writes a recording to w.
func (r *Recording) Write(w *Writer) error {
	for _, e := range r.Events {
		if err := w.Write(e.Height, e.Msg); err != nil {
			return err
		}
	}
	return nil
}
