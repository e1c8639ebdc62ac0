package keeper

import (
	"context"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

var _ providertypes.ProviderHooks = (*Keeper)(nil)

// BeforeAttributesChanged refuses the change of an attribute that a living lease was matched on. It reads one entry of
// an index for each key, however many leases the provider has.
func (k *Keeper) BeforeAttributesChanged(ctx context.Context, owner sdk.AccAddress, keys []string) error {
	for _, attribute := range keys {
		rng := collections.NewSuperPrefixedTripleRange[sdk.AccAddress, string, types.OrderKey](owner, attribute)
		err := k.frozen.Walk(ctx, rng, func(key types.FrozenKey) (bool, error) {
			return true, providertypes.ErrAttributesInUse.Wrapf("%q, by the lease of %s on order %s", attribute, owner, orderText(key.K3()))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// BeforeProviderDeleted refuses to delete a provider that has a living lease.
func (k *Keeper) BeforeProviderDeleted(ctx context.Context, owner sdk.AccAddress) error {
	for _, state := range []types.LeaseState{types.LEASE_STATE_ACTIVE, types.LEASE_STATE_SUSPENDED, types.LEASE_STATE_RECLAIMING} {
		rng := collections.NewSuperPrefixedTripleRange[sdk.AccAddress, int32, types.BidKey](owner, int32(state))
		err := k.providerLeases.Walk(ctx, rng, func(key types.ProviderLeaseKey) (bool, error) {
			return true, providertypes.ErrProviderInUse.Wrapf("%s has a lease on order %s", owner, orderText(types.OrderKeyOf(key.K3())))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// moveFrozen makes the entries of the attributes that a lease was matched on agree with its state.
func (k *Keeper) moveFrozen(ctx context.Context, key types.BidKey, l types.Lease, prev types.LeaseState) error {
	was, is := living(prev), living(l.State)
	if was == is {
		return nil
	}
	for _, attribute := range l.Matched {
		entry := collections.Join3(key.K4(), attribute, types.OrderKeyOf(key))
		var err error
		if is {
			err = k.frozen.Set(ctx, entry)
		} else {
			err = k.frozen.Remove(ctx, entry)
		}
		if err != nil {
			return errorsmod.Wrapf(err, "attribute %q of lease %s", attribute, l.Id)
		}
	}
	return nil
}

// orderText is the id of an order, from its key.
func orderText(key types.OrderKey) string {
	return types.OrderID{
		Owner: key.K1().String(), Dseq: key.K2(), Gseq: types.SlotGseq(key.K3()), Oseq: types.SlotOseq(key.K3()),
	}.String()
}
