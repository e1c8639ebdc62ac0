package compile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var code = regexp.MustCompile(`"([EW]-[A-Z0-9-]+)"`)

// TestCodesAreDocumented holds the table of codes and the code together.
func TestCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/spec/diagnostics.md")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range code.FindAllSubmatch(source, -1) {
			used[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for c := range used {
		if !strings.Contains(string(page), "`"+c+"`") {
			t.Errorf("%s is not in docs/spec/diagnostics.md", c)
		}
	}
	for _, m := range regexp.MustCompile("\\| `([EW]-[A-Z0-9-]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		if !used[m[1]] {
			t.Errorf("%s stands in docs/spec/diagnostics.md and is not used", m[1])
		}
	}
}
