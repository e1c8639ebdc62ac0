package types

import (
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

const (
	// MaxBatch is the most items of a batch message.
	MaxBatch = 100
	// MaxObjectBytes is the largest object in an event, as JSON, in bytes.
	MaxObjectBytes = 16 << 10

	// DefaultBidDeposit is what a bid of a new chain deposits, in ubrt: half a BRT.
	DefaultBidDeposit = 500_000
	// DefaultOrderMaxBids is the most open bids on one order.
	DefaultOrderMaxBids = 20
	// DefaultExclusionBlocks is how long a provider whose lease has ended may not bid on the group.
	DefaultExclusionBlocks = 10
	// DefaultMaxWorkPerBlock bounds the auctions and refunds of an end block: one for each refund, eight for each auction and
	// one more for every four of its bids and of the attributes that its order requires. At the limit an end block takes less
	// than 100 ms of a processor with 100,000 keys in the store, its commit included.
	DefaultMaxWorkPerBlock = 250
	// DefaultMinReclaimWindow is the shortest notice before a lease is taken back: an hour, in seconds.
	DefaultMinReclaimWindow = 3600
	// DefaultMaxReclaimWindow is the longest one: thirty days, in seconds.
	DefaultMaxReclaimWindow = 30 * 24 * 3600

	maxOrderMaxBids    = 100
	maxExclusionBlocks = 1_000_000
	maxWorkCap         = 100_000
	maxBidDenoms       = 32
	maxReclaimWindow   = DefaultMaxReclaimWindow
)

// DefaultParams are the parameters of a new chain.
func DefaultParams() Params {
	return Params{
		BidMinDeposits:  []sdk.Coin{sdk.NewInt64Coin(units.BaseDenom, DefaultBidDeposit)},
		OrderMaxBids:    DefaultOrderMaxBids,
		ExclusionBlocks: DefaultExclusionBlocks,
		MaxWorkPerBlock: DefaultMaxWorkPerBlock,

		MinReclaimWindowSeconds: DefaultMinReclaimWindow,
		MaxReclaimWindowSeconds: DefaultMaxReclaimWindow,
	}
}

// Validate checks that each parameter is in its range.
func (p Params) Validate() error {
	if n := len(p.BidMinDeposits); n < 1 || n > maxBidDenoms {
		return ErrInvalidParams.Wrapf("bid_min_deposits has %d entries, 1 to %d are allowed", n, maxBidDenoms)
	}
	seen := make(map[string]struct{}, len(p.BidMinDeposits))
	for _, c := range p.BidMinDeposits {
		if err := deploymenttypes.ValidateCoin(c); err != nil {
			return ErrInvalidParams.Wrapf("bid_min_deposits: %s", err)
		}
		if _, dup := seen[c.Denom]; dup {
			return ErrInvalidParams.Wrapf("bid_min_deposits lists %s twice", c.Denom)
		}
		seen[c.Denom] = struct{}{}
	}
	switch {
	case p.OrderMaxBids < 1 || p.OrderMaxBids > maxOrderMaxBids:
		return ErrInvalidParams.Wrapf("order_max_bids %d is not in 1..%d", p.OrderMaxBids, maxOrderMaxBids)
	case p.ExclusionBlocks < 0 || p.ExclusionBlocks > maxExclusionBlocks:
		return ErrInvalidParams.Wrapf("exclusion_blocks %d is not in 0..%d", p.ExclusionBlocks, maxExclusionBlocks)
	case p.MaxWorkPerBlock < 1 || p.MaxWorkPerBlock > maxWorkCap:
		return ErrInvalidParams.Wrapf("max_work_per_block %d is not in 1..%d", p.MaxWorkPerBlock, maxWorkCap)
	case p.MaxReclaimWindowSeconds < 1 || p.MaxReclaimWindowSeconds > maxReclaimWindow:
		return ErrInvalidParams.Wrapf("max_reclaim_window_seconds %d is not in 1..%d", p.MaxReclaimWindowSeconds, maxReclaimWindow)
	case p.MinReclaimWindowSeconds > p.MaxReclaimWindowSeconds:
		return ErrInvalidParams.Wrapf("min_reclaim_window_seconds %d is above max_reclaim_window_seconds %d", p.MinReclaimWindowSeconds, p.MaxReclaimWindowSeconds)
	}
	return nil
}

// CheckDeposit says whether a bid's deposit is one of the accepted denoms and large enough.
func (p Params) CheckDeposit(deposit sdk.Coin) error {
	for _, c := range p.BidMinDeposits {
		if c.Denom != deposit.Denom {
			continue
		}
		if deposit.Amount.LT(c.Amount) {
			return ErrInvalidDeposit.Wrapf("%s is below %s", deposit, c)
		}
		return nil
	}
	return ErrInvalidDeposit.Wrapf("%s: deposit one of %s", deposit, sdk.Coins(p.BidMinDeposits))
}

// CheckReclaimWindow says whether a notice, of a bid or asked for by a deployment, is none or within the parameters.
func (p Params) CheckReclaimWindow(seconds uint32) error {
	if seconds != 0 && (seconds < p.MinReclaimWindowSeconds || seconds > p.MaxReclaimWindowSeconds) {
		return ErrReclaimWindow.Wrapf("%d seconds: give 0 or %d to %d", seconds, p.MinReclaimWindowSeconds, p.MaxReclaimWindowSeconds)
	}
	return nil
}
