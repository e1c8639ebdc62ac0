package keeper_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/runtime"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	"github.com/cosmos/cosmos-sdk/testutil"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/x/audit/keeper"
	"berth.dev/berth/x/audit/types"
	providertypes "berth.dev/berth/x/provider/types"
)

func TestMain(m *testing.M) {
	sdk.GetConfig().SetBech32PrefixForAccount("berth", "berthpub")
	os.Exit(m.Run())
}

type fixture struct {
	*testing.T
	ctx   sdk.Context
	k     *keeper.Keeper
	msgs  types.MsgServer
	query types.QueryServer
}

func setup(t *testing.T) *fixture {
	t.Helper()
	key := storetypes.NewKVStoreKey(types.StoreKey)
	f := &fixture{T: t, ctx: testutil.DefaultContextWithKeys(map[string]*storetypes.KVStoreKey{types.StoreKey: key}, nil, nil).WithBlockHeight(7)}
	f.k = keeper.NewKeeper(codec.NewProtoCodec(codectypes.NewInterfaceRegistry()), runtime.NewKVStoreService(key))
	f.msgs, f.query = keeper.NewMsgServer(f.k), keeper.NewQueryServer(f.k)
	t.Cleanup(func() { require.Empty(t, f.k.Invariants(f.ctx)) })
	return f
}

func addr(b byte) sdk.AccAddress { a := make([]byte, 20); a[0] = b; return a }

// attrs reads "key=value key=value".
func attrs(s string) []providertypes.Attribute {
	var as []providertypes.Attribute
	for _, kv := range strings.Fields(s) {
		k, v, _ := strings.Cut(kv, "=")
		as = append(as, providertypes.Attribute{Key: k, Value: v})
	}
	return as
}

func (f *fixture) sign(auditor, provider byte, as []providertypes.Attribute) error {
	_, err := f.msgs.SignAttributes(f.ctx, &types.MsgSignAttributes{Auditor: addr(auditor).String(), Provider: addr(provider).String(), Attributes: as})
	return err
}

func (f *fixture) revoke(auditor, provider byte, keys ...string) error {
	_, err := f.msgs.RevokeAttributes(f.ctx, &types.MsgRevokeAttributes{Auditor: addr(auditor).String(), Provider: addr(provider).String(), Keys: keys})
	return err
}

// signed writes what an auditor vouches for as attrs reads it.
func (f *fixture) signed(auditor, provider byte) string {
	f.Helper()
	as, err := f.k.Signed(f.ctx, addr(provider), addr(auditor))
	require.NoError(f, err)
	return text(as)
}

// text writes attributes as attrs reads them.
func text(as []providertypes.Attribute) string {
	var out []string
	for _, a := range as {
		out = append(out, a.Key+"="+a.Value)
	}
	return strings.Join(out, " ")
}

func TestSignAndRevoke(t *testing.T) {
	f := setup(t)
	require.Empty(t, f.signed(1, 2), "nothing is no error")
	require.NoError(t, f.sign(1, 2, attrs("region=eu host=acme")))
	require.Equal(t, "host=acme region=eu", f.signed(1, 2), "in the order of keys")
	f.ctx = f.ctx.WithBlockHeight(9)
	require.NoError(t, f.sign(1, 2, attrs("zone=a region=us")))
	require.Equal(t, "host=acme region=us zone=a", f.signed(1, 2), "a key signed again gets its new value, the others stay")
	r, err := f.k.Record(f.ctx, addr(2), addr(1))
	require.NoError(t, err)
	require.EqualValues(t, 9, r.UpdatedAt)
	require.Empty(t, f.signed(2, 1), "the roles are not the same the other way round")

	require.ErrorIs(t, f.revoke(1, 2, "region", "tier"), types.ErrKeyNotSigned)
	require.Equal(t, "host=acme region=us zone=a", f.signed(1, 2), "one wrong key changes nothing")
	require.ErrorIs(t, f.revoke(1, 3), types.ErrRecordNotFound)
	require.NoError(t, f.revoke(1, 2, "region"))
	require.Equal(t, "host=acme zone=a", f.signed(1, 2))
	require.NoError(t, f.revoke(1, 2, "zone", "host"))
	require.Empty(t, f.signed(1, 2))
	require.ErrorIs(t, f.revoke(1, 2), types.ErrRecordNotFound, "a record with nothing left is gone")

	require.NoError(t, f.sign(1, 2, attrs("region=eu host=acme")))
	require.NoError(t, f.revoke(1, 2), "without keys, all")
	require.Empty(t, f.signed(1, 2))
}

func TestEventsHoldTheWholeRecord(t *testing.T) {
	f := setup(t)
	require.NoError(t, f.sign(1, 2, attrs("region=eu host=acme")))
	require.NoError(t, f.revoke(1, 2, "host"))
	require.NoError(t, f.revoke(1, 2))
	evs := f.ctx.EventManager().Events().ToABCIEvents()
	require.Len(t, evs, 3)
	ev, err := sdk.ParseTypedEvent(evs[0])
	require.NoError(t, err)
	require.Equal(t, "host=acme region=eu", text(ev.(*types.EventAttributesSigned).Record.Attributes))
	for i, left := range []string{"region=eu", ""} {
		ev, err = sdk.ParseTypedEvent(evs[i+1])
		require.NoError(t, err)
		require.Equal(t, left, text(ev.(*types.EventAttributesRevoked).Record.Attributes), "what is left")
		require.Equal(t, addr(2).String(), ev.(*types.EventAttributesRevoked).Provider)
	}
}

