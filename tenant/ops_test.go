package tenant_test

import (
	"strings"
	"testing"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
)

func TestQuote(t *testing.T) {
	coin := func(s string) *sdk.Coin {
		c, err := tenant.ParseCoin(s)
		if err != nil {
			t.Fatal(err)
		}
		return &c
	}
	day := int64(10 * 2 * 60 * 60 * 24) // 10 ubrt a block, two blocks a second
	for name, tc := range map[string]struct {
		deposit *sdk.Coin
		funds   int64
		want    int64
		kind    tenant.Kind
		text    string
	}{
		"a day by default":          {nil, 1e9, day, "", ""},
		"just enough":               {nil, day + tenanttest.Fee, day, "", ""},
		"short of the fee":          {nil, day + tenanttest.Fee - 1, 0, tenant.KindFunds, "and a fee of"},
		"no funds":                  {nil, 0, 0, tenant.KindFunds, "has no funds"},
		"the minimum":               {coin("0.5BRT"), 1e9, tenanttest.MinDeposit, "", ""},
		"one below the minimum":     {coin("499999ubrt"), 1e9, 0, tenant.KindFunds, "below the minimum"},
		"another denom":             {coin("5000000uatom"), 1e9, 0, tenant.KindUsage, "uatom"},
		"more than the account has": {coin("2BRT"), 1e6, 0, tenant.KindFunds, "has 1 BRT; it needs a deposit of 2 BRT"},
	} {
		t.Run(name, func(t *testing.T) {
			w := tenanttest.New(eastWest()...)
			w.Funds = math.NewInt(tc.funds)
			m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
			q, err := m.Quote(t.Context(), tenant.Request{Plan: tenanttest.Plan(t, tenanttest.OneGroup), Deposit: tc.deposit})
			if tc.kind != "" {
				wantFailure(t, err, tc.kind, tc.text)
				return
			}
			if err != nil || q.Deposit.Amount.Int64() != tc.want {
				t.Fatalf("Quote = %+v, %v, want a deposit of %d", q, err, tc.want)
			}
			if dseqs, err := m.Store.List(); err != nil || len(dseqs) != 0 || len(w.Sent) != 0 {
				t.Errorf("a quote wrote %v and sent %v", dseqs, w.Sent)
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), tenanttest.TwoGroups)
	old := s.ManifestHash
	update := func(m *tenant.Machine, document string) (*tenant.Update, *tenant.State) {
		t.Helper()
		u, err := m.PrepareUpdate(t.Context(), s.Dseq, tenanttest.Plan(t, document), "new.yaml")
		if err != nil {
			t.Fatalf("PrepareUpdate: %v", err)
		}
		s, err := m.Update(t.Context(), u)
		if err != nil {
			t.Fatalf("Update: %v", err)
		}
		return u, s
	}

	// The same document keeps its salts, and so its hash: no transaction.
	u, s := update(m, tenanttest.TwoGroups)
	if len(u.Changed) != 0 || s.ManifestHash != old || w.Sent[updateURL] != 0 {
		t.Errorf("the same document: changed %v, hash %s, sent %v", u.Changed, s.ManifestHash, w.Sent)
	}
	// Another image changes one group only.
	next := strings.Replace(tenanttest.TwoGroups, "web:1", "web:2", 1)
	u, s = update(m, next)
	if len(u.Changed) != 1 || u.Changed[0] != "east" || w.Sent[updateURL] != 1 {
		t.Errorf("another image: changed %v, sent %v", u.Changed, w.Sent)
	}
	// From another machine the salts come from the providers, so again nothing changes.
	elsewhere := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	u, moved := update(elsewhere, next)
	if len(u.Changed) != 0 || moved.ManifestHash != s.ManifestHash || w.Sent[updateURL] != 1 {
		t.Errorf("from elsewhere: changed %v, hash %s, sent %v", u.Changed, moved.ManifestHash, w.Sent)
	}
	if st, err := elsewhere.Status(t.Context(), s.ID()); err != nil || !st.Ready {
		t.Errorf("status %+v, %v", st, err)
	}
}

func TestUpdateRefusesOtherGroups(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), tenanttest.TwoGroups)
	for name, tc := range map[string]struct{ document, want string }{
		"count":  {strings.Replace(tenanttest.TwoGroups, "count: 2", "count: 3", 1), `group "east", service 1: count 3, not 2`},
		"memory": {strings.Replace(tenanttest.TwoGroups, "memory: 64Mi", "memory: 65Mi", 1), "memory bytes 68157440, not 67108864"},
		"price":  {strings.Replace(tenanttest.TwoGroups, "small: 10u", "small: 11u", 1), "price 11 ubrt, not 10 ubrt"},
		"region": {strings.Replace(tenanttest.TwoGroups, "region: west", "region: north", 1), "requires region=north, not region=west"},
		"groups": {tenanttest.OneGroup, `group "anywhere" is new`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.PrepareUpdate(t.Context(), s.Dseq, tenanttest.Plan(t, tc.document), "")
			wantFailure(t, err, tenant.KindUsage, tc.want)
		})
	}
	_, err := m.PrepareUpdate(t.Context(), 5, tenanttest.Plan(t, tenanttest.TwoGroups), "")
	wantFailure(t, err, tenant.KindUsage, "has no deployment 5")
}

