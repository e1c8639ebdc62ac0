package keeper_test

import (
	"fmt"
	gomath "math"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/keeper"
	"berth.dev/berth/x/escrow/types"
)

func TestUpdateParams(t *testing.T) {
	e := newEnv(t)
	server := keeper.NewMsgServer(e.k)
	_, err := server.UpdateParams(e.ctx, &types.MsgUpdateParams{Authority: addr("someone").String(), Params: types.DefaultParams()})
	require.ErrorIs(t, err, types.ErrUnauthorized)
	_, err = server.UpdateParams(e.ctx, &types.MsgUpdateParams{Authority: authority, Params: types.DefaultParams()})
	require.NoError(t, err)
	got, err := e.k.GetParams(e.ctx)
	require.NoError(t, err)
	require.Equal(t, types.DefaultParams(), got)
}

// TestUpdateParamsWithExtremes: every numeric field takes what is within its bounds, and refuses the rest by its name
// without changing anything.
func TestUpdateParamsWithExtremes(t *testing.T) {
	taking := func(d math.LegacyDec) func(*types.Params) { return func(p *types.Params) { p.TakeRate = d } }
	least := func(i math.Int) func(*types.Params) {
		return func(p *types.Params) { p.MinDeposits = []sdk.Coin{{Denom: denom, Amount: i}} }
	}
	type edit struct {
		field string
		set   func(*types.Params)
		ok    bool
	}
	edits := []edit{
		{"take_rate", taking(math.LegacyZeroDec()), true},
		{"take_rate", taking(math.LegacyOneDec()), true},
		{"take_rate", taking(math.LegacyNewDec(-1)), false},
		{"take_rate", taking(math.LegacyNewDec(gomath.MaxInt64)), false},
		{"take_rate", taking(math.LegacyNewDec(gomath.MaxInt64).Add(math.LegacyOneDec())), false},
		{"take_rate", taking(math.LegacyNewDecFromInt(maxInt())), false},
		{"take_rate", taking(math.LegacyDec{}), false},
		{"min_deposits", least(math.ZeroInt()), false},
		{"min_deposits", least(math.OneInt()), true},
		{"min_deposits", least(math.NewInt(-1)), false},
		{"min_deposits", least(math.NewInt(gomath.MaxInt64)), true},
		{"min_deposits", least(math.NewInt(gomath.MaxInt64).AddRaw(1)), true},
		{"min_deposits", least(maxInt()), false},
		{"max_due_per_block", func(p *types.Params) { p.MaxDuePerBlock = gomath.MaxUint32 }, false},
	}
	for _, n := range []int64{0, 1, -1, gomath.MaxInt64, gomath.MinInt64} {
		edits = append(edits,
			edit{"grace_blocks", func(p *types.Params) { p.GraceBlocks = n }, n == 1},
			edit{"min_resume_blocks", func(p *types.Params) { p.MinResumeBlocks = n }, n == 1},
			edit{"max_due_per_block", func(p *types.Params) { p.MaxDuePerBlock = uint32(n) }, n == 1})
	}
	for i, tc := range edits {
		t.Run(fmt.Sprint(i, " ", tc.field), func(t *testing.T) {
			e := newEnv(t)
			before, err := e.k.GetParams(e.ctx)
			require.NoError(t, err)
			params := types.DefaultParams()
			tc.set(&params)
			_, err = keeper.NewMsgServer(e.k).UpdateParams(e.ctx, &types.MsgUpdateParams{Authority: authority, Params: params})
			if tc.ok {
				require.NoError(t, err)
				e.end(1)
				return
			}
			require.ErrorIs(t, err, types.ErrInvalidParams)
			require.ErrorContains(t, err, tc.field)
			after, err := e.k.GetParams(e.ctx)
			require.NoError(t, err)
			require.Equal(t, before, after)
		})
	}
}
