package lease

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

const us, them = "berth1us", "berth1them"

func leaseID(n uint64) markettypes.LeaseID {
	return markettypes.LeaseID{Owner: "o", Dseq: n, Gseq: 1, Oseq: 1, Provider: us}
}

func workload(n uint64, hash string) cluster.Workload {
	return cluster.Workload{Lease: leaseID(n), ManifestHash: []byte(hash)}
}

func TestDiff(t *testing.T) {
	start := time.Unix(1000, 0)
	id, running := leaseID(1), cluster.Deployed{Workload: workload(1, "a")}
	active := map[markettypes.LeaseID]State{id: {Since: start}}
	accepted := map[markettypes.LeaseID]cluster.Workload{id: workload(1, "a")}
	going := running
	going.Terminating = true
	suspended := running
	suspended.Suspended = true
	other := running
	other.Envelope.Group = []byte("altered")
	bare := cluster.Deployed{Workload: cluster.Workload{Lease: id}}
	damaged := bare
	damaged.Damaged = true
	failing := map[markettypes.LeaseID]time.Time{id: start}
	foreign := running
	foreign.Lease.Provider = them
	for name, tc := range map[string]struct {
		view View
		want []Kind
	}{
		"nothing":                         {View{}, nil},
		"in step":                         {View{Leases: active, Accepted: accepted, Observed: []cluster.Deployed{running}}, nil},
		"in step, refresh":                {View{Leases: active, Accepted: accepted, Observed: []cluster.Deployed{running}, Refresh: true}, []Kind{Apply}},
		"suspended, runs":                 {View{Leases: map[markettypes.LeaseID]State{id: {Suspended: true}}, Accepted: accepted, Observed: []cluster.Deployed{running}}, []Kind{Apply}},
		"suspended":                       {View{Leases: map[markettypes.LeaseID]State{id: {Suspended: true}}, Accepted: accepted, Observed: []cluster.Deployed{suspended}}, nil},
		"resumed":                         {View{Leases: active, Accepted: accepted, Observed: []cluster.Deployed{suspended}}, []Kind{Apply}},
		"altered, under the same hash":    {View{Leases: active, Accepted: accepted, Observed: []cluster.Deployed{other}}, []Kind{Apply}},
		"manifest gone":                   {View{Leases: active, Accepted: accepted, Observed: []cluster.Deployed{bare}}, []Kind{Apply}},
		"manifest damaged":                {View{Leases: active, Accepted: accepted, Observed: []cluster.Deployed{damaged}}, []Kind{Apply}},
		"damaged, never seen whole":       {View{Leases: active, Observed: []cluster.Deployed{damaged}, Now: start.Add(time.Hour)}, []Kind{Lost}},
		"never whole, waits":              {View{Leases: active, Observed: []cluster.Deployed{bare}, Now: start}, nil},
		"never whole, waited long enough": {View{Leases: active, Observed: []cluster.Deployed{bare}, Now: start.Add(time.Hour)}, []Kind{Close}},
		"fails, but may":                  {View{Leases: active, Accepted: accepted, Observed: []cluster.Deployed{running}, Failing: failing, Now: start.Add(time.Hour)}, nil},
		"fails, not for long":             {View{Leases: active, Accepted: accepted, Observed: []cluster.Deployed{running}, Failing: failing, Now: start.Add(time.Hour - 1), CloseFailingAfter: time.Hour}, nil},
		"fails for too long":              {View{Leases: active, Accepted: accepted, Observed: []cluster.Deployed{running}, Failing: failing, Now: start.Add(time.Hour), CloseFailingAfter: time.Hour}, []Kind{Close}},
		"fails for too long, notice owed": {View{Leases: map[markettypes.LeaseID]State{id: {Notice: time.Hour}}, Accepted: accepted, Observed: []cluster.Deployed{running}, Failing: failing, Now: start.Add(time.Hour), CloseFailingAfter: time.Hour}, []Kind{Announce}},
		"fails during its notice":         {View{Leases: map[markettypes.LeaseID]State{id: {Notice: time.Hour, Deadline: start.Add(3 * time.Hour)}}, Accepted: accepted, Observed: []cluster.Deployed{running}, Failing: failing, Now: start.Add(2 * time.Hour), CloseFailingAfter: time.Hour}, nil},
		"fails after its notice":          {View{Leases: map[markettypes.LeaseID]State{id: {Notice: time.Hour, Deadline: start.Add(3 * time.Hour)}}, Accepted: accepted, Observed: []cluster.Deployed{running}, Failing: failing, Now: start.Add(3 * time.Hour), CloseFailingAfter: time.Hour}, []Kind{Close}},
		"well again after its notice":     {View{Leases: map[markettypes.LeaseID]State{id: {Notice: time.Hour, Deadline: start.Add(3 * time.Hour)}}, Accepted: accepted, Observed: []cluster.Deployed{running}, Now: start.Add(3 * time.Hour), CloseFailingAfter: time.Hour}, nil},
		"failed before it was suspended":  {View{Leases: map[markettypes.LeaseID]State{id: {Suspended: true}}, Accepted: accepted, Observed: []cluster.Deployed{suspended}, Failing: failing, Now: start.Add(time.Hour), CloseFailingAfter: time.Hour}, nil},
		"vanished":                        {View{Leases: active, Accepted: accepted}, []Kind{Apply}},
		"other manifest":                  {View{Leases: active, Accepted: map[markettypes.LeaseID]cluster.Workload{id: workload(1, "b")}, Observed: []cluster.Deployed{running}}, []Kind{Apply}},
		"being removed by someone":        {View{Leases: active, Accepted: accepted, Observed: []cluster.Deployed{going}}, nil},
		"runs without a lease":            {View{Observed: []cluster.Deployed{running}}, []Kind{Verify}},
		"is being removed":                {View{Observed: []cluster.Deployed{going}}, nil},
		"another provider's":              {View{Observed: []cluster.Deployed{foreign}}, nil},
		"waits for a manifest":            {View{Leases: active, Now: start.Add(time.Minute - 1)}, nil},
		"waited long enough":              {View{Leases: active, Now: start.Add(time.Minute)}, []Kind{Close}},
		"close is on its way":             {View{Leases: map[markettypes.LeaseID]State{id: {Since: start, Closing: start.Add(time.Minute)}}, Now: start.Add(2*time.Minute - 1)}, nil},
		"close did not show":              {View{Leases: map[markettypes.LeaseID]State{id: {Since: start, Closing: start.Add(time.Minute)}}, Now: start.Add(2 * time.Minute)}, []Kind{Close}},
		"lost, never closed":              {View{Leases: active, Remembered: map[markettypes.LeaseID]bool{id: true}, Now: start.Add(time.Hour)}, []Kind{Lost}},
		"runs, manifest unknown, no rush": {View{Leases: active, Observed: []cluster.Deployed{running}, Now: start.Add(time.Hour)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tc.view.Provider, tc.view.ManifestTimeout = us, time.Minute
			got := Diff(tc.view)
			if len(got) != len(tc.want) {
				t.Fatalf("Diff = %+v, want kinds %v", got, tc.want)
			}
			for i := range got {
				if got[i].Kind != tc.want[i] || got[i].Lease != id {
					t.Errorf("action %d: %+v, want kind %v", i, got[i], tc.want[i])
				}
			}
		})
	}
}

