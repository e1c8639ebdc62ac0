package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"
	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	clienttypes "github.com/cosmos/ibc-go/v11/modules/core/02-client/types"
	channeltypes "github.com/cosmos/ibc-go/v11/modules/core/04-channel/types"
	channeltypesv2 "github.com/cosmos/ibc-go/v11/modules/core/04-channel/v2/types"
	host "github.com/cosmos/ibc-go/v11/modules/core/24-host"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/server"
	"github.com/cosmos/cosmos-sdk/server/config"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"berth.dev/berth/app"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const (
	usd = "uusd"
	// funds is what each account has of each coin of its chain at the start.
	funds = 1_000_000_000
)

// newLink starts Berth and a chain with a stablecoin, and opens a channel between them.
func newLink(t *testing.T, opts options) (berth, stable *ibcChain) {
	t.Helper()
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	berth = newIBCChain(t, "berth-1", &clock, opts, sdk.NewCoins(ubrt(funds)), func(a *app.App, state map[string]json.RawMessage) {
		g := govv1.DefaultGenesisState()
		period, expedited := 5*time.Second, time.Second
		g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod = &period, &expedited
		g.Params.MinDeposit = sdk.NewCoins(ubrt(1000))
		state[govtypes.ModuleName] = a.AppCodec().MustMarshalJSON(g)
	})
	stable = newIBCChain(t, "stable-4", &clock, options{}, sdk.NewCoins(ubrt(funds), sdk.NewInt64Coin(usd, funds)), nil)
	link(berth, stable)
	return berth, stable
}

// voucherDenom is what Berth calls the stablecoin that came by its channel.
func voucherDenom(berth *ibcChain) string {
	return transfertypes.NewDenom(usd, transfertypes.NewHop(transfertypes.PortID, berth.channel)).IBCDenom()
}

// acceptDenom has governance accept a denom, by the proposal that the operators' guide gives, and returns the deposits it
// asks for.
func acceptDenom(c *ibcChain, denom string) (deposit, bidDeposit sdk.Coin) {
	c.t.Helper()
	text, err := os.ReadFile("../docs/ops/accept-denom.json")
	require.NoError(c.t, err)
	var file struct {
		Messages                          []json.RawMessage
		Metadata, Deposit, Title, Summary string
	}
	require.NoError(c.t, json.Unmarshal(bytes.ReplaceAll(text, []byte("ibc/HASH"), []byte(denom)), &file))
	var msgs []sdk.Msg
	for _, bz := range file.Messages {
		var msg sdk.Msg
		require.NoError(c.t, c.app.AppCodec().UnmarshalInterfaceJSON(bz, &msg))
		msgs = append(msgs, msg)
	}
	require.Len(c.t, msgs, 2)
	escrowParams, marketParams := msgs[0].(*escrowtypes.MsgUpdateParams).Params, msgs[1].(*markettypes.MsgUpdateParams).Params
	deposit, bidDeposit = sdk.NewInt64Coin(denom, 500_000), sdk.NewInt64Coin(denom, 500_000)
	require.Contains(c.t, escrowParams.MinDeposits, deposit)
	require.Contains(c.t, marketParams.BidMinDeposits, bidDeposit)

	coins, err := sdk.ParseCoinsNormalized(file.Deposit)
	require.NoError(c.t, err)
	proposal, err := govv1.NewMsgSubmitProposal(msgs, coins, c.addr(stranger).String(), file.Metadata, file.Title, file.Summary, false)
	require.NoError(c.t, err)
	c.send(stranger, proposal)
	c.send(operator, govv1.NewMsgVote(c.addr(operator), 1, govv1.OptionYes, ""))
	for range 10 {
		c.block()
	}
	got, err := c.app.EscrowKeeper.GetParams(c.ctx())
	require.NoError(c.t, err)
	require.Equal(c.t, escrowParams, got)
	market, err := c.app.MarketKeeper.Params(c.ctx())
	require.NoError(c.t, err)
	require.Equal(c.t, marketParams, market)
	return deposit, bidDeposit
}

