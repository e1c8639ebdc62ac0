package doc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"berth.dev/berth/sdl"
)

// The limits of a document. They keep the time and memory that a hostile one can take small.
const (
	MaxBytes = 1 << 20 // of the document
	MaxDepth = 64      // of values within values
	MaxNodes = 50_000  // of values, after aliases are followed
	// maxMarks bounds the characters that can start a value, which is counted before the document is parsed.
	maxMarks = 100_000
)

// ParseYAML reads a document that is one file; see Parser.YAML.
func ParseYAML(data []byte, r *sdl.Reporter) *Node {
	return NewParser(r).YAML(&File{Name: r.File(), Path: path.Base(r.File())}, data)
}

// Parser reads the files that one document consists of. The limits hold for all of them together.
type Parser struct {
	report              *sdl.Reporter
	files               int
	bytes, marks, nodes int
}

// NewParser returns a parser that reports what is wrong with the files.
func NewParser(r *sdl.Reporter) *Parser { return &Parser{report: r} }

// Full tells whether the files hold more than the limits allow, so that no further one is worth reading.
func (p *Parser) Full() bool { return p.bytes > MaxBytes || p.marks > maxMarks || p.nodes > MaxNodes }

// YAML reads a file that holds one YAML document and returns its root, or reports why it cannot and returns nil. It
// refuses more than the limits, text that is not UTF-8, several documents, keys that are no text or appear twice, tags
// other than those of JSON's types, and aliases that lead back to themselves.
func (p *Parser) YAML(file *File, data []byte) *Node {
	p.files++
	file.order = p.files
	b := builder{Parser: p, file: file}
	if !b.checkBytes(data) {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		what := "document"
		if p.files > 1 {
			what = "file"
		}
		b.at(1, 1, "E-YAML-EMPTY", "the %s is empty", what)
		return nil
	case err != nil:
		b.syntax(data, err)
		return nil
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		d := diagnostic(max(1, second.Line), max(1, second.Column), "E-YAML-MULTI", "a second document starts here; a file holds one")
		b.say(d.WithHint("remove the line --- and what follows it, or put it into a file of its own"))
		return nil
	case !errors.Is(err, io.EOF):
		b.syntax(data, err)
		return nil
	}
	n := new(Node)
	if len(root.Content) != 1 || !b.fill(n, root.Content[0], 0) {
		return nil
	}
	return n
}

func diagnostic(line, column int, code, format string, args ...any) sdl.Diagnostic {
	return sdl.Diagnostic{Code: code, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

// say reports a problem of the file.
func (b *builder) say(d sdl.Diagnostic) {
	d.File = b.file.Name
	b.report.Report(d)
}

func (b *builder) at(line, column int, code, format string, args ...any) {
	b.say(diagnostic(line, column, code, format, args...))
}

// holds begins a message about a limit, which holds for all files.
func (p *Parser) holds(one, many string) string {
	if p.files > 1 {
		return "the document and what it includes " + many + " together"
	}
	return "the document " + one
}

// checkBytes refuses what is not worth parsing, in one pass over the bytes.
func (b *builder) checkBytes(data []byte) bool {
	if b.bytes += len(data); b.bytes > MaxBytes {
		b.say(sdl.Diagnostic{Code: "E-SIZE", Message: fmt.Sprintf(b.holds("has more than %d bytes", "have more than %d bytes"), MaxBytes)})
		return false
	}
	line, start := 1, 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '\n':
			line, start = line+1, i+1
			b.marks++
		case strings.IndexByte(",[{:-?", c) >= 0:
			b.marks++
		case c == '\r' && (i+1 == len(data) || data[i+1] != '\n'):
			d := diagnostic(line, column(data[start:i]), "E-CHARACTER", "a carriage return without a line feed")
			b.say(d.WithHint("end lines as Unix or Windows do; berth sdl fmt does it"))
			return false
		case isControl(c):
			b.at(line, column(data[start:i]), "E-CHARACTER", "control character %q", rune(c))
			return false
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(data[i:])
			if strings.ContainsRune("\u0085\u2028\u2029", r) { // YAML 1.1 breaks lines at them, editors do not
				d := diagnostic(line, column(data[start:i]), "E-CHARACTER", "line separator %U", r)
				b.say(d.WithHint(fmt.Sprintf("remove it, or write \\u%04x in double quotes", r)))
				return false
			}
			if size > 1 {
				i += size - 1
				continue
			}
			d := diagnostic(line, column(data[start:i]), "E-UTF8", "byte 0x%02x is not UTF-8", c)
			b.say(d.WithHint("save the file in UTF-8"))
			return false
		}
	}
	b.lines = line
	if b.marks > maxMarks {
		b.say(sdl.Diagnostic{Code: "E-YAML-NODES", Message: fmt.Sprintf(b.holds("may hold more than %d values", "may hold more than %d values"), MaxNodes)})
		return false
	}
	return true
}

