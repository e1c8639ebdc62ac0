package keeper_test

import (
	"bytes"
	"context"
	"strings"

	"cosmossdk.io/core/store"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// writeLog remembers what stood under each key before it was first written, so that it can say how many keys a
// message, or a block, has changed. A key that was written and is as before costs a node nothing.
type writeLog struct {
	on     bool
	stores map[string]store.KVStoreService
	before map[string][]byte // by store name, a slash and key; nil for one that was not there
}

func newWriteLog() *writeLog {
	return &writeLog{stores: map[string]store.KVStoreService{}, before: map[string][]byte{}}
}

// watch makes a service tell the log of its writes.
func (l *writeLog) watch(name string, s store.KVStoreService) store.KVStoreService {
	l.stores[name] = s
	return watchedService{s, name, l}
}

// keyNames are what the keys of a store and prefix hold.
var keyNames = map[string]map[byte]string{
	"escrow": {1: "account", 2: "payment", 3: "live payment", 4: "due", 7: "hold", 8: "claim"},
	"market": {
		2: "order", 3: "live bid", 4: "lease", 5: "record", 6: "open order", 9: "lease index", 10: "auction", 11: "ended bid",
		12: "bid index", 13: "refund", 14: "delta", 15: "frozen",
	},
}

// changed counts the keys that differ from what they were at the last call, by what they hold.
func (l *writeLog) changed(ctx context.Context) map[string]int {
	by := map[string]int{}
	for id, old := range l.before {
		name, key, _ := strings.Cut(id, "/")
		now, err := l.stores[name].OpenKVStore(ctx).Get([]byte(key))
		if err != nil {
			panic(err)
		}
		if (old == nil) != (now == nil) || !bytes.Equal(old, now) {
			by[keyNames[name][key[0]]]++
		}
	}
	clear(l.before)
	return by
}

type watchedService struct {
	store.KVStoreService
	name string
	log  *writeLog
}

func (s watchedService) OpenKVStore(ctx context.Context) store.KVStore {
	if !s.log.on {
		return s.KVStoreService.OpenKVStore(ctx)
	}
	// What the log reads is not to be paid for.
	free := sdk.UnwrapSDKContext(ctx).WithGasMeter(storetypes.NewInfiniteGasMeter())
	return watchedStore{s.KVStoreService.OpenKVStore(ctx), s.KVStoreService.OpenKVStore(free), s.name, s.log}
}

type watchedStore struct {
	store.KVStore
	free store.KVStore
	name string
	log  *writeLog
}

func (s watchedStore) Set(key, value []byte) error { s.note(key); return s.KVStore.Set(key, value) }
func (s watchedStore) Delete(key []byte) error     { s.note(key); return s.KVStore.Delete(key) }

func (s watchedStore) note(key []byte) {
	id := s.name + "/" + string(key)
	if _, known := s.log.before[id]; known {
		return
	}
	old, err := s.free.Get(key)
	if err != nil {
		panic(err)
	}
	s.log.before[id] = old
}
