package sdl_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"berth.dev/berth/sdl"
)

func text(t *testing.T, d sdl.Diagnostic, source string) string {
	t.Helper()
	var out bytes.Buffer
	if err := (sdl.Diagnostics{d}).WriteText(&out, sdl.Sources{d.File: []byte(source)}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWriteText(t *testing.T) {
	d := sdl.Diagnostic{
		Severity: sdl.Error, Code: "E-X", File: "f.yaml", Line: 2, Column: 4, Path: "a.b", Message: "it is wrong",
		Allowed: "right", Suggestion: "rihgt", Hint: "turn round",
	}
	for name, tc := range map[string]struct{ source, want string }{
		"plain":          {"x\nas: b\ny", "  2 | as: b\n    |    ^\n"},
		"tabs stay tabs": {"x\n\tas: b\ny", "  2 | \tas: b\n    | \t  ^\n"},
		"wide letters":   {"x\näöü: b\n", "  2 | äöü: ...\n    |    ^\n"},
		"line end":       {"x\r\na:\r\n", "  2 | a:\n    |    ^\n"},
		"escape":         {"x\nas: \x1b[2J\n", "  2 | as: �[2J\n    |    ^\n"},
		"value":          {"x\n - A=secret\n", "  2 |  - A=...\n    |    ^\n"},
		"no such line":   {"x", ""},
		"not UTF-8":      {"x\nas: \xff", ""},
	} {
		want := "f.yaml:2:4: error: a.b: it is wrong [E-X]\n" + tc.want + "  allowed: right\n  did you mean: rihgt\n  hint: turn round\n"
		if got := text(t, d, tc.source); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestWriteTextIsBounded(t *testing.T) {
	d := sdl.Diagnostic{Severity: sdl.Error, Line: 1, Column: 4}
	if got := text(t, d, strings.Repeat("x", 1<<20)); len(got) > 1000 {
		t.Errorf("%d bytes for a long line", len(got))
	}
	d.Column = 500
	if got := text(t, d, strings.Repeat("x", 1000)); strings.Contains(got, "xxx") {
		t.Errorf("the line is shown although the caret would fall outside:\n%s", got)
	}
}

func TestReporterSortsAndBounds(t *testing.T) {
	r := sdl.NewReporter("f.yaml")
	r.Warn(sdl.Diagnostic{Line: 3, Column: 1, Code: "W-A"})
	r.Report(sdl.Diagnostic{Line: 1, Column: 9, Code: "E-B"})
	r.Report(sdl.Diagnostic{Line: 1, Column: 2, Code: "E-A"})
	r.Report(sdl.Diagnostic{Line: 1, Column: 2, Code: "E-A"})
	var got []string
	for _, d := range r.Diagnostics() {
		got = append(got, fmt.Sprintf("%s %s:%d:%d %s", d.Severity, d.File, d.Line, d.Column, d.Code))
	}
	want := []string{"error f.yaml:1:2 E-A", "error f.yaml:1:9 E-B", "warning f.yaml:3:1 W-A"}
	if strings.Join(got, ", ") != strings.Join(want, ", ") || !r.Failed() {
		t.Errorf("got %v, want %v", got, want)
	}
	for i := range 1000 {
		r.Report(sdl.Diagnostic{Line: i + 10, Code: "E-C"})
	}
	found := r.Diagnostics()
	if last := found[len(found)-1]; len(found) > 201 || last.Code != "E-TOO-MANY" || found.Errors() != len(found)-1 {
		t.Errorf("%d diagnostics, the last is %v", len(found), last)
	}
}
