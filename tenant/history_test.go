package tenant_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
)

// version is the two groups with another image for web.
func version(n int) string {
	return strings.Replace(tenanttest.TwoGroups, "web:1", fmt.Sprintf("web:%d", n), 1)
}

func update(t *testing.T, m *tenant.Machine, dseq uint64, document string) *tenant.State {
	t.Helper()
	u, err := m.PrepareUpdate(t.Context(), dseq, tenanttest.Plan(t, document), "deploy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Update(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A rollback puts the earlier hash on chain and the earlier manifest on the providers, and can be taken back.
func TestRollback(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), version(1))
	first := s.ManifestHash
	second := update(t, m, s.Dseq, version(2)).ManifestHash
	for i, want := range []string{first, second, first} {
		r, err := m.PrepareRollback(t.Context(), s.Dseq, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.RollBack(t.Context(), r)
		if err != nil || got.ManifestHash != want || got.Step != tenant.StepDone {
			t.Fatalf("rollback %d: %v at %s, %v; want %s", i, got.ManifestHash, got.Step, err, want)
		}
		st, err := m.Status(t.Context(), s.ID())
		if err != nil || st.ManifestHash != want || !st.Ready {
			t.Errorf("rollback %d: chain has %s, ready %v, %v", i, st.ManifestHash, st.Ready, err)
		}
	}
	if d, err := m.Diff(t.Context(), s.Dseq, tenanttest.Plan(t, version(1))); err != nil || d.Needs != tenant.NeedsNothing {
		t.Errorf("the first document differs after the rollback to it: %+v, %v", d, err)
	}
	if w.Sent[updateURL] != 4 {
		t.Errorf("%d updates were sent, want 1 and 3 rollbacks", w.Sent[updateURL])
	}
}

// Only what was rolled out is gone back to by itself; anything that is kept can be named.
func TestRollbackPassesOverWhatFailed(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), version(1))
	good := s.ManifestHash
	gw := w.Gateways[s.BidID(0).Provider]
	gw.Failing = map[string]string{"web": "exit code 1"}
	u, err := m.PrepareUpdate(t.Context(), s.Dseq, tenanttest.Plan(t, version(2)), "deploy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Update(t.Context(), u)
	wantFailure(t, err, tenant.KindRollout, "")
	gw.Failing = nil
	update(t, m, s.Dseq, version(3))
	list, err := m.Revisions(s.Dseq)
	if err != nil || len(list) != 2 || list[0].Ready || !list[1].Ready || list[1].Revision != 2 {
		t.Fatalf("%+v, %v; want the failed one and, before it, the good one", list, err)
	}
	r, err := m.PrepareRollback(t.Context(), s.Dseq, 0)
	if err != nil || r.ManifestHash != good {
		t.Errorf("%+v, %v; want the good one", r, err)
	}
	if r, err = m.PrepareRollback(t.Context(), s.Dseq, 1); err != nil || r.Ready {
		t.Errorf("%+v, %v; want the failed one, as it was named", r, err)
	}
}

func TestRevisionsAreBounded(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), version(1))
	for n := 2; n < 15; n++ {
		update(t, m, s.Dseq, version(n))
	}
	list, err := m.Revisions(s.Dseq)
	if err != nil || len(list) != 10 {
		t.Fatalf("%d revisions, %v; want the last 10", len(list), err)
	}
	if _, err := m.PrepareRollback(t.Context(), s.Dseq, 11); err == nil || !strings.Contains(err.Error(), "has kept 10") {
		t.Errorf("revision 11: %v", err)
	}
}

func TestDiff(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), version(1))
	changed := strings.NewReplacer("web:1", "web:2", "swordfish", "marlin", "global: true", "service: db, global: true").Replace(version(1))
	d, err := m.Diff(t.Context(), s.Dseq, tenanttest.Plan(t, changed))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, g := range d.Groups {
		for _, c := range g.Changes {
			text := g.Group + " " + c.Path
			if c.From != nil {
				text += " from " + *c.From
			}
			if c.To != nil {
				text += " to " + *c.To
			}
			lines = append(lines, text)
		}
	}
	for _, want := range []string{"east services.web.image from web:1 to web:2", "west services.db.env.PASSWORD from set to set, another value"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is missing in %q", want, lines)
		}
	}
	if text := fmt.Sprint(lines); strings.Contains(text, "swordfish") || strings.Contains(text, "marlin") {
		t.Errorf("a value of the environment is shown: %s", text)
	}
	if d.Needs != tenant.NeedsOrders { // an endpoint less is another order
		t.Errorf("needs %s, want orders", d.Needs)
	}
	if n := w.Sent[updateURL]; n != 0 {
		t.Errorf("%d updates were sent", n)
	}
}

func TestCost(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), tenanttest.TwoGroups)
	w.EndLease(s.Dseq, 1, 0)
	c, err := m.Cost(t.Context(), s.ID())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Leases) != 2 || c.Leases[0].State != "closed" || c.Now.PerBlock.Amount.String() != "3.000000000000000000" {
		t.Errorf("%+v", c)
	}
	sum := c.Leases[0].Earned.Amount.Add(c.Leases[1].Earned.Amount)
	if !sum.Equal(c.Spent.Amount) || !sum.IsPositive() {
		t.Errorf("leases earned %s, the account says %s", sum, c.Spent.Amount)
	}
}
