//go:build e2e

package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

// These tests need, besides what the others do, a class of persistent storage that can grow, BERTH_E2E_STORAGE_CLASS; a
// runtime class with an overhead, BERTH_E2E_RUNTIME_CLASS; the probe in an image that starts as root, BERTH_E2E_ROOT_PROBE, and
// in one that runs as user 12345, BERTH_E2E_USER_PROBE; and an image, BERTH_E2E_PRIVATE_IMAGE, that only BERTH_E2E_PRIVATE_USER with
// BERTH_E2E_PRIVATE_PASSWORD may pull. By default they are localkube's.

func storageConfig(t *testing.T) Config {
	cfg := config(t)
	cfg.StorageClasses = map[string]StorageClass{"default": {Name: setting("BERTH_E2E_STORAGE_CLASS", "disk")}}
	return cfg
}

// rootProbe is the probe in an image that starts as root.
func rootProbe() string { return setting("BERTH_E2E_ROOT_PROBE", "berth.local/probe-root:1") }

// layout runs a part of the probe image that is reached at a forwarded port.
func layout(name string, port uint32, args ...string) manifesttypes.Service {
	sv := clustertest.Service(name, rootProbe())
	sv.Args = args
	sv.Expose = []manifesttypes.Expose{{Port: port, As: 9000, Proto: manifesttypes.PROTO_TCP, To: []manifesttypes.To{{Global: true}}}}
	return sv
}

type identity struct {
	UID    int      `json:"uid"`
	UIDMap string   `json:"uid_map"`
	CapBnd string   `json:"cap_bnd"`
	Starts int      `json:"starts"`
	Values []string `json:"values"`
}

// sixCapabilities is the kernel's word for CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID and NET_BIND_SERVICE.
const sixCapabilities = "00000000000004cb"

// nobodyOutside fails unless root of the pod is a user of its own on the host.
func (id identity) nobodyOutside(t *testing.T) {
	t.Helper()
	fields := strings.Fields(id.UIDMap)
	if len(fields) != 3 || fields[0] != "0" || fields[1] == "0" || fields[2] != "65536" {
		t.Errorf("users are mapped as %q, want root to be nobody outside", id.UIDMap)
	}
	if id.CapBnd != sixCapabilities {
		t.Errorf("capabilities %s, want the six", id.CapBnd)
	}
}

func askWho(t *testing.T, address string) identity {
	t.Helper()
	var id identity
	await(t, "an answer of "+address, func() (bool, string) {
		code, body := get(address, "")
		return code == http.StatusOK && json.Unmarshal([]byte(body), &id) == nil, body
	})
	return id
}

func door(t *testing.T, c *Cluster, all []cluster.ServiceStatus) string {
	t.Helper()
	return fmt.Sprintf("http://%s:%d", nodeAddress(t, c), all[0].Ports[0].ExternalPort)
}

