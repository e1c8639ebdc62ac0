package compile_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/files"
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
