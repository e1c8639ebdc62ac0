package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/testutil/chaintest"
	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// escrowParams makes an edit of a genesis that changes the escrow's parameters.
func escrowParams(edit func(*escrowtypes.Params)) func(codec.JSONCodec, map[string]json.RawMessage) {
	return func(cdc codec.JSONCodec, state map[string]json.RawMessage) {
		g := escrowtypes.DefaultGenesis()
		edit(&g.Params)
		state[escrowtypes.ModuleName] = cdc.MustMarshalJSON(g)
	}
}

// tiny lets an account be opened with almost nothing, and gives a dry one ten blocks.
func tiny(p *escrowtypes.Params) {
	p.MinDeposits, p.GraceBlocks, p.MinResumeBlocks = []sdk.Coin{ubrt(1)}, 10, 3
}

// TestAcceptance are the behaviours that a tenant or a provider can see from outside, from the deposit that opens a
// deployment to the block in which an unpaid one ends.
func TestAcceptance(t *testing.T) {
	for _, scenario := range []struct {
		name string
		edit func(*escrowtypes.Params)
		run  func(s *stage)
	}{
		{"the deposit and the hash at their limits", nil, depositAndHash},
		{"two groups are two orders, and a dseq works once", nil, twoGroups},
		{"an update replaces the hash and nothing else", nil, updates},
		{"the largest counts", nil, counts},
		{"pausing ends the lease, starting asks anew", nil, pauses},
		{"the price of a bid at its limits", nil, bidPrices},
		{"a full order loses its highest bid to a lower one", nil, fullOrder},
		{"an offer names each unit once", nil, offers},
		{"attributes and signatures are required", nil, requirements},
		{"losing bids are refunded in the block of the lease", nil, losers},
		{"a lease that its tenant closes reopens the order in its block", nil, tenantCloses},
		{"a lease that its provider closes reopens the order without it", nil, providerCloses},
		{"a provider that owes a notice gives it", nil, notice},
		{"a hundred blocks of ten are a thousand", nil, thousand},
		{"a dry account pays all it has and waits", tiny, dryTogether},
		{"what is left over is shared in whole units", tiny, leftOver},
		{"how often one withdraws changes nothing", nil, thirds},
		{"a grant's limit comes back with what is not spent", nil, grantLimit},
		{"each of several granters gets its own remainder", nil, severalGranters},
		{"a grant that is gone is not made anew", nil, goneGrant},
		{"a suspended lease goes on with a deposit", tiny, resumes},
		{"nobody needs to send anything for a lease to end", tiny, endsByItself},
	} {
		t.Run(scenario.name, func(t *testing.T) {
			edit := scenario.edit
			if edit == nil {
				edit = func(*escrowtypes.Params) {}
			}
			scenario.run(newStage(t, escrowParams(edit)))
		})
	}
}

func depositAndHash(s *stage) {
	msg := s.newDeployment(s.nextID())
	msg.Deposit = ubrt(499_999)
	requireCode(s.t, escrowtypes.ErrInvalidDeposit, s.Refused(tenant, msg))
	for _, size := range []int{0, 31, 33} {
		bad := s.newDeployment(msg.Id)
		bad.ManifestHash = bytes.Repeat([]byte{7}, size)
		requireCode(s.t, deploymenttypes.ErrInvalidHash, s.Refused(tenant, bad))
	}
	for _, denom := range []string{"uakt", "unknown"} {
		bad := s.newDeployment(msg.Id)
		bad.Deposit = sdk.NewInt64Coin(denom, 500_000)
		for i := range bad.Groups[0].Units {
			bad.Groups[0].Units[i].Price.Denom = denom
		}
		requireCode(s.t, escrowtypes.ErrInvalidDenom, s.Refused(tenant, bad))
	}
	require.EqualValues(s.t, chaintest.Funds, s.balance(tenant))
	msg.Deposit = ubrt(500_000)
	s.Send(tenant, msg)
	require.EqualValues(s.t, chaintest.Funds-500_000, s.balance(tenant))
}

