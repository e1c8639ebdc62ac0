package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"berth.dev/berth/app"
	"berth.dev/berth/testutil/chaintest"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
)

// propose submits a proposal with half of its deposit, has another pay the rest, and the operator vote for it.
func (s *stage) propose(msgs ...sdk.Msg) uint64 {
	s.t.Helper()
	proposal, err := govv1.NewMsgSubmitProposal(msgs, sdk.NewCoins(ubrt(500)), s.addr(tenant), "", "A change", "What the test changes", false)
	require.NoError(s.t, err)
	var answer govv1.MsgSubmitProposalResponse
	require.NoError(s.t, answer.Unmarshal(s.Send(tenant, proposal)[0].Value))
	id := answer.ProposalId
	s.Send(stranger, govv1.NewMsgDeposit(s.Addr(stranger), id, sdk.NewCoins(ubrt(500))))
	s.sent(chaintest.Tx{
		Signers: []*secp256k1.PrivKey{s.Operator},
		Msgs:    []sdk.Msg{govv1.NewMsgVote(sdk.AccAddress(s.Operator.PubKey().Address()), id, govv1.OptionYes, "")},
	})
	return id
}

// proposal waits until a proposal's vote is over and returns how it ended.
func (s *stage) proposal(id uint64) govv1.Proposal {
	s.t.Helper()
	for range 10 {
		p, err := s.App.GovKeeper.Proposals.Get(s.Context(), id)
		require.NoError(s.t, err)
		if p.Status != govv1.StatusVotingPeriod {
			return p
		}
		s.Block()
	}
	s.t.Fatalf("proposal %d is still voted on", id)
	return govv1.Proposal{}
}

// TestParametersByGovernance changes every parameter of each module by proposals that are deposited on and voted on, and
// sees them take effect; those that are out of range change nothing, and nobody changes any without a vote.
func TestParametersByGovernance(t *testing.T) {
	s := newStage(t, nil)
	escrow := escrowtypes.DefaultParams()
	escrow.MinDeposits = []sdk.Coin{ubrt(700_000)}
	escrow.GraceBlocks, escrow.MinResumeBlocks, escrow.MaxDuePerBlock = 11, 12, 13
	escrow.TakeRate = math.LegacyMustNewDecFromStr("0.05")
	deployment := deploymenttypes.DefaultParams()
	deployment.MaxUnitPrice, deployment.MaxAuctionWindow = math.NewInt(123_456_789), 77
	deployment.RetentionBlocks, deployment.MaxPrunePerBlock = 99, 98
	market := markettypes.DefaultParams()
	market.BidMinDeposits = []sdk.Coin{ubrt(123)}
	market.OrderMaxBids, market.ExclusionBlocks, market.MaxWorkPerBlock = 3, 4, 500
	market.MinReclaimWindowSeconds, market.MaxReclaimWindowSeconds = 60, 600

	// All are voted on at the same time.
	ids := []uint64{
		s.propose(&escrowtypes.MsgUpdateParams{Authority: app.Authority(), Params: escrow}),
		s.propose(&deploymenttypes.MsgUpdateParams{Authority: app.Authority(), Params: deployment}),
		s.propose(&markettypes.MsgUpdateParams{Authority: app.Authority(), Params: market}),
	}
	for _, id := range ids {
		p := s.proposal(id)
		require.Equal(t, govv1.StatusPassed, p.Status, p.FailedReason)
	}
	gotEscrow, err := s.App.EscrowKeeper.GetParams(s.Context())
	require.NoError(t, err)
	require.Equal(t, escrow, gotEscrow)
	gotDeployment, err := s.App.DeploymentKeeper.Params(s.Context())
	require.NoError(t, err)
	require.Equal(t, deployment, gotDeployment)
	gotMarket, err := s.App.MarketKeeper.Params(s.Context())
	require.NoError(t, err)
	require.Equal(t, market, gotMarket)

	small := s.newDeployment(s.nextID())
	small.Deposit = ubrt(699_999)
	requireCode(t, escrowtypes.ErrInvalidDeposit, s.Refused(tenant, small))
	order := orderID(s.deploy(), 1, 1)
	msg := s.bidMsg(east, order, "10")
	msg.Bids[0].Deposit = ubrt(123)
	require.Zero(t, results(t, s.Send(east, msg))[0].Code, "the new deposit of a bid is accepted")

	before := s.Roots(modules...)
	bad := escrow
	bad.GraceBlocks = 0
	for _, bad := range []sdk.Msg{
		&escrowtypes.MsgUpdateParams{Authority: app.Authority(), Params: bad},
		&deploymenttypes.MsgUpdateParams{Authority: app.Authority(), Params: deploymenttypes.Params{MaxUnitPrice: math.ZeroInt()}},
		&markettypes.MsgUpdateParams{Authority: app.Authority(), Params: markettypes.Params{}},
	} {
		s.proposesInVain(bad)
	}
	for _, direct := range []sdk.Msg{
		&escrowtypes.MsgUpdateParams{Authority: s.addr(tenant), Params: escrowtypes.DefaultParams()},
		&deploymenttypes.MsgUpdateParams{Authority: s.addr(tenant), Params: deploymenttypes.DefaultParams()},
		&markettypes.MsgUpdateParams{Authority: s.addr(tenant), Params: markettypes.DefaultParams()},
	} {
		s.Refused(tenant, direct)
	}
	require.Equal(t, before, s.Roots(modules...))
}

// proposesInVain proposes a message that must not take effect: the proposal is refused, or it fails after its vote.
func (s *stage) proposesInVain(msg sdk.Msg) {
	s.t.Helper()
	proposal, err := govv1.NewMsgSubmitProposal([]sdk.Msg{msg}, sdk.NewCoins(ubrt(1000)), s.addr(tenant), "", "Bad", "Out of range", false)
	require.NoError(s.t, err)
	res := s.Deliver(s.by(tenant, proposal))
	if res.Code != 0 {
		checkCode(s.t, sdk.MsgTypeURL(msg), res.Codespace, res.Code)
		return
	}
	responses := chaintest.Responses(s.t, res)
	var answer govv1.MsgSubmitProposalResponse
	require.NoError(s.t, answer.Unmarshal(responses[0].Value))
	s.sent(chaintest.Tx{
		Signers: []*secp256k1.PrivKey{s.Operator},
		Msgs:    []sdk.Msg{govv1.NewMsgVote(sdk.AccAddress(s.Operator.PubKey().Address()), answer.ProposalId, govv1.OptionYes, "")},
	})
	p := s.proposal(answer.ProposalId)
	require.Equal(s.t, govv1.StatusFailed, p.Status, "%T", msg)
	require.NotEmpty(s.t, p.FailedReason)
}
