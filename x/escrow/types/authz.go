package types

import (
	"context"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
)

var _ authz.Authorization = &DepositAuthorization{}

// NewDepositAuthorization lets a grantee have at most these coins of the granter's in deposits at a time.
func NewDepositAuthorization(limits ...sdk.Coin) *DepositAuthorization {
	return &DepositAuthorization{Limits: sdk.NewCoins(limits...)}
}

// MsgTypeURL says that the authorization is for MsgDeposit. The grantee need not send one for the granter: the escrow
// draws the grant for every deposit that names it among its sources, also one that opens an account.
func (DepositAuthorization) MsgTypeURL() string { return sdk.MsgTypeURL(&MsgDeposit{}) }

// ValidateBasic checks a new grant: something may be drawn and nothing has been.
func (a DepositAuthorization) ValidateBasic() error {
	if err := validateCoins(a.Limits); err != nil {
		return errorsmod.Wrapf(ErrInvalidGrant, "limits: %s", err)
	}
	if a.Limits.Empty() {
		return errorsmod.Wrap(ErrInvalidGrant, "limits: at least one coin must be granted")
	}
	if !a.Spent.Empty() || a.Serial != 0 {
		return errorsmod.Wrap(ErrInvalidGrant, "spent and serial are the escrow's to set")
	}
	return nil
}

// Left is what may still be drawn in a denom.
func (a DepositAuthorization) Left(denom string) math.Int {
	left := a.Limits.AmountOf(denom).Sub(a.Spent.AmountOf(denom))
	return math.MaxInt(left, math.ZeroInt())
}

// Draw is the authorization after an amount, of which at least as much must be left, has been drawn.
func (a DepositAuthorization) Draw(amount sdk.Coin) *DepositAuthorization {
	a.Spent = a.Spent.Add(amount)
	return &a
}

// Restore is the authorization after an amount has come back. More than has been spent restores what has been.
func (a DepositAuthorization) Restore(amount sdk.Coin) *DepositAuthorization {
	amount.Amount = math.MinInt(amount.Amount, a.Spent.AmountOf(amount.Denom))
	a.Spent = a.Spent.Sub(amount)
	return &a
}

// Accept lets the grantee send a MsgDeposit as the granter, within the limits. It is then the granter's own deposit: it
// counts as spent, and what comes back of it does not restore the limit. It may draw nothing but the granter's balance.
func (a DepositAuthorization) Accept(_ context.Context, msg sdk.Msg) (authz.AcceptResponse, error) {
	deposit, ok := msg.(*MsgDeposit)
	if !ok {
		return authz.AcceptResponse{}, errorsmod.Wrapf(ErrUnauthorized, "the grant is for %s, not for %s", a.MsgTypeURL(), sdk.MsgTypeURL(msg))
	}
	if err := ValidateAmount(deposit.Amount); err != nil {
		return authz.AcceptResponse{}, err
	}
	for _, source := range deposit.Sources {
		if source.Kind != SOURCE_BALANCE {
			return authz.AcceptResponse{}, errorsmod.Wrapf(ErrUnauthorized, "a deposit in the name of %s may draw its balance only", deposit.Depositor)
		}
	}
	if left := a.Left(deposit.Amount.Denom); left.LT(deposit.Amount.Amount) {
		return authz.AcceptResponse{}, errorsmod.Wrapf(ErrInsufficientFunds, "the grant has %s%s left, not %s", left, deposit.Amount.Denom, deposit.Amount)
	}
	return authz.AcceptResponse{Accept: true, Updated: a.Draw(deposit.Amount)}, nil
}
