package clustertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

func testUnknownLease(t *testing.T, s *suite) {
	id := s.lease(t)
	if _, err := s.Cluster.Status(t.Context(), id); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("Status of an unknown lease: got %v, want ErrNotFound", err)
	}
	if _, err := s.Cluster.Logs(t.Context(), id, cluster.LogOptions{}); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("Logs of an unknown lease: got %v, want ErrNotFound", err)
	}
	if err := s.Cluster.Remove(t.Context(), id); err != nil {
		t.Errorf("Remove of an unknown lease: got %v, want nil", err)
	}
	if _, held := s.list(t)[id]; held {
		t.Error("an unknown lease is listed")
	}
}

func testNodes(t *testing.T, s *suite) {
	nodes, err := s.Cluster.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes) == 0 {
		t.Fatal("no nodes")
	}
	if !slices.IsSortedFunc(nodes, func(a, b cluster.Node) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("nodes are not in the order of their names: %+v", nodes)
	}
	for _, n := range nodes {
		if n.Name == "" || n.CPU <= 0 || n.Memory <= 0 || n.Storage <= 0 {
			t.Errorf("node without capacity: %+v", n)
		}
	}
}

func testLifecycle(t *testing.T, s *suite) {
	id := s.lease(t)
	web, tcp := Service("web", s.Image), Service("db", s.Image)
	web.Count = 2
	web.Env = []manifesttypes.EnvVar{{Name: "GREETING", Value: "hello"}, {Name: "PASSWORD", Value: "x$(y)z", Secret: true}}
	tcp.Expose[0].Proto, tcp.Expose[0].As = manifesttypes.PROTO_TCP, 5432
	w := Workload(id, tcp, web)
	s.apply(t, w)
	s.awaitReady(t, id)

	got, held := s.list(t)[id]
	if !held || got.Terminating {
		t.Fatalf("listed=%v terminating=%v, want a living workload", held, got.Terminating)
	}
	sameWorkload(t, got.Workload, w)

	all := s.status(t, id)
	if len(all) != 2 || all[0].Name != "db" || all[1].Name != "web" {
		t.Fatalf("services %+v, want db and web in this order", all)
	}
	if all[1].Desired != 2 || len(all[1].URLs) != 1 || !strings.HasPrefix(all[1].URLs[0], "http://web-") {
		t.Errorf("web is %+v, want two instances and one url", all[1])
	}
	if len(all[0].URLs) != 0 || len(all[0].Ports) != 1 || all[0].Ports[0].ExternalPort == 0 || all[0].Ports[0].Port != 5432 {
		t.Errorf("db is %+v, want one forwarded port of 5432 and no url", all[0])
	}

	if err := s.Cluster.Remove(t.Context(), id); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	s.awaitGone(t, id)
	if _, err := s.Cluster.Status(t.Context(), id); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("Status after Remove: got %v, want ErrNotFound", err)
	}
	if err := s.Cluster.Remove(t.Context(), id); err != nil {
		t.Errorf("second Remove: got %v, want nil", err)
	}
}

func sameWorkload(t *testing.T, got, want cluster.Workload) {
	t.Helper()
	a, errA := got.Envelope.Marshal()
	b, errB := want.Envelope.Marshal()
	c, errC := got.Group.Marshal()
	d, errD := want.Group.Marshal()
	if err := errors.Join(errA, errB, errC, errD); err != nil {
		t.Fatal(err)
	}
	if got.Lease != want.Lease || got.Suspended != want.Suspended || !slices.Equal(a, b) || !slices.Equal(c, d) || !slices.Equal(got.ManifestHash, want.ManifestHash) {
		t.Errorf("workload read back differs:\ngot  %+v\nwant %+v", got, want)
	}
}

func testIdempotent(t *testing.T, s *suite) {
	id := s.lease(t)
	w := Workload(id, Service("web", s.Image))
	s.apply(t, w)
	s.awaitReady(t, id)
	before := s.status(t, id)
	for range 3 {
		s.apply(t, w)
		if after := s.status(t, id); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Fatalf("a repeated Apply changed the status from %+v to %+v", before, after)
		}
	}
}

