package types_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const (
	denom = "ubrt"
	mib   = uint64(1) << 20
	tib   = uint64(1) << 40
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

// TestLimits sits on each boundary of what one deployment may ask for: the last value that is right and the first that
// is not, and the values that overflow.
func TestLimits(t *testing.T) {
	u := func(f func(*types.ResourceUnit)) func(*types.MsgCreateDeployment) {
		return func(m *types.MsgCreateDeployment) { f(&m.Groups[0].Units[0]) }
	}
	cpu := func(n uint64) func(*types.MsgCreateDeployment) {
		return u(func(u *types.ResourceUnit) { u.CpuMilli = n })
	}
	mem := func(n uint64) func(*types.MsgCreateDeployment) {
		return u(func(u *types.ResourceUnit) { u.MemoryBytes = n })
	}
	count := func(n uint32) func(*types.MsgCreateDeployment) { return u(func(u *types.ResourceUnit) { u.Count = n }) }
	vol := func(n uint64) func(*types.MsgCreateDeployment) {
		return u(func(u *types.ResourceUnit) { u.Storage = []types.Volume{{Name: "data", Bytes: n}} })
	}
	vols := func(names ...string) func(*types.MsgCreateDeployment) {
		return u(func(u *types.ResourceUnit) {
			for _, n := range names {
				u.Storage = append(u.Storage, types.Volume{Name: n, Bytes: 5 * mib})
			}
		})
	}
	gpu := func(n uint32, attrs ...providertypes.Attribute) func(*types.MsgCreateDeployment) {
		return u(func(u *types.ResourceUnit) { u.Gpu = types.GPU{Count: n, Attributes: attrs} })
	}
	ends := func(n int, k types.EndpointKind) func(*types.MsgCreateDeployment) {
		return u(func(u *types.ResourceUnit) {
			u.Endpoints = make([]types.Endpoint, n)
			for i := range u.Endpoints {
				u.Endpoints[i].Kind = k
			}
		})
	}
	cost := func(c sdk.DecCoin) func(*types.MsgCreateDeployment) {
		return u(func(u *types.ResourceUnit) { u.Price = c })
	}
	units := func(n int) func(*types.MsgCreateDeployment) {
		return func(m *types.MsgCreateDeployment) {
			m.Groups[0].Units = nil
			for i := range n {
				m.Groups[0].Units = append(m.Groups[0].Units, unit(uint32(i+1)))
			}
		}
	}
	groups := func(n int) func(*types.MsgCreateDeployment) {
		return func(m *types.MsgCreateDeployment) {
			m.Groups = nil
			for i := range n {
				m.Groups = append(m.Groups, group(fmt.Sprintf("group-%d", i)))
			}
		}
	}
	name := func(s string) func(*types.MsgCreateDeployment) {
		return func(m *types.MsgCreateDeployment) { m.Groups[0].Name = s }
	}
	hash := func(n int) func(*types.MsgCreateDeployment) {
		return func(m *types.MsgCreateDeployment) { m.ManifestHash = make([]byte, n) }
	}
	auditors := func(n int) func(*types.MsgCreateDeployment) {
		return func(m *types.MsgCreateDeployment) {
			for i := range n {
				m.Groups[0].Requirements.SignedBy.AllOf = append(m.Groups[0].Requirements.SignedBy.AllOf, addr(byte(i)))
			}
		}
	}
	auction := func(mode types.AuctionMode, w uint32) func(*types.MsgCreateDeployment) {
		return func(m *types.MsgCreateDeployment) { m.Auction = types.Auction{Mode: mode, Window: w} }
	}
	key := providertypes.Attribute{Key: "gpu/nvidia/*", Value: "true"}
	for title, tc := range map[string]struct {
		change func(*types.MsgCreateDeployment)
		want   error
	}{
		"the smallest deployment": {func(*types.MsgCreateDeployment) {}, nil},

		"cpu 0":             {cpu(0), types.ErrInvalidResources},
		"cpu 9m":            {cpu(9), types.ErrInvalidResources},
		"cpu 10m":           {cpu(10), nil},
		"cpu 384000m":       {cpu(384_000), nil},
		"cpu 384001m":       {cpu(384_001), types.ErrInvalidResources},
		"cpu 2^63":          {cpu(1 << 63), types.ErrInvalidResources},
		"memory 0":          {mem(0), types.ErrInvalidResources},
		"memory 1 MiB - 1":  {mem(mib - 1), types.ErrInvalidResources},
		"memory 1 MiB":      {mem(mib), nil},
		"memory 2 TiB":      {mem(2 * tib), nil},
		"memory 2 TiB + 1":  {mem(2*tib + 1), types.ErrInvalidResources},
		"memory 2^64 - 1":   {mem(1<<64 - 1), types.ErrInvalidResources},
		"volume 0":          {vol(0), types.ErrInvalidResources},
		"volume 5 MiB - 1":  {vol(5*mib - 1), types.ErrInvalidResources},
		"volume 5 MiB":      {vol(5 * mib), nil},
		"volume 32 TiB":     {vol(32 * tib), nil},
		"volume 32 TiB + 1": {vol(32*tib + 1), types.ErrInvalidResources},
		"volumes of a name": {vols("a", "a"), types.ErrInvalidResources},
		"unnamed volume":    {vols(""), types.ErrInvalidResources},
		"16 volumes":        {vols(strings.Split("a b c d e f g h i j k l m n o p", " ")...), nil},
		"17 volumes":        {vols(strings.Split("a b c d e f g h i j k l m n o p q", " ")...), types.ErrInvalidResources},
		"gpu 24":            {gpu(24, key), nil},
		"gpu 25":            {gpu(25), types.ErrInvalidResources},
		"gpu 2^32 - 1":      {gpu(1<<32 - 1), types.ErrInvalidResources},
		"gpu 0, attributes": {gpu(0, key), types.ErrInvalidResources},
		"gpu, bad key":      {gpu(1, providertypes.Attribute{Key: "*", Value: "v"}), providertypes.ErrInvalidAttributes},
		"count 0":           {count(0), types.ErrInvalidResources},
		"count 1":           {count(1), nil},
		"count 50":          {count(50), nil},
		"count 51":          {count(51), types.ErrInvalidResources},
		"count 2^32 - 1":    {count(1<<32 - 1), types.ErrInvalidResources},
		"64 endpoints":      {ends(64, types.ENDPOINT_KIND_IP), nil},
		"65 endpoints":      {ends(65, types.ENDPOINT_KIND_IP), types.ErrInvalidResources},
		"endpoint of none":  {ends(1, types.ENDPOINT_KIND_UNSPECIFIED), types.ErrInvalidResources},
		"endpoint unknown":  {ends(1, 4), types.ErrInvalidResources},

		"no units":         {units(0), types.ErrInvalidGroups},
		"20 units":         {units(20), nil},
		"21 units":         {units(21), types.ErrInvalidGroups},
		"unit id 0":        {u(func(u *types.ResourceUnit) { u.Id = 0 }), types.ErrInvalidGroups},
		"unit id 2^32 - 1": {u(func(u *types.ResourceUnit) { u.Id = 1<<32 - 1 }), nil},
		"unit id twice":    {func(m *types.MsgCreateDeployment) { m.Groups[0].Units = append(m.Groups[0].Units, unit(1)) }, types.ErrInvalidGroups},
		"no groups":        {groups(0), types.ErrInvalidGroups},
		"20 groups":        {groups(20), nil},
		"21 groups":        {groups(21), types.ErrInvalidGroups},
		"groups of a name": {func(m *types.MsgCreateDeployment) { m.Groups = append(m.Groups, m.Groups[0]) }, types.ErrInvalidGroups},
		"group, no name":   {name(""), types.ErrInvalidGroups},
		"name of 64":       {name(strings.Repeat("n", 64)), nil},
		"name of 65":       {name(strings.Repeat("n", 65)), types.ErrInvalidGroups},

		"price of the smallest step": {cost(price("0.000000000000000001")), nil},
		"price 0":                    {cost(price("0")), types.ErrInvalidPrice},
		"price -1":                   {cost(price("-1")), types.ErrInvalidPrice},
		"no price":                   {cost(sdk.DecCoin{Denom: denom}), types.ErrInvalidPrice},
		"price without a denom":      {cost(sdk.DecCoin{Amount: math.LegacyOneDec()}), types.ErrInvalidPrice},
		"price in another denom":     {cost(sdk.NewInt64DecCoin("uusd", 1)), types.ErrInvalidPrice},
		"a whole token":              {cost(price("1000000")), nil},
		"price 10^30":                {cost(price("1000000000000000000000000000000")), nil},
		"price above 10^30":          {cost(price("1000000000000000000000000000000.000000000000000001")), types.ErrInvalidPrice},

		"hash of 0":  {hash(0), types.ErrInvalidHash},
		"hash of 31": {hash(31), types.ErrInvalidHash},
		"hash of 33": {hash(33), types.ErrInvalidHash},

		"dseq 0":         {func(m *types.MsgCreateDeployment) { m.Id.Dseq = 0 }, types.ErrInvalidID},
		"dseq 2^64 - 1":  {func(m *types.MsgCreateDeployment) { m.Id.Dseq = 1<<64 - 1 }, nil},
		"no owner":       {func(m *types.MsgCreateDeployment) { m.Id.Owner = "" }, providertypes.ErrInvalidAddress},
		"owner in upper": {func(m *types.MsgCreateDeployment) { m.Id.Owner = strings.ToUpper(m.Id.Owner) }, providertypes.ErrInvalidAddress},
		"deposit 0":      {func(m *types.MsgCreateDeployment) { m.Deposit = sdk.NewInt64Coin(denom, 0) }, types.ErrInvalidDeposit},
		"deposit -1":     {func(m *types.MsgCreateDeployment) { m.Deposit.Amount = math.NewInt(-1) }, types.ErrInvalidDeposit},
		"no deposit":     {func(m *types.MsgCreateDeployment) { m.Deposit = sdk.Coin{} }, types.ErrInvalidDeposit},

		"16 auditors": {auditors(16), nil},
		"17 auditors": {auditors(17), types.ErrInvalidGroups},
		"an auditor twice": {func(m *types.MsgCreateDeployment) {
			m.Groups[0].Requirements.SignedBy.AnyOf = []string{addr(1), addr(1)}
		}, types.ErrInvalidGroups},
		"auditor, no address": {func(m *types.MsgCreateDeployment) { m.Groups[0].Requirements.SignedBy.AnyOf = []string{"x"} }, providertypes.ErrInvalidAddress},
		"attributes twice": {func(m *types.MsgCreateDeployment) {
			m.Groups[0].Requirements.Attributes = []providertypes.Attribute{key, key}
		}, providertypes.ErrInvalidAttributes},

		"tenant picks":               {auction(types.AUCTION_MODE_TENANT, 0), nil},
		"tenant picks with a window": {auction(types.AUCTION_MODE_TENANT, 1), types.ErrInvalidAuction},
		"default with a window":      {auction(types.AUCTION_MODE_UNSPECIFIED, 1), types.ErrInvalidAuction},
		"lowest, no window":          {auction(types.AUCTION_MODE_LOWEST, 0), types.ErrInvalidAuction},
		"lowest, one block":          {auction(types.AUCTION_MODE_LOWEST, 1), nil},
		"unknown mode":               {auction(3, 1), types.ErrInvalidAuction},
	} {
		t.Run(title, func(t *testing.T) {
			m := message()
			tc.change(m)
			err := m.ValidateBasic()
			if tc.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tc.want)
		})
	}
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
		g.Deployments = []types.Deployment{{Id: id, State: types.DEPLOYMENT_STATE_ACTIVE, ManifestHash: make([]byte, 32)}}
		for i := range uint32(2) {
			g.Groups = append(g.Groups, types.Group{Id: types.GroupID{Owner: id.Owner, Dseq: id.Dseq, Gseq: i + 1}, State: types.GROUP_STATE_OPEN, Spec: group("g")})
		}
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
		"open group, all is closed": {func(g *types.GenesisState) { g.Deployments[0].State = types.DEPLOYMENT_STATE_CLOSED }, false},
		"a group of 51":             {func(g *types.GenesisState) { g.Groups[0].Spec.Units[0].Count = 51 }, false},
	} {
		g := good()
		tc.change(g)
		if err := g.Validate(); (err == nil) != tc.ok {
			t.Errorf("%s: Validate = %v, want ok=%v", title, err, tc.ok)
		}
	}
}

// FuzzMessages: no message that decodes makes validation panic, and what passes keeps the limits.
func FuzzMessages(f *testing.F) {
	b, err := message().Marshal()
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m types.MsgCreateDeployment
		if m.Unmarshal(b) != nil || m.ValidateBasic() != nil {
			return
		}
		for _, g := range m.Groups {
			if !g.Price().IsPositive() {
				t.Errorf("group %q costs %s", g.Name, g.Price())
			}
		}
	})
}
