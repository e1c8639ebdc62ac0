package rewrite_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/rewrite"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// corpusDir holds real documents of others, which are not part of the project; see its README.
const corpusDir = "../../../shared/corpus"

// documents are the files of a pattern. The corpus is skipped when it is not there.
func documents(t testing.TB, patterns ...string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out[f] = data
		}
	}
	if len(out) == 0 {
		t.Skipf("there are no documents in %v", patterns)
	}
	return out
}

// planBytes is everything of a plan; nothing for a document that has none.
func planBytes(t testing.TB, file string, data []byte) []byte {
	t.Helper()
	plan, _ := compile.Compile(file, data)
	if plan == nil {
		return nil
	}
	out, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range plan.Manifests {
		b, err := manifest.Encode(g)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

// checkFormat holds what is promised of Format, and returns what it gave.
func checkFormat(t testing.TB, file string, data []byte) []byte {
	t.Helper()
	out, found := rewrite.Format(file, data)
	if out == nil {
		t.Fatalf("%s: Format refused it: %v", file, found)
	}
	if before, after := planBytes(t, file, data), planBytes(t, file, out); !bytes.Equal(before, after) {
		t.Errorf("%s: another plan after formatting:\n%s\nbefore\n%s\nafter\n%s", file, out, before, after)
	}
	again, found := rewrite.Format(file, out)
	if !bytes.Equal(again, out) {
		t.Errorf("%s: formatting twice changes it again (%v):\n%s\nthen\n%s", file, found, out, again)
	}
	return out
}

func TestFormatCorpus(t *testing.T) {
	for file, data := range documents(t, corpusDir+"/*/*.y*ml", "../compile/testdata/good/*.yaml", "../../examples/*/*.yaml") {
		if plan, found := compile.Compile(file, data); plan == nil && found[0].Code == "E-YAML" {
			continue
		}
		checkFormat(t, file, data)
	}
}
