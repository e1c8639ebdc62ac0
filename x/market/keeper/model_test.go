package keeper_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/types/query"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// TestRandomHistories runs random operations of a few tenants and providers. After every operation all invariants of
// the market, the deployments and the escrow hold and no coin has come or gone; in the end everything is closed, every
// coin is with a tenant or a provider, and the state goes through genesis unchanged. Operations are drawn so that they
// often fit the state; the numbers of those that were accepted have a floor, lest the test passes by refusing all.
func TestRandomHistories(t *testing.T) {
	accepted, closed := map[string]int{}, map[types.CloseReason]int{}
	rapid.Check(t, func(t *rapid.T) {
		m := &history{chain: newChain(t), accepted: accepted}
		m.at(start)
		m.params(func(p *types.Params) {
			p.MinReclaimWindowSeconds, p.OrderMaxBids, p.MaxWorkPerBlock = 1, 3, uint32(rapid.SampledFrom([]int{1, 2, 250}).Draw(t, "work"))
		})
		m.retention(rapid.Int64Range(1, 3).Draw(t, "retention"))
		for i := range providers {
			m.register(i, providertypes.Attribute{Key: "region", Value: "eu"})
		}
		for range steps {
			op := rapid.SampledFrom(ops).Draw(t, "op")
			op(m, t)
			m.check()
		}
		m.roundTrip()
		m.windDown(closed)
	})
	t.Logf("accepted: %v; leases closed by reason: %v", accepted, closed)
	for _, op := range []string{
		"deploy", "bid", "close bid", "lease", "auction", "close lease", "close all", "top up", "withdraw", "pause", "start", "close group",
		"reclaim", "take back", "suspend", "resume", "prune", "late refund",
	} {
		require.GreaterOrEqual(t, accepted[op], 10, "accepted operations of the kind %q", op)
	}
	require.Positive(t, closed[types.CLOSE_REASON_INSUFFICIENT_FUNDS], "histories reach the end of a grace period")
}

// ops are weighted by how often they stand here.
var ops = []func(*history, *rapid.T){
	(*history).deploys, (*history).deploys, (*history).bidsBatch, (*history).bidsBatch, (*history).bidsBatch, (*history).closesBid,
	(*history).leases, (*history).leases, (*history).leases, (*history).closesLease, (*history).closesDeployment, (*history).topsUp,
	(*history).withdraws, (*history).changesAttributes, (*history).pauses, (*history).starts, (*history).starts, (*history).closesGroup,
	(*history).reclaims, (*history).reclaims, (*history).takesBack, (*history).takesBack, (*history).takesBack, (*history).resumes,
	(*history).resumes, (*history).resumes, (*history).resumes, (*history).resumes, (*history).closesLease, (*history).nextBlock, (*history).nextBlock, (*history).manyBlocks, (*history).manyBlocks, (*history).manyBlocks,
}

const (
	steps     = 80
	tenants   = 3
	providers = 4
)

// history is a chain with helpers that draw from what stands on it.
type history struct {
	*chain
	accepted map[string]int
	changed  bool
}

func (m *history) count(op string, err error) {
	if err == nil {
		m.accepted[op]++
	}
}

// nextBlock ends a block and counts what came of it.
func (m *history) nextBlock(*rapid.T) {
	before := m.ctx.BlockHeight()
	for _, e := range m.block() {
		for event, op := range map[string]string{
			"market.v1.EventLeaseCreated": "auction", "market.v1.EventLeaseSuspended": "suspend", "deployment.v1.EventDeploymentPruned": "prune",
		} {
			if e.Type == "berth."+event {
				m.accepted[op]++
			}
		}
	}
	gs, err := m.market.ExportGenesis(m.ctx)
	require.NoError(m.t, err)
	open := map[types.OrderID]bool{}
	for _, o := range gs.Orders {
		open[o.Id] = o.State == types.ORDER_STATE_OPEN
	}
	for _, b := range gs.Bids {
		if b.State == types.BID_STATE_OPEN && !open[b.Id.OrderID()] {
			m.accepted["late refund"]++
			break
		}
	}
	m.at(start + 2*before)
}

func (m *history) manyBlocks(t *rapid.T) {
	for range rapid.IntRange(2, 5).Draw(t, "blocks") {
		m.nextBlock(t)
	}
}

