package keeper

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
)

// PruneDeployment removes what a closed deployment has left, at most limit records at a time: leases, then the bids that
// they came from and the others, then orders, so that what is left fits together at any time. It removes no bid that
// still waits for its refund, and is not done while there is one. What the leases were counted in stays.
func (k *Keeper) PruneDeployment(ctx context.Context, d deploymenttypes.Deployment, limit int) (removed int, done bool, err error) {
	key, err := d.Id.Key()
	if err != nil {
		return 0, false, err
	}
	bids := collections.NewSuperPrefixedQuadRange[sdk.AccAddress, uint64, uint64, sdk.AccAddress](key.K1(), key.K2())
	orders := collections.NewSuperPrefixedTripleRange[sdk.AccAddress, uint64, uint64](key.K1(), key.K2())
	waiting, err := first(ctx, k.liveBids, bids, 1)
	if err != nil || len(waiting) > 0 {
		return 0, false, err
	}
	for _, remove := range []func(limit int) (int, error){
		func(limit int) (int, error) { return k.pruneLeases(ctx, bids, limit) },
		func(limit int) (int, error) { return pruneMap(ctx, k.endedBids, bids, limit) },
		func(limit int) (int, error) { return pruneMap(ctx, k.orders, orders, limit) },
	} {
		n, err := remove(limit - removed)
		removed += n
		if err != nil {
			return removed, false, errorsmod.Wrapf(err, "prune %s", d.Id)
		}
		if removed >= limit {
			break
		}
	}
	left, err := first(ctx, k.orders, orders, 1)
	return removed, len(left) == 0, err
}

// pruneLeases removes leases with their entry in the index by provider.
func (k *Keeper) pruneLeases(ctx context.Context, rng collections.Ranger[types.BidKey], limit int) (int, error) {
	keys, err := first(ctx, k.leases, rng, limit)
	if err != nil {
		return 0, err
	}
	for i, key := range keys {
		if err := k.providerLeases.Remove(ctx, providerLeaseKey(key, types.LEASE_STATE_CLOSED)); err != nil {
			return i, err
		}
		if err := k.leases.Remove(ctx, key); err != nil {
			return i, err
		}
	}
	return len(keys), nil
}

// pruneMap removes the first records of a range.
func pruneMap[K, V any](ctx context.Context, m collections.Map[K, V], rng collections.Ranger[K], limit int) (int, error) {
	keys, err := first(ctx, m, rng, limit)
	if err != nil {
		return 0, err
	}
	for i, key := range keys {
		if err := m.Remove(ctx, key); err != nil {
			return i, err
		}
	}
	return len(keys), nil
}

// first returns the first keys of a range, at most limit.
func first[K, V any](ctx context.Context, m collections.Map[K, V], rng collections.Ranger[K], limit int) ([]K, error) {
	if limit <= 0 {
		return nil, nil
	}
	it, err := m.Iterate(ctx, rng)
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var keys []K
	for ; it.Valid() && len(keys) < limit; it.Next() {
		key, err := it.Key()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
