package rewrite

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// unusual is a form of YAML that is not rewritten.
type unusual struct {
	node *yaml.Node
	why  string
}

// reader reads a text into a tree, led by the nodes that the parser found in it. The parser tells where each starts;
// where they end, and what lies between, is read here. Whatever is not as expected ends the reading.
type reader struct {
	text   string
	starts map[*yaml.Node]int // where each node starts, its anchor and tag included
	quoted map[int]bool       // where a quote opens
	failed *unusual
}

// normalise makes line ends those of Unix and drops a byte order mark.
func normalise(data []byte) string {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return string(bytes.ReplaceAll(data, []byte("\r"), []byte("\n")))
}

// read reads a text whose parsed form is given.
func read(text string, parsed *yaml.Node) (*document, *unusual) {
	r := &reader{text: text, starts: map[*yaml.Node]int{}, quoted: map[int]bool{}}
	root := parsed.Content[0]
	if i := strings.IndexAny(text, "\u0085\u2028\u2029"); i >= 0 {
		r.fail(root, "it holds a line separator that is no line feed")
	} else {
		r.locate(root)
	}
	d := &document{root: &entry{value: &value{node: root}, column: -1}}
	if r.failed == nil {
		r.document(d, root)
	}
	return d, r.failed
}

func (r *reader) fail(n *yaml.Node, why string) {
	if r.failed == nil {
		r.failed = &unusual{n, why}
	}
}

// locate finds the places of all nodes in the text. They come in its order, so that no line is counted twice.
func (r *reader) locate(root *yaml.Node) {
	at, line, column := 0, 1, 1
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if !textless(n) {
			for line < n.Line && at < len(r.text) {
				if r.text[at] == '\n' {
					line, column = line+1, 1
				}
				at++
			}
			for column < n.Column && at < len(r.text) {
				_, size := utf8.DecodeRuneInString(r.text[at:])
				at += size
				column++
			}
			if line != n.Line || column != n.Column {
				r.fail(n, "its parts do not stand where they were read")
				return
			}
			r.starts[n] = at
			if n.Kind == yaml.ScalarNode && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
				r.quoted[r.afterProps(at)] = true
			}
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(root)
}

// textless tells whether nothing at all stands for a value, as in "key:".
func textless(n *yaml.Node) bool { return bare(n) && n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 }

// bare tells whether a scalar has no text, though it may have an anchor or tag.
func bare(n *yaml.Node) bool {
	const written = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&written == 0
}

// column is the place of an offset in its line, counted from 0.
func (r *reader) column(at int) int { return at - strings.LastIndexByte(r.text[:at], '\n') - 1 }

// peek is the byte at an offset, or 0 after the end.
func (r *reader) peek(at int) byte {
	if at >= len(r.text) {
		return 0
	}
	return r.text[at]
}

