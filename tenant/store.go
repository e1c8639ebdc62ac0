package tenant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/internal/durable"
)

// maxState bounds what is read of a state file: 100 groups with the largest manifest are below it.
const maxState = 128 << 20

// ErrNoState means that this machine has no state file of a deployment.
var ErrNoState = errors.New("no state of the deployment on this machine")

// Store keeps the state files of one network.
type Store interface {
	// Create writes a new state, and fails with fs.ErrExist when the deployment has one.
	Create(s *State) error
	// Save replaces a state; after a crash the old or the new one is there.
	Save(s *State) error
	// Load reads a state, or returns ErrNoState.
	Load(dseq uint64) (*State, error)
	// List names the deployments that have a state, oldest first.
	List() ([]uint64, error)
}

// FileStore is a Store in a directory: one file DSEQ.json for each deployment, mode 0600.
type FileStore struct{ dir string }

// NewFileStore is the store of a network within a home. It touches nothing until the first write.
func NewFileStore(homeDir, network string) *FileStore {
	return &FileStore{filepath.Join(homeDir, "deployments", network)}
}

func (f *FileStore) path(dseq uint64) string {
	return filepath.Join(f.dir, strconv.FormatUint(dseq, 10)+".json")
}

// Create implements Store.
func (f *FileStore) Create(s *State) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of states: %w", err)
	}
	// The empty file reserves the number; Save then replaces it. A crash in between leaves an empty file, which Load
	// takes for no state, as nothing was sent yet.
	file, err := os.OpenFile(f.path(s.Dseq), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("reserve deployment %d: %w", s.Dseq, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("reserve deployment %d: %w", s.Dseq, err)
	}
	return f.Save(s)
}

// Save implements Store.
func (f *FileStore) Save(s *State) error {
	if err := s.validate(); err != nil {
		return fmt.Errorf("save deployment %d: %w", s.Dseq, err)
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode deployment %d: %w", s.Dseq, err)
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of states: %w", err)
	}
	return durable.WriteFile(f.path(s.Dseq), append(data, '\n'), 0o600)
}

// Load implements Store.
func (f *FileStore) Load(dseq uint64) (*State, error) {
	path := f.path(dseq)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil, fmt.Errorf("deployment %d: %w", dseq, ErrNoState)
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of deployment %d: %w", dseq, err)
	}
	if info.Size() > maxState {
		return nil, fmt.Errorf("read %s: larger than %d bytes", path, maxState)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the state of deployment %d: %w", dseq, err)
	}
	s, err := DecodeState(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if s.Dseq != dseq {
		return nil, fmt.Errorf("read %s: it is the state of deployment %d", path, s.Dseq)
	}
	return s, nil
}

// DecodeState reads one state file; unknown fields and data behind it are errors.
func DecodeState(data []byte) (*State, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	s := new(State)
	if err := dec.Decode(s); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("data after the state")
	}
	return s, s.validate()
}

// List implements Store.
func (f *FileStore) List() ([]uint64, error) {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the states: %w", err)
	}
	var out []uint64
	for _, e := range entries {
		if dseq, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), ".json"), 10, 64); err == nil && strings.HasSuffix(e.Name(), ".json") {
			out = append(out, dseq)
		}
	}
	slices.Sort(out)
	return out, nil
}
