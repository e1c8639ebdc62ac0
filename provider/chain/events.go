// Package chain is the provider's only way to the chain: Follower turns blocks into typed events in order and without
// holes, Reader answers questions about leases with the height of the answer, Sender carries messages until their
// outcome is known.
package chain

import (
	"fmt"
	"slices"
	"strings"

	abci "github.com/cometbft/cometbft/abci/types"
	"golang.org/x/sync/errgroup"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/internal/orderevent"
	audittypes "berth.dev/berth/x/audit/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// interest says which events of a type are worth decoding.
type interest uint8

const (
	everyone interest = iota + 1
	ours              // those that name us as their provider
	owned             // those that name us as their owner
)

// interests are the events that a provider acts on. Leases of others matter because they take an order off the market.
var interests = map[string]interest{
	proto.MessageName(&markettypes.EventOrderCreated{}):    everyone,
	proto.MessageName(&markettypes.EventOrderClosed{}):     everyone,
	proto.MessageName(&markettypes.EventBidCreated{}):      ours,
	proto.MessageName(&markettypes.EventBidClosed{}):       ours,
	proto.MessageName(&markettypes.EventLeaseCreated{}):    everyone,
	proto.MessageName(&markettypes.EventLeaseSuspended{}):  ours,
	proto.MessageName(&markettypes.EventLeaseResumed{}):    ours,
	proto.MessageName(&markettypes.EventLeaseReclaiming{}): ours,
	proto.MessageName(&markettypes.EventLeaseClosed{}):     ours,

	// These say that our record or what auditors vouch for has changed.
	proto.MessageName(&audittypes.EventAttributesSigned{}):   ours,
	proto.MessageName(&audittypes.EventAttributesRevoked{}):  ours,
	proto.MessageName(&providertypes.EventProviderCreated{}): owned,
	proto.MessageName(&providertypes.EventProviderUpdated{}): owned,
	proto.MessageName(&providertypes.EventProviderDeleted{}): owned,
}

// decoder picks the events of one provider out of a block's.
type decoder struct {
	quoted string // the provider's address as it stands in an event's attribute
}

func newDecoder(provider string) decoder { return decoder{quoted: `"` + provider + `"`} }

// decode gives the wanted events, in their order. An event that should be readable and is not is an error: skipping it
// could lose a lease.
func (d decoder) decode(events []abci.Event) ([]proto.Message, error) {
	var wanted []*abci.Event
	for i := range events {
		if d.wants(&events[i]) {
			wanted = append(wanted, &events[i])
		}
	}
	out := make([]proto.Message, len(wanted))
	var g errgroup.Group
	for at := 0; at < len(wanted); at += parseTogether {
		g.Go(func() error {
			for i := at; i < min(at+parseTogether, len(wanted)); i++ {
				msg, err := parse(wanted[i])
				if err != nil {
					return fmt.Errorf("decode event %s: %w", wanted[i].Type, err)
				}
				out[i] = msg
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// parseTogether is how many events one goroutine parses: a block with thousands of orders is worth all cores.
const parseTogether = 128

// wants reports whether an event is worth decoding.
func (d decoder) wants(ev *abci.Event) bool {
	want := interests[ev.Type]
	return want == everyone || want == ours && d.names(ev, "provider") || want == owned && d.names(ev, "owner")
}

// parse reads an event. New orders, of which there are many, are read in a fiftieth of the time if they look as they do
// today; what looks in any way different is read as all others are.
func parse(ev *abci.Event) (proto.Message, error) {
	if ev.Type == orderevent.Type {
		e := &markettypes.EventOrderCreated{}
		if orderevent.Parse(ev, &e.Order) {
			e.Owner, e.Dseq = e.Order.Id.Owner, e.Order.Id.Dseq
			return e, nil
		}
	}
	return sdk.ParseTypedEvent(abci.Event{Type: ev.Type, Attributes: own(ev.Attributes)})
}

// own gives the attributes that are the event's own. The SDK adds where an event comes from, "mode" without the quotes
// that a JSON string has, which no typed event parses with.
func own(attributes []abci.EventAttribute) []abci.EventAttribute {
	return slices.DeleteFunc(slices.Clone(attributes), func(a abci.EventAttribute) bool {
		return a.Key == "mode" || a.Key == "msg_index"
	})
}

// names reports whether an attribute of an event is our address.
func (d decoder) names(ev *abci.Event, key string) bool {
	for _, a := range ev.Attributes {
		if a.Key == key {
			return strings.TrimSpace(a.Value) == d.quoted
		}
	}
	return false
}
