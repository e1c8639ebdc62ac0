package types

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	escrowtypes "berth.dev/berth/x/escrow/types"
)

// EscrowKeeper is what deployments need of the escrow.
type EscrowKeeper interface {
	// OpenAccount takes the first deposit from owner; the escrow checks its size and denom.
	OpenAccount(ctx context.Context, id escrowtypes.AccountID, owner sdk.AccAddress, deposit sdk.Coin) error
	// CloseAccount settles, pays and closes all payments and refunds the rest. It calls no hooks.
	CloseAccount(ctx context.Context, id escrowtypes.AccountID) error
	// Account returns the account, settled as of the height of ctx.
	Account(ctx context.Context, id escrowtypes.AccountID) (escrowtypes.Account, error)
}
