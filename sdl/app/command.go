package app

import (
	"errors"
	"fmt"
	"strings"
)

// ErrShell means that a command needs a shell: it joins commands, redirects, or has something expanded.
var ErrShell = errors.New("the command needs a shell")

// Words splits a command into its words as a shell would, with quotes and backslashes. It wraps ErrShell for what only a
// shell can do, unless that is quoted, and says what it found; another error is a quote without its end. Patterns of
// file names stay as they are: URLs hold their characters.
func Words(command string) ([]string, error) {
	var s splitter
	for i := 0; i < len(command); {
		n, err := s.next(command[i:])
		if err != nil {
			return nil, err
		}
		i += n
	}
	s.end()
	return s.words, nil
}

// special are characters that only a shell gives a meaning.
const special = ";&|<>()`$"

// splitter collects the words of a command.
type splitter struct {
	words []string
	word  strings.Builder
	// started says that there is a word, which may be empty still.
	started bool
}

func (s *splitter) end() {
	if s.started {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.started = false
}

// next takes what stands at the start of the rest of a command, and returns how long that is.
func (s *splitter) next(rest string) (int, error) {
	switch c := rest[0]; {
	case strings.IndexByte(" \t\n\r", c) >= 0:
		if c == '\n' && strings.TrimSpace(rest) != "" && len(s.words) > 0 {
			return 0, fmt.Errorf("%w: it has several lines", ErrShell)
		}
		s.end()
		return 1, nil
	case strings.IndexByte("'\"\\", c) >= 0:
		return s.quote(rest)
	case strings.IndexByte(special, c) >= 0, !s.started && (c == '~' || c == '#'):
		return 0, fmt.Errorf("%w: it holds %q", ErrShell, string(c))
	case c == '=' && s.started && len(s.words) == 0 && isVariable(s.word.String()):
		return 0, fmt.Errorf("%w: it sets %s", ErrShell, s.word.String())
	}
	s.word.WriteByte(rest[0])
	s.started = true
	return 1, nil
}

// quote takes what is quoted, by one of the quotes or a backslash.
func (s *splitter) quote(rest string) (int, error) {
	s.started = true
	switch rest[0] {
	case '\'':
		text, _, closed := strings.Cut(rest[1:], "'")
		if !closed {
			return 0, errors.New("a single quote is not closed")
		}
		s.word.WriteString(text)
		return len(text) + 2, nil
	case '"':
		n, err := quoted(&s.word, rest[1:])
		return n + 1, err
	}
	if len(rest) == 1 {
		return 0, errors.New("a backslash stands at the end")
	}
	s.word.WriteByte(rest[1])
	return 2, nil
}

// quoted reads a text in double quotes, after the first of them, and returns how long it is with the last.
func quoted(word *strings.Builder, s string) (int, error) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1, nil
		case c == '$' || c == '`':
			return 0, fmt.Errorf("%w: it holds %q in double quotes", ErrShell, string(c))
		case c == '\\' && i+1 < len(s) && strings.IndexByte("\"\\$`\n", s[i+1]) >= 0:
			i++
			if s[i] != '\n' {
				word.WriteByte(s[i])
			}
		default:
			word.WriteByte(c)
		}
	}
	return 0, errors.New("a double quote is not closed")
}

func isVariable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// HookCommand is how a hook runs: by /bin/sh, which stops at the first command that fails, also within a pipe where the
// shell knows how.
func HookCommand(command string) []string {
	return []string{"/bin/sh", "-c", "set -e; (set -o pipefail) 2>/dev/null && set -o pipefail; " + command}
}

// Quote writes a text as one word of a shell.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
