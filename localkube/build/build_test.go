package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"berth.dev/berth/localkube/progress"
)

func tree() fstest.MapFS {
	return fstest.MapFS{
		"dns/go.mod":          {Data: []byte("module dns")},
		"dns/go.sum":          {Data: []byte("sum")},
		"dns/main.go":         {Data: []byte("package main")},
		"other/main.go":       {Data: []byte("package other")},
		"dns/_lean/a/stub.go": {Data: []byte("package a")},
	}
}

func TestHashCoversTheInputsAndNothingElse(t *testing.T) {
	set := Set{Name: "dns", Dir: "dns", Inputs: []string{"."}, Targets: []Target{{Packages: []string{"."}}}}
	hash := func(s Set, change func(fstest.MapFS), version, platform string) string {
		t.Helper()
		fs := tree()
		change(fs)
		got, err := Hash(s, fs, version, platform)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	same := func(fstest.MapFS) {}
	base := hash(set, same, "go1.26.8", "linux/amd64")
	tagged := set
	tagged.Targets = []Target{{Packages: []string{"."}, Tags: "x"}}
	for name, tc := range map[string]struct {
		got     string
		changes bool
	}{
		"nothing":       {hash(set, same, "go1.26.8", "linux/amd64"), false},
		"another set":   {hash(set, func(f fstest.MapFS) { f["other/main.go"].Data = nil }, "go1.26.8", "linux/amd64"), false},
		"a file's mode": {hash(set, func(f fstest.MapFS) { f["dns/main.go"].Mode = 0o755 }, "go1.26.8", "linux/amd64"), false},
		"go.sum":        {hash(set, func(f fstest.MapFS) { f["dns/go.sum"].Data = []byte("muS") }, "go1.26.8", "linux/amd64"), true},
		"the main file": {hash(set, func(f fstest.MapFS) { f["dns/main.go"].Data = []byte("package niam") }, "go1.26.8", "linux/amd64"), true},
		"a stub":        {hash(set, func(f fstest.MapFS) { f["dns/_lean/a/stub.go"].Data = nil }, "go1.26.8", "linux/amd64"), true},
		"a new file":    {hash(set, func(f fstest.MapFS) { f["dns/b.go"] = &fstest.MapFile{} }, "go1.26.8", "linux/amd64"), true},
		"content moved": {hash(set, func(f fstest.MapFS) {
			f["dns/go.mod"].Data, f["dns/go.sum"].Data = f["dns/go.sum"].Data, f["dns/go.mod"].Data
		}, "go1.26.8", "linux/amd64"), true},
		"the Go version":  {hash(set, same, "go1.26.9", "linux/amd64"), true},
		"the platform":    {hash(set, same, "go1.26.8", "linux/arm64"), true},
		"the build flags": {hash(tagged, same, "go1.26.8", "linux/amd64"), true},
	} {
		if (tc.got != base) != tc.changes {
			t.Errorf("%s: hash changed = %v, want %v", name, tc.got != base, tc.changes)
		}
	}
}

func TestHashNeedsItsInputs(t *testing.T) {
	if _, err := Hash(Set{Name: "gone", Dir: "gone", Inputs: []string{"."}}, tree(), "go", "p"); err == nil {
		t.Error("Hash of a set without files = nil error, want one")
	}
}

func TestRequiredVersion(t *testing.T) {
	mod := "module x\n\nrequire example.com/one v1.2.3\n\nrequire (\n\texample.com/two/v2 v2.0.0-rc.1 // indirect\n\texample.com/two v1.0.0\n)\n"
	for module, want := range map[string]string{
		"example.com/one": "v1.2.3", "example.com/two/v2": "v2.0.0-rc.1", "example.com/two": "v1.0.0", "example.com/thr": "",
	} {
		got, err := requiredVersion(mod, module)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("requiredVersion(%s) = %q, %v; want %q", module, got, err, want)
		}
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o444); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTrim(t *testing.T) {
	from, stubs, to := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "to")
	write(t, from, map[string]string{
		"go.mod": "module m\n\ngo 1.24\n\nrequire x v1\n", "keep/a.go": "a", "keep/a_test.go": "t", "keep/testdata/x": "x",
		"heavy/a.go": "a", "heavy/b.go": "b", "file/a.go": "a", "file/b.go": "b", "docs/d.md": "d", "keep/docs/e.go": "e",
	})
	write(t, stubs, map[string]string{"heavy/stub.go": "s", "file/b.go": "stub"})
	l := Lean{Module: "m", Whole: []string{"heavy"}, Skip: []string{"docs"}}
	for range 2 { // a second run starts from scratch
		if err := trim(l, from, stubs, to); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	_ = filepath.WalkDir(to, func(p string, d os.DirEntry, _ error) error {
		if !d.IsDir() {
			data, _ := os.ReadFile(p)
			name, _ := filepath.Rel(to, p)
			got[name] = string(data)
		}
		return nil
	})
	want := map[string]string{
		"go.mod": "module m\ngo 1.24\n", "keep/a.go": "a", "keep/docs/e.go": "e", "heavy/stub.go": "s", "file/a.go": "a", "file/b.go": "stub",
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s = %q, want %q", name, got[name], text)
		}
		delete(got, name)
	}
	if len(got) != 0 {
		t.Errorf("unwanted files: %v", got)
	}
}

