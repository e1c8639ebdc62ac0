// Package explain derives from a plan what people ask about it, in words, tables and drawings: what runs where, who can
// connect to what, and what it may cost at most. Values of environment variables, arguments and credentials are in none
// of it.
package explain

import (
	"cmp"
	"slices"
	"strings"

	sdktypes "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
)

// Options are what an explanation rests on beside the plan.
type Options struct {
	// BlockNanos is the time per block, in nanoseconds, that costs per hour and month are worked out with; not positive
	// means unknown, and there are none then.
	BlockNanos int64
	// Deposit is what is put into escrow; nil says nothing about it.
	Deposit *sdktypes.Coin
}

// Explanation is a plan as people ask about it. docs/spec/explain.md describes its JSON. Lists are never nil.
type Explanation struct {
	Services   int         `json:"services"`
	Instances  uint64      `json:"instances"`
	Placements []Placement `json:"placements"`
	// StartOrder are the services that start together, step by step.
	StartOrder [][]string `json:"start_order"`
	Doors      []Door     `json:"doors"`
	// Connections are what the drawings show: one for each port and client.
	Connections []Connection `json:"connections"`
	Totals      Amounts      `json:"totals"`
	AtMost      *Cost        `json:"at_most"`
	Deposit     *Deposit     `json:"deposit,omitempty"`
	// NoticeSeconds is the notice that providers must give before they take a lease back; 0 means none.
	NoticeSeconds uint32 `json:"notice_seconds"`
	// BlockNanos is the time per block that the costs per hour and month rest on; 0 if unknown.
	BlockNanos int64    `json:"block_nanoseconds"`
	Remarks    []Remark `json:"remarks"`
}

// Placement is what one provider is asked for.
type Placement struct {
	Name string `json:"name"`
	// Group is the number of the group on chain.
	Group uint32 `json:"gseq"`
	// Attributes are what the provider's record must say, but for abilities; values by key.
	Attributes map[string]string `json:"attributes"`
	// Abilities are the keys of abilities that the provider must have claimed, without their common prefix.
	Abilities []string  `json:"abilities"`
	SignedBy  SignedBy  `json:"signed_by"`
	Services  []Service `json:"services"`
	// Addresses are the names of leased addresses.
	Addresses []string `json:"leased_addresses"`
	Totals    Amounts  `json:"totals"`
	// Limits are the most that the chain allows of one placement. That of storage is for the first volumes of all
	// instances together, for their second, and so on.
	Limits Amounts `json:"limits"`
	AtMost Cost    `json:"at_most"`
}

// SignedBy names the auditors that must have signed what a provider's record says.
type SignedBy struct {
	AllOf []string `json:"all_of"`
	AnyOf []string `json:"any_of"`
}

// Amounts are resources.
type Amounts struct {
	CPUMilli    uint64 `json:"cpu_milli"`
	MemoryBytes uint64 `json:"memory_bytes"`
	// StorageBytes are of all volumes; VolumeBytes of the first volumes, of the second, and so on.
	StorageBytes uint64   `json:"storage_bytes"`
	VolumeBytes  []uint64 `json:"volume_bytes,omitempty"`
	GPU          uint64   `json:"gpu"`
}

// Service is a service in one placement.
type Service struct {
	Name      string  `json:"name"`
	Image     string  `json:"image"`
	Instances uint32  `json:"instances"`
	Each      Amounts `json:"each"`
	All       Amounts `json:"all"`
	// GPUs are the models of graphics processors of which any one will do.
	GPUs    []string `json:"gpu_models"`
	Volumes []Volume `json:"volumes"`
	// Command tells whether the image's own is replaced; Arguments counts them, as they may hold secrets.
	Command   bool `json:"command"`
	Arguments int  `json:"arguments"`
	// Variables and Secrets are names.
	Variables []string `json:"variables"`
	Secrets   []string `json:"secrets"`
	// Registry is the host whose credentials, which are secret, open the image.
	Registry string `json:"registry,omitempty"`
	// After are the services that must be ready first, and Step, from 1, is when it starts itself.
	After []string `json:"starts_after"`
	Step  int      `json:"start_step"`
	// Permissions are what the service may read of its own deployment.
	Permissions []string `json:"permissions"`
	TEE         string   `json:"tee,omitempty"`
	EachAtMost  Cost     `json:"each_at_most"`
	AtMost      Cost     `json:"at_most"`
	// Schedule is when a task runs; empty for what runs always. Suspended tasks do not run, and cost nothing.
	Schedule  string `json:"schedule,omitempty"`
	Suspended bool   `json:"suspended,omitempty"`
	// Scale says how the number of instances follows the load; nil if it does not.
	Scale *Scale `json:"scale,omitempty"`
}

