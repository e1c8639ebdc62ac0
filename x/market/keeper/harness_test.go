package keeper_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/address"
	"cosmossdk.io/core/store"
	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/codec"
	addresscodec "github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/runtime"
	storev2 "github.com/cosmos/cosmos-sdk/store/v2"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/authz"

	auditkeeper "berth.dev/berth/x/audit/keeper"
	audittypes "berth.dev/berth/x/audit/types"
	deploymentkeeper "berth.dev/berth/x/deployment/keeper"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowkeeper "berth.dev/berth/x/escrow/keeper"
	escrowtypes "berth.dev/berth/x/escrow/types"
	"berth.dev/berth/x/market/keeper"
	"berth.dev/berth/x/market/types"
	providerkeeper "berth.dev/berth/x/provider/keeper"
	providertypes "berth.dev/berth/x/provider/types"
)

const denom = "ubrt"

func TestMain(m *testing.M) {
	sdk.GetConfig().SetBech32PrefixForAccount("berth", "berthpub")
	os.Exit(m.Run())
}

// ledgerBank is a bank of balances in the store, so that what a failed transaction moved comes back.
type ledgerBank struct {
	balances collections.Map[collections.Pair[[]byte, string], math.Int]
}

func (b ledgerBank) balance(ctx context.Context, who sdk.AccAddress, denom string) math.Int {
	v, err := b.balances.Get(ctx, collections.Join([]byte(who), denom))
	if errors.Is(err, collections.ErrNotFound) {
		return math.ZeroInt()
	}
	if err != nil {
		panic(err)
	}
	return v
}

func (b ledgerBank) move(ctx context.Context, from, to sdk.AccAddress, coins sdk.Coins) error {
	for _, c := range coins {
		have := b.balance(ctx, from, c.Denom)
		if have.LT(c.Amount) {
			return sdkerrors.ErrInsufficientFunds.Wrapf("%s has %s%s, needs %s", from, have, c.Denom, c)
		}
		if err := b.balances.Set(ctx, collections.Join([]byte(from), c.Denom), have.Sub(c.Amount)); err != nil {
			return err
		}
		if err := b.balances.Set(ctx, collections.Join([]byte(to), c.Denom), b.balance(ctx, to, c.Denom).Add(c.Amount)); err != nil {
			return err
		}
	}
	return nil
}

func (b ledgerBank) SendCoinsFromAccountToModuleVirtual(ctx context.Context, from sdk.AccAddress, module string, amount sdk.Coins) error {
	return b.move(ctx, from, authtypes.NewModuleAddress(module), amount)
}

func (b ledgerBank) SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, amount sdk.Coins) error {
	return b.move(ctx, authtypes.NewModuleAddress(module), to, amount)
}

func (b ledgerBank) GetAllBalances(ctx context.Context, who sdk.AccAddress) sdk.Coins {
	var coins sdk.Coins
	rng := collections.NewPrefixedPairRange[[]byte, string]([]byte(who))
	err := b.balances.Walk(ctx, rng, func(k collections.Pair[[]byte, string], v math.Int) (bool, error) {
		coins = coins.Add(sdk.NewCoin(k.K2(), v))
		return false, nil
	})
	if err != nil {
		panic(err)
	}
	return coins
}

func (b ledgerBank) GetBalance(ctx context.Context, who sdk.AccAddress, denom string) sdk.Coin {
	return sdk.NewCoin(denom, b.balance(ctx, who, denom))
}

func (b ledgerBank) LockedCoins(context.Context, sdk.AccAddress) sdk.Coins { return nil }

// FundCommunityPool makes the bank the part of x/distribution that the escrow needs.
func (b ledgerBank) FundCommunityPool(ctx context.Context, amount sdk.Coins, from sdk.AccAddress) error {
	return b.move(ctx, from, authtypes.NewModuleAddress("distribution"), amount)
}

// noGrants is the part of x/authz that the escrow needs: nobody has granted anything.
type noGrants struct{}

func (noGrants) GetAuthorization(context.Context, sdk.AccAddress, sdk.AccAddress, string) (authz.Authorization, *time.Time) {
	return nil, nil
}

func (noGrants) SaveGrant(context.Context, sdk.AccAddress, sdk.AccAddress, authz.Authorization, *time.Time) error {
	return nil
}

type moduleAccounts struct{}

func (moduleAccounts) AddressCodec() address.Codec { return addresscodec.NewBech32Codec("berth") }
func (moduleAccounts) GetModuleAddress(name string) sdk.AccAddress {
	return authtypes.NewModuleAddress(name)
}
func (moduleAccounts) GetModuleAccount(context.Context, string) sdk.ModuleAccountI { return nil }

