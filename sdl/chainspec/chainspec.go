// Package chainspec turns a plan into what the chain is asked for. It is apart from sdl so that reading documents
// does not need the chain's types.
package chainspec

import (
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/sdl"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Groups returns the group specs of a plan in the order of its groups, so that spec i belongs to gseq i+1. Resource i
// of a group becomes the unit with id i+1, which is the unit that the manifest's service names.
func Groups(p *sdl.Plan) []deploymenttypes.GroupSpec {
	specs := make([]deploymenttypes.GroupSpec, 0, len(p.Groups))
	for _, g := range p.Groups {
		spec := deploymenttypes.GroupSpec{
			Name: g.Name,
			Requirements: deploymenttypes.PlacementRequirements{
				Attributes: attributes(g.Attributes),
				SignedBy:   deploymenttypes.SignedBy{AllOf: g.SignedBy.AllOf, AnyOf: g.SignedBy.AnyOf},
			},
		}
		for i, r := range g.Resources {
			spec.Units = append(spec.Units, unit(uint32(i)+1, r))
		}
		specs = append(specs, spec)
	}
	return specs
}

func unit(id uint32, r sdl.Resource) deploymenttypes.ResourceUnit {
	u := deploymenttypes.ResourceUnit{
		Id:          id,
		CpuMilli:    r.CPUMilli,
		MemoryBytes: r.MemoryBytes,
		Gpu:         deploymenttypes.GPU{Count: r.GPU, Attributes: attributes(r.GPUAttributes)},
		Count:       r.Count,
		Price:       sdk.DecCoin{Denom: r.Denom, Amount: math.LegacyZeroDec()}, // which the chain refuses
	}
	if !r.Open() {
		u.Price = sdk.NewDecCoinFromDec(r.Denom, r.Price)
	}
	for _, v := range r.Storage {
		u.Storage = append(u.Storage, deploymenttypes.Volume{Name: v.Name, Bytes: v.Bytes, Attributes: attributes(v.Attributes)})
	}
	for _, kind := range r.Endpoints {
		u.Endpoints = append(u.Endpoints, deploymenttypes.Endpoint{Kind: endpointKinds[kind]})
	}
	for _, sequence := range r.LeasedIPs {
		u.Endpoints = append(u.Endpoints, deploymenttypes.Endpoint{Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: sequence})
	}
	return u
}

var endpointKinds = map[sdl.EndpointKind]deploymenttypes.EndpointKind{
	sdl.EndpointHTTP: deploymenttypes.ENDPOINT_KIND_HTTP,
	sdl.EndpointPort: deploymenttypes.ENDPOINT_KIND_PORT,
}

func attributes(in []sdl.Attribute) []providertypes.Attribute {
	var out []providertypes.Attribute
	for _, a := range in {
		out = append(out, providertypes.Attribute{Key: a.Key, Value: a.Value})
	}
	return out
}
