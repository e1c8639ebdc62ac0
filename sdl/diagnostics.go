package sdl

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Severity tells errors from warnings.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Diagnostic is one problem of a document.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// Code is stable, for example E-UNKNOWN-KEY; docs/spec/diagnostics.md lists them.
	Code string `json:"code"`
	File string `json:"file"`
	// Line and Column count from 1; 0 means unknown. Columns count characters, not bytes.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Path is the place in the document, for example services.web.expose[0].to[1]; empty means the whole document.
	Path    string `json:"path"`
	Message string `json:"message"`
	// Found is what stands there, Allowed what may, Suggestion what can be put there instead, exactly; each may be
	// empty. Hint is advice that is no replacement.
	Found      string `json:"found,omitempty"`
	Allowed    string `json:"allowed,omitempty"`
	Suggestion string `json:"suggestion,omitempty"`
	Hint       string `json:"hint,omitempty"`
	// silent drops suggestions: they would be made from a value that must not be shown.
	silent bool
}

// WithAllowed returns d saying what may stand there.
func (d Diagnostic) WithAllowed(s string) Diagnostic { d.Allowed = s; return d }

// WithSuggestion returns d saying what was probably meant.
func (d Diagnostic) WithSuggestion(s string) Diagnostic {
	if !d.silent {
		d.Suggestion = s
	}
	return d
}

// Unsuggested returns d without a suggestion, whatever WithSuggestion is going to say: what stands there is a value that
// must not be shown, and so must be what is made of it.
func (d Diagnostic) Unsuggested() Diagnostic {
	d.silent, d.Suggestion = true, ""
	return d
}

// WithHint returns d with a piece of advice.
func (d Diagnostic) WithHint(s string) Diagnostic { d.Hint = s; return d }

// WithFound returns d saying what stands there.
func (d Diagnostic) WithFound(s string) Diagnostic { d.Found = s; return d }

// String is one line: FILE:LINE:COLUMN: SEVERITY: PATH: MESSAGE [CODE].
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", d.Line, d.Column)
	}
	fmt.Fprintf(&b, ": %s: ", d.Severity)
	if d.Path != "" {
		b.WriteString(d.Path + ": ")
	}
	fmt.Fprintf(&b, "%s [%s]", d.Message, d.Code)
	return b.String()
}

// Diagnostics are the problems of a document in the order of their places, those of the document's own file first and then
// those of the files that it includes, in the order of their inclusion.
type Diagnostics []Diagnostic

// Errors counts the diagnostics that are errors.
func (ds Diagnostics) Errors() int {
	n := 0
	for _, d := range ds {
		if d.Severity == Error {
			n++
		}
	}
	return n
}

// Sources are the texts of the files that were compiled together, by the names that diagnostics give them.
type Sources map[string][]byte