func reapply(t *testing.T, c *Cluster, w cluster.Workload) {
	t.Helper()
	if err := c.Apply(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	await(t, "the update", func() (bool, string) {
		all, err := c.Status(t.Context(), w.Lease)
		if err != nil {
			t.Fatal(err)
		}
		return clustertest.Complete(all)
	})
}

// TestDatabaseLayout: an image that starts as root and gives its directory to a user of its own keeps its data on a
// volume over updates, growth and an absence, in a user namespace, with one writer at a time (a second one would fail
// on the lock and show as a start more).
func TestDatabaseLayout(t *testing.T) {
	t.Parallel()
	c, _ := start(t, storageConfig(t))
	db := layout("db", 8080, "database-layout", "/data")
	db.Volumes = append(db.Volumes, clustertest.Persistent("data", "default", 16<<20), manifesttypes.Volume{
		Name: "ram", Bytes: 8 << 20, Mount: "/ram", Attributes: []manifesttypes.Attribute{{Key: "class", Value: "ram"}, {Key: "persistent", Value: "false"}},
	}, manifesttypes.Volume{Name: "fixed", Bytes: 5 << 20, Mount: "/fixed", ReadOnly: true})
	id, status := deploy(t, c, 1, db)
	at := door(t, c, status)
	who := askWho(t, at)
	who.nobodyOutside(t)
	if who.UID != 999 || who.Starts != 1 {
		t.Errorf("the server is %+v, want user 999 at its first start", who)
	}
	if code, body := get(at+"/put?v=kept", ""); code != http.StatusOK {
		t.Fatalf("put: %d %s", code, body)
	}
	const tmpfs = "1021994"
	if _, body := get(at+"/space?path=/ram", ""); body != fmt.Sprintf("%s %d", tmpfs, 8<<20) {
		t.Errorf("the volume in memory is %q, want a tmpfs of its size", body)
	}
	if code, body := get(at+"/write?path=/fixed", ""); code != http.StatusForbidden || !strings.Contains(body, "read-only") {
		t.Errorf("a volume that is mounted read-only: %d %s", code, body)
	}

	before, err := c.Volumes(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, starts int) {
		t.Helper()
		who := askWho(t, at)
		if who.Starts != starts || len(who.Values) != 1 || who.Values[0] != "kept" {
			t.Errorf("%s: %+v, want the value and start %d", when, who, starts)
		}
		now, err := c.Volumes(t.Context(), id)
		if err != nil || len(now) != 1 || now[0].ID != before[0].ID {
			t.Errorf("%s: volumes %+v, %v, want %+v", when, now, err, before)
		}
	}
	db.Env = []manifesttypes.EnvVar{{Name: "MODE", Value: "next"}}
	reapply(t, c, clustertest.Workload(id, db))
	check("after an update", 2)

	db.Volumes[1].Bytes = 24 << 20
	reapply(t, c, clustertest.Workload(id, db))
	check("after the volume grew", 2)
	await(t, "the larger volume", func() (bool, string) {
		claims, err := c.typed.CoreV1().PersistentVolumeClaims(namespaceOf(id)).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(claims.Items) != 1 {
			t.Fatalf("%+v, %v", claims, err)
		}
		q := claims.Items[0].Status.Capacity.Storage()
		return q.Value() == 24<<20, q.String()
	})

	web := clustertest.Service("web", image())
	reapply(t, c, clustertest.Workload(id, web))
	reapply(t, c, clustertest.Workload(id, db, web))
	after, err := c.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	at = door(t, c, after)
	check("after its service was gone", 3)
}

// TestVolumeOfUser: a user that is not root may write to its volume.
func TestVolumeOfUser(t *testing.T) {
	t.Parallel()
	cfg := storageConfig(t)
	cfg.ImageUsers, cfg.UserNamespaces = map[string]int64{rootProbe(): 4711}, UserNamespacesOff
	c, _ := start(t, cfg)
	db := layout("db", 8080, "database-layout", "/data")
	db.Volumes = append(db.Volumes, clustertest.Persistent("data", "default", 16<<20))
	_, status := deploy(t, c, 1, db)
	if who := askWho(t, door(t, c, status)); who.UID != 4711 || who.CapBnd != strings.Repeat("0", 16) {
		t.Errorf("got %+v, want user 4711 without capabilities", who)
	}
}

// TestVolumeOfImageUser: an image that runs as a user of its own, of whom the operator knows nothing, writes to its
// volumes; and what an image that starts as root has made its own at the root of its volume stays its own. Both go on
// after a restart and an update with what they wrote.
func TestVolumeOfImageUser(t *testing.T) {
	t.Parallel()
	c, _ := start(t, storageConfig(t))
	user, root := layout("user", 8080, "database-layout", "/data"), layout("root", 8080, "database-layout", "/data", ".")
	user.Image = setting("BERTH_E2E_USER_PROBE", "berth.local/probe-user:1")
	user.Expose[0].As, root.Expose[0].As = 9001, 9002
	for _, sv := range []*manifesttypes.Service{&user, &root} {
		sv.Volumes = append(sv.Volumes, clustertest.Persistent("data", "default", 16<<20), manifesttypes.Volume{
			Name: "ram", Bytes: 8 << 20, Mount: "/ram", Attributes: []manifesttypes.Attribute{{Key: "class", Value: "ram"}, {Key: "persistent", Value: "false"}},
		})
	}
	id, status := deploy(t, c, 1, user, root)
	runsAs := map[string]int{"user": 12345, "root": 999}
	check := func(when string, starts int) {
		t.Helper()
		for _, st := range status {
			at := door(t, c, []cluster.ServiceStatus{st})
			who := askWho(t, at)
			if who.nobodyOutside(t); who.UID != runsAs[st.Name] || who.Starts != starts || len(who.Values) != starts-1 {
				t.Errorf("%s: %s is %+v, want user %d at start %d with what was put there", when, st.Name, who, runsAs[st.Name], starts)
			}
			if code, body := get(fmt.Sprintf("%s/put?v=%s-%d", at, st.Name, starts), ""); code != http.StatusOK {
				t.Errorf("%s: put: %d %s", when, code, body)
			}
			for _, dir := range []string{"/data", "/ram"} {
				if code, body := get(at+"/write?path="+dir, ""); code != http.StatusOK {
					t.Errorf("%s: %s writes to %s: %d %s", when, st.Name, dir, code, body)
				}
			}
		}
	}
	check("at first", 1)
	for _, name := range []string{"user", "root"} {
		if err := c.Restart(t.Context(), id, name); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the restarts", func() (bool, string) {
		all, err := c.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return clustertest.Complete(all)
	})
	check("after a restart", 2)
	user.Env = []manifesttypes.EnvVar{{Name: "MODE", Value: "next"}}
	root.Env = []manifesttypes.EnvVar{{Name: "MODE", Value: "next"}}
	reapply(t, c, clustertest.Workload(id, user, root))
	check("after an update", 3)
}

