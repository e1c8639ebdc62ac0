package types_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// drawUnits draws the units of a group, with ids of their own.
func drawUnits(t *rapid.T) []deploymenttypes.ResourceUnit {
	ids := rapid.SliceOfNDistinct(rapid.Uint32Range(1, 1000), 1, deploymenttypes.MaxUnits, rapid.ID).Draw(t, "ids")
	units := make([]deploymenttypes.ResourceUnit, len(ids))
	for i, id := range ids {
		units[i] = deploymenttypes.ResourceUnit{
			Id: id, CpuMilli: rapid.Uint64Range(10, 384_000).Draw(t, "cpu"), MemoryBytes: rapid.Uint64Range(1<<20, 2<<40).Draw(t, "memory"),
			Count: rapid.Uint32Range(1, 50).Draw(t, "count"), Price: sdk.NewInt64DecCoin("ubrt", rapid.Int64Range(1, 1000).Draw(t, "price")),
			Gpu: deploymenttypes.GPU{Count: rapid.Uint32Range(0, 24).Draw(t, "gpu")},
		}
		for range rapid.IntRange(0, 3).Draw(t, "volumes") {
			units[i].Storage = append(units[i].Storage, deploymenttypes.Volume{
				Name: "v", Bytes: rapid.Uint64Range(5<<20, 32<<40).Draw(t, "bytes"), Attributes: []providertypes.Attribute{{Key: "class", Value: "ssd"}},
			})
		}
		for range rapid.IntRange(0, 3).Draw(t, "endpoints") {
			units[i].Endpoints = append(units[i].Endpoints, deploymenttypes.Endpoint{Kind: deploymenttypes.ENDPOINT_KIND_PORT, Sequence: rapid.Uint32().Draw(t, "sequence")})
		}
	}
	return units
}

// TestOffersAgreeWithTheirOrder: an offer that names the order's units, in any order and at any prices, is taken; one
// that differs in a single number, lacks a unit, has one twice or one too many is refused. Counts may differ from unit to
// unit.
func TestOffersAgreeWithTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := drawUnits(t)
		var offer []types.ResourceOffer
		for _, u := range rapid.Permutation(units).Draw(t, "order") {
			u.Price.Amount = u.Price.Amount.MulInt64(rapid.Int64Range(1, 9).Draw(t, "factor"))
			offer = append(offer, types.ResourceOffer{Unit: u})
		}
		require.NoError(t, types.CheckOffer(offer, units))

		at := rapid.IntRange(0, len(offer)-1).Draw(t, "at")
		u := &offer[at].Unit
		switch rapid.SampledFrom([]string{"cpu", "memory", "count", "gpu", "volume", "endpoint", "unknown", "missing", "twice", "more"}).Draw(t, "change") {
		case "cpu":
			u.CpuMilli++
		case "memory":
			u.MemoryBytes--
		case "count":
			u.Count++
		case "gpu":
			u.Gpu.Attributes = append(u.Gpu.Attributes, providertypes.Attribute{Key: "vendor", Value: "x"})
		case "volume":
			u.Storage = append(u.Storage[:len(u.Storage):len(u.Storage)], deploymenttypes.Volume{Name: "w", Bytes: 5 << 20})
		case "endpoint":
			u.Endpoints = append(u.Endpoints[:len(u.Endpoints):len(u.Endpoints)], deploymenttypes.Endpoint{Kind: deploymenttypes.ENDPOINT_KIND_IP})
		case "unknown":
			u.Id = 1001
		case "missing":
			offer = append(offer[:at], offer[at+1:]...)
		case "twice":
			offer = append(offer, offer[at])
		case "more":
			more := *u
			more.Id = 1001
			offer = append(offer, types.ResourceOffer{Unit: more})
		}
		require.ErrorIs(t, types.CheckOffer(offer, units), types.ErrInvalidOffer)
	})
}

// TestAUnitTwiceForAnother: as many entries as the order has units, one of them named twice.
func TestAUnitTwiceForAnother(t *testing.T) {
	units := []deploymenttypes.ResourceUnit{{Id: 1, Count: 1}, {Id: 2, Count: 2}}
	require.ErrorIs(t, types.CheckOffer([]types.ResourceOffer{{Unit: units[0]}, {Unit: units[0]}}, units), types.ErrInvalidOffer)
	require.ErrorIs(t, types.CheckOffer([]types.ResourceOffer{{}}, units[:1]), types.ErrInvalidOffer)
	require.ErrorIs(t, types.CheckOffer(nil, units), types.ErrInvalidOffer)
}
