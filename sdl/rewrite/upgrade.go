package rewrite

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/quantity"
)

// rule says how a part of a document of version 1.0 becomes one of a later version.
type rule struct {
	keys map[string]*rule
	each *rule
	// whole means that the keys of a mapping are converted together, so that it must have them all itself.
	whole  bool
	change func(u *upgrade, at *place)
}

// place is a part of a document that is being converted.
type place struct {
	*entry
	path string
	flow bool // it stands in brackets
}

// upgrade converts one file of version 1.0.
type upgrade struct {
	*converter
	*part
}

func (r *rule) below(e *entry) *rule {
	if r.each != nil {
		return r.each
	}
	return r.keys[e.name]
}

// documentRule returns how a document is converted.
func documentRule() *rule {
	type under = map[string]*rule
	dependency := &rule{change: (*upgrade).dependency}
	service := &rule{change: (*upgrade).service, keys: under{
		"expose":     {each: &rule{change: (*upgrade).port, whole: true}},
		"depends-on": {each: dependency},
	}}
	return &rule{keys: under{
		"version":  {change: (*upgrade).version},
		"services": {each: service},
		"profiles": {keys: under{
			"compute":   {each: &rule{change: (*upgrade).profile, whole: true}},
			"placement": {each: &rule{keys: under{"pricing": {each: &rule{change: (*upgrade).price}}}}},
		}},
	}}
}

// upgrade converts a file of version 1.0 and writes it in its canonical form.
func (c *converter) upgrade(p *part) {
	parsed := &yaml.Node{Content: []*yaml.Node{p.root}}
	original, bad := read(p.text, parsed)
	if bad == nil {
		p.d, bad = read(p.text, parsed)
	}
	if bad != nil {
		c.unusual(p, bad)
		return
	}
	p.values, p.roles, p.origin = map[*yaml.Node]*value{}, map[*yaml.Node]*rule{}, map[*yaml.Node]*yaml.Node{}
	u := &upgrade{c, p}
	rules := documentRule()
	u.index(original.root.value)
	u.mark(original.root.value, rules)
	p.d.root.value.unfold()
	u.apply(&place{entry: p.d.root, flow: p.d.root.value.flow}, rules)
	p.d.root.value.sort(form20, true)
	p.out = []byte(write(p.d))
}

// index remembers the values as they stood.
func (u *upgrade) index(v *value) {
	u.values[v.node] = v
	for _, e := range v.entries {
		u.index(e.value)
	}
}

// mark remembers what each value is, so that an alias can stay if what it leads to is of its kind.
func (u *upgrade) mark(v *value, r *rule) {
	if r == nil || v.node.Kind == yaml.AliasNode {
		return
	}
	u.roles[v.node] = r
	for _, e := range v.entries {
		if !e.merges() {
			u.mark(e.value, r.below(e))
		}
	}
}

// unfold writes brackets that take several lines as lines of their own, as what is in them may change.
func (v *value) unfold() {
	for _, e := range v.entries {
		e.value.unfold()
	}
	if !v.flow || len(v.rest) == 0 {
		return
	}
	v.text, v.rest = "", nil
	v.flow = len(v.entries) == 0
}

// apply converts a value and what lies below it.
func (u *upgrade) apply(at *place, r *rule) {
	if n := at.value.node; n != nil && n.Kind == yaml.AliasNode {
		if u.roles[n.Alias] == r {
			return // what it leads to is converted likewise
		}
		at.value = u.copy(u.values[n.Alias], at.flow)
	}
	v := at.value
	if v.shape == leaf && v.node.Kind != yaml.ScalarNode {
		u.unusual(u.part, &unusual{v.node, "what stands in brackets here is written in an unusual way"})
		return
	}
	if r.whole || !u.mergesSame(v, r) {
		u.expand(v)
	}
	for i, e := range v.entries {
		if below := r.below(e); below != nil && !e.merges() {
			path := at.path + under(e.name)
			if v.shape == list {
				path = at.path + "[" + strconv.Itoa(i) + "]"
			}
			u.apply(&place{entry: e, path: strings.TrimPrefix(path, "."), flow: v.flow}, below)
		}
	}
	if r.change != nil {
		r.change(u, at)
	}
}

// mergesSame tells whether all that a mapping merges is converted as it is itself.
func (u *upgrade) mergesSame(v *value, r *rule) bool {
	for _, e := range v.entries {
		if e.merges() && slices.ContainsFunc(merged(e.value.node), func(n *yaml.Node) bool { return u.roles[n] != r }) {
			return false
		}
	}
	return true
}

