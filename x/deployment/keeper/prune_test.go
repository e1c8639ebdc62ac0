package keeper_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
)

const retention = 10

// setupPruning is setup with a short retention and a small budget.
func setupPruning(t require.TestingT, perBlock uint32) *fixture {
	f := newFixture(t)
	p := types.DefaultParams()
	p.RetentionBlocks, p.MaxPrunePerBlock = retention, perBlock
	require.NoError(t, second(f.msgs.UpdateParams(f.ctx, &types.MsgUpdateParams{Authority: authority(), Params: p})))
	return f
}

func (f *fixture) open(t require.TestingT, owner byte, dseq uint64) types.DeploymentID {
	m := message(owner, dseq)
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, m)))
	return m.Id
}

func (f *fixture) shut(t require.TestingT, id types.DeploymentID) {
	require.NoError(t, second(f.msgs.CloseDeployment(f.ctx, &types.MsgCloseDeployment{Id: id})))
}

// endBlock ends the block, checks the invariants and begins the next one, half a second later.
func (f *fixture) endBlock(t require.TestingT) {
	require.NoError(t, f.k.EndBlock(f.ctx))
	require.Empty(t, f.k.Invariants(f.ctx))
	f.ctx = f.ctx.WithBlockHeight(f.ctx.BlockHeight() + 1).WithBlockTime(f.ctx.BlockTime().Add(500 * time.Millisecond))
}

func (f *fixture) endBlocks(t require.TestingT, n int) {
	for range n {
		f.endBlock(t)
	}
}

// found asks as a client does.
func (f *fixture) found(t require.TestingT, id types.DeploymentID) bool {
	_, err := f.query.Deployment(f.ctx, &types.QueryDeploymentRequest{Owner: id.Owner, Dseq: id.Dseq})
	if err != nil {
		require.Equal(t, codes.NotFound, status.Code(err))
	}
	return err == nil
}

// closed counts the closed deployments that are still there.
func (f *fixture) closed(t require.TestingT) int {
	res, err := f.query.Deployments(f.ctx, &types.QueryDeploymentsRequest{State: types.DEPLOYMENT_STATE_CLOSED})
	require.NoError(t, err)
	return len(res.Deployments)
}

func (f *fixture) floor(t require.TestingT, owner string) uint64 {
	res, err := f.query.PruneFloor(f.ctx, &types.QueryPruneFloorRequest{Owner: owner})
	require.NoError(t, err)
	return res.Dseq
}

// TestPruningIsProof: what is not found at or below the floor is closed for good, as the number cannot come back.
func TestPruningIsProof(t *testing.T) {
	f := setupPruning(t, 50)
	low, mid, high := f.open(t, 1, 3), f.open(t, 1, 5), f.open(t, 1, 9)
	other := f.open(t, 2, 5)
	require.Zero(t, f.floor(t, low.Owner))
	f.shut(t, mid)
	f.endBlocks(t, retention)
	require.True(t, f.found(t, mid), "for as long as it is retained")
	require.ErrorIs(t, second(f.msgs.CreateDeployment(f.ctx, message(1, 5))), types.ErrDeploymentExists)
	f.endBlock(t)
	require.False(t, f.found(t, mid))
	require.EqualValues(t, 5, f.floor(t, mid.Owner))
	require.Zero(t, f.floor(t, other.Owner), "each owner has its own")
	require.True(t, f.found(t, low), "an active deployment below the floor stays")
	require.True(t, f.found(t, high))
	require.True(t, f.found(t, other))
	gs, err := f.k.Groups(f.ctx, mid)
	require.NoError(t, err)
	require.Empty(t, gs)
	evs := f.ctx.EventManager().Events().ToABCIEvents()
	ev, err := sdk.ParseTypedEvent(evs[len(evs)-1])
	require.NoError(t, err)
	require.Equal(t, &types.EventDeploymentPruned{Owner: mid.Owner, Dseq: 5, Floor: 5}, ev)

	for _, dseq := range []uint64{1, 4, 5} {
		err := second(f.msgs.CreateDeployment(f.ctx, message(1, dseq)))
		require.ErrorIs(t, err, types.ErrDeploymentPruned)
		require.ErrorContains(t, err, fmt.Sprintf("dseq %d of %s, the floor is 5", dseq, addr(1)))
		require.ErrorContains(t, err, "choose one above it")
	}
	f.open(t, 1, 6)

	f.shut(t, low)
	f.endBlocks(t, retention+1)
	require.False(t, f.found(t, low))
	require.EqualValues(t, 5, f.floor(t, low.Owner), "the floor never sinks")
}

// TestPruningIsBounded: a block removes what its budget allows, in the order of the queue, whole deployments at last.
func TestPruningIsBounded(t *testing.T) {
	f := setupPruning(t, 50)
	first, next := f.open(t, 1, 1), f.open(t, 2, 1)
	f.market.left[first] = 120
	f.escrow.payments[first.EscrowID()] = 60
	f.shut(t, first)
	f.shut(t, next)
	f.endBlocks(t, retention)
	count := func() (market, payments int) { return f.market.left[first], f.escrow.payments[first.EscrowID()] }
	for i, want := range []struct {
		market, payments int
		found            bool
	}{
		{70, 60, true},
		{20, 60, true},
		{0, 33, true}, // 20 of the market's and 27 payments: three are kept for the deployment and its groups
		{0, 0, false}, // 33 payments, the account, and those three
	} {
		f.endBlock(t)
		market, payments := count()
		require.Equal(t, want.market, market, "block %d", i)
		require.Equal(t, want.payments, payments, "block %d", i)
		require.Equal(t, want.found, f.found(t, first), "block %d", i)
		require.Equal(t, want.found, f.found(t, next), "block %d: what follows goes on with the rest of the budget", i)
	}
}

