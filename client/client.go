// Package client reaches the chain from outside: it queries state, signs transactions with a keyring and follows them
// to their inclusion. Tenants' tool and providers' daemon both stand on it; it needs one address, CometBFT's RPC.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	jsonrpcclient "github.com/cometbft/cometbft/rpc/jsonrpc/client"
	"google.golang.org/grpc"

	sdkclient "github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/std"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	txsigning "github.com/cosmos/cosmos-sdk/x/tx/signing"

	"berth.dev/berth/units"
	"berth.dev/berth/units/protofiles"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// DefaultGasPrices is what a transaction offers per unit of gas when nothing else is configured.
const DefaultGasPrices = "0.0025" + units.BaseDenom

// ErrReadOnly is returned by what needs a key when the client has none.
var ErrReadOnly = errors.New("no key is configured")

// ErrWrongChain means that the node serves another chain than the configured one.
var ErrWrongChain = errors.New("the node serves another chain")

// Config says which chain to reach and with whose key.
type Config struct {
	// Node is the address of a CometBFT RPC, for example tcp://127.0.0.1:26657.
	Node string
	// ChainID is asked of the node when empty.
	ChainID string
	// Keyring and Key name the signer; without a Key the client only reads.
	Keyring keyring.Keyring
	Key     string
	// GasPrices is offered per unit of gas; empty means DefaultGasPrices.
	GasPrices string
}

// Client reads the chain and sends transactions. It may be used from several goroutines; Send is not serialised, so
// concurrent sends of one account can collide on the sequence number, which Send resolves by trying again.
type Client struct {
	cfg       Config
	rpc       *rpchttp.HTTP
	codec     codec.Codec
	txConfig  sdkclient.TxConfig
	gasPrices sdk.DecCoins
	address   sdk.AccAddress
}

// New makes a client. It touches neither network nor chain; a key that the keyring lacks is an error.
func New(cfg Config) (*Client, error) {
	if cfg.GasPrices == "" {
		cfg.GasPrices = DefaultGasPrices
	}
	prices, err := sdk.ParseDecCoins(cfg.GasPrices)
	if err != nil {
		return nil, fmt.Errorf("read gas prices %q: %w", cfg.GasPrices, err)
	}
	rpc, err := newRPC(cfg.Node)
	if err != nil {
		return nil, fmt.Errorf("node address %q: %w", cfg.Node, err)
	}
	cdc, err := newCodec()
	if err != nil {
		return nil, fmt.Errorf("set up the codec: %w", err)
	}
	c := &Client{
		cfg: cfg, rpc: rpc, codec: cdc, gasPrices: prices,
		txConfig: authtx.NewTxConfig(cdc, []signing.SignMode{signing.SignMode_SIGN_MODE_DIRECT}),
	}
	if cfg.Key == "" {
		return c, nil
	}
	if cfg.Keyring == nil {
		return nil, fmt.Errorf("key %q: no keyring is configured", cfg.Key)
	}
	record, err := cfg.Keyring.Key(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("find key %q in the keyring: %w", cfg.Key, err)
	}
	if c.address, err = record.GetAddress(); err != nil {
		return nil, fmt.Errorf("address of key %q: %w", cfg.Key, err)
	}
	return c, nil
}

// The connections to the node that are kept while nothing is asked: transactions that are sent together would otherwise
// each open one and close it again. A node closes those that nothing was asked on for ten seconds, so that we do before.
const (
	keptConns = 32
	keptFor   = 5 * time.Second
)

func newRPC(node string) (*rpchttp.HTTP, error) {
	hc, err := jsonrpcclient.DefaultHTTPClient(node)
	if err != nil {
		return nil, err
	}
	if tr, ok := hc.Transport.(*http.Transport); ok {
		tr.MaxIdleConnsPerHost, tr.IdleConnTimeout = keptConns, keptFor
	}
	return rpchttp.NewWithClient(node, "/websocket", hc)
}

func newCodec() (codec.Codec, error) {
	files, err := protofiles.Resolved()
	if err != nil {
		return nil, fmt.Errorf("resolve the protobuf descriptors: %w", err)
	}
	registry, err := codectypes.NewInterfaceRegistryWithOptions(codectypes.InterfaceRegistryOptions{
		ProtoFiles: files,
		SigningOptions: txsigning.Options{
			AddressCodec:          address.NewBech32Codec(sdk.GetConfig().GetBech32AccountAddrPrefix()),
			ValidatorAddressCodec: address.NewBech32Codec(sdk.GetConfig().GetBech32ValidatorAddrPrefix()),
		},
	})
	if err != nil {
		return nil, err
	}
	for _, register := range []func(codectypes.InterfaceRegistry){
		std.RegisterInterfaces, authtypes.RegisterInterfaces, banktypes.RegisterInterfaces, authz.RegisterInterfaces,
		providertypes.RegisterInterfaces, escrowtypes.RegisterInterfaces, deploymenttypes.RegisterInterfaces,
		markettypes.RegisterInterfaces,
	} {
		register(registry)
	}
	return codec.NewProtoCodec(registry), nil
}