func twoGroups(s *stage) {
	id := s.nextID()
	msg := s.newDeployment(id, smallGroup("west"), smallGroup("east"))
	s.Send(tenant, msg)
	for gseq := uint32(1); gseq <= 2; gseq++ {
		o, err := s.App.MarketKeeper.Order(s.Context(), orderID(id, gseq, 1))
		require.NoError(s.t, err)
		require.Equal(s.t, markettypes.ORDER_STATE_OPEN, o.State)
		require.Equal(s.t, msg.Groups[gseq-1].Name, o.Spec.Name)
	}
	a := s.account(id)
	require.Equal(s.t, escrowtypes.ACCOUNT_STATE_OPEN, a.State)
	require.Equal(s.t, msg.Deposit.Amount, a.Deposited)
	require.Equal(s.t, s.Height(), a.SettledAt)
	requireCode(s.t, deploymenttypes.ErrDeploymentExists, s.Refused(tenant, msg))
	s.Send(tenant, &deploymenttypes.MsgCloseDeployment{Id: id})
	requireCode(s.t, deploymenttypes.ErrDeploymentExists, s.Refused(tenant, msg))
}

func updates(s *stage) {
	id := s.deploy()
	before, err := s.App.DeploymentKeeper.Group(s.Context(), groupID(id, 1))
	require.NoError(s.t, err)
	same := &deploymenttypes.MsgUpdateDeployment{Id: id, ManifestHash: bytes.Repeat([]byte{7}, 32)}
	requireCode(s.t, deploymenttypes.ErrSameHash, s.Refused(tenant, same))
	next := &deploymenttypes.MsgUpdateDeployment{Id: id, ManifestHash: bytes.Repeat([]byte{8}, 32)}
	res := s.sent(s.by(tenant, next))
	told := false
	for _, e := range res.Events {
		told = told || e.Type == "berth.deployment.v1.EventDeploymentUpdated"
	}
	require.True(s.t, told)
	d, err := s.App.DeploymentKeeper.Deployment(s.Context(), id)
	require.NoError(s.t, err)
	require.Equal(s.t, next.ManifestHash, d.ManifestHash)
	after, err := s.App.DeploymentKeeper.Group(s.Context(), groupID(id, 1))
	require.NoError(s.t, err)
	require.Equal(s.t, before, after)
	s.Send(tenant, &deploymenttypes.MsgCloseDeployment{Id: id})
	requireCode(s.t, deploymenttypes.ErrDeploymentClosed, s.Refused(tenant, same))
}

func counts(s *stage) {
	msg := s.newDeployment(s.nextID())
	unit := &msg.Groups[0].Units[0]
	unit.CpuMilli, unit.Count = 384_000, 51
	requireCode(s.t, deploymenttypes.ErrInvalidResources, s.Refused(tenant, msg))
	unit.Count = 50
	s.Send(tenant, msg)
}

func pauses(s *stage) {
	lease := s.lease(east, "10.25")
	id := groupID(deploymentOf(lease), 1)
	requireCode(s.t, deploymenttypes.ErrGroupNotPaused, s.Refused(tenant, &deploymenttypes.MsgStartGroup{Id: id}))
	s.Send(tenant, &deploymenttypes.MsgPauseGroup{Id: id})
	require.Equal(s.t, markettypes.LEASE_STATE_CLOSED, s.leaseState(lease))
	o, err := s.App.MarketKeeper.Order(s.Context(), lease.OrderID())
	require.NoError(s.t, err)
	require.Equal(s.t, markettypes.ORDER_STATE_CLOSED, o.State)
	requireCode(s.t, deploymenttypes.ErrGroupNotOpen, s.Refused(tenant, &deploymenttypes.MsgPauseGroup{Id: id}))
	s.Send(tenant, &deploymenttypes.MsgStartGroup{Id: id})
	s.bid(west, orderID(deploymentOf(lease), 1, 2), "11")
	s.Send(tenant, &deploymenttypes.MsgCloseGroup{Id: id})
	for _, msg := range []sdk.Msg{
		&deploymenttypes.MsgPauseGroup{Id: id}, &deploymenttypes.MsgStartGroup{Id: id}, &deploymenttypes.MsgCloseGroup{Id: id},
	} {
		requireCode(s.t, deploymenttypes.ErrGroupClosed, s.Refused(tenant, msg))
	}
	require.EqualValues(s.t, chaintest.Funds, s.balance(west), "the bid on the group that closed is refunded")
}

