package types

import errorsmod "cosmossdk.io/errors"

// The module's errors. Codes are part of the protocol, and all that a result of a batch carries: they are never
// renumbered.
var (
	ErrInvalidID             = errorsmod.Register(ModuleName, 2, "invalid id")
	ErrInvalidBatch          = errorsmod.Register(ModuleName, 3, "invalid batch: give 1 to 100 different items")
	ErrOrderNotFound         = errorsmod.Register(ModuleName, 4, "order not found")
	ErrOrderNotOpen          = errorsmod.Register(ModuleName, 5, "order is not open: it has a lease or is closed")
	ErrBidNotFound           = errorsmod.Register(ModuleName, 6, "bid not found")
	ErrBidExists             = errorsmod.Register(ModuleName, 7, "the provider has an open bid on the order: close it before bidding again")
	ErrBidNotOpen            = errorsmod.Register(ModuleName, 8, "bid is not open: it was chosen, lost or closed")
	ErrBidExpired            = errorsmod.Register(ModuleName, 9, "valid_until has passed, or would pass before the bid can be chosen")
	ErrProviderNotRegistered = errorsmod.Register(ModuleName, 10, "not a registered provider: register with `tx provider create` first")
	ErrOwnOrder              = errorsmod.Register(ModuleName, 11, "a provider cannot bid on its own order")
	ErrExcluded              = errorsmod.Register(ModuleName, 12, "the provider's lease of this group has just ended: bid again at the order's excluded_until")
	ErrAttributes            = errorsmod.Register(ModuleName, 13, "the provider lacks attributes that the order requires")
	ErrNotAudited            = errorsmod.Register(ModuleName, 14, "the order requires attributes signed by auditors, and the provider has no such signatures")
	ErrInvalidPrice          = errorsmod.Register(ModuleName, 15, "invalid price")
	ErrPriceTooHigh          = errorsmod.Register(ModuleName, 16, "price is above the order's maximum: the sum of unit price x count")
	ErrInvalidDeposit        = errorsmod.Register(ModuleName, 17, "bid deposit is too small or of a denom that bid_min_deposits does not list")
	ErrInvalidOffer          = errorsmod.Register(ModuleName, 18, "offer is not equal to the order's units")
	ErrBidsFull              = errorsmod.Register(ModuleName, 19, "order has the most bids that it can take: a bid must be below the highest")
	ErrWindowOpen            = errorsmod.Register(ModuleName, 20, "bids of an auction cannot be closed before its window has ended")
	ErrAuctionMode           = errorsmod.Register(ModuleName, 21, "the chain matches the orders of this deployment: its auction mode is lowest")
	ErrLeaseNotFound         = errorsmod.Register(ModuleName, 22, "lease not found")
	ErrLeaseClosed           = errorsmod.Register(ModuleName, 23, "lease is closed")
	ErrUnauthorized          = errorsmod.Register(ModuleName, 24, "unauthorized")
	ErrInvalidReason         = errorsmod.Register(ModuleName, 25, "invalid reason")
	ErrOrderTooLarge         = errorsmod.Register(ModuleName, 26, "group is too large for one order: use fewer units, attributes or endpoints")
	ErrInvalidParams         = errorsmod.Register(ModuleName, 27, "invalid parameters")
	ErrInvalidGenesis        = errorsmod.Register(ModuleName, 28, "invalid genesis")
)
