package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	"berth.dev/berth/x/escrow/types"
)

// PruneAccount removes a closed account with its payments, at most limit records at a time, the account last. It returns
// how many records went and whether nothing is left; of an account that is not there, nothing is. It fails with
// types.ErrAccountOpen if the account is not closed. All that it owed has been paid or is claimed, and a claim stands by
// itself. The id is free afterwards: the caller must see to it that it is not used again.
func (k *Keeper) PruneAccount(ctx context.Context, id types.AccountID, limit int) (removed int, done bool, err error) {
	account, err := k.accounts.Get(ctx, keyOfAccount(id))
	if errors.Is(err, collections.ErrNotFound) {
		return 0, true, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("prune %s: %w", id, err)
	}
	if account.State != types.ACCOUNT_STATE_CLOSED {
		return 0, false, errorsmod.Wrapf(types.ErrAccountOpen, "%s is %s", id, account.State)
	}
	if limit <= 0 {
		return 0, false, nil
	}
	keys, err := k.paymentKeys(ctx, id, limit)
	if err != nil {
		return 0, false, fmt.Errorf("prune %s: %w", id, err)
	}
	for _, key := range keys {
		if err := k.payments.Remove(ctx, key); err != nil {
			return 0, false, fmt.Errorf("prune %s: %w", id, err)
		}
	}
	if len(keys) == limit {
		return limit, false, nil
	}
	if err := k.accounts.Remove(ctx, keyOfAccount(id)); err != nil {
		return 0, false, fmt.Errorf("prune %s: %w", id, err)
	}
	return len(keys) + 1, true, nil
}

// paymentKeys lists the payments of an account, as many as are asked for.
func (k *Keeper) paymentKeys(ctx context.Context, id types.AccountID, limit int) ([]paymentKey, error) {
	var keys []paymentKey
	prefix := collections.NewSuperPrefixedTripleRange[string, string, string](id.Scope, id.Xid)
	err := k.payments.Walk(ctx, prefix, func(key paymentKey, _ types.Payment) (bool, error) {
		keys = append(keys, key)
		return len(keys) >= limit, nil
	})
	return keys, err
}
