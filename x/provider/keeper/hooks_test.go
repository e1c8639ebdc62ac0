package keeper_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/provider/keeper"
	"berth.dev/berth/x/provider/types"
)

// market is asked before records change: keys in use may not, nor may a provider with leases go.
type market struct {
	used   map[string]bool
	leases bool
	asked  []string
}

func (m *market) BeforeAttributesChanged(_ context.Context, _ sdk.AccAddress, keys []string) error {
	m.asked = append(m.asked, strings.Join(keys, " "))
	for _, k := range keys {
		if m.used[k] {
			return types.ErrAttributesInUse.Wrap(k)
		}
	}
	return nil
}

func (m *market) BeforeProviderDeleted(context.Context, sdk.AccAddress) error {
	if m.leases {
		return types.ErrProviderInUse.Wrap("a lease")
	}
	return nil
}

func attrs(s string) []types.Attribute {
	var as []types.Attribute
	for _, kv := range strings.Fields(s) {
		k, v, _ := strings.Cut(kv, "=")
		as = append(as, types.Attribute{Key: k, Value: v})
	}
	return as
}

// point is a public key.
func point(b byte) []byte {
	return secp256k1.PrivKeyFromBytes([]byte{b}).PubKey().SerializeCompressed()
}

// TestFreezing: the market is asked for what an update changes or removes, in ascending order, and for nothing else.
func TestFreezing(t *testing.T) {
	for name, tc := range map[string]struct {
		after string
		asked string
		err   error
	}{
		"no change":                 {"zone=a region=eu host=x", "", nil},
		"another order":             {"host=x region=eu zone=a", "", nil},
		"a new key":                 {"zone=a region=eu host=x tier=1", "", nil},
		"another value":             {"zone=a region=eu host=y", "host", nil},
		"a key less":                {"zone=a region=eu", "host", nil},
		"a used key less":           {"zone=a host=x", "region", types.ErrAttributesInUse},
		"another value of a used":   {"zone=a region=us host=x", "region", types.ErrAttributesInUse},
		"all changed":               {"zone=b region=us host=y", "host region zone", types.ErrAttributesInUse},
		"none left":                 {"", "host region zone", types.ErrAttributesInUse},
		"a used key renamed":        {"zone=a Region=eu host=x", "region", types.ErrAttributesInUse},
		"several that are not used": {"region=eu", "host zone", nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, k := setup(t)
			m := &market{used: map[string]bool{"region": true}}
			k.SetHooks(m)
			msgs := keeper.NewMsgServer(k)
			first := create(1)
			first.Attributes = attrs("zone=a region=eu host=x")
			_, err := msgs.CreateProvider(ctx, first)
			require.NoError(t, err)
			before, err := k.Provider(ctx, addr(1))
			require.NoError(t, err)
			_, err = msgs.UpdateProvider(ctx, &types.MsgUpdateProvider{Owner: first.Owner, HostUri: first.HostUri, TlsPins: first.TlsPins, Attributes: attrs(tc.after)})
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, tc.asked, strings.Join(m.asked, "; "))
			if tc.err == nil {
				return
			}
			require.ErrorContains(t, err, first.Owner)
			after, err := k.Provider(ctx, addr(1))
			require.NoError(t, err)
			require.Equal(t, before.String(), after.String(), "nothing changed")
		})
	}
}

func TestDelete(t *testing.T) {
	ctx, k := setup(t)
	m := &market{leases: true}
	k.SetHooks(m)
	msgs, q := keeper.NewMsgServer(k), keeper.NewQueryServer(k)
	gone := &types.MsgDeleteProvider{Owner: addr(1).String()}
	_, err := msgs.DeleteProvider(ctx, gone)
	require.ErrorIs(t, err, types.ErrProviderNotFound)
	_, err = msgs.CreateProvider(ctx, create(1))
	require.NoError(t, err)
	_, err = msgs.DeleteProvider(ctx, gone)
	require.ErrorIs(t, err, types.ErrProviderInUse)
	require.ErrorContains(t, err, gone.Owner)
	was, err := k.Provider(ctx, addr(1))
	require.NoError(t, err, "it is still there")

	m.leases = false
	_, err = msgs.DeleteProvider(ctx, gone)
	require.NoError(t, err)
	_, err = q.Provider(ctx, &types.QueryProviderRequest{Owner: gone.Owner})
	require.Equal(t, codes.NotFound, status.Code(err))
	evs := ctx.EventManager().Events().ToABCIEvents()
	ev, err := sdk.ParseTypedEvent(evs[len(evs)-1])
	require.NoError(t, err)
	require.Equal(t, was.String(), ev.(*types.EventProviderDeleted).Provider.String(), "as it was")
	_, err = msgs.CreateProvider(ctx, create(1))
	require.NoError(t, err, "it may come back")
}

