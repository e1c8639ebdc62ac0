package clustertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// testCrashing holds that a service that keeps ending says so, with the last lines that it wrote, and harms no other.
func testCrashing(t *testing.T, s *suite) {
	id := s.lease(t)
	s.apply(t, Workload(id, s.Crashing("bad"), Service("good", s.Image)))
	s.await(t, "the crash to show", func() (bool, string) {
		all := s.status(t, id)
		b, g := find(t, all, "bad"), find(t, all, "good")
		return b.Failed && len(b.Log) == cluster.MaxFailureLog && g.Ready == 1, fmt.Sprintf("%+v", all)
	})
	b := find(t, s.status(t, id), "bad")
	if b.Reason != cluster.ReasonCrash || !strings.Contains(b.Message, "code 3") || b.Ready != 0 {
		t.Errorf("a service that crashes: %+v", b)
	}
	if b.Log[0] != "line 11" || b.Log[len(b.Log)-1] != "line 60" {
		t.Errorf("its last lines are %q, want line 11 to line 60", b.Log)
	}
	if g := find(t, s.status(t, id), "good"); g.Failed || g.Log != nil {
		t.Errorf("the service beside it: %+v", g)
	}
}

// awaitSuspended waits until a lease's instances are all gone and its services say why.
func (s *suite) awaitSuspended(t *testing.T, w cluster.Workload) {
	t.Helper()
	s.await(t, "all instances being gone", func() (bool, string) {
		all := s.status(t, w.Lease)
		ok := true
		for _, sv := range all {
			ok = ok && sv.Ready == 0 && sv.Updated == 0 && sv.Reason == cluster.ReasonSuspended && sv.Message != "" && !sv.Failed
		}
		return ok, fmt.Sprintf("%+v", all)
	})
}

// testSuspend holds that a suspended lease has no instances and comes back as it was: with the same manifest, the same
// number of instances, addresses and ports. A restart in between changes nothing.
func testSuspend(t *testing.T, s *suite) {
	id := s.lease(t)
	db, web := Service("db", s.Image), Service("web", s.Image)
	db.Expose[0].Proto, db.Expose[0].As = manifesttypes.PROTO_TCP, 5432
	web.Count, web.DependsOn = 2, []string{"db"}
	w := Workload(id, db, web)
	s.apply(t, w)
	s.awaitReady(t, id)
	before := s.status(t, id)
	if d := s.list(t)[id]; d.Suspended {
		t.Fatal("listed as suspended before it was")
	}

	w.Suspended = true
	s.apply(t, w)
	s.awaitSuspended(t, w)
	s.Cluster = s.Restart(t)
	d, held := s.list(t)[id]
	if !held || !d.Suspended || d.Damaged {
		t.Fatalf("after a restart: listed=%v suspended=%v damaged=%v", held, d.Suspended, d.Damaged)
	}
	sameWorkload(t, d.Workload, w)
	s.apply(t, d.Workload)
	s.awaitSuspended(t, w)
	for i, sv := range s.status(t, id) {
		if sv.Desired != before[i].Desired || !slices.Equal(sv.URLs, before[i].URLs) || !slices.Equal(sv.Ports, before[i].Ports) {
			t.Errorf("suspended: %+v, before: %+v", sv, before[i])
		}
	}

	w.Suspended = false
	s.apply(t, w)
	s.awaitReady(t, id)
	if after := s.status(t, id); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after the resume: %+v, before: %+v", after, before)
	}
	if d := s.list(t)[id]; d.Suspended {
		t.Error("listed as suspended after the resume")
	}
}

// testSuspendedFromTheStart holds that a manifest that is applied while its lease is suspended starts nothing.
func testSuspendedFromTheStart(t *testing.T, s *suite) {
	id := s.lease(t)
	w := Workload(id, Service("web", s.Image))
	w.Suspended = true
	s.apply(t, w)
	for range 3 {
		if sv := s.status(t, id)[0]; sv.Ready != 0 || sv.Reason != cluster.ReasonSuspended {
			t.Fatalf("status %+v", sv)
		}
	}
	w.Suspended = false
	s.apply(t, w)
	s.awaitReady(t, id)
}
