package app

import (
	"context"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// Invariants checks INV-1 to INV-9 and returns what is broken, one sentence each that begins with the invariant's
// number; none is good. They hold after every end block. The checks read the whole state: they are for tests,
// simulations and a query, never for a transaction or block.
func (app *App) Invariants(ctx context.Context) []string {
	var broken []string
	for _, check := range []func(context.Context) []string{
		app.AuditKeeper.Invariants,      // INV-7
		app.EscrowKeeper.Invariants,     // INV-1, 2, 5, 7
		app.DeploymentKeeper.Invariants, // INV-5, 7
		app.MarketKeeper.Invariants,     // INV-3, 4, 6, 7, 8
		app.supplyInvariant,             // INV-9
	} {
		broken = append(broken, check(ctx)...)
	}
	return broken
}

// supplyInvariant: what accounts hold sums up to the supply, which only minting and burning change.
func (app *App) supplyInvariant(ctx context.Context) []string {
	held := sdk.NewMapCoins(nil)
	app.BankKeeper.IterateAllBalances(ctx, func(_ sdk.AccAddress, coin sdk.Coin) bool {
		held.Add(coin)
		return false
	})
	supply := sdk.NewMapCoins(nil)
	app.BankKeeper.IterateTotalSupply(ctx, func(coin sdk.Coin) bool {
		supply.Add(coin)
		return false
	})
	if h, s := held.ToCoins(), supply.ToCoins(); !h.Equal(s) {
		return []string{fmt.Sprintf("INV-9: accounts hold %q, the supply is %q", h, s)}
	}
	return nil
}
