package keeper_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

func sdkDec(s string) math.LegacyDec { return math.LegacyMustNewDecFromStr(s) }
func authority() string              { return authtypes.NewModuleAddress("gov").String() }

func TestLeaseFromBidToRefund(t *testing.T) {
	c := newChain(t)
	c.register(0)
	c.register(1)
	id := c.deploy(deployMsg(0, 1))
	c.block()
	win, lose := c.bid(0, id, 150), c.bid(1, id, 140)
	c.block()
	evs, err := c.tx(func(ctx context.Context) error {
		_, err := c.msgs.CreateLease(ctx, &types.MsgCreateLease{Id: win})
		return err
	})
	require.NoError(t, err)
	require.Equal(t, 1, named(evs, "EventLeaseCreated"))
	require.Zero(t, named(evs, "EventBidClosed"), "the tenant's transaction touches no other provider's bid")
	require.Equal(t, types.ORDER_STATE_ACTIVE, c.order(id).State)
	require.Equal(t, types.BID_STATE_ACTIVE, c.theBid(win).State)
	require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(win).State)
	require.ErrorIs(t, c.createLease(lose), types.ErrOrderNotOpen)
	require.Equal(t, 1, named(c.block(), "EventBidClosed"))
	require.Equal(t, types.BID_STATE_LOST, c.theBid(lose).State)
	require.EqualValues(t, startBalance, c.balance(provider(1)).Int64(), "a losing bid is refunded in the same block")
	require.EqualValues(t, startBalance-500, c.balance(provider(0)).Int64(), "the winner's deposit stays until the lease ends")

	c.blocks(9)
	res := c.withdraw(0, win)
	require.Zero(t, res[0].Code)
	require.Equal(t, coin(1500), res[0].Amount, "10 blocks at 150")
	require.NoError(t, c.closeDeployment(id.DeploymentID()))
	l := c.lease(win)
	require.Equal(t, types.LEASE_STATE_CLOSED, l.State)
	require.Equal(t, types.CLOSE_REASON_TENANT, l.Reason)
	c.block()
	require.EqualValues(t, startBalance+1500, c.balance(provider(0)).Int64())
	require.EqualValues(t, startBalance-1500, c.balance(tenant(0)).Int64())
	r, err := c.market.Record(c.ctx, addr(10))
	require.NoError(t, err)
	require.Equal(t, types.ProviderRecord{Provider: provider(0), Leases: 1, Closed: []types.ReasonCount{{Reason: types.CLOSE_REASON_TENANT, Count: 1}}}, r)
	require.ErrorIs(t, c.closeDeployment(id.DeploymentID()), deploymenttypes.ErrDeploymentClosed)
}

func TestCreateLeaseRefusals(t *testing.T) {
	c := newChain(t)
	c.register(0, providertypes.Attribute{Key: "region", Value: "eu"})
	c.register(1, providertypes.Attribute{Key: "region", Value: "eu"})
	msg := deployMsg(0, 1)
	require1("region", "eu")(msg)
	id := c.deploy(msg)
	require.ErrorIs(t, c.createLease(types.OrderID{Owner: id.Owner, Dseq: 9, Gseq: 1, Oseq: 1}.BidID(provider(0))), types.ErrOrderNotFound)
	require.ErrorIs(t, c.createLease(id.BidID(provider(0))), types.ErrBidNotFound)
	bid := c.bid(0, id, 100)
	_, err := c.provider.UpdateProvider(c.ctx, &providertypes.MsgUpdateProvider{Owner: provider(0), HostUri: "https://a.example", TlsPins: [][]byte{make([]byte, 32)}})
	require.NoError(t, err)
	require.ErrorIs(t, c.createLease(bid), types.ErrAttributes, "the provider no longer is what the order asks for")
	other := c.bid(1, id, 100)
	require.Equal(t, types.ItemResult{}, c.closeBid(1, id))
	require.ErrorIs(t, c.createLease(other), types.ErrBidNotOpen)
	c.block()
	c.bid(1, id, 100)
	require.NoError(t, c.createLease(other))
	require.ErrorIs(t, c.createLease(other), types.ErrOrderNotOpen)
	auction := deployMsg(0, 2)
	auction.Auction = lowest(3)
	aid := c.deploy(auction)
	require.ErrorIs(t, c.createLease(c.bid(1, aid, 1)), types.ErrAuctionMode)
	c.block()
}

