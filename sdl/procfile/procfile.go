// Package procfile reads a Procfile: lines NAME: COMMAND, one for each process of an application.
//
//	# a comment, and another kind of it:
//	// what runs where
//	web: gunicorn app:app -b 0.0.0.0:8008   # up to a space and a number sign, outside of quotes
//	worker: python worker.py
//	release: ./migrate.sh
//
// It is stricter than what only picks the lines that it understands: a line that is neither a process, a comment nor blank
// is an error with its place, as are a name that appears twice and a process without a command.
package procfile

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/suggest"
)

// The limits of a file.
const (
	MaxBytes     = 64 << 10
	MaxProcesses = 100
	// MaxNameBytes is the most of a name, which becomes a DNS label.
	MaxNameBytes = 63
	// maxShown is the most that a message repeats of a name.
	maxShown = 80
)

// Release is the process that runs once before a rollout, in place of instances.
const Release = "release"

// Process is one line.
type Process struct {
	// Name is as written.
	Name string
	// Label is the name as a DNS label: in lower case, with dashes in the place of underscores. No two processes of a
	// file have the same.
	Label string
	// Command is the text behind the colon, without the blanks around it and without a comment.
	Command string
	// Line and Column are the place of the name, counted from 1, columns in characters.
	Line, Column int
}

// File is the processes of a Procfile in the order of their lines.
type File []Process

// Find is the process of a name, or nil.
func (f File) Find(name string) *Process {
	for i := range f {
		if f[i].Name == name {
			return &f[i]
		}
	}
	return nil
}

// Names are the names of the processes that run as instances, in the order of the file: all but release.
func (f File) Names() []string {
	var out []string
	for _, p := range f {
		if p.Name != Release {
			out = append(out, p.Name)
		}
	}
	return out
}

// Parse reads a file and reports everything that is wrong with it. What it returns is usable only if nothing was an
// error. Messages show names, never commands, which may hold secrets.
func Parse(r *sdl.Reporter, name string, data []byte) File {
	p := parser{report: r, name: name, labels: map[string]string{}, names: map[string]int{}}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case len(data) > MaxBytes:
		p.say(0, 0, "E-SIZE", "the Procfile has more than %d bytes", MaxBytes)
		return nil
	case !utf8.Valid(data):
		p.say(0, 0, "E-UTF8", "the Procfile is not text in UTF-8")
		return nil
	}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	for number := 1; text != ""; number++ {
		line, rest, _ := strings.Cut(text, "\n")
		p.line(number, line)
		text = rest
	}
	if len(p.file) == 0 && p.errors == 0 {
		d := sdl.Diagnostic{File: name, Code: "E-PROCFILE", Message: "the Procfile names no process"}
		r.Report(d.WithHint("write for example web: ./server"))
	}
	return p.file
}

type parser struct {
	report *sdl.Reporter
	name   string
	file   File
	names  map[string]int    // line by name
	labels map[string]string // name by label
	errors int
}

func (p *parser) say(line, column int, code, format string, args ...any) {
	p.report.Report(p.problem(line, column, code, format, args...))
}

