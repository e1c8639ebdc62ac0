package keeper

import (
	"context"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// atomically does one item of the end block's work, wholly or not at all. A panic is an error like others: one bad
// record must not halt the chain.
func atomically(ctx context.Context, do func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	cached, write := sdk.UnwrapSDKContext(ctx).CacheContext()
	if err := do(cached); err != nil {
		return err
	}
	write()
	return nil
}

// logFailure tells of an item that is left for a later block.
func logFailure(ctx context.Context, what, item string, err error) {
	sdk.UnwrapSDKContext(ctx).Logger().Error("escrow: "+what+" failed, will be tried again", "item", item, "err", err)
}
