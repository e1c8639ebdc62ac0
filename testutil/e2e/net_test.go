//go:build e2e

// Package e2e runs the whole marketplace with the real programs, on a real Kubernetes, and looks at it from outside: by
// the tenant's tool, by connections, and by what the chain says. It needs root, the programs in $BERTH_BIN, and takes a
// devnet of its own beside a user's.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/berth/client"
	"berth.dev/berth/devnet"
	"berth.dev/berth/tenant"
)

const (
	usualPorts = "43100"
	// patience bounds every wait; reaching it is a failure, not a measurement.
	patience = 2 * time.Minute
)

// marketplace is the devnet that all tests share.
var marketplace devnet.Info

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	state, err := os.MkdirTemp("", "berth-e2e")
	if err != nil {
		return 1, err
	}
	// Containers run in user namespaces and must be able to reach what lies below.
	if err := os.Chmod(state, 0o755); err != nil {
		return 1, err
	}
	start := time.Now()
	out, err := program(context.Background(), "berth", "devnet", "up", "--state", state, "--ports-base", portsBase(), "-o", "json")
	defer func() {
		if code != 0 {
			showLogs(state)
		}
		if _, derr := program(context.Background(), "berth", "devnet", "down", "--state", state); derr != nil {
			err = errors.Join(err, derr)
		}
	}()
	if err != nil {
		code = 1
		return code, err
	}
	if err := json.Unmarshal(out, &marketplace); err != nil {
		return 1, fmt.Errorf("read what devnet up says: %w", err)
	}
	fmt.Printf("devnet up took %s\n", time.Since(start).Round(100*time.Millisecond))
	code = m.Run()
	return code, nil
}

// portsBase is where the devnet's ports begin: $BERTH_E2E_PORTS moves them, so that several runs stand side by side.
func portsBase() string {
	if p := os.Getenv("BERTH_E2E_PORTS"); p != "" {
		return p
	}
	return usualPorts
}

// showLogs prints the end of each log, for a failure on a machine that is gone when somebody looks.
func showLogs(state string) {
	files, _ := filepath.Glob(filepath.Join(state, "logs", "*.log"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if len(data) > 6000 {
			data = data[len(data)-6000:]
		}
		fmt.Fprintf(os.Stderr, "--- %s\n%s\n", filepath.Base(file), data)
	}
}

// program runs one of Berth's programs and returns its stdout.
func program(ctx context.Context, name string, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv("BERTH_BIN"), name), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return out.Bytes(), nil
}

// berth runs the tenant's tool with -o json and reads what it says into v; v may be nil.
func berth(t *testing.T, v any, args ...string) {
	t.Helper()
	if err := tryBerth(t.Context(), v, args...); err != nil {
		t.Fatal(err)
	}
}

func tryBerth(ctx context.Context, v any, args ...string) error {
	args = append(args, "--home", marketplace.TenantHome, "-o", "json")
	out, err := program(ctx, "berth", args...)
	if err != nil || v == nil {
		return err
	}
	if err := json.Unmarshal(out, v); err != nil {
		return fmt.Errorf("berth %s: read its output: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// deployed is what the tests need of `berth deploy -o json`.
type deployed struct {
	Dseq uint64   `json:"dseq"`
	URLs []string `json:"urls"`
}

// deploy deploys a document and closes it when the test ends.
func deploy(t *testing.T, document string, flags ...string) deployed {
	t.Helper()
	var d deployed
	berth(t, &d, append([]string{"deploy", "--yes", "--ready-wait", "90s", document}, flags...)...)
	closeAfter(t, d.Dseq)
	return d
}

// closeAfter closes a deployment when the test has ended.
func closeAfter(t *testing.T, dseq uint64) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tryBerth(ctx, nil, "close", "--yes", "--destroy-data", strconv.FormatUint(dseq, 10)); err != nil {
			t.Errorf("close deployment %d: %v", dseq, err)
		}
	})
}

func status(t *testing.T, dseq uint64) tenant.Status {
	t.Helper()
	var s tenant.Status
	berth(t, &s, "status", strconv.FormatUint(dseq, 10))
	return s
}

// eventually tries until it succeeds.
func eventually(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// browser asks URLs of the devnet: every name below localhost leads to the ingress, as in browsers and curl.
var browser = &http.Client{
	Timeout: 10 * time.Second,
	Transport: &http.Transport{
		MaxIdleConnsPerHost: 16,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			var d net.Dialer
			return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	},
}

func get(ctx context.Context, address string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := browser.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, string(data), err
}

// want checks that a URL answers 200 with a text in it.
func want(ctx context.Context, address, text string) error {
	code, body, err := get(ctx, address)
	if err != nil {
		return err
	}
	if code != http.StatusOK || !strings.Contains(body, text) {
		return fmt.Errorf("GET %s: %d %q, want 200 with %q", address, code, body, text)
	}
	return nil
}

// fetch asks the service behind base to try a connection from where it runs.
func fetch(ctx context.Context, base, target string) (status int, body string, err error) {
	return get(ctx, strings.TrimSuffix(base, "/")+"/fetch?url="+url.QueryEscape(target))
}

func chain(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Node: marketplace.Node})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func cluster(t *testing.T) kubernetes.Interface {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", marketplace.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	k, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// document finds an example, or a test document of this package.
func example(name string) string { return filepath.Join("..", "..", "examples", name, "deploy.yaml") }

// edited writes a copy of a document with some text replaced.
func edited(t *testing.T, document string, replace ...string) string {
	t.Helper()
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(replace...).Replace(string(data))
	if text == string(data) {
		t.Fatalf("nothing was replaced in %s", document)
	}
	path := filepath.Join(t.TempDir(), "deploy.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
