package keeper

import (
	"maps"
	"slices"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

// books are what an audit has found of a provider.
type books struct {
	living, ended uint64    // leases
	deposits      sdk.Coins // of live bids
	released      sdk.Coins // by deltas that wait
}

func (a *audit) book(provider string) *books {
	b, ok := a.providers[provider]
	if !ok {
		b = &books{deposits: sdk.NewCoins(), released: sdk.NewCoins()}
		a.providers[provider] = b
	}
	return b
}

func (a *audit) deltas() error {
	waiting, err := a.k.pendingDeltas(a.ctx)
	for _, w := range waiting {
		if w.sum.Provider != w.provider.String() {
			a.fail("INV-7: the delta of %s stands under %s", w.sum.Provider, w.provider)
		}
		b := a.book(w.sum.Provider)
		b.released = b.released.Add(w.sum.Released...)
	}
	return err
}

// balance checks each provider's books. INV-7: its record, with what waits, counts the leases; closed ones may have been
// pruned. INV-8: what it has held is the deposits of its live bids, and those that wait to be given back.
func (a *audit) balance() error {
	if err := a.k.records.Walk(a.ctx, nil, func(_ sdk.AccAddress, r types.ProviderRecord) (bool, error) {
		a.book(r.Provider)
		return false, nil
	}); err != nil {
		return err
	}
	for _, provider := range slices.Sorted(maps.Keys(a.providers)) {
		b := a.providers[provider]
		address, err := sdk.AccAddressFromBech32(provider)
		if err != nil {
			return err
		}
		r, err := a.k.Record(a.ctx, address)
		if err != nil {
			return err
		}
		closed := uint64(0)
		for _, c := range r.Closed {
			closed += c.Count
		}
		if r.Active != b.living || r.Leases != r.Active+closed || closed < b.ended {
			a.fail("INV-7: the record of %s counts %d leases, %d active, %d closed; there are %d and %d", provider, r.Leases, r.Active, closed, b.living, b.ended)
		}
		held, err := a.k.escrow.Held(a.ctx, types.HoldScope, address)
		if err != nil {
			return err
		}
		if want := b.deposits.Add(b.released...); !held.Equal(want) {
			a.fail("INV-8: %s has %s held, its live bids %s and %s waits to be given back", provider, held, b.deposits, b.released)
		}
	}
	return nil
}