// anyGroup draws a group of a state of an active deployment.
func (m *history) anyGroup(t *rapid.T, state deploymenttypes.GroupState) (deploymenttypes.GroupID, bool) {
	gs, err := m.deployments.ExportGenesis(m.ctx)
	require.NoError(t, err)
	var ids []deploymenttypes.GroupID
	for _, g := range gs.Groups {
		if g.State == state {
			ids = append(ids, g.Id)
		}
	}
	if len(ids) == 0 {
		return deploymenttypes.GroupID{}, false
	}
	return rapid.SampledFrom(ids).Draw(t, "group"), true
}

func (m *history) pauses(t *rapid.T) {
	if id, ok := m.anyGroup(t, deploymenttypes.GROUP_STATE_OPEN); ok {
		m.count("pause", m.pause(id))
	}
}

func (m *history) starts(t *rapid.T) {
	if id, ok := m.anyGroup(t, deploymenttypes.GROUP_STATE_PAUSED); ok {
		m.count("start", m.start(id))
	}
}

func (m *history) closesGroup(t *rapid.T) {
	state := rapid.SampledFrom([]deploymenttypes.GroupState{deploymenttypes.GROUP_STATE_OPEN, deploymenttypes.GROUP_STATE_PAUSED}).Draw(t, "state")
	if id, ok := m.anyGroup(t, state); ok {
		m.count("close group", m.closeGroup(id))
	}
}

// anyLease draws a lease of a state that owes a notice.
func (m *history) anyLease(t *rapid.T, state types.LeaseState) (types.LeaseID, bool) {
	r, err := m.query.Leases(m.ctx, &types.QueryLeasesRequest{State: state})
	require.NoError(t, err)
	var ids []types.LeaseID
	for _, l := range r.Leases {
		if l.Lease.ReclaimWindowSeconds > 0 {
			ids = append(ids, l.Lease.Id)
		}
	}
	if len(ids) == 0 {
		return types.LeaseID{}, false
	}
	return rapid.SampledFrom(ids).Draw(t, "lease"), true
}

func (m *history) reclaims(t *rapid.T) {
	if id, ok := m.anyLease(t, types.LEASE_STATE_ACTIVE); ok {
		_, err := m.startReclaim(id.Provider, id, types.CLOSE_REASON_DECOMMISSION)
		m.count("reclaim", err)
	}
}

func (m *history) takesBack(t *rapid.T) {
	if id, ok := m.anyLease(t, types.LEASE_STATE_RECLAIMING); ok {
		m.count("take back", m.closeLease(id.Provider, id, types.CLOSE_REASON_UNSPECIFIED))
	}
}

func (m *history) deploys(t *rapid.T) {
	msg := deployMsg(rapid.IntRange(0, tenants-1).Draw(t, "tenant"), uint64(rapid.IntRange(1, 60).Draw(t, "dseq")))
	msg.Deposit = coin(rapid.Int64Range(990, 2500).Draw(t, "deposit"))
	require1("region", "eu")(msg)
	msg.Reclamation.MinWindowSeconds = uint32(rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "notice"))
	for range rapid.IntRange(0, 2).Draw(t, "more groups") {
		g := msg.Groups[0]
		g.Name = fmt.Sprintf("group %d", len(msg.Groups))
		msg.Groups = append(msg.Groups, g)
	}
	if rapid.Bool().Draw(t, "auction") {
		msg.Auction = lowest(uint32(rapid.IntRange(1, 4).Draw(t, "window")))
	}
	_, err := m.tx(func(ctx context.Context) error {
		_, err := m.deployment.CreateDeployment(ctx, msg)
		return err
	})
	m.count("deploy", err)
}

func (m *history) bidsBatch(t *rapid.T) {
	orders, err := m.query.Orders(m.ctx, &types.QueryOrdersRequest{State: rapid.SampledFrom([]types.OrderState{0, 1, 1, 1}).Draw(t, "state")})
	require.NoError(t, err)
	if len(orders.Orders) == 0 {
		return
	}
	var items []types.BidItem
	for _, o := range orders.Orders {
		if rapid.IntRange(0, 2).Draw(t, "skip") == 0 {
			continue
		}
		it := item(o.Id, rapid.Int64Range(1, 210).Draw(t, "price"))
		if rapid.IntRange(0, 4).Draw(t, "short") == 0 {
			it.ValidUntil = m.ctx.BlockHeight() + rapid.Int64Range(0, 5).Draw(t, "valid")
		}
		it.ReclaimWindowSeconds = uint32(rapid.SampledFrom([]int{0, 1, 3, 3}).Draw(t, "notice"))
		items = append(items, it)
	}
	if len(items) == 0 {
		return
	}
	for _, r := range m.bids(rapid.IntRange(0, providers-1).Draw(t, "provider"), items...) {
		if r.Code == 0 {
			m.accepted["bid"]++
		}
	}
}

