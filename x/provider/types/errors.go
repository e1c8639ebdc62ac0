package types

import errorsmod "cosmossdk.io/errors"

// The module's errors. Codes are part of the protocol: they are never renumbered.
var (
	ErrInvalidHostURI    = errorsmod.Register(ModuleName, 2, "invalid host uri: give an https address with a host and no path, such as https://gateway.example.com:8443")
	ErrInvalidTLSPins    = errorsmod.Register(ModuleName, 3, "invalid tls pins: give one to three different SHA-256 digests of 32 bytes")
	ErrInvalidAttributes = errorsmod.Register(ModuleName, 4, "invalid attributes")
	ErrInvalidInfo       = errorsmod.Register(ModuleName, 5, "invalid info")
	ErrProviderExists    = errorsmod.Register(ModuleName, 6, "provider exists: update it instead")
	ErrProviderNotFound  = errorsmod.Register(ModuleName, 7, "provider not found: register it first")
	ErrInvalidAddress    = errorsmod.Register(ModuleName, 8, "invalid address")
	ErrInvalidGenesis    = errorsmod.Register(ModuleName, 9, "invalid genesis")
	ErrAttributesInUse   = errorsmod.Register(ModuleName, 10, "attribute is in use: a living lease was matched on it; end the lease first")
	ErrProviderInUse     = errorsmod.Register(ModuleName, 11, "provider is in use: end its leases first")
	ErrRecordTooLarge    = errorsmod.Register(ModuleName, 12, "record is too large for its event: use fewer or shorter attributes")
	ErrInvalidGatewayKey = errorsmod.Register(ModuleName, 13, "invalid gateway key: give a compressed secp256k1 public key of 33 bytes, or none to remove the one that stands")
	ErrNoGatewayKey      = errorsmod.Register(ModuleName, 14, "the account has no gateway key")
)
