//go:build e2e

package kube

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	markettypes "berth.dev/berth/x/market/types"
)

// task is a service of the probe image that nobody connects to.
func task(name string, storage uint64, args ...string) manifesttypes.Service {
	sv := clustertest.Service(name, probeImage())
	sv.Args, sv.Expose, sv.CpuMilli, sv.MemoryBytes = args, nil, 200, 128<<20
	sv.Volumes = []manifesttypes.Volume{{Name: "default", Bytes: storage}}
	return sv
}

// TestBombs lets a lease take what it can get, on one processor, beside a neighbour on another one: the node stays ready,
// each bomb is killed or capped, and the neighbour goes on answering. BERTH_E2E_RUNS, 1 by default, is how often; from 10
// runs on, the median of how much slower the neighbour's slowest hundredth got must be 20 % or less. One run on a machine
// that does something else as well says nothing about that, so that figure is only logged then.
func TestBombs(t *testing.T) {
	runs, err := strconv.Atoi(setting("BERTH_E2E_RUNS", "1"))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := start(t, config(t))
	neighbour := task("neighbour", 64<<20, "pinned", "0", "latency", "5")
	neighbour.CpuMilli = 1000
	id, _ := deploy(t, c, 1, neighbour)
	var slower []float64
	for run := range runs {
		quiet := windows(t, c, id, time.Now(), 2)
		began := time.Now()
		lease := bombs(t, c, uint64(run)+2)
		beset := windows(t, c, id, began, 3)
		nodeReady(t, c)
		contained(t, c, lease)
		nodeReady(t, c)
		if err := c.Remove(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
		awaitFor(t, 2*time.Minute, "the bombs being gone", func() (bool, string) {
			pods, err := c.typed.CoreV1().Pods(namespaceOf(lease)).List(t.Context(), metav1.ListOptions{})
			return err == nil && len(pods.Items) == 0, fmt.Sprint(err)
		})
		slower = append(slower, float64(beset)/float64(quiet))
		t.Logf("run %d: p99 of the neighbour %d us, beside the bombs %d us: %.2f", run+1, quiet, beset, slower[run])
	}
	slices.Sort(slower)
	median := (slower[(len(slower)-1)/2] + slower[len(slower)/2]) / 2
	t.Logf("median of %d runs: %.3f", runs, median)
	if runs >= 10 && median > 1.2 {
		t.Errorf("beside the bombs the neighbour's p99 is %.2f times what it was, want at most 1.2", median)
	}
}

// bombs starts one of each.
func bombs(t *testing.T, c *Cluster, dseq uint64) markettypes.LeaseID {
	t.Helper()
	id := markettypes.LeaseID{Owner: "berth1bomb", Dseq: dseq, Gseq: 1, Oseq: 1, Provider: c.cfg.Provider}
	t.Cleanup(func() { _ = c.Remove(context.Background(), id) })
	fork := task("fork", 64<<20, "pinned", "1", "forkbomb", "5000", "90")
	fork.MemoryBytes = 512 << 20
	full := task("fill", 64<<20, "pinned", "1", "fill", "/data/filled", "2147483648", "150")
	full.Volumes[0].Mount = "/data"
	err := c.Apply(t.Context(), clustertest.Workload(id,
		full,
		task("flood", 48<<20, "pinned", "1", "flood", "536870912", "90"), fork,
		task("memory", 64<<20, "pinned", "1", "membomb", "1073741824", "90"),
	))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// contained waits until each bomb of a lease was killed or capped.
func contained(t *testing.T, c *Cluster, id markettypes.LeaseID) {
	t.Helper()
	awaitFor(t, 3*time.Minute, "the bombs being killed or capped", func() (bool, string) {
		all, err := c.Status(t.Context(), id)
		if err != nil {
			return false, err.Error()
		}
		seen := map[string]cluster.Reason{}
		for _, s := range all {
			seen[s.Name] = s.Reason
		}
		forked := output(t, c, id, "fork")
		ended := evicted(t, c, id)
		ok := seen["memory"] == cluster.ReasonMemory && ended["fill"] && (ended["flood"] || seen["flood"] == "") &&
			(strings.Contains(forked, "capped at") || seen["fork"] == cluster.ReasonMemory)
		return ok, fmt.Sprintf("%v, evicted %v, fork: %.100s", seen, ended, forked)
	})
	t.Logf("fork: %.100s", output(t, c, id, "fork"))
	t.Logf("evicted: %v", evicted(t, c, id))
}

// evicted are the services of which an instance was ended for what it wrote.
func evicted(t *testing.T, c *Cluster, id markettypes.LeaseID) map[string]bool {
	t.Helper()
	pods, err := c.typed.CoreV1().Pods(namespaceOf(id)).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, p := range pods.Items {
		if p.Status.Reason == "Evicted" {
			out[p.Labels[labelService]] = true
		}
	}
	return out
}

func output(t *testing.T, c *Cluster, id markettypes.LeaseID, service string) string {
	t.Helper()
	s, err := c.Logs(t.Context(), id, cluster.LogOptions{Service: service, Tail: 5})
	if err != nil {
		return ""
	}
	defer func() { _ = s.Close() }()
	var b strings.Builder
	for {
		l, err := s.Next()
		if err != nil {
			return b.String()
		}
		b.WriteString(l.Line + "\n")
	}
}

// windows waits until the neighbour has measured a number of windows since a time, and returns the median of their p99
// in microseconds.
func windows(t *testing.T, c *Cluster, id markettypes.LeaseID, since time.Time, n int) int64 {
	t.Helper()
	s, err := c.Logs(t.Context(), id, cluster.LogOptions{Follow: true, Since: since})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var all []int64
	for first := true; len(all) < n; {
		l, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		var p50, p99, count int64
		if _, err := fmt.Sscanf(l.Line, "p50 %d p99 %d requests %d", &p50, &p99, &count); err != nil {
			t.Fatalf("%q: %v", l.Line, err)
		}
		if first { // it began before
			first = false
			continue
		}
		all = append(all, p99)
	}
	slices.Sort(all)
	return max(1, all[len(all)/2])
}

func nodeReady(t *testing.T, c *Cluster) {
	t.Helper()
	nodes, err := c.typed.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes.Items {
		for _, cond := range nodes.Items[i].Status.Conditions {
			good := corev1.ConditionFalse
			if cond.Type == corev1.NodeReady {
				good = corev1.ConditionTrue
			}
			if cond.Status != good {
				t.Errorf("node %s: %s is %s: %s", nodes.Items[i].Name, cond.Type, cond.Status, cond.Message)
			}
		}
	}
}
