//go:build e2e

package kube

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	markettypes "berth.dev/berth/x/market/types"
)

// The end-to-end tests need a cluster, named by BERTH_E2E_KUBECONFIG, that can pull BERTH_E2E_IMAGE and
// BERTH_E2E_IMAGE_NEXT, by default the demo image; the addresses of nodes must be reachable from here. With
// BERTH_E2E_INGRESS, the address host:port of the ingress, http routes are tried as well.

func setting(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// run sets the leases of this run apart from those of an earlier one, which may still be being removed.
var run = time.Now().String()

func config(t *testing.T) Config {
	kubeconfig := os.Getenv("BERTH_E2E_KUBECONFIG")
	if kubeconfig == "" {
		t.Fatal("BERTH_E2E_KUBECONFIG names no cluster")
	}
	return Config{
		Kubeconfig: kubeconfig, Provider: "berth1e2e" + digest([]byte(t.Name()+run), 6), Domain: "e2e.localhost",
		// Tests that end TLS at the edge, or ask for proofs, say so themselves.
		EdgeTLS: SwitchOff, Hosts: Hosts{NeedNoProof: true},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Link: LinkConfig{Enabled: true},
	}
}

// start returns a driver that runs until the test ends or stop is called.
func start(t *testing.T, cfg Config) (c *Cluster, stop func()) {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
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
	return c, stop
}

func image() string { return setting("BERTH_E2E_IMAGE", "berth.local/hello:1") }

// TestConformance runs the suite with no more rights than the driver's role gives.
func TestConformance(t *testing.T) {
	kubeconfig := underRole(t, config(t).Kubeconfig)
	clustertest.Run(t, func(t *testing.T) clustertest.Harness {
		t.Parallel() // most of the time is spent waiting for the cluster
		cfg := storageConfig(t)
		cfg.Kubeconfig = kubeconfig
		c, stop := start(t, cfg)
		return clustertest.Harness{
			Cluster: c, Provider: cfg.Provider, Image: image(),
			NextImage: setting("BERTH_E2E_IMAGE_NEXT", "berth.local/hello:2"), MissingImage: "berth.local/missing:1",
			Crashing: func(name string) manifesttypes.Service {
				sv := clustertest.Service(name, probeImage())
				sv.Args = []string{"crash", "60", "3"}
				return sv
			},
			Programs: func(name string) manifesttypes.Service {
				sv := clustertest.Service(name, probeImage())
				sv.Args = []string{"web"}
				return sv
			},
			HookArgs: func(ok bool) []string {
				if ok {
					return []string{"crash", "1", "0"}
				}
				return []string{"crash", "60", "3"}
			},
			Program:  func(program ...string) []string { return append([]string{"/probe", "session"}, program...) },
			Measures: measures(t, c),
			Restart: func(t *testing.T) cluster.Cluster {
				stop()
				next, _ := start(t, cfg)
				return next
			},
			Poll: 100 * time.Millisecond, Patience: time.Minute,
		}
	})
}

// measures tells whether the cluster tells what pods use.
func measures(t *testing.T, c *Cluster) bool {
	t.Helper()
	has, err := c.haveMetrics()
	if err != nil {
		t.Fatal(err)
	}
	return has
}

// deploy runs services until the test ends, and returns when they are ready.
func deploy(t *testing.T, c *Cluster, dseq uint64, services ...manifesttypes.Service) (markettypes.LeaseID, []cluster.ServiceStatus) {
	t.Helper()
	id := markettypes.LeaseID{Owner: "berth1e2e", Dseq: dseq, Gseq: 1, Oseq: 1, Provider: c.cfg.Provider}
	t.Cleanup(func() {
		if err := c.Remove(context.Background(), id); err != nil {
			t.Errorf("Remove: %v", err)
		}
	})
	if err := c.Apply(t.Context(), clustertest.Workload(id, services...)); err != nil {
		t.Fatal(err)
	}
	var last []cluster.ServiceStatus
	await(t, "all services ready", func() (bool, string) {
		var err error
		if last, err = c.Status(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return clustertest.Complete(last)
	})
	return id, last
}

func await(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	awaitFor(t, time.Minute, what, done)
}

func awaitFor(t *testing.T, patience time.Duration, what string, done func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		ok, last := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %s", what, last)
		}
	}
}

// nodeAddress is an address of a node that forwarded ports can be reached at from here.
func nodeAddress(t *testing.T, c *Cluster) string {
	t.Helper()
	nodes, err := c.typed.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) == 0 {
		t.Fatalf("list nodes: %v", err)
	}
	return nodes.Items[0].Status.Addresses[0].Address
}

// get asks a url, for a host if it is not empty; the answer is the status code and the text.
func get(address, host string) (int, string) {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return 0, err.Error()
	}
	req.Host = host
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

func exposed(port uint32, proto manifesttypes.Proto, to ...manifesttypes.To) manifesttypes.Expose {
	return manifesttypes.Expose{Port: 8080, As: port, Proto: proto, To: to}
}

