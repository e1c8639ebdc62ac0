package tenant_test

import (
	"reflect"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

const (
	pauseURL = "/berth.deployment.v1.MsgPauseGroup"
	startURL = "/berth.deployment.v1.MsgStartGroup"
)

// TestPauseAndStart: a paused deployment has no leases and costs nothing; started, it runs again with the same manifest.
func TestPauseAndStart(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	files := tenant.NewFileStore(t.TempDir(), "world")
	m, s := deploy(t, w, files, tenanttest.TwoGroups)
	c, err := m.Pause(t.Context(), s.Dseq)
	if err != nil || len(c.Groups) != 2 || c.Tx == "" || w.Sent[pauseURL] != 2 {
		t.Fatalf("Pause = %+v, %v, sent %v", c, err, w.Sent)
	}
	st, err := m.Status(t.Context(), s.ID())
	if err != nil || st.State != "active" || !st.PricePerBlock.Amount.IsZero() {
		t.Fatalf("status %+v, %v", st, err)
	}
	for _, g := range st.Groups {
		if g.State != "paused" || g.Lease != nil || len(g.Ended) != 1 || g.Ended[0].Reason != "tenant" {
			t.Errorf("group %+v", g)
		}
	}
	if c, err = m.Pause(t.Context(), s.Dseq); err != nil || len(c.Groups) != 0 || w.Sent[pauseURL] != 2 {
		t.Errorf("again: %+v, %v, sent %v", c, err, w.Sent)
	}

	// Without this machine's state nothing is opened that nobody could send a manifest for.
	_, err = w.Machine(tenant.NewFileStore(t.TempDir(), "world")).Start(t.Context(), s.Dseq)
	wantFailure(t, err, tenant.KindUsage, "cannot be resumed here")
	if w.Sent[startURL] != 0 {
		t.Errorf("sent %v", w.Sent)
	}
	for range 2 { // the second time it runs already
		if _, err := m.Start(t.Context(), s.Dseq); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Resume(t.Context(), s.Dseq); err != nil {
			t.Fatal(err)
		}
	}
	st, err = m.Status(t.Context(), s.ID())
	if err != nil || !st.Ready || st.ManifestHash != s.ManifestHash || w.Sent[startURL] != 2 {
		t.Errorf("status %+v, %v, sent %v", st, err, w.Sent)
	}
	if _, err := m.CloseDeployment(t.Context(), s.Dseq); err != nil {
		t.Fatal(err)
	}
	_, err = m.Pause(t.Context(), s.Dseq)
	wantFailure(t, err, tenant.KindUsage, "is closed")
}

// TestDepositsFromGrants: grants are drawn first, and the account need not have the deposit itself.
func TestDepositsFromGrants(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	var sources [][]string
	w.BeforeSend = recordSources(&sources)
	m := w.Machine(tenant.NewFileStore(t.TempDir(), "world"))
	q, err := m.Quote(t.Context(), tenant.Request{Plan: tenanttest.Plan(t, tenanttest.OneGroup), Granters: []string{"granter-a", "granter-b"}})
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
	amount, err := tenant.ParseCoin("1BRT")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.TopUp(t.Context(), s.Dseq, amount, "granter-a"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.TopUp(t.Context(), s.Dseq, amount); err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"granter-a", "granter-b", "SOURCE_BALANCE"}, {"granter-a", "SOURCE_BALANCE"}, nil}
	if !reflect.DeepEqual(sources, want) {
		t.Errorf("sources %v, want %v", sources, want)
	}
}

// recordSources notes where deposits are drawn from.
func recordSources(into *[][]string) func([]sdk.Msg) error {
	return func(msgs []sdk.Msg) error {
		for _, msg := range msgs {
			var from []escrowtypes.DepositSource
			switch msg := msg.(type) {
			case *deploymenttypes.MsgCreateDeployment:
				from = msg.DepositSources
			case *escrowtypes.MsgDeposit:
				from = msg.Sources
			default:
				continue
			}
			var names []string
			for _, s := range from {
				if s.Kind == escrowtypes.SOURCE_GRANT {
					names = append(names, s.Granter)
					continue
				}
				names = append(names, s.Kind.String())
			}
			*into = append(*into, names)
		}
		return nil
	}
}
