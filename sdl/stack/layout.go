package stack

import (
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// Require returns a part of the document, or reports that it is missing, unless it may be in a file that could not be
// had.
func Require(r *sdl.Reporter, o doc.Object, key, example string) *doc.Node {
	if r.Incomplete() {
		return o.Get(key)
	}
	return o.Require(r, key, example)
}

// Named reads a mapping of names that must not be empty.
func Named(r *sdl.Reporter, n *doc.Node, what, example string) []*doc.Node {
	nodes, ok := n.Named(r, what)
	if ok && len(nodes) == 0 && !r.Incomplete() {
		r.Report(n.Key().Problem("E-MISSING", "%s is empty", what).WithHint("for example " + example))
	}
	return nodes
}

// Mappings reads a list of mappings. One that stands without its dash is reported, and read as the list of it.
func Mappings(r *sdl.Reporter, n *doc.Node, what string) []*doc.Node {
	entries, ok := n.Entries(r, what)
	if !ok && n.Kind() == doc.Map {
		return []*doc.Node{n}
	}
	return entries
}
