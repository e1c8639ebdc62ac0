package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
)

func (c *chain) retention(blocks int64) {
	c.t.Helper()
	p, err := c.deployments.Params(c.ctx)
	require.NoError(c.t, err)
	p.RetentionBlocks = blocks
	_, err = c.deployment.UpdateParams(c.ctx, &deploymenttypes.MsgUpdateParams{Authority: authority(), Params: p})
	require.NoError(c.t, err)
}

// TestPruningRemovesStepByStep: whatever the limit, each step leaves a state that fits together and goes through genesis,
// and in the end nothing but the counters is left.
func TestPruningRemovesStepByStep(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 7, 100} {
		c := newChain(t)
		for i := range 4 {
			c.register(i)
		}
		id := c.contested(1, 4)
		for oseq := range uint32(3) {
			id.Oseq = oseq + 1
			if oseq > 0 {
				c.bid(int(oseq), id, 100)
			}
			require.NoError(t, c.createLease(id.BidID(provider(int(oseq)))))
			c.block()
			require.NoError(t, c.closeLease(tenant(0), id.BidID(provider(int(oseq))), 0))
		}
		other := c.contested(2, 2)
		require.NoError(t, c.closeDeployment(id.DeploymentID()))
		c.block()
		d, err := c.deployments.Deployment(c.ctx, id.DeploymentID())
		require.NoError(t, err)
		records := 3 + 6 + 4 // leases, bids, orders
		for done := false; !done; {
			var removed int
			removed, done, err = c.market.PruneDeployment(c.ctx, d, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, removed, limit)
			require.True(t, done || removed > 0, "it comes to an end")
			records -= removed
			c.check()
			gs, err := c.market.ExportGenesis(c.ctx)
			require.NoError(t, err)
			require.NoError(t, gs.Validate())
		}
		require.Zero(t, records)
		removed, done, err := c.market.PruneDeployment(c.ctx, d, limit)
		require.NoError(t, err)
		require.True(t, done)
		require.Zero(t, removed)
		gs, err := c.market.ExportGenesis(c.ctx)
		require.NoError(t, err)
		require.Len(t, gs.Orders, 1, "other deployments stay")
		require.Len(t, gs.Bids, 2)
		require.Empty(t, gs.Leases)
		require.Equal(t, types.ORDER_STATE_OPEN, c.order(other).State)
		for i := range 3 {
			r, err := c.market.Record(c.ctx, addr(10+i))
			require.NoError(t, err)
			require.Equal(t, types.ProviderRecord{Provider: provider(i), Leases: 1, Closed: []types.ReasonCount{{Reason: types.CLOSE_REASON_TENANT, Count: 1}}}, r,
				"counters outlive what they count")
		}
	}
}

// TestPruningWaitsForRefunds: a bid that holds a deposit is never removed.
func TestPruningWaitsForRefunds(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MaxWorkPerBlock = 1 })
	c.retention(1)
	for i := range 5 {
		c.register(i)
	}
	id := c.contested(1, 5)
	require.NoError(t, c.closeDeployment(id.DeploymentID()))
	for range 5 {
		c.block()
		_, err := c.market.Order(c.ctx, id)
		if c.bidStates(id)[types.BID_STATE_OPEN] > 0 {
			require.NoError(t, err)
		}
	}
	c.blocks(3)
	_, err := c.market.Order(c.ctx, id)
	require.ErrorIs(t, err, types.ErrOrderNotFound)
	for i := range 5 {
		require.EqualValues(t, startBalance, c.balance(provider(i)).Int64())
	}
	floor, err := c.deployments.PruneFloor(c.ctx, addr(0))
	require.NoError(t, err)
	require.EqualValues(t, 1, floor)
}

// TestAQueueMayNameAPrunedOrder: a provider has closed the last bid itself, and the queue of refunds names an order that is gone.
func TestAQueueMayNameAPrunedOrder(t *testing.T) {
	c := newChain(t)
	c.params(func(p *types.Params) { p.MaxWorkPerBlock = 1 })
	c.retention(1)
	c.register(0)
	for i := 1; i < 6; i++ {
		c.register(i)
	}
	busy := c.contested(1, 6)
	require.NoError(t, c.closeDeployment(busy.DeploymentID()))
	c.block()
	id := c.contested(2, 1)
	require.NoError(t, c.closeDeployment(id.DeploymentID()))
	require.Equal(t, types.ItemResult{}, c.closeBid(0, id))
	c.blocks(10)
	_, err := c.market.Order(c.ctx, id)
	require.ErrorIs(t, err, types.ErrOrderNotFound)
}
