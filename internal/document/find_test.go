package document_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/internal/document"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	if _, err := document.Find(dir); !errors.Is(err, document.ErrNone) {
		t.Errorf("Find in an empty directory: %v", err)
	}
	write(t, filepath.Join(dir, "app.json"), "{}")
	if file, err := document.Find(dir); err != nil || file != filepath.Join(dir, "app.json") {
		t.Errorf("Find = %s, %v", file, err)
	}
	write(t, filepath.Join(dir, "deploy.yaml"), "")
	if _, err := document.Find(dir); err == nil || !strings.Contains(err.Error(), "deploy.yaml and app.json") {
		t.Errorf("Find among two: %v", err)
	}
}
