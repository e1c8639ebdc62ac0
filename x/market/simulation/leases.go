package simulation

import (
	"context"
	"math/rand"
	"slices"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/testutil/simstate"
	deploymentsim "berth.dev/berth/x/deployment/simulation"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
)

var providerReasons = []types.CloseReason{
	types.CLOSE_REASON_UNSPECIFIED, types.CLOSE_REASON_UNSTABLE, types.CLOSE_REASON_DECOMMISSION, types.CLOSE_REASON_MANIFEST_TIMEOUT,
}

// MsgCreateLeaseFactory accepts open bids of orders that the tenant matches.
func (m Module) MsgCreateLeaseFactory() simsx.SimMsgFactoryFn[*types.MsgCreateLease] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgCreateLease) {
		r := data.Rand().Rand
		height := sdk.UnwrapSDKContext(ctx).BlockHeight()
		b, ok := simstate.Pick(r, m.state.Get(ctx).Bids, func(b types.Bid) bool {
			if b.State != types.BID_STATE_OPEN || b.ValidUntil != 0 && b.ValidUntil <= height {
				return false
			}
			o := m.byOrder.Get(ctx)[b.Id.OrderID()]
			payer := deploymenttypes.DeploymentID{Owner: b.Id.Owner, Dseq: b.Id.Dseq}.EscrowID()
			return o.State == types.ORDER_STATE_OPEN && o.Auction.Mode != deploymenttypes.AUCTION_MODE_LOWEST &&
				(m.escrow.CanPay(ctx, payer, b.Price.Amount) || r.Intn(500) == 0) && m.take(ctx, r, b.Id)
		})
		if !ok {
			reporter.Skip("no bid to accept")
			return nil, nil
		}
		tenant := data.GetAccount(reporter, b.Id.Owner)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{tenant}, &types.MsgCreateLease{Id: b.Id}
	}
}

// MsgCloseLeaseFactory ends leases: by the tenant, or by the provider where no notice is owed or it has run.
func (m Module) MsgCloseLeaseFactory() simsx.SimMsgFactoryFn[*types.MsgCloseLease] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgCloseLease) {
		r := data.Rand().Rand
		now := sdk.UnwrapSDKContext(ctx).BlockTime().Unix()
		byTenant := simstate.Chance(r, 35)
		l, ok := simstate.Pick(r, m.leases(ctx), func(l types.Lease) bool {
			free := l.ReclaimWindowSeconds == 0 || l.State == types.LEASE_STATE_SUSPENDED ||
				l.State == types.LEASE_STATE_RECLAIMING && now >= l.ReclaimDeadline
			return (byTenant || free || simstate.Chance(r, 3)) && m.take(ctx, r, l.Id)
		})
		if !ok {
			reporter.Skip("no lease to close")
			return nil, nil
		}
		msg := &types.MsgCloseLease{Signer: l.Id.Owner, Id: l.Id}
		if !byTenant {
			msg.Signer, msg.Reason = l.Id.Provider, providerReasons[r.Intn(len(providerReasons))]
		}
		signer := data.GetAccount(reporter, msg.Signer)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{signer}, msg
	}
}

// MsgStartReclaimFactory announces that a lease with a notice is taken back.
func (m Module) MsgStartReclaimFactory() simsx.SimMsgFactoryFn[*types.MsgStartReclaim] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgStartReclaim) {
		r := data.Rand().Rand
		l, ok := simstate.Pick(r, m.leases(ctx), func(l types.Lease) bool {
			fits := l.State == types.LEASE_STATE_ACTIVE && l.ReclaimWindowSeconds > 0
			return (fits || simstate.Chance(r, 1)) && m.take(ctx, r, l.Id)
		})
		if !ok {
			reporter.Skip("no lease with a notice")
			return nil, nil
		}
		provider := data.GetAccount(reporter, l.Id.Provider)
		if reporter.IsSkipped() {
			return nil, nil
		}
		return []simsx.SimAccount{provider}, &types.MsgStartReclaim{Provider: l.Id.Provider, Id: l.Id, Reason: providerReasons[r.Intn(len(providerReasons))]}
	}
}

// MsgWithdrawLeasesFactory pays out leases of a random provider.
func (m Module) MsgWithdrawLeasesFactory() simsx.SimMsgFactoryFn[*types.MsgWithdrawLeases] {
	return forProvider(m, m.withdrawal)
}

// withdrawal pays out some living leases of a provider; nil if there is none.
func (m Module) withdrawal(ctx context.Context, r *rand.Rand, provider string) *types.MsgWithdrawLeases {
	msg := &types.MsgWithdrawLeases{Provider: provider}
	want := int(simstate.Between(r, 1, maxItems))
	for _, l := range m.leases(ctx) {
		if l.Id.Provider == provider && len(msg.Ids) < want && simstate.Chance(r, 50) {
			msg.Ids = append(msg.Ids, l.Id)
		}
	}
	if len(msg.Ids) == 0 {
		return nil
	}
	return msg
}

// leases are those that live.
func (m Module) leases(ctx context.Context) []types.Lease { return m.living.Get(ctx) }

// take takes the whole deployment of a lease.
func (m Module) take(ctx context.Context, r *rand.Rand, id types.BidID) bool {
	return m.taken.Take(ctx, r, deploymentsim.TakeKey(deploymenttypes.DeploymentID{Owner: id.Owner, Dseq: id.Dseq}))
}

// Busy says whether a provider has living leases.
func (m Module) Busy(ctx context.Context, provider string) bool {
	return slices.ContainsFunc(m.leases(ctx), func(l types.Lease) bool { return l.Id.Provider == provider })
}
