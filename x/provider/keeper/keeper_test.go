package keeper_test

import (
	"bytes"
	"os"
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

	"berth.dev/berth/x/provider/keeper"
	"berth.dev/berth/x/provider/types"
)

func TestMain(m *testing.M) {
	sdk.GetConfig().SetBech32PrefixForAccount("berth", "berthpub")
	os.Exit(m.Run())
}

func setup(t *testing.T) (sdk.Context, *keeper.Keeper) {
	t.Helper()
	key := storetypes.NewKVStoreKey(types.StoreKey)
	ctx := testutil.DefaultContextWithKeys(map[string]*storetypes.KVStoreKey{types.StoreKey: key}, nil, nil).WithBlockHeight(7)
	return ctx, keeper.NewKeeper(codec.NewProtoCodec(codectypes.NewInterfaceRegistry()), runtime.NewKVStoreService(key))
}

func addr(b byte) sdk.AccAddress { a := make([]byte, 20); a[0] = b; return a }

func create(b byte) *types.MsgCreateProvider {
	return &types.MsgCreateProvider{
		Owner: addr(b).String(), HostUri: "https://a.example", TlsPins: [][]byte{bytes.Repeat([]byte{b}, 32)},
		Attributes: []types.Attribute{{Key: "region", Value: "eu"}}, Info: types.Info{Email: "ops@a.example"},
	}
}

func TestCreateAndUpdate(t *testing.T) {
	ctx, k := setup(t)
	m := keeper.NewMsgServer(k)
	_, err := m.UpdateProvider(ctx, &types.MsgUpdateProvider{Owner: addr(1).String(), HostUri: "https://a.example", TlsPins: create(1).TlsPins})
	require.ErrorIs(t, err, types.ErrProviderNotFound)
	_, err = m.CreateProvider(ctx, create(1))
	require.NoError(t, err)
	_, err = m.CreateProvider(ctx, create(1))
	require.ErrorIs(t, err, types.ErrProviderExists)
	bad := create(2)
	bad.HostUri = "https://a.example/path"
	_, err = m.CreateProvider(ctx, bad)
	require.ErrorIs(t, err, types.ErrInvalidHostURI)

	ctx = ctx.WithBlockHeight(9)
	_, err = m.UpdateProvider(ctx, &types.MsgUpdateProvider{Owner: addr(1).String(), HostUri: "https://b.example:8443", TlsPins: create(3).TlsPins})
	require.NoError(t, err)
	got, err := k.Provider(ctx, addr(1))
	require.NoError(t, err)
	want := types.Provider{Owner: addr(1).String(), HostUri: "https://b.example:8443", TlsPins: create(3).TlsPins, CreatedAt: 7, UpdatedAt: 9}
	require.Equal(t, want.String(), got.String(), "the record is replaced as a whole")
	evs := ctx.EventManager().Events()
	require.Equal(t, "berth.provider.v1.EventProviderCreated", evs[0].Type)
	require.Equal(t, "berth.provider.v1.EventProviderUpdated", evs[1].Type)
	ev, err := sdk.ParseTypedEvent(evs.ToABCIEvents()[1])
	require.NoError(t, err)
	require.Equal(t, got.String(), ev.(*types.EventProviderUpdated).Provider.String())
}

func TestQueriesAndGenesis(t *testing.T) {
	ctx, k := setup(t)
	m, q := keeper.NewMsgServer(k), keeper.NewQueryServer(k)
	for b := byte(1); b <= 5; b++ {
		_, err := m.CreateProvider(ctx, create(b))
		require.NoError(t, err)
	}
	_, err := m.SetGatewayKey(ctx, &types.MsgSetGatewayKey{Owner: addr(7).String(), Key: point(1)})
	require.NoError(t, err)
	one, err := q.Provider(ctx, &types.QueryProviderRequest{Owner: addr(3).String()})
	require.NoError(t, err)
	require.Equal(t, addr(3).String(), one.Provider.Owner)
	_, err = q.Provider(ctx, &types.QueryProviderRequest{Owner: addr(9).String()})
	require.Equal(t, codes.NotFound, status.Code(err))
	_, err = q.Provider(ctx, &types.QueryProviderRequest{Owner: "nobody"})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	page, err := q.Providers(ctx, &types.QueryProvidersRequest{Pagination: &query.PageRequest{Limit: 3}})
	require.NoError(t, err)
	require.Len(t, page.Providers, 3)
	page, err = q.Providers(ctx, &types.QueryProvidersRequest{Pagination: &query.PageRequest{Key: page.Pagination.NextKey}})
	require.NoError(t, err)
	require.Len(t, page.Providers, 2)

	gs, err := k.ExportGenesis(ctx)
	require.NoError(t, err)
	require.NoError(t, gs.Validate())
	ctx2, k2 := setup(t)
	require.NoError(t, k2.InitGenesis(ctx2, *gs))
	again, err := k2.ExportGenesis(ctx2)
	require.NoError(t, err)
	require.Equal(t, gs, again)
}
