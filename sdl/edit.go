package sdl

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Edit replaces the bytes from Start to End of a file.
type Edit struct {
	Start, End int
	Text       string
}

// Apply returns the text with the edit made.
func (e Edit) Apply(source []byte) []byte {
	out := make([]byte, 0, len(source)+len(e.Text))
	out = append(out, source[:e.Start]...)
	out = append(out, e.Text...)
	return append(out, source[e.End:]...)
}

// Edit returns how to put the suggestion in place of what stands there, in the text of the diagnostic's file. It reports
// false if there is no suggestion, or if what stands there is written in a way that must be edited by hand, such as a
// text of several lines.
func (d Diagnostic) Edit(source []byte) (Edit, bool) {
	start, ok := offset(source, d.Line, d.Column)
	if !ok || d.Suggestion == "" {
		return Edit{}, false
	}
	rest := string(source[start:])
	if d.Code == "E-VERSION" && strings.HasPrefix(d.Suggestion, "version:") { // a line of its own, before the first key
		return Edit{start, start, d.Suggestion + "\n" + strings.Repeat(" ", d.Column-1)}, true
	}
	if skip := properties(rest); skip > 0 {
		start, rest = start+skip, rest[skip:]
	}
	if d.Found != "" && strings.HasPrefix(rest, d.Found) {
		return Edit{start, start + len(d.Found), d.Suggestion}, true
	}
	quoted, end, ok := unquote(rest)
	switch {
	case !ok || !strings.HasPrefix(quoted, d.Found):
		return Edit{}, false
	case quoted != d.Found: // the beginning of a text
		if strings.ContainsAny(d.Suggestion+d.Found, `"'\`) || !strings.HasPrefix(rest[1:], d.Found) {
			return Edit{}, false
		}
		return Edit{start + 1, start + 1 + len(d.Found), d.Suggestion}, true
	case strings.HasPrefix(strings.TrimLeft(rest[end:], " "), ":") && !strings.ContainsAny(d.Suggestion, `"'\`):
		return Edit{start, start + end, `"` + d.Suggestion + `"`}, true // a key keeps its quotes: after them a colon needs no space
	}
	return Edit{start, start + end, d.Suggestion}, true
}

// offset is the byte at a place.
func offset(source []byte, line, column int) (int, bool) {
	at := 0
	for ; line > 1; line-- {
		i := bytes.IndexByte(source[at:], '\n')
		if i < 0 {
			return 0, false
		}
		at += i + 1
	}
	for ; column > 1; column-- {
		if at >= len(source) || source[at] == '\n' {
			return 0, false
		}
		_, size := utf8.DecodeRune(source[at:])
		at += size
	}
	return at, line == 1 && column == 1
}

// properties is the length of the anchor and the tag before a value of YAML.
func properties(s string) int {
	rest := s
	for rest != "" && (rest[0] == '&' || rest[0] == '!') {
		end := strings.IndexAny(rest, " \n")
		if end < 0 || rest[end] == '\n' {
			return 0
		}
		rest = strings.TrimLeft(rest[end:], " ")
	}
	return len(s) - len(rest)
}

// unquote reads the text in quotes at the beginning of s, as far as it is simple: of one line, without escapes but
// those of the quotes themselves. end is where what follows it begins.
func unquote(s string) (text string, end int, ok bool) {
	if s == "" || s[0] != '"' && s[0] != '\'' {
		return "", 0, false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		next := byte(0)
		if i+1 < len(s) {
			next = s[i+1]
		}
		switch {
		case c == '\n':
			return "", 0, false
		case c == '\'' && s[0] == c && next == c, c == '\\' && s[0] == '"' && (next == '"' || next == c):
			i++
			b.WriteByte(next)
		case c == '\\' && s[0] == '"':
			return "", 0, false
		case c == s[0]:
			return b.String(), i + 1, true
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, false
}
