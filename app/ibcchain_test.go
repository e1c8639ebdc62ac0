package app_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand"
	"strconv"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/crypto/tmhash"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmtprotoversion "github.com/cometbft/cometbft/proto/tendermint/version"
	cmttypes "github.com/cometbft/cometbft/types"
	cmtversion "github.com/cometbft/cometbft/version"
	dbm "github.com/cosmos/cosmos-db"
	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	clienttypes "github.com/cosmos/ibc-go/v11/modules/core/02-client/types"
	connectiontypes "github.com/cosmos/ibc-go/v11/modules/core/03-connection/types"
	channeltypes "github.com/cosmos/ibc-go/v11/modules/core/04-channel/types"
	commitmenttypes "github.com/cosmos/ibc-go/v11/modules/core/23-commitment/types"
	host "github.com/cosmos/ibc-go/v11/modules/core/24-host"
	ibcexported "github.com/cosmos/ibc-go/v11/modules/core/exported"
	ibctm "github.com/cosmos/ibc-go/v11/modules/light-clients/07-tendermint"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	simtestutil "github.com/cosmos/cosmos-sdk/testutil/sims"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/app"
)

// relayer is one more account of the two chains, whose transactions carry what one chain has proved to the other.
const relayer = operator + 1

// ibcChain is a chain that is driven block by block, without CometBFT. It has one validator, and signs a header for
// each block as that validator would, so that another chain's light client believes it.
type ibcChain struct {
	t      *testing.T
	id     string
	app    *app.App
	clock  *time.Time // both chains'
	key    ed25519.PrivKey
	vals   *cmttypes.ValidatorSet
	height int64
	last   *ibctm.Header // of the block at height; it commits to the state before that block
	hashes []string
	keys   []*secp256k1.PrivKey
	seqs   []uint64

	// What this chain calls its ends of the link.
	client, connection, channel string
}

// newIBCChain starts a chain whose accounts own coins.
func newIBCChain(t *testing.T, id string, clock *time.Time, opts options, coins sdk.Coins, edit func(*app.App, map[string]json.RawMessage)) *ibcChain {
	t.Helper()
	c := &ibcChain{
		t: t, id: id, clock: clock, key: ed25519.GenPrivKeyFromSecret([]byte(id)), seqs: make([]uint64, relayer+1),
		app: app.New(log.NewNopLogger(), dbm.NewMemDB(), true, opts, baseapp.SetChainID(id)),
	}
	c.vals = cmttypes.NewValidatorSet([]*cmttypes.Validator{cmttypes.NewValidator(c.key.PubKey(), 1)})
	pubKey, err := cryptocodec.FromCmtPubKeyInterface(c.key.PubKey())
	require.NoError(t, err)
	for i := range relayer + 1 {
		c.keys = append(c.keys, secp256k1.GenPrivKeyFromSecret(fmt.Appendf(nil, "ibc account %d", i)))
	}
	spec := app.Genesis{
		ChainID: id, Time: *clock,
		Validators: []app.GenesisValidator{{Moniker: "v", PubKey: pubKey, Operator: c.addr(operator), Stake: math.NewInt(1_000_000)}},
		Edit: func(state map[string]json.RawMessage) error {
			if edit != nil {
				edit(c.app, state)
			}
			return nil
		},
	}
	for i := range c.keys {
		spec.Accounts = append(spec.Accounts, app.GenesisAccount{Address: c.addr(i), Coins: coins})
	}
	genesis, err := c.app.BuildGenesis(spec)
	require.NoError(t, err)
	params := genesis.Consensus.Params.ToProto()
	_, err = c.app.InitChain(&abci.RequestInitChain{ChainId: id, Time: *clock, InitialHeight: 1, AppStateBytes: genesis.AppState, ConsensusParams: &params})
	require.NoError(t, err)
	c.block()
	return c
}

func (c *ibcChain) addr(i int) sdk.AccAddress { return sdk.AccAddress(c.keys[i].PubKey().Address()) }

// ctx reads the last committed state.
func (c *ibcChain) ctx() sdk.Context { return c.app.NewContextLegacy(true, header(c.height)) }

func (c *ibcChain) balance(who sdk.AccAddress, denom string) int64 {
	return c.app.BankKeeper.GetBalance(c.ctx(), who, denom).Amount.Int64()
}

