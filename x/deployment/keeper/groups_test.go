package keeper_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
)

func gid(owner byte, dseq uint64, gseq uint32) types.GroupID {
	return types.GroupID{Owner: addr(owner), Dseq: dseq, Gseq: gseq}
}

// move sends the message that a verb names.
func (f *fixture) move(verb string, id types.GroupID) error {
	switch verb {
	case "pause":
		return second(f.msgs.PauseGroup(f.ctx, &types.MsgPauseGroup{Id: id}))
	case "start":
		return second(f.msgs.StartGroup(f.ctx, &types.MsgStartGroup{Id: id}))
	default:
		return second(f.msgs.CloseGroup(f.ctx, &types.MsgCloseGroup{Id: id}))
	}
}

func (f *fixture) groupState(t *testing.T, id types.GroupID) types.GroupState {
	t.Helper()
	g, err := f.k.Group(f.ctx, id)
	require.NoError(t, err)
	return g.State
}

// TestGroupMoves tries every message in every state of a group.
func TestGroupMoves(t *testing.T) {
	const open, paused, closed = types.GROUP_STATE_OPEN, types.GROUP_STATE_PAUSED, types.GROUP_STATE_CLOSED
	to := map[types.GroupState]string{open: "", paused: "pause", closed: "close"}
	for name, tc := range map[string]struct {
		from types.GroupState
		verb string
		err  error
		want types.GroupState
		told string
	}{
		"pause open":   {open, "pause", nil, paused, "stopped west"},
		"pause paused": {paused, "pause", types.ErrGroupNotOpen, paused, ""},
		"pause closed": {closed, "pause", types.ErrGroupClosed, closed, ""},
		"start open":   {open, "start", types.ErrGroupNotPaused, open, ""},
		"start paused": {paused, "start", nil, open, "started west"},
		"start closed": {closed, "start", types.ErrGroupClosed, closed, ""},
		"close open":   {open, "close", nil, closed, "stopped west"},
		"close paused": {paused, "close", nil, closed, ""},
		"close closed": {closed, "close", types.ErrGroupClosed, closed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			id := gid(1, 4, 2)
			require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, message(1, 4))))
			if verb := to[tc.from]; verb != "" {
				require.NoError(t, f.move(verb, id))
			}
			f.market.told = nil
			f.ctx = f.ctx.WithEventManager(sdk.NewEventManager())
			err := f.move(tc.verb, id)
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, tc.want, f.groupState(t, id))
			require.Equal(t, types.GROUP_STATE_OPEN, f.groupState(t, gid(1, 4, 1)), "the other group")
			require.Equal(t, tc.told, strings.Join(f.market.told, " "))
			if tc.err != nil {
				require.ErrorContains(t, err, id.String())
				require.Empty(t, f.ctx.EventManager().Events())
				return
			}
			evs := f.ctx.EventManager().Events()
			require.Len(t, evs, 1)
			ev, err := sdk.ParseTypedEvent(evs.ToABCIEvents()[0])
			require.NoError(t, err)
			var told types.Group
			switch ev := ev.(type) {
			case *types.EventGroupStarted:
				told = ev.Group
				require.Equal(t, open, tc.want)
			case *types.EventGroupPaused:
				told = ev.Group
				require.Equal(t, paused, tc.want)
			case *types.EventGroupClosed:
				told = ev.Group
				require.Equal(t, closed, tc.want)
			}
			require.Equal(t, id, told.Id)
			require.Equal(t, tc.want, told.State)
			require.Equal(t, (&types.GroupSpec{Name: "west"}).String(), told.Spec.String(), "only the name: the spec stands in the order's event")
			require.Empty(t, f.k.Invariants(f.ctx))
		})
	}
}

func TestGroupRefusals(t *testing.T) {
	f := setup(t)
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, message(1, 4))))
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, message(1, 5))))
	require.NoError(t, second(f.msgs.CloseDeployment(f.ctx, &types.MsgCloseDeployment{Id: message(1, 5).Id})))
	for _, verb := range []string{"pause", "start", "close"} {
		for name, tc := range map[string]struct {
			id   types.GroupID
			want error
		}{
			"no such group":      {gid(1, 4, 3), types.ErrGroupNotFound},
			"no such deployment": {gid(1, 9, 1), types.ErrDeploymentNotFound},
			"a stranger's":       {gid(2, 4, 1), types.ErrDeploymentNotFound},
			"closed deployment":  {gid(1, 5, 1), types.ErrDeploymentClosed},
			"gseq 0":             {gid(1, 4, 0), types.ErrInvalidID},
			"gseq 2^32 - 1":      {gid(1, 4, 1<<32-1), types.ErrInvalidID},
			"dseq 0":             {gid(1, 0, 1), types.ErrInvalidID},
		} {
			require.ErrorIs(t, f.move(verb, tc.id), tc.want, "%s, %s", verb, name)
		}
	}
}

