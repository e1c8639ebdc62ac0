package kube

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

func apply(t testing.TB, c *Cluster, w cluster.Workload) {
	t.Helper()
	if err := c.Apply(t.Context(), w); err != nil {
		t.Fatal(err)
	}
}

func TestApplyWritesOnlyDifferences(t *testing.T) {
	s, c := serve(t, Config{})
	w := clustertest.Workload(testLease, clustertest.Service("web", "hello:1"))
	apply(t, c, w)
	first := s.takeWrites()
	if len(first) < 5 || first[0] != "apply namespaces/"+namespaceOf(testLease) || first[1] != "apply secrets/manifest" {
		t.Fatalf("first writes: %v, want the namespace and the manifest before all others", first)
	}
	apply(t, c, w)
	if again := s.takeWrites(); len(again) > 0 {
		t.Errorf("the same workload again: %v, want no writes", again)
	}
	w.Group.Services[0].Image = "hello:2"
	w = clustertest.Workload(testLease, w.Group.Services...)
	apply(t, c, w)
	if got := s.takeWrites(); !slices.Equal(got, []string{"apply secrets/manifest", "apply deployments/web"}) {
		t.Errorf("another image: %v, want the manifest and the deployment", got)
	}
}

func TestApplyPrunes(t *testing.T) {
	s, c := serve(t, Config{})
	old := clustertest.Service("old", "hello:1")
	old.Env = []manifesttypes.EnvVar{{Name: "A", Value: "b"}}
	apply(t, c, clustertest.Workload(testLease, old, clustertest.Service("web", "hello:1")))
	ns := namespaceOf(testLease)
	s.put("secrets", map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "others", "namespace": ns}})
	apply(t, c, clustertest.Workload(testLease, clustertest.Service("web", "hello:1")))
	for _, p := range s.paths(ns) {
		if strings.Contains(p.name, "old") {
			t.Errorf("%v is left", p)
		}
	}
	if !slices.Contains(s.paths(ns), objectPath{"secrets", ns, "others"}) {
		t.Error("an object that the driver did not make is gone")
	}
}

// TestControllersKeepTheirs holds that what a controller makes of the driver's objects, with their labels, is left to it.
func TestControllersKeepTheirs(t *testing.T) {
	s, c := serve(t, Config{})
	apply(t, c, clustertest.Workload(testLease, clustertest.Service("web", "hello:1")))
	ns := namespaceOf(testLease)
	slice := map[string]any{
		"apiVersion": "discovery.k8s.io/v1", "kind": kindEndpointSlice,
		"metadata": map[string]any{"name": "web-x", "namespace": ns, "ownerReferences": []any{
			map[string]any{"apiVersion": "v1", "kind": kindService, "name": "web", "uid": "1", "controller": true},
		}},
	}
	s.put("endpointslices", slice)
	s.edit(t, "endpointslices", ns, "web-x", func(u *unstructured.Unstructured) { u.SetLabels(leaseLabels(testLease)) })
	s.takeWrites()
	if err := c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if writes := s.takeWrites(); len(writes) > 0 {
		t.Errorf("a pass over a lease that is as it should be wrote %v", writes)
	}
}

// TestEnvOutlivesRollout holds that the values of a former manifest stay until its instances are gone.
func TestEnvOutlivesRollout(t *testing.T) {
	s, c := serve(t, Config{})
	web := clustertest.Service("web", "hello:1")
	web.Env = []manifesttypes.EnvVar{{Name: "A", Value: "1"}}
	apply(t, c, clustertest.Workload(testLease, web))
	former := (&rendering{settings: settings{LeaseKey: make([]byte, 32)}}).envSecretName(web)
	web.Env = []manifesttypes.EnvVar{{Name: "A", Value: "2"}}
	apply(t, c, clustertest.Workload(testLease, web))
	ns := namespaceOf(testLease)
	if !slices.Contains(s.paths(ns), objectPath{"secrets", ns, former}) {
		t.Fatal("the former values are gone while instances may need them")
	}
	s.edit(t, "deployments", ns, "web", func(u *unstructured.Unstructured) {
		u.Object["status"] = map[string]any{
			"observedGeneration": u.GetGeneration(), "replicas": int64(1), "updatedReplicas": int64(1), "readyReplicas": int64(1),
		}
	})
	if err := c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(s.paths(ns), objectPath{"secrets", ns, former}) {
		t.Error("the former values are left after the rollout")
	}
}

