package stack

import (
	"cmp"
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/suggest"
)

// Resolve checks what the parts of a document mean together, reports all that is wrong, and returns the plan, or nil
// if the document has an error, be it found here or before.
func Resolve(r *sdl.Reporter, s *Stack) *sdl.Plan {
	const most = manifest.MaxGroups * manifest.MaxServices
	if len(s.Services) > most {
		r.Report(s.Services[most].At.Key().Problem("E-LIMIT", "the document has %d services, at most %d are allowed", len(s.Services), most))
		return nil
	}
	v := newResolver(r, s)
	v.deployments()
	v.pricing()
	v.denoms()
	v.unused()
	v.exposes()
	v.global()
	v.leased()
	v.volumes()
	v.gpus()
	v.trust()
	v.hosts()
	v.dependencies()
	if r.Failed() {
		return nil
	}
	return v.plan()
}

// resolver holds a stack with its parts by name.
type resolver struct {
	*sdl.Reporter
	*Stack
	services   map[string]*Service
	compute    map[string]*Compute
	placements map[string]*Placement
	// where lists the placements of each service, sorted.
	where map[string][]string
	// endpoint numbers the leased addresses by name.
	endpoint map[string]uint32

	serviceNames, computeNames, placementNames []string
}

func newResolver(r *sdl.Reporter, s *Stack) *resolver {
	v := &resolver{
		Reporter: r, Stack: s,
		services:   make(map[string]*Service, len(s.Services)),
		compute:    make(map[string]*Compute, len(s.Compute)),
		placements: make(map[string]*Placement, len(s.Placements)),
		where:      make(map[string][]string, len(s.Services)),
	}
	v.serviceNames = names(s.Services, func(s Service) string { return s.Name })
	v.computeNames = names(s.Compute, func(c Compute) string { return c.Name })
	v.placementNames = names(s.Placements, func(p Placement) string { return p.Name })
	for i := range s.Services {
		v.services[s.Services[i].Name] = &s.Services[i]
	}
	for i := range s.Compute {
		v.compute[s.Compute[i].Name] = &s.Compute[i]
	}
	for i := range s.Placements {
		v.placements[s.Placements[i].Name] = &s.Placements[i]
	}
	for _, d := range s.Deployments {
		v.where[d.Service.Name] = append(v.where[d.Service.Name], d.Placement.Name)
	}
	return v
}

// unknown reports a reference to something that does not exist. Where there is none at all, that was reported, and is
// not said again for every reference. In a document that lacks a file it may well exist.
func (v *resolver) unknown(code, what string, at *doc.Node, name string, have []string, but string) {
	if v.Incomplete() || len(have) == 0 && v.Failed() {
		return
	}
	d := at.Problem(code, "there is no %s %s", what, at.Show())
	if !v.Full() {
		others := slices.DeleteFunc(slices.Clone(have), func(n string) bool { return n == but })
		d = d.WithAllowed(list(have)).WithSuggestion(near(name, others))
	}
	v.Report(d)
}

// near is the name that was probably meant, as it can be put in place.
func near(name string, have []string) string { return doc.Plain(suggest.Nearest(name, have)) }

// list joins names for people, some of them if there are many.
func list(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none is defined"
	}
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", ..."
	}
	return strings.Join(names, ", ")
}

func names[T any](in []T, name func(T) string) []string {
	out := make([]string, len(in))
	for i, x := range in {
		out[i] = name(x)
	}
	return out
}