func isControl(c byte) bool { return c < ' ' && c != '\t' && c != '\r' || c == 0x7f }

// column is the place after the characters of a line's beginning.
func column(before []byte) int { return utf8.RuneCount(before) + 1 }

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// advice says what to do about the parser's messages, which speak of its own workings.
var advice = []struct{ message, code, say, hint string }{
	{"mapping values are not allowed", "E-YAML", "a key and its value cannot stand here", `check the indentation; a value that holds ": " needs quotes`},
	{"did not find expected key", "E-YAML", "a key was expected here", "keys of one mapping start in one column"},
	{"did not find expected '-' indicator", "E-YAML", `an entry that starts with "- " was expected here`, "entries of one list start in one column"},
	{"did not find expected ',' or ']'", "E-YAML", "a list in brackets is not closed", ""},
	{"did not find expected ',' or '}'", "E-YAML", "a mapping in braces is not closed", ""},
	{"could not find expected ':'", "E-YAML", `a key without ": "`, `write "key: value", with a space after the colon`},
	{"found unexpected end of stream", "E-YAML", "a quote is not closed", ""},
	{"found character that cannot start any token", "E-YAML", "a value cannot start with this character", "put the value into quotes"},
	{"found unknown escape character", "E-YAML", "unknown escape in double quotes", `write \\ for a backslash, or use single quotes`},
	{"block sequence entries are not allowed", "E-YAML", `a list cannot start here`, "put the entries onto lines of their own"},
	{"exceeded max depth", "E-YAML-DEPTH", fmt.Sprintf("values lie more than %d deep in each other", MaxDepth), ""},
	{"unknown anchor", "E-YAML", "an alias names an anchor that is not defined before it", ""},
}

// syntax says where a document is not YAML. Tabs in the indentation are the usual cause, so they are looked for
// first. Of other mistakes the parser tells a line that may be off, so the place is where it stopped reading.
func (b *builder) syntax(data []byte, err error) {
	if b.tabs(data) {
		return
	}
	line, message := 0, err.Error()
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = m[2]
	}
	line, col := placeOf(data, line, message)
	if b.noSpace(data, line) || b.depth(data, line) {
		return
	}
	d := diagnostic(line, col, "E-YAML", "not YAML: %s", message)
	for _, a := range advice {
		if strings.Contains(message, a.message) {
			d.Code, d.Message, d.Hint = a.code, a.say, a.hint
			break
		}
	}
	if d.Hint == "" && bytes.Contains(lineAt(data, line), []byte("${")) {
		d.Hint = "within braces and brackets a value that holds ${ needs quotes"
	}
	if b.files > 1 && strings.Contains(message, "unknown anchor") {
		d.Hint = "anchors of other files are not known here"
	}
	b.say(d)
}

// placeOf is the place to point at for one of the parser's messages, which tells a line.
func placeOf(data []byte, line int, message string) (int, int) {
	if strings.Contains(message, "end of stream") { // the line is that of the quote
		return max(1, line), columnOf(data, max(1, line), `"'`)
	}
	read := readUntil(data)
	if colon := bytes.LastIndexByte(read, ':'); colon >= 0 && strings.Contains(message, "mapping values") {
		read = read[:colon]
		return lineOf(read), column(read[bytes.LastIndexByte(read, '\n')+1:])
	}
	if len(read) > 0 {
		line = lineOf(read)
	}
	return max(1, line), columnOf(data, max(1, line), "")
}

// lineOf is the line that follows the bytes of a document's beginning.
func lineOf(before []byte) int { return bytes.Count(before, []byte("\n")) + 1 }

var missingSpace = regexp.MustCompile(`^ *(?:- +)?("[^"]*"|'[^']*'|[A-Za-z0-9_-]+):[^ /:]`)

// noSpace reports a key with its value right after the colon in the line at which the parser stopped or in the
// one before it. YAML takes both together for one text, and stumbles over what comes next.
func (b *builder) noSpace(data []byte, line int) bool {
	lines := bytes.Split(data, []byte("\n"))
	for _, n := range []int{line - 1, line} {
		if n < 1 || n > len(lines) {
			continue
		}
		if m := missingSpace.FindSubmatchIndex(lines[n-1]); m != nil {
			b.at(n, column(lines[n-1][:m[3]])+1, "E-YAML", "a space is missing after the colon")
			return true
		}
	}
	return false
}