func bidPrices(s *stage) {
	msg := s.newDeployment(s.nextID())
	msg.Groups[0].Units[0].Price = perBlock("50")
	s.Send(tenant, msg)
	id := orderID(msg.Id, 1, 1)
	requireItem(s.t, markettypes.ErrPriceTooHigh, results(s.t, s.Send(east, s.bidMsg(east, id, "50.000000000000000001")))[0])
	requireCode(s.t, markettypes.ErrInvalidPrice, s.Refused(east, s.bidMsg(east, id, "0")))
	other := s.bidMsg(east, id, "49")
	other.Bids[0].Price.Denom = "uakt"
	requireItem(s.t, markettypes.ErrInvalidPrice, results(s.t, s.Send(east, other))[0])
	s.Send(tenant, s.provider(tenant, "tenant"))
	requireItem(s.t, markettypes.ErrOwnOrder, results(s.t, s.Send(tenant, s.bidMsg(tenant, id, "49")))[0])
	s.bid(east, id, "50")
	requireItem(s.t, markettypes.ErrBidExists, results(s.t, s.Send(east, s.bidMsg(east, id, "49")))[0])
}

func fullOrder(s *stage) {
	params := markettypes.DefaultParams()
	params.OrderMaxBids = 2
	require.NoError(s.t, s.Govern(&markettypes.MsgUpdateParams{Authority: govAuthority, Params: params}))
	for _, who := range []int{spare, nobody, stranger} {
		s.Send(who, s.provider(who, fmt.Sprintf("p%d", who)))
	}
	id := orderID(s.deploy(), 1, 1)
	s.bid(east, id, "10")
	// A bid that was closed takes no place.
	s.bid(spare, id, "1")
	s.Send(spare, &markettypes.MsgCloseBids{Provider: s.addr(spare), OrderIds: []markettypes.OrderID{id}})
	s.bid(west, id, "12")
	requireItem(s.t, markettypes.ErrBidsFull, results(s.t, s.Send(nobody, s.bidMsg(nobody, id, "12")))[0])
	s.bid(nobody, id, "11.999")
	require.EqualValues(s.t, chaintest.Funds, s.balance(west), "the highest was driven out and is refunded")
	b, err := s.App.MarketKeeper.Bid(s.Context(), id.BidID(s.addr(west)))
	require.NoError(s.t, err)
	require.Equal(s.t, markettypes.BID_STATE_LOST, b.State)
	requireItem(s.t, markettypes.ErrBidsFull, results(s.t, s.Send(stranger, s.bidMsg(stranger, id, "11.999")))[0])
}

func offers(s *stage) {
	msg := s.newDeployment(s.nextID())
	second := msg.Groups[0].Units[0]
	second.Id, second.Count = 2, 2
	msg.Groups[0].Units = append(msg.Groups[0].Units, second)
	s.Send(tenant, msg)
	id := orderID(msg.Id, 1, 1)
	offer := func(units ...deploymenttypes.ResourceUnit) *markettypes.MsgCreateBids {
		bid := s.bidMsg(east, id, "10")
		for _, u := range units {
			bid.Bids[0].Offer = append(bid.Bids[0].Offer, markettypes.ResourceOffer{Unit: u})
		}
		return bid
	}
	first := msg.Groups[0].Units[0]
	wrong, unknown := second, second
	wrong.Count, unknown.Id = 3, 3
	before := s.Roots(modules...)
	for _, bad := range []*markettypes.MsgCreateBids{offer(first, first), offer(first), offer(first, wrong), offer(first, unknown), offer(first, second, second)} {
		requireItem(s.t, markettypes.ErrInvalidOffer, results(s.t, s.Send(east, bad))[0])
	}
	require.Equal(s.t, before, s.Roots(modules...))
	require.Zero(s.t, results(s.t, s.Send(east, offer(second, first)))[0].Code, "their order is free")
}