// anyBid draws one of the bids of a state; all states with 0.
func (m *history) anyBid(t *rapid.T, state types.BidState) (types.BidID, bool) {
	r, err := m.query.Bids(m.ctx, &types.QueryBidsRequest{State: state, Pagination: &query.PageRequest{Limit: 1000}})
	require.NoError(t, err)
	if len(r.Bids) == 0 {
		return types.BidID{}, false
	}
	return rapid.SampledFrom(r.Bids).Draw(t, "bid").Id, true
}

func (m *history) closesBid(t *rapid.T) {
	id, ok := m.anyBid(t, types.BID_STATE_OPEN)
	if !ok {
		return
	}
	res, err := m.msgs.CloseBids(m.ctx, &types.MsgCloseBids{Provider: id.Provider, OrderIds: []types.OrderID{id.OrderID()}})
	require.NoError(t, err)
	if res.Results[0].Code == 0 {
		m.accepted["close bid"]++
	}
}

func (m *history) leases(t *rapid.T) {
	if id, ok := m.anyBid(t, rapid.SampledFrom([]types.BidState{0, 1, 1, 1}).Draw(t, "state")); ok {
		m.count("lease", m.createLease(id))
	}
}

func (m *history) closesLease(t *rapid.T) {
	id, ok := m.anyBid(t, types.BID_STATE_ACTIVE)
	if !ok || rapid.IntRange(0, 2).Draw(t, "rather not") == 0 {
		return
	}
	signer := rapid.SampledFrom([]string{id.Owner, id.Provider}).Draw(t, "signer")
	m.count("close lease", m.closeLease(signer, id, types.CLOSE_REASON_UNSTABLE))
}

// anyDeployment draws an active deployment, or now and then one that may not exist.
func (m *history) anyDeployment(t *rapid.T) deploymenttypes.DeploymentID {
	gs, err := m.deployments.ExportGenesis(m.ctx)
	require.NoError(t, err)
	var active []deploymenttypes.DeploymentID
	for _, d := range gs.Deployments {
		if d.State == deploymenttypes.DEPLOYMENT_STATE_ACTIVE {
			active = append(active, d.Id)
		}
	}
	if len(active) == 0 || rapid.IntRange(0, 9).Draw(t, "any") == 0 {
		return deploymenttypes.DeploymentID{Owner: tenant(rapid.IntRange(0, tenants-1).Draw(t, "tenant")), Dseq: uint64(rapid.IntRange(1, 9).Draw(t, "dseq"))}
	}
	return rapid.SampledFrom(active).Draw(t, "deployment")
}

func (m *history) closesDeployment(t *rapid.T) {
	if rapid.Bool().Draw(t, "rather not") {
		m.count("close all", m.closeDeployment(m.anyDeployment(t)))
	}
}

func (m *history) topsUp(t *rapid.T) {
	who := tenant(rapid.IntRange(0, tenants-1).Draw(t, "who"))
	m.count("top up", m.topUp(who, m.anyDeployment(t), rapid.Int64Range(900, 3000).Draw(t, "amount")))
}

// resumes fills the account of a suspended lease.
func (m *history) resumes(t *rapid.T) {
	r, err := m.query.Leases(m.ctx, &types.QueryLeasesRequest{State: types.LEASE_STATE_SUSPENDED})
	require.NoError(t, err)
	if len(r.Leases) == 0 {
		return
	}
	id := rapid.SampledFrom(r.Leases).Draw(t, "lease").Lease.Id
	if err := m.topUp(id.Owner, id.DeploymentID(), rapid.Int64Range(900, 3000).Draw(t, "amount")); err != nil {
		require.ErrorIs(t, err, escrowtypes.ErrAccountClosed, "the grace has ended, and the message is the first to see it")
		return
	}
	l, err := m.market.Lease(m.ctx, id)
	require.NoError(t, err)
	if l.State == types.LEASE_STATE_ACTIVE || l.State == types.LEASE_STATE_RECLAIMING {
		m.accepted["resume"]++
	}
}

