package types

import (
	"strings"

	errorsmod "cosmossdk.io/errors"
)

// MaxIDLength is the most bytes that a scope, xid, pid or hold id may have.
const MaxIDLength = 256

// String gives SCOPE/XID.
func (id AccountID) String() string { return id.Scope + "/" + id.Xid }

// String gives SCOPE/XID/PID.
func (id PaymentID) String() string { return id.AccountId.String() + "/" + id.Pid }

// Validate returns ErrInvalidID if a part of the id cannot be a key.
func (id AccountID) Validate() error {
	if err := validateIDPart("scope", id.Scope); err != nil {
		return err
	}
	return validateIDPart("xid", id.Xid)
}

// Validate returns ErrInvalidID if a part of the id cannot be a key.
func (id PaymentID) Validate() error {
	if err := id.AccountId.Validate(); err != nil {
		return err
	}
	return validateIDPart("pid", id.Pid)
}

// ValidateHoldID returns ErrInvalidID if the id cannot be a key.
func ValidateHoldID(id string) error { return validateIDPart("hold id", id) }

// validateIDPart refuses what cannot stand in a composite key, whose strings end at a zero byte.
func validateIDPart(name, value string) error {
	switch {
	case value == "":
		return errorsmod.Wrapf(ErrInvalidID, "%s is empty", name)
	case len(value) > MaxIDLength:
		return errorsmod.Wrapf(ErrInvalidID, "%s has %d bytes, more than %d", name, len(value), MaxIDLength)
	case strings.IndexByte(value, 0) >= 0:
		return errorsmod.Wrapf(ErrInvalidID, "%s contains a zero byte", name)
	}
	return nil
}
