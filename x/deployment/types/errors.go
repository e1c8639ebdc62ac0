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
	ErrDeploymentPruned   = errorsmod.Register(ModuleName, 17, "dseq is at or below the owner's prune floor: choose one above it")
	ErrDseqTooHigh        = errorsmod.Register(ModuleName, 18, "dseq is too high: choose the current height, or the unix time in milliseconds")
	ErrGroupNotOpen       = errorsmod.Register(ModuleName, 19, "group is not open")
	ErrGroupNotPaused     = errorsmod.Register(ModuleName, 20, "group is not paused")
	ErrGroupClosed        = errorsmod.Register(ModuleName, 21, "group is closed: it cannot be opened again")
	ErrInvalidReclamation = errorsmod.Register(ModuleName, 22, "invalid reclamation")
)
