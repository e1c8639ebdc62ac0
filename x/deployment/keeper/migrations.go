package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/internal/migrate"
)

// Migrator brings the module's state from one version to the next.
type Migrator struct{ k *Keeper }

// NewMigrator returns a migrator of the keeper's state.
func NewMigrator(k *Keeper) Migrator { return Migrator{k} }

// Migrate1to2 sets the parameters of pruning, and queues the deployments that have been closed: their retention counts
// from here, as nobody was told before that they would go.
func (m Migrator) Migrate1to2(ctx sdk.Context) error {
	p, err := m.k.Params(ctx)
	if err != nil {
		return err
	}
	if p.RetentionBlocks == 0 {
		p.RetentionBlocks = types.DefaultRetentionBlocks
	}
	if p.MaxPrunePerBlock == 0 {
		p.MaxPrunePerBlock = types.DefaultMaxPrunePerBlock
	}
	if err := m.k.params.Set(ctx, p); err != nil {
		return errorsmod.Wrap(err, "store the deployment parameters")
	}
	pruneAt := ctx.BlockHeight() + p.RetentionBlocks
	err = migrate.InPages(ctx, m.k.deployments, func(_ types.DeploymentKey, d types.Deployment) error {
		return m.deployment(ctx, d, pruneAt)
	})
	return errorsmod.Wrap(err, "migrate deployments")
}

func (m Migrator) deployment(ctx context.Context, d types.Deployment, pruneAt int64) error {
	if d.State != types.DEPLOYMENT_STATE_CLOSED {
		return nil
	}
	d.PruneAt = pruneAt
	if err := m.k.setDeployment(ctx, d); err != nil {
		return err
	}
	return m.k.queuePrune(ctx, d)
}