// lineEnd is where the line of an offset ends.
func (r *reader) lineEnd(at int) int {
	if i := strings.IndexByte(r.text[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(r.text)
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == 0 }

// own is a comment in a line of its own.
type own struct {
	comment
	column int
}

// meant is the column in which a comment would stand if its line were no comment. Only where a line was made one by a
// sign at its very beginning, to the left of all that it belongs to, does that differ from where it stands.
func (o own) meant(column int) int {
	inner := o.inner()
	if o.column >= column || inner < column {
		return o.column
	}
	return inner
}

// inner is how far the text of a comment stands from its sign.
func (o own) inner() int {
	body := strings.TrimLeft(o.text, "#")
	return len(body) - len(strings.TrimLeft(body, " "))
}

// items tells which comments are entries of a list that were made comments.
func items(all []own) []bool {
	out := make([]bool, len(all))
	for i, o := range all {
		before := i > 0 && out[i-1] && !o.blank && o.column == all[i-1].column
		out[i] = strings.HasPrefix(strings.TrimLeft(o.text, "# "), "- ") || before && o.inner() > step
	}
	return out
}

// between is what lies between two things that mean something.
type between struct {
	same  *comment // in the line of the former
	own   []own
	blank bool // an empty line stands right before the latter
	next  int  // where the latter starts
}

// comments are those in lines of their own, and that in the first line too if it has no other place.
func (b between) comments(same bool) []comment {
	var out []comment
	if same && b.same != nil {
		out = append(out, comment{text: b.same.text})
	}
	for _, o := range b.own {
		out = append(out, o.comment)
	}
	return out
}

// between reads from the end of something to the start of the next.
func (r *reader) between(at int) between {
	var b between
	fresh := at == 0
	for {
		start := at
		for r.peek(at) == ' ' || r.peek(at) == '\t' {
			at++
		}
		switch r.peek(at) {
		case '\n':
			b.blank = b.blank || fresh
			fresh = true
			at++
		case '#':
			end := r.lineEnd(at)
			c := comment{text: strings.TrimRight(r.text[at:end], " \t")}
			if fresh {
				c.blank, b.blank = b.blank, false
				b.own = append(b.own, own{c, at - start})
			} else {
				c.gap = r.text[start:at]
				b.same = &c
			}
			at, fresh = end, false
		default:
			b.next = at
			return b
		}
	}
}

// afterProps is where what an anchor and a tag belong to starts, or where they end if there is nothing in that line.
func (r *reader) afterProps(at int) int {
	for r.peek(at) == '&' || r.peek(at) == '!' {
		end := at
		for !blank(r.peek(end)) && !strings.ContainsRune(",[]{}", rune(r.peek(end))) {
			end++
		}
		at = end
		for r.peek(at) == ' ' || r.peek(at) == '\t' {
			at++
		}
	}
	return at
}

// document reads the whole text.
func (r *reader) document(d *document, root *yaml.Node) {
	b := r.between(0)
	if strings.HasPrefix(r.text[b.next:], "---") && blank(r.peek(b.next+3)) {
		d.marker, d.head = true, b.comments(false)
		b = r.between(b.next + 3)
		d.trail = b.same
	}
	if b.next != r.starts[root] {
		r.fail(root, "it has a directive")
		return
	}
	if root.Anchor != "" || root.Style&yaml.TaggedStyle != 0 {
		r.fail(root, "the document as a whole has an anchor or a tag")
		return
	}
	d.top = b.comments(false)
	d.root.blank = b.blank
	end := r.content(root, b.next, -1, d.root, nil)
	if r.failed != nil {
		return
	}
	rest := r.between(end)
	if rest.next != len(r.text) {
		r.fail(root, "something follows after the document's end")
		return
	}
	r.give(d.root, rest, -1)
	d.split()
}

// split leaves to the document what is said before its first key and an empty line. What stands right above the key
// belongs to that.
func (d *document) split() {
	if d.root.value.shape == leaf || d.root.value.flow {
		return
	}
	first := d.root.value.entries[0]
	if first.blank = d.root.blank; first.blank {
		return
	}
	for i := len(d.top) - 1; i >= 0; i-- {
		if d.top[i].blank || i == 0 {
			first.lead, d.top = d.top[i:], d.top[:i]
			return
		}
	}
}

// give hands the comments after an entry to those parts of it that they belong to, and returns those that belong to
// what follows, which stands in a column of its own. A comment belongs to the innermost part whose key or dash it is
// indented deeper than; one that is followed by a deeper one goes with it.
func (r *reader) give(e *entry, b between, column int) []comment {
	chain := e.chain()
	deepest := chain[len(chain)-1]
	if b.same != nil {
		deepest.trail = b.same
	}
	deep := len(chain)
	if deepest.value.block {
		deep-- // a comment below its text would be taken for a part of that
	}
	levels, level, item := make([]int, len(b.own)), 0, items(b.own)
	for i := len(b.own) - 1; i >= 0; i-- {
		at := b.own[i].meant(column)
		for level < deep && (at > chain[level].column || at == chain[level].column && item[i] && chain[level].level()) {
			level++
		}
		levels[i] = level
	}
	var left []comment
	for i, o := range b.own {
		switch at := levels[i]; {
		case at == 0:
			left = append(left, o.comment)
		case at == len(chain) && (deepest.value.shape == leaf || deepest.value.flow):
			deepest.under = append(deepest.under, o.comment)
		default:
			v := chain[at-1].value
			v.tail = append(v.tail, o.comment)
		}
	}
	return left
}

// value reads the value of an entry, which starts after a colon or dash, and returns where it ends. column is that of
// the mapping or list which holds the entry.
func (r *reader) value(n *yaml.Node, at, column int, e *entry) int {
	e.value = &value{node: n}
	if textless(n) {
		return at
	}
	b := r.between(at)
	if b.next != r.starts[n] {
		r.fail(n, "it is written in an unusual way")
		return at
	}
	return r.content(n, b.next, column, e, &b)
}

// content reads a value that starts at a place. before is what stood between the entry's key or dash and that, if
// there is one.
func (r *reader) content(n *yaml.Node, at, column int, e *entry, before *between) int {
	v := e.value
	if before == nil {
		before = &between{}
	}
	e.after, e.above = before.same, before.comments(false)
	v.gap = before.blank
	if n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		end := r.afterProps(at)
		v.props = strings.TrimRight(r.text[at:end], " \t")
		if bare(n) {
			return at + len(v.props)
		}
		more := r.between(at + len(v.props))
		e.above = append(e.above, more.comments(e.after != nil)...)
		if e.after == nil {
			e.after = more.same
		}
		at = more.next
	}
	flow := n.Style&yaml.FlowStyle != 0
	switch {
	case n.Kind == yaml.MappingNode && !flow:
		return r.mapping(n, at, e)
	case n.Kind == yaml.SequenceNode && !flow:
		return r.list(n, at, e)
	}
	return r.leaf(n, at, column, v)
}

// open starts a mapping or list that is not in brackets. The comments before it belong to its first entry.
func (e *entry) open(s shape) (lead []comment) {
	e.value.shape = s
	lead, e.above = e.above, nil
	return lead
}

func (r *reader) mapping(n *yaml.Node, at int, e *entry) (end int) {
	column := r.column(at)
	lead, gap := e.open(mapping), e.value.gap
	for i := 0; i+1 < len(n.Content) && r.failed == nil; i += 2 {
		key := n.Content[i]
		if textless(key) || r.starts[key] != at {
			r.fail(key, "a key is written with a question mark")
			return at
		}
		stop, ok := r.keyEnd(key, at, false)
		colon := stop
		for r.peek(colon) == ' ' || r.peek(colon) == '\t' {
			colon++
		}
		if !ok || r.peek(colon) != ':' {
			r.fail(key, "a key is written in an unusual way")
			return at
		}
		kid := &entry{lead: lead, blank: gap, key: r.text[at:stop], name: key.Value, node: key, column: column}
		e.value.entries = append(e.value.entries, kid)
		end = r.value(n.Content[i+1], colon+1, column, kid)
		if i+2 < len(n.Content) {
			at, lead, gap = r.follow(kid, end)
		}
	}
	return end
}

// follow reads on after an entry: where the next one starts, with which comments, and whether after an empty line.
func (r *reader) follow(e *entry, end int) (at int, lead []comment, gap bool) {
	if r.failed != nil {
		return end, nil, false
	}
	b := r.between(end)
	return b.next, r.give(e, b, r.column(b.next)), b.blank
}

func (r *reader) list(n *yaml.Node, at int, e *entry) (end int) {
	column := r.column(at)
	lead, gap := e.open(list), e.value.gap
	for i, item := range n.Content {
		if r.failed != nil {
			return at
		}
		if r.peek(at) != '-' || !blank(r.peek(at+1)) {
			r.fail(item, "a list is written in an unusual way")
			return at
		}
		kid := &entry{lead: lead, blank: gap, node: item, column: column}
		e.value.entries = append(e.value.entries, kid)
		end = r.value(item, at+1, column, kid)
		if i+1 < len(n.Content) {
			at, lead, gap = r.follow(kid, end)
		}
	}
	return end
}

// keyEnd is where a key ends, and whether it is one that can be told.
func (r *reader) keyEnd(n *yaml.Node, at int, flow bool) (int, bool) {
	at = r.afterProps(at)
	switch {
	case n.Kind == yaml.AliasNode:
		return r.aliasEnd(at), true
	case n.Kind != yaml.ScalarNode || bare(n):
		return at, false
	case r.quoted[at]:
		return r.quoteEnd(at), true
	}
	end := at
	for c := r.peek(end); c != '\n' && c != 0; c = r.peek(end) {
		if c == ':' && blank(r.peek(end+1)) || flow && strings.IndexByte(",[]{}?", c) >= 0 || c == '#' && end > at && blank(r.peek(end-1)) {
			break
		}
		end++
	}
	return at + len(strings.TrimRight(r.text[at:end], " \t")), true
}

func (r *reader) aliasEnd(at int) int {
	for at++; ; at++ {
		if c := r.peek(at); c != '_' && c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return at
		}
	}
}