func requirements(s *stage) {
	order := func(signedBy deploymenttypes.SignedBy) markettypes.OrderID {
		msg := s.newDeployment(s.nextID())
		msg.Groups[0].Requirements = deploymenttypes.PlacementRequirements{
			Attributes: []providertypes.Attribute{{Key: "region", Value: "east"}, {Key: "tier", Value: "gold"}}, SignedBy: signedBy,
		}
		s.Send(tenant, msg)
		return orderID(msg.Id, 1, 1)
	}
	sign := func(who int, keys ...string) {
		value := map[string]string{"region": "east", "tier": "gold", "other": "more"}
		var attributes []providertypes.Attribute
		for _, key := range keys {
			attributes = append(attributes, providertypes.Attribute{Key: key, Value: value[key]})
		}
		s.Send(who, &audittypes.MsgSignAttributes{Auditor: s.addr(who), Provider: s.addr(east), Attributes: attributes})
	}
	tries := func(id markettypes.OrderID) markettypes.ItemResult {
		return results(s.t, s.Send(east, s.bidMsg(east, id, "10")))[0]
	}
	requireItem(s.t, markettypes.ErrAttributes, results(s.t, s.Send(west, s.bidMsg(west, order(deploymenttypes.SignedBy{}), "10")))[0])
	// The stage's auditor has signed the region, but not the tier.
	all := order(deploymenttypes.SignedBy{AllOf: []string{s.addr(auditor), s.addr(stranger)}})
	anyOf := order(deploymenttypes.SignedBy{AnyOf: []string{s.addr(auditor), s.addr(nobody)}})
	requireItem(s.t, markettypes.ErrNotAudited, tries(all))
	requireItem(s.t, markettypes.ErrNotAudited, tries(anyOf))
	sign(auditor, "tier", "other")
	requireItem(s.t, markettypes.ErrNotAudited, tries(all))
	require.Zero(s.t, tries(anyOf).Code, "one of any_of has signed more than is required")
	sign(stranger, "region", "tier")
	require.Zero(s.t, tries(all).Code)
	// What is taken back before the lease counts, too.
	s.Send(stranger, &audittypes.MsgRevokeAttributes{Auditor: s.addr(stranger), Provider: s.addr(east), Keys: []string{"tier"}})
	requireCode(s.t, markettypes.ErrNotAudited, s.Refused(tenant, &markettypes.MsgCreateLease{Id: all.BidID(s.addr(east))}))
}

func losers(s *stage) {
	s.Send(spare, s.provider(spare, "spare"))
	id := orderID(s.deploy(), 1, 1)
	s.bid(east, id, "10")
	s.bid(west, id, "9")
	s.bid(spare, id, "8")
	for _, who := range []int{east, west, spare} {
		require.EqualValues(s.t, chaintest.Funds-500_000, s.balance(who))
	}
	s.Send(tenant, &markettypes.MsgCreateLease{Id: id.BidID(s.addr(west))})
	require.EqualValues(s.t, chaintest.Funds, s.balance(east))
	require.EqualValues(s.t, chaintest.Funds, s.balance(spare))
	require.EqualValues(s.t, chaintest.Funds-500_000, s.balance(west))
	for who, want := range map[int]markettypes.BidState{
		east: markettypes.BID_STATE_LOST, west: markettypes.BID_STATE_ACTIVE, spare: markettypes.BID_STATE_LOST,
	} {
		b, err := s.App.MarketKeeper.Bid(s.Context(), id.BidID(s.addr(who)))
		require.NoError(s.t, err)
		require.Equal(s.t, want, b.State)
	}
}

// reopened checks that the next order of a lease's group is open.
func (s *stage) reopened(lease markettypes.BidID) markettypes.Order {
	s.t.Helper()
	o, err := s.App.MarketKeeper.Order(s.Context(), orderID(deploymentOf(lease), lease.Gseq, lease.Oseq+1))
	require.NoError(s.t, err)
	require.Equal(s.t, markettypes.ORDER_STATE_OPEN, o.State)
	return o
}