// TestDiffTouchesOnlyWhatItMust: over random views, a workload of an active lease is never up for removal, other
// providers' are never touched, there is one action a lease at most, and they come in order.
func TestDiffTouchesOnlyWhatItMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := View{
			Provider: us, Leases: map[markettypes.LeaseID]State{}, Accepted: map[markettypes.LeaseID]cluster.Workload{},
			Remembered: map[markettypes.LeaseID]bool{}, Now: time.Unix(rapid.Int64Range(0, 200).Draw(t, "now"), 0),
			ManifestTimeout: time.Minute, Refresh: rapid.Bool().Draw(t, "refresh"),
		}
		for n := uint64(1); n <= 8; n++ {
			id := leaseID(n)
			if rapid.Bool().Draw(t, "foreign") {
				id.Provider = them
			} else if rapid.Bool().Draw(t, "lease") {
				v.Leases[id] = State{Since: time.Unix(rapid.Int64Range(0, 200).Draw(t, "since"), 0)}
			}
			hash := rapid.SampledFrom([]string{"a", "b"})
			if rapid.Bool().Draw(t, "accepted") {
				v.Accepted[id] = cluster.Workload{Lease: id, ManifestHash: []byte(hash.Draw(t, "accepted hash"))}
			}
			if rapid.Bool().Draw(t, "observed") {
				d := cluster.Deployed{Workload: cluster.Workload{Lease: id, ManifestHash: []byte(hash.Draw(t, "hash"))}}
				d.Terminating = rapid.Bool().Draw(t, "terminating")
				v.Observed = append(v.Observed, d)
			}
			if rapid.Bool().Draw(t, "remembered") {
				v.Remembered[id] = true
			}
		}
		seen := map[markettypes.LeaseID]bool{}
		var last markettypes.LeaseID
		for _, a := range Diff(v) {
			_, active := v.Leases[a.Lease]
			_, ok := v.Accepted[a.Lease]
			switch {
			case a.Lease.Provider != us:
				t.Fatalf("touched another provider's lease: %+v", a)
			case seen[a.Lease]:
				t.Fatalf("two actions for %s", a.Lease)
			case Compare(last, a.Lease) > 0:
				t.Fatalf("%s after %s", a.Lease, last)
			case (a.Kind == Verify) == active:
				t.Fatalf("%+v for a lease that is active: %v", a, active)
			case (a.Kind == Close || a.Kind == Lost) && ok:
				t.Fatalf("%+v for a lease with a manifest", a)
			case a.Kind == Close && v.Remembered[a.Lease]:
				t.Fatalf("%+v for a lease that had a manifest", a)
			}
			seen[a.Lease], last = true, a.Lease
		}
	})
}

func TestMemorySurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accepted.json")
	m, err := OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(3) {
		if err := m.Remember(leaseID(n + 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Forget(leaseID(2)); err != nil {
		t.Fatal(err)
	}
	again, err := OpenMemory(path)
	if err != nil || len(again.had) != 2 || !again.had[leaseID(1)] || !again.had[leaseID(3)] {
		t.Errorf("read back %v, %v", again, err)
	}
	for _, bad := range []string{"{", `["x"]`, `[1]`} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := OpenMemory(path); err == nil {
			t.Errorf("%s reads as %v", bad, m)
		}
	}
	m.path = filepath.Join(t.TempDir(), "gone", "accepted.json")
	if err := m.Remember(leaseID(9)); !errors.Is(err, os.ErrNotExist) || m.had[leaseID(9)] {
		t.Errorf("a memory that can't be written: %v, %v", err, m.had)
	}
}
