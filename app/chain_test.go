package app_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/app"
	"berth.dev/berth/client"
	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// The people of the tests: account i signs with key ki.
const (
	tenant = iota
	east
	west
	stranger
	operator
)

func ubrt(amount int64) sdk.Coin { return sdk.NewInt64Coin(units.BaseDenom, amount) }

func perBlock(s string) sdk.DecCoin {
	return sdk.NewDecCoinFromDec(units.BaseDenom, math.LegacyMustNewDecFromStr(s))
}

// market is a chain with two providers, and everybody's client.
type market struct {
	t *testing.T
	*chaintest.Net
	clients []*client.Client
}

// newMarket starts a chain; edit, if set, changes the escrow's parameters.
func newMarket(t *testing.T, o chaintest.Options, edit func(*escrowtypes.Params)) *market {
	t.Helper()
	genesis := o.Genesis
	o.Genesis = func(cdc codec.JSONCodec, state map[string]json.RawMessage) {
		g := escrowtypes.DefaultGenesis()
		if edit != nil {
			edit(&g.Params)
		}
		state[escrowtypes.ModuleName] = cdc.MustMarshalJSON(g)
		if genesis != nil {
			genesis(cdc, state)
		}
	}
	m := &market{t: t, Net: chaintest.Start(t, o)}
	kr := m.Keyring(t)
	for _, key := range []string{"k0", "k1", "k2", "k3", "operator"} {
		// Fees are zero, so that balances change by what the market does and nothing else.
		c, err := client.New(client.Config{Node: m.RPCAddr, Keyring: kr, Key: key, GasPrices: "0" + units.BaseDenom})
		require.NoError(t, err)
		m.clients = append(m.clients, c)
	}
	for i, name := range map[int]string{east: "east", west: "west"} {
		m.send(i, &providertypes.MsgCreateProvider{
			Owner: m.Addr(i).String(), HostUri: "https://" + name + ".example.org:8443", TlsPins: [][]byte{bytes.Repeat([]byte{1}, 32)},
			Attributes: []providertypes.Attribute{{Key: "region", Value: name}},
		})
	}
	return m
}

func (m *market) send(who int, msgs ...sdk.Msg) *client.Result {
	m.t.Helper()
	res, err := m.clients[who].Send(m.t.Context(), msgs...)
	require.NoError(m.t, err)
	return res
}

// refused sends what must fail and returns its error.
func (m *market) refused(who int, msgs ...sdk.Msg) error {
	m.t.Helper()
	_, err := m.clients[who].Send(m.t.Context(), msgs...)
	require.Error(m.t, err)
	return err
}

func (m *market) balance(who int) int64 {
	return m.App.BankKeeper.GetBalance(m.Context(m.t), m.Addr(who), units.BaseDenom).Amount.Int64()
}

func (m *market) id(dseq uint64) deploymenttypes.DeploymentID {
	return deploymenttypes.DeploymentID{Owner: m.Addr(tenant).String(), Dseq: dseq}
}

func (m *market) order(dseq uint64, oseq uint32) markettypes.OrderID {
	return markettypes.OrderID{Owner: m.Addr(tenant).String(), Dseq: dseq, Gseq: 1, Oseq: oseq}
}

func (m *market) bidID(dseq uint64, oseq uint32, provider int) markettypes.BidID {
	return markettypes.BidID{Owner: m.Addr(tenant).String(), Dseq: dseq, Gseq: 1, Oseq: oseq, Provider: m.Addr(provider).String()}
}

// create opens a deployment of one small group and returns its height.
func (m *market) create(dseq uint64, deposit int64, auction deploymenttypes.Auction) int64 {
	m.t.Helper()
	return m.send(tenant, &deploymenttypes.MsgCreateDeployment{
		Id: m.id(dseq), ManifestHash: bytes.Repeat([]byte{7}, 32), Deposit: ubrt(deposit), Auction: auction,
		Groups: []deploymenttypes.GroupSpec{{
			Name: "web",
			Units: []deploymenttypes.ResourceUnit{{
				Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 1, Price: perBlock("200000"),
				Storage: []deploymenttypes.Volume{{Name: "default", Bytes: 512 << 20}},
			}},
		}},
	}).Height
}

