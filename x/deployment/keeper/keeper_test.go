package keeper_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

func TestLifecycle(t *testing.T) {
	f := setup(t)
	m := message(1, 4)
	_, err := f.msgs.CreateDeployment(f.ctx, m)
	require.NoError(t, err)
	require.Equal(t, []string{"created east", "created west"}, f.market.told)
	_, err = f.msgs.CreateDeployment(f.ctx, m)
	require.ErrorIs(t, err, types.ErrDeploymentExists)
	res, err := f.query.Deployment(f.ctx, &types.QueryDeploymentRequest{Owner: m.Id.Owner, Dseq: 4})
	require.NoError(t, err)
	require.Equal(t, types.DEPLOYMENT_STATE_ACTIVE, res.Deployment.State)
	require.Equal(t, types.AUCTION_MODE_TENANT, res.Deployment.Auction.Mode, "the default is stored as what it means")
	require.Len(t, res.Groups, 2)
	require.Equal(t, types.GroupID{Owner: m.Id.Owner, Dseq: 4, Gseq: 2}, res.Groups[1].Id)
	require.Empty(t, f.k.Invariants(f.ctx))

	_, err = f.msgs.UpdateDeployment(f.ctx, &types.MsgUpdateDeployment{Id: m.Id, ManifestHash: m.ManifestHash})
	require.ErrorIs(t, err, types.ErrSameHash)
	hash := append(make([]byte, 31), 1)
	_, err = f.msgs.UpdateDeployment(f.ctx.WithBlockHeight(8), &types.MsgUpdateDeployment{Id: m.Id, ManifestHash: hash})
	require.NoError(t, err)
	d, err := f.k.Deployment(f.ctx, m.Id)
	require.NoError(t, err)
	require.Equal(t, hash, d.ManifestHash)
	require.EqualValues(t, 8, d.UpdatedAt)

	_, err = f.msgs.CloseDeployment(f.ctx.WithBlockHeight(9), &types.MsgCloseDeployment{Id: m.Id})
	require.NoError(t, err)
	require.Equal(t, "closed by owner", f.market.told[2])
	require.Equal(t, escrowtypes.ACCOUNT_STATE_CLOSED, f.escrow.all[m.Id.EscrowID()].State)
	require.Empty(t, f.k.Invariants(f.ctx))
	gs, err := f.k.Groups(f.ctx, m.Id)
	require.NoError(t, err)
	require.Equal(t, types.GROUP_STATE_CLOSED, gs[1].State)
	for what, err := range map[string]error{
		"close":  second(f.msgs.CloseDeployment(f.ctx, &types.MsgCloseDeployment{Id: m.Id})),
		"update": second(f.msgs.UpdateDeployment(f.ctx, &types.MsgUpdateDeployment{Id: m.Id, ManifestHash: make([]byte, 32)})),
	} {
		require.ErrorIs(t, err, types.ErrDeploymentClosed, what)
	}
	require.ErrorIs(t, second(f.msgs.CreateDeployment(f.ctx, m)), types.ErrDeploymentExists, "a dseq is used once, also after its deployment has closed")

	var names []string
	for _, e := range f.ctx.EventManager().Events() {
		names = append(names, e.Type)
	}
	require.Equal(t, []string{"berth.deployment.v1.EventDeploymentCreated", "berth.deployment.v1.EventDeploymentUpdated", "berth.deployment.v1.EventDeploymentClosed"}, names)
}

func TestRefusals(t *testing.T) {
	f := setup(t)
	dear := message(1, 1)
	dear.Groups[1].Units[0].Price.Amount = math.LegacyNewDec(types.DefaultMaxUnitPrice)
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, dear)), "at the largest price")
	dear.Id.Dseq = 2
	dear.Groups[1].Units[0].Price.Amount = dear.Groups[1].Units[0].Price.Amount.Add(math.LegacySmallestDec())
	require.ErrorIs(t, second(f.msgs.CreateDeployment(f.ctx, dear)), types.ErrInvalidPrice)

	long := message(1, 3)
	long.Auction = types.Auction{Mode: types.AUCTION_MODE_LOWEST, Window: types.DefaultMaxAuctionWindow}
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, long)), "at the longest window")
	long.Id.Dseq, long.Auction.Window = 4, types.DefaultMaxAuctionWindow+1
	require.ErrorIs(t, second(f.msgs.CreateDeployment(f.ctx, long)), types.ErrInvalidAuction)

	poor := message(1, 5)
	poor.Deposit.Amount = math.NewInt(99)
	require.ErrorIs(t, second(f.msgs.CreateDeployment(f.ctx, poor)), errTooSmall, "the escrow has the last word on deposits")

	f.market.fail = errors.New("no")
	require.ErrorIs(t, second(f.msgs.CreateDeployment(f.ctx, message(1, 6))), f.market.fail)
	require.ErrorIs(t, second(f.msgs.CloseDeployment(f.ctx, &types.MsgCloseDeployment{Id: dear.Id})), types.ErrDeploymentNotFound)
}

