package compile_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"berth.dev/berth/internal/worktime"
	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/chainspec"
	"berth.dev/berth/sdl/compile"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// timed compiles a document and fails if that takes too long.
func timed(t testing.TB, in compile.Input) compile.Result {
	t.Helper()
	var out compile.Result
	worktime.Check(t, len(in.Data), func() { out = compile.Document(in) })
	return out
}

// documented are the codes of docs/spec/diagnostics.md.
func documented(t testing.TB) map[string]bool {
	t.Helper()
	page, err := os.ReadFile("../../docs/spec/diagnostics.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, m := range regexp.MustCompile("\\| `([EW]-[A-Z0-9-]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		out[m[1]] = true
	}
	return out
}

// wellFormed checks what is said of a document, whatever it is.
func wellFormed(t testing.TB, out compile.Result, codes map[string]bool) {
	t.Helper()
	if (out.Plan == nil) != (out.Found.Errors() > 0) {
		t.Fatalf("plan %v with %d errors", out.Plan, out.Found.Errors())
	}
	if len(out.Found) > 201 {
		t.Fatalf("%d diagnostics", len(out.Found))
	}
	lines := map[string][]string{}
	for name, data := range out.Sources {
		lines[name] = strings.Split(string(data), "\n")
	}
	for _, d := range out.Found {
		if !codes[d.Code] || (d.Code[0] == 'E') != (d.Severity == sdl.Error) {
			t.Fatalf("%v: the code is not documented, or does not go with its severity %s", d, d.Severity)
		}
		source, ok := lines[d.File]
		if !ok || d.Line < 0 || d.Line > len(source) || (d.Line == 0) != (d.Column == 0) {
			t.Fatalf("%v: the place is outside of the file", d)
		}
		if d.Line > 0 && (d.Column < 1 || d.Column > utf8.RuneCountInString(source[d.Line-1])+1) {
			t.Fatalf("%v: the column is outside of the line", d)
		}
		for _, s := range []string{d.Message, d.Path, d.Allowed, d.Hint, d.Suggestion} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || len(s) > 2000 {
				t.Fatalf("%v: %q", d, s)
			}
		}
		if edit, ok := d.Edit(out.Sources[d.File]); ok && (edit.Start > edit.End || edit.End > len(out.Sources[d.File])) {
			t.Fatalf("%v: edit %v", d, edit)
		}
	}
	carets(t, out)
	if _, err := json.Marshal(out.Found); err != nil {
		t.Fatal(err)
	}
}

// carets checks that each caret stands below the place of its diagnostic.
func carets(t testing.TB, out compile.Result) {
	t.Helper()
	var text bytes.Buffer
	if err := out.Found.WriteText(&text, out.Sources); err != nil {
		t.Fatal(err)
	}
	next := 0
	for _, l := range strings.Split(text.String(), "\n") {
		if next < len(out.Found) && l == out.Found[next].String() {
			next++
			continue
		}
		before, ok := strings.CutSuffix(l, "^")
		if _, blank, found := strings.Cut(before, " | "); ok && found && next > 0 && strings.Trim(before, " |\t") == "" {
			if d := out.Found[next-1]; utf8.RuneCountInString(blank) != d.Column-1 {
				t.Fatalf("%v: the caret stands elsewhere:\n%s", d, l)
			}
		}
	}
	if next != len(out.Found) {
		t.Fatalf("%d of %d diagnostics are written:\n%s", next, len(out.Found), text.String())
	}
}

// fitsTheChain checks that the chain and providers take a plan, but for what only the chain's parameters and the
// addresses of its accounts decide.
func fitsTheChain(t testing.TB, plan *sdl.Plan) {
	t.Helper()
	specs := chainspec.Groups(plan)
	for i, m := range plan.Manifests {
		if err := manifest.Validate(m); err != nil {
			t.Fatal(err)
		}
		if err := manifest.Check(m, specs[i]); err != nil {
			t.Fatal(err)
		}
		if b, err := manifest.Encode(m); err != nil || len(b) > manifest.MaxBytes {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
	}
	if slices.ContainsFunc(plan.Warnings, func(d sdl.Diagnostic) bool { return d.Code == "W-AUDITOR" }) {
		return
	}
	err := deploymenttypes.ValidateGroups(specs, plan.Groups[0].Resources[0].Denom, deploymenttypes.DefaultParams().MaxUnitPrice)
	if err != nil && !strings.Contains(err.Error(), "above the largest price") {
		t.Fatal(err)
	}
}

// rebuild makes changes at random to the structure of a document: parts are moved, doubled, left out and exchanged, and
// values become others of the same document. Nothing is changed for seed 0, nor in what is no YAML.
func rebuild(data []byte, seed uint64) []byte {
	var root yaml.Node
	if seed == 0 || len(data) > 1<<16 || bytes.ContainsAny(data, "&*") || yaml.Unmarshal(data, &root) != nil {
		return data
	}
	var all []*yaml.Node
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		all = append(all, n)
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(&root)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 1 + rng.IntN(4) {
		a, b := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
		if len(a.Content) > 1 {
			i := rng.IntN(len(a.Content)/2) * 2
			switch rng.IntN(4) {
			case 0:
				a.Content = slices.Delete(a.Content, i, i+2)
			case 1:
				a.Content = append(a.Content, a.Content[i:i+2]...)
			case 2:
				a.Content[i], a.Content[i+1] = a.Content[i+1], a.Content[i]
			case 3:
				if b.Kind == a.Kind && !within(a, b) && !within(b, a) {
					b.Content = append(b.Content, a.Content[i:i+2]...)
				}
			}
		} else if a.Kind == yaml.ScalarNode && b.Kind == yaml.ScalarNode {
			a.Value, a.Tag, a.Style = b.Value, b.Tag, b.Style
		}
	}
	out, err := yaml.Marshal(&root)
	if err != nil || len(out) > 1<<20 {
		return data
	}
	return out
}

// within tells whether b is a part of a.
func within(a, b *yaml.Node) bool {
	return a == b || slices.ContainsFunc(a.Content, func(c *yaml.Node) bool { return within(c, b) })
}

// seeds are the documents that fuzzing starts from: own ones, right and wrong.
func seeds(f *testing.F) [][]byte {
	var out [][]byte
	for _, pattern := range []string{"testdata/*/*.yaml", "../../examples/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			out = append(out, data)
		}
	}
	for _, text := range []string{full10, full20} {
		out = append(out, []byte(text))
	}
	for _, h := range hostile() {
		if len(h.text) < 4096 {
			out = append(out, []byte(h.text))
		}
	}
	return out
}

var versionLine = regexp.MustCompile(`(?m)^ *version: .*\n`)

// fuzzVersion fuzzes one front-end: whatever the document says, its version is given.
func fuzzVersion(f *testing.F, version string) {
	for i, data := range seeds(f) {
		f.Add(versionLine.ReplaceAll(data, nil), uint64(0))
		f.Add(versionLine.ReplaceAll(data, nil), uint64(i)+1)
	}
	codes := documented(f)
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		in := compile.Input{File: "deploy.yaml", Data: append([]byte("version: \""+version+"\"\n"), rebuild(data, seed)...)}
		out := timed(t, in)
		wellFormed(t, out, codes)
		if out.Plan != nil {
			fitsTheChain(t, out.Plan)
		}
	})
}

func FuzzSDL10(f *testing.F) { fuzzVersion(f, "1.0") }
func FuzzSDL20(f *testing.F) { fuzzVersion(f, "2.0") }
func FuzzSDL21(f *testing.F) { fuzzVersion(f, "2.1") }

// theSecret is the value of every variable of FuzzPlan.
const theSecret = "zq7-nobody-reads-this"

// FuzzPlan holds of every plan that it does not depend on the order of keys, that the chain and providers take it, and
// that neither it nor what is said of the document shows the value of a variable in its env.
func FuzzPlan(f *testing.F) {
	for i, data := range seeds(f) {
		f.Add(data, uint64(0))
		f.Add(data, uint64(i)+1)
	}
	for _, env := range []string{"A=${TOKEN}", "{name: A, value: x, secret: true}", "{name: A, file: token}", "A=x${TOKEN:-d}y"} {
		f.Add([]byte(strings.Replace(full10, "- A=1", "- "+env, 1)), uint64(0))
		f.Add([]byte(strings.Replace(full20, "- A=1", "- "+env, 1)), uint64(0))
	}
	f.Add([]byte(strings.Replace(full20, "hunter2", "${PASSWORD}", 1)), uint64(0))
	codes := documented(f)
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		data = rebuild(data, seed)
		in := compile.Input{
			File: "deploy.yaml", Data: data,
			ReadFile: func(path string) ([]byte, error) {
				if len(path)%3 == 0 {
					return nil, os.ErrNotExist
				}
				return []byte("A=" + theSecret + "\n"), nil
			},
			Lookup: func(name string) (string, bool) { return theSecret, len(name)%3 != 0 },
			Names:  []string{"TOKEN", "PASSWORD"},
		}
		out := timed(t, in)
		// Of a file that is included, the sources are not the document's.
		wellFormed(t, out, codes)
		showsNothing(t, out)
		if out.Plan == nil {
			return
		}
		fitsTheChain(t, out.Plan)
		in.Data = reorder(data, seed)
		again := compile.Document(in)
		if again.Plan == nil {
			t.Fatalf("refused with its keys in another order: %v", again.Found)
		}
		if !bytes.Equal(planBytes(t, out.Plan), planBytes(t, again.Plan)) {
			t.Fatal("another order of keys gives another plan")
		}
	})
}

// showsNothing checks that the value of a variable is in no output. Where it is a part of an image or a host, it is no
// secret: providers and their clients see those.
func showsNothing(t *testing.T, out compile.Result) {
	t.Helper()
	for _, d := range out.Found {
		if strings.Contains(d.String()+d.Found+d.Allowed+d.Suggestion+d.Hint, theSecret) {
			t.Fatalf("%v shows a secret", d)
		}
	}
	if out.Plan == nil {
		return
	}
	text, err := json.Marshal(out.Plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range out.Plan.Manifests {
		for _, s := range g.Services {
			open := s.Image
			for _, e := range s.Expose {
				open += " " + strings.Join(e.Accept, " ")
			}
			if strings.Contains(open, theSecret) {
				return
			}
		}
	}
	if bytes.Contains(text, []byte(theSecret)) {
		t.Fatalf("the plan shows a secret: %s", text)
	}
}

// reorder puts the keys of all mappings into another order, unless anchors tie them to their places.
func reorder(data []byte, seed uint64) []byte {
	var root yaml.Node
	if bytes.ContainsAny(data, "&*") || yaml.Unmarshal(data, &root) != nil {
		return data
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		n.HeadComment, n.LineComment, n.FootComment = "", "", ""
		if n.Kind == yaml.MappingNode {
			rng.Shuffle(len(n.Content)/2, func(i, j int) {
				n.Content[2*i], n.Content[2*j] = n.Content[2*j], n.Content[2*i]
				n.Content[2*i+1], n.Content[2*j+1] = n.Content[2*j+1], n.Content[2*i+1]
			})
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(&root)
	out, err := yaml.Marshal(&root)
	var check yaml.Node
	if err != nil || yaml.Unmarshal(out, &check) != nil {
		return data
	}
	return out
}
