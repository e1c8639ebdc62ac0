package keeper

import (
	"context"

	"berth.dev/berth/x/escrow/types"
)

// PruneAccount removes a closed account with its payments, at most limit records at a time, the account last. It returns
// how many records went and whether nothing is left. It fails with types.ErrAccountOpen if the account is not closed.
func (k *Keeper) PruneAccount(_ context.Context, _ types.AccountID, _ int) (removed int, done bool, err error) {
	return 0, false, nil
}
