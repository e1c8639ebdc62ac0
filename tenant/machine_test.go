package tenant_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
	markettypes "berth.dev/berth/x/market/types"
)

const (
	createURL = "/berth.deployment.v1.MsgCreateDeployment"
	updateURL = "/berth.deployment.v1.MsgUpdateDeployment"
	leaseURL  = "/berth.market.v1.MsgCreateLease"
)

// eastWest are two providers in each of two regions.
func eastWest() []tenanttest.Bidder {
	return []tenanttest.Bidder{
		tenanttest.NewBidder("east-dear", "east", "9"), tenanttest.NewBidder("east-cheap", "east", "4.5"),
		tenanttest.NewBidder("west-cheap", "west", "3"), tenanttest.NewBidder("west-dear", "west", "8"),
	}
}

func begin(t *testing.T, m *tenant.Machine, document string) *tenant.State {
	t.Helper()
	q, err := m.Quote(t.Context(), tenant.Request{Plan: tenanttest.Plan(t, document), Document: "deploy.yaml"})
	if err != nil {
		t.Fatalf("Quote: %v", err)
	}
	s, err := m.Begin(q)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return s
}

func deploy(t *testing.T, w *tenanttest.World, store tenant.Store, document string) (*tenant.Machine, *tenant.State) {
	t.Helper()
	m := w.Machine(store)
	s := begin(t, m, document)
	if err := m.Run(t.Context(), s); err != nil {
		t.Fatalf("Run: %v", err)
	}
	return m, s
}

func wantFailure(t *testing.T, err error, kind tenant.Kind, text string) *tenant.Failure {
	t.Helper()
	f := tenant.AsFailure(err)
	if f == nil || f.Kind != kind || !strings.Contains(f.Error(), text) {
		t.Fatalf("got %+v, want a failure of kind %q with %q", f, kind, text)
	}
	return f
}

func TestDeploy(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	store := tenant.NewFileStore(t.TempDir(), "world")
	m, s := deploy(t, w, store, tenanttest.TwoGroups)
	if s.Step != tenant.StepDone {
		t.Errorf("step %q, want done", s.Step)
	}
	for i, want := range []string{tenanttest.Address("east-cheap"), tenanttest.Address("west-cheap")} {
		if got := s.BidID(i).Provider; got != want {
			t.Errorf("group %d went to %s, want the lowest bid, %s", i, got, want)
		}
	}
	if w.Sent[createURL] != 1 || w.Sent[leaseURL] != 2 || len(s.Transactions) != 2 {
		t.Errorf("sent %v in %d transactions, want one create and both leases in one transaction", w.Sent, len(s.Transactions))
	}
	st, err := m.Status(t.Context(), s.ID())
	if err != nil {
		t.Fatal(err)
	}
	if !st.Ready || len(st.URLs) != 1 || st.PricePerBlock.Amount.String() != "7.500000000000000000" {
		t.Errorf("status %+v, want ready, one URL and 7.5 a block", st)
	}
	if took := w.Now().Sub(tenanttest.Epoch); took > 5*time.Second {
		t.Errorf("took %s with everybody quick, want at most 5s", took)
	}
}

func TestLowestAuctionNeedsNoLeaseTransaction(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	q, err := m.Quote(t.Context(), tenant.Request{Plan: tenanttest.Plan(t, tenanttest.TwoGroups), Auction: tenant.AuctionState{Lowest: true, Window: 3}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Begin(q)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if w.Sent[leaseURL] != 0 || s.BidID(0).Provider != tenanttest.Address("east-cheap") {
		t.Errorf("sent %v, chose %s", w.Sent, s.BidID(0).Provider)
	}
}

// crashStore fails at the n-th write, before or after it took effect, as a crash would.
type crashStore struct {
	tenant.Store
	left   int
	before bool
}

var errCrash = errors.New("crash")

func (c *crashStore) Create(s *tenant.State) error {
	return c.write(func() error { return c.Store.Create(s) })
}
func (c *crashStore) Save(s *tenant.State) error {
	return c.write(func() error { return c.Store.Save(s) })
}

func (c *crashStore) write(do func() error) error {
	c.left--
	if c.left == 0 && c.before {
		return errCrash
	}
	if err := do(); err != nil {
		return err
	}
	if c.left == 0 {
		return errCrash
	}
	return nil
}

// TestCrashAnywhere crashes a deployment at each write of its state, before and after the write, and resumes it: there
// is one deployment, one deposit and one lease for each group, however it went.
func TestCrashAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		crashed := false
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("write %d, before=%v", n, before), func(t *testing.T) {
				crashed = crashAt(t, n, before) || crashed
			})
		}
		if !crashed {
			if n < 6 {
				t.Fatalf("only %d writes", n)
			}
			return
		}
	}
}

