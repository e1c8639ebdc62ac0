//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/localkube/proc"
)

// TestCluster starts a cluster of its own, looks at everything that the
// devnet relies on, and checks that nothing is left of it in the end.
func TestCluster(t *testing.T) {
	before := machine(t)
	f := start(t)
	f.apply("web.yaml")
	web, stranger := f.pod(t, "lease1", "app=web"), f.pod(t, "lease2", "app=stranger")
	t.Run("reach", func(t *testing.T) { reach(t, f, web) })
	t.Run("look", func(t *testing.T) { look(t, f, web) })
	t.Run("policies", func(t *testing.T) { policies(t, f, web, stranger) })
	t.Run("routes", func(t *testing.T) { routes(t, f) })
	t.Run("user namespace", func(t *testing.T) { userNamespace(t, f) })
	t.Run("first packet", func(t *testing.T) { firstPacket(t, f) })
	t.Run("registry", func(t *testing.T) { registryRefusesPods(t, f, stranger) })
	t.Run("usage", func(t *testing.T) { told(t, f) })
	t.Run("repair", func(t *testing.T) { repair(t, f) })
	pods := sandboxes(f)
	f.localkube("down", "--state", f.state)
	results, _ := filepath.Glob("/var/lib/cni/results/*")
	for _, id := range pods {
		if i := slices.IndexFunc(results, func(r string) bool { return strings.Contains(r, id) }); i >= 0 {
			t.Errorf("left behind: %s", results[i])
		}
	}
	for what, list := range machine(t) {
		if list != before[what] {
			t.Errorf("%s before:\n%s\nafter:\n%s", what, before[what], list)
		}
	}
}

