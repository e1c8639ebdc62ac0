package simulation

import (
	"math/rand"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/testutil/simstate"
	"berth.dev/berth/x/market/types"
)

const (
	// minBidDeposit is the smallest bid deposit of simulated chains.
	minBidDeposit = 500
	// noticeLow and noticeHigh are the seconds of notice of simulated chains: a few blocks.
	noticeLow, noticeHigh = 5, 60
)

// Params are random parameters under which orders are soon full, notices soon run, and an end block leaves work over.
func Params(r *rand.Rand) types.Params {
	p := types.DefaultParams()
	p.BidMinDeposits = nil
	for _, denom := range simstate.Denoms() {
		p.BidMinDeposits = append(p.BidMinDeposits, sdk.NewInt64Coin(denom, minBidDeposit))
	}
	p.OrderMaxBids = uint32(simstate.Between(r, 2, 4))
	p.ExclusionBlocks = simstate.Between(r, 0, 6)
	p.MaxWorkPerBlock = uint32(simstate.Between(r, 15, 200))
	p.MinReclaimWindowSeconds = uint32(simstate.Between(r, noticeLow, noticeHigh/2))
	p.MaxReclaimWindowSeconds = noticeHigh
	return p
}
