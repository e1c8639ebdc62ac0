package compile_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with the file beside the document, or rewrites that file.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test ./sdl/compile -update rewrites it); got:\n%s", file, got)
	}
}

func documents(t *testing.T, pattern string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents in %s: %v", pattern, err)
	}
	out := make(map[string][]byte, len(files))
	for _, f := range files {
		if filepath.Base(f) == "berth.yaml" {
			continue // what is put over the manifest of an application is no document
		}
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[f] = data
	}
	return out
}

// TestRefused holds what is said of wrong documents, to the letter.
func TestRefused(t *testing.T) {
	for file, data := range documents(t, "testdata/bad/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			plan, found := compile.Compile(filepath.Base(file), data)
			if plan != nil {
				t.Fatal("Compile accepted it")
			}
			var out bytes.Buffer
			if err := found.WriteText(&out, sdl.Sources{filepath.Base(file): data}); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), "hunter") {
				t.Errorf("a diagnostic shows the value of an environment variable:\n%s", out.String())
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", out.Bytes())
		})
	}
}

// TestAccepted holds the plans of right documents, to the letter.
func TestAccepted(t *testing.T) {
	for file, data := range documents(t, "testdata/good/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			plan, found := compile.Compile(filepath.Base(file), data)
			if plan == nil {
				t.Fatalf("Compile refused it: %v", found)
			}
			got, err := json.MarshalIndent(plan, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".json", append(got, '\n'))
		})
	}
}

func TestExamplesCompileWithoutWarning(t *testing.T) {
	for file, data := range documents(t, "../../examples/*/*.yaml") {
		if got := compileFile(file, data); got.Plan == nil || len(got.Found) > 0 {
			t.Errorf("%s: %v", file, got.Found)
		}
	}
}

// compileFile compiles a document that may include others.
func compileFile(file string, data []byte) compile.Result {
	return compile.Document(compile.Input{File: file, Data: data, ReadFile: func(path string) ([]byte, error) {
		return os.ReadFile(filepath.Join(filepath.Dir(file), filepath.FromSlash(path)))
	}})
}