// tabs reports the lines that are indented with tabs.
func (b *builder) tabs(data []byte) bool {
	const most = 20
	found := 0
	for i, text := range strings.Split(string(data), "\n") {
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		tab := strings.IndexByte(indent, '\t')
		if tab < 0 || strings.TrimSpace(text) == "" {
			continue
		}
		d := diagnostic(i+1, tab+1, "E-TAB", "the line is indented with a tab")
		b.say(d.WithHint("indent with spaces"))
		if found++; found == most {
			break
		}
	}
	return found > 0
}

// oneByte hands out a document byte by byte and knows how far it was read.
type oneByte struct {
	data []byte
	next int
}

func (b *oneByte) Read(p []byte) (int, error) {
	if b.next >= len(b.data) {
		return 0, io.EOF
	}
	p[0] = b.data[b.next]
	b.next++
	return 1, nil
}

// readUntil parses a broken document once more, slowly, and returns what was read when the parser gave up, without
// the space at its end.
func readUntil(data []byte) []byte {
	b := &oneByte{data: data}
	dec := yaml.NewDecoder(b)
	for {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil {
			return bytes.TrimRight(data[:b.next], " \r\n")
		}
	}
}

// lineAt is the text of a line, which counts from 1.
func lineAt(data []byte, line int) []byte {
	for range line - 1 {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	text, _, _ := bytes.Cut(data, []byte("\n"))
	return text
}

// columnOf is the column of the first of some characters in a line, or of the first character that is no space.
func columnOf(data []byte, line int, chars string) int {
	text := lineAt(data, line)
	if i := bytes.IndexAny(text, chars); i >= 0 {
		return column(text[:i])
	}
	return len(text) - len(bytes.TrimLeft(text, " ")) + 1
}

// builder reads one file: it copies the tree of the YAML parser, following aliases, within the limits.
type builder struct {
	lines int // of the file
	*Parser
	file *File
	open []*yaml.Node // the anchors that are being copied
}

// fill makes n what y says. It reports false when the document must be given up; what is merely wrong in it is
// reported and left out.
func (b *builder) fill(n *Node, y *yaml.Node, depth int) bool {
	if b.nodes++; b.nodes > MaxNodes {
		b.problem(n, y, "E-YAML-NODES", b.holds("holds more than %d values, aliases followed", "hold more than %d values, aliases followed,"), MaxNodes)
		return false
	}
	if depth > MaxDepth {
		b.problem(nil, y, "E-YAML-DEPTH", "values lie more than %d deep in each other", MaxDepth)
		return false
	}
	n.file, n.line, n.column, n.flow = b.file, int32(y.Line), int32(y.Column), y.Style&yaml.FlowStyle != 0
	if y.Line > b.lines { // nothing at all, after a comment that ends the file
		n.line, n.column = int32(b.lines), 1
	}
	switch y.Kind {
	case yaml.AliasNode:
		return b.alias(n, y, depth)
	case yaml.ScalarNode:
		return b.scalar(n, y)
	case yaml.SequenceNode:
		return b.list(n, y, depth)
	case yaml.MappingNode:
		return b.mapping(n, y, depth)
	}
	b.problem(n, y, "E-YAML", "not YAML that can be read")
	return false
}

func (b *builder) alias(n *Node, y *yaml.Node, depth int) bool {
	for _, o := range b.open {
		if o == y.Alias {
			b.problem(n, y, "E-YAML-ALIAS", "alias *%s leads back to itself", Shorten(y.Value))
			return false
		}
	}
	b.open = append(b.open, y.Alias)
	ok := b.fill(n, y.Alias, depth)
	b.open = b.open[:len(b.open)-1]
	return ok
}

func (b *builder) scalar(n *Node, y *yaml.Node) bool {
	n.kind, n.text = Scalar, y.Value
	switch y.ShortTag() {
	case "!!null":
		n.kind, n.text = Null, ""
	case "!!bool":
		n.bool = true
	case "!!str", "!!int", "!!float", "!!timestamp", "!!merge":
	default:
		b.badTag(n, y)
	}
	return true
}

func (b *builder) badTag(n *Node, y *yaml.Node) {
	// What is not one of YAML's own tags may be a value that starts with an exclamation mark.
	if own := y.ShortTag(); slices.Contains(yamlTags, own) {
		b.problem(n, y, "E-YAML-TAG", "tag %s is not allowed: remove it", own)
		return
	}
	d := diagnostic(y.Line, y.Column, "E-YAML-TAG", "tags are not allowed").WithHint("a value that starts with ! needs quotes")
	d.Path = n.Path()
	b.say(d)
}

// yamlTags are the tags that YAML knows beside those of JSON's types.
var yamlTags = []string{"!!binary", "!!float", "!!int", "!!null", "!!omap", "!!pairs", "!!set", "!!timestamp", "!!bool", "!!str", "!!seq", "!!map"}

// problem reports what is wrong at y, which n is going to be.
func (b *builder) problem(n *Node, y *yaml.Node, code, format string, args ...any) {
	d := diagnostic(y.Line, y.Column, code, format, args...)
	if n != nil {
		d.Path = n.Path()
	}
	b.say(d)
}

func (b *builder) list(n *Node, y *yaml.Node, depth int) bool {
	if y.ShortTag() != "!!seq" {
		b.badTag(n, y)
	}
	n.kind = List
	n.kids = make([]Node, len(y.Content))
	for i, c := range y.Content {
		kid := &n.kids[i]
		kid.parent, kid.index = n, int32(i)
		if !b.fill(kid, c, depth+1) {
			return false
		}
	}
	return true
}

// mapping copies a mapping. A key that appears twice is reported and its first value counts. A key "<<" merges other
// mappings: their keys count where the mapping has none of that name.
func (b *builder) mapping(n *Node, y *yaml.Node, depth int) bool {
	if y.ShortTag() != "!!map" {
		b.badTag(n, y)
	}
	n.kind = Map
	pairs, ok := b.pairs(n, y, depth)
	if !ok {
		return false
	}
	n.kids, n.keys = make([]Node, len(pairs)), make([]Node, len(pairs))
	for i, p := range pairs {
		key, kid := &n.keys[i], &n.kids[i]
		key.kind, key.text, key.line, key.column = Scalar, p.key.Value, int32(p.key.Line), int32(p.key.Column)
		key.file, key.parent, key.key = b.file, n, key
		kid.parent, kid.key = n, key
		if !b.fill(kid, p.value, depth+1) {
			return false
		}
	}
	return true
}

type pair struct{ key, value *yaml.Node }

// pairs lists what a mapping holds, merges included.
func (b *builder) pairs(n *Node, y *yaml.Node, depth int) ([]pair, bool) {
	out := make([]pair, 0, len(y.Content)/2)
	first := make(map[string]int, len(y.Content)/2)
	var merges []*yaml.Node
	mergeLine := 0
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			b.problem(n, key, "E-TYPE", "a key is a single value, found a list or a mapping")
			continue
		}
		if key.Tag == "!!merge" {
			if len(merges) > 0 {
				d := diagnostic(key.Line, key.Column, "E-DUPLICATE-KEY", "key << appears twice; it stands in line %d already", mergeLine)
				d.Path = n.Path()
				b.say(d.WithHint("merge both at once: <<: [*one, *other]"))
				continue
			}
			merges, mergeLine = append(merges, value), key.Line
			continue
		}
		if line, twice := first[key.Value]; twice {
			b.problem(n, key, "E-DUPLICATE-KEY", "key %q appears twice; it stands in line %d already", ShowKey(key.Value), line)
			continue
		}
		first[key.Value] = key.Line
		out = append(out, pair{key, value})
	}
	for _, m := range merges {
		more, ok := b.merged(n, m, depth+1)
		if !ok {
			return nil, false
		}
		for _, p := range more {
			if _, has := first[p.key.Value]; !has {
				first[p.key.Value] = p.key.Line
				out = append(out, p)
			}
		}
	}
	return out, true
}

// merged lists what the value of a merge key brings: an alias of a mapping, or a list of such.
func (b *builder) merged(n *Node, y *yaml.Node, depth int) ([]pair, bool) {
	if b.nodes++; b.nodes > MaxNodes || depth > MaxDepth {
		b.problem(n, y, "E-YAML-ALIAS", "too many merges")
		return nil, false
	}
	switch {
	case y.Kind == yaml.AliasNode:
		return b.merged(n, y.Alias, depth+1)
	case y.Kind == yaml.MappingNode:
		b.nodes += len(y.Content)
		return b.pairs(n, y, depth)
	case y.Kind != yaml.SequenceNode:
		b.problem(n, y, "E-TYPE", "<< merges mappings, found a single value")
		return nil, true
	}
	var out []pair
	for _, c := range y.Content {
		more, ok := b.merged(n, c, depth+1)
		if !ok {
			return nil, false
		}
		out = append(out, more...)
	}
	return out, true
}
