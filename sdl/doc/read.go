package doc

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/suggest"
)

// Shape says which keys a mapping may have.
type Shape struct {
	// What names the mapping in messages, for example "a service".
	What string
	Keys []string
	// Meant maps wrong keys to the key of this mapping that they mean, for example ports to expose.
	Meant map[string]string
	// Elsewhere maps keys to the place where they belong, for keys that are right, but not here.
	Elsewhere map[string]string
	// Advice maps keys to what to say of them.
	Advice map[string]string
	// Short is the key that is meant by a single value in place of the mapping, and Rest what the mapping is suggested to
	// have besides, such as ", count: 1".
	Short, Rest string
	// Lenient makes unknown keys warnings, for formats whose documents are known to carry keys that mean nothing.
	Lenient bool
}

// ShortFor returns the shape with a key that a single value may stand for.
func (s Shape) ShortFor(key, rest string) Shape {
	s.Short, s.Rest = key, rest
	return s
}

// Object is a mapping with known keys.
type Object struct {
	node   *Node
	values map[string]*Node
	short  bool // it is a single value in place of a mapping
}

// Node returns the mapping.
func (o Object) Node() *Node { return o.node }

// Get returns the value of a key, or nil when it is absent or empty.
func (o Object) Get(key string) *Node {
	n := o.values[key]
	if n == nil || n.kind == Null {
		return nil
	}
	return n
}

// Has tells whether a key is there, even with nothing as its value.
func (o Object) Has(key string) bool { return o.values[key] != nil }

// Require returns the value of a key, or reports that it is missing and returns nil.
func (o Object) Require(r *sdl.Reporter, key, example string) *Node {
	if n := o.Get(key); n != nil || o.short {
		return n
	}
	d := o.node.Key().Problem("E-MISSING", "%s is missing", key)
	if o.Has(key) {
		d = o.values[key].Key().Problem("E-MISSING", "%s is empty", key)
	}
	d.Path, d.Found = join(o.node.Path(), key), ""
	r.Report(d.WithHint("for example " + example))
	return nil
}