// TestUpdateCrash: an update that a crash cut off at any write is finished by resuming, with one transaction.
func TestUpdateCrash(t *testing.T) {
	next := strings.Replace(tenanttest.TwoGroups, "web:1", "web:2", 1)
	for n := 1; n <= 4; n++ {
		w := tenanttest.New(eastWest()...)
		files := tenant.NewFileStore(t.TempDir(), "world")
		_, s := deploy(t, w, files, tenanttest.TwoGroups)
		m := w.Machine(&crashStore{Store: files, left: n})
		u, err := m.PrepareUpdate(t.Context(), s.Dseq, tenanttest.Plan(t, next), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Update(t.Context(), u); err == nil {
			t.Fatalf("write %d: no crash", n)
		}
		if _, err := w.Machine(files).Resume(t.Context(), s.Dseq); err != nil {
			t.Fatalf("write %d: Resume: %v", n, err)
		}
		if w.Sent[updateURL] != 1 {
			t.Errorf("write %d: sent %v, want one update", n, w.Sent)
		}
	}
}

func TestCloseRefundsExactly(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), tenanttest.OneGroup)
	w.Pass(time.Minute)
	before := w.Funds
	c, err := m.CloseDeployment(t.Context(), s.Dseq)
	if err != nil {
		t.Fatal(err)
	}
	if sum := c.Paid.Add(c.Refunded); !sum.Equal(c.Deposited) || !c.Paid.IsPositive() {
		t.Errorf("%+v: want deposited = paid + refunded", c)
	}
	if got := w.Funds.Sub(before).AddRaw(tenanttest.Fee); !got.Equal(c.Refunded.Amount) {
		t.Errorf("the account got %s, the result says %s", got, c.Refunded)
	}
	st, err := m.Status(t.Context(), s.ID())
	if err != nil || st.State != "closed" || st.Ready || len(st.Groups[0].Ended) != 1 || st.Groups[0].Ended[0].Reason != "tenant" {
		t.Errorf("status after the close: %+v, %v", st, err)
	}
}

func TestTopUp(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), tenanttest.OneGroup)
	before, err := m.Status(t.Context(), s.ID())
	if err != nil {
		t.Fatal(err)
	}
	top, err := m.TopUp(t.Context(), s.Dseq, sdk.NewInt64Coin("ubrt", 300))
	if err != nil {
		t.Fatal(err)
	}
	if gained := top.FundedUntil.Height - before.FundedUntil.Height; gained != 100 { // 3 ubrt a block
		t.Errorf("gained %d blocks, want 100", gained)
	}
	_, err = m.TopUp(t.Context(), s.Dseq, sdk.NewInt64Coin("uatom", 1))
	wantFailure(t, err, tenant.KindUsage, "paid in ubrt")
	_, err = m.TopUp(t.Context(), s.Dseq, sdk.NewInt64Coin("ubrt", 1e15))
	wantFailure(t, err, tenant.KindFunds, "less than")
}

func TestListAndOnlyActive(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	store := tenant.NewFileStore(t.TempDir(), "world")
	m := w.Machine(store)
	_, err := m.OnlyActive(t.Context())
	wantFailure(t, err, tenant.KindUsage, "no active deployment")
	_, a := deploy(t, w, store, tenanttest.OneGroup)
	if got, err := m.OnlyActive(t.Context()); err != nil || got != a.Dseq {
		t.Errorf("OnlyActive = %d, %v, want %d", got, err, a.Dseq)
	}
	_, b := deploy(t, w, store, tenanttest.TwoGroups)
	_, err = m.OnlyActive(t.Context())
	wantFailure(t, err, tenant.KindUsage, "2 active deployments")
	if _, err := m.CloseDeployment(t.Context(), a.Dseq); err != nil {
		t.Fatal(err)
	}
	active, err := m.List(t.Context(), false)
	if err != nil || len(active) != 1 || active[0].Dseq != b.Dseq || active[0].Leases != 2 {
		t.Errorf("List = %+v, %v", active, err)
	}
	if all, err := m.List(t.Context(), true); err != nil || len(all) != 2 {
		t.Errorf("List of all = %d, %v, want 2", len(all), err)
	}
	providers, err := m.Providers(t.Context())
	if err != nil || len(providers) != 4 || providers[2].Record.Leases == 0 {
		t.Errorf("Providers = %+v, %v", providers, err)
	}
}

func TestLogs(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), tenanttest.TwoGroups)
	read := func(service string, tail uint32) (lines []string, err error) {
		err = m.Logs(t.Context(), tenant.LogRequest{ID: s.ID(), LogOptions: tenant.LogOptions{Service: service, Tail: tail}}, func(l tenant.LogLine) error {
			lines = append(lines, l.Service)
			return nil
		})
		return lines, err
	}
	if lines, err := read("", 0); err != nil || len(lines) != 120 {
		t.Errorf("all logs: %d lines, %v, want 120 of both groups", len(lines), err)
	}
	if lines, err := read("db", 3); err != nil || len(lines) != 3 || lines[0] != "db" {
		t.Errorf("the last 3 of db: %v, %v", lines, err)
	}
	_, err := read("cache", 0)
	wantFailure(t, err, tenant.KindUsage, `no service "cache" (have: db, web)`)
	w.Gateways[tenanttest.Address("east-cheap")].Down = true
	if lines, err := read("", 0); err != nil || len(lines) != 60 {
		t.Errorf("with one provider down: %d lines, %v, want those of the other", len(lines), err)
	}
}