// WriteText writes the diagnostics for people: each with its line of the source, a caret under its column, what is
// allowed and what was probably meant. Of the line nothing is shown that may be a secret.
func (ds Diagnostics) WriteText(w io.Writer, sources Sources) error {
	var b strings.Builder
	lines := map[string]sourceLines{}
	for _, d := range ds {
		l, ok := lines[d.File]
		if !ok {
			l = newLines(d.File, sources[d.File], ds.lines(d.File))
			lines[d.File] = l
		}
		d.writeText(&b, l)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// lines are the lines of a file that diagnostics point at.
func (ds Diagnostics) lines(file string) map[int]bool {
	out := map[int]bool{}
	for _, d := range ds {
		if d.File == file {
			out[d.Line] = true
		}
	}
	return out
}

func (d Diagnostic) writeText(b *strings.Builder, lines sourceLines) {
	b.WriteString(d.String() + "\n")
	if text, ok := lines.excerpt(d.Line, d.Column); ok {
		number := strconv.Itoa(d.Line)
		fmt.Fprintf(b, "  %s | %s\n", number, text)
		fmt.Fprintf(b, "  %s | %s^\n", strings.Repeat(" ", len(number)), blank(text, d.Column))
	}
	if d.Allowed != "" && !strings.Contains(d.Message, d.Allowed) {
		b.WriteString("  allowed: " + d.Allowed + "\n")
	}
	if d.Suggestion != "" {
		b.WriteString("  did you mean: " + d.Suggestion + "\n")
	}
	if d.Hint != "" {
		b.WriteString("  hint: " + d.Hint + "\n")
	}
}

// sourceLines are the lines of a document that are shown, by their number.
type sourceLines map[int]string

// newLines reads a document up to the last line that is wanted.
func newLines(file string, source []byte, wanted map[int]bool) sourceLines {
	out := make(sourceLines, len(wanted))
	if strings.HasSuffix(file, ".json") {
		for i, line := range redactJSON(string(source)) {
			if wanted[i+1] {
				out[i+1] = strings.TrimRight(line, "\r")
			}
		}
		return out
	}
	if path.Base(file) == "Procfile" {
		return out // commands may hold secrets
	}
	var r redactor
	for number, text := 1, string(source); len(out) < len(wanted); number++ {
		line, rest, more := strings.Cut(text, "\n")
		shown := r.line(strings.TrimRight(line, "\r"))
		if wanted[number] {
			out[number] = shown
		}
		if !more {
			break
		}
		text = rest
	}
	return out
}

// maxExcerpt is the most characters of a source line that are shown.
const maxExcerpt = 160

// excerpt is the source line that holds a place, unless the place would fall outside of what is shown.
func (l sourceLines) excerpt(line, column int) (string, bool) {
	text, ok := l[line]
	if !ok || column < 1 || column > maxExcerpt || !utf8.ValidString(text) {
		return "", false
	}
	text = strings.Map(excerpted, text)
	if utf8.RuneCountInString(text) > maxExcerpt {
		text = string([]rune(text)[:maxExcerpt]) + "..."
	}
	return text, true
}

// excerpted keeps what could steer a terminal out of it; tabs stay.
func excerpted(r rune) rune {
	if r == '\t' {
		return r
	}
	return printable(r)
}

// blank is as wide as the text before a column; tabs stay tabs, so that a caret below the text stands right.
func blank(text string, column int) string {
	var b strings.Builder
	for _, r := range text {
		if column--; column < 1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat(" ", max(0, column-1)))
	return b.String()
}

// maxDiagnostics bounds what is said about one document, which could be wrong in every line.
const maxDiagnostics = 200

// Reporter collects the diagnostics of one document. The zero value is not usable; see NewReporter.
type Reporter struct {
	files      []string // that the document consists of, itself first
	list       Diagnostics
	errors     int
	overflow   bool
	incomplete bool
}

// NewReporter returns a reporter for a document that is read from a file.
func NewReporter(file string) *Reporter { return &Reporter{files: []string{file}} }

// File is the name of the document's own file.
func (r *Reporter) File() string { return r.files[0] }

// AddFile tells of a further file that the document consists of: its diagnostics follow those of the files before it.
func (r *Reporter) AddFile(name string) { r.files = append(r.files, name) }

// SetIncomplete tells that a part of the document could not be had, so that what seems to be missing may be there.
func (r *Reporter) SetIncomplete() { r.incomplete = true }

// Incomplete tells whether a part of the document could not be had.
func (r *Reporter) Incomplete() bool { return r.incomplete }

// Report takes a diagnostic. Without a severity it is an error; without a file it is of the document's own. Beyond a
// bound diagnostics are dropped, which is itself reported, but an error that is dropped still fails the document.
func (r *Reporter) Report(d Diagnostic) {
	if d.File == "" {
		d.File = r.File()
	}
	if d.Severity == "" {
		d.Severity = Error
	}
	if d.Severity == Error {
		r.errors++
	}
	if len(r.list) >= maxDiagnostics {
		r.overflow = true
		return
	}
	r.list = append(r.list, d)
}

// Warn takes a diagnostic as a warning.
func (r *Reporter) Warn(d Diagnostic) {
	d.Severity = Warning
	r.Report(d)
}

// Failed tells whether there was an error.
func (r *Reporter) Failed() bool { return r.errors > 0 }

// Full tells that further diagnostics will be dropped, so that there is no point in working out their suggestions.
func (r *Reporter) Full() bool { return len(r.list) >= maxDiagnostics }

// Errors counts the errors so far, so that a caller can tell whether what it just read had any.
func (r *Reporter) Errors() int { return r.errors }

// Diagnostics returns what was reported, sorted by file and place and without repetitions.
func (r *Reporter) Diagnostics() Diagnostics {
	slices.SortStableFunc(r.list, func(a, b Diagnostic) int {
		if a.File != b.File {
			return cmp.Compare(slices.Index(r.files, a.File), slices.Index(r.files, b.File))
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	r.list = slices.Compact(r.list)
	if !r.overflow {
		return slices.Clip(r.list)
	}
	more := Diagnostic{
		Severity: Warning, Code: "W-TOO-MANY", File: r.File(),
		Message: fmt.Sprintf("there are more than %d problems; the rest is not shown", maxDiagnostics),
	}
	if r.Failed() {
		more.Severity, more.Code = Error, "E-TOO-MANY"
	}
	return append(slices.Clone(r.list), more)
}
