package document_test

import (
	"os"
	"path/filepath"
	"testing"

	"berth.dev/berth/internal/document"
)

func TestSaveKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "deploy.yaml"), filepath.Join(dir, "link.yaml")
	if err := os.WriteFile(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("deploy.yaml", link); err != nil {
		t.Fatal(err)
	}
	if err := document.Save(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil || string(data) != "new" {
		t.Errorf("the file holds %q: %v", data, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSaveRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := document.Save(dir, []byte("new")); err == nil {
		t.Error("Save took a directory")
	}
	if err := document.Save(filepath.Join(dir, "nothing"), []byte("new")); err == nil {
		t.Error("Save made a file")
	}
}
