package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"berth.dev/berth/app"
	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units"
	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// More people, beside tenant, east, west and stranger: the accounts of a stage.
const (
	auditor = iota + 4
	granter
	hotKey
	spare
	nobody
	stageAccounts
)

// modules are the modules whose messages and state are the chain's own.
var modules = []string{
	escrowtypes.ModuleName, deploymenttypes.ModuleName, markettypes.ModuleName, providertypes.ModuleName, audittypes.ModuleName,
}

// stage is a chain whose blocks the test makes, with two providers, east and west, whom an auditor vouches for.
type stage struct {
	*chaintest.Chain
	t    *testing.T
	dseq uint64
}

// quickGovernance lets proposals pass within a few of a stage's blocks.
func quickGovernance(cdc codec.JSONCodec, state map[string]json.RawMessage) {
	g := govv1.DefaultGenesisState()
	period, expedited := 3*time.Second, time.Second
	g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod = &period, &expedited
	g.Params.MinDeposit = sdk.NewCoins(ubrt(1000))
	state[govtypes.ModuleName] = cdc.MustMarshalJSON(g)
}

// newStage makes a chain; edit, if set, changes its genesis.
func newStage(t *testing.T, edit func(cdc codec.JSONCodec, state map[string]json.RawMessage)) *stage {
	t.Helper()
	s := &stage{t: t, Chain: chaintest.NewChain(t, chaintest.Options{
		Accounts: stageAccounts,
		Genesis: func(cdc codec.JSONCodec, state map[string]json.RawMessage) {
			quickGovernance(cdc, state)
			if edit != nil {
				edit(cdc, state)
			}
		},
	})}
	for _, p := range []struct {
		who  int
		name string
	}{{east, "east"}, {west, "west"}} {
		s.Send(p.who, s.provider(p.who, p.name))
		s.Send(auditor, &audittypes.MsgSignAttributes{
			Auditor: s.Addr(auditor).String(), Provider: s.Addr(p.who).String(), Attributes: []providertypes.Attribute{{Key: "region", Value: p.name}},
		})
	}
	return s
}

func (s *stage) addr(i int) string { return s.Addr(i).String() }

func (s *stage) provider(who int, name string) *providertypes.MsgCreateProvider {
	return &providertypes.MsgCreateProvider{
		Owner: s.addr(who), HostUri: "https://" + name + ".example.org:8443", TlsPins: [][]byte{bytes.Repeat([]byte{1}, 32)},
		Attributes: []providertypes.Attribute{{Key: "region", Value: name}, {Key: "tier", Value: "gold"}},
		Info:       providertypes.Info{Email: "ops@example.org", Website: "https://example.org"},
	}
}

// nextID is a deployment id of the tenant's that was never used.
func (s *stage) nextID() deploymenttypes.DeploymentID {
	s.dseq++
	return deploymenttypes.DeploymentID{Owner: s.addr(tenant), Dseq: s.dseq}
}

// smallGroup is a group that any provider may run.
func smallGroup(name string) deploymenttypes.GroupSpec {
	return deploymenttypes.GroupSpec{
		Name: name,
		Units: []deploymenttypes.ResourceUnit{{
			Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 1, Price: perBlock("200000"),
			Storage: []deploymenttypes.Volume{{Name: "default", Bytes: 512 << 20}},
		}},
	}
}

// newDeployment is the message that opens a deployment of small groups, one unless more are given.
func (s *stage) newDeployment(id deploymenttypes.DeploymentID, groups ...deploymenttypes.GroupSpec) *deploymenttypes.MsgCreateDeployment {
	if len(groups) == 0 {
		groups = []deploymenttypes.GroupSpec{smallGroup("web")}
	}
	return &deploymenttypes.MsgCreateDeployment{
		Id: id, ManifestHash: bytes.Repeat([]byte{7}, 32), Deposit: ubrt(5_000_000), Groups: groups,
	}
}

// deploy opens a deployment of one small group.
func (s *stage) deploy() deploymenttypes.DeploymentID {
	s.t.Helper()
	id := s.nextID()
	s.Send(tenant, s.newDeployment(id))
	return id
}

