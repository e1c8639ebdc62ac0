package clustertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// testPorts holds that one number in tcp and in udp are two ports, and that an update keeps the external port of an
// expose that it does not change.
func testPorts(t *testing.T, s *suite) {
	id := s.lease(t)
	web := Service("web", s.Image)
	expose := func(as uint32, proto manifesttypes.Proto) manifesttypes.Expose {
		return manifesttypes.Expose{Port: 8080, As: as, Proto: proto, To: []manifesttypes.To{{Global: true}}}
	}
	web.Expose = []manifesttypes.Expose{expose(5300, manifesttypes.PROTO_TCP), expose(5300, manifesttypes.PROTO_UDP)}
	external := func() map[string]uint32 {
		out := map[string]uint32{}
		for _, p := range find(t, s.status(t, id), "web").Ports {
			out[fmt.Sprint(p.Proto, p.Port)] = p.ExternalPort
		}
		return out
	}
	s.apply(t, Workload(id, web))
	s.awaitReady(t, id)
	first := external()
	if first["tcp5300"] == 0 || first["udp5300"] == 0 || len(first) != 2 {
		t.Fatalf("external ports %v, want one for each protocol", first)
	}
	web.Expose = append([]manifesttypes.Expose{expose(4000, manifesttypes.PROTO_TCP)}, web.Expose...)
	web.Image = s.NextImage
	s.apply(t, Workload(id, web))
	s.awaitReady(t, id)
	second := external()
	if second["tcp5300"] != first["tcp5300"] || second["udp5300"] != first["udp5300"] || second["tcp4000"] == 0 || second["tcp4000"] == first["tcp5300"] {
		t.Errorf("an update changed external ports from %v to %v", first, second)
	}
	web.Expose = []manifesttypes.Expose{expose(5300, manifesttypes.PROTO_UDP)}
	s.apply(t, Workload(id, web))
	s.awaitReady(t, id)
	if third := external(); third["udp5300"] != first["udp5300"] || len(third) != 1 {
		t.Errorf("another update changed external ports from %v to %v", first, third)
	}
}

// testHosts holds that a host leads to one lease at a time: to that of its owner whose manifest was accepted last, and
// to no other owner's while it has one.
func testHosts(t *testing.T, s *suite) {
	host := strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-") + ".accepted.example"
	first, second := s.lease(t), s.lease(t)
	other := s.lease(t)
	other.Owner = "berth1other"
	t.Cleanup(func() {
		if err := s.Cluster.Remove(context.WithoutCancel(t.Context()), other); err != nil {
			t.Errorf("Remove(%s): %v", other, err)
		}
	})
	workload := func(id markettypes.LeaseID, accepted int64) cluster.Workload {
		web := Service("web", s.Image)
		web.Expose[0].Accept = []string{host}
		w := Workload(id, web)
		w.Accepted = time.Unix(accepted, 0)
		return w
	}
	leads := func(id markettypes.LeaseID) bool {
		return slices.ContainsFunc(find(t, s.status(t, id), "web").URLs, func(u string) bool { return strings.Contains(u, host) })
	}
	only := func(has, not markettypes.LeaseID) {
		t.Helper()
		if !leads(has) || leads(not) {
			t.Fatalf("the host leads to %s: %v, to %s: %v", has, leads(has), not, leads(not))
		}
	}
	s.apply(t, workload(first, 1000))
	if !leads(first) {
		t.Fatal("the host does not lead to the lease that asked for it")
	}
	if err := s.Cluster.Apply(t.Context(), workload(other, 1500)); !errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), host) {
		t.Fatalf("another owner's manifest: got %v, want a refusal that names the host", err)
	}
	s.apply(t, workload(second, 2000))
	only(second, first)
	s.await(t, "the former lease saying so", func() (bool, string) {
		st := find(t, s.status(t, first), "web")
		return st.Ready == st.Desired && strings.Contains(st.Message, host) && strings.Contains(st.Message, second.String()), fmt.Sprintf("%+v", st)
	})
	s.apply(t, workload(first, 1000))
	only(second, first)
	s.Cluster = s.Restart(t)
	s.apply(t, workload(first, 1000))
	only(second, first)
	s.apply(t, workload(first, 3000))
	only(first, second)
	for _, id := range []markettypes.LeaseID{first, second} {
		if err := s.Cluster.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitGone(t, first)
	s.apply(t, workload(other, 4000))
	if !leads(other) {
		t.Error("a host that nobody has any more is not given")
	}
}
