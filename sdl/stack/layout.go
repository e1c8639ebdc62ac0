package stack

import (
	"slices"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// Layout finds the sections of a document, also where they stand at the wrong depth.
type Layout struct {
	r     *sdl.Reporter
	top   doc.Object
	moved []*doc.Node
}

// NewLayout looks for sections in a document's top level.
func NewLayout(r *sdl.Reporter, top doc.Object) *Layout { return &Layout{r: r, top: top} }

// Moved are the sections that were found at the wrong depth.
func (l *Layout) Moved() []*doc.Node { return l.moved }

// sections are the keys of the top level that hold others.
var sections = []string{"services", "profiles", "deployment"}

// Section returns a section of the document, or reports that it is missing. A section that is indented too far is
// reported, and returned as if it stood right.
func (l *Layout) Section(key, example string) *doc.Node {
	if n := l.top.Get(key); n != nil {
		return n
	}
	for _, under := range sections {
		outer := l.top.Get(under)
		if outer == nil {
			continue
		}
		if inner := outer.Child(key); inner != nil && inner.Kind() == doc.Map {
			l.r.Report(inner.Key().Problem("E-INDENT", "%s stands under %s, but belongs at the top level", key, under).
				WithHint("indent it as far as " + under))
			l.moved = append(l.moved, inner)
			return inner
		}
	}
	if key == "profiles" && (l.top.Node().Child("compute") != nil || l.top.Node().Child("placement") != nil) {
		return nil // reported as unknown keys, which belong under profiles
	}
	return l.top.Require(l.r, key, example)
}

// Named reads a mapping of names that must not be empty, without the sections that strayed into it.
func (l *Layout) Named(n *doc.Node, what, example string) []*doc.Node {
	return slices.DeleteFunc(Named(l.r, n, what, example), func(n *doc.Node) bool { return slices.Contains(l.moved, n) })
}

// Named reads a mapping of names that must not be empty.
func Named(r *sdl.Reporter, n *doc.Node, what, example string) []*doc.Node {
	nodes, ok := n.Named(r, what)
	if ok && len(nodes) == 0 {
		r.Report(n.Key().Problem("E-MISSING", "%s is empty", what).WithHint("for example " + example))
	}
	return nodes
}