func crashAt(t *testing.T, n int, before bool) (crashed bool) {
	w := tenanttest.New(eastWest()...)
	funds := w.Funds
	files := tenant.NewFileStore(t.TempDir(), "world")
	m := w.Machine(&crashStore{Store: files, left: n, before: before})
	q, err := m.Quote(t.Context(), tenant.Request{Plan: tenanttest.Plan(t, tenanttest.TwoGroups)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Begin(q)
	if err == nil {
		err = m.Run(t.Context(), s)
	}
	if err == nil {
		return false
	}
	if !errors.Is(err, errCrash) {
		t.Fatalf("Run: %v, want the crash", err)
	}
	w.Pass(3 * time.Second)
	dseqs, err := files.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(dseqs) == 0 { // nothing was written, so nothing may have been sent
		if len(w.Sent) != 0 {
			t.Fatalf("sent %v before the first write", w.Sent)
		}
		return true
	}
	s, err = w.Machine(files).Resume(t.Context(), dseqs[0])
	if err != nil {
		t.Fatalf("Resume: %v", err)
	}
	if w.Sent[createURL] != 1 || w.Sent[leaseURL] != 2 {
		t.Errorf("sent %v, want one create and two leases", w.Sent)
	}
	fees := sdk.NewInt64Coin("ubrt", 2*tenanttest.Fee)
	if spent := funds.Sub(w.Funds); !spent.Equal(q.Deposit.Amount.Add(fees.Amount)) {
		t.Errorf("spent %s, want the deposit of %s and two fees", spent, q.Deposit)
	}
	if st, err := w.Machine(files).Status(t.Context(), s.ID()); err != nil || !st.Ready {
		t.Errorf("after resuming: %+v, %v, want ready", st, err)
	}
	return true
}

// TestUnknownOutcome: a transaction whose answer was lost took effect all the same, and is not repeated.
func TestUnknownOutcome(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	w.AfterSend = func([]sdk.Msg) error { return client.ErrUnknownOutcome }
	_, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), tenanttest.TwoGroups)
	if w.Sent[createURL] != 1 || w.Sent[leaseURL] != 2 || s.Step != tenant.StepDone {
		t.Errorf("sent %v, step %s", w.Sent, s.Step)
	}
}

func TestChosenBidIsGone(t *testing.T) {
	w := tenanttest.New(tenanttest.NewBidder("a", "x", "1"), tenanttest.NewBidder("b", "x", "2"))
	w.Bidders[1].Delay = 8 // after the quiet blocks
	once := true
	w.BeforeSend = func(msgs []sdk.Msg) error {
		if _, ok := msgs[0].(*markettypes.MsgCreateLease); ok && once {
			once = false
			w.WithdrawBids()
		}
		return nil
	}
	_, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), tenanttest.OneGroup)
	if got := s.BidID(0).Provider; got != tenanttest.Address("b") {
		t.Errorf("lease with %s, want the bid that came later", got)
	}
}

func TestNoBid(t *testing.T) {
	west := tenanttest.NewBidder("west", "west", "3")
	dear := tenanttest.NewBidder("dear", "east", "0")
	for name, tc := range map[string]struct {
		bidders []tenanttest.Bidder
		want    string
	}{
		"nobody registered": {nil, "no provider is registered"},
		"wrong region":      {[]tenanttest.Bidder{west}, "has region=east"},
		"does not bid":      {[]tenanttest.Bidder{west, dear}, "2 providers: would bid now, and did not in this time"},
	} {
		t.Run(name, func(t *testing.T) {
			w := tenanttest.New(tc.bidders...)
			m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
			s := begin(t, m, tenanttest.TwoGroups)
			f := wantFailure(t, m.Run(t.Context(), s), tenant.KindNoBid, tc.want)
			if f.Dseq != s.Dseq || f.Step != tenant.StepBids || f.Hints[0] != tenant.HintResume {
				t.Errorf("failure %+v", f)
			}
			// It can be closed, with everything but fees back ...
			c, err := m.CloseDeployment(t.Context(), s.Dseq)
			if err != nil || !c.Refunded.Equal(s.Deposit) || c.Already {
				t.Errorf("close: %+v, %v, want the whole deposit back", c, err)
			}
			// ... once.
			if c, err := m.CloseDeployment(t.Context(), s.Dseq); err != nil || !c.Already || !c.Refunded.Equal(s.Deposit) {
				t.Errorf("close again: %+v, %v", c, err)
			}
			_, err = m.Resume(t.Context(), s.Dseq)
			wantFailure(t, err, tenant.KindUsage, "is closed")
		})
	}
}

