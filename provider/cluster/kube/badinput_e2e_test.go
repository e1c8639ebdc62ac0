//go:build e2e

package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	markettypes "berth.dev/berth/x/market/types"
)

// portrait is all that a lease has, without what changes by itself: by name, what each object is and which it is.
func portrait(t *testing.T, c *Cluster, id markettypes.LeaseID) map[string]string {
	t.Helper()
	have, err := c.readLease(t.Context(), namespaceOf(id))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for k, u := range have {
		o := u.DeepCopy()
		delete(o.Object, "status")
		o.SetResourceVersion("")
		o.SetManagedFields(nil)
		out[k.kind+"/"+k.name] = string(mustJSON(o.Object))
	}
	return out
}

// unchanged fails if a lease is not what it was.
func unchanged(t *testing.T, what string, before, now map[string]string) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if now[k] != before[k] {
			t.Errorf("%s: %s was\n%s\nand is\n%s", what, k, before[k], now[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(now)) {
		if before[k] == "" {
			t.Errorf("%s: there is %s now", what, k)
		}
	}
}

// TestBadInput: each of these manifests is refused with the field that is wrong, and neither the lease that it is for, which
// goes on with its former manifest, nor that of another tenant is touched.
func TestBadInput(t *testing.T) {
	t.Parallel()
	ingress := os.Getenv("BERTH_E2E_INGRESS")
	cfg := storageConfig(t)
	cfg.LeasedIPs = LeasedIPs{Count: 4, SharingKey: os.Getenv("BERTH_E2E_SHARE")}
	c, _ := start(t, cfg)
	const mine, theirs = "mine.bad-input.example", "theirs.bad-input.example"
	web, db := clustertest.Service("web", image()), layout("db", 8080, "database-layout", "/data")
	web.Expose[0].Accept = []string{mine}
	db.Volumes = append(db.Volumes, clustertest.Persistent("data", "default", 16<<20))
	id, _ := deploy(t, c, 1, web, db)
	other := markettypes.LeaseID{Owner: "berth1other", Dseq: 1, Gseq: 1, Oseq: 1, Provider: cfg.Provider}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := c.Remove(ctx, other); err != nil {
			t.Errorf("Remove: %v", err)
		}
	})
	neighbour := clustertest.Service("web", image())
	neighbour.Expose[0].Accept = []string{theirs}
	reapply(t, c, clustertest.Workload(other, neighbour))
	answers := func(when string) {
		t.Helper()
		for _, host := range []string{mine, theirs} {
			await(t, when+": "+host, func() (bool, string) {
				code, body := get("http://"+ingress, host)
				return code == http.StatusOK && strings.Contains(body, "hello"), fmt.Sprint(code, " ", body)
			})
		}
	}
	answers("at first")
	before, next := portrait(t, c, id), portrait(t, c, other)
	for _, kind := range []string{kindClaim, kindStatefulSet, kindDeployment, kindSecret, "NetworkPolicy", "Service"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(before)), func(k string) bool { return strings.HasPrefix(k, kind+"/") }) {
			t.Fatalf("what the lease has is not all there: no %s in %v", kind, slices.Sorted(maps.Keys(before)))
		}
	}

	leased := []manifesttypes.To{{Global: true, Ip: "front"}}
	for name, tc := range map[string]struct {
		change func(web, db *manifesttypes.Service)
		say    string
	}{
		"a volume that would shrink": {func(_, db *manifesttypes.Service) { db.Volumes[1].Bytes = 8 << 20 }, "services.db.volumes[1]: volume data has 16777216 bytes and cannot shrink to 8388608"},
		"a volume of another class":  {func(_, db *manifesttypes.Service) { db.Volumes[1].Attributes[0].Value = "beta2" }, "was made as class default and cannot become class beta2"},
		"a class that is not sold": {func(_, db *manifesttypes.Service) {
			db.Volumes[1].Name, db.Volumes[1].Attributes[0].Value = "more", "beta3"
		}, `no persistent volumes of class "beta3"`},
		"a host of another tenant":  {func(web, _ *manifesttypes.Service) { web.Expose[0].Accept = []string{mine, theirs} }, theirs},
		"a host that is none":       {func(web, _ *manifesttypes.Service) { web.Expose[0].Accept = []string{"*.example.com"} }, "services.web.expose[0].accept[0]"},
		"the provider's own domain": {func(web, _ *manifesttypes.Service) { web.Expose[0].Accept = []string{"web-0123abcd.e2e.localhost"} }, "services.web.expose[0].accept[0]"},
		"a port that is used twice": {func(web, db *manifesttypes.Service) {
			web.Expose[0].To, web.Expose[0].Proto, db.Expose[0].As, db.Expose[0].To = leased, manifesttypes.PROTO_TCP, web.Expose[0].As, leased
		}, ".to.ip: the address has port"},
		"a name with a path":              {func(web, _ *manifesttypes.Service) { web.Name = "../../kube-system/x" }, "services."},
		"a name of another alphabet":      {func(web, _ *manifesttypes.Service) { web.Name = "wеb" }, "services."},
		"a name that is too long":         {func(web, _ *manifesttypes.Service) { web.Name = strings.Repeat("a", 64) }, "services."},
		"a volume's name with a selector": {func(_, db *manifesttypes.Service) { db.Volumes[1].Name = "data,app=x" }, "services.db.volumes[1].name"},
		"a name of a variable with a zero": {func(web, _ *manifesttypes.Service) {
			web.Env = []manifesttypes.EnvVar{{Name: "A\x00B", Value: "x"}}
		}, "services.web.env"},
		"a host with a rule": {func(web, _ *manifesttypes.Service) { web.Expose[0].Accept = []string{"a`) || PathPrefix(`/"} }, "services.web.expose[0].accept[0]"},
	} {
		w, d := web, db
		w.Expose, d.Expose = slices.Clone(web.Expose), slices.Clone(db.Expose)
		d.Volumes = slices.Clone(db.Volumes)
		for i := range d.Volumes {
			d.Volumes[i].Attributes = slices.Clone(d.Volumes[i].Attributes)
		}
		tc.change(&w, &d)
		err := c.Apply(t.Context(), clustertest.Workload(id, w, d))
		if text, refused := cluster.Refusal(err); !refused || !strings.Contains(text, tc.say) {
			t.Errorf("%s: got %v, want a refusal with %q", name, err, tc.say)
		}
		unchanged(t, name, before, portrait(t, c, id))
		unchanged(t, name+": the other tenant's", next, portrait(t, c, other))
	}
	answers("after what was refused")
	status, err := c.Status(t.Context(), id)
	if ok, what := clustertest.Complete(status); err != nil || !ok {
		t.Errorf("after what was refused: %s, %v", what, err)
	}

	// An image that does not exist shows when it is pulled: what ran goes on, and other services are not touched.
	bad := web
	bad.Image = "berth.local/missing:1"
	if err := c.Apply(t.Context(), clustertest.Workload(id, bad, db)); err != nil {
		t.Fatal(err)
	}
	await(t, "the reason to show", func() (bool, string) {
		all, err := c.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var w, d cluster.ServiceStatus
		for _, st := range all {
			if st.Name == "web" {
				w = st
			} else {
				d = st
			}
		}
		ok, _ := clustertest.Complete([]cluster.ServiceStatus{d})
		return ok && w.Failed && w.Reason == cluster.ReasonImage && w.Ready == 1 && w.Updated == 0 && strings.Contains(w.Message, bad.Image), fmt.Sprintf("%+v", all)
	})
	answers("with an image that does not exist")
	now := portrait(t, c, id)
	for k, v := range before {
		if (strings.Contains(k, "/db") || strings.HasPrefix(k, kindClaim) || strings.HasPrefix(k, kindHTTPRoute)) && now[k] != v {
			t.Errorf("with an image that does not exist: %s was\n%s\nand is\n%s", k, v, now[k])
		}
	}
	unchanged(t, "with an image that does not exist: the other tenant's", next, portrait(t, c, other))
	reapply(t, c, clustertest.Workload(id, web, db))

	// A manifest of a lease that runs nothing yet leaves nothing that runs.
	fresh := id
	fresh.Dseq = 2
	t.Cleanup(func() { _ = c.Remove(ctx, fresh) })
	db.Volumes = slices.Clone(db.Volumes)
	db.Volumes[1].Attributes = []manifesttypes.Attribute{{Key: "class", Value: "beta3"}, {Key: "persistent", Value: "true"}}
	if err := c.Apply(t.Context(), clustertest.Workload(fresh, web, db)); !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("a first manifest: got %v, want a refusal", err)
	}
	if _, err := c.Status(t.Context(), fresh); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("after a first manifest that was refused: %v, want nothing", err)
	}
}