// deploymentIn is a deployment that is priced and funded in a denom.
func deploymentIn(c *ibcChain, dseq uint64, deposit sdk.Coin) *deploymenttypes.MsgCreateDeployment {
	return &deploymenttypes.MsgCreateDeployment{
		Id:           deploymenttypes.DeploymentID{Owner: c.addr(tenant).String(), Dseq: dseq},
		ManifestHash: bytes.Repeat([]byte{7}, 32), Deposit: deposit,
		Groups: []deploymenttypes.GroupSpec{{
			Name: "web",
			Units: []deploymenttypes.ResourceUnit{{
				Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 1, Price: sdk.NewInt64DecCoin(deposit.Denom, 200_000),
				Storage: []deploymenttypes.Volume{{Name: "default", Bytes: 512 << 20}},
			}},
		}},
	}
}

// bidIn has a provider bid on the first order of a deployment, and returns how that went.
func bidIn(c *ibcChain, who int, dseq uint64, price string, deposit sdk.Coin) (markettypes.BidID, markettypes.ItemResult) {
	c.t.Helper()
	dec, err := sdk.ParseDecCoin(price)
	require.NoError(c.t, err)
	order := markettypes.OrderID{Owner: c.addr(tenant).String(), Dseq: dseq, Gseq: 1, Oseq: 1}
	var answer markettypes.MsgCreateBidsResponse
	c.answer(c.send(who, &markettypes.MsgCreateBids{
		Provider: c.addr(who).String(), Bids: []markettypes.BidItem{{OrderId: order, Price: dec, Deposit: deposit}},
	}), 0, &answer)
	require.Len(c.t, answer.Results, 1)
	return order.BidID(c.addr(who).String()), answer.Results[0]
}

func registerProviders(c *ibcChain) {
	c.t.Helper()
	for _, who := range []int{east, west} {
		c.send(who, &providertypes.MsgCreateProvider{
			Owner: c.addr(who).String(), HostUri: fmt.Sprintf("https://p%d.example.org:8443", who), TlsPins: [][]byte{bytes.Repeat([]byte{1}, 32)},
		})
	}
}

