package types

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// EscrowKeeper is what the market needs of the escrow. Every call that names a payment may first handle an account
// that is due, and by the hooks change leases: read a lease again after it.
type EscrowKeeper interface {
	// OpenPayment fails if the account cannot pay at least one block of its new total rate.
	OpenPayment(ctx context.Context, id escrowtypes.PaymentID, payee sdk.AccAddress, rate sdk.DecCoin) error
	// ClosePayment settles a payment, pays it out and ends it.
	ClosePayment(ctx context.Context, id escrowtypes.PaymentID) error
	// Withdraw pays out the whole units that were earned and not yet paid.
	Withdraw(ctx context.Context, id escrowtypes.PaymentID) (sdk.Coin, error)
	// Payment returns a payment, settled as of the height of ctx.
	Payment(ctx context.Context, id escrowtypes.PaymentID) (escrowtypes.Payment, error)
	// Account returns an account, settled as of the height of ctx.
	Account(ctx context.Context, id escrowtypes.AccountID) (escrowtypes.Account, error)
	// Hold takes amount from owner until Release; what one owner has in a scope is added up.
	Hold(ctx context.Context, scope string, owner sdk.AccAddress, amount sdk.Coin) error
	// Release gives a held amount back to its owner; it fails if less is held.
	Release(ctx context.Context, scope string, owner sdk.AccAddress, amount sdk.Coin) error
	// Held returns what an owner has in a scope.
	Held(ctx context.Context, scope string, owner sdk.AccAddress) (sdk.Coins, error)
}

// DeploymentKeeper is what the market needs of deployments.
type DeploymentKeeper interface {
	// Group returns a group, or an error if there is none.
	Group(ctx context.Context, id deploymenttypes.GroupID) (deploymenttypes.Group, error)
	// PauseGroup pauses an open group whose order the market has ended itself; it calls no hooks.
	PauseGroup(ctx context.Context, id deploymenttypes.GroupID) error
}

// ProviderKeeper is what the market needs of the provider registry.
type ProviderKeeper interface {
	// Provider returns a record, or ErrProviderNotFound of package provider/types.
	Provider(ctx context.Context, owner sdk.AccAddress) (providertypes.Provider, error)
}

// AuditKeeper is what the market needs of auditors' signatures.
type AuditKeeper interface {
	// Signed returns the attributes that an auditor vouches for of a provider; none is no error.
	Signed(ctx context.Context, provider, auditor sdk.AccAddress) ([]providertypes.Attribute, error)
}
