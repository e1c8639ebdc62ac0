package keeper_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const (
	mib = uint64(1) << 20
	tib = uint64(1) << 40
)

// spoil changes a message.
type spoil func(*types.MsgCreateDeployment)

// first changes the first unit of the first group.
func first(f func(*types.ResourceUnit)) spoil {
	return func(m *types.MsgCreateDeployment) { f(&m.Groups[0].Units[0]) }
}

func cpu(n uint64) spoil    { return first(func(u *types.ResourceUnit) { u.CpuMilli = n }) }
func memory(n uint64) spoil { return first(func(u *types.ResourceUnit) { u.MemoryBytes = n }) }
func count(n uint32) spoil  { return first(func(u *types.ResourceUnit) { u.Count = n }) }

func volume(n uint64) spoil {
	return first(func(u *types.ResourceUnit) { u.Storage = []types.Volume{{Name: "data", Bytes: n}} })
}

func volumes(names ...string) spoil {
	return first(func(u *types.ResourceUnit) {
		for _, n := range names {
			u.Storage = append(u.Storage, types.Volume{Name: n, Bytes: 5 * mib})
		}
	})
}

func gpu(n uint32, attrs ...providertypes.Attribute) spoil {
	return first(func(u *types.ResourceUnit) { u.Gpu = types.GPU{Count: n, Attributes: attrs} })
}

func endpoints(n int, k types.EndpointKind) spoil {
	return first(func(u *types.ResourceUnit) {
		u.Endpoints = make([]types.Endpoint, n)
		for i := range u.Endpoints {
			u.Endpoints[i] = types.Endpoint{Kind: k, Sequence: uint32(i)}
		}
	})
}

func price(denom, amount string) spoil {
	return first(func(u *types.ResourceUnit) {
		u.Price = sdk.DecCoin{Denom: denom, Amount: math.LegacyMustNewDecFromStr(amount)}
	})
}

// units gives the first group n units, each changed by f.
func units(n int, f func(*types.ResourceUnit)) spoil {
	return func(m *types.MsgCreateDeployment) {
		m.Groups[0].Units = nil
		for i := range n {
			u := unit(math.LegacyOneDec())
			u.Id = uint32(i + 1)
			if f != nil {
				f(&u)
			}
			m.Groups[0].Units = append(m.Groups[0].Units, u)
		}
	}
}

func groups(n int) spoil {
	return func(m *types.MsgCreateDeployment) {
		m.Groups = nil
		for i := range n {
			m.Groups = append(m.Groups, types.GroupSpec{Name: fmt.Sprintf("group-%d", i), Units: []types.ResourceUnit{unit(math.LegacyOneDec())}})
		}
	}
}

func groupName(s string) spoil {
	return func(m *types.MsgCreateDeployment) { m.Groups[0].Name = s }
}

func hash(n int) spoil {
	return func(m *types.MsgCreateDeployment) { m.ManifestHash = make([]byte, n) }
}

func dseq(n uint64) spoil { return func(m *types.MsgCreateDeployment) { m.Id.Dseq = n } }

// requireAttr lets the first group ask for an attribute.
func requireAttr(key, value string) spoil {
	return requireAttrs(providertypes.Attribute{Key: key, Value: value})
}

func requireAttrs(attrs ...providertypes.Attribute) spoil {
	return func(m *types.MsgCreateDeployment) { m.Groups[0].Requirements.Attributes = attrs }
}

// different gives n attributes of different keys.
func different(n int) []providertypes.Attribute {
	as := make([]providertypes.Attribute, n)
	for i := range as {
		as[i] = providertypes.Attribute{Key: fmt.Sprintf("key-%d", i), Value: "v"}
	}
	return as
}

func allOf(auditors ...string) spoil {
	return func(m *types.MsgCreateDeployment) { m.Groups[0].Requirements.SignedBy.AllOf = auditors }
}

func anyOf(auditors ...string) spoil {
	return func(m *types.MsgCreateDeployment) { m.Groups[0].Requirements.SignedBy.AnyOf = auditors }
}

func addrs(n int) []string {
	as := make([]string, n)
	for i := range as {
		as[i] = addr(byte(i + 1))
	}
	return as
}

func auction(mode types.AuctionMode, window uint32) spoil {
	return func(m *types.MsgCreateDeployment) { m.Auction = types.Auction{Mode: mode, Window: window} }
}

func reclaim(seconds uint32) spoil {
	return func(m *types.MsgCreateDeployment) { m.Reclamation.MinWindowSeconds = seconds }
}

