package rewrite

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// flowEnd is what follows the bracket that closes the one at a place. No other text than quotes and comments can hold
// brackets.
func (r *reader) flowEnd(at int) int {
	depth := 0
	for at < len(r.text) {
		switch c := r.text[at]; {
		case r.quoted[at]:
			at = r.quoteEnd(at)
			continue
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return at + 1
			}
		case c == '#' && blank(r.text[at-1]):
			at = r.lineEnd(at)
			continue
		}
		at++
	}
	return at
}

// flow reads the entries of a mapping or list in brackets. If they are written in an unusual way, the value stays a
// leaf, whose text is kept as it is.
func (r *reader) flow(n *yaml.Node, at int, v *value) {
	f := flowReader{reader: r}
	inner := value{node: n, props: v.props}
	if _, ok := f.collection(n, at, &inner); !ok {
		return
	}
	inner.text, inner.rest = v.text, v.rest
	*v = inner
}

// flowReader reads what stands in brackets.
type flowReader struct{ *reader }

var closers = map[yaml.Kind]byte{yaml.MappingNode: '}', yaml.SequenceNode: ']'}

// collection reads a mapping or list whose bracket is at a place, and returns where it ends.
func (r flowReader) collection(n *yaml.Node, at int, v *value) (end int, ok bool) {
	v.flow, v.shape = true, mapping
	step, opener := 2, byte('{')
	if n.Kind == yaml.SequenceNode {
		v.shape, step, opener = list, 1, '['
	}
	if r.peek(at) != opener {
		return at, false
	}
	b := r.between(at + 1)
	lead := b.comments(true)
	for i := 0; i+step <= len(n.Content); i += step {
		e := &entry{lead: lead, blank: b.blank, node: n.Content[i]}
		if end, ok = r.pair(n.Content[i:i+step], b.next, e); !ok {
			return end, false
		}
		v.entries = append(v.entries, e)
		b = r.between(end)
		var trail *comment
		trail, lead = b.same, b.comments(false)
		if v.comma = r.peek(b.next) == ','; v.comma {
			b = r.between(b.next + 1)
			if trail == nil {
				trail = b.same
			} else {
				lead = append(lead, b.comments(true)...)
				b.own = nil
			}
			lead = append(lead, b.comments(false)...)
		} else if r.peek(b.next) != closers[n.Kind] {
			return b.next, false
		}
		e.trail = trail
	}
	v.tail = lead
	return b.next + 1, r.peek(b.next) == closers[n.Kind]
}

// pair reads an entry: a value, or a key and a value.
func (r flowReader) pair(nodes []*yaml.Node, at int, e *entry) (int, bool) {
	val := nodes[len(nodes)-1]
	if len(nodes) == 2 {
		key := nodes[0]
		if textless(key) || r.starts[key] != at {
			return at, false
		}
		end, ok := r.keyEnd(key, at, true)
		if !ok {
			return at, false
		}
		e.key, e.name = r.text[at:end], key.Value
		b := r.between(end)
		if r.peek(b.next) != ':' || b.same != nil || len(b.own) > 0 {
			return at, false
		}
		b = r.between(b.next + 1)
		e.after, e.above = b.same, b.comments(false)
		at = b.next
	}
	if textless(val) || bare(val) || r.starts[val] != at {
		return at, false
	}
	return r.inner(val, at, e)
}

// inner reads a value within brackets.
func (r flowReader) inner(n *yaml.Node, at int, e *entry) (end int, ok bool) {
	e.value = &value{node: n}
	start := at
	if at = r.afterProps(at); at > start {
		e.value.props = strings.TrimRight(r.text[start:at], " \t")
	}
	switch {
	case blank(r.peek(at)):
		return at, false
	case n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode:
		end, ok = r.collection(n, at, e.value)
		if ok {
			e.value.setText(r.text[at:end])
		}
		return end, ok
	case n.Kind == yaml.AliasNode:
		end = r.aliasEnd(at)
	case r.quoted[at]:
		end = r.quoteEnd(at)
	default:
		end = r.plainFlowEnd(at)
	}
	e.value.setText(r.text[at:end])
	return end, true
}

// plainFlowEnd is where a scalar without quotes ends within brackets.
func (r flowReader) plainFlowEnd(at int) int {
	end := at
	for i := at; i < len(r.text); i++ {
		c := r.text[i]
		if strings.IndexByte(",[]{}?", c) >= 0 || c == ':' && blank(r.peek(i+1)) || c == '#' && blank(r.text[i-1]) {
			break
		}
		if !blank(c) {
			end = i + 1
		}
	}
	return end
}
