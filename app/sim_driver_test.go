package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"
	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/codec"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	"github.com/cosmos/cosmos-sdk/server"
	"github.com/cosmos/cosmos-sdk/server/config"
	pruningtypes "github.com/cosmos/cosmos-sdk/store/v2/pruning/types"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsign "github.com/cosmos/cosmos-sdk/x/auth/signing"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	vestingtypes "github.com/cosmos/cosmos-sdk/x/auth/vesting/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"berth.dev/berth/app"
	"berth.dev/berth/testutil/simstate"
	auditsim "berth.dev/berth/x/audit/simulation"
	deploymentsim "berth.dev/berth/x/deployment/simulation"
	escrowsim "berth.dev/berth/x/escrow/simulation"
	marketsim "berth.dev/berth/x/market/simulation"
	providersim "berth.dev/berth/x/provider/simulation"
)

const (
	simChain = "berth-simulation"
	// simAccounts is how many accounts act; all of them may be tenants, providers, granters and hot keys.
	simAccounts = 60
	// simBlockOps is the most transactions of a simulated block.
	simBlockOps = 120
	simGas      = 50_000_000
	// spoiledPercent of the messages are made wrong in one field, and doubledPercent stand twice in their transaction.
	spoiledPercent = 8
	doubledPercent = 1
)

var simStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// simManager joins the modules' parts of a simulation, in the way of the SDK's own.
func simManager(a *app.App) *module.SimulationManager {
	taken := &simstate.Taken{}
	grants := escrowsim.NewGrants(a.AuthzKeeper)
	var market marketsim.Module
	busy := func(ctx context.Context, owner string) bool { return market.Busy(ctx, owner) }
	providers := providersim.New(a.ProviderKeeper, busy, taken)
	audits := auditsim.New(a.AuditKeeper, providers, taken)
	escrow := escrowsim.New(a.EscrowKeeper, grants, app.Authority(), taken)
	market = marketsim.New(marketsim.Options{
		Keeper: a.MarketKeeper, Providers: providers, Audits: audits, Grants: grants, Escrow: escrow, Authority: app.Authority(), Taken: taken,
	})
	return module.NewSimulationManager(
		providers, audits,
		escrow,
		deploymentsim.New(deploymentsim.Options{
			Keeper: a.DeploymentKeeper, Providers: providers, Audits: audits, Grants: grants, Reclaim: market.Notice,
			Authority: app.Authority(), Taken: taken,
		}),
		market,
	)
}

// newSimApp is an app in memory.
func newSimApp(executor string) *app.App {
	opts := options{server.FlagBlockExecutor: executor, server.FlagBlockSTMWorkers: 4}
	// Only the last states are kept: in memory, those of a thousand blocks would be most of the work. What is old goes while
	// a block is committed, as the database in memory cannot be written by the side of two iterators.
	return app.New(log.NewNopLogger(), dbm.NewMemDB(), true, opts, baseapp.SetChainID(simChain),
		baseapp.SetPruning(pruningtypes.NewCustomPruningOptions(2, 10)), baseapp.SetIAVLSyncPruning(true))
}

// simBlock is a block as any app can execute it again.
type simBlock struct {
	req *abci.RequestFinalizeBlock
	ops []simOp
}

// simOp says what a transaction was meant to be.
type simOp struct {
	kind string
	// spoiled is a message that was made wrong on purpose.
	spoiled bool
}

// simulation drives an app through blocks of random signed transactions. Everything in it follows from the seed.
type simulation struct {
	t         testing.TB
	setup     simSetup
	r         *rand.Rand
	app       *app.App
	manager   *module.SimulationManager
	accounts  []simtypes.Account
	numbers   map[string]uint64
	sequences map[string]uint64
	operator  simtypes.Account
	consensus cryptotypes.PubKey
	factories []simsx.WeightedFactory
	proposals []simsx.WeightedFactory
	voted     uint64
	genesis   *abci.RequestInitChain
	first     simBlock
	height    int64
	now       time.Time
	report    *simReport
}

