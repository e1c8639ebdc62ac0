package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// Form is how the documents of a version are laid out.
type Form struct {
	// Top is the top level.
	Top   *Level
	homes map[string][]*Level
}

// NewForm returns the form of documents whose top level is given.
func NewForm(top *Level) *Form {
	f := &Form{Top: top, homes: map[string][]*Level{}}
	top.homes(f.homes, map[*Level]bool{})
	return f
}

// Straighten finds what stands at the wrong depth of a document, which is what wrong indentation does, reports each
// such mistake once with where to move what, and makes the tree what was meant, so that nothing else is said of it.
func (f *Form) Straighten(r *sdl.Reporter, root *doc.Node) {
	s := straightener{Form: f, report: r, last: map[*Level]visit{}}
	s.walk(root, f.Top)
	for _, m := range s.moves {
		m.report(r, root)
	}
}

type straightener struct {
	*Form
	report *sdl.Reporter
	// last is the last mapping of each level so far, and open the mappings that hold the one at hand.
	last  map[*Level]visit
	open  []visit
	steps int
	moves []*move
}

// visit is a mapping that was come by.
type visit struct {
	node  *doc.Node
	level *Level
	step  int
}

func (s *straightener) visit(n *doc.Node, l *Level) visit {
	s.steps++
	v := visit{n, l, s.steps}
	for a := l; a != nil; a = a.Or {
		s.last[a] = v
	}
	return v
}

// walk goes through a document in the order of its text.
func (s *straightener) walk(n *doc.Node, l *Level) {
	if n.Kind() == doc.Null {
		s.visit(n, l)
		return
	}
	if l = l.of(n); l == nil || n.Kind() == doc.Scalar {
		return
	}
	s.open = append(s.open, s.visit(n, l))
	var before *doc.Node
	for _, v := range n.Items() {
		switch {
		case n.Kind() == doc.List:
			s.walk(v, l.Entries)
		case l.Keys != nil && l.Keys[v.Name()] != nil:
			s.list(v, l, n)
			s.walk(v, l.Keys[v.Name()])
		case s.stray(v, before):
			continue
		case l.Names != nil:
			s.walk(v, l.Names)
		}
		before = v
	}
	s.open = s.open[:len(s.open)-1]
}

// list gives a list of mappings that stands under the wrong key the key that it lacks.
func (s *straightener) list(v *doc.Node, l *Level, n *doc.Node) {
	items := v.Items()
	if v.Kind() != doc.List || len(items) == 0 || items[0].Kind() != doc.Map || l.Keys[v.Name()].fits(v) {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(l.Keys)) {
		if n.Child(key) == nil && l.Keys[key].fits(v) {
			s.report.Report(v.Key().Problem("E-INDENT", "the entries of %s belong under %s", v.Name(), key).WithSuggestion(key))
			v.Rename(key)
			return
		}
	}
}

// stray moves a value that does not belong into the mapping at hand to where it does, if that is clear.
func (s *straightener) stray(v, before *doc.Node) bool {
	here := s.open[len(s.open)-1]
	if v.File() != here.node.File() || v.Line() < here.node.Line() || v.Kind() == doc.Null || here.level.Names != nil && here.level.Names.fits(v) {
		return false // of an alias, or nothing to go by, or where it should be
	}
	if len(s.homes[v.Name()]) == 0 {
		return s.named(v, before)
	}
	return s.outward(v) || s.inward(v) || s.lacking(v) || s.named(v, before)
}

// lacks tells whether a mapping wants a key that a value fits.
func (t visit) lacks(v *doc.Node) bool {
	if t.node.Kind() == doc.Scalar || t.node.Kind() == doc.List || t.level.Keys == nil {
		return false
	}
	child := t.level.Keys[v.Name()]
	if child == nil || !child.fits(v) {
		return false
	}
	have := t.node.Child(v.Name())
	return have == nil
}

// outward moves what is indented too far: one of the mappings around lacks it.
func (s *straightener) outward(v *doc.Node) bool {
	for i := len(s.open) - 2; i >= 0; i-- {
		if s.open[i].lacks(v) {
			s.move(v, s.open[i], false)
			return true
		}
	}
	return false
}

// inward moves what is not indented far enough: the last mapping before it, within the one at hand, lacks it.
func (s *straightener) inward(v *doc.Node) bool {
	here, best := s.open[len(s.open)-1], visit{}
	for _, l := range s.homes[v.Name()] {
		if t := s.last[l]; t.step > here.step && t.step > best.step {
			t.level = l
			if t.lacks(v) {
				best = t
			}
		}
	}
	if best.node == nil {
		return false
	}
	s.move(v, best, false)
	return true
}

// lacking moves what stands beside the section that it belongs to, or where that section should begin.
func (s *straightener) lacking(v *doc.Node) bool {
	here := s.open[len(s.open)-1]
	for _, key := range slices.Sorted(maps.Keys(here.level.Keys)) {
		section, have := here.level.Keys[key], here.node.Child(key)
		if have != nil {
			if t := (visit{have, section, 0}); t.lacks(v) {
				s.move(v, t, false)
				return true
			}
			continue
		}
		if child := section.Keys[v.Name()]; child != nil && child.fits(v) {
			s.move(v, visit{here.node.Insert(key, v.Key()), section, 0}, true)
			return true
		}
	}
	return false
}

