package types

import (
	"cosmossdk.io/math"
)

const (
	// DefaultMaxUnitPrice is 10^12 micro tokens: a million whole tokens for an instance and block.
	DefaultMaxUnitPrice = 1_000_000_000_000
	// DefaultMaxAuctionWindow is the longest auction, in blocks.
	DefaultMaxAuctionWindow = 1000
	// DefaultRetentionBlocks is a week of blocks of 500 ms.
	DefaultRetentionBlocks = 1_209_600
	// DefaultMaxPrunePerBlock is the most records that one end block removes.
	DefaultMaxPrunePerBlock = 200

	// retentionCap bounds retention_blocks: a year of blocks of 500 ms.
	retentionCap = 63_072_000
	// minPrune and pruneCap bound max_prune_per_block. A deployment with its groups, at most 21 records, leaves in one
	// block together with the last of its escrow account, and that has to fit.
	minPrune = 50
	pruneCap = 10_000

	// priceDigits bounds max_unit_price at 10^30, so that the sum of a group's prices, a thousand times that, is far
	// from what a decimal can hold.
	priceDigits = 30
	// auctionWindowCap bounds max_auction_window.
	auctionWindowCap = 1_000_000
)

// DefaultParams are the parameters of a new chain.
func DefaultParams() Params {
	return Params{
		MaxUnitPrice: math.NewInt(DefaultMaxUnitPrice), MaxAuctionWindow: DefaultMaxAuctionWindow,
		RetentionBlocks: DefaultRetentionBlocks, MaxPrunePerBlock: DefaultMaxPrunePerBlock,
	}
}

// Validate checks that each parameter is in its range.
func (p Params) Validate() error {
	top := math.NewIntWithDecimal(1, priceDigits)
	switch {
	case p.MaxUnitPrice.IsNil() || !p.MaxUnitPrice.IsPositive() || p.MaxUnitPrice.GT(top):
		return ErrInvalidParams.Wrapf("max_unit_price is not in 1..10^%d", priceDigits)
	case p.MaxAuctionWindow < 1 || p.MaxAuctionWindow > auctionWindowCap:
		return ErrInvalidParams.Wrapf("max_auction_window %d is not in 1..%d", p.MaxAuctionWindow, auctionWindowCap)
	case p.RetentionBlocks < 1 || p.RetentionBlocks > retentionCap:
		return ErrInvalidParams.Wrapf("retention_blocks %d is not in 1..%d", p.RetentionBlocks, retentionCap)
	case p.MaxPrunePerBlock < minPrune || p.MaxPrunePerBlock > pruneCap:
		return ErrInvalidParams.Wrapf("max_prune_per_block %d is not in %d..%d", p.MaxPrunePerBlock, minPrune, pruneCap)
	}
	return nil
}
