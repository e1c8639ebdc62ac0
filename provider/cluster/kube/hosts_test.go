package kube

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	"berth.dev/berth/testutil/dnstest"
	markettypes "berth.dev/berth/x/market/types"
)

const testHost = "www.example.com"

// hostWorld is a driver with a name server that tests can change.
type hostWorld struct {
	*apiServer
	c   *Cluster
	dns *dnstest.Server
}

func hosts(t *testing.T, cfg Config) hostWorld {
	t.Helper()
	dns := dnstest.New(t)
	cfg.Hosts.ChainID, cfg.Hosts.Resolver = "chain-1", dns.Addr
	s, c := serve(t, cfg)
	return hostWorld{s, c, dns}
}

// asking is a workload of a lease that asks for hosts.
func asking(id markettypes.LeaseID, hosts ...string) cluster.Workload {
	web := clustertest.Service("web", "hello:1")
	web.Expose[0].Accept = hosts
	return clustertest.Workload(id, web)
}

func leaseOfOwner(owner string, dseq uint64) markettypes.LeaseID {
	id := testLease
	id.Owner, id.Dseq = owner, dseq
	return id
}

// prove makes the record that names an owner.
func (w hostWorld) prove(owner string) {
	w.dns.Set("_berth."+testHost, "other text", proofText("chain-1", owner))
}

// leads tells whether a route of a lease leads the test's host to it.
func (w hostWorld) leads(t *testing.T, id markettypes.LeaseID) bool {
	t.Helper()
	found := false
	w.edit(t, "httproutes", namespaceOf(id), "p80-web", func(u *unstructured.Unstructured) {
		all, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "hostnames")
		found = slices.Contains(all, testHost)
	})
	return found
}

// only holds that the host leads to one of some leases and to no other, and that their states say so.
func (w hostWorld) only(t *testing.T, has markettypes.LeaseID, others ...markettypes.LeaseID) {
	t.Helper()
	for _, id := range append(others, has) {
		if got := w.leads(t, id); got != (id == has) {
			t.Errorf("the host leads to %s: %v", id, got)
		}
		st, err := w.c.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(st[0].URLs, "http://"+testHost); got != (id == has) {
			t.Errorf("%s has urls %v", id, st[0].URLs)
		}
	}
}

func refusedWith(t *testing.T, err error, texts ...string) {
	t.Helper()
	if !errors.Is(err, cluster.ErrRefused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the refusal %q lacks %q", err, text)
		}
	}
}

func TestHostNeedsProof(t *testing.T) {
	w := hosts(t, Config{})
	id := testLease
	try := func() error { return w.c.Apply(t.Context(), asking(id, testHost)) }
	refusedWith(t, try(), "services.web.expose[0].accept[0]", testHost, `_berth.www.example.com TXT "berth-owner=chain-1:berth1tenant"`)
	for _, text := range []string{"berth-owner=chain-2:berth1tenant", "berth-owner=chain-1:berth1other", "xberth-owner=chain-1:berth1tenant", "berth1tenant"} {
		w.dns.Set("_berth."+testHost, text)
		refusedWith(t, try(), testHost)
	}
	w.dns.Set(testHost, proofText("chain-1", id.Owner))
	refusedWith(t, try(), testHost)
	if writes := w.takeWrites(); len(writes) > 0 {
		t.Fatalf("refused manifests wrote %v", writes)
	}
	w.prove(id.Owner)
	apply(t, w.c, asking(id, testHost))
	w.only(t, id)
}

// TestHostsBelowTheDomain: names of the provider's own domain need no proof; its own name and those that look like
// generated ones are not given.
func TestHostsBelowTheDomain(t *testing.T) {
	w := hosts(t, Config{})
	apply(t, w.c, asking(testLease, "shop.east.test"))
	refusedWith(t, w.c.Apply(t.Context(), asking(leaseOfOwner("berth1other", 1), "shop.east.test")), "shop.east.test", "another tenant")
	for _, host := range []string{"east.test", "web-0123abcd.east.test", "*.example.com", strings.Repeat("a.", 124) + "com"} {
		refusedWith(t, w.c.Apply(t.Context(), asking(leaseOfOwner("berth1other", 1), host)), "accept[0]")
	}
	if w.dns.Asked() > 0 {
		t.Error("a record was asked for")
	}
}

// TestHostMovesWithinOwner: the manifest that was sent last takes a host from the owner's other lease; one that is only
// applied again does not.
func TestHostMovesWithinOwner(t *testing.T) {
	w := hosts(t, Config{})
	w.prove(testLease.Owner)
	first, second := testLease, leaseOfOwner(testLease.Owner, 43)
	older := asking(first, testHost)
	older.Accepted = time.Unix(1000, 0)
	apply(t, w.c, older)
	w.dns.Set("_berth." + testHost) // a lease of the same owner needs no new proof
	newer := asking(second, testHost)
	newer.Accepted = time.Unix(2000, 0)
	apply(t, w.c, newer)
	w.only(t, second, first)
	st, err := w.c.Status(t.Context(), first)
	if err != nil || !strings.Contains(st[0].Message, testHost) && st[0].Message != "starting" {
		t.Errorf("status %+v, %v", st, err)
	}
	apply(t, w.c, older)
	w.c = newCluster(w.c.cfg, w.c.typed, w.c.dynamic, w.c.contact) // a provider that starts again knows it too
	apply(t, w.c, older)
	if err := w.c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.only(t, second, first)
	older.Accepted = time.Unix(3000, 0)
	apply(t, w.c, older)
	w.only(t, first, second)
	w.takeWrites()
	if err := w.c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.takeWrites()
	if err := w.c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if writes := w.takeWrites(); len(writes) > 0 {
		t.Errorf("a pass over leases that are as they should be wrote %v", writes)
	}
}

