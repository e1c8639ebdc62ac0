package chain

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestJournalIsDurable: what add has returned for stands in the file, whoever wrote it, and what done has dropped does not.
func TestJournalIsDurable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inflight.json")
	j, err := openJournal(file)
	if err != nil {
		t.Fatal(err)
	}
	has := func(hash []byte) (bool, error) {
		other, err := openJournal(file)
		if err != nil {
			return false, err
		}
		_, ok := other.entries[fmt.Sprintf("%x", hash)]
		return ok, nil
	}
	var g errgroup.Group
	for i := range 200 {
		g.Go(func() error {
			hash := fmt.Appendf(nil, "tx %d", i)
			if err := j.add(hash, time.Unix(int64(i), 0)); err != nil {
				return err
			}
			if ok, err := has(hash); err != nil || !ok {
				return fmt.Errorf("%s is not on disk after add: %w", hash, err)
			}
			if i%2 == 0 {
				return nil
			}
			if err := j.done(hash); err != nil {
				return err
			}
			if ok, err := has(hash); err != nil || ok {
				return fmt.Errorf("%s is on disk after done: %w", hash, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if left, err := j.flights(); err != nil || len(left) != 100 {
		t.Errorf("%d on their way, %v, want 100", len(left), err)
	}
}

// TestJournalOnABrokenDisk: an error reaches everyone whose change is not on disk.
func TestJournalOnABrokenDisk(t *testing.T) {
	j, err := openJournal(filepath.Join(t.TempDir(), "gone", "inflight.json"))
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 20)
	for i := range cap(results) {
		go func() { results <- j.add([]byte{byte(i)}, time.Unix(0, 0)) }()
	}
	for range cap(results) {
		if err := <-results; err == nil {
			t.Error("add = nil, though nothing can be written")
		}
	}
}
