package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	"berth.dev/berth/x/escrow/types"
)

// EndBlock handles accounts that are due, as many as max_due_per_block allows, then sends what the block has claimed.
// Its work is bounded by the parameter and by the transactions' gas.
func (k *Keeper) EndBlock(ctx context.Context) error {
	if err := k.handleQueue(ctx); err != nil {
		return err
	}
	return k.sendClaims(ctx)
}

// touch loads an account for a message: whatever is due is handled first, however late the queue is, and what comes
// back is settled to this height. The caller saves it.
func (k *Keeper) touch(ctx context.Context, id types.AccountID) (*sheet, error) {
	for {
		s, err := k.load(ctx, id)
		if err != nil {
			return nil, err
		}
		if !s.isDue(height(ctx)) {
			s.settle(height(ctx))
			return s, nil
		}
		if err := k.handleDue(ctx, s); err != nil {
			return nil, errorsmod.Wrapf(err, "handle due account %s", id)
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