// TestLimits sits on each boundary of what one deployment may ask for, on the way that a transaction takes: the last
// value that is right and the first that is not, and values that would overflow. What is refused changes nothing.
func TestLimits(t *testing.T) {
	letters := strings.Split("a b c d e f g h i j k l m n o p q", " ")
	key := providertypes.Attribute{Key: "gpu/nvidia/*", Value: "true"}
	full := func(u *types.ResourceUnit) { u.CpuMilli, u.Count = types.MaxCPU, types.MaxCount }
	for title, tc := range map[string]struct {
		change spoil
		want   error
	}{
		"the smallest deployment": {func(*types.MsgCreateDeployment) {}, nil},

		"cpu 0":              {cpu(0), types.ErrInvalidResources},
		"cpu 9m":             {cpu(9), types.ErrInvalidResources},
		"cpu 10m":            {cpu(10), nil},
		"cpu 384000m":        {cpu(384_000), nil},
		"cpu 384001m":        {cpu(384_001), types.ErrInvalidResources},
		"cpu 2^63":           {cpu(1 << 63), types.ErrInvalidResources},
		"cpu 2^64 - 1":       {cpu(1<<64 - 1), types.ErrInvalidResources},
		"memory 0":           {memory(0), types.ErrInvalidResources},
		"memory 1 MiB - 1":   {memory(mib - 1), types.ErrInvalidResources},
		"memory 1 MiB":       {memory(mib), nil},
		"memory 2 TiB":       {memory(2 * tib), nil},
		"memory 2 TiB + 1":   {memory(2*tib + 1), types.ErrInvalidResources},
		"memory 2^64 - 1":    {memory(1<<64 - 1), types.ErrInvalidResources},
		"volume 0":           {volume(0), types.ErrInvalidResources},
		"volume 5 MiB - 1":   {volume(5*mib - 1), types.ErrInvalidResources},
		"volume 5 MiB":       {volume(5 * mib), nil},
		"volume 32 TiB":      {volume(32 * tib), nil},
		"volume 32 TiB + 1":  {volume(32*tib + 1), types.ErrInvalidResources},
		"volume 2^64 - 1":    {volume(1<<64 - 1), types.ErrInvalidResources},
		"volumes of a name":  {volumes("a", "a"), types.ErrInvalidResources},
		"volume, no name":    {volumes(""), types.ErrInvalidResources},
		"volume name of 64":  {volumes(strings.Repeat("n", 64)), nil},
		"volume name of 65":  {volumes(strings.Repeat("n", 65)), types.ErrInvalidResources},
		"16 volumes":         {volumes(letters[:16]...), nil},
		"17 volumes":         {volumes(letters...), types.ErrInvalidResources},
		"gpu 0":              {gpu(0), nil},
		"gpu 24":             {gpu(24, key), nil},
		"gpu 25":             {gpu(25), types.ErrInvalidResources},
		"gpu 2^32 - 1":       {gpu(1<<32 - 1), types.ErrInvalidResources},
		"gpu 0, attributes":  {gpu(0, key), types.ErrInvalidResources},
		"gpu, bad key":       {gpu(1, providertypes.Attribute{Key: "*", Value: "v"}), providertypes.ErrInvalidAttributes},
		"gpu, 64 attributes": {gpu(1, different(64)...), nil},
		"gpu, 65 attributes": {gpu(1, different(65)...), providertypes.ErrInvalidAttributes},
		"count 0":            {count(0), types.ErrInvalidResources},
		"count 1":            {count(1), nil},
		"count 50":           {count(50), nil},
		"count 51":           {count(51), types.ErrInvalidResources},
		"count 2^32 - 1":     {count(1<<32 - 1), types.ErrInvalidResources},
		"64 endpoints":       {endpoints(64, types.ENDPOINT_KIND_IP), nil},
		"65 endpoints":       {endpoints(65, types.ENDPOINT_KIND_IP), types.ErrInvalidResources},
		"endpoint of none":   {endpoints(1, types.ENDPOINT_KIND_UNSPECIFIED), types.ErrInvalidResources},
		"endpoint unknown":   {endpoints(1, 4), types.ErrInvalidResources},
		"endpoint kind -1":   {endpoints(1, -1), types.ErrInvalidResources},

		"no units":         {units(0, nil), types.ErrInvalidGroups},
		"20 units":         {units(20, nil), nil},
		"21 units":         {units(21, nil), types.ErrInvalidGroups},
		"unit id 0":        {first(func(u *types.ResourceUnit) { u.Id = 0 }), types.ErrInvalidGroups},
		"unit id 2^32 - 1": {first(func(u *types.ResourceUnit) { u.Id = 1<<32 - 1 }), nil},
		"unit id twice":    {units(2, func(u *types.ResourceUnit) { u.Id = 1 }), types.ErrInvalidGroups},
		"no groups":        {groups(0), types.ErrInvalidGroups},
		"20 groups":        {groups(20), nil},
		"21 groups":        {groups(21), types.ErrInvalidGroups},
		"groups of a name": {func(m *types.MsgCreateDeployment) { m.Groups[1].Name = m.Groups[0].Name }, types.ErrInvalidGroups},
		"group, no name":   {groupName(""), types.ErrInvalidGroups},
		"name of 64":       {groupName(strings.Repeat("n", 64)), nil},
		"name of 65":       {groupName(strings.Repeat("n", 65)), types.ErrInvalidGroups},

		// 50 instances of the largest size are the most that one group may have, however it is cut into units.
		"all cpu":      {units(1, full), nil},
		"more cpu":     {then(units(2, full), func(m *types.MsgCreateDeployment) { m.Groups[0].Units[1].CpuMilli, m.Groups[0].Units[1].Count = 10, 1 }), types.ErrInvalidResources},
		"all memory":   {units(20, func(u *types.ResourceUnit) { u.MemoryBytes, u.Count = tib, 5 }), nil},
		"more memory":  {units(20, func(u *types.ResourceUnit) { u.MemoryBytes, u.Count = tib+1, 5 }), types.ErrInvalidResources},
		"all gpu":      {units(20, func(u *types.ResourceUnit) { u.Gpu.Count, u.Count = 12, 5 }), nil},
		"more gpu":     {units(20, func(u *types.ResourceUnit) { u.Gpu.Count, u.Count = 13, 5 }), types.ErrInvalidResources},
		"all storage":  {units(20, func(u *types.ResourceUnit) { u.Storage, u.Count = []types.Volume{{Name: "a", Bytes: 16 * tib}}, 5 }), nil},
		"more storage": {units(20, func(u *types.ResourceUnit) { u.Storage, u.Count = []types.Volume{{Name: "a", Bytes: 16*tib + 1}}, 5 }), types.ErrInvalidResources},
		"second volumes": {units(20, func(u *types.ResourceUnit) {
			u.Storage, u.Count = []types.Volume{{Name: "a", Bytes: 16 * tib}, {Name: "b", Bytes: 16 * tib}}, 5
		}), nil},
		"everything at its largest": {units(20, func(u *types.ResourceUnit) {
			u.CpuMilli, u.MemoryBytes, u.Count, u.Gpu.Count = types.MaxCPU, types.MaxMemory, types.MaxCount, types.MaxGPU
			for _, n := range letters[:16] {
				u.Storage = append(u.Storage, types.Volume{Name: n, Bytes: types.MaxVolume})
			}
		}), types.ErrInvalidResources},

		"price of the smallest step": {price(denom, "0.000000000000000001"), nil},
		"price 0":                    {price(denom, "0"), types.ErrInvalidPrice},
		"price -1":                   {price(denom, "-1"), types.ErrInvalidPrice},
		"no price":                   {first(func(u *types.ResourceUnit) { u.Price = sdk.DecCoin{Denom: denom} }), types.ErrInvalidPrice},
		"price without a denom":      {price("", "1"), types.ErrInvalidPrice},
		"price in another denom":     {price("uusd", "1"), types.ErrInvalidPrice},
		"the reference's largest":    {price(denom, "10000000"), nil},
		"the largest price":          {price(denom, "1000000000000"), nil},
		"one step above":             {price(denom, "1000000000000.000000000000000001"), types.ErrInvalidPrice},
		"price 2^256 - 1":            {first(func(u *types.ResourceUnit) { u.Price.Amount = math.LegacyNewDecFromInt(math.NewIntWithDecimal(1, 77)) }), types.ErrInvalidPrice},

		"hash of 0":  {hash(0), types.ErrInvalidHash},
		"hash of 31": {hash(31), types.ErrInvalidHash},
		"hash of 32": {hash(32), nil},
		"hash of 33": {hash(33), types.ErrInvalidHash},

		"dseq 0":              {dseq(0), types.ErrInvalidID},
		"dseq 1":              {dseq(1), nil},
		"the highest dseq":    {dseq(types.MaxDseq(start)), nil},
		"dseq above":          {dseq(types.MaxDseq(start) + 1), types.ErrDseqTooHigh},
		"dseq 2^64 - 1":       {dseq(1<<64 - 1), types.ErrDseqTooHigh},
		"no owner":            {func(m *types.MsgCreateDeployment) { m.Id.Owner = "" }, providertypes.ErrInvalidAddress},
		"owner in upper":      {func(m *types.MsgCreateDeployment) { m.Id.Owner = strings.ToUpper(m.Id.Owner) }, providertypes.ErrInvalidAddress},
		"deposit 0":           {func(m *types.MsgCreateDeployment) { m.Deposit = sdk.NewInt64Coin(denom, 0) }, types.ErrInvalidDeposit},
		"deposit -1":          {func(m *types.MsgCreateDeployment) { m.Deposit.Amount = math.NewInt(-1) }, types.ErrInvalidDeposit},
		"no deposit":          {func(m *types.MsgCreateDeployment) { m.Deposit = sdk.Coin{} }, types.ErrInvalidDeposit},
		"another denom":       {func(m *types.MsgCreateDeployment) { m.Deposit.Denom = "uusd" }, types.ErrInvalidPrice},
		"no notice":           {reclaim(0), nil},
		"a notice of 30 days": {reclaim(30 * 24 * 3600), nil},
		"a second more":       {reclaim(30*24*3600 + 1), types.ErrInvalidReclamation},
		"notice 2^32 - 1":     {reclaim(1<<32 - 1), types.ErrInvalidReclamation},

		"16 auditors, all":    {allOf(addrs(16)...), nil},
		"17 auditors, all":    {allOf(addrs(17)...), types.ErrInvalidGroups},
		"16 auditors, any":    {anyOf(addrs(16)...), nil},
		"17 auditors, any":    {anyOf(addrs(17)...), types.ErrInvalidGroups},
		"an auditor twice":    {anyOf(addr(1), addr(1)), types.ErrInvalidGroups},
		"auditor, no address": {anyOf("x"), providertypes.ErrInvalidAddress},

		"64 attributes":    {requireAttrs(different(64)...), nil},
		"65 attributes":    {requireAttrs(different(65)...), providertypes.ErrInvalidAttributes},
		"attributes twice": {requireAttrs(key, key), providertypes.ErrInvalidAttributes},
		"key of 1":         {requireAttr("a", "v"), providertypes.ErrInvalidAttributes},
		"key of 2":         {requireAttr("ab", "v"), nil},
		"key of 128":       {requireAttr(strings.Repeat("a", 128), "v"), nil},
		"key of 129":       {requireAttr(strings.Repeat("a", 129), "v"), providertypes.ErrInvalidAttributes},
		"value of 0":       {requireAttr("key", ""), providertypes.ErrInvalidAttributes},
		"value of 1":       {requireAttr("key", "v"), nil},
		"value of 256":     {requireAttr("key", strings.Repeat("v", 256)), nil},
		"value of 257":     {requireAttr("key", strings.Repeat("v", 257)), providertypes.ErrInvalidAttributes},
		"value, no UTF-8":  {requireAttr("key", "\xff"), providertypes.ErrInvalidAttributes},

		"tenant picks":               {auction(types.AUCTION_MODE_TENANT, 0), nil},
		"tenant picks with a window": {auction(types.AUCTION_MODE_TENANT, 1), types.ErrInvalidAuction},
		"default with a window":      {auction(types.AUCTION_MODE_UNSPECIFIED, 1), types.ErrInvalidAuction},
		"lowest, no window":          {auction(types.AUCTION_MODE_LOWEST, 0), types.ErrInvalidAuction},
		"lowest, one block":          {auction(types.AUCTION_MODE_LOWEST, 1), nil},
		"lowest, longest":            {auction(types.AUCTION_MODE_LOWEST, types.DefaultMaxAuctionWindow), nil},
		"lowest, longer":             {auction(types.AUCTION_MODE_LOWEST, types.DefaultMaxAuctionWindow+1), types.ErrInvalidAuction},
		"unknown mode":               {auction(3, 1), types.ErrInvalidAuction},
		"mode -1":                    {auction(-1, 1), types.ErrInvalidAuction},
	} {
		t.Run(title, func(t *testing.T) {
			f := setup(t)
			m := message(1, 4)
			tc.change(m)
			before := f.export(t)
			_, err := f.msgs.CreateDeployment(f.ctx, m)
			if tc.want == nil {
				require.NoError(t, err)
				require.True(t, f.found(t, m.Id))
				return
			}
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, before, f.export(t))
			require.Empty(t, f.escrow.all)
			require.Empty(t, f.ctx.EventManager().Events())
		})
	}
}

// then joins two changes.
func then(a, b spoil) spoil {
	return func(m *types.MsgCreateDeployment) { a(m); b(m) }
}
