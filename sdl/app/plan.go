package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/quantity"
	providertypes "berth.dev/berth/x/provider/types"
)

// The abilities that a manifest may need of a provider; see docs/spec/abilities.md.
const (
	abilityStorage   = "ability/storage/"   // + class
	abilityCron      = "ability/cron"       // tasks that run at times
	abilityAutoscale = "ability/autoscale/" // + resource by which instances are counted
)

// Unbuilt stands for an image that is not known yet where an image must stand.
const Unbuilt = "berth.invalid/unbuilt"

// defaultGroup names the group of an application without a name.
const defaultGroup = "app"

// plan puts the services together, and checks them as the chain and providers will.
func (b *builder) plan() *sdl.Plan {
	name := cmp.Or(b.overlay.Name, b.app.Name, defaultGroup)
	g := sdl.Group{Name: name, SignedBy: b.overlay.SignedBy}
	m := manifesttypes.Group{Name: name}
	needs := map[string]bool{}
	for _, p := range b.list {
		s := p.service
		if s.Cron == nil || !s.Cron.Suspended {
			g.Resources = append(g.Resources, resource(p))
			s.UnitId = uint32(len(g.Resources))
			abilities(needs, s)
		}
		m.Services = append(m.Services, s)
	}
	g.Attributes = slices.Clone(b.overlay.Attributes)
	for key := range needs {
		if !slices.ContainsFunc(g.Attributes, func(a sdl.Attribute) bool { return a.Key == key }) {
			g.Attributes = append(g.Attributes, sdl.Attribute{Key: key, Value: "true"})
		}
	}
	slices.SortFunc(g.Attributes, func(x, y sdl.Attribute) int { return cmp.Compare(x.Key, y.Key) })
	b.fits(g, m)
	if b.Failed() {
		return nil
	}
	return &sdl.Plan{Groups: []sdl.Group{g}, Manifests: []manifesttypes.Group{m}, Extras: b.extras(name)}
}

// abilities notes what a service needs of its provider beyond what every provider does.
func abilities(needs map[string]bool, s manifesttypes.Service) {
	if s.Cron != nil {
		needs[abilityCron] = true
	}
	if s.Scale != nil {
		for _, t := range s.Scale.Triggers {
			needs[abilityAutoscale+t.Resource] = true
		}
	}
	for _, v := range s.Volumes {
		for _, a := range v.Attributes {
			if a.Key == "class" {
				needs[abilityStorage+a.Value] = true
			}
		}
	}
}

func resource(p *part) sdl.Resource {
	s := p.service
	r := sdl.Resource{
		Service: s.Name, Count: s.Count, CPUMilli: s.CpuMilli, MemoryBytes: s.MemoryBytes, Price: p.price.Amount, Denom: p.price.Denom,
	}
	for _, v := range s.Volumes {
		x := sdl.Volume{Name: v.Name, Bytes: v.Bytes}
		for _, a := range v.Attributes {
			x.Attributes = append(x.Attributes, sdl.Attribute{Key: a.Key, Value: a.Value})
		}
		r.Storage = append(r.Storage, x)
	}
	for _, e := range s.Expose {
		switch {
		case !manifest.Public(e):
		case e.Proto == manifesttypes.PROTO_HTTP || e.Proto == manifesttypes.PROTO_HTTPS:
			r.Endpoints = append(r.Endpoints, sdl.EndpointHTTP)
		default:
			r.Endpoints = append(r.Endpoints, sdl.EndpointPort)
		}
	}
	slices.Sort(r.Endpoints)
	return r
}

// fits reports what the chain or a provider would refuse of the whole.
func (b *builder) fits(g sdl.Group, m manifesttypes.Group) {
	document := func(code, format string, args ...any) {
		b.Report(sdl.Diagnostic{Code: code, Message: fmt.Sprintf(format, args...)})
	}
	if n := len(m.Services); n > manifest.MaxServices {
		document("E-LIMIT", "the application has %d services, at most %d are allowed", n, manifest.MaxServices)
		return
	}
	if n := len(g.Attributes); n > providertypes.MaxAttributes {
		document("E-LIMIT", "%d attributes are required of a provider, at most %d are allowed", n, providertypes.MaxAttributes)
	}
	if len(g.Resources) == 0 {
		document("E-NOTHING-RUNS", "nothing of the application runs: all that there is are tasks under maintenance")
	}
	b.totals(g)
	checked := m
	checked.Services = slices.Clone(m.Services)
	for i := range checked.Services {
		checked.Services[i].Image = cmp.Or(checked.Services[i].Image, Unbuilt)
	}
	if n := checked.Size() + manifest.SaltBytes + 2; n > manifest.MaxBytes {
		document("E-MANIFEST-SIZE", "what runs takes %d bytes, at most %d are allowed", n, manifest.MaxBytes-manifest.SaltBytes-2)
		return
	}
	if err := manifest.Validate(checked); err != nil && !b.Failed() {
		document("E-MANIFEST", "providers would refuse the application: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// totals reports an application whose instances take more together than the chain allows.
func (b *builder) totals(g sdl.Group) {
	t := g.Totals()
	refuse := func(what, have, most string) {
		b.Report(sdl.Diagnostic{Code: "E-LIMIT", Message: fmt.Sprintf("all instances have %s %s together, at most %s are allowed", have, what, most)}.
			WithHint("let fewer instances run, or smaller ones"))
	}
	if t.CPUMilli > manifest.MaxGroupCPUMilli {
		refuse("cpus", quantity.FormatCPU(t.CPUMilli), quantity.FormatCPU(manifest.MaxGroupCPUMilli))
	}
	if t.MemoryBytes > manifest.MaxGroupMemoryBytes {
		refuse("of memory", quantity.FormatBytes(t.MemoryBytes), quantity.FormatBytes(manifest.MaxGroupMemoryBytes))
	}
	for _, n := range t.Storage {
		if n > manifest.MaxGroupStorageBytes {
			refuse("of storage", quantity.FormatBytes(n), quantity.FormatBytes(manifest.MaxGroupStorageBytes))
		}
	}
}

func (b *builder) extras(name string) *sdl.Extras {
	e := &sdl.Extras{
		Format: b.app.Format, Name: cmp.Or(b.app.Title, name), Description: b.app.Description, Budget: b.overlay.Budget,
		Exclude: b.overlay.Exclude, Deposit: b.overlay.Deposit, Select: b.overlay.Select, Success: b.app.Success, Unbuilt: b.unbuilt,
	}
	for _, name := range slices.Sorted(maps.Keys(b.inputs)) {
		e.Inputs = append(e.Inputs, *b.inputs[name])
	}
	for _, n := range b.app.Notices {
		e.Notices = append(e.Notices, sdl.Notice{Service: ServiceName(n.Process), Check: n.Check, URL: n.URL})
	}
	return e
}
