package procfile

import "strings"

// Shell is what runs a command that is more than a program with its arguments.
var Shell = []string{"/bin/sh", "-c"}

// Argv is how a command is started. One that is plain words is its own program, which needs no shell in the image and
// gets its signals itself; anything else is given to Shell.
func Argv(command string) []string {
	if words, plain := Words(command); plain && len(words) > 0 {
		return words
	}
	return append(append(make([]string, 0, 3), Shell...), command)
}

// Words splits a command as a shell would, and reports whether that is all that a shell would do with it: nothing is
// substituted, matched, redirected, assigned or combined, no quote is open, and the first word names a program rather
// than something that only a shell knows.
func Words(command string) (words []string, plain bool) {
	t := tokenizer{rest: command}
	for t.next() {
		words = append(words, t.word)
		if len(words) == 1 && (t.assignment() || builtins[t.word]) {
			return nil, false
		}
	}
	if t.shell {
		return nil, false
	}
	return words, true
}

// builtins are first words that are no programs, or other ones than a shell's own of the same name.
var builtins = func() map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(`. : ! { } [[ alias bg break case cd command continue declare do done elif else esac eval exec exit export fg fi
		for function getopts hash if in jobs let local read readonly return select set shift source then time times trap type
		typeset ulimit umask unalias unset until wait while`) {
		out[w] = true
	}
	return out
}()

// operators are characters that outside of quotes are more than themselves, anywhere in a word.
const operators = "|&;<>()$`*?[]{}!~#\n\r"

type tokenizer struct {
	rest   string
	word   string
	quoted bool // a part of the word stood in quotes, or behind a backslash
	shell  bool // only a shell can do it
}

// next reads a word. It is false at the end, and when only a shell can go on.
func (t *tokenizer) next() bool {
	t.rest = strings.TrimLeft(t.rest, blanks)
	t.quoted = false
	if t.rest == "" {
		return false
	}
	var b strings.Builder
	for t.rest != "" && !t.shell {
		c := t.rest[0]
		if strings.IndexByte(blanks, c) >= 0 {
			break
		}
		t.rest = t.rest[1:]
		switch {
		case c == '\'':
			t.single(&b)
		case c == '"':
			t.double(&b)
		case c == '\\':
			t.escaped(&b)
		case strings.IndexByte(operators, c) >= 0:
			t.shell = true
		default:
			b.WriteByte(c)
		}
	}
	t.word = b.String()
	return !t.shell
}

// single reads up to the quote that closes.
func (t *tokenizer) single(b *strings.Builder) {
	text, rest, closed := strings.Cut(t.rest, "'")
	b.WriteString(text)
	t.rest, t.quoted, t.shell = rest, true, !closed
}

// double reads up to the quote that closes; a backslash stands before ", \, $ and ` only.
func (t *tokenizer) double(b *strings.Builder) {
	t.quoted = true
	for t.rest != "" {
		c := t.rest[0]
		t.rest = t.rest[1:]
		switch {
		case c == '"':
			return
		case c == '$' || c == '`':
			t.shell = true
			return
		case c == '\\' && t.rest != "" && strings.IndexByte("\"\\$`", t.rest[0]) >= 0:
			c = t.rest[0]
			t.rest = t.rest[1:]
		}
		b.WriteByte(c)
	}
	t.shell = true // it is not closed
}

// escaped reads what follows a backslash outside of quotes.
func (t *tokenizer) escaped(b *strings.Builder) {
	if t.rest == "" || t.rest[0] == '\n' {
		t.shell = true
		return
	}
	b.WriteByte(t.rest[0])
	t.rest, t.quoted = t.rest[1:], true
}

// assignment tells whether the word sets a variable for the program behind it.
func (t *tokenizer) assignment() bool {
	name, _, ok := strings.Cut(t.word, "=")
	if !ok || name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool { return r == '-' || !nameRune(r) }) < 0
}