func testUpdateRolls(t *testing.T, s *suite) {
	id := s.lease(t)
	web := Service("web", s.Image)
	web.Count = 2
	s.apply(t, Workload(id, web))
	s.awaitReady(t, id)
	url := s.status(t, id)[0].URLs

	web.Image = s.NextImage
	next := Workload(id, web)
	s.apply(t, next)
	s.await(t, "the update", func() (bool, string) {
		st := s.status(t, id)
		if st[0].Ready < st[0].Desired {
			t.Fatalf("an update left a gap: %+v", st)
		}
		return Complete(st)
	})
	if got := s.status(t, id)[0].URLs; !slices.Equal(got, url) {
		t.Errorf("an update changed the urls from %v to %v", url, got)
	}
	sameWorkload(t, s.list(t)[id].Workload, next)
}

func testUpdateDropsService(t *testing.T, s *suite) {
	id := s.lease(t)
	s.apply(t, Workload(id, Service("old", s.Image), Service("web", s.Image)))
	s.awaitReady(t, id)
	s.apply(t, Workload(id, Service("web", s.Image)))
	s.awaitReady(t, id)
	if all := s.status(t, id); len(all) != 1 || all[0].Name != "web" {
		t.Errorf("services after the update: %+v, want web alone", all)
	}
}

func testDependsOn(t *testing.T, s *suite) {
	id := s.lease(t)
	db, web := Service("db", s.MissingImage), Service("web", s.Image)
	web.DependsOn = []string{"db"}
	s.apply(t, Workload(id, db, web))
	s.await(t, "the dependency to fail", func() (bool, string) {
		all := s.status(t, id)
		if w := find(t, all, "web"); w.Ready != 0 || w.Message == "" {
			t.Fatalf("web started before the service it depends on: %+v", all)
		}
		return find(t, all, "db").Failed, fmt.Sprintf("%+v", all)
	})

	db.Image = s.Image
	s.apply(t, Workload(id, db, web))
	s.await(t, "both services ready", func() (bool, string) {
		all := s.status(t, id)
		d, w := find(t, all, "db"), find(t, all, "web")
		if w.Ready > 0 && d.Ready < d.Desired {
			t.Fatalf("web is ready before the service it depends on: %+v", all)
		}
		return Complete(all)
	})
}

func testMissingImage(t *testing.T, s *suite) {
	id := s.lease(t)
	bad, good := Service("bad", s.MissingImage), Service("good", s.Image)
	s.apply(t, Workload(id, bad, good))
	s.await(t, "the failure to show", func() (bool, string) {
		all := s.status(t, id)
		b, g := find(t, all, "bad"), find(t, all, "good")
		done := b.Failed && b.Message != "" && b.Ready == 0 && g.Ready == 1 && !g.Failed
		return done, fmt.Sprintf("%+v", all)
	})
	bad.Image = s.Image
	s.apply(t, Workload(id, bad, good))
	s.awaitReady(t, id)
	if b := find(t, s.status(t, id), "bad"); b.Failed {
		t.Errorf("still failed after the update: %+v", b)
	}
}

// readAll reads a stream to its end.
func readAll(t *testing.T, st cluster.LogStream) []cluster.LogLine {
	t.Helper()
	var lines []cluster.LogLine
	for {
		l, err := st.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
		lines = append(lines, l)
	}
}

