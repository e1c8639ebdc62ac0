package compile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/files"
	"berth.dev/berth/sdl/fill"
	"berth.dev/berth/sdl/include"
)

// tree is a document that includes files, by path.
type tree map[string][]byte

func (t tree) read(name string) ([]byte, error) {
	all := fstest.MapFS{}
	for name, data := range t {
		all[name] = &fstest.MapFile{Data: data}
	}
	if info, err := fs.Stat(all, name); err == nil && info.IsDir() {
		return nil, files.ErrNotRegular
	}
	return fs.ReadFile(all, name)
}

func (t tree) compile(file string) compile.Result {
	return compile.Document(compile.Input{File: file, Data: t[path.Base(file)], ReadFile: t.read})
}

func trees(t testing.TB) map[string]tree {
	t.Helper()
	archives, err := filepath.Glob("testdata/include/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	out := map[string]tree{}
	for _, file := range archives {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out[file] = tree{}
		for _, f := range a.Files {
			out[file][f.Name] = f.Data
		}
	}
	return out
}

// TestInclude holds what documents of several files compile to and what is said of them, to the letter.
func TestInclude(t *testing.T) {
	for file, files := range trees(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got := files.compile("app/deploy.yaml")
			if accepted := strings.HasPrefix(filepath.Base(file), "whole"); accepted != (got.Plan != nil) {
				t.Errorf("accepted = %v: %v", got.Plan != nil, got.Found)
			}
			var out bytes.Buffer
			if err := got.Found.WriteText(&out, got.Sources); err != nil {
				t.Fatal(err)
			}
			if got.Plan != nil {
				plan, err := json.MarshalIndent(got.Plan, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				out.Write(append(plan, '\n'))
			}
			golden(t, strings.TrimSuffix(file, ".txtar")+".golden", out.Bytes())
		})
	}
}

// TestFilesOfIncludedFiles holds that a file which an included file names is looked for beside that file, that a
// variable has its value there, and that nothing that is included by mistake is shown.
func TestFilesOfIncludedFiles(t *testing.T) {
	files := tree{
		"deploy.yaml": []byte(strings.Replace(string(document()), "services: {web: {image: nginx}}", "include: sub/web.yml", 1)),
		"sub/web.yml": []byte("services:\n  web:\n    image: nginx:${TAG}\n    env-file: web.env\n"),
		"sub/web.env": []byte("MODE=fast\n"),
		"web.env":     []byte("MODE=slow\n"),
		"secret.txt":  []byte("hunter2\n"),
		"secret.env":  []byte("# hunter3\nTOKEN=hunter4\nOTHER=hunter5\n"),
		"secret.yml":  []byte("password: hunter6\nother: hunter7\ninclude: {a: hunter8}\n"),
	}
	in := compile.Input{File: "deploy.yaml", Data: files["deploy.yaml"], ReadFile: files.read, Lookup: func(name string) (string, bool) {
		return "1.27", name == "TAG"
	}}
	got := compile.Document(in)
	if got.Plan == nil {
		t.Fatal(got.Found)
	}
	if s := got.Plan.Manifests[0].Services[0]; s.Image != "nginx:1.27" || len(s.Env) != 1 || s.Env[0].Value != "fast" {
		t.Errorf("service %+v", s)
	}
	in.Data = []byte("version: \"1.0\"\ninclude: [secret.txt, secret.env, secret.yml]\n")
	got = compile.Document(in)
	var out bytes.Buffer
	if err := errors.Join(got.Found.WriteText(&out, got.Sources), json.NewEncoder(&out).Encode(got.Found)); err != nil {
		t.Fatal(err)
	}
	if got.Found.Errors() < 3 || strings.Contains(out.String(), "hunter") {
		t.Errorf("a file that is no document is shown:\n%s", out.String())
	}
}

