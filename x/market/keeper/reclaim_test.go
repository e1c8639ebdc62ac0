package keeper_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const start = 1_800_000_000 // seconds since 1970

func (c *chain) at(second int64) { c.ctx = c.ctx.WithBlockTime(time.Unix(second, 0).UTC()) }

func (c *chain) startReclaim(signer string, id types.LeaseID, reason types.CloseReason) (deadline int64, err error) {
	_, err = c.tx(func(ctx context.Context) error {
		res, err := c.msgs.StartReclaim(ctx, &types.MsgStartReclaim{Provider: signer, Id: id, Reason: reason})
		if err == nil {
			deadline = res.Deadline
		}
		return err
	})
	return deadline, err
}

func noticed(id types.OrderID, seconds uint32) types.BidItem {
	it := item(id, 100)
	it.ReclaimWindowSeconds = seconds
	return it
}

// reclaimable is a lease that owes an hour's notice, at the time start.
func reclaimable(t *testing.T) (*chain, types.LeaseID) {
	c := newChain(t)
	c.at(start)
	c.register(0)
	c.register(1)
	msg := deployMsg(0, 1)
	msg.Reclamation.MinWindowSeconds = 3600
	id := c.deploy(msg)
	require.Equal(t, []types.ItemResult{{}}, c.bids(0, noticed(id, 3600)))
	lease := id.BidID(provider(0))
	require.NoError(t, c.createLease(lease))
	require.EqualValues(t, 3600, c.lease(lease).ReclaimWindowSeconds)
	c.block()
	return c, lease
}

func TestBidsOfferTheNoticeThatAnOrderAsksFor(t *testing.T) {
	for name, tc := range map[string]struct {
		asks, offers uint32
		want         types.ItemResult
	}{
		"none for none":               {0, 0, types.ItemResult{}},
		"an hour unasked":             {0, 3600, types.ItemResult{}},
		"below the parameter unasked": {0, 3599, code(types.ErrReclaimWindow)},
		"none for an hour":            {3600, 0, code(types.ErrReclaimWindow)},
		"59 minutes for an hour":      {3600, 3599, code(types.ErrReclaimWindow)},
		"an hour for an hour":         {3600, 3600, types.ItemResult{}},
		"30 days for an hour":         {3600, 720 * 3600, types.ItemResult{}},
		"721 hours for an hour":       {3600, 721 * 3600, code(types.ErrReclaimWindow)},
		"the largest number":          {3600, 1<<32 - 1, code(types.ErrReclaimWindow)},
		"an hour for two":             {7200, 3600, code(types.ErrReclaimWindow)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t)
			c.register(0)
			msg := deployMsg(0, 1)
			msg.Reclamation.MinWindowSeconds = tc.asks
			id := c.deploy(msg)
			require.Equal(t, tc.asks, c.order(id).Reclamation.MinWindowSeconds)
			require.Equal(t, tc.want, c.bids(0, noticed(id, tc.offers))[0])
			c.block()
		})
	}
}

func TestDeploymentsAskForANoticeWithinTheParameters(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MinReclaimWindowSeconds, p.MaxReclaimWindowSeconds = 60, 600 })
	for window, want := range map[uint32]error{0: nil, 1: types.ErrReclaimWindow, 59: types.ErrReclaimWindow, 60: nil, 600: nil, 601: types.ErrReclaimWindow} {
		msg := deployMsg(0, uint64(window)+1)
		msg.Reclamation.MinWindowSeconds = window
		_, err := c.tx(func(ctx context.Context) error {
			_, err := c.deployment.CreateDeployment(ctx, msg)
			return err
		})
		require.ErrorIs(t, err, want, "%d seconds", window)
	}
	c.block()
}

func TestReclaimGivesItsNotice(t *testing.T) {
	c, id := reclaimable(t)
	require.ErrorIs(t, c.closeLease(provider(0), id, types.CLOSE_REASON_DECOMMISSION), types.ErrNoticeOwed)
	deadline, err := c.startReclaim(provider(0), id, types.CLOSE_REASON_DECOMMISSION)
	require.NoError(t, err)
	require.EqualValues(t, start+3600, deadline)
	l := c.lease(id)
	require.Equal(t, types.LEASE_STATE_RECLAIMING, l.State)
	require.Equal(t, deadline, l.ReclaimDeadline)
	_, err = c.startReclaim(provider(0), id, types.CLOSE_REASON_DECOMMISSION)
	require.ErrorIs(t, err, types.ErrReclaim, "a notice is not given twice: it would be put off, or its reason changed")

	c.block()
	c.at(start + 3599)
	require.ErrorIs(t, c.closeLease(provider(0), id, 0), types.ErrNoticeOwed)
	require.Positive(t, c.withdraw(0, id)[0].Amount.Amount.Int64(), "it is paid until the end")
	c.at(start + 3600)
	require.NoError(t, c.closeLease(provider(0), id, 0))
	require.Equal(t, types.CLOSE_REASON_DECOMMISSION, c.lease(id).Reason, "what was announced, where the provider gives no other")
	next := id.OrderID()
	next.Oseq = 2
	require.EqualValues(t, 3600, c.order(next).Reclamation.MinWindowSeconds)
	c.block()
}

