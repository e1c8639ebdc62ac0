package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"

	"berth.dev/berth/x/escrow/types"
)

// EndBlock handles the accounts that are due, at most max_due_per_block of them, then sends what the block's
// transactions have paid out. Its work is bounded by the parameter and by the transactions' gas.
func (k *Keeper) EndBlock(ctx context.Context) error {
	ids, err := k.dueAccounts(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		atomically(ctx, "handle due account", id.String(), func(ctx context.Context) error {
			_, err := k.touch(ctx, id)
			return err
		})
	}
	return k.sendClaims(ctx)
}

// dueAccounts lists the accounts that are due by height and id, as many as one block may handle.
func (k *Keeper) dueAccounts(ctx context.Context) ([]types.AccountID, error) {
	params, err := k.GetParams(ctx)
	if err != nil {
		return nil, err
	}
	var ids []types.AccountID
	until := collections.NewPrefixUntilTripleRange[int64, string, string](height(ctx))
	err = k.due.Walk(ctx, until, func(key dueKey) (bool, error) {
		ids = append(ids, types.AccountID{Scope: key.K2(), Xid: key.K3()})
		return uint32(len(ids)) >= params.MaxDuePerBlock, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the queue of due accounts: %w", err)
	}
	return ids, nil
}

// touch loads an account for a message: whatever is due is handled first, however late the queue is, and what comes
// back is settled to this height. The caller saves it.
func (k *Keeper) touch(ctx context.Context, id types.AccountID) (*sheet, error) {
	for {
		s, err := k.load(ctx, id)
		if err != nil {
			return nil, err
		}
		if s.account.DueAt == 0 || s.account.DueAt > height(ctx) {
			s.settle(height(ctx))
			return s, nil
		}
		if err := k.handleDue(ctx, s); err != nil {
			return nil, fmt.Errorf("handle due account %s: %w", id, err)
		}
	}
}

// handleDue takes a due account one step further: an open one has run dry and is suspended, a suspended one has come to
// the end of its grace and expires. Either way its next due height, if it has one, is later.
func (k *Keeper) handleDue(ctx context.Context, s *sheet) error {
	if s.account.State == types.ACCOUNT_STATE_SUSPENDED {
		return k.expire(ctx, s)
	}
	if !s.settle(height(ctx)) {
		return k.save(ctx, s)
	}
	return k.suspend(ctx, s)
}
