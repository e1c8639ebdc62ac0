package app_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"berth.dev/berth/app"
	"berth.dev/berth/client"
	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

// TestGovernance changes the escrow's parameters by a vote, and has the same proposal deposit governance's own coins:
// that happens in governance's end block, and not a unit may be lost between it and bank's.
func TestGovernance(t *testing.T) {
	m := newMarket(t, chaintest.Options{Genesis: func(cdc codec.JSONCodec, state map[string]json.RawMessage) {
		g := govv1.DefaultGenesisState()
		period, expedited := 3*time.Second, time.Second
		g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod = &period, &expedited
		g.Params.MinDeposit = sdk.NewCoins(ubrt(1000))
		state[govtypes.ModuleName] = cdc.MustMarshalJSON(g)
	}}, nil)
	m.create(1, 5_000_000, deploymenttypes.Auction{})
	account := escrowtypes.AccountID{Scope: "deployment", Xid: m.id(1).String()}
	gov := authtypes.NewModuleAddress(govtypes.ModuleName)
	m.send(stranger, banktypes.NewMsgSend(m.Addr(stranger), gov, sdk.NewCoins(ubrt(2_000_000))))

	params := escrowtypes.DefaultParams()
	params.GraceBlocks = 1234
	proposal, err := govv1.NewMsgSubmitProposal([]sdk.Msg{
		&escrowtypes.MsgUpdateParams{Authority: app.Authority(), Params: params},
		&escrowtypes.MsgDeposit{Depositor: gov.String(), AccountId: account, Amount: ubrt(2_000_000)},
	}, sdk.NewCoins(ubrt(1000)), m.Addr(tenant).String(), "", "Grace", "A shorter grace", false)
	require.NoError(t, err)
	m.send(tenant, proposal)
	m.send(operator, govv1.NewMsgVote(sdk.AccAddress(m.Operator.PubKey().Address()), 1, govv1.OptionYes, ""))
	m.WaitFor(t, "the proposal's execution", func() bool {
		got, err := m.App.EscrowKeeper.GetParams(m.Context(t))
		return err == nil && got.GraceBlocks == 1234
	})
	a, err := m.App.EscrowKeeper.Account(m.Context(t), account)
	require.NoError(t, err)
	require.Equal(t, int64(7_000_000), a.Deposited.Int64())
	m.send(tenant, &deploymenttypes.MsgCloseDeployment{Id: m.id(1)})
	require.EqualValues(t, chaintest.Funds, m.balance(tenant))
	require.EqualValues(t, 2_000_000, m.App.BankKeeper.GetBalance(m.Context(t), gov, units.BaseDenom).Amount.Int64(), "each depositor is refunded its own")
}

// TestGrants tops up an account with another's money by authz.
func TestGrants(t *testing.T) {
	m := newMarket(t, chaintest.Options{}, nil)
	m.create(1, 5_000_000, deploymenttypes.Auction{})
	account := escrowtypes.AccountID{Scope: "deployment", Xid: m.id(1).String()}
	until := time.Now().Add(time.Hour)
	grant, err := authz.NewMsgGrant(m.Addr(stranger), m.Addr(tenant), authz.NewGenericAuthorization(sdk.MsgTypeURL(&escrowtypes.MsgDeposit{})), &until)
	require.NoError(t, err)
	m.send(stranger, grant)
	deposit := &escrowtypes.MsgDeposit{Depositor: m.Addr(stranger).String(), AccountId: account, Amount: ubrt(600_000)}
	exec := authz.NewMsgExec(m.Addr(tenant), []sdk.Msg{deposit})
	m.send(tenant, &exec)
	require.EqualValues(t, chaintest.Funds-600_000, m.balance(stranger))

	m.send(tenant, &deploymenttypes.MsgCloseDeployment{Id: m.id(1)})
	require.EqualValues(t, chaintest.Funds, m.balance(stranger), "the refund goes to the granter")
}

// TestFeesAreCollected: fees go by virtual sends; what was paid is what left the payer.
func TestFeesAreCollected(t *testing.T) {
	m := newMarket(t, chaintest.Options{}, nil)
	before := m.balance(tenant)
	c, err := client.New(client.Config{Node: m.RPCAddr, Keyring: m.Keyring(t), Key: "k0", GasPrices: "0.01" + units.BaseDenom})
	require.NoError(t, err)
	_, err = c.Send(t.Context(), transfer(m, tenant, east, 1))
	require.NoError(t, err)
	paid := before - 1 - m.balance(tenant)
	require.Positive(t, paid)
	m.WaitHeight(t, m.Height()+2) // INV-9 after each block says that nothing of it was lost
}

// TestModuleAccountsCannotBeSentTo: a stray coin in the pool would break INV-1.
func TestModuleAccountsCannotBeSentTo(t *testing.T) {
	m := newMarket(t, chaintest.Options{}, nil)
	pool := authtypes.NewModuleAddress(escrowtypes.ModuleName)
	err := m.refused(stranger, banktypes.NewMsgSend(m.Addr(stranger), pool, sdk.NewCoins(ubrt(5))))
	require.ErrorContains(t, err, "not allowed to receive")
}

// TestDefaultGenesisIsInTheChainsDenom: no module falls back to the SDK's.
func TestDefaultGenesisIsInTheChainsDenom(t *testing.T) {
	m := newMarket(t, chaintest.Options{}, nil)
	state, err := json.Marshal(m.App.DefaultGenesis())
	require.NoError(t, err)
	require.NotContains(t, string(state), `"stake"`)
	require.Contains(t, string(state), `"bond_denom":"ubrt"`)
}
