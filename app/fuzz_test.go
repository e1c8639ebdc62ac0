package app_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"

	errorsmod "cosmossdk.io/errors"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"berth.dev/berth/app"
	auditkeeper "berth.dev/berth/x/audit/keeper"
	audittypes "berth.dev/berth/x/audit/types"
	deploymentkeeper "berth.dev/berth/x/deployment/keeper"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowkeeper "berth.dev/berth/x/escrow/keeper"
	escrowtypes "berth.dev/berth/x/escrow/types"
	marketkeeper "berth.dev/berth/x/market/keeper"
	markettypes "berth.dev/berth/x/market/types"
	providerkeeper "berth.dev/berth/x/provider/keeper"
	providertypes "berth.dev/berth/x/provider/types"
)

// fuzzGas is what a fuzzed message may use: more than any honest one, so that a loop without end fails.
const fuzzGas = 200_000_000

// fuzzMessages are all messages of the chain's own modules, by the modules.
func fuzzMessages() []sdk.Msg {
	return []sdk.Msg{
		&escrowtypes.MsgDeposit{}, &escrowtypes.MsgUpdateParams{},
		&deploymenttypes.MsgCreateDeployment{}, &deploymenttypes.MsgUpdateDeployment{}, &deploymenttypes.MsgCloseDeployment{},
		&deploymenttypes.MsgPauseGroup{}, &deploymenttypes.MsgStartGroup{}, &deploymenttypes.MsgCloseGroup{}, &deploymenttypes.MsgUpdateParams{},
		&markettypes.MsgCreateBids{}, &markettypes.MsgCloseBids{}, &markettypes.MsgCreateLease{}, &markettypes.MsgCloseLease{},
		&markettypes.MsgStartReclaim{}, &markettypes.MsgWithdrawLeases{}, &markettypes.MsgUpdateParams{},
		&providertypes.MsgCreateProvider{}, &providertypes.MsgUpdateProvider{}, &providertypes.MsgDeleteProvider{}, &providertypes.MsgSetGatewayKey{},
		&audittypes.MsgSignAttributes{}, &audittypes.MsgRevokeAttributes{},
	}
}

// TestFuzzedMessagesAreAll: no message of the chain's own modules is left out of the fuzzing and of the simulation.
func TestFuzzedMessagesAreAll(t *testing.T) {
	known := map[string]bool{}
	for _, m := range fuzzMessages() {
		known[sdk.MsgTypeURL(m)] = true
	}
	simulated := map[string]bool{}
	for _, kind := range wantedMessages {
		simulated[kind] = true
	}
	for _, url := range newSimApp("").InterfaceRegistry().ListImplementations(sdk.MsgInterfaceProtoName) {
		m, err := newSimMsg(url)
		if err != nil || len(url) < 7 || url[:7] != "/berth." {
			continue
		}
		require.True(t, known[url], "%s is not fuzzed", url)
		kind := kindOf(m)
		require.True(t, simulated[kind] || simulated[kind+" by governance"], "%s is not simulated", kind)
	}
}

func newSimMsg(url string) (sdk.Msg, error) {
	typ := proto.MessageType(url[1:])
	if typ == nil {
		return nil, proto.ErrNil
	}
	return reflect.New(typ.Elem()).Interface().(sdk.Msg), nil
}

// fuzzChain is the market that fuzzed messages meet: it is made once in a process, and never changes.
var fuzzChain = sync.OnceValue(func() *simulation {
	s := newSimulation(panicTB{}, simSetup{seed: 42})
	s.run(1_200)
	return s
})

// panicTB lets a simulation start outside of a test.
type panicTB struct{ testing.TB }

func (panicTB) Helper()      {}
func (panicTB) Name() string { return "fuzz" }
func (panicTB) Errorf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}
func (panicTB) FailNow() { panic("simulation failed") }

