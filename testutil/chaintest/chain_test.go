package chaintest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/app"
	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

// TestChain makes blocks without CometBFT: several transactions of one account in a block, what governance does, and
// hashes that change with what is written and nothing else.
func TestChain(t *testing.T) {
	c := chaintest.NewChain(t, chaintest.Options{})
	require.Equal(t, int64(1), c.Height())
	before := c.Roots(escrowtypes.StoreKey)
	require.NotEmpty(t, before)
	send := func() chaintest.Tx {
		coins := sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, 7))
		return chaintest.Tx{Signers: c.Keys[:1], Msgs: []sdk.Msg{banktypes.NewMsgSend(c.Addr(0), c.Addr(1), coins)}}
	}
	for _, res := range c.Block(c.Sign(send()), c.Sign(send())) {
		require.Zero(t, res.Code, res.Log)
	}
	require.EqualValues(t, chaintest.Funds+14, c.App.BankKeeper.GetBalance(c.Context(), c.Addr(1), units.BaseDenom).Amount.Int64())
	require.Equal(t, before, c.Roots(escrowtypes.StoreKey))

	params := escrowtypes.DefaultParams()
	params.GraceBlocks = 77
	require.ErrorIs(t, c.Govern(&escrowtypes.MsgUpdateParams{Authority: c.Addr(0).String(), Params: params}), escrowtypes.ErrUnauthorized)
	require.Equal(t, before, c.Roots(escrowtypes.StoreKey))
	require.NoError(t, c.Govern(&escrowtypes.MsgUpdateParams{Authority: app.Authority(), Params: params}))
	require.NotEqual(t, before, c.Roots(escrowtypes.StoreKey))
}