// TestSaltOfAnotherManifest holds that a manifest with another salt restarts only what it changes: the names of the others'
// env stay, because the key of their hashes is the lease's.
func TestSaltOfAnotherManifest(t *testing.T) {
	s, c := serve(t, Config{})
	db, web := clustertest.Service("db", "db:1"), clustertest.Service("web", "web:1")
	db.Env = []manifesttypes.EnvVar{{Name: "PASSWORD", Value: "weak", Secret: true}}
	web.Env = []manifesttypes.EnvVar{{Name: "PASSWORD", Value: "weak", Secret: true}}
	apply(t, c, clustertest.Workload(testLease, db, web))
	s.takeWrites()
	web.Env = []manifesttypes.EnvVar{{Name: "PASSWORD", Value: "other", Secret: true}}
	salted := func() cluster.Workload {
		g := clustertest.Workload(testLease, db, web).Group
		g.Salt = bytes.Repeat([]byte{7}, manifest.SaltBytes)
		root, envelopes, err := manifest.Seal([]manifesttypes.Group{g}, [][]byte{g.Salt})
		if err != nil {
			t.Fatal(err)
		}
		return cluster.Workload{Lease: testLease, ManifestHash: root[:], Group: g, Envelope: envelopes[0]}
	}
	apply(t, c, salted())
	var restarted []string
	for _, w := range s.takeWrites() {
		if strings.Contains(w, "deployments/") {
			restarted = append(restarted, w)
		}
	}
	if !slices.Equal(restarted, []string{"apply deployments/web"}) {
		t.Errorf("another secret of web restarted %v", restarted)
	}
	if err := c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, w := range s.takeWrites() {
		if strings.HasPrefix(w, "apply") {
			t.Errorf("the next pass wrote %s", w)
		}
	}
}

