package types

import (
	"cosmossdk.io/math"

	providertypes "berth.dev/berth/x/provider/types"
)

// DefaultGenesis has the default parameters and no deployment.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate checks all records, that none stands twice, and that groups and deployments fit together.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return ErrInvalidGenesis.Wrap(err.Error())
	}
	if err := validateFloors(g.Floors); err != nil {
		return err
	}
	deployments := make(map[DeploymentID]Deployment, len(g.Deployments))
	for _, d := range g.Deployments {
		if err := d.validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("deployment %s: %s", d.Id, err)
		}
		if _, dup := deployments[d.Id]; dup {
			return ErrInvalidGenesis.Wrapf("deployment %s stands twice", d.Id)
		}
		deployments[d.Id] = d
	}
	groups := make(map[GroupID]struct{}, len(g.Groups))
	count := make(map[DeploymentID]uint32, len(g.Deployments))
	for _, gr := range g.Groups {
		d, known := deployments[gr.Id.DeploymentID()]
		if !known {
			return ErrInvalidGenesis.Wrapf("group %s has no deployment", gr.Id)
		}
		if _, dup := groups[gr.Id]; dup {
			return ErrInvalidGenesis.Wrapf("group %s stands twice", gr.Id)
		}
		groups[gr.Id] = struct{}{}
		count[d.Id]++
		if err := gr.validate(d); err != nil {
			return ErrInvalidGenesis.Wrapf("group %s: %s", gr.Id, err)
		}
	}
	for _, gr := range g.Groups {
		if n := count[gr.Id.DeploymentID()]; gr.Id.Gseq < 1 || gr.Id.Gseq > n {
			return ErrInvalidGenesis.Wrapf("group %s is not one of the numbers 1..%d", gr.Id, n)
		}
	}
	for _, d := range g.Deployments {
		if count[d.Id] == 0 {
			return ErrInvalidGenesis.Wrapf("deployment %s has no groups", d.Id)
		}
	}
	return nil
}

func validateFloors(floors []PruneFloor) error {
	seen := make(map[string]struct{}, len(floors))
	for _, f := range floors {
		if _, err := providertypes.ParseAddress("owner", f.Owner); err != nil {
			return ErrInvalidGenesis.Wrapf("prune floor: %s", err)
		}
		if f.Dseq == 0 {
			return ErrInvalidGenesis.Wrapf("the prune floor of %s is 0: leave it out", f.Owner)
		}
		if _, dup := seen[f.Owner]; dup {
			return ErrInvalidGenesis.Wrapf("the prune floor of %s stands twice", f.Owner)
		}
		seen[f.Owner] = struct{}{}
	}
	return nil
}

func (d Deployment) validate() error {
	if err := d.Id.Validate(); err != nil {
		return err
	}
	if err := ValidateManifestHash(d.ManifestHash); err != nil {
		return err
	}
	switch d.State {
	case DEPLOYMENT_STATE_ACTIVE:
		if d.PruneAt != 0 {
			return ErrInvalidGenesis.Wrapf("prune_at %d of an active deployment", d.PruneAt)
		}
	case DEPLOYMENT_STATE_CLOSED:
		if d.PruneAt < 1 || d.PruneAt < d.ClosedAt {
			return ErrInvalidGenesis.Wrapf("prune_at %d of a deployment closed at %d", d.PruneAt, d.ClosedAt)
		}
	default:
		return ErrInvalidGenesis.Wrapf("state %s", d.State)
	}
	if err := d.Reclamation.Validate(); err != nil {
		return err
	}
	return d.Auction.Validate(auctionWindowCap)
}

func (g Group) validate(d Deployment) error {
	switch {
	case g.State != GROUP_STATE_OPEN && g.State != GROUP_STATE_PAUSED && g.State != GROUP_STATE_CLOSED:
		return ErrInvalidGenesis.Wrapf("state %s", g.State)
	case d.State == DEPLOYMENT_STATE_CLOSED && g.State != GROUP_STATE_CLOSED:
		return ErrInvalidGenesis.Wrapf("state %s in a closed deployment", g.State)
	}
	// A parameter may have been lowered since: only what arithmetic needs is checked.
	return g.Spec.Validate(g.Spec.Denom(), math.NewIntWithDecimal(1, priceDigits))
}