// fuzzContext is the state that a fuzzed message may change, as if in the next block.
func fuzzContext(s *simulation) sdk.Context {
	ctx, _ := s.context().CacheContext()
	return ctx.WithBlockHeight(s.height + 1).WithGasMeter(storetypes.NewGasMeter(fuzzGas)).WithIsCheckTx(false)
}

// deliverFuzzed runs a message as a transaction would after its signatures, and the end of the block after it. A panic
// is the target's failure. A refusal leaves an error with a code of its own.
func deliverFuzzed(t *testing.T, s *simulation, msg sdk.Msg) {
	ctx := fuzzContext(s)
	if m, ok := msg.(sdk.HasValidateBasic); ok && m.ValidateBasic() != nil {
		return
	}
	cached, write := ctx.CacheContext()
	if _, err := s.app.MsgServiceRouter().Handler(msg)(cached, msg); err != nil {
		if space, code, _ := errorsmod.ABCIInfo(err, false); space == "undefined" || code == 1 {
			t.Fatalf("%T: %v has no registered code", msg, err)
		}
		return
	}
	write()
	if _, err := s.app.EndBlocker(ctx.WithBlockGasMeter(storetypes.NewInfiniteGasMeter())); err != nil {
		t.Fatalf("the end of the block after %T: %v", msg, err)
	}
}

// FuzzMessageBytes: whatever decodes as a message is taken or refused, and never makes the chain panic.
func FuzzMessageBytes(f *testing.F) {
	all := fuzzMessages()
	for i := range all {
		f.Add(uint8(i), []byte{})
		f.Add(uint8(i), []byte{0x0a, 0x00, 0x12, 0x00, 0x1a, 0x00})
	}
	f.Fuzz(func(t *testing.T, kind uint8, bz []byte) {
		msg := fuzzMessages()[int(kind)%len(all)]
		if proto.Unmarshal(bz, msg) == nil {
			deliverFuzzed(t, fuzzChain(), msg)
		}
	})
}

// byteSource makes choices out of fuzzed bytes, and zeros when they have run out: the fuzzer decides what is drawn.
type byteSource struct{ left []byte }

func (b *byteSource) Int63() int64 { return int64(b.Uint64() >> 1) }
func (b *byteSource) Seed(int64)   {}
func (b *byteSource) Uint64() uint64 {
	var word [8]byte
	n := copy(word[:], b.left)
	b.left = b.left[n:]
	return binary.BigEndian.Uint64(word[:])
}

// FuzzMessageFields: messages that fit the state, but for a few fields that hold something extreme or foreign, are taken
// or refused, and never make the chain panic.
func FuzzMessageFields(f *testing.F) {
	for i := range int64(40) {
		bz := make([]byte, 400)
		rand.New(rand.NewSource(i)).Read(bz)
		f.Add(bz)
	}
	f.Fuzz(func(t *testing.T, bz []byte) {
		s := *fuzzChain()
		// What is drawn first has the most effect: a second, fixed source goes on where the bytes end.
		s.r = rand.New(&mixedSource{byteSource{bz}, rand.New(rand.NewSource(int64(len(bz))))})
		ctx := s.context()
		data := simsx.NewChainDataSource(ctx, s.r, s.app.AccountKeeper, s.app.BankKeeper, s.app.AccountKeeper.AddressCodec(), s.accounts...)
		factory := pickFactory(s.r, append(s.factories[:len(s.factories):len(s.factories)], s.proposals...))
		reporter := simsx.NewBasicSimulationReporter().WithScope(factory.MsgType())
		_, msg := factory.Create()(ctx, data, reporter)
		// Other modules' messages only wrap ours here, and their wrapping is not what is tested.
		if reporter.IsSkipped() || msg == nil || !strings.HasPrefix(sdk.MsgTypeURL(msg), "/berth.") {
			return
		}
		for range 1 + s.r.Intn(3) {
			if bad, _, ok := s.spoil(msg); ok {
				msg = bad
			}
		}
		deliverFuzzed(t, &s, msg)
	})
}

// mixedSource draws from bytes first.
type mixedSource struct {
	bytes byteSource
	rest  *rand.Rand
}

