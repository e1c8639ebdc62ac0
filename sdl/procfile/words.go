package procfile

import (
	"errors"
	"fmt"
	"strings"
)

// Shell is what runs a command that is more than a program with its arguments.
var Shell = []string{"/bin/sh", "-c"}

// ErrShell means that a command needs a shell: it joins commands, redirects, or has something expanded.
var ErrShell = errors.New("the command needs a shell")

// Argv is how a command is started. One that is plain words is its own program, which needs no shell in the image and
// gets its signals itself; anything else is given to Shell, as is what could be a pattern of file names.
func Argv(command string) []string {
	var s splitter
	if err := s.split(command); err == nil && !s.patterns && len(s.words) > 0 {
		return s.words
	}
	return append(append(make([]string, 0, 3), Shell...), command)
}

// Words splits a command into its words as a shell would, with quotes and backslashes. It wraps ErrShell for what only a
// shell can do, unless that is quoted, and says what it found; another error is a quote without its end. Patterns of
// file names stay as they are: URLs hold their characters.
func Words(command string) ([]string, error) {
	var s splitter
	if err := s.split(command); err != nil {
		return nil, err
	}
	return s.words, nil
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

const (
	// operators are characters that only a shell gives a meaning, anywhere in a word.
	operators = ";&|<>()`$"
	// matchers are characters with which a shell may take a word for several, or for another.
	matchers = "*?[]{}!~#"
)

// splitter collects the words of a command.
type splitter struct {
	words []string
	word  strings.Builder
	// started says that there is a word, which may be empty still.
	started bool
	// patterns says that one of matchers stands outside of quotes.
	patterns bool
}

func (s *splitter) split(command string) error {
	for i := 0; i < len(command); {
		n, err := s.next(command[i:])
		if err != nil {
			return err
		}
		i += n
	}
	return s.end()
}

func (s *splitter) end() error {
	if s.started {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.started = false
	if len(s.words) == 1 && builtins[s.words[0]] {
		return fmt.Errorf("%w: it begins with the shell's own %q", ErrShell, s.words[0])
	}
	return nil
}

// next takes what stands at the start of the rest of a command, and returns how long that is.
func (s *splitter) next(rest string) (int, error) {
	switch c := rest[0]; {
	case strings.IndexByte(" \t\n\r", c) >= 0:
		if c == '\n' && strings.TrimSpace(rest) != "" && (s.started || len(s.words) > 0) {
			return 0, fmt.Errorf("%w: it has several lines", ErrShell)
		}
		return 1, s.end()
	case strings.IndexByte("'\"\\", c) >= 0:
		return s.quote(rest)
	case strings.IndexByte(operators, c) >= 0, !s.started && (c == '~' || c == '#'):
		return 0, fmt.Errorf("%w: it holds %q", ErrShell, string(c))
	case c == '=' && s.started && len(s.words) == 0 && isVariable(s.word.String()):
		return 0, fmt.Errorf("%w: it sets %s", ErrShell, s.word.String())
	case strings.IndexByte(matchers, c) >= 0:
		s.patterns = true
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
