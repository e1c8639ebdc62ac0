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
func Words(command string) ([]string, error) { return split(command, ";&|<>()`$") }

func split(command, special string) ([]string, error) {
	var words []string
	var word strings.Builder
	started := false
	end := func() {
		if started {
			words = append(words, word.String())
		}
		word.Reset()
		started = false
	}
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if c == '\n' && strings.TrimSpace(command[i:]) != "" && len(words) > 0 {
				return nil, fmt.Errorf("%w: it has several lines", ErrShell)
			}
			end()
		case c == '\'':
			n := strings.IndexByte(command[i+1:], '\'')
			if n < 0 {
				return nil, errors.New("a single quote is not closed")
			}
			word.WriteString(command[i+1 : i+1+n])
			i, started = i+1+n, true
		case c == '"':
			n, err := quoted(&word, command[i+1:])
			if err != nil {
				return nil, err
			}
			i, started = i+n, true
		case c == '\\':
			if i++; i == len(command) {
				return nil, errors.New("a backslash stands at the end")
			}
			word.WriteByte(command[i])
			started = true
		case strings.IndexByte(special, c) >= 0, c == '~' && !started, c == '#' && !started:
			return nil, fmt.Errorf("%w: it holds %q", ErrShell, string(c))
		case c == '=' && started && len(words) == 0 && isVariable(word.String()):
			return nil, fmt.Errorf("%w: it sets %s", ErrShell, word.String())
		default:
			word.WriteByte(c)
			started = true
		}
	}
	end()
	return words, nil
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

// Command is how a command of a Procfile runs: as it is where its words need no shell, so that images without one will
// do and signals reach it, and by /bin/sh otherwise.
func Command(command string) []string {
	if words, err := split(command, ";&|<>()`$*?["); err == nil && len(words) > 0 {
		return words
	}
	return []string{"/bin/sh", "-c", command}
}

// HookCommand is how a hook runs: by /bin/sh, which stops at the first command that fails, also within a pipe where the
// shell knows how.
func HookCommand(command string) []string {
	return []string{"/bin/sh", "-c", "set -e; (set -o pipefail) 2>/dev/null && set -o pipefail; " + command}
}

// Quote writes a text as one word of a shell.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
