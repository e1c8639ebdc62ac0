package keeper_test

import (
	"context"
	"fmt"
	"math/big"
	"reflect"
	"testing"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/errors"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// extremes are the values that every number of every message is set to.
var extremes = []*big.Int{
	big.NewInt(0), big.NewInt(1), big.NewInt(-1), big.NewInt(1<<63 - 1), new(big.Int).Lsh(big.NewInt(1), 63), power(256).BigInt(),
}

// numbers calls set for each number of a message, however deep, with a name for it; set returns what to put there.
func numbers(v reflect.Value, path string, visit func(path string, set func(*big.Int) bool)) {
	switch x := v.Addr().Interface().(type) {
	case *math.Int:
		visit(path, func(n *big.Int) bool { *x = math.NewIntFromBigInt(n); return true })
		return
	case *math.LegacyDec:
		visit(path, func(n *big.Int) bool { *x = math.LegacyNewDecFromBigIntWithPrec(n, 18); return true })
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			numbers(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			numbers(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case reflect.Int32, reflect.Int64:
		visit(path, func(n *big.Int) bool {
			if !n.IsInt64() || v.OverflowInt(n.Int64()) {
				return false
			}
			v.SetInt(n.Int64())
			return true
		})
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		visit(path, func(n *big.Int) bool {
			if !n.IsUint64() || v.OverflowUint(n.Uint64()) {
				return false
			}
			v.SetUint(n.Uint64())
			return true
		})
	}
}

// samples is a message of each kind that fits the chain of hostile.
func samples(id types.OrderID, lease types.LeaseID) []sdk.Msg {
	bid := item(id, 100)
	bid.ValidUntil, bid.ReclaimWindowSeconds = 20, 3600
	bid.Offer = []types.ResourceOffer{{Unit: unit(1, 100, 2)}}
	return []sdk.Msg{
		&types.MsgCreateBids{Provider: provider(1), Bids: []types.BidItem{bid}},
		&types.MsgCloseBids{Provider: provider(0), OrderIds: []types.OrderID{id}},
		&types.MsgCreateLease{Id: id.BidID(provider(0))},
		&types.MsgCloseLease{Signer: provider(0), Id: lease, Reason: types.CLOSE_REASON_UNSTABLE},
		&types.MsgStartReclaim{Provider: provider(0), Id: lease, Reason: types.CLOSE_REASON_UNSTABLE},
		&types.MsgWithdrawLeases{Provider: provider(0), Ids: []types.LeaseID{lease}},
		&types.MsgUpdateParams{Authority: authority(), Params: types.DefaultParams()},
	}
}

// deliver runs a message as baseapp would and returns the codes that its sender sees: its own, or those of its items.
func (c *chain) deliver(msg sdk.Msg) (results []types.ItemResult, err error) {
	_, err = c.tx(func(ctx context.Context) error {
		var err error
		switch m := msg.(type) {
		case *types.MsgCreateBids:
			var res *types.MsgCreateBidsResponse
			if res, err = c.msgs.CreateBids(ctx, m); err == nil {
				results = res.Results
			}
		case *types.MsgCloseBids:
			var res *types.MsgCloseBidsResponse
			if res, err = c.msgs.CloseBids(ctx, m); err == nil {
				results = res.Results
			}
		case *types.MsgWithdrawLeases:
			var res *types.MsgWithdrawLeasesResponse
			if res, err = c.msgs.WithdrawLeases(ctx, m); err == nil {
				for _, r := range res.Results {
					results = append(results, types.ItemResult{Codespace: r.Codespace, Code: r.Code})
				}
			}
		case *types.MsgCreateLease:
			_, err = c.msgs.CreateLease(ctx, m)
		case *types.MsgCloseLease:
			_, err = c.msgs.CloseLease(ctx, m)
		case *types.MsgStartReclaim:
			_, err = c.msgs.StartReclaim(ctx, m)
		case *types.MsgUpdateParams:
			_, err = c.msgs.UpdateParams(ctx, m)
		}
		return err
	})
	return results, err
}

// registered says whether an error carries a code of its own rather than the one for internal mistakes.
func registered(err error) bool {
	codespace, code, _ := errors.ABCIInfo(err, false)
	return codespace != errors.UndefinedCodespace && code > 1
}

// hostile is a chain with an open order that provider 0 has bid on, and a lease of that provider which owes a notice.
func hostile(t *testing.T) (*chain, types.OrderID, types.LeaseID) {
	c := newChain(t)
	c.at(start)
	c.register(0)
	c.register(1)
	id, leased := c.deploy(deployMsg(0, 1)), c.deploy(deployMsg(0, 2))
	c.bid(0, id, 100)
	require.Equal(t, types.ItemResult{}, c.bids(0, noticed(leased, 3600))[0])
	require.NoError(t, c.createLease(leased.BidID(provider(0))))
	c.block()
	return c, id, leased.BidID(provider(0))
}

// TestExtremeNumbers puts the ends of all ranges into every number of every message: it is taken or refused with a code
// and a sentence, never by a panic, and what is refused changes nothing.
func TestExtremeNumbers(t *testing.T) {
	c, id, lease := hostile(t)
	tried, refused := 0, 0
	for kind := range samples(id, lease) {
		fields := 0
		numbers(reflect.ValueOf(samples(id, lease)[kind]).Elem(), "", func(string, func(*big.Int) bool) { fields++ })
		for field := range fields {
			for _, n := range extremes {
				msg := samples(id, lease)[kind]
				at, name, fits := 0, "", false
				numbers(reflect.ValueOf(msg).Elem(), proto.MessageName(msg), func(path string, set func(*big.Int) bool) {
					if at == field {
						name, fits = path, set(n)
					}
					at++
				})
				if !fits {
					continue
				}
				tried++
				what := fmt.Sprintf("%s = %s", name, n)
				kept, before := c.ctx, mustJSON(t, c.state())
				c.ctx, _ = c.ctx.CacheContext()
				var results []types.ItemResult
				var err error
				require.NotPanics(t, func() { results, err = c.deliver(msg) }, what)
				if err != nil {
					refused++
					require.True(t, registered(err), "%s: %s", what, err)
					require.Greater(t, len(err.Error()), 10, what)
				}
				failed := err != nil
				for _, r := range results {
					failed = failed || r.Code != 0
					require.NotEqualValues(t, 1, r.Code, "%s: an item failed without a code", what)
				}
				if failed {
					require.Equal(t, before, mustJSON(t, c.state()), what)
				}
				c.check()
				c.ctx = kept
			}
		}
	}
	t.Logf("%d messages, %d refused as a whole", tried, refused)
	require.Greater(t, refused, 40)
}

func (c *chain) state() *types.GenesisState {
	gs, err := c.market.ExportGenesis(c.ctx)
	require.NoError(c.t, err)
	return gs
}

// TestForeignAndMissingObjects: each message for what is not there, closed or another's is refused by name.
func TestForeignAndMissingObjects(t *testing.T) {
	c, id, lease := hostile(t)
	gone := c.deploy(deployMsg(1, 1))
	c.bid(0, gone, 100)
	closed := c.deploy(deployMsg(1, 2))
	c.bid(0, closed, 100)
	require.NoError(t, c.createLease(closed.BidID(provider(0))))
	require.NoError(t, c.closeDeployment(gone.DeploymentID()))
	require.NoError(t, c.closeDeployment(closed.DeploymentID()))
	c.block()
	missing := types.OrderID{Owner: tenant(5), Dseq: 7, Gseq: 1, Oseq: 1}
	unknownDenom := item(id, 100)
	unknownDenom.Price.Denom = "unone"
	unknownDeposit := item(id, 100)
	unknownDeposit.Deposit.Denom = "unone"
	before := mustJSON(t, c.state())
	for name, tc := range map[string]struct {
		msg  sdk.Msg
		want error
		item types.ItemResult
		says string
	}{
		"bid on a missing order":     {msg: &types.MsgCreateBids{Provider: provider(1), Bids: []types.BidItem{item(missing, 1)}}, item: code(types.ErrOrderNotFound)},
		"bid on a closed order":      {msg: &types.MsgCreateBids{Provider: provider(1), Bids: []types.BidItem{item(gone, 1)}}, item: code(types.ErrOrderNotOpen)},
		"bid in an unknown denom":    {msg: &types.MsgCreateBids{Provider: provider(1), Bids: []types.BidItem{unknownDenom}}, item: code(types.ErrInvalidPrice)},
		"deposit in another":         {msg: &types.MsgCreateBids{Provider: provider(1), Bids: []types.BidItem{unknownDeposit}}, item: code(types.ErrInvalidDeposit)},
		"bid by a stranger":          {msg: &types.MsgCreateBids{Provider: tenant(7), Bids: []types.BidItem{item(id, 1)}}, want: types.ErrProviderNotRegistered, says: tenant(7)},
		"close a missing bid":        {msg: &types.MsgCloseBids{Provider: provider(1), OrderIds: []types.OrderID{id}}, item: code(types.ErrBidNotFound)},
		"close a lost bid":           {msg: &types.MsgCloseBids{Provider: provider(0), OrderIds: []types.OrderID{gone}}, item: code(types.ErrBidNotOpen)},
		"close a leased bid":         {msg: &types.MsgCloseBids{Provider: provider(0), OrderIds: []types.OrderID{lease.OrderID()}}, item: code(types.ErrBidNotOpen)},
		"lease on a missing order":   {msg: &types.MsgCreateLease{Id: missing.BidID(provider(0))}, want: types.ErrOrderNotFound, says: missing.String()},
		"lease of a missing bid":     {msg: &types.MsgCreateLease{Id: id.BidID(provider(1))}, want: types.ErrBidNotFound, says: id.BidID(provider(1)).String()},
		"lease on a closed order":    {msg: &types.MsgCreateLease{Id: gone.BidID(provider(0))}, want: types.ErrOrderNotOpen, says: gone.String()},
		"close another's lease":      {msg: &types.MsgCloseLease{Signer: tenant(3), Id: lease}, want: types.ErrUnauthorized, says: lease.String()},
		"close a missing lease":      {msg: &types.MsgCloseLease{Signer: tenant(0), Id: id.BidID(provider(0))}, want: types.ErrLeaseNotFound, says: id.BidID(provider(0)).String()},
		"close a closed lease":       {msg: &types.MsgCloseLease{Signer: tenant(1), Id: closed.BidID(provider(0))}, want: types.ErrLeaseClosed, says: closed.BidID(provider(0)).String()},
		"reclaim a closed lease":     {msg: &types.MsgStartReclaim{Provider: provider(0), Id: closed.BidID(provider(0))}, want: types.ErrLeaseClosed, says: closed.BidID(provider(0)).String()},
		"withdraw of a missing one":  {msg: &types.MsgWithdrawLeases{Provider: provider(0), Ids: []types.LeaseID{missing.BidID(provider(0))}}, item: code(types.ErrLeaseNotFound)},
		"withdraw of a closed one":   {msg: &types.MsgWithdrawLeases{Provider: provider(0), Ids: []types.LeaseID{closed.BidID(provider(0))}}, item: code(types.ErrLeaseClosed)},
		"withdraw another's":         {msg: &types.MsgWithdrawLeases{Provider: provider(1), Ids: []types.LeaseID{lease}}, want: types.ErrUnauthorized, says: lease.String()},
		"parameters of a stranger":   {msg: &types.MsgUpdateParams{Authority: tenant(0), Params: types.DefaultParams()}, want: types.ErrUnauthorized, says: tenant(0)},
		"parameters of nothing":      {msg: &types.MsgUpdateParams{Authority: authority()}, want: types.ErrInvalidParams, says: "bid_min_deposits"},
		"a lease of an empty id":     {msg: &types.MsgCreateLease{}, want: providertypes.ErrInvalidAddress, says: "owner"},
		"a reclaim of an empty id":   {msg: &types.MsgStartReclaim{Provider: provider(0)}, want: providertypes.ErrInvalidAddress, says: "owner"},
		"an empty message of bids":   {msg: &types.MsgCreateBids{}, want: providertypes.ErrInvalidAddress, says: "provider"},
		"an empty message to close":  {msg: &types.MsgCloseLease{}, want: providertypes.ErrInvalidAddress, says: "signer"},
		"a withdrawal by nobody":     {msg: &types.MsgWithdrawLeases{}, want: providertypes.ErrInvalidAddress, says: "provider"},
		"bids of nobody to be ended": {msg: &types.MsgCloseBids{}, want: providertypes.ErrInvalidAddress, says: "provider"},
	} {
		t.Run(name, func(t *testing.T) {
			results, err := c.deliver(tc.msg)
			if tc.want == nil {
				require.NoError(t, err)
				require.Equal(t, []types.ItemResult{tc.item}, results)
			} else {
				require.ErrorIs(t, err, tc.want)
				require.ErrorContains(t, err, tc.says)
			}
			require.Equal(t, before, mustJSON(t, c.state()), "nothing changed")
		})
	}
}
