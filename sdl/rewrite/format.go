// Package rewrite changes the text of documents: it brings them into their canonical form, and into another version of
// the format. Comments, and values as they are written, are kept. Nothing is read but what is given.
package rewrite

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// Format returns the canonical form of a document: sections and known keys in a fixed order, two spaces of
// indentation, at most one empty line between things. What it means does not change. A document that is no YAML, or
// whose form is too unusual, is refused with a nil text and diagnostics that say why; one with other errors is not.
func Format(file string, data []byte) ([]byte, sdl.Diagnostics) {
	r := sdl.NewReporter(file)
	text := normalise(data)
	root := doc.ParseYAML([]byte(text), r)
	if root == nil {
		return nil, r.Diagnostics()
	}
	if root.Kind() != doc.Map {
		r.Report(root.Problem("E-TYPE", "the document is a mapping with the keys %s, found %s", strings.Join(topKeys, ", "), root.Show()))
		return nil, r.Diagnostics()
	}
	refuse := func(u *unusual) ([]byte, sdl.Diagnostics) {
		r := sdl.NewReporter(file)
		r.Report(sdl.Diagnostic{
			Code: "E-FORM", Line: u.node.Line, Column: u.node.Column, Message: "the document is not formatted: " + u.why,
			Hint: "write it in a plainer way",
		})
		return nil, r.Diagnostics()
	}
	before, u := parse(text)
	if u != nil {
		return refuse(u)
	}
	d, u := read(text, before)
	if u != nil {
		return refuse(u)
	}
	d.root.value.sort(formOf(d.root.value), strings.Contains(text, "&"))
	out := write(d)
	if !sameText(text, out) || !same(before, out) {
		return refuse(&unusual{before.Content[0], "its meaning would not stay the same"})
	}
	return []byte(out), nil
}

// parse returns the nodes of a text that holds one document.
func parse(text string) (*yaml.Node, *unusual) {
	n := new(yaml.Node)
	if err := yaml.Unmarshal([]byte(text), n); err != nil || len(n.Content) != 1 {
		return nil, &unusual{&yaml.Node{Line: 1, Column: 1}, "its line ends are unusual"}
	}
	return n, nil
}

// formOf finds out which form a document has by its version or, without one, by what its compute profiles hold.
func formOf(root *value) *form {
	if v := root.get("version"); v != nil && v.node.Kind == yaml.ScalarNode && strings.HasPrefix(v.node.Value, "2") {
		return form20
	} else if v != nil {
		return form10
	}
	if profiles := root.get("profiles"); profiles != nil {
		if compute := profiles.get("compute"); compute != nil {
			for _, e := range compute.entries {
				if e.value.get("resources") != nil {
					return form20
				}
			}
		}
	}
	return form10
}

// get is the value of a key, or nil.
func (v *value) get(key string) *value {
	if e := v.find(key); e != nil {
		return e.value
	}
	return nil
}

// find is the entry of a key of a mapping, or nil.
func (v *value) find(key string) *entry {
	if v.shape != mapping {
		return nil
	}
	i := slices.IndexFunc(v.entries, func(e *entry) bool { return e.name == key })
	if i < 0 {
		return nil
	}
	return v.entries[i]
}

// sameText tells whether two texts hold the same characters, but for space and the chomping of a text at the very end.
func sameText(a, b string) bool {
	var count [256]int
	for i := range len(a) {
		count[a[i]]++
	}
	for i := range len(b) {
		count[b[i]]--
	}
	if !strings.HasSuffix(a, "\n") {
		count['-'], count['+'] = 0, 0
	}
	for _, c := range " \t\n" {
		count[c] = 0
	}
	return count == [256]int{}
}

// same tells whether a text has the nodes that are given, but for the order of keys.
func same(before *yaml.Node, out string) bool {
	after, u := parse(out)
	if u != nil {
		return false
	}
	c := comparison{pairs: map[*yaml.Node]*yaml.Node{}}
	if !c.equal(before, after) {
		return false
	}
	for _, n := range c.aliases {
		if c.pairs[n.Alias] != c.pairs[n].Alias {
			return false
		}
	}
	return true
}

// comparison compares two trees of nodes and remembers which belong together.
type comparison struct {
	pairs   map[*yaml.Node]*yaml.Node
	aliases []*yaml.Node
}

func (c *comparison) equal(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.Anchor != b.Anchor || a.ShortTag() != b.ShortTag() || len(a.Content) != len(b.Content) {
		return false
	}
	c.pairs[a] = b
	switch a.Kind {
	case yaml.AliasNode:
		c.aliases = append(c.aliases, a)
	case yaml.MappingNode:
		return c.mappings(a, b)
	}
	for i := range a.Content {
		if !c.equal(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// mappings compares two mappings. Of keys that appear several times, the first is compared with the first.
func (c *comparison) mappings(a, b *yaml.Node) bool {
	type key struct {
		kind       yaml.Kind
		tag, value string
	}
	of := func(n *yaml.Node) key { return key{n.Kind, n.ShortTag(), n.Value} }
	places := make(map[key][]int, len(b.Content)/2)
	for i := 0; i < len(b.Content); i += 2 {
		places[of(b.Content[i])] = append(places[of(b.Content[i])], i)
	}
	for i := 0; i < len(a.Content); i += 2 {
		at := places[of(a.Content[i])]
		if len(at) == 0 || !c.equal(a.Content[i], b.Content[at[0]]) || !c.equal(a.Content[i+1], b.Content[at[0]+1]) {
			return false
		}
		places[of(a.Content[i])] = at[1:]
	}
	return true
}
