package bid_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	"berth.dev/berth/provider/pricing"
	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units"
	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// audited is a chain with a provider whose record and signatures change at random.
type audited struct {
	t      *testing.T
	rnd    *rand.Rand
	chain  *chaintest.Chain
	record bid.Record
}

const (
	tenant, east  = 0, 1
	auditors, all = 2, 5 // the accounts of auditors are those from 2 to 4
)

// offered are what a provider may have, wanted what orders require: keys, with globs, of which some are met by several.
var (
	offered = []string{"region", "tier", "gpu/nvidia/a100", "gpu/nvidia/t4", "gpu/amd/a100", "aa/b"}
	wanted  = []string{"region", "tier", "gpu/nvidia/a100", "gpu/nvidia/*", "gpu/amd/*", "gpu/*", "aa/*", "none"}
)

// some takes each key at odds, with one of two values.
func (a *audited) some(keys []string, odds float64) (out []providertypes.Attribute) {
	for _, k := range keys {
		if a.rnd.Float64() < odds {
			out = append(out, providertypes.Attribute{Key: k, Value: fmt.Sprint(a.rnd.IntN(8) / 7)})
		}
	}
	return out
}

// change gives the provider other attributes and other signatures.
func (a *audited) change(first bool) {
	uri, pin := "https://east.example.com", make([]byte, 32)
	us := a.chain.Addr(east).String()
	a.record = bid.Record{Attributes: a.some(offered, 0.9)}
	if first {
		a.chain.Send(east, &providertypes.MsgCreateProvider{Owner: us, HostUri: uri, TlsPins: [][]byte{pin}, Attributes: a.record.Attributes})
	} else {
		a.chain.Send(east, &providertypes.MsgUpdateProvider{Owner: us, HostUri: uri, TlsPins: [][]byte{pin}, Attributes: a.record.Attributes})
	}
	for who := auditors; who < all; who++ {
		auditor := a.chain.Addr(who).String()
		if !first {
			a.chain.Block(a.chain.Sign(chaintest.Tx{Signers: a.chain.Keys[who : who+1], Msgs: []sdk.Msg{&audittypes.MsgRevokeAttributes{Auditor: auditor, Provider: us}}}))
		}
		signed := a.some(offered, 0.8)
		if a.rnd.IntN(4) == 0 {
			signed = nil
		}
		if len(signed) > 0 {
			a.chain.Send(who, &audittypes.MsgSignAttributes{Auditor: auditor, Provider: us, Attributes: signed})
			a.record.Audits = append(a.record.Audits, bid.Audit{Auditor: auditor, Attributes: signed})
		}
	}
}

// groups are random orders.
func (a *audited) groups(n int) []deploymenttypes.GroupSpec {
	out := make([]deploymenttypes.GroupSpec, n)
	for i := range out {
		out[i] = deploymenttypes.GroupSpec{
			Name:         fmt.Sprintf("g%d", i),
			Requirements: deploymenttypes.PlacementRequirements{Attributes: a.some(wanted[:len(wanted)-a.rnd.IntN(2)], 0.3*a.rnd.Float64())},
			Units: []deploymenttypes.ResourceUnit{{
				Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 1, Price: sdk.NewDecCoin(units.BaseDenom, math.NewInt(1000)),
				Storage:   []deploymenttypes.Volume{{Name: "default", Bytes: 64 << 20}},
				Endpoints: []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP}},
			}},
		}
		for who := auditors; who < all; who++ {
			s, auditor := &out[i].Requirements.SignedBy, a.chain.Addr(who).String()
			switch a.rnd.IntN(4) {
			case 0:
				s.AllOf = append(s.AllOf, auditor)
			case 1:
				s.AnyOf = append(s.AnyOf, auditor)
			}
		}
	}
	return out
}