// TestSplit holds that a document means the same however it is split into files, and in whatever order.
func TestSplit(t *testing.T) {
	wholes := documents(t, "testdata/good/*.yaml")
	maps.Copy(wholes, documents(t, "../../examples/hello/*.yaml"))
	maps.DeleteFunc(wholes, func(file string, _ []byte) bool { return filepath.Base(file) == "anchors.yaml" }) // which do not cross files
	names := slices.Sorted(maps.Keys(wholes))
	rapid.Check(t, func(rt *rapid.T) {
		var whole []byte
		if name := rapid.SampledFrom(append(names, "")).Draw(rt, "document"); name != "" {
			whole = wholes[name]
		} else {
			whole = large(rapid.IntRange(1, 4).Draw(rt, "groups"), rapid.IntRange(1, 5).Draw(rt, "services"))
		}
		parts := split(rt, whole)
		got := parts.compile("deploy.yaml")
		if got.Plan == nil {
			rt.Fatalf("%s\n%v", parts, got.Found)
		}
		if want := mustCompile(t, whole); !bytes.Equal(planBytes(t, got.Plan), planBytes(t, want)) {
			rt.Fatalf("another plan:\n%s", parts)
		}
		if len(got.Sources) != len(parts) {
			rt.Fatalf("%d sources of %d files", len(got.Sources), len(parts))
		}
	})
}

// String shows the files, for a test that failed.
func (t tree) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(&b, "-- %s --\n%s", name, t[name])
	}
	return b.String()
}

// splitter puts the parts of a document into files.
type splitter struct {
	*rapid.T
	roots []*yaml.Node
}

func split(t *rapid.T, whole []byte) tree {
	var document yaml.Node
	if err := yaml.Unmarshal(whole, &document); err != nil {
		t.Fatal(err)
	}
	shuffle(t, &document)
	dirs := []string{"", "sub/", "sub/deep/", "other/"}
	names := []string{"deploy.yaml"}
	for i := range rapid.IntRange(1, 6).Draw(t, "files") {
		names = append(names, fmt.Sprintf("%s%d.yml", rapid.SampledFrom(dirs).Draw(t, "directory"), i))
	}
	s := splitter{T: t}
	for range names {
		s.roots = append(s.roots, &yaml.Node{Kind: yaml.MappingNode})
	}
	top := document.Content[0]
	for i := 0; i < len(top.Content); i += 2 {
		switch key, value := top.Content[i], top.Content[i+1]; key.Value {
		case "version":
			for f := range s.roots {
				if f == 0 || rapid.Bool().Draw(t, "version") {
					s.put(f, nil, key, value)
				}
			}
		case "services", "deployment", "endpoints":
			s.spread([]*yaml.Node{key}, value)
		case "profiles":
			for j := 0; j < len(value.Content); j += 2 {
				s.spread([]*yaml.Node{key, value.Content[j]}, value.Content[j+1])
			}
		default:
			s.put(s.draw(), nil, key, value)
		}
	}
	s.include(names)
	out := tree{}
	for f, root := range s.roots {
		data, err := yaml.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		out[names[f]] = data
	}
	return out
}

func (s splitter) draw() int { return rapid.IntRange(0, len(s.roots)-1).Draw(s.T, "file") }

// spread puts each entry of a mapping into some file, under the same keys.
func (s splitter) spread(keys []*yaml.Node, entries *yaml.Node) {
	for i := 0; i < len(entries.Content); i += 2 {
		s.put(s.draw(), keys, entries.Content[i], entries.Content[i+1])
	}
}

func (s splitter) put(file int, keys []*yaml.Node, key, value *yaml.Node) {
	n := s.roots[file]
	for _, k := range keys {
		i := slices.IndexFunc(n.Content, func(have *yaml.Node) bool { return have.Value == k.Value && have.Kind == yaml.ScalarNode })
		if i < 0 {
			i = len(n.Content)
			n.Content = append(n.Content, k, &yaml.Node{Kind: yaml.MappingNode})
		}
		n = n.Content[i+1]
	}
	n.Content = append(n.Content, key, value)
}