func TestDependsOnAcrossRestarts(t *testing.T) {
	s, c := serve(t, Config{})
	db, web := clustertest.Service("db", "db:1"), clustertest.Service("web", "web:1")
	web.DependsOn = []string{"db", "elsewhere"}
	w := clustertest.Workload(testLease, db, web)
	ns := namespaceOf(testLease)
	replicasOf := func(name string) (n int64) {
		s.edit(t, "deployments", ns, name, func(u *unstructured.Unstructured) { n = number(u, "spec", "replicas") })
		return n
	}
	setReady := func(n int64) {
		s.edit(t, "deployments", ns, "db", func(u *unstructured.Unstructured) {
			u.Object["status"] = map[string]any{"observedGeneration": u.GetGeneration(), "readyReplicas": n}
		})
	}
	apply(t, c, w)
	if replicasOf("db") != 1 || replicasOf("web") != 0 {
		t.Fatalf("at first: db %d, web %d instances, want 1 and 0", replicasOf("db"), replicasOf("web"))
	}
	restarted := newCluster(c.cfg, c.typed, c.dynamic, c.contact)
	reconcile := func() {
		t.Helper()
		if err := restarted.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reconcile()
	if replicasOf("web") != 0 {
		t.Fatal("web was started before db was ready")
	}
	if st, err := c.Status(t.Context(), testLease); err != nil || st[1].Message != "waiting for db" {
		t.Errorf("status %+v, %v, want that web waits for db", st, err)
	}
	setReady(1)
	reconcile()
	if replicasOf("web") != 1 {
		t.Fatal("web was not started after db was ready")
	}
	setReady(0)
	reconcile()
	apply(t, c, w)
	if replicasOf("web") != 1 {
		t.Fatal("web was stopped when db was not ready for a while")
	}
}

// TestDriftProperty holds R13: whatever is deleted or changed of a lease's objects, a pass brings it back, and the next
// one writes nothing.
func TestDriftProperty(t *testing.T) {
	s, c := serve(t, Config{})
	db, web := clustertest.Service("db", "db:1"), clustertest.Service("web", "web:1")
	web.Env = []manifesttypes.EnvVar{{Name: "A", Value: "1"}}
	db.Expose[0].Proto = manifesttypes.PROTO_TCP
	w := clustertest.Workload(testLease, db, web)
	apply(t, c, w)
	ns := namespaceOf(testLease)
	rapid.Check(t, func(rt *rapid.T) {
		paths := slices.DeleteFunc(s.paths(ns), func(p objectPath) bool { return p.name == manifestSecret })
		for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(paths), 1, 5, rapid.ID[objectPath]).Draw(rt, "objects") {
			if rapid.Bool().Draw(rt, "delete") {
				s.mu.Lock()
				s.remove(p)
				s.mu.Unlock()
				continue
			}
			s.edit(t, p.resource, p.namespace, p.name, func(u *unstructured.Unstructured) { spoil(rt, u.Object) })
		}
		s.takeWrites()
		if err := c.Reconcile(t.Context()); err != nil {
			rt.Fatal(err)
		}
		repairs := s.takeWrites()
		if err := c.Reconcile(t.Context()); err != nil {
			rt.Fatal(err)
		}
		if again := s.takeWrites(); len(again) > 0 {
			rt.Fatalf("after repairs %v the next pass wrote %v", repairs, again)
		}
		have, err := c.readLease(t.Context(), ns)
		if err != nil {
			rt.Fatal(err)
		}
		settings, err := c.settings(t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		rendered, err := render(w, settings, starter(w.Group.Services, have))
		if err != nil {
			rt.Fatal(err)
		}
		if ch := diff(rendered, have); len(ch.apply)+len(ch.remove) > 0 {
			rt.Fatalf("still differs after repairs %v", repairs)
		}
	})
}

// spoil changes or drops one value below spec, data or the annotations.
func spoil(rt *rapid.T, o map[string]any) {
	at := o
	for _, k := range []string{"spec", "data", "metadata"} {
		if m, ok := o[k].(map[string]any); ok && len(m) > 0 {
			at = m
			break
		}
	}
	if at["labels"] != nil {
		at = at["annotations"].(map[string]any)
	}
	for {
		k := rapid.SampledFrom(sortedKeys(at)).Draw(rt, "field")
		if m, ok := at[k].(map[string]any); ok && len(m) > 0 && rapid.Bool().Draw(rt, "deeper") {
			at = m
			continue
		}
		if rapid.Bool().Draw(rt, "drop") {
			delete(at, k)
		} else {
			at[k] = "spoilt"
		}
		return
	}
}

func sortedKeys(m map[string]any) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// TestUnknownIsNotAbsent fails every request of every call once: no failure looks like an absence, and nothing is
// deleted.
func TestUnknownIsNotAbsent(t *testing.T) {
	s, c := serve(t, Config{Hosts: Hosts{NeedNoProof: true}})
	web := clustertest.Service("web", "hello:1")
	web.Expose[0].Accept = []string{"www.example.com"}
	w := clustertest.Workload(testLease, web)
	apply(t, c, w)
	for name, call := range map[string]func(*Cluster) error{
		"apply":     func(c *Cluster) error { return c.Apply(t.Context(), w) },
		"list":      func(c *Cluster) error { _, err := c.List(t.Context()); return err },
		"nodes":     func(c *Cluster) error { _, err := c.Nodes(t.Context()); return err },
		"status":    func(c *Cluster) error { _, err := c.Status(t.Context(), testLease); return err },
		"remove":    func(c *Cluster) error { return c.Remove(t.Context(), testLease) },
		"reconcile": func(c *Cluster) error { return c.Reconcile(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				seen := 0
				s.fail = func(_, path string) int {
					if strings.HasSuffix(path, "/events") {
						return 0 // they say why something is so, not what is: a status without them is a status
					}
					if seen++; seen == n {
						return http.StatusInternalServerError
					}
					return 0
				}
				s.takeWrites()
				err := call(newCluster(c.cfg, c.typed, c.dynamic, c.contact))
				s.fail = nil
				if n > seen {
					return // every request has failed once
				}
				if err == nil || errors.Is(err, cluster.ErrNotFound) || errors.Is(err, cluster.ErrRefused) {
					t.Errorf("request %d failed: got %v, want an error that says nothing about what is there", n, err)
				}
				if w := s.takeWrites(); name != "remove" && slices.ContainsFunc(w, func(s string) bool { return strings.HasPrefix(s, "delete") }) {
					t.Errorf("request %d failed: %v", n, w)
				}
			}
		})
	}
}