func TestCloseLeaseReopensTheOrder(t *testing.T) {
	for name, tc := range map[string]struct {
		signer  string
		reason  types.CloseReason
		want    types.CloseReason
		refused error
	}{
		"by the tenant":                    {tenant(0), types.CLOSE_REASON_UNSPECIFIED, types.CLOSE_REASON_TENANT, nil},
		"by the tenant, whatever it says":  {tenant(0), types.CLOSE_REASON_UNSTABLE, types.CLOSE_REASON_TENANT, nil},
		"by the provider":                  {provider(0), types.CLOSE_REASON_UNSTABLE, types.CLOSE_REASON_UNSTABLE, nil},
		"by the provider without a reason": {provider(0), types.CLOSE_REASON_UNSPECIFIED, types.CLOSE_REASON_UNSPECIFIED, nil},
		"not in the tenant's name":         {provider(0), types.CLOSE_REASON_TENANT, 0, types.ErrInvalidReason},
		"not for lack of funds":            {provider(0), types.CLOSE_REASON_INSUFFICIENT_FUNDS, 0, types.ErrInvalidReason},
		"not for an unknown reason":        {provider(0), 99, 0, types.ErrInvalidReason},
		"not by others":                    {tenant(1), types.CLOSE_REASON_UNSPECIFIED, 0, types.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t)
			c.register(0)
			c.register(1)
			id := c.deploy(deployMsg(0, 1))
			lease := c.bid(0, id, 100)
			require.NoError(t, c.createLease(lease))
			c.blocks(3)
			err := c.closeLease(tc.signer, lease, tc.reason)
			if tc.refused != nil {
				require.ErrorIs(t, err, tc.refused)
				require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(lease).State)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, c.lease(lease).Reason)
			require.Equal(t, tc.want, c.theBid(lease).Reason)
			require.Equal(t, types.ORDER_STATE_CLOSED, c.order(id).State)
			require.ErrorIs(t, c.closeLease(tc.signer, lease, tc.reason), types.ErrLeaseClosed)
			require.Equal(t, code(types.ErrLeaseClosed), types.ItemResult{Codespace: types.ModuleName, Code: c.withdraw(0, lease)[0].Code})

			next := id
			next.Oseq = 2
			o := c.order(next)
			require.Equal(t, types.ORDER_STATE_OPEN, o.State)
			require.Equal(t, provider(0), o.Excluded)
			require.EqualValues(t, 13+types.DefaultExclusionBlocks, o.ExcludedUntil)
			c.bid(1, next, 100)
			for c.ctx.BlockHeight() < o.ExcludedUntil {
				require.Equal(t, code(types.ErrExcluded), c.bids(0, item(next, 90))[0], "at height %d", c.ctx.BlockHeight())
				c.block()
			}
			c.bid(0, next, 90)
			require.EqualValues(t, startBalance+300-500, c.balance(provider(0)).Int64(), "three blocks at 100, and the first deposit back")
			require.NoError(t, c.createLease(next.BidID(provider(0))), "a group may be leased again")
			c.block()
		})
	}
}

func TestSuspendedLeaseResumesOrEnds(t *testing.T) {
	c := newChain(t)
	c.register(0)
	msg := deployMsg(0, 1)
	msg.Deposit = coin(1000)
	second := msg.Groups[0]
	second.Name = "east"
	msg.Groups = append(msg.Groups, second)
	id := c.deploy(msg)
	west, eastOrder := c.bid(0, id, 100), types.OrderID{Owner: id.Owner, Dseq: id.Dseq, Gseq: 2, Oseq: 1}
	east := c.bid(0, eastOrder, 100)
	require.NoError(t, c.createLease(west))
	for c.lease(west).State == types.LEASE_STATE_ACTIVE {
		c.block()
		require.Less(t, c.ctx.BlockHeight(), int64(40), "1000 pays ten blocks at 100")
	}
	require.Equal(t, types.LEASE_STATE_SUSPENDED, c.lease(west).State)
	require.EqualValues(t, 21, c.ctx.BlockHeight(), "it ran dry at height 20")
	require.Error(t, c.createLease(east), "a dry account starts no lease")

	require.NoError(t, c.topUp(tenant(1), id.DeploymentID(), 1000))
	require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(west).State)
	require.NoError(t, c.createLease(east))
	c.blocks(4)
	require.Equal(t, types.LEASE_STATE_ACTIVE, c.lease(east).State)
	for range 2 {
		c.block()
	}
	require.Equal(t, types.LEASE_STATE_SUSPENDED, c.lease(west).State)
	require.Equal(t, types.LEASE_STATE_SUSPENDED, c.lease(east).State)
	require.NoError(t, c.closeLease(provider(0), east, types.CLOSE_REASON_UNSPECIFIED), "the provider need not wait for funds")

	var ended int
	for range 8 {
		ended += named(c.block(), "EventLeaseClosed")
	}
	require.Equal(t, 1, ended, "grace has ended")
	l := c.lease(west)
	require.Equal(t, types.LEASE_STATE_CLOSED, l.State)
	require.Equal(t, types.CLOSE_REASON_INSUFFICIENT_FUNDS, l.Reason)
	d, err := c.deployments.Deployment(c.ctx, id.DeploymentID())
	require.NoError(t, err)
	require.Equal(t, deploymenttypes.DEPLOYMENT_STATE_CLOSED, d.State)
	eastOrder.Oseq = 2
	require.Equal(t, types.ORDER_STATE_CLOSED, c.order(eastOrder).State, "the order that was reopened is closed too")
	require.EqualValues(t, startBalance+2000, c.balance(provider(0)).Int64(), "all that was deposited was earned, and the deposits of the bids are back")
	acc, err := c.escrow.Account(c.ctx, id.DeploymentID().EscrowID())
	require.NoError(t, err)
	require.Equal(t, escrowtypes.ACCOUNT_STATE_CLOSED, acc.State)
}

