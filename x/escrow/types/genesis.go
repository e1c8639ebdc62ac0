package types

import (
	"fmt"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/ledger"
)

// DefaultGenesis is an empty escrow with the default parameters.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate checks what can be checked without the chain: parameters, unique ids, and that every account's sums agree
// with its deposits and payments.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return err
	}
	sums, err := g.sumAccounts()
	if err != nil {
		return err
	}
	if err := g.addPayments(sums); err != nil {
		return err
	}
	for _, account := range g.Accounts {
		if err := account.ValidateSums(*sums[account.Id]); err != nil {
			return err
		}
	}
	if err := g.validateHolds(); err != nil {
		return err
	}
	return g.validateClaims()
}

// PaymentSums are the sums over the payments of one account that its record must agree with.
type PaymentSums struct {
	Rate      math.LegacyDec
	Accrued   math.LegacyDec
	Withdrawn math.Int
}

// NewPaymentSums are the sums over no payments.
func NewPaymentSums() PaymentSums {
	return PaymentSums{Rate: math.LegacyZeroDec(), Accrued: math.LegacyZeroDec(), Withdrawn: math.ZeroInt()}
}

// Add counts a payment in. A closed payment counts what it was paid, as its last fraction of a unit has gone back to
// the account.
func (s *PaymentSums) Add(p Payment) {
	s.Withdrawn = s.Withdrawn.Add(p.Withdrawn)
	if p.State == PAYMENT_STATE_CLOSED {
		s.Accrued = s.Accrued.Add(math.LegacyNewDecFromInt(p.Withdrawn))
		return
	}
	s.Accrued = s.Accrued.Add(p.Accrued)
	s.Rate = s.Rate.Add(p.Rate.Amount)
}

// ValidateSums checks an account's record against its deposits and the sums over its payments (INV-2). Of a closed account
// some payments may be gone: pruning takes them away before the account, a few in a block.
func (a Account) ValidateSums(sums PaymentSums) error {
	deposited := math.ZeroInt()
	for _, d := range a.Deposits {
		if !d.Amount.IsPositive() {
			return fmt.Errorf("account %s: deposit of %s by %s is not positive", a.Id, d.Amount, d.Owner)
		}
		deposited = deposited.Add(d.Amount)
	}
	switch {
	case !deposited.Equal(a.Deposited):
		return fmt.Errorf("account %s: deposited %s, but its deposits sum up to %s", a.Id, a.Deposited, deposited)
	case !agrees(a.State, a.Accrued.Equal(sums.Accrued), a.Accrued.GT(sums.Accrued)):
		return fmt.Errorf("account %s: accrued %s, but its payments %s", a.Id, a.Accrued, sums.Accrued)
	case !agrees(a.State, a.Paid.Equal(sums.Withdrawn), a.Paid.GT(sums.Withdrawn)):
		return fmt.Errorf("account %s: paid %s, but its payments were paid %s", a.Id, a.Paid, sums.Withdrawn)
	case !a.Rate.Equal(sums.Rate):
		return fmt.Errorf("account %s: rate %s, but its payments' is %s", a.Id, a.Rate, sums.Rate)
	case a.Accrued.GT(math.LegacyNewDecFromInt(a.Deposited)):
		return fmt.Errorf("account %s: accrued %s is more than the %s deposited", a.Id, a.Accrued, a.Deposited)
	case math.LegacyNewDecFromInt(a.Paid).GT(a.Accrued):
		return fmt.Errorf("account %s: paid %s is more than the %s accrued", a.Id, a.Paid, a.Accrued)
	case a.State == ACCOUNT_STATE_CLOSED && !a.Paid.Add(a.Refunded).Equal(a.Deposited):
		return fmt.Errorf("account %s: closed with %s paid and %s refunded of %s deposited", a.Id, a.Paid, a.Refunded, a.Deposited)
	}
	return nil
}

