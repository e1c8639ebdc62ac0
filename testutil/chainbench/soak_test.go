//go:build soak

// The soak runs the real berthd, built with the race detector, under a mixed load, and fails on the first data race.
// `make soak` runs it; SOAK_TIME is how long.
package chainbench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
)

const (
	soakSenders   = 20
	soakProviders = 4
	soakTenants   = 8
	soakAccounts  = soakSenders + soakProviders + soakTenants
	soakSnapshots = 20
)

// soak is a running node and what was done to it.
type soak struct {
	t     *testing.T
	chain *Chain // for its keys and codecs; the node is another process
	rpc   *rpchttp.HTTP
	grpc  *grpc.ClientConn
	api   string
	count sync.Map // of *atomic.Int64 by name
	sign  sync.Mutex
}

func (s *soak) add(what string) {
	n, _ := s.count.LoadOrStore(what, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
}

func (s *soak) number(what string) int64 {
	n, ok := s.count.Load(what)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

// TestSoak: transactions, checks, simulations, queries of three kinds and snapshots run beside the blocks of a node
// whose connections to the app have a mutex each.
func TestSoak(t *testing.T) {
	took, err := time.ParseDuration(cmp.Or(os.Getenv("SOAK_TIME"), "5m"))
	require.NoError(t, err)
	s := &soak{t: t}
	s.chain, err = NewChain(Options{Accounts: soakAccounts, MemDB: true})
	require.NoError(t, err)
	t.Cleanup(s.chain.Close)
	node := s.startNode()

	ctx, cancel := context.WithTimeout(context.Background(), took)
	defer cancel()
	var g sync.WaitGroup
	for i := range soakSenders {
		g.Go(func() { s.send(ctx, i) })
	}
	registered := make(chan struct{})
	for i := range soakProviders {
		g.Go(func() { s.provide(ctx, soakSenders+i, i == 0, registered) })
	}
	for i := range soakTenants {
		g.Go(func() { s.rent(ctx, soakSenders+soakProviders+i, registered) })
	}
	for range 2 {
		g.Go(func() { s.query(ctx) })
		g.Go(func() { s.browse(ctx) })
	}
	g.Go(func() { s.simulate(ctx) })
	g.Wait()

	height := s.height(context.Background())
	broken := s.invariants()
	log := node.stop()
	var lines []string
	s.count.Range(func(what, n any) bool {
		lines = append(lines, fmt.Sprintf("%s %d", what, n.(*atomic.Int64).Load()))
		return true
	})
	snapshots, err := filepath.Glob(filepath.Join(node.home, "data", "snapshots", "*", "*"))
	require.NoError(t, err)
	t.Logf("%s, %d blocks, %d snapshots kept: %s", took, height, len(snapshots), strings.Join(lines, ", "))
	require.Empty(t, broken, "broken invariants")
	require.Zero(t, strings.Count(log, "WARNING: DATA RACE"), "data races, see %s", node.log)
	require.NotEmpty(t, snapshots, "no snapshot was made")
	for _, what := range []string{"sends committed", "leases", "leases closed", "queries", "simulations", "API requests"} {
		require.Positive(t, s.number(what), what)
	}
}

// soakNode is the node's process.
type soakNode struct {
	t         *testing.T
	cmd       *exec.Cmd
	home, log string
	ended     chan error
}

// startNode builds berthd with the race detector and starts a chain of one validator.
func (s *soak) startNode() *soakNode {
	t := s.t
	dir := t.TempDir()
	program := os.Getenv("SOAK_BERTHD")
	if program == "" {
		program = filepath.Join(dir, "berthd")
		out, err := exec.Command("go", "build", "-race", "-o", program, "berth.dev/berth/cmd/berthd").CombinedOutput()
		require.NoError(t, err, string(out))
	}
	n := &soakNode{t: t, home: filepath.Join(dir, "home"), log: filepath.Join(dir, "berthd.log"), ended: make(chan error, 1)}
	rpc, grpcAddr, api := freePort(t), freePort(t), freePort(t)
	args := []string{"devnet", "init", "--home", n.home, "--chain-id", chainID, "--block-time", "200ms", "--rpc", "tcp://" + rpc}
	for i := range soakAccounts {
		args = append(args, "--fund", fmt.Sprintf("%s=%d%s", s.chain.Addr(i), int64(funds), units.BaseDenom))
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	require.NoError(t, err, string(out))

	log, err := os.Create(n.log)
	require.NoError(t, err)
	n.cmd = exec.Command(program, "start", "--home", n.home, "--log_level", "error", "--grpc.enable", "--grpc.address", grpcAddr,
		"--api.enable", "--api.address", "tcp://"+api,
		"--state-sync.snapshot-interval", fmt.Sprint(soakSnapshots), "--state-sync.snapshot-keep-recent", "3")
	n.cmd.Stdout, n.cmd.Stderr = log, log
	require.NoError(t, n.cmd.Start())
	go func() { n.ended <- n.cmd.Wait() }()
	t.Cleanup(func() { _ = n.cmd.Process.Kill() })

	s.rpc, err = rpchttp.New("tcp://"+rpc, "/websocket")
	require.NoError(t, err)
	s.grpc, err = grpc.NewClient(grpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec.NewProtoCodec(s.chain.App.InterfaceRegistry()).GRPCCodec())))
	require.NoError(t, err)
	s.api = "http://" + api
	require.Eventually(t, func() bool {
		status, err := s.rpc.Status(context.Background())
		return err == nil && status.SyncInfo.LatestBlockHeight > 1
	}, 2*time.Minute, 100*time.Millisecond, "the node does not start, see %s", n.log)
	return n
}

// stop ends the node as an operator does and returns what it has logged.
func (n *soakNode) stop() string {
	require.NoError(n.t, n.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-n.ended:
		log, readErr := os.ReadFile(n.log)
		require.NoError(n.t, readErr)
		require.NoError(n.t, err, "the node failed: %s", tail(string(log)))
		return string(log)
	case <-time.After(2 * time.Minute):
		n.t.Fatal("the node does not stop")
		return ""
	}
}

func tail(s string) string { return s[max(0, len(s)-8000):] }

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// deliver sends a message and waits until it is committed. It reports false at the end of the soak.
func (s *soak) deliver(ctx context.Context, from int, msg sdk.Msg) bool {
	s.sign.Lock()
	tx, err := s.chain.Sign(from, 20_000_000, msg)
	s.sign.Unlock()
	if err != nil {
		s.t.Errorf("sign: %v", err)
		return false
	}
	res, err := s.rpc.BroadcastTxSync(ctx, tx)
	if err != nil || res.Code != 0 {
		if ctx.Err() == nil {
			s.t.Errorf("%T of %d: %v %+v", msg, from, err, res)
		}
		return false
	}
	for {
		got, err := s.rpc.Tx(ctx, res.Hash, false)
		if err == nil && got.TxResult.Code != 0 {
			s.t.Errorf("%T of %d: %s", msg, from, got.TxResult.Log)
			return false
		}
		if err == nil {
			return true
		}
		if !pause(ctx, 50*time.Millisecond) {
			return false
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (s *soak) send(ctx context.Context, i int) {
	for s.deliver(ctx, i, s.chain.sendMsg(i, (i+1)%soakSenders)) {
		s.add("sends committed")
	}
}

// provide registers a provider, which then bids on all open orders and withdraws from its leases.
func (s *soak) provide(ctx context.Context, i int, first bool, registered chan struct{}) {
	if !s.deliver(ctx, i, s.chain.providerMsg(i)) {
		return
	}
	if first {
		close(registered)
	}
	market := markettypes.NewQueryClient(s.grpc)
	bid := map[markettypes.OrderID]bool{}
	for pause(ctx, 200*time.Millisecond) {
		open, err := market.Orders(ctx, &markettypes.QueryOrdersRequest{State: markettypes.ORDER_STATE_OPEN, Pagination: &query.PageRequest{Limit: batch}})
		if err != nil {
			s.failed(ctx, "query orders", err)
			continue
		}
		s.add("queries")
		var ids []markettypes.OrderID
		for _, o := range open.Orders {
			if !bid[o.Id] {
				bid[o.Id] = true
				ids = append(ids, o.Id)
			}
		}
		// A bid may come too late for its order; that is the item's failure, not the transaction's.
		if len(ids) > 0 && s.deliver(ctx, i, s.chain.bidsMsg(i, fmt.Sprint(100+i), ids...)) {
			s.add("bid transactions")
		}
	}
}

// rent makes deployments, chooses a bid, deposits, and closes them; each third one is an auction.
func (s *soak) rent(ctx context.Context, i int, registered chan struct{}) {
	select {
	case <-registered:
	case <-ctx.Done():
		return
	}
	market := markettypes.NewQueryClient(s.grpc)
	for dseq := uint64(1); ctx.Err() == nil; dseq++ {
		auction := noAuction
		if dseq%3 == 0 {
			auction = lowest(3)
		}
		if !s.deliver(ctx, i, s.chain.deployMsg(i, dseq, 5_000_000, auction)) {
			return
		}
		s.add("deployments")
		order := s.chain.order(i, dseq)
		if dseq%3 != 0 {
			s.lease(ctx, market, i, order)
		}
		if !s.leased(ctx, market, order) {
			return
		}
		s.add("leases")
		id := escrowtypes.AccountID{Scope: "deployment", Xid: s.chain.deploymentID(i, dseq).String()}
		s.deliver(ctx, i, &escrowtypes.MsgDeposit{Depositor: s.chain.Addr(i).String(), AccountId: id, Amount: coin(600_000)})
		if s.deliver(ctx, i, &deploymenttypes.MsgCloseDeployment{Id: s.chain.deploymentID(i, dseq)}) {
			s.add("leases closed")
		}
	}
}

// lease chooses the first bid on an order.
func (s *soak) lease(ctx context.Context, market markettypes.QueryClient, i int, order markettypes.OrderID) {
	for pause(ctx, 100*time.Millisecond) {
		bids, err := market.Bids(ctx, &markettypes.QueryBidsRequest{Owner: order.Owner, Dseq: order.Dseq})
		if err != nil {
			s.failed(ctx, "query bids", err)
			continue
		}
		s.add("queries")
		if len(bids.Bids) > 0 {
			s.deliver(ctx, i, &markettypes.MsgCreateLease{Id: bids.Bids[0].Id})
			return
		}
	}
}

func (s *soak) leased(ctx context.Context, market markettypes.QueryClient, order markettypes.OrderID) bool {
	for pause(ctx, 100*time.Millisecond) {
		leases, err := market.Leases(ctx, &markettypes.QueryLeasesRequest{Owner: order.Owner, Dseq: order.Dseq})
		s.failed(ctx, "query leases", err)
		s.add("queries")
		if err == nil && len(leases.Leases) > 0 {
			return true
		}
	}
	return false
}

func (s *soak) failed(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		s.t.Errorf("%s: %v", what, err)
	}
}

// query reads the state over gRPC, as it is now and as it was.
func (s *soak) query(ctx context.Context) {
	bank, market, escrow := banktypes.NewQueryClient(s.grpc), markettypes.NewQueryClient(s.grpc), escrowtypes.NewQueryClient(s.grpc)
	for i := 0; pause(ctx, 20*time.Millisecond); i++ {
		_, err := bank.AllBalances(ctx, &banktypes.QueryAllBalancesRequest{Address: s.chain.Addr(i % soakAccounts).String()})
		s.failed(ctx, "query balances", err)
		_, err = market.Leases(ctx, &markettypes.QueryLeasesRequest{Pagination: &query.PageRequest{Limit: 50, CountTotal: true}})
		s.failed(ctx, "query leases", err)
		_, err = escrow.Accounts(ctx, &escrowtypes.QueryAccountsRequest{Pagination: &query.PageRequest{Limit: 50}})
		s.failed(ctx, "query accounts", err)
		s.add("queries")
		s.add("queries")
		s.add("queries")
		if i%25 == 0 {
			for _, line := range s.invariants() {
				s.t.Errorf("broken invariant: %s", line)
			}
			s.add("invariant queries")
		}
	}
}

// browse reads over HTTP: CometBFT's RPC and the node's API.
func (s *soak) browse(ctx context.Context) {
	for pause(ctx, 50*time.Millisecond) {
		height := s.height(ctx)
		if height > 1 {
			at := height - 1
			_, err := s.rpc.BlockResults(ctx, &at)
			s.failed(ctx, "read a block's results", err)
			_, err = s.rpc.NumUnconfirmedTxs(ctx)
			s.failed(ctx, "read the mempool", err)
			s.add("RPC requests")
			s.add("RPC requests")
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.api+"/cosmos/base/tendermint/v1beta1/blocks/latest", nil)
		if err != nil {
			s.failed(ctx, "request the API", err)
			return
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			s.failed(ctx, "request the API", err)
			continue
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			s.failed(ctx, "request the API", errors.New(res.Status))
		}
		s.add("API requests")
	}
}

// simulate runs transactions that are not sent.
func (s *soak) simulate(ctx context.Context) {
	service := txtypes.NewServiceClient(s.grpc)
	from := soakSenders + soakProviders
	for i := uint64(1); pause(ctx, 20*time.Millisecond); i++ {
		s.sign.Lock()
		seq := s.chain.seqs[from]
		tx, err := s.chain.Sign(from, 20_000_000, s.chain.deployMsg(from, 1_000_000+i, 5_000_000, noAuction))
		s.chain.seqs[from] = seq
		s.sign.Unlock()
		if err != nil {
			s.t.Errorf("sign: %v", err)
			return
		}
		// The tenant's own transactions may move its sequence meanwhile: such a refusal is an answer as well.
		_, err = service.Simulate(ctx, &txtypes.SimulateRequest{TxBytes: tx})
		if err == nil {
			s.add("simulations")
		} else {
			s.add("simulations refused")
		}
	}
}

func (s *soak) height(ctx context.Context) int64 {
	status, err := s.rpc.Status(ctx)
	if err != nil {
		s.failed(ctx, "read the status", err)
		return 0
	}
	return status.SyncInfo.LatestBlockHeight
}

// invariants asks the node what is broken.
func (s *soak) invariants() []string {
	res, err := escrowtypes.NewQueryClient(s.grpc).Invariants(context.Background(), &escrowtypes.QueryInvariantsRequest{})
	if err != nil {
		s.t.Errorf("query the invariants: %v", err)
		return nil
	}
	return res.Broken
}
