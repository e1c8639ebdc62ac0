package main

import (
	"fmt"
	"strings"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/app"
	"berth.dev/berth/units"
)

const (
	// portStep lies between the ports of two nodes on one machine.
	portStep = 10
	// operatorKey is the name of a validator's key in its home's keyring.
	operatorKey = "validator"
)

// genesisNode is a node that is written together with its chain's genesis: its home, keys and addresses.
type genesisNode struct {
	nodeHome
	// validates says that the node is in the genesis, bonded from the first block.
	validates bool
	id        string
	pubKey    cryptotypes.PubKey
	operator  sdk.AccAddress
	// mnemonic gives the operator's key, if it was made now.
	mnemonic string
	// rpc is where this machine reaches the RPC, p2p where other nodes reach this one.
	rpc, p2p string
}

// network is a new chain and the nodes that run it.
type network struct {
	// genesis lacks the nodes' validators and accounts.
	genesis app.Genesis
	// stake is what each validator stakes, funds what its operator has besides, in units.BaseDenom.
	stake, funds math.Int
	nodes        []genesisNode
}

// write makes the nodes' keys, then writes the genesis that names all of them into each home.
func (w *network) write(chain *app.App) error {
	for i := range w.nodes {
		n := &w.nodes[i]
		if err := n.makeAllKeys(chain); err != nil {
			return err
		}
		if !n.validates {
			continue
		}
		w.genesis.Validators = append(w.genesis.Validators, app.GenesisValidator{
			Moniker: n.comet.Moniker, PubKey: n.pubKey, Operator: n.operator, Stake: w.stake,
		})
		w.genesis.Accounts = append(w.genesis.Accounts, app.GenesisAccount{
			Address: n.operator, Coins: sdk.NewCoins(sdk.NewCoin(units.BaseDenom, w.funds)),
		})
	}
	doc, err := chain.BuildGenesis(w.genesis)
	if err != nil {
		return err
	}
	for i, n := range w.nodes {
		n.comet.P2P.PersistentPeers = peersOf(w.nodes, i)
		if err := n.write(doc); err != nil {
			return err
		}
	}
	return nil
}

// makeAllKeys makes the node's keys and, for a validator, its operator's.
func (n *genesisNode) makeAllKeys(chain *app.App) error {
	var err error
	if n.id, n.pubKey, err = n.makeKeys(); err != nil || !n.validates {
		return err
	}
	kr, err := keyring.New(sdk.KeyringServiceName(), keyring.BackendTest, n.dir, strings.NewReader(""), chain.AppCodec())
	if err != nil {
		return fmt.Errorf("open the keyring in %s: %w", n.dir, err)
	}
	record, err := kr.Key(operatorKey)
	if err != nil {
		record, n.mnemonic, err = kr.NewMnemonic(operatorKey, keyring.English, sdk.FullFundraiserPath, keyring.DefaultBIP39Passphrase, hd.Secp256k1)
	}
	if err != nil {
		return fmt.Errorf("make the operator's key: %w", err)
	}
	n.operator, err = record.GetAddress()
	return err
}

// peersOf lists the addresses of all nodes but one.
func peersOf(nodes []genesisNode, self int) string {
	var peers []string
	for i, n := range nodes {
		if i != self {
			peers = append(peers, n.id+"@"+n.p2p)
		}
	}
	return strings.Join(peers, ",")
}

// parseFunds reads ADDRESS=COINS.
func parseFunds(funds []string) ([]app.GenesisAccount, error) {
	var accounts []app.GenesisAccount
	for _, fund := range funds {
		address, amount, ok := strings.Cut(fund, "=")
		if !ok {
			return nil, fmt.Errorf("--fund %q: is not ADDRESS=COINS", fund)
		}
		addr, err := sdk.AccAddressFromBech32(address)
		if err != nil {
			return nil, fmt.Errorf("--fund %q: %w", fund, err)
		}
		coins, err := sdk.ParseCoinsNormalized(amount)
		if err != nil || coins.Empty() {
			return nil, fmt.Errorf("--fund %q: %q are not coins, for example 1000000%s", fund, amount, units.BaseDenom)
		}
		accounts = append(accounts, app.GenesisAccount{Address: addr, Coins: coins})
	}
	return accounts, nil
}
