package include

import (
	"cmp"

	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/stack"
)

// what says what an entry of a section is.
var what = map[string]string{
	"services": "service", "deployment": "the deployment of service", "endpoints": "endpoint",
	"compute": "compute profile", "placement": "placement",
}

// join returns one document of all parts, in the place of the document's own.
func (j *Joiner) join(root *doc.Node) *doc.Node {
	if len(j.parts) == 0 {
		return root
	}
	return root.Holding(j.keyed(j.parts, j.Form.Top, func(name string) bool { return name == key }))
}

// keyed joins mappings with known keys.
func (j *Joiner) keyed(parts []doc.Object, l *stack.Level, skip func(name string) bool) []doc.Entry {
	var entries []doc.Entry
	for _, name := range l.Shape.Keys {
		var nodes []*doc.Node
		for _, p := range parts {
			if n := p.Get(name); n != nil {
				nodes = append(nodes, n)
			}
		}
		if len(nodes) == 0 || skip(name) {
			continue
		}
		entries = append(entries, doc.Entry{Name: name, Value: j.value(name, nodes, l.Keys[name])})
	}
	return entries
}

// value joins what the files have under one key. What is alone is left to the front-end as it is.
func (j *Joiner) value(name string, nodes []*doc.Node, l *stack.Level) *doc.Node {
	switch {
	case len(nodes) == 1 || name == "version":
		return nodes[0]
	case l.Names != nil:
		return nodes[0].Holding(j.names(name, nodes))
	case !sections(l):
		for _, n := range nodes[1:] {
			j.twice(n, name, nodes[0])
		}
		return nodes[0]
	}
	var parts []doc.Object
	for _, n := range nodes {
		o, ok := n.Object(j.Report, l.Shape)
		if !ok {
			j.Report.SetIncomplete()
			continue
		}
		parts = append(parts, o)
	}
	return nodes[0].Holding(j.keyed(parts, l, func(string) bool { return false }))
}

// sections tells whether a mapping holds nothing but mappings from names, as profiles do.
func sections(l *stack.Level) bool {
	for _, name := range l.Shape.Keys {
		if l.Keys[name].Names == nil {
			return false
		}
	}
	return len(l.Keys) > 0
}

// names joins mappings from names. A name that was there before is reported, and the first counts.
func (j *Joiner) names(name string, nodes []*doc.Node) []doc.Entry {
	var entries []doc.Entry
	have := map[string]*doc.Node{}
	for _, n := range nodes {
		items, ok := n.Named(j.Report, name)
		if !ok {
			j.Report.SetIncomplete()
		}
		for _, item := range items {
			if other := have[item.Name()]; other != nil {
				j.twice(item, cmp.Or(what[name], name)+" "+item.Key().Show(), other)
				continue
			}
			have[item.Name()] = item
			entries = append(entries, doc.Entry{Name: item.Name(), Value: item})
		}
	}
	return entries
}

func (j *Joiner) twice(n *doc.Node, what string, first *doc.Node) {
	if j.Report.Full() { // it counts, but nobody reads it
		j.Report.Report(n.Remark("E-INCLUDE-DUPLICATE", "%s", what))
		return
	}
	d := n.Key().Problem("E-INCLUDE-DUPLICATE", "%s stands in %s already, and no file replaces what another one says", what, first.Key().Place(n.Key()))
	j.Report.Report(d.WithHint("remove one of the two, or give it another name"))
}
