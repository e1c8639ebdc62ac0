package keeper_test

import (
	"context"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"berth.dev/berth/x/market/keeper"
	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

var notEnough = code(sdkerrors.ErrInsufficientFunds)

// orders are deployments of tenant 0, and a bid of 100 on each.
func (c *chain) orders(n int) (items []types.BidItem) {
	c.t.Helper()
	for i := range uint64(n) {
		items = append(items, item(c.deploy(deployMsg(0, i+1)), 100))
	}
	return items
}

func idsOf(items []types.BidItem) (ids []types.OrderID) {
	for _, it := range items {
		ids = append(ids, it.OrderId)
	}
	return ids
}

func TestOneStaleItemDoesNotSpoilTheRest(t *testing.T) {
	c := newChain(t)
	c.register(0)
	items := c.orders(4)
	stale := items[1]
	stale.OrderId.Oseq = 9
	items[1] = stale
	dear := items[2]
	dear.Price = dec(201)
	items[2] = dear
	require.Equal(t, []types.ItemResult{{}, code(types.ErrOrderNotFound), code(types.ErrPriceTooHigh), {}}, c.bids(0, items...))
	require.EqualValues(t, startBalance-1000, c.balance(provider(0)).Int64(), "two deposits")
	c.check()

	require.NoError(t, c.createLease(items[0].OrderId.BidID(provider(0))))
	var res *types.MsgCloseBidsResponse
	_, err := c.tx(func(ctx context.Context) (err error) {
		res, err = c.msgs.CloseBids(ctx, &types.MsgCloseBids{Provider: provider(0), OrderIds: idsOf(items)})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, []types.ItemResult{code(types.ErrBidNotOpen), code(types.ErrBidNotFound), code(types.ErrBidNotFound), {}}, res.Results)
	c.block()
	require.EqualValues(t, startBalance-500, c.balance(provider(0)).Int64(), "the lease's deposit")
}

// TestABatchIsPaidAsFarAsTheBalanceGoes: the deposits of a batch are held in one sum, but a provider that cannot pay it
// all is not refused more than what it cannot pay.
func TestABatchIsPaidAsFarAsTheBalanceGoes(t *testing.T) {
	c := newChain(t)
	c.register(0)
	items := c.orders(5)
	items[0].Deposit = coin(startBalance + 1)
	items[3].Deposit = coin(startBalance - 999)
	require.Equal(t, []types.ItemResult{notEnough, {}, {}, notEnough, {}}, c.bids(0, items...))
	require.EqualValues(t, startBalance-1500, c.balance(provider(0)).Int64())
	require.Zero(t, c.order(items[0].OrderId).OpenBids)
	require.EqualValues(t, 1, c.order(items[4].OrderId).OpenBids)
	c.block()
}

// power is 2^n; for 256 one less, which is the largest number that there is.
func power(n uint) math.Int {
	if n == 256 {
		return math.NewIntFromBigInt(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)))
	}
	return math.NewIntFromBigInt(new(big.Int).Lsh(big.NewInt(1), n))
}

// TestDepositsBeyondAllBoundsAreRefused: a sum of deposits that no number holds is no panic.
func TestDepositsBeyondAllBoundsAreRefused(t *testing.T) {
	c := newChain(t)
	c.register(0)
	items := c.orders(3)
	items[0].Deposit.Amount, items[1].Deposit.Amount = power(256), power(256)
	require.Equal(t, []types.ItemResult{notEnough, notEnough, {}}, c.bids(0, items...))
	c.block()
}

// TestOutOfGasUndoesAll: wherever the gas ends, the transaction fails with a panic that only baseapp handles, and of no
// item anything is left. The easy version stops at the item that ran out and keeps those before it.
func TestOutOfGasUndoesAll(t *testing.T) {
	c := newChain(t)
	c.register(0)
	items := c.orders(3)
	use := func(gas uint64) (used uint64, out any) {
		meter := storetypes.NewGasMeter(gas)
		defer func() { out = recover() }()
		_, err := c.tx(func(ctx context.Context) error {
			_, err := c.msgs.CreateBids(sdk.UnwrapSDKContext(ctx).WithGasMeter(meter), &types.MsgCreateBids{Provider: provider(0), Bids: items})
			return err
		})
		require.NoError(t, err)
		return meter.GasConsumed(), nil
	}
	var need uint64
	{
		kept := c.ctx
		c.ctx, _ = c.ctx.CacheContext()
		need, _ = use(10_000_000)
		c.ctx = kept
	}
	require.Greater(t, need, uint64(3*10_000), "the fixed gas of each item is taken")
	for _, part := range []uint64{1, 20, 40, 60, 80, 99} {
		_, out := use(need * part / 100)
		require.IsType(t, storetypes.ErrorOutOfGas{}, out, "%d%% of the gas", part)
		for _, it := range items {
			require.Zero(t, c.order(it.OrderId).OpenBids, "%d%% of the gas", part)
		}
		require.EqualValues(t, startBalance, c.balance(provider(0)).Int64())
		c.check()
	}
	_, out := use(need)
	require.Nil(t, out)
	require.EqualValues(t, 1, c.order(items[2].OrderId).OpenBids)
}