// deployments checks what a deployment names, and how much there is of it.
func (v *resolver) deployments() {
	perGroup := map[string]int{}
	for i, d := range v.Deployments {
		service := d.Service.Name
		if (i == 0 || service != v.Deployments[i-1].Service.Name) && v.services[service] == nil {
			v.unknown("E-UNKNOWN-SERVICE", "service", d.Service.At.Key(), service, v.serviceNames, "")
		}
		place := v.placements[d.Placement.Name]
		if place == nil {
			v.unknown("E-UNKNOWN-PLACEMENT", "placement", d.Placement.At.Key(), d.Placement.Name, v.placementNames, "")
		}
		v.profile(d, place)
		perGroup[d.Placement.Name]++
		if perGroup[d.Placement.Name] == manifest.MaxServices+1 {
			v.Report(d.Placement.At.Key().Problem("E-LIMIT", "placement %q has more than %d services", d.Placement.Name, manifest.MaxServices).
				WithHint("deploy some of them into another placement"))
		}
		if len(perGroup) == manifest.MaxGroups+1 && perGroup[d.Placement.Name] == 1 {
			v.Report(d.Placement.At.Key().Problem("E-LIMIT", "more than %d placements are deployed to", manifest.MaxGroups))
		}
	}
}

// profile checks that a deployment's compute profile exists and has a price where it is deployed.
func (v *resolver) profile(d Deployment, place *Placement) {
	if d.Profile.At == nil {
		return
	}
	if v.compute[d.Profile.Name] == nil {
		v.unknown("E-UNKNOWN-PROFILE", "compute profile", d.Profile.At, d.Profile.Name, v.computeNames, "")
		return
	}
	if place == nil || place.price(d.Profile.Name) != nil {
		return
	}
	v.Report(d.Profile.At.Problem("E-NO-PRICE", "placement %q has no price for compute profile %q", place.Name, d.Profile.Name).
		WithHint("add " + d.Profile.Name + " to profiles.placement." + place.Name + ".pricing"))
}

func (p *Placement) price(profile string) *Price {
	i, ok := slices.BinarySearchFunc(p.Pricing, profile, func(x Price, name string) int { return cmp.Compare(x.Name, name) })
	if !ok {
		return nil
	}
	return &p.Pricing[i]
}

// pricing checks that prices are for compute profiles.
func (v *resolver) pricing() {
	for _, p := range v.Placements {
		for _, price := range p.Pricing {
			if v.compute[price.Name] != nil || v.Incomplete() {
				continue
			}
			if v.services[price.Name] == nil {
				v.unknown("E-UNKNOWN-PROFILE", "compute profile", price.At.Key(), price.Name, v.computeNames, "")
				continue
			}
			v.Report(price.At.Key().Problem("E-UNKNOWN-PROFILE", "there is no compute profile %s", price.At.Key().Show()).
				WithAllowed(list(v.computeNames)).WithHint("prices are given for compute profiles, not for services"))
		}
	}
}

// denoms checks that all that is deployed is priced in one denomination: a deployment has one deposit.
func (v *resolver) denoms() {
	var first *Price
	for _, d := range v.Deployments {
		place := v.placements[d.Placement.Name]
		if place == nil {
			continue
		}
		price := place.price(d.Profile.Name)
		if price == nil || price.Denom == "" {
			continue
		}
		if first == nil {
			first = price
		}
		if price.Denom != first.Denom {
			v.Report(price.At.Key().Problem("E-DENOM", "the price is in %q, that in %s in %q", price.Denom, first.At.Place(price.At), first.Denom).
				WithHint("price everything in one denomination"))
		}
	}
}

// unused warns of what is defined and never used, which is often a name that was changed in one place only.
func (v *resolver) unused() {
	if len(v.Deployments) == 0 || v.Incomplete() {
		return
	}
	compute, placements := map[string]bool{}, map[string]bool{}
	for _, d := range v.Deployments {
		compute[d.Profile.Name], placements[d.Placement.Name] = true, true
	}
	warn := func(used bool, code, what string, ref Ref) {
		if !used {
			v.Warn(ref.At.Key().Problem(code, "%s %q is not used by the deployment", what, ref.Name))
		}
	}
	for _, s := range v.Services {
		warn(len(v.where[s.Name]) > 0, "W-UNUSED-SERVICE", "service", s.Ref)
	}
	for _, c := range v.Compute {
		warn(compute[c.Name], "W-UNUSED-PROFILE", "compute profile", c.Ref)
	}
	for _, p := range v.Placements {
		warn(placements[p.Name], "W-UNUSED-PLACEMENT", "placement", p.Ref)
	}
}
