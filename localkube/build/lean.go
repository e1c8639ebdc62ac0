package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// prepareModfile writes the set's go.mod into work, with a replacement for each
// lean module, and returns its path. The tree's own go.mod is never touched.
func (b *Builder) prepareModfile(ctx context.Context, s Set, work string) (string, error) {
	dir := filepath.Join(b.Source, s.Dir)
	plain, err := copyModfile(dir, work, "plain.mod", nil)
	if err != nil || len(s.Lean) == 0 {
		return plain, err
	}
	var replaces []string
	for i, l := range s.Lean {
		from, err := b.moduleDir(ctx, dir, plain, l.Module)
		if err != nil {
			return "", err
		}
		to := filepath.Join(work, fmt.Sprintf("lean%d", i))
		if err := trim(l, from, filepath.Join(dir, l.Stubs), to); err != nil {
			return "", fmt.Errorf("trim %s: %w", l.Module, err)
		}
		replaces = append(replaces, fmt.Sprintf("replace %s => %s\n", l.Module, to))
	}
	return copyModfile(dir, work, "lean.mod", replaces)
}

func copyModfile(dir, work, name string, replaces []string) (string, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return "", err
	}
	file := filepath.Join(work, name)
	mod = append(mod, "\n"+strings.Join(replaces, "")...)
	return file, errors.Join(
		os.WriteFile(file, mod, 0o644),
		os.WriteFile(strings.TrimSuffix(file, ".mod")+".sum", sum, 0o644),
	)
}

// moduleDir downloads a module in the version that the modfile asks for and
// returns where its source lies.
func (b *Builder) moduleDir(ctx context.Context, dir, modfile, module string) (string, error) {
	mod, err := os.ReadFile(modfile)
	if err != nil {
		return "", err
	}
	version, err := requiredVersion(string(mod), module)
	if err != nil {
		return "", err
	}
	out, err := b.goOutput(ctx, dir, "mod", "download", "-modfile="+modfile, "-json", module+"@"+version)
	if err != nil {
		return "", fmt.Errorf("download %s@%s: %w", module, version, err)
	}
	var info struct{ Dir string }
	if err := json.Unmarshal(out, &info); err != nil || info.Dir == "" {
		return "", fmt.Errorf("download %s@%s: no directory in the answer of go mod download", module, version)
	}
	return info.Dir, nil
}

// requiredVersion reads the version of a module from the text of a go.mod.
func requiredVersion(mod, module string) (string, error) {
	line := regexp.MustCompile(`(?m)^(?:require)?\s+` + regexp.QuoteMeta(module) + `\s+(v\S+)`)
	m := line.FindStringSubmatch(mod)
	if m == nil {
		return "", fmt.Errorf("go.mod does not require %s", module)
	}
	return m[1], nil
}

// trim copies a module from one directory to another, without its tests and
// what the description skips, lays the stubs over it, and reduces its go.mod to
// its name and language version.
func trim(l Lean, from, stubs, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := copyTree(from, to, l.keep); err != nil {
		return err
	}
	for _, dir := range l.Whole {
		if err := os.RemoveAll(filepath.Join(to, dir)); err != nil {
			return err
		}
	}
	if err := copyTree(stubs, to, func(string, bool) bool { return true }); err != nil {
		return err
	}
	return bareModfile(filepath.Join(to, "go.mod"))
}

// keep says whether a file or directory of the module is copied.
func (l Lean) keep(name string, dir bool) bool {
	if dir {
		return !slices.Contains(l.Skip, name) && filepath.Base(name) != "testdata" && filepath.Base(name) != "fixtures"
	}
	return !strings.HasSuffix(name, "_test.go")
}

func copyTree(from, to string, keep func(name string, dir bool) bool) error {
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		switch {
		case name != "." && !keep(name, d.IsDir()) && d.IsDir():
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case !d.Type().IsRegular() || !keep(name, false):
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), data, 0o644)
	})
}

func bareModfile(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var kept []string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "module ") || strings.HasPrefix(line, "go ") {
			kept = append(kept, line)
		}
	}
	return os.WriteFile(file, []byte(strings.Join(kept, "")), 0o644)
}
