package types

import (
	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/units"
)

// Bounds of the parameters and of what one account may hold.
const (
	// MaxGraceBlocks is the longest grace: about half a year of 500 ms blocks. It keeps heights far from overflow.
	MaxGraceBlocks = 32_000_000
	// MaxDuePerBlock is the most units of work that an end block may be told to do on due accounts.
	MaxDuePerBlock = 100_000
	// MaxDeposits is the most unspent deposits on one account, so that no stranger can make it costly to read. The last
	// MaxSources of them are kept for its owner, whom strangers hence cannot lock out.
	MaxDeposits = 100
)

// DefaultDenom is the denom accepted by the default parameters.
const DefaultDenom = units.BaseDenom

// DefaultParams are the parameters of a new chain: an account opens with half a BRT, a dry one has 7200 blocks of
// grace (an hour of 500 ms blocks) and resumes with 100 blocks of its rate. 50 units of work are 25 suspensions or 16
// closings of accounts with one payment. Twice as many, with the market's share, took 65 ms of processor time a block on
// average and 294 ms at most, execution and commit together, on goleveldb with 10,000 leases.
func DefaultParams() Params {
	return Params{
		MinDeposits:     []sdk.Coin{sdk.NewInt64Coin(DefaultDenom, 500_000)},
		GraceBlocks:     7200,
		MinResumeBlocks: 100,
		MaxDuePerBlock:  50,
		TakeRate:        math.LegacyZeroDec(),
	}
}

// Validate returns ErrInvalidParams for the first parameter out of bounds.
func (p Params) Validate() error {
	if len(p.MinDeposits) == 0 {
		return errorsmod.Wrap(ErrInvalidParams, "min_deposits: at least one denom must be accepted")
	}
	if err := validateCoins(p.MinDeposits); err != nil {
		return errorsmod.Wrapf(ErrInvalidParams, "min_deposits: %s", err)
	}
	for _, coin := range p.MinDeposits {
		if coin.Amount.GT(MaxDeposited) {
			return errorsmod.Wrapf(ErrInvalidParams, "min_deposits: %s is more than the %s that an account may hold", coin, MaxDeposited)
		}
	}
	for _, field := range []struct {
		name       string
		value, max int64
	}{
		{"grace_blocks", p.GraceBlocks, MaxGraceBlocks},
		{"min_resume_blocks", p.MinResumeBlocks, MaxGraceBlocks},
		{"max_due_per_block", int64(p.MaxDuePerBlock), MaxDuePerBlock},
	} {
		if field.value < 1 || field.value > field.max {
			return errorsmod.Wrapf(ErrInvalidParams, "%s: %d is not in 1..%d", field.name, field.value, field.max)
		}
	}
	if p.TakeRate.IsNil() || p.TakeRate.IsNegative() || p.TakeRate.GT(math.LegacyOneDec()) {
		return errorsmod.Wrapf(ErrInvalidParams, "take_rate: %s is not in 0..1", p.TakeRate)
	}
	return nil
}

// MinDeposit is the smallest deposit that opens an account in a denom; it fails with ErrInvalidDenom for a denom that
// is not accepted.
func (p Params) MinDeposit(denom string) (math.Int, error) {
	for _, coin := range p.MinDeposits {
		if coin.Denom == denom {
			return coin.Amount, nil
		}
	}
	return math.Int{}, errorsmod.Wrapf(ErrInvalidDenom, "%q is not accepted; accepted are %s", denom, sdk.Coins(p.MinDeposits).Denoms())
}
