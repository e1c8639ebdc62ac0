package types_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
)

func TestMain(m *testing.M) {
	sdk.GetConfig().SetBech32PrefixForAccount("berth", "berthpub")
	os.Exit(m.Run())
}

func addr(b byte) string { a := make([]byte, 20); a[0] = b; return sdk.AccAddress(a).String() }

func TestSlotsSortAsTheirNumbersDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g1, o1 := rapid.Uint32().Draw(t, "g1"), rapid.Uint32().Draw(t, "o1")
		g2, o2 := rapid.Uint32().Draw(t, "g2"), rapid.Uint32().Draw(t, "o2")
		want := g1 < g2 || (g1 == g2 && o1 < o2)
		if got := types.Slot(g1, o1) < types.Slot(g2, o2); got != want {
			t.Fatalf("Slot(%d, %d) < Slot(%d, %d) = %v, want %v", g1, o1, g2, o2, got, want)
		}
		if got := types.SlotGseq(types.Slot(g1, o1)); got != g1 {
			t.Fatalf("SlotGseq = %d, want %d", got, g1)
		}
	})
}

func TestIDsAsKeysAndText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := types.BidID{
			Owner: addr(rapid.Byte().Draw(t, "owner")), Dseq: rapid.Uint64().Draw(t, "dseq"),
			Gseq: rapid.Uint32().Draw(t, "gseq"), Oseq: rapid.Uint32().Draw(t, "oseq"), Provider: addr(rapid.Byte().Draw(t, "provider")),
		}
		parsed, err := types.ParseBidID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, parsed)
		key, err := id.Key()
		require.NoError(t, err)
		buf := make([]byte, types.BidKeyCodec.Size(key))
		n, err := types.BidKeyCodec.Encode(buf, key)
		require.NoError(t, err)
		_, back, err := types.BidKeyCodec.Decode(buf[:n])
		require.NoError(t, err)
		require.Equal(t, key, back)
		order, err := id.OrderID().Key()
		require.NoError(t, err)
		require.Equal(t, order, types.OrderKeyOf(key))
	})
}

func FuzzBidKey(f *testing.F) {
	key := collections.Join4(sdk.AccAddress(make([]byte, 20)), uint64(7), types.Slot(1, 2), sdk.AccAddress(make([]byte, 32)))
	buf := make([]byte, types.BidKeyCodec.Size(key))
	_, err := types.BidKeyCodec.Encode(buf, key)
	require.NoError(f, err)
	f.Add(buf)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, key, err := types.BidKeyCodec.Decode(b)
		if err != nil {
			return
		}
		out := make([]byte, types.BidKeyCodec.Size(key))
		if _, err := types.BidKeyCodec.Encode(out, key); err != nil {
			t.Fatalf("%x decodes to %s, which does not encode: %v", b, types.BidKeyCodec.Stringify(key), err)
		}
	})
}

// FuzzMessages: no message that decodes makes validation panic.
func FuzzMessages(f *testing.F) {
	msg := types.MsgCreateBids{Provider: addr(1), Bids: []types.BidItem{{
		OrderId: types.OrderID{Owner: addr(2), Dseq: 1, Gseq: 1, Oseq: 1}, Price: sdk.NewInt64DecCoin("ubrt", 1), Deposit: sdk.NewInt64Coin("ubrt", 1),
		Offer: []types.ResourceOffer{{Unit: deploymenttypes.ResourceUnit{Id: 1}}},
	}}}
	b, err := msg.Marshal()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, m := range []interface {
			Unmarshal([]byte) error
			ValidateBasic() error
		}{&types.MsgCreateBids{}, &types.MsgCloseBids{}, &types.MsgCreateLease{}, &types.MsgCloseLease{}, &types.MsgStartReclaim{}, &types.MsgWithdrawLeases{}, &types.MsgUpdateParams{}} {
			if m.Unmarshal(b) == nil {
				_ = m.ValidateBasic()
			}
		}
		var gs types.GenesisState
		if gs.Unmarshal(b) == nil {
			_ = gs.Validate()
		}
	})
}

