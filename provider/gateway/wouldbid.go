package gateway

import (
	"bytes"
	"context"
	"net/url"
	"time"

	"cosmossdk.io/math"

	"github.com/cosmos/gogoproto/jsonpb"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/gateway/internal/strictjson"
	"berth.dev/berth/provider/gateway/internal/wire"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// wouldBidKeys are the names of all fields of a WouldBidRequest and of what lies in it.
var wouldBidKeys = []string{
	"owner", "groups", "reclaim_window_seconds",
	"name", "requirements", "attributes", "key", "value", "signed_by", "all_of", "any_of",
	"units", "id", "cpu_milli", "memory_bytes", "storage", "bytes", "gpu", "count", "endpoints", "kind", "sequence",
	"price", "denom", "amount",
}

// fillWouldBid reads the JSON form of a WouldBidRequest.
func fillWouldBid(m proto.Message, q url.Values, body []byte) error {
	if err := onlyKeys(q); err != nil {
		return err
	}
	if err := strictjson.Check(body, wouldBidKeys...); err != nil {
		return err
	}
	return jsonpb.Unmarshal(bytes.NewReader(body), m)
}

// runWouldBid answers what anybody may ask. What the chain would not take as an order is refused here too, so that an
// answer is always about an order that could be.
func (s *Server) runWouldBid(ctx context.Context, b Backend, m proto.Message, out answer) error {
	req := m.(*gatewaytypes.WouldBidRequest)
	switch n := len(req.Groups); {
	case n == 0 || n > deploymenttypes.MaxGroups:
		return wire.Errorf(wire.Invalid, "%d groups are asked about, want 1 to %d", n, deploymenttypes.MaxGroups)
	case len(req.Owner) > maxOwner:
		return wire.Errorf(wire.Invalid, "the owner's address is longer than %d", maxOwner)
	}
	if !s.byScreen.allow(addrKey(callFrom(ctx).from), time.Now()) {
		return wire.Errorf(wire.TooMany, "too many questions about bids from this address").Then("wait a second")
	}
	if err := deploymenttypes.ValidateGroups(req.Groups, req.Groups[0].Denom(), maxUnitPrice); err != nil {
		return wire.Errorf(wire.Invalid, "the chain would refuse the groups: %v", err)
	}
	res, err := b.WouldBid(ctx, *req)
	if err != nil {
		return err
	}
	return out.send(&res)
}

// maxOwner is longer than any address.
const maxOwner = 128

// maxUnitPrice is above what chains allow; theirs is a parameter, which is of no matter for an answer.
var maxUnitPrice = math.NewIntWithDecimal(1, 30)