// agrees says whether a sum of an account fits its payments: it is equal, or more if the account may be in pruning.
func agrees(state AccountState, equal, more bool) bool {
	return equal || more && state == ACCOUNT_STATE_CLOSED
}

func (g GenesisState) sumAccounts() (map[AccountID]*PaymentSums, error) {
	sums := make(map[AccountID]*PaymentSums, len(g.Accounts))
	for _, a := range g.Accounts {
		if err := a.validateFields(); err != nil {
			return nil, err
		}
		if sums[a.Id] != nil {
			return nil, fmt.Errorf("account %s: stands twice", a.Id)
		}
		empty := NewPaymentSums()
		sums[a.Id] = &empty
	}
	return sums, nil
}

func (a Account) validateFields() error {
	if err := a.Id.Validate(); err != nil {
		return err
	}
	if a.State < ACCOUNT_STATE_OPEN || a.State > ACCOUNT_STATE_CLOSED {
		return fmt.Errorf("account %s: unknown state %d", a.Id, a.State)
	}
	if _, err := sdk.AccAddressFromBech32(a.Owner); err != nil {
		return fmt.Errorf("account %s: owner %q: %w", a.Id, a.Owner, err)
	}
	if err := sdk.ValidateDenom(a.Denom); err != nil {
		return fmt.Errorf("account %s: %w", a.Id, err)
	}
	if err := a.validateAmounts(); err != nil {
		return err
	}
	for _, d := range a.Deposits {
		if err := d.validate(); err != nil {
			return fmt.Errorf("account %s: deposit of %q: %w", a.Id, d.Owner, err)
		}
	}
	if a.DueAt < 0 || a.SettledAt < 0 {
		return fmt.Errorf("account %s: negative height", a.Id)
	}
	return nil
}

func (a Account) validateAmounts() error {
	if a.Deposited.IsNil() || a.Accrued.IsNil() || a.Paid.IsNil() || a.Rate.IsNil() || a.Refunded.IsNil() {
		return fmt.Errorf("account %s: an amount is missing", a.Id)
	}
	most := MaxDeposited.ToLegacyDec()
	if a.Deposited.GT(MaxDeposited) || a.Paid.GT(MaxDeposited) || a.Refunded.GT(MaxDeposited) || a.Accrued.GT(most) || a.Rate.GT(most) {
		return fmt.Errorf("account %s: an amount is more than the %s that an account may hold", a.Id, MaxDeposited)
	}
	if a.Refunded.IsNegative() || a.State != ACCOUNT_STATE_CLOSED && !a.Refunded.IsZero() {
		return fmt.Errorf("account %s: is %s with %s refunded", a.Id, a.State, a.Refunded)
	}
	return nil
}

func (d Deposit) validate() error {
	if _, err := sdk.AccAddressFromBech32(d.Owner); err != nil {
		return err
	}
	if d.Amount.IsNil() || d.Amount.GT(MaxDeposited) {
		return fmt.Errorf("amount %s", d.Amount)
	}
	switch d.Source {
	case SOURCE_BALANCE:
		if d.Grantee != "" || d.GrantSerial != 0 {
			return fmt.Errorf("is of a balance, but has a grantee")
		}
	case SOURCE_GRANT:
		if _, err := sdk.AccAddressFromBech32(d.Grantee); err != nil {
			return fmt.Errorf("grantee %q: %w", d.Grantee, err)
		}
	default:
		return fmt.Errorf("unknown source %d", d.Source)
	}
	return nil
}

func (g GenesisState) addPayments(sums map[AccountID]*PaymentSums) error {
	seen := make(map[PaymentID]bool, len(g.Payments))
	denoms := make(map[AccountID]string, len(g.Accounts))
	for _, a := range g.Accounts {
		denoms[a.Id] = a.Denom
	}
	for _, p := range g.Payments {
		if err := p.validateFields(denoms[p.Id.AccountId]); err != nil {
			return err
		}
		if seen[p.Id] {
			return fmt.Errorf("payment %s: stands twice", p.Id)
		}
		seen[p.Id] = true
		sum := sums[p.Id.AccountId]
		if sum == nil {
			return fmt.Errorf("payment %s: has no account", p.Id)
		}
		sum.Add(p)
	}
	return nil
}