// TestDecideKnowsTheChainsRule: whether the chain would take a bid, by attributes and signatures, is what Decide says,
// over random orders, records and signatures.
func TestDecideKnowsTheChainsRule(t *testing.T) {
	const rounds, perRound = 12, 20
	a := &audited{t: t, rnd: rand.New(rand.NewPCG(5, 1)), chain: chaintest.NewChain(t, chaintest.Options{Accounts: all})}
	var words bid.Words
	seen := map[bid.Code]int{}
	for round := range rounds {
		a.change(round == 0)
		p := bid.Policy{
			Provider: a.chain.Addr(east).String(), Record: a.record, Rules: &policy.Rules{},
			Prices: pricing.NewSet([]pricing.Table{{Denom: units.BaseDenom, CPU: pricing.Whole(100)}}, nil, false),
		}
		orders := a.orders(uint64(round+1), perRound)
		results := a.bids(orders)
		for i := range orders {
			want := bid.Accepted
			switch code := results[i].Code; code {
			case 0:
			case markettypes.ErrAttributes.ABCICode():
				want = bid.Attribute
			case markettypes.ErrNotAudited.ABCICode():
				want = bid.Signature
			default:
				t.Fatalf("the chain refused with %s/%d", results[i].Codespace, code)
			}
			seen[want]++
			for _, numbered := range []bool{false, true} {
				o, err := bid.Compile(&orders[i])
				if err != nil {
					t.Fatal(err)
				}
				if numbered {
					words.Number(&o)
					p.Learn(&words)
				}
				d := bid.Decide(&o, roomy(), &p, &bid.Standing{Tally: &policy.Tally{}}, 10)
				if d.Reason.Code != want {
					t.Errorf("round %d, numbered %t: %q (%s), the chain says %q\nrequired %+v\nrecord %+v",
						round, numbered, d.Reason.Code, d.Reason, want, orders[i].Spec.Requirements, a.record)
				}
			}
		}
	}
	for _, code := range []bid.Code{bid.Accepted, bid.Attribute, bid.Signature} {
		if seen[code] < rounds*perRound/20 {
			t.Errorf("only %d of %d orders came to %q", seen[code], rounds*perRound, code)
		}
	}
}

// orders makes a deployment and gives its orders.
func (a *audited) orders(dseq uint64, n int) []markettypes.Order {
	a.t.Helper()
	id := deploymenttypes.DeploymentID{Owner: a.chain.Addr(tenant).String(), Dseq: dseq}
	groups := a.groups(n)
	a.chain.Send(tenant, &deploymenttypes.MsgCreateDeployment{
		Id: id, Groups: groups, ManifestHash: make([]byte, 32), Deposit: sdk.NewInt64Coin(units.BaseDenom, 5_000_000),
	})
	out := make([]markettypes.Order, n)
	for i := range out {
		out[i] = markettypes.Order{Id: markettypes.OrderID{Owner: id.Owner, Dseq: dseq, Gseq: uint32(i) + 1, Oseq: 1}, Spec: groups[i]}
	}
	return out
}

// bids bids on all orders, and gives what the chain says to each.
func (a *audited) bids(orders []markettypes.Order) []markettypes.ItemResult {
	a.t.Helper()
	msg := &markettypes.MsgCreateBids{Provider: a.chain.Addr(east).String()}
	for i := range orders {
		msg.Bids = append(msg.Bids, markettypes.BidItem{
			OrderId: orders[i].Id, Price: sdk.NewDecCoin(units.BaseDenom, math.NewInt(10)), Deposit: sdk.NewInt64Coin(units.BaseDenom, markettypes.DefaultBidDeposit),
		})
	}
	var res markettypes.MsgCreateBidsResponse
	if err := res.Unmarshal(a.chain.Send(east, msg)[0].Value); err != nil {
		a.t.Fatal(err)
	}
	return res.Results
}

// roomy has capacity for anything.
func roomy() *inventory.Inventory {
	var v inventory.Inventory
	v.Set(inventory.Supply{Nodes: []inventory.Node{{Name: "a", Capacity: inventory.Amounts{
		inventory.CPU: 1 << 40, inventory.Memory: 1 << 50, inventory.Storage: 1 << 55, inventory.Pods: 1 << 20,
	}}}})
	return &v
}
