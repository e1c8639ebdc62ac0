package tenant_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
	"berth.dev/berth/units"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
)

// watcher watches the deployment of a world for some time and collects what it is told.
type watcher struct {
	w     *tenanttest.World
	m     *tenant.Machine
	s     *tenant.State
	kinds []tenant.AlertKind
	texts []string
	// at is called before the alert is noted.
	at func(tenant.Alert) error
}

func newWatcher(t *testing.T, document string) *watcher {
	t.Helper()
	x := &watcher{w: tenanttest.New(eastWest()...)}
	x.m, x.s = deploy(t, x.w, tenant.NewFileStore(t.TempDir(), "world"), document)
	return x
}

// run watches for a time of the world's clock, in which do is called before each look.
func (x *watcher) run(t *testing.T, rules tenant.WatchRules, granter string, d time.Duration, do func(look int)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end, looks := x.w.Now().Add(d), 0
	x.m.Clock = clockFunc{x.w, func() {
		if looks++; do != nil {
			do(looks)
		}
		if x.w.Now().After(end) {
			cancel()
		}
	}}
	err := x.m.Watch(ctx, tenant.Watch{ID: x.s.ID(), Rules: rules, Every: 30 * time.Second, Granter: granter, Alert: func(_ context.Context, a tenant.Alert) error {
		x.kinds, x.texts = append(x.kinds, a.Kind), append(x.texts, a.Text)
		if x.at != nil {
			return x.at(a)
		}
		return nil
	}})
	if err != nil && tenant.AsFailure(err).Kind != tenant.KindInterrupted {
		t.Fatal(err)
	}
}

// clockFunc is a clock that is told of each wait between looks.
type clockFunc struct {
	tenant.Clock
	waited func()
}

func (c clockFunc) Sleep(ctx context.Context, d time.Duration) error {
	if d >= 30*time.Second {
		defer c.waited()
	}
	return c.Clock.Sleep(ctx, d)
}

func (x *watcher) want(t *testing.T, kinds ...tenant.AlertKind) {
	t.Helper()
	if len(kinds) != len(x.kinds) {
		t.Fatalf("alerts %v %q, want %v", x.kinds, x.texts, kinds)
	}
	for i := range kinds {
		if x.kinds[i] != kinds[i] {
			t.Fatalf("alerts %v %q, want %v", x.kinds, x.texts, kinds)
		}
	}
}

// The funds are kept for as long as asked, from a grant, by few deposits, and never beyond the budget.
func TestWatchKeepsTheRunway(t *testing.T) {
	x := newWatcher(t, tenanttest.OneGroup)
	var sources []escrowtypes.DepositSource
	x.w.BeforeSend = func(msgs []sdk.Msg) error {
		if d, ok := msgs[0].(*escrowtypes.MsgDeposit); ok {
			sources = d.Sources
		}
		return nil
	}
	granter := tenanttest.Address("granter")
	x.run(t, tenant.WatchRules{Keep: 72 * time.Hour, Warn: time.Hour}, granter, 4*24*time.Hour, nil)
	x.want(t, tenant.AlertToppedUp, tenant.AlertToppedUp)
	if len(sources) != 1 || sources[0].Kind != escrowtypes.SOURCE_GRANT || sources[0].Granter != granter {
		t.Errorf("deposits drew %v, want the grant", sources)
	}
	st, err := x.m.Status(t.Context(), x.s.ID())
	if err != nil || st.FundedUntil.Time.Sub(x.w.Now()) < 72*time.Hour {
		t.Errorf("funded until %v, %v; want at least three days from %s", st.FundedUntil, err, x.w.Now())
	}
}

func TestWatchKeepsItsBudget(t *testing.T) {
	x := newWatcher(t, tenanttest.OneGroup)
	before := x.w.Funds
	budget := sdk.NewInt64Coin(units.BaseDenom, 100_000)
	x.run(t, tenant.WatchRules{Keep: 30 * 24 * time.Hour, Budget: &budget}, "", time.Hour, nil)
	x.want(t, tenant.AlertToppedUp, tenant.AlertTopUpFailed)
	if spent := before.Sub(x.w.Funds); !spent.Equal(budget.Amount.AddRaw(tenanttest.Fee)) {
		t.Errorf("spent %s, want the budget of %s and one fee", spent, budget)
	}
}

