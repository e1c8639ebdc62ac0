// Package jsonc reads JSON as people write it, with comments and commas after the last value, as a tree of nodes that
// know where they stand. Of what is broken it says where, and goes on where it is clear what was meant.
package jsonc

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// Options are what formats differ in.
type Options struct {
	// Drop are keys that mean nothing wherever they stand, however often.
	Drop []string
}

// Parse reads a document that is one file and returns its root, or reports why it cannot and returns nil. A byte order
// mark at its beginning is skipped. It refuses more than the limits of documents, text that is not UTF-8, and keys that
// appear twice.
func Parse(r *sdl.Reporter, data []byte, o Options) *doc.Node {
	p := &parser{report: r, file: &doc.File{Name: r.File(), Path: path.Base(r.File())}, drop: o.Drop, line: 1, column: 1}
	if len(data) > doc.MaxBytes {
		r.Report(sdl.Diagnostic{Code: "E-SIZE", Message: fmt.Sprintf("the document has more than %d bytes", doc.MaxBytes)})
		return nil
	}
	p.rest = strings.TrimPrefix(string(data), "\ufeff")
	if !p.checkText() || !p.skip() {
		return nil
	}
	if p.rest == "" {
		p.problem("E-JSON-EMPTY", "the document is empty")
		return nil
	}
	v, ok := p.value(0)
	if !ok || !p.skip() {
		return nil
	}
	if p.rest != "" {
		p.report.Report(p.at("E-JSON", "%s after the end of the document", p.here()).WithHint("a file holds one document"))
		return nil
	}
	if p.broken {
		return nil
	}
	return doc.Build(p.file, v)
}

// parser reads from the front of rest.
type parser struct {
	report       *sdl.Reporter
	file         *doc.File
	drop         []string
	rest         string
	line, column int
	// last is the line in which the last value ended.
	last   int
	nodes  int
	broken bool
}

func (p *parser) at(code, format string, args ...any) sdl.Diagnostic {
	return sdl.Diagnostic{Code: code, File: p.file.Name, Line: p.line, Column: p.column, Message: fmt.Sprintf(format, args...)}
}

// problem reports what stops the reading here.
func (p *parser) problem(code, format string, args ...any) {
	p.report.Report(p.at(code, format, args...))
}

