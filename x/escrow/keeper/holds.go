package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

// Hold takes an amount from its owner until Release. It fails with types.ErrHoldExists while a hold of the id stands,
// types.ErrInvalidDeposit for an amount that is not positive, and with bank's error if the owner cannot pay.
func (k *Keeper) Hold(ctx context.Context, id string, owner sdk.AccAddress, amount sdk.Coin) error {
	if err := types.ValidateHoldID(id); err != nil {
		return err
	}
	if err := amount.Validate(); err != nil || !amount.IsPositive() {
		return errorsmod.Wrapf(types.ErrInvalidDeposit, "%s is not a positive amount", amount)
	}
	exists, err := k.holds.Has(ctx, id)
	if err != nil {
		return fmt.Errorf("hold %s: %w", id, err)
	}
	if exists {
		return errorsmod.Wrap(types.ErrHoldExists, id)
	}
	if err := k.bank.SendCoinsFromAccountToModuleVirtual(ctx, owner, types.ModuleName, sdk.NewCoins(amount)); err != nil {
		return errorsmod.Wrapf(err, "hold %s of %s", amount, owner)
	}
	return k.holds.Set(ctx, id, types.Hold{Id: id, Owner: owner.String(), Amount: amount})
}

// Release gives a held amount back to its owner. The hold is gone then, hence a second release fails with
// types.ErrHoldNotFound and nothing is ever given back twice (INV-8).
func (k *Keeper) Release(ctx context.Context, id string) error {
	hold, err := k.holds.Get(ctx, id)
	if errors.Is(err, collections.ErrNotFound) {
		return errorsmod.Wrap(types.ErrHoldNotFound, id)
	}
	if err != nil {
		return fmt.Errorf("release %s: %w", id, err)
	}
	if err := k.holds.Remove(ctx, id); err != nil {
		return fmt.Errorf("release %s: %w", id, err)
	}
	return k.claim(ctx, hold.Owner, hold.Amount)
}

// HasHold says whether a hold of the id stands.
func (k *Keeper) HasHold(ctx context.Context, id string) (bool, error) { return k.holds.Has(ctx, id) }
