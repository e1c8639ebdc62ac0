package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"berth.dev/berth/internal/durable"
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
	if err := durable.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("store the last height: %w", err)
	}
	return nil
}