func (m *market) bid(who int, dseq uint64, oseq uint32, price string) markettypes.ItemResult {
	m.t.Helper()
	params, err := m.App.MarketKeeper.Params(m.Context(m.t))
	require.NoError(m.t, err)
	res := m.send(who, &markettypes.MsgCreateBids{Provider: m.Addr(who).String(), Bids: []markettypes.BidItem{{
		OrderId: m.order(dseq, oseq), Price: perBlock(price), Deposit: params.BidMinDeposits[0],
	}}})
	var answer markettypes.MsgCreateBidsResponse
	require.NoError(m.t, m.App.AppCodec().Unmarshal(res.Responses[0].Value, &answer))
	require.Len(m.t, answer.Results, 1)
	return answer.Results[0]
}

func (m *market) lease(id markettypes.BidID) markettypes.Lease {
	m.t.Helper()
	l, err := m.App.MarketKeeper.Lease(m.Context(m.t), id)
	require.NoError(m.t, err)
	return l
}

func (m *market) payment(id markettypes.BidID) escrowtypes.Payment {
	m.t.Helper()
	p, err := m.App.EscrowKeeper.Payment(m.Context(m.t), id.PaymentID())
	require.NoError(m.t, err)
	return p
}

// TestLeaseByTheTenant goes from a deployment to its close: the tenant picks a bid, the provider withdraws twice, and in
// the end everybody has what the blocks say, to the unit.
func TestLeaseByTheTenant(t *testing.T) {
	m := newMarket(t, chaintest.Options{}, nil)
	m.create(1, 5_000_000, deploymenttypes.Auction{})
	require.Zero(t, m.bid(east, 1, 1, "10.25").Code)
	require.Zero(t, m.bid(west, 1, 1, "11").Code)
	require.NotZero(t, m.bid(west, 1, 1, "11").Code, "one bid for an order and provider")

	id := m.bidID(1, 1, east)
	opened := m.send(tenant, &markettypes.MsgCreateLease{Id: id}).Height
	m.WaitHeight(t, opened+3)
	require.Equal(t, markettypes.LEASE_STATE_ACTIVE, m.lease(id).State)
	require.EqualValues(t, chaintest.Funds, m.balance(west), "the losing bid's deposit is back")

	m.send(east, &markettypes.MsgWithdrawLeases{Provider: m.Addr(east).String(), Ids: []markettypes.BidID{id}})
	m.WaitHeight(t, m.Height()+2)
	m.send(east, &markettypes.MsgWithdrawLeases{Provider: m.Addr(east).String(), Ids: []markettypes.BidID{id}})
	closed := m.send(tenant, &deploymenttypes.MsgCloseDeployment{Id: m.id(1)}).Height
	m.WaitHeight(t, closed)

	earned := math.LegacyMustNewDecFromStr("10.25").MulInt64(closed - opened).TruncateInt64()
	require.EqualValues(t, chaintest.Funds+earned, m.balance(east), "%d blocks at 10.25 and the bid's deposit", closed-opened)
	require.EqualValues(t, chaintest.Funds-earned, m.balance(tenant), "the deposit less what was earned, exactly")
	l := m.lease(id)
	require.Equal(t, markettypes.LEASE_STATE_CLOSED, l.State)
	require.Equal(t, markettypes.CLOSE_REASON_TENANT, l.Reason)
	require.Equal(t, earned, m.payment(id).Withdrawn.Int64())
}

