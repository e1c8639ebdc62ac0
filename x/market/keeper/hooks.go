package keeper

import (
	"context"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
)

var _ deploymenttypes.DeploymentHooks = (*Keeper)(nil)

// AfterDeploymentCreated opens the first order of each group.
func (k *Keeper) AfterDeploymentCreated(ctx context.Context, d deploymenttypes.Deployment, groups []deploymenttypes.Group) error {
	for _, g := range groups {
		o := types.Order{
			Id:   types.OrderID{Owner: g.Id.Owner, Dseq: g.Id.Dseq, Gseq: g.Id.Gseq, Oseq: 1},
			Spec: g.Spec, Auction: d.Auction,
		}
		if err := k.openOrder(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// BeforeDeploymentClosed ends all orders, bids and leases of a deployment and gives the bids' deposits back. It leaves
// the payments to the escrow, which closes them with the account.
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
			err = k.abandonOrder(ctx, o)
		case types.ORDER_STATE_ACTIVE:
			err = k.endOrderLease(ctx, o, reason)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// abandonOrder closes an open order: its bids are lost.
func (k *Keeper) abandonOrder(ctx context.Context, o types.Order) error {
	if _, err := k.loseBids(ctx, o.Id); err != nil {
		return err
	}
	return k.closeOrder(ctx, o)
}

// endOrderLease closes an active order with its lease.
func (k *Keeper) endOrderLease(ctx context.Context, o types.Order, reason types.CloseReason) error {
	l, err := k.orderLease(ctx, o.Id)
	if err != nil {
		return err
	}
	return k.endLease(ctx, l, o, reason)
}

// AfterDeploymentSuspended suspends the active leases of a deployment.
func (k *Keeper) AfterDeploymentSuspended(ctx context.Context, d deploymenttypes.Deployment) error {
	return k.changeLeases(ctx, d.Id, types.LEASE_STATE_ACTIVE, types.LEASE_STATE_SUSPENDED)
}

// AfterDeploymentResumed resumes the suspended leases of a deployment.
func (k *Keeper) AfterDeploymentResumed(ctx context.Context, d deploymenttypes.Deployment) error {
	return k.changeLeases(ctx, d.Id, types.LEASE_STATE_SUSPENDED, types.LEASE_STATE_ACTIVE)
}

// changeLeases moves the leases of a deployment from one state to another.
func (k *Keeper) changeLeases(ctx context.Context, id deploymenttypes.DeploymentID, from, to types.LeaseState) error {
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
		if l.State != from {
			continue
		}
		l.State = to
		if err := k.putLease(ctx, l, from); err != nil {
			return err
		}
		if err := emitLease(ctx, l, from); err != nil {
			return err
		}
	}
	return nil
}

// BeforeGroupStopped ends a group's order, with its lease.
func (k *Keeper) BeforeGroupStopped(context.Context, deploymenttypes.Deployment, deploymenttypes.Group) error {
	return nil
}

// AfterGroupStarted opens a group's next order.
func (k *Keeper) AfterGroupStarted(context.Context, deploymenttypes.Deployment, deploymenttypes.Group) error {
	return nil
}

// PruneDeployment removes the orders, bids and leases of a closed deployment.
func (k *Keeper) PruneDeployment(context.Context, deploymenttypes.Deployment, int) (removed int, done bool, err error) {
	return 0, true, nil
}
