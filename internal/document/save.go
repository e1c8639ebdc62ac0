package document

import (
	"fmt"
	"os"
	"path/filepath"

	"berth.dev/berth/internal/durable"
)

// Save replaces the text of a document. After a crash the file holds the old or the new one. Its mode stays, and a
// link still leads to it.
func Save(file string, data []byte) error {
	path, err := filepath.EvalSymlinks(file)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("write %s: it is no regular file", file)
	}
	return durable.WriteFile(path, data, info.Mode().Perm())
}
