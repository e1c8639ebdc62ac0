package compile_test

import (
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/sdl/compile"
)

// TestIndentation holds that a mistake of indentation is one problem, not all that follows from it. The golden files
// hold what is said.
func TestIndentation(t *testing.T) {
	for file, data := range documents(t, "testdata/bad/indent-*.yaml") {
		want := 1
		if strings.Contains(file, "names-dedented") || strings.Contains(file, "wrong-lists") { // in two places
			want = 2
		}
		_, found := compile.Compile(filepath.Base(file), data)
		if len(found) != want {
			t.Errorf("%s: %d problems, want %d: %v", file, len(found), want, found)
		}
		for _, d := range found {
			if d.Code != "E-INDENT" && d.Code != "E-YAML" || d.Hint+d.Suggestion == "" {
				t.Errorf("%s: %v", file, d)
			}
		}
	}
}