// Object reads a mapping with known keys and reports the others. A key that is near a known one counts as that one
// from there on, so that one mistake is reported once. A single value counts as the key that it is short for. It reports
// false when the node is nothing of that.
func (n *Node) Object(r *sdl.Reporter, shape Shape) (Object, bool) {
	o := Object{node: n}
	if n.kind != Map {
		d := n.wrongKind(shape.What, "a mapping with the keys "+strings.Join(shape.Keys, ", "))
		if o.short = n.kind == Scalar && shape.Short != ""; o.short {
			o.values = map[string]*Node{shape.Short: n}
			if n.text != "" && len(n.text) <= maxShown {
				d = d.WithSuggestion("{" + shape.Short + ": " + Plain(n.text) + shape.Rest + "}")
			}
		}
		r.Report(d)
		return o, o.short
	}
	o.values = make(map[string]*Node, len(n.kids))
	var unknown []*Node
	for _, v := range n.Items() {
		if slices.Contains(shape.Keys, v.Name()) {
			o.values[v.Name()] = v
			continue
		}
		unknown = append(unknown, v)
	}
	// By name, so that which of two similar keys counts does not depend on their order.
	slices.SortFunc(unknown, func(a, b *Node) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, v := range unknown {
		if meant := shape.unknownKey(r, v, o.values); meant != "" {
			o.values[meant] = v
		}
	}
	return o, true
}

// unknownKey reports a key and returns the one that it was meant to be, if that one is not there.
func (s Shape) unknownKey(r *sdl.Reporter, v *Node, present map[string]*Node) string {
	name := v.Name()
	if r.Full() {
		s.report(r, v.Key().Problem("E-UNKNOWN-KEY", "%s has no such key", s.What))
		return ""
	}
	d := v.Key().Problem("E-UNKNOWN-KEY", "%s has no key %q", s.What, ShowKey(name)).
		WithFound(ShowKey(name)).WithAllowed(strings.Join(s.Keys, ", "))
	absent := slices.DeleteFunc(slices.Clone(s.Keys), func(k string) bool { return present[k] != nil })
	meant := s.Meant[name]
	if meant == "" {
		meant = suggest.Same(name, absent)
	}
	if meant == "" && s.Elsewhere[name] == "" && s.Advice[name] == "" {
		meant = s.nearest(name, absent)
	}
	switch {
	case slices.Contains(absent, meant):
		d = d.WithSuggestion(meant)
	case meant != "":
		d = d.WithHint(meant + " is meant by it, and is there already")
	case s.Elsewhere[name] != "":
		d = d.WithHint(name + " belongs under " + s.Elsewhere[name] + "; check the indentation")
	}
	if advice := s.Advice[name]; advice != "" {
		d = d.WithHint(advice)
	}
	known := slices.Contains(absent, meant)
	if s.Lenient && !known && d.Hint == "" {
		d = d.WithHint("it is ignored")
	}
	s.report(r, d)
	if !known {
		return ""
	}
	return meant
}

// report reports an unknown key, as the shape wants it.
func (s Shape) report(r *sdl.Reporter, d sdl.Diagnostic) {
	if s.Lenient {
		d.Code = "W-UNKNOWN-KEY"
		r.Warn(d)
		return
	}
	r.Report(d)
}

// nearest finds the absent key that is near to a name, or near to another name of it.
func (s Shape) nearest(name string, absent []string) string {
	if key := suggest.Nearest(name, absent); key != "" {
		return key
	}
	others := slices.Sorted(maps.Keys(s.Meant))
	others = slices.DeleteFunc(others, func(k string) bool { return !slices.Contains(absent, s.Meant[k]) })
	return s.Meant[suggest.Nearest(name, others)]
}

// wrongKind reports a node that is not of the kind that is wanted.
func (n *Node) wrongKind(what, want string) sdl.Diagnostic {
	d := n.Problem("E-TYPE", "%s is %s, found %s", what, want, n.Show())
	if n.kind != Scalar {
		d.Found = n.kind.String()
	}
	return d.WithAllowed(want)
}

// Named reads a mapping from names to values, sorted by name, so that the order of keys means nothing. It reports
// false when the node is no mapping.
func (n *Node) Named(r *sdl.Reporter, what string) ([]*Node, bool) {
	if n.kind != Map {
		r.Report(n.wrongKind(what, "a mapping from names"))
		return nil, false
	}
	out := n.Items()
	slices.SortStableFunc(out, func(a, b *Node) int { return cmp.Compare(a.Name(), b.Name()) })
	return out, true
}

// Entries reads a list, in its order. It reports false when the node is no list. A single entry without its dash is
// reported with that advice, and read as the list of it.
func (n *Node) Entries(r *sdl.Reporter, what string) ([]*Node, bool) {
	if n.kind == List {
		return n.Items(), true
	}
	d := n.wrongKind(what, "a list")
	switch n.kind {
	case Scalar:
		if len(n.text) <= maxShown && !strings.Contains(n.text, "=") { // a value would have to be repeated
			d = d.WithSuggestion("[" + quoteFlow(n.text) + "]")
		}
	case Map:
		d = d.WithHint(`start each entry with "- "`)
	}
	r.Report(d)
	return nil, false
}

// quoteFlow writes a text so that it is one entry of a list in brackets.
func quoteFlow(s string) string {
	if plainKey(s) {
		return Plain(s)
	}
	return strconv.Quote(s)
}

// safe is what can stand as a value or key of YAML without quotes, wherever it stands, unless it is a word of its own.
var safe = regexp.MustCompile(`^[A-Za-z0-9_/.]([A-Za-z0-9_/.:@+-]*[A-Za-z0-9_/.+-])?$`)

// Plain writes a text so that it stands for itself in YAML: with quotes if it needs them. An empty text stays empty.
func Plain(s string) string {
	switch {
	case s == "":
		return ""
	case !safe.MatchString(s) || strings.EqualFold(s, "null") || s == "...":
		return strconv.Quote(s)
	}
	return s
}

// Scalar reads a text. A number or a truth value is its text, as written. It reports false for anything else.
func (n *Node) Scalar(r *sdl.Reporter, what string) (string, bool) {
	if n.kind != Scalar {
		r.Report(n.wrongKind(what, "a single value"))
		return "", false
	}
	return n.text, true
}

// Bool reads true or false. It reports false as its second result for anything else.
func (n *Node) Bool(r *sdl.Reporter, what string) (value, ok bool) {
	if n.kind == Scalar && n.bool {
		return strings.EqualFold(n.text, "true"), true
	}
	d := n.wrongKind(what, "true or false")
	switch strings.ToLower(n.text) {
	case "yes", "on", "y", "1", "true":
		d = d.WithSuggestion("true")
	case "no", "off", "n", "0", "false":
		d = d.WithSuggestion("false")
	default:
		d = d.WithSuggestion(suggest.Nearest(n.text, []string{"true", "false"}))
	}
	r.Report(d)
	return false, false
}

// Uint reads a whole number from least to most, in decimal digits, quoted or not.
func (n *Node) Uint(r *sdl.Reporter, code, what string, least, most uint64) (uint64, bool) {
	allowed := "a whole number from " + strconv.FormatUint(least, 10) + " to " + strconv.FormatUint(most, 10)
	value, err := strconv.ParseUint(n.text, 10, 64)
	plain := n.kind == Scalar && err == nil && strconv.FormatUint(value, 10) == n.text
	if plain && value >= least && value <= most {
		return value, true
	}
	d := n.Problem(code, "%s %s is not %s", what, n.Show(), allowed).WithAllowed(allowed)
	trimmed := strings.TrimSpace(strings.TrimLeft(n.text, "0+ "))
	if whole, zeros, ok := strings.Cut(trimmed, "."); ok && strings.Trim(zeros, "0") == "" {
		trimmed = whole
	}
	if trimmed != n.text {
		if v, err := strconv.ParseUint(trimmed, 10, 64); err == nil && v >= least && v <= most {
			d = d.WithSuggestion(trimmed)
		}
	}
	r.Report(d)
	return 0, false
}
