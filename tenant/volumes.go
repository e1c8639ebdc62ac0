package tenant

import (
	"context"
	"errors"
	"fmt"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// Persistent are the persistent volumes that end with a deployment, by what the chain has of its groups with a lease: each as
// group/volume. There are none of one that is closed, or that nobody has taken.
func (m *Machine) Persistent(ctx context.Context, dseq uint64) ([]string, error) {
	id := deploymenttypes.DeploymentID{Owner: m.Chain.Address(), Dseq: dseq}
	d, err := m.Chain.Deployment(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && d.Deployment.State != deploymenttypes.DEPLOYMENT_STATE_ACTIVE {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the volumes of deployment %d: %w", dseq, err)
	}
	leases, err := m.Chain.Leases(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("look for the volumes of deployment %d: %w", dseq, err)
	}
	taken := map[uint32]bool{}
	for _, l := range leases {
		if l.Lease.State != markettypes.LEASE_STATE_CLOSED {
			taken[l.Lease.Id.Gseq] = true
		}
	}
	var out []string
	for _, g := range d.Groups {
		if !taken[g.Id.Gseq] {
			continue
		}
		for _, u := range g.Spec.Units {
			for _, v := range u.Storage {
				if persistent(v) {
					out = append(out, fmt.Sprintf("%s/%s", g.Spec.Name, v.Name))
				}
			}
		}
	}
	return out, nil
}

func persistent(v deploymenttypes.Volume) bool {
	for _, a := range v.Attributes {
		if a.Key == "persistent" && a.Value == "true" {
			return true
		}
	}
	return false
}
