package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"berth.dev/berth/internal/durable"
	markettypes "berth.dev/berth/x/market/types"
)

// Memory remembers on disk which leases have had a manifest accepted. The manifests themselves are kept by the
// cluster; this is only so that a workload that vanished is not taken for one that never came, and its lease closed.
type Memory struct {
	path string
	had  map[markettypes.LeaseID]bool
}

// OpenMemory reads the memory from a file; one that does not exist is empty.
func OpenMemory(path string) (*Memory, error) {
	m := &Memory{path: path, had: make(map[markettypes.LeaseID]bool)}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the accepted leases: %w", err)
	}
	var ids []string
	if err := json.Unmarshal(data, &ids); err != nil {
		return nil, fmt.Errorf("read the accepted leases from %s: %w", path, err)
	}
	for _, s := range ids {
		id, err := markettypes.ParseBidID(s)
		if err != nil {
			return nil, fmt.Errorf("read the accepted leases from %s: %w", path, err)
		}
		m.had[id] = true
	}
	return m, nil
}

// Remember adds a lease, durably when it returns nil.
func (m *Memory) Remember(id markettypes.LeaseID) error {
	if m.had[id] {
		return nil
	}
	m.had[id] = true
	if err := m.save(); err != nil {
		delete(m.had, id)
		return err
	}
	return nil
}

// Forget drops a lease that is closed.
func (m *Memory) Forget(id markettypes.LeaseID) error {
	if !m.had[id] {
		return nil
	}
	delete(m.had, id)
	return m.save()
}

func (m *Memory) save() error {
	ids := make([]string, 0, len(m.had))
	for id := range m.had {
		ids = append(ids, id.String())
	}
	slices.Sort(ids)
	data, err := json.MarshalIndent(ids, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the accepted leases: %w", err)
	}
	if err := durable.WriteFile(m.path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("store the accepted leases: %w", err)
	}
	return nil
}