// A deposit whose outcome is unknown counts against the budget; one that is refused is tried again after a while.
func TestWatchDepositFails(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		deposit int
	}{
		"unknown": {client.ErrUnknownOutcome, 1},
		"refused": {errors.New("no such grant"), 4},
	} {
		t.Run(name, func(t *testing.T) {
			x := newWatcher(t, tenanttest.OneGroup)
			tries := 0
			x.w.BeforeSend = func([]sdk.Msg) error { tries++; return c.err }
			budget := sdk.NewInt64Coin(units.BaseDenom, 100_000)
			x.run(t, tenant.WatchRules{Keep: 30 * 24 * time.Hour, Budget: &budget}, "", 6*time.Minute, nil)
			if tries != c.deposit {
				t.Errorf("%d deposits were tried, want %d: %q", tries, c.deposit, x.texts)
			}
		})
	}
}

// A lease that its provider ends is replaced at the next provider, manifest included; one that the tenant ends is not.
func TestWatchFailsOver(t *testing.T) {
	x := newWatcher(t, tenanttest.TwoGroups)
	x.run(t, tenant.WatchRules{Failover: true, Patience: 2}, "", 5*time.Minute, func(look int) {
		if look == 2 {
			x.w.EndLease(x.s.Dseq, 1, markettypes.CLOSE_REASON_UNSTABLE)
		}
	})
	x.want(t, tenant.AlertLeaseClosed, tenant.AlertFailover, tenant.AlertHealthy)
	st, err := x.m.Status(t.Context(), x.s.ID())
	if err != nil || !st.Ready || st.Groups[0].Lease.Provider != tenanttest.Address("east-dear") {
		t.Errorf("%+v, %v; want it ready at the other provider", st, err)
	}
	if !strings.Contains(x.texts[0], "unstable") {
		t.Errorf("%q does not say why", x.texts[0])
	}
}

func TestWatchTellsOfALeaseTakenBack(t *testing.T) {
	x := newWatcher(t, tenanttest.TwoGroups)
	from := x.w.Now().Add(24 * time.Hour).Truncate(time.Second)
	x.run(t, tenant.WatchRules{Failover: true, Patience: 2}, "", 5*time.Minute, func(look int) {
		if look == 2 {
			x.w.Reclaim(x.s.Dseq, 1, from, markettypes.CLOSE_REASON_UNSTABLE)
		}
	})
	x.want(t, tenant.AlertReclaiming) // once
	if want := from.UTC().Format(time.RFC3339) + " on (unstable)"; !strings.Contains(x.texts[0], want) {
		t.Errorf("%q lacks %q", x.texts[0], want)
	}
	st, err := x.m.Status(t.Context(), x.s.ID())
	if err != nil || !st.Groups[0].Lease.Reclaim.From.Equal(from) || st.Groups[1].Lease.Reclaim != nil {
		t.Errorf("status %+v, %v", st, err)
	}
}

func TestWatchLeavesTheTenantsOwnDecisionAlone(t *testing.T) {
	for _, rules := range []tenant.WatchRules{{Failover: true}, {}} {
		reason := markettypes.CLOSE_REASON_TENANT
		if !rules.Failover {
			reason = markettypes.CLOSE_REASON_UNSTABLE
		}
		x := newWatcher(t, tenanttest.OneGroup)
		x.run(t, rules, "", 3*time.Minute, func(look int) {
			if look == 1 {
				x.w.EndLease(x.s.Dseq, 1, reason)
			}
		})
		x.want(t, tenant.AlertLeaseClosed)
	}
}

