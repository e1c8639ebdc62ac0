package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/core/address"
	"cosmossdk.io/log/v2"

	"github.com/cosmos/cosmos-sdk/codec"
	addresscodec "github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/runtime"
	"github.com/cosmos/cosmos-sdk/store/v2"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/units"
	"berth.dev/berth/x/escrow/keeper"
	"berth.dev/berth/x/escrow/types"
)

const denom = units.BaseDenom

func coin(amount int64) sdk.Coin { return sdk.NewInt64Coin(denom, amount) }

func rate(s string) sdk.DecCoin {
	c, err := sdk.ParseDecCoin(s + denom)
	if err != nil {
		panic(err)
	}
	return c
}

// addr is a test account's address.
func addr(name string) sdk.AccAddress { return sdk.AccAddress(fmt.Appendf(nil, "%-20s", name)) }

// authority may change the parameters.
var authority = addr("governance").String()

// accounts is the part of x/auth that the keeper needs.
type accounts struct{}

func (accounts) AddressCodec() address.Codec {
	return addresscodec.NewBech32Codec(sdk.GetConfig().GetBech32AccountAddrPrefix())
}

func (accounts) GetModuleAddress(name string) sdk.AccAddress {
	return authtypes.NewModuleAddress(name)
}

func (accounts) GetModuleAccount(_ context.Context, name string) sdk.ModuleAccountI {
	return authtypes.NewEmptyModuleAccount(name)
}

// bank keeps balances in memory. Like x/bank it credits virtual sends at the end of a block. Sends from the pool fail
// for blocked addresses.
type bank struct {
	balances map[string]sdk.Coins
	virtual  sdk.Coins
	blocked  map[string]bool
	// locked are coins of vesting accounts that cannot be spent.
	locked map[string]sdk.Coins
}

// communityPool is the name of the community pool among the balances.
const communityPool = "community pool"

func newBank() *bank {
	return &bank{balances: map[string]sdk.Coins{}, blocked: map[string]bool{}, locked: map[string]sdk.Coins{}}
}

func pool() string { return authtypes.NewModuleAddress(types.ModuleName).String() }

func (b *bank) fund(to sdk.AccAddress, coins ...sdk.Coin) {
	b.balances[to.String()] = b.balances[to.String()].Add(coins...)
}

func (b *bank) sub(from string, amount sdk.Coins) error {
	left, negative := b.balances[from].SafeSub(amount...)
	if negative {
		return sdkerrors.ErrInsufficientFunds.Wrapf("%s has %s, not %s", from, b.balances[from], amount)
	}
	b.balances[from] = left
	return nil
}

func (b *bank) SendCoinsFromAccountToModuleVirtual(_ context.Context, from sdk.AccAddress, _ string, amount sdk.Coins) error {
	if err := b.sub(from.String(), amount); err != nil {
		return err
	}
	b.virtual = b.virtual.Add(amount...)
	return nil
}

func (b *bank) SendCoinsFromModuleToAccount(_ context.Context, _ string, to sdk.AccAddress, amount sdk.Coins) error {
	if b.blocked[to.String()] {
		return sdkerrors.ErrUnauthorized.Wrapf("%s may not receive", to)
	}
	if err := b.sub(pool(), amount); err != nil {
		return err
	}
	b.fund(to, amount...)
	return nil
}

func (b *bank) GetAllBalances(_ context.Context, addr sdk.AccAddress) sdk.Coins {
	return b.balances[addr.String()]
}

func (b *bank) GetBalance(_ context.Context, addr sdk.AccAddress, denom string) sdk.Coin {
	return sdk.NewCoin(denom, b.balances[addr.String()].AmountOf(denom))
}

func (b *bank) LockedCoins(_ context.Context, addr sdk.AccAddress) sdk.Coins {
	return b.locked[addr.String()]
}

// FundCommunityPool makes the bank the part of x/distribution that the keeper needs.
func (b *bank) FundCommunityPool(_ context.Context, amount sdk.Coins, from sdk.AccAddress) error {
	if b.blocked[communityPool] {
		return sdkerrors.ErrUnauthorized
	}
	if err := b.sub(from.String(), amount); err != nil {
		return err
	}
	b.balances[communityPool] = b.balances[communityPool].Add(amount...)
	return nil
}

func (b *bank) endBlock() {
	b.balances[pool()] = b.balances[pool()].Add(b.virtual...)
	b.virtual = nil
}

// hooks records what the escrow tells, and can be made to fail.
type hooks struct {
	told []string
	fail error
	// bad are accounts that alone fail, or panic.
	bad    []string
	panics bool
}

func (h *hooks) tell(what string, a types.Account) error {
	if h.fail != nil {
		return h.fail
	}
	if slices.Contains(h.bad, a.Id.Xid) {
		if h.panics {
			panic("a bad account")
		}
		return errors.New("a bad account")
	}
	h.told = append(h.told, what+" "+a.Id.Xid)
	return nil
}

