package types

import (
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// ParseAddress reads the bech32 account address that stands in the named field. Only the canonical lower-case spelling
// is accepted: ids carry addresses as text, and two spellings of one account would be two ids of one object.
func ParseAddress(field, s string) (sdk.AccAddress, error) {
	addr, err := sdk.AccAddressFromBech32(s)
	if err != nil {
		return nil, ErrInvalidAddress.Wrapf("%s %q: %s", field, s, err)
	}
	if addr.String() != s {
		return nil, ErrInvalidAddress.Wrapf("%s %q: write it in lower case: %s", field, s, addr)
	}
	return addr, nil
}
