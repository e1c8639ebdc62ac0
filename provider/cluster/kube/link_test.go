package kube

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

var linkAddress = netip.MustParseAddr("203.0.113.77")

func linkConfig() Config { return Config{Link: LinkConfig{Enabled: true, Address: linkAddress}} }

func dbLink(ready bool) cluster.Link {
	return cluster.Link{Service: "db", Port: 5432, Clients: []string{"web"}, Address: netip.AddrPortFrom(linkAddress, 25001), Ready: ready}
}

func setLinks(t *testing.T, c *Cluster, links ...cluster.Link) {
	t.Helper()
	if err := c.SetLinks(t.Context(), testLease, links); err != nil {
		t.Fatal(err)
	}
}

// TestLinkIsOneDoor: only the services that may use a link reach the provider, and only at the link's own port.
func TestLinkIsOneDoor(t *testing.T) {
	s, c := serve(t, linkConfig())
	ns := namespaceOf(testLease)
	apply(t, c, clustertest.LinkedWorkload(testLease, "hello:1"))
	setLinks(t, c, dbLink(true))
	var p networkingv1.NetworkPolicy
	s.read(t, objectPath{"networkpolicies", ns, "out.db.link.5432"}, &p)
	e := p.Spec.Egress
	if len(e) != 1 || len(e[0].To) != 1 || e[0].To[0].IPBlock.CIDR != "203.0.113.77/32" || len(e[0].Ports) != 2 ||
		e[0].Ports[0].Port.IntVal != 25001 || e[0].Ports[1].Port.IntVal != 25001 {
		t.Errorf("egress is %+v", e)
	}
	if m := p.Spec.PodSelector.MatchExpressions; len(m) != 1 || !slices.Equal(m[0].Values, []string{"web"}) {
		t.Errorf("the policy selects %+v, want web alone", p.Spec.PodSelector)
	}
	var internet networkingv1.NetworkPolicy
	s.read(t, objectPath{"networkpolicies", ns, "allow-internet"}, &internet)
	if !slices.Contains(internet.Spec.Egress[0].To[0].IPBlock.Except, "203.0.113.77/32") {
		t.Errorf("the links' address is open as a part of the internet: %v", internet.Spec.Egress[0].To[0].IPBlock.Except)
	}
	if got := s.paths(ns); !slices.Contains(got, objectPath{"services", ns, "db"}) || !slices.Contains(got, objectPath{"endpointslices", ns, "link-5432-db"}) {
		t.Errorf("objects %v, want the name db and where it leads", got)
	}
	s.takeWrites()
	setLinks(t, c, dbLink(true))
	if err := c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := s.takeWrites(); len(w) > 0 {
		t.Errorf("the same links again: %v, want no writes", w)
	}
	setLinks(t, c, dbLink(false))
	if w := s.takeWrites(); !slices.Equal(w, []string{"delete endpointslices/link-5432-db"}) {
		t.Errorf("a link that is not ready: %v, want that its name leads nowhere", w)
	}
	setLinks(t, c)
	for _, p := range s.paths(ns) {
		if strings.Contains(p.name, "db") {
			t.Errorf("%v is left of a link that is gone", p)
		}
	}
}

// TestUnknownLinksStay: a driver that has just started leaves the links that it finds.
func TestUnknownLinksStay(t *testing.T) {
	s, c := serve(t, linkConfig())
	w := clustertest.LinkedWorkload(testLease, "hello:1")
	apply(t, c, w)
	setLinks(t, c, dbLink(true))
	s.takeWrites()
	c.ForgetLinks(testLease)
	apply(t, c, w)
	if err := c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.takeWrites(); len(got) > 0 {
		t.Errorf("a restart wrote %v", got)
	}
	setLinks(t, c, dbLink(true))
	if got := s.takeWrites(); len(got) > 0 {
		t.Errorf("the same links after a restart wrote %v", got)
	}
}

// TestLocalInstancesComeFirst: the name of a service that runs here too leads elsewhere only while none here is ready.
func TestLocalInstancesComeFirst(t *testing.T) {
	s, c := serve(t, linkConfig())
	ns := namespaceOf(testLease)
	w := clustertest.LinkedWorkload(testLease, "hello:1")
	db := clustertest.Service("db", "hello:1")
	db.Expose[0] = manifesttypes.Expose{Port: 8080, As: 5432, Proto: manifesttypes.PROTO_TCP, To: []manifesttypes.To{{Service: "web", Global: true}}}
	edges := w.Group.Edges
	w = clustertest.Workload(testLease, append([]manifesttypes.Service{db}, w.Group.Services...)...)
	w.Group.Edges = edges
	w.Envelope.Group, _ = w.Group.Marshal()
	apply(t, c, w)
	setLinks(t, c, dbLink(true))
	slice := objectPath{"endpointslices", ns, "link-5432-db"}
	if !slices.Contains(s.paths(ns), slice) {
		t.Fatal("no instance here is ready, and the name does not lead elsewhere")
	}
	s.edit(t, "deployments", ns, "db", func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(u.Object, int64(1), "status", "readyReplicas")
	})
	if err := c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(s.paths(ns), slice) {
		t.Error("an instance here is ready, and the name leads elsewhere")
	}
	var svc map[string]any
	s.read(t, objectPath{"services", ns, "db"}, &svc)
	if sel, _, _ := unstructured.NestedStringMap(svc, "spec", "selector"); sel[labelService] != "db" {
		t.Errorf("the name of the service here selects %v", sel)
	}
}