func TestGatewayKey(t *testing.T) {
	ctx, k := setup(t)
	msgs, q := keeper.NewMsgServer(k), keeper.NewQueryServer(k)
	owner := addr(9).String()
	set := func(key []byte) error {
		_, err := msgs.SetGatewayKey(ctx, &types.MsgSetGatewayKey{Owner: owner, Key: key})
		return err
	}
	get := func() []byte {
		res, err := q.GatewayKey(ctx, &types.QueryGatewayKeyRequest{Owner: owner})
		if err != nil {
			require.Equal(t, codes.NotFound, status.Code(err))
			return nil
		}
		require.Equal(t, owner, res.GatewayKey.Owner)
		require.EqualValues(t, 7, res.GatewayKey.UpdatedAt)
		return res.GatewayKey.Key
	}
	require.ErrorIs(t, set(nil), types.ErrNoGatewayKey, "there is none to remove")
	require.NoError(t, set(point(1)), "any account may, registered or not")
	require.Equal(t, point(1), get())
	off := append([]byte{2}, make([]byte, 32)...)
	off[32] = 5 // x = 5 is no point of the curve
	for name, bad := range map[string][]byte{
		"32 bytes": point(2)[:32], "34 bytes": append(point(2), 0), "one byte": {2}, "not compressed": append([]byte{4}, point(2)[1:]...),
		"off the curve": off, "x above the field": append([]byte{2}, []byte(strings.Repeat("\xff", 32))...), "zeros": make([]byte, 33),
		"whole point": secp256k1.PrivKeyFromBytes([]byte{2}).PubKey().SerializeUncompressed(),
	} {
		require.ErrorIs(t, set(bad), types.ErrInvalidGatewayKey, name)
	}
	require.Equal(t, point(1), get(), "what is refused changes nothing")
	require.NoError(t, set(point(2)))
	require.Equal(t, point(2), get())
	require.NoError(t, set([]byte{}))
	require.Nil(t, get())
	var keys []string
	for _, e := range ctx.EventManager().Events().ToABCIEvents() {
		ev, err := sdk.ParseTypedEvent(e)
		require.NoError(t, err)
		keys = append(keys, fmt.Sprintf("%x", ev.(*types.EventGatewayKeySet).GatewayKey.Key))
	}
	require.Equal(t, []string{fmt.Sprintf("%x", point(1)), fmt.Sprintf("%x", point(2)), ""}, keys)
	for _, r := range []*types.QueryGatewayKeyRequest{nil, {Owner: "x"}} {
		_, err := q.GatewayKey(ctx, r)
		require.Equal(t, codes.InvalidArgument, status.Code(err))
	}
}

// TestRecordFitsItsEvent: followers read whole records from events, so that one too large for an attribute is refused.
func TestRecordFitsItsEvent(t *testing.T) {
	ctx, k := setup(t)
	msgs := keeper.NewMsgServer(k)
	long := func(n int) []types.Attribute {
		as := make([]types.Attribute, n)
		for i := range as {
			as[i] = types.Attribute{Key: fmt.Sprintf("key-%02d", i), Value: strings.Repeat("v", types.MaxAttributeValue)}
		}
		return as
	}
	m := create(1)
	m.Attributes = long(types.MaxAttributes)
	_, err := msgs.CreateProvider(ctx, m)
	require.ErrorIs(t, err, types.ErrRecordTooLarge)
	m.Attributes = long(50)
	_, err = msgs.CreateProvider(ctx, m)
	require.NoError(t, err)
	_, err = msgs.UpdateProvider(ctx, &types.MsgUpdateProvider{Owner: m.Owner, HostUri: m.HostUri, TlsPins: m.TlsPins, Attributes: long(types.MaxAttributes)})
	require.ErrorIs(t, err, types.ErrRecordTooLarge)
	for _, e := range ctx.EventManager().Events() {
		for _, a := range e.Attributes {
			require.LessOrEqual(t, len(a.Value), types.MaxObjectBytes)
		}
	}
}