// named moves a name that stands beside what should hold it and holds nothing.
func (s *straightener) named(v, before *doc.Node) bool {
	if before == nil || before.Kind() != doc.Null {
		before = s.moved(before)
		if before == nil {
			return false
		}
	}
	here := s.open[len(s.open)-1]
	l := here.level.Names
	if here.level.Keys != nil {
		l = here.level.Keys[before.Name()]
	}
	for ; l != nil; l = l.Or {
		if l.Names != nil && l.Names.fits(v) {
			s.move(v, visit{before, l, 0}, false)
			return true
		}
	}
	return false
}

// moved is the value before the one at hand if the last move was into it, so that it held nothing before.
func (s *straightener) moved(before *doc.Node) *doc.Node {
	if len(s.moves) > 0 && before != nil && s.moves[len(s.moves)-1].to == before {
		return before
	}
	return nil
}

// move is one mistake: what was moved from one mapping to another.
type move struct {
	what     []*doc.Node
	from, to *doc.Node
	// absent tells that the text lacks the mapping that it was moved to.
	absent bool
}

// move hands a value over and goes through it at its new place.
func (s *straightener) move(v *doc.Node, to visit, absent bool) {
	from := s.open[len(s.open)-1].node
	to.node.Adopt(v)
	if i := slices.IndexFunc(s.moves, func(m *move) bool { return m.from == from && m.to == to.node }); i >= 0 {
		s.moves[i].what = append(s.moves[i].what, v)
	} else {
		s.moves = append(s.moves, &move{what: []*doc.Node{v}, from: from, to: to.node, absent: absent})
	}
	level := to.level.Names
	if to.level.Keys != nil {
		level = to.level.Keys[v.Name()]
	}
	open := s.open
	if i := slices.IndexFunc(open, func(o visit) bool { return o.node == to.node }); i >= 0 {
		s.open = slices.Clone(open[:i+1])
	} else {
		s.open = append(slices.Clone(open), s.visit(to.node, to.level))
	}
	s.walk(v, level)
	s.open = open
}

func (m *move) report(r *sdl.Reporter, root *doc.Node) {
	first := m.what[0].Key()
	what, stand, belong, it := listed(m.what), "stands", "belongs", "it"
	if len(m.what) > 1 {
		stand, belong, it = "stand", "belong", "them"
	}
	from, to := "under "+m.from.Path(), "under "+m.to.Home()
	if m.from == root {
		from = "at the top level"
	}
	if m.to == root {
		to = "at the top level"
	}
	d := first.Problem("E-INDENT", "%s %s %s, but %s %s", what, stand, from, belong, to).WithFound("")
	r.Report(d.WithHint(m.advice(it, first, root)))
}

// listed joins the names of values.
func listed(nodes []*doc.Node) string {
	const most = 5
	var out []string
	for _, n := range nodes[:min(most, len(nodes))] {
		out = append(out, shown(n.Name()))
	}
	switch {
	case len(nodes) > most:
		return strings.Join(out, ", ") + " and others"
	case len(out) == 1:
		return out[0]
	}
	return strings.Join(out[:len(out)-1], ", ") + " and " + out[len(out)-1]
}

// advice says how to move lines.
func (m *move) advice(it string, first, root *doc.Node) string {
	if m.from.IsFlow() || m.to.IsFlow() {
		return fmt.Sprintf("move %s into %s", it, place(m.to, root))
	}
	if m.absent {
		return fmt.Sprintf("add the line %q above, as far as %s is indented now, and indent %s by 2 more columns", m.to.Name()+":", shown(first.Name()), it)
	}
	column, as := m.to.Key().Column()+2, "under "+shown(m.to.Name())
	if m.to.Name() != "" {
		as += " in " + m.to.Key().Place(first)
	} else if m.to != root {
		as = "in the entry in " + m.to.Place(first)
	}
	for _, v := range m.to.Items() {
		if !slices.Contains(m.what, v) && v.Key().Line() >= m.to.Line() && v.Key().Column() > m.to.Key().Column()-1 {
			column, as = v.Key().Column(), fmt.Sprintf("as far as %s in %s", shown(v.Name()), v.Key().Place(first))
			break
		}
	}
	now := first.Column()
	switch {
	case column > now:
		return fmt.Sprintf("indent %s by %s more, %s", it, columns(column-now), as)
	case column < now:
		return fmt.Sprintf("indent %s by %s less, %s", it, columns(now-column), as)
	}
	return fmt.Sprintf("move the lines of %s to %s", it, place(m.to, root))
}

func place(n, root *doc.Node) string {
	if n == root {
		return "the top level"
	}
	return n.Home()
}

func columns(n int) string {
	if n == 1 {
		return "1 column"
	}
	return fmt.Sprintf("%d columns", n)
}

// shown is a name as messages repeat it.
func shown(name string) string { return doc.ShowKey(name) }
