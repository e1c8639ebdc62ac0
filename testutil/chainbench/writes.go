package chainbench

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
)

// ours are the stores of Berth's modules.
var ours = []string{"audit", "deployment", "escrow", "market", "provider"}

// Writes counts the keys that blocks write to or remove from each store. What a block writes twice counts once, as the
// tree is written to at the block's end only.
type Writes map[string]int

// countWrites starts to record what blocks write.
func (c *Chain) countWrites() {
	c.App.CommitMultiStore().AddListeners(c.storeKeys())
	c.App.CommitMultiStore().PopStateCache()
}

// takeWrites returns what was written since the last call.
func (c *Chain) takeWrites() Writes {
	w := Writes{}
	for _, pair := range c.App.CommitMultiStore().PopStateCache() {
		w[pair.StoreKey]++
	}
	return w
}

// storeKeys are the keys of the persistent stores, in the order of their names.
func (c *Chain) storeKeys() []storetypes.StoreKey {
	var keys []storetypes.StoreKey
	for _, key := range c.App.StoreKeys() {
		if _, ok := key.(*storetypes.KVStoreKey); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// countKeys is how many keys the stores of Berth's modules have.
func (c *Chain) countKeys() (int, error) {
	ctx, err := c.App.CreateQueryContext(0, false)
	if err != nil {
		return 0, fmt.Errorf("read the state: %w", err)
	}
	n := 0
	for _, key := range c.storeKeys() {
		if !slices.Contains(ours, key.Name()) {
			continue
		}
		it := ctx.MultiStore().GetKVStore(key).Iterator(nil, nil)
		for ; it.Valid(); it.Next() {
			n++
		}
		if err := it.Close(); err != nil {
			return 0, fmt.Errorf("read store %s: %w", key.Name(), err)
		}
	}
	return n, nil
}

// per divides by a number of messages, after what an empty block writes was taken off.
func (w Writes) per(empty Writes, messages int) string {
	var parts []string
	total := 0.0
	mine := 0.0
	for _, store := range slices.Sorted(maps.Keys(w)) {
		n := float64(w[store]-empty[store]) / float64(messages)
		if n == 0 {
			continue
		}
		total += n
		if slices.Contains(ours, store) {
			mine += n
		}
		parts = append(parts, fmt.Sprintf("%s %.2f", store, n))
	}
	return fmt.Sprintf("%.2f keys, %.2f of them Berth's (%s)", total, mine, strings.Join(parts, ", "))
}

// ours is how many keys of Berth's stores each message writes.
func (w Writes) ours(empty Writes, messages int) float64 {
	n := 0
	for _, store := range ours {
		n += w[store] - empty[store]
	}
	return float64(n) / float64(messages)
}
