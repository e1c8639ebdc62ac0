package stack

import (
	"slices"

	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/suggest"
)

// leased checks that exposed ports name leased addresses that are declared, each once for a port, and that none is
// declared in vain. It numbers them by name, from 1.
func (v *resolver) leased() {
	if v.Incomplete() {
		return // what is not declared or used here may be so in the file that is missing
	}
	names := names(v.Endpoints, func(r Ref) string { return r.Name })
	v.endpoint = make(map[string]uint32, len(names))
	for i, name := range names {
		v.endpoint[name] = uint32(i) + 1
	}
	used := map[string]bool{}
	type door struct {
		address string
		port    uint32
		udp     bool
	}
	first := map[door]*doc.Node{}
	for i := range v.Services {
		for j := range v.Services[i].Expose {
			e := &v.Services[i].Expose[j]
			for _, t := range e.To {
				if t.IP.At == nil {
					continue
				}
				used[t.IP.Name] = true
				if !slices.Contains(names, t.IP.Name) {
					used[suggest.Nearest(t.IP.Name, names)] = true // it is meant
					v.Report(t.IP.At.Problem("E-ENDPOINT", "there is no endpoint %s", t.IP.At.Show()).
						WithAllowed(list(names)).WithSuggestion(near(t.IP.Name, names)).
						WithHint("declare it: endpoints: {" + t.IP.Name + ": {kind: ip}}"))
					continue
				}
				d := door{t.IP.Name, e.As, isUDP(e)}
				if other, twice := first[d]; twice {
					v.Report(t.IP.At.Problem("E-ENDPOINT", "port %d of endpoint %q is taken in %s already", e.As, t.IP.Name, other.Place(t.IP.At)))
					continue
				}
				first[d] = t.IP.At
			}
		}
	}
	for _, e := range v.Endpoints {
		if !used[e.Name] {
			v.Report(e.At.Key().Problem("E-ENDPOINT", "endpoint %q is used by no exposed port", e.Name).
				WithHint("use it as ip: " + e.Name + " beside global: true, or remove it"))
		}
	}
}

// global checks that somebody outside can reach something, where a format demands it.
func (v *resolver) global() {
	if !v.NeedsGlobal || len(v.Services) == 0 || v.Incomplete() {
		return
	}
	for _, s := range v.Services {
		for _, e := range s.Expose {
			if e.Unsure {
				return
			}
			for _, t := range e.To {
				if t.Global {
					return
				}
			}
		}
	}
	at := v.Services[0].At.Key().Problem("E-NO-GLOBAL", "no service is open to anyone outside: one must be")
	at.Path, at.Found = "services", ""
	v.Report(at.WithHint("add to: [{global: true}] to a port that people should reach"))
}

// trust checks what services ask of trusted execution: one kind in a placement, and a gpu where it is to be trusted.
func (v *resolver) trust() {
	kind := map[string]Ref{}
	for _, d := range v.Deployments {
		s, c := v.services[d.Service.Name], v.compute[d.Profile.Name]
		if s == nil || c == nil || s.TEE.Name == "" {
			continue
		}
		if s.TEE.Name == "cpu-gpu" && c.GPU == 0 {
			v.Report(s.TEE.At.Problem("E-TEE", "tee cpu-gpu needs a gpu, and compute profile %q has none", c.Name).WithSuggestion("cpu"))
		}
		other, seen := kind[d.Placement.Name]
		if seen && other.Name != s.TEE.Name {
			v.Report(s.TEE.At.Problem("E-TEE", "placement %q asks for tee %s and, in %s, for %s", d.Placement.Name, s.TEE.Name, other.At.Place(s.TEE.At), other.Name).
				WithHint("deploy the two into different placements"))
			continue
		}
		kind[d.Placement.Name] = s.TEE
	}
}
