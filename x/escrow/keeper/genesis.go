package keeper

import (
	"context"
	"fmt"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

// InitGenesis stores a genesis. It refuses one whose pool does not hold what is owed (INV-1), so that bank's genesis
// must have been stored before.
func (k *Keeper) InitGenesis(ctx context.Context, g types.GenesisState) error {
	if err := g.Validate(); err != nil {
		return err
	}
	k.accountKeeper.GetModuleAccount(ctx, types.ModuleName) // creates it, so that no deposit has to
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	if err := k.initAccounts(ctx, g); err != nil {
		return err
	}
	for _, h := range g.Holds {
		owner, err := sdk.AccAddressFromBech32(h.Owner)
		if err != nil {
			return err
		}
		if err := k.holds.Set(ctx, keyOfHold(h.Scope, owner, h.Amount.Denom), h); err != nil {
			return err
		}
	}
	for _, c := range g.Claims {
		to, err := k.accountKeeper.AddressCodec().StringToBytes(c.Address)
		if err != nil {
			return err
		}
		if err := k.claims.Set(ctx, collections.Join(sdk.AccAddress(to), uint64(0)), c); err != nil {
			return err
		}
	}
	if err := k.checkPool(ctx); err != nil {
		return fmt.Errorf("INV-1: %w", err)
	}
	return nil
}

func (k *Keeper) initAccounts(ctx context.Context, g types.GenesisState) error {
	for _, a := range g.Accounts {
		if err := k.accounts.Set(ctx, keyOfAccount(a.Id), a); err != nil {
			return err
		}
		if a.DueAt == 0 {
			continue
		}
		if err := k.due.Set(ctx, keyOfDue(a.DueAt, a.Id)); err != nil {
			return err
		}
	}
	for _, p := range g.Payments {
		if err := k.payments.Set(ctx, keyOfPayment(p.Id), p); err != nil {
			return err
		}
		if p.State == types.PAYMENT_STATE_CLOSED {
			continue
		}
		if err := k.live.Set(ctx, keyOfPayment(p.Id)); err != nil {
			return err
		}
	}
	return nil
}

// ExportGenesis reads the whole state. InitGenesis of what it returns gives the same state, and exports the same.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	params, err := k.GetParams(ctx)
	if err != nil {
		return nil, err
	}
	g := &types.GenesisState{Params: params}
	err = k.accounts.Walk(ctx, nil, func(_ accountKey, a types.Account) (bool, error) {
		g.Accounts = append(g.Accounts, a)
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("export accounts: %w", err)
	}
	err = k.payments.Walk(ctx, nil, func(_ paymentKey, p types.Payment) (bool, error) {
		g.Payments = append(g.Payments, p)
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("export payments: %w", err)
	}
	err = k.holds.Walk(ctx, nil, func(_ holdKey, h types.Hold) (bool, error) {
		g.Holds = append(g.Holds, h)
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("export holds: %w", err)
	}
	payees, err := k.claimed(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range payees {
		g.Claims = append(g.Claims, p.claim)
	}
	return g, nil
}