func TestListAndRemove(t *testing.T) {
	s, c := serve(t, Config{})
	other := testLease
	other.Dseq = 7
	w := clustertest.Workload(testLease, clustertest.Service("web", "hello:1"))
	apply(t, c, w)
	apply(t, c, clustertest.Workload(other, clustertest.Service("web", "hello:1")))
	s.edit(t, "namespaces", "", namespaceOf(other), func(u *unstructured.Unstructured) {
		u.SetDeletionTimestamp(&metav1.Time{})
		now := metav1.Now()
		u.SetDeletionTimestamp(&now)
	})
	s.put("namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
		"name": "stray", "labels": map[string]any{labelManagedBy: manager, labelProvider: testLease.Provider},
	}})
	all, err := c.List(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("List: %+v, %v, want two leases", all, err)
	}
	if all[0].Lease != testLease || all[0].Terminating || all[1].Lease != other || !all[1].Terminating {
		t.Errorf("List: %+v", all)
	}
	if _, err := c.Status(t.Context(), other); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("Status of a lease that is being removed: %v", err)
	}
	if err := c.Apply(t.Context(), clustertest.Workload(other, clustertest.Service("web", "hello:1"))); err == nil || errors.Is(err, cluster.ErrRefused) {
		t.Errorf("Apply of a lease that is being removed: %v, want an error for now", err)
	}
	if err := c.Remove(t.Context(), testLease); err != nil {
		t.Fatal(err)
	}
	if left := s.paths(namespaceOf(testLease)); len(left) > 0 {
		t.Errorf("left after Remove: %v", left)
	}
}

// TestForeignNamespace holds that a namespace of somebody else is neither used nor removed, even under our name.
func TestForeignNamespace(t *testing.T) {
	s, c := serve(t, Config{})
	ns := namespaceOf(testLease)
	s.put("namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns}})
	if err := c.Apply(t.Context(), clustertest.Workload(testLease, clustertest.Service("web", "hello:1"))); err == nil {
		t.Error("Apply took it")
	}
	if err := c.Remove(t.Context(), testLease); err == nil {
		t.Error("Remove took it")
	}
	foreign := testLease
	foreign.Provider = "berth1other"
	if err := c.Apply(t.Context(), clustertest.Workload(foreign, clustertest.Service("web", "hello:1"))); !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("a lease of another provider: %v", err)
	}
	if w := s.takeWrites(); len(w) > 0 {
		t.Errorf("writes: %v", w)
	}
}

