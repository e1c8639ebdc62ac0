package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

func TestBidRefusals(t *testing.T) {
	offer := func(us ...deploymenttypes.ResourceUnit) (os []types.ResourceOffer) {
		for _, u := range us {
			os = append(os, types.ResourceOffer{Unit: u})
		}
		return os
	}
	bigger := unit(1, 100, 2)
	bigger.CpuMilli++
	for name, tc := range map[string]struct {
		deploy func(*deploymenttypes.MsgCreateDeployment)
		attrs  []providertypes.Attribute
		item   func(*types.BidItem)
		want   types.ItemResult
	}{
		"accepted at the maximum":       {},
		"below the smallest unit":       {item: func(i *types.BidItem) { i.Price = sdk.NewDecCoinFromDec(denom, sdkDec("0.000000000000000001")) }},
		"one step above the maximum":    {item: func(i *types.BidItem) { i.Price = sdk.NewDecCoinFromDec(denom, sdkDec("200.000000000000000001")) }, want: code(types.ErrPriceTooHigh)},
		"another denom":                 {item: func(i *types.BidItem) { i.Price = sdk.NewInt64DecCoin("uusd", 1) }, want: code(types.ErrInvalidPrice)},
		"deposit at the minimum":        {item: func(i *types.BidItem) { i.Deposit = coin(500) }},
		"deposit below the minimum":     {item: func(i *types.BidItem) { i.Deposit = coin(499) }, want: code(types.ErrInvalidDeposit)},
		"deposit of another denom":      {item: func(i *types.BidItem) { i.Deposit = sdk.NewInt64Coin("uusd", 500) }, want: code(types.ErrInvalidDeposit)},
		"deposit above the balance":     {item: func(i *types.BidItem) { i.Deposit = coin(startBalance + 1) }, want: types.ItemResult{Codespace: sdkerrors.ErrInsufficientFunds.Codespace(), Code: sdkerrors.ErrInsufficientFunds.ABCICode()}},
		"unknown order":                 {item: func(i *types.BidItem) { i.OrderId.Oseq = 2 }, want: code(types.ErrOrderNotFound)},
		"valid for the next block":      {item: func(i *types.BidItem) { i.ValidUntil = 11 }},
		"valid until this height":       {item: func(i *types.BidItem) { i.ValidUntil = 10 }, want: code(types.ErrBidExpired)},
		"auction: valid until its end":  {deploy: func(m *deploymenttypes.MsgCreateDeployment) { m.Auction = lowest(5) }, item: func(i *types.BidItem) { i.ValidUntil = 15 }},
		"auction: ends before it":       {deploy: func(m *deploymenttypes.MsgCreateDeployment) { m.Auction = lowest(5) }, item: func(i *types.BidItem) { i.ValidUntil = 14 }, want: code(types.ErrBidExpired)},
		"attribute met":                 {deploy: require1("region", "eu"), attrs: []providertypes.Attribute{{Key: "tier", Value: "1"}, {Key: "region", Value: "eu"}}},
		"attribute met by a glob":       {deploy: require1("gpu/nvidia/*", "true"), attrs: []providertypes.Attribute{{Key: "gpu/nvidia/a100", Value: "true"}}},
		"a glob stays within its level": {deploy: require1("gpu/*", "true"), attrs: []providertypes.Attribute{{Key: "gpu/nvidia/a100", Value: "true"}}, want: code(types.ErrAttributes)},
		"attribute of another value":    {deploy: require1("region", "eu"), attrs: []providertypes.Attribute{{Key: "region", Value: "us"}}, want: code(types.ErrAttributes)},
		"attribute missing":             {deploy: require1("region", "eu"), want: code(types.ErrAttributes)},
		"auditors asked for": {deploy: func(m *deploymenttypes.MsgCreateDeployment) {
			m.Groups[0].Requirements.SignedBy.AnyOf = []string{tenant(9)}
		}, want: code(types.ErrNotAudited)},
		"offer equal but for the price": {item: func(i *types.BidItem) { i.Offer = offer(unit(1, 7, 2)) }},
		"offer of another size":         {item: func(i *types.BidItem) { i.Offer = offer(bigger) }, want: code(types.ErrInvalidOffer)},
		"offer of another count":        {item: func(i *types.BidItem) { i.Offer = offer(unit(1, 100, 1)) }, want: code(types.ErrInvalidOffer)},
		"offer of an unknown unit":      {item: func(i *types.BidItem) { i.Offer = offer(unit(2, 100, 2)) }, want: code(types.ErrInvalidOffer)},
		"offer that names a unit twice": {item: func(i *types.BidItem) { i.Offer = offer(unit(1, 100, 2), unit(1, 100, 2)) }, want: code(types.ErrInvalidOffer)},
		"offer that misses a unit":      {deploy: twoUnits, item: func(i *types.BidItem) { i.Offer = offer(unit(1, 100, 2)) }, want: code(types.ErrInvalidOffer)},
		"offer with one unit for two":   {deploy: twoUnits, item: func(i *types.BidItem) { i.Offer = offer(unit(1, 100, 2), unit(1, 100, 2)) }, want: code(types.ErrInvalidOffer)},
		"offer in another order":        {deploy: twoUnits, item: func(i *types.BidItem) { i.Offer = offer(unit(2, 50, 1), unit(1, 100, 2)) }},
		"maximum is the sum over units": {deploy: twoUnits, item: func(i *types.BidItem) { i.Price = dec(250) }},
		"above the sum over two units":  {deploy: twoUnits, item: func(i *types.BidItem) { i.Price = dec(251) }, want: code(types.ErrPriceTooHigh)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t)
			c.register(0, tc.attrs...)
			msg := deployMsg(0, 1)
			if tc.deploy != nil {
				tc.deploy(msg)
			}
			it := item(c.deploy(msg), 200)
			if tc.item != nil {
				tc.item(&it)
			}
			before := c.balance(provider(0))
			require.Equal(t, tc.want, c.bids(0, it)[0])
			if tc.want.Code != 0 {
				require.Equal(t, before, c.balance(provider(0)), "a refused bid takes nothing")
			}
			c.check()
		})
	}
}

