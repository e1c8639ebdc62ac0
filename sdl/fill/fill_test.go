package fill

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"A": "a", "EMPTY": "", "REF": "${A}", "A_1": "under"}[name]
	return value, ok
}

func TestExpand(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"plain":                  "plain",
		"$A $ $$ $1 {A} }":       "$A $ $$ $1 {A} }",
		"${A}":                   "a",
		"x${A}y${A}z":            "xayaz",
		"${A_1}":                 "under",
		"${EMPTY}":               "",
		"${EMPTY:-d}":            "d",
		"${EMPTY-d}":             "",
		"${EMPTY:-}":             "",
		"${NONE:-d}":             "d",
		"${NONE-d}":              "d",
		"${NONE-}":               "",
		"${NONE:-a b:-c-$d{}":    "a b:-c-$d{",
		"${A:-d}":                "a",
		"${A-d}":                 "a",
		"${A:?m}":                "a",
		"${REF}":                 "${A}",
		"${NONE:-$A}":            "$A",
		"$${A}":                  "${A}",
		"$$${A}":                 "$${A}",
		"$$A":                    "$$A",
		"$${A} ${A} $${":         "${A} a ${",
		"${A}$${A}${A}":          "a${A}a",
		"${NONE:-ä}€":            "ä€",
		"100$ and ${A}":          "100$ and a",
		"while ! pull ${A}; $(x": "while ! pull a; $(x",
	} {
		got, used, changed, bad := expand(text, lookup)
		if got != want || len(bad) > 0 {
			t.Errorf("%q = %q, %v, want %q", text, got, bad, want)
		}
		if wantUsed := strings.Contains(strings.ReplaceAll(text, "$${", ""), "${"); used != wantUsed {
			t.Errorf("%q: used = %v", text, used)
		}
		if changed != strings.Contains(text, "${") {
			t.Errorf("%q: changed = %v", text, changed)
		}
	}
}

func TestExpandRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"${NONE}":         "variable NONE is not set",
		"${NONE:?}":       "variable NONE is not set",
		"${NONE:?no key}": "variable NONE is not set: no key",
		"${EMPTY:?m}":     "variable EMPTY is empty: m",
		"${A":             "${ has no }",
		"${":              "${ has no }",
		"${}":             "after ${ stands the name of a variable",
		"${ A }":          "after ${ stands the name of a variable",
		"${9A}":           "after ${ stands the name of a variable",
		"${-x}":           "after ${ stands the name of a variable",
		"${A x}":          "none of :-, - and :?",
		"${A?m}":          "none of :-, - and :?",
		"${A:+m}":         "none of :-, - and :?",
		"${A:}":           "none of :-, - and :?",
		"${A.B}":          "none of :-, - and :?",
		"${A[0]}":         "none of :-, - and :?",
		"${NONE:-${A}}":   "holds another variable",
		"${A:-${A}}":      "holds another variable",
	} {
		_, _, _, bad := expand(text, lookup)
		if len(bad) != 1 || !strings.Contains(bad[0].message, want) {
			t.Errorf("%q: %v, want %q", text, bad, want)
		}
	}
	if _, _, _, bad := expand("${NONE} ${A} ${OTHER}", lookup); len(bad) != 2 || bad[0].name != "NONE" || bad[1].name != "OTHER" {
		t.Errorf("two that are not set: %v", bad)
	}
}

