package app_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/store/v2/rootmulti"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"berth.dev/berth/app"
	"berth.dev/berth/testutil/chaintest"
	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// The people of testdata/v1.json.gz.
const (
	v1Alice = iota
	v1Bob
	v1East
	v1West
	v1North
	v1Giver
	v1Claimant
	v1Accounts
)

// fixture is the whole state of a chain of the first release, at the height before the upgrade v2 that its governance
// had decided on, and what became of that chain when it went on without the upgrade: blocks of transactions that were
// signed for it, how each ended, and what everybody had in the end.
type fixture struct {
	ChainID string
	Height  int64
	Time    time.Time
	Stores  map[string][]struct{ K, V []byte }
	Blocks  []struct {
		Time  time.Time
		Txs   [][]byte
		Codes []uint32
	}
	Balances map[string]string
}

func readFixture(t *testing.T) fixture {
	t.Helper()
	file, err := os.Open("testdata/v1.json.gz")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	zr, err := gzip.NewReader(file)
	require.NoError(t, err)
	var f fixture
	require.NoError(t, json.NewDecoder(zr).Decode(&f))
	return f
}

// start writes the old state into a database, as the old program left it, and opens it with this program.
func (f fixture) start(t *testing.T) *stage {
	t.Helper()
	db := dbm.NewMemDB()
	old := rootmulti.NewStore(db, log.NewNopLogger())
	keys := map[string]*storetypes.KVStoreKey{}
	for name := range f.Stores {
		keys[name] = storetypes.NewKVStoreKey(name)
		old.MountStoreWithDB(keys[name], storetypes.StoreTypeIAVL, nil)
	}
	require.NoError(t, old.LoadLatestVersion())
	require.NoError(t, old.SetInitialVersion(f.Height))
	for name, pairs := range f.Stores {
		store := old.GetKVStore(keys[name])
		for _, p := range pairs {
			store.Set(p.K, p.V)
		}
	}
	require.Equal(t, f.Height, old.Commit().Version)

	home := t.TempDir()
	info, err := json.Marshal(upgradetypes.Plan{Name: "v2", Height: f.Height + 1})
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(home, "data"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(home, "data", "upgrade-info.json"), info, 0o600))
	a := app.New(log.NewNopLogger(), db, false, options{flags.FlagHome: home}, baseapp.SetChainID(f.ChainID))
	return &stage{t: t, Chain: chaintest.Resume(t, a, f.ChainID, f.Time, v1Accounts)}
}

// TestUpgradeV2 carries a chain of the first release over: open, active, lost and closed bids, active, suspended and closed
// leases, auctions, closed deployments, a claim that waits. From the upgrade on it gets the same blocks as the old
// program got, and everybody ends with the same coins, to the unit.
func TestUpgradeV2(t *testing.T) {
	f := readFixture(t)
	s := f.start(t)
	for i, b := range f.Blocks {
		results := s.Block(b.Txs...)
		require.True(t, s.Now.Equal(b.Time), "block %d", s.Height())
		for j, r := range results {
			require.Equal(t, b.Codes[j], r.Code, "height %d, transaction %d: %s/%d %s", s.Height(), j, r.Codespace, r.Code, r.Log)
		}
		// After the upgrade, in the middle and at the end.
		if i == 0 || i == len(f.Blocks)/2 || i == len(f.Blocks)-1 {
			s.roundTrip()
		}
	}
	for address, want := range f.Balances {
		got := s.App.BankKeeper.GetAllBalances(s.Context(), sdk.MustAccAddressFromBech32(address))
		require.Equal(t, want, got.String(), "account %s", address)
	}
	versions, err := s.App.UpgradeKeeper.GetModuleVersionMap(s.Context())
	require.NoError(t, err)
	for name, want := range map[string]uint64{
		escrowtypes.ModuleName: 2, deploymenttypes.ModuleName: 2, markettypes.ModuleName: 2, providertypes.ModuleName: 1, audittypes.ModuleName: 1,
	} {
		require.Equal(t, want, versions[name], name)
	}
}