// quoteEnd is what follows the quote that closes the one at a place.
func (r *reader) quoteEnd(at int) int {
	quote := r.peek(at)
	for at++; at < len(r.text); at++ {
		switch c := r.text[at]; {
		case c == '\\' && quote == '"':
			at++
		case c == quote && quote == '\'' && r.peek(at+1) == quote:
			at++
		case c == quote:
			return at + 1
		}
	}
	return len(r.text)
}

// leaf reads a scalar, an alias, or a value in brackets.
func (r *reader) leaf(n *yaml.Node, at, column int, v *value) (end int) {
	switch {
	case n.Kind == yaml.AliasNode:
		end = r.aliasEnd(at)
	case n.Kind != yaml.ScalarNode:
		end = r.flowEnd(at)
		r.flow(n, at, v)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return r.blockScalar(at, column, v)
	case r.quoted[at]:
		end = r.quoteEnd(at)
	default:
		end = r.plainEnd(at, column)
	}
	v.setText(r.text[at:end])
	return end
}

// setText cuts a text of several lines up.
func (v *value) setText(text string) {
	lines := strings.Split(text, "\n")
	v.text, v.rest = lines[0], lines[1:]
}

// plainEnd is where a scalar without quotes ends: it goes on in lines that are indented deeper than what holds it, up
// to a comment.
func (r *reader) plainEnd(at, column int) int {
	end := r.plainLine(at)
	for next := end; ; {
		for r.peek(next) == ' ' || r.peek(next) == '\t' {
			next++
		}
		if r.peek(next) != '\n' {
			if next == end || r.peek(next) == '#' || next >= len(r.text) || r.column(next) <= column || !strings.Contains(r.text[end:next], "\n") {
				return end
			}
			end = r.plainLine(next)
			next = end
			continue
		}
		next++
	}
}

