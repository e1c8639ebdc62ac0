package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

// claim records coins that the pool owes an address. They are sent at the end of the block, so that no transaction
// reads or writes the pool's balance, which all of them would have in common.
func (k *Keeper) claim(ctx context.Context, address string, amount sdk.Coin) error {
	key, err := k.accountKeeper.AddressCodec().StringToBytes(address)
	if err != nil {
		return fmt.Errorf("claim %s for %s: %w", amount, address, err)
	}
	claim, err := k.claims.Get(ctx, key)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return fmt.Errorf("claim %s for %s: %w", amount, address, err)
	}
	claim.Address, claim.Coins = address, claim.Coins.Add(amount)
	return k.claims.Set(ctx, key, claim)
}

// sendClaims sends all claims. One that cannot be sent is kept for the next block.
func (k *Keeper) sendClaims(ctx context.Context) error {
	var due []types.Claim
	err := k.claims.Walk(ctx, nil, func(_ []byte, c types.Claim) (bool, error) {
		due = append(due, c)
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("read claims: %w", err)
	}
	for _, c := range due {
		atomically(ctx, "send claim", c.Address, func(ctx context.Context) error { return k.sendClaim(ctx, c) })
	}
	return nil
}

func (k *Keeper) sendClaim(ctx context.Context, c types.Claim) error {
	to, err := k.accountKeeper.AddressCodec().StringToBytes(c.Address)
	if err != nil {
		return err
	}
	if err := k.claims.Remove(ctx, to); err != nil {
		return err
	}
	return k.bank.SendCoinsFromModuleToAccount(ctx, types.ModuleName, to, c.Coins)
}

// atomically does one item of the end block's work, wholly or not at all. A failure is logged and leaves the item for
// the next block: one bad record must not halt the chain.
func atomically(ctx context.Context, what, item string, do func(context.Context) error) {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	cached, write := sdkCtx.CacheContext()
	if err := do(cached); err != nil {
		sdkCtx.Logger().Error("escrow: "+what+" failed, will be tried again", "item", item, "err", err)
		return
	}
	write()
}
