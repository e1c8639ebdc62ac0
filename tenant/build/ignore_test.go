package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestIgnored holds which files of a tree are taken, under both kinds of rules.
func TestIgnored(t *testing.T) {
	all := []string{
		".env", "a.log", "b/a.log", "b/c/keep.log", "b/c/x.txt", "build/out", "docs/build/y", "node_modules/m/index.js", "spa ce.txt", "src/main.go",
		"src/main_test.go", "x1", "x2", "x3",
	}
	for name, tc := range map[string]struct {
		files map[string]string
		out   string
	}{
		"nothing":               {nil, ""},
		"git, any depth":        {map[string]string{".gitignore": "*.log\n!keep.log\n# comment\n\n.env\r\n"}, ".env a.log b/a.log"},
		"git, anchored":         {map[string]string{".gitignore": "/build\nnode_modules/\n"}, "build/out node_modules/m/index.js"},
		"git, a directory":      {map[string]string{".gitignore": "build/\nx1/\n"}, "build/out docs/build/y"},
		"git, below":            {map[string]string{"b/.gitignore": "*.log\n", "src/.gitignore": "/main.go\n"}, "b/a.log b/c/keep.log src/main.go"},
		"git, patterns":         {map[string]string{".gitignore": "x[12]\nsrc/*_test.go\nspa?ce.txt\n**/c/*.txt\n"}, "b/c/x.txt spa ce.txt src/main_test.go x1 x2"},
		"git, a set":            {map[string]string{".gitignore": "x[!3]\n\\.env\n"}, ".env x1 x2"},
		"docker, from the root": {map[string]string{".dockerignore": "*.log\nbuild\n"}, "a.log build/out"},
		"docker, any depth":     {map[string]string{".dockerignore": "**/*.log\nb/c/..\n"}, "a.log b/a.log b/c/keep.log b/c/x.txt"},
		"docker, back in":       {map[string]string{".dockerignore": "b\n!b/c/keep.log\n"}, "b/a.log b/c/x.txt"},
		"docker wins":           {map[string]string{".dockerignore": "x1\n", ".gitignore": "*.log\n"}, "x1"},
		"git keeps no child":    {map[string]string{".gitignore": "b/\n!b/c/keep.log\n"}, "b/a.log b/c/keep.log b/c/x.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, to := t.TempDir(), filepath.Join(t.TempDir(), "out")
			files := map[string]string{".git/config": ""}
			for _, f := range all {
				files[f] = f
			}
			for f, text := range tc.files {
				files[f] = text
			}
			for f, text := range files {
				at := filepath.Join(dir, f)
				if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := (Tree{dir}).stage(to); err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, f := range all {
				if _, err := os.Stat(filepath.Join(to, f)); err != nil {
					out = append(out, f)
				}
			}
			if d := cmp.Diff(tc.out, strings.Join(out, " ")); d != "" {
				t.Error(d)
			}
			if _, err := os.Stat(filepath.Join(to, ".git")); err == nil {
				t.Error(".git is in the image")
			}
		})
	}
}
