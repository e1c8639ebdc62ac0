package keeper_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
)

func (c *chain) pause(id deploymenttypes.GroupID) error {
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.deployment.PauseGroup(ctx, &deploymenttypes.MsgPauseGroup{Id: id})
		return err
	})
	return err
}

func (c *chain) start(id deploymenttypes.GroupID) error {
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.deployment.StartGroup(ctx, &deploymenttypes.MsgStartGroup{Id: id})
		return err
	})
	return err
}

func (c *chain) closeGroup(id deploymenttypes.GroupID) error {
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.deployment.CloseGroup(ctx, &deploymenttypes.MsgCloseGroup{Id: id})
		return err
	})
	return err
}

func TestPauseEndsTheLeaseAndStartAsksAgain(t *testing.T) {
	c := newChain(t)
	c.register(0)
	c.register(1)
	msg := deployMsg(0, 1)
	msg.Reclamation.MinWindowSeconds = 3600
	id := c.deploy(msg)
	require.Equal(t, []types.ItemResult{{}}, c.bids(0, noticed(id, 3600)))
	lease := id.BidID(provider(0))
	require.NoError(t, c.createLease(lease))
	c.blocks(3)
	require.NoError(t, c.pause(id.GroupID()))
	l := c.lease(lease)
	require.Equal(t, types.LEASE_STATE_CLOSED, l.State)
	require.Equal(t, types.CLOSE_REASON_TENANT, l.Reason)
	require.Equal(t, types.ORDER_STATE_CLOSED, c.order(id).State)
	c.block()
	require.EqualValues(t, startBalance+300, c.balance(provider(0)).Int64(), "it is paid, and its deposit is back")
	second := id
	second.Oseq = 2
	_, err := c.market.Order(c.ctx, second)
	require.ErrorIs(t, err, types.ErrOrderNotFound, "a paused group asks for nothing")

	require.NoError(t, c.start(id.GroupID()))
	o := c.order(second)
	require.Equal(t, types.ORDER_STATE_OPEN, o.State)
	require.EqualValues(t, 3600, o.Reclamation.MinWindowSeconds)
	require.Empty(t, o.Excluded, "a pause is no complaint")
	require.Equal(t, []types.ItemResult{{}}, c.bids(0, noticed(second, 3600)))

	require.NoError(t, c.pause(id.GroupID()))
	c.block()
	require.Equal(t, types.BID_STATE_LOST, c.theBid(second.BidID(provider(0))).State)
	require.NoError(t, c.start(id.GroupID()))
	third := id
	third.Oseq = 3
	require.Equal(t, types.ORDER_STATE_OPEN, c.order(third).State, "a number is never used twice")
	require.NoError(t, c.closeGroup(id.GroupID()))
	require.Error(t, c.start(id.GroupID()))
	c.block()
	require.Equal(t, types.ORDER_STATE_CLOSED, c.order(third).State)
}

func TestGroupsStopApart(t *testing.T) {
	c := newChain(t)
	c.register(0)
	msg := deployMsg(0, 1)
	for _, name := range []string{"east", "north"} {
		g := msg.Groups[0]
		g.Name = name
		msg.Groups = append(msg.Groups, g)
	}
	id := c.deploy(msg)
	var leases []types.LeaseID
	for gseq := range uint32(3) {
		o := id
		o.Gseq = gseq + 1
		leases = append(leases, c.bid(0, o, 100))
		require.NoError(t, c.createLease(leases[gseq]))
	}
	require.NoError(t, c.pause(leases[1].GroupID()))
	require.NoError(t, c.closeGroup(leases[0].GroupID()))
	c.block()
	require.Equal(t, types.LEASE_STATE_CLOSED, c.lease(leases[0]).State)
	require.Equal(t, types.LEASE_STATE_CLOSED, c.lease(leases[1]).State)
	require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(leases[2]).State)
	require.NoError(t, c.closeDeployment(id.DeploymentID()))
	require.Equal(t, types.LEASE_STATE_CLOSED, c.lease(leases[2]).State)
	c.block()
}

// TestAnExclusionOutlivesAPause: a tenant cannot be made to take back the provider whose lease has just ended, nor does a
// pause let it in sooner.
func TestAnExclusionOutlivesAPause(t *testing.T) {
	c := newChain(t)
	c.register(0)
	id := c.deploy(deployMsg(0, 1))
	lease := c.bid(0, id, 100)
	require.NoError(t, c.createLease(lease))
	c.block()
	require.NoError(t, c.closeLease(provider(0), lease, types.CLOSE_REASON_UNSTABLE))
	id.Oseq = 2
	until := c.order(id).ExcludedUntil
	require.NoError(t, c.pause(id.GroupID()))
	require.NoError(t, c.start(id.GroupID()))
	id.Oseq = 3
	require.Equal(t, until, c.order(id).ExcludedUntil)
	require.Equal(t, code(types.ErrExcluded), c.bids(0, item(id, 90))[0])
	require.NoError(t, c.pause(id.GroupID()))
	for c.ctx.BlockHeight() < until {
		c.block()
	}
	require.NoError(t, c.start(id.GroupID()))
	id.Oseq = 4
	require.Empty(t, c.order(id).Excluded, "what has run out does not come back")
	c.bid(0, id, 90)
	c.block()
}

// TestAnOrderThatCannotBePaidPausesItsGroup: the tenant fills the account and starts the group again.
func TestAnOrderThatCannotBePaidPausesItsGroup(t *testing.T) {
	c := newChain(t)
	c.register(0)
	msg := auctionMsg(0, 1, 1)
	msg.Deposit = coin(1000)
	msg.Groups[0].Units = []deploymenttypes.ResourceUnit{unit(1, 2000, 1)}
	id := c.deploy(msg)
	c.bid(0, id, 1001)
	c.blocks(2)
	g, err := c.deployments.Group(c.ctx, id.GroupID())
	require.NoError(t, err)
	require.Equal(t, deploymenttypes.GROUP_STATE_PAUSED, g.State)
	require.EqualValues(t, startBalance, c.balance(provider(0)).Int64())
	require.NoError(t, c.topUp(tenant(0), id.DeploymentID(), 5000))
	require.NoError(t, c.start(id.GroupID()))
	id.Oseq = 2
	c.bid(0, id, 1001)
	c.blocks(2)
	require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(id.BidID(provider(0))).State)
}
