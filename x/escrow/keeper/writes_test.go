package keeper_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/core/store"
)

// counting tells the keys that are written to a store apart.
type counting struct {
	store.KVStoreService
	written map[string]bool
}

func (c counting) OpenKVStore(ctx context.Context) store.KVStore {
	return countingStore{c.KVStoreService.OpenKVStore(ctx), c.written}
}

type countingStore struct {
	store.KVStore
	written map[string]bool
}

func (s countingStore) Set(key, value []byte) error {
	s.written[string(key)] = true
	return s.KVStore.Set(key, value)
}

func (s countingStore) Delete(key []byte) error {
	s.written[string(key)] = true
	return s.KVStore.Delete(key)
}

// TestWrites counts the keys that each operation writes or removes on an account with two payments; the README has them.
func TestWrites(t *testing.T) {
	e := newEnv(t)
	open := func(xid string, payments ...string) {
		e.open(xid, "alice", 10_000)
		for _, p := range payments {
			require.NoError(t, e.k.OpenPayment(e.ctx, pid(xid, p), addr("bob"), rate("5")))
		}
	}
	for _, xid := range []string{"deposit", "open", "close", "withdraw", "closed", "pruned"} {
		open(xid, "1", "2")
	}
	e.bank.fund(addr("bob"), coin(100))
	require.NoError(t, e.k.Hold(e.ctx, "h", addr("bob"), coin(10)))
	e.granted("carol", "alice", 1000)
	e.end(3)
	require.NoError(t, e.k.CloseAccount(e.ctx, id("pruned")))
	e.end(1)

	for _, tc := range []struct {
		what string
		keys int
		do   func() error
	}{
		{"open an account", 1, func() error { return e.k.OpenAccount(e.ctx, id("new"), addr("alice"), coin(100), nil) }},
		{"open its first payment", 4, func() error { return e.k.OpenPayment(e.ctx, pid("new", "1"), addr("bob"), rate("1")) }},
		{"open a third payment", 4 + 3, func() error { return e.k.OpenPayment(e.ctx, pid("open", "3"), addr("bob"), rate("1")) }},
		{"deposit", 3 + 2, func() error { return e.deposit("deposit", "alice", 50) }},
		{"deposit of a grant", 3 + 2, func() error { return e.deposit("deposit", "alice", 50, grantOf("carol")) }},
		{"withdraw", 2 + 2, func() error { _, err := e.k.Withdraw(e.ctx, pid("withdraw", "1")); return err }},
		{"close a payment", 5 + 2, func() error { return e.k.ClosePayment(e.ctx, pid("close", "1")) }},
		{"close an account", 4 + 2*2, func() error { return e.k.CloseAccount(e.ctx, id("closed")) }},
		{"hold", 1, func() error { return e.k.Hold(e.ctx, "h", addr("bob"), coin(5)) }},
		{"release", 2, func() error { return e.k.Release(e.ctx, "h", addr("bob"), coin(5)) }},
		{"prune an account", 1 + 2, func() error { _, _, err := e.k.PruneAccount(e.ctx, id("pruned"), 100); return err }},
	} {
		clear(e.written)
		require.NoError(t, tc.do(), tc.what)
		require.Len(t, e.written, tc.keys, tc.what)
	}

	e.open("dry", "alice", 10)
	for _, p := range []string{"1", "2"} {
		require.NoError(t, e.k.OpenPayment(e.ctx, pid("dry", p), addr("bob"), rate("5")))
	}
	e.end(1)
	clear(e.written)
	e.end(1)
	require.Equal(t, []string{"suspended dry"}, e.hooks.told)
	require.Len(t, e.written, 3+2, "suspend")
	e.end(9)
	clear(e.written)
	e.end(1)
	require.Equal(t, []string{"suspended dry", "expired dry"}, e.hooks.told)
	require.Len(t, e.written, 2+2*2+1, "expire, with a claim that is made and sent in one block")
}