// TestExpandKeepsOtherText holds that text without references stays, and that $${ passes any text on.
func TestExpandKeepsOtherText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[$A{}:\-? ]{0,20}`).Draw(t, "text")
		if !strings.Contains(text, "${") {
			if got, used, changed, bad := expand(text, lookup); got != text || used || changed || bad != nil {
				t.Fatalf("%q = %q, %v, %v", text, got, used, bad)
			}
		}
		// A dollar sign before an escape would be taken for the escape's own.
		escaped := strings.ReplaceAll(text, "${", "$${")
		got, used, _, bad := expand(escaped, lookup)
		if !strings.Contains(text, "$${") && (got != text || used || bad != nil) {
			t.Fatalf("%q = %q, %v, %v", escaped, got, used, bad)
		}
	})
}

// filled fills a document in.
func filled(t *testing.T, text string, from Source) (*doc.Node, sdl.Diagnostics) {
	t.Helper()
	r := sdl.NewReporter("deploy.yaml")
	root := doc.ParseYAML([]byte(text), r)
	if root == nil {
		t.Fatal(r.Diagnostics())
	}
	Document(r, root, from)
	return root, r.Diagnostics()
}

func at(t *testing.T, n *doc.Node, keys ...string) *doc.Node {
	t.Helper()
	for _, key := range keys {
		if n.Kind() == doc.List {
			n = n.Items()[0]
		}
		if n = n.Child(key); n == nil {
			t.Fatalf("no %s", key)
		}
	}
	return n
}

// TestPlaces holds where variables are looked at, and where not.
func TestPlaces(t *testing.T) {
	const text = `
version: ${A}
services:
  ${A}:
    image: ${A}
    args: ["${A}"]
    command: "${A}"
    env: {V: "${A}", "${A}": x, O: {value: "${A}", file: "${A}"}, L: ["${A}"]}
    env-file: ["${A}"]
    expose:
      - accept: ["${A}"]
        port: ${A}
        proto: ${A}
    credentials: {host: "${A}", email: "${A}", username: "${A}", password: "${A}"}
    params: {storage: {data: {mount: "${A}"}}}
    depends-on: ["${A}"]
profiles:
  placement: {east: {attributes: {region: "${A}"}}}
