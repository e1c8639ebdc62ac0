package keeper_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"berth.dev/berth/testutil/badinput"
	"berth.dev/berth/x/audit/types"
)

func (f *fixture) export() string {
	f.Helper()
	gs, err := f.k.ExportGenesis(f.ctx)
	require.NoError(f, err)
	require.NoError(f, gs.Validate())
	return gs.String()
}

// tryBad sends what becomes of a message when one of its fields is spoiled, as it is and as it comes off the wire, to a
// chain with one record.
func tryBad[M any, P interface {
	*M
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}](t *testing.T, build func() *M, send func(types.MsgServer, context.Context, *M) error) {
	t.Helper()
	prepared := func() *fixture {
		f := setup(t)
		require.NoError(t, f.sign(1, 2, attrs("region=eu host=acme")))
		return f
	}
	badinput.Each(build, func(name string, m *M) {
		msgs := []*M{m}
		if bz, err := P(m).Marshal(); err == nil {
			wire := new(M)
			require.NoError(t, P(wire).Unmarshal(bz), name)
			msgs = append(msgs, wire)
		}
		for _, m := range msgs {
			f := prepared()
			before := f.export()
			var err error
			require.NotPanics(t, func() { err = send(f.msgs, f.ctx, m) }, name)
			require.Empty(t, badinput.Refused(err), name)
			if after := f.export(); err != nil {
				require.Equal(t, before, after, name)
			}
		}
	})
	f := prepared()
	require.NoError(t, send(f.msgs, f.ctx, build()), "the message itself is good")
}

func TestBadInput(t *testing.T) {
	t.Run("SignAttributes", func(t *testing.T) {
		tryBad(t, func() *types.MsgSignAttributes {
			return &types.MsgSignAttributes{Auditor: addr(1).String(), Provider: addr(2).String(), Attributes: attrs("zone=a region=us")}
		}, func(s types.MsgServer, ctx context.Context, m *types.MsgSignAttributes) error {
			_, err := s.SignAttributes(ctx, m)
			return err
		})
	})
	t.Run("RevokeAttributes", func(t *testing.T) {
		tryBad(t, func() *types.MsgRevokeAttributes {
			return &types.MsgRevokeAttributes{Auditor: addr(1).String(), Provider: addr(2).String(), Keys: []string{"region"}}
		}, func(s types.MsgServer, ctx context.Context, m *types.MsgRevokeAttributes) error {
			_, err := s.RevokeAttributes(ctx, m)
			return err
		})
	})
}
