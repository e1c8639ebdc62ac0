package clustertest

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// LinkedWorkload is a workload of the group "here" whose service web may use port 5432 of the service db of the group
// "there", and depends on it.
func LinkedWorkload(id markettypes.LeaseID, image string) cluster.Workload {
	web := Service("web", image)
	web.DependsOn = []string{"db"}
	w := Workload(id, Service("other", image), web)
	return withEdges(w, manifesttypes.Edge{FromGroup: "here", FromService: "web", ToGroup: "there", ToService: "db", Port: 5432})
}

// withEdges adds edges to the group of a workload.
func withEdges(w cluster.Workload, edges ...manifesttypes.Edge) cluster.Workload {
	w.Group.Edges = edges
	data, err := w.Group.Marshal()
	if err != nil {
		panic(err) // a message of plain fields always encodes
	}
	w.Envelope.Group = data
	return w
}

func (s *suite) linker(t *testing.T) cluster.Linker {
	t.Helper()
	l, ok := s.Cluster.(cluster.Linker)
	if !ok {
		t.Fatalf("%T carries no links", s.Cluster)
	}
	return l
}

func (s *suite) setLinks(t *testing.T, id markettypes.LeaseID, links ...cluster.Link) {
	t.Helper()
	if err := s.linker(t).SetLinks(t.Context(), id, links); err != nil {
		t.Fatalf("SetLinks(%s): %v", id, err)
	}
}

// testLinkDependency: a service that depends on a service elsewhere starts when the link to it is ready, not before, and
// goes on when the link is lost, or not known to a driver that has just started.
func testLinkDependency(t *testing.T, s *suite) {
	id := s.lease(t)
	address, err := s.linker(t).LinkAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	link := cluster.Link{Service: "db", Port: 5432, Clients: []string{"web"}, Address: netip.AddrPortFrom(address, 29999)}
	w := LinkedWorkload(id, s.Image)
	s.apply(t, w)
	waits := func() {
		t.Helper()
		s.await(t, "the other service to be ready", func() (bool, string) {
			all := s.status(t, id)
			web := find(t, all, "web")
			if web.Ready != 0 || !strings.Contains(web.Message, "waiting for link to db in group there") {
				t.Fatalf("web does not wait for its link: %+v", web)
			}
			return Complete([]cluster.ServiceStatus{find(t, all, "other")})
		})
	}
	waits()
	s.setLinks(t, id, link)
	waits()
	link.Ready = true
	s.setLinks(t, id, link)
	s.awaitReady(t, id)

	link.Ready = false
	s.setLinks(t, id, link)
	s.apply(t, w)
	if ok, what := Complete(s.status(t, id)); !ok {
		t.Errorf("a lost link stopped what ran: %s", what)
	}
	s.Cluster = s.Restart(t)
	s.apply(t, w)
	if ok, what := Complete(s.status(t, id)); !ok {
		t.Errorf("a restart stopped what ran: %s", what)
	}
	s.setLinks(t, id)
	s.linker(t).ForgetLinks(id)
}

// testLinkTarget: the ready instances of a service can be found and those of no other service.
func testLinkTarget(t *testing.T, s *suite) {
	id := s.lease(t)
	db := Service("db", s.Image)
	db.Count = 2
	db.Expose[0] = manifesttypes.Expose{
		Port: 8080, As: 5432, Proto: manifesttypes.PROTO_TCP, To: []manifesttypes.To{{Service: "web", Global: true}},
	}
	w := withEdges(Workload(id, db), manifesttypes.Edge{FromGroup: "there", FromService: "web", ToGroup: "here", ToService: "db", Port: 5432})
	if got, err := s.linker(t).Instances(t.Context(), id, "db", 8080, false); err != nil || len(got) > 0 {
		t.Errorf("instances of an unknown lease: %v, %v, want none", got, err)
	}
	s.apply(t, w)
	s.awaitReady(t, id)
	s.await(t, "two instances", func() (bool, string) {
		got, err := s.linker(t).Instances(t.Context(), id, "db", 8080, false)
		if err != nil {
			t.Fatalf("Instances: %v", err)
		}
		return len(got) == 2 && got[0] != got[1] && got[0].Port() == 8080, netips(got)
	})
	if got, err := s.linker(t).Instances(t.Context(), id, "web", 8080, false); err != nil || len(got) > 0 {
		t.Errorf("instances of a service that is not there: %v, %v, want none", got, err)
	}
	if name, ok, err := s.linker(t).Client(t.Context(), id, netip.MustParseAddr("198.51.100.7")); err != nil || ok {
		t.Errorf("a stranger's address is taken for %q, %v", name, err)
	}
}

func netips(all []netip.AddrPort) string {
	var out []string
	for _, a := range all {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
