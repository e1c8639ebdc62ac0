package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"

	"berth.dev/berth/x/audit/types"
)

// Invariants checks the module's part of INV-7 and returns what is broken, one sentence each; none is good. It reads
// the whole state: it is for tests, simulations and a query, never for a block.
func (k *Keeper) Invariants(ctx context.Context) []string {
	var broken []string
	fail := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	err := k.records.Walk(ctx, nil, func(key types.RecordKey, r types.SignedAttributes) (bool, error) {
		if err := r.Validate(); err != nil {
			fail("INV-7: record of provider %s by auditor %s: %s", key.K1(), key.K2(), err)
		}
		if r.Provider != key.K1().String() || r.Auditor != key.K2().String() {
			fail("INV-7: record of provider %s by auditor %s names %s and %s", key.K1(), key.K2(), r.Provider, r.Auditor)
		}
		if ok, err := k.auditors.Has(ctx, collections.Join(key.K2(), key.K1())); err != nil || !ok {
			fail("INV-7: record of provider %s by auditor %s has no index entry (%v)", key.K1(), key.K2(), err)
		}
		return false, nil
	})
	if err != nil {
		fail("INV-7: audit records cannot be read: %s", err)
	}
	err = k.auditors.Walk(ctx, nil, func(key types.RecordKey) (bool, error) {
		if ok, err := k.records.Has(ctx, collections.Join(key.K2(), key.K1())); err != nil || !ok {
			fail("INV-7: index entry of auditor %s, provider %s has no record (%v)", key.K1(), key.K2(), err)
		}
		return false, nil
	})
	if err != nil {
		fail("INV-7: the index of auditors cannot be read: %s", err)
	}
	return broken
}
