package types

import (
	"cosmossdk.io/math"
)

const (
	// DefaultMaxUnitPrice is 10^12 micro tokens: a million whole tokens for an instance and block.
	DefaultMaxUnitPrice = 1_000_000_000_000
	// DefaultMaxAuctionWindow is the longest auction, in blocks.
	DefaultMaxAuctionWindow = 1000

	// priceDigits bounds max_unit_price at 10^30, so that the sum of a group's prices, a thousand times that, is far
	// from what a decimal can hold.
	priceDigits = 30
	// auctionWindowCap bounds max_auction_window.
	auctionWindowCap = 1_000_000
)

// DefaultParams are the parameters of a new chain.
func DefaultParams() Params {
	return Params{MaxUnitPrice: math.NewInt(DefaultMaxUnitPrice), MaxAuctionWindow: DefaultMaxAuctionWindow}
}

// Validate checks that each parameter is in its range.
func (p Params) Validate() error {
	top := math.NewIntWithDecimal(1, priceDigits)
	switch {
	case p.MaxUnitPrice.IsNil() || !p.MaxUnitPrice.IsPositive() || p.MaxUnitPrice.GT(top):
		return ErrInvalidParams.Wrapf("max_unit_price is not in 1..10^%d", priceDigits)
	case p.MaxAuctionWindow < 1 || p.MaxAuctionWindow > auctionWindowCap:
		return ErrInvalidParams.Wrapf("max_auction_window %d is not in 1..%d", p.MaxAuctionWindow, auctionWindowCap)
	}
	return nil
}
