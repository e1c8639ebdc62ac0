package document

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Save replaces the text of a document. After a crash the file holds the old or the new one. Its mode stays, and a
// link still leads to it.
func Save(file string, data []byte) (err error) {
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
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, werr := f.Write(data)
	if err := errors.Join(werr, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
