package tenant_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	gatewaytypes "berth.dev/berth/provider/gateway/types"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

func asking(amount int64, denom string) func(deploymenttypes.GroupSpec) gatewaytypes.Screening {
	return func(deploymenttypes.GroupSpec) gatewaytypes.Screening {
		return gatewaytypes.Screening{WouldBid: true, Price: &sdk.DecCoin{Denom: denom, Amount: math.LegacyNewDec(amount)}}
	}
}

func refusing(code, reason string) func(deploymenttypes.GroupSpec) gatewaytypes.Screening {
	return func(deploymenttypes.GroupSpec) gatewaytypes.Screening {
		return gatewaytypes.Screening{Code: code, Reason: reason}
	}
}

// TestScreen: all providers are asked about all groups; one that does not answer, or not sensibly, is unknown and keeps
// nobody else's answer away.
func TestScreen(t *testing.T) {
	names := []string{"dear", "cheap", "full", "down", "odd", "free"}
	var bidders []tenanttest.Bidder
	for _, n := range names {
		bidders = append(bidders, tenanttest.NewBidder(n, "x", "1"))
	}
	w := tenanttest.New(bidders...)
	gateway := func(i int) *tenanttest.Gateway { return w.Gateways[bidders[i].Record.Owner] }
	gateway(0).Screen = asking(9, "ubrt")
	gateway(1).Screen = asking(2, "ubrt")
	gateway(2).Screen = refusing("capacity", "memory: 0 of 1 instances fit")
	gateway(3).Down = true
	gateway(4).Screen = asking(5, "shells")
	gateway(5).Screen = func(deploymenttypes.GroupSpec) gatewaytypes.Screening { return gatewaytypes.Screening{WouldBid: true} }
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	groups, err := m.Screen(t.Context(), tenanttest.Plan(t, tenanttest.TwoGroups))
	if err != nil || len(groups) != 2 || groups[0].Group != "east" || groups[1].Group != "west" {
		t.Fatalf("groups %+v, %v", groups, err)
	}
	for _, g := range groups {
		if len(g.Answers) != len(names) || g.WouldBid() != 2 {
			t.Fatalf("answers %+v", g)
		}
		if g.Answers[0].Provider != bidders[1].Record.Owner || g.Answers[1].Provider != bidders[0].Record.Owner {
			t.Errorf("the cheapest is not first: %+v", g.Answers[:2])
		}
		if p := g.Answers[0]; p.PricePerBlock.Amount.String() != "2.000000000000000000" || p.PricePerMonth == nil || p.Region != "x" {
			t.Errorf("the cheapest answer is %+v", p)
		}
		unknown := 0
		for _, a := range g.Answers[2:] {
			if a.WouldBid || a.PricePerBlock != nil {
				t.Errorf("answer %+v", a)
			}
			if a.Unknown != "" {
				unknown++
			}
		}
		refusals := g.RefusalGroups()
		if unknown != 3 || len(refusals) != 2 || refusals[0].Code != "unknown" || refusals[0].Providers != 3 || refusals[1].Code != "capacity" {
			t.Errorf("%d unknown, refusals %+v", unknown, refusals)
		}
	}
}

// TestNobodyBidsAndSaysWhy: a deployment without bids ends with what the providers say.
func TestNobodyBidsAndSaysWhy(t *testing.T) {
	w := tenanttest.New(tenanttest.NewBidder("a", "x", "1"), tenanttest.NewBidder("b", "x", "1"), tenanttest.NewBidder("c", "x", "1"))
	for i := range w.Bidders {
		w.Bidders[i].Delay = 1000
		w.Gateways[w.Bidders[i].Record.Owner].Screen = refusing("price", "price 12 is above the order's maximum 10 per block")
	}
	w.Gateways[w.Bidders[2].Record.Owner].Screen = refusing("capacity", "memory: 0 of 1 instances fit")
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	s := begin(t, m, tenanttest.OneGroup)
	f := wantFailure(t, m.Run(t.Context(), s), tenant.KindNoBid, "2 providers: price 12 is above the order's maximum 10 per block")
	if !strings.Contains(f.Error(), "1 provider: memory: 0 of 1 instances fit") {
		t.Errorf("failure %q does not name the other reason", f.Error())
	}
	// When a provider says that it would bid, its word is not passed on as a reason against.
	w.Gateways[w.Bidders[0].Record.Owner].Screen = nil
	f = wantFailure(t, m.Run(t.Context(), s), tenant.KindNoBid, "1 provider: would bid now, and did not in this time")
	if !strings.Contains(f.Error(), "1 provider: price 12") {
		t.Errorf("failure %q leaves out what the others say", f.Error())
	}
}

// TestScreeningAsksAllAtOnce: no provider's answer waits for another's: here each waits until all have been asked.
func TestScreeningAsksAllAtOnce(t *testing.T) {
	const n = 20
	var bidders []tenanttest.Bidder
	for i := range n {
		bidders = append(bidders, tenanttest.NewBidder(fmt.Sprintf("p%d", i), "x", "1"))
	}
	w := tenanttest.New(bidders...)
	var asked sync.WaitGroup
	asked.Add(n)
	all := make(chan struct{})
	go func() { asked.Wait(); close(all) }()
	for _, b := range bidders {
		w.Gateways[b.Record.Owner].Screen = func(spec deploymenttypes.GroupSpec) gatewaytypes.Screening {
			asked.Done()
			select {
			case <-all:
				return asking(1, "ubrt")(spec)
			case <-time.After(time.Minute):
				return refusing("alone", "the others are not asked")(spec)
			}
		}
	}
	groups, err := w.Machine(tenant.NewFileStore(t.TempDir(), "world")).Screen(t.Context(), tenanttest.Plan(t, tenanttest.OneGroup))
	if err != nil || groups[0].WouldBid() != n {
		t.Errorf("%+v, %v, want %d that would bid", groups, err, n)
	}
}
