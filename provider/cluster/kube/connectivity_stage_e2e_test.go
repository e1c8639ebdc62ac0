//go:build e2e

package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	markettypes "berth.dev/berth/x/market/types"
)

// The tests of connections look from where no pod can: from the node, and from outside of the cluster. They need root,
// ip(8), and in BERTH_E2E_NETNS the name of the network namespace that the node lives in, to which they add a link for
// the time that they run. What stands at its other end answers at public, private and link-local addresses.

const (
	controlPort   = "7100"
	standInPort   = "7001"
	outsideSource = "203.0.113.10"
	closedFor     = 1500 // milliseconds that a connection is tried which must not succeed
	openWithin    = 45_000
	// The ends of the link to what is outside.
	near, far = "192.0.2.1", "192.0.2.2"
)

func probeImage() string { return setting("BERTH_E2E_PROBE", "berth.local/probe:1") }

// netTarget and netOutcome are what the probe's dial server takes and gives.
type netTarget struct {
	Proto, Addr, Host string
	Patience          int
	Any               bool
}

type netOutcome struct{ Outcome, Detail string }

// scene is a cluster with a world around it.
type scene struct {
	c         *Cluster
	stop      func()
	netns     string
	nodeIP    string
	relay     string            // the control port of the probe on the node
	control   map[string]string // control ports by the names of those who dial
	pods      map[string]*corev1.Pod
	standIns  []string // the addresses outside
	ingressNS string   // a namespace of the test's own that counts as the ingress controller's
	plainNS   string   // and one that is nobody's
}

// must runs a program that has to succeed.
func must(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// setScene starts a driver, a world outside with these addresses, and pods that are no lease's.
func setScene(t *testing.T, standIns []string) *scene {
	t.Helper()
	s := &scene{
		netns: os.Getenv("BERTH_E2E_NETNS"), control: map[string]string{}, pods: map[string]*corev1.Pod{}, standIns: standIns,
	}
	cfg := config(t)
	if s.netns == "" || os.Geteuid() != 0 {
		t.Fatal("needs root, and the node's network namespace in BERTH_E2E_NETNS")
	}
	suffix := digest([]byte(t.Name()+run), 4)
	s.ingressNS, s.plainNS = "e2e-ingress-"+suffix, "e2e-plain-"+suffix
	cfg.IngressNamespaces = []string{setting("BERTH_E2E_INGRESS_NAMESPACE", "ingress"), s.ingressNS}
	cfg.DenyCIDRs = []string{deniedRange}
	cfg.ImageUsers = map[string]int64{probeImage(): 65532}
	cfg.DrainSeconds = 1
	cfg.Overcommit = Overcommit{CPU: 10_000}
	s.c, s.stop = start(t, cfg)
	s.nodeIP = nodeAddress(t, s.c)
	s.outside(t)
	for _, ns := range []string{s.ingressNS, s.plainNS} {
		s.plainPod(t, ns)
	}
	return s
}

// outside makes a network namespace with the stand-ins, a link from the node to it, and probes at both ends.
func (s *scene) outside(t *testing.T) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-o", program, "../../../testutil/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	name := "out" + digest([]byte(t.Name()+run), 3)
	must(t, "ip", "netns", "add", name)
	t.Cleanup(func() { must(t, "ip", "netns", "del", name) })
	must(t, "ip", "-n", s.netns, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
	must(t, "ip", "-n", s.netns, "addr", "add", near+"/30", "dev", name)
	must(t, "ip", "-n", s.netns, "link", "set", name, "up")
	must(t, "ip", "-n", name, "addr", "add", far+"/30", "dev", "eth0")
	must(t, "ip", "-n", name, "link", "set", "lo", "up")
	must(t, "ip", "-n", name, "link", "set", "eth0", "up")
	must(t, "ip", "netns", "exec", name, "sh", "-c", "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range")
	// What is dialled from outside has a public address.
	must(t, "ip", "-n", name, "addr", "add", outsideSource+"/32", "dev", "lo")
	must(t, "ip", "-n", name, "route", "add", "default", "via", near, "src", outsideSource)
	must(t, "ip", "-n", s.netns, "route", "add", outsideSource+"/32", "via", far)
	for _, a := range s.standIns {
		if a != outsideSource {
			must(t, "ip", "-n", name, "addr", "add", a+"/32", "dev", "lo")
			must(t, "ip", "-n", s.netns, "route", "add", a+"/32", "via", far)
		}
	}
	s.relay = s.nodeIP + ":" + controlPort
	s.probe(t, program, s.netns, "-control", s.relay, "-at", strings.Join(s.nodeAddresses(t), ","), "-ports", standInPort)
	s.probe(t, program, s.netns, "-control", s.nodeIP+":7101", "-at", s.nodeIP, "-udp", "10250,6443")
	s.probe(t, program, name, "-control", far+":"+controlPort, "-at", strings.Join(s.standIns, ","), "-ports", standInPort)
	s.control["node"], s.control["outside"] = s.relay, far+":"+controlPort
}

// nodeAddresses are the node's address and others that it has, such as the one among the pods.
func (s *scene) nodeAddresses(t *testing.T) []string {
	t.Helper()
	listed, err := exec.Command("ip", "-n", s.netns, "-4", "-o", "addr", "show", "scope", "global").Output()
	if err != nil {
		t.Fatal(err)
	}
	out := []string{s.nodeIP}
	for line := range strings.Lines(string(listed)) {
		address, _, _ := strings.Cut(strings.Fields(line)[3], "/")
		if address != near && !slices.Contains(out, address) {
			out = append(out, address)
		}
	}
	return out
}

// probe runs a probe in a network namespace until the test ends.
func (s *scene) probe(t *testing.T, program, netns string, args ...string) {
	t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", netns, program, "net"}, args...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if _ = cmd.Wait(); said.Len() > 0 {
			t.Logf("the probe in %s said: %s", netns, said.String())
		}
	})
}

