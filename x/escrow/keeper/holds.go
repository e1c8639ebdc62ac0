package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

// Hold takes an amount from its owner until Release. What one owner has in a scope is added up: who holds keeps the
// records of the single deposits, and releases each exactly once. It fails with types.ErrInvalidDeposit for an amount
// that is not positive, and with bank's error if the owner cannot pay.
func (k *Keeper) Hold(ctx context.Context, scope string, owner sdk.AccAddress, amount sdk.Coin) error {
	if err := types.ValidateHoldID(scope); err != nil {
		return err
	}
	if err := amount.Validate(); err != nil || !amount.IsPositive() {
		return errorsmod.Wrapf(types.ErrInvalidDeposit, "%s is not a positive amount", amount)
	}
	hold, err := k.hold(ctx, scope, owner, amount.Denom)
	if err != nil {
		return err
	}
	if err := k.checkPayer(owner); err != nil {
		return err
	}
	if err := k.bank.SendCoinsFromAccountToModuleVirtual(ctx, owner, types.ModuleName, sdk.NewCoins(amount)); err != nil {
		return errorsmod.Wrapf(err, "hold %s of %s", amount, owner)
	}
	hold.Amount = hold.Amount.Add(amount)
	return k.holds.Set(ctx, keyOfHold(scope, owner, amount.Denom), hold)
}

// Release gives a held amount back to its owner. It fails with types.ErrHoldNotFound if less than that is held.
func (k *Keeper) Release(ctx context.Context, scope string, owner sdk.AccAddress, amount sdk.Coin) error {
	hold, err := k.hold(ctx, scope, owner, amount.Denom)
	if err != nil {
		return err
	}
	if !amount.IsPositive() || hold.Amount.IsLT(amount) {
		return errorsmod.Wrapf(types.ErrHoldNotFound, "%s of %s in %q: %s is held", amount, owner, scope, hold.Amount)
	}
	key := keyOfHold(scope, owner, amount.Denom)
	if hold.Amount = hold.Amount.Sub(amount); hold.Amount.IsZero() {
		err = k.holds.Remove(ctx, key)
	} else {
		err = k.holds.Set(ctx, key, hold)
	}
	if err != nil {
		return fmt.Errorf("release %s of %s: %w", amount, owner, err)
	}
	return k.claim(ctx, hold.Owner, amount, sdk.NewInt64Coin(amount.Denom, 0))
}

// Held returns what an owner has in a scope.
func (k *Keeper) Held(ctx context.Context, scope string, owner sdk.AccAddress) (sdk.Coins, error) {
	sum := sdk.NewCoins()
	rng := collections.NewSuperPrefixedTripleRange[string, sdk.AccAddress, string](scope, owner)
	err := k.holds.Walk(ctx, rng, func(_ holdKey, h types.Hold) (bool, error) {
		sum = sum.Add(h.Amount)
		return false, nil
	})
	return sum, err
}

// hold reads what is held; nothing is no error.
func (k *Keeper) hold(ctx context.Context, scope string, owner sdk.AccAddress, denom string) (types.Hold, error) {
	hold, err := k.holds.Get(ctx, keyOfHold(scope, owner, denom))
	if errors.Is(err, collections.ErrNotFound) {
		return types.Hold{Scope: scope, Owner: owner.String(), Amount: sdk.NewCoin(denom, math.ZeroInt())}, nil
	}
	if err != nil {
		return types.Hold{}, fmt.Errorf("read what %s has held in %q: %w", owner, scope, err)
	}
	return hold, nil
}

func keyOfHold(scope string, owner sdk.AccAddress, denom string) holdKey {
	return collections.Join3(scope, owner, denom)
}