func tenantCloses(s *stage) {
	lease := s.lease(east, "10")
	s.Send(tenant, &markettypes.MsgCloseLease{Signer: s.addr(tenant), Id: lease, Reason: markettypes.CLOSE_REASON_UNSPECIFIED})
	l, err := s.App.MarketKeeper.Lease(s.Context(), lease)
	require.NoError(s.t, err)
	require.Equal(s.t, markettypes.CLOSE_REASON_TENANT, l.Reason)
	require.Equal(s.t, s.Height(), s.reopened(lease).CreatedAt)
}

func providerCloses(s *stage) {
	lease := s.lease(east, "10")
	for _, reason := range []markettypes.CloseReason{markettypes.CLOSE_REASON_TENANT, markettypes.CLOSE_REASON_INSUFFICIENT_FUNDS} {
		requireCode(s.t, markettypes.ErrInvalidReason, s.Refused(east, &markettypes.MsgCloseLease{Signer: s.addr(east), Id: lease, Reason: reason}))
	}
	s.Send(east, &markettypes.MsgCloseLease{Signer: s.addr(east), Id: lease, Reason: markettypes.CLOSE_REASON_UNSTABLE})
	next := s.reopened(lease)
	requireItem(s.t, markettypes.ErrExcluded, results(s.t, s.Send(east, s.bidMsg(east, next.Id, "1")))[0])
	for s.Height()+1 < next.ExcludedUntil {
		s.Block()
	}
	s.bid(east, next.Id, "1")
}

func notice(s *stage) {
	msg := s.newDeployment(s.nextID())
	msg.Reclamation = deploymenttypes.Reclamation{MinWindowSeconds: 3600}
	s.Send(tenant, msg)
	id := orderID(msg.Id, 1, 1)
	for _, window := range []uint32{0, 59 * 60, 721 * 3600} {
		bid := s.bidMsg(east, id, "10")
		bid.Bids[0].ReclaimWindowSeconds = window
		requireItem(s.t, markettypes.ErrReclaimWindow, results(s.t, s.Send(east, bid))[0])
	}
	lease := s.bidWithNotice(east, id, "10")
	s.Send(tenant, &markettypes.MsgCreateLease{Id: lease})
	closes := &markettypes.MsgCloseLease{Signer: s.addr(east), Id: lease, Reason: markettypes.CLOSE_REASON_DECOMMISSION}
	requireCode(s.t, markettypes.ErrNoticeOwed, s.Refused(east, closes))
	var answer markettypes.MsgStartReclaimResponse
	require.NoError(s.t, answer.Unmarshal(s.Send(east, &markettypes.MsgStartReclaim{
		Provider: s.addr(east), Id: lease, Reason: markettypes.CLOSE_REASON_DECOMMISSION,
	})[0].Value))
	require.Equal(s.t, s.Now.Unix()+3600, answer.Deadline)
	require.Equal(s.t, markettypes.LEASE_STATE_RECLAIMING, s.leaseState(lease))
	s.Now = time.Unix(answer.Deadline-2, 0).UTC() // the next block is a second later
	requireCode(s.t, markettypes.ErrNoticeOwed, s.Refused(east, closes))
	s.Send(east, closes)
	require.Equal(s.t, answer.Deadline, s.Now.Unix())
	s.reopened(lease)
}