// simSetup is what a simulation starts from.
type simSetup struct {
	seed int64
	// without are names of weights of messages that are left out.
	without []string
	// edit, if set, changes the random genesis of the modules.
	edit func(cdc codec.JSONCodec, state map[string]json.RawMessage)
}

// newSimulation starts a chain with a random genesis.
func newSimulation(t testing.TB, setup simSetup) *simulation {
	t.Helper()
	s := &simulation{
		t: t, setup: setup, r: rand.New(rand.NewSource(setup.seed)), app: newSimApp(config.BlockExecutorSequential), now: simStart,
		numbers: map[string]uint64{}, sequences: map[string]uint64{}, report: newSimReport(),
	}
	s.manager = simManager(s.app)
	s.accounts = simtypes.RandomAccounts(s.r, simAccounts)
	key := secp256k1.GenPrivKeyFromSecret(simstate.Bytes(s.r, 32))
	operator := sdk.AccAddress(key.PubKey().Address())
	s.operator = simtypes.Account{PrivKey: key, PubKey: key.PubKey(), Address: operator, AddressBech32: operator.String()}
	consensus, err := cryptocodec.FromCmtPubKeyInterface(ed25519.GenPrivKeyFromSecret(simstate.Bytes(s.r, 32)).PubKey())
	require.NoError(t, err)
	s.consensus = consensus
	s.register()
	s.initChain()
	return s
}

// simWeights are the factories' own weights, less what is left out.
func simWeights(without []string) simsx.WeightSource {
	left := append(strings.Split(*simWithout, ","), without...)
	return simsx.WeightSourceFn(func(name string, weight uint32) uint32 {
		if slices.Contains(left, name) {
			return 0
		}
		return weight
	})
}

// register collects the factories of all modules.
func (s *simulation) register() {
	weights := simWeights(s.setup.without)
	operations, proposals := simsx.NewUnorderedRegistry(), simsx.NewUnorderedRegistry()
	for _, m := range s.manager.Modules {
		if m, ok := m.(simsx.HasWeightedOperationsX); ok {
			m.WeightedOperationsX(weights, operations)
		}
		if m, ok := m.(simsx.HasProposalMsgsX); ok {
			m.ProposalMsgsX(weights, proposals)
		}
	}
	operations.Add(weights.Get("gov_propose", 10), s.proposalFactory())
	s.factories, s.proposals = operations.Elements(), proposals.Elements()
}

// proposalFactory has governance execute one of the modules' messages.
func (s *simulation) proposalFactory() simsx.SimMsgFactoryX {
	return simsx.SimMsgFactoryFn[*govv1.MsgSubmitProposal](
		func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *govv1.MsgSubmitProposal) {
			_, inner := pickFactory(s.r, s.proposals).Create()(ctx, data, reporter)
			proposer := data.AnyAccount(reporter)
			if reporter.IsSkipped() {
				return nil, nil
			}
			msg, err := govv1.NewMsgSubmitProposal([]sdk.Msg{inner}, sdk.NewCoins(ubrt(1000)), proposer.AddressBech32, "", "Parameters", "Other ones", false)
			require.NoError(s.t, err)
			return []simsx.SimAccount{proposer}, msg
		})
}

func pickFactory(r *rand.Rand, all []simsx.WeightedFactory) simsx.SimMsgFactoryX {
	total := 0
	for _, f := range all {
		total += int(f.Weight)
	}
	n := r.Intn(total)
	for _, f := range all {
		if n -= int(f.Weight); n < 0 {
			return f.Factory
		}
	}
	return all[0].Factory
}

