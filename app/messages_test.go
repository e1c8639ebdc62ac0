package app_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/app"
	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// governance stands in for a signer where only a proposal can send a message.
const governance = -1

// valid makes a message of a type, and the state in which the chain accepts it from who. Every list and every part of
// the message has at least one element where the chain allows it, so that a test that goes through the fields meets all.
type valid func(s *stage) (msg sdk.Msg, who int)

// messageTypes are the type URLs of all of the chain's own messages, as the interface registry knows them.
func messageTypes(a *app.App) []string {
	var urls []string
	for _, url := range a.InterfaceRegistry().ListImplementations(sdk.MsgInterfaceProtoName) {
		if strings.HasPrefix(url, "/berth.") {
			urls = append(urls, url)
		}
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}

// validMessages has a maker for each message.
var validMessages = map[string]valid{
	sdk.MsgTypeURL(&escrowtypes.MsgDeposit{}): func(s *stage) (sdk.Msg, int) {
		s.depositGrant(granter, stranger, 600_000)
		return &escrowtypes.MsgDeposit{
			Depositor: s.addr(stranger), AccountId: s.deploy().EscrowID(), Amount: ubrt(1_200_000),
			Sources: []escrowtypes.DepositSource{s.fromGrant(granter), fromBalance()},
		}, stranger
	},
	sdk.MsgTypeURL(&escrowtypes.MsgUpdateParams{}): func(*stage) (sdk.Msg, int) {
		return &escrowtypes.MsgUpdateParams{Authority: app.Authority(), Params: escrowtypes.DefaultParams()}, governance
	},
	sdk.MsgTypeURL(&deploymenttypes.MsgCreateDeployment{}): func(s *stage) (sdk.Msg, int) {
		s.depositGrant(granter, tenant, 600_000)
		return s.richDeployment(), tenant
	},
	sdk.MsgTypeURL(&deploymenttypes.MsgUpdateDeployment{}): func(s *stage) (sdk.Msg, int) {
		return &deploymenttypes.MsgUpdateDeployment{Id: s.deploy(), ManifestHash: bytes.Repeat([]byte{8}, 32)}, tenant
	},
	sdk.MsgTypeURL(&deploymenttypes.MsgCloseDeployment{}): func(s *stage) (sdk.Msg, int) {
		return &deploymenttypes.MsgCloseDeployment{Id: s.deploy()}, tenant
	},
	sdk.MsgTypeURL(&deploymenttypes.MsgPauseGroup{}): func(s *stage) (sdk.Msg, int) {
		return &deploymenttypes.MsgPauseGroup{Id: groupID(s.deploy(), 1)}, tenant
	},
	sdk.MsgTypeURL(&deploymenttypes.MsgStartGroup{}): func(s *stage) (sdk.Msg, int) {
		id := groupID(s.deploy(), 1)
		s.Send(tenant, &deploymenttypes.MsgPauseGroup{Id: id})
		return &deploymenttypes.MsgStartGroup{Id: id}, tenant
	},
	sdk.MsgTypeURL(&deploymenttypes.MsgCloseGroup{}): func(s *stage) (sdk.Msg, int) {
		return &deploymenttypes.MsgCloseGroup{Id: groupID(s.deploy(), 1)}, tenant
	},
	sdk.MsgTypeURL(&deploymenttypes.MsgUpdateParams{}): func(*stage) (sdk.Msg, int) {
		return &deploymenttypes.MsgUpdateParams{Authority: app.Authority(), Params: deploymenttypes.DefaultParams()}, governance
	},
	sdk.MsgTypeURL(&markettypes.MsgCreateBids{}): func(s *stage) (sdk.Msg, int) {
		s.depositGrant(granter, tenant, 600_000)
		order := s.richDeployment()
		s.Send(tenant, order)
		msg := s.bidMsg(east, orderID(order.Id, 1, 1), "10.25")
		msg.Bids[0].ValidUntil = s.Height() + 1_000_000
		msg.Bids[0].ReclaimWindowSeconds = 3600
		for _, unit := range order.Groups[0].Units {
			msg.Bids[0].Offer = append(msg.Bids[0].Offer, markettypes.ResourceOffer{Unit: unit})
		}
		return msg, east
	},
	sdk.MsgTypeURL(&markettypes.MsgCloseBids{}): func(s *stage) (sdk.Msg, int) {
		id := orderID(s.deploy(), 1, 1)
		s.bid(east, id, "10.25")
		return &markettypes.MsgCloseBids{Provider: s.addr(east), OrderIds: []markettypes.OrderID{id}}, east
	},
	sdk.MsgTypeURL(&markettypes.MsgCreateLease{}): func(s *stage) (sdk.Msg, int) {
		return &markettypes.MsgCreateLease{Id: s.bid(east, orderID(s.deploy(), 1, 1), "10.25")}, tenant
	},
	sdk.MsgTypeURL(&markettypes.MsgCloseLease{}): func(s *stage) (sdk.Msg, int) {
		return &markettypes.MsgCloseLease{Signer: s.addr(east), Id: s.lease(east, "10.25"), Reason: markettypes.CLOSE_REASON_UNSTABLE}, east
	},
	sdk.MsgTypeURL(&markettypes.MsgStartReclaim{}): func(s *stage) (sdk.Msg, int) {
		return &markettypes.MsgStartReclaim{
			Provider: s.addr(east), Id: s.leaseWithNotice(east, "10.25"), Reason: markettypes.CLOSE_REASON_DECOMMISSION,
		}, east
	},
	sdk.MsgTypeURL(&markettypes.MsgWithdrawLeases{}): func(s *stage) (sdk.Msg, int) {
		return &markettypes.MsgWithdrawLeases{Provider: s.addr(east), Ids: []markettypes.BidID{s.lease(east, "10.25")}}, east
	},
	sdk.MsgTypeURL(&markettypes.MsgUpdateParams{}): func(*stage) (sdk.Msg, int) {
		return &markettypes.MsgUpdateParams{Authority: app.Authority(), Params: markettypes.DefaultParams()}, governance
	},
	sdk.MsgTypeURL(&providertypes.MsgCreateProvider{}): func(s *stage) (sdk.Msg, int) {
		s.removeProvider(spare)
		return s.provider(spare, "spare"), spare
	},
	sdk.MsgTypeURL(&providertypes.MsgUpdateProvider{}): func(s *stage) (sdk.Msg, int) {
		p := s.provider(east, "east")
		return &providertypes.MsgUpdateProvider{
			Owner: p.Owner, HostUri: "https://new.example.org", TlsPins: p.TlsPins, Attributes: p.Attributes, Info: p.Info,
		}, east
	},
	sdk.MsgTypeURL(&providertypes.MsgDeleteProvider{}): func(s *stage) (sdk.Msg, int) {
		s.removeProvider(spare)
		s.Send(spare, s.provider(spare, "spare"))
		return &providertypes.MsgDeleteProvider{Owner: s.addr(spare)}, spare
	},
	sdk.MsgTypeURL(&providertypes.MsgSetGatewayKey{}): func(s *stage) (sdk.Msg, int) {
		return &providertypes.MsgSetGatewayKey{Owner: s.addr(tenant), Key: secp256k1.GenPrivKeyFromSecret([]byte("gateway")).PubKey().Bytes()}, tenant
	},
	sdk.MsgTypeURL(&audittypes.MsgSignAttributes{}): func(s *stage) (sdk.Msg, int) {
		return &audittypes.MsgSignAttributes{
			Auditor: s.addr(auditor), Provider: s.addr(east), Attributes: []providertypes.Attribute{{Key: "tier", Value: "gold"}},
		}, auditor
	},
	sdk.MsgTypeURL(&audittypes.MsgRevokeAttributes{}): func(s *stage) (sdk.Msg, int) {
		s.Send(auditor, &audittypes.MsgSignAttributes{
			Auditor: s.addr(auditor), Provider: s.addr(east), Attributes: []providertypes.Attribute{{Key: "tier", Value: "gold"}},
		})
		return &audittypes.MsgRevokeAttributes{Auditor: s.addr(auditor), Provider: s.addr(east), Keys: []string{"tier"}}, auditor
	},
}

// removeProvider makes sure that an account is no provider.
func (s *stage) removeProvider(who int) {
	s.t.Helper()
	if _, err := s.App.ProviderKeeper.Provider(s.Context(), s.Addr(who)); err == nil {
		s.Send(who, &providertypes.MsgDeleteProvider{Owner: s.addr(who)})
	}
}

// TestValidMessages: each message has a maker, and what it makes is accepted.
func TestValidMessages(t *testing.T) {
	s := newStage(t, nil)
	for _, url := range messageTypes(s.App) {
		make, ok := validMessages[url]
		require.True(t, ok, "no valid message is known for %s: add it to validMessages", url)
		msg, who := make(s)
		if who == governance {
			require.NoError(t, s.Govern(msg), url)
			continue
		}
		res := s.Deliver(s.by(who, msg))
		require.Zero(t, res.Code, "%s: %s/%d %s", url, res.Codespace, res.Code, res.Log)
	}
}
