package fake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

const suffix = ".lease.json"

// record is the file of one workload.
type record struct {
	Lease    markettypes.LeaseID `json:"lease"`
	Envelope []byte              `json:"envelope"`
	Group    []byte              `json:"group"`
	Hash     []byte              `json:"hash"`
	Volumes  []cluster.Volume    `json:"volumes,omitempty"`
	// Suspended is missing in files of leases that run.
	Suspended bool      `json:"suspended,omitempty"`
	Accepted  time.Time `json:"accepted,omitzero"`
	// Lost are the hosts that lead to another lease now.
	Lost map[string]markettypes.LeaseID `json:"lost,omitempty"`
}

// stored is what is kept of a lease.
type stored struct {
	cluster.Workload
	volumes []cluster.Volume
	lost    map[string]markettypes.LeaseID
}

func encode(w cluster.Workload) (record, error) {
	env, err := w.Envelope.Marshal()
	if err != nil {
		return record{}, fmt.Errorf("encode envelope: %w", err)
	}
	group, err := w.Group.Marshal()
	if err != nil {
		return record{}, fmt.Errorf("encode group: %w", err)
	}
	return record{Lease: w.Lease, Envelope: env, Group: group, Hash: slices.Clone(w.ManifestHash), Suspended: w.Suspended, Accepted: w.Accepted}, nil
}

func (r record) decode() (cluster.Workload, error) {
	w := cluster.Workload{Lease: r.Lease, ManifestHash: r.Hash, Suspended: r.Suspended, Accepted: r.Accepted}
	if err := w.Envelope.Unmarshal(r.Envelope); err != nil {
		return w, fmt.Errorf("decode envelope: %w", err)
	}
	if err := w.Group.Unmarshal(r.Group); err != nil {
		return w, fmt.Errorf("decode group: %w", err)
	}
	return w, nil
}

// copyWorkload returns a copy that shares no memory with w.
func copyWorkload(w cluster.Workload) (cluster.Workload, error) {
	r, err := encode(w)
	if err != nil {
		return w, err
	}
	return r.decode()
}

func fileOf(dir string, id markettypes.LeaseID) string {
	sum := sha256.Sum256([]byte(id.String()))
	return filepath.Join(dir, hex.EncodeToString(sum[:16])+suffix)
}

// store writes the file of w; it is there whole or not at all, whenever the process is killed.
func store(dir string, w stored) error {
	if dir == "" {
		return nil
	}
	r, err := encode(w.Workload)
	if err != nil {
		return err
	}
	r.Volumes, r.Lost = w.volumes, w.lost
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := fileOf(dir, w.Lease)
	if err := os.WriteFile(name+".tmp", data, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".tmp", name)
}

func erase(dir string, id markettypes.LeaseID) error {
	if dir == "" {
		return nil
	}
	if err := os.Remove(fileOf(dir, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func load(dir string) ([]stored, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []stored
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		w, err := loadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", e.Name(), err)
		}
		out = append(out, w)
	}
	return out, nil
}

func loadFile(name string) (stored, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return stored{}, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return stored{}, err
	}
	w, err := r.decode()
	return stored{w, r.Volumes, r.Lost}, err
}