// block makes the next block, a second after the last one of either chain, and checks the invariants after it.
func (c *ibcChain) block(txs ...[]byte) *abci.ResponseFinalizeBlock {
	c.t.Helper()
	c.height++
	*c.clock = c.clock.Add(time.Second)
	head := c.sign(c.app.LastCommitID().Hash)
	res, err := c.app.FinalizeBlock(&abci.RequestFinalizeBlock{
		Height: c.height, Time: *c.clock, Txs: txs, NextValidatorsHash: c.vals.Hash(), ProposerAddress: c.vals.Proposer.Address,
	})
	require.NoError(c.t, err)
	_, err = c.app.Commit()
	require.NoError(c.t, err)
	c.last = head
	c.hashes = append(c.hashes, hex.EncodeToString(res.AppHash))
	require.Empty(c.t, c.app.Invariants(c.ctx()), "%s after block %d", c.id, c.height)
	return res
}

// sign makes the header of the block at height, which commits to the state before it, with its validator's signature.
func (c *ibcChain) sign(appHash []byte) *ibctm.Header {
	c.t.Helper()
	hash := func(s string) []byte { return tmhash.Sum([]byte(s)) }
	h := cmttypes.Header{
		Version: cmtprotoversion.Consensus{Block: cmtversion.BlockProtocol}, ChainID: c.id, Height: c.height, Time: *c.clock,
		LastBlockID:    cmttypes.BlockID{Hash: hash("last"), PartSetHeader: cmttypes.PartSetHeader{Total: 1, Hash: hash("parts")}},
		LastCommitHash: hash("commit"), DataHash: hash("data"), ValidatorsHash: c.vals.Hash(), NextValidatorsHash: c.vals.Hash(),
		ConsensusHash: hash("consensus"), AppHash: appHash, LastResultsHash: hash("results"), EvidenceHash: hash("evidence"),
		ProposerAddress: c.vals.Proposer.Address,
	}
	id := cmttypes.BlockID{Hash: h.Hash(), PartSetHeader: cmttypes.PartSetHeader{Total: 1, Hash: hash("parts")}}
	vote := &cmtproto.Vote{
		Type: cmtproto.PrecommitType, Height: h.Height, BlockID: id.ToProto(), Timestamp: h.Time, ValidatorAddress: h.ProposerAddress,
	}
	signature, err := c.key.Sign(cmttypes.VoteSignBytes(c.id, vote))
	require.NoError(c.t, err)
	commit := cmttypes.Commit{Height: h.Height, BlockID: id, Signatures: []cmttypes.CommitSig{{
		BlockIDFlag: cmttypes.BlockIDFlagCommit, ValidatorAddress: h.ProposerAddress, Timestamp: h.Time, Signature: signature,
	}}}
	vals, err := c.vals.ToProto()
	require.NoError(c.t, err)
	return &ibctm.Header{SignedHeader: &cmtproto.SignedHeader{Header: h.ToProto(), Commit: commit.ToProto()}, ValidatorSet: vals}
}

// tx signs a transaction of an account, whose sequence it moves on. It pays no fee, so that balances change by what the
// messages do and nothing else.
func (c *ibcChain) tx(who int, msgs ...sdk.Msg) []byte {
	c.t.Helper()
	tx, err := simtestutil.GenSignedMockTx(rand.New(rand.NewSource(c.height)), c.app.TxConfig(), msgs, sdk.NewCoins(), 5_000_000,
		c.id, []uint64{uint64(who)}, []uint64{c.seqs[who]}, c.keys[who])
	require.NoError(c.t, err)
	c.seqs[who]++
	bz, err := c.app.TxConfig().TxEncoder()(tx)
	require.NoError(c.t, err)
	return bz
}

// send executes messages in a block of their own; they must succeed.
func (c *ibcChain) send(who int, msgs ...sdk.Msg) *abci.ExecTxResult {
	c.t.Helper()
	res := c.block(c.tx(who, msgs...)).TxResults[0]
	require.Zero(c.t, res.Code, "%s: %s", c.id, res.Log)
	return res
}

// refused executes messages that must fail, not by a panic, and returns how they did.
func (c *ibcChain) refused(who int, msgs ...sdk.Msg) *abci.ExecTxResult {
	c.t.Helper()
	res := c.block(c.tx(who, msgs...)).TxResults[0]
	require.NotZero(c.t, res.Code)
	require.NotContains(c.t, res.Log, "panic")
	require.NotEqual(c.t, "undefined", res.Codespace)
	return res
}

// answer decodes the answer of a transaction's i-th message.
func (c *ibcChain) answer(res *abci.ExecTxResult, i int, into interface{ Unmarshal([]byte) error }) {
	c.t.Helper()
	var data sdk.TxMsgData
	require.NoError(c.t, data.Unmarshal(res.Data))
	require.NoError(c.t, into.Unmarshal(data.MsgResponses[i].Value))
}

