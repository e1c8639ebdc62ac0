package netpol

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
)

// filter stands in for the packet filter.
type filter struct {
	mu      sync.Mutex
	script  string
	refused int // scripts still to be refused
}

func (f *filter) apply(_ context.Context, script string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refused > 0 {
		f.refused--
		return errors.New("refused")
	}
	f.script = script
	return nil
}

func (f *filter) rules() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.script
}

func enforce(t *testing.T, f *filter, client *fake.Clientset) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{
			Client: client, PodNetwork: netip.MustParsePrefix("10.244.0.0/24"), Socket: socket, Apply: f.apply,
			Log: slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil)),
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return socket
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("wait for %s", what)
		}
	}
}

func pod(name, app string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "one", Name: name, UID: "uid-1", Labels: map[string]string{"app": app}}}
}

func denyAll() *netv1.NetworkPolicy {
	return &netv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "one", Name: "deny", UID: "p", Generation: 1}, Spec: netv1.NetworkPolicySpec{
		PolicyTypes: []netv1.PolicyType{netv1.PolicyTypeEgress},
	}}
}

func namespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "one"}}
}

// environment is what containerd gives to the plugin.
func environment(command string) func(string) string {
	return func(name string) string {
		return map[string]string{
			"CNI_COMMAND": command,
			"CNI_ARGS":    "IgnoreUnknown=1;K8S_POD_NAMESPACE=one;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=x;K8S_POD_UID=uid-1",
		}[name]
	}
}

const result = `{"cniVersion":"1.0.0","interfaces":[{"name":"eth0"}],"ips":[{"address":"10.244.0.10/24","gateway":"10.244.0.1"}],"dns":{}}`

func configuration(socket string) string {
	return `{"cniVersion":"1.0.0","name":"n","type":"localkube-policy","socket":"` + socket + `","prevResult":` + result + `}`
}

func TestAPodStartsOnlyUnderItsPolicies(t *testing.T) {
	f := &filter{}
	socket := enforce(t, f, fake.NewClientset(namespace(), pod("web", "web"), denyAll()))
	var out bytes.Buffer
	if err := Plugin(t.Context(), environment("ADD"), strings.NewReader(configuration(socket)), &out); err != nil {
		t.Fatalf("ADD = %v: %s", err, &out)
	}
	if out.String() != result {
		t.Errorf("ADD printed %s, want the earlier result as it was", &out)
	}
	// The status of the pod shows no address, and the plugin has returned.
	if rules := f.rules(); !strings.Contains(rules, "10.244.0.10 : jump out-10-244-0-10") {
		t.Errorf("the pod is not isolated:\n%s", rules)
	}
	if err := Plugin(t.Context(), environment("DEL"), strings.NewReader(configuration(socket)), &out); err != nil {
		t.Errorf("DEL = %v", err)
	}
	eventually(t, "the address to be given up", func() bool { return !strings.Contains(f.rules(), "10.244.0.10") })
}

func TestAPodWaitsUntilWeMayRead(t *testing.T) {
	f := &filter{}
	client := fake.NewClientset(namespace(), pod("web", "web"), denyAll())
	var mu sync.Mutex
	denials := 3
	client.PrependReactor("list", "networkpolicies", func(ktesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		denials--
		return denials >= 0, nil, errors.New("forbidden")
	})
	socket := enforce(t, f, client)
	var out bytes.Buffer
	if err := Plugin(t.Context(), environment("ADD"), strings.NewReader(configuration(socket)), &out); err != nil {
		t.Fatalf("ADD = %v: %s", err, &out)
	}
	if !strings.Contains(f.rules(), "jump out-10-244-0-10") {
		t.Error("the pod is not isolated")
	}
}

func TestAPodDoesNotStartWithoutRules(t *testing.T) {
	f := &filter{refused: 1 << 20}
	socket := enforce(t, f, fake.NewClientset(namespace(), pod("web", "web"), denyAll()))
	var out bytes.Buffer
	if err := Plugin(t.Context(), environment("ADD"), strings.NewReader(configuration(socket)), &out); err == nil {
		t.Error("ADD = nil although the packet filter refuses every rule")
	}
	if !strings.Contains(out.String(), `"code":100`) {
		t.Errorf("ADD printed %s, want an error as the specification asks", &out)
	}
}

func TestChangesAreFollowedAfterAFailure(t *testing.T) {
	f := &filter{refused: 1}
	client := fake.NewClientset(namespace())
	enforce(t, f, client)
	eventually(t, "the first rules", func() bool { return f.rules() != "" })
	p := pod("web", "web")
	p.Status.PodIP = "10.244.0.9"
	for _, err := range []error{
		create(t, func(ctx context.Context) error {
			_, err := client.CoreV1().Pods("one").Create(ctx, p, metav1.CreateOptions{})
			return err
		}),
		create(t, func(ctx context.Context) error {
			_, err := client.NetworkingV1().NetworkPolicies("one").Create(ctx, denyAll(), metav1.CreateOptions{})
			return err
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the policy", func() bool { return strings.Contains(f.rules(), "jump out-10-244-0-9") })
}

func create(t *testing.T, do func(context.Context) error) error {
	t.Helper()
	return do(t.Context())
}

func TestPluginRefuses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	absent := filepath.Join(t.TempDir(), "absent")
	for name, tc := range map[string]struct{ command, config string }{
		"no enforcer":       {"ADD", configuration(absent)},
		"no earlier plugin": {"ADD", `{"socket":"/s"}`},
		"no IPv4 address":   {"ADD", `{"socket":"/s","prevResult":{"ips":[{"address":"fd00::1/64"}]}}`},
		"not JSON":          {"ADD", "x"},
		"unknown command":   {"FLY", "{}"},
	} {
		if err := Plugin(ctx, environment(tc.command), strings.NewReader(tc.config), &bytes.Buffer{}); err == nil {
			t.Errorf("%s: Plugin = nil, want an error", name)
		}
	}
	var out bytes.Buffer
	if err := Plugin(ctx, environment("VERSION"), strings.NewReader(""), &out); err != nil || !strings.Contains(out.String(), "1.0.0") {
		t.Errorf("VERSION = %v, %s", err, &out)
	}
	// A pod must be able to go even when the enforcer has gone.
	if err := Plugin(ctx, environment("DEL"), strings.NewReader(configuration(absent)), &out); err != nil {
		t.Errorf("DEL without an enforcer = %v, want nil", err)
	}
}

func FuzzPluginNeverPanics(f *testing.F) {
	f.Add("ADD", configuration("/absent"), "K8S_POD_NAME=a;;=;b")
	f.Add("DEL", `{"prevResult":null}`, "")
	f.Fuzz(func(t *testing.T, command, config, args string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		env := func(name string) string {
			if name == "CNI_ARGS" {
				return args
			}
			return command
		}
		_ = Plugin(ctx, env, strings.NewReader(config), &bytes.Buffer{})
	})
}
