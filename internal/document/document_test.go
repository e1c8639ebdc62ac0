package document_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/sdl/files"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestFilesOfADocument holds which files a document gets: those beside and below it, and no others.
func TestFilesOfADocument(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app", "deploy.yaml"), "version: \"1.0\"")
	write(t, filepath.Join(dir, "app", "sub", "b.yml"), "below")
	write(t, filepath.Join(dir, "secret"), "hunter2")
	for link, to := range map[string]string{
		"inside": "sub/b.yml", "outside": "../secret", "absolute": filepath.Join(dir, "secret"), "updir": "..", "null": "/dev/null",
	} {
		if err := os.Symlink(to, filepath.Join(dir, "app", link)); err != nil {
			t.Fatal(err)
		}
	}
	in, err := document.Load(filepath.Join(dir, "app", "deploy.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"deploy.yaml": nil, "sub/b.yml": nil, "inside": nil, "sub/../sub/b.yml": nil,
		"none": fs.ErrNotExist, "sub/none": fs.ErrNotExist, "sub": files.ErrNotRegular, "updir": files.ErrOutside,
		"outside": files.ErrOutside, "absolute": files.ErrOutside, "null": files.ErrOutside, "updir/secret": files.ErrOutside,
		"../secret": files.ErrOutside, filepath.ToSlash(filepath.Join(dir, "secret")): files.ErrOutside,
	} {
		data, err := in.ReadFile(path)
		if !errors.Is(err, want) || (err == nil) != (len(data) > 0) || strings.Contains(string(data), "hunter") {
			t.Errorf("ReadFile(%q) = %q, %v; want %v", path, data, err, want)
		}
	}
	if os.Getuid() != 0 { // who may read everything
		if err := os.Chmod(filepath.Join(dir, "app", "sub", "b.yml"), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := in.ReadFile("sub/b.yml"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("ReadFile of an unreadable file: %v", err)
		}
	}
}

func TestStandardInputIsInTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "sub/b.yml", "below")
	in, err := document.Load(document.Stdin, strings.NewReader("document"))
	if err != nil || string(in.Data) != "document" || in.File != document.Stdin {
		t.Fatalf("Load = %+v, %v", in, err)
	}
	if data, err := in.ReadFile("sub/b.yml"); err != nil || string(data) != "below" {
		t.Errorf("ReadFile = %q, %v", data, err)
	}
}

func TestUnreadableDocument(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "deploy.yaml")
	for file, want := range map[string]string{none: "there is no file " + none, dir: dir + " cannot be read: is a directory"} {
		if _, err := document.Load(file, nil); err == nil || err.Error() != want {
			t.Errorf("Load(%s) = %v, want %s", file, err, want)
		}
	}
}
