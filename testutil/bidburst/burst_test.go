//go:build bidburst

// Package bidburst measures a provider on a devnet of real processes: a real chain, real signatures, workloads
// simulated. `make bench-bid` runs it.
package bidburst

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/client"
	"berth.dev/berth/devnet"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/simulate"
	"berth.dev/berth/tenant/home"
	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const (
	portsBase = 44200
	// groups is the most that a deployment may have; each is an order.
	groups = 20
	// perTx is how many deployments one transaction makes.
	perTx = 5
	// nodes of the provider that is measured.
	nodes = 10_000
)

// market is a devnet with what the measurements need of it.
type market struct {
	info   devnet.Info
	east   devnet.ProviderInfo
	tenant *client.Client
	send   *chain.Sender
	dseq   uint64
}

// TestFigures prints figures and compares them with nothing: how fast a machine is does not decide whether a test
// passes. It fails when an order gets no bid.
func TestFigures(t *testing.T) {
	m := start(t)
	t.Run("burst", func(t *testing.T) { m.burst(t, number(t, "BURST", 100)) })
	t.Run("simulate", func(t *testing.T) { m.simulate(t, number(t, "BURST", 100)*groups) })
	t.Run("catch up", func(t *testing.T) { m.catchUp(t, number(t, "BACKLOG", 5000)) })
}

func number(t *testing.T, name string, def int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < perTx {
		t.Fatalf("%s: %q is not a number of deployments, at least %d", name, text, perTx)
	}
	return n
}

