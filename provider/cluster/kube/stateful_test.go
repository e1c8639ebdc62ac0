package kube

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

// database is a service with a persistent volume of the class beta2.
func database(count uint32) manifesttypes.Service {
	db := clustertest.Service("db", "db:1")
	db.Count = count
	db.Volumes = append(db.Volumes, clustertest.Persistent("data", "beta2", 1<<30))
	return db
}

// serveStorage is serve with a class of persistent storage.
func serveStorage(t *testing.T, grows bool) (*apiServer, *Cluster) {
	t.Helper()
	s, c := serve(t, Config{StorageClasses: map[string]StorageClass{"beta2": {Name: "fast"}, "beta3": {Name: "faster"}}})
	s.put("storageclasses", map[string]any{
		"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": map[string]any{"name": "fast"},
		"provisioner": "test", "allowVolumeExpansion": grows,
	})
	return s, c
}

// makeClaims does what Kubernetes does: each instance of a StatefulSet gets a claim of each template.
func (s *apiServer) makeClaims(t *testing.T, ns string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, u := range s.objects {
		if p.resource != "statefulsets" || p.namespace != ns {
			continue
		}
		templates, _, err := unstructured.NestedSlice(u.Object, "spec", "volumeClaimTemplates")
		if err != nil {
			t.Fatal(err)
		}
		for i := range number(u, "spec", "replicas") {
			for _, raw := range templates {
				claim := &unstructured.Unstructured{Object: raw.(map[string]any)}
				claim = claim.DeepCopy()
				claim.SetAPIVersion("v1")
				claim.SetKind(kindClaim)
				claim.SetNamespace(ns)
				claim.SetName(fmt.Sprintf("%s-%s-%d", claim.GetName(), p.name, i))
				at := objectPath{"persistentvolumeclaims", ns, claim.GetName()}
				if s.objects[at] == nil {
					claim.SetUID(types.UID("uid of " + claim.GetName()))
					s.objects[at] = claim
				}
			}
		}
	}
}

func volumesOf(t *testing.T, c *Cluster) []cluster.Volume {
	t.Helper()
	all, err := c.Volumes(t.Context(), testLease)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestClaimsOutliveUpdates: whatever an update does, no request ever deletes a claim.
func TestClaimsOutliveUpdates(t *testing.T) {
	s, c := serveStorage(t, false)
	ns, web := namespaceOf(testLease), clustertest.Service("web", "web:1")
	step := func(what string, services ...manifesttypes.Service) []string {
		t.Helper()
		s.takeWrites()
		apply(t, c, clustertest.Workload(testLease, services...))
		s.makeClaims(t, ns)
		writes := s.takeWrites()
		if slices.ContainsFunc(writes, func(w string) bool { return strings.HasPrefix(w, "delete persistentvolumeclaims") }) {
			t.Fatalf("%s: %v", what, writes)
		}
		return writes
	}
	step("first", database(2), web)
	first := volumesOf(t, c)
	if len(first) != 2 || first[1].Instance != 1 || first[1].Name != "data" || first[1].Class != "beta2" || first[1].Bytes != 1<<30 || first[1].Kept {
		t.Fatalf("volumes: %+v", first)
	}
	next := database(2)
	next.Image = "db:2"
	if got := step("another image", next, web); !slices.Equal(got, []string{"apply secrets/manifest", "apply statefulsets/db"}) {
		t.Errorf("another image: %v", got)
	}
	claim := "persistentvolumeclaims/" + claimTemplate("data") + "-db-"
	got := step("the service leaves", web)
	for _, want := range []string{"patch " + claim + "0", "patch " + claim + "1", "delete statefulsets/db"} {
		if !slices.Contains(got, want) {
			t.Errorf("the service leaves: %v lack %s", got, want)
		}
	}
	for _, v := range volumesOf(t, c) {
		if !v.Kept {
			t.Errorf("the service left, and %+v is not kept", v)
		}
	}
	if got := step("again", web); len(got) > 0 {
		t.Errorf("nothing changed: %v", got)
	}
	step("the service comes back", database(2), web)
	if got := volumesOf(t, c); !slices.Equal(got, first) {
		t.Errorf("the service came back to %+v, want %+v", got, first)
	}
	if err := c.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.takeWrites(); len(got) > 0 {
		t.Errorf("a pass over what is as it should be: %v", got)
	}
}

func TestVolumeRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*manifesttypes.Service)
		say    string
	}{
		"smaller":       {func(sv *manifesttypes.Service) { sv.Volumes[1].Bytes = 1 << 29 }, "services.db.volumes[1]: volume data has 1073741824 bytes and cannot shrink to 536870912"},
		"larger":        {func(sv *manifesttypes.Service) { sv.Volumes[1].Bytes = 1 << 31 }, "cannot grow to 2147483648: volumes of class beta2 keep their size"},
		"another class": {func(sv *manifesttypes.Service) { sv.Volumes[1].Attributes[0].Value = "default" }, "was made as class beta2 and cannot become class default"},
		"no such class": {func(sv *manifesttypes.Service) {
			sv.Volumes[1] = clustertest.Persistent("more", "default", 1<<30)
		}, `this provider has no persistent volumes of class "default"`},
		"a class that the cluster lacks": {func(sv *manifesttypes.Service) {
			sv.Volumes[1] = clustertest.Persistent("more", "beta3", 1<<30)
		}, `no persistent volumes of class "beta3"`},
		"memory":    {func(sv *manifesttypes.Service) { sv.Volumes[1].Attributes[0].Value = "ram" }, "memory is never persistent"},
		"unmounted": {func(sv *manifesttypes.Service) { sv.Volumes[1].Mount = "" }, "services.db.volumes[1].mount: a persistent volume needs a path"},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := serveStorage(t, false)
			apply(t, c, clustertest.Workload(testLease, database(1)))
			s.makeClaims(t, namespaceOf(testLease))
			s.takeWrites()
			next := database(1)
			tc.change(&next)
			err := c.Apply(t.Context(), clustertest.Workload(testLease, next))
			if !errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), tc.say) {
				t.Errorf("got %v, want a refusal with %q", err, tc.say)
			}
			if got := s.takeWrites(); len(got) > 0 {
				t.Errorf("a refused manifest wrote %v", got)
			}
		})
	}
}