func TestParams(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*types.Params)
		ok     bool
	}{
		"defaults":               {func(*types.Params) {}, true},
		"no bid deposits":        {func(p *types.Params) { p.BidMinDeposits = nil }, false},
		"a zero deposit":         {func(p *types.Params) { p.BidMinDeposits[0].Amount = math.ZeroInt() }, false},
		"a deposit of nothing":   {func(p *types.Params) { p.BidMinDeposits = []sdk.Coin{{}} }, false},
		"a denom twice":          {func(p *types.Params) { p.BidMinDeposits = append(p.BidMinDeposits, p.BidMinDeposits[0]) }, false},
		"two denoms":             {func(p *types.Params) { p.BidMinDeposits = append(p.BidMinDeposits, sdk.NewInt64Coin("uusd", 1)) }, true},
		"no bids":                {func(p *types.Params) { p.OrderMaxBids = 0 }, false},
		"one bid":                {func(p *types.Params) { p.OrderMaxBids = 1 }, true},
		"most bids":              {func(p *types.Params) { p.OrderMaxBids = 100 }, true},
		"too many bids":          {func(p *types.Params) { p.OrderMaxBids = 101 }, false},
		"no exclusion":           {func(p *types.Params) { p.ExclusionBlocks = 0 }, true},
		"negative exclusion":     {func(p *types.Params) { p.ExclusionBlocks = -1 }, false},
		"no work":                {func(p *types.Params) { p.MaxWorkPerBlock = 0 }, false},
		"more work than allowed": {func(p *types.Params) { p.MaxWorkPerBlock = 100_001 }, false},
		"any notice":             {func(p *types.Params) { p.MinReclaimWindowSeconds = 0 }, true},
		"one notice":             {func(p *types.Params) { p.MinReclaimWindowSeconds = p.MaxReclaimWindowSeconds }, true},
		"no notice at all":       {func(p *types.Params) { p.MinReclaimWindowSeconds, p.MaxReclaimWindowSeconds = 0, 0 }, false},
		"bounds exchanged":       {func(p *types.Params) { p.MaxReclaimWindowSeconds = 3599 }, false},
		"a notice of 31 days":    {func(p *types.Params) { p.MaxReclaimWindowSeconds = 31 * 24 * 3600 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := types.DefaultParams()
			tc.change(&p)
			if err := p.Validate(); (err == nil) != tc.ok {
				t.Errorf("Validate(%+v) = %v, want ok=%v", p, err, tc.ok)
			}
		})
	}
}

func genesis() *types.GenesisState {
	order := types.OrderID{Owner: addr(1), Dseq: 1, Gseq: 1, Oseq: 1}
	bid := order.BidID(addr(2))
	spec := deploymenttypes.GroupSpec{Name: "west", Units: []deploymenttypes.ResourceUnit{{
		Id: 1, CpuMilli: 10, MemoryBytes: 1 << 20, Count: 1, Price: sdk.NewInt64DecCoin("ubrt", 1),
	}}}
	return &types.GenesisState{
		Params:  types.DefaultParams(),
		Orders:  []types.Order{{Id: order, State: types.ORDER_STATE_ACTIVE, Spec: spec}},
		Bids:    []types.Bid{{Id: bid, State: types.BID_STATE_ACTIVE, Price: sdk.NewInt64DecCoin("ubrt", 1), Deposit: sdk.NewInt64Coin("ubrt", 1)}},
		Leases:  []types.Lease{{Id: bid, State: types.LEASE_STATE_ACTIVE, Price: sdk.NewInt64DecCoin("ubrt", 1)}},
		Records: []types.ProviderRecord{{Provider: addr(2), Leases: 1, Active: 1}},
	}
}