// include makes every file include some of those after it, and each one be included by one at least.
func (s splitter) include(names []string) {
	text := func(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }
	lists := make([]*yaml.Node, len(names))
	for f := range names {
		lists[f] = &yaml.Node{Kind: yaml.SequenceNode}
	}
	for f := 1; f < len(names); f++ {
		from := []int{rapid.IntRange(0, f-1).Draw(s.T, "from")}
		if rapid.Bool().Draw(s.T, "again") {
			from = append(from, rapid.IntRange(0, f-1).Draw(s.T, "also from"))
		}
		for _, g := range from {
			rel, err := filepath.Rel(path.Dir(names[g]), names[f])
			if err != nil {
				s.Fatal(err)
			}
			lists[g].Content = append(lists[g].Content, text(rapid.SampledFrom([]string{"", "./"}).Draw(s.T, "dot")+filepath.ToSlash(rel)))
		}
	}
	for f, list := range lists {
		switch len(list.Content) {
		case 0:
			if len(s.roots[f].Content) == 0 { // YAML of an empty mapping is one, too
				continue
			}
		case 1:
			s.put(f, nil, text("include"), list.Content[0])
		default:
			s.put(f, nil, text("include"), list)
		}
	}
}

// counted is a tree that knows what was read of it.
type counted struct {
	tree
	reads, bytes int
}

func (c *counted) read(name string) ([]byte, error) {
	data, err := c.tree.read(name)
	c.reads++
	c.bytes += len(data)
	return data, err
}

// input is the tree's document.
func (c *counted) input() compile.Input {
	return compile.Input{File: "deploy.yaml", Data: c.tree["deploy.yaml"], ReadFile: c.read}
}

// hold checks what holds for every tree of files: a plan or errors, each of a file that was read, and no more reading
// than the limits allow.
func (c *counted) hold(t testing.TB, codes map[string]bool) compile.Result {
	t.Helper()
	got := compile.Document(c.input())
	wellFormed(t, got, codes)
	if len(got.Sources) > include.MaxFiles+1 {
		t.Fatalf("%d files are included", len(got.Sources)-1)
	}
	kept := 0
	for _, data := range got.Sources {
		kept += len(data)
	}
	if kept > 2*doc.MaxBytes+2 { // no file counts after the one that is too much, and of none more than a byte too many
		t.Fatalf("%d bytes are kept", kept)
	}
	// A file, and two others that may have been meant, if it is not there.
	if c.reads > 3*include.MaxFiles+fill.MaxFiles {
		t.Fatalf("%d files were read", c.reads)
	}
	return got
}

// hostileTrees are documents whose files try to cost time or memory, with the code that they are refused with.
func hostileTrees() map[string]struct {
	tree
	code string
} {
	chain, full, flat, laugh := tree{}, tree{}, tree{}, tree{}
	for i := range 40 {
		chain[fmt.Sprintf("%d.yml", i)] = fmt.Appendf(nil, "include: %d.yml", i+1)
		all := "include:\n"
		for j := range 40 {
			all += fmt.Sprintf("- %d.yml\n", j)
		}
		full[fmt.Sprintf("%d.yml", i)] = []byte(all)
		flat[fmt.Sprintf("%d.yml", i)] = []byte("{}")
	}
	flat["deploy.yaml"] = full["0.yml"]
	for level := range 6 {
		list := "include:\n"
		for k := range 10 {
			list += fmt.Sprintf("- %d-%d.yml\n", level+1, k)
		}
		for k := range 10 {
			laugh[fmt.Sprintf("%d-%d.yml", level, k)] = []byte(list)
		}
	}
	each := tree{"deploy.yaml": full["0.yml"]}
	for i := range 40 {
		each[fmt.Sprintf("%d.yml", i)] = bytes.Repeat([]byte("x"), doc.MaxBytes+1)
	}
	missing := []byte("include:\n")
	for i := range 20_000 {
		missing = fmt.Appendf(missing, "- %d.yml\n", i)
	}
	again := "include: [" + strings.Repeat("a.yml, ", 20_000) + "]"
	bomb := []byte(hostile()["alias bomb"].text)
	big := []byte("# " + strings.Repeat("x", 400<<10) + "\n{}\n")
	many := []byte("services: {" + manyNames(9_000) + "}")
	return map[string]struct {
		tree
		code string
	}{
		"a chain":              {with(chain, "deploy.yaml", "include: 0.yml"), "E-INCLUDE-LIMIT"},
		"everything from each": {with(full, "deploy.yaml", "include: 0.yml"), "E-INCLUDE-CYCLE"},
		"too many":             {flat, "E-INCLUDE-LIMIT"},
		"tens of tens":         {with(laugh, "deploy.yaml", "include: [0-0.yml, 0-1.yml]"), "E-INCLUDE-LIMIT"},
		"many that are not":    {tree{"deploy.yaml": missing}, "E-INCLUDE-LIMIT"},
		"one, often":           {tree{"deploy.yaml": []byte(again), "a.yml": []byte("{}")}, "E-VERSION"},
		"itself":               {tree{"deploy.yaml": []byte("include: deploy.yaml")}, "E-INCLUDE-CYCLE"},
		"bombs":                {tree{"deploy.yaml": []byte("include: [a.yml, b.yml]"), "a.yml": bomb, "b.yml": bomb}, "E-YAML-NODES"},
		"much":                 {tree{"deploy.yaml": []byte("include: [a.yml, b.yml, c.yml]"), "a.yml": big, "b.yml": big, "c.yml": big}, "E-SIZE"},
		"each too large":       {each, "E-SIZE"},
		"many values":          {tree{"deploy.yaml": []byte("include: [a.yml, b.yml, c.yml, d.yml]"), "a.yml": many, "b.yml": many, "c.yml": many, "d.yml": many}, "E-YAML-NODES"},
		"more than may be":     {tree{"deploy.yaml": []byte("include: a.yml"), "a.yml": bytes.Repeat([]byte("x"), 1<<20+1)}, "E-SIZE"},
		"names without end":    {tree{"deploy.yaml": []byte("include: ['" + strings.Repeat("a/", 1<<18) + "']")}, "E-INCLUDE"},
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "n%d: {}, ", i)
	}
	return b.String()
}

