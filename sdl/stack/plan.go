package stack

import (
	"cmp"
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
)

// plan builds the plan of a stack without errors: one group for each placement that is deployed to, sorted by name.
func (v *resolver) plan() *sdl.Plan {
	byGroup := map[string][]Deployment{}
	var groups []string
	for _, d := range v.Deployments {
		if byGroup[d.Placement.Name] == nil {
			groups = append(groups, d.Placement.Name)
		}
		byGroup[d.Placement.Name] = append(byGroup[d.Placement.Name], d)
	}
	slices.Sort(groups)
	p := &sdl.Plan{Reclaim: v.Reclaim}
	for _, name := range groups {
		place := v.placements[name]
		g, m := v.group(place, byGroup[name])
		v.fits(place, m)
		p.Groups = append(p.Groups, g)
		p.Manifests = append(p.Manifests, m)
	}
	if v.Failed() {
		return nil
	}
	return p
}

// fits reports a group that providers would refuse, such as one that is too large, which shows only when all is put
// together.
func (v *resolver) fits(place *Placement, m manifesttypes.Group) {
	switch err := manifest.Validate(m); {
	// The salt that is added later takes part of the room.
	case m.Size()+manifest.SaltBytes+2 > manifest.MaxBytes:
		v.Report(place.At.Key().Problem("E-MANIFEST-SIZE", "what runs in placement %q takes %d bytes, at most %d are allowed",
			place.Name, m.Size(), manifest.MaxBytes-manifest.SaltBytes-2))
	case len(m.Edges) > manifest.MaxEdges:
		v.Report(place.At.Key().Problem("E-LIMIT", "placement %q has more than %d connections with other placements", place.Name, manifest.MaxEdges))
	case err != nil:
		v.Report(place.At.Key().Problem("E-MANIFEST", "providers would refuse what runs in placement %q: %s",
			place.Name, strings.ReplaceAll(err.Error(), "\n", "; ")))
	}
}

func (v *resolver) group(place *Placement, deployments []Deployment) (sdl.Group, manifesttypes.Group) {
	slices.SortFunc(deployments, func(a, b Deployment) int { return cmp.Compare(a.Service.Name, b.Service.Name) })
	g := sdl.Group{
		Name: place.Name, Attributes: place.Attributes, SignedBy: place.SignedBy,
		Resources: make([]sdl.Resource, 0, len(deployments)),
	}
	m := manifesttypes.Group{
		Name: place.Name, Services: make([]manifesttypes.Service, 0, len(deployments)), Edges: v.edgesOf(place.Name),
	}
	units := map[string]int{} // by compute profile, where services share them
	for _, d := range deployments {
		compute := v.compute[d.Profile.Name]
		unit, shared := units[compute.Name]
		if !shared || !v.SharedUnits {
			unit = len(g.Resources)
			units[compute.Name] = unit
			g.Resources = append(g.Resources, v.resource(compute, place.price(d.Profile.Name)))
		}
		service := v.service(v.services[d.Service.Name], compute, d.Count, uint32(unit)+1)
		m.Services = append(m.Services, service)
		v.demand(&g.Resources[unit], service)
	}
	g.Attributes = require(g.Attributes, v.abilities(deployments))
	v.units(place, g)
	v.totals(place, g)
	return g, m
}

// demand adds to a resource what one more service asks for.
func (v *resolver) demand(r *sdl.Resource, s manifesttypes.Service) {
	if r.Service != "" {
		r.Service += "+"
	}
	r.Service += s.Name
	r.Count += s.Count
	for _, e := range s.Expose {
		if !manifest.Public(e) {
			continue
		}
		r.Endpoints = append(r.Endpoints, kinds[e.Proto])
		if name := manifest.LeasedIP(e); name != "" {
			r.LeasedIPs = append(r.LeasedIPs, v.endpoint[name])
		}
	}
	slices.Sort(r.Endpoints)
	slices.Sort(r.LeasedIPs)
}

func (v *resolver) service(s *Service, c *Compute, count, unit uint32) manifesttypes.Service {
	m := manifesttypes.Service{
		Name: s.Name, Image: s.Image, Command: s.Command, Args: s.Args, Env: s.Env,
		Count: count, UnitId: unit, CpuMilli: c.CPUMilli, MemoryBytes: c.MemoryBytes, Volumes: mounted(c.Volumes, s.Mounts), Gpu: c.GPU,
		Credentials: s.Credentials, Permissions: s.Permissions, Tee: s.TEE.Name, Arch: c.Arch,
	}
	for _, a := range c.GPUAttributes {
		m.GpuAttributes = append(m.GpuAttributes, manifesttypes.Attribute{Key: a.Key, Value: a.Value})
	}
	for _, d := range s.DependsOn {
		m.DependsOn = append(m.DependsOn, d.Name)
	}
	slices.Sort(m.DependsOn)
	m.DependsOn = slices.Compact(m.DependsOn)
	for _, e := range s.Expose {
		m.Expose = append(m.Expose, expose(e))
	}
	return m
}

func expose(e Expose) manifesttypes.Expose {
	m := manifesttypes.Expose{Port: e.Port, As: e.As, Proto: e.Proto, HttpOptions: e.HTTP}
	for _, h := range e.Accept {
		m.Accept = append(m.Accept, h.Name)
	}
	slices.Sort(m.Accept)
	for _, t := range e.To {
		m.To = append(m.To, manifesttypes.To{Service: t.Service.Name, Global: t.Global, Ip: t.IP.Name})
	}
	// A client that may connect from everywhere may connect from here: of two entries for one service the global one
	// sorts first and stays.
	slices.SortFunc(m.To, func(a, b manifesttypes.To) int {
		if c := cmp.Compare(a.Service, b.Service); c != 0 || a.Global == b.Global {
			return c
		}
		if a.Global {
			return -1
		}
		return 1
	})
	m.To = slices.CompactFunc(m.To, func(a, b manifesttypes.To) bool { return a.Service == b.Service })
	return m
}

// resource is what an instance of a compute profile takes, before it is known how many there are.
func (v *resolver) resource(c *Compute, price *Price) sdl.Resource {
	r := sdl.Resource{
		CPUMilli: c.CPUMilli, MemoryBytes: c.MemoryBytes, GPU: c.GPU, GPUAttributes: c.GPUAttributes, Price: price.Amount, Denom: price.Denom,
	}
	for _, x := range c.Volumes {
		volume := sdl.Volume{Name: x.Name, Bytes: x.Bytes}
		for _, a := range x.Attributes {
			volume.Attributes = append(volume.Attributes, sdl.Attribute{Key: a.Key, Value: a.Value})
		}
		r.Storage = append(r.Storage, volume)
	}
	return r
}
