//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"

	"berth.dev/berth/localkube/addons"
	"berth.dev/berth/localkube/cluster"
)

// fixture is a cluster of the test's own, beside any other.
type fixture struct {
	t       *testing.T
	program string
	state   string
	args    []string
	info    cluster.Info
	cfg     *rest.Config
	client  kubernetes.Interface
	objects dynamic.Interface
}

// patience bounds every wait.
const patience = 2 * time.Minute

func start(t *testing.T) *fixture {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("needs root")
	}
	dir, err := os.MkdirTemp("", "localkube-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // pods in user namespaces walk through it
		t.Fatal(err)
	}
	f := &fixture{t: t, program: filepath.Join(dir, "localkube"), state: filepath.Join(dir, "state")}
	f.args = []string{"--name", "lkcheck", "--link", "10.211.0.0/30", "--pods", "10.212.0.0/24", "--services", "10.213.0.0/16"}
	f.goBuild(f.program, "../cmd/localkube")
	f.goBuild(filepath.Join(dir, "probe"), "./probe")
	t.Cleanup(func() { f.localkube("down", "--state", f.state) })
	f.up()
	f.localkube("push", "--state", f.state, "registry.example.com/acme/probe:v1", filepath.Join(dir, "probe"))
	return f
}

func (f *fixture) up() {
	f.t.Helper()
	begin := time.Now()
	out := f.localkube(append([]string{"up", "--state", f.state, "-o", "json"}, f.args...)...)
	f.t.Logf("localkube up took %s", time.Since(begin).Round(10*time.Millisecond))
	if err := json.Unmarshal([]byte(out), &f.info); err != nil {
		f.t.Fatalf("read the answer of localkube up: %v", err)
	}
	var err error
	if f.cfg, err = clientcmd.BuildConfigFromFlags("", f.info.Kubeconfig); err == nil {
		f.client, err = kubernetes.NewForConfig(f.cfg)
	}
	if err == nil {
		f.objects, err = dynamic.NewForConfig(f.cfg)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) goBuild(out, pkg string) {
	f.t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("build %s: %v\n%s", pkg, err, msg)
	}
}

// localkube runs a command that must succeed and returns its stdout.
func (f *fixture) localkube(args ...string) string {
	f.t.Helper()
	cmd := exec.Command(f.program, args...)
	cmd.Env = append(os.Environ(), "LOCALKUBE_SOURCE="+sourceDir(f.t))
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		f.t.Fatalf("localkube %s: %v\n%s", args[0], err, messages.String())
	}
	f.t.Logf("localkube %s:\n%s", args[0], messages.String())
	return out.String()
}

func sourceDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// apply applies a file of testdata.
func (f *fixture) apply(name string) {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.t.Fatal(err)
	}
	objects, err := addons.Parse(data)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := addons.Apply(ctx, f.objects, objects); err != nil {
		f.t.Fatal(err)
	}
}

// eventually waits until try succeeds.
func (f *fixture) eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("wait for %s: %v", what, err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// pod waits for a ready pod with a label and returns it.
func (f *fixture) pod(t *testing.T, ns, label string) *corev1.Pod {
	t.Helper()
	var found *corev1.Pod
	f.eventually(t, "a ready pod "+ns+"/"+label, func() error {
		list, err := f.client.CoreV1().Pods(ns).List(context.Background(), metav1.ListOptions{LabelSelector: label})
		if err != nil {
			return err
		}
		for i, p := range list.Items {
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					found = &list.Items[i]
					return nil
				}
			}
		}
		return errors.New("none is ready")
	})
	return found
}

// in runs a command in a pod and returns what it printed.
func (f *fixture) in(p *corev1.Pod, command ...string) (string, error) {
	req := f.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(p.Namespace).Name(p.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(f.cfg, http.MethodGet, req.URL().String())
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	var out, messages bytes.Buffer // not one: the streams are read at the same time
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &messages})
	return out.String() + messages.String(), err
}

// get fetches a URL from the host, asking for a host name if one is given.
func get(url, host string) (int, string, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if host != "" {
		req.Host = host
	}
	client := http.Client{Timeout: 3 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// answers fails unless the URL answers with a probe's greeting.
func answers(url, host string) error {
	code, body, err := get(url, host)
	if err == nil && (code != http.StatusOK || !strings.HasPrefix(body, "probe ")) {
		err = fmt.Errorf("%d %q", code, body)
	}
	return err
}
