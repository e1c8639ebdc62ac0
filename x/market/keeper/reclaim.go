package keeper

import (
	"context"

	"berth.dev/berth/x/market/types"
)

// startReclaim announces that a provider takes a lease back, and returns the time from which it may close it. The lease
// goes on and is paid until then.
func (k *Keeper) startReclaim(ctx context.Context, id types.LeaseID, reason types.CloseReason) (int64, error) {
	l, err := k.liveLease(ctx, id)
	if err != nil {
		return 0, err
	}
	switch {
	case l.ReclaimWindowSeconds == 0:
		return 0, types.ErrReclaim.Wrapf("%s owes no notice: close it", id)
	case l.State != types.LEASE_STATE_ACTIVE:
		return 0, types.ErrReclaim.Wrapf("%s is %s", id, l.State)
	}
	l.State, l.ReclaimReason = types.LEASE_STATE_RECLAIMING, reason
	l.ReclaimDeadline = seconds(ctx) + int64(l.ReclaimWindowSeconds)
	if err := k.putLease(ctx, l, types.LEASE_STATE_ACTIVE); err != nil {
		return 0, err
	}
	return l.ReclaimDeadline, emitLease(ctx, l, types.LEASE_STATE_ACTIVE)
}

// mayTakeBack says why a provider may not close its lease at a time, or nil. It owes its notice only to a tenant that
// pays: one that waits for a deposit is not served.
func mayTakeBack(l types.Lease, now int64) error {
	switch {
	case l.ReclaimWindowSeconds == 0 || l.State == types.LEASE_STATE_SUSPENDED:
		return nil
	case l.State != types.LEASE_STATE_RECLAIMING:
		return types.ErrNoticeOwed.Wrapf("%s, of %d seconds", l.Id, l.ReclaimWindowSeconds)
	case now < l.ReclaimDeadline:
		return types.ErrNoticeOwed.Wrapf("%s may be closed at %d (seconds since 1970), it is %d", l.Id, l.ReclaimDeadline, now)
	}
	return nil
}

// resumed is the state that a suspended lease returns to: what was announced before stands.
func resumed(l types.Lease) types.LeaseState {
	if l.ReclaimDeadline != 0 {
		return types.LEASE_STATE_RECLAIMING
	}
	return types.LEASE_STATE_ACTIVE
}
