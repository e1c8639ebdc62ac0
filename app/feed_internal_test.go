package app

import (
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	markettypes "berth.dev/berth/x/market/types"
)

func marketEvent(name, provider string) abci.Event {
	e := abci.Event{Type: marketEvents + name, Attributes: []abci.EventAttribute{{Key: "owner", Value: `"tenant"`}}}
	if provider != "" {
		e.Attributes = append(e.Attributes, abci.EventAttribute{Key: "provider", Value: `"` + provider + `"`})
	}
	return e
}

func names(t *testing.T, f *feed, height int64, provider string) string {
	t.Helper()
	res, err := f.Block(t.Context(), &markettypes.FeedBlockRequest{Height: height, Provider: provider})
	if err != nil {
		require.Equal(t, codes.NotFound, status.Code(err))
		return "none"
	}
	require.Equal(t, height, res.Height)
	var out []string
	for _, e := range res.Events {
		out = append(out, strings.TrimPrefix(e.Type, marketEvents+"Event"))
	}
	return strings.Join(out, " ")
}

// TestFeedGivesWhatConcerns: events keep their order, transactions' before the block's; other modules' and other
// providers' are left out, but for leases.
func TestFeedGivesWhatConcerns(t *testing.T) {
	f := &feed{}
	f.keep(7, &abci.ResponseFinalizeBlock{
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
	f.keep(1, &abci.ResponseFinalizeBlock{Events: []abci.Event{
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
		f.keep(h, one)
	}
	require.Len(t, f.blocks, feedBlocks)
	require.Equal(t, "none", names(t, f, 2*feedBlocks, ""))
	require.Equal(t, "OrderCreated", names(t, f, 2*feedBlocks+1, ""))

	f.keep(3*feedBlocks-1, &abci.ResponseFinalizeBlock{})
	require.Equal(t, "", names(t, f, 3*feedBlocks-1, ""))
	require.Equal(t, "none", names(t, f, 3*feedBlocks, ""))

	large := marketEvent("EventOrderCreated", "")
	large.Attributes[0].Value = strings.Repeat("x", feedBytes/2)
	for h := int64(3 * feedBlocks); h < 3*feedBlocks+3; h++ {
		f.keep(h, &abci.ResponseFinalizeBlock{Events: []abci.Event{large}})
	}
	require.LessOrEqual(t, f.bytes, feedBytes)
	require.Equal(t, "OrderCreated", names(t, f, 3*feedBlocks+2, ""))
	large.Attributes[0].Value = strings.Repeat("x", 2*feedBytes)
	f.keep(3*feedBlocks+3, &abci.ResponseFinalizeBlock{Events: []abci.Event{large}})
	require.Len(t, f.blocks, 1)
	sum := 0
	for _, b := range f.blocks {
		sum += b.bytes
	}
	require.Equal(t, sum, f.bytes)
}
