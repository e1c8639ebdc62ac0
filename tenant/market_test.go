package tenant_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/fake"
	"berth.dev/berth/provider/daemon"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units"
)

// market is the real thing in one process: a chain, a provider's daemon over a simulated cluster, its gateway with TLS
// and tokens, and a tenant.
type market struct {
	t       *testing.T
	net     *chaintest.Net
	cluster *fake.Cluster
	store   tenant.Store
	client  *client.Client
}

func newMarket(t *testing.T) *market {
	t.Helper()
	m := &market{t: t, net: chaintest.Start(t, chaintest.Options{}), store: tenant.NewFileStore(t.TempDir(), "market")}
	m.cluster = fake.New(fake.Config{Nodes: []cluster.Node{{Name: "a", CPU: 4000, Memory: 8 << 30, Storage: 64 << 30}}})
	m.client = m.newClient("k0")
	m.startProvider("k1", "east")
	return m
}

func (m *market) newClient(key string) *client.Client {
	m.t.Helper()
	c, err := client.New(client.Config{Node: m.net.RPCAddr, ChainID: m.net.ChainID, Keyring: m.net.Keyring(m.t), Key: key})
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

// startProvider runs a provider until the test ends.
func (m *market) startProvider(key, region string) {
	m.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		m.t.Fatal(err)
	}
	cfg := daemon.DefaultConfig()
	cfg.Chain.Node, cfg.Chain.ChainID, cfg.Chain.Key, cfg.Chain.KeyringBackend = m.net.RPCAddr, m.net.ChainID, key, "test"
	cfg.Gateway = daemon.GatewayConfig{Listen: addr, HostURI: "https://" + addr}
	cfg.Cluster.Driver, cfg.Cluster.Domain = daemon.DriverSimulated, region+".localhost"
	cfg.Cluster.Poll, cfg.Leases.Resync = daemon.Duration(50*time.Millisecond), daemon.Duration(200*time.Millisecond)
	cfg.Attributes = map[string]string{"region": region}
	cfg.Pricing = daemon.PricingConfig{Denom: units.BaseDenom, PerBlock: &daemon.RatesConfig{CPU: "10", Memory: "10"}}
	cfg.Metrics.Listen = ""
	out := io.Discard
	if testing.Verbose() {
		out = os.Stderr
	}
	d, err := daemon.New(cfg, daemon.Options{
		Home: daemon.Home(m.t.TempDir()), Log: slog.New(slog.NewTextHandler(out, nil)), Keyring: m.net.Keyring(m.t), Cluster: m.cluster,
		Poll: 20 * time.Millisecond,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	m.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Errorf("the provider ended with %v", err)
		}
	})
	m.net.WaitFor(m.t, "the provider's registration", func() bool {
		list, err := m.machine().Providers(context.Background())
		return err == nil && len(list) > 0
	})
}

func (m *market) machine() *tenant.Machine {
	t := tenant.New(tenant.NewChain(m.client), tenant.Dialer(m.net.ChainID, m.client), m.store, "market")
	t.Timing.Poll, t.Timing.PollProvider = 20*time.Millisecond, 50*time.Millisecond
	m.t.Cleanup(func() { _ = t.Close() })
	return t
}

func (m *market) balance() string {
	m.t.Helper()
	res, err := banktypes.NewQueryClient(m.client.Conn()).Balance(m.t.Context(), &banktypes.QueryBalanceRequest{Address: m.client.Address().String(), Denom: units.BaseDenom})
	if err != nil {
		m.t.Fatal(err)
	}
	return res.Balance.Amount.String()
}

const eastDocument = `version: "1.0"
services:
  web:
    image: web:1
    expose: [{port: 8080, as: 80, proto: http, to: [{global: true}]}]
profiles:
  compute: {small: {cpu: 100m, memory: 64Mi, storage: 64Mi}}
  placement:
    east:
      attributes: {region: east}
      pricing: {small: 1000u}
deployment:
  web: {east: {profile: small, count: 2}}
`