// TestTargetLetsTheProviderIn: the port that other groups may use is open to the provider's address, and no other is.
func TestTargetLetsTheProviderIn(t *testing.T) {
	s, c := serve(t, linkConfig())
	db := clustertest.Service("db", "hello:1")
	db.Expose = []manifesttypes.Expose{
		{Port: 8080, As: 5432, Proto: manifesttypes.PROTO_TCP, To: []manifesttypes.To{{Service: "web", Global: true}}},
		{Port: 9090, As: 9090, Proto: manifesttypes.PROTO_TCP, To: []manifesttypes.To{{Service: "web"}}},
	}
	w := clustertest.Workload(testLease, db, clustertest.Service("other", "hello:1"))
	w.Group.Edges = []manifesttypes.Edge{{FromGroup: "there", FromService: "web", ToGroup: "here", ToService: "db", Port: 5432}}
	w.Envelope.Group, _ = w.Group.Marshal()
	apply(t, c, w)
	var p networkingv1.NetworkPolicy
	s.read(t, objectPath{"networkpolicies", namespaceOf(testLease), "in.db.link"}, &p)
	in := p.Spec.Ingress
	if len(in) != 1 || len(in[0].From) != 1 || in[0].From[0].IPBlock.CIDR != "203.0.113.77/32" || len(in[0].Ports) != 1 || in[0].Ports[0].Port.IntVal != 8080 {
		t.Errorf("ingress is %+v, want port 8080 from the provider", in)
	}
	if slices.Contains(s.paths(namespaceOf(testLease)), objectPath{"networkpolicies", namespaceOf(testLease), "in.other.link"}) {
		t.Error("a service without edges lets the provider in")
	}
}

func TestPoliciesNameTheProvidersPods(t *testing.T) {
	cfg := linkConfig()
	cfg.Link.Namespace, cfg.Link.PodLabels = "berth", map[string]string{"app": "berth-provider"}
	s, c := serve(t, cfg)
	apply(t, c, clustertest.LinkedWorkload(testLease, "hello:1"))
	setLinks(t, c, dbLink(true))
	var p networkingv1.NetworkPolicy
	s.read(t, objectPath{"networkpolicies", namespaceOf(testLease), "out.db.link.5432"}, &p)
	to := p.Spec.Egress[0].To[0]
	if to.IPBlock != nil || to.NamespaceSelector.MatchLabels[namespaceLabel] != "berth" || to.PodSelector.MatchLabels["app"] != "berth-provider" {
		t.Errorf("egress to %+v", to)
	}
}

func TestWithoutLinksEdgesAreRefused(t *testing.T) {
	_, c := serve(t, Config{})
	err := c.Apply(t.Context(), clustertest.LinkedWorkload(testLease, "hello:1"))
	if !errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), "edges[0]") {
		t.Errorf("got %v, want a refusal of the first edge", err)
	}
}

func TestLinkClients(t *testing.T) {
	s, c := serve(t, linkConfig())
	ns := namespaceOf(testLease)
	pod := func(name, ip, service, ready string) {
		s.put("pods", map[string]any{
			"apiVersion": "v1", "kind": "Pod",
			"metadata": map[string]any{"name": name, "namespace": ns, "labels": toAny(with(leaseLabels(testLease), labelService, service))},
			"status":   map[string]any{"podIP": ip, "phase": "Running", "conditions": []any{map[string]any{"type": "Ready", "status": ready}}},
		})
	}
	pod("web-1", "10.244.0.5", "web", "True")
	pod("web-2", "10.244.0.6", "web", "False")
	for from, want := range map[string]struct {
		service string
		ok      bool
	}{"10.244.0.5": {"web", true}, "10.244.0.6": {"web", true}, "203.0.113.9": {"", true}, "10.244.0.7": {"", false}} {
		got, ok, err := c.Client(t.Context(), testLease, netip.MustParseAddr(from))
		if err != nil || ok != want.ok || got != want.service {
			t.Errorf("%s is %q, %v, %v; want %+v", from, got, ok, err, want)
		}
	}
	got, err := c.Instances(t.Context(), testLease, "web", 8080, false)
	if err != nil || len(got) != 1 || got[0].String() != "10.244.0.5:8080" {
		t.Errorf("instances %v, %v, want the ready one", got, err)
	}
}

func toAny(m map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// read decodes an object of the server.
func (s *apiServer) read(t *testing.T, p objectPath, into any) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.objects[p]
	if !ok {
		t.Fatalf("no %v", p)
	}
	data, err := json.Marshal(u.Object)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