func with(t tree, name, text string) tree {
	out := maps.Clone(t)
	out[name] = []byte(text)
	return out
}

func TestHostileTrees(t *testing.T) {
	codes := documented(t)
	for name, tc := range hostileTrees() {
		t.Run(name, func(t *testing.T) {
			c := &counted{tree: tc.tree}
			got := c.hold(t, codes)
			if !slices.ContainsFunc(got.Found, func(d sdl.Diagnostic) bool { return d.Code == tc.code }) {
				t.Errorf("no %s among %v", tc.code, got.Found)
			}
			t.Logf("%d reads, %d bytes: %v", c.reads, c.bytes, got.Found[0])
		})
	}
}

// TestLimitsOfIncludes holds that what the limits allow is allowed.
func TestLimitsOfIncludes(t *testing.T) {
	rest := strings.TrimPrefix(string(document()), "version: \"1.0\"\n")
	all, deep := tree{}, tree{"deploy.yaml": []byte("version: \"1.0\"\ninclude: 1.yml\n")}
	list := "version: \"1.0\"\ninclude:\n"
	for i := 1; i <= include.MaxFiles; i++ {
		all[fmt.Sprintf("%d.yml", i)] = []byte("{}")
		list += fmt.Sprintf("- %d.yml\n", i)
	}
	all["deploy.yaml"] = []byte(list + rest)
	for i := 1; i < include.MaxDepth; i++ {
		deep[fmt.Sprintf("%d.yml", i)] = fmt.Appendf(nil, "include: %d.yml\n", i+1)
	}
	deep[fmt.Sprintf("%d.yml", include.MaxDepth)] = []byte(rest)
	for name, files := range map[string]tree{"files": all, "depth": deep} {
		if got := files.compile("deploy.yaml"); got.Plan == nil {
			t.Errorf("%s: %v", name, got.Found)
		}
	}
}

// FuzzInclude holds that no tree of files panics, or makes the compiler read more than its limits.
func FuzzInclude(f *testing.F) {
	add := func(t tree) {
		a := txtar.Archive{}
		for _, name := range slices.Sorted(maps.Keys(t)) {
			a.Files = append(a.Files, txtar.File{Name: name, Data: t[name]})
		}
		if data := txtar.Format(&a); len(data) < 1<<16 {
			f.Add(data)
		}
	}
	for _, t := range trees(f) {
		add(t)
	}
	for _, t := range hostileTrees() {
		add(t.tree)
	}
	codes := documented(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &counted{tree: tree{}}
		for _, f := range txtar.Parse(data).Files {
			c.tree[path.Clean(f.Name)] = f.Data
		}
		c.hold(t, codes)
		timed(t, c.input())
	})
}
