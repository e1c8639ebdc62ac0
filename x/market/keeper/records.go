package keeper

import (
	"context"
	"errors"
	"sort"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

// What a provider's record counts, and what it has held in the escrow, changes by transactions of all of its tenants. No
// two of them write one key: each leaves a delta under its own index, and the end block folds them into the record.

// Record returns what the chain remembers of a provider's leases, what waits for the end block counted in; zeros for
// one without any.
func (k *Keeper) Record(ctx context.Context, provider sdk.AccAddress) (types.ProviderRecord, error) {
	r, err := k.storedRecord(ctx, provider)
	if err != nil {
		return r, err
	}
	rng := collections.NewPrefixedPairRange[sdk.AccAddress, uint64](provider)
	err = k.deltas.Walk(ctx, rng, func(_ types.DeltaKey, d types.ProviderDelta) (bool, error) {
		apply(&r, d)
		return false, nil
	})
	return r, errorsmod.Wrapf(err, "read the deltas of %s", provider)
}

// storedRecord is the record as the last end block left it.
func (k *Keeper) storedRecord(ctx context.Context, provider sdk.AccAddress) (types.ProviderRecord, error) {
	r, err := k.records.Get(ctx, provider)
	if errors.Is(err, collections.ErrNotFound) {
		return types.ProviderRecord{Provider: provider.String()}, nil
	}
	return r, errorsmod.Wrapf(err, "read the record of %s", provider)
}

// apply adds a delta to a record.
func apply(r *types.ProviderRecord, d types.ProviderDelta) {
	r.Leases += d.Opened
	r.Active += d.Opened
	for _, c := range d.Closed {
		r.Active -= c.Count
		r.Closed = addReason(r.Closed, c)
	}
}

// addReason adds a count to a list that is in the order of the reasons.
func addReason(counts []types.ReasonCount, c types.ReasonCount) []types.ReasonCount {
	i := sort.Search(len(counts), func(i int) bool { return counts[i].Reason >= c.Reason })
	if i < len(counts) && counts[i].Reason == c.Reason {
		counts[i].Count += c.Count
		return counts
	}
	counts = append(counts, types.ReasonCount{})
	copy(counts[i+1:], counts[i:])
	counts[i] = c
	return counts
}

// join adds one delta of a provider to another.
func join(d *types.ProviderDelta, other types.ProviderDelta) {
	d.Opened += other.Opened
	for _, c := range other.Closed {
		d.Closed = addReason(d.Closed, c)
	}
	d.Released = sdk.Coins(d.Released).Add(other.Released...)
}

// note leaves a delta of a provider for the end block.
func (k *Keeper) note(ctx context.Context, provider sdk.AccAddress, add types.ProviderDelta) error {
	key := collections.Join(provider, uint64(sdk.UnwrapSDKContext(ctx).TxIndex()))
	d, err := k.deltas.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		d, err = types.ProviderDelta{Provider: provider.String()}, nil
	}
	if err != nil {
		return errorsmod.Wrapf(err, "read the delta of %s", provider)
	}
	join(&d, add)
	return errorsmod.Wrapf(k.deltas.Set(ctx, key, d), "store the delta of %s", provider)
}

// pending are the deltas of one provider, added up.
type pending struct {
	provider sdk.AccAddress
	keys     []types.DeltaKey
	sum      types.ProviderDelta
}

// pendingDeltas returns what waits for the end block, in the order of the providers' addresses.
func (k *Keeper) pendingDeltas(ctx context.Context) ([]pending, error) {
	var all []pending
	err := k.deltas.Walk(ctx, nil, func(key types.DeltaKey, d types.ProviderDelta) (bool, error) {
		if n := len(all); n == 0 || !all[n-1].provider.Equals(key.K1()) {
			all = append(all, pending{provider: key.K1(), sum: types.ProviderDelta{Provider: d.Provider}})
		}
		last := &all[len(all)-1]
		last.keys = append(last.keys, key)
		join(&last.sum, d)
		return false, nil
	})
	return all, errorsmod.Wrap(err, "read the deltas")
}

// foldDeltas brings all deltas into the records and gives the released deposits back, each provider's in one. There are
// never more than the block's transactions, and the escrow's last end block, have left.
func (k *Keeper) foldDeltas(ctx context.Context) error {
	all, err := k.pendingDeltas(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		atomically(ctx, "fold the deltas", p.sum.Provider, func(ctx context.Context) error { return k.fold(ctx, p) })
	}
	return nil
}

func (k *Keeper) fold(ctx context.Context, p pending) error {
	for _, key := range p.keys {
		if err := k.deltas.Remove(ctx, key); err != nil {
			return err
		}
	}
	for _, c := range p.sum.Released {
		if err := k.escrow.Release(ctx, types.HoldScope, p.provider, c); err != nil {
			return errorsmod.Wrapf(err, "give %s back", c)
		}
	}
	if p.sum.Opened == 0 && len(p.sum.Closed) == 0 {
		return nil
	}
	r, err := k.storedRecord(ctx, p.provider)
	if err != nil {
		return err
	}
	apply(&r, p.sum)
	return k.records.Set(ctx, p.provider, r)
}
