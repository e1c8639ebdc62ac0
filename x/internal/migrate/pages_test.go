package migrate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/colltest"
)

// TestInPages goes through more than two pages, half of which it removes, and meets each entry once.
func TestInPages(t *testing.T) {
	store, ctx := colltest.MockStore()
	m := collections.NewMap(collections.NewSchemaBuilder(store), collections.NewPrefix(1), "m", collections.Uint64Key, collections.Uint64Value)
	const n = 2*page + 7
	for i := range uint64(n) {
		require.NoError(t, m.Set(ctx, i, i))
	}
	next := uint64(0)
	require.NoError(t, InPages(ctx, m, func(k, v uint64) error {
		require.Equal(t, next, k)
		next++
		if k%2 == 0 {
			return m.Remove(ctx, k)
		}
		return m.Set(ctx, k, v+1)
	}))
	require.EqualValues(t, n, next)
	left := 0
	require.NoError(t, m.Walk(ctx, nil, func(k, v uint64) (bool, error) {
		left++
		require.Equal(t, k+1, v)
		return false, nil
	}))
	require.Equal(t, n/2, left)
}