func (m *mixedSource) Seed(int64)   {}
func (m *mixedSource) Int63() int64 { return int64(m.Uint64() >> 1) }
func (m *mixedSource) Uint64() uint64 {
	if len(m.bytes.left) > 0 {
		return m.bytes.Uint64()
	}
	return m.rest.Uint64()
}

// FuzzGenesis: a genesis that a module's check accepts is written or refused, and never makes it panic.
func FuzzGenesis(f *testing.F) {
	for kind := range genesisKinds {
		for i := range int64(6) {
			bz := make([]byte, 200)
			rand.New(rand.NewSource(i)).Read(bz)
			f.Add(uint8(kind), bz)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, bz []byte) {
		s := *fuzzChain()
		s.r = rand.New(&mixedSource{byteSource{bz}, rand.New(rand.NewSource(int64(len(bz))))})
		k := genesisKinds[int(kind)%len(genesisKinds)]
		state, err := k.export(s.app, s.context())
		if err != nil {
			t.Fatal(err)
		}
		leaves := leavesOf(reflect.ValueOf(state).Elem(), nil)
		for range 1 + s.r.Intn(4) {
			s.spoilLeaf(leaves[s.r.Intn(len(leaves))])
		}
		// What comes from JSON or protobuf has been through its encoding.
		encoded, err := proto.Marshal(state)
		if err != nil {
			return
		}
		state = reflect.New(reflect.TypeOf(state).Elem()).Interface().(moduleGenesis)
		if proto.Unmarshal(encoded, state) != nil || state.Validate() != nil {
			return
		}
		empty := fuzzEmpty()
		ctx, _ := empty.context().CacheContext()
		pool := s.app.BankKeeper.GetAllBalances(s.context(), authtypes.NewModuleAddress(escrowtypes.ModuleName))
		if err := empty.app.BankKeeper.SendCoinsFromAccountToModule(ctx, empty.accounts[0].Address, escrowtypes.ModuleName, pool); err != nil {
			t.Fatal(err)
		}
		_ = k.init(empty.app, ctx, state)
	})
}

// fuzzEmpty is a chain on which nothing has happened.
var fuzzEmpty = sync.OnceValue(func() *simulation { return newSimulation(panicTB{}, simSetup{seed: 42}) })

// moduleGenesis is a module's genesis state.
type moduleGenesis interface {
	proto.Message
	Validate() error
}

// genesisKind is how a module's state is read and written.
type genesisKind struct {
	export func(*app.App, sdk.Context) (moduleGenesis, error)
	init   func(*app.App, sdk.Context, moduleGenesis) error
}

type genesisKeeper[G any] interface {
	ExportGenesis(context.Context) (*G, error)
	InitGenesis(context.Context, G) error
}

func genesisOf[G any, P interface {
	*G
	moduleGenesis
}, K genesisKeeper[G]](keeper func(*app.App) K) genesisKind {
	return genesisKind{
		export: func(a *app.App, ctx sdk.Context) (moduleGenesis, error) {
			g, err := keeper(a).ExportGenesis(ctx)
			return P(g), err
		},
		init: func(a *app.App, ctx sdk.Context, g moduleGenesis) error {
			return keeper(a).InitGenesis(ctx, *g.(P))
		},
	}
}

var genesisKinds = []genesisKind{
	genesisOf[escrowtypes.GenesisState](func(a *app.App) *escrowkeeper.Keeper { return a.EscrowKeeper }),
	genesisOf[deploymenttypes.GenesisState](func(a *app.App) *deploymentkeeper.Keeper { return a.DeploymentKeeper }),
	genesisOf[markettypes.GenesisState](func(a *app.App) *marketkeeper.Keeper { return a.MarketKeeper }),
	genesisOf[providertypes.GenesisState](func(a *app.App) *providerkeeper.Keeper { return a.ProviderKeeper }),
	genesisOf[audittypes.GenesisState](func(a *app.App) *auditkeeper.Keeper { return a.AuditKeeper }),
}
