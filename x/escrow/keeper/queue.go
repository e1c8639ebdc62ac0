package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	"berth.dev/berth/x/escrow/types"
)

// handleQueue takes due accounts one step further each, in the order of height and id, until their work reaches
// max_due_per_block; one account is handled however much work it is. One that fails stays in the queue and has its next
// turn after all that stand behind it: however many fail, they do not hold up the others.
func (k *Keeper) handleQueue(ctx context.Context) error {
	params, err := k.GetParams(ctx)
	if err != nil {
		return err
	}
	limit := int(params.MaxDuePerBlock)
	queue, err := k.dueKeys(ctx, limit)
	if err != nil {
		return err
	}
	var failed *dueKey
	handled, work := 0, 0
	for _, key := range queue {
		s, err := k.load(ctx, accountOfDue(key))
		if err == nil {
			if work += s.work(); handled > 0 && work > limit {
				break
			}
			err = atomically(ctx, func(ctx context.Context) error { return k.handleDue(ctx, s) })
		}
		if err != nil {
			logFailure(ctx, "handle due account", accountOfDue(key).String(), err)
			failed = &key
		}
		handled++
	}
	return k.moveCursor(ctx, failed, handled == len(queue) && handled < limit)
}

// dueKeys lists the queue's entries that are due behind the cursor, at most as many as are asked for.
func (k *Keeper) dueKeys(ctx context.Context, limit int) ([]dueKey, error) {
	due := new(collections.Range[dueKey]).EndExclusive(collections.TriplePrefix[int64, string, string](height(ctx) + 1))
	cursor, err := k.cursor.Get(ctx)
	switch {
	case err == nil:
		due.StartExclusive(cursor)
	case !errors.Is(err, collections.ErrNotFound):
		return nil, fmt.Errorf("read the queue's cursor: %w", err)
	}
	var keys []dueKey
	err = k.due.Walk(ctx, due, func(key dueKey) (bool, error) {
		keys = append(keys, key)
		return len(keys) >= limit, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the queue of due accounts: %w", err)
	}
	return keys, nil
}

// moveCursor puts the cursor behind the last account that failed, so that the next block begins with those that have not
// had their turn; at the end of the queue it goes back to the front, where there is no cursor.
func (k *Keeper) moveCursor(ctx context.Context, failed *dueKey, atEnd bool) error {
	if !atEnd {
		if failed == nil {
			return nil
		}
		return k.cursor.Set(ctx, *failed)
	}
	set, err := k.cursor.Has(ctx)
	if err != nil || !set {
		return err
	}
	return k.cursor.Remove(ctx)
}

// work is how many records the handling of a due account may touch: itself, its live payments and, as a suspended one is
// closed, the deposits that are refunded.
func (s *sheet) work() int {
	work := 1 + len(s.live)
	if s.account.State == types.ACCOUNT_STATE_SUSPENDED {
		work += len(s.account.Deposits)
	}
	return work
}

func accountOfDue(key dueKey) types.AccountID {
	return types.AccountID{Scope: key.K2(), Xid: key.K3()}
}
