package chaintest_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/client"
	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

// TestStart sends coins through the RPC of a chain whose genesis was edited.
func TestStart(t *testing.T) {
	n := chaintest.Start(t, chaintest.Options{
		Genesis: func(cdc codec.JSONCodec, state map[string]json.RawMessage) {
			g := escrowtypes.DefaultGenesis()
			g.Params.GraceBlocks = 5
			state[escrowtypes.ModuleName] = cdc.MustMarshalJSON(g)
		},
	})
	c, err := client.New(client.Config{Node: n.RPCAddr, Keyring: n.Keyring(t), Key: "k0"})
	require.NoError(t, err)
	amount := sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, 7))
	res, err := c.Send(t.Context(), banktypes.NewMsgSend(n.Addr(0), n.Addr(1), amount))
	require.NoError(t, err)
	require.Positive(t, res.Height)

	n.WaitHeight(t, res.Height+1)
	got := n.App.BankKeeper.GetBalance(n.Context(t), n.Addr(1), units.BaseDenom)
	require.Equal(t, int64(chaintest.Funds+7), got.Amount.Int64())
	params, err := escrowtypes.NewQueryClient(c.Conn()).Params(t.Context(), &escrowtypes.QueryParamsRequest{})
	require.NoError(t, err)
	require.Equal(t, int64(5), params.Params.GraceBlocks)
	broken, err := escrowtypes.NewQueryClient(c.Conn()).Invariants(t.Context(), &escrowtypes.QueryInvariantsRequest{})
	require.NoError(t, err)
	require.Empty(t, broken.Broken)
}

// TestTwo runs two chains in one process.
func TestTwo(t *testing.T) {
	a := chaintest.Start(t, chaintest.Options{ChainID: "berth-a"})
	b := chaintest.Start(t, chaintest.Options{ChainID: "berth-b"})
	a.WaitHeight(t, 3)
	b.WaitHeight(t, 3)
	require.NotEqual(t, a.RPCAddr, b.RPCAddr)
	a.Stop()
	b.WaitHeight(t, b.Height()+2)
}
