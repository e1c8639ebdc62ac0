package keeper_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/runtime"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	"github.com/cosmos/cosmos-sdk/testutil"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/keeper"
	"berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

const denom = "ubrt"

func TestMain(m *testing.M) {
	sdk.GetConfig().SetBech32PrefixForAccount("berth", "berthpub")
	os.Exit(m.Run())
}

// errTooSmall is the answer to a small deposit.
var errTooSmall = escrowtypes.ErrInvalidDeposit.Wrap("too small")

// accounts is an escrow that remembers which accounts are open, and what is left of them to prune.
type accounts struct {
	all      map[escrowtypes.AccountID]escrowtypes.Account
	payments map[escrowtypes.AccountID]int
	sources  []escrowtypes.DepositSource
	fail     error
}

func (a *accounts) OpenAccount(_ context.Context, id escrowtypes.AccountID, owner sdk.AccAddress, deposit sdk.Coin, sources []escrowtypes.DepositSource) error {
	if deposit.Amount.LT(math.NewInt(100)) {
		return errTooSmall
	}
	a.sources = sources
	a.all[id] = escrowtypes.Account{Id: id, Owner: owner.String(), State: escrowtypes.ACCOUNT_STATE_OPEN, Denom: deposit.Denom, Deposited: deposit.Amount}
	return nil
}

func (a *accounts) CloseAccount(_ context.Context, id escrowtypes.AccountID) error {
	acc := a.all[id]
	if acc.State == escrowtypes.ACCOUNT_STATE_CLOSED {
		return escrowtypes.ErrAccountClosed
	}
	acc.State = escrowtypes.ACCOUNT_STATE_CLOSED
	a.all[id] = acc
	return nil
}

func (a *accounts) Account(_ context.Context, id escrowtypes.AccountID) (escrowtypes.Account, error) {
	acc, ok := a.all[id]
	if !ok {
		return acc, escrowtypes.ErrAccountNotFound
	}
	return acc, nil
}

// PruneAccount removes payments, then the account.
func (a *accounts) PruneAccount(_ context.Context, id escrowtypes.AccountID, limit int) (int, bool, error) {
	if a.fail != nil {
		return 0, false, a.fail
	}
	if a.all[id].State != escrowtypes.ACCOUNT_STATE_CLOSED {
		return 0, false, errors.New("open account")
	}
	n := min(limit, a.payments[id])
	a.payments[id] -= n
	if a.payments[id] > 0 || n == limit {
		return n, false, nil
	}
	delete(a.all, id)
	return n + 1, true, nil
}

// calls notes what the market is told.
type calls struct {
	told []string
	fail error                       // what it answers
	stop func(context.Context) error // what it does when a group is stopped, if not nothing
	left map[types.DeploymentID]int  // what it has to prune
	wait types.DeploymentID          // of which nothing can go yet
}

func (c *calls) note(what string) error { c.told = append(c.told, what); return c.fail }

func (c *calls) AfterDeploymentCreated(_ context.Context, _ types.Deployment, groups []types.Group) error {
	for _, g := range groups {
		_ = c.note("created " + g.Spec.Name)
	}
	return c.fail
}

func (c *calls) BeforeDeploymentClosed(_ context.Context, d types.Deployment, cause types.CloseCause) error {
	if d.State != types.DEPLOYMENT_STATE_ACTIVE {
		return errors.New("told too late")
	}
	return c.note(map[types.CloseCause]string{types.CloseByOwner: "closed by owner", types.CloseByExhaustion: "closed by exhaustion"}[cause])
}
func (c *calls) AfterDeploymentSuspended(context.Context, types.Deployment) error {
	return c.note("suspended")
}
func (c *calls) AfterDeploymentResumed(context.Context, types.Deployment) error {
	return c.note("resumed")
}

func (c *calls) BeforeGroupStopped(ctx context.Context, _ types.Deployment, g types.Group) error {
	if g.State != types.GROUP_STATE_OPEN {
		return errors.New("told too late")
	}
	if c.stop != nil {
		return c.stop(ctx)
	}
	return c.note("stopped " + g.Spec.Name)
}

func (c *calls) AfterGroupStarted(_ context.Context, _ types.Deployment, g types.Group) error {
	if g.State != types.GROUP_STATE_OPEN {
		return errors.New("told too early")
	}
	return c.note("started " + g.Spec.Name)
}

func (c *calls) PruneDeployment(_ context.Context, d types.Deployment, limit int) (int, bool, error) {
	if d.State != types.DEPLOYMENT_STATE_CLOSED {
		return 0, false, errors.New("not closed")
	}
	if d.Id == c.wait {
		return 0, false, nil
	}
	n := min(limit, c.left[d.Id])
	c.left[d.Id] -= n
	return n, c.left[d.Id] == 0, c.fail
}

type fixture struct {
	ctx    sdk.Context
	k      *keeper.Keeper
	msgs   types.MsgServer
	query  types.QueryServer
	escrow *accounts
	market *calls
}

func setup(t *testing.T) *fixture {
	t.Helper()
	return newFixture(t)
}

func newFixture(t require.TestingT) *fixture {
	key := storetypes.NewKVStoreKey(types.StoreKey)
	f := &fixture{
		escrow: &accounts{all: map[escrowtypes.AccountID]escrowtypes.Account{}, payments: map[escrowtypes.AccountID]int{}},
		market: &calls{left: map[types.DeploymentID]int{}},
	}
	f.ctx = testutil.DefaultContextWithKeys(map[string]*storetypes.KVStoreKey{types.StoreKey: key}, nil, nil).WithBlockHeight(7).WithBlockTime(start)
	f.k = keeper.NewKeeper(codec.NewProtoCodec(codectypes.NewInterfaceRegistry()), runtime.NewKVStoreService(key), f.escrow, authority())
	f.k.SetHooks(f.market)
	f.msgs, f.query = keeper.NewMsgServer(f.k), keeper.NewQueryServer(f.k)
	require.NoError(t, f.k.InitGenesis(f.ctx, *types.DefaultGenesis()))
	return f
}

// start is the time of the first block.
var start = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func authority() string { return addr(200) }

func addr(b byte) string { a := make([]byte, 20); a[0] = b; return sdk.AccAddress(a).String() }

func unit(price math.LegacyDec) types.ResourceUnit {
	return types.ResourceUnit{Id: 1, CpuMilli: 100, MemoryBytes: 1 << 20, Count: 1, Price: sdk.DecCoin{Denom: denom, Amount: price}}
}

func message(owner byte, dseq uint64) *types.MsgCreateDeployment {
	return messageOf(types.DeploymentID{Owner: addr(owner), Dseq: dseq})
}

func messageOf(id types.DeploymentID) *types.MsgCreateDeployment {
	one := math.LegacyOneDec()
	return &types.MsgCreateDeployment{
		Id:           id,
		Groups:       []types.GroupSpec{{Name: "east", Units: []types.ResourceUnit{unit(one)}}, {Name: "west", Units: []types.ResourceUnit{unit(one)}}},
		ManifestHash: make([]byte, 32), Deposit: sdk.NewInt64Coin(denom, 100),
	}
}

func second[T any](_ T, err error) error { return err }

// sources draws from a granter, then from the owner's balance.
func sources(granter string) []escrowtypes.DepositSource {
	return []escrowtypes.DepositSource{{Kind: escrowtypes.SOURCE_GRANT, Granter: granter}, {Kind: escrowtypes.SOURCE_BALANCE}}
}

// export is the state as text.
func (f *fixture) export(t require.TestingT) string {
	gs, err := f.k.ExportGenesis(f.ctx)
	require.NoError(t, err)
	return gs.String()
}