// attribute finds an event's attribute.
func (c *ibcChain) attribute(res *abci.ExecTxResult, event, key string) string {
	c.t.Helper()
	for _, e := range res.Events {
		for _, a := range e.Attributes {
			if e.Type == event && a.Key == key {
				return a.Value
			}
		}
	}
	c.t.Fatalf("no event %s with %s", event, key)
	return ""
}

// at is the height of the last block, as other chains write it.
func (c *ibcChain) at() clienttypes.Height {
	return clienttypes.NewHeight(clienttypes.ParseChainID(c.id), uint64(c.height))
}

// prove makes a block, whose header commits to the state before it, and proves what that state has, or has not, at a
// key. The proof is to be verified with that header.
func (c *ibcChain) prove(key []byte) []byte {
	c.t.Helper()
	c.block()
	res, err := c.app.Query(c.t.Context(), &abci.RequestQuery{Path: "store/" + ibcexported.StoreKey + "/key", Height: c.height - 1, Data: key, Prove: true})
	require.NoError(c.t, err)
	require.Zero(c.t, res.Code, res.Log)
	proof, err := commitmenttypes.ConvertProofs(res.ProofOps)
	require.NoError(c.t, err)
	bz, err := c.app.AppCodec().Marshal(&proof)
	require.NoError(c.t, err)
	return bz
}

// update tells this chain's client of the other chain's last header.
func (c *ibcChain) update(other *ibcChain) sdk.Msg {
	c.t.Helper()
	head := *other.last
	head.TrustedHeight, head.TrustedValidators = c.app.IBCKeeper.ClientKeeper.GetClientLatestHeight(c.ctx(), c.client), head.ValidatorSet
	msg, err := clienttypes.NewMsgUpdateClient(c.client, &head, c.addr(relayer).String())
	require.NoError(c.t, err)
	return msg
}

// relay proves a key of one chain to the other, with a message that the proof is for.
func relay(from, to *ibcChain, key []byte, msg func(proof []byte, at clienttypes.Height) sdk.Msg) *abci.ExecTxResult {
	to.t.Helper()
	proof := from.prove(key)
	return to.send(relayer, to.update(from), msg(proof, from.at()))
}

// createClient makes c's client of the other chain.
func (c *ibcChain) createClient(other *ibcChain) {
	c.t.Helper()
	state := ibctm.NewClientState(other.id, ibctm.DefaultTrustLevel, 14*24*time.Hour, 21*24*time.Hour, 10*time.Second,
		other.at(), commitmenttypes.GetSDKSpecs(), []string{"upgrade", "upgradedIBCState"})
	msg, err := clienttypes.NewMsgCreateClient(state, other.last.ConsensusState(), c.addr(relayer).String())
	require.NoError(c.t, err)
	c.client = c.attribute(c.send(relayer, msg), clienttypes.EventTypeCreateClient, clienttypes.AttributeKeyClientID)
}

// link opens a connection and a transfer channel between two chains by the four steps of each handshake.
func link(a, b *ibcChain) {
	a.t.Helper()
	a.createClient(b)
	b.createClient(a)
	prefix := func(c *ibcChain) commitmenttypes.MerklePrefix {
		return commitmenttypes.NewMerklePrefix(c.app.IBCKeeper.ConnectionKeeper.GetCommitmentPrefix().Bytes())
	}
	versions := connectiontypes.GetCompatibleVersions()
	by := func(c *ibcChain) string { return c.addr(relayer).String() }

	res := a.send(relayer, connectiontypes.NewMsgConnectionOpenInit(a.client, b.client, prefix(b), nil, 0, by(a)))
	a.connection = a.attribute(res, connectiontypes.EventTypeConnectionOpenInit, connectiontypes.AttributeKeyConnectionID)
	res = relay(a, b, host.ConnectionKey(a.connection), func(proof []byte, at clienttypes.Height) sdk.Msg {
		return connectiontypes.NewMsgConnectionOpenTry(b.client, a.connection, a.client, prefix(a), versions, 0, proof, at, by(b))
	})
	b.connection = b.attribute(res, connectiontypes.EventTypeConnectionOpenTry, connectiontypes.AttributeKeyConnectionID)
	relay(b, a, host.ConnectionKey(b.connection), func(proof []byte, at clienttypes.Height) sdk.Msg {
		return connectiontypes.NewMsgConnectionOpenAck(a.connection, b.connection, proof, at, versions[0], by(a))
	})
	relay(a, b, host.ConnectionKey(a.connection), func(proof []byte, at clienttypes.Height) sdk.Msg {
		return connectiontypes.NewMsgConnectionOpenConfirm(b.connection, proof, at, by(b))
	})

	const port, version = transfertypes.PortID, transfertypes.V1
	res = a.send(relayer, channeltypes.NewMsgChannelOpenInit(port, version, channeltypes.UNORDERED, []string{a.connection}, port, by(a)))
	a.channel = a.attribute(res, channeltypes.EventTypeChannelOpenInit, channeltypes.AttributeKeyChannelID)
	res = relay(a, b, host.ChannelKey(port, a.channel), func(proof []byte, at clienttypes.Height) sdk.Msg {
		return channeltypes.NewMsgChannelOpenTry(port, version, channeltypes.UNORDERED, []string{b.connection}, port, a.channel, version, proof, at, by(b))
	})
	b.channel = b.attribute(res, channeltypes.EventTypeChannelOpenTry, channeltypes.AttributeKeyChannelID)
	relay(b, a, host.ChannelKey(port, b.channel), func(proof []byte, at clienttypes.Height) sdk.Msg {
		return channeltypes.NewMsgChannelOpenAck(port, a.channel, b.channel, version, proof, at, by(a))
	})
	relay(a, b, host.ChannelKey(port, a.channel), func(proof []byte, at clienttypes.Height) sdk.Msg {
		return channeltypes.NewMsgChannelOpenConfirm(port, b.channel, proof, at, by(b))
	})
}

