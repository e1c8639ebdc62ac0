package fake

import (
	"errors"
	"testing"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	markettypes "berth.dev/berth/x/market/types"
)

var (
	node = cluster.Node{Name: "n1", CPU: 8000, Memory: 16 << 30, Storage: 100 << 30}
	id   = markettypes.LeaseID{Owner: "berth1owner", Dseq: 7, Gseq: 1, Oseq: 1, Provider: "berth1provider"}
)

func TestConformance(t *testing.T) {
	for name, readyAfter := range map[string]int{"at once": 0, "after three looks": 3} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, func(t *testing.T) clustertest.Harness {
				cfg := Config{
					Nodes: []cluster.Node{node}, ReadyAfter: readyAfter, RemoveAfter: readyAfter, Dir: t.TempDir(),
					MissingImages: []string{"missing:1"}, CrashingImages: []string{"crash:1"}, FailingHooks: []string{clustertest.FailingHook},
				}
				return clustertest.Harness{
					Cluster: New(cfg), Provider: "berth1provider", Image: "hello:1", NextImage: "hello:2", MissingImage: "missing:1",
					Crashing: func(name string) manifesttypes.Service { return clustertest.Service(name, "crash:1") },
					Restart:  func(*testing.T) cluster.Cluster { return New(cfg) },
					Programs: func(name string) manifesttypes.Service { return clustertest.Service(name, "hello:1") },
					HookArgs: func(bool) []string { return nil },
					Program:  func(program ...string) []string { return program }, Measures: true, Forgets: true,
				}
			})
		})
	}
}

func workload(services ...manifesttypes.Service) cluster.Workload {
	return clustertest.Workload(id, services...)
}

func TestUnreachableLearnsNothing(t *testing.T) {
	c := New(Config{Nodes: []cluster.Node{node}})
	down := errors.New("connection refused")
	c.SetUnreachable(down)
	ctx := t.Context()
	_, errNodes := c.Nodes(ctx)
	_, errList := c.List(ctx)
	_, errStatus := c.Status(ctx, id)
	_, errLogs := c.Logs(ctx, id, cluster.LogOptions{})
	for op, err := range map[string]error{
		OpNodes: errNodes, OpList: errList, OpStatus: errStatus, OpLogs: errLogs,
		OpApply: c.Apply(ctx, workload(clustertest.Service("web", "hello:1"))), OpRemove: c.Remove(ctx, id),
	} {
		if !errors.Is(err, down) || errors.Is(err, cluster.ErrNotFound) {
			t.Errorf("%s while unreachable: got %v", op, err)
		}
	}
	c.SetUnreachable(nil)
	if all, err := c.List(ctx); err != nil || len(all) != 0 {
		t.Errorf("after it came back: %v, %v, want nothing applied", all, err)
	}
}

func TestFailNextApplyTakesNothing(t *testing.T) {
	c := New(Config{})
	full := errors.New("full")
	c.FailNextApply(full)
	w := workload(clustertest.Service("web", "hello:1"))
	if err := c.Apply(t.Context(), w); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	if all, _ := c.List(t.Context()); len(all) != 0 {
		t.Fatalf("a failed Apply left %+v", all)
	}
	if err := c.Apply(t.Context(), w); err != nil {
		t.Fatalf("the next Apply: %v", err)
	}
}

func TestHoldReadiness(t *testing.T) {
	c := New(Config{})
	c.HoldReadiness(true)
	if err := c.Apply(t.Context(), workload(clustertest.Service("web", "hello:1"))); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		st, err := c.Status(t.Context(), id)
		if err != nil || st[0].Ready != 0 || st[0].Message == "" {
			t.Fatalf("held: %+v, %v", st, err)
		}
	}
	c.HoldReadiness(false)
	if st, _ := c.Status(t.Context(), id); st[0].Ready != 1 {
		t.Fatalf("released: %+v", st)
	}
	if err := c.Fail(id, "web", "exit code 1"); err != nil {
		t.Fatal(err)
	}
	if st, _ := c.Status(t.Context(), id); !st[0].Failed || st[0].Ready != 0 || st[0].Message != "exit code 1" {
		t.Fatalf("failed: %+v", st)
	}
}