// While nobody else bids, a failover is tried at growing intervals and told of each time; the watch goes on.
func TestWatchFailoverWithoutBids(t *testing.T) {
	x := newWatcher(t, tenanttest.TwoGroups)
	for i := range x.w.Bidders {
		if x.w.Bidders[i].Record.Owner == tenanttest.Address("east-dear") {
			x.w.Bidders = append(x.w.Bidders[:i], x.w.Bidders[i+1:]...)
			break
		}
	}
	x.run(t, tenant.WatchRules{Failover: true}, "", 10*time.Minute, func(look int) {
		if look == 1 {
			x.w.EndLease(x.s.Dseq, 1, markettypes.CLOSE_REASON_DECOMMISSION)
		}
	})
	if x.kinds[0] != tenant.AlertLeaseClosed || len(x.kinds) < 3 || len(x.kinds) > 7 {
		t.Fatalf("%v %q", x.kinds, x.texts)
	}
	for _, k := range x.kinds[1:] {
		if k != tenant.AlertFailoverFailed {
			t.Errorf("%v", x.kinds)
		}
	}
}

// Services that stay not ready, and a provider that does not answer, are told of once, and once more when they are well.
func TestWatchHealth(t *testing.T) {
	for name, fail := range map[string]func(*tenanttest.Gateway, bool){
		"service": func(g *tenanttest.Gateway, bad bool) {
			g.Failing = map[bool]map[string]string{true: {"web": "exit code 1"}}[bad]
		},
		"provider": func(g *tenanttest.Gateway, bad bool) { g.Down = bad },
	} {
		t.Run(name, func(t *testing.T) {
			x := newWatcher(t, tenanttest.OneGroup)
			gw := x.w.Gateways[x.s.BidID(0).Provider]
			x.run(t, tenant.WatchRules{Patience: 3, Failover: true}, "", 10*time.Minute, func(look int) {
				fail(gw, look == 1 || look >= 4 && look < 10) // once is below the patience
			})
			x.want(t, tenant.AlertUnhealthy, tenant.AlertHealthy)
		})
	}
}

func TestWatchLosesTheChain(t *testing.T) {
	x := newWatcher(t, tenanttest.OneGroup)
	x.run(t, tenant.WatchRules{Failover: true, Keep: time.Minute}, "", 10*time.Minute, func(look int) { x.w.Offline = look >= 3 && look < 8 })
	x.want(t, tenant.AlertUnreachable, tenant.AlertReachable)
}

func TestWatchTellsOfFundsAndEnds(t *testing.T) {
	x := newWatcher(t, tenanttest.OneGroup)
	x.run(t, tenant.WatchRules{Warn: 4 * 24 * time.Hour}, "", 100*24*time.Hour, func(look int) {
		switch look {
		case 5:
			_, err := x.m.TopUp(t.Context(), x.s.Dseq, sdk.NewInt64Coin(units.BaseDenom, 20*units.MicroPerToken))
			if err != nil {
				t.Fatal(err)
			}
		case 8:
			if _, err := x.m.CloseDeployment(t.Context(), x.s.Dseq); err != nil {
				t.Fatal(err)
			}
		}
	})
	x.want(t, tenant.AlertFundsLow, tenant.AlertFunded, tenant.AlertClosed)
}

func TestWebhook(t *testing.T) {
	var bodies []string
	fail := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bodies = append(bodies, string(body)); len(bodies) <= fail {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	hook, err := tenant.NewWebhook(server.URL+"/secret-path?token=t0ken", tenanttest.New())
	if err != nil {
		t.Fatal(err)
	}
	alert := tenant.Alert{Kind: tenant.AlertSuspended, Dseq: 7, At: tenanttest.Epoch, Text: "the deposit is used up"}
	if err := hook.Post(t.Context(), alert); err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"suspended","dseq":7,"at":"2026-01-02T03:04:05Z","text":"the deposit is used up"}`
	if len(bodies) != 3 || bodies[2] != want {
		t.Errorf("got %q, want the alert at the third try", bodies)
	}
	fail = 100
	err = hook.Post(t.Context(), alert)
	if err == nil || strings.Contains(err.Error(), "t0ken") || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("%v; want an error without the URL", err)
	}
	server.Close()
	if err = hook.Post(t.Context(), alert); err == nil || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("%v; want an error without the URL", err)
	}
	for _, bad := range []string{"", "ftp://a/b", "https://", "::", "hooks.example.org"} {
		if _, err := tenant.NewWebhook(bad, tenanttest.New()); err == nil {
			t.Errorf("%q is taken for a URL", bad)
		}
	}
}