// Scale is a number of instances that follows the load. AtMost of the service is what is reserved.
type Scale struct {
	Least uint32 `json:"least"`
	Most  uint32 `json:"most"`
	// By are the resources whose use is measured.
	By []string `json:"by"`
	// AtLeast is what the least number of instances would cost at most, if no more were reserved.
	AtLeast Cost `json:"at_least_instances"`
}

// The kinds of volumes.
const (
	// Ephemeral volumes live as long as an instance.
	Ephemeral = "ephemeral"
	// Persistent volumes outlive their instances and live as long as the lease.
	Persistent = "persistent"
	// Memory volumes are memory that looks like a disk.
	Memory = "memory"
)

// Volume is storage of each instance of a service.
type Volume struct {
	Name  string `json:"name"`
	Bytes uint64 `json:"bytes"`
	// Kind is Ephemeral, Persistent or Memory; Class is that of a persistent one.
	Kind  string `json:"kind"`
	Class string `json:"class,omitempty"`
	// Mount is where the instances see it; empty means their own file system.
	Mount    string `json:"mount,omitempty"`
	ReadOnly bool   `json:"read_only"`
}

// Explain explains a plan.
func Explain(p *sdl.Plan, o Options) *Explanation {
	e := &Explanation{
		Placements: []Placement{}, NoticeSeconds: p.Reclaim, BlockNanos: max(0, o.BlockNanos), Totals: Amounts{VolumeBytes: []uint64{}},
	}
	steps, order := startOrder(p)
	e.StartOrder = order
	names := map[string]bool{}
	for i, g := range p.Groups {
		pl := e.placement(i, g, p.Manifests[i], steps)
		for _, s := range pl.Services {
			names[s.Name] = true
			e.Instances += uint64(s.Instances)
		}
		e.Totals.add(pl.Totals)
		e.Placements = append(e.Placements, pl)
	}
	e.Services = len(names)
	e.Doors = Doors(p)
	e.Connections = Connections(e.Doors)
	e.AtMost = e.total()
	if o.Deposit != nil && e.AtMost != nil {
		e.Deposit = e.lasts(*o.Deposit)
	}
	e.Remarks = e.remarks()
	return e
}

func (e *Explanation) placement(i int, g sdl.Group, m manifesttypes.Group, steps map[string]int) Placement {
	pl := Placement{
		Name: g.Name, Group: uint32(i) + 1, Attributes: map[string]string{}, Abilities: []string{},
		SignedBy: SignedBy{AllOf: list(g.SignedBy.AllOf), AnyOf: list(g.SignedBy.AnyOf)},
		Services: make([]Service, 0, len(m.Services)), Addresses: []string{}, Totals: amounts(g.Totals()), Limits: limits(g),
	}
	for _, a := range g.Attributes {
		if ability, ok := strings.CutPrefix(a.Key, "ability/"); ok && a.Value == "true" {
			pl.Abilities = append(pl.Abilities, ability)
			continue
		}
		pl.Attributes[a.Key] = a.Value
	}
	for _, s := range m.Services {
		// A service's unit is the resource of its number, which several may share.
		pl.Services = append(pl.Services, e.service(s, g, steps[s.Name]))
		for _, x := range s.Expose {
			if ip := manifest.LeasedIP(x); ip != "" && !slices.Contains(pl.Addresses, ip) {
				pl.Addresses = append(pl.Addresses, ip)
			}
		}
	}
	slices.Sort(pl.Addresses)
	amount, denom := MaxPrice(g)
	pl.AtMost = e.cost(amount, denom)
	pl.AtMost.Open = slices.ContainsFunc(g.Resources, sdl.Resource.Open)
	return pl
}