func TestInvalidIsRefused(t *testing.T) {
	s, c := serve(t, Config{})
	s.fail = func(method, path string) int {
		if method == http.MethodPatch && strings.Contains(path, "deployments") {
			return http.StatusUnprocessableEntity
		}
		return 0
	}
	err := c.Apply(t.Context(), clustertest.Workload(testLease, clustertest.Service("web", "hello:1")))
	if !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestDiscovery(t *testing.T) {
	gateway := func(name, protocol string) map[string]any {
		return map[string]any{
			"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": map[string]any{"name": name, "namespace": "a"},
			"spec": map[string]any{"listeners": []any{map[string]any{"protocol": protocol}}},
		}
	}
	class := map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": map[string]any{"name": "nginx"}}
	for name, tc := range map[string]struct {
		cfg     Config
		prepare func(*apiServer)
		want    settings // Routes, GatewayName, GatewayNamespace, IngressNamespaces, UserNamespaces
		err     string
	}{
		"the first gateway with http": {Config{}, func(s *apiServer) { s.put("gateways", gateway("tls", "TLS")) },
			settings{Routes: RouteGateway, GatewayName: "gw", GatewayNamespace: "ingress", IngressNamespaces: []string{"ingress"}, UserNamespaces: true}, ""},
		"a named gateway": {Config{GatewayName: "own", GatewayNamespace: "a"}, func(s *apiServer) { s.put("gateways", gateway("own", "HTTP")) },
			settings{Routes: RouteGateway, GatewayName: "own", GatewayNamespace: "a", IngressNamespaces: []string{"a"}, UserNamespaces: true}, ""},
		"a named gateway that is not there": {Config{GatewayName: "own", GatewayNamespace: "a"}, func(*apiServer) {}, settings{}, "no Gateway a/own"},
		"no gateway API": {Config{IngressNamespaces: []string{"n"}}, func(s *apiServer) { s.absent["gateways"] = true; s.put("ingressclasses", class) },
			settings{Routes: RouteIngress, IngressNamespaces: []string{"n"}, UserNamespaces: true}, ""},
		"ingress without its namespace": {Config{RouteMode: RouteIngress}, func(*apiServer) {}, settings{}, "namespaces or addresses"},
		"neither":                       {Config{}, func(s *apiServer) { s.absent["gateways"] = true }, settings{UserNamespaces: true}, ""},
		"gateway wanted, none there":    {Config{RouteMode: RouteGateway}, func(s *apiServer) { s.absent["gateways"] = true }, settings{}, "no Gateway"},
		"no user namespaces": {Config{UserNamespaces: UserNamespacesOff}, func(*apiServer) {},
			settings{Routes: RouteGateway, GatewayName: "gw", GatewayNamespace: "ingress", IngressNamespaces: []string{"ingress"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := serve(t, tc.cfg)
			tc.prepare(s)
			got, err := c.settings(t.Context())
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got %v, want an error with %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Routes != tc.want.Routes || got.GatewayName != tc.want.GatewayName || got.GatewayNamespace != tc.want.GatewayNamespace ||
				!slices.Equal(got.IngressNamespaces, tc.want.IngressNamespaces) || got.UserNamespaces != tc.want.UserNamespaces {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if !slices.Contains(got.DenyCIDRs, "203.0.113.9/32") || !slices.Contains(got.DenyCIDRs, "10.244.0.0/24") || got.IPv6 {
				t.Errorf("closed ranges %v, IPv6 %v", got.DenyCIDRs, got.IPv6)
			}
		})
	}
}

func TestConfigValidate(t *testing.T) {
	good := Config{Provider: "p", Domain: "d.test"}
	if err := good.Validate(); err != nil {
		t.Errorf("the least configuration: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"no provider":        func(c *Config) { c.Provider = "" },
		"no domain":          func(c *Config) { c.Domain = "" },
		"bad domain":         func(c *Config) { c.Domain = "a_b" },
		"route mode":         func(c *Config) { c.RouteMode = "dns" },
		"user namespaces":    func(c *Config) { c.UserNamespaces = "maybe" },
		"half a gateway":     func(c *Config) { c.GatewayName = "gw" },
		"range":              func(c *Config) { c.DenyCIDRs = []string{"10.0.0.1"} },
		"mapped range":       func(c *Config) { c.DenyCIDRs = []string{"::ffff:10.0.0.0/104"} },
		"drain too long":     func(c *Config) { c.DrainSeconds = maxDrainSeconds + 1 },
		"root as a user":     func(c *Config) { c.ImageUsers = map[string]int64{"a": 0} },
		"edge TLS":           func(c *Config) { c.EdgeTLS = "perhaps" },
		"passthrough":        func(c *Config) { c.Passthrough = "yes" },
		"redirect":           func(c *Config) { c.HTTPSRedirect, c.RouteMode = true, RouteIngress },
		"body":               func(c *Config) { c.MaxBody = 1<<32 - 1 },
		"timeout":            func(c *Config) { c.MaxTimeout = 2 * time.Hour },
		"addresses":          func(c *Config) { c.LeasedIPs.Count = -1 },
		"no addresses":       func(c *Config) { c.LeasedIPs.Class = "metal" },
		"annotation":         func(c *Config) { c.LeasedIPs = LeasedIPs{Count: 1, Annotations: map[string]string{"a b": "c"}} },
		"resolver":           func(c *Config) { c.Hosts.Resolver = "ns.example" },
		"missing kubeconfig": func(c *Config) { c.Kubeconfig = "/nonexistent" },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			change(&c)
			if _, err := New(c); err == nil {
				t.Error("New took it")
			}
		})
	}
}