// OpenKeyring opens the keyring of a backend (os, file, test) in a directory; in answers passphrase prompts.
func OpenKeyring(backend, dir string, in io.Reader) (keyring.Keyring, error) {
	cdc, err := newCodec()
	if err != nil {
		return nil, fmt.Errorf("set up the codec: %w", err)
	}
	kr, err := keyring.New("berth", backend, dir, in, cdc)
	if err != nil {
		return nil, fmt.Errorf("open the %s keyring in %s: %w", backend, dir, err)
	}
	return kr, nil
}

// Conn is the connection for the modules' query clients; it answers from the latest state.
func (c *Client) Conn() grpc.ClientConnInterface { return queryConn{c.rpc, c.codec} }

// RPC is the node's CometBFT RPC.
func (c *Client) RPC() *rpchttp.HTTP { return c.rpc }

// Codec knows the messages and accounts of the chain.
func (c *Client) Codec() codec.Codec { return c.codec }

// Address is the signer's; empty for a client without a key.
func (c *Client) Address() sdk.AccAddress { return c.address }

// Sign signs data with the client's key and returns the 64 bytes R||S over its SHA-256 and the 33-byte compressed
// public key.
func (c *Client) Sign(data []byte) (sig, pubKey []byte, err error) {
	if c.cfg.Key == "" {
		return nil, nil, ErrReadOnly
	}
	sig, pub, err := c.cfg.Keyring.Sign(c.cfg.Key, data, signing.SignMode_SIGN_MODE_DIRECT)
	if err != nil {
		return nil, nil, fmt.Errorf("sign with key %q: %w", c.cfg.Key, err)
	}
	return sig, pub.Bytes(), nil
}

// PublicKey is the 33-byte compressed public key that Sign signs with. It asks the keyring for no signature.
func (c *Client) PublicKey() ([]byte, error) {
	if c.cfg.Key == "" {
		return nil, ErrReadOnly
	}
	record, err := c.cfg.Keyring.Key(c.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("find key %q in the keyring: %w", c.cfg.Key, err)
	}
	pub, err := record.GetPubKey()
	if err != nil {
		return nil, fmt.Errorf("public key of key %q: %w", c.cfg.Key, err)
	}
	return pub.Bytes(), nil
}

// Head is the newest block of a node.
type Head struct {
	ChainID    string
	Height     int64
	Time       time.Time
	CatchingUp bool
}

// Head asks the node for its newest block.
func (c *Client) Head(ctx context.Context) (Head, error) {
	st, err := c.rpc.Status(ctx)
	if err != nil {
		return Head{}, fmt.Errorf("ask node %s for its status: %w", c.cfg.Node, err)
	}
	if c.cfg.ChainID != "" && c.cfg.ChainID != st.NodeInfo.Network {
		return Head{}, fmt.Errorf("node %s serves chain %s, not %s: %w", c.cfg.Node, st.NodeInfo.Network, c.cfg.ChainID, ErrWrongChain)
	}
	s := st.SyncInfo
	return Head{ChainID: st.NodeInfo.Network, Height: s.LatestBlockHeight, Time: s.LatestBlockTime, CatchingUp: s.CatchingUp}, nil
}

// blockTimeSample is how many of the last blocks BlockTime looks back over.
const blockTimeSample = 1000

// BlockTime is the mean time between the last blocks, at most 1000 of them.
func (c *Client) BlockTime(ctx context.Context) (time.Duration, error) {
	head, err := c.Head(ctx)
	if err != nil {
		return 0, err
	}
	// The first block carries the genesis time, which can lie far from the second's.
	first := max(2, head.Height-blockTimeSample)
	if head.Height <= first {
		return 0, fmt.Errorf("measure the block time: the chain has only %d blocks", head.Height)
	}
	h, err := c.rpc.Header(ctx, &first)
	if err != nil {
		return 0, fmt.Errorf("read the header of block %d: %w", first, err)
	}
	return head.Time.Sub(h.Header.Time) / time.Duration(head.Height-first), nil
}