func (p *parser) problem(line, column int, code, format string, args ...any) sdl.Diagnostic {
	p.errors++
	return sdl.Diagnostic{Code: code, File: p.name, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
}

// line reads one line.
func (p *parser) line(number int, text string) {
	body := strings.TrimLeft(text, blanks)
	column := len(text) - len(body) + 1
	if strings.TrimSpace(body) == "" || body[0] == '#' || strings.HasPrefix(body, "//") {
		return
	}
	if i := strings.IndexFunc(body, control); i >= 0 {
		p.say(number, column+utf8.RuneCountInString(body[:i]), "E-CHARACTER", "a control character stands in the line")
		return
	}
	name, command, found := strings.Cut(body, ":")
	if trimmed := strings.TrimRight(name, blanks); found && isName(trimmed) && trimmed != name {
		d := p.problem(number, column+len(trimmed), "E-PROCFILE", "a blank stands between the name %q and its colon", trimmed)
		p.report.Report(d.WithSuggestion(trimmed + ":"))
		name = trimmed
	}
	if !found || !isName(name) {
		p.malformed(number, column, name, found)
		return
	}
	p.process(Process{Name: name, Label: Label(name), Command: strings.Trim(uncommented(command), blanks), Line: number, Column: column})
}

// malformed says what a line lacks. It shows what stands before a colon only if that could be a name.
func (p *parser) malformed(number, column int, name string, colon bool) {
	switch {
	case !colon:
		d := p.problem(number, column, "E-PROCFILE", "the line is not NAME: COMMAND, as it has no colon")
		p.report.Report(d.WithHint("a command stands in one line; a comment starts with #"))
	case name == "":
		p.say(number, column, "E-PROCFILE", "the name before the colon is missing")
	case len(name) > MaxNameBytes:
		p.say(number, column, "E-PROCFILE", "the name before the colon has more than %d characters", MaxNameBytes)
	default:
		at := strings.IndexFunc(name, func(c rune) bool { return !nameRune(c) })
		d := p.problem(number, column+at, "E-PROCFILE", "the name before the colon is not of letters, digits, dashes and underscores")
		p.report.Report(d.WithAllowed("A-Z, a-z, 0-9, - and _"))
	}
}

func (p *parser) process(one Process) {
	switch {
	case p.names[one.Name] != 0:
		p.say(one.Line, one.Column, "E-PROCFILE-TWICE", "process %q stands in line %d already", one.Name, p.names[one.Name])
		return
	case one.Label == "":
		p.say(one.Line, one.Column, "E-PROCFILE", "the name %q has neither a letter nor a digit", one.Name)
		return
	case p.labels[one.Label] != "":
		p.say(one.Line, one.Column, "E-PROCFILE-TWICE", "processes %q and %q would both be called %q where they run: rename one",
			p.labels[one.Label], one.Name, one.Label)
		return
	case one.Command == "":
		p.say(one.Line, one.Column, "E-PROCFILE", "process %q has no command", one.Name)
		return
	case len(p.file) == MaxProcesses:
		p.say(one.Line, one.Column, "E-LIMIT", "there are more than %d processes", MaxProcesses)
	}
	p.names[one.Name], p.labels[one.Label] = one.Line, one.Name
	p.file = append(p.file, one)
}

// Missing starts a diagnostic about a name that no process has: at is the place of the name, and what it says there, for
// example formation.beat.
func (f File) Missing(d sdl.Diagnostic, name string) sdl.Diagnostic {
	names := f.Names()
	have := "none"
	if len(names) > 0 {
		have = strings.Join(names, ", ")
	}
	if len(have) > 4*maxShown {
		have = have[:4*maxShown] + "..."
	}
	d.Message = fmt.Sprintf("no such process in Procfile (have: %s)", have)
	return d.WithSuggestion(suggest.Nearest(name, names))
}

const blanks = " \t"

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func isName(s string) bool {
	return s != "" && len(s) <= MaxNameBytes && strings.IndexFunc(s, func(r rune) bool { return !nameRune(r) }) < 0
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// Label is a process's name as a DNS label: in lower case, with dashes in the place of underscores and none at its ends.
// A name that starts with a digit gets a letter before it. It is empty for a name of dashes and underscores only.
func Label(name string) string {
	s := strings.Trim(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "-")
	if s != "" && s[0] >= '0' && s[0] <= '9' {
		s = "p-" + s
	}
	if len(s) > MaxNameBytes {
		s = strings.TrimRight(s[:MaxNameBytes], "-")
	}
	return s
}

// uncommented is a command up to a number sign after a blank, outside of quotes.
func uncommented(s string) string {
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '#' && (i == 0 || strings.IndexByte(blanks, s[i-1]) >= 0):
			return s[:i]
		}
	}
	return s
}
