package policy

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth.dev/berth/provider/pricing"
	providertypes "berth.dev/berth/x/provider/types"
)

func rule(t *testing.T, source string) *pricing.Rule {
	t.Helper()
	r, err := pricing.CompileRule(source)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheck(t *testing.T) {
	ask := pricing.Ask{
		Owner: "a", Denom: "ubrt", Max: pricing.Whole(10), Attributes: []providertypes.Attribute{{Key: "region", Value: "eu"}, {Key: "tier", Value: "1"}},
	}
	var tally Tally
	for range 2 {
		tally.Add(&Holding{Owner: "a", Open: true, Denom: "ubrt", Price: pricing.Whole(3), DepositDenom: "ubrt", Deposit: pricing.Whole(5)})
	}
	tally.Add(&Holding{Owner: "a", Lease: true, Denom: "ubrt", Price: pricing.Whole(4), DepositDenom: "ubrt", Deposit: pricing.Whole(5)})
	tally.Add(&Holding{Owner: "b", Open: true, Denom: "uusd", Price: pricing.Whole(100), DepositDenom: "ubrt", Deposit: pricing.Whole(5)})
	set := func(s ...string) map[string]struct{} {
		out := map[string]struct{}{}
		for _, x := range s {
			out[x] = struct{}{}
		}
		return out
	}
	limit := func(n uint64) []Limit { return []Limit{{"uusd", pricing.Whole(1)}, {"ubrt", pricing.Whole(n)}} }
	attr := func(k, v string) []providertypes.Attribute { return []providertypes.Attribute{{Key: k, Value: v}} }
	for name, tc := range map[string]struct {
		rules Rules
		code  Code
		why   string
	}{
		"nothing":               {Rules{}, Allowed, "allowed"},
		"denied":                {Rules{Deny: set("a")}, Owner, "owner a is not served"},
		"denied and allowed":    {Rules{Allow: set("a"), Deny: set("a")}, Owner, ""},
		"allowed":               {Rules{Allow: set("a")}, Allowed, ""},
		"others allowed":        {Rules{Allow: set("b")}, Owner, ""},
		"denom":                 {Rules{Denoms: []string{"uusd"}}, Denom, `prices in "ubrt" are not accepted`},
		"denom accepted":        {Rules{Denoms: []string{"uusd", "ubrt"}}, Allowed, ""},
		"required":              {Rules{Require: attr("region", "eu")}, Allowed, ""},
		"required, any value":   {Rules{Require: attr("region", "")}, Allowed, ""},
		"required, another":     {Rules{Require: attr("region", "us")}, Attribute, "by the operator's rule for attributes: it does not ask for region=us"},
		"refused":               {Rules{Refuse: attr("tier", "")}, Attribute, "by the operator's rule for attributes: it asks for tier"},
		"refused, other value":  {Rules{Refuse: attr("tier", "2")}, Allowed, ""},
		"pays enough":           {Rules{MinOrderPrice: limit(10)}, Allowed, ""},
		"pays too little":       {Rules{MinOrderPrice: limit(11)}, OrderPrice, "the order pays at most 10ubrt per block, below the least that is worth a bid, 11ubrt"},
		"bids left":             {Rules{MaxOpenBids: 4}, Allowed, ""},
		"no bids left":          {Rules{MaxOpenBids: 3}, OpenBids, "3 bids are open, and 3 may be"},
		"the owner's left":      {Rules{MaxOwnerOpenBids: 3}, Allowed, ""},
		"none of the owner's":   {Rules{MaxOwnerOpenBids: 2}, OwnerOpenBids, "2 bids for owner a are open, and 2 may be"},
		"deposits":              {Rules{MaxDeposit: limit(25)}, Allowed, ""},
		"deposits beyond":       {Rules{MaxDeposit: limit(24)}, Deposit, "deposits of 20ubrt are held, and 5 more would pass the limit of 24"},
		"exposure":              {Rules{MaxExposure: limit(12)}, Allowed, ""},
		"exposure beyond":       {Rules{MaxExposure: limit(11)}, Exposure, "the owner's bids and leases come to 10ubrt per block, and 2 more would pass the limit of 11"},
		"rule":                  {Rules{Rule: rule(t, "owner.leases == 1 && order.max == amount(10)")}, Allowed, ""},
		"rule says no":          {Rules{Rule: rule(t, "order.attributes.get('tier', '') == '2'")}, RuleSaysNo, "the operator's rule does not want it"},
		"rule fails":            {Rules{Rule: rule(t, "order.attributes['zone'] == '2'")}, RuleFailed, "the operator's rule failed: no such key: zone"},
		"the owner comes first": {Rules{Deny: set("a"), MaxOpenBids: 1, Rule: rule(t, "false")}, Owner, ""},
	} {
		t.Run(name, func(t *testing.T) {
			st := pricing.Standing{OwnerLeases: 1}
			got := tc.rules.Check(&ask, &tally, Limit{"ubrt", pricing.Whole(5)}, &st)
			if got.Code == Allowed {
				got = tc.rules.CheckPrice(&ask, pricing.Whole(2), &tally)
			}
			if got.Code != tc.code || tc.why != "" && got.String() != tc.why {
				t.Errorf("Check = %q: %s, want %q: %s", got.Code, got, tc.code, tc.why)
			}
		})
	}
}

// TestTallyOverRandomHistories compares the sums with sums over all holdings.
func TestTallyOverRandomHistories(t *testing.T) {
	holding := rapid.Custom(func(t *rapid.T) Holding {
		stage := rapid.IntRange(0, 2).Draw(t, "stage")
		return Holding{
			Owner: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "owner"), Open: stage == 1, Lease: stage == 2,
			Denom: rapid.SampledFrom([]string{"ubrt", "uusd"}).Draw(t, "denom"), Price: pricing.Whole(rapid.Uint64Max(1<<40).Draw(t, "price")),
			DepositDenom: "ubrt", Deposit: pricing.Whole(rapid.Uint64Max(1<<40).Draw(t, "deposit")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		var tally Tally
		var all []Holding
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				h := holding.Draw(t, "holding")
				all = append(all, h)
				tally.Add(&h)
			},
			"remove": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				tally.Remove(&all[i])
				all = append(all[:i], all[i+1:]...)
			},
			"": func(t *rapid.T) {
				var bids, leases, ownBids, ownLeases int64
				var deposits, exposure pricing.Amount
				for _, h := range all {
					deposits, _ = deposits.Add(h.Deposit)
					if h.Open {
						bids++
					}
					if h.Lease {
						leases++
					}
					if h.Owner != "a" || !h.Open && !h.Lease {
						continue
					}
					if h.Open {
						ownBids++
					} else {
						ownLeases++
					}
					if h.Denom == "ubrt" {
						exposure, _ = exposure.Add(h.Price)
					}
				}
				gotBids, gotLeases, gotExposure := tally.Owner("a", "ubrt")
				if tally.OpenBids() != bids || tally.Leases() != leases || tally.Deposits("ubrt") != deposits || gotBids != ownBids || gotLeases != ownLeases || gotExposure != exposure {
					t.Fatalf("the tally says %d, %d, %s and of the owner %d, %d, %s; counted %d, %d, %s and %d, %d, %s", tally.OpenBids(), tally.Leases(),
						tally.Deposits("ubrt"), gotBids, gotLeases, gotExposure, bids, leases, deposits, ownBids, ownLeases, exposure)
				}
				if len(all) == 0 && len(tally.owners) != 0 {
					t.Fatal("owners without holdings are remembered")
				}
			},
		})
	})
}

