package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"berth.dev/berth/app"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// roundTrip exports the state, imports it into a new app and exports that before its first block: the bytes are the
// same. It returns the imported chain, which goes on after its first block.
func (s *stage) roundTrip() *stage {
	s.t.Helper()
	first, err := s.App.ExportAppStateAndValidators(false, nil, nil)
	require.NoError(s.t, err)
	cp := first.ConsensusParams
	again := app.New(log.NewNopLogger(), dbm.NewMemDB(), true, options{}, baseapp.SetChainID(s.ChainID))
	_, err = again.InitChain(&abci.RequestInitChain{
		ChainId: s.ChainID, Time: s.Now, InitialHeight: first.Height, AppStateBytes: first.AppState, ConsensusParams: &cp,
	})
	require.NoError(s.t, err)
	ctx := again.NewContextLegacy(false, header(first.Height)).WithBlockTime(s.Now)
	require.Empty(s.t, again.Invariants(ctx))
	second, err := again.ExportGenesis(ctx)
	require.NoError(s.t, err)
	requireSameModules(s.t, first.AppState, second)
	require.NoError(s.t, again.Close())

	imported := &stage{t: s.t, dseq: s.dseq, Chain: s.Import(s.t, first.AppState, first.Height, cp)}
	return imported
}

// TestRoundTripOfEverything exports, imports and exports a chain that has something of everything, and goes on with both:
// what is imported does what the original does.
func TestRoundTripOfEverything(t *testing.T) {
	s := newStage(t, func(cdc codec.JSONCodec, state map[string]json.RawMessage) {
		escrowParams(func(p *escrowtypes.Params) {
			p.GraceBlocks, p.TakeRate = 40, math.LegacyMustNewDecFromStr("0.1")
		})(cdc, state)
		g := deploymenttypes.DefaultGenesis()
		g.Params.RetentionBlocks = 3
		state[deploymenttypes.ModuleName] = cdc.MustMarshalJSON(g)
	})
	pruned := s.deploy()
	s.Send(tenant, &deploymenttypes.MsgCloseDeployment{Id: pruned})
	s.Blocks(5)
	_, err := s.App.DeploymentKeeper.Deployment(s.Context(), pruned)
	require.ErrorIs(t, err, deploymenttypes.ErrDeploymentNotFound, "it has left the state, its floor stays")

	s.depositGrant(granter, tenant, 9_000_000)
	rich := s.richDeployment()
	s.Send(tenant, rich)
	active := s.bidWithNotice(east, orderID(rich.Id, 1, 1), "10.25")
	s.Send(tenant, &markettypes.MsgCreateLease{Id: active})
	reclaiming := s.leaseWithNotice(west, "7.5")
	s.Send(west, &markettypes.MsgStartReclaim{Provider: s.addr(west), Id: reclaiming, Reason: markettypes.CLOSE_REASON_DECOMMISSION})
	suspended := s.lease(east, "199999.9")
	paused := s.lease(west, "3.3")
	s.Send(tenant, &deploymenttypes.MsgPauseGroup{Id: groupID(deploymentOf(paused), 1)})
	auction := s.newDeployment(s.nextID())
	auction.Auction = deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_LOWEST, Window: 100}
	s.Send(tenant, auction)
	s.bid(east, orderID(auction.Id, 1, 1), "9")
	s.bid(west, orderID(s.deploy(), 1, 1), "8")
	key := secp256k1.GenPrivKeyFromSecret([]byte("gateway")).PubKey().Bytes()
	s.Send(tenant, &providertypes.MsgSetGatewayKey{Owner: s.addr(tenant), Key: key})
	for s.leaseState(suspended) != markettypes.LEASE_STATE_SUSPENDED {
		s.Block()
	}
	s.Send(west, &markettypes.MsgWithdrawLeases{Provider: s.addr(west), Ids: []markettypes.BidID{reclaiming}})
	// A deployment that is closed and waits to be pruned.
	s.Send(tenant, &deploymenttypes.MsgCloseDeployment{Id: s.deploy()})

	again := s.roundTrip()
	s.Block() // as the imported chain has made its first
	again.roundTrip()
	step := func(s *stage) {
		requireCode(t, deploymenttypes.ErrDeploymentPruned, s.Refused(tenant, s.newDeployment(pruned)))
		s.Send(tenant, &deploymenttypes.MsgStartGroup{Id: groupID(deploymentOf(paused), 1)})
		s.Send(tenant, &escrowtypes.MsgDeposit{
			Depositor: s.addr(tenant), AccountId: deploymentOf(suspended).EscrowID(), Amount: ubrt(90_000_000),
		})
		require.Equal(t, markettypes.LEASE_STATE_ACTIVE, s.leaseState(suspended))
		s.Blocks(5)
		for _, id := range []markettypes.BidID{active, reclaiming, suspended} {
			s.Send(tenant, &deploymenttypes.MsgCloseDeployment{Id: deploymentOf(id)})
		}
		s.Blocks(3)
	}
	step(s)
	step(again)
	for i := range s.Keys {
		require.Equal(t, s.balance(i), again.balance(i), "account %d", i)
	}
}

// TestModuleAccounts pins the addresses of the modules' accounts, what they may do, and who may be sent coins: what changes
// them strands what they hold. Each that the chain's genesis makes is there from the first block.
func TestModuleAccounts(t *testing.T) {
	s := newStage(t, nil)
	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.App.AccountKeeper.GetModulePermissions())) {
		permissions := s.App.AccountKeeper.GetModulePermissions()[name]
		address := permissions.GetAddress()
		fmt.Fprintf(&table, "%s | %s | %s | blocked %t\n", name, address, strings.Join(permissions.GetPermissions(), ","), s.App.BankKeeper.BlockedAddr(address))
	}
	requireGolden(t, "module_accounts.txt", table.String())
	_, ok := s.App.AccountKeeper.GetAccount(s.Context(), authtypes.NewModuleAddress(escrowtypes.ModuleName)).(sdk.ModuleAccountI)
	require.True(t, ok, "the pool is there before the first deposit")
}