// initChain starts the chain. Some accounts vest, and some let others pay fees with their coins.
func (s *simulation) initChain() {
	s.t.Helper()
	spec := app.Genesis{
		ChainID: simChain, Time: simStart, Edit: s.editGenesis,
		Accounts:   []app.GenesisAccount{{Address: s.operator.Address, Coins: sdk.NewCoins(ubrt(1_000_000_000))}},
		Validators: []app.GenesisValidator{{Moniker: "v", PubKey: s.consensus, Operator: s.operator.Address, Stake: math.NewInt(1_000_000_000)}},
	}
	for _, a := range s.accounts {
		coins := sdk.NewCoins(ubrt(1_000_000_000_000), sdk.NewInt64Coin(simstate.StableDenom, 1_000_000_000_000))
		spec.Accounts = append(spec.Accounts, app.GenesisAccount{Address: a.Address, Coins: coins})
	}
	genesis, err := s.app.BuildGenesis(spec)
	require.NoError(s.t, err)
	params := genesis.Consensus.Params.ToProto()
	params.Block.MaxGas = -1
	s.genesis = &abci.RequestInitChain{ChainId: simChain, Time: simStart, InitialHeight: 1, AppStateBytes: genesis.AppState, ConsensusParams: &params}
	_, err = s.app.InitChain(s.genesis)
	require.NoError(s.t, err)
	// The state can be read once it is committed: the first block is empty.
	s.first = s.next(0)
	finalize(s.t, s.app, s.first)
}

func (s *simulation) editGenesis(state map[string]json.RawMessage) error {
	cdc := s.app.AppCodec()
	for _, m := range s.manager.Modules {
		m.GenerateGenesisState(&module.SimulationState{Rand: s.r, Cdc: cdc, GenState: state, GenTimestamp: simStart})
	}
	if s.setup.edit != nil {
		s.setup.edit(cdc, state)
	}
	gov := govv1.DefaultGenesisState()
	period, expedited := 20*time.Second, 10*time.Second
	gov.Params.VotingPeriod, gov.Params.ExpeditedVotingPeriod = &period, &expedited
	gov.Params.MinDeposit = sdk.NewCoins(ubrt(1000))
	state[govtypes.ModuleName] = cdc.MustMarshalJSON(gov)

	fees := feegrant.DefaultGenesisState()
	for i := range s.accounts {
		g, err := feegrant.NewGrant(s.accounts[i].Address, s.accounts[(i+1)%simAccounts].Address, &feegrant.BasicAllowance{})
		if err != nil {
			return err
		}
		fees.Allowances = append(fees.Allowances, g)
	}
	state[feegrant.ModuleName] = cdc.MustMarshalJSON(fees)

	var auth authtypes.GenesisState
	cdc.MustUnmarshalJSON(state[authtypes.ModuleName], &auth)
	accounts, err := authtypes.UnpackAccounts(auth.Accounts)
	if err != nil {
		return err
	}
	for i, a := range accounts {
		s.numbers[a.GetAddress().String()] = a.GetAccountNumber()
		base, ok := a.(*authtypes.BaseAccount)
		if !ok || i%10 != 9 {
			continue
		}
		vesting := sdk.NewCoins(ubrt(999_999_000_000))
		if accounts[i], err = vestingtypes.NewContinuousVestingAccount(base, vesting, simStart.Unix(), simStart.Add(time.Hour).Unix()); err != nil {
			return err
		}
	}
	if auth.Accounts, err = authtypes.PackAccounts(accounts); err != nil {
		return err
	}
	state[authtypes.ModuleName] = cdc.MustMarshalJSON(&auth)
	return nil
}

// context reads the committed state.
func (s *simulation) context() sdk.Context {
	return s.app.NewContextLegacy(true, cmtproto.Header{ChainID: simChain, Height: s.height, Time: s.now})
}