// TestLeaseByTheChain lets the chain pick the lowest of two bids, has the provider close, and sees the group's next
// order go to the other.
func TestLeaseByTheChain(t *testing.T) {
	m := newMarket(t, chaintest.Options{BlockTime: 100 * time.Millisecond}, nil)
	lowest := deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_LOWEST, Window: 30}
	m.create(1, 5_000_000, lowest)
	require.Zero(t, m.bid(east, 1, 1, "12").Code)
	require.Zero(t, m.bid(west, 1, 1, "11").Code)
	won := m.bidID(1, 1, west)
	m.WaitFor(t, "the auction's end", func() bool {
		_, err := m.App.MarketKeeper.Lease(m.Context(t), won)
		return err == nil
	})
	require.Equal(t, perBlock("11"), m.lease(won).Price)

	m.send(west, &markettypes.MsgCloseLease{Signer: m.Addr(west).String(), Id: won, Reason: markettypes.CLOSE_REASON_UNSTABLE})
	require.Equal(t, markettypes.CLOSE_REASON_UNSTABLE, m.lease(won).Reason)
	require.NotZero(t, m.bid(west, 1, 2, "1").Code, "who closed may not bid on the group again at once")
	require.Zero(t, m.bid(east, 1, 2, "12").Code)
	next := m.bidID(1, 2, east)
	m.WaitFor(t, "the second auction's end", func() bool {
		_, err := m.App.MarketKeeper.Lease(m.Context(t), next)
		return err == nil
	})
	err := m.refused(stranger, &markettypes.MsgCloseLease{Signer: m.Addr(stranger).String(), Id: next})
	require.ErrorContains(t, err, m.Addr(stranger).String())
}

// TestSuspension lets an account run dry: its lease is suspended, resumes with a stranger's deposit, and closes when the
// second grace ends.
func TestSuspension(t *testing.T) {
	m := newMarket(t, chaintest.Options{}, func(p *escrowtypes.Params) {
		p.GraceBlocks, p.MinResumeBlocks = 60, 5
	})
	m.create(1, 500_000, deploymenttypes.Auction{})
	require.Zero(t, m.bid(east, 1, 1, "99999.5").Code)
	id := m.bidID(1, 1, east)
	opened := m.send(tenant, &markettypes.MsgCreateLease{Id: id}).Height
	m.WaitFor(t, "the suspension", func() bool { return m.lease(id).State == markettypes.LEASE_STATE_SUSPENDED })
	p := m.payment(id)
	require.Equal(t, escrowtypes.PAYMENT_STATE_SUSPENDED, p.State)
	require.Equal(t, int64(500_000), p.Accrued.TruncateInt64(), "all of the deposit, not a unit more")
	account := escrowtypes.AccountID{Scope: "deployment", Xid: m.id(1).String()}
	a, err := m.App.EscrowKeeper.Account(m.Context(t), account)
	require.NoError(t, err)
	require.Equal(t, opened+6, a.SettledAt, "five blocks and a part of the sixth")

	m.send(stranger, &escrowtypes.MsgDeposit{Depositor: m.Addr(stranger).String(), AccountId: account, Amount: ubrt(600_000)})
	require.Equal(t, markettypes.LEASE_STATE_ACTIVE, m.lease(id).State, "a stranger's deposit resumes it")
	m.WaitFor(t, "the end of the second grace", func() bool { return m.lease(id).State == markettypes.LEASE_STATE_CLOSED })
	require.Equal(t, markettypes.CLOSE_REASON_INSUFFICIENT_FUNDS, m.lease(id).Reason)
	// The bid's deposit comes back by the market's end block, which runs before the escrow's, where the grace has ended.
	m.WaitFor(t, "the bid's deposit", func() bool { return m.balance(east) == int64(chaintest.Funds)+1_100_000 })
	require.EqualValues(t, chaintest.Funds-500_000, m.balance(tenant))
	require.EqualValues(t, chaintest.Funds-600_000, m.balance(stranger))
	d, err := m.App.DeploymentKeeper.Deployment(m.Context(t), m.id(1))
	require.NoError(t, err)
	require.Equal(t, deploymenttypes.DEPLOYMENT_STATE_CLOSED, d.State)
}