func (m *history) withdraws(t *rapid.T) {
	id, ok := m.anyBid(t, types.BID_STATE_ACTIVE)
	if !ok {
		return
	}
	res, err := m.msgs.WithdrawLeases(m.ctx, &types.MsgWithdrawLeases{Provider: id.Provider, Ids: []types.LeaseID{id}})
	require.NoError(t, err)
	if res.Results[0].Code == 0 {
		m.accepted["withdraw"]++
	}
}

// changesAttributes takes provider 0 away from the region and back, unless a living lease was matched on it.
func (m *history) changesAttributes(t *rapid.T) {
	kv := []string{"region", "eu"}
	if !m.changed {
		kv = nil
	}
	living := 0
	for _, s := range []types.LeaseState{types.LEASE_STATE_ACTIVE, types.LEASE_STATE_SUSPENDED, types.LEASE_STATE_RECLAIMING} {
		r, err := m.query.Leases(m.ctx, &types.QueryLeasesRequest{Provider: provider(0), State: s})
		require.NoError(t, err)
		living += len(r.Leases)
	}
	err := m.setAttributes(0, kv...)
	if !m.changed && living > 0 {
		require.ErrorIs(t, err, providertypes.ErrAttributesInUse)
		return
	}
	require.NoError(t, err)
	m.changed = !m.changed
}

// roundTrip exports the modules, starts another chain from them and exports that: every byte is the same, and the
// indexes and queues that were made anew pass all checks, also after a block.
func (m *history) roundTrip() {
	other := newChain(m.t)
	other.ctx = other.ctx.WithBlockHeight(m.ctx.BlockHeight()).WithBlockTime(m.ctx.BlockTime())
	other.copyFrom(m.chain)
	gs, err := m.market.ExportGenesis(m.ctx)
	require.NoError(m.t, err)
	require.NoError(m.t, gs.Validate())
	again, err := other.market.ExportGenesis(other.ctx)
	require.NoError(m.t, err)
	require.Equal(m.t, mustJSON(m.t, gs), mustJSON(m.t, again))
	other.check()
	other.block()
}

// copyFrom starts a new chain from the genesis of another one.
func (c *chain) copyFrom(o *chain) {
	require.NoError(c.t, c.bank.balances.Clear(c.ctx, nil))
	err := o.bank.balances.Walk(o.ctx, nil, func(k collections.Pair[[]byte, string], v math.Int) (bool, error) {
		return false, c.bank.balances.Set(c.ctx, k, v)
	})
	require.NoError(c.t, err)
	pg, err := o.providers.ExportGenesis(o.ctx)
	require.NoError(c.t, err)
	require.NoError(c.t, c.providers.InitGenesis(c.ctx, *pg))
	eg, err := o.escrow.ExportGenesis(o.ctx)
	require.NoError(c.t, err)
	require.NoError(c.t, c.escrow.InitGenesis(c.ctx, *eg))
	dg, err := o.deployments.ExportGenesis(o.ctx)
	require.NoError(c.t, err)
	require.NoError(c.t, c.deployments.InitGenesis(c.ctx, *dg))
	mg, err := o.market.ExportGenesis(o.ctx)
	require.NoError(c.t, err)
	require.NoError(c.t, c.market.InitGenesis(c.ctx, *mg))
}

// windDown closes all deployments, waits until all that is due was done and pruned, and checks that nothing is left in
// the escrow.
func (m *history) windDown(closed map[types.CloseReason]int) {
	gs, err := m.deployments.ExportGenesis(m.ctx)
	require.NoError(m.t, err)
	for _, d := range gs.Deployments {
		_ = m.closeDeployment(d.Id)
	}
	for range 200 {
		m.block()
		if gs, err = m.deployments.ExportGenesis(m.ctx); len(gs.Deployments) == 0 {
			break
		}
	}
	require.NoError(m.t, err)
	require.Empty(m.t, gs.Deployments, "all are pruned in the end")
	left, err := m.market.ExportGenesis(m.ctx)
	require.NoError(m.t, err)
	require.Empty(m.t, left.Orders)
	require.Empty(m.t, left.Bids)
	require.Empty(m.t, left.Leases)
	require.Empty(m.t, left.Deltas)
	require.True(m.t, m.bank.GetAllBalances(m.ctx, moduleAccounts{}.GetModuleAddress("escrow")).IsZero(), "what is left in escrow")
	for i := range providers {
		r, err := m.market.Record(m.ctx, addr(10+i))
		require.NoError(m.t, err)
		require.Zero(m.t, r.Active)
		for _, c := range r.Closed {
			closed[c.Reason] += int(c.Count)
		}
	}
}