// TestMarket takes a document through its whole life on a real chain with a real provider: interrupted in the middle
// and resumed, updated, topped up, read from another machine, and closed with an exact refund.
func TestMarket(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a chain")
	}
	mk := newMarket(t)
	plan := tenanttest.Plan(t, eastDocument)

	// Deploy; the first run is cut off when the bids come.
	m := mk.machine()
	q, err := m.Quote(t.Context(), tenant.Request{Plan: plan, Document: "deploy.yaml"})
	if err != nil {
		t.Fatalf("Quote: %v", err)
	}
	s, err := m.Begin(q)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m.Observe = func(e tenant.Event) {
		if _, ok := e.(tenant.Chosen); ok {
			cancel()
		}
	}
	wantFailure(t, m.Run(ctx, s), tenant.KindInterrupted, "interrupted")
	start := time.Now()
	m = mk.machine()
	if s, err = m.Resume(t.Context(), s.Dseq); err != nil {
		t.Fatalf("Resume: %v", err)
	}
	t.Logf("from the resumption until ready: %s", time.Since(start).Round(time.Millisecond))

	st, err := m.Status(t.Context(), s.ID())
	if err != nil || !st.Ready || len(st.URLs) == 0 || st.FundedUntil == nil {
		t.Fatalf("Status: %+v, %v, want ready with a URL and a runway", st, err)
	}

	// Update from another machine, which has no state file: only the image changes.
	elsewhere := tenant.New(tenant.NewChain(mk.client), tenant.Dialer(mk.net.ChainID, mk.client), tenant.NewFileStore(t.TempDir(), "market"), "market")
	defer elsewhere.Close()
	same, err := elsewhere.PrepareUpdate(t.Context(), s.Dseq, plan, "")
	if err != nil || len(same.Changed) != 0 {
		t.Fatalf("PrepareUpdate with the same document, from elsewhere: %+v, %v, want no change", same, err)
	}
	next := tenanttest.Plan(t, strings.Replace(eastDocument, "web:1", "web:2", 1))
	u, err := elsewhere.PrepareUpdate(t.Context(), s.Dseq, next, "")
	if err != nil || len(u.Changed) != 1 {
		t.Fatalf("PrepareUpdate: %+v, %v", u, err)
	}
	if _, err := elsewhere.Update(t.Context(), u); err != nil {
		t.Fatalf("Update: %v", err)
	}

	// Logs come through the gateway.
	if err := mk.cluster.AppendLog(s.BidID(0), "web", "hello from web"); err != nil {
		t.Fatal(err)
	}
	errFound := errors.New("found")
	err = m.Logs(t.Context(), tenant.LogRequest{ID: s.ID(), LogOptions: tenant.LogOptions{Follow: true}}, func(l tenant.LogLine) error {
		if l.Line == "hello from web" {
			return errFound
		}
		return nil
	})
	if !errors.Is(err, errFound) {
		t.Fatalf("Logs: %v, want the line that the service wrote", err)
	}

	// Top up and close: deposits are earnings plus refund, to the last unit.
	amount, err := tenant.ParseCoin("2BRT")
	if err != nil {
		t.Fatal(err)
	}
	top, err := m.TopUp(t.Context(), s.Dseq, amount)
	if err != nil || top.FundedUntil == nil || !top.Escrow.Deposited.Equal(s.Deposit.Add(amount)) {
		t.Fatalf("TopUp: %+v, %v", top, err)
	}
	before := mk.balance()
	c, err := m.CloseDeployment(t.Context(), s.Dseq)
	if err != nil {
		t.Fatalf("Close: %v", err)
	}
	if sum := c.Paid.Add(c.Refunded); !sum.Equal(c.Deposited) || !c.Paid.IsPositive() {
		t.Errorf("closed: %+v, want deposited = paid + refunded", c)
	}
	if after := mk.balance(); after == before {
		t.Error("the refund did not arrive")
	}
	if again, err := m.CloseDeployment(t.Context(), s.Dseq); err != nil || !again.Already || !again.Refunded.Equal(c.Refunded) {
		t.Errorf("closed again: %+v, %v", again, err)
	}
	mk.net.WaitFor(t, "the removal of the workload", func() bool {
		_, err := mk.cluster.Status(context.Background(), s.BidID(0))
		return errors.Is(err, cluster.ErrNotFound)
	})
}

// TestMarketServiceFails: a crash loop ends the deployment at once, with the service's log lines.
func TestMarketServiceFails(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a chain")
	}
	mk := newMarket(t)
	mk.cluster.HoldReadiness(true)
	m := mk.machine()
	s := begin(t, m, eastDocument)
	m.Observe = func(e tenant.Event) {
		if _, ok := e.(tenant.Progress); !ok {
			return
		}
		if err := errors.Join(mk.cluster.AppendLog(s.BidID(0), "web", "panic: no config"), mk.cluster.Fail(s.BidID(0), "web", "exit code 2, again and again")); err != nil {
			t.Error(err)
		}
		m.Observe = func(tenant.Event) {}
	}
	f := wantFailure(t, m.Run(t.Context(), s), tenant.KindRollout, "exit code 2")
	if len(f.Logs) == 0 || f.Logs[len(f.Logs)-1].Line != "panic: no config" {
		t.Errorf("logs %v, want the service's", f.Logs)
	}
}

// TestMarketNoBid: nobody is in the region; the deployment closes with the whole deposit back.
func TestMarketNoBid(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a chain")
	}
	mk := newMarket(t)
	m := mk.machine()
	m.Timing.BidWait = 500 * time.Millisecond
	s := begin(t, m, strings.ReplaceAll(eastDocument, "region: east", "region: mars"))
	wantFailure(t, m.Run(t.Context(), s), tenant.KindNoBid, "has region=mars")
	c, err := m.CloseDeployment(t.Context(), s.Dseq)
	if err != nil || !c.Refunded.Equal(s.Deposit) {
		t.Errorf("close: %+v, %v, want %s back", c, err, s.Deposit)
	}
}