// TestVolumesGrow: the quota comes first, then the claims, then the StatefulSet, which is made anew around its instances.
func TestVolumesGrow(t *testing.T) {
	s, c := serveStorage(t, true)
	ns := namespaceOf(testLease)
	apply(t, c, clustertest.Workload(testLease, database(2)))
	s.makeClaims(t, ns)
	s.takeWrites()
	larger := database(2)
	larger.Volumes[1].Bytes = 2 << 30
	apply(t, c, clustertest.Workload(testLease, larger))
	claim := "patch persistentvolumeclaims/" + claimTemplate("data") + "-db-"
	want := []string{"apply secrets/manifest", "apply resourcequotas/lease", claim + "0", claim + "1", "delete statefulsets/db", "apply statefulsets/db"}
	if got := s.takeWrites(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, v := range volumesOf(t, c) {
		if v.Bytes != 2<<30 {
			t.Errorf("%+v did not grow", v)
		}
	}
	apply(t, c, clustertest.Workload(testLease, larger))
	if got := s.takeWrites(); len(got) > 0 {
		t.Errorf("the same again wrote %v", got)
	}
}

// TestKeptVolumesAreBounded: services that leave and come under other names are no way to any amount of storage.
func TestKeptVolumesAreBounded(t *testing.T) {
	s, c := serveStorage(t, false)
	var err error
	made := 0
	for i := range 5 {
		db := database(1)
		db.Name = fmt.Sprintf("db%d", i)
		if err = c.Apply(t.Context(), clustertest.Workload(testLease, db)); err != nil {
			break
		}
		s.makeClaims(t, namespaceOf(testLease))
		made++
	}
	if !errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), "give a service its former name") || made != 2 {
		t.Errorf("%d services were made, then %v; want 2 and a refusal", made, err)
	}
	db := database(1)
	db.Name = "db0"
	if err := c.Apply(t.Context(), clustertest.Workload(testLease, db)); err != nil {
		t.Errorf("a former name was refused: %v", err)
	}
}