// checkText refuses what is no text, with its place.
func (p *parser) checkText() bool {
	line, column := 1, 1
	for i, r := range p.rest {
		bad := ""
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(p.rest[i:], "\uFFFD"):
			bad = fmt.Sprintf("byte 0x%02x is not UTF-8", p.rest[i])
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7f:
			bad = fmt.Sprintf("control character %q", r)
		}
		if bad != "" {
			p.line, p.column = line, column
			code := "E-CHARACTER"
			if r == utf8.RuneError {
				code = "E-UTF8"
			}
			p.problem(code, "%s", bad)
			return false
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return true
}

// advance consumes n bytes.
func (p *parser) advance(n int) {
	text := p.rest[:n]
	p.rest = p.rest[n:]
	if lines := strings.Count(text, "\n"); lines > 0 {
		p.line += lines
		p.column = 1
		text = text[strings.LastIndexByte(text, '\n')+1:]
	}
	p.column += utf8.RuneCountInString(text)
}

// skip consumes space and comments. It reports false, and says so, if a comment has no end.
func (p *parser) skip() bool {
	for {
		n := len(p.rest) - len(strings.TrimLeft(p.rest, " \t\r\n"))
		p.advance(n)
		switch {
		case strings.HasPrefix(p.rest, "//"):
			end := strings.IndexByte(p.rest, '\n')
			if end < 0 {
				end = len(p.rest)
			}
			p.advance(end)
		case strings.HasPrefix(p.rest, "/*"):
			end := strings.Index(p.rest[2:], "*/")
			if end < 0 {
				p.report.Report(p.at("E-JSON", "a comment is not closed").WithHint("end it with */"))
				return false
			}
			p.advance(end + 4)
		default:
			return true
		}
	}
}

// here names what stands at the front, for messages. A value is not shown: it may be secret.
func (p *parser) here() string {
	if p.rest == "" {
		return "the end of the document"
	}
	r, _ := utf8.DecodeRuneInString(p.rest)
	if shown := sdl.Printable(string(r)); shown != string(r) {
		r = utf8.RuneError
	}
	return fmt.Sprintf("character %q", r)
}

// value reads one value.
func (p *parser) value(depth int) (doc.Value, bool) {
	v := doc.Value{Line: p.line, Column: p.column}
	if p.nodes++; p.nodes > doc.MaxNodes {
		p.problem("E-JSON-NODES", "the document holds more than %d values", doc.MaxNodes)
		return v, false
	}
	if depth > doc.MaxDepth {
		p.problem("E-JSON-DEPTH", "values lie more than %d deep in each other", doc.MaxDepth)
		return v, false
	}
	ok := false
	switch {
	case p.rest == "":
		p.problem("E-JSON", "a value is missing at the end of the document")
	case p.rest[0] == '{':
		ok = p.object(&v, depth)
	case p.rest[0] == '[':
		ok = p.list(&v, depth)
	case p.rest[0] == '"':
		v.Kind = doc.Scalar
		v.Text, ok = p.text()
	default:
		ok = p.bare(&v)
	}
	p.last = p.line
	return v, ok
}

// word is the longest run at the front that can be a number or a word.
func (p *parser) word() string {
	for i := range len(p.rest) {
		if c := p.rest[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != '_' && c != '$' {
			return p.rest[:i]
		}
	}
	return p.rest
}

// bare reads a number, true, false or null.
func (p *parser) bare(v *doc.Value) bool {
	w := p.word()
	switch {
	case w == "null":
	case w == "true" || w == "false" || isNumber(w):
		v.Kind, v.Text, v.Bare = doc.Scalar, w, true
	default:
		p.badValue(w)
		return false
	}
	p.advance(len(w))
	return true
}

// valueHints say what is meant by characters at which no value begins.
var valueHints = map[byte]string{
	'\'': `texts stand in double quotes: "..."`,
	'#':  "comments begin with //",
	',':  missingValue, '}': missingValue, ']': missingValue,
}

const missingValue = "a value is missing, or there is a comma or bracket too many"

// badValue says what stands where a value should.
func (p *parser) badValue(w string) {
	d := p.at("E-JSON", "%s where a value should stand", p.here())
	c := p.rest[0]
	switch {
	case valueHints[c] != "":
		d = d.WithHint(valueHints[c])
	case strings.EqualFold(w, "true"), strings.EqualFold(w, "false"), strings.EqualFold(w, "null"):
		d = d.WithSuggestion(strings.ToLower(w))
	case w == "None" || w == "nil" || w == "undefined":
		d = d.WithSuggestion("null")
	case w != "" && strings.IndexByte("-+.0123456789", c) >= 0:
		d = d.WithHint("numbers are written as 12 or 0.5, without a plus sign or zeros at the front")
	case w != "":
		d = d.WithHint("put texts into double quotes")
	}
	p.report.Report(d)
}

// isNumber tells whether a word is a number of JSON.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, rest := digits(s)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	if strings.HasPrefix(rest, ".") {
		var part string
		if part, rest = digits(rest[1:]); part == "" {
			return false
		}
	}
	if rest != "" && rest[0]|0x20 == 'e' {
		rest = strings.TrimPrefix(rest[1:], "-")
		if len(rest) > 0 && rest[0] == '+' {
			rest = rest[1:]
		}
		var part string
		if part, rest = digits(rest); part == "" {
			return false
		}
	}
	return rest == ""
}

func digits(s string) (digits, rest string) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}

// text reads a string with its quotes.
func (p *parser) text() (string, bool) {
	var b strings.Builder
	for i := 1; i < len(p.rest); {
		switch c := p.rest[i]; c {
		case '"':
			p.advance(i + 1)
			return b.String(), true
		case '\n':
			p.report.Report(p.at("E-JSON", "a text is not closed in its line").WithHint(`end it with "; a line break within is written \n`))
			return "", false
		case '\\':
			r, n := escape(p.rest[i:])
			if n == 0 {
				p.advance(i)
				p.report.Report(p.at("E-JSON", "unknown escape in a text").WithHint(`a backslash is written \\`))
				return "", false
			}
			b.WriteRune(r)
			i += n
		default:
			b.WriteByte(c)
			i++
		}
	}
	p.report.Report(p.at("E-JSON", "a text is not closed").WithHint(`end it with "`))
	return "", false
}