func orderID(id deploymenttypes.DeploymentID, gseq, oseq uint32) markettypes.OrderID {
	return markettypes.OrderID{Owner: id.Owner, Dseq: id.Dseq, Gseq: gseq, Oseq: oseq}
}

func (s *stage) bidMsg(who int, id markettypes.OrderID, price string) *markettypes.MsgCreateBids {
	return &markettypes.MsgCreateBids{Provider: s.addr(who), Bids: []markettypes.BidItem{{
		OrderId: id, Price: perBlock(price), Deposit: markettypes.DefaultParams().BidMinDeposits[0],
	}}}
}

// results are the outcomes of a batch, as the response tells them.
func results(t testing.TB, responses []*codectypes.Any) []markettypes.ItemResult {
	t.Helper()
	require.Len(t, responses, 1)
	var bids markettypes.MsgCreateBidsResponse
	require.NoError(t, bids.Unmarshal(responses[0].Value))
	return bids.Results
}

// bid bids on an order, which must be taken, and returns the bid's id.
func (s *stage) bid(who int, id markettypes.OrderID, price string) markettypes.BidID {
	s.t.Helper()
	for _, r := range results(s.t, s.Send(who, s.bidMsg(who, id, price))) {
		require.Zero(s.t, r.Code, "%s/%d", r.Codespace, r.Code)
	}
	return id.BidID(s.addr(who))
}

// bidWithNotice bids with a reclaim window of an hour.
func (s *stage) bidWithNotice(who int, id markettypes.OrderID, price string) markettypes.BidID {
	s.t.Helper()
	msg := s.bidMsg(who, id, price)
	msg.Bids[0].ReclaimWindowSeconds = 3600
	for _, r := range results(s.t, s.Send(who, msg)) {
		require.Zero(s.t, r.Code, "%s/%d", r.Codespace, r.Code)
	}
	return id.BidID(s.addr(who))
}

// lease opens a deployment that a provider runs for a price.
func (s *stage) lease(who int, price string) markettypes.BidID {
	s.t.Helper()
	id := s.bid(who, orderID(s.deploy(), 1, 1), price)
	s.Send(tenant, &markettypes.MsgCreateLease{Id: id})
	return id
}

// leaseWithNotice opens a deployment that a provider runs with a reclaim window of an hour.
func (s *stage) leaseWithNotice(who int, price string) markettypes.BidID {
	s.t.Helper()
	id := s.bidWithNotice(who, orderID(s.deploy(), 1, 1), price)
	s.Send(tenant, &markettypes.MsgCreateLease{Id: id})
	return id
}

func (s *stage) leaseState(id markettypes.BidID) markettypes.LeaseState {
	s.t.Helper()
	l, err := s.App.MarketKeeper.Lease(s.Context(), id)
	require.NoError(s.t, err)
	return l.State
}

func deploymentOf(id markettypes.BidID) deploymenttypes.DeploymentID {
	return deploymenttypes.DeploymentID{Owner: id.Owner, Dseq: id.Dseq}
}

func (s *stage) balance(who int) int64 { return s.balanceOf(s.Addr(who)) }

func (s *stage) balanceOf(address sdk.AccAddress) int64 {
	return s.App.BankKeeper.GetBalance(s.Context(), address, units.BaseDenom).Amount.Int64()
}

// account is a deployment's escrow account as of the last block.
func (s *stage) account(id deploymenttypes.DeploymentID) escrowtypes.Account {
	s.t.Helper()
	a, err := s.App.EscrowKeeper.Account(s.Context(), id.EscrowID())
	require.NoError(s.t, err)
	return a
}

// sent makes a block of a transaction by a key that is none of the funded accounts', or that needs more than messages.
func (s *stage) sent(tx chaintest.Tx) *abci.ExecTxResult {
	s.t.Helper()
	res := s.Deliver(tx)
	require.Zero(s.t, res.Code, res.Log)
	return res
}

