package rewrite

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// step is how far entries stand to the right of what holds them.
const step = 2

// write is the text of a document.
func write(d *document) string {
	d.root.value.hoist()
	w := &writer{}
	w.comments(d.head, 0)
	if d.marker {
		w.text("---")
		w.beside(d.trail)
		w.text("\n")
	}
	w.comments(d.top, 0)
	if v := d.root.value; v.shape != leaf && !v.flow {
		for _, e := range v.entries {
			w.entry(e, v.shape, 0, false)
		}
		w.comments(v.tail, 0)
	} else {
		w.gap(d.root.blank)
		w.leaf(d.root, 0)
		w.comments(d.root.under, 0)
	}
	return w.b.String()
}

// inline tells whether the first entry of a list's entry stands beside the dash.
func (e *entry) inline() bool {
	v := e.value
	return v.shape != leaf && !v.flow && v.props == "" && e.after == nil
}

// hoist moves what is said before something beside a dash to before the dash.
func (v *value) hoist() {
	for _, e := range v.entries {
		e.value.hoist()
		if v.shape != list || v.flow || !e.inline() {
			continue
		}
		first := e.value.entries[0]
		for _, c := range first.lead {
			c.blank, e.blank = e.blank, false
			e.lead = append(e.lead, c)
		}
		first.lead, first.blank = nil, false
	}
}

type writer struct{ b strings.Builder }

func (w *writer) text(s string) { w.b.WriteString(s) }

func (w *writer) indent(n int) { w.text(strings.Repeat(" ", n)) }

// gap writes an empty line, but not at the beginning.
func (w *writer) gap(wanted bool) {
	if wanted && w.b.Len() > 0 {
		w.text("\n")
	}
}

func (w *writer) comments(all []comment, indent int) {
	for _, c := range all {
		w.gap(c.blank)
		w.indent(indent)
		w.text(c.text + "\n")
	}
}

// beside writes a comment into the line that is being written.
func (w *writer) beside(c *comment) {
	if c == nil {
		return
	}
	if c.gap == "" || strings.Contains(c.gap, "\t") {
		w.text(" " + c.text)
		return
	}
	w.text(c.gap + c.text)
}

func (w *writer) entry(e *entry, of shape, indent int, inline bool) {
	if !inline {
		w.comments(e.lead, indent)
		w.gap(e.blank)
		w.indent(indent)
	}
	if of == list {
		w.text("-")
	} else {
		w.text(e.shownKey() + ":")
	}
	if v := e.value; v.shape == leaf || v.flow {
		w.leaf(e, indent)
	} else {
		w.entries(e, of, indent+step)
	}
	w.comments(e.under, indent+step)
}

// shownKey is the key as it is written before a colon, which must not run into an alias.
func (e *entry) shownKey() string {
	if e.node != nil && e.node.Kind == yaml.AliasNode {
		return e.key + " "
	}
	return e.key
}

func (w *writer) entries(e *entry, of shape, indent int) {
	v := e.value
	if v.props != "" {
		w.text(" " + v.props)
	}
	inline := of == list && e.inline()
	if inline {
		w.text(" ")
	} else {
		w.beside(e.after)
		w.text("\n")
	}
	for i, kid := range v.entries {
		w.entry(kid, v.shape, indent, inline && i == 0)
	}
	w.comments(v.tail, indent)
}

// leaf writes what stands beside a key or dash, or below it if a comment stands there.
func (w *writer) leaf(e *entry, indent int) {
	text, root := e.value.shown(), e.node == nil && e.key == ""
	switch {
	case e.after != nil || len(e.above) > 0:
		w.beside(e.after)
		w.text("\n")
		w.comments(e.above, indent+step)
		w.indent(indent + step)
	case text != "" && !root:
		w.text(" ")
	}
	w.text(text)
	for _, line := range e.value.rest {
		w.text("\n")
		w.continued(e, line, indent)
	}
	w.beside(e.trail)
	w.text("\n")
}

// shown is the first line of a leaf, and all of it if it has one.
func (v *value) shown() string {
	text := v.text
	switch {
	case v.flow && len(v.rest) == 0:
		text = v.brackets()
	case len(v.rest) > 0 && !v.block:
		text = trimEnd(text)
	}
	if v.props != "" {
		text = strings.TrimSuffix(v.props+" "+text, " ")
	}
	return text
}

// brackets writes a mapping or list in one line.
func (v *value) brackets() string {
	parts := make([]string, len(v.entries))
	for i, e := range v.entries {
		if v.shape == mapping {
			parts[i] = e.shownKey() + ": "
		}
		parts[i] += e.value.shown()
	}
	all := strings.Join(parts, ", ")
	if v.comma {
		all += ","
	}
	if v.shape == mapping {
		return "{" + all + "}"
	}
	return "[" + all + "]"
}

// continued writes a further line of a leaf. Those of a block scalar stand in one column; others keep their distance
// from the column of the entry.
func (w *writer) continued(e *entry, line string, indent int) {
	switch v := e.value; {
	case v.block && line == "":
	case v.block && v.explicit > 0:
		w.indent(indent + v.explicit)
		w.text(line)
	case v.block:
		w.indent(indent + step)
		w.text(line)
	default:
		body := strings.TrimLeft(trimEnd(line), " \t")
		if body == "" {
			return
		}
		least := indent + step
		if v.node.Kind != yaml.ScalarNode {
			least = indent
		}
		w.indent(max(least, len(line)-len(strings.TrimLeft(line, " \t"))+indent-max(0, e.column)))
		w.text(body)
	}
}

// trimEnd removes space from the end of a line, but for one that a backslash makes part of the text.
func trimEnd(line string) string {
	short := strings.TrimRight(line, " \t")
	if short != line && strings.HasSuffix(short, `\`) {
		return line[:len(short)+1]
	}
	return short
}