func (s *suite) logs(t *testing.T, w cluster.Workload, o cluster.LogOptions) cluster.LogStream {
	t.Helper()
	st, err := s.Cluster.Logs(t.Context(), w.Lease, o)
	if err != nil {
		t.Fatalf("Logs(%+v): %v", o, err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func testLogs(t *testing.T, s *suite) {
	id := s.lease(t)
	a, b := Service("a", s.Image), Service("b", s.Image)
	b.Count = 2
	w := Workload(id, a, b)
	s.apply(t, w)
	s.awaitReady(t, id)

	s.await(t, "lines of all three instances", func() (bool, string) {
		seen := map[string]string{}
		lines := readAll(t, s.logs(t, w, cluster.LogOptions{}))
		for _, l := range lines {
			seen[l.Instance] = l.Service
		}
		return len(seen) == 3, fmt.Sprintf("%+v", lines)
	})
	for _, l := range readAll(t, s.logs(t, w, cluster.LogOptions{Service: "a"})) {
		if l.Service != "a" || l.Instance == "" || strings.ContainsAny(l.Line, "\r\n") {
			t.Errorf("logs of a hold %+v", l)
		}
	}
	if got := readAll(t, s.logs(t, w, cluster.LogOptions{Service: "b", Tail: 1})); len(got) != 2 {
		t.Errorf("one line of each of two instances: got %+v", got)
	}
	if _, err := s.Cluster.Logs(t.Context(), id, cluster.LogOptions{Service: "nobody"}); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("Logs of an unknown service: got %v, want ErrNotFound", err)
	}
}

func testLogsFollow(t *testing.T, s *suite) {
	id := s.lease(t)
	w := Workload(id, Service("web", s.Image))
	s.apply(t, w)
	s.awaitReady(t, id)

	st := s.logs(t, w, cluster.LogOptions{Follow: true})
	if l, err := st.Next(); err != nil || l.Service != "web" {
		t.Fatalf("first line: %+v, %v", l, err)
	}
	if err := st.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	// Lines that were read before may still come, then the end must.
	_ = readAll(t, st)

	ending := s.logs(t, w, cluster.LogOptions{Follow: true})
	if _, err := ending.Next(); err != nil {
		t.Fatalf("first line: %v", err)
	}
	if err := s.Cluster.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	_ = readAll(t, ending)
}

func testRestartAdopts(t *testing.T, s *suite) {
	id := s.lease(t)
	w := Workload(id, Service("web", s.Image))
	s.apply(t, w)
	s.awaitReady(t, id)
	s.Cluster = s.Restart(t)
	got, held := s.list(t)[id]
	if !held || got.Terminating {
		t.Fatalf("after a restart: listed=%v terminating=%v", held, got.Terminating)
	}
	sameWorkload(t, got.Workload, w)
	s.apply(t, got.Workload)
	if ok, what := Complete(s.status(t, id)); !ok {
		t.Errorf("applying what was read back disturbed it: %s", what)
	}
}

func testLeasesApart(t *testing.T, s *suite) {
	a, b := s.lease(t), s.lease(t)
	s.apply(t, Workload(b, Service("web", s.Image)))
	s.apply(t, Workload(a, Service("web", s.Image)))
	all, err := s.Cluster.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(all, func(x, y cluster.Deployed) int { return strings.Compare(x.Lease.String(), y.Lease.String()) }) {
		t.Error("List is not in the order of lease ids")
	}
	s.awaitReady(t, a)
	s.awaitReady(t, b)
	if x, y := s.status(t, a)[0].URLs[0], s.status(t, b)[0].URLs[0]; x == y {
		t.Errorf("two leases share the url %s", x)
	}
	if err := s.Cluster.Remove(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	s.awaitGone(t, a)
	if ok, what := Complete(s.status(t, b)); !ok {
		t.Errorf("removing one lease disturbed the other: %s", what)
	}
	// What a caller does to its copy is nobody else's affair.
	d := s.list(t)[b]
	d.Envelope.Group[0] ^= 0xff
	d.Group.Services[0].Name = "mine"
	sameWorkload(t, s.list(t)[b].Workload, Workload(b, Service("web", s.Image)))
}

func testConcurrent(t *testing.T, s *suite) {
	const n = 5
	var ws []cluster.Workload
	for range n {
		ws = append(ws, Workload(s.lease(t), Service("web", s.Image)))
	}
	var g errgroup.Group
	for _, w := range ws {
		g.Go(func() error { return s.Cluster.Apply(t.Context(), w) })
		g.Go(func() error { _, err := s.Cluster.List(t.Context()); return err })
		g.Go(func() error { _, err := s.Cluster.Nodes(t.Context()); return err })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, w := range ws {
		s.awaitReady(t, w.Lease)
	}
}

func testCancelledContext(t *testing.T, s *suite) {
	id := s.lease(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Cluster.Apply(ctx, Workload(id, Service("web", s.Image))); err == nil {
		t.Error("Apply with an ended context succeeded")
	}
	if _, err := s.Cluster.Status(ctx, id); err == nil || errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("Status with an ended context: got %v, want an error other than ErrNotFound", err)
	}
}