// TestPruningWaits: a deployment of which nothing can go yet does not hold up those behind it.
func TestPruningWaits(t *testing.T) {
	f := setupPruning(t, 50)
	stuck, next := f.open(t, 1, 1), f.open(t, 2, 1)
	f.shut(t, stuck)
	f.shut(t, next)
	f.market.wait = stuck
	f.endBlocks(t, retention+1)
	require.True(t, f.found(t, stuck))
	require.False(t, f.found(t, next))
	f.market.wait = types.DeploymentID{}
	f.endBlock(t)
	require.False(t, f.found(t, stuck))
}

// TestPruningSurvivesErrors: an error undoes what was removed of one deployment and puts it off, no more.
func TestPruningSurvivesErrors(t *testing.T) {
	f := setupPruning(t, 50)
	id := f.open(t, 1, 1)
	f.shut(t, id)
	f.endBlocks(t, retention)
	f.escrow.fail = errors.New("no")
	f.endBlock(t)
	require.True(t, f.found(t, id))
	require.Zero(t, f.floor(t, id.Owner))
	d, err := f.k.Deployment(f.ctx, id)
	require.NoError(t, err)
	require.EqualValues(t, 7+retention+retention, d.PruneAt)
	f.escrow.fail = nil
	f.endBlocks(t, retention-1)
	require.True(t, f.found(t, id))
	f.endBlock(t)
	require.False(t, f.found(t, id))
}

// TestHugeDseq: no owner can use up its numbers. The highest that a block accepts leaves the next one to the next block.
func TestHugeDseq(t *testing.T) {
	f := setupPruning(t, 50)
	top := uint64(start.UnixMilli() + 24*60*60*1000)
	for _, dseq := range []uint64{top + 1, uint64(start.UnixNano()), 1 << 63, 1<<64 - 1} {
		err := second(f.msgs.CreateDeployment(f.ctx, message(1, dseq)))
		require.ErrorIs(t, err, types.ErrDseqTooHigh)
		require.ErrorContains(t, err, fmt.Sprintf("dseq %d of %s, at most %d is allowed now", dseq, addr(1), top))
	}
	for _, dseq := range []uint64{7, uint64(start.Unix()), uint64(start.UnixMilli()), top} {
		f.shut(t, f.open(t, 1, dseq))
	}
	f.endBlocks(t, retention+1)
	require.Equal(t, top, f.floor(t, addr(1)))
	f.open(t, 1, top+1)
}

func TestMaxDseqOfOddTimes(t *testing.T) {
	const lead = 86_400_000
	for name, tc := range map[string]struct {
		time time.Time
		want uint64
	}{
		"no time":         {time.Time{}, lead},
		"the epoch":       {time.Unix(0, 0), lead},
		"a millisecond":   {time.UnixMilli(1), lead + 1},
		"the year 9999":   {time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), 253_402_300_799_000 + lead},
		"a second before": {time.Unix(-1, 0), lead},
	} {
		require.Equal(t, tc.want, types.MaxDseq(tc.time), name)
	}
}

// TestPruningModel compares random histories with what the rules say: which deployments are found, where the floor
// lies, that it only rises, that the number above it is free, and that an exported state goes on as the first does.
func TestPruningModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := setupPruning(t, uint32(rapid.IntRange(50, 60).Draw(t, "budget")))
		stands := map[types.DeploymentID]bool{} // active, by id
		floors := map[string]uint64{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := types.DeploymentID{Owner: addr(byte(rapid.IntRange(1, 2).Draw(t, "owner"))), Dseq: rapid.Uint64Range(1, 12).Draw(t, "dseq")}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				was := f.found(t, id)
				err := second(f.msgs.CreateDeployment(f.ctx, messageOf(id)))
				require.Equal(t, !was && id.Dseq > floors[id.Owner], err == nil, "%s over floor %d: %v", id, floors[id.Owner], err)
				if err == nil {
					stands[id] = true
					f.market.left[id] = rapid.IntRange(0, 70).Draw(t, "left")
					f.escrow.payments[id.EscrowID()] = rapid.IntRange(0, 70).Draw(t, "payments")
				}
			case 2:
				err := second(f.msgs.CloseDeployment(f.ctx, &types.MsgCloseDeployment{Id: id}))
				require.Equal(t, stands[id], err == nil, "%v", err)
				delete(stands, id)
			default:
				f.endBlocks(t, rapid.IntRange(1, retention).Draw(t, "blocks"))
			}
			for owner := byte(1); owner <= 2; owner++ {
				floor := f.floor(t, addr(owner))
				require.GreaterOrEqual(t, floor, floors[addr(owner)], "a floor never sinks")
				floors[addr(owner)] = floor
			}
			for id := range stands {
				require.True(t, f.found(t, id), "%s is active", id)
			}
		}
		gs, err := f.k.ExportGenesis(f.ctx)
		require.NoError(t, err)
		require.NoError(t, gs.Validate())
		other := newFixture(t)
		require.NoError(t, other.k.InitGenesis(other.ctx, *gs))
		again, err := other.k.ExportGenesis(other.ctx)
		require.NoError(t, err)
		require.Equal(t, gs.String(), again.String())
		for blocks := 0; f.closed(t) > 0; blocks++ {
			require.Less(t, blocks, retention+60*4, "all that is closed goes in the end")
			f.endBlock(t)
		}
		for owner := byte(1); owner <= 2; owner++ {
			f.open(t, owner, max(13, floors[addr(owner)]+1))
		}
	})
}