func require1(key, value string) func(*deploymenttypes.MsgCreateDeployment) {
	return func(m *deploymenttypes.MsgCreateDeployment) {
		m.Groups[0].Requirements.Attributes = []providertypes.Attribute{{Key: key, Value: value}}
	}
}

func twoUnits(m *deploymenttypes.MsgCreateDeployment) {
	m.Groups[0].Units = append(m.Groups[0].Units, unit(2, 50, 1))
}

func TestBidderMustBeRegisteredAndForeign(t *testing.T) {
	c := newChain(t)
	id := c.deploy(deployMsg(0, 1))
	_, err := c.msgs.CreateBids(c.ctx, &types.MsgCreateBids{Provider: provider(0), Bids: []types.BidItem{item(id, 1)}})
	require.ErrorIs(t, err, types.ErrProviderNotRegistered)

	_, err = c.provider.CreateProvider(c.ctx, &providertypes.MsgCreateProvider{Owner: tenant(0), HostUri: "https://a.example", TlsPins: [][]byte{make([]byte, 32)}})
	require.NoError(t, err)
	res, err := c.msgs.CreateBids(c.ctx, &types.MsgCreateBids{Provider: tenant(0), Bids: []types.BidItem{item(id, 1)}})
	require.NoError(t, err)
	require.Equal(t, code(types.ErrOwnOrder), res.Results[0])
}