// TestIngress asks for a service by its host names through the ingress, led there by HTTPRoutes and by Ingress objects.
func TestIngress(t *testing.T) {
	ingress := os.Getenv("BERTH_E2E_INGRESS")
	if ingress == "" {
		t.Fatal("BERTH_E2E_INGRESS names no ingress")
	}
	for _, mode := range []RouteMode{RouteGateway, RouteIngress} {
		t.Run(string(mode), func(t *testing.T) {
			cfg := config(t)
			cfg.RouteMode, cfg.IngressNamespaces = mode, []string{setting("BERTH_E2E_INGRESS_NAMESPACE", "ingress")}
			if mode == RouteIngress {
				cfg.IngressClass = setting("BERTH_E2E_INGRESS_CLASS", "traefik")
			}
			c, _ := start(t, cfg)
			web := clustertest.Service("web", image())
			web.Expose[0].Accept = []string{string(mode) + ".accepted.example"}
			_, status := deploy(t, c, 1, web)
			if len(status[0].URLs) != 2 {
				t.Fatalf("urls %v, want the generated and the accepted one", status[0].URLs)
			}
			for _, u := range status[0].URLs {
				host := strings.TrimPrefix(u, "http://")
				await(t, host, func() (bool, string) {
					code, body := get("http://"+ingress+"/", host)
					return code == http.StatusOK, fmt.Sprint(code, " ", body)
				})
			}
			if code, _ := get("http://"+ingress+"/", "nobody.e2e.localhost"); code == http.StatusOK {
				t.Error("an unknown host is answered")
			}
		})
	}
}

// TestUpdateLosesNoRequest rolls a service while it is asked all the time, by its port and by its host.
func TestUpdateLosesNoRequest(t *testing.T) {
	c, _ := start(t, config(t))
	web := clustertest.Service("web", image())
	web.Expose = append(web.Expose, exposed(9000, manifesttypes.PROTO_TCP, manifesttypes.To{Global: true}))
	id, status := deploy(t, c, 1, web)

	ctx, cancel := context.WithCancel(t.Context())
	port := fmt.Sprintf("http://%s:%d/", nodeAddress(t, c), status[0].Ports[0].ExternalPort)
	results := []<-chan requests{ask(ctx, t, port, "")}
	if ingress := os.Getenv("BERTH_E2E_INGRESS"); ingress != "" {
		results = append(results, ask(ctx, t, "http://"+ingress+"/", strings.TrimPrefix(status[0].URLs[0], "http://")))
	}
	web.Image = setting("BERTH_E2E_IMAGE_NEXT", "berth.local/hello:2")
	if err := c.Apply(t.Context(), clustertest.Workload(id, web)); err != nil {
		t.Fatal(err)
	}
	await(t, "the update", func() (bool, string) {
		st, err := c.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		pods, err := c.typed.CoreV1().Pods(namespaceOf(id)).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ok, what := clustertest.Complete(st)
		return ok && len(pods.Items) == 1, what
	})
	cancel()
	for _, result := range results {
		r := <-result
		t.Logf("%s: %d requests during the update, %d lost", r.address, r.asked, r.lost)
		if r.lost > 0 {
			t.Errorf("%s: %d of %d requests were lost, the last one with: %s", r.address, r.lost, r.asked, r.last)
		}
	}
}

// requests counts requests to an address and how many were not answered with 200.
type requests struct {
	address     string
	asked, lost int
	last        string
}

// ask waits for a first answer, as a node learns of a ready instance a moment later, and then asks one request after the
// other until ctx ends.
func ask(ctx context.Context, t *testing.T, address, host string) <-chan requests {
	t.Helper()
	await(t, "an answer of "+address+" "+host, func() (bool, string) {
		code, body := get(address, host)
		return code == http.StatusOK, body
	})
	out := make(chan requests, 1)
	go func() {
		r := requests{address: address + " " + host}
		for ctx.Err() == nil {
			r.asked++
			if code, body := get(address, host); code != http.StatusOK {
				r.lost, r.last = r.lost+1, body
			}
		}
		out <- r
	}()
	return out
}

// TestDriftIsRepaired changes and deletes objects behind the driver's back; a pass brings them back, and the next one
// writes nothing.
func TestDriftIsRepaired(t *testing.T) {
	c, stop := start(t, config(t))
	web := clustertest.Service("web", image())
	web.Env = []manifesttypes.EnvVar{{Name: "GREETING", Value: "hi"}}
	id, _ := deploy(t, c, 1, web)
	stop()
	ns := namespaceOf(id)
	writes := func() int {
		s, err := c.settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		have, err := c.readLease(t.Context(), ns)
		if err != nil {
			t.Fatal(err)
		}
		seen, err := c.see(t.Context(), ns, have)
		if err != nil {
			t.Fatal(err)
		}
		ch, err := c.plan(ns, have, s, seen)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range ch.apply {
			t.Logf("differs: %s %s", u.GetKind(), u.GetName())
		}
		return len(ch.apply) + len(ch.remove)
	}
	if n := writes(); n != 0 {
		t.Fatalf("%d writes for a lease that is as it should be", n)
	}
	if err := c.typed.NetworkingV1().NetworkPolicies(ns).Delete(t.Context(), "deny-all", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	d, err := c.typed.AppsV1().Deployments(ns).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.Spec.Template.Spec.HostUsers = nil
	if _, err := c.typed.AppsV1().Deployments(ns).Update(t.Context(), d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := writes(); n != 2 {
		t.Fatalf("%d writes after two changes", n)
	}
	if err := c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := writes(); n != 0 {
		t.Fatalf("%d writes after the repair", n)
	}
}

// TestInstanceIsConfined looks at an instance from inside.
func TestInstanceIsConfined(t *testing.T) {
	c, _ := start(t, config(t))
	web := clustertest.Service("web", image())
	web.Expose = []manifesttypes.Expose{exposed(9000, manifesttypes.PROTO_TCP, manifesttypes.To{Global: true})}
	id, _ := deploy(t, c, 1, web)
	pods, err := c.typed.CoreV1().Pods(namespaceOf(id)).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("pods: %d, %v", len(pods.Items), err)
	}
	spec := pods.Items[0].Spec
	if spec.HostUsers == nil || *spec.HostUsers || len(spec.Volumes) != 0 || spec.ServiceAccountName != serviceAccountName {
		t.Errorf("pod %+v", spec)
	}
}