var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads an escape and returns what it stands for, and its length; 0 if it is none.
func escape(s string) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	if r, ok := escapes[s[1]]; ok {
		return r, 2
	}
	r, ok := unit(s)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := unit(s[6:]); ok {
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				return both, 12
			}
		}
		return utf8.RuneError, 6
	}
	return r, 6
}

// unit reads \uXXXX.
func unit(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	r := rune(0)
	for _, c := range []byte(s[2:6]) {
		d := strings.IndexByte("0123456789abcdef", c|0x20)
		if c >= '0' && c <= '9' {
			d = int(c - '0')
		}
		if d < 0 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

// separate reads what stands between two values of an object or a list: it reports done at the end, and not ok if
// there is no way to go on. A comma that is missing is reported and taken as read.
func (p *parser) separate(end byte, what string, first bool) (done, ok bool) {
	if !p.skip() {
		return false, false
	}
	if !first && strings.HasPrefix(p.rest, ",") {
		p.advance(1)
		if !p.skip() {
			return false, false
		}
		first = true
	}
	switch {
	case p.rest == "":
		p.report.Report(p.at("E-JSON", "%s is not closed", what).WithHint("end it with " + string(end)))
		return false, false
	case p.rest[0] == end:
		p.advance(1)
		return true, true
	case first:
		return false, true
	}
	d := p.at("E-JSON", "%s after a value of %s, expecting ',' or %q", p.here(), what, end)
	begins := p.rest[0] == '"' || p.rest[0] == '{' || p.rest[0] == '[' || p.word() != ""
	if begins && p.last < p.line {
		d = d.WithHint("missing comma on the previous line?")
	} else if begins {
		d = d.WithHint("missing comma?")
	}
	p.report.Report(d)
	p.broken = true
	return false, begins
}

func (p *parser) list(v *doc.Value, depth int) bool {
	v.Kind = doc.List
	p.advance(1)
	for first := true; ; first = false {
		if done, ok := p.separate(']', "the list", first); done || !ok {
			return ok
		}
		item, ok := p.value(depth + 1)
		if !ok {
			return false
		}
		v.Items = append(v.Items, item)
	}
}

func (p *parser) object(v *doc.Value, depth int) bool {
	v.Kind = doc.Map
	seen := map[string]doc.Value{}
	p.advance(1)
	for first := true; ; first = false {
		if done, ok := p.separate('}', "the object", first); done || !ok {
			return ok
		}
		key, item, ok := p.member(depth)
		if !ok {
			return false
		}
		if p.dropped(key.Text) {
			continue
		}
		if other, twice := seen[key.Text]; twice {
			d := p.at("E-DUPLICATE-KEY", "key %q appears twice; it stands in line %d, column %d already", doc.ShowKey(key.Text), other.Line, other.Column)
			d.Line, d.Column = key.Line, key.Column
			p.report.Report(d)
			continue
		}
		seen[key.Text] = key
		v.Keys, v.Items = append(v.Keys, key), append(v.Items, item)
	}
}

func (p *parser) dropped(key string) bool {
	for _, k := range p.drop {
		if k == key {
			return true
		}
	}
	return false
}

// member reads a key and its value.
func (p *parser) member(depth int) (key, item doc.Value, ok bool) {
	key = doc.Value{Kind: doc.Scalar, Line: p.line, Column: p.column}
	if p.rest[0] != '"' {
		d := p.at("E-JSON", "%s where a key should stand", p.here())
		switch {
		case p.rest[0] == ',':
			d = d.WithHint("a comma too many")
		case p.word() != "" || p.rest[0] == '\'':
			d = d.WithHint(`keys stand in double quotes: "name"`)
		}
		p.report.Report(d)
		return key, item, false
	}
	if key.Text, ok = p.text(); !ok || !p.skip() {
		return key, item, false
	}
	if !strings.HasPrefix(p.rest, ":") {
		d := p.at("E-JSON", "%s after a key, expecting \":\"", p.here())
		p.report.Report(d.WithHint(`a key and its value are written "key": value`))
		return key, item, false
	}
	p.advance(1)
	if !p.skip() {
		return key, item, false
	}
	item, ok = p.value(depth + 1)
	return key, item, ok
}