// TestGroupsEndApart: when all groups are closed, the deployment stays until it is closed itself.
func TestGroupsEndApart(t *testing.T) {
	f := setup(t)
	m := message(1, 4)
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, m)))
	require.NoError(t, f.move("close", gid(1, 4, 1)))
	require.NoError(t, f.move("close", gid(1, 4, 2)))
	d, err := f.k.Deployment(f.ctx, m.Id)
	require.NoError(t, err)
	require.Equal(t, types.DEPLOYMENT_STATE_ACTIVE, d.State)
	require.NoError(t, second(f.msgs.CloseDeployment(f.ctx, &types.MsgCloseDeployment{Id: m.Id})))
	require.Empty(t, f.k.Invariants(f.ctx))
}

// TestMarketPauses: when an auction's winner cannot be paid, the market pauses the group, and the tenant can start it.
func TestMarketPauses(t *testing.T) {
	f := setup(t)
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, message(1, 4))))
	f.market.told = nil
	require.NoError(t, f.k.PauseGroup(f.ctx, gid(1, 4, 2)))
	require.Empty(t, f.market.told, "the market knows")
	require.Equal(t, types.GROUP_STATE_PAUSED, f.groupState(t, gid(1, 4, 2)))
	require.ErrorIs(t, f.k.PauseGroup(f.ctx, gid(1, 4, 2)), types.ErrGroupNotOpen)
	require.ErrorIs(t, f.k.PauseGroup(f.ctx, gid(1, 4, 3)), types.ErrGroupNotFound)
	evs := f.ctx.EventManager().Events()
	require.Equal(t, "berth.deployment.v1.EventGroupPaused", evs[len(evs)-1].Type)
	require.NoError(t, f.move("start", gid(1, 4, 2)))
	require.Equal(t, []string{"started west"}, f.market.told)
}

// TestStopOfADueDeployment: ending the lease's payment finds that the grace period has ended, which closes the
// deployment under the message. A group that is closed by then must not come back as paused.
func TestStopOfADueDeployment(t *testing.T) {
	for _, verb := range []string{"pause", "close"} {
		f := setup(t)
		m := message(1, 4)
		require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, m)))
		f.market.stop = func(ctx context.Context) error {
			require.NoError(t, f.escrow.CloseAccount(ctx, m.Id.EscrowID()))
			acc, err := f.escrow.Account(ctx, m.Id.EscrowID())
			require.NoError(t, err)
			return f.k.AfterAccountExpired(ctx, acc)
		}
		require.ErrorIs(t, f.move(verb, gid(1, 4, 1)), types.ErrDeploymentClosed)
		require.Equal(t, types.GROUP_STATE_CLOSED, f.groupState(t, gid(1, 4, 1)))
		require.Empty(t, f.k.Invariants(f.ctx))
	}
}

func TestMarketRefusesToStop(t *testing.T) {
	f := setup(t)
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, message(1, 4))))
	f.market.fail = errors.New("no")
	require.ErrorIs(t, f.move("pause", gid(1, 4, 1)), f.market.fail)
	require.ErrorIs(t, f.move("close", gid(1, 4, 1)), f.market.fail)
	require.Equal(t, types.GROUP_STATE_OPEN, f.groupState(t, gid(1, 4, 1)))
}

func TestSourcesAndReclamationArePassedOn(t *testing.T) {
	f := setup(t)
	m := message(1, 4)
	m.Reclamation = types.Reclamation{MinWindowSeconds: types.MaxReclaimWindow}
	m.DepositSources = sources(addr(8))
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, m)))
	require.Equal(t, m.DepositSources, f.escrow.sources)
	d, err := f.k.Deployment(f.ctx, m.Id)
	require.NoError(t, err)
	require.Equal(t, m.Reclamation, d.Reclamation)
	m.Id.Dseq, m.Reclamation.MinWindowSeconds = 5, types.MaxReclaimWindow+1
	require.ErrorIs(t, second(f.msgs.CreateDeployment(f.ctx, m)), types.ErrInvalidReclamation)
}
