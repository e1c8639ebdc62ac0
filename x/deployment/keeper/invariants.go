package keeper

import (
	"context"
	"fmt"

	"berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

// Invariants checks the module's part of INV-5 and INV-7 and returns what is broken, one sentence each; none is good.
// It reads the whole state: it is for tests, simulations and a query, never for a block.
func (k *Keeper) Invariants(ctx context.Context) []string {
	var broken []string
	fail := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	groups := map[types.DeploymentID]uint32{}
	err := k.groups.Walk(ctx, nil, func(_ types.GroupKey, g types.Group) (bool, error) {
		id := g.Id.DeploymentID()
		groups[id]++
		if g.Id.Gseq != groups[id] {
			fail("INV-7: group %s is number %d of its deployment", g.Id, groups[id])
		}
		d, err := k.Deployment(ctx, id)
		switch {
		case err != nil:
			fail("INV-7: group %s has no deployment: %s", g.Id, err)
		case d.State == types.DEPLOYMENT_STATE_CLOSED && g.State != types.GROUP_STATE_CLOSED:
			fail("INV-7: group %s is %s in a closed deployment", g.Id, g.State)
		}
		return false, nil
	})
	if err != nil {
		fail("groups cannot be read: %s", err)
	}
	err = k.deployments.Walk(ctx, nil, func(_ types.DeploymentKey, d types.Deployment) (bool, error) {
		if groups[d.Id] == 0 {
			fail("INV-7: deployment %s has no groups", d.Id)
		}
		if msg := k.brokenAccount(ctx, d); msg != "" {
			fail("INV-5: %s", msg)
		}
		if msg := k.brokenPrune(ctx, d); msg != "" {
			fail("INV-7: %s", msg)
		}
		return false, nil
	})
	if err != nil {
		fail("deployments cannot be read: %s", err)
	}
	return append(broken, k.strayPrunes(ctx)...)
}

// brokenPrune says what is wrong between a deployment and the prune queue: it stands there at its prune_at exactly when
// it is closed.
func (k *Keeper) brokenPrune(ctx context.Context, d types.Deployment) string {
	if d.State == types.DEPLOYMENT_STATE_ACTIVE {
		if d.PruneAt != 0 {
			return fmt.Sprintf("deployment %s is active and has prune_at %d", d.Id, d.PruneAt)
		}
		return ""
	}
	key, err := pruneKey(d)
	if err != nil {
		return fmt.Sprintf("deployment %s has no key: %s", d.Id, err)
	}
	if queued, err := k.pruneQueue.Has(ctx, key); err != nil || !queued {
		return fmt.Sprintf("closed deployment %s does not wait to be pruned at %d (%v)", d.Id, d.PruneAt, err)
	}
	return ""
}

// strayPrunes finds entries of the prune queue without a closed deployment of that prune_at.
func (k *Keeper) strayPrunes(ctx context.Context) []string {
	var broken []string
	err := k.pruneQueue.Walk(ctx, nil, func(key types.PruneKey) (bool, error) {
		id := types.DeploymentID{Owner: key.K2().String(), Dseq: key.K3()}
		d, err := k.Deployment(ctx, id)
		if err != nil || d.State != types.DEPLOYMENT_STATE_CLOSED || d.PruneAt != key.K1() {
			broken = append(broken, fmt.Sprintf("INV-7: the prune queue holds %s at %d, the deployment is %s at %d (%v)", id, key.K1(), d.State, d.PruneAt, err))
		}
		return false, nil
	})
	if err != nil {
		broken = append(broken, fmt.Sprintf("the prune queue cannot be read: %s", err))
	}
	return broken
}

// brokenAccount says what is wrong between a deployment and its escrow account: the one is active exactly when the
// other is not closed.
func (k *Keeper) brokenAccount(ctx context.Context, d types.Deployment) string {
	a, err := k.escrow.Account(ctx, d.Id.EscrowID())
	if err != nil {
		return fmt.Sprintf("the escrow account of %s cannot be read: %s", d.Id, err)
	}
	if (d.State == types.DEPLOYMENT_STATE_ACTIVE) == (a.State == escrowtypes.ACCOUNT_STATE_CLOSED) {
		return fmt.Sprintf("deployment %s is %s but its escrow account is %s", d.Id, d.State, a.State)
	}
	return ""
}