// tb is what a test and a property have in common.
type tb interface {
	require.TestingT
	Helper()
}

// chain is the market with the real modules below it, on one store in memory.
type chain struct {
	t   tb
	ctx sdk.Context

	bank        ledgerBank
	providers   *providerkeeper.Keeper
	audits      *auditkeeper.Keeper
	escrow      *escrowkeeper.Keeper
	deployments *deploymentkeeper.Keeper
	market      *keeper.Keeper

	writes *writeLog // of market and escrow, when it is on
	stores storetypes.CommitMultiStore

	cdc         codec.BinaryCodec
	marketStore store.KVStoreService

	provider   providertypes.MsgServer
	deployment deploymenttypes.MsgServer
	msgs       types.MsgServer
	escrows    escrowtypes.MsgServer
	audit      audittypes.MsgServer
	query      types.QueryServer
}

const startBalance = 1_000_000_000_000

// newChain starts a chain at height 10 with funded accounts and short grace.
func newChain(t tb) *chain {
	t.Helper()
	return newChainOn(t, dbm.NewMemDB())
}

// newChainOn starts a chain whose stores lie in a database.
func newChainOn(t tb, db dbm.DB) *chain {
	t.Helper()
	keys := storetypes.NewKVStoreKeys("bank", audittypes.StoreKey, providertypes.StoreKey, escrowtypes.StoreKey, deploymenttypes.StoreKey, types.StoreKey)
	cdc := codec.NewProtoCodec(codectypes.NewInterfaceRegistry())
	sb := collections.NewSchemaBuilder(runtime.NewKVStoreService(keys["bank"]))
	c := &chain{t: t, bank: ledgerBank{collections.NewMap(sb, collections.NewPrefix(0), "balances",
		collections.PairKeyCodec(collections.BytesKey, collections.StringKey), sdk.IntValue)}}
	_, err := sb.Build()
	require.NoError(t, err)
	authority := authtypes.NewModuleAddress("gov").String()
	c.providers = providerkeeper.NewKeeper(cdc, runtime.NewKVStoreService(keys[providertypes.StoreKey]))
	c.writes = newWriteLog()
	counted := func(name string) store.KVStoreService {
		return c.writes.watch(name, runtime.NewKVStoreService(keys[name]))
	}
	c.escrow = escrowkeeper.NewKeeper(cdc, counted(escrowtypes.StoreKey), moduleAccounts{}, c.bank, c.bank, noGrants{}, authority)
	c.deployments = deploymentkeeper.NewKeeper(cdc, runtime.NewKVStoreService(keys[deploymenttypes.StoreKey]), c.escrow, authority)
	c.audits = auditkeeper.NewKeeper(cdc, runtime.NewKVStoreService(keys[audittypes.StoreKey]))
	c.cdc, c.marketStore = cdc, counted(types.StoreKey)
	c.market = keeper.NewKeeper(cdc, c.marketStore, c.escrow, c.deployments, c.providers, c.audits, authority)
	c.escrow.SetHooks(c.deployments)
	c.deployments.SetHooks(c.market)
	c.providers.SetHooks(c.market)
	c.audit = auditkeeper.NewMsgServer(c.audits)
	c.provider, c.deployment = providerkeeper.NewMsgServer(c.providers), deploymentkeeper.NewMsgServer(c.deployments)
	c.msgs, c.escrows, c.query = keeper.NewMsgServer(c.market), escrowkeeper.NewMsgServer(c.escrow), keeper.NewQueryServer(c.market)

	c.stores = storev2.NewCommitMultiStore(db, log.NewNopLogger())
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		c.stores.MountStoreWithDB(keys[name], storetypes.StoreTypeIAVL, nil)
	}
	require.NoError(t, c.stores.LoadLatestVersion())
	c.ctx = sdk.NewContext(c.stores, cmtproto.Header{}, false, log.NewNopLogger()).WithBlockHeight(10)
	require.NoError(t, c.providers.InitGenesis(c.ctx, *providertypes.DefaultGenesis()))
	eg := escrowtypes.DefaultGenesis()
	eg.Params.MinDeposits = sdk.NewCoins(sdk.NewInt64Coin(denom, 1000), sdk.NewInt64Coin("uusd", 1000))
	eg.Params.GraceBlocks, eg.Params.MinResumeBlocks = 5, 2
	require.NoError(t, c.escrow.InitGenesis(c.ctx, *eg))
	require.NoError(t, c.deployments.InitGenesis(c.ctx, *deploymenttypes.DefaultGenesis()))
	mg := types.DefaultGenesis()
	mg.Params.BidMinDeposits = []sdk.Coin{sdk.NewInt64Coin(denom, 500)}
	require.NoError(t, c.market.InitGenesis(c.ctx, *mg))
	for i := range 40 {
		for _, d := range []string{denom, "uusd"} {
			require.NoError(t, c.bank.balances.Set(c.ctx, collections.Join([]byte(addr(i)), d), math.NewInt(startBalance)))
		}
	}
	return c
}

