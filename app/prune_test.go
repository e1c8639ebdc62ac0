package app_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/chain"
	"berth.dev/berth/testutil/chaintest"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// retainBlocks keeps closed deployments for so many blocks.
func retainBlocks(n int64) chaintest.Options {
	return chaintest.Options{Genesis: func(cdc codec.JSONCodec, state map[string]json.RawMessage) {
		g := deploymenttypes.DefaultGenesis()
		g.Params.RetentionBlocks = n
		state[deploymenttypes.ModuleName] = cdc.MustMarshalJSON(g)
	}}
}

// TestPruning: a closed deployment leaves nothing behind but its owner's floor and the provider's counters, all money
// has gone where it belongs, and a provider that asks late learns for sure that its lease is closed.
func TestPruning(t *testing.T) {
	m := newMarket(t, retainBlocks(2), nil)
	m.create(3, 5_000_000, deploymenttypes.Auction{})
	m.create(5, 5_000_000, deploymenttypes.Auction{})
	require.Zero(t, m.bid(east, 5, 1, "1000").Code)
	require.Zero(t, m.bid(west, 5, 1, "2000").Code)
	lease := m.bidID(5, 1, east)
	m.send(tenant, &markettypes.MsgCreateLease{Id: lease})
	reader := chain.NewReader(m.clients[east].Conn(), m.Addr(east).String())
	presence, err := reader.LeasePresence(t.Context(), lease, 1)
	require.NoError(t, err)
	require.Equal(t, chain.Present, presence)

	closed := m.send(tenant, &deploymenttypes.MsgCloseDeployment{Id: m.id(5)})
	m.WaitFor(t, "the deployment to be pruned", func() bool {
		floor, err := m.App.DeploymentKeeper.PruneFloor(m.Context(t), m.Addr(tenant))
		return err == nil && floor == 5
	})
	presence, err = reader.LeasePresence(t.Context(), lease, closed.Height)
	require.NoError(t, err)
	require.Equal(t, chain.Absent, presence)
	other := lease
	other.Dseq = 9
	presence, err = reader.LeasePresence(t.Context(), other, closed.Height)
	require.NoError(t, err)
	require.Equal(t, chain.Unknown, presence, "above the floor, not found proves nothing")

	ctx := m.Context(t)
	_, err = m.App.EscrowKeeper.Account(ctx, m.id(5).EscrowID())
	require.Error(t, err)
	orders, err := markettypes.NewQueryClient(m.clients[tenant].Conn()).Orders(t.Context(), &markettypes.QueryOrdersRequest{Owner: m.id(5).Owner, Dseq: 5})
	require.NoError(t, err)
	require.Empty(t, orders.Orders)
	_, err = m.App.DeploymentKeeper.Deployment(ctx, m.id(3))
	require.NoError(t, err, "an active one below the floor stays")
	require.ErrorContains(t, m.refused(tenant, &deploymenttypes.MsgCreateDeployment{
		Id: m.id(4), ManifestHash: make([]byte, 32), Deposit: ubrt(5_000_000),
		Groups: []deploymenttypes.GroupSpec{{Name: "web", Units: []deploymenttypes.ResourceUnit{{Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 1, Price: perBlock("1")}}}},
	}), "the floor is 5")
	require.Empty(t, m.App.Invariants(ctx))

	m.send(tenant, &deploymenttypes.MsgCloseDeployment{Id: m.id(3)})
	require.EqualValues(t, 3*chaintest.Funds, m.balance(tenant)+m.balance(east)+m.balance(west), "no money went with it")
}

// TestFrozenAttributes: a provider cannot change what a living lease was matched on, nor leave, before the lease ends.
func TestFrozenAttributes(t *testing.T) {
	m := newMarket(t, chaintest.Options{}, nil)
	update := func(attrs ...providertypes.Attribute) sdk.Msg {
		return &providertypes.MsgUpdateProvider{Owner: m.Addr(east).String(), HostUri: "https://new.example.org", TlsPins: [][]byte{make([]byte, 32)}, Attributes: attrs}
	}
	region := providertypes.Attribute{Key: "region", Value: "east"}
	m.send(east, update(region, providertypes.Attribute{Key: "tier", Value: "1"}))
	m.send(tenant, &deploymenttypes.MsgCreateDeployment{
		Id: m.id(1), ManifestHash: make([]byte, 32), Deposit: ubrt(5_000_000),
		Groups: []deploymenttypes.GroupSpec{{
			Name: "web", Requirements: deploymenttypes.PlacementRequirements{Attributes: []providertypes.Attribute{region}},
			Units: []deploymenttypes.ResourceUnit{{Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 1, Price: perBlock("5000")}},
		}},
	})
	require.Zero(t, m.bid(east, 1, 1, "1000").Code)
	m.send(tenant, &markettypes.MsgCreateLease{Id: m.bidID(1, 1, east)})
	require.ErrorContains(t, m.refused(east, update()), "attribute is in use")
	require.ErrorContains(t, m.refused(east, update(providertypes.Attribute{Key: "region", Value: "west"})), "attribute is in use")
	m.send(east, update(region, providertypes.Attribute{Key: "tier", Value: "2"}))
	require.ErrorContains(t, m.refused(east, &providertypes.MsgDeleteProvider{Owner: m.Addr(east).String()}), "provider is in use")

	m.send(tenant, &deploymenttypes.MsgPauseGroup{Id: deploymenttypes.GroupID{Owner: m.id(1).Owner, Dseq: 1, Gseq: 1}})
	m.send(east, update())
	m.send(east, &providertypes.MsgDeleteProvider{Owner: m.Addr(east).String()})
	m.send(tenant, &deploymenttypes.MsgStartGroup{Id: deploymenttypes.GroupID{Owner: m.id(1).Owner, Dseq: 1, Gseq: 1}})
	o, err := m.App.MarketKeeper.Order(m.Context(t), m.order(1, 2))
	require.NoError(t, err)
	require.Equal(t, markettypes.ORDER_STATE_OPEN, o.State, "a started group has its next order")
	require.Empty(t, m.App.Invariants(m.Context(t)))
}
