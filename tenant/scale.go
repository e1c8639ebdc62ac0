package tenant

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// PrepareScale changes the least number of instances of services that follow their load, by service: from 1 to what the
// deployment has reserved on chain. A service that does not follow its load runs what is reserved, and cannot be scaled.
// Like PrepareUpdate it sends and writes nothing, and its error is a *Failure.
func (m *Machine) PrepareScale(ctx context.Context, dseq uint64, least map[string]uint32) (*Update, error) {
	u, err := m.prepareScale(ctx, dseq, least)
	if err == nil {
		return u, nil
	}
	f := *asFailure(err)
	f.Dseq = dseq
	if ctx.Err() != nil {
		f = Failure{Kind: KindInterrupted, Dseq: dseq, Err: interruption{"while reading the present manifests; nothing was sent", ctx.Err()}}
	}
	return nil, &f
}

func (m *Machine) prepareScale(ctx context.Context, dseq uint64, least map[string]uint32) (*Update, error) {
	id := deploymenttypes.DeploymentID{Owner: m.Chain.Address(), Dseq: dseq}
	d, err := m.activeDeployment(ctx, id)
	if err != nil {
		return nil, err
	}
	specs := make([]deploymenttypes.GroupSpec, len(d.Groups))
	for i, g := range d.Groups {
		specs[i] = g.Spec
	}
	s, err := m.stateFor(ctx, id, d, specs)
	if err != nil {
		return nil, err
	}
	if _, err := m.syncLeases(ctx, s); err != nil {
		return nil, err
	}
	plan := &sdl.Plan{}
	for i := range d.Groups {
		g, ok := m.presentManifest(ctx, s, i, d.Deployment.ManifestHash)
		if !ok {
			return nil, failf(KindLease, []Hint{HintStatus, HintUpdate}, "the manifest of group %q can be read neither here nor at its provider", d.Groups[i].Spec.Name)
		}
		plan.Manifests = append(plan.Manifests, g)
	}
	if err := scaleServices(plan.Manifests, least); err != nil {
		return nil, &Failure{Kind: KindUsage, Err: err, Hints: []Hint{HintStatus}}
	}
	return m.sealUpdate(ctx, s, d, specs, plan, s.Document)
}

// scaleServices sets the least numbers of instances, or says everything that is wrong with them.
func scaleServices(groups []manifesttypes.Group, least map[string]uint32) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(least)) {
		if err := scaleService(groups, name, least[name]); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func scaleService(groups []manifesttypes.Group, name string, least uint32) error {
	var names []string
	found := false
	for i := range groups {
		for j := range groups[i].Services {
			sv := &groups[i].Services[j]
			names = append(names, sv.Name)
			if sv.Name != name {
				continue
			}
			found = true
			switch {
			case sv.Scale == nil:
				return fmt.Errorf("%s does not follow its load: it runs the %s that its order reserves; deploy a document with another count to change that", name, count(int(sv.Count), "instance"))
			case least < 1 || least > sv.Count:
				return fmt.Errorf("%s can have from 1 to %s at least, as its order reserves, not %d", name, count(int(sv.Count), "instance"), least)
			}
			scale := *sv.Scale
			scale.Min, sv.Scale = least, &scale
		}
	}
	if !found {
		slices.Sort(names)
		return fmt.Errorf("there is no service %q (there are %s)", name, strings.Join(slices.Compact(names), ", "))
	}
	return nil
}
