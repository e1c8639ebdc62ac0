package tenant_test

import (
	"testing"

	"berth.dev/berth/manifest"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
)

// sealed is what a plain transaction would have written for a deployment: its manifests as the providers have them.
func sealed(t *testing.T, w *tenanttest.World, s *tenant.State) manifest.Sealed {
	t.Helper()
	f := manifest.Sealed{Owner: s.Owner, Dseq: s.Dseq, Root: s.ManifestHash}
	for i := range s.Groups {
		lease := s.BidID(i)
		p, err := w.Chain().Provider(t.Context(), lease.Provider)
		if err != nil {
			t.Fatal(err)
		}
		g, err := w.Dial(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		env, err := g.Manifest(t.Context(), lease)
		if err != nil {
			t.Fatal(err)
		}
		f.Envelopes = append(f.Envelopes, env)
	}
	return f
}

func TestSendSealed(t *testing.T) {
	w := tenanttest.New(eastWest()...)
	m, s := deploy(t, w, tenant.NewFileStore(t.TempDir(), "world"), tenanttest.TwoGroups)
	f := sealed(t, w, s)
	accepted, err := m.SendSealed(t.Context(), f)
	if err != nil || len(accepted) != 2 || accepted[0].Group == accepted[1].Group {
		t.Errorf("SendSealed = %+v, %v, want both groups accepted", accepted, err)
	}

	other := f
	other.Owner = tenanttest.Address("somebody else")
	_, err = m.SendSealed(t.Context(), other)
	wantFailure(t, err, tenant.KindUsage, "belongs to")

	forged := f
	forged.Envelopes = append(forged.Envelopes[:0:0], f.Envelopes...)
	forged.Envelopes[0].Group = append([]byte{}, f.Envelopes[1].Group...)
	_, err = m.SendSealed(t.Context(), forged)
	wantFailure(t, err, tenant.KindLease, "send the manifest")

	if _, err := m.CloseDeployment(t.Context(), s.Dseq); err != nil {
		t.Fatal(err)
	}
	_, err = m.SendSealed(t.Context(), f)
	wantFailure(t, err, tenant.KindLease, "has no lease")
}