// plainLine is where the text of a line that starts at a place ends, before a comment and the space at its end.
func (r *reader) plainLine(at int) int {
	line, _, _ := strings.Cut(r.text[at:], "\n")
	for i := 1; i < len(line); i++ {
		if line[i] == '#' && (line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return at + len(strings.TrimRight(line, " \t"))
}

// blockScalar reads the text after | or >. Its indentation is told by its first line, or by its header.
func (r *reader) blockScalar(at, column int, v *value) int {
	header, _, _ := strings.Cut(r.text[at:], "\n")
	v.block, v.text = true, strings.TrimRight(header, " \t")
	keep := v.blockHeader(header[1:])
	end := at + len(header)
	if end == len(r.text) {
		return end
	}
	indent := max(0, column) + v.explicit
	if v.explicit == 0 {
		indent = r.contentIndent(end+1, column)
	}
	var lines []string
	kept, next := 0, end+1 // kept: how many lines belong to the text
	for next < len(r.text) {
		stop := r.lineEnd(next)
		line := r.text[next:stop]
		deep := len(line) - len(strings.TrimLeft(line, " "))
		if deep < len(line) && deep < indent {
			break
		}
		lines = append(lines, line)
		if len(line) > indent || keep && stop < len(r.text) {
			kept, end = len(lines), stop
		}
		next = stop + 1
	}
	for _, line := range lines[:kept] {
		v.rest = append(v.rest, line[min(indent, len(line)):])
	}
	// A text that the file ends in without a line end has none either.
	if end == len(r.text) && kept > 0 {
		v.text = stripEnd(v.text)
	}
	return end
}

// blockHeader reads what follows | or >: the indentation, if it is told, and whether all line ends at the end are kept.
func (v *value) blockHeader(header string) (keep bool) {
	for _, c := range header {
		switch {
		case c == '+' || c == '-':
			keep = c == '+'
		case c >= '1' && c <= '9':
			v.explicit = int(c - '0')
		default:
			return keep
		}
	}
	return keep
}

// contentIndent is the indentation of a block scalar whose first line starts at a place: that of the first line that is
// not empty, unless an empty one before it is longer.
func (r *reader) contentIndent(at, column int) int {
	indent := max(1, column+1)
	for at < len(r.text) {
		stop := r.lineEnd(at)
		deep := len(r.text[at:stop]) - len(strings.TrimLeft(r.text[at:stop], " "))
		indent = max(indent, deep)
		if deep < stop-at {
			break
		}
		at = stop + 1
	}
	return indent
}

// stripEnd makes the header of a block scalar say that the text does not end in a line end.
func stripEnd(header string) string {
	i := 1
	for i < len(header) && strings.IndexByte("+-0123456789", header[i]) >= 0 {
		i++
	}
	return strings.NewReplacer("+", "", "-", "").Replace(header[:i]) + "-" + header[i:]
}