func TestEscrowHooks(t *testing.T) {
	f := setup(t)
	m := message(1, 4)
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, m)))
	f.market.told = nil
	acc := f.escrow.all[m.Id.EscrowID()]
	require.NoError(t, f.k.AfterAccountSuspended(f.ctx, acc))
	require.NoError(t, f.k.AfterAccountResumed(f.ctx, acc))

	foreign := acc
	foreign.Id.Scope = "bid"
	require.NoError(t, f.k.AfterAccountExpired(f.ctx, foreign), "accounts of others are no concern")
	unknown := acc
	unknown.Id.Xid = addr(9) + "/9"
	require.NoError(t, f.k.AfterAccountExpired(f.ctx, unknown))
	broken := acc
	broken.Id.Xid = "x"
	require.Error(t, f.k.AfterAccountExpired(f.ctx, broken))

	require.NoError(t, f.escrow.CloseAccount(f.ctx, acc.Id))
	require.NoError(t, f.k.AfterAccountExpired(f.ctx, acc))
	require.NoError(t, f.k.AfterAccountExpired(f.ctx, acc), "a closed deployment is not closed again")
	require.NoError(t, f.k.AfterAccountSuspended(f.ctx, acc))
	require.Equal(t, []string{"suspended", "resumed", "closed by exhaustion"}, f.market.told)
	require.Empty(t, f.k.Invariants(f.ctx))
}

func TestQueriesAndGenesis(t *testing.T) {
	f := setup(t)
	for owner := byte(1); owner <= 2; owner++ {
		for dseq := range uint64(3) {
			require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, message(owner, dseq+1))))
		}
	}
	require.NoError(t, second(f.msgs.CloseDeployment(f.ctx, &types.MsgCloseDeployment{Id: message(1, 2).Id})))
	for name, tc := range map[string]struct {
		req  types.QueryDeploymentsRequest
		want int
	}{
		"all":                {types.QueryDeploymentsRequest{}, 6},
		"of an owner":        {types.QueryDeploymentsRequest{Owner: addr(1)}, 3},
		"active":             {types.QueryDeploymentsRequest{State: types.DEPLOYMENT_STATE_ACTIVE}, 5},
		"closed":             {types.QueryDeploymentsRequest{State: types.DEPLOYMENT_STATE_CLOSED}, 1},
		"active of an owner": {types.QueryDeploymentsRequest{Owner: addr(1), State: types.DEPLOYMENT_STATE_ACTIVE}, 2},
		"of a stranger":      {types.QueryDeploymentsRequest{Owner: addr(7)}, 0},
	} {
		var got []types.QueryDeploymentResponse
		for next := []byte(nil); ; {
			tc.req.Pagination = &query.PageRequest{Limit: 2, Key: next}
			r, err := f.query.Deployments(f.ctx, &tc.req)
			require.NoError(t, err, name)
			got = append(got, r.Deployments...)
			if next = r.Pagination.NextKey; len(next) == 0 {
				break
			}
		}
		require.Len(t, got, tc.want, name)
		for _, d := range got {
			require.Len(t, d.Groups, 2, name)
		}
	}
	_, err := f.query.Deployment(f.ctx, &types.QueryDeploymentRequest{Owner: addr(1), Dseq: 9})
	require.Equal(t, codes.NotFound, status.Code(err))
	_, err = f.query.Deployment(f.ctx, &types.QueryDeploymentRequest{Owner: addr(1)})
	require.Equal(t, codes.InvalidArgument, status.Code(err))

	gs, err := f.k.ExportGenesis(f.ctx)
	require.NoError(t, err)
	require.NoError(t, gs.Validate())
	other := setup(t)
	require.NoError(t, other.k.InitGenesis(other.ctx, *gs))
	again, err := other.k.ExportGenesis(other.ctx)
	require.NoError(t, err)
	require.Equal(t, gs.String(), again.String())
}

func TestParamsAreTheAuthoritys(t *testing.T) {
	f := setup(t)
	p := types.DefaultParams()
	p.MaxAuctionWindow = 5
	_, err := f.msgs.UpdateParams(f.ctx, &types.MsgUpdateParams{Authority: addr(1), Params: p})
	require.ErrorIs(t, err, types.ErrUnauthorized)
	_, err = f.msgs.UpdateParams(f.ctx, &types.MsgUpdateParams{Authority: authority(), Params: p})
	require.NoError(t, err)
	r, err := f.query.Params(f.ctx, &types.QueryParamsRequest{})
	require.NoError(t, err)
	require.EqualValues(t, 5, r.Params.MaxAuctionWindow)
}