func (e *Explanation) service(s manifesttypes.Service, g sdl.Group, step int) Service {
	r, paid := g.Unit(s)
	var each, all sdl.Totals
	each.Add(r, 1)
	if !paid {
		s.Count = 0
	}
	all.Add(r, uint64(s.Count))
	out := Service{
		Name: s.Name, Image: s.Image, Instances: s.Count, Each: amounts(each), All: amounts(all),
		GPUs: []string{}, Volumes: []Volume{}, Command: len(s.Command) > 0, Arguments: len(s.Args), Variables: []string{}, Secrets: []string{},
		After: list(s.DependsOn), Step: step, Permissions: list(s.Permissions), TEE: s.Tee,
		EachAtMost: e.costOf(r, 1), AtMost: e.costOf(r, s.Count), Suspended: !paid,
	}
	if c := s.Cron; c != nil {
		out.Schedule = c.Schedule
	}
	if c := s.Scale; c != nil {
		out.Scale = &Scale{Least: c.Min, Most: s.Count, AtLeast: e.costOf(r, c.Min)}
		for _, t := range c.Triggers {
			out.Scale.By = append(out.Scale.By, t.Resource)
		}
	}
	if s.Credentials != nil {
		out.Registry = s.Credentials.Host
	}
	for _, a := range s.GpuAttributes {
		out.GPUs = append(out.GPUs, model(a.Key))
	}
	for _, v := range s.Volumes {
		out.Volumes = append(out.Volumes, volume(v))
	}
	for _, v := range s.Env {
		if v.Secret {
			out.Secrets = append(out.Secrets, v.Name)
		} else {
			out.Variables = append(out.Variables, v.Name)
		}
	}
	return out
}

func volume(v manifesttypes.Volume) Volume {
	out := Volume{Name: v.Name, Bytes: v.Bytes, Kind: Ephemeral, Mount: v.Mount, ReadOnly: v.ReadOnly}
	for _, a := range v.Attributes {
		switch {
		case a.Key == "class" && a.Value == "ram":
			out.Kind = Memory
		case a.Key == "class":
			out.Class = a.Value
		case a.Key == "persistent" && a.Value == "true":
			out.Kind = Persistent
		}
	}
	return out
}

// model writes the attribute of a graphics processor, such as vendor/nvidia/model/a100/ram/80Gi, as people say it.
func model(key string) string {
	parts := strings.Split(key, "/")
	var words []string
	for i := 0; i+1 < len(parts); i += 2 {
		switch {
		case parts[i] == "model" && parts[i+1] == "*":
			words = append([]string{"any"}, words...)
		default:
			words = append(words, parts[i+1])
		}
	}
	return strings.Join(words, " ")
}

func amounts(t sdl.Totals) Amounts {
	return Amounts{CPUMilli: t.CPUMilli, MemoryBytes: t.MemoryBytes, StorageBytes: t.StorageBytes(), VolumeBytes: list(t.Storage), GPU: t.GPU}
}

// add sums amounts up.
func (a *Amounts) add(b Amounts) {
	a.CPUMilli += b.CPUMilli
	a.MemoryBytes += b.MemoryBytes
	a.StorageBytes += b.StorageBytes
	a.GPU += b.GPU
	for i, v := range b.VolumeBytes {
		if i == len(a.VolumeBytes) {
			a.VolumeBytes = append(a.VolumeBytes, 0)
		}
		a.VolumeBytes[i] += v
	}
}

func limits(g sdl.Group) Amounts {
	a := Amounts{CPUMilli: manifest.MaxGroupCPUMilli, MemoryBytes: manifest.MaxGroupMemoryBytes, GPU: manifest.MaxGroupGPU, VolumeBytes: []uint64{}}
	for range g.Totals().Storage {
		a.VolumeBytes = append(a.VolumeBytes, manifest.MaxGroupStorageBytes)
		a.StorageBytes += manifest.MaxGroupStorageBytes
	}
	return a
}

// startOrder says in which step each service starts, from 1, and lists the services of each step.
func startOrder(p *sdl.Plan) (map[string]int, [][]string) {
	after := map[string][]string{}
	for _, g := range p.Manifests {
		for _, s := range g.Services {
			after[s.Name] = s.DependsOn
		}
	}
	steps := make(map[string]int, len(after))
	var step func(name string) int
	step = func(name string) int {
		if n, ok := steps[name]; ok {
			return n
		}
		steps[name] = 1 // ends a circle, which a plan has none of
		n := 1
		for _, d := range after[name] {
			if _, deployed := after[d]; deployed {
				n = max(n, step(d)+1)
			}
		}
		steps[name] = n
		return n
	}
	order := [][]string{}
	for _, name := range sortedKeys(after) {
		for n := step(name); len(order) < n; {
			order = append(order, nil)
		}
		order[steps[name]-1] = append(order[steps[name]-1], name)
	}
	return steps, order
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare)
	return keys
}

// list is never nil, so that it is written as [].
func list[T any](in []T) []T { return append([]T{}, in...) }
