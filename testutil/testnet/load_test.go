//go:build testnet

package testnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/client"
	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

const (
	// senders is how many accounts send, each one transaction after the other; the last one opens deployments.
	senders = 5
	// senderFunds is what each has at the start, in units.BaseDenom.
	senderFunds = 1_000_000_000_000
	// rebroadcast is how long a transaction may be missing before another node is given it.
	rebroadcast = 2 * time.Second
	sendGas     = 120_000
	deployGas   = 500_000
)

// load sends transactions until it is told to stop. Each is sent again until a block has it.
type load struct {
	chainID string
	keys    keyring.Keyring
	sink    sdk.AccAddress

	mu        sync.Mutex
	nodes     []*node
	committed int
	// deployments are the numbers of those that were opened.
	deployments []uint64
	slowest     time.Duration
	failures    []error

	stop  context.CancelFunc
	group sync.WaitGroup
}

// newLoad makes the senders' keys.
func newLoad(t *testing.T) *load {
	t.Helper()
	kr, err := client.OpenKeyring(keyring.BackendTest, t.TempDir(), strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	l := &load{keys: kr, sink: authtypes.NewModuleAddress("testnet sink")}
	for i := range senders {
		if _, _, err := kr.NewMnemonic(sender(i), keyring.English, "", keyring.DefaultBIP39Passphrase, hd.Secp256k1); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func sender(i int) string { return fmt.Sprintf("sender%d", i) }

func (l *load) address(t *testing.T, i int) sdk.AccAddress {
	t.Helper()
	record, err := l.keys.Key(sender(i))
	if err != nil {
		t.Fatal(err)
	}
	address, err := record.GetAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// start lets every sender begin.
func (l *load) start(t *testing.T, chainID string, nodes []*node) {
	t.Helper()
	l.chainID, l.nodes = chainID, nodes
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	for i := range senders {
		l.group.Go(func() {
			if err := l.run(ctx, i); err != nil {
				l.mu.Lock()
				l.failures = append(l.failures, fmt.Errorf("%s: %w", sender(i), err))
				l.mu.Unlock()
			}
		})
	}
}

// finish lets every sender end its transaction, and returns how many were committed.
func (l *load) finish(t *testing.T) int {
	t.Helper()
	if l.stop == nil {
		return 0
	}
	l.stop()
	l.stop = nil
	l.group.Wait()
	for _, err := range l.failures {
		t.Errorf("load: %v", err)
	}
	return l.committed
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed
}

// run sends one transaction after the other. It ends with the transaction that is under way when ctx ends.
func (l *load) run(ctx context.Context, i int) error {
	clients := make([]*client.Client, len(l.nodes))
	for j, n := range l.nodes {
		var err error
		clients[j], err = client.New(client.Config{Node: n.client.RPC().Remote(), ChainID: l.chainID, Keyring: l.keys, Key: sender(i)})
		if err != nil {
			return err
		}
	}
	number, _, err := clients[0].Account(ctx)
	if err != nil {
		return err
	}
	for sequence := uint64(0); ctx.Err() == nil; sequence++ {
		o := client.BuildOptions{Gas: sendGas, AccountNumber: number, Sequence: sequence}
		var msg sdk.Msg = banktypes.NewMsgSend(clients[0].Address(), l.sink, sdk.NewCoins(sdk.NewInt64Coin(units.BaseDenom, 1)))
		if i == senders-1 {
			o.Gas, msg = deployGas, newDeployment(clients[0].Address(), sequence+1)
		}
		tx, err := clients[0].BuildTx(context.WithoutCancel(ctx), o, msg)
		if err != nil {
			return err
		}
		start := time.Now()
		if err := deliver(clients[i%len(clients):], clients, tx); err != nil {
			return fmt.Errorf("transaction %d: %w", sequence, err)
		}
		l.mu.Lock()
		l.committed++
		if i == senders-1 {
			l.deployments = append(l.deployments, sequence+1)
		}
		l.slowest = max(l.slowest, time.Since(start))
		l.mu.Unlock()
	}
	return nil
}

// deliver gives a transaction to one node after the other until one of them finds it in a block. It fails if the
// transaction failed in its block, or if nothing is heard of it for too long.
func deliver(first, rest []*client.Client, tx []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	clients := slices.Concat(first, rest)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		c := clients[i%len(clients)]
		hash, sent := broadcast(ctx, c, tx)
		for since := time.Now(); time.Since(since) < rebroadcast; {
			for _, c := range clients[:len(rest)] {
				ask, cancel := context.WithTimeout(ctx, time.Second)
				_, err := c.FindTx(ask, hash)
				cancel()
				var failed *client.TxError
				if err == nil || errors.As(err, &failed) {
					return err
				}
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%X is in no block after %s; last broadcast: %w", hash, patience, sent)
			case <-tick.C:
			}
		}
	}
}

// broadcast gives a transaction to a node. What the node says is of no account: it may have the transaction already, or
// have seen it in a block, and a block tells.
func broadcast(ctx context.Context, c *client.Client, tx []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return c.Broadcast(ctx, tx)
}

// newDeployment opens a deployment that nobody bids on.
func newDeployment(owner sdk.AccAddress, dseq uint64) *deploymenttypes.MsgCreateDeployment {
	return &deploymenttypes.MsgCreateDeployment{
		Id:           deploymenttypes.DeploymentID{Owner: owner.String(), Dseq: dseq},
		ManifestHash: bytes.Repeat([]byte{7}, 32),
		Deposit:      sdk.NewInt64Coin(units.BaseDenom, 5_000_000),
		Groups: []deploymenttypes.GroupSpec{{
			Name: "web",
			Units: []deploymenttypes.ResourceUnit{{
				Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 1,
				Price:   sdk.NewDecCoinFromDec(units.BaseDenom, math.LegacyNewDec(10)),
				Storage: []deploymenttypes.Volume{{Name: "default", Bytes: 512 << 20}},
			}},
		}},
	}
}

// check compares what the senders know with the chain's own account of it: each sent coin arrived once.
func (l *load) check(t *testing.T, n *node) {
	t.Helper()
	res, err := banktypes.NewQueryClient(n.client.Conn()).Balance(t.Context(), &banktypes.QueryBalanceRequest{Address: l.sink.String(), Denom: units.BaseDenom})
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(l.committed - len(l.deployments)); res.Balance.Amount.Int64() != want {
		t.Errorf("%s: %s arrived of %d sent", n.Name, res.Balance.Amount, want)
	}
	owner := l.address(t, senders-1).String()
	for _, dseq := range l.deployments {
		_, err := deploymenttypes.NewQueryClient(n.client.Conn()).Deployment(t.Context(), &deploymenttypes.QueryDeploymentRequest{Owner: owner, Dseq: dseq})
		if err != nil {
			t.Errorf("%s: deployment %d: %v", n.Name, dseq, err)
		}
	}
}