func TestReclaimRefusals(t *testing.T) {
	c, id := reclaimable(t)
	unknown := id
	unknown.Dseq = 9
	free := c.bid(1, c.deploy(deployMsg(0, 2)), 100)
	require.NoError(t, c.createLease(free))
	for name, tc := range map[string]struct {
		signer string
		id     types.LeaseID
		reason types.CloseReason
		want   error
	}{
		"the tenant":                {tenant(0), id, 0, types.ErrUnauthorized},
		"another provider":          {provider(1), id, 0, types.ErrUnauthorized},
		"nobody":                    {"", id, 0, providertypes.ErrInvalidAddress},
		"a tenant's reason":         {provider(0), id, types.CLOSE_REASON_TENANT, types.ErrInvalidReason},
		"for want of funds":         {provider(0), id, types.CLOSE_REASON_INSUFFICIENT_FUNDS, types.ErrInvalidReason},
		"an unknown reason":         {provider(0), id, -1, types.ErrInvalidReason},
		"an unknown lease":          {provider(0), unknown, 0, types.ErrLeaseNotFound},
		"a lease without a notice":  {provider(1), free, 0, types.ErrReclaim},
		"an id that is not one":     {provider(0), types.LeaseID{Owner: id.Owner, Provider: provider(0)}, 0, types.ErrInvalidID},
		"a lease that would be his": {provider(1), unknown.OrderID().BidID(provider(1)), 0, types.ErrLeaseNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.startReclaim(tc.signer, tc.id, tc.reason)
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(id).State)
		})
	}
	require.NoError(t, c.closeLease(tenant(0), id, 0), "the tenant owes no notice")
	_, err := c.startReclaim(provider(0), id, 0)
	require.ErrorIs(t, err, types.ErrLeaseClosed)
	c.block()
}

func TestSuspensionKeepsWhatWasAnnounced(t *testing.T) {
	c := newChain(t)
	c.at(start)
	c.register(0)
	msg := deployMsg(0, 1)
	msg.Deposit = coin(1000)
	id := c.deploy(msg)
	require.Equal(t, []types.ItemResult{{}}, c.bids(0, noticed(id, 3600)))
	lease := id.BidID(provider(0))
	require.NoError(t, c.createLease(lease))
	deadline, err := c.startReclaim(provider(0), lease, types.CLOSE_REASON_UNSTABLE)
	require.NoError(t, err)
	c.blocks(11)
	require.Equal(t, types.LEASE_STATE_SUSPENDED, c.lease(lease).State, "1000 pays ten blocks at 100")
	_, err = c.startReclaim(provider(0), lease, types.CLOSE_REASON_UNSTABLE)
	require.ErrorIs(t, err, types.ErrReclaim)
	require.NoError(t, c.topUp(tenant(0), id.DeploymentID(), 1000))
	l := c.lease(lease)
	require.Equal(t, types.LEASE_STATE_RECLAIMING, l.State)
	require.Equal(t, deadline, l.ReclaimDeadline)
	require.ErrorIs(t, c.closeLease(provider(0), lease, 0), types.ErrNoticeOwed)
	c.blocks(11)
	require.Equal(t, types.LEASE_STATE_SUSPENDED, c.lease(lease).State)
	require.NoError(t, c.closeLease(provider(0), lease, 0), "who is not paid owes no notice")
	c.block()
}

// TestADryAccountFreesTheProviderAtOnce: the block in which the account runs dry has not been ended yet, but a message
// that touches the account sees it.
func TestADryAccountFreesTheProviderAtOnce(t *testing.T) {
	c := newChain(t)
	c.at(start)
	c.register(0)
	msg := deployMsg(0, 1)
	msg.Deposit = coin(1000)
	id := c.deploy(msg)
	require.Equal(t, []types.ItemResult{{}}, c.bids(0, noticed(id, 3600)))
	lease := id.BidID(provider(0))
	require.NoError(t, c.createLease(lease))
	c.blocks(10)
	require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(lease).State, "its last block has begun")
	require.NoError(t, c.closeLease(provider(0), lease, 0))
	c.block()
}

func TestReclaimingLeasesAreListed(t *testing.T) {
	c, id := reclaimable(t)
	_, err := c.startReclaim(provider(0), id, types.CLOSE_REASON_DECOMMISSION)
	require.NoError(t, err)
	for _, r := range []types.QueryLeasesRequest{
		{Provider: provider(0), State: types.LEASE_STATE_RECLAIMING}, {Owner: tenant(0), State: types.LEASE_STATE_RECLAIMING}, {Provider: provider(0)},
	} {
		res, err := c.query.Leases(c.ctx, &r)
		require.NoError(t, err)
		require.Len(t, res.Leases, 1)
	}
	require.NoError(t, c.closeDeployment(deploymenttypes.DeploymentID{Owner: id.Owner, Dseq: id.Dseq}))
	c.block()
}
