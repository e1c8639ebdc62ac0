package types

import errorsmod "cosmossdk.io/errors"

// The module's errors. Codes are part of the protocol: they are never renumbered.
var (
	ErrInvalidID          = errorsmod.Register(ModuleName, 2, "invalid deployment id")
	ErrDeploymentExists   = errorsmod.Register(ModuleName, 3, "dseq was used before: choose another, for example the current height")
	ErrDeploymentNotFound = errorsmod.Register(ModuleName, 4, "deployment not found")
	ErrDeploymentClosed   = errorsmod.Register(ModuleName, 5, "deployment is closed: create a new one")
	ErrGroupNotFound      = errorsmod.Register(ModuleName, 6, "group not found")
	ErrInvalidGroups      = errorsmod.Register(ModuleName, 7, "invalid groups")
	ErrInvalidResources   = errorsmod.Register(ModuleName, 8, "invalid resources")
	ErrInvalidPrice       = errorsmod.Register(ModuleName, 9, "invalid price")
	ErrInvalidHash        = errorsmod.Register(ModuleName, 10, "invalid manifest hash")
	ErrSameHash           = errorsmod.Register(ModuleName, 11, "manifest hash is unchanged: there is nothing to update")
	ErrInvalidDeposit     = errorsmod.Register(ModuleName, 12, "invalid deposit")
	ErrInvalidAuction     = errorsmod.Register(ModuleName, 13, "invalid auction")
	ErrInvalidParams      = errorsmod.Register(ModuleName, 14, "invalid parameters")
	ErrUnauthorized       = errorsmod.Register(ModuleName, 15, "unauthorized")
	ErrInvalidGenesis     = errorsmod.Register(ModuleName, 16, "invalid genesis")
)