func thousand(s *stage) {
	lease := s.bid(east, orderID(s.deploySmall(500_000), 1, 1), "10")
	s.Send(tenant, &markettypes.MsgCreateLease{Id: lease})
	before := s.balance(east)
	s.Blocks(99)
	withdraw := &markettypes.MsgWithdrawLeases{Provider: s.addr(east), Ids: []markettypes.BidID{lease}}
	for i, res := range s.Block(s.Sign(s.by(east, withdraw)), s.Sign(s.by(east, withdraw))) {
		require.Zero(s.t, res.Code, res.Log)
		var answer markettypes.MsgWithdrawLeasesResponse
		require.NoError(s.t, answer.Unmarshal(chaintest.Responses(s.t, res)[0].Value))
		require.Zero(s.t, answer.Results[0].Code)
		require.EqualValues(s.t, []int64{1000, 0}[i], answer.Results[0].Amount.Amount.Int64(), "a second one in the block finds nothing")
	}
	require.Equal(s.t, before+1000, s.balance(east))
	a := s.account(deploymentOf(lease))
	require.EqualValues(s.t, 1000, a.Paid.Int64())
	require.Equal(s.t, s.Height(), a.SettledAt)
	p, err := s.App.EscrowKeeper.Payment(s.Context(), lease.PaymentID())
	require.NoError(s.t, err)
	require.EqualValues(s.t, 1000, p.Withdrawn.Int64())
}

// deploySmall opens a deployment of two groups, or one, with a deposit.
func (s *stage) deploySmall(deposit int64, groups ...deploymenttypes.GroupSpec) deploymenttypes.DeploymentID {
	s.t.Helper()
	msg := s.newDeployment(s.nextID(), groups...)
	msg.Deposit = ubrt(deposit)
	s.Send(tenant, msg)
	return msg.Id
}

// twoLeases opens a deployment of two leases, of east and of west, in one block. It returns their ids.
func (s *stage) twoLeases(deposit int64, eastPrice, westPrice string) (a, b markettypes.BidID) {
	s.t.Helper()
	id := s.deploySmall(deposit, smallGroup("a"), smallGroup("b"))
	a, b = s.bid(east, orderID(id, 1, 1), eastPrice), s.bid(west, orderID(id, 2, 1), westPrice)
	s.Send(tenant, &markettypes.MsgCreateLease{Id: a}, &markettypes.MsgCreateLease{Id: b})
	return a, b
}

func (s *stage) accrued(id markettypes.BidID) string {
	s.t.Helper()
	p, err := s.App.EscrowKeeper.Payment(s.Context(), id.PaymentID())
	require.NoError(s.t, err)
	return p.Accrued.String()
}

func dryTogether(s *stage) {
	a, b := s.twoLeases(100, "10", "10")
	s.Blocks(4)
	require.Equal(s.t, markettypes.LEASE_STATE_ACTIVE, s.leaseState(a))
	s.Block()
	require.Equal(s.t, "50.000000000000000000", s.accrued(a))
	require.Equal(s.t, "50.000000000000000000", s.accrued(b))
	s.Block()
	require.Equal(s.t, "50.000000000000000000", s.accrued(a), "a dry account accrues nothing")
	for _, id := range []markettypes.BidID{a, b} {
		require.Equal(s.t, markettypes.LEASE_STATE_SUSPENDED, s.leaseState(id))
	}
	s.Blocks(10)
	for _, id := range []markettypes.BidID{a, b} {
		l, err := s.App.MarketKeeper.Lease(s.Context(), id)
		require.NoError(s.t, err)
		require.Equal(s.t, markettypes.LEASE_STATE_CLOSED, l.State)
		require.Equal(s.t, markettypes.CLOSE_REASON_INSUFFICIENT_FUNDS, l.Reason)
	}
	require.EqualValues(s.t, chaintest.Funds+50, s.balance(east))
	require.EqualValues(s.t, chaintest.Funds+50, s.balance(west))
	require.EqualValues(s.t, chaintest.Funds-100, s.balance(tenant))
}

func leftOver(s *stage) {
	a, b := s.twoLeases(105, "10", "10")
	s.Blocks(20)
	require.Equal(s.t, markettypes.LEASE_STATE_CLOSED, s.leaseState(a))
	require.Equal(s.t, markettypes.LEASE_STATE_CLOSED, s.leaseState(b))
	got := []int64{s.balance(east) - chaintest.Funds, s.balance(west) - chaintest.Funds}
	require.EqualValues(s.t, 105, got[0]+got[1]+s.balance(tenant)-(chaintest.Funds-105), "five blocks of twenty, and five")
	require.InDelta(s.t, got[0], got[1], 1, "equal rates get equal parts, but for what cannot be parted")
}

