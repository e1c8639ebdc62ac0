package types

import errorsmod "cosmossdk.io/errors"

// The module's errors. Codes are part of the protocol: they are never renumbered.
var (
	ErrInvalidMessage = errorsmod.Register(ModuleName, 2, "invalid message")
	ErrRecordNotFound = errorsmod.Register(ModuleName, 3, "the auditor has signed nothing of this provider")
	ErrKeyNotSigned   = errorsmod.Register(ModuleName, 4, "the auditor has not signed this attribute: see the record")
	ErrTooMany        = errorsmod.Register(ModuleName, 5, "too many attributes in one record: revoke some first")
	ErrRecordTooLarge = errorsmod.Register(ModuleName, 6, "record is too large for its event: use fewer or shorter attributes")
	ErrInvalidGenesis = errorsmod.Register(ModuleName, 7, "invalid genesis")
)
