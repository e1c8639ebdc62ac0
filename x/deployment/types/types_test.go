package types_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
)

const (
	denom = "ubrt"
	mib   = uint64(1) << 20
)

func TestMain(m *testing.M) {
	sdk.GetConfig().SetBech32PrefixForAccount("berth", "berthpub")
	os.Exit(m.Run())
}

func addr(b byte) string { a := make([]byte, 20); a[0] = b; return sdk.AccAddress(a).String() }

func unit(id uint32) types.ResourceUnit {
	return types.ResourceUnit{Id: id, CpuMilli: 100, MemoryBytes: 64 * mib, Count: 1, Price: sdk.NewInt64DecCoin(denom, 1)}
}

func group(name string) types.GroupSpec {
	return types.GroupSpec{Name: name, Units: []types.ResourceUnit{unit(1)}}
}

func message() *types.MsgCreateDeployment {
	return &types.MsgCreateDeployment{
		Id: types.DeploymentID{Owner: addr(1), Dseq: 1}, Groups: []types.GroupSpec{group("west")},
		ManifestHash: make([]byte, 32), Deposit: sdk.NewInt64Coin(denom, 1),
	}
}

func price(s string) sdk.DecCoin {
	return sdk.DecCoin{Denom: denom, Amount: math.LegacyMustNewDecFromStr(s)}
}

func TestGroupPrice(t *testing.T) {
	g := group("west")
	g.Units[0].Count, g.Units[0].Price = 50, price("0.3")
	g.Units = append(g.Units, unit(2))
	require.Equal(t, price("16").String(), g.Price().String())
}

func TestLargestGroupPriceDoesNotOverflow(t *testing.T) {
	m := message()
	m.Groups[0].Units = nil
	for i := range types.MaxUnits {
		u := unit(uint32(i + 1))
		u.Count, u.Price = types.MaxCount, price("1000000000000000000000000000000")
		m.Groups[0].Units = append(m.Groups[0].Units, u)
	}
	require.NoError(t, m.ValidateBasic())
	require.Equal(t, "1000000000000000000000000000000000.000000000000000000", m.Groups[0].Price().Amount.String())
}

func TestParams(t *testing.T) {
	for title, tc := range map[string]struct {
		change func(*types.Params)
		ok     bool
	}{
		"defaults":          {func(*types.Params) {}, true},
		"no price":          {func(p *types.Params) { p.MaxUnitPrice = math.Int{} }, false},
		"price 0":           {func(p *types.Params) { p.MaxUnitPrice = math.ZeroInt() }, false},
		"price 1":           {func(p *types.Params) { p.MaxUnitPrice = math.OneInt() }, true},
		"price 10^30":       {func(p *types.Params) { p.MaxUnitPrice = math.NewIntWithDecimal(1, 30) }, true},
		"price 10^30 + 1":   {func(p *types.Params) { p.MaxUnitPrice = math.NewIntWithDecimal(1, 30).AddRaw(1) }, false},
		"retention 0":       {func(p *types.Params) { p.RetentionBlocks = 0 }, false},
		"retention -1":      {func(p *types.Params) { p.RetentionBlocks = -1 }, false},
		"retention 1":       {func(p *types.Params) { p.RetentionBlocks = 1 }, true},
		"a year's":          {func(p *types.Params) { p.RetentionBlocks = 63_072_000 }, true},
		"more than a year":  {func(p *types.Params) { p.RetentionBlocks = 63_072_001 }, false},
		"retention 2^63-1":  {func(p *types.Params) { p.RetentionBlocks = 1<<63 - 1 }, false},
		"prune 49":          {func(p *types.Params) { p.MaxPrunePerBlock = 49 }, false},
		"prune 50":          {func(p *types.Params) { p.MaxPrunePerBlock = 50 }, true},
		"prune 10^4":        {func(p *types.Params) { p.MaxPrunePerBlock = 10_000 }, true},
		"prune 10^4 + 1":    {func(p *types.Params) { p.MaxPrunePerBlock = 10_001 }, false},
		"window 0":          {func(p *types.Params) { p.MaxAuctionWindow = 0 }, false},
		"window 10^6":       {func(p *types.Params) { p.MaxAuctionWindow = 1_000_000 }, true},
		"window above 10^6": {func(p *types.Params) { p.MaxAuctionWindow = 1_000_001 }, false},
	} {
		p := types.DefaultParams()
		tc.change(&p)
		if err := p.Validate(); (err == nil) != tc.ok {
			t.Errorf("%s: Validate = %v, want ok=%v", title, err, tc.ok)
		}
	}
}