func start(t *testing.T) *market {
	state := filepath.Join(t.TempDir(), "devnet")
	t.Cleanup(func() {
		if _, err := program(context.Background(), "berth", "devnet", "down", "--state", state); err != nil {
			t.Error(err)
		}
	})
	out, err := program(t.Context(), "berth", "devnet", "up", "--state", state, "--ports-base", strconv.Itoa(portsBase), "--cluster", "simulated", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	m := &market{}
	if err := json.Unmarshal(out, &m.info); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.info.Providers {
		if p.Region == "east" {
			m.east = p
		}
	}
	kr, err := client.OpenKeyring(keyring.BackendTest, m.info.TenantHome, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	m.tenant, err = client.New(client.Config{Node: m.info.Node, ChainID: m.info.ChainID, Keyring: kr, Key: home.DefaultKey})
	if err != nil {
		t.Fatal(err)
	}
	if m.send, err = chain.NewSender(m.tenant, chain.SenderConfig{Lifetime: 9 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	m.enlarge(t)
	return m
}

var nodesLine = regexp.MustCompile(`(?m)^  nodes: .*$`)

// enlarge gives the measured provider a large cluster and lets the supervisor start it anew.
func (m *market) enlarge(t *testing.T) {
	t.Helper()
	var list []string
	for i := range nodes {
		list = append(list, fmt.Sprintf(`{name: n%d, cpu: "256", memory_gib: 2048, storage_gib: 50000}`, i))
	}
	file := filepath.Join(m.east.Home, "provider.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edited := nodesLine.ReplaceAll(data, []byte("  nodes: ["+strings.Join(list, ", ")+"]"))
	if bytes.Equal(edited, data) {
		t.Fatalf("%s has no nodes to replace", file)
	}
	if err := os.WriteFile(file, edited, 0o600); err != nil {
		t.Fatal(err)
	}
	m.restart(t)
	await(t, "the larger cluster", time.Minute, func() error {
		if got := m.metric("berth_provider_capacity", `resource="cpu"`); got < nodes*64*1000 {
			return fmt.Errorf("the provider sells %.0f thousandths of a core", got)
		}
		return nil
	})
}

// pid is the measured provider's.
func (m *market) pid() (int, error) { return m.pidOf("provider-" + m.east.Name) }

func (m *market) pidOf(name string) (int, error) {
	data, err := os.ReadFile(filepath.Join(m.info.State, "pids", name))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	return strconv.Atoi(first)
}

// restart ends the provider; the supervisor starts it again.
func (m *market) restart(t *testing.T) {
	t.Helper()
	pid, err := m.pid()
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pause stops the provider where it is, until the returned function lets it go on.
func (m *market) pause(t *testing.T) (resume func()) {
	t.Helper()
	pid, err := m.pid()
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGSTOP)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
}

// metric reads a number from the provider's metrics; -1 if it can't be had.
func (m *market) metric(name, label string) float64 {
	res, err := http.Get(m.east.Metrics)
	if err != nil {
		return -1
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name) && strings.Contains(line, label) {
			fields := strings.Fields(line)
			if v, err := strconv.ParseFloat(fields[len(fields)-1], 64); err == nil {
				return v
			}
		}
	}
	return -1
}

// deploy asks for n deployments of as many groups as there may be, in transactions that are sent at once.
func (m *market) deploy(t *testing.T, n, inFlight int) {
	t.Helper()
	first := m.txOf(perTx)
	fee, err := m.tenant.Estimate(t.Context(), first...)
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	g.SetLimit(inFlight)
	for sent := 0; sent < n; sent += perTx {
		msgs := first
		if sent > 0 {
			msgs = m.txOf(min(perTx, n-sent))
		}
		g.Go(func() error {
			_, err := m.send.SendWith(t.Context(), chain.Options{Gas: fee.Gas * 5 / 4}, msgs...)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (m *market) txOf(n int) []sdk.Msg {
	msgs := make([]sdk.Msg, n)
	for i := range msgs {
		m.dseq++
		msgs[i] = m.deployment(m.dseq)
	}
	return msgs
}

// deployment asks the measured provider only, in each group for two services of three instances.
func (m *market) deployment(dseq uint64) sdk.Msg {
	price := sdk.NewDecCoin(units.BaseDenom, math.NewInt(1_000_000))
	unit := func(id uint32) deploymenttypes.ResourceUnit {
		return deploymenttypes.ResourceUnit{
			Id: id, CpuMilli: 100, MemoryBytes: 128 << 20, Count: 3, Price: price,
			Storage:   []deploymenttypes.Volume{{Name: "default", Bytes: 256 << 20}},
			Endpoints: []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP, Sequence: 1}},
		}
	}
	msg := &deploymenttypes.MsgCreateDeployment{
		Id: deploymenttypes.DeploymentID{Owner: m.info.Tenant, Dseq: dseq}, ManifestHash: bytes.Repeat([]byte{7}, 32),
		Deposit: sdk.NewInt64Coin(units.BaseDenom, 500_000),
	}
	for g := range groups {
		msg.Groups = append(msg.Groups, deploymenttypes.GroupSpec{
			Name:         fmt.Sprintf("g%d", g),
			Requirements: deploymenttypes.PlacementRequirements{Attributes: []providertypes.Attribute{{Key: "region", Value: "east"}}},
			Units:        []deploymenttypes.ResourceUnit{unit(1), unit(2)},
		})
	}
	return msg
}

// throw asks for n deployments in transactions that reach the node at once, and does not wait for them: reading what became
// of so many takes a core for itself, which is not what is measured.
func (m *market) throw(t *testing.T, n int) {
	t.Helper()
	first := m.txOf(perTx)
	fee, err := m.tenant.Estimate(t.Context(), first...)
	if err != nil {
		t.Fatal(err)
	}
	number, _, err := m.tenant.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head, err := m.tenant.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var txs [][]byte
	for made := 0; made < n; made += perTx {
		msgs := first
		if made > 0 {
			msgs = m.txOf(min(perTx, n-made))
		}
		tx, err := m.tenant.BuildTx(t.Context(), client.BuildOptions{
			Gas: fee.Gas * 5 / 4, AccountNumber: number, Unordered: true, TimeoutTimestamp: head.Time.Add(time.Minute + time.Duration(made)),
		}, msgs...)
		if err != nil {
			t.Fatal(err)
		}
		txs = append(txs, tx)
	}
	var g errgroup.Group
	for _, tx := range txs {
		g.Go(func() error {
			_, err := m.tenant.Broadcast(t.Context(), tx)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// steps are what the provider tells of its way from a block to its bids, in their order.
var steps = []string{"read", "decided", "signed", "noted", "broadcast", "answered"}

// step is how often a step was reached, and the sum of the seconds until then.
func (m *market) step(name string) (sum, n float64) {
	metric, label := "berth_provider_bid_step_seconds", `step="`+name+`"`
	if name == "broadcast" {
		metric, label = "berth_provider_block_to_broadcast_seconds", ""
	}
	return max(0, m.metric(metric+"_sum", label)), max(0, m.metric(metric+"_count", label))
}

// cpu is the processor time that a program has taken so far.
func (m *market) cpu(name string) time.Duration {
	pid, err := m.pidOf(name)
	if err != nil {
		return 0
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] { // user and system time, in hundredths of a second
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(data), " ")
	return one
}

// burst times the answer to orders that arrive at once.
func (m *market) burst(t *testing.T, deployments int) {
	head, err := m.tenant.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := deployments * groups
	before := make(map[string][2]float64)
	for _, s := range steps {
		sum, n := m.step(s)
		before[s] = [2]float64{sum, n}
	}
	programs := []string{"provider-" + m.east.Name, "chain"}
	spent := make(map[string]time.Duration)
	for _, p := range programs {
		spent[p] = m.cpu(p)
	}
	busy, taken := load(), max(0, m.metric("berth_provider_bids_total", `"taken"`))
	m.throw(t, deployments)
	// Seldom, as telling takes time as well.
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(time.Minute); m.metric("berth_provider_bids_total", `"taken"`)-taken < float64(want) && time.Now().Before(until); {
		<-tick.C
	}
	for _, p := range programs {
		t.Logf("figure: %s took %.0f ms of processor time from the orders to the last bid", p, (m.cpu(p)-spent[p]).Seconds()*1000)
	}
	way := ""
	for _, s := range steps {
		sum, n := m.step(s)
		sum, n = sum-before[s][0], n-before[s][1]
		way += fmt.Sprintf(" %s %.0f ms (%.0f times)", s, 1000*sum/n, n)
	}
	t.Logf("figure: from seeing a block until, on average:%s; target 100 ms until all of a block is answered; load %s before it", way, busy)
	orders, bids := 0, 0
	var lastOrder, lastBid, lastOrderHeight, lastBidHeight = time.Time{}, time.Time{}, int64(0), int64(0)
	deadline := time.Now().Add(2 * time.Minute)
	for height := head.Height + 1; bids < want; height++ {
		var o, b int
		await(t, fmt.Sprintf("block %d", height), time.Until(deadline), func() error {
			var err error
			o, b, err = m.count(t.Context(), height)
			return err
		})
		at := m.blockTime(t, height)
		if o > 0 {
			orders, lastOrder, lastOrderHeight = orders+o, at, height
		}
		if b > 0 {
			bids, lastBid, lastBidHeight = bids+b, at, height
			t.Logf("block %d: %d orders, %d bids", height, o, b)
		}
	}
	if orders != want {
		t.Errorf("%d orders, want %d", orders, want)
	}
	t.Logf("figure: burst of %d orders: all %d bids committed %.2f s (%d blocks) after the block that holds the last order; target 5 s",
		orders, bids, lastBid.Sub(lastOrder).Seconds(), lastBidHeight-lastOrderHeight)
}

// count counts a block's new orders, and the measured provider's bids among the new ones.
func (m *market) count(ctx context.Context, height int64) (orders, bids int, err error) {
	res, err := m.tenant.RPC().BlockResults(ctx, &height)
	if err != nil {
		return 0, 0, err
	}
	created, bid := proto.MessageName(&markettypes.EventOrderCreated{}), proto.MessageName(&markettypes.EventBidCreated{})
	for _, tx := range res.TxsResults {
		for _, e := range tx.Events {
			switch e.Type {
			case created:
				orders++
			case bid:
				for _, a := range e.Attributes {
					if a.Key == "provider" && strings.Contains(a.Value, m.east.Address) {
						bids++
					}
				}
			}
		}
	}
	return orders, bids, nil
}

func (m *market) blockTime(t *testing.T, height int64) time.Time {
	t.Helper()
	b, err := m.tenant.RPC().Block(t.Context(), &height)
	if err != nil {
		t.Fatal(err)
	}
	return b.Block.Time
}

// simulate records the burst and tries two pricing files on it: one that all orders can pay, and one that none can.
func (m *market) simulate(t *testing.T, want int) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	orders, nodesFile := path("orders.jsonl"), path("nodes.json")
	out, err := program(t.Context(), "berth-provider", "record", "--home", m.east.Home, "--last", "200", "--orders", orders, "--nodes", nodesFile, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct{ Orders, Nodes int }
	if err := json.Unmarshal(out, &recorded); err != nil {
		t.Fatal(err)
	}
	if recorded.Orders != want || recorded.Nodes != nodes {
		t.Errorf("recorded %d orders and %d nodes, want %d and %d", recorded.Orders, recorded.Nodes, want, nodes)
	}
	for name, cpu := range map[string]string{"cheap.yaml": "1000", "dear.yaml": "100000000"} {
		text := "prices: {ubrt: {per: block, cpu: " + cpu + "}}\n"
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	try := []string{"simulate", "--orders", orders, "--nodes", nodesFile, "--pricing", path("cheap.yaml"), "--against", path("dear.yaml")}
	began := time.Now()
	if out, err = program(t.Context(), "berth-provider", append(try, "-o", "json")...); err != nil {
		t.Fatal(err)
	}
	t.Logf("figure: two pricing files tried on %d recorded orders in %.2f s", recorded.Orders, time.Since(began).Seconds())
	var results []simulate.Result
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatal(err)
	}
	for i, bids := range []int{want, 0} {
		r := results[i]
		refused := 0
		for _, reason := range r.Refusals {
			refused += reason.Orders
		}
		if r.Orders != want || r.Bids != bids || r.Bids+refused != r.Orders {
			t.Errorf("%s: %d orders, %d bids, %d refused (%+v); want %d orders and %d bids", r.Name, r.Orders, r.Bids, refused, r.Refusals, want, bids)
		}
	}
	if out, err = program(t.Context(), "berth-provider", try...); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", out)
}

// catchUp times a provider that starts on a market full of open orders.
func (m *market) catchUp(t *testing.T, deployments int) {
	resume := m.pause(t)
	defer resume()
	began := time.Now()
	m.deploy(t, deployments, 64)
	t.Logf("%d orders made in %.0f s", deployments*groups, time.Since(began).Seconds())
	node := m.cpu("chain")
	busy := load()
	m.restart(t)
	began = time.Now()
	var took time.Duration
	open := 0.0
	await(t, "the provider to know all orders", 5*time.Minute, func() error {
		open = 0
		for _, state := range []string{"waiting", "sending", "bid"} {
			open += max(0, m.metric("berth_provider_orders", `state="`+state+`"`))
		}
		if open < float64(deployments*groups) {
			return fmt.Errorf("%.0f orders are known", open)
		}
		took = time.Since(began)
		return nil
	})
	pid, err := m.pid()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("figure: cold start to knowing %.0f open orders: %.1f s (the process's own start and its supervisor's included; %.1f s of processor time, the node %.1f s), %d MB resident; target 5 s; load %s before it",
		open, took.Seconds(), m.cpu("provider-"+m.east.Name).Seconds(), (m.cpu("chain") - node).Seconds(), memoryMB(t, pid, "VmRSS"), busy)
	// Then it bids on what it has read.
	const settle = 20 * time.Second
	least := memoryMB(t, pid, "VmRSS")
	sample := time.NewTicker(250 * time.Millisecond)
	defer sample.Stop()
	for until := time.Now().Add(settle); time.Now().Before(until); <-sample.C {
		least = min(least, memoryMB(t, pid, "VmRSS"))
	}
	t.Logf("figure: within %s of it, which it spends on bids for them (%.0f taken): at least %d MB resident, at most %d MB since its start, of which %d MB of the program's file; %d nodes; target 300 MB",
		settle, m.metric("berth_provider_bids_total", `"taken"`), least, memoryMB(t, pid, "VmHWM"), memoryMB(t, pid, "RssFile"), nodes)
}

// memoryMB reads a line of what the system says of a process's memory.
func memoryMB(t *testing.T, pid int, what string) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, what+":"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb >> 10
		}
	}
	t.Fatalf("the system does not say %s", what)
	return 0
}

// await tries until it works, or fails the test with the last reason.
func await(t *testing.T, what string, patience time.Duration, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

// program runs one of Berth's programs and returns its stdout.
func program(ctx context.Context, name string, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv("BERTH_BIN"), name), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return out.Bytes(), nil
}