func TestLeaseNeedsABlockOfFunds(t *testing.T) {
	c := newChain(t)
	c.register(0)
	msg := deployMsg(0, 1)
	msg.Deposit = coin(1000)
	msg.Groups[0].Units = []deploymenttypes.ResourceUnit{unit(1, 2000, 1)}
	id := c.deploy(msg)
	bid := c.bid(0, id, 1001)
	err := c.createLease(bid)
	require.ErrorIs(t, err, escrowtypes.ErrInsufficientFunds)
	require.Equal(t, types.BID_STATE_OPEN, c.theBid(bid).State)
	c.check()
	require.NoError(t, c.topUp(tenant(3), id.DeploymentID(), 1000))
	require.NoError(t, c.createLease(bid))
	c.blocks(12)
}

func TestWithdrawResultsStandAlone(t *testing.T) {
	c := newChain(t)
	c.register(0)
	a, b := c.deploy(deployMsg(0, 1)), c.deploy(deployMsg(0, 2))
	la, lb := c.bid(0, a, 100), b.BidID(provider(0))
	require.NoError(t, c.createLease(la))
	c.blocks(2)
	res := c.withdraw(0, lb, la)
	require.Equal(t, code(types.ErrLeaseNotFound), types.ItemResult{Codespace: res[0].Codespace, Code: res[0].Code})
	require.Equal(t, coin(200), res[1].Amount)
	require.True(t, c.withdraw(0, la)[0].Amount.IsZero(), "nothing has been earned since")
	_, err := c.msgs.WithdrawLeases(c.ctx, &types.MsgWithdrawLeases{Provider: provider(1), Ids: []types.LeaseID{la}})
	require.ErrorIs(t, err, types.ErrUnauthorized)
	c.block()
}

func TestTooLargeAGroupIsRefused(t *testing.T) {
	c := newChain(t)
	msg := deployMsg(0, 1)
	msg.Groups[0].Units = nil
	for i := range deploymenttypes.MaxUnits {
		u := unit(uint32(i+1), 100, 1)
		msg.Groups[0].Units = append(msg.Groups[0].Units, u)
	}
	c.deploy(msg)
	for i := range msg.Groups[0].Units {
		for range deploymenttypes.MaxEndpoints {
			msg.Groups[0].Units[i].Endpoints = append(msg.Groups[0].Units[i].Endpoints, deploymenttypes.Endpoint{Kind: deploymenttypes.ENDPOINT_KIND_PORT})
		}
	}
	msg.Id.Dseq = 2
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.deployment.CreateDeployment(ctx, msg)
		return err
	})
	require.ErrorIs(t, err, types.ErrOrderTooLarge)
	c.block()
	require.EqualValues(t, startBalance-100_000, c.balance(tenant(0)).Int64())
}

func TestParamsAreTheAuthoritys(t *testing.T) {
	c := newChain(t)
	p := types.DefaultParams()
	_, err := c.msgs.UpdateParams(c.ctx, &types.MsgUpdateParams{Authority: tenant(0), Params: p})
	require.ErrorIs(t, err, types.ErrUnauthorized)
	p.OrderMaxBids = 0
	_, err = c.msgs.UpdateParams(c.ctx, &types.MsgUpdateParams{Authority: authority(), Params: p})
	require.ErrorIs(t, err, types.ErrInvalidParams)
}