// expand puts what a mapping merges into it.
func (u *upgrade) expand(v *value) {
	if v.shape != mapping || !slices.ContainsFunc(v.entries, (*entry).merges) {
		return
	}
	merges := v.entries
	v.entries = slices.DeleteFunc(slices.Clone(v.entries), (*entry).merges)
	for _, m := range merges {
		if !m.merges() {
			continue
		}
		for _, n := range merged(m.value.node) {
			from := u.copy(u.values[n], v.flow)
			u.expand(from)
			for _, e := range from.entries {
				if v.find(e.name) == nil {
					v.entries = append(v.entries, e)
				}
			}
		}
	}
}

// copy is a value without its comments and anchors, for another place.
func (u *upgrade) copy(v *value, flow bool) *value {
	out := *v
	out.props = strings.Join(slices.DeleteFunc(strings.Fields(v.props), func(p string) bool { return p[0] == '&' }), " ")
	out.flow, out.tail, out.gap = v.shape != leaf && (flow || v.flow && len(v.rest) == 0), nil, false
	if v.shape != leaf {
		out.text, out.rest = "", nil
	}
	if n := *v.node; n.Anchor != "" {
		n.Anchor = ""
		out.node = &n
		u.origin[out.node] = v.node
	}
	out.entries = make([]*entry, len(v.entries))
	for i, e := range v.entries {
		kid := &entry{key: e.key, name: e.name, node: e.node, column: e.column, value: u.copy(e.value, out.flow)}
		if e.key != "" && strings.HasPrefix(e.key, "&") {
			_, kid.key, _ = strings.Cut(e.key, " ")
		}
		out.entries[i] = kid
	}
	if flow && v.shape == leaf && (v.block || len(v.rest) > 0) {
		u.unusual(u.part, &unusual{v.node, "a text of several lines would have to stand in brackets"})
	}
	return &out
}

// scalar is a new leaf.
func scalar(text string) *value {
	return &value{text: text, node: &yaml.Node{Kind: yaml.ScalarNode, Value: text}}
}

// keyed is a new entry of a mapping.
func keyed(key string, v *value) *entry { return &entry{key: key, name: key, value: v} }

// nest makes the value of an entry one of a mapping with other entries before it. Its comments go with it.
func (at *place) nest(key string, before ...*entry) {
	e := at.entry
	inner := keyed(key, e.value)
	inner.trail, inner.under, inner.column = e.trail, e.under, e.column
	entries := append(before, inner)
	entries[0].lead = e.above
	e.value = &value{shape: mapping, flow: at.flow, entries: entries}
	e.trail, e.under, e.above = nil, nil, nil
}

// anchorOutside moves an anchor from a value to the mapping that it was made one of, as its aliases mean that.
func (v *value) anchorOutside() {
	inner := v.entries[len(v.entries)-1].value
	if inner.node.Anchor == "" {
		return
	}
	n := *inner.node
	n.Anchor = ""
	v.node = &yaml.Node{Kind: yaml.MappingNode, Anchor: inner.node.Anchor}
	v.props, inner.props, inner.node = "&"+inner.node.Anchor, strings.Join(slices.DeleteFunc(strings.Fields(inner.props),
		func(p string) bool { return p[0] == '&' }), " "), &n
}

func (u *upgrade) version(at *place) {
	at.value.text, at.value.rest = strconv.Quote(u.to), nil
}

func (u *upgrade) service(at *place) {
	if e := at.value.find("depends-on"); e != nil {
		e.key, e.name = "dependencies", "dependencies"
	}
}

func (u *upgrade) dependency(at *place) {
	if at.value.shape == leaf {
		at.nest("service")
		at.value.anchorOutside()
	}
}

// profile puts what a compute profile says under resources.
func (u *upgrade) profile(at *place) {
	v := at.value
	for _, e := range v.entries {
		key := "size"
		switch e.name {
		case "cpu":
			key = "units"
		case "disk":
			e.key, e.name = "storage", "storage"
		}
		(&place{entry: e, flow: v.flow}).nest(key)
	}
	resources := keyed("resources", &value{shape: mapping, flow: v.flow, entries: v.entries, tail: v.tail})
	v.entries, v.tail = []*entry{resources}, nil
}

// price writes a price as an amount of micro tokens.
func (u *upgrade) price(at *place) {
	n := at.value.node
	amount, bad := quantity.Price(n.Value)
	if bad != nil { // which a document that compiles does not have
		u.refuse(u.place(n, at.path, bad.Reason))
		return
	}
	props := at.value.props
	at.nest("amount", keyed("denom", scalar(sdl.Denom)))
	inner := at.value.entries[1]
	inner.value = scalar(sdl.FormatPrice(amount))
	inner.value.props = props
	inner.value.node.Anchor = n.Anchor
	at.value.anchorOutside()
}
