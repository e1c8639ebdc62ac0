package stack

import (
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// ReadTexts reads a list of texts; one names an entry in messages.
func ReadTexts(r *sdl.Reporter, n *doc.Node, what, one string) []string {
	entries, _ := n.Entries(r, what)
	var out []string
	for _, e := range entries {
		if text, ok := e.Scalar(r, one); ok {
			out = append(out, text)
		}
	}
	return out
}

// ReadDependsOn reads a list of services: each is a name, or a mapping with the name as its service.
func ReadDependsOn(r *sdl.Reporter, n *doc.Node, what string, shape doc.Shape) []Ref {
	entries, _ := n.Entries(r, what)
	var out []Ref
	for _, e := range entries {
		if e.Kind() == doc.Map {
			o, _ := e.Object(r, shape)
			if e = o.Require(r, "service", "service: db"); e == nil {
				continue
			}
		}
		if name, ok := e.Scalar(r, "a dependency"); ok {
			out = append(out, Ref{Name: name, At: e})
		}
	}
	return out
}
