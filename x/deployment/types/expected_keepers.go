package types

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	escrowtypes "berth.dev/berth/x/escrow/types"
)

// EscrowKeeper is what deployments need of the escrow.
type EscrowKeeper interface {
	// OpenAccount takes the first deposit from owner; the escrow checks its size and denom.
	// The deposit is drawn from sources in their order; none means the owner's balance.
	OpenAccount(ctx context.Context, id escrowtypes.AccountID, owner sdk.AccAddress, deposit sdk.Coin, sources []escrowtypes.DepositSource) error
	// CloseAccount settles, pays and closes all payments and refunds the rest. It calls no hooks.
	CloseAccount(ctx context.Context, id escrowtypes.AccountID) error
	// Account returns the account, settled as of the height of ctx.
	Account(ctx context.Context, id escrowtypes.AccountID) (escrowtypes.Account, error)
	// PruneAccount removes a closed account with its payments, at most limit records at a time; done says that nothing is
	// left.
	PruneAccount(ctx context.Context, id escrowtypes.AccountID, limit int) (removed int, done bool, err error)
}