func thirds(s *stage) {
	often, once := s.lease(east, "0.3"), s.lease(west, "0.3")
	opened := s.Height() - 3 // the first lease is three blocks older: an order, a bid and a lease
	for s.Height() < opened+3 {
		s.Block()
	}
	s.Send(east, &markettypes.MsgWithdrawLeases{Provider: s.addr(east), Ids: []markettypes.BidID{often}})
	s.Blocks(5)
	s.Send(east, &markettypes.MsgWithdrawLeases{Provider: s.addr(east), Ids: []markettypes.BidID{often}})
	first := s.Height() - opened
	for s.Height() < opened+3+first-1 {
		s.Block()
	}
	s.Send(west, &markettypes.MsgWithdrawLeases{Provider: s.addr(west), Ids: []markettypes.BidID{once}})
	require.Equal(s.t, first, s.Height()-(opened+3))
	require.Equal(s.t, s.balance(east), s.balance(west), "%d blocks of 0.3, withdrawn twice and once", first)
	require.Equal(s.t, chaintest.Funds-500_000+earned("0.3", first), s.balance(east))
}

// drawn reads what stands of a deposit grant: its limit, and what is out.
func (s *stage) drawn(from, to int) (limit, spent int64) {
	s.t.Helper()
	a, _ := s.App.AuthzKeeper.GetAuthorization(s.Context(), s.Addr(to), s.Addr(from), sdk.MsgTypeURL(&escrowtypes.MsgDeposit{}))
	grant, ok := a.(*escrowtypes.DepositAuthorization)
	require.True(s.t, ok, "%T", a)
	denom := ubrt(0).Denom
	return grant.Limits.AmountOf(denom).Int64(), grant.Spent.AmountOf(denom).Int64()
}

// spend opens a deployment from sources, runs a lease of 100,000 a block for fifteen blocks, and closes it.
func (s *stage) spend(deposit int64, sources ...escrowtypes.DepositSource) (close func()) {
	s.t.Helper()
	msg := s.newDeployment(s.nextID())
	msg.Deposit, msg.DepositSources = ubrt(deposit), sources
	s.Send(tenant, msg)
	lease := s.bid(east, orderID(msg.Id, 1, 1), "100000")
	s.Send(tenant, &markettypes.MsgCreateLease{Id: lease})
	return func() {
		s.t.Helper()
		s.Blocks(14)
		s.Send(tenant, &deploymenttypes.MsgCloseDeployment{Id: msg.Id})
		require.EqualValues(s.t, chaintest.Funds+1_500_000, s.balance(east))
	}
}

func grantLimit(s *stage) {
	s.depositGrant(granter, tenant, 5_000_000)
	over := s.newDeployment(s.nextID())
	over.Deposit, over.DepositSources = ubrt(5_000_001), []escrowtypes.DepositSource{s.fromGrant(granter)}
	requireCode(s.t, escrowtypes.ErrInsufficientFunds, s.Refused(tenant, over))
	closes := s.spend(3_000_000, s.fromGrant(granter))
	require.EqualValues(s.t, chaintest.Funds-3_000_000, s.balance(granter))
	limit, spent := s.drawn(granter, tenant)
	require.EqualValues(s.t, 2_000_000, limit-spent)
	closes()
	require.EqualValues(s.t, chaintest.Funds-1_500_000, s.balance(granter))
	require.EqualValues(s.t, chaintest.Funds, s.balance(tenant))
	limit, spent = s.drawn(granter, tenant)
	require.EqualValues(s.t, 3_500_000, limit-spent)
}

