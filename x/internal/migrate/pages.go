// Package migrate helps the modules to bring their state from one version to the next.
package migrate

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
)

// page is how many records are held at a time.
const page = 1000

// InPages calls do with each entry of a map, which do may change or remove. It reads a page of them at a time, so that
// memory does not grow with the state, and nothing is written while an iterator is open.
func InPages[K, V any](ctx context.Context, m collections.Map[K, V], do func(K, V) error) error {
	var from collections.Ranger[K]
	for {
		it, err := m.Iterate(ctx, from)
		if err != nil {
			return err
		}
		entries, err := take(it)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := do(e.Key, e.Value); err != nil {
				return err
			}
		}
		if len(entries) < page {
			return nil
		}
		from = new(collections.Range[K]).StartExclusive(entries[len(entries)-1].Key)
	}
}

// take reads at most a page from an iterator and closes it.
func take[K, V any](it collections.Iterator[K, V]) (entries []collections.KeyValue[K, V], err error) {
	defer func() { err = errors.Join(err, it.Close()) }()
	for ; it.Valid() && len(entries) < page; it.Next() {
		kv, err := it.KeyValue()
		if err != nil {
			return nil, err
		}
		entries = append(entries, kv)
	}
	return entries, nil
}
