package simulate

import (
	"context"
	"errors"
	"testing"

	"github.com/cosmos/gogoproto/proto"

	markettypes "berth.dev/berth/x/market/types"
)

// past is a chain with the blocks of a recording.
type past struct {
	events []Event
	open   []markettypes.Order
	orders map[markettypes.OrderID]markettypes.Order
	err    error
}

func (p past) Block(_ context.Context, height int64) ([]proto.Message, error) {
	var out []proto.Message
	for _, e := range p.events {
		if e.Height == height {
			out = append(out, e.Msg)
		}
	}
	return out, p.err
}

func (p past) OpenOrders(context.Context) ([]markettypes.Order, error) { return p.open, nil }

func (p past) Order(_ context.Context, id markettypes.OrderID) (markettypes.Order, error) {
	o, ok := p.orders[id]
	if !ok {
		return o, ErrGone
	}
	return o, nil
}

func orderOfEvent(e Event) markettypes.Order { return e.Msg.(*markettypes.EventOrderCreated).Order }

// TestRecord: what is older than the recording and was open then stands at its beginning; what is newer, or gone, does not.
func TestRecord(t *testing.T) {
	old, older, gone := created(3, 1, 1, 50), created(2, 2, 1, 50), uint64(3)
	leasedBefore := orderOfEvent(old)
	leasedBefore.State, leasedBefore.ClosedAt = markettypes.ORDER_STATE_ACTIVE, 12
	m := past{
		events: []Event{
			created(10, 4, 1, 50), {10, &markettypes.EventBidCreated{}},
			leased(12, 1, "x", 10), leased(13, 4, "x", 10), leased(14, gone, "x", 10),
		},
		open:   []markettypes.Order{orderOfEvent(older), orderOfEvent(created(99, 5, 1, 50))},
		orders: map[markettypes.OrderID]markettypes.Order{orderID(1): leasedBefore},
	}
	var read []int64
	got, err := Record(t.Context(), m, Header{ChainID: "c", From: 10, To: 14}, func(h int64) { read = append(read, h) })
	if err != nil || len(read) != 5 {
		t.Fatalf("%v after blocks %v", err, read)
	}
	var kinds []string
	for _, e := range got.Events {
		kinds = append(kinds, kindOf(e.Msg))
	}
	if len(got.Events) != 6 || kinds[0] != "order_created" || kinds[1] != "order_created" || kinds[2] != "order_created" || kinds[3] != "lease_created" {
		t.Fatalf("events %v", kinds)
	}
	first, second := orderOfEvent(got.Events[0]), orderOfEvent(got.Events[1])
	if first.Id != orderID(2) || second.Id != orderID(1) || second.State != markettypes.ORDER_STATE_OPEN || second.ClosedAt != 0 || got.Events[1].Height != 10 {
		t.Errorf("the older orders are %v and %v", first, second)
	}
}

func TestRecordFails(t *testing.T) {
	away := errors.New("the node is away")
	if _, err := Record(t.Context(), past{err: away}, Header{From: 1, To: 2}, nil); !errors.Is(err, away) {
		t.Errorf("Record = %v", err)
	}
}