func (h *hooks) AfterAccountSuspended(_ context.Context, a types.Account) error {
	return h.tell("suspended", a)
}

func (h *hooks) AfterAccountResumed(_ context.Context, a types.Account) error {
	return h.tell("resumed", a)
}

func (h *hooks) AfterAccountExpired(_ context.Context, a types.Account) error {
	return h.tell("expired", a)
}

// grants is the part of x/authz that the keeper needs.
type grants struct {
	byKey map[string]grant
}

type grant struct {
	authorization authz.Authorization
	expires       *time.Time
}

func newGrants() *grants { return &grants{byKey: map[string]grant{}} }

func grantKey(grantee, granter sdk.AccAddress, msgType string) string {
	return grantee.String() + granter.String() + msgType
}

func (g *grants) GetAuthorization(ctx context.Context, grantee, granter sdk.AccAddress, msgType string) (authz.Authorization, *time.Time) {
	got := g.byKey[grantKey(grantee, granter, msgType)]
	if got.expires != nil && got.expires.Before(sdk.UnwrapSDKContext(ctx).BlockTime()) {
		return nil, nil
	}
	return got.authorization, got.expires
}

func (g *grants) SaveGrant(ctx context.Context, grantee, granter sdk.AccAddress, a authz.Authorization, expires *time.Time) error {
	if _, err := authz.NewGrant(sdk.UnwrapSDKContext(ctx).BlockTime(), a, expires); err != nil {
		return err
	}
	g.byKey[grantKey(grantee, granter, a.MsgTypeURL())] = grant{a, expires}
	return nil
}

// env is an escrow over a store in memory, at a height that the test moves.
type env struct {
	t     require.TestingT
	ctx   sdk.Context
	cms   storetypes.CommitMultiStore
	k     *keeper.Keeper
	bank  *bank
	authz *grants
	hooks *hooks
	// written are the keys that the escrow has written or removed, until a test clears them.
	written map[string]bool
}

// newEnv starts at height 1 with the default parameters, but a grace of 10 blocks and a resumption by 5.
func newEnv(t require.TestingT) *env { return newEnvOn(t, dbm.NewMemDB()) }

// newEnvOn is newEnv with its store in a database.
func newEnvOn(t require.TestingT, db dbm.DB) *env {
	key := storetypes.NewKVStoreKey(types.StoreKey)
	cms := store.NewCommitMultiStore(db, log.NewNopLogger())
	cms.MountStoreWithDB(key, storetypes.StoreTypeIAVL, nil)
	require.NoError(t, cms.LoadLatestVersion())
	e := &env{t: t, cms: cms, bank: newBank(), authz: newGrants(), hooks: &hooks{}, written: map[string]bool{}}
	cdc := codec.NewProtoCodec(codectypes.NewInterfaceRegistry())
	e.k = keeper.NewKeeper(cdc, counting{runtime.NewKVStoreService(key), e.written}, accounts{}, e.bank, e.bank, e.authz, authority)
	e.k.SetHooks(e.hooks)
	e.ctx = sdk.NewContext(cms, cmtproto.Header{Height: 1}, false, log.NewNopLogger())
	genesis := types.DefaultGenesis()
	genesis.Params.GraceBlocks, genesis.Params.MinResumeBlocks = 10, 5
	genesis.Params.MinDeposits = sdk.NewCoins(coin(10))
	require.NoError(t, e.k.InitGenesis(e.ctx, *genesis))
	return e
}

// end ends the block and begins the next one, as often as is wanted, and checks the invariants after each.
func (e *env) end(blocks int64) {
	for range blocks {
		e.bank.endBlock()
		require.NoError(e.t, e.k.EndBlock(e.ctx))
		require.Empty(e.t, e.k.Invariants(e.ctx))
		e.ctx = e.ctx.WithBlockHeight(e.ctx.BlockHeight() + 1)
	}
}

// balance is what an account has, claims that wait for the end of the block not counted.
func (e *env) balance(name string) int64 {
	return e.bank.balances[addr(name).String()].AmountOf(denom).Int64()
}

func id(xid string) types.AccountID { return types.AccountID{Scope: "test", Xid: xid} }

func pid(xid, p string) types.PaymentID { return types.PaymentID{AccountId: id(xid), Pid: p} }

// open funds an owner with a million and opens an account.
func (e *env) open(xid, owner string, deposit int64) {
	e.bank.fund(addr(owner), coin(1_000_000))
	require.NoError(e.t, e.k.OpenAccount(e.ctx, id(xid), addr(owner), coin(deposit), nil))
}

func (e *env) account(xid string) types.Account {
	a, err := e.k.Account(e.ctx, id(xid))
	require.NoError(e.t, err)
	return a
}

func (e *env) payment(xid, p string) types.Payment {
	got, err := e.k.Payment(e.ctx, pid(xid, p))
	require.NoError(e.t, err)
	return got
}
