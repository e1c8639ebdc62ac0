package build

import (
	"path"
	"regexp"
	"strings"
)

// rules say which files of a tree stay out of its image. The last rule that matches a path decides.
type rules []rule

type rule struct {
	match *regexp.Regexp
	// base is the directory that the rule is of, with a slash at its end; empty for the root.
	base string
	keep bool // it takes a path back in
	dirs bool // it is for directories only
}

// gitRules reads a .gitignore of a directory: a pattern without a slash matches at any depth below it.
func gitRules(base, text string) rules { return readRules(base, text, true) }

// dockerRules reads a .dockerignore: every pattern starts at the root.
func dockerRules(text string) rules { return readRules("", text, false) }

func readRules(base, text string, git bool) rules {
	var out rules
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if !git || !strings.HasSuffix(line, `\ `) {
			line = strings.TrimRight(line, " \t")
		}
		if line == "" || line[0] == '#' {
			continue
		}
		r := rule{base: base}
		if rest, ok := strings.CutPrefix(line, "!"); ok {
			r.keep, line = true, rest
		}
		if git {
			r.dirs = strings.HasSuffix(line, "/")
			line = strings.TrimSuffix(line, "/")
			if !strings.Contains(line, "/") {
				line = "**/" + line
			}
		}
		line = strings.TrimPrefix(path.Clean("/"+line), "/")
		if line == "" {
			continue
		}
		if re, err := regexp.Compile("^" + pattern(line) + "$"); err == nil {
			r.match = re
			out = append(out, r)
		}
	}
	return out
}

// pattern writes a pattern of files as a regular expression.
func pattern(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case strings.HasPrefix(s[i:], "**/"):
			b.WriteString("(?:.*/)?")
			i += 2
		case strings.HasPrefix(s[i:], "**"):
			b.WriteString(".*")
			i++
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[':
			end := strings.IndexByte(s[i+1:], ']')
			if end < 1 {
				b.WriteString(`\[`)
				continue
			}
			set := s[i+1 : i+1+end]
			if rest, ok := strings.CutPrefix(set, "!"); ok {
				set = "^" + rest
			}
			b.WriteString("[" + strings.ReplaceAll(set, `\`, `\\`) + "]")
			i += end + 1
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		}
	}
	return b.String()
}

// out tells whether a path stays out: it, or a directory above it, was left out last.
func (rs rules) out(name string, dir bool) bool {
	out := false
	for _, r := range rs {
		below, ok := strings.CutPrefix(name, r.base)
		if !ok || r.keep != out {
			continue
		}
		if r.matches(below, dir) {
			out = !r.keep
		}
	}
	return out
}

// matches tells whether a rule is for a path or a directory above it.
func (r rule) matches(name string, dir bool) bool {
	for {
		if (dir || !r.dirs) && r.match.MatchString(name) {
			return true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return false
		}
		name, dir = name[:i], true
	}
}

// keeps tells whether any rule takes paths back in, so that no directory can be passed by as a whole.
func (rs rules) keeps() bool {
	for _, r := range rs {
		if r.keep {
			return true
		}
	}
	return false
}
