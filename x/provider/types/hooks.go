package types

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// ProviderHooks ask the modules above whether a record may change. The market implements them.
type ProviderHooks interface {
	// BeforeAttributesChanged runs before attributes of these keys, in ascending order, get other values or go. It fails with
	// ErrAttributesInUse if a living lease was matched on one of them.
	BeforeAttributesChanged(ctx context.Context, owner sdk.AccAddress, keys []string) error
	// BeforeProviderDeleted fails with ErrProviderInUse while a lease of the provider lives.
	BeforeProviderDeleted(ctx context.Context, owner sdk.AccAddress) error
}