// by is a transaction of an account, to which more may be added.
func (s *stage) by(who int, msgs ...sdk.Msg) chaintest.Tx {
	return chaintest.Tx{Signers: []*secp256k1.PrivKey{s.Keys[who]}, Msgs: msgs}
}

// grant lets one account do for another what an authorization says, for a day.
func (s *stage) grant(from, to int, a proto.Message) {
	s.t.Helper()
	packed, err := codectypes.NewAnyWithValue(a)
	require.NoError(s.t, err)
	until := s.Now.Add(24 * time.Hour)
	s.Send(from, &authz.MsgGrant{Granter: s.addr(from), Grantee: s.addr(to), Grant: authz.Grant{Authorization: packed, Expiration: &until}})
}

// depositGrant lets one account draw deposits from another's balance.
func (s *stage) depositGrant(from, to int, limit int64) {
	s.t.Helper()
	s.grant(from, to, &escrowtypes.DepositAuthorization{Limits: sdk.NewCoins(ubrt(limit))})
}

// fromGrant is a source that draws a granter's coins.
func (s *stage) fromGrant(who int) escrowtypes.DepositSource {
	return escrowtypes.DepositSource{Kind: escrowtypes.SOURCE_GRANT, Granter: s.addr(who)}
}

// fromBalance is a source that draws the signer's own coins.
func fromBalance() escrowtypes.DepositSource {
	return escrowtypes.DepositSource{Kind: escrowtypes.SOURCE_BALANCE}
}

// earned is what a price makes over a number of blocks, in whole units.
func earned(price string, blocks int64) int64 {
	return math.LegacyMustNewDecFromStr(price).MulInt64(blocks).TruncateInt64()
}

func groupID(id deploymenttypes.DeploymentID, gseq uint32) deploymenttypes.GroupID {
	return deploymenttypes.GroupID{Owner: id.Owner, Dseq: id.Dseq, Gseq: gseq}
}

// richDeployment opens a deployment that says something in every field: east may run it.
func (s *stage) richDeployment() *deploymenttypes.MsgCreateDeployment {
	east := []providertypes.Attribute{{Key: "region", Value: "east"}}
	return &deploymenttypes.MsgCreateDeployment{
		Id: s.nextID(), ManifestHash: bytes.Repeat([]byte{7}, 32), Deposit: ubrt(5_000_000),
		Groups: []deploymenttypes.GroupSpec{{
			Name: "web",
			Requirements: deploymenttypes.PlacementRequirements{
				Attributes: east,
				SignedBy:   deploymenttypes.SignedBy{AllOf: []string{s.addr(auditor)}, AnyOf: []string{s.addr(auditor)}},
			},
			Units: []deploymenttypes.ResourceUnit{{
				Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 2, Price: perBlock("200000"),
				Storage:   []deploymenttypes.Volume{{Name: "data", Bytes: 512 << 20, Attributes: []providertypes.Attribute{{Key: "class", Value: "beta2"}}}},
				Gpu:       deploymenttypes.GPU{Count: 1, Attributes: []providertypes.Attribute{{Key: "vendor/nvidia/model/a100", Value: "true"}}},
				Endpoints: []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_PORT, Sequence: 1}},
			}},
		}},
		Auction:        deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_TENANT},
		DepositSources: []escrowtypes.DepositSource{s.fromGrant(granter), fromBalance()},
		Reclamation:    deploymenttypes.Reclamation{MinWindowSeconds: 3600},
	}
}

// govAuthority is governance's address, as the SDK's genesis makes it.
var govAuthority = app.Authority()

// fingerprint is the state of the chain's own modules and grants, and what the people and the pool have.
func (s *stage) fingerprint() string {
	var b strings.Builder
	b.WriteString(s.Roots(append([]string{"authz"}, modules...)...))
	for i := range s.Keys {
		fmt.Fprintf(&b, "\n%s", s.App.BankKeeper.GetAllBalances(s.Context(), s.Addr(i)))
	}
	fmt.Fprintf(&b, "\n%s", s.App.BankKeeper.GetAllBalances(s.Context(), authtypes.NewModuleAddress(escrowtypes.ModuleName)))
	return b.String()
}