// TestSwitchHasOneWriter: instances of the other kind start when all former ones are gone, in both directions.
func TestSwitchHasOneWriter(t *testing.T) {
	plain := clustertest.Service("db", "db:1")
	for name, tc := range map[string]struct {
		from, to     manifesttypes.Service
		former, next string
	}{
		"to a StatefulSet":   {plain, database(1), "deployments", "statefulsets"},
		"from a StatefulSet": {database(1), plain, "statefulsets", "deployments"},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := serveStorage(t, false)
			ns := namespaceOf(testLease)
			s.keep = map[string]bool{tc.former: true} // as Kubernetes does until all that belongs to it is gone
			replicasOf := func() (n int64) {
				s.edit(t, tc.next, ns, "db", func(u *unstructured.Unstructured) { n = number(u, "spec", "replicas") })
				return n
			}
			apply(t, c, clustertest.Workload(testLease, tc.from))
			s.makeClaims(t, ns)
			apply(t, c, clustertest.Workload(testLease, tc.to))
			if n := replicasOf(); n != 0 {
				t.Fatalf("%d instances start beside the former ones", n)
			}
			if err := c.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := replicasOf(); n != 0 {
				t.Fatalf("%d instances start while former ones end", n)
			}
			s.vanish(objectPath{tc.former, ns, "db"})
			if err := c.Reconcile(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := replicasOf(); n != 1 {
				t.Errorf("%d instances after the former ones ended, want 1", n)
			}
		})
	}
}

// TestStatefulNames: names of claims that tenants choose the parts of never meet, and fit into labels.
func TestStatefulNames(t *testing.T) {
	seen := map[string]string{}
	for _, pair := range [][2]string{{"a-b", "c"}, {"a", "b-c"}, {"a", "b"}, {"a-b-c", "d"}} {
		name := claimTemplate(pair[0]) + "-" + statefulName(pair[1]) + "-0"
		if other, twice := seen[name]; twice {
			t.Errorf("%v and %s are both %s", pair, other, name)
		}
		seen[name] = fmt.Sprint(pair)
	}
	long := strings.Repeat("a", 62)
	for _, service := range []string{long + "b", long + "c", strings.Repeat("a", 36) + "-" + strings.Repeat("b", 20)} {
		name := statefulName(service)
		if len(name) > maxStatefulName || seen[name] != "" {
			t.Errorf("%s becomes %s", service, name)
		}
		seen[name] = service
	}
}

// TestSecretsStayInSecrets: the values of secret env and of credentials stand in no other object, and in no line of the
// log, also when something is refused.
func TestSecretsStayInSecrets(t *testing.T) {
	const secret, password = "hunter2-of-the-env", "hunter3-of-the-registry"
	var log bytes.Buffer
	s, c := serve(t, Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	web := clustertest.Service("web", "web:1")
	web.Env = []manifesttypes.EnvVar{{Name: "TOKEN", Value: secret, Secret: true}}
	web.Credentials = &manifesttypes.Credentials{Host: "registry.test", Username: "reader", Password: password, Email: "a@b.test"}
	apply(t, c, clustertest.Workload(testLease, web))
	ns := namespaceOf(testLease)
	pulls := 0
	for _, p := range s.paths(ns) {
		s.edit(t, p.resource, ns, p.name, func(u *unstructured.Unstructured) {
			text := string(mustJSON(u.Object))
			if u.GetKind() == kindSecret {
				if u.GetLabels()[labelRole] == rolePull {
					pulls++
				}
				return
			}
			for _, value := range []string{secret, password, "reader", "a@b.test"} {
				if strings.Contains(text, value) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(value))) {
					t.Errorf("%s %s holds %q", u.GetKind(), u.GetName(), value)
				}
			}
		})
	}
	if pulls != 1 {
		t.Errorf("%d Secrets hold credentials, want 1", pulls)
	}
	s.edit(t, "deployments", ns, "web", func(u *unstructured.Unstructured) { u.Object["spec"].(map[string]any)["paused"] = true })
	web.Credentials.Password += ":2"
	web.Credentials.Username += ":"
	web.Env[0].Value += "\x00"
	err := c.Apply(t.Context(), clustertest.Workload(testLease, web))
	if !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("got %v, want a refusal", err)
	}
	if err := errors.Join(err, c.Reconcile(t.Context())); strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "reader") {
		t.Errorf("an error tells a secret: %v", err)
	}
	if strings.Contains(log.String(), "hunter") || strings.Contains(log.String(), "reader") {
		t.Errorf("the log tells a secret: %s", &log)
	}
}
