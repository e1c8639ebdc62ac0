package main

import (
	"encoding/json"
	"strings"
	"testing"

	gatewaytypes "berth.dev/berth/provider/gateway/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// TestPlanCheckBids: the plan comes with what providers say of it, and the exit code tells a script whether all groups
// would find one. Nothing is sent.
func TestPlanCheckBids(t *testing.T) {
	d := newDesk(t, twoRegions()...)
	stdout, stderr, code := d.run("plan", "two.yaml", "--check-bids")
	if code != exitOK || !strings.Contains(stdout, "Group east") || !strings.Contains(stdout, "would bid") {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	for _, g := range d.world.Gateways {
		g.Screen = func(spec deploymenttypes.GroupSpec) gatewaytypes.Screening {
			if spec.Name == "east" {
				return gatewaytypes.Screening{Code: "capacity", Reason: "memory: 0 of 2 instances fit\x1b[31m"}
			}
			return gatewaytypes.Screening{Code: "price", Reason: "too little"}
		}
	}
	stdout, _, code = d.run("plan", "two.yaml", "--check-bids")
	if code != exitNoBid || !strings.Contains(stdout, "Group east: 0 providers would bid") || !strings.Contains(stdout, "0 of 2 instances fit") {
		t.Errorf("exit %d, want %d\n%s", code, exitNoBid, stdout)
	}
	if strings.Contains(stdout, "\x1b[31m") {
		t.Error("a provider's text reached the terminal as it is")
	}
	stdout, _, code = d.run("plan", "two.yaml", "--check-bids", "-o", "json")
	var out struct {
		Groups    []any `json:"groups"`
		Screening []struct {
			Group   string `json:"group"`
			Answers []struct {
				WouldBid bool   `json:"would_bid"`
				Code     string `json:"code"`
			} `json:"answers"`
		} `json:"screening"`
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || code != exitNoBid {
		t.Fatalf("exit %d, %v\n%s", code, err, stdout)
	}
	if len(out.Groups) != 2 || len(out.Screening) != 2 || len(out.Screening[0].Answers) != 3 || out.Screening[0].Answers[0].Code != "capacity" {
		t.Errorf("JSON %+v", out)
	}
	if len(d.world.Sent) != 0 {
		t.Errorf("transactions were sent: %v", d.world.Sent)
	}
	if _, _, code := d.run("plan", "bad.yaml", "--check-bids"); code != exitUsage {
		t.Errorf("a bad document: exit %d", code)
	}
}

// TestPlanCheckBidsWithoutProviders: a market without providers is not an error, but no place to deploy either.
func TestPlanCheckBidsWithoutProviders(t *testing.T) {
	d := newDesk(t)
	stdout, _, code := d.run("plan", "one.yaml", "--check-bids")
	if code != exitNoBid || !strings.Contains(stdout, "no provider is registered") {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}
