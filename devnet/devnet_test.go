package devnet

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func valid(t *testing.T) Config {
	return Config{State: t.TempDir(), Cluster: ClusterSimulated, Validators: 1, PortsBase: 42000}
}

func TestConfigRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no state":              {func(c *Config) { c.State = "" }, "no state directory"},
		"no validator":          {func(c *Config) { c.Validators = 0 }, "0 validators"},
		"too many validators":   {func(c *Config) { c.Validators = 17 }, "17 validators"},
		"a privileged port":     {func(c *Config) { c.PortsBase = 1023 }, "ports base 1023"},
		"an unknown cluster":    {func(c *Config) { c.Cluster = "swarm" }, `"swarm" is not one of`},
		"kubeconfig, no file":   {func(c *Config) { c.Cluster = ClusterKubeconfig }, "needs --kubeconfig"},
		"no ports for a devnet": {func(c *Config) { c.PortsBase = 60001 }, "ports base 60001"},
	} {
		t.Run(name, func(t *testing.T) {
			c := valid(t)
			tc.change(&c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Validate() = %v, want %q", err, tc.want)
			}
		})
	}
	if err := valid(t).Validate(); err != nil {
		t.Errorf("Validate() of a good configuration = %v", err)
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	c := valid(t)
	l, err := net.Listen("tcp", local(c.ports().ingress))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := c.check(); err == nil || !strings.Contains(err.Error(), "port 42002 is taken") {
		t.Errorf("check() = %v, want port 42002 to be named", err)
	}
}

func TestReachableRefusesWhatContainersCannotEnter(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	closed := filepath.Join(open, "closed")
	if err := os.MkdirAll(filepath.Join(closed, "state"), 0o755); err != nil {
		t.Fatal(err)
	}
	// Directories of tests are closed to others themselves, so the walk is looked at from one that is named.
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{closed, filepath.Join(closed, "state"), filepath.Join(closed, "absent")} {
		if err := reachable(dir); err == nil || !strings.Contains(err.Error(), closed+" cannot be entered") {
			t.Errorf("reachable(%s) = %v, want %s to be named", dir, err, closed)
		}
	}
	if err := reachable("/"); err != nil {
		t.Errorf("reachable(/) = %v", err)
	}
}

func TestUpWithoutProgramsLeavesNoProcess(t *testing.T) {
	c := valid(t)
	c.Programs = t.TempDir()
	t.Setenv("PATH", c.Programs)
	_, _, err := Up(t.Context(), c, func(string, ...any) {}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("Up() = %v, want it to say how to build", err)
	}
	if pid := readPid(layout{c.State}.pid(supervisorName)); pid != 0 {
		t.Errorf("a supervisor runs with pid %d", pid)
	}
}

func TestDownTouchesOnlyADevnet(t *testing.T) {
	c := valid(t)
	keep := filepath.Join(c.State, "keep")
	if err := os.WriteFile(keep, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), c, func(string, ...any) {}, io.Discard); err == nil {
		t.Error("Down() removed a directory that is not a devnet's")
	}
	if !exists(keep) {
		t.Error("a file of somebody else is gone")
	}
	c.State = filepath.Join(c.State, "absent")
	if err := Down(t.Context(), c, func(string, ...any) {}, io.Discard); !errors.Is(err, ErrNone) {
		t.Errorf("Down() of nothing = %v, want ErrNone", err)
	}
}
