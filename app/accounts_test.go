package app_test

import (
	"bytes"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"

	kmultisig "github.com/cosmos/cosmos-sdk/crypto/keys/multisig"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	"github.com/cosmos/cosmos-sdk/crypto/types/multisig"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	vestingtypes "github.com/cosmos/cosmos-sdk/x/auth/vesting/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"berth.dev/berth/testutil/chaintest"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// executed are the responses of what a key has done for another, which stand inside the response of MsgExec.
func executed(t *testing.T, res *abci.ExecTxResult) [][]byte {
	t.Helper()
	require.Zero(t, res.Code, res.Log)
	responses := chaintest.Responses(t, res)
	require.Len(t, responses, 1)
	var answer authz.MsgExecResponse
	require.NoError(t, answer.Unmarshal(responses[0].Value))
	return answer.Results
}

// TestHotKey: a provider's owner key stays cold. A hot key bids, closes bids and withdraws for it, in unordered
// transactions as well; it reads the result of each item, spends nothing of its own, and may do nothing else.
func TestHotKey(t *testing.T) {
	s := newStage(t, nil)
	for _, msg := range []sdk.Msg{&markettypes.MsgCreateBids{}, &markettypes.MsgCloseBids{}, &markettypes.MsgWithdrawLeases{}} {
		s.grant(east, hotKey, authz.NewGenericAuthorization(sdk.MsgTypeURL(msg)))
	}
	one, two := s.deploy(), s.deploy()
	s.Send(tenant, &deploymenttypes.MsgCloseDeployment{Id: two})
	deposit := markettypes.DefaultParams().BidMinDeposits[0].Amount.Int64()
	exec := func(msgs ...sdk.Msg) chaintest.Tx {
		m := authz.NewMsgExec(s.Addr(hotKey), msgs)
		return s.by(hotKey, &m)
	}

	cold, hot := s.balance(east), s.balance(hotKey)
	bids := s.bidMsg(east, orderID(one, 1, 1), "10.25")
	bids.Bids = append(bids.Bids, s.bidMsg(east, orderID(two, 1, 1), "10.25").Bids...)
	tx := exec(bids)
	tx.Unordered, tx.Timeout = true, s.Now.Add(time.Minute)
	signed := s.Sign(tx)
	var created markettypes.MsgCreateBidsResponse
	require.NoError(t, created.Unmarshal(executed(t, s.Block(signed)[0])[0]))
	require.Len(t, created.Results, 2)
	require.Zero(t, created.Results[0].Code)
	requireItem(t, markettypes.ErrOrderNotOpen, created.Results[1])
	require.Equal(t, cold-deposit, s.balance(east), "the owner's coins are the deposit")
	require.Equal(t, hot, s.balance(hotKey))
	require.NotZero(t, s.Block(signed)[0].Code, "an unordered transaction works once")
	require.Equal(t, cold-deposit, s.balance(east))

	var closed markettypes.MsgCloseBidsResponse
	require.NoError(t, closed.Unmarshal(executed(t, s.Deliver(exec(&markettypes.MsgCloseBids{
		Provider: s.addr(east), OrderIds: []markettypes.OrderID{orderID(one, 1, 1), orderID(two, 1, 1)},
	})))[0]))
	require.Zero(t, closed.Results[0].Code)
	requireItem(t, markettypes.ErrBidNotFound, closed.Results[1])
	require.Equal(t, cold, s.balance(east), "the deposit goes back to the owner")

	// In one transaction: two messages for the owner.
	three := s.deploy()
	answers := executed(t, s.Deliver(exec(s.bidMsg(east, orderID(one, 1, 1), "10.25"), s.bidMsg(east, orderID(three, 1, 1), "11"))))
	require.Len(t, answers, 2)
	id := orderID(one, 1, 1).BidID(s.addr(east))
	s.Send(tenant, &markettypes.MsgCreateLease{Id: id})
	s.Blocks(9)
	var withdrawn markettypes.MsgWithdrawLeasesResponse
	require.NoError(t, withdrawn.Unmarshal(executed(t, s.Deliver(exec(&markettypes.MsgWithdrawLeases{
		Provider: s.addr(east), Ids: []markettypes.BidID{id},
	})))[0]))
	require.Equal(t, ubrt(102), withdrawn.Results[0].Amount, "ten blocks at 10.25")
	require.Equal(t, cold-2*deposit+102, s.balance(east), "what is earned goes to the owner")
	require.Equal(t, hot, s.balance(hotKey))

	requireCode(t, authz.ErrNoAuthorizationFound, s.Deliver(exec(&markettypes.MsgCloseLease{
		Signer: s.addr(east), Id: id, Reason: markettypes.CLOSE_REASON_DECOMMISSION,
	})))
	requireCode(t, authz.ErrNoAuthorizationFound, s.Deliver(exec(s.bidMsg(west, orderID(three, 1, 1), "1"))))
	requireCode(t, authz.ErrNoAuthorizationFound, s.Deliver(exec(banktypes.NewMsgSend(s.Addr(east), s.Addr(hotKey), sdk.NewCoins(ubrt(1))))))
	revoke := authz.NewMsgRevoke(s.Addr(east), s.Addr(hotKey), sdk.MsgTypeURL(&markettypes.MsgCreateBids{}))
	s.Send(east, &revoke)
	requireCode(t, authz.ErrNoAuthorizationFound, s.Deliver(exec(s.bidMsg(east, orderID(s.deploy(), 1, 1), "10"))))
}

// TestFeeGrant: a granter pays the fees of another's transactions, which go by virtual sends, up to its limit. What is
// refused for want of an allowance takes nothing.
func TestFeeGrant(t *testing.T) {
	s := newStage(t, nil)
	allowance, err := feegrant.NewMsgGrantAllowance(&feegrant.BasicAllowance{SpendLimit: sdk.NewCoins(ubrt(25_000))}, s.Addr(granter), s.Addr(tenant))
	require.NoError(t, err)
	s.Send(granter, allowance)
	paid, had := s.balance(granter), s.balance(tenant)
	fees := s.App.BankKeeper.GetAllBalances(s.Context(), authtypes.NewModuleAddress(authtypes.FeeCollectorName))
	tx := func(msgs ...sdk.Msg) chaintest.Tx {
		one := s.by(tenant, msgs...)
		one.Fee, one.FeeGranter = sdk.NewCoins(ubrt(10_000)), s.Addr(granter)
		return one
	}
	id := s.nextID()
	s.sent(tx(s.newDeployment(id)))
	require.Equal(t, paid-10_000, s.balance(granter), "the granter pays the fee")
	require.Equal(t, had-5_000_000, s.balance(tenant), "the tenant pays the deposit")
	collected := s.App.BankKeeper.GetAllBalances(s.Context(), authtypes.NewModuleAddress(authtypes.FeeCollectorName))
	require.True(t, collected.Sub(fees...).IsAllGTE(sdk.NewCoins(ubrt(10_000))), "the collector had %s, has %s", fees, collected)

	// A transaction that fails in its messages pays all the same; two in a block use up what is left of the allowance.
	block := s.Block(s.Sign(tx(s.newDeployment(id))), s.Sign(tx(&deploymenttypes.MsgCloseDeployment{Id: id})))
	requireCode(t, deploymenttypes.ErrDeploymentExists, block[0])
	require.NotZero(t, block[1].Code, "5,000 are left of the allowance")
	checkCode(t, "a fee above the allowance", block[1].Codespace, block[1].Code)
	require.Equal(t, paid-20_000, s.balance(granter))
	require.Equal(t, had-5_000_000, s.balance(tenant))

	other := s.by(stranger, s.newDeployment(id))
	other.Fee, other.FeeGranter = sdk.NewCoins(ubrt(1)), s.Addr(granter)
	res := s.Deliver(other)
	require.NotZero(t, res.Code, "there is no allowance for a stranger")
	checkCode(t, "a fee without an allowance", res.Codespace, res.Code)
	require.Equal(t, paid-20_000, s.balance(granter))

	poor := s.by(tenant, &deploymenttypes.MsgCloseDeployment{Id: id})
	poor.Fee = sdk.NewCoins(ubrt(2 * chaintest.Funds))
	requireCode(t, sdkerrors.ErrInsufficientFunds, s.Deliver(poor))
	require.Equal(t, had-5_000_000, s.balance(tenant), "nothing is taken if it does not suffice")
}

// vestingAccount makes an account of 10,000,000 that vest in 100 seconds, all at the end if delayed.
func (s *stage) vestingAccount(name string, delayed bool) *secp256k1.PrivKey {
	s.t.Helper()
	key := secp256k1.GenPrivKeyFromSecret([]byte(name))
	s.Send(granter, &vestingtypes.MsgCreateVestingAccount{
		FromAddress: s.addr(granter), ToAddress: addressOf(key).String(), Amount: sdk.NewCoins(ubrt(10_000_000)),
		EndTime: s.Now.Unix() + 100, Delayed: delayed,
	})
	return key
}

func addressOf(key cryptotypes.PrivKey) sdk.AccAddress { return sdk.AccAddress(key.PubKey().Address()) }

// deployAs opens a deployment of a key's account with a deposit.
func (s *stage) deployAs(key *secp256k1.PrivKey, dseq uint64, deposit int64) *abci.ExecTxResult {
	s.t.Helper()
	msg := s.newDeployment(deploymenttypes.DeploymentID{Owner: addressOf(key).String(), Dseq: dseq})
	msg.Deposit = ubrt(deposit)
	return s.Deliver(chaintest.Tx{Signers: []*secp256k1.PrivKey{key}, Msgs: []sdk.Msg{msg}})
}

// TestVestingAccounts: only what has vested can be deposited; what is left comes back and can be spent; coins that are
// delegated count against what still vests, as the SDK says.
func TestVestingAccounts(t *testing.T) {
	s := newStage(t, nil)
	steady, late := s.vestingAccount("steady", false), s.vestingAccount("late", true)
	began := s.Now.Add(-time.Second).Unix()

	s.Blocks(30)
	vested := func() int64 { return 10_000_000 * (s.Now.Unix() + 1 - began) / 100 } // in the block that comes next
	requireCode(t, escrowtypes.ErrInsufficientFunds, s.deployAs(steady, 1, vested()+500_000))
	requireCode(t, escrowtypes.ErrInsufficientFunds, s.deployAs(late, 1, 500_000))
	require.EqualValues(t, 10_000_000, s.balanceOf(addressOf(steady)))
	res := s.deployAs(steady, 1, 2_000_000)
	require.Zero(t, res.Code, res.Log)

	// A gift can be spent at once, before anything has vested.
	s.Send(granter, banktypes.NewMsgSend(s.Addr(granter), addressOf(late), sdk.NewCoins(ubrt(700_000))))
	requireCode(t, escrowtypes.ErrInsufficientFunds, s.deployAs(late, 1, 700_001))
	res = s.deployAs(late, 1, 700_000)
	require.Zero(t, res.Code, res.Log)

	// The refund comes back whole, and may be deposited again.
	closes := func(key *secp256k1.PrivKey, dseq uint64) {
		s.sent(chaintest.Tx{Signers: []*secp256k1.PrivKey{key}, Msgs: []sdk.Msg{
			&deploymenttypes.MsgCloseDeployment{Id: deploymenttypes.DeploymentID{Owner: addressOf(key).String(), Dseq: dseq}},
		}})
	}
	closes(steady, 1)
	closes(late, 1)
	require.EqualValues(t, 10_000_000, s.balanceOf(addressOf(steady)))
	require.EqualValues(t, 10_700_000, s.balanceOf(addressOf(late)))
	res = s.deployAs(late, 2, 700_000)
	require.Zero(t, res.Code, res.Log)
	closes(late, 2)

	// Coins that still vest can be delegated; then the free ones are still free.
	validator := sdk.ValAddress(s.Operator.PubKey().Address()).String()
	s.sent(chaintest.Tx{Signers: []*secp256k1.PrivKey{late}, Msgs: []sdk.Msg{
		stakingtypes.NewMsgDelegate(addressOf(late).String(), validator, ubrt(10_000_000)),
	}})
	account, ok := s.App.AccountKeeper.GetAccount(s.Context(), addressOf(late)).(*vestingtypes.DelayedVestingAccount)
	require.True(t, ok)
	require.Equal(t, "10000000ubrt", account.DelegatedVesting.String())
	require.EqualValues(t, 700_000, s.balanceOf(addressOf(late)))
	res = s.deployAs(late, 3, 700_000)
	require.Zero(t, res.Code, "what still vests is delegated: all that is left is free: %s", res.Log)
	closes(late, 3)
	require.EqualValues(t, 700_000, s.balanceOf(addressOf(late)))

	s.Blocks(100)
	res = s.deployAs(steady, 2, 10_000_000)
	require.Zero(t, res.Code, "all has vested: %s", res.Log)
}

// TestMultisigOwner: two of three keys create a deployment, and name the key that signs the owner's tokens for the
// gateway. They sign amino JSON, as Ledger devices do.
func TestMultisigOwner(t *testing.T) {
	s := newStage(t, nil)
	var keys []cryptotypes.PrivKey
	var pubs []cryptotypes.PubKey
	for _, name := range []string{"a", "b", "c"} {
		key := secp256k1.GenPrivKeyFromSecret([]byte("member " + name))
		keys, pubs = append(keys, key), append(pubs, key.PubKey())
	}
	owner := kmultisig.NewLegacyAminoPubKey(2, pubs)
	address := sdk.AccAddress(owner.Address())
	s.Send(granter, banktypes.NewMsgSend(s.Addr(granter), address, sdk.NewCoins(ubrt(20_000_000))))

	id := deploymenttypes.DeploymentID{Owner: address.String(), Dseq: 1}
	rich := s.richDeployment()
	rich.Id, rich.DepositSources = id, nil
	gateway := secp256k1.GenPrivKeyFromSecret([]byte("gateway")).PubKey().Bytes()
	msgs := []sdk.Msg{rich, &providertypes.MsgSetGatewayKey{Owner: address.String(), Key: gateway}}
	res := s.Block(s.signMultisig(owner, keys[:1], msgs...))[0]
	require.NotZero(t, res.Code, "one of three does not suffice")
	res = s.Block(s.signMultisig(owner, []cryptotypes.PrivKey{keys[0], keys[2]}, msgs...))[0]
	require.Zero(t, res.Code, res.Log)
	require.EqualValues(t, 15_000_000, s.balanceOf(address))
	d, err := s.App.DeploymentKeeper.Deployment(s.Context(), id)
	require.NoError(t, err)
	require.Equal(t, deploymenttypes.DEPLOYMENT_STATE_ACTIVE, d.State)
	answer, err := s.gatewayKey(address.String())
	require.NoError(t, err)
	require.True(t, bytes.Equal(gateway, answer.Key))

	// Every other message that a tenant sends can be signed like that, too.
	for _, more := range []sdk.Msg{
		&deploymenttypes.MsgUpdateDeployment{Id: id, ManifestHash: bytes.Repeat([]byte{9}, 32)},
		&deploymenttypes.MsgPauseGroup{Id: groupID(id, 1)},
		&deploymenttypes.MsgStartGroup{Id: groupID(id, 1)},
		&escrowtypes.MsgDeposit{Depositor: address.String(), AccountId: id.EscrowID(), Amount: ubrt(500_000), Sources: []escrowtypes.DepositSource{fromBalance()}},
		&providertypes.MsgSetGatewayKey{Owner: address.String()},
		&deploymenttypes.MsgCloseGroup{Id: groupID(id, 1)},
		&deploymenttypes.MsgCloseDeployment{Id: id},
	} {
		res := s.Block(s.signMultisig(owner, keys[1:], more))[0]
		require.Zero(t, res.Code, "%T: %s", more, res.Log)
	}
	require.EqualValues(t, 20_000_000, s.balanceOf(address))
	_, err = s.gatewayKey(address.String())
	require.Error(t, err, "an empty key removes the one that stood")
}

// gatewayKey asks the chain for an owner's gateway key.
func (s *stage) gatewayKey(owner string) (providertypes.GatewayKey, error) {
	s.t.Helper()
	req, err := (&providertypes.QueryGatewayKeyRequest{Owner: owner}).Marshal()
	require.NoError(s.t, err)
	res, err := s.App.Query(s.t.Context(), &abci.RequestQuery{Path: "/berth.provider.v1.Query/GatewayKey", Data: req})
	require.NoError(s.t, err)
	if res.Code != 0 {
		return providertypes.GatewayKey{}, sdkerrors.ErrNotFound.Wrap(res.Log)
	}
	var answer providertypes.QueryGatewayKeyResponse
	require.NoError(s.t, answer.Unmarshal(res.Value))
	return answer.GatewayKey, nil
}

// signMultisig writes a transaction that some members of a multisig have signed.
func (s *stage) signMultisig(owner *kmultisig.LegacyAminoPubKey, members []cryptotypes.PrivKey, msgs ...sdk.Msg) []byte {
	s.t.Helper()
	const mode = signing.SignMode_SIGN_MODE_LEGACY_AMINO_JSON
	config := s.App.TxConfig()
	builder := config.NewTxBuilder()
	require.NoError(s.t, builder.SetMsgs(msgs...))
	builder.SetGasLimit(chaintest.TxGas)
	account := s.App.AccountKeeper.GetAccount(s.Context(), sdk.AccAddress(owner.Address()))
	require.NotNil(s.t, account)
	data := authsigning.SignerData{
		Address: account.GetAddress().String(), ChainID: s.ChainID, AccountNumber: account.GetAccountNumber(),
		Sequence: account.GetSequence(), PubKey: owner,
	}
	together := multisig.NewMultisig(len(owner.PubKeys))
	for _, key := range members {
		bz, err := authsigning.GetSignBytesAdapter(s.t.Context(), config.SignModeHandler(), mode, data, builder.GetTx())
		require.NoError(s.t, err)
		sig, err := key.Sign(bz)
		require.NoError(s.t, err)
		require.NoError(s.t, multisig.AddSignatureFromPubKey(together, &signing.SingleSignatureData{SignMode: mode, Signature: sig}, key.PubKey(), owner.GetPubKeys()))
	}
	require.NoError(s.t, builder.SetSignatures(signing.SignatureV2{PubKey: owner, Data: together, Sequence: data.Sequence}))
	bz, err := config.TxEncoder()(builder.GetTx())
	require.NoError(s.t, err)
	return bz
}
