package keeper_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"berth.dev/berth/testutil/badinput"
	"berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// fullMessage sets every field.
func fullMessage(dseq uint64) *types.MsgCreateDeployment {
	m := message(1, dseq)
	u := &m.Groups[0].Units[0]
	key := []providertypes.Attribute{{Key: "class", Value: "fast"}}
	u.Storage = []types.Volume{{Name: "data", Bytes: types.MinVolume, Attributes: key}}
	u.Gpu = types.GPU{Count: 1, Attributes: key}
	u.Endpoints = []types.Endpoint{{Kind: types.ENDPOINT_KIND_HTTP, Sequence: 1}}
	m.Groups[0].Requirements = types.PlacementRequirements{Attributes: key, SignedBy: types.SignedBy{AllOf: addrs(1), AnyOf: addrs(1)}}
	m.Auction = types.Auction{Mode: types.AUCTION_MODE_LOWEST, Window: 5}
	m.DepositSources = sources(addr(8))
	m.Reclamation = types.Reclamation{MinWindowSeconds: 3600}
	return m
}

// prepared is a chain with one active deployment whose first group is open and whose second is paused.
func prepared(t *testing.T) *fixture {
	t.Helper()
	f := setup(t)
	require.NoError(t, second(f.msgs.CreateDeployment(f.ctx, fullMessage(4))))
	require.NoError(t, f.move("pause", gid(1, 4, 2)))
	return f
}

// tryBad sends what becomes of a message when one of its fields is spoiled, as it is and as it comes off the wire.
func tryBad[M any, P interface {
	*M
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}](t *testing.T, build func() *M, send func(types.MsgServer, context.Context, *M) error) {
	t.Helper()
	tried := 0
	badinput.Each(build, func(name string, m *M) {
		msgs := []*M{m}
		if bz, err := P(m).Marshal(); err == nil {
			wire := new(M)
			require.NoError(t, P(wire).Unmarshal(bz), name)
			msgs = append(msgs, wire)
		}
		for _, m := range msgs {
			f := prepared(t)
			before, accounts := f.export(t), len(f.escrow.all)
			var err error
			require.NotPanics(t, func() { err = send(f.msgs, f.ctx, m) }, name)
			require.Empty(t, badinput.Refused(err), name)
			if err != nil {
				require.Equal(t, before, f.export(t), name)
				require.Len(t, f.escrow.all, accounts, name)
			}
			require.Empty(t, f.k.Invariants(f.ctx), name)
			tried++
		}
	})
	f := prepared(t)
	require.NoError(t, send(f.msgs, f.ctx, build()), "the message itself is good")
	t.Logf("%d messages", tried)
}

func TestBadInput(t *testing.T) {
	t.Run("CreateDeployment", func(t *testing.T) {
		tryBad(t, func() *types.MsgCreateDeployment { return fullMessage(5) }, func(s types.MsgServer, ctx context.Context, m *types.MsgCreateDeployment) error {
			return second(s.CreateDeployment(ctx, m))
		})
	})
	t.Run("UpdateDeployment", func(t *testing.T) {
		tryBad(t, func() *types.MsgUpdateDeployment {
			return &types.MsgUpdateDeployment{Id: message(1, 4).Id, ManifestHash: append(make([]byte, 31), 1)}
		}, func(s types.MsgServer, ctx context.Context, m *types.MsgUpdateDeployment) error {
			return second(s.UpdateDeployment(ctx, m))
		})
	})
	t.Run("CloseDeployment", func(t *testing.T) {
		tryBad(t, func() *types.MsgCloseDeployment { return &types.MsgCloseDeployment{Id: message(1, 4).Id} },
			func(s types.MsgServer, ctx context.Context, m *types.MsgCloseDeployment) error {
				return second(s.CloseDeployment(ctx, m))
			})
	})
	t.Run("PauseGroup", func(t *testing.T) {
		tryBad(t, func() *types.MsgPauseGroup { return &types.MsgPauseGroup{Id: gid(1, 4, 1)} },
			func(s types.MsgServer, ctx context.Context, m *types.MsgPauseGroup) error {
				return second(s.PauseGroup(ctx, m))
			})
	})
	t.Run("StartGroup", func(t *testing.T) {
		tryBad(t, func() *types.MsgStartGroup { return &types.MsgStartGroup{Id: gid(1, 4, 2)} },
			func(s types.MsgServer, ctx context.Context, m *types.MsgStartGroup) error {
				return second(s.StartGroup(ctx, m))
			})
	})
	t.Run("CloseGroup", func(t *testing.T) {
		tryBad(t, func() *types.MsgCloseGroup { return &types.MsgCloseGroup{Id: gid(1, 4, 1)} },
			func(s types.MsgServer, ctx context.Context, m *types.MsgCloseGroup) error {
				return second(s.CloseGroup(ctx, m))
			})
	})
	t.Run("UpdateParams", func(t *testing.T) {
		tryBad(t, func() *types.MsgUpdateParams {
			return &types.MsgUpdateParams{Authority: authority(), Params: types.DefaultParams()}
		}, func(s types.MsgServer, ctx context.Context, m *types.MsgUpdateParams) error {
			return second(s.UpdateParams(ctx, m))
		})
	})
}

// TestWrongObjects: a message about an object that is not there, is another's, or has closed names that object.
func TestWrongObjects(t *testing.T) {
	f := setup(t)
	f.shut(t, f.open(t, 1, 5))
	f.open(t, 1, 4)
	hash := append(make([]byte, 31), 1)
	for what, send := range map[string]func(types.DeploymentID) error{
		"update": func(id types.DeploymentID) error {
			return second(f.msgs.UpdateDeployment(f.ctx, &types.MsgUpdateDeployment{Id: id, ManifestHash: hash}))
		},
		"close": func(id types.DeploymentID) error {
			return second(f.msgs.CloseDeployment(f.ctx, &types.MsgCloseDeployment{Id: id}))
		},
	} {
		for id, want := range map[types.DeploymentID]error{
			message(1, 5).Id:       types.ErrDeploymentClosed,
			message(1, 9).Id:       types.ErrDeploymentNotFound,
			message(2, 4).Id:       types.ErrDeploymentNotFound,
			message(1, 1<<64-1).Id: types.ErrDeploymentNotFound,
		} {
			before := f.export(t)
			err := send(id)
			require.ErrorIs(t, err, want, what)
			require.ErrorContains(t, err, id.String())
			require.Equal(t, before, f.export(t))
		}
	}
	require.ErrorContains(t, second(f.msgs.UpdateParams(f.ctx, &types.MsgUpdateParams{Authority: addr(1), Params: types.DefaultParams()})), addr(1))
	bad := types.DefaultParams()
	bad.MaxUnitPrice = math.Int{}
	require.ErrorIs(t, second(f.msgs.UpdateParams(f.ctx, &types.MsgUpdateParams{Authority: authority(), Params: bad})), types.ErrInvalidParams)
}
