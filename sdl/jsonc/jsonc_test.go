package jsonc_test

import (
	"strings"
	"testing"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/jsonc"
)

// write writes a tree as JSON with the places of its values left out, so that two documents can be compared.
func write(n *doc.Node) string {
	switch n.Kind() {
	case doc.Map:
		var parts []string
		for _, v := range n.Items() {
			parts = append(parts, v.Name()+": "+write(v))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case doc.List:
		var parts []string
		for _, v := range n.Items() {
			parts = append(parts, write(v))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case doc.Scalar:
		if n.IsBare() {
			return n.Text()
		}
		return "'" + n.Text() + "'"
	}
	return "null"
}

func TestParse(t *testing.T) {
	for source, want := range map[string]string{
		`{"a": 1, "b": [true, null, -0.5e+3], "c": {}}`:                         "{a: 1, b: [true, null, -0.5e+3], c: {}}",
		"\ufeff// x\n{ /* y\n z */ \"a\": [1, 2,], // z\n}\n":                   "{a: [1, 2]}",
		`"é\n\u00e9\ud83d\ude00\/\"\\"`:                                         "'é\né😀/\"\\'",
		`{"...": "...", "a": {"...": 1, "...": [2], "b": 3}, "...": {"x": [}]}`: "",
		`{"...": "...", "a": {"...": 1, "...": [2], "b": 3}, "...": {"x": 1}}`:  "{a: {b: 3}}",
		"\"\\ud800\"": "'\ufffd'",
	} {
		r := sdl.NewReporter("app.json")
		n := jsonc.Parse(r, []byte(source), jsonc.Options{Drop: []string{"..."}})
		if want == "" {
			if n != nil || !r.Failed() {
				t.Errorf("%s: is taken", source)
			}
			continue
		}
		if n == nil {
			t.Errorf("%s: %v", source, r.Diagnostics())
		} else if got := write(n); got != want {
			t.Errorf("%s\n= %s, want\n  %s", source, got, want)
		}
	}
}

// TestProblems holds what is said of a broken document, and where.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ source, want, hint string }{
		{`{"cron": [}`, `app.json:1:11: error: character '}' where a value should stand [E-JSON]`, "a value is missing"},
		{"{\n  \"a\": {\"x\": 1}\n  \"b\": 2\n}", `app.json:3:3: error: character '"' after a value of the object, expecting ',' or '}' [E-JSON]`, "missing comma on the previous line?"},
		{`[1 2]`, `app.json:1:4: error: character '2' after a value of the list, expecting ',' or ']' [E-JSON]`, "missing comma?"},
		{`{"é": 1, "b": 1, "é": 2}`, `app.json:1:18: error: key "é" appears twice; it stands in line 1, column 2 already [E-DUPLICATE-KEY]`, ""},
		{`{'a': 1}`, `app.json:1:2: error: character '\'' where a key should stand [E-JSON]`, "double quotes"},
		{`{"a" 1}`, `app.json:1:6: error: character '1' after a key, expecting ":" [E-JSON]`, ""},
		{`{"a": True}`, `app.json:1:7: error: character 'T' where a value should stand [E-JSON]`, ""},
		{"{\"a\": \"b\n\"}", `app.json:1:7: error: a text is not closed in its line [E-JSON]`, ""},
		{`{"a": "\x"}`, `app.json:1:8: error: unknown escape in a text [E-JSON]`, ""},
		{`{"a": 01}`, `app.json:1:7: error: character '0' where a value should stand [E-JSON]`, "zeros"},
		{"{} {}", `app.json:1:4: error: character '{' after the end of the document [E-JSON]`, ""},
		{`{"a": [1`, `app.json:1:9: error: the list is not closed [E-JSON]`, ""},
		{"/* x", `app.json:1:1: error: a comment is not closed [E-JSON]`, ""},
		{" \n// x\n", `app.json:3:1: error: the document is empty [E-JSON-EMPTY]`, ""},
		{"{\"a\": \"\x01\"}", `app.json:1:8: error: control character '\x01' [E-CHARACTER]`, ""},
		{"{\"a\": \"\xff\"}", `app.json:1:8: error: byte 0xff is not UTF-8 [E-UTF8]`, ""},
		{strings.Repeat("[", 70), `app.json:1:66: error: values lie more than 64 deep in each other [E-JSON-DEPTH]`, ""},
		{"[" + strings.Repeat("1,", doc.MaxNodes) + "]", `app.json:1:100000: error: the document holds more than 50000 values [E-JSON-NODES]`, ""},
		{strings.Repeat(" ", doc.MaxBytes+1), `app.json: error: the document has more than 1048576 bytes [E-SIZE]`, ""},
	} {
		r := sdl.NewReporter("app.json")
		if n := jsonc.Parse(r, []byte(c.source), jsonc.Options{}); n != nil && !r.Failed() {
			t.Errorf("%.40q is taken", c.source)
			continue
		}
		got := r.Diagnostics()
		if got[0].String() != c.want || !strings.Contains(got[0].Hint, c.hint) {
			t.Errorf("%.40q: %s (%s), want %s (%s)", c.source, got[0], got[0].Hint, c.want, c.hint)
		}
	}
}

// TestAllCommasAtOnce holds that a comma that is missing does not hide what else is wrong.
func TestAllCommasAtOnce(t *testing.T) {
	r := sdl.NewReporter("app.json")
	if n := jsonc.Parse(r, []byte("{\n\"a\": 1\n\"b\": [1\n2]\n\"a\": 3\n}"), jsonc.Options{}); n != nil {
		t.Error("a broken document is taken")
	}
	var at []int
	for _, d := range r.Diagnostics() {
		at = append(at, d.Line)
	}
	if len(at) != 4 || at[0] != 3 || at[1] != 4 || at[2] != 5 || at[3] != 5 {
		t.Errorf("problems in the lines %v", at)
	}
}

// FuzzParse holds that any text is read to an end, and that nothing is returned of one that is refused.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a": [1, {"b": null}], /* c */ "...": "\u00e9"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := sdl.NewReporter("app.json")
		n := jsonc.Parse(r, data, jsonc.Options{Drop: []string{"..."}})
		if n == nil && !r.Failed() {
			t.Fatal("nothing is returned, and nothing is said")
		}
	})
}
