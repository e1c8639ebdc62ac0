package keeper_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

// Random lives of a few accounts with a few people, in which every step may fail but none may make or lose a unit.
const (
	modelAccounts = 3
	modelPeople   = 4
	modelScopes   = 2
)

func person(i int) string { return fmt.Sprintf("person %d", i) }

func drawRate(t *rapid.T) sdk.DecCoin {
	amount := math.LegacyNewDecWithPrec(rapid.Int64Range(1, 4000).Draw(t, "rate"), rapid.Int64Range(0, 4).Draw(t, "decimals"))
	return sdk.NewDecCoinFromDec(denom, amount)
}

// TestRandomLives checks the invariants after every block of a random life, and that once all accounts are closed
// everybody together has what everybody had.
func TestRandomLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := newEnv(t)
		for i := range modelPeople {
			e.bank.fund(addr(person(i)), coin(100_000))
			e.grantUntil(person(i), person((i+1)%modelPeople), 4000, nil)
		}
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			step(t, e)
		}
		for i := range modelAccounts {
			_ = e.k.CloseAccount(e.ctx, id(fmt.Sprint(i))) // may be closed already, or never opened
		}
		for i := range modelScopes {
			for p := range modelPeople {
				held, err := e.k.Held(e.ctx, fmt.Sprint(i), addr(person(p)))
				require.NoError(t, err)
				for _, c := range held {
					require.NoError(t, e.k.Release(e.ctx, fmt.Sprint(i), addr(person(p)), c))
				}
			}
		}
		e.end(1)
		total := int64(0)
		for i := range modelPeople {
			total += e.balance(person(i))
		}
		require.Equal(t, int64(modelPeople*100_000), total)
		require.True(t, e.bank.balances[pool()].IsZero())
	})
}

func step(t *rapid.T, e *env) {
	account := id(fmt.Sprint(rapid.IntRange(0, modelAccounts-1).Draw(t, "account")))
	payment := types.PaymentID{AccountId: account, Pid: fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "payment"))}
	number := rapid.IntRange(0, modelPeople-1).Draw(t, "who")
	who := addr(person(number))
	var sources []types.DepositSource
	if rapid.Bool().Draw(t, "granted") {
		sources = []types.DepositSource{grantOf(person((number + modelPeople - 1) % modelPeople)), types.FromBalance()}
	}
	amount := coin(rapid.Int64Range(1, 3000).Draw(t, "amount"))
	hold := fmt.Sprint(rapid.IntRange(0, modelScopes-1).Draw(t, "hold"))
	// An error is a refusal; what it may have done is undone, as a transaction's would be.
	ctx, write := e.ctx.CacheContext()
	var err error
	switch rapid.IntRange(0, 8).Draw(t, "step") {
	case 0:
		err = e.k.OpenAccount(ctx, account, who, amount, sources)
	case 1, 2:
		err = e.k.OpenPayment(ctx, payment, who, drawRate(t))
	case 3:
		err = e.k.Deposit(ctx, account, who, amount, sources)
	case 4:
		err = e.k.ClosePayment(ctx, payment)
	case 5:
		_, err = e.k.Withdraw(ctx, payment)
	case 6:
		err = e.k.Hold(ctx, hold, who, amount)
	case 7:
		err = e.k.Release(ctx, hold, who, amount)
	case 8:
		e.end(rapid.Int64Range(1, 15).Draw(t, "blocks"))
		return
	}
	if err == nil {
		write()
	}
}

// TestWithdrawingOftenPaysTheSame plays one life twice: once payees withdraw in every block, once never. What each has
// in the end is the same, to the unit.
func TestWithdrawingOftenPaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		deposit := rapid.Int64Range(10, 5000).Draw(t, "deposit")
		rates := make([]sdk.DecCoin, rapid.IntRange(1, 4).Draw(t, "payments"))
		opened := make([]int64, len(rates))
		for i := range rates {
			rates[i], opened[i] = drawRate(t), rapid.Int64Range(0, 10).Draw(t, "opened")
		}
		topUp, topUpAt := rapid.Int64Range(1, 3000).Draw(t, "top-up"), rapid.Int64Range(0, 40).Draw(t, "top-up at")
		blocks := rapid.Int64Range(1, 60).Draw(t, "blocks")
		live := func(often bool) []int64 {
			e := newEnv(t)
			e.open("a", "alice", deposit)
			for h := range blocks {
				for i := range rates {
					if opened[i] == h {
						_ = e.k.OpenPayment(e.ctx, pid("a", fmt.Sprint(i)), addr(person(i)), rates[i])
					}
					if often {
						_, _ = e.k.Withdraw(e.ctx, pid("a", fmt.Sprint(i)))
					}
				}
				if h == topUpAt {
					_ = e.k.Deposit(e.ctx, id("a"), addr("alice"), coin(topUp), nil)
				}
				e.end(1)
			}
			_ = e.k.CloseAccount(e.ctx, id("a"))
			e.end(1)
			got := []int64{e.balance("alice")}
			for i := range rates {
				got = append(got, e.balance(person(i)))
			}
			return got
		}
		require.Equal(t, live(false), live(true))
	})
}
