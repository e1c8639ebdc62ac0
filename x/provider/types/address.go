package types

import (
	sdk "github.com/cosmos/cosmos-sdk/types"
)

// maxBech32 is the longest text of bech32.
const maxBech32 = 1023

// ParseAddress reads the bech32 account address that stands in the named field. Only the canonical lower-case spelling
// is accepted: ids carry addresses as text, and two spellings of one account would be two ids of one object.
func ParseAddress(field, s string) (sdk.AccAddress, error) {
	if len(s) > maxBech32 {
		return nil, ErrInvalidAddress.Wrapf("%s %q: %d bytes, an address has at most %d", field, clip(s), len(s), maxBech32)
	}
	addr, err := sdk.AccAddressFromBech32(s)
	if err != nil {
		return nil, ErrInvalidAddress.Wrapf("%s %q: %s", field, s, err)
	}
	if addr.String() != s {
		return nil, ErrInvalidAddress.Wrapf("%s %q: write it in lower case: %s", field, s, addr)
	}
	return addr, nil
}