func TestBatchIsValidatedAsAWhole(t *testing.T) {
	c := newChain(t)
	c.register(0)
	id := c.deploy(deployMsg(0, 1))
	many := func(n int) (items []types.BidItem) {
		for i := range n {
			it := item(id, 1)
			it.OrderId.Dseq = uint64(i + 1)
			items = append(items, it)
		}
		return items
	}
	nilPrice, nilDeposit, zeroPrice := item(id, 1), item(id, 1), item(id, 1)
	nilPrice.Price, nilDeposit.Deposit = sdk.DecCoin{Denom: denom}, sdk.Coin{Denom: denom}
	zeroPrice.Price.Amount = sdkDec("0")
	badID, foreign := item(id, 1), item(id, 1)
	badID.OrderId.Gseq = 0
	foreign.OrderId.Owner = "berth1nobody"
	for name, tc := range map[string]struct {
		items []types.BidItem
		want  error
	}{
		"100 items":       {many(100), nil},
		"101 items":       {many(101), types.ErrInvalidBatch},
		"none":            {nil, types.ErrInvalidBatch},
		"the same twice":  {[]types.BidItem{item(id, 1), item(id, 2)}, types.ErrInvalidBatch},
		"no price":        {[]types.BidItem{nilPrice}, types.ErrInvalidPrice},
		"a zero price":    {[]types.BidItem{zeroPrice}, types.ErrInvalidPrice},
		"no deposit":      {[]types.BidItem{nilDeposit}, types.ErrInvalidDeposit},
		"gseq 0":          {[]types.BidItem{badID}, types.ErrInvalidID},
		"no such address": {[]types.BidItem{foreign}, providertypes.ErrInvalidAddress},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.msgs.CreateBids(c.ctx, &types.MsgCreateBids{Provider: provider(0), Bids: tc.items})
			if tc.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tc.want)
		})
	}
}

func TestOneOpenBidPerProviderAndOrder(t *testing.T) {
	c := newChain(t)
	c.register(0)
	id := c.deploy(deployMsg(0, 1))
	bid := c.bid(0, id, 100)
	require.Equal(t, code(types.ErrBidExists), c.bids(0, item(id, 90))[0])
	require.Equal(t, types.ItemResult{}, c.closeBid(0, id))
	require.Equal(t, types.BID_STATE_CLOSED, c.theBid(bid).State)
	require.Equal(t, code(types.ErrBidNotOpen), c.closeBid(0, id), "a deposit comes back once")
	c.block()
	require.EqualValues(t, startBalance, c.balance(provider(0)).Int64())

	c.bid(0, id, 90)
	require.EqualValues(t, 1, c.order(id).OpenBids)
	c.block()
	require.EqualValues(t, startBalance-500, c.balance(provider(0)).Int64())
}

func TestCloseBidRefusals(t *testing.T) {
	c := newChain(t)
	c.register(0)
	c.register(1)
	id := c.deploy(deployMsg(0, 1))
	c.bid(0, id, 100)
	require.Equal(t, code(types.ErrBidNotFound), c.closeBid(1, id))
	require.NoError(t, c.createLease(id.BidID(provider(0))))
	require.Equal(t, code(types.ErrBidNotOpen), c.closeBid(0, id), "an active bid ends with its lease")
	c.block()
}

func TestFullOrderEvictsTheHighest(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.OrderMaxBids = 3 })
	for i := range 6 {
		c.register(i)
	}
	id := c.deploy(deployMsg(0, 1))
	first, high := c.bid(0, id, 100), c.bid(1, id, 150)
	c.block()
	late := c.bid(2, id, 150)
	require.Equal(t, code(types.ErrBidsFull), c.bids(3, item(id, 150))[0], "an equal bid does not evict")
	c.bid(3, id, 149)
	require.Equal(t, types.BID_STATE_LOST, c.theBid(late).State, "of equal prices the later bid goes")
	require.Equal(t, types.BID_STATE_OPEN, c.theBid(high).State)
	c.bid(4, id, 10)
	require.Equal(t, types.BID_STATE_LOST, c.theBid(high).State)
	require.Equal(t, types.BID_STATE_OPEN, c.theBid(first).State)
	require.EqualValues(t, 3, c.order(id).OpenBids)
	c.block()
	require.EqualValues(t, startBalance, c.balance(provider(1)).Int64(), "its deposit is back at the end of the block")
	c.bid(1, id, 5)
	c.block()
}

func TestFullOrderEvictsTheExpiredFirst(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.OrderMaxBids = 1 })
	c.register(0)
	c.register(1)
	id := c.deploy(deployMsg(0, 1))
	short := item(id, 1)
	short.ValidUntil = 11
	require.Equal(t, types.ItemResult{}, c.bids(0, short)[0])
	c.block()
	require.Equal(t, code(types.ErrBidsFull), c.bids(1, item(id, 200))[0], "valid until and including its height")
	c.block()
	require.ErrorIs(t, c.createLease(id.BidID(provider(0))), types.ErrBidExpired)
	c.bid(1, id, 200)
	c.block()
}