func reach(t *testing.T, f *fixture, web *corev1.Pod) {
	svc, err := f.client.CoreV1().Services("lease1").Get(context.Background(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for what, url := range map[string]string{
		"pod": "http://" + web.Status.PodIP + ":8080/", "service": "http://" + svc.Spec.ClusterIP + "/", "node port": "http://" + f.info.NodeIP + ":30080/",
	} {
		f.eventually(t, "host to "+what, func() error { return answers(url, "") })
	}
}

func look(t *testing.T, f *fixture, web *corev1.Pod) {
	out, err := f.in(web, "/probe", "get", "http://web.lease1.svc.cluster.local/")
	if err != nil || !strings.HasPrefix(out, "probe ") {
		t.Errorf("exec, name and service: %q, %v", out, err)
	}
	if out, err := f.in(web, "/probe", "resolve", "example.com"); err == nil {
		t.Errorf("a name outside the cluster resolved to %s", out)
	}
	log, err := f.client.CoreV1().Pods("lease1").GetLogs(web.Name, &corev1.PodLogOptions{}).DoRaw(context.Background())
	if err != nil || !strings.Contains(string(log), "probe serves on") {
		t.Errorf("logs: %q, %v", log, err)
	}
	f.eventually(t, "the kubelet's metrics", func() error {
		data, err := f.client.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes/localkube/proxy/metrics/resource").DoRaw(context.Background())
		if err == nil && !strings.Contains(string(data), `container_memory_working_set_bytes{container="web",namespace="lease1"`) {
			err = fmt.Errorf("no figure for the pod")
		}
		return err
	})
}

func policies(t *testing.T, f *fixture, web, stranger *corev1.Pod) {
	own, pod := "http://web/", "http://"+web.Status.PodIP+":8080/"
	if _, err := f.in(stranger, "/probe", "get", pod); err != nil {
		t.Fatalf("before any policy a stranger is refused: %v", err)
	}
	f.apply("policy.yaml")
	f.eventually(t, "the policy to hold", func() error {
		if out, err := f.in(stranger, "/probe", "get", pod); err == nil {
			return fmt.Errorf("a stranger gets %q", out)
		}
		return nil
	})
	for _, tc := range []struct {
		name    string
		from    *corev1.Pod
		url     string
		allowed bool
	}{
		{"same namespace", web, own, true},
		{"a stranger to the service", stranger, "http://web.lease1/", false},
		{"out to a stranger", web, "http://" + stranger.Status.PodIP + ":8080/", false},
		{"out to the node", web, "https://" + f.info.NodeIP + ":10250/", false},
		{"out to an allowed network", web, "http://" + f.info.HostIP + ":5000/v2/", true},
		{"a named port", stranger, "http://" + f.pod(t, "lease1", "app=named").Status.PodIP + ":8081/", true},
		{"another port of the same pod", stranger, "http://" + f.pod(t, "lease1", "app=named").Status.PodIP + ":8080/", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := f.in(tc.from, "/probe", "get", tc.url)
			if (err == nil) != tc.allowed {
				t.Errorf("GET %s: %q, %v; want allowed = %v", tc.url, out, err, tc.allowed)
			}
		})
	}
}

func routes(t *testing.T, f *fixture) {
	f.apply("routes.yaml")
	for _, host := range []string{"ingress.test", "gateway.test"} {
		f.eventually(t, "HTTP for "+host, func() error { return answers("http://"+f.info.HTTP+"/", host) })
	}
	if code, _, err := get("http://"+f.info.HTTP+"/", "nobody.test"); err != nil || code != 404 {
		t.Errorf("an unknown host gives %d, %v; want 404", code, err)
	}
}

// told checks that it is told what the node and each pod use, by namespace and
// by labels.
func told(t *testing.T, f *fixture) {
	const api = "/apis/metrics.k8s.io/v1beta1"
	read := func(path, selector string) (string, error) {
		data, err := f.client.CoreV1().RESTClient().Get().AbsPath(api+path).Param("labelSelector", selector).DoRaw(context.Background())
		return string(data), err
	}
	for _, tc := range []struct{ path, selector, have, lack string }{
		{"/namespaces/lease1/pods", "", `"namespace":"lease1"`, `"namespace":"lease2"`},
		{"/namespaces/lease1/pods", "app=web", `"app":"web"`, `"app":"named"`},
		{"/pods", "app in (web,stranger)", `"app":"stranger"`, `"app":"named"`},
		{"/nodes", "", `"kind":"NodeMetrics"`, `"containers"`},
	} {
		f.eventually(t, "usage by "+tc.path+" "+tc.selector, func() error {
			got, err := read(tc.path, tc.selector)
			if err == nil && (!strings.Contains(got, tc.have) || !strings.Contains(got, `"memory":"`)) {
				err = fmt.Errorf("%s is not in %s", tc.have, got)
			}
			return err
		})
		if got, err := read(tc.path, tc.selector); err != nil || strings.Contains(got, tc.lack) {
			t.Errorf("%s %s: %s, %v", tc.path, tc.selector, got, err)
		}
	}
	if _, err := read("/namespaces/lease1/pods/none", ""); !apierrors.IsNotFound(err) {
		t.Errorf("a pod that is not there: %v", err)
	}
}

// userNamespace checks that an image that wants root may have it in a user
// namespace, where it is nobody outside.
func userNamespace(t *testing.T, f *fixture) {
	f.apply("userns.yaml")
	p := f.pod(t, "lease3", "app=root")
	out, err := f.in(p, "/probe", "cat", "/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	var inside, outside, count int
	if _, err := fmt.Sscan(out, &inside, &outside, &count); err != nil || inside != 0 || outside == 0 {
		t.Errorf("uid_map = %q, want root inside and another user outside", out)
	}
}

// firstPacket checks that policies hold before a pod's first packet leaves, in
// both directions: what is allowed gets through at once, and what is not never
// does.
func firstPacket(t *testing.T, f *fixture) {
	f.apply("early.yaml")
	f.pod(t, "lease4", "app=target")
	f.eventually(t, "the target's service", func() error { return answers("http://10.213.0.77/", "") })
	f.apply("early-pods.yaml")
	for label, want := range map[string]string{"app=early-allowed": `first="probe `, "app=early-refused": `first=""`} {
		p := f.pod(t, "lease4", label)
		code, body, err := get("http://"+p.Status.PodIP+":8080/", "")
		if err != nil || code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %q, %v; want %s", label, code, body, err, want)
		}
	}
}

func registryRefusesPods(t *testing.T, f *fixture, stranger *corev1.Pod) {
	if _, err := f.in(stranger, "/probe", "get", "http://"+f.info.Registry+"/v2/"); err != nil {
		t.Errorf("a pod cannot read the registry: %v", err)
	}
}

// repair kills parts of the cluster and starts it again.
func repair(t *testing.T, f *fixture) {
	f.up() // on a running cluster: nothing
	parts := proc.Dir{Pids: filepath.Join(f.state, "pids"), Logs: filepath.Join(f.state, "logs")}
	for _, name := range []string{"kubelet", "policy", "apiserver", "registry", "usage"} {
		r, ok := parts.Running(name)
		if !ok {
			t.Fatalf("%s does not run", name)
		}
		if err := r.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		// A process with many threads takes a while to end; one that has not yet would pass for one that runs.
		if err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.up()
	f.eventually(t, "HTTP after the repair", func() error { return answers("http://"+f.info.HTTP+"/", "gateway.test") })
}

// sandboxes lists the ids of the pods that run.
func sandboxes(f *fixture) (ids []string) {
	dirs, _ := filepath.Glob(filepath.Join(f.state, "containerd/state/io.containerd.runtime.v2.task/k8s.io/*"))
	for _, d := range dirs {
		ids = append(ids, filepath.Base(d))
	}
	return ids
}

// machine lists what a cluster could leave behind.
func machine(t *testing.T) map[string]string {
	t.Helper()
	m := map[string]string{}
	for what, command := range map[string]string{
		"routes": "ip -4 route | grep lkcheck; true", "links": "ip -o link | grep lkcheck; true", "mounts": "grep localkube-e2e /proc/mounts; true",
		"processes":  "ps -eo args | grep localkube-e2e | grep -v grep; true",
		"parameters": "cat /proc/sys/vm/overcommit_memory /proc/sys/kernel/panic /proc/sys/kernel/panic_on_oops /proc/sys/kernel/keys/root_maxkeys",
		"namespaces": "ls /run/netns 2>/dev/null | grep lkcheck; true",
	} {
		out, err := exec.Command("sh", "-c", command).Output()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		m[what] = string(out)
	}
	var groups []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(p string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(p, "lkcheck") {
			groups = append(groups, p)
		}
		return nil
	})
	m["control groups"] = strings.Join(groups, "\n")
	for _, pattern := range []string{"/var/lib/cni/results/*lkcheck*", "/run/netns/*lkcheck*"} {
		found, _ := filepath.Glob(pattern)
		m[pattern] = strings.Join(found, "\n")
	}
	links, _ := filepath.Glob("/var/log/containers/*")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.Contains(to, "localkube-e2e") {
			m["links to logs"] += l + "\n"
		}
	}
	return m
}