// failingAudits panics, as a mistake in a module below might.
type failingAudits struct{}

func (failingAudits) Signed(context.Context, sdk.AccAddress, sdk.AccAddress) ([]providertypes.Attribute, error) {
	panic("a mistake")
}

// TestAPanicIsNotAnItemsFailure: it passes through to baseapp, which fails the transaction. The easy version recovers
// it as a failed item, and goes on with a state that nobody understands.
func TestAPanicIsNotAnItemsFailure(t *testing.T) {
	c := newChain(t)
	c.replaceAudits(failingAudits{})
	c.register(0)
	items := c.orders(1)
	msg := deployMsg(1, 1)
	msg.Groups[0].Requirements.SignedBy.AnyOf = []string{auditor(0)}
	items = append(items, item(c.deploy(msg), 100))
	require.PanicsWithValue(t, "a mistake", func() {
		_, _ = c.tx(func(ctx context.Context) error {
			_, err := c.msgs.CreateBids(ctx, &types.MsgCreateBids{Provider: provider(0), Bids: items})
			return err
		})
	})
	require.Zero(t, c.order(items[0].OrderId).OpenBids)
	c.check()
}

// TestBatchesHaveBounds: 1 to 100 different items, of each message.
func TestBatchesHaveBounds(t *testing.T) {
	c := newChain(t)
	c.register(0)
	id := c.deploy(deployMsg(0, 1))
	list := func(n int) (bids []types.BidItem, orders []types.OrderID, leases []types.LeaseID) {
		for i := range n {
			o := id
			o.Dseq = uint64(i + 1)
			bids, orders, leases = append(bids, item(o, 1)), append(orders, o), append(leases, o.BidID(provider(0)))
		}
		return bids, orders, leases
	}
	for n, want := range map[int]error{0: types.ErrInvalidBatch, 1: nil, 100: nil, 101: types.ErrInvalidBatch} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bids, orders, leases := list(n)
			ctx, _ := c.ctx.CacheContext()
			_, err := c.msgs.CreateBids(ctx, &types.MsgCreateBids{Provider: provider(0), Bids: bids})
			require.ErrorIs(t, err, want)
			_, err = c.msgs.CloseBids(ctx, &types.MsgCloseBids{Provider: provider(0), OrderIds: orders})
			require.ErrorIs(t, err, want)
			_, err = c.msgs.WithdrawLeases(ctx, &types.MsgWithdrawLeases{Provider: provider(0), Ids: leases})
			require.ErrorIs(t, err, want)
		})
	}
	bids, orders, leases := list(2)
	bids[1], orders[1], leases[1] = bids[0], orders[0], leases[0]
	_, err := c.msgs.CreateBids(c.ctx, &types.MsgCreateBids{Provider: provider(0), Bids: bids})
	require.ErrorIs(t, err, types.ErrInvalidBatch)
	_, err = c.msgs.CloseBids(c.ctx, &types.MsgCloseBids{Provider: provider(0), OrderIds: orders})
	require.ErrorIs(t, err, types.ErrInvalidBatch)
	_, err = c.msgs.WithdrawLeases(c.ctx, &types.MsgWithdrawLeases{Provider: provider(0), Ids: leases})
	require.ErrorIs(t, err, types.ErrInvalidBatch)
}

// TestAnItemsEventsGoWithIt: of a failed item no event is left, of a batch that was paid twice over only the last.
func TestAnItemsEventsGoWithIt(t *testing.T) {
	c := newChain(t)
	c.register(0)
	items := c.orders(3)
	items[0].Deposit = coin(startBalance + 1)
	items[1].Price = dec(1000)
	evs, err := c.tx(func(ctx context.Context) error {
		_, err := c.msgs.CreateBids(ctx, &types.MsgCreateBids{Provider: provider(0), Bids: items})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, 1, named(evs, "EventBidCreated"))
}

// replaceAudits builds the market anew over the same store, with other signatures.
func (c *chain) replaceAudits(a types.AuditKeeper) {
	c.market = keeper.NewKeeper(c.cdc, c.marketStore, c.escrow, c.deployments, c.providers, a, authority())
	c.deployments.SetHooks(c.market)
	c.providers.SetHooks(c.market)
	c.msgs, c.query = keeper.NewMsgServer(c.market), keeper.NewQueryServer(c.market)
}
