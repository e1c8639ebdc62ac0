// Package sdl compiles documents that describe an application into a Plan: what the chain must know (groups) and what
// only the provider must know (manifests). Front-ends, one package for each format, only parse and diagnose; nothing
// below the plan knows which format it came from. Everything here is pure: no clock, no randomness, no I/O.
package sdl

import (
	"cosmossdk.io/math"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/units"
)

// Denom is the denomination of prices in documents that name none: micro tokens of the chain's own.
const Denom = units.BaseDenom

// Plan is a compiled document.
type Plan struct {
	// Groups are sorted by name; group i has gseq i+1 on chain.
	Groups []Group
	// Manifests[i] is the off-chain half of Groups[i], without a salt.
	Manifests []manifesttypes.Group
	// Reclaim is the notice that a provider must give before it takes a lease back, in seconds; 0 asks for none.
	Reclaim uint32
	// Extras are what only who deploys it needs to know; nil for a document that has none.
	Extras *Extras
	// Warnings do not stop a deployment.
	Warnings Diagnostics
}

// Group is what one provider is asked for.
type Group struct {
	Name       string
	Attributes []Attribute // sorted by key
	SignedBy   SignedBy
	Resources  []Resource // sorted by service, or by the first of those that share it; resource i has unit id i+1
}

// Attribute is a key and a value.
type Attribute struct{ Key, Value string }

// SignedBy names the auditors that must have signed a provider's attributes.
type SignedBy struct{ AllOf, AnyOf []string }

// Resource is what one service needs, for each of its instances. Several services of equal needs may share one: its
// count and endpoints are then those of all of them.
type Resource struct {
	// Service is the service's name, or the names of those that share the resource, joined by a plus sign.
	Service       string
	Count         uint32
	CPUMilli      uint64
	MemoryBytes   uint64
	Storage       []Volume
	GPU           uint32
	GPUAttributes []Attribute
	Endpoints     []EndpointKind
	// LeasedIPs numbers the leased addresses of exposed ports, sorted: one entry for each port, equal for ports that share
	// an address.
	LeasedIPs []uint32
	// Price is the most that one instance may cost per block, in micro tokens (for example ubrt), exact; nil as long as it
	// is open: a manifest of an application need not have one.
	Price math.LegacyDec
	Denom string
}

// Unit is the resource that a service of the group's manifest has, and false for one that has none: a task that is
// suspended, of which the resource then only says what its runs would take.
func (g Group) Unit(s manifesttypes.Service) (Resource, bool) {
	if i := int(s.UnitId); i >= 1 && i <= len(g.Resources) {
		return g.Resources[i-1], true
	}
	r := Resource{Service: s.Name, CPUMilli: s.CpuMilli, MemoryBytes: s.MemoryBytes, GPU: s.Gpu, Price: math.LegacyZeroDec(), Denom: Denom}
	if len(g.Resources) > 0 {
		r.Denom = g.Resources[0].Denom
	}
	for _, v := range s.Volumes {
		r.Storage = append(r.Storage, Volume{Name: v.Name, Bytes: v.Bytes})
	}
	return r, false
}

// EndpointKind says what an exposed port needs of the provider.
type EndpointKind int

// The kinds of endpoints.
const (
	EndpointHTTP EndpointKind = iota + 1
	EndpointPort
)

// Volume is storage of one instance.
type Volume struct {
	Name       string
	Bytes      uint64
	Attributes []Attribute // sorted by key; none means ephemeral
}
