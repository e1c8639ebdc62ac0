//go:build e2e

package incluster

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/devnet"
)

const (
	portsBase = 43700
	patience  = 3 * time.Minute
	image     = "berth.local/berth-provider:1"
	domain    = "inside.localhost"
	namespace = "berth-provider"
)

// The test needs the programs in $BERTH_BIN, a cluster named by $BERTH_E2E_KUBECONFIG that can pull berth.local/hello:1 and
// the provider's image, whose http entry is $BERTH_E2E_INGRESS, and an address of this machine that its pods reach,
// $BERTH_E2E_HOST.
func env(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatal(name + " is not set")
	}
	return v
}

func program(ctx context.Context, t *testing.T, name string, args ...string) ([]byte, error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(env(t, "BERTH_BIN"), name), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return out.Bytes(), nil
}

func must(t *testing.T, into any, name string, args ...string) {
	t.Helper()
	out, err := program(t.Context(), t, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("%s %v: %v in %s", name, args, err, out)
	}
}

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %v", what, err)
		}
	}
}

// TestProviderInsideItsCluster applies deploy/kubernetes with an overlay, against a devnet's chain: the provider starts
// under the level restricted and with the driver's role alone, registers, bids, runs a lease, and its doctor finds
// nothing that fails but what localkube lacks.
func TestProviderInsideItsCluster(t *testing.T) {
	kubeconfig, ingress, host := env(t, "BERTH_E2E_KUBECONFIG"), env(t, "BERTH_E2E_INGRESS"), env(t, "BERTH_E2E_HOST")
	chain := startChain(t)
	node := forward(t, host, chain.Node)
	entry, err := url.Parse("http://" + ingress)
	if err != nil {
		t.Fatal(err)
	}
	home := makeHome(t, chain, node, "https://"+net.JoinHostPort(entry.Hostname(), "30443"))
	apply(t, kubeconfig, home)

	var d struct {
		Dseq uint64   `json:"dseq"`
		URLs []string `json:"urls"`
	}
	must(t, &d, "berth", "deploy", "--yes", "--home", chain.TenantHome, "-o", "json", "--bid-wait", "120s", "--ready-wait", "120s", document(t))
	eventually(t, "the lease to be ready", func() error {
		out, err := program(t.Context(), t, "berth", "status", "--home", chain.TenantHome, "-o", "json", strconv.FormatUint(d.Dseq, 10))
		if err == nil {
			err = json.Unmarshal(out, &d)
		}
		if err == nil && (len(d.URLs) != 1 || !strings.Contains(d.URLs[0], domain)) {
			err = fmt.Errorf("the URLs are %v: %s", d.URLs, out)
		}
		return err
	})
	u, err := url.Parse(d.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lease to answer through the ingress", func() error { return ask(ingress, u.Hostname()) })
	must(t, nil, "berth", "close", "--yes", "--home", chain.TenantHome, "-o", "json", strconv.FormatUint(d.Dseq, 10))
}

// startChain runs a devnet whose own providers run nothing.
func startChain(t *testing.T) (info devnet.Info) {
	t.Helper()
	state := filepath.Join(t.TempDir(), "devnet")
	t.Cleanup(func() {
		if _, err := program(context.Background(), t, "berth", "devnet", "down", "--state", state); err != nil {
			t.Error(err)
		}
	})
	must(t, &info, "berth", "devnet", "up", "--state", state, "--ports-base", strconv.Itoa(portsBase), "--cluster", "simulated", "-o", "json")
	return info
}

// forward makes the chain's node, which listens on loopback, reachable from pods.
func forward(t *testing.T, host, node string) string {
	t.Helper()
	to := node[strings.LastIndexByte(node, '/')+1:]
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(out, in) }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return "tcp://" + l.Addr().String()
}

// makeHome makes a provider's home and funds its account.
func makeHome(t *testing.T, chain devnet.Info, node, hostURI string) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	var made struct {
		Provider string `json:"provider"`
	}
	must(t, &made, "berth-provider", "init", "--home", home, "--node", node, "--chain-id", chain.ChainID, "--key", "provider", "--keyring-backend", "test",
		"--host-uri", hostURI, "--listen", "0.0.0.0:8443", "--domain", domain, "--attribute", "region=inside", "--cluster", "kube", "--kubeconfig", "",
		"--block-time", "500ms", "-o", "json")
	keys := filepath.Join(chain.TenantHome)
	must(t, nil, "berthd", "tx", "bank", "send", chain.Tenant, made.Provider, "1000000000ubrt", "--keyring-dir", keys, "--keyring-backend", "test",
		"--node", chain.Node, "--chain-id", chain.ChainID, "--gas", "200000", "--gas-prices", "0.0025ubrt", "--yes", "-o", "json")
	return home
}

