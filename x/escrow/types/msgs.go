package types

import (
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
)

var (
	_ sdk.HasValidateBasic = (*MsgDeposit)(nil)
	_ sdk.HasValidateBasic = (*MsgUpdateParams)(nil)
)

// maxDenom is the longest denom that the SDK takes.
const maxDenom = 128

// ValidateBasic checks the message without state: an id that no key can hold must not reach the store.
func (m *MsgDeposit) ValidateBasic() error {
	if err := validateAddress("depositor", m.Depositor); err != nil {
		return err
	}
	if err := m.AccountId.Validate(); err != nil {
		return err
	}
	if err := validateDenomLength(m.Amount.Denom); err != nil {
		return err
	}
	if err := ValidateAmount(m.Amount); err != nil {
		return errorsmod.Wrap(err, m.AccountId.String())
	}
	return ValidateSources(m.Sources)
}

// ValidateBasic checks the message without state.
func (m *MsgUpdateParams) ValidateBasic() error {
	if err := validateAddress("authority", m.Authority); err != nil {
		return err
	}
	for _, c := range m.Params.MinDeposits {
		if err := validateDenomLength(c.Denom); err != nil {
			return errorsmod.Wrap(ErrInvalidParams, "min_deposits: "+err.Error())
		}
	}
	return m.Params.Validate()
}

// ValidateSources returns ErrInvalidSource for a list of sources that nobody's deposit can be drawn from.
func ValidateSources(sources []DepositSource) error {
	if len(sources) > MaxSources {
		return errorsmod.Wrapf(ErrInvalidSource, "%d sources, more than %d", len(sources), MaxSources)
	}
	for i, s := range sources {
		switch {
		case s.Kind == SOURCE_BALANCE && s.Granter != "":
			return errorsmod.Wrapf(ErrInvalidSource, "source %d: the balance is the depositor's own, not that of %.100q", i+1, s.Granter)
		case s.Kind == SOURCE_BALANCE:
		case s.Kind != SOURCE_GRANT:
			return errorsmod.Wrapf(ErrInvalidSource, "source %d: %s is neither the balance nor a grant", i+1, s.Kind)
		default:
			if err := validateAddress("granter", s.Granter); err != nil {
				return errorsmod.Wrapf(ErrInvalidSource, "source %d: %s", i+1, err)
			}
		}
	}
	return nil
}

// validateAddress checks an address. The codec's errors repeat it, however long it is.
func validateAddress(field, address string) error {
	if _, err := sdk.AccAddressFromBech32(address); err != nil {
		return errorsmod.Wrapf(sdkerrors.ErrInvalidAddress, "%s %.100q: %.200s", field, address, err)
	}
	return nil
}

func validateDenomLength(denom string) error {
	if len(denom) > maxDenom {
		return errorsmod.Wrapf(ErrInvalidDenom, "%.100q has %d bytes, more than %d", denom, len(denom), maxDenom)
	}
	return nil
}
