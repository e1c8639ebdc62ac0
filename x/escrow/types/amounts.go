package types

import (
	"fmt"
	"math/big"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// MaxDeposited is the most that was ever deposited on one account, 2^128-1 units: far above any supply in use, and far
// below where the arithmetic of amounts and rates would overflow.
var MaxDeposited = math.NewIntFromBigInt(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1)))

// ValidateAmount returns ErrInvalidDenom or ErrInvalidDeposit for a coin that cannot be deposited anywhere.
func ValidateAmount(amount sdk.Coin) error {
	if err := sdk.ValidateDenom(amount.Denom); err != nil {
		return errorsmod.Wrapf(ErrInvalidDenom, "%q: %s", amount.Denom, err)
	}
	if amount.Amount.IsNil() || !amount.Amount.IsPositive() {
		return errorsmod.Wrapf(ErrInvalidDeposit, "%s is not a positive amount", amount)
	}
	if amount.Amount.GT(MaxDeposited) {
		return errorsmod.Wrapf(ErrInvalidDeposit, "%s is more than the %s that an account may hold", amount, MaxDeposited)
	}
	return nil
}

// validateCoins is Coins.Validate for coins that may lack an amount, as those of a message or genesis may.
func validateCoins(coins sdk.Coins) error {
	for _, coin := range coins {
		if coin.Amount.IsNil() {
			return fmt.Errorf("%q has no amount", coin.Denom)
		}
	}
	return coins.Validate()
}