// transferMsg sends a coin over the channel, to arrive within two minutes.
func (c *ibcChain) transferMsg(who int, coin sdk.Coin, receiver, memo string) sdk.Msg {
	until := uint64(c.clock.Add(2 * time.Minute).UnixNano())
	return transfertypes.NewMsgTransfer(transfertypes.PortID, c.channel, coin, c.addr(who).String(), receiver, clienttypes.ZeroHeight(), until, memo)
}

// packet reads the packet that a transaction sent.
func (c *ibcChain) packet(res *abci.ExecTxResult) channeltypes.Packet {
	c.t.Helper()
	get := func(key string) string { return c.attribute(res, channeltypes.EventTypeSendPacket, key) }
	data, err := hex.DecodeString(get(channeltypes.AttributeKeyDataHex))
	require.NoError(c.t, err)
	number := func(key string) uint64 {
		n, err := strconv.ParseUint(get(key), 10, 64)
		require.NoError(c.t, err)
		return n
	}
	return channeltypes.NewPacket(data, number(channeltypes.AttributeKeySequence), get(channeltypes.AttributeKeySrcPort), get(channeltypes.AttributeKeySrcChannel),
		get(channeltypes.AttributeKeyDstPort), get(channeltypes.AttributeKeyDstChannel), clienttypes.ZeroHeight(), number(channeltypes.AttributeKeyTimeoutTimestamp))
}

// receive carries a packet over and returns the acknowledgement.
func receive(from, to *ibcChain, p channeltypes.Packet) []byte {
	to.t.Helper()
	res := relay(from, to, host.PacketCommitmentKey(p.SourcePort, p.SourceChannel, p.Sequence), func(proof []byte, at clienttypes.Height) sdk.Msg {
		return channeltypes.NewMsgRecvPacket(p, proof, at, to.addr(relayer).String())
	})
	ack, err := hex.DecodeString(to.attribute(res, channeltypes.EventTypeWriteAck, channeltypes.AttributeKeyAckHex))
	require.NoError(to.t, err)
	return ack
}

// acknowledge carries an acknowledgement back to the chain that sent the packet.
func acknowledge(from, to *ibcChain, p channeltypes.Packet, ack []byte) {
	to.t.Helper()
	relay(to, from, host.PacketAcknowledgementKey(p.DestinationPort, p.DestinationChannel, p.Sequence), func(proof []byte, at clienttypes.Height) sdk.Msg {
		return channeltypes.NewMsgAcknowledgement(p, ack, proof, at, from.addr(relayer).String())
	})
}

// transferOver makes a transfer, and carries its packet over and the acknowledgement back. It tells whether the other
// chain took it.
func transferOver(from, to *ibcChain, who int, coin sdk.Coin, receiver, memo string) bool {
	to.t.Helper()
	p := from.packet(from.send(who, from.transferMsg(who, coin, receiver, memo)))
	ack := receive(from, to, p)
	acknowledge(from, to, p, ack)
	return bytes.Equal(ack, channeltypes.NewResultAcknowledgement([]byte{1}).Acknowledgement())
}

// expire lets a packet's time run out and gives the sender its coins back.
func expire(from, to *ibcChain, p channeltypes.Packet) {
	from.t.Helper()
	*from.clock = from.clock.Add(3 * time.Minute)
	relay(to, from, host.PacketReceiptKey(p.DestinationPort, p.DestinationChannel, p.Sequence), func(proof []byte, at clienttypes.Height) sdk.Msg {
		return channeltypes.NewMsgTimeout(p, 1, proof, at, from.addr(relayer).String())
	})
}
