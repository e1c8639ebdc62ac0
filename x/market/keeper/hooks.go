package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
)

var _ deploymenttypes.DeploymentHooks = (*Keeper)(nil)

// AfterDeploymentCreated opens the first order of each group. It fails with ErrReclaimWindow if the deployment asks for
// a notice outside the parameters.
func (k *Keeper) AfterDeploymentCreated(ctx context.Context, d deploymenttypes.Deployment, groups []deploymenttypes.Group) error {
	p, err := k.Params(ctx)
	if err != nil {
		return err
	}
	if err := p.CheckReclaimWindow(d.Reclamation.MinWindowSeconds); err != nil {
		return errorsmod.Wrapf(err, "reclamation of %s", d.Id)
	}
	for _, g := range groups {
		if err := k.openOrder(ctx, newOrder(d, g)); err != nil {
			return err
		}
	}
	return nil
}

// BeforeDeploymentClosed ends all orders and leases of a deployment. It leaves the payments to the escrow, which closes
// them with the account.
func (k *Keeper) BeforeDeploymentClosed(ctx context.Context, d deploymenttypes.Deployment, cause deploymenttypes.CloseCause) error {
	reason := types.CLOSE_REASON_TENANT
	if cause == deploymenttypes.CloseByExhaustion {
		reason = types.CLOSE_REASON_INSUFFICIENT_FUNDS
	}
	orders, err := k.lastOrders(ctx, d.Id)
	if err != nil {
		return err
	}
	for _, o := range orders {
		switch o.State {
		case types.ORDER_STATE_OPEN:
			err = k.closeOrder(ctx, o)
		case types.ORDER_STATE_ACTIVE:
			err = k.endOrderLease(ctx, o, reason)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// endOrderLease closes an active order with its lease.
func (k *Keeper) endOrderLease(ctx context.Context, o types.Order, reason types.CloseReason) error {
	l, err := k.orderLease(ctx, o.Id)
	if err != nil {
		return err
	}
	return k.endLease(ctx, l, o, reason)
}

// BeforeGroupStopped ends a group's order, and its lease with its payment, in the tenant's name.
func (k *Keeper) BeforeGroupStopped(ctx context.Context, _ deploymenttypes.Deployment, g deploymenttypes.Group) error {
	o, err := k.lastOrder(ctx, g.Id)
	if err != nil {
		return err
	}
	switch o.State {
	case types.ORDER_STATE_OPEN:
		return k.closeOrder(ctx, o)
	case types.ORDER_STATE_ACTIVE:
		l, err := k.orderLease(ctx, o.Id)
		if err != nil {
			return err
		}
		_, err = k.endPaid(ctx, l.Id, types.CLOSE_REASON_TENANT, func(types.Lease) error { return nil })
		return err
	}
	return nil
}

// AfterGroupStarted opens a group's next order.
func (k *Keeper) AfterGroupStarted(ctx context.Context, _ deploymenttypes.Deployment, g deploymenttypes.Group) error {
	last, err := k.lastOrder(ctx, g.Id)
	if err != nil {
		return err
	}
	if last.State != types.ORDER_STATE_CLOSED {
		return types.ErrOrderNotOpen.Wrapf("%s is %s, the group cannot have another order", last.Id, last.State)
	}
	next, err := nextOrder(last, height(ctx))
	if err != nil {
		return err
	}
	return k.openOrder(ctx, next)
}

// AfterDeploymentSuspended suspends the leases of a deployment.
func (k *Keeper) AfterDeploymentSuspended(ctx context.Context, d deploymenttypes.Deployment) error {
	return k.changeLeases(ctx, d.Id, func(types.Lease) types.LeaseState { return types.LEASE_STATE_SUSPENDED })
}

// AfterDeploymentResumed resumes the suspended leases of a deployment.
func (k *Keeper) AfterDeploymentResumed(ctx context.Context, d deploymenttypes.Deployment) error {
	return k.changeLeases(ctx, d.Id, resumed)
}

// changeLeases moves the living leases of a deployment to another state.
func (k *Keeper) changeLeases(ctx context.Context, id deploymenttypes.DeploymentID, to func(types.Lease) types.LeaseState) error {
	orders, err := k.lastOrders(ctx, id)
	if err != nil {
		return err
	}
	for _, o := range orders {
		if o.State != types.ORDER_STATE_ACTIVE {
			continue
		}
		l, err := k.orderLease(ctx, o.Id)
		if err != nil {
			return err
		}
		prev := l.State
		if l.State = to(l); l.State == prev {
			continue
		}
		if err := k.putLease(ctx, l, prev); err != nil {
			return err
		}
		if err := emitLease(ctx, l, prev); err != nil {
			return err
		}
	}
	return nil
}
