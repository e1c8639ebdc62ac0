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
	// Endpoints are the leased addresses that exposed ports may use.
	Endpoints []Ref
	// Reclaim is the notice that a provider must give before it takes a lease back, in whole seconds; 0 asks for none.
	Reclaim uint32
	// SharedUnits makes services of one placement and compute profile share a resource unit.
	SharedUnits bool
	// JoinPorts reads a port that is exposed twice in the same way as one, with the clients of both.
	JoinPorts bool
	// NeedsGlobal refuses a document that nobody outside can reach.
	NeedsGlobal bool
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
	// Mounts are where the volumes of the service's compute profile appear; each names its volume.
	Mounts []Mount
	// Credentials open the registry of the image; nil where it is open to all.
	Credentials *manifesttypes.Credentials
	// Permissions are what the service may read of its own deployment: logs, events, deployment.
	Permissions []string
	// TEE is the kind of trusted execution that the service asks for: empty, cpu or cpu-gpu.
	TEE Ref
}

// Mount is a volume in the file system of a service.
type Mount struct {
	Ref
	// Path is empty if there is none; Unread tells that there is one that could not be read, which was reported.
	Path     string
	Unread   bool
	ReadOnly bool
}

// Expose is a port of a service.
type Expose struct {
	At *doc.Node
	// Unsure tells that its clients could not all be read, which was reported.
	Unsure bool
	Port   uint32
	As     uint32
	Proto  manifesttypes.Proto
	Accept []Ref
	To     []To
	// HTTP are the settings of the route; nil for the provider's own.
	HTTP *manifesttypes.HTTPOptions
}

// To is a client of an exposed port: with a service, its instances; without, anyone.
type To struct {
	Service Ref
	Global  bool
	// IP names the leased address at which the port is reached.
	IP Ref
}

// Compute is a named compute profile.
type Compute struct {
	Ref
	CPUMilli      uint64
	MemoryBytes   uint64
	Volumes       []manifesttypes.Volume
	GPU           uint32
	GPUAttributes []sdl.Attribute
	// Arch is the processor's architecture; empty for any.
	Arch string
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
