package durable_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"berth.dev/berth/internal/durable"
)

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, step := range []struct {
		text string
		mode fs.FileMode
	}{{"first", 0o600}, {"second", 0o644}, {"", 0o640}} {
		if err := durable.WriteFile(path, []byte(step.text), step.mode); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil || string(data) != step.text {
			t.Errorf("the file holds %q, want %q: %v", data, step.text, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != step.mode {
			t.Errorf("mode %v, want %v: %v", info.Mode(), step.mode, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "full", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none", "a"), filepath.Join(dir, "full")} {
		if err := durable.WriteFile(path, []byte("x"), 0o600); err == nil {
			t.Errorf("WriteFile(%s) wrote", path)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