func TestGenesis(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*types.GenesisState)
		ok     bool
	}{
		"whole":                    {func(*types.GenesisState) {}, true},
		"empty":                    {func(g *types.GenesisState) { *g = *types.DefaultGenesis() }, true},
		"bad parameters":           {func(g *types.GenesisState) { g.Params.OrderMaxBids = 0 }, false},
		"an order twice":           {func(g *types.GenesisState) { g.Orders = append(g.Orders, g.Orders[0]) }, false},
		"an order without a state": {func(g *types.GenesisState) { g.Orders[0].State = 0 }, false},
		"an order without units":   {func(g *types.GenesisState) { g.Orders[0].Spec.Units = nil }, false},
		"a counted order":          {func(g *types.GenesisState) { g.Orders[0].OpenBids = 1 }, false},
		"a bid twice":              {func(g *types.GenesisState) { g.Bids = append(g.Bids, g.Bids[0]) }, false},
		"a bid without its order":  {func(g *types.GenesisState) { g.Orders = nil }, false},
		"a bid without a price":    {func(g *types.GenesisState) { g.Bids[0].Price = sdk.DecCoin{} }, false},
		"an open bid for a lease":  {func(g *types.GenesisState) { g.Bids[0].State = types.BID_STATE_OPEN }, false},
		"an open bid left behind": {func(g *types.GenesisState) {
			b := g.Bids[0]
			b.Id.Provider, b.State = addr(3), types.BID_STATE_OPEN
			g.Bids = append(g.Bids, b)
		}, true},
		"an unknown state of a lease": {func(g *types.GenesisState) { g.Leases[0].State = 5 }, false},
		"reclaiming": {func(g *types.GenesisState) {
			g.Leases[0].State, g.Leases[0].ReclaimDeadline = types.LEASE_STATE_RECLAIMING, 9
		}, true},
		"reclaiming without end":    {func(g *types.GenesisState) { g.Leases[0].State = types.LEASE_STATE_RECLAIMING }, false},
		"active with a deadline":    {func(g *types.GenesisState) { g.Leases[0].ReclaimDeadline = 9 }, false},
		"matched keys in order":     {func(g *types.GenesisState) { g.Leases[0].Matched = []string{"a", "b"} }, true},
		"matched keys out of order": {func(g *types.GenesisState) { g.Leases[0].Matched = []string{"b", "a"} }, false},
		"a matched key twice":       {func(g *types.GenesisState) { g.Leases[0].Matched = []string{"a", "a"} }, false},
		"a delta instead of a record": {func(g *types.GenesisState) {
			g.Records = nil
			g.Deltas = []types.ProviderDelta{{Provider: addr(2), Opened: 1}}
		}, true},
		"a delta that miscounts": {func(g *types.GenesisState) { g.Deltas = []types.ProviderDelta{{Provider: addr(2), Opened: 1}} }, false},
		"a delta that closes": {func(g *types.GenesisState) {
			g.Records[0].Active, g.Records[0].Leases = 2, 2
			g.Deltas = []types.ProviderDelta{{Provider: addr(2), Closed: []types.ReasonCount{{Reason: types.CLOSE_REASON_TENANT, Count: 1}}}}
		}, true},
		"a delta twice": {func(g *types.GenesisState) {
			g.Deltas = []types.ProviderDelta{{Provider: addr(4)}, {Provider: addr(4)}}
		}, false},
		"a delta of nothing": {func(g *types.GenesisState) {
			g.Deltas = []types.ProviderDelta{{Provider: addr(4), Released: []sdk.Coin{{}}}}
		}, false},
		"a delta of nobody":         {func(g *types.GenesisState) { g.Deltas = []types.ProviderDelta{{Provider: "x"}} }, false},
		"a record after a prune":    {func(g *types.GenesisState) { g.Records[0].Leases = 9 }, true},
		"a record of nobody":        {func(g *types.GenesisState) { g.Records = append(g.Records, types.ProviderRecord{Provider: "x"}) }, false},
		"a lease without a price":   {func(g *types.GenesisState) { g.Leases[0].Price = sdk.DecCoin{} }, false},
		"a lease twice":             {func(g *types.GenesisState) { g.Leases = append(g.Leases, g.Leases[0]) }, false},
		"a lease without its bid":   {func(g *types.GenesisState) { g.Bids = nil }, false},
		"a closed lease, active":    {func(g *types.GenesisState) { g.Leases[0].State = types.LEASE_STATE_CLOSED }, false},
		"an active order, no lease": {func(g *types.GenesisState) { g.Leases = nil; g.Records = nil; g.Bids[0].State = types.BID_STATE_LOST }, false},
		"a record twice":            {func(g *types.GenesisState) { g.Records = append(g.Records, g.Records[0]) }, false},
		"a record that miscounts":   {func(g *types.GenesisState) { g.Records[0].Active = 2 }, false},
		"no record":                 {func(g *types.GenesisState) { g.Records = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := genesis()
			tc.change(g)
			if err := g.Validate(); (err == nil) != tc.ok {
				t.Errorf("Validate() = %v, want ok=%v", err, tc.ok)
			}
		})
	}
}
