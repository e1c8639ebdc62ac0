package keeper_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/cosmos/cosmos-sdk/types/query"

	deploymenttypes "berth.dev/berth/x/deployment/types"
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
	for _, op := range []string{"deploy", "bid", "close bid", "lease", "close lease", "close all", "top up", "withdraw"} {
		require.GreaterOrEqual(t, accepted[op], 20, "accepted operations of the kind %q", op)
	}
	require.Positive(t, closed[types.CLOSE_REASON_INSUFFICIENT_FUNDS], "histories reach the end of a grace period")
}

// ops are weighted by how often they stand here.
var ops = []func(*history, *rapid.T){
	(*history).deploys, (*history).deploys, (*history).bidsBatch, (*history).bidsBatch, (*history).bidsBatch, (*history).closesBid,
	(*history).leases, (*history).leases, (*history).leases, (*history).closesLease, (*history).closesDeployment, (*history).topsUp,
	(*history).withdraws, (*history).changesAttributes, (*history).nextBlock, (*history).nextBlock, (*history).nextBlock, (*history).manyBlocks,
}

const (
	steps     = 60
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

func (m *history) nextBlock(*rapid.T) { m.block() }

func (m *history) manyBlocks(t *rapid.T) { m.blocks(rapid.IntRange(2, 8).Draw(t, "blocks")) }

func (m *history) deploys(t *rapid.T) {
	msg := deployMsg(rapid.IntRange(0, tenants-1).Draw(t, "tenant"), uint64(rapid.IntRange(1, 9).Draw(t, "dseq")))
	msg.Deposit = coin(rapid.Int64Range(900, 6000).Draw(t, "deposit"))
	require1("region", "eu")(msg)
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
	if rapid.IntRange(0, 3).Draw(t, "rather not") == 0 {
		m.count("close all", m.closeDeployment(m.anyDeployment(t)))
	}
}

func (m *history) topsUp(t *rapid.T) {
	who := tenant(rapid.IntRange(0, tenants-1).Draw(t, "who"))
	m.count("top up", m.topUp(who, m.anyDeployment(t), rapid.Int64Range(900, 3000).Draw(t, "amount")))
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

// changesAttributes takes provider 0 away from the region and back.
func (m *history) changesAttributes(t *rapid.T) {
	m.changed = !m.changed
	msg := &providertypes.MsgUpdateProvider{Owner: provider(0), HostUri: "https://a.example", TlsPins: [][]byte{make([]byte, 32)}}
	if !m.changed {
		msg.Attributes = []providertypes.Attribute{{Key: "region", Value: "eu"}}
	}
	_, err := m.provider.UpdateProvider(m.ctx, msg)
	require.NoError(t, err)
}

// roundTrip exports the market, starts another one from it and exports that.
func (m *history) roundTrip() {
	gs, err := m.market.ExportGenesis(m.ctx)
	require.NoError(m.t, err)
	require.NoError(m.t, gs.Validate())
	other := newChain(m.t)
	require.NoError(m.t, other.market.InitGenesis(other.ctx, *gs))
	again, err := other.market.ExportGenesis(other.ctx)
	require.NoError(m.t, err)
	require.Equal(m.t, mustJSON(m.t, gs), mustJSON(m.t, again))
}

// windDown closes all deployments and checks that nothing is left in the escrow.
func (m *history) windDown(closed map[types.CloseReason]int) {
	for i := range tenants {
		for dseq := range uint64(9) {
			_ = m.closeDeployment(deploymenttypes.DeploymentID{Owner: tenant(i), Dseq: dseq + 1})
		}
	}
	m.block()
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
