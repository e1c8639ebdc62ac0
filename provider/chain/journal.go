package chain

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"berth.dev/berth/internal/durable"
)

// journal keeps on disk which transactions are on their way, so that the next process can wait for their outcome
// before it promises the same capacity again. An empty path keeps them in memory only.
type journal struct {
	path string

	mu      sync.Mutex
	entries map[string]time.Time // hash in hex -> timeout by the chain's clock
	// version counts changes; those up to saved are on disk. One goroutine at a time is saving, for all that wait: a disk
	// takes longer over one write than the rest of a transaction's way, and a burst would queue for it.
	version, saved uint64
	saving         bool
	wrote          *sync.Cond
}

func openJournal(path string) (*journal, error) {
	j := &journal{path: path, entries: make(map[string]time.Time)}
	j.wrote = sync.NewCond(&j.mu)
	if path == "" {
		return j, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the transactions on their way: %w", err)
	}
	if err := json.Unmarshal(data, &j.entries); err != nil {
		return nil, fmt.Errorf("read the transactions on their way from %s: %w", path, err)
	}
	return j, nil
}

// add notes a transaction, durably, before it is handed to a node.
func (j *journal) add(hash []byte, timeout time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries[hex.EncodeToString(hash)] = timeout
	return j.save()
}

// done drops a transaction whose outcome is known. Should the file keep it, the next start looks for it in vain and
// waits for its timeout: slow, but safe.
func (j *journal) done(hash []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.entries, hex.EncodeToString(hash))
	return j.save()
}

// flights lists what was on its way.
func (j *journal) flights() ([]flight, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []flight
	for s, timeout := range j.entries {
		hash, err := hex.DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("transaction %q on its way: %w", s, err)
		}
		out = append(out, flight{hash: hash, timeout: timeout})
	}
	return out, nil
}

// save returns when all changes up to now are on disk. The lock is held by the caller, and free in between.
func (j *journal) save() error {
	if j.path == "" {
		return nil
	}
	j.version++
	for want := j.version; j.saved < want; {
		if j.saving {
			j.wrote.Wait()
			continue
		}
		if err := j.write(); err != nil {
			return err
		}
	}
	return nil
}

// write puts all entries on disk.
func (j *journal) write() error {
	data, err := json.Marshal(j.entries)
	if err != nil {
		return fmt.Errorf("encode the transactions on their way: %w", err)
	}
	version := j.version
	j.saving = true
	j.mu.Unlock()
	err = durable.WriteFile(j.path, append(data, '\n'), 0o600)
	j.mu.Lock()
	j.saving = false
	j.wrote.Broadcast()
	if err != nil {
		return fmt.Errorf("note a transaction on its way: %w", err)
	}
	j.saved = version
	return nil
}