func (p Payment) validateFields(denom string) error {
	if err := p.Id.Validate(); err != nil {
		return err
	}
	if p.State < PAYMENT_STATE_OPEN || p.State > PAYMENT_STATE_CLOSED {
		return fmt.Errorf("payment %s: unknown state %d", p.Id, p.State)
	}
	if _, err := sdk.AccAddressFromBech32(p.Payee); err != nil {
		return fmt.Errorf("payment %s: payee %q: %w", p.Id, p.Payee, err)
	}
	if p.Rate.Amount.IsNil() || !p.Rate.Amount.IsPositive() || p.Rate.Amount.GT(MaxDeposited.ToLegacyDec()) || p.Rate.Denom != denom {
		return fmt.Errorf("payment %s: rate %s is not a positive amount of %q that an account may pay", p.Id, p.Rate, denom)
	}
	if p.Accrued.IsNil() || p.Withdrawn.IsNil() || p.Withdrawn.IsNegative() || p.Withdrawn.GT(MaxDeposited) || math.LegacyNewDecFromInt(p.Withdrawn).GT(p.Accrued) {
		return fmt.Errorf("payment %s: withdrawn %s of %s accrued", p.Id, p.Withdrawn, p.Accrued)
	}
	return p.ValidateTaken()
}

// ValidateTaken checks that what was taken for the community pool is the take rate of what was paid (INV-2).
func (p Payment) ValidateTaken() error {
	if p.TakeRate.IsNil() || p.TakeRate.IsNegative() || p.TakeRate.GT(math.LegacyOneDec()) {
		return fmt.Errorf("payment %s: take rate %s is not in 0..1", p.Id, p.TakeRate)
	}
	if p.Taken.IsNil() || !p.Taken.Equal(ledger.Take(p.Withdrawn, p.TakeRate)) {
		return fmt.Errorf("payment %s: %s taken of %s at a rate of %s", p.Id, p.Taken, p.Withdrawn, p.TakeRate)
	}
	return nil
}

func (g GenesisState) validateHolds() error {
	type key struct{ scope, owner, denom string }
	seen := make(map[key]bool, len(g.Holds))
	for _, h := range g.Holds {
		if err := ValidateHoldID(h.Scope); err != nil {
			return err
		}
		id := key{h.Scope, h.Owner, h.Amount.Denom}
		if seen[id] {
			return fmt.Errorf("hold of %s in %s: stands twice in %s", h.Owner, h.Scope, h.Amount.Denom)
		}
		seen[id] = true
		if _, err := sdk.AccAddressFromBech32(h.Owner); err != nil {
			return fmt.Errorf("hold of %q in %s: owner: %w", h.Owner, h.Scope, err)
		}
		if h.Amount.Validate() != nil || !h.Amount.IsPositive() {
			return fmt.Errorf("hold of %s in %s: amount %s is not positive", h.Owner, h.Scope, h.Amount)
		}
	}
	return nil
}

func (g GenesisState) validateClaims() error {
	seen := make(map[string]bool, len(g.Claims))
	for _, c := range g.Claims {
		if _, err := sdk.AccAddressFromBech32(c.Address); err != nil {
			return fmt.Errorf("claim of %q: %w", c.Address, err)
		}
		if seen[c.Address] {
			return fmt.Errorf("claim of %s: stands twice", c.Address)
		}
		seen[c.Address] = true
		if validateCoins(c.Coins) != nil || validateCoins(c.Take) != nil || c.Coins.Empty() && c.Take.Empty() {
			return fmt.Errorf("claim of %s: coins %s or take %s are not positive", c.Address, c.Coins, c.Take)
		}
	}
	return nil
}
