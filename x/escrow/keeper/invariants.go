package keeper

import (
	"context"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

// Invariants returns what is broken, empty when all is well. It reads the whole module, hence it is for tests,
// simulations and a query, never for a transaction. It holds after an end block.
func (k *Keeper) Invariants(ctx context.Context) []string {
	var broken []string
	for _, check := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"INV-1", k.checkPool},
		{"INV-2", k.checkSums},
		{"INV-5", k.checkDry},
		{"INV-7", k.checkIndexes},
	} {
		if err := check.run(ctx); err != nil {
			broken = append(broken, check.name+": escrow: "+err.Error())
		}
	}
	return broken
}

// checkPool: the pool's balance is what accounts, holds and claims are owed.
func (k *Keeper) checkPool(ctx context.Context) error {
	owed, err := k.owed(ctx)
	if err != nil {
		return err
	}
	pool := k.bank.GetAllBalances(ctx, k.accountKeeper.GetModuleAddress(types.ModuleName))
	if !pool.Equal(owed) {
		return fmt.Errorf("the pool holds %q, but %q is owed", pool, owed)
	}
	return nil
}

// owed is what the pool owes, per denom.
func (k *Keeper) owed(ctx context.Context) (sdk.Coins, error) {
	sum := sdk.NewMapCoins(nil)
	err := k.accounts.Walk(ctx, nil, func(_ accountKey, a types.Account) (bool, error) {
		sum.Add(sdk.NewCoin(a.Denom, a.Deposited.Sub(a.Paid).Sub(a.Refunded)))
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	err = k.holds.Walk(ctx, nil, func(_ holdKey, h types.Hold) (bool, error) {
		sum.Add(h.Amount)
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	err = k.claims.Walk(ctx, nil, func(_ claimKey, c types.Claim) (bool, error) {
		sum.Add(c.Coins...)
		sum.Add(c.Take...)
		return false, nil
	})
	return sum.ToCoins(), err
}

// checkSums: each account agrees with its deposits and payments, and nothing is negative.
func (k *Keeper) checkSums(ctx context.Context) error {
	sums, err := k.sumPayments(ctx)
	if err != nil {
		return err
	}
	return k.accounts.Walk(ctx, nil, func(_ accountKey, a types.Account) (bool, error) {
		sum, ok := sums[a.Id]
		if !ok {
			sum = types.NewPaymentSums()
		}
		if a.SettledAt > height(ctx) {
			return true, fmt.Errorf("account %s: settled at %d, above the height %d", a.Id, a.SettledAt, height(ctx))
		}
		return false, a.ValidateSums(sum)
	})
}

func (k *Keeper) sumPayments(ctx context.Context) (map[types.AccountID]types.PaymentSums, error) {
	sums := map[types.AccountID]types.PaymentSums{}
	err := k.payments.Walk(ctx, nil, func(_ paymentKey, p types.Payment) (bool, error) {
		sum, ok := sums[p.Id.AccountId]
		if !ok {
			sum = types.NewPaymentSums()
		}
		sum.Add(p)
		sums[p.Id.AccountId] = sum
		return false, p.ValidateTaken()
	})
	return sums, err
}

// checkDry: an account that has run dry is suspended or closed, unless its queue entry is due and waiting; the states
// of payments follow their account's.
func (k *Keeper) checkDry(ctx context.Context) error {
	err := k.accounts.Walk(ctx, nil, func(_ accountKey, a types.Account) (bool, error) {
		s, err := k.load(ctx, a.Id)
		if err != nil {
			return true, err
		}
		dryAt, finite := s.book().DryHeight()
		if a.State == types.ACCOUNT_STATE_OPEN && finite && dryAt <= height(ctx) && a.DueAt != dryAt {
			return true, fmt.Errorf("account %s: dry at %d, but queued for %d", a.Id, dryAt, a.DueAt)
		}
		return false, checkPaymentStates(s)
	})
	return err
}

func checkPaymentStates(s *sheet) error {
	want := map[types.AccountState]types.PaymentState{
		types.ACCOUNT_STATE_OPEN:      types.PAYMENT_STATE_OPEN,
		types.ACCOUNT_STATE_SUSPENDED: types.PAYMENT_STATE_SUSPENDED,
	}[s.account.State]
	for _, p := range s.live {
		if p.State != want {
			return fmt.Errorf("payment %s: is %s while its account is %s", p.Id, p.State, s.account.State)
		}
	}
	return nil
}

// checkIndexes: the queue and the index of live payments agree with the records, both ways.
func (k *Keeper) checkIndexes(ctx context.Context) error {
	for _, check := range []func(context.Context) error{k.checkQueue, k.checkLive, k.checkHoldKeys, k.checkClaimKeys} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkHoldKeys: a hold stands at its own key, and is of something.
func (k *Keeper) checkHoldKeys(ctx context.Context) error {
	return k.holds.Walk(ctx, nil, func(key holdKey, h types.Hold) (bool, error) {
		if key.K1() != h.Scope || key.K2().String() != h.Owner || key.K3() != h.Amount.Denom {
			return true, fmt.Errorf("hold of %s in %s stands at the key of another", h.Owner, h.Scope)
		}
		if !h.Amount.IsPositive() {
			return true, fmt.Errorf("hold of %s in %s is %s", h.Owner, h.Scope, h.Amount)
		}
		return false, nil
	})
}

// checkClaimKeys: a claim stands at a key of its address, and is of something.
func (k *Keeper) checkClaimKeys(ctx context.Context) error {
	return k.claims.Walk(ctx, nil, func(key claimKey, c types.Claim) (bool, error) {
		if key.K1().String() != c.Address {
			return true, fmt.Errorf("claim of %s stands at the key of %s", c.Address, key.K1())
		}
		if c.Coins.Empty() && c.Take.Empty() {
			return true, fmt.Errorf("claim of %s is of nothing", c.Address)
		}
		return false, nil
	})
}

func (k *Keeper) checkQueue(ctx context.Context) error {
	queued := 0
	err := k.due.Walk(ctx, nil, func(key dueKey) (bool, error) {
		queued++
		id := types.AccountID{Scope: key.K2(), Xid: key.K3()}
		a, err := k.accounts.Get(ctx, keyOfAccount(id))
		if err != nil {
			return true, fmt.Errorf("account %s is queued: %w", id, err)
		}
		if a.DueAt != key.K1() {
			return true, fmt.Errorf("account %s is queued for %d, its record says %d", id, key.K1(), a.DueAt)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	expected := 0
	err = k.accounts.Walk(ctx, nil, func(_ accountKey, a types.Account) (bool, error) {
		if a.DueAt != 0 {
			expected++
		}
		return false, nil
	})
	if err == nil && queued != expected {
		return fmt.Errorf("%d accounts are queued, %d have a due height", queued, expected)
	}
	return err
}

func (k *Keeper) checkLive(ctx context.Context) error {
	indexed, expected := 0, 0
	err := k.live.Walk(ctx, nil, func(paymentKey) (bool, error) {
		indexed++
		return false, nil
	})
	if err != nil {
		return err
	}
	err = k.payments.Walk(ctx, nil, func(key paymentKey, p types.Payment) (bool, error) {
		has, err := k.live.Has(ctx, key)
		if err != nil {
			return true, err
		}
		if has != (p.State != types.PAYMENT_STATE_CLOSED) {
			return true, fmt.Errorf("payment %s is %s, in the index of live payments: %t", p.Id, p.State, has)
		}
		if has {
			expected++
		}
		return false, nil
	})
	if err == nil && indexed != expected {
		return fmt.Errorf("%d live payments are indexed, %d exist", indexed, expected)
	}
	return err
}
