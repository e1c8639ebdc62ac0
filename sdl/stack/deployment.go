package stack

import (
	"cmp"
	"slices"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// ReadDeployment reads which service runs where, sorted by service and placement. The shape is that of one service in one
// placement.
func ReadDeployment(r *sdl.Reporter, n *doc.Node, shape doc.Shape) []Deployment {
	const example = "east: {profile: web, count: 1}"
	var out []Deployment
	for _, service := range Named(r, n, "deployment", "web: {"+example+"}") {
		if isPlace(service, shape) {
			r.Report(service.Key().Problem("E-MISSING", "the placement between %s and its profile is missing", shown(service.Name())).WithFound("").
				WithHint("write " + shown(service.Name()) + ": {" + example + "}, with a placement for east"))
			continue
		}
		for _, place := range Named(r, service, "the deployment of a service", example) {
			out = append(out, readPlace(r, service, place, shape))
		}
	}
	slices.SortStableFunc(out, func(a, b Deployment) int {
		return cmp.Or(cmp.Compare(a.Service.Name, b.Service.Name), cmp.Compare(a.Placement.Name, b.Placement.Name))
	})
	return out
}

// isPlace tells whether what stands under a service is what belongs under one of its placements.
func isPlace(n *doc.Node, shape doc.Shape) bool {
	items := n.Items()
	return n.Kind() == doc.Map && len(items) > 0 && !slices.ContainsFunc(items, func(v *doc.Node) bool {
		return v.Kind() != doc.Scalar || !slices.Contains(shape.Keys, v.Name())
	})
}

func readPlace(r *sdl.Reporter, service, place *doc.Node, shape doc.Shape) Deployment {
	d := Deployment{
		Service:   Ref{Name: service.Name(), At: service},
		Placement: Ref{Name: place.Name(), At: place},
	}
	o, ok := place.Object(r, shape.ShortFor("profile", ", count: 1"))
	if !ok {
		return d
	}
	if profile := o.Require(r, "profile", "profile: web"); profile != nil {
		if name, ok := profile.Scalar(r, "profile"); ok {
			d.Profile = Ref{Name: name, At: profile}
		}
	}
	if count := o.Require(r, "count", "count: 1"); count != nil {
		d.Count = ReadCount(r, count)
	}
	return d
}
