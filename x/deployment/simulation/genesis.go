package simulation

import (
	"math/rand"

	"berth.dev/berth/testutil/simstate"
	"berth.dev/berth/x/deployment/types"
)

// maxWindow is the longest auction of simulated chains, in blocks.
const maxWindow = 8

// Params are random parameters under which what has closed is soon pruned, by a few records in a block.
func Params(r *rand.Rand) types.Params {
	p := types.DefaultParams()
	p.MaxAuctionWindow = uint32(simstate.Between(r, 2, maxWindow))
	p.RetentionBlocks = simstate.Between(r, 15, 40)
	p.MaxPrunePerBlock = uint32(simstate.Between(r, 50, 300))
	return p
}
