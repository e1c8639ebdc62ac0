package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

// happened puts an event of Kubernetes into the lease's namespace.
func happened(s *apiServer, uid, kind, name, reason, message string, at time.Time, count int) map[string]any {
	e := map[string]any{
		"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason, "message": message, "count": count,
		"metadata":       map[string]any{"name": uid, "namespace": namespaceOf(testLease), "uid": uid},
		"involvedObject": map[string]any{"kind": kind, "name": name, "namespace": namespaceOf(testLease)},
		"lastTimestamp":  at.UTC().Format(time.RFC3339), "source": map[string]any{"host": "n1"},
	}
	s.put("events", e)
	return e
}

func eventsOf(t *testing.T, c *Cluster, o cluster.EventOptions) []cluster.Event {
	t.Helper()
	st, err := c.Events(t.Context(), testLease, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	var all []cluster.Event
	for {
		e, err := st.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

// TestEventsInTheTenantsWords holds that events are told of services and instances, and that nothing of nodes, of others
// or for a terminal comes with them.
func TestEventsInTheTenantsWords(t *testing.T) {
	s, c := serve(t, Config{})
	db := clustertest.Service("db", "hello:1")
	db.Volumes = append(db.Volumes, manifesttypes.Volume{Name: "data", Bytes: 1 << 20, Mount: "/data"})
	apply(t, c, clustertest.Workload(testLease, db, clustertest.Service("web", "hello:1"), clustertest.Service("web-api", "hello:1")))
	instanceOf(s, "web-1", "web", nil)
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	long := strings.Repeat("ä", maxMessage)
	for i, tc := range []struct {
		kind, name, reason, message string
		service, instance, want     string
	}{
		{"Pod", "web-1", "Scheduled", "Successfully assigned lease-x/web-1 to n1", "web", "web-1", ownWords["Scheduled"]},
		{"Pod", "web-api-5d8f7-abcde", "BackOff", "Back-off on n1, 203.0.113.9:10250 and n10.", "web-api", "web-api-5d8f7-abcde", "Back-off on a-node, a-node:10250 and n10."},
		{"ReplicaSet", "web-5d8f7", "FailedCreate", "ends with\x1b[2J\r\nn1", "web", "", "ends with[2J a-node"},
		{"Deployment", "web-api", "ScalingReplicaSet", long, "web-api", "", long[:maxMessage]},
		{"Pod", "db-0", "FailedScheduling", "0/3 nodes are available: 1 node(s) had untolerated taint {rented-by: somebody}, 2 Insufficient cpu.", "db", "db-0", "0/3 nodes are available: 1 node(s) had untolerated taint, 2 Insufficient cpu."},
		{"PersistentVolumeClaim", claimTemplate("data") + "-db-0", "Resizing", "it grows", "db", "", "it grows"},
		{"Pod", "stranger", "Killing", "by \u202en1", "", "", "by a-node"},
		{"NetworkPolicy", "deny-all", "Odd", "n1", "", "", "a-node"},
	} {
		happened(s, "only", tc.kind, tc.name, tc.reason, tc.message, at.Add(time.Duration(i)*time.Second), 0)
		all := eventsOf(t, c, cluster.EventOptions{Since: at})
		if len(all) != 1 {
			t.Fatalf("%s %s: %+v", tc.kind, tc.name, all)
		}
		e := all[0]
		if e.Service != tc.service || e.Instance != tc.instance || e.Message != tc.want || e.Kind != tc.reason || !e.Warning || e.Count != 1 {
			t.Errorf("%s %s: got %+v, want service %q, instance %q and %q", tc.kind, tc.name, e, tc.service, tc.instance, tc.want)
		}
	}
}

// TestEventsInOrder holds that the newest events come in the order of their times, together with what the lease
// remembers, and no more than so many.
func TestEventsInOrder(t *testing.T) {
	s, c := serve(t, Config{})
	w := clustertest.Workload(testLease, clustertest.Service("web", "hello:1"))
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	w.Accepted = start
	apply(t, c, w)
	for i := range cluster.MaxEvents + 50 {
		happened(s, fmt.Sprint("e", i), "Pod", "web-1", "BackOff", fmt.Sprint(i), start.Add(time.Duration(i+1)*time.Second), i)
	}
	if err := c.Restart(t.Context(), testLease, "web"); err != nil {
		t.Fatal(err)
	}
	all := eventsOf(t, c, cluster.EventOptions{})
	if len(all) != cluster.MaxEvents || all[len(all)-1].Kind != cluster.EventRestarted || all[len(all)-2].Message != fmt.Sprint(cluster.MaxEvents+49) {
		t.Fatalf("%d events, the last %+v", len(all), all[max(0, len(all)-2):])
	}
	if !slices.IsSortedFunc(all, func(a, b cluster.Event) int { return a.Time.Compare(b.Time) }) {
		t.Error("not in the order of their times")
	}
	late := eventsOf(t, c, cluster.EventOptions{Since: start.Add(cluster.MaxEvents * time.Second), Service: "web"})
	if len(late) != 52 || late[0].Count != cluster.MaxEvents-1 {
		t.Errorf("since the last but 51: %d events, the first %+v", len(late), late[0])
	}
	w.Suspended = true
	apply(t, c, w)
	all = eventsOf(t, c, cluster.EventOptions{Since: start.Add(30 * time.Minute)})
	if last := all[len(all)-1]; last.Kind != cluster.EventSuspended || last.Service != "" {
		t.Errorf("of a suspended lease the last is %+v", last)
	}
}

// TestEventsFollowed holds that a watch is read on when it ends, that nothing is told twice, and that a lease's end ends
// the stream.
func TestEventsFollowed(t *testing.T) {
	s, c := serve(t, Config{})
	apply(t, c, clustertest.Workload(testLease, clustertest.Service("web", "hello:1")))
	instanceOf(s, "web-1", "web", nil)
	now := time.Now().Truncate(time.Second)
	happened(s, "past", "Pod", "web-1", "Pulled", "first", now, 1)
	watches := make(chan chan map[string]any, 4)
	s.mu.Lock()
	s.stream = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/events") || r.URL.Query().Get("watch") == "" {
			return false
		}
		events := make(chan map[string]any)
		watches <- events
		w.Header().Set("Content-Type", "application/json")
		w.(http.Flusher).Flush()
		for {
			select {
			case <-r.Context().Done():
				return true
			case e, ok := <-events:
				if !ok {
					return true
				}
				if err := json.NewEncoder(w).Encode(map[string]any{"type": "MODIFIED", "object": e}); err != nil {
					return true
				}
				w.(http.Flusher).Flush()
			}
		}
	}
	s.mu.Unlock()
	st, err := c.Events(t.Context(), testLease, cluster.EventOptions{Follow: true, Service: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	next := func(kind string, count uint32) {
		t.Helper()
		e, err := st.Next()
		if err != nil || e.Kind != kind || e.Count != count {
			t.Fatalf("got %+v, %v, want %s for the %d. time", e, err, kind, count)
		}
	}
	next("Pulled", 1)
	events := <-watches
	events <- happened(s, "again", "Pod", "web-1", "BackOff", "", now.Add(time.Second), 1)
	next("BackOff", 1)
	events <- happened(s, "again", "Pod", "web-1", "BackOff", "", now.Add(time.Second), 1)
	events <- happened(s, "again", "Pod", "web-1", "BackOff", "", now.Add(2*time.Second), 2)
	next("BackOff", 2)
	close(events) // the watch ends, and something happens before the next
	happened(s, "missed", "Pod", "web-1", "Killing", "", now.Add(3*time.Second), 1)
	next("Killing", 1)
	<-watches
	if err := c.Restart(t.Context(), testLease, "web"); err != nil {
		t.Fatal(err)
	}
	next(cluster.EventRestarted, 1)
	if err := c.Remove(t.Context(), testLease); err != nil {
		t.Fatal(err)
	}
	if e, err := st.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end of the lease: %+v, %v", e, err)
	}
}

// TestRestartIsRemembered holds that a restart changes the instances of one service and what is remembered, that neither a
// pass nor the manifest again changes anything then, and that a later manifest keeps it for as long as it has the service.
func TestRestartIsRemembered(t *testing.T) {
	s, c := serve(t, Config{})
	db, web := clustertest.Service("db", "hello:1"), clustertest.Service("web", "hello:1")
	w := clustertest.Workload(testLease, db, web)
	apply(t, c, w)
	s.takeWrites()
	ns := namespaceOf(testLease)
	template := func(name string) string {
		out := ""
		s.edit(t, "deployments", ns, name, func(u *unstructured.Unstructured) {
			labels, _, _ := unstructured.NestedStringMap(u.Object, "spec", "template", "metadata", "labels")
			annotations, _, _ := unstructured.NestedStringMap(u.Object, "spec", "template", "metadata", "annotations")
			out = labels[labelRevision] + " " + strings.Join(slices.Sorted(maps.Values(annotations)), ",")
		})
		return out
	}
	before, other := template("web"), template("db")
	if err := c.Restart(t.Context(), testLease, "web"); err != nil {
		t.Fatal(err)
	}
	if got := s.takeWrites(); !slices.Equal(got, []string{"apply secrets/manifest", "apply deployments/web"}) {
		t.Errorf("a restart wrote %v", got)
	}
	after := template("web")
	if after == before || template("db") != other {
		t.Errorf("web went from %q to %q, db from %q to %q", before, after, other, template("db"))
	}
	again, err := connect(c.cfg, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, again, w)
	if err := again.Reconcile(t.Context()); err != nil || len(s.takeWrites()) > 0 {
		t.Errorf("the same manifest by a driver that was started again: %v, or it wrote", err)
	}
	if err := again.Restart(t.Context(), testLease, "web"); err != nil || template("web") == after {
		t.Errorf("a second restart: %v, %q", err, template("web"))
	}
	after = template("web")
	db.Image = "hello:2"
	apply(t, c, clustertest.Workload(testLease, db, web))
	if template("web") != after {
		t.Errorf("another service's image restarted it: %q, before %q", template("web"), after)
	}
	apply(t, c, clustertest.Workload(testLease, db))
	s.edit(t, "secrets", ns, manifestSecret, func(u *unstructured.Unstructured) {
		unstructured.RemoveNestedField(u.Object, "data", keyRestarts) // server-side apply does it; what stands there is a merge
	})
	apply(t, c, clustertest.Workload(testLease, db, web))
	if got := template("web"); got != before {
		t.Errorf("a service that left and came back: %q, want %q", got, before)
	}

	task := clustertest.Service("nightly", "hello:1")
	task.Cron = &manifesttypes.Cron{Schedule: "0 0 * * *", Concurrency: manifesttypes.CONCURRENCY_FORBID}
	task.Expose = nil
	apply(t, c, clustertest.Workload(testLease, task))
	if err := c.Restart(t.Context(), testLease, "nightly"); !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("restart of a task: %v", err)
	}
}

func TestUsage(t *testing.T) {
	s, c := serve(t, Config{})
	apply(t, c, clustertest.Workload(testLease, clustertest.Service("web", "hello:1")))
	metrics := func(answer func(w http.ResponseWriter)) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stream = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/apis/metrics.k8s.io/v1beta1/namespaces/"+namespaceOf(testLease)+"/pods" {
				return false
			}
			answer(w)
			return true
		}
	}
	metrics(func(w http.ResponseWriter) { answerStatus(w, http.StatusNotFound) })
	if _, err := c.Usage(t.Context(), testLease); !errors.Is(err, cluster.ErrUnknown) {
		t.Errorf("where nothing is measured: %v", err)
	}
	metrics(func(w http.ResponseWriter) { answerStatus(w, http.StatusServiceUnavailable) })
	if _, err := c.Usage(t.Context(), testLease); err == nil || errors.Is(err, cluster.ErrUnknown) {
		t.Errorf("where the measuring is out of order: %v", err)
	}
	item := func(name, service, cpu, memory string) any {
		return map[string]any{
			"metadata": map[string]any{"name": name, "labels": map[string]any{labelService: service}}, "timestamp": "2026-11-21T10:00:00Z",
			"containers": []any{map[string]any{"name": service, "usage": map[string]any{"cpu": cpu, "memory": memory}}},
		}
	}
	metrics(func(w http.ResponseWriter) {
		answer(w, map[string]any{"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": map[string]any{}, "items": []any{
			item("web-b", "web", "1500000n", "3Mi"), item("web-a", "web", "250m", "2097152"), item("db-0", "db", "0", "1Ki"),
		}})
	})
	all, err := c.Usage(t.Context(), testLease)
	want := []cluster.Usage{{Service: "db", Instance: "db-0", Memory: 1 << 10}, {Service: "web", Instance: "web-a", CPU: 250, Memory: 2 << 20}, {Service: "web", Instance: "web-b", CPU: 2, Memory: 3 << 20}}
	if err != nil || len(all) != len(want) {
		t.Fatalf("got %+v, %v", all, err)
	}
	for i := range want {
		want[i].Time = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
		if all[i] != want[i] {
			t.Errorf("got %+v, want %+v", all[i], want[i])
		}
	}
	metrics(func(w http.ResponseWriter) {
		answer(w, map[string]any{"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": map[string]any{}, "items": []any{item("web-b", "web", "much", "3Mi")}})
	})
	if got, err := c.Usage(t.Context(), testLease); err == nil {
		t.Errorf("an amount that cannot be read: %+v", got)
	}
}