// TestUpgradeV2NewWays: what the new release brings holds for what the old one has left.
func TestUpgradeV2NewWays(t *testing.T) {
	f := readFixture(t)
	s := f.start(t)
	s.Block()
	of := func(who int, dseq uint64) deploymenttypes.DeploymentID {
		return deploymenttypes.DeploymentID{Owner: s.addr(who), Dseq: dseq}
	}
	lease := func(who int, dseq uint64, gseq uint32, provider int) markettypes.BidID {
		return orderID(of(who, dseq), gseq, 1).BidID(s.addr(provider))
	}
	require.EqualValues(t, chaintest.Funds, s.balance(v1Claimant), "the claim that waited was paid in the upgrade's block")
	deployment, err := s.App.DeploymentKeeper.Params(s.Context())
	require.NoError(t, err)
	require.Equal(t, deploymenttypes.DefaultParams(), deployment)
	market, err := s.App.MarketKeeper.Params(s.Context())
	require.NoError(t, err)
	want := markettypes.DefaultParams()
	want.MaxWorkPerBlock = 400 // as it was
	require.Equal(t, want, market)

	// What a living lease was matched on stays, be it named by a glob; the provider cannot go.
	update := &providertypes.MsgUpdateProvider{
		Owner: s.addr(v1North), HostUri: "https://north.example.org", TlsPins: [][]byte{bytes.Repeat([]byte{1}, 32)},
		Attributes: []providertypes.Attribute{{Key: "region", Value: "elsewhere"}},
	}
	requireCode(t, providertypes.ErrAttributesInUse, s.Refused(v1North, update))
	update.Attributes = append(update.Attributes, providertypes.Attribute{Key: "capabilities/gpu/vendor/nvidia/model/a100", Value: "true"})
	s.Send(v1North, update)
	requireCode(t, providertypes.ErrProviderInUse, s.Refused(v1East, &providertypes.MsgDeleteProvider{Owner: s.addr(v1East)}))

	// A lease without notice cannot be reclaimed with one; it can be closed as before.
	requireCode(t, markettypes.ErrReclaim, s.Refused(v1East, &markettypes.MsgStartReclaim{
		Provider: s.addr(v1East), Id: lease(v1Alice, 1, 1, v1East), Reason: markettypes.CLOSE_REASON_DECOMMISSION,
	}))

	// The group whose auction the escrow could not pay is paused now, and can be started again once there is money.
	g, err := s.App.DeploymentKeeper.Group(s.Context(), groupID(of(v1Bob, 12), 2))
	require.NoError(t, err)
	require.Equal(t, deploymenttypes.GROUP_STATE_PAUSED, g.State)
	s.Send(v1Bob, &escrowtypes.MsgDeposit{Depositor: s.addr(v1Bob), AccountId: of(v1Bob, 12).EscrowID(), Amount: ubrt(100_000_000)})
	s.Send(v1Bob, &deploymenttypes.MsgStartGroup{Id: groupID(of(v1Bob, 12), 2)})
	s.bid(v1West, orderID(of(v1Bob, 12), 2, 2), "10")
	s.Blocks(3)
	require.Equal(t, markettypes.LEASE_STATE_ACTIVE, s.leaseState(orderID(of(v1Bob, 12), 2, 2).BidID(s.addr(v1West))))
	s.Send(v1Bob, &deploymenttypes.MsgPauseGroup{Id: groupID(of(v1Bob, 8), 1)})
	require.Equal(t, markettypes.LEASE_STATE_CLOSED, s.leaseState(lease(v1Bob, 8, 1, v1East)))

	// Closed deployments of before leave after a retention that counts from the upgrade.
	deployment.RetentionBlocks = 5
	require.NoError(t, s.Govern(&deploymenttypes.MsgUpdateParams{Authority: app.Authority(), Params: deployment}))
	d, err := s.App.DeploymentKeeper.Deployment(s.Context(), of(v1Alice, 3))
	require.NoError(t, err)
	require.Equal(t, f.Height+1+deploymenttypes.DefaultRetentionBlocks, d.PruneAt)
	s.roundTrip()
}