// payLease moves a stablecoin over, pays a lease with it, and takes what was earned back to its own chain. All sums are
// exact, on both chains.
func payLease(t *testing.T, opts options) *ibcChain {
	berth, stable := newLink(t, opts)
	voucher := voucherDenom(berth)
	coin := func(amount int64) sdk.Coin { return sdk.NewInt64Coin(voucher, amount) }
	vault := transfertypes.GetEscrowAddress(transfertypes.PortID, stable.channel)
	// conserved: what the stablecoin's chain has locked up is what is around here.
	conserved := func(amount int64) {
		t.Helper()
		require.Equal(t, amount, stable.balance(vault, usd))
		require.Equal(t, amount, stable.app.TransferKeeper.GetTotalEscrowForDenom(stable.ctx(), usd).Amount.Int64())
		require.Equal(t, amount, berth.app.BankKeeper.GetSupply(berth.ctx(), voucher).Amount.Int64())
	}

	for who, amount := range []int64{tenant: 20_000_000, east: 2_000_000} {
		require.True(t, transferOver(stable, berth, who, sdk.NewInt64Coin(usd, amount), berth.addr(who).String(), ""))
		require.Equal(t, amount, berth.balance(berth.addr(who), voucher))
		require.Equal(t, funds-amount, stable.balance(stable.addr(who), usd))
	}
	conserved(22_000_000)

	res := berth.refused(tenant, deploymentIn(berth, 1, coin(5_000_000)))
	require.Equal(t, escrowtypes.ErrInvalidDenom.Codespace(), res.Codespace)
	require.Equal(t, escrowtypes.ErrInvalidDenom.ABCICode(), res.Code)
	require.Contains(t, res.Log, voucher)
	_, bidDeposit := acceptDenom(berth, voucher)

	registerProviders(berth)
	berth.send(tenant, deploymentIn(berth, 1, coin(5_000_000)))
	require.Equal(t, int64(15_000_000), berth.balance(berth.addr(tenant), voucher))
	_, result := bidIn(berth, west, 1, "10.25ubrt", ubrt(500_000))
	require.NotZero(t, result.Code, "a bid in another denom than the order's is refused")
	_, result = bidIn(berth, west, 1, "11"+voucher, ubrt(500_000))
	require.Zero(t, result.Code, "the deposit may be in any accepted denom")
	id, result := bidIn(berth, east, 1, "10.25"+voucher, bidDeposit)
	require.Zero(t, result.Code)

	berth.send(tenant, &markettypes.MsgCreateLease{Id: id})
	opened := berth.height
	for range 7 {
		berth.block()
	}
	require.EqualValues(t, funds, berth.balance(berth.addr(west), "ubrt"), "the losing bid's deposit is back")
	withdraw := &markettypes.MsgWithdrawLeases{Provider: berth.addr(east).String(), Ids: []markettypes.BidID{id}}
	berth.send(east, withdraw)
	price := math.LegacyMustNewDecFromStr("10.25")
	earned := func() int64 { return price.MulInt64(berth.height - opened).TruncateInt64() }
	require.Equal(t, 2_000_000-bidDeposit.Amount.Int64()+earned(), berth.balance(berth.addr(east), voucher), "after %d blocks", berth.height-opened)

	berth.send(tenant, &deploymenttypes.MsgCloseDeployment{Id: deploymenttypes.DeploymentID{Owner: id.Owner, Dseq: 1}})
	total := earned()
	berth.block()
	require.Equal(t, 2_000_000+total, berth.balance(berth.addr(east), voucher), "all that was earned, and the bid's deposit")
	require.Equal(t, 20_000_000-total, berth.balance(berth.addr(tenant), voucher), "the rest of the deposit")
	require.EqualValues(t, funds, berth.balance(berth.addr(tenant), "ubrt"))
	conserved(22_000_000)

	require.True(t, transferOver(berth, stable, east, coin(2_000_000+total), stable.addr(east).String(), ""))
	require.Equal(t, funds+total, stable.balance(stable.addr(east), usd), "the provider has its earnings at home")
	require.Zero(t, berth.balance(berth.addr(east), voucher))
	conserved(20_000_000 - total)
	require.True(t, transferOver(berth, stable, tenant, coin(20_000_000-total), stable.addr(tenant).String(), ""))
	require.Equal(t, funds-total, stable.balance(stable.addr(tenant), usd))
	conserved(0)
	return berth
}

// TestLeaseInAStablecoin pays a lease with another chain's coin, with either executor.
func TestLeaseInAStablecoin(t *testing.T) {
	sequential := payLease(t, options{server.FlagBlockExecutor: config.BlockExecutorSequential})
	parallel := payLease(t, options{server.FlagBlockExecutor: config.BlockExecutorBlockSTM, server.FlagBlockSTMWorkers: 4})
	require.Equal(t, sequential.hashes, parallel.hashes)
}

// TestTimeoutsRefund: what did not arrive in time is its sender's again, on whichever side it was sent.
func TestTimeoutsRefund(t *testing.T) {
	berth, stable := newLink(t, options{})
	voucher := voucherDenom(berth)
	late := stable.packet(stable.send(tenant, stable.transferMsg(tenant, sdk.NewInt64Coin(usd, 700), berth.addr(tenant).String(), "")))
	require.EqualValues(t, funds-700, stable.balance(stable.addr(tenant), usd))
	expire(stable, berth, late)
	require.EqualValues(t, funds, stable.balance(stable.addr(tenant), usd), "the coin is unlocked")
	require.Zero(t, berth.balance(berth.addr(tenant), voucher))

	require.True(t, transferOver(stable, berth, tenant, sdk.NewInt64Coin(usd, 500), berth.addr(tenant).String(), ""))
	late = berth.packet(berth.send(tenant, berth.transferMsg(tenant, sdk.NewInt64Coin(voucher, 200), stable.addr(tenant).String(), "")))
	require.EqualValues(t, 300, berth.app.BankKeeper.GetSupply(berth.ctx(), voucher).Amount.Int64(), "the voucher is burnt when it is sent")
	expire(berth, stable, late)
	require.EqualValues(t, 500, berth.balance(berth.addr(tenant), voucher), "and made again")
	require.EqualValues(t, funds-500, stable.balance(stable.addr(tenant), usd))

	late = berth.packet(berth.send(tenant, berth.transferMsg(tenant, ubrt(900), stable.addr(tenant).String(), "")))
	expire(berth, stable, late)
	require.EqualValues(t, funds, berth.balance(berth.addr(tenant), "ubrt"), "the chain's own token")
}

