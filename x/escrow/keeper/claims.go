package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"berth.dev/berth/x/escrow/types"
)

// claim records coins that the pool owes an address, and with them what goes to the community pool. Both are sent at the
// end of the block, so that no transaction reads or writes the pool's balance. The key has the transaction's index: two
// transactions that pay the same address write different keys.
func (k *Keeper) claim(ctx context.Context, address string, amount, take sdk.Coin) error {
	to, err := k.accountKeeper.AddressCodec().StringToBytes(address)
	if err != nil {
		return errorsmod.Wrapf(sdkerrors.ErrInvalidAddress, "claim %s for %q: %s", amount, address, err)
	}
	key := collections.Join(sdk.AccAddress(to), uint64(sdk.UnwrapSDKContext(ctx).TxIndex()))
	claim, err := k.claims.Get(ctx, key)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return fmt.Errorf("claim %s for %s: %w", amount, address, err)
	}
	claim.Address = address
	claim.Coins, claim.Take = addCoin(claim.Coins, amount), addCoin(claim.Take, take)
	return k.claims.Set(ctx, key, claim)
}

func addCoin(coins sdk.Coins, c sdk.Coin) sdk.Coins {
	if c.IsZero() {
		return coins
	}
	return coins.Add(c)
}

// payee is what an address has claimed in all transactions of a block.
type payee struct {
	claim types.Claim
	keys  []claimKey
}

// sendClaims sends all claims: the sum of what they take first, then each payee's coins. What cannot be sent is kept for
// the next block.
func (k *Keeper) sendClaims(ctx context.Context) error {
	payees, err := k.claimed(ctx)
	if err != nil {
		return err
	}
	if takes := sumTakes(payees); !takes.Empty() {
		err := atomically(ctx, func(ctx context.Context) error { return k.sendTakes(ctx, payees, takes) })
		if err != nil {
			logFailure(ctx, "fund the community pool", takes.String(), err)
		} else {
			strikeTakes(payees)
		}
	}
	for _, p := range payees {
		if p.claim.Coins.Empty() {
			continue
		}
		if err := atomically(ctx, func(ctx context.Context) error { return k.sendClaim(ctx, p) }); err != nil {
			logFailure(ctx, "send claim", p.claim.Address, err)
		}
	}
	return nil
}

// claimed adds up the claims of each address, in the order of the addresses.
func (k *Keeper) claimed(ctx context.Context) ([]payee, error) {
	var payees []payee
	err := k.claims.Walk(ctx, nil, func(key claimKey, c types.Claim) (bool, error) {
		n := len(payees)
		if n == 0 || payees[n-1].claim.Address != c.Address {
			payees = append(payees, payee{claim: c, keys: []claimKey{key}})
			return false, nil
		}
		sum := &payees[n-1]
		sum.claim.Coins, sum.claim.Take = sum.claim.Coins.Add(c.Coins...), sum.claim.Take.Add(c.Take...)
		sum.keys = append(sum.keys, key)
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	return payees, nil
}

func sumTakes(payees []payee) sdk.Coins {
	sum := sdk.NewCoins()
	for _, p := range payees {
		sum = sum.Add(p.claim.Take...)
	}
	return sum
}

func strikeTakes(payees []payee) {
	for i := range payees {
		payees[i].claim.Take = nil
	}
}

// sendTakes sends the sum of what all claims take to the community pool, and leaves each claim its coins.
func (k *Keeper) sendTakes(ctx context.Context, payees []payee, sum sdk.Coins) error {
	for _, p := range payees {
		if p.claim.Take.Empty() {
			continue
		}
		if err := k.replaceClaims(ctx, p, types.Claim{Address: p.claim.Address, Coins: p.claim.Coins}); err != nil {
			return err
		}
	}
	return k.distr.FundCommunityPool(ctx, sum, k.accountKeeper.GetModuleAddress(types.ModuleName))
}

// sendClaim sends a payee's coins, and leaves what its claims take.
func (k *Keeper) sendClaim(ctx context.Context, p payee) error {
	if err := k.replaceClaims(ctx, p, types.Claim{Address: p.claim.Address, Take: p.claim.Take}); err != nil {
		return err
	}
	return k.bank.SendCoinsFromModuleToAccount(ctx, types.ModuleName, p.keys[0].K1(), p.claim.Coins)
}

// replaceClaims puts one claim in the place of all that a payee has; none if that is of nothing.
func (k *Keeper) replaceClaims(ctx context.Context, p payee, claim types.Claim) error {
	for _, key := range p.keys {
		if err := k.claims.Remove(ctx, key); err != nil {
			return err
		}
	}
	if claim.Coins.Empty() && claim.Take.Empty() {
		return nil
	}
	return k.claims.Set(ctx, p.keys[0], claim)
}