// addr is an account by number; accounts 0 to 9 are tenants, from 10 on they are providers.
func addr(i int) sdk.AccAddress {
	a := make([]byte, 20)
	a[0], a[19] = byte(i+1), byte(i)
	return a
}

func tenant(i int) string   { return addr(i).String() }
func provider(i int) string { return addr(10 + i).String() }

// tx runs one transaction: all or nothing. It returns the events of a success.
func (c *chain) tx(do func(ctx context.Context) error) ([]sdk.Event, error) {
	cached, write := c.ctx.WithEventManager(sdk.NewEventManager()).CacheContext()
	if err := do(cached); err != nil {
		return nil, err
	}
	write()
	return cached.EventManager().Events(), nil
}

// block ends the block as the app does (deployments, market, escrow), checks every invariant and returns the events of the
// end block.
func (c *chain) block() []sdk.Event {
	c.t.Helper()
	ctx := c.ctx.WithEventManager(sdk.NewEventManager())
	require.NoError(c.t, c.deployments.EndBlock(ctx))
	require.NoError(c.t, c.market.EndBlock(ctx))
	require.NoError(c.t, c.escrow.EndBlock(ctx))
	c.check()
	c.ctx = c.ctx.WithBlockHeight(c.ctx.BlockHeight() + 1)
	return ctx.EventManager().Events()
}

func (c *chain) blocks(n int) {
	c.t.Helper()
	for range n {
		c.block()
	}
}

// check runs the invariants of all modules and compares the sum of all balances with what there was at the start.
func (c *chain) check() {
	c.t.Helper()
	require.Empty(c.t, c.market.Invariants(c.ctx))
	require.Empty(c.t, c.deployments.Invariants(c.ctx))
	require.Empty(c.t, c.escrow.Invariants(c.ctx))
	sum := math.ZeroInt()
	err := c.bank.balances.Walk(c.ctx, nil, func(k collections.Pair[[]byte, string], v math.Int) (bool, error) {
		sum = sum.Add(v)
		return false, nil
	})
	require.NoError(c.t, err)
	require.Equal(c.t, math.NewInt(startBalance).MulRaw(80).String(), sum.String(), "sum of all balances")
}

// params changes the market's parameters, as governance does.
func (c *chain) params(edit func(*types.Params)) {
	c.t.Helper()
	p, err := c.market.Params(c.ctx)
	require.NoError(c.t, err)
	edit(&p)
	_, err = c.msgs.UpdateParams(c.ctx, &types.MsgUpdateParams{Authority: authority(), Params: p})
	require.NoError(c.t, err)
}

func (c *chain) balance(who string) math.Int {
	return c.bank.balance(c.ctx, sdk.MustAccAddressFromBech32(who), denom)
}

// register makes a provider of a number known.
func (c *chain) register(i int, attrs ...providertypes.Attribute) {
	c.t.Helper()
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.provider.CreateProvider(ctx, &providertypes.MsgCreateProvider{
			Owner: provider(i), HostUri: fmt.Sprintf("https://p%d.example.com:8443", i), TlsPins: [][]byte{make([]byte, 32)}, Attributes: attrs,
		})
		return err
	})
	require.NoError(c.t, err)
}

func unit(id uint32, price int64, count uint32) deploymenttypes.ResourceUnit {
	return deploymenttypes.ResourceUnit{
		Id: id, CpuMilli: 500, MemoryBytes: 64 << 20, Count: count, Price: dec(price),
		Storage: []deploymenttypes.Volume{{Name: "data", Bytes: 1 << 30}},
	}
}

func dec(n int64) sdk.DecCoin { return sdk.NewInt64DecCoin(denom, n) }
func coin(n int64) sdk.Coin   { return sdk.NewInt64Coin(denom, n) }
func lowest(w uint32) deploymenttypes.Auction {
	return deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_LOWEST, Window: w}
}