// TestWebLayout: an image that starts as root, opens port 80 and serves as a user of its own.
func TestWebLayout(t *testing.T) {
	t.Parallel()
	c, _ := start(t, config(t))
	_, status := deploy(t, c, 1, layout("web", 80, "web-layout"))
	who := askWho(t, door(t, c, status))
	who.nobodyOutside(t)
	if who.UID != 101 {
		t.Errorf("the worker is user %d, want 101", who.UID)
	}
}

func TestWithoutUserNamespaces(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.UserNamespaces = UserNamespacesOff
	c, _ := start(t, cfg)
	w := clustertest.Workload(testLease, layout("web", 80, "web-layout"))
	w.Lease.Provider = cfg.Provider
	if err := c.Apply(t.Context(), w); !errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), "user namespaces") {
		t.Errorf("got %v, want a refusal that names user namespaces", err)
	}
}

// TestPrivateImage: an image is pulled with its service's credentials, and what is wrong with them shows in the status.
func TestPrivateImage(t *testing.T) {
	t.Parallel()
	c, _ := start(t, config(t))
	private := clustertest.Service("web", setting("BERTH_E2E_PRIVATE_IMAGE", "berth.local/private/hello:1"))
	host, _, _ := strings.Cut(private.Image, "/")
	good := manifesttypes.Credentials{
		Host: host, Username: setting("BERTH_E2E_PRIVATE_USER", "reader"), Password: setting("BERTH_E2E_PRIVATE_PASSWORD", "localkube-private"),
	}
	wrong := good
	wrong.Password = "hunter2-wrong"
	private.Credentials = &wrong
	id := testLease
	id.Provider, id.Dseq = c.cfg.Provider, 1
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() { _ = c.Remove(ctx, id) })
	if err := c.Apply(t.Context(), clustertest.Workload(id, private)); err != nil {
		t.Fatal(err)
	}
	await(t, "the refusal to show", func() (bool, string) {
		all, err := c.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(all[0].Message, wrong.Password) {
			t.Fatalf("the status shows the password: %s", all[0].Message)
		}
		return all[0].Failed && strings.Contains(all[0].Message, "credentials"), fmt.Sprintf("%+v", all[0])
	})
	private.Credentials = &good
	reapply(t, c, clustertest.Workload(id, private))
}

// TestRuntimeClass: pods run with the operator's runtime class, whose handler is really asked for.
func TestRuntimeClass(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.RuntimeClass = setting("BERTH_E2E_RUNTIME_CLASS", "sandboxed")
	c, _ := start(t, cfg)
	id, _ := deploy(t, c, 1, clustertest.Service("web", image()))
	pods, err := c.typed.CoreV1().Pods(namespaceOf(id)).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) == 0 {
		t.Fatalf("%+v, %v", pods, err)
	}
	for _, p := range pods.Items {
		if p.Spec.RuntimeClassName == nil || *p.Spec.RuntimeClassName != cfg.RuntimeClass || p.Spec.Overhead == nil {
			t.Errorf("pod %s runs with class %v and overhead %v", p.Name, p.Spec.RuntimeClassName, p.Spec.Overhead)
		}
	}
	pools, err := c.Pools(t.Context())
	if q := pods.Items[0].Spec.Overhead[corev1.ResourceCPU]; err != nil || int64(pools.Overhead.CPU) != q.MilliValue() || q.IsZero() {
		t.Errorf("an instance is charged %+v, %v, want what pods take: %s", pools.Overhead, err, q.String())
	}

	absent := config(t)
	absent.RuntimeClass = "absent-" + digest([]byte(t.Name()+run), 4)
	d, _ := start(t, absent)
	w := clustertest.Workload(id, clustertest.Service("web", image()))
	w.Lease.Dseq = 2
	if err := d.Apply(t.Context(), w); !errors.Is(err, cluster.ErrRefused) || !strings.Contains(err.Error(), absent.RuntimeClass) {
		t.Errorf("a class that is not there: %v, want a refusal", err)
	}
	class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: absent.RuntimeClass}, Handler: "nobody-has-this"}
	if _, err := c.typed.NodeV1().RuntimeClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() { _ = c.typed.NodeV1().RuntimeClasses().Delete(ctx, class.Name, metav1.DeleteOptions{}) })
	e, _ := start(t, absent)
	t.Cleanup(func() { _ = e.Remove(ctx, w.Lease) })
	if err := e.Apply(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	await(t, "the node to look for the handler", func() (bool, string) {
		events, err := c.typed.CoreV1().Events(namespaceOf(w.Lease)).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		last := ""
		for _, ev := range events.Items {
			last = ev.Message
			if strings.Contains(ev.Message, class.Handler) {
				return true, ""
			}
		}
		return false, last
	})
}