// document is the hello example for the provider under test alone.
func document(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "examples", "hello", "deploy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "  placement:\n    anywhere:\n", "  placement:\n    anywhere:\n      attributes: {region: inside}\n", 1)
	file := filepath.Join(t.TempDir(), "deploy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func ask(ingress, host string) error {
	req, err := http.NewRequest(http.MethodGet, "http://"+ingress+"/", nil)
	if err != nil {
		return err
	}
	req.Host = host
	res, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "hello") {
		return fmt.Errorf("%s %q, %w", res.Status, body, err)
	}
	return nil
}

// apply applies the base by server-side apply, as `kubectl apply -k` of an overlay would, and waits for the provider.
func apply(t *testing.T, kubeconfig, home string) {
	t.Helper()
	rc, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c, err := dynamic.NewForConfig(rc)
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join("..", "..", "deploy", "kubernetes")
	var k struct {
		Resources []string `json:"resources"`
	}
	read(t, filepath.Join(base, "kustomization.yaml"), &k)
	t.Cleanup(func() { remove(t, c) })
	for _, name := range k.Resources {
		u := &unstructured.Unstructured{}
		read(t, filepath.Join(base, name), &u.Object)
		overlay(t, u, home)
		if u.GetKind() == "PersistentVolumeClaim" {
			continue // localkube makes no volumes; the overlay keeps the state in the pod
		}
		if _, err := at(c, u).Apply(t.Context(), u.GetName(), u, metav1.ApplyOptions{FieldManager: "e2e", Force: true}); err != nil {
			t.Fatalf("apply %s: %v", name, err)
		}
	}
	deployment := &unstructured.Unstructured{Object: map[string]any{"kind": "Deployment", "metadata": map[string]any{"namespace": namespace}}}
	eventually(t, "the provider to be ready", func() error {
		d, err := at(c, deployment).Get(t.Context(), namespace, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if ready, _, _ := unstructured.NestedInt64(d.Object, "status", "readyReplicas"); ready != 1 {
			return fmt.Errorf("status %v", d.Object["status"])
		}
		return nil
	})
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// kinds are where the base's objects are served.
var kinds = map[string]schema.GroupVersionResource{
	"Namespace": {Version: "v1", Resource: "namespaces"}, "ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
	"ConfigMap": {Version: "v1", Resource: "configmaps"}, "Secret": {Version: "v1", Resource: "secrets"}, "Service": {Version: "v1", Resource: "services"},
	"Deployment":          {Group: "apps", Version: "v1", Resource: "deployments"},
	"NetworkPolicy":       {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	"PodDisruptionBudget": {Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	"ClusterRole":         {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	"ClusterRoleBinding":  {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
}

func at(c dynamic.Interface, u *unstructured.Unstructured) dynamic.ResourceInterface {
	r := c.Resource(kinds[u.GetKind()])
	if ns := u.GetNamespace(); ns != "" {
		return r.Namespace(ns)
	}
	return r
}

// remove takes the base out of the cluster again. Leases were closed before.
func remove(t *testing.T, c dynamic.Interface) {
	for _, kind := range []string{"Namespace", "ClusterRoleBinding", "ClusterRole"} {
		if err := c.Resource(kinds[kind]).Delete(context.Background(), namespace, metav1.DeleteOptions{}); err != nil {
			t.Errorf("remove %s: %v", kind, err)
		}
	}
}

// overlay is what an operator's own kustomization changes: the image, the files and the keys.
func overlay(t *testing.T, u *unstructured.Unstructured, home string) {
	t.Helper()
	set := func(v any, path ...string) {
		if err := unstructured.SetNestedField(u.Object, v, path...); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string {
		data, err := os.ReadFile(filepath.Join(home, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	switch u.GetKind() {
	case "ConfigMap":
		set(map[string]any{"provider.yaml": file("provider.yaml"), "pricing.yaml": file("pricing.yaml")}, "data")
	case "Secret":
		keys := map[string]any{"tls.key": base64.StdEncoding.EncodeToString([]byte(file("tls.key")))}
		all, err := os.ReadDir(filepath.Join(home, "keyring-test"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			keys["keyring-"+f.Name()] = base64.StdEncoding.EncodeToString([]byte(file(filepath.Join("keyring-test", f.Name()))))
		}
		set(keys, "data")
	case "Deployment":
		for _, list := range []string{"initContainers", "containers"} {
			all, _, err := unstructured.NestedSlice(u.Object, "spec", "template", "spec", list)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				c.(map[string]any)["image"] = image
			}
			set(all, "spec", "template", "spec", list)
		}
		volumes, _, err := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "volumes")
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range volumes {
			if v.(map[string]any)["name"] == "state" {
				volumes[i] = map[string]any{"name": "state", "emptyDir": map[string]any{}}
			}
		}
		set(volumes, "spec", "template", "spec", "volumes")
	}
}
