// Package dotenv reads files of lines NAME=VALUE, in the form that many tools share:
//
//	# a comment, and a line that may be exported by a shell
//	export NAME=value        # up to a space and a number sign, without the space around it
//	RAW='as it is, also
//	over lines: \n is two characters'
//	TEXT="a line\nand a second, a \"quote\", a tab \t and a backslash \\"
//
// Nothing is substituted: a dollar sign is a dollar sign.
package dotenv

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits of a file.
const (
	MaxBytes = 512 << 10
	MaxVars  = 4096
	// maxName is the most bytes of a name.
	maxName = 256
)

// Var is one line of a file.
type Var struct {
	Name  string
	Value string
	Line  int // counts from 1
}

// Error says why a file cannot be read. It never shows a value.
type Error struct {
	Line   int
	Reason string
}

// Error is the line and the reason.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Parse reads a file and returns its lines in their order; of a name that stands there twice, both. Its error is an
// *Error for the first line that is wrong.
func Parse(data []byte) ([]Var, error) {
	if len(data) > MaxBytes {
		return nil, &Error{1, fmt.Sprintf("the file has more than %d bytes", MaxBytes)}
	}
	p := parser{text: strings.TrimPrefix(string(data), "\ufeff"), line: 1}
	if i := badByte(p.text); i >= 0 {
		return nil, &Error{strings.Count(p.text[:i], "\n") + 1, "it is not text in UTF-8, or holds a zero byte"}
	}
	var out []Var
	for p.text != "" {
		v, some, err := p.next()
		if err != nil {
			return nil, err
		}
		if !some {
			continue
		}
		if len(out) == MaxVars {
			return nil, &Error{v.Line, fmt.Sprintf("the file sets more than %d variables", MaxVars)}
		}
		out = append(out, v)
	}
	return out, nil
}

// Map is the values by name; of a name that stands there twice the last one counts.
func Map(vars []Var) map[string]string {
	out := make(map[string]string, len(vars))
	for _, v := range vars {
		out[v.Name] = v.Value
	}
	return out
}

// badByte is the place of the first byte that cannot be in a value, or -1.
func badByte(s string) int {
	for i, r := range s {
		if r == 0 {
			return i
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

type parser struct {
	text string // what is not read yet
	line int    // the line in which it starts
}

func (p *parser) errorf(format string, args ...any) error {
	return &Error{p.line, fmt.Sprintf(format, args...)}
}

// take removes the next n bytes and counts their lines.
func (p *parser) take(n int) string {
	s := p.text[:n]
	p.text = p.text[n:]
	p.line += strings.Count(s, "\n")
	return s
}

// restOfLine removes the text up to the next line and returns it without its end.
func (p *parser) restOfLine() string {
	n := strings.IndexByte(p.text, '\n')
	if n < 0 {
		return strings.TrimSuffix(p.take(len(p.text)), "\r")
	}
	return strings.TrimRight(p.take(n+1), "\r\n")
}

const blanks = " \t"

// next reads one line, or more where a value in quotes goes on. It reports false for a line that sets nothing.
func (p *parser) next() (Var, bool, error) {
	p.text = strings.TrimLeft(p.text, blanks)
	if p.text == "" || p.text[0] == '\n' || p.text[0] == '\r' || p.text[0] == '#' {
		p.restOfLine()
		return Var{}, false, nil
	}
	v := Var{Line: p.line}
	end := strings.IndexAny(p.text, "=\n")
	if end < 0 || p.text[end] != '=' {
		return v, false, p.errorf("NAME=VALUE was expected, found no =")
	}
	v.Name = strings.TrimRight(p.text[:end], blanks)
	if rest, ok := strings.CutPrefix(v.Name, "export"); ok && strings.TrimLeft(rest, blanks) != rest {
		v.Name = strings.TrimLeft(rest, blanks)
	}
	if !IsName(v.Name) {
		return v, false, p.errorf("what stands before the = cannot name a variable")
	}
	p.take(end + 1)
	p.text = strings.TrimLeft(p.text, blanks)
	var err error
	v.Value, err = p.value()
	return v, true, err
}

// IsName tells whether s can name a variable: letters, digits, '_', '-' and '.', not starting with a digit.
func IsName(s string) bool {
	if s == "" || len(s) > maxName || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func (p *parser) value() (string, error) {
	if p.text == "" || p.text[0] != '\'' && p.text[0] != '"' {
		text := p.restOfLine()
		for i := range len(text) {
			if text[i] == '#' && (i == 0 || strings.IndexByte(blanks, text[i-1]) >= 0) {
				text = text[:i]
				break
			}
		}
		return strings.Trim(text, blanks+"\r"), nil
	}
	quote := p.text[0]
	end := closing(p.text, quote)
	if end < 0 {
		return "", p.errorf("a quote is not closed")
	}
	text := p.text[1:end]
	if quote == '"' {
		var err error
		if text, err = p.unescape(text); err != nil {
			return "", err
		}
	}
	p.take(end + 1)
	if rest := strings.Trim(p.restOfLine(), blanks); rest != "" && rest[0] != '#' {
		return "", p.errorf("something follows a closing quote; a quote within double quotes is written \\\"")
	}
	return text, nil
}

// closing is the place of the quote that closes the one at the start, or -1.
func closing(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return i
		case s[i] == '\\' && quote == '"':
			i++
		}
	}
	return -1
}

// unescape reads what stands between double quotes.
func (p *parser) unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++ // closing saw to it that something follows
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '"', '\\':
			b.WriteByte(s[i])
		default:
			return "", p.errorf(`an unknown escape; in double quotes write \n, \t, \" or \\, or use single quotes`)
		}
	}
	return b.String(), nil
}