// deployMsg asks for one group of one unit at 100 per block and two instances: at most 200.
func deployMsg(i int, dseq uint64) *deploymenttypes.MsgCreateDeployment {
	return &deploymenttypes.MsgCreateDeployment{
		Id:           deploymenttypes.DeploymentID{Owner: tenant(i), Dseq: dseq},
		Groups:       []deploymenttypes.GroupSpec{{Name: "west", Units: []deploymenttypes.ResourceUnit{unit(1, 100, 2)}}},
		ManifestHash: make([]byte, 32), Deposit: coin(100_000),
	}
}

// deploy creates a deployment and returns the id of its first order.
func (c *chain) deploy(msg *deploymenttypes.MsgCreateDeployment) types.OrderID {
	c.t.Helper()
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.deployment.CreateDeployment(ctx, msg)
		return err
	})
	require.NoError(c.t, err)
	return types.OrderID{Owner: msg.Id.Owner, Dseq: msg.Id.Dseq, Gseq: 1, Oseq: 1}
}

func item(id types.OrderID, price int64) types.BidItem {
	return types.BidItem{OrderId: id, Price: dec(price), Deposit: coin(500)}
}

// bids sends a batch of one provider and returns its results.
func (c *chain) bids(i int, items ...types.BidItem) []types.ItemResult {
	c.t.Helper()
	var res *types.MsgCreateBidsResponse
	_, err := c.tx(func(ctx context.Context) (err error) {
		res, err = c.msgs.CreateBids(ctx, &types.MsgCreateBids{Provider: provider(i), Bids: items})
		return err
	})
	require.NoError(c.t, err)
	return res.Results
}

// bid places one bid that must succeed.
func (c *chain) bid(i int, id types.OrderID, price int64) types.BidID {
	c.t.Helper()
	require.Equal(c.t, []types.ItemResult{{}}, c.bids(i, item(id, price)))
	return id.BidID(provider(i))
}

func (c *chain) closeBid(i int, id types.OrderID) types.ItemResult {
	c.t.Helper()
	var res *types.MsgCloseBidsResponse
	_, err := c.tx(func(ctx context.Context) (err error) {
		res, err = c.msgs.CloseBids(ctx, &types.MsgCloseBids{Provider: provider(i), OrderIds: []types.OrderID{id}})
		return err
	})
	require.NoError(c.t, err)
	return res.Results[0]
}

func (c *chain) createLease(id types.BidID) error {
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.msgs.CreateLease(ctx, &types.MsgCreateLease{Id: id})
		return err
	})
	return err
}

func (c *chain) closeLease(signer string, id types.LeaseID, reason types.CloseReason) error {
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.msgs.CloseLease(ctx, &types.MsgCloseLease{Signer: signer, Id: id, Reason: reason})
		return err
	})
	return err
}

func (c *chain) closeDeployment(id deploymenttypes.DeploymentID) error {
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.deployment.CloseDeployment(ctx, &deploymenttypes.MsgCloseDeployment{Id: id})
		return err
	})
	return err
}

func (c *chain) topUp(who string, id deploymenttypes.DeploymentID, amount int64) error {
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.escrows.Deposit(ctx, &escrowtypes.MsgDeposit{Depositor: who, AccountId: id.EscrowID(), Amount: coin(amount)})
		return err
	})
	return err
}

func (c *chain) withdraw(i int, ids ...types.LeaseID) []types.WithdrawResult {
	c.t.Helper()
	var res *types.MsgWithdrawLeasesResponse
	_, err := c.tx(func(ctx context.Context) (err error) {
		res, err = c.msgs.WithdrawLeases(ctx, &types.MsgWithdrawLeases{Provider: provider(i), Ids: ids})
		return err
	})
	require.NoError(c.t, err)
	return res.Results
}

func (c *chain) order(id types.OrderID) types.Order {
	c.t.Helper()
	r, err := c.query.Order(c.ctx, &types.QueryOrderRequest{Id: id})
	require.NoError(c.t, err)
	return r.Order
}

func (c *chain) theBid(id types.BidID) types.Bid {
	c.t.Helper()
	b, err := c.market.Bid(c.ctx, id)
	require.NoError(c.t, err)
	return b
}

func (c *chain) lease(id types.LeaseID) types.Lease {
	c.t.Helper()
	l, err := c.market.Lease(c.ctx, id)
	require.NoError(c.t, err)
	return l
}

// code is the result of an item that failed with an error of the market.
func code(err interface {
	Codespace() string
	ABCICode() uint32
}) types.ItemResult {
	return types.ItemResult{Codespace: err.Codespace(), Code: err.ABCICode()}
}

// named counts the events of a type, by its short name.
func named(evs []sdk.Event, name string) int {
	n := 0
	for _, e := range evs {
		if e.Type == "berth.market.v1."+name {
			n++
		}
	}
	return n
}

func mustJSON(t tb, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}