// many gives n attributes of keys that begin with prefix, each value of size bytes.
func many(prefix string, n, size int) []providertypes.Attribute {
	as := make([]providertypes.Attribute, n)
	for i := range as {
		as[i] = providertypes.Attribute{Key: fmt.Sprintf("%s%02d", prefix, i), Value: strings.Repeat("v", size)}
	}
	return as
}

func TestLimits(t *testing.T) {
	f := setup(t)
	require.NoError(t, f.sign(1, 2, many("a", 60, 1)))
	require.ErrorIs(t, f.sign(1, 2, many("b", 5, 1)), types.ErrTooMany)
	require.NoError(t, f.sign(1, 2, many("b", 4, 1)), "64 in one record")
	require.NoError(t, f.sign(1, 2, many("a", 60, 2)), "values of keys that stand already")
	require.ErrorIs(t, f.sign(1, 3, many("a", 65, 1)), providertypes.ErrInvalidAttributes)

	// A record has to fit into one attribute of an event; 64 of the longest attributes do not.
	require.ErrorIs(t, f.sign(1, 3, many("a", 64, 256)), types.ErrRecordTooLarge)
	require.Empty(t, f.signed(1, 3))
	require.NoError(t, f.sign(1, 3, many("a", 55, 256)))
	require.ErrorIs(t, f.sign(1, 3, many("b", 9, 256)), types.ErrRecordTooLarge)
	for _, ev := range f.ctx.EventManager().Events() {
		for _, a := range ev.Attributes {
			require.LessOrEqual(t, len(a.Value), providertypes.MaxObjectBytes)
		}
	}
}

func TestQueries(t *testing.T) {
	f := setup(t)
	for provider := byte(1); provider <= 3; provider++ {
		for auditor := byte(1); auditor <= provider; auditor++ {
			require.NoError(t, f.sign(auditor, provider, attrs("region=eu")))
		}
	}
	for name, tc := range map[string]struct {
		req  types.QueryRecordsRequest
		want string // provider/auditor, by their numbers
	}{
		"all":          {types.QueryRecordsRequest{}, "1/1 2/1 2/2 3/1 3/2 3/3"},
		"of provider":  {types.QueryRecordsRequest{Provider: addr(2).String()}, "2/1 2/2"},
		"by auditor":   {types.QueryRecordsRequest{Auditor: addr(1).String()}, "1/1 2/1 3/1"},
		"both":         {types.QueryRecordsRequest{Provider: addr(3).String(), Auditor: addr(2).String()}, "3/2"},
		"both, none":   {types.QueryRecordsRequest{Provider: addr(1).String(), Auditor: addr(2).String()}, ""},
		"of no record": {types.QueryRecordsRequest{Auditor: addr(9).String()}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for next := []byte(nil); ; {
				tc.req.Pagination = &query.PageRequest{Limit: 2, Key: next}
				res, err := f.query.Records(f.ctx, &tc.req)
				require.NoError(t, err)
				for _, r := range res.Records {
					provider, auditor := sdk.MustAccAddressFromBech32(r.Provider), sdk.MustAccAddressFromBech32(r.Auditor)
					got = append(got, fmt.Sprintf("%d/%d", provider[0], auditor[0]))
				}
				if next = res.Pagination.NextKey; len(next) == 0 {
					break
				}
			}
			require.Equal(t, tc.want, strings.Join(got, " "))
		})
	}
	res, err := f.query.Record(f.ctx, &types.QueryRecordRequest{Provider: addr(3).String(), Auditor: addr(2).String()})
	require.NoError(t, err)
	require.Equal(t, attrs("region=eu"), res.Record.Attributes)
	_, err = f.query.Record(f.ctx, &types.QueryRecordRequest{Provider: addr(1).String(), Auditor: addr(2).String()})
	require.Equal(t, codes.NotFound, status.Code(err))
	for _, r := range []*types.QueryRecordRequest{nil, {Provider: addr(1).String()}, {Provider: "x", Auditor: addr(1).String()}} {
		_, err = f.query.Record(f.ctx, r)
		require.Equal(t, codes.InvalidArgument, status.Code(err))
	}
	_, err = f.query.Records(f.ctx, &types.QueryRecordsRequest{Auditor: "x"})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestGenesis(t *testing.T) {
	f := setup(t)
	require.NoError(t, f.sign(1, 2, attrs("region=eu host=acme")))
	require.NoError(t, f.sign(3, 2, attrs("region=eu")))
	gs, err := f.k.ExportGenesis(f.ctx)
	require.NoError(t, err)
	require.NoError(t, gs.Validate())
	other := setup(t)
	require.NoError(t, other.k.InitGenesis(other.ctx, *gs))
	again, err := other.k.ExportGenesis(other.ctx)
	require.NoError(t, err)
	require.Equal(t, gs.String(), again.String())
	page, err := other.query.Records(other.ctx, &types.QueryRecordsRequest{Auditor: addr(3).String()})
	require.NoError(t, err)
	require.Len(t, page.Records, 1, "the index is built from the records")
}
