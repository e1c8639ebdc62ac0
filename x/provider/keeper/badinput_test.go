package keeper_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/testutil/badinput"
	"berth.dev/berth/x/provider/keeper"
	"berth.dev/berth/x/provider/types"
)

// prepared is a registry with provider 1, who also has a gateway key.
func prepared(t *testing.T) (sdk.Context, *keeper.Keeper, types.MsgServer) {
	t.Helper()
	ctx, k := setup(t)
	msgs := keeper.NewMsgServer(k)
	_, err := msgs.CreateProvider(ctx, create(1))
	require.NoError(t, err)
	_, err = msgs.SetGatewayKey(ctx, &types.MsgSetGatewayKey{Owner: addr(1).String(), Key: point(1)})
	require.NoError(t, err)
	return ctx, k, msgs
}

func export(t *testing.T, ctx context.Context, k *keeper.Keeper) string {
	t.Helper()
	gs, err := k.ExportGenesis(ctx)
	require.NoError(t, err)
	require.NoError(t, gs.Validate())
	return gs.String()
}

// tryBad sends what becomes of a message when one of its fields is spoiled, as it is and as it comes off the wire.
func tryBad[M any, P interface {
	*M
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}](t *testing.T, build func() *M, send func(types.MsgServer, context.Context, *M) error) {
	t.Helper()
	badinput.Each(build, func(name string, m *M) {
		msgs := []*M{m}
		if bz, err := P(m).Marshal(); err == nil {
			wire := new(M)
			require.NoError(t, P(wire).Unmarshal(bz), name)
			msgs = append(msgs, wire)
		}
		for _, m := range msgs {
			ctx, k, s := prepared(t)
			before := export(t, ctx, k)
			var err error
			require.NotPanics(t, func() { err = send(s, ctx, m) }, name)
			require.Empty(t, badinput.Refused(err), name)
			if after := export(t, ctx, k); err != nil {
				require.Equal(t, before, after, name)
			}
		}
	})
	ctx, _, s := prepared(t)
	require.NoError(t, send(s, ctx, build()), "the message itself is good")
}

func TestBadInput(t *testing.T) {
	t.Run("CreateProvider", func(t *testing.T) {
		tryBad(t, func() *types.MsgCreateProvider { m := create(2); m.Info.Website = "https://a.example"; return m },
			func(s types.MsgServer, ctx context.Context, m *types.MsgCreateProvider) error {
				_, err := s.CreateProvider(ctx, m)
				return err
			})
	})
	t.Run("UpdateProvider", func(t *testing.T) {
		tryBad(t, func() *types.MsgUpdateProvider {
			m := create(1)
			return &types.MsgUpdateProvider{Owner: m.Owner, HostUri: "https://b.example", TlsPins: m.TlsPins, Attributes: m.Attributes, Info: m.Info}
		}, func(s types.MsgServer, ctx context.Context, m *types.MsgUpdateProvider) error {
			_, err := s.UpdateProvider(ctx, m)
			return err
		})
	})
	t.Run("DeleteProvider", func(t *testing.T) {
		tryBad(t, func() *types.MsgDeleteProvider { return &types.MsgDeleteProvider{Owner: addr(1).String()} },
			func(s types.MsgServer, ctx context.Context, m *types.MsgDeleteProvider) error {
				_, err := s.DeleteProvider(ctx, m)
				return err
			})
	})
	t.Run("SetGatewayKey", func(t *testing.T) {
		tryBad(t, func() *types.MsgSetGatewayKey { return &types.MsgSetGatewayKey{Owner: addr(1).String(), Key: point(2)} },
			func(s types.MsgServer, ctx context.Context, m *types.MsgSetGatewayKey) error {
				_, err := s.SetGatewayKey(ctx, m)
				return err
			})
	})
}