// next makes a block of up to n transactions out of the committed state.
func (s *simulation) next(n int) simBlock {
	s.t.Helper()
	ctx := s.context()
	for _, a := range append([]simtypes.Account{s.operator}, s.accounts...) {
		if account := s.app.AccountKeeper.GetAccount(ctx, a.Address); account != nil {
			s.sequences[a.AddressBech32] = account.GetSequence()
		}
	}
	s.height++
	s.now = s.now.Add(time.Duration(simstate.Between(s.r, 500, 4000)) * time.Millisecond)
	address := s.consensus.Address().Bytes()
	b := simBlock{req: &abci.RequestFinalizeBlock{
		Height: s.height, Time: s.now, ProposerAddress: address, Hash: simstate.Bytes(s.r, 32),
	}}
	if s.height > 1 {
		b.req.DecidedLastCommit.Votes = []abci.VoteInfo{{
			Validator: abci.Validator{Address: address, Power: 1000}, BlockIdFlag: cmtproto.BlockIDFlagCommit,
		}}
	}
	data := simsx.NewChainDataSource(ctx, s.r, s.app.AccountKeeper, s.app.BankKeeper, s.app.AccountKeeper.AddressCodec(), s.accounts...)
	for range n {
		s.add(ctx, data, &b)
	}
	s.vote(ctx, &b)
	return b
}

// add makes one transaction, unless what was drawn has nothing to do.
func (s *simulation) add(ctx sdk.Context, data *simsx.ChainDataSource, b *simBlock) {
	s.t.Helper()
	f := pickFactory(s.r, s.factories)
	reporter := simsx.NewBasicSimulationReporter().WithScope(f.MsgType())
	from, msg := f.Create()(ctx, data, reporter)
	if reporter.IsSkipped() || msg == nil || len(from) == 0 {
		return
	}
	signer, op, msgs := from[0].Account, simOp{kind: kindOf(msg)}, []sdk.Msg{msg}
	switch {
	case strings.HasPrefix(sdk.MsgTypeURL(msg), "/berth.") && simstate.Chance(s.r, spoiledPercent):
		if bad, account, ok := s.spoil(msg); ok {
			signer, op.spoiled, msgs = account, true, []sdk.Msg{bad}
		}
	case simstate.Chance(s.r, doubledPercent):
		op.spoiled, msgs = true, []sdk.Msg{msg, msg}
	}
	b.req.Txs = append(b.req.Txs, s.sign(signer, msgs))
	b.ops = append(b.ops, op)
}

// vote has the only validator accept every proposal.
func (s *simulation) vote(ctx sdk.Context, b *simBlock) {
	s.t.Helper()
	rng := new(collections.Range[uint64]).StartExclusive(s.voted)
	err := s.app.GovKeeper.Proposals.Walk(ctx, rng, func(id uint64, p govv1.Proposal) (bool, error) {
		s.voted = id
		msg := govv1.NewMsgVote(s.operator.Address, id, govv1.OptionYes, "")
		b.req.Txs = append(b.req.Txs, s.sign(s.operator, []sdk.Msg{msg}))
		b.ops = append(b.ops, simOp{kind: kindOf(msg)})
		return false, nil
	})
	require.NoError(s.t, err)
}

// sign writes a transaction. Its sequence moves on unless the message is refused before the fee is taken.
func (s *simulation) sign(by simtypes.Account, msgs []sdk.Msg) []byte {
	s.t.Helper()
	cfg := s.app.TxConfig()
	tx := cfg.NewTxBuilder()
	require.NoError(s.t, tx.SetMsgs(msgs...))
	tx.SetGasLimit(simGas)
	tx.SetFeeAmount(sdk.NewCoins(ubrt(simstate.Between(s.r, 1, 500))))
	if i := s.index(by); i >= 0 && simstate.Chance(s.r, 5) {
		tx.SetFeeGranter(s.accounts[(i+simAccounts-1)%simAccounts].Address)
	}
	seq := s.sequences[by.AddressBech32]
	mode := signing.SignMode_SIGN_MODE_DIRECT
	sig := signing.SignatureV2{PubKey: by.PubKey, Data: &signing.SingleSignatureData{SignMode: mode}, Sequence: seq}
	require.NoError(s.t, tx.SetSignatures(sig))
	bz, err := authsign.GetSignBytesAdapter(context.Background(), cfg.SignModeHandler(), mode, authsign.SignerData{
		Address: by.AddressBech32, ChainID: simChain, AccountNumber: s.numbers[by.AddressBech32], Sequence: seq, PubKey: by.PubKey,
	}, tx.GetTx())
	require.NoError(s.t, err)
	signature, err := by.PrivKey.Sign(bz)
	require.NoError(s.t, err)
	sig.Data = &signing.SingleSignatureData{SignMode: mode, Signature: signature}
	require.NoError(s.t, tx.SetSignatures(sig))
	out, err := cfg.TxEncoder()(tx.GetTx())
	require.NoError(s.t, err)
	if _, err := cfg.TxDecoder()(out); err != nil {
		return out
	}
	for _, msg := range msgs {
		if m, ok := msg.(sdk.HasValidateBasic); ok && m.ValidateBasic() != nil {
			return out
		}
	}
	s.sequences[by.AddressBech32]++
	return out
}