// plainPod runs a probe in a namespace of its own without any policy.
func (s *scene) plainPod(t *testing.T, ns string) {
	t.Helper()
	core := s.c.typed.CoreV1()
	if _, err := core.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := core.Namespaces().Delete(context.Background(), ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	awaitLong(t, "the account of "+ns, func() (bool, string) {
		_, err := core.ServiceAccounts(ns).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil, fmt.Sprint(err)
	})
	amount := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("32Mi")}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64(0)), AutomountServiceAccountToken: new(false), EnableServiceLinks: new(false),
			Containers: []corev1.Container{{
				Name: "probe", Image: probeImage(), Resources: corev1.ResourceRequirements{Requests: amount},
				Args: []string{"net", "-control", ":" + controlPort, "-ports", "7001,7002,7003,7004,7005"},
			}},
		},
	}
	if _, err := core.Pods(ns).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitLong(t, "the pod of "+ns, func() (bool, string) {
		got, err := core.Pods(ns).Get(t.Context(), "probe", metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		s.control[ns], s.pods[ns] = got.Status.PodIP+":"+controlPort, got
		return got.Status.Phase == corev1.PodRunning && got.Status.PodIP != "", string(got.Status.Phase)
	})
}

// netService is a service that probes; ports are served whether they are exposed or not.
func netService(name string, instances uint32, expose ...manifesttypes.Expose) manifesttypes.Service {
	sv := clustertest.Service(name, probeImage())
	sv.Count, sv.CpuMilli, sv.Expose = instances, 200, expose
	sv.Args = []string{"net", "-control", ":" + controlPort, "-ports", "7001,7002,7003,7004,7005", "-tls", "7002"}
	return sv
}

// lease names a lease of this test.
func (s *scene) lease(owner string, dseq uint64) markettypes.LeaseID {
	return markettypes.LeaseID{Owner: owner, Dseq: dseq, Gseq: 1, Oseq: 1, Provider: s.c.cfg.Provider}
}

// launch applies a lease, which is removed when the test ends.
func (s *scene) launch(t *testing.T, id markettypes.LeaseID, services ...manifesttypes.Service) {
	t.Helper()
	slices.SortFunc(services, func(a, b manifesttypes.Service) int { return strings.Compare(a.Name, b.Name) })
	t.Cleanup(func() { s.remove(t, id) })
	if err := s.c.Apply(t.Context(), clustertest.Workload(id, services...)); err != nil {
		t.Fatal(err)
	}
}

// remove removes a lease and does not wait.
func (s *scene) remove(t *testing.T, id markettypes.LeaseID) {
	t.Helper()
	if err := s.c.Remove(context.Background(), id); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

// gone waits until a lease has left nothing, so that the next run has the node for itself.
func (s *scene) gone(t *testing.T, id markettypes.LeaseID) {
	t.Helper()
	awaitLong(t, "the removal", func() (bool, string) {
		_, err := s.c.typed.CoreV1().Namespaces().Get(context.Background(), namespaceOf(id), metav1.GetOptions{})
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
}

// ready waits for a lease and notes its pods as PREFIX/SERVICE/NUMBER.
func (s *scene) ready(t *testing.T, prefix string, id markettypes.LeaseID) []cluster.ServiceStatus {
	t.Helper()
	var last []cluster.ServiceStatus
	awaitLong(t, "the services of "+prefix, func() (bool, string) {
		var err error
		if last, err = s.c.Status(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return clustertest.Complete(last)
	})
	pods, err := s.c.typed.CoreV1().Pods(namespaceOf(id)).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int{}
	for i := range pods.Items {
		p := &pods.Items[i]
		name := p.Labels[labelService]
		role := fmt.Sprintf("%s/%s/%d", prefix, name, numbers[name])
		numbers[name]++
		s.pods[role], s.control[role] = p, p.Status.PodIP+":"+controlPort
	}
	return last
}

// awaitLong waits for what takes as long as starting many instances on a machine that others use as well.
func awaitLong(t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Minute); ; <-tick.C {
		ok, last := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %s", what, last)
		}
	}
}

// ask asks the control port of somebody who dials.
func (s *scene) ask(who, method, path string, body, answer any) error {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(body); err != nil {
		return err
	}
	address := "http://" + s.relay + "/relay/" + s.control[who] + path
	if who == "node" {
		address = "http://" + s.relay + path
	}
	req, err := http.NewRequest(method, address, &text)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 3 * time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s", resp.StatusCode, data)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", who, path, err)
	}
	return json.Unmarshal(data, answer)
}

// until asks until there is an answer.
func (s *scene) until(t *testing.T, who, method, path string, body, answer any) {
	t.Helper()
	awaitLong(t, "an answer of "+who, func() (bool, string) {
		err := s.ask(who, method, path, body, answer)
		return err == nil, fmt.Sprint(err)
	})
}