func severalGranters(s *stage) {
	s.depositGrant(granter, tenant, 2_000_000)
	s.depositGrant(stranger, tenant, 9_000_000)
	closes := s.spend(4_000_000, s.fromGrant(granter), s.fromGrant(stranger), fromBalance())
	require.EqualValues(s.t, chaintest.Funds-2_000_000, s.balance(granter), "drawn first, to its limit")
	require.EqualValues(s.t, chaintest.Funds-2_000_000, s.balance(stranger))
	closes()
	require.EqualValues(s.t, chaintest.Funds-1_500_000, s.balance(granter), "spent first")
	require.EqualValues(s.t, chaintest.Funds, s.balance(stranger))
	require.EqualValues(s.t, chaintest.Funds, s.balance(tenant))
	// A deposit that the sources do not cover together takes nothing of any.
	before := s.fingerprint()
	msg := s.newDeployment(s.nextID())
	msg.Deposit, msg.DepositSources = ubrt(9_500_001), []escrowtypes.DepositSource{s.fromGrant(granter), s.fromGrant(stranger)}
	requireCode(s.t, escrowtypes.ErrInsufficientFunds, s.Refused(tenant, msg))
	require.Equal(s.t, before, s.fingerprint())
}

func goneGrant(s *stage) {
	s.depositGrant(granter, tenant, 3_000_000)
	s.spend(3_000_000, s.fromGrant(granter))
	revoke := authz.NewMsgRevoke(s.Addr(granter), s.Addr(tenant), sdk.MsgTypeURL(&escrowtypes.MsgDeposit{}))
	s.Send(granter, &revoke)
	id := deploymenttypes.DeploymentID{Owner: s.addr(tenant), Dseq: s.dseq}
	s.Blocks(5)
	before := s.balance(granter)
	s.Send(tenant, &deploymenttypes.MsgCloseDeployment{Id: id})
	require.Greater(s.t, s.balance(granter), before, "the refund goes to the granter's account")
	require.EqualValues(s.t, chaintest.Funds, s.balance(tenant))
	a, _ := s.App.AuthzKeeper.GetAuthorization(s.Context(), s.Addr(tenant), s.Addr(granter), sdk.MsgTypeURL(&escrowtypes.MsgDeposit{}))
	require.Nil(s.t, a, "the grant is not made anew")
}

func resumes(s *stage) {
	lease, _ := s.twoLeases(100, "10", "10")
	id := deploymentOf(lease).EscrowID()
	s.Blocks(7)
	require.Equal(s.t, markettypes.LEASE_STATE_SUSPENDED, s.leaseState(lease))
	deposit := func(amount int64) *escrowtypes.MsgDeposit {
		return &escrowtypes.MsgDeposit{Depositor: s.addr(tenant), AccountId: id, Amount: ubrt(amount)}
	}
	s.Send(tenant, deposit(59))
	require.Equal(s.t, markettypes.LEASE_STATE_SUSPENDED, s.leaseState(lease), "three blocks of twenty are sixty")
	s.Send(tenant, deposit(1))
	require.Equal(s.t, markettypes.LEASE_STATE_ACTIVE, s.leaseState(lease))
	require.Equal(s.t, "50.000000000000000000", s.accrued(lease), "nothing was earned meanwhile")
	s.Blocks(2)
	require.Equal(s.t, "70.000000000000000000", s.accrued(lease))
	s.Block()
	require.Equal(s.t, markettypes.LEASE_STATE_SUSPENDED, s.leaseState(lease))
}

func endsByItself(s *stage) {
	lease, _ := s.twoLeases(100, "10", "10")
	opened := s.Height()
	for s.Height() < opened+5 {
		require.Equal(s.t, markettypes.LEASE_STATE_ACTIVE, s.leaseState(lease))
		s.Block()
	}
	require.Equal(s.t, markettypes.LEASE_STATE_SUSPENDED, s.leaseState(lease), "at its dry height")
	for s.Height() < opened+5+10 {
		require.Equal(s.t, markettypes.LEASE_STATE_SUSPENDED, s.leaseState(lease))
		s.Block()
	}
	require.Equal(s.t, markettypes.LEASE_STATE_CLOSED, s.leaseState(lease), "at the end of the grace")
	d, err := s.App.DeploymentKeeper.Deployment(s.Context(), deploymentOf(lease))
	require.NoError(s.t, err)
	require.Equal(s.t, deploymenttypes.DEPLOYMENT_STATE_CLOSED, d.State)
	s.Block() // the market returns the bids' deposits before the escrow's end block, which closed the leases
	require.EqualValues(s.t, chaintest.Funds+50, s.balance(east))
}