func TestGenesis(t *testing.T) {
	good := func() *types.GenesisState {
		g := types.DefaultGenesis()
		id := types.DeploymentID{Owner: addr(1), Dseq: 5}
		gone := types.DeploymentID{Owner: addr(1), Dseq: 4}
		g.Deployments = []types.Deployment{
			{Id: id, State: types.DEPLOYMENT_STATE_ACTIVE, ManifestHash: make([]byte, 32)},
			{Id: gone, State: types.DEPLOYMENT_STATE_CLOSED, ManifestHash: make([]byte, 32), ClosedAt: 3, PruneAt: 9},
		}
		g.Floors = []types.PruneFloor{{Owner: addr(1), Dseq: 7}}
		for i := range uint32(2) {
			g.Groups = append(g.Groups, types.Group{Id: types.GroupID{Owner: id.Owner, Dseq: id.Dseq, Gseq: i + 1}, State: types.GROUP_STATE_OPEN, Spec: group("g")})
		}
		g.Groups = append(g.Groups, types.Group{Id: types.GroupID{Owner: gone.Owner, Dseq: gone.Dseq, Gseq: 1}, State: types.GROUP_STATE_CLOSED, Spec: group("g")})
		return g
	}
	for title, tc := range map[string]struct {
		change func(*types.GenesisState)
		ok     bool
	}{
		"whole":                     {func(*types.GenesisState) {}, true},
		"empty":                     {func(g *types.GenesisState) { *g = *types.DefaultGenesis() }, true},
		"bad parameters":            {func(g *types.GenesisState) { g.Params.MaxAuctionWindow = 0 }, false},
		"twice":                     {func(g *types.GenesisState) { g.Deployments = append(g.Deployments, g.Deployments[0]) }, false},
		"no state":                  {func(g *types.GenesisState) { g.Deployments[0].State = 0 }, false},
		"no hash":                   {func(g *types.GenesisState) { g.Deployments[0].ManifestHash = nil }, false},
		"no groups":                 {func(g *types.GenesisState) { g.Groups = nil }, false},
		"no deployment":             {func(g *types.GenesisState) { g.Deployments = nil }, false},
		"a group twice":             {func(g *types.GenesisState) { g.Groups[1] = g.Groups[0] }, false},
		"a gap between groups":      {func(g *types.GenesisState) { g.Groups[1].Id.Gseq = 3 }, false},
		"open group, all is closed": {func(g *types.GenesisState) { g.Groups[2].State = types.GROUP_STATE_OPEN }, false},
		"closed, not to be pruned":  {func(g *types.GenesisState) { g.Deployments[1].PruneAt = 0 }, false},
		"pruned before it closed":   {func(g *types.GenesisState) { g.Deployments[1].PruneAt = 2 }, false},
		"active, to be pruned":      {func(g *types.GenesisState) { g.Deployments[0].PruneAt = 9 }, false},
		"too long a notice": {func(g *types.GenesisState) {
			g.Deployments[0].Reclamation.MinWindowSeconds = types.MaxReclaimWindow + 1
		}, false},
		"floor 0":             {func(g *types.GenesisState) { g.Floors[0].Dseq = 0 }, false},
		"a floor of nobody":   {func(g *types.GenesisState) { g.Floors[0].Owner = "" }, false},
		"a floor twice":       {func(g *types.GenesisState) { g.Floors = append(g.Floors, g.Floors[0]) }, false},
		"an active one below": {func(g *types.GenesisState) { g.Floors[0].Dseq = 1 << 63 }, true},
		"a group of 51":       {func(g *types.GenesisState) { g.Groups[0].Spec.Units[0].Count = 51 }, false},
	} {
		g := good()
		tc.change(g)
		if err := g.Validate(); (err == nil) != tc.ok {
			t.Errorf("%s: Validate = %v, want ok=%v", title, err, tc.ok)
		}
	}
}
