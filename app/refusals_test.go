package app_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// TestMissingClosedAndForeign: a message for an object that does not exist, has ended or is another's has the code that
// says so, names the object, and changes nothing.
func TestMissingClosedAndForeign(t *testing.T) {
	s := newStage(t, nil)
	open := s.deploy()
	missing := deploymenttypes.DeploymentID{Owner: s.addr(tenant), Dseq: 999}
	closed := s.deploy()
	s.Send(tenant, &deploymenttypes.MsgCloseDeployment{Id: closed})
	lease := s.lease(east, "10")
	ended := s.lease(east, "10")
	s.Send(tenant, &markettypes.MsgCloseLease{Signer: s.addr(tenant), Id: ended})
	noLease := orderID(open, 1, 1).BidID(s.addr(east))
	bid := s.bid(west, orderID(open, 1, 1), "10")

	withdraw := func(who int, id markettypes.BidID) sdk.Msg {
		return &markettypes.MsgWithdrawLeases{Provider: s.addr(who), Ids: []markettypes.BidID{id}}
	}
	closeBid := func(who int, id markettypes.OrderID) sdk.Msg {
		return &markettypes.MsgCloseBids{Provider: s.addr(who), OrderIds: []markettypes.OrderID{id}}
	}
	closeLease := func(who int, id markettypes.BidID) sdk.Msg {
		return &markettypes.MsgCloseLease{Signer: s.addr(who), Id: id}
	}
	reclaim := func(who int, id markettypes.BidID) sdk.Msg {
		return &markettypes.MsgStartReclaim{Provider: s.addr(who), Id: id, Reason: markettypes.CLOSE_REASON_DECOMMISSION}
	}
	deposit := func(id deploymenttypes.DeploymentID, coin sdk.Coin) sdk.Msg {
		return &escrowtypes.MsgDeposit{Depositor: s.addr(tenant), AccountId: id.EscrowID(), Amount: coin}
	}
	update := func(id deploymenttypes.DeploymentID) sdk.Msg {
		return &deploymenttypes.MsgUpdateDeployment{Id: id, ManifestHash: bytes.Repeat([]byte{9}, 32)}
	}
	east2 := s.provider(east, "east")

	for _, row := range []struct {
		name string
		who  int
		msg  sdk.Msg
		want *errorsmod.Error
	}{
		{"update a missing deployment", tenant, update(missing), deploymenttypes.ErrDeploymentNotFound},
		{"update a closed deployment", tenant, update(closed), deploymenttypes.ErrDeploymentClosed},
		{"close a missing deployment", tenant, &deploymenttypes.MsgCloseDeployment{Id: missing}, deploymenttypes.ErrDeploymentNotFound},
		{"close a closed deployment", tenant, &deploymenttypes.MsgCloseDeployment{Id: closed}, deploymenttypes.ErrDeploymentClosed},
		{"create one that exists", tenant, s.newDeployment(open), deploymenttypes.ErrDeploymentExists},
		{"create one that has been closed", tenant, s.newDeployment(closed), deploymenttypes.ErrDeploymentExists},
		{"pause a missing group", tenant, &deploymenttypes.MsgPauseGroup{Id: groupID(open, 9)}, deploymenttypes.ErrGroupNotFound},
		{"start a missing group", tenant, &deploymenttypes.MsgStartGroup{Id: groupID(open, 9)}, deploymenttypes.ErrGroupNotFound},
		{"close a missing group", tenant, &deploymenttypes.MsgCloseGroup{Id: groupID(open, 9)}, deploymenttypes.ErrGroupNotFound},
		{"start an open group", tenant, &deploymenttypes.MsgStartGroup{Id: groupID(open, 1)}, deploymenttypes.ErrGroupNotPaused},
		{"pause a group of a closed deployment", tenant, &deploymenttypes.MsgPauseGroup{Id: groupID(closed, 1)}, deploymenttypes.ErrDeploymentClosed},
		{"deposit into a missing account", tenant, deposit(missing, ubrt(500_000)), escrowtypes.ErrAccountNotFound},
		{"deposit into a closed account", tenant, deposit(closed, ubrt(500_000)), escrowtypes.ErrAccountClosed},
		{"deposit another denom", tenant, deposit(open, sdk.NewInt64Coin("unknown", 500_000)), escrowtypes.ErrInvalidDenom},
		{"bid on a missing order", east, s.bidMsg(east, orderID(missing, 1, 1), "10"), markettypes.ErrOrderNotFound},
		{"bid on a closed order", east, s.bidMsg(east, orderID(closed, 1, 1), "10"), markettypes.ErrOrderNotOpen},
		{"bid on an order with a lease", west, s.bidMsg(west, lease.OrderID(), "10"), markettypes.ErrOrderNotOpen},
		{"bid without being a provider", nobody, s.bidMsg(nobody, orderID(open, 1, 1), "10"), markettypes.ErrProviderNotRegistered},
		{"bid twice", west, s.bidMsg(west, orderID(open, 1, 1), "9"), markettypes.ErrBidExists},
		{"close a bid that was not made", east, closeBid(east, orderID(open, 1, 1)), markettypes.ErrBidNotFound},
		{"close a bid that is a lease", east, closeBid(east, lease.OrderID()), markettypes.ErrBidNotOpen},
		{"close a bid that has ended", east, closeBid(east, ended.OrderID()), markettypes.ErrBidNotOpen},
		{"lease without a bid", tenant, &markettypes.MsgCreateLease{Id: noLease}, markettypes.ErrBidNotFound},
		{"lease of a missing order", tenant, &markettypes.MsgCreateLease{Id: orderID(missing, 1, 1).BidID(s.addr(east))}, markettypes.ErrOrderNotFound},
		{"lease twice", tenant, &markettypes.MsgCreateLease{Id: lease}, markettypes.ErrOrderNotOpen},
		{"close a missing lease", tenant, closeLease(tenant, bid), markettypes.ErrLeaseNotFound},
		{"close a closed lease", tenant, closeLease(tenant, ended), markettypes.ErrLeaseClosed},
		{"close another's lease", stranger, closeLease(stranger, lease), markettypes.ErrUnauthorized},
		{"close another provider's lease", west, closeLease(west, lease), markettypes.ErrUnauthorized},
		{"reclaim another provider's lease", west, reclaim(west, lease), markettypes.ErrUnauthorized},
		{"reclaim without a notice", east, reclaim(east, lease), markettypes.ErrReclaim},
		{"reclaim a missing lease", west, reclaim(west, bid), markettypes.ErrLeaseNotFound},
		{"withdraw from a missing lease", west, withdraw(west, bid), markettypes.ErrLeaseNotFound},
		{"withdraw from a closed lease", east, withdraw(east, ended), markettypes.ErrLeaseClosed},
		{"withdraw from another's lease", west, withdraw(west, lease), markettypes.ErrUnauthorized},
		{"register twice", east, east2, providertypes.ErrProviderExists},
		{"update a missing provider", nobody, &providertypes.MsgUpdateProvider{
			Owner: s.addr(nobody), HostUri: east2.HostUri, TlsPins: east2.TlsPins,
		}, providertypes.ErrProviderNotFound},
		{"delete a missing provider", nobody, &providertypes.MsgDeleteProvider{Owner: s.addr(nobody)}, providertypes.ErrProviderNotFound},
		{"delete a provider with a lease", east, &providertypes.MsgDeleteProvider{Owner: s.addr(east)}, providertypes.ErrProviderInUse},
		{"remove a gateway key that was not set", nobody, &providertypes.MsgSetGatewayKey{Owner: s.addr(nobody)}, providertypes.ErrNoGatewayKey},
		{"a gateway key that is no point", tenant, &providertypes.MsgSetGatewayKey{
			Owner: s.addr(tenant), Key: append([]byte{2}, bytes.Repeat([]byte{0xff}, 32)...),
		}, providertypes.ErrInvalidGatewayKey},
		{"revoke from a provider that one has not signed", nobody, &audittypes.MsgRevokeAttributes{
			Auditor: s.addr(nobody), Provider: s.addr(east),
		}, audittypes.ErrRecordNotFound},
		{"revoke a key that one has not signed", auditor, &audittypes.MsgRevokeAttributes{
			Auditor: s.addr(auditor), Provider: s.addr(east), Keys: []string{"tier"},
		}, audittypes.ErrKeyNotSigned},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := s.fingerprint()
			res := s.Deliver(s.by(row.who, row.msg))
			if res.Code == 0 {
				items := s.items(res)
				require.Len(t, items, 1, "%T was accepted", row.msg)
				require.Equal(t, codeName(row.want.Codespace(), row.want.ABCICode()), codeName(itemCodespace(items[0]), itemCode(items[0])))
			} else {
				requireCode(t, row.want, res)
				require.Regexp(t, "berth1|02ffff", res.Log, "the sentence names the object: an id, an address, or the key")
			}
			require.Equal(t, before, s.fingerprint())
		})
	}
	// A message in another's name is refused before it is read.
	before := s.fingerprint()
	for _, msg := range []sdk.Msg{
		update(open), &deploymenttypes.MsgCloseDeployment{Id: open}, &markettypes.MsgCreateLease{Id: bid}, withdraw(east, lease),
		&providertypes.MsgDeleteProvider{Owner: s.addr(west)},
	} {
		res := s.Refused(nobody, msg)
		checkCode(t, sdk.MsgTypeURL(msg), res.Codespace, res.Code)
	}
	require.Equal(t, before, s.fingerprint())
}
