package simulation

import (
	"math/rand"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/testutil/simstate"
	"berth.dev/berth/x/escrow/types"
)

// minDeposit is the smallest deposit of simulated chains: small against prices, so that accounts run dry soon.
const minDeposit = 10

// Params are random parameters under which everything happens soon: a short grace, little work in a block, and often a
// take rate.
func Params(r *rand.Rand) types.Params {
	p := types.DefaultParams()
	p.MinDeposits = nil
	for _, denom := range simstate.Denoms() {
		p.MinDeposits = append(p.MinDeposits, sdk.NewInt64Coin(denom, minDeposit))
	}
	p.MinDeposits = sdk.NewCoins(p.MinDeposits...)
	p.GraceBlocks = simstate.Between(r, 10, 30)
	p.MinResumeBlocks = simstate.Between(r, 1, 10)
	p.MaxDuePerBlock = uint32(simstate.Between(r, 1, 50))
	if simstate.Chance(r, 30) {
		p.MaxDuePerBlock = 500
	}
	switch {
	case simstate.Chance(r, 70):
		p.TakeRate = math.LegacyNewDecWithPrec(simstate.Between(r, 1, 2000), 4)
	case simstate.Chance(r, 10):
		p.TakeRate = math.LegacyOneDec()
	default:
		p.TakeRate = math.LegacyZeroDec()
	}
	return p
}
