package keeper

import (
	"context"
	"errors"

	errorsmod "cosmossdk.io/errors"

	"berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

var _ escrowtypes.EscrowHooks = (*Keeper)(nil)

// AfterAccountSuspended passes the news of a dry account on to the market.
func (k *Keeper) AfterAccountSuspended(ctx context.Context, a escrowtypes.Account) error {
	d, ok, err := k.activeOf(ctx, a)
	if err != nil || !ok || k.hooks == nil {
		return err
	}
	return k.hooks.AfterDeploymentSuspended(ctx, d)
}

// AfterAccountResumed passes the news of a filled account on to the market.
func (k *Keeper) AfterAccountResumed(ctx context.Context, a escrowtypes.Account) error {
	d, ok, err := k.activeOf(ctx, a)
	if err != nil || !ok || k.hooks == nil {
		return err
	}
	return k.hooks.AfterDeploymentResumed(ctx, d)
}

// AfterAccountExpired closes the deployment of an account whose grace period has ended; the escrow has closed and
// refunded the account before.
func (k *Keeper) AfterAccountExpired(ctx context.Context, a escrowtypes.Account) error {
	d, ok, err := k.activeOf(ctx, a)
	if err != nil || !ok {
		return err
	}
	return k.close(ctx, d, types.CloseByExhaustion)
}

// activeOf finds the active deployment that an escrow account pays for. Accounts of other scopes, and of deployments
// that are closed already, are no concern of this module.
func (k *Keeper) activeOf(ctx context.Context, a escrowtypes.Account) (types.Deployment, bool, error) {
	if a.Id.Scope != types.EscrowScope {
		return types.Deployment{}, false, nil
	}
	id, err := types.ParseDeploymentID(a.Id.Xid)
	if err != nil {
		return types.Deployment{}, false, errorsmod.Wrapf(err, "escrow account %s", a.Id)
	}
	d, err := k.Deployment(ctx, id)
	if errors.Is(err, types.ErrDeploymentNotFound) {
		return types.Deployment{}, false, nil
	}
	if err != nil {
		return types.Deployment{}, false, err
	}
	return d, d.State == types.DEPLOYMENT_STATE_ACTIVE, nil
}