// TestTransfersCannotTouchModules: no receiver and no memo gets a coin of another chain where a module keeps its own,
// and what is refused goes back to its sender.
func TestTransfersCannotTouchModules(t *testing.T) {
	berth, stable := newLink(t, options{})
	acceptDenom(berth, voucherDenom(berth))
	voucher := voucherDenom(berth)
	require.True(t, transferOver(stable, berth, tenant, sdk.NewInt64Coin(usd, 1_000_000), berth.addr(tenant).String(), ""))
	berth.send(tenant, deploymentIn(berth, 1, sdk.NewInt64Coin(voucher, 1_000_000)))
	pool := authtypes.NewModuleAddress(escrowtypes.ModuleName)
	require.EqualValues(t, 1_000_000, berth.balance(pool, voucher))

	sent := int64(1_000_000)
	for _, name := range []string{
		escrowtypes.ModuleName, authtypes.FeeCollectorName, distrtypes.ModuleName, stakingtypes.BondedPoolName,
		stakingtypes.NotBondedPoolName, minttypes.ModuleName,
	} {
		receiver := authtypes.NewModuleAddress(name)
		before := berth.balance(receiver, voucher)
		require.False(t, transferOver(stable, berth, tenant, sdk.NewInt64Coin(usd, 50), receiver.String(), ""), name)
		require.Equal(t, before, berth.balance(receiver, voucher), name)
	}
	for _, receiver := range []string{"nobody", sdk.ValAddress(berth.addr(tenant)).String(), "cosmos1" + strings.Repeat("q", 38), strings.Repeat("x", 2000)} {
		require.False(t, transferOver(stable, berth, tenant, sdk.NewInt64Coin(usd, 50), receiver, ""), receiver)
	}
	require.EqualValues(t, funds-sent, stable.balance(stable.addr(tenant), usd), "all of it came back")
	for _, memo := range []string{
		`{"forward":{"receiver":"` + pool.String() + `","port":"transfer","channel":"` + berth.channel + `"}}`,
		`{"dest_callback":{"address":"` + pool.String() + `"}}`,
		`{"@type":"/berth.escrow.v1.MsgDeposit","amount":{"denom":"` + voucher + `","amount":"1"}}`,
		"{not JSON",
	} {
		require.True(t, transferOver(stable, berth, tenant, sdk.NewInt64Coin(usd, 50), berth.addr(west).String(), memo), memo)
		sent += 50
	}
	require.EqualValues(t, sent-1_000_000, berth.balance(berth.addr(west), voucher), "a memo is a memo")
	require.EqualValues(t, 1_000_000, berth.balance(pool, voucher))
	require.EqualValues(t, funds-sent, stable.balance(stable.addr(tenant), usd))
}

// TestWhatIsNotOffered: clients of other kinds, the second protocol version and channels of other applications are
// refused by an error.
func TestWhatIsNotOffered(t *testing.T) {
	berth, stable := newLink(t, options{})
	signer := berth.addr(tenant).String()
	in := uint64(berth.clock.Unix()) + 60

	toClient := berth.transferMsg(tenant, ubrt(5), stable.addr(tenant).String(), "").(*transfertypes.MsgTransfer)
	toClient.SourceChannel = berth.client
	for _, encoding := range []string{"", transfertypes.EncodingABI, transfertypes.EncodingProtobuf} {
		toClient.Encoding = encoding
		berth.refused(tenant, toClient)
	}
	berth.refused(tenant, channeltypesv2.NewMsgSendPacket(berth.client, in, signer,
		channeltypesv2.NewPayload(transfertypes.PortID, transfertypes.PortID, transfertypes.V1, transfertypes.EncodingJSON, []byte("{}"))))
	berth.refused(tenant, channeltypes.NewMsgChannelOpenInit("icahost", "ics27-1", channeltypes.UNORDERED, []string{berth.connection}, "icahost", signer))
	berth.refused(tenant, channeltypes.NewMsgChannelOpenInit(transfertypes.PortID, transfertypes.V1, channeltypes.UNORDERED, []string{"connection-localhost"}, transfertypes.PortID, signer))
	require.Equal(t, clienttypes.NewParams("07-tendermint"), berth.app.IBCKeeper.ClientKeeper.GetParams(berth.ctx()))
}

