// Package simstate is what the modules' message factories of the simulation share: the state of a module as read once
// for each block, a record of what the block's messages touch already, and random values that modules must agree on.
package simstate

import (
	"context"
	"fmt"
	"math/rand"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/units"
	providertypes "berth.dev/berth/x/provider/types"
)

// StableDenom is a second accepted denom, as one that came by IBC would be.
const StableDenom = "ustable"

// Denoms are what a simulated chain accepts.
func Denoms() []string { return []string{units.BaseDenom, StableDenom} }

// Cached reads a value once for each height: the messages of a block are all made from the state before it.
type Cached[T any] struct {
	read   func(context.Context) (T, error)
	height int64
	value  T
}

// NewCached returns a cache over a reader, which must not fail.
func NewCached[T any](read func(context.Context) (T, error)) *Cached[T] {
	return &Cached[T]{read: read, height: -1}
}

// Get returns the value at the context's height. It panics if it cannot be read: a simulation cannot go on then.
func (c *Cached[T]) Get(ctx context.Context) T {
	if height := sdk.UnwrapSDKContext(ctx).BlockHeight(); height != c.height {
		value, err := c.read(ctx)
		if err != nil {
			panic(fmt.Errorf("simulation: read the state at height %d: %w", height, err))
		}
		c.value, c.height = value, height
	}
	return c.value
}

// Taken remembers what the messages of the current block touch, so that most do not get in each other's way.
type Taken struct {
	height int64
	keys   map[string]struct{}
}

// Take says whether key is free, and takes it. One time in two hundred a taken key is given out again: messages that
// collide within a block are wanted too, but not many, and a factory asks for many keys.
func (t *Taken) Take(ctx context.Context, r *rand.Rand, key string) bool {
	if height := sdk.UnwrapSDKContext(ctx).BlockHeight(); height != t.height || t.keys == nil {
		t.height, t.keys = height, map[string]struct{}{}
	}
	if _, taken := t.keys[key]; taken && r.Intn(200) > 0 {
		return false
	}
	t.keys[key] = struct{}{}
	return true
}

// Chance is true in percent of all cases.
func Chance(r *rand.Rand, percent int) bool { return r.Intn(100) < percent }

// Between is a number from low to high, both included.
func Between(r *rand.Rand, low, high int64) int64 { return low + r.Int63n(high-low+1) }

// Pick returns a random item that is wanted, if there is any: the first from a random place on.
func Pick[T any](r *rand.Rand, items []T, wanted func(T) bool) (item T, ok bool) {
	if len(items) == 0 {
		return item, false
	}
	start := r.Intn(len(items))
	for i := range items {
		if it := items[(start+i)%len(items)]; wanted(it) {
			return it, true
		}
	}
	return item, false
}

// Filter returns the items that are wanted.
func Filter[T any](items []T, wanted func(T) bool) []T {
	var out []T
	for _, it := range items {
		if wanted(it) {
			out = append(out, it)
		}
	}
	return out
}

// Bytes are n random bytes.
func Bytes(r *rand.Rand, n int) []byte {
	bz := make([]byte, n)
	r.Read(bz)
	return bz
}

// Price is a random amount per block with up to eighteen decimals, most of them below a thousand.
func Price(r *rand.Rand) math.LegacyDec {
	switch {
	case Chance(r, 5):
		return math.LegacyNewDecFromBigIntWithPrec(math.NewInt(1+r.Int63()).BigInt(), math.LegacyPrecision)
	case Chance(r, 30):
		return math.LegacyNewDec(Between(r, 1, 900))
	}
	return math.LegacyNewDecWithPrec(Between(r, 1_000, 900_000), 3)
}

// attributes are what simulated providers say of themselves and deployments ask for.
var attributes = []struct {
	key    string
	values []string
}{
	{"region", []string{"eu", "us", "ap"}},
	{"tier", []string{"home", "hall"}},
	{"feature/gpu/t4", []string{"true"}},
	{"feature/disk/nvme", []string{"true"}},
}

// Attributes are what a provider says of itself: always a region, and some of the others.
func Attributes(r *rand.Rand) []providertypes.Attribute {
	var out []providertypes.Attribute
	for i, a := range attributes {
		if i == 0 || Chance(r, 60) {
			out = append(out, providertypes.Attribute{Key: a.key, Value: a.values[r.Intn(len(a.values))]})
		}
	}
	return out
}

// Requirements are a part of what one provider has, a key of them perhaps with a glob, so that somebody can meet them.
func Requirements(r *rand.Rand, have []providertypes.Attribute) []providertypes.Attribute {
	var out []providertypes.Attribute
	for _, a := range have {
		if !Chance(r, 30) {
			continue
		}
		if a.Key == "feature/gpu/t4" && Chance(r, 50) {
			a.Key = "feature/gpu/*"
		}
		out = append(out, a)
	}
	return out
}
