//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	providers "berth.dev/berth/provider/cluster"
	"berth.dev/berth/tenant"
)

// pushSession gives the devnet's registry an image that holds the probe and, under the name of tar, the probe once more.
func pushSession(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(os.Getenv("BERTH_BIN"), "probe"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"probe", "tar"} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A user that is not root writes here.
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "data"), 0o777); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(marketplace.State, "kube")
	if _, err := program(t.Context(), "localkube", "push", "--state", state, "berth.local/session:1", dir, "--entrypoint", "/probe", "--user", "0"); err != nil {
		t.Fatal(err)
	}
}

// inBox runs a program in the box and returns what it writes and its exit code.
func inBox(t *testing.T, dseq, stdin string, command ...string) (out, errs string, code int) {
	t.Helper()
	args := append([]string{"exec", "--home", marketplace.TenantHome, "-i", dseq, "box", "--", "/probe", "session"}, command...)
	cmd := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("BERTH_BIN"), "berth"), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// TestATenantIsInsideOfItsInstances runs programs, copies files, reaches a port, restarts a service and reads what happened
// and what is used, all through the provider's gateway.
func TestATenantIsInsideOfItsInstances(t *testing.T) {
	pushSession(t)
	d := deploy(t, filepath.Join("testdata", "session.yaml"))
	dseq := strconv.FormatUint(d.Dseq, 10)

	if out, errs, code := inBox(t, dseq, "", "write", "one", "two"); code != 0 || out != "one\n" || errs != "two\n" {
		t.Errorf("write: exit %d, %q, %q", code, out, errs)
	}
	if _, errs, code := inBox(t, dseq, "", "exit", "7"); code != 7 {
		t.Errorf("a program that ends with 7: exit %d, %s", code, errs)
	}
	long := strings.Repeat("0123456789abcdef\n", 20_000)
	if out, errs, code := inBox(t, dseq, long, "cat"); code != 0 || out != long {
		t.Errorf("cat: exit %d, %d of %d bytes, %s", code, len(out), len(long), errs)
	}
	t.Run("copies", func(t *testing.T) { copies(t, dseq, long) })
	t.Run("forwards", func(t *testing.T) { forwards(t, dseq) })
	t.Run("usage", func(t *testing.T) { usage(t, d.Dseq) })
	t.Run("restarts", func(t *testing.T) { restarts(t, d, dseq) })
	t.Run("colleagues", func(t *testing.T) { colleagues(t, strconv.FormatUint(deploy(t, example("hello")).Dseq, 10), d.Dseq) })
}

func copies(t *testing.T, dseq, long string) {
	dir := t.TempDir()
	from := filepath.Join(dir, "site")
	if err := os.MkdirAll(filepath.Join(from, "img"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"index.html": "hello", "img/long": long} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	berth(t, nil, "cp", dseq, from, "box:/data/www")
	back := filepath.Join(dir, "back")
	berth(t, nil, "cp", dseq, "box:/data/www", back)
	for name, text := range map[string]string{"index.html": "hello", "img/long": long} {
		if got, err := os.ReadFile(filepath.Join(back, name)); err != nil || string(got) != text {
			t.Errorf("%s came back with %d bytes, %v, want %d", name, len(got), err, len(text))
		}
	}
	if err := tryBerth(t.Context(), nil, "cp", dseq, from, "box:/nowhere/www"); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("cp into a directory that is not there: %v", err)
	}
}

func forwards(t *testing.T, dseq string) {
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, filepath.Join(os.Getenv("BERTH_BIN"), "berth"), "port-forward", "--home", marketplace.TenantHome, "-o", "jsonl", dseq, "box", ":8080")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}()
	var ready struct{ Value []tenant.Forwarding }
	if err := json.NewDecoder(out).Decode(&ready); err != nil || len(ready.Value) != 1 {
		t.Fatalf("what listens: %+v, %v", ready, err)
	}
	for range 3 {
		if err := want(t.Context(), "http://"+ready.Value[0].Local+"/", "web host="); err != nil {
			t.Error(err)
		}
	}
}

func usage(t *testing.T, dseq uint64) {
	eventually(t, "what the instance uses", func(context.Context) error {
		for _, g := range status(t, dseq).Groups {
			for _, s := range g.Lease.Services {
				if len(s.Usage) == 1 && s.Usage[0].MemoryBytes > 0 && s.Usage[0].Instance != "" {
					return nil
				}
			}
		}
		return errors.New("status knows of none")
	})
}

func restarts(t *testing.T, d deployed, dseq string) {
	var r tenant.Restarted
	berth(t, &r, "restart", dseq, "box")
	if !r.Ready || r.Service != "box" {
		t.Errorf("restart: %+v", r)
	}
	if err := want(t.Context(), d.URLs[0], "web host="); err != nil {
		t.Error(err)
	}
	out, err := program(t.Context(), "berth", "events", dseq, "--home", marketplace.TenantHome, "-o", "jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for line := range strings.Lines(string(out)) {
		var h tenant.Happening
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		kinds = append(kinds, fmt.Sprint(h.Service, " ", h.Kind))
	}
	for _, want := range []string{" " + providers.EventManifest, "box Started", "box " + providers.EventRestarted} {
		if !slices.Contains(kinds, want) {
			t.Errorf("no %q among %q", want, kinds)
		}
	}
}
