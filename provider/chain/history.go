package chain

import (
	"context"
	"fmt"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/internal/orderevent"
	markettypes "berth.dev/berth/x/market/types"
)

// Block returns the market's events of a past block that say what became of orders and leases, of all providers.
func (r *Reader) Block(ctx context.Context, node Node, height int64) ([]proto.Message, error) {
	res, err := node.BlockResults(ctx, &height)
	if err != nil {
		return nil, fmt.Errorf("read the results of block %d: %w", height, err)
	}
	var out []proto.Message
	add := func(events []abci.Event) error {
		for i := range events {
			if !history[events[i].Type] {
				continue
			}
			msg, err := parse(&events[i])
			if err != nil {
				return fmt.Errorf("block %d: decode event %s: %w", height, events[i].Type, err)
			}
			out = append(out, msg)
		}
		return nil
	}
	for _, tx := range res.TxsResults {
		if err := add(tx.Events); err != nil {
			return nil, err
		}
	}
	return out, add(res.FinalizeBlockEvents)
}

// history are the events that Block returns.
var history = map[string]bool{
	orderevent.Type: true,
	proto.MessageName(&markettypes.EventOrderClosed{}):  true,
	proto.MessageName(&markettypes.EventLeaseCreated{}): true,
	proto.MessageName(&markettypes.EventLeaseClosed{}):  true,
}

// OpenOrders returns all open orders.
func (r *Reader) OpenOrders(ctx context.Context) ([]markettypes.Order, error) {
	var all []markettypes.Order
	err := r.openOrders(ctx, 0, func(o *markettypes.Order) { all = append(all, *o) })
	return all, err
}
