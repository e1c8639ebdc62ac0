package gateway_test

import (
	"context"
	"strings"
	"testing"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	"berth.dev/berth/provider/gateway/internal/wire"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// wouldBid asks about a group that uses every field.
func wouldBid() *gatewaytypes.WouldBidRequest {
	return &gatewaytypes.WouldBidRequest{Owner: "berth1tenant", ReclaimWindowSeconds: 3600, Groups: []deploymenttypes.GroupSpec{{
		Name: "web",
		Requirements: deploymenttypes.PlacementRequirements{
			Attributes: []providertypes.Attribute{{Key: "region", Value: "east"}},
			SignedBy:   deploymenttypes.SignedBy{AllOf: []string{gatewaytest.NewAccount("auditor").Address}},
		},
		Units: []deploymenttypes.ResourceUnit{{
			Id: 1, CpuMilli: 500, MemoryBytes: 1 << 30, Count: 2, Price: sdk.NewDecCoin("ubrt", math.NewInt(100)),
			Storage: []deploymenttypes.Volume{{Name: "data", Bytes: 1 << 30, Attributes: []providertypes.Attribute{
				{Key: "class", Value: "beta2"}, {Key: "persistent", Value: "true"},
			}}},
			Gpu:       deploymenttypes.GPU{Count: 1, Attributes: []providertypes.Attribute{{Key: "vendor/nvidia/model/a100", Value: "true"}}},
			Endpoints: []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP, Sequence: 1}},
		}},
	}}}
}

// wouldBidBody is the same in JSON.
var wouldBidBody = strings.Replace(`{"owner":"berth1tenant","groups":[{"name":"web",
	"requirements":{"attributes":[{"key":"region","value":"east"}],"signed_by":{"all_of":["AUDITOR"],"any_of":[]}},
	"units":[{"id":1,"cpu_milli":"500","memory_bytes":"1073741824","count":2,"price":{"denom":"ubrt","amount":"100"},
		"storage":[{"name":"data","bytes":"1073741824","attributes":[{"key":"class","value":"beta2"},{"key":"persistent","value":"true"}]}],
		"gpu":{"count":1,"attributes":[{"key":"vendor/nvidia/model/a100","value":"true"}]},
		"endpoints":[{"kind":"ENDPOINT_KIND_HTTP","sequence":1}]}]}],"reclaim_window_seconds":3600}`, "AUDITOR", gatewaytest.NewAccount("auditor").Address, 1)

func TestWouldBid(t *testing.T) {
	backend := gatewaytest.Obliging()
	backend.WouldBidFunc = func(_ context.Context, req gatewaytypes.WouldBidRequest) (gatewaytypes.WouldBidResponse, error) {
		if req.Owner != "berth1tenant" || req.ReclaimWindowSeconds != 3600 || len(req.Groups) != 1 || req.Groups[0].Units[0].Gpu.Count != 1 {
			t.Errorf("the backend was asked %+v", req)
		}
		price := sdk.NewDecCoin("ubrt", math.NewInt(7))
		return gatewaytypes.WouldBidResponse{Height: 9, Groups: []gatewaytypes.Screening{{WouldBid: true, Price: &price}}}, nil
	}
	v := newVisitor(t, gatewaytest.Start(t, backend))
	code, answer := v.ask(v.request("POST", "/v1/wouldbid", wouldBidBody))
	if code != 200 || !strings.Contains(answer, `"would_bid":true`) || !strings.Contains(answer, `"amount":"7.`) {
		t.Errorf("by JSON: %d %s", code, answer)
	}
	ctx, api := v.api()
	res, err := api.WouldBid(ctx, wouldBid())
	if err != nil || res.Height != 9 || !res.Groups[0].WouldBid || res.Groups[0].Price.String() != "7.000000000000000000ubrt" {
		t.Errorf("by gRPC: %v, %v", res, err)
	}
}

// TestWouldBidRefuses: what could never be an order is not asked about.
func TestWouldBidRefuses(t *testing.T) {
	backend := gatewaytest.Obliging()
	backend.WouldBidFunc = func(context.Context, gatewaytypes.WouldBidRequest) (gatewaytypes.WouldBidResponse, error) {
		t.Error("the backend was asked")
		return gatewaytypes.WouldBidResponse{}, nil
	}
	v := newVisitor(t, gatewaytest.Start(t, backend))
	ctx, api := v.api()
	for name, tc := range map[string]struct {
		edit func(*gatewaytypes.WouldBidRequest)
		want string
	}{
		"no groups":       {func(r *gatewaytypes.WouldBidRequest) { r.Groups = nil }, "0 groups"},
		"too many groups": {func(r *gatewaytypes.WouldBidRequest) { r.Groups = make([]deploymenttypes.GroupSpec, 21) }, "21 groups"},
		"no units":        {func(r *gatewaytypes.WouldBidRequest) { r.Groups[0].Units = nil }, "would refuse"},
		"no price":        {func(r *gatewaytypes.WouldBidRequest) { r.Groups[0].Units[0].Price = sdk.DecCoin{} }, "would refuse"},
		"huge count":      {func(r *gatewaytypes.WouldBidRequest) { r.Groups[0].Units[0].Count = 1 << 31 }, "would refuse"},
		"long owner":      {func(r *gatewaytypes.WouldBidRequest) { r.Owner = strings.Repeat("b", 200) }, "longer than"},
	} {
		req := wouldBid()
		tc.edit(req)
		_, err := api.WouldBid(ctx, req)
		if p := wire.FromError(err); err == nil || p.Code != wire.Invalid || !strings.Contains(p.Message, tc.want) {
			t.Errorf("%s: %v, want invalid and %q", name, err, tc.want)
		}
	}
	for name, body := range map[string]string{
		"unknown key":  strings.Replace(wouldBidBody, `"owner"`, `"ownr"`, 1),
		"key twice":    strings.Replace(wouldBidBody, `"owner":"berth1tenant"`, `"owner":"a","owner":"b"`, 1),
		"unknown kind": strings.Replace(wouldBidBody, "ENDPOINT_KIND_HTTP", "ENDPOINT_KIND_SMTP", 1),
		"no number":    strings.Replace(wouldBidBody, `"500"`, `"half"`, 1),
		"no price":     strings.Replace(wouldBidBody, `"amount":"100"`, `"amount":"1e400"`, 1),
		"a list":       "[]",
	} {
		if code, answer := v.ask(v.request("POST", "/v1/wouldbid", body)); code != 400 {
			t.Errorf("%s: %d %s, want 400", name, code, answer)
		}
	}
}

// TestWouldBidIsLimited: it costs a provider more than the other public route, hence less of it is free.
func TestWouldBidIsLimited(t *testing.T) {
	v := newVisitor(t, gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) { c.Limits.ScreenRate = 1e-6 }))
	ctx, api := v.api()
	if _, err := api.WouldBid(ctx, wouldBid()); err != nil {
		t.Fatal(err)
	}
	_, err := api.WouldBid(ctx, wouldBid())
	if p := wire.FromError(err); err == nil || p.Code != wire.TooMany {
		t.Errorf("the second question: %v, want %s", err, wire.TooMany)
	}
	if code := v.json("Status", v.id, nil); code != 200 {
		t.Errorf("Status = %d, though only questions are limited", code)
	}
}