func TestTallyBoundsAmounts(t *testing.T) {
	var tally Tally
	max := pricing.Whole(1 << 63)
	h := Holding{Owner: "a", Open: true, Denom: "ubrt", Price: max, DepositDenom: "ubrt", Deposit: max}
	for range 10_000 {
		tally.Add(&h)
	}
	for range 10_000 {
		tally.Remove(&h)
	}
	if _, _, exposure := tally.Owner("a", "ubrt"); !exposure.IsZero() || !tally.Deposits("ubrt").IsZero() {
		t.Error("something is left")
	}
}

func TestPer(t *testing.T) {
	r := Rules{MinOrderPrice: []Limit{{"ubrt", pricing.Whole(7200)}}, MaxDeposit: []Limit{{"ubrt", pricing.Whole(5)}}, MaxExposure: []Limit{{"ubrt", pricing.Whole(3600)}}}
	got, err := r.Per(time.Hour, time.Second)
	if err != nil || got.MinOrderPrice[0].Amount != pricing.Whole(2) || got.MaxExposure[0].Amount != pricing.Whole(1) || got.MaxDeposit[0].Amount != pricing.Whole(5) ||
		r.MinOrderPrice[0].Amount != pricing.Whole(7200) {
		t.Errorf("Per = %+v, %v", got, err)
	}
}