func TestNoBidThenResume(t *testing.T) {
	w := tenanttest.New(tenanttest.NewBidder("a", "x", "1"))
	w.Bidders[0].Delay = 100 // blocks: 50 s, after the wait of 30 s
	store := tenant.NewFileStore(t.TempDir(), "world")
	m := w.Machine(store)
	s := begin(t, m, tenanttest.OneGroup)
	wantFailure(t, m.Run(t.Context(), s), tenant.KindNoBid, "got no bid within 30s")
	if _, err := m.Resume(t.Context(), s.Dseq); err != nil {
		t.Fatalf("Resume: %v", err)
	}
}

func TestFailedServiceStopsAtOnce(t *testing.T) {
	w := tenanttest.New(tenanttest.NewBidder("a", "x", "1"))
	w.Gateways[tenanttest.Address("a")].Failing = map[string]string{"web": "exit code 1, 3 restarts"}
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	s := begin(t, m, tenanttest.OneGroup)
	f := wantFailure(t, m.Run(t.Context(), s), tenant.KindRollout, `service "web" failed: exit code 1, 3 restarts`)
	if len(f.Logs) != 50 || f.Logs[49].Line != "line 60 of web" {
		t.Errorf("%d log lines, want the last 50", len(f.Logs))
	}
	if took := w.Now().Sub(tenanttest.Epoch); took > 5*time.Second {
		t.Errorf("took %s to fail, want at once", took)
	}
}

// TestRefusedConnectionsAreExplained: a service that does not listen where it is asked gets the advice that mostly helps.
func TestRefusedConnectionsAreExplained(t *testing.T) {
	const said = `a check fails: Startup probe failed: Get "http://10.0.0.9:8008/healthz": dial tcp 10.0.0.9:8008: connect: connection refused`
	w := tenanttest.New(tenanttest.NewBidder("a", "x", "1"))
	w.Gateways[tenanttest.Address("a")].Failing = map[string]string{"web": said}
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	wantFailure(t, m.Run(t.Context(), begin(t, m, tenanttest.OneGroup)), tenant.KindRollout, said+" (listening on 127.0.0.1 or another port?)")
}

// TestHooksAreAPartOfTheRollout: a deployment is done when its hooks are, and fails when one of them does.
func TestHooksAreAPartOfTheRollout(t *testing.T) {
	world := func(failed string) (*tenanttest.World, *tenant.Machine, *tenant.State) {
		w := tenanttest.New(tenanttest.NewBidder("a", "x", "1"))
		g := w.Gateways[tenanttest.Address("a")]
		g.Hook, g.HookTakes, g.FailedHook = "postdeploy", 20*time.Second, failed
		m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
		return w, m, begin(t, m, tenanttest.OneGroup)
	}
	w, m, s := world("")
	if err := m.Run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if took := w.Now().Sub(tenanttest.Epoch); took < 20*time.Second {
		t.Errorf("it took %s, less than its hook does", took)
	}
	_, m, s = world("exit code 3")
	f := wantFailure(t, m.Run(t.Context(), s), tenant.KindHook, `hook "postdeploy" of service "web" failed: exit code 3`)
	if len(f.Logs) != 1 || f.Logs[0].Line != "its last words" || f.Logs[0].Instance != "postdeploy" {
		t.Errorf("logs %+v", f.Logs)
	}
	_, m, s = world("")
	m.Timing.ReadyWait = 5 * time.Second
	wantFailure(t, m.Run(t.Context(), s), tenant.KindRollout, `hook "postdeploy" of service "web" is running`)
}

func TestNotReadyInTime(t *testing.T) {
	w := tenanttest.New(tenanttest.NewBidder("a", "x", "1"))
	w.Gateways[tenanttest.Address("a")].ReadyAfter = time.Hour
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	s := begin(t, m, tenanttest.OneGroup)
	f := wantFailure(t, m.Run(t.Context(), s), tenant.KindRollout, `service "web": 0 of 1 ready: pulling the image`)
	if f.Hints[0] != tenant.HintResume || len(f.Logs) == 0 {
		t.Errorf("failure %+v", f)
	}
}

func TestProviderIsDown(t *testing.T) {
	w := tenanttest.New(tenanttest.NewBidder("a", "x", "1"))
	g := w.Gateways[tenanttest.Address("a")]
	g.Down = true
	store := tenant.NewFileStore(t.TempDir(), "world")
	m := w.Machine(store)
	s := begin(t, m, tenanttest.OneGroup)
	wantFailure(t, m.Run(t.Context(), s), tenant.KindLease, "connection refused")
	st, err := m.Status(t.Context(), s.ID())
	if err != nil || st.Groups[0].Lease == nil || !strings.Contains(st.Groups[0].Lease.Unknown, "connection refused") {
		t.Errorf("status of a silent provider: %+v, %v, want a lease with unknown services", st, err)
	}
	g.Down = false
	if _, err := m.Resume(t.Context(), s.Dseq); err != nil {
		t.Fatalf("Resume: %v", err)
	}
	if g.Puts != 1 {
		t.Errorf("%d manifests taken, want 1", g.Puts)
	}
}