func TestMeter(t *testing.T) {
	m := meter{label: "build dns", total: 2}
	in := "go: downloading example.com/x v1.0.0\nexample.com/x\nexample.com/y\nexample.com/z\n# example.com/z\nz.go:1:2: undefined: q\n"
	rest := m.follow(strings.NewReader(in), &progress.Printer{})
	if want := "# example.com/z\nz.go:1:2: undefined: q\n"; rest != want {
		t.Errorf("rest = %q, want %q", rest, want)
	}
	if m.done != 3 {
		t.Errorf("counted %d packages, want 3", m.done)
	}
	m = meter{label: "build dns", total: 2}
	if text, _ := m.read("example.com/x"); text != "build dns: package 1 of 2, example.com/x" {
		t.Errorf("read = %q", text)
	}
}

// The real sets must name only files that exist in this tree.
func TestSetsDescribeThisTree(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range All() {
		if _, err := Hash(s, os.DirFS(".."), "go", "p"); err != nil {
			t.Errorf("set %s: %v", s.Name, err)
		}
		for _, l := range s.Lean {
			for _, dir := range l.Whole {
				if stubs, _ := filepath.Glob(filepath.Join("..", s.Dir, l.Stubs, dir, "*.go")); len(stubs) == 0 {
					t.Errorf("set %s: no stub for %s", s.Name, dir)
				}
			}
		}
		if seen[s.Name] {
			t.Errorf("two sets named %s", s.Name)
		}
		seen[s.Name] = true
	}
}

func TestForgetUnused(t *testing.T) {
	b := &Builder{Cache: t.TempDir()}
	now := time.Now()
	for name, age := range map[string]time.Duration{"old": unusedFor + time.Hour, "young": unusedFor - time.Hour} {
		write(t, filepath.Join(b.Cache, name), map[string]string{complete: "", "program": "x"})
		then := now.Add(-age)
		if err := os.Chtimes(filepath.Join(b.Cache, name, complete), then, then); err != nil {
			t.Fatal(err)
		}
	}
	b.forgetUnused(now)
	for name, want := range map[string]bool{"old": false, "young": true} {
		if _, err := os.Stat(filepath.Join(b.Cache, name)); (err == nil) != want {
			t.Errorf("%s is kept = %v, want %v", name, err == nil, want)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !running(filepath.Dir(self)) || running(b.Cache) {
		t.Error("running cannot tell a program that runs from one that does not")
	}
}
