package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/spf13/pflag"

	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"berth.dev/berth/client"
)

const (
	// trustDistance is how far behind the newest block the one lies that a new node is told to trust: it is final, and
	// every server still has it.
	trustDistance = 100
	// discoveryTime is how long a new node collects offers of snapshots; CometBFT takes no less.
	discoveryTime = 5 * time.Second
	// askTimeout bounds one question to another node.
	askTimeout = 10 * time.Second
)

// joinOptions are the flags of init for a node that joins a chain.
type joinOptions struct {
	genesis   string
	peers     []string
	stateSync []string
}

func (o *joinOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.genesis, "genesis", "", "genesis file of the chain to join")
	f.StringSliceVar(&o.peers, "persistent-peers", nil, "ID@HOST:PORT of nodes to stay connected to")
	f.StringSliceVar(&o.stateSync, "state-sync", nil, "RPC addresses of two or more nodes: start from a snapshot that they vouch for")
}

// readGenesis reads the genesis of the chain to join, nil for a chain of one's own. chainID, if given, must be its id.
func (o joinOptions) readGenesis(chainID string) (*genutiltypes.AppGenesis, error) {
	if o.genesis == "" {
		if len(o.stateSync) > 0 {
			return nil, errors.New("--state-sync: a node that joins a chain needs its --genesis")
		}
		if chainID == "" {
			return nil, errors.New("--chain-id: required for a new chain; --genesis joins one that exists")
		}
		return nil, nil
	}
	genesis, err := genutiltypes.AppGenesisFromFile(o.genesis)
	if err != nil {
		return nil, fmt.Errorf("--genesis: %w", err)
	}
	if chainID != "" && chainID != genesis.ChainID {
		return nil, fmt.Errorf("--chain-id: %q, but the genesis is of %q", chainID, genesis.ChainID)
	}
	return genesis, nil
}

// checkPeers refuses what is not an address of a peer.
func (o joinOptions) checkPeers() error {
	for _, peer := range o.peers {
		id, address, ok := strings.Cut(peer, "@")
		raw, err := hex.DecodeString(id)
		if !ok || err != nil || len(raw) != 20 {
			return fmt.Errorf("--persistent-peers: %q is not ID@HOST:PORT with an id of 40 hex digits", peer)
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("--persistent-peers: %q: %w", peer, err)
		}
	}
	return nil
}

// configure writes the peers and the trusted block into config.toml.
func (o joinOptions) configure(ctx context.Context, cfg *cmtcfg.Config, chainID string) error {
	cfg.P2P.PersistentPeers = strings.Join(o.peers, ",")
	if len(o.stateSync) == 0 {
		return nil
	}
	if len(o.stateSync) == 1 {
		return errors.New("--state-sync: at least two nodes are needed, so that one can contradict the other")
	}
	height, hash, err := trustedBlock(ctx, o.stateSync, chainID)
	if err != nil {
		return fmt.Errorf("--state-sync: %w", err)
	}
	cfg.StateSync.Enable = true
	cfg.StateSync.RPCServers = o.stateSync
	cfg.StateSync.TrustHeight, cfg.StateSync.TrustHash = height, hash
	cfg.StateSync.DiscoveryTime = discoveryTime
	return nil
}

// trustedBlock is a recent block of the chain on which all servers agree.
func trustedBlock(ctx context.Context, servers []string, chainID string) (height int64, hash string, err error) {
	clients := make([]*client.Client, len(servers))
	for i, server := range servers {
		if clients[i], err = client.New(client.Config{Node: server, ChainID: chainID}); err != nil {
			return 0, "", err
		}
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		head, err := clients[i].Head(ctx) // an error for a node of another chain
		if err != nil {
			return 0, "", err
		}
		if trusted := max(head.Height-trustDistance, 1); i == 0 || trusted < height {
			height = trusted
		}
	}
	for i, c := range clients {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		commit, err := c.RPC().Commit(ctx, &height)
		if err != nil {
			return 0, "", fmt.Errorf("ask %s for block %d: %w", servers[i], height, err)
		}
		if got := commit.Hash().String(); i == 0 {
			hash = got
		} else if got != hash {
			return 0, "", fmt.Errorf("%s says that block %d is %s, %s says %s: one of them is not of this chain", servers[0], height, hash, servers[i], got)
		}
	}
	return height, hash, nil
}