// TestRedundantRelay: a transaction that carries only packets that have been carried stays out of the mempool.
func TestRedundantRelay(t *testing.T) {
	berth, stable := newLink(t, options{})
	p := stable.packet(stable.send(tenant, stable.transferMsg(tenant, sdk.NewInt64Coin(usd, 5), berth.addr(tenant).String(), "")))
	proof := stable.prove(host.PacketCommitmentKey(p.SourcePort, p.SourceChannel, p.Sequence))
	msgs := []sdk.Msg{berth.update(stable), channeltypes.NewMsgRecvPacket(p, proof, stable.at(), berth.addr(relayer).String())}
	check := func() *abci.ResponseCheckTx {
		tx := berth.tx(relayer, msgs...)
		berth.seqs[relayer]-- // it is only checked
		res, err := berth.app.CheckTx(&abci.RequestCheckTx{Tx: tx, Type: abci.CheckTxType_New})
		require.NoError(t, err)
		return res
	}
	require.Zero(t, check().Code)
	berth.send(relayer, msgs...)
	res := check()
	require.Equal(t, channeltypes.ErrRedundantTx.Codespace(), res.Codespace)
	require.Equal(t, channeltypes.ErrRedundantTx.ABCICode(), res.Code)
}

// TestExportImportWithIBC: the genesis of a chain with a link, vouchers and a lease paid in them is valid, and a new app
// that imports it exports the same bytes.
func TestExportImportWithIBC(t *testing.T) {
	berth, stable := newLink(t, options{})
	voucher := voucherDenom(berth)
	require.True(t, transferOver(stable, berth, tenant, sdk.NewInt64Coin(usd, 3_000_000), berth.addr(tenant).String(), ""))
	require.True(t, transferOver(berth, stable, east, ubrt(77), stable.addr(east).String(), ""))
	_, bidDeposit := acceptDenom(berth, voucher)
	registerProviders(berth)
	berth.send(tenant, deploymentIn(berth, 1, sdk.NewInt64Coin(voucher, 1_000_000)))
	berth.send(tenant, banktypes.NewMsgSend(berth.addr(tenant), berth.addr(east), sdk.NewCoins(bidDeposit)))
	id, result := bidIn(berth, east, 1, "10.25"+voucher, bidDeposit)
	require.Zero(t, result.Code)
	berth.send(tenant, &markettypes.MsgCreateLease{Id: id})
	stable.send(tenant, stable.transferMsg(tenant, sdk.NewInt64Coin(usd, 9), berth.addr(tenant).String(), "")) // on its way

	for _, c := range []*ibcChain{berth, stable} {
		first, err := c.app.ExportAppStateAndValidators(false, nil, nil)
		require.NoError(t, err)
		var state map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(first.AppState, &state))
		require.NoError(t, c.app.BasicManager().ValidateGenesis(c.app.AppCodec(), c.app.TxConfig(), state))

		again := app.New(log.NewNopLogger(), dbm.NewMemDB(), true, options{}, baseapp.SetChainID(c.id))
		params := first.ConsensusParams
		_, err = again.InitChain(&abci.RequestInitChain{
			ChainId: c.id, Time: *c.clock, InitialHeight: first.Height, AppStateBytes: first.AppState, ConsensusParams: &params,
		})
		require.NoError(t, err)
		ctx := again.NewContextLegacy(false, header(first.Height))
		require.Empty(t, again.Invariants(ctx))
		second, err := again.ExportGenesis(ctx)
		require.NoError(t, err)
		requireSameModules(t, first.AppState, second)
	}
}
