package types

import (
	"fmt"

	errorsmod "cosmossdk.io/errors"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	providertypes "berth.dev/berth/x/provider/types"
)

// ValidateGroups checks that every group may be asked for: each by GroupSpec.Validate, with different names, all priced in
// denom, no unit above maxUnitPrice.
func ValidateGroups(groups []GroupSpec, denom string, maxUnitPrice math.Int) error {
	if len(groups) < 1 || len(groups) > MaxGroups {
		return ErrInvalidGroups.Wrapf("%d groups, 1 to %d are allowed", len(groups), MaxGroups)
	}
	names := make(map[string]struct{}, len(groups))
	for i, g := range groups {
		if _, dup := names[g.Name]; dup {
			return ErrInvalidGroups.Wrapf("two groups are called %q", g.Name)
		}
		names[g.Name] = struct{}{}
		if err := g.Validate(denom, maxUnitPrice); err != nil {
			return errorsmod.Wrapf(err, "group %d (%.64q)", i+1, g.Name)
		}
	}
	return nil
}

// Validate checks one group against the limits of this package, the denom of the deployment's deposit, and the
// largest price of an instance.
func (g GroupSpec) Validate(denom string, maxUnitPrice math.Int) error {
	if err := providertypes.ValidateText(g.Name, 1, MaxName); err != nil {
		return ErrInvalidGroups.Wrapf("name: %s", err)
	}
	if err := g.Requirements.Validate(); err != nil {
		return err
	}
	if len(g.Units) < 1 || len(g.Units) > MaxUnits {
		return ErrInvalidGroups.Wrapf("%d units, 1 to %d are allowed", len(g.Units), MaxUnits)
	}
	ids := make(map[uint32]struct{}, len(g.Units))
	for _, u := range g.Units {
		if u.Id == 0 {
			return ErrInvalidGroups.Wrap("a unit has the id 0: units are counted from 1")
		}
		if _, dup := ids[u.Id]; dup {
			return ErrInvalidGroups.Wrapf("two units have the id %d", u.Id)
		}
		ids[u.Id] = struct{}{}
		if err := u.Validate(); err != nil {
			return errorsmod.Wrapf(err, "unit %d", u.Id)
		}
		if err := u.validatePrice(denom, maxUnitPrice); err != nil {
			return errorsmod.Wrapf(err, "unit %d", u.Id)
		}
	}
	return validateTotals(g.Units)
}

// Price is what the group may cost per block: the sum of unit price x count. The group must be valid.
func (g GroupSpec) Price() sdk.DecCoin {
	sum := math.LegacyZeroDec()
	for _, u := range g.Units {
		sum = sum.Add(u.Price.Amount.MulInt64(int64(u.Count)))
	}
	return sdk.DecCoin{Denom: g.Denom(), Amount: sum}
}

// Denom is the denom that the group is priced in; a valid group has only one.
func (g GroupSpec) Denom() string {
	if len(g.Units) == 0 {
		return ""
	}
	return g.Units[0].Price.Denom
}

// Validate checks the placement requirements.
func (r PlacementRequirements) Validate() error {
	if err := providertypes.ValidateRequirements(r.Attributes); err != nil {
		return errorsmod.Wrap(err, "placement attributes")
	}
	if err := validateAuditors("all_of", r.SignedBy.AllOf); err != nil {
		return err
	}
	return validateAuditors("any_of", r.SignedBy.AnyOf)
}

func validateAuditors(list string, auditors []string) error {
	if len(auditors) > MaxAuditors {
		return ErrInvalidGroups.Wrapf("signed_by.%s: %d auditors, at most %d are allowed", list, len(auditors), MaxAuditors)
	}
	seen := make(map[string]struct{}, len(auditors))
	for _, a := range auditors {
		if _, err := providertypes.ParseAddress("auditor", a); err != nil {
			return errorsmod.Wrapf(err, "signed_by.%s", list)
		}
		if _, dup := seen[a]; dup {
			return ErrInvalidGroups.Wrapf("signed_by.%s: %s stands twice", list, a)
		}
		seen[a] = struct{}{}
	}
	return nil
}

// Validate checks the sizes of a unit, but not its price.
func (u ResourceUnit) Validate() error {
	switch {
	case u.CpuMilli < MinCPU || u.CpuMilli > MaxCPU:
		return ErrInvalidResources.Wrapf("cpu %dm is not in %dm..%dm", u.CpuMilli, MinCPU, MaxCPU)
	case u.MemoryBytes < MinMemory || u.MemoryBytes > MaxMemory:
		return ErrInvalidResources.Wrapf("memory of %d bytes is not in %d (1 MiB)..%d (2 TiB)", u.MemoryBytes, MinMemory, MaxMemory)
	case u.Count < MinCount || u.Count > MaxCount:
		return ErrInvalidResources.Wrapf("count %d is not in %d..%d", u.Count, MinCount, MaxCount)
	}
	if err := validateVolumes(u.Storage); err != nil {
		return err
	}
	if err := u.Gpu.Validate(); err != nil {
		return err
	}
	return validateEndpoints(u.Endpoints)
}

