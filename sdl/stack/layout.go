package stack

import (
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// Named reads a mapping of names that must not be empty.
func Named(r *sdl.Reporter, n *doc.Node, what, example string) []*doc.Node {
	nodes, ok := n.Named(r, what)
	if ok && len(nodes) == 0 {
		r.Report(n.Key().Problem("E-MISSING", "%s is empty", what).WithHint("for example " + example))
	}
	return nodes
}