// TestRefusals: what is wrong is said and takes nothing.
func TestRefusals(t *testing.T) {
	m := newMarket(t, chaintest.Options{}, nil)
	small := &deploymenttypes.MsgCreateDeployment{
		Id: m.id(1), ManifestHash: bytes.Repeat([]byte{7}, 32), Deposit: ubrt(499_999),
		Groups: []deploymenttypes.GroupSpec{{Name: "web", Units: []deploymenttypes.ResourceUnit{{
			Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 1, Price: perBlock("10"),
			Storage: []deploymenttypes.Volume{{Name: "default", Bytes: 512 << 20}},
		}}}},
	}
	require.ErrorContains(t, m.refused(tenant, small), "below the minimum")
	small.Deposit = ubrt(chaintest.Funds + 1)
	require.ErrorContains(t, m.refused(tenant, small), "insufficient funds")
	require.EqualValues(t, chaintest.Funds, m.balance(tenant))
	params := &escrowtypes.MsgUpdateParams{Authority: m.Addr(tenant).String(), Params: escrowtypes.DefaultParams()}
	require.ErrorContains(t, m.refused(tenant, params), "may not change the parameters")
}

// TestExportImportExport: the genesis of a running market, imported into a new app, exports the same bytes, and the new
// chain goes on.
func TestExportImportExport(t *testing.T) {
	m := newMarket(t, chaintest.Options{}, nil)
	m.create(1, 5_000_000, deploymenttypes.Auction{})
	m.create(2, 5_000_000, deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_LOWEST, Window: 50})
	m.create(3, 5_000_000, deploymenttypes.Auction{})
	for dseq := uint64(1); dseq <= 3; dseq++ {
		require.Zero(t, m.bid(east, dseq, 1, "10.25").Code)
		require.Zero(t, m.bid(west, dseq, 1, "11").Code)
	}
	m.send(tenant, &markettypes.MsgCreateLease{Id: m.bidID(1, 1, east)})
	m.send(tenant, &markettypes.MsgCreateLease{Id: m.bidID(3, 1, west)})
	m.send(tenant, &deploymenttypes.MsgCloseDeployment{Id: m.id(3)})
	m.Stop()

	first, err := m.App.ExportAppStateAndValidators(false, nil, nil)
	require.NoError(t, err)
	_, err = m.App.ExportAppStateAndValidators(true, nil, nil)
	require.ErrorIs(t, err, app.ErrZeroHeight)

	again := app.New(log.NewNopLogger(), dbm.NewMemDB(), true, options{}, baseapp.SetChainID("berth-test"))
	cp := first.ConsensusParams
	res, err := again.InitChain(&abci.RequestInitChain{
		ChainId: "berth-test", Time: time.Now(), InitialHeight: first.Height, AppStateBytes: first.AppState, ConsensusParams: &cp,
	})
	require.NoError(t, err)
	require.Len(t, res.Validators, 1)
	// The state of the genesis, before the first block has changed anything, exports as it came in.
	genesisCtx := again.NewContextLegacy(false, header(first.Height))
	require.Empty(t, again.Invariants(genesisCtx))
	second, err := again.ExportGenesis(genesisCtx)
	require.NoError(t, err)
	requireSameModules(t, first.AppState, second)

	_, err = again.FinalizeBlock(&abci.RequestFinalizeBlock{Height: first.Height, Time: time.Now()})
	require.NoError(t, err)
	_, err = again.Commit()
	require.NoError(t, err)
	ctx := again.NewContextLegacy(true, header(first.Height))
	require.Empty(t, again.Invariants(ctx))
}

// requireSameModules compares two genesis states module by module, to say which differs.
func requireSameModules(t *testing.T, a, b []byte) {
	t.Helper()
	if bytes.Equal(a, b) {
		return
	}
	var x, y map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(a, &x))
	require.NoError(t, json.Unmarshal(b, &y))
	for name := range x {
		require.JSONEq(t, string(x[name]), string(y[name]), "module %s", name)
	}
	t.Error("the states differ in their bytes only")
}

// options are the settings of an app without any.
type options map[string]any

func (o options) Get(name string) any { return o[name] }