deployment: {"${A}": "${A}"}
`
	root, _ := filled(t, text, Source{Lookup: lookup})
	service := at(t, root, "services").Items()[0]
	if service.Name() != "${A}" {
		t.Errorf("a key was replaced: %s", service.Name())
	}
	var replaced, kept []string
	var walk func(n *doc.Node)
	walk = func(n *doc.Node) {
		switch {
		case n.Kind() != doc.Scalar:
		case n.Text() == "a" && n.Secret():
			replaced = append(replaced, n.Path())
		case n.Text() == "${A}" && !n.Secret():
			kept = append(kept, n.Path())
		default:
			if n.Text() != "x" {
				t.Errorf("%s is %q", n.Path(), n.Text())
			}
		}
		for _, kid := range n.Items() {
			walk(kid)
		}
	}
	walk(root)
	want := []string{".image", ".env.V", ".env.O.value", ".expose[0].accept[0]", ".credentials.host", ".credentials.email", ".credentials.username", ".credentials.password"}
	for i := range want {
		want[i] = `services["$..."]` + want[i]
	}
	if fmt.Sprint(replaced) != fmt.Sprint(want) {
		t.Errorf("replaced %v\nwant %v", replaced, want)
	}
	if len(kept) != 12 {
		t.Errorf("kept %d: %v", len(kept), kept)
	}
	for _, hidden := range []string{"V", "O", "L"} {
		if !at(t, service, "env", hidden).Hidden() {
			t.Errorf("env.%s can be shown", hidden)
		}
	}
	if image := at(t, service, "image"); image.Show() != `"${A}"` || image.Problem("E-X", "x").WithSuggestion("a").Suggestion != "" {
		t.Errorf("a message would show %s", image.Show())
	}
	if got := at(t, service, "credentials", "password").Show(); strings.Contains(got, "A") {
		t.Errorf("a message would show %s", got)
	}
}

func TestListedEnv(t *testing.T) {
	root, found := filled(t, "services: {web: {env: ['V=${A}', '${A}=x', 'W=$${A}', {name: X, value: '${A}'}, '${A}']}}", Source{Lookup: lookup})
	var got []string
	for _, n := range at(t, root, "services", "web", "env").Items() {
		if n.Kind() == doc.Map {
			n = n.Child("value")
		}
		got = append(got, fmt.Sprintf("%s %v", n.Text(), n.Secret()))
	}
	want := "[V=a true ${A}=x false W=${A} false a true ${A} false]"
	if fmt.Sprint(got) != want || len(found) > 0 {
		t.Errorf("%v, %v, want %s", got, found, want)
	}
}

func TestProblems(t *testing.T) {
	from := Source{
		Lookup: func(name string) (string, bool) {
			switch name {
			case "BIG":
				return strings.Repeat("x", MaxBytes/2+1), true
			case "ZERO":
				return "a\x00b", true
			case "BYTES":
				return "a\xff", true
			}
			return "", false
		},
		Names: []string{"DB_PASSWORD"},
		ReadFile: func(path string) ([]byte, error) {
			switch path {
			case "big":
				return make([]byte, MaxFileBytes+1), nil
			case "zero":
				return []byte("a\x00"), nil
			case "bytes":
				return []byte("\xff"), nil
			case "half":
				return []byte(strings.Repeat("x", MaxFileBytes)), nil
			}
			if strings.HasPrefix(path, "f") {
				return []byte("A=1"), nil
			}
			return nil, errors.New("it is broken")
		},
	}
	for text, want := range map[string]string{
		"image: ${DB_PASWORD}":                         "E-VARIABLE variable DB_PASWORD is not set DB_PASSWORD is set; or set it in the environment",
		"image: ${X":                                   "E-VARIABLE ${ has no } write $${ to pass",
		"env: {A: '${ZERO}'}":                          "E-VARIABLE a variable's value is not text",
		"env: {A: '${BYTES}'}":                         "E-VARIABLE a variable's value is not text",
		"env: {A: '${BIG}', B: '${BIG}', C: '${BIG}'}": "E-VARIABLE variables and files bring more than 4194304 bytes",
		"env: {A: {file: big}}":                        `E-FILE file "big" has more than 524288 bytes`,
		"env: {A: {file: zero}}":                       `E-FILE file "zero" is not text`,
		"env: [{name: A, file: bytes}]":                `E-FILE file "bytes" is not text`,
		"env_file: other":                              "E-FILE file \"other\" cannot be read: it is broken",
		"env-file: [half, half, half, half, half, half, half, half, half, half]": "E-FILE variables and files bring more than",
		"env-file: [" + manyFiles() + "]":                                        "E-FILE more than 256 files are named",
	} {
		_, found := filled(t, "services: {web: {"+quoteImage(text)+"}}", from)
		if len(found) == 0 {
			t.Errorf("%.60s: no problem", text)
			continue
		}
		last := found[len(found)-1]
		if got := last.Code + " " + last.Message + " " + last.Hint; !strings.HasPrefix(got, want) {
			t.Errorf("%.60s: %s", text, got)
		}
		if !strings.HasPrefix(text, "env-file") && len(found) != 1 {
			t.Errorf("%.60s: %d problems", text, len(found))
		}
	}
	if _, found := filled(t, "services: {web: {env: {A: {file: x}}}}", Source{}); len(found) != 1 || found[0].Code != "E-FILE" {
		t.Errorf("without a reader of files: %v", found)
	}
}

func manyFiles() string {
	var names []string
	for i := range MaxFiles + 1 {
		names = append(names, fmt.Sprintf("f%d", i))
	}
	return strings.Join(names, ", ")
}

func quoteImage(text string) string {
	if rest, ok := strings.CutPrefix(text, "image: "); ok {
		return "image: '" + rest + "'"
	}
	return text
}

// FuzzExpand holds that no text panics, and that what is not a reference stays.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"${A}", "$${A}", "${A:-b}", "${A-", "${A:?x}", "$", "$$${", "${A:-${B}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, used, changed, bad := expand(text, lookup)
		if !changed && (got != text || used || len(bad) > 0) {
			t.Fatalf("%q = %q, %v, %v", text, got, used, bad)
		}
		if len(got) > 4*len(text)+10 {
			t.Fatalf("%q grew to %q", text, got)
		}
	})
}