func TestIntercept(t *testing.T) {
	c := New(Config{})
	boom := errors.New("boom")
	c.Intercept(func(op string) error {
		if op == OpList {
			return boom
		}
		return nil
	})
	if _, err := c.List(t.Context()); !errors.Is(err, boom) {
		t.Errorf("List: got %v", err)
	}
	if _, err := c.Nodes(t.Context()); err != nil {
		t.Errorf("Nodes: got %v", err)
	}
	if got := c.Calls(OpList); got != 1 {
		t.Errorf("Calls(list) = %d, want 1", got)
	}
}

func TestForeignUsage(t *testing.T) {
	c := New(Config{Nodes: []cluster.Node{node}})
	if err := c.SetForeign(cluster.Node{Name: "n1", ForeignCPU: 500}); err != nil {
		t.Fatal(err)
	}
	nodes, err := c.Nodes(t.Context())
	if err != nil || nodes[0].ForeignCPU != 500 || nodes[0].CPU != 8000 {
		t.Errorf("got %+v, %v", nodes, err)
	}
	if err := c.SetForeign(cluster.Node{Name: "n2"}); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("unknown node: got %v", err)
	}
}

func TestReopenKeepsPorts(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := clustertest.Service("db", "hello:1")
	s.Expose[0].Proto, s.Expose[0].As = manifesttypes.PROTO_TCP, 5432
	c := New(cfg)
	if err := c.Apply(t.Context(), workload(s)); err != nil {
		t.Fatal(err)
	}
	before, _ := c.Status(t.Context(), id)
	after, err := New(cfg).Status(t.Context(), id)
	if err != nil || after[0].Ports[0] != before[0].Ports[0] {
		t.Errorf("ports %+v became %+v, %v", before, after, err)
	}
}

// TestTasksAndLoad: runs of tasks end as their image does, and the number of instances follows its load between its bounds.
func TestTasksAndLoad(t *testing.T) {
	now := time.Unix(1000, 0)
	c := New(Config{Nodes: []cluster.Node{node}, CrashingImages: []string{"crash:1"}, Now: func() time.Time { return now }})
	good, bad, web := clustertest.Service("good", "hello:1"), clustertest.Service("bad", "crash:1"), clustertest.Service("web", "hello:1")
	good.Cron, bad.Cron = &manifesttypes.Cron{Schedule: "@daily"}, &manifesttypes.Cron{Schedule: "@daily"}
	web.Count, web.Scale = 3, &manifesttypes.Scale{Min: 1}
	if err := c.Apply(t.Context(), workload(bad, good, web)); err != nil {
		t.Fatal(err)
	}
	look := func() []cluster.ServiceStatus {
		all, err := c.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	for _, err := range []error{c.RunTask(id, "good"), c.RunTask(id, "bad"), c.SetLoad(id, "web", 7)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	all := look()
	if got := *all[1].Task; got.Last != cluster.HookSucceeded || got.Message != "" || !got.Started.Equal(now) || !got.Succeeded.Equal(now) {
		t.Errorf("a run: %+v", got)
	}
	if got := *all[0].Task; got.Last != cluster.HookFailed || got.Message != "it ended with exit code 3" || !got.Ended.Equal(now) || !got.Succeeded.IsZero() {
		t.Errorf("a run that failed: %+v", got)
	}
	if all[2].Desired != 3 || all[2].Ready != 3 {
		t.Errorf("under load: %+v", all[2])
	}
	if err := c.SetLoad(id, "web", 0); err != nil {
		t.Fatal(err)
	}
	if web := look()[2]; web.Desired != 1 || web.Ready != 1 {
		t.Errorf("without load: %+v", web)
	}
	for what, err := range map[string]error{"no task": c.RunTask(id, "web"), "no service": c.RunTask(id, "none"), "no scale": c.SetLoad(id, "good", 1)} {
		if !errors.Is(err, cluster.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	off := workload(bad, good, web)
	off.Suspended = true
	if err := c.Apply(t.Context(), off); err != nil {
		t.Fatal(err)
	}
	if err := c.RunTask(id, "good"); err == nil {
		t.Error("a task of a suspended lease runs")
	}
}
