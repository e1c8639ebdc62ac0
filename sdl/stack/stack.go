// Package stack is what all versions of the SDL share below their syntax: services, compute and placement profiles,
// and which service is deployed where. A front-end reads a document into a Stack; Resolve checks what the parts mean
// together and builds the plan. Each part remembers its node of the document, so that what is wrong can be pointed at.
package stack

import (
	"cosmossdk.io/math"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// Stack is a document as it was read, before it is checked as a whole. Lists of named things are sorted by name.
type Stack struct {
	Services    []Service
	Compute     []Compute
	Placements  []Placement
	Deployments []Deployment
}

// Ref is a name with the place that names it.
type Ref struct {
	Name string
	At   *doc.Node
}

// Service is one container image.
type Service struct {
	Ref
	Image     string
	Command   []string
	Args      []string
	Env       []manifesttypes.EnvVar
	DependsOn []Ref
	Expose    []Expose
}

// Expose is a port of a service.
type Expose struct {
	At     *doc.Node
	Port   uint32
	As     uint32
	Proto  manifesttypes.Proto
	Accept []Ref
	To     []To
}

// To is a client of an exposed port: with a service, its instances; without, anyone.
type To struct {
	Service Ref
	Global  bool
}

// Compute is a named compute profile.
type Compute struct {
	Ref
	CPUMilli      uint64
	MemoryBytes   uint64
	Volumes       []manifesttypes.Volume
	GPU           uint32
	GPUAttributes []sdl.Attribute
}

// Placement is a named placement profile.
type Placement struct {
	Ref
	Attributes []sdl.Attribute // sorted by key
	SignedBy   sdl.SignedBy
	Pricing    []Price
}

// Price is the most that an instance of a compute profile may cost per block. Its name is the profile's. A price that
// could not be read has a nil Amount.
type Price struct {
	Ref
	Amount math.LegacyDec
	Denom  string
}

// Deployment says that a service runs in a placement, with a compute profile. A profile or count that could not be
// read is nil or 0; that was reported already.
type Deployment struct {
	Service   Ref
	Placement Ref
	Profile   Ref
	Count     uint32
}
