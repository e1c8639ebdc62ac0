//go:build e2e && kubebench

package kube

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	markettypes "berth.dev/berth/x/market/types"
)

// TestFiftyLeases deploys BERTH_E2E_LEASES leases at once and prints how long until all are ready, what memory this
// process takes (driver, its caches and this test), what the driver writes while nothing changes, and how long a new one
// takes to know them all: `make bench-kube`.
func TestFiftyLeases(t *testing.T) {
	n, err := strconv.Atoi(setting("BERTH_E2E_LEASES", "50"))
	if err != nil || n < 1 {
		t.Fatalf("BERTH_E2E_LEASES is not a number of leases: %v", err)
	}
	cfg := config(t)
	c, wrote := counting(t, cfg)
	stop := runDriver(t, c)
	var ids []markettypes.LeaseID
	began := time.Now()
	var g errgroup.Group
	for i := range n {
		id := markettypes.LeaseID{Owner: "berth1e2e", Dseq: uint64(i) + 1, Gseq: 1, Oseq: 1, Provider: cfg.Provider}
		ids = append(ids, id)
		t.Cleanup(func() { _ = c.Remove(context.Background(), id) })
		web := clustertest.Service("web", image())
		web.CpuMilli, web.MemoryBytes = 10, 24<<20
		g.Go(func() error {
			for { // as the lease controller does: what was not learned is tried again
				err := c.Apply(t.Context(), clustertest.Workload(id, web))
				if err == nil || errors.Is(err, cluster.ErrRefused) || t.Context().Err() != nil {
					return err
				}
				t.Logf("will try again: %v", err)
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d leases applied after %s, %d writes", n, time.Since(began).Round(100*time.Millisecond), wrote.n.Load())
	left := ids
	awaitFor(t, 10*time.Minute, "all leases ready", func() (bool, string) {
		for len(left) > 0 {
			st, err := c.Status(t.Context(), left[0])
			if err != nil {
				return false, err.Error()
			}
			if ok, what := clustertest.Complete(st); !ok {
				return false, strconv.Itoa(len(left)) + " left: " + what
			}
			left = left[1:]
		}
		return true, ""
	})
	ready := time.Since(began)
	t.Logf("%d leases ready after %s (target 120 s)", n, ready.Round(100*time.Millisecond))
	if ready > 2*time.Minute {
		t.Errorf("ready after %s, want 120 s", ready)
	}
	t.Logf("memory of this process: %d MB (target 250 MB)", resident(t)>>20)

	quiet := 3 * time.Minute
	if err := pause(t.Context(), 5*time.Second); err != nil { // the last instances' events settle
		t.Fatal(err)
	}
	before := wrote.n.Load()
	if err := pause(t.Context(), quiet); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d writes in %s of steady state (target 1 a minute)", wrote.n.Load()-before, quiet)
	if wrote.n.Load()-before > int64(quiet/time.Minute) {
		t.Error("writes while nothing changes")
	}
	if mb := resident(t) >> 20; mb > 250 {
		t.Errorf("memory of this process after that: %d MB, want 250 MB", mb)
	} else {
		t.Logf("memory of this process after that: %d MB", mb)
	}
	stop()

	next, wrote := counting(t, cfg)
	began = time.Now()
	runDriver(t, next)
	all, err := next.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if d.Terminating || d.Damaged || len(d.ManifestHash) == 0 {
			t.Errorf("listed: %+v", d)
		}
		if st, err := next.Status(t.Context(), d.Lease); err != nil {
			t.Error(err)
		} else if ok, what := clustertest.Complete(st); !ok {
			t.Errorf("%s: %s", d.Lease, what)
		}
	}
	adopted := time.Since(began)
	t.Logf("%d leases known again, with their status, after %s (target 10 s)", len(all), adopted.Round(10*time.Millisecond))
	if len(all) != n || adopted > 10*time.Second {
		t.Errorf("%d leases after %s, want %d within 10 s", len(all), adopted, n)
	}
	if err := pause(t.Context(), 40*time.Second); err != nil { // the first pass over everything, and the second
		t.Fatal(err)
	}
	if w := wrote.n.Load(); w > 0 {
		t.Errorf("%d writes after the restart, want none", w)
	}
	t.Logf("0 writes in 40 s after the restart: %v", wrote.n.Load() == 0)
}

// runDriver runs a driver until the test ends or stop is called.
func runDriver(t *testing.T, c *Cluster) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return stop
}

// resident is what memory this process takes, in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data))
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
