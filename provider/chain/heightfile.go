package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Place is how far a provider has followed which chain.
type Place struct {
	ChainID string `json:"chain_id"`
	Height  int64  `json:"height"`
}

// LoadPlace reads the place from a file. A file that does not exist is a cold start: the zero Place. One that can't
// be read is an error, as acting below the last height could undo what was done.
func LoadPlace(path string) (Place, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Place{}, nil
	}
	if err != nil {
		return Place{}, fmt.Errorf("read the last height: %w", err)
	}
	var p Place
	if err := json.Unmarshal(data, &p); err != nil || p.ChainID == "" || p.Height < 0 {
		return Place{}, fmt.Errorf("read the last height: %s does not hold a chain id and height; remove it only if the provider never ran on this chain: %w", path, err)
	}
	return p, nil
}

// Save writes the place so that after a crash either the old or the new one is found, whole.
func (p Place) Save(path string) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode the last height: %w", err)
	}
	if err := WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("store the last height: %w", err)
	}
	return nil
}

// WriteFile replaces a file atomically and durably: temporary file, fsync, rename, fsync of the directory.
func WriteFile(path string, data []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
