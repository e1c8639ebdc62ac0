package tenant

import (
	"context"
	"fmt"

	"berth.dev/berth/manifest"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// SendSealed gives the providers of a deployment's leases the manifests of a sealed file, for those who make the
// transactions themselves. It returns what was accepted, also when a later one failed; a group without a lease is a
// failure, and is looked for before anything is sent.
func (m *Machine) SendSealed(ctx context.Context, f manifest.Sealed) ([]Accepted, error) {
	accepted, err := m.sendSealed(ctx, f)
	if err != nil {
		return accepted, asFailure(err)
	}
	return accepted, nil
}

func (m *Machine) sendSealed(ctx context.Context, f manifest.Sealed) ([]Accepted, error) {
	if f.Owner != m.Chain.Address() {
		return nil, failf(KindUsage, nil, "the manifest belongs to %s, and the key to %s: name the owner's with --key", f.Owner, m.Chain.Address())
	}
	id := deploymenttypes.DeploymentID{Owner: f.Owner, Dseq: f.Dseq}
	list, err := m.Chain.Leases(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the leases of deployment %d: %w", f.Dseq, err)
	}
	leases := map[uint32]markettypes.LeaseID{}
	for _, l := range list {
		if l.Lease.State != markettypes.LEASE_STATE_CLOSED {
			leases[l.Lease.Id.Gseq] = l.Lease.Id
		}
	}
	for _, env := range f.Envelopes {
		if _, ok := leases[env.Gseq]; !ok {
			return nil, failf(KindLease, []Hint{HintStatus}, "group %d of deployment %d has no lease", env.Gseq, f.Dseq)
		}
	}
	var accepted []Accepted
	for _, env := range f.Envelopes {
		group, err := manifest.Decode(env.Group)
		if err != nil {
			return accepted, fmt.Errorf("read the manifest of group %d: %w", env.Gseq, err)
		}
		lease := leases[env.Gseq]
		if err := m.putManifest(ctx, lease, group.Name, env); err != nil {
			return accepted, err
		}
		a := Accepted{Lease: leaseText(lease), Provider: lease.Provider, Group: group.Name}
		m.tell(a)
		accepted = append(accepted, a)
	}
	return accepted, nil
}
