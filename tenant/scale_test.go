package tenant_test

import (
	"testing"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
)

// TestScale: a service that follows its load gets another least number by an update of its manifest; the order stays.
func TestScale(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	files := tenant.NewFileStore(t.TempDir(), "world")
	m := w.Machine(files)
	plan := tenanttest.Plan(t, tenanttest.TwoGroups)
	var scaled, fixed string
	for i := range plan.Manifests {
		for j := range plan.Manifests[i].Services {
			sv := &plan.Manifests[i].Services[j]
			if sv.Count != 2 {
				fixed = sv.Name
				continue
			}
			scaled = sv.Name
			sv.Scale = &manifesttypes.Scale{Min: 1, Triggers: []manifesttypes.Trigger{{Resource: "cpu", UtilizationPercent: 80}}}
		}
	}
	q, err := m.Quote(t.Context(), tenant.Request{Plan: plan, Document: "app.json"})
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
	for what, tc := range map[string]struct {
		least map[string]uint32
		want  string
	}{
		"no such service":     {map[string]uint32{"nobody": 1}, `no service "nobody" (there are `},
		"one that is fixed":   {map[string]uint32{fixed: 1}, fixed + " does not follow its load: it runs the 1 instance"},
		"more than reserved":  {map[string]uint32{scaled: 3}, "from 1 to 2 instances at least"},
		"none":                {map[string]uint32{scaled: 0}, "not 0"},
		"everything is named": {map[string]uint32{scaled: 3, "nobody": 1}, "instances at least"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := m.PrepareScale(t.Context(), s.Dseq, tc.least)
			wantFailure(t, err, tenant.KindUsage, tc.want)
		})
	}
	// From here, and from a machine that has to ask the provider for the manifest.
	for _, m := range []*tenant.Machine{m, w.Machine(tenant.NewFileStore(t.TempDir(), "world"))} {
		before := w.Sent[updateURL]
		u, err := m.PrepareScale(t.Context(), s.Dseq, map[string]uint32{scaled: 2})
		if err != nil {
			t.Fatal(err)
		}
		if len(u.Changed) == 0 { // it has been scaled so before
			continue
		}
		st, err := m.Update(t.Context(), u)
		if err != nil || w.Sent[updateURL] != before+1 || st.Step != tenant.StepDone || st.Document != "app.json" {
			t.Errorf("%+v, %v, sent %v", st, err, w.Sent)
		}
	}
	if w.Sent[updateURL] != 1 {
		t.Errorf("sent %v, want one update", w.Sent)
	}
}