func TestLeaseEndsDuringRollout(t *testing.T) {
	w := tenanttest.New(tenanttest.NewBidder("a", "x", "1"), tenanttest.NewBidder("b", "x", "2"))
	w.Gateways[tenanttest.Address("a")].ReadyAfter = time.Hour
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	s := begin(t, m, tenanttest.OneGroup)
	m.Observe = func(e tenant.Event) {
		if _, ok := e.(tenant.Accepted); ok {
			w.EndLease(s.Dseq, 1, markettypes.CLOSE_REASON_UNSTABLE)
		}
	}
	wantFailure(t, m.Run(t.Context(), s), tenant.KindLease, "has ended (unstable)")
	m.Observe = func(tenant.Event) {}
	s, err := m.Resume(t.Context(), s.Dseq)
	if err != nil || s.BidID(0).Provider != tenanttest.Address("b") {
		t.Errorf("after resuming: provider %s, %v, want the other one", s.BidID(0).Provider, err)
	}
}

func TestInterrupted(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	s := begin(t, m, tenanttest.TwoGroups)
	ctx, cancel := context.WithCancel(t.Context())
	m.Observe = func(e tenant.Event) {
		if _, ok := e.(tenant.BidsSeen); ok {
			cancel()
		}
	}
	f := wantFailure(t, m.Run(ctx, s), tenant.KindInterrupted, "interrupted")
	if f.Hints[0] != tenant.HintResume || f.Dseq != s.Dseq {
		t.Errorf("failure %+v", f)
	}
	if _, err := w.Machine(m.Store).Resume(t.Context(), s.Dseq); err != nil {
		t.Fatalf("Resume: %v", err)
	}
}

func TestChainIsOffline(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	plan := tenanttest.Plan(t, tenanttest.OneGroup)
	s := begin(t, m, tenanttest.OneGroup)
	w.Offline = true
	_, err := m.Quote(t.Context(), tenant.Request{Plan: plan})
	wantFailure(t, err, tenant.KindUnreachable, "cannot be reached")
	wantFailure(t, m.Run(t.Context(), s), tenant.KindUnreachable, "cannot be reached")
	w.Offline = false
	if _, err := m.Resume(t.Context(), s.Dseq); err != nil {
		t.Fatalf("Resume: %v", err)
	}
}

func TestTwoDeploymentsAtOneHeight(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	store := tenant.NewFileStore(t.TempDir(), "world")
	m := w.Machine(store)
	request := tenant.Request{Plan: tenanttest.Plan(t, tenanttest.OneGroup)}
	a, errA := m.Quote(t.Context(), request)
	b, errB := m.Quote(t.Context(), request)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	sa, errA := m.Begin(a)
	sb, errB := m.Begin(b)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if sa.Dseq == sb.Dseq || sa.ManifestHash == sb.ManifestHash {
		t.Errorf("numbers %d and %d, hashes %s and %s: want all different", sa.Dseq, sb.Dseq, sa.ManifestHash, sb.ManifestHash)
	}
}

// TestNumberAboveTheFloor: after a client that chose higher numbers, the next one is above what the chain has pruned.
func TestNumberAboveTheFloor(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	w.Floor = 1 << 40
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	q, err := m.Quote(t.Context(), tenant.Request{Plan: tenanttest.Plan(t, tenanttest.OneGroup)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Begin(q)
	if err != nil || s.Dseq != w.Floor+1 {
		t.Errorf("Begin = %d, %v, want %d", s.Dseq, err, w.Floor+1)
	}
	if _, err := m.CloseDeployment(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "no deployment 7 any more") {
		t.Errorf("CloseDeployment of a pruned one = %v", err)
	}
}

func TestSomeoneElsesState(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	store := tenant.NewFileStore(t.TempDir(), "world")
	m, s := deploy(t, w, store, tenanttest.OneGroup)
	w.Owner = tenanttest.Address("other")
	_, err := m.Resume(t.Context(), s.Dseq)
	wantFailure(t, err, tenant.KindUsage, "belongs to")
	_, err = m.Resume(t.Context(), 77)
	wantFailure(t, err, tenant.KindUsage, "no state")
	if err := store.Create(s); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a state: %v, want fs.ErrExist", err)
	}
}