// TestHostMovesToAnotherOwner: only with a record that names the other owner, and it does not come back by itself.
func TestHostMovesToAnotherOwner(t *testing.T) {
	w := hosts(t, Config{})
	w.prove(testLease.Owner)
	apply(t, w.c, asking(testLease, testHost))
	thief := leaseOfOwner("berth1thief", 7)
	refusedWith(t, w.c.Apply(t.Context(), asking(thief, testHost)), "berth-owner=chain-1:berth1thief")
	w.only(t, testLease)
	w.prove("berth1thief")
	apply(t, w.c, asking(thief, testHost))
	w.only(t, thief, testLease)
	if err := w.c.Remove(t.Context(), thief); err != nil {
		t.Fatal(err)
	}
	if err := w.c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	apply(t, w.c, asking(testLease, testHost))
	if w.leads(t, testLease) {
		t.Error("the host came back to its former owner without a proof")
	}
	back := asking(testLease, testHost)
	back.Accepted = time.Now()
	refusedWith(t, w.c.Apply(t.Context(), back), "berth-owner=chain-1:berth1tenant")
	w.prove(testLease.Owner)
	apply(t, w.c, back)
	w.only(t, testLease)
}

// TestNameServerAway: what leads somewhere goes on, and what is new is put off.
func TestNameServerAway(t *testing.T) {
	w := hosts(t, Config{})
	w.prove(testLease.Owner)
	apply(t, w.c, asking(testLease, testHost))
	w.dns.Break(true)
	if err := w.c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := asking(testLease, testHost)
	again.Accepted = time.Now()
	apply(t, w.c, again)
	w.only(t, testLease)
	err := w.c.Apply(t.Context(), asking(testLease, testHost, "zz.example.com"))
	if !errors.Is(err, cluster.ErrNotNow) || errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), "zz.example.com") {
		t.Errorf("a new host while records cannot be read: %v", err)
	}
	w.only(t, testLease)
	w.dns.Break(false)
	refusedWith(t, w.c.Apply(t.Context(), asking(testLease, testHost, "zz.example.com")), "zz.example.com", "accept[1]")
}

// TestHostRace: however many manifests come at once, one lease gets the host.
func TestHostRace(t *testing.T) {
	for name, owner := range map[string]func(int) string{
		"one owner": func(int) string { return "berth1tenant" }, "many owners": func(i int) string { return fmt.Sprint("berth1tenant", i) },
	} {
		t.Run(name, func(t *testing.T) {
			w := hosts(t, Config{Hosts: Hosts{NeedNoProof: true}})
			const n = 8
			errs := make([]error, n)
			var g sync.WaitGroup
			for i := range n {
				g.Go(func() { errs[i] = w.c.Apply(t.Context(), asking(leaseOfOwner(owner(i), uint64(i+1)), testHost)) })
			}
			g.Wait()
			if err := w.c.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
			have := 0
			for i, err := range errs {
				switch {
				case err != nil && !errors.Is(err, cluster.ErrRefused):
					t.Errorf("lease %d: %v", i, err)
				case err == nil && w.leads(t, leaseOfOwner(owner(i), uint64(i+1))):
					have++
				}
			}
			if have != 1 {
				t.Errorf("the host leads to %d leases: %v", have, errs)
			}
		})
	}
}

// TestHostOfTwoProviders: two providers of one cluster that both gave a host to a lease settle it between them.
func TestHostOfTwoProviders(t *testing.T) {
	w := hosts(t, Config{Hosts: Hosts{NeedNoProof: true}})
	apply(t, w.c, asking(testLease, testHost))
	cfg := w.c.cfg
	cfg.Provider = "berth1west"
	west := newCluster(cfg, w.c.typed, w.c.dynamic, w.c.contact)
	other := testLease
	other.Provider, other.Dseq = cfg.Provider, 44
	refusedWith(t, west.Apply(t.Context(), asking(leaseAt(cfg.Provider, "berth1thief"), testHost)), testHost)
	apply(t, west, asking(other, testHost))
	// As if it had been decided before the first one's claim was written.
	w.edit(t, "secrets", namespaceOf(testLease), manifestSecret, func(u *unstructured.Unstructured) {
		data, _, _ := unstructured.NestedMap(u.Object, "data")
		data[keyHosts] = base64.StdEncoding.EncodeToString([]byte(`{"www.example.com":{"at":1}}`))
		u.Object["data"] = data
	})
	for _, c := range []*Cluster{w.c, west, w.c, west} {
		if err := c.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if w.leads(t, testLease) == w.leads(t, other) {
		t.Errorf("the host leads to the first: %v, to the second: %v", w.leads(t, testLease), w.leads(t, other))
	}
}

func leaseAt(provider, owner string) markettypes.LeaseID {
	id := testLease
	id.Provider, id.Owner = provider, owner
	return id
}
