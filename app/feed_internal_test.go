package app

import (
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/orderevent"
	"berth.dev/berth/internal/squeeze"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

func marketEvent(name, provider string) abci.Event {
	e := abci.Event{Type: marketEvents + name, Attributes: []abci.EventAttribute{{Key: "owner", Value: `"tenant"`}}}
	if provider != "" {
		e.Attributes = append(e.Attributes, abci.EventAttribute{Key: "provider", Value: `"` + provider + `"`})
	}
	return e
}

// names are the events of one block, if the feed has it.
func names(t *testing.T, f *feed, height int64, provider string) string {
	t.Helper()
	blocks, _ := told(t, f, height, provider)
	if len(blocks) == 0 {
		return "none"
	}
	require.Equal(t, height, blocks[0].Height)
	var out []string
	for _, e := range blocks[0].Events {
		if e.Order != nil {
			e.Type = orderevent.Type
		}
		out = append(out, strings.TrimPrefix(e.Type, marketEvents+"Event"))
	}
	return strings.Join(out, " ")
}

// told asks the feed.
func told(t *testing.T, f *feed, from int64, provider string) (blocks []markettypes.FeedBlock, head int64) {
	t.Helper()
	res, err := f.Blocks(t.Context(), &markettypes.FeedBlocksRequest{From: from, Provider: provider})
	if err != nil {
		require.Equal(t, codes.NotFound, status.Code(err))
		return nil, 0
	}
	data, err := squeeze.Unpack(res.Blocks, 1<<30)
	require.NoError(t, err)
	var out markettypes.FeedBlocks
	require.NoError(t, out.Unmarshal(data))
	return out.Blocks, res.Head
}

// run keeps and commits a block.
func (f *feed) run(height int64, res *abci.ResponseFinalizeBlock) {
	f.keep(height, res)
	f.commit()
}

// TestFeedGivesWhatConcerns: events keep their order, transactions' before the block's; other modules' and other
// providers' are left out, but for leases.
func TestFeedGivesWhatConcerns(t *testing.T) {
	f := &feed{}
	f.run(7, &abci.ResponseFinalizeBlock{
		TxResults: []*abci.ExecTxResult{
			{Events: []abci.Event{{Type: "transfer"}, marketEvent("EventOrderCreated", "")}},
			{Events: []abci.Event{marketEvent("EventBidCreated", "us"), marketEvent("EventBidCreated", "them")}},
		},
		Events: []abci.Event{marketEvent("EventLeaseCreated", "them"), marketEvent("EventBidClosed", "them"), marketEvent("EventOrderClosed", "")},
	})
	require.Equal(t, "OrderCreated BidCreated LeaseCreated OrderClosed", names(t, f, 7, "us"))
	require.Equal(t, "OrderCreated BidCreated BidCreated LeaseCreated BidClosed OrderClosed", names(t, f, 7, ""))
	require.Equal(t, "none", names(t, f, 6, "us"))
	require.Equal(t, "none", names(t, f, 8, "us"))
}

// TestFeedTellsOfTheRecord: a provider learns that its record or what auditors have signed of it has changed; in events of
// the record, "provider" is the record and "owner" whose it is.
func TestFeedTellsOfTheRecord(t *testing.T) {
	f := &feed{}
	attr := func(key, value string) abci.EventAttribute { return abci.EventAttribute{Key: key, Value: value} }
	f.run(1, &abci.ResponseFinalizeBlock{Events: []abci.Event{
		{Type: "berth.audit.v1.EventAttributesSigned", Attributes: []abci.EventAttribute{attr("auditor", `"a"`), attr("provider", `"us"`)}},
		{Type: "berth.audit.v1.EventAttributesRevoked", Attributes: []abci.EventAttribute{attr("provider", `"them"`)}},
		{Type: "berth.provider.v1.EventProviderUpdated", Attributes: []abci.EventAttribute{attr("owner", `"us"`), attr("provider", `{"owner":"us"}`)}},
		{Type: "berth.provider.v1.EventProviderUpdated", Attributes: []abci.EventAttribute{attr("owner", `"them"`), attr("provider", `{"owner":"them"}`)}},
	}})
	require.Equal(t, "berth.audit.v1.EventAttributesSigned berth.provider.v1.EventProviderUpdated", names(t, f, 1, "us"))
}

// TestFeedIsBounded: old blocks go, by number and by size; the newest one stays however large it is; a block that is
// executed again replaces what was kept from its height on.
func TestFeedIsBounded(t *testing.T) {
	f := &feed{}
	one := &abci.ResponseFinalizeBlock{Events: []abci.Event{marketEvent("EventOrderCreated", "")}}
	for h := int64(1); h <= 3*feedBlocks; h++ {
		f.run(h, one)
	}
	require.Len(t, f.blocks, feedBlocks)
	require.Equal(t, "none", names(t, f, 2*feedBlocks, ""))
	require.Equal(t, "OrderCreated", names(t, f, 2*feedBlocks+1, ""))

	f.run(3*feedBlocks-1, &abci.ResponseFinalizeBlock{})
	require.Equal(t, "", names(t, f, 3*feedBlocks-1, ""))
	require.Equal(t, "none", names(t, f, 3*feedBlocks, ""))

	large := marketEvent("EventOrderCreated", "")
	large.Attributes[0].Value = strings.Repeat("x", feedBytes/2)
	for h := int64(3 * feedBlocks); h < 3*feedBlocks+3; h++ {
		f.run(h, &abci.ResponseFinalizeBlock{Events: []abci.Event{large}})
	}
	require.LessOrEqual(t, f.bytes, feedBytes)
	require.Equal(t, "OrderCreated", names(t, f, 3*feedBlocks+2, ""))
	large.Attributes[0].Value = strings.Repeat("x", 2*feedBytes)
	f.run(3*feedBlocks+3, &abci.ResponseFinalizeBlock{Events: []abci.Event{large}})
	require.Len(t, f.blocks, 1)
	sum := 0
	for _, b := range f.blocks {
		sum += b.bytes
	}
	require.Equal(t, sum, f.bytes)
}

// TestFeedTellsWhatIsCommitted: a block that is executed is not told before its state is saved, nor is one that is executed
// again.
func TestFeedTellsWhatIsCommitted(t *testing.T) {
	f := &feed{}
	one := &abci.ResponseFinalizeBlock{Events: []abci.Event{marketEvent("EventOrderCreated", "")}}
	f.run(1, one)
	f.keep(2, one)
	blocks, head := told(t, f, 1, "")
	require.Len(t, blocks, 1)
	require.EqualValues(t, 1, head)
	require.Equal(t, "none", names(t, f, 2, ""))
	f.commit()
	blocks, head = told(t, f, 1, "")
	require.Len(t, blocks, 2)
	require.EqualValues(t, 2, head)
	f.keep(2, one)
	blocks, head = told(t, f, 1, "")
	require.Len(t, blocks, 1)
	require.EqualValues(t, 1, head)
}

// TestFeedEncodesOrders: orders of blocks kept before and after the first question come encoded, and nothing else is
// changed: not an event that is unusual, not the sum of what is kept.
func TestFeedEncodesOrders(t *testing.T) {
	order := markettypes.Order{
		Id: markettypes.OrderID{Owner: "tenant", Dseq: 1, Gseq: 1, Oseq: 1}, State: markettypes.ORDER_STATE_OPEN,
		Auction: deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_TENANT},
	}
	want, err := order.Marshal()
	require.NoError(t, err)
	ev, err := sdk.TypedEventToEvent(&markettypes.EventOrderCreated{Owner: "tenant", Dseq: 1, Order: order})
	require.NoError(t, err)
	usual, unusual := abci.Event(ev), abci.Event(ev)
	unusual.Attributes = append(unusual.Attributes[:len(unusual.Attributes):len(unusual.Attributes)], abci.EventAttribute{Key: "more", Value: "1"})
	res := &abci.ResponseFinalizeBlock{Events: []abci.Event{usual, marketEvent("EventOrderClosed", ""), unusual}}
	f := &feed{}
	f.run(1, res)
	before := f.bytes
	blocks, _ := told(t, f, 1, "us")
	require.Less(t, f.bytes, before)
	f.run(2, res)
	blocks2, _ := told(t, f, 2, "us")
	require.Equal(t, blocks[0].Events, blocks2[0].Events)
	require.Len(t, blocks[0].Events, 3)
	require.Equal(t, markettypes.FeedEvent{Order: want}, blocks[0].Events[0])
	require.Equal(t, marketEvents+"EventOrderClosed", blocks[0].Events[1].Type)
	require.Equal(t, orderevent.Type, blocks[0].Events[2].Type)
	require.Len(t, blocks[0].Events[2].Attributes, len(unusual.Attributes))
	sum := 0
	for _, b := range f.blocks {
		sum += b.bytes
	}
	require.Equal(t, sum, f.bytes)
}