func (s *simulation) index(by simtypes.Account) int {
	for i := range s.accounts {
		if s.accounts[i].AddressBech32 == by.AddressBech32 {
			return i
		}
	}
	return -1
}

// deliver executes a block, commits it, checks every invariant and counts what happened.
func (s *simulation) deliver(b simBlock) []byte {
	s.t.Helper()
	before := s.app.BankKeeper.GetSupply(s.context(), "ubrt")
	res := finalize(s.t, s.app, b)
	ctx := s.context()
	require.Empty(s.t, s.app.Invariants(ctx), "after block %d", s.height)
	after := s.app.BankKeeper.GetSupply(ctx, "ubrt")
	require.Equal(s.t, mintedBy(res).String(), after.Amount.Sub(before.Amount).String(), "INV-9: the supply changes by what is minted or burnt, block %d", s.height)
	require.NoError(s.t, s.report.add(s.app, b, res), "block %d", s.height)
	s.report.grants(ctx, s.app)
	return res.AppHash
}

// run makes and delivers blocks until ops transactions have been delivered, and returns them with their hashes.
func (s *simulation) run(ops int) (blocks []simBlock, hashes []string) {
	s.t.Helper()
	for delivered := 0; delivered < ops; {
		b := s.next(1 + s.r.Intn(simBlockOps))
		delivered += len(b.ops)
		hashes = append(hashes, fmt.Sprintf("%x", s.deliver(b)))
		blocks = append(blocks, b)
	}
	return blocks, hashes
}

// finalize executes and commits a block.
func finalize(t testing.TB, a *app.App, b simBlock) *abci.ResponseFinalizeBlock {
	t.Helper()
	res, err := a.FinalizeBlock(b.req)
	require.NoError(t, err, "block %d", b.req.Height)
	_, err = a.Commit()
	require.NoError(t, err)
	return res
}

// mintedBy is what a block added to the supply of the chain's denom.
func mintedBy(res *abci.ResponseFinalizeBlock) math.Int {
	sum := math.ZeroInt()
	count := func(events []abci.Event) {
		for _, e := range events {
			sign := map[string]int64{"coinbase": 1, "burn": -1}[e.Type]
			if sign == 0 {
				continue
			}
			for _, attr := range e.Attributes {
				if attr.Key != "amount" {
					continue
				}
				coins, err := sdk.ParseCoinsNormalized(attr.Value)
				if err == nil {
					sum = sum.Add(coins.AmountOf("ubrt").MulRaw(sign))
				}
			}
		}
	}
	count(res.Events)
	for _, tx := range res.TxResults {
		count(tx.Events)
	}
	return sum
}

// kindOf names a message in the report; of one that carries another, with that.
func kindOf(msg sdk.Msg) string {
	name := strings.TrimPrefix(sdk.MsgTypeURL(msg), "/")
	name = strings.NewReplacer("berth.", "", "cosmos.", "", ".v1beta1", "", ".v1", "").Replace(name)
	if m, ok := msg.(interface{ GetMessages() ([]sdk.Msg, error) }); ok {
		if inner, err := m.GetMessages(); err == nil && len(inner) > 0 {
			return name + "(" + kindOf(inner[0]) + ")"
		}
	}
	return name
}