func validateVolumes(vs []Volume) error {
	if len(vs) > MaxVolumes {
		return ErrInvalidResources.Wrapf("%d volumes, at most %d are allowed", len(vs), MaxVolumes)
	}
	names := make(map[string]struct{}, len(vs))
	for i, v := range vs {
		if err := providertypes.ValidateText(v.Name, 1, MaxName); err != nil {
			return ErrInvalidResources.Wrapf("name of volume %d: %s", i+1, err)
		}
		if _, dup := names[v.Name]; dup {
			return ErrInvalidResources.Wrapf("two volumes are called %q", v.Name)
		}
		names[v.Name] = struct{}{}
		if v.Bytes < MinVolume || v.Bytes > MaxVolume {
			return ErrInvalidResources.Wrapf("volume %q of %d bytes is not in %d (5 MiB)..%d (32 TiB)", v.Name, v.Bytes, MinVolume, uint64(MaxVolume))
		}
		if err := providertypes.ValidateRequirements(v.Attributes); err != nil {
			return errorsmod.Wrapf(err, "volume %q", v.Name)
		}
	}
	return nil
}

// Validate checks the number of processors, and that attributes stand only where there is one.
func (g GPU) Validate() error {
	switch {
	case g.Count > MaxGPU:
		return ErrInvalidResources.Wrapf("gpu count %d is above %d", g.Count, MaxGPU)
	case g.Count == 0 && len(g.Attributes) > 0:
		return ErrInvalidResources.Wrap("gpu attributes without a gpu: give a count or remove them")
	}
	if err := providertypes.ValidateRequirements(g.Attributes); err != nil {
		return errorsmod.Wrap(err, "gpu")
	}
	return nil
}

func validateEndpoints(es []Endpoint) error {
	if len(es) > MaxEndpoints {
		return ErrInvalidResources.Wrapf("%d endpoints, at most %d are allowed", len(es), MaxEndpoints)
	}
	for i, e := range es {
		switch e.Kind {
		case ENDPOINT_KIND_HTTP, ENDPOINT_KIND_PORT, ENDPOINT_KIND_IP:
		default:
			return ErrInvalidResources.Wrapf("endpoint %d is of the unknown kind %d", i+1, int32(e.Kind))
		}
	}
	return nil
}

func (u ResourceUnit) validatePrice(denom string, limit math.Int) error {
	if err := ValidateDecCoin(u.Price); err != nil {
		return ErrInvalidPrice.Wrap(err.Error())
	}
	switch {
	case u.Price.Denom != denom:
		return ErrInvalidPrice.Wrapf("priced in %q, but the deposit is in %q: use one denom for the whole deployment", u.Price.Denom, denom)
	case u.Price.Amount.GT(math.LegacyNewDecFromInt(limit)):
		return ErrInvalidPrice.Wrapf("%s is above the largest price of an instance per block, %s%s", u.Price, limit, denom)
	}
	return nil
}

// ValidateDecCoin checks that a price is complete and positive. It accepts any value without a panic.
func ValidateDecCoin(c sdk.DecCoin) error {
	if c.Amount.IsNil() {
		return fmt.Errorf("a price has no amount")
	}
	if err := validateDenom(c.Denom); err != nil {
		return errorsmod.Wrap(err, "price")
	}
	if !c.Amount.IsPositive() {
		return fmt.Errorf("price %s is not positive", c)
	}
	return nil
}

// ValidateCoin checks that an amount is complete and positive. It accepts any value without a panic.
func ValidateCoin(c sdk.Coin) error {
	if c.Amount.IsNil() {
		return fmt.Errorf("an amount is missing")
	}
	if err := validateDenom(c.Denom); err != nil {
		return err
	}
	if !c.Amount.IsPositive() {
		return fmt.Errorf("%s is not positive", c)
	}
	return nil
}

// validateDenom keeps the error short, whatever was given.
func validateDenom(denom string) error {
	if len(denom) > 128 {
		return fmt.Errorf("a denom of %d bytes, at most 128 are allowed", len(denom))
	}
	return sdk.ValidateDenom(denom)
}

// Normal is the auction with its defaults filled in: no mode means that the tenant picks.
func (a Auction) Normal() Auction {
	if a.Mode == AUCTION_MODE_UNSPECIFIED {
		a.Mode = AUCTION_MODE_TENANT
	}
	return a
}

// Validate checks a window against its mode and the longest window.
func (a Auction) Validate(maxWindow uint32) error {
	switch a.Normal().Mode {
	case AUCTION_MODE_TENANT:
		if a.Window != 0 {
			return ErrInvalidAuction.Wrapf("a window of %d blocks without AUCTION_MODE_LOWEST: set the mode or remove the window", a.Window)
		}
	case AUCTION_MODE_LOWEST:
		if a.Window < 1 || a.Window > maxWindow {
			return ErrInvalidAuction.Wrapf("AUCTION_MODE_LOWEST needs a window of 1 to %d blocks, not %d", maxWindow, a.Window)
		}
	default:
		return ErrInvalidAuction.Wrapf("unknown mode %d", int32(a.Mode))
	}
	return nil
}

// Validate checks the notice that is asked for against what any chain allows; 0 asks for none.
func (r Reclamation) Validate() error {
	if r.MinWindowSeconds > MaxReclaimWindow {
		return ErrInvalidReclamation.Wrapf("min_window_seconds %d is above %d (30 days)", r.MinWindowSeconds, MaxReclaimWindow)
	}
	return nil
}
