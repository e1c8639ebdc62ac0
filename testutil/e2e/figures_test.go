//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/client"
	"berth.dev/berth/devnet"
)

// TestFigures prints the figures of docs/benchmarks.md. It compares them with nothing: how fast a machine is does not
// decide whether a test passes. It fails when what it times does not work.
func TestFigures(t *testing.T) {
	for i := range 3 {
		start := time.Now()
		d := deploy(t, example("hello"))
		if err := want(t.Context(), d.URLs[0], "hello from"); err != nil {
			t.Fatal(err)
		}
		t.Logf("figure: deploy %d of a warm image to the first 200: %.1f s", i+1, time.Since(start).Seconds())
	}
	idleProviders(t)
	simulatedDevnet(t)
}

// idleProviders measures both daemons over some blocks.
func idleProviders(t *testing.T) {
	const span = 20 * time.Second
	before := map[string]time.Duration{}
	for _, p := range marketplace.Providers {
		before[p.Name] = cpuTime(t, providerPid(t, p.Name))
	}
	start := time.Now()
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		return
	}
	for _, p := range marketplace.Providers {
		pid := providerPid(t, p.Name)
		used := cpuTime(t, pid) - before[p.Name]
		t.Logf("figure: idle provider %s: %.1f %% of a core, %d MB", p.Name, 100*used.Seconds()/time.Since(start).Seconds(), residentMB(t, pid))
	}
}

func providerPid(t *testing.T, name string) int {
	t.Helper()
	pid, err := readPid(filepath.Join(marketplace.State, "pids", "provider-"+name))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// cpuTime is user and system time of a process; the kernel counts in hundredths of a second.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func residentMB(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize()) >> 20
}

// simulatedDevnet times a devnet without workloads from the command to its first block.
func simulatedDevnet(t *testing.T) {
	state := filepath.Join(t.TempDir(), "simulated")
	const base = 43200
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	defer func() {
		if _, err := program(context.Background(), "berth", "devnet", "down", "--state", state); err != nil {
			t.Error(err)
		}
	}()
	start := time.Now()
	up := make(chan error, 1)
	var info devnet.Info
	go func() {
		out, err := program(ctx, "berth", "devnet", "up", "--state", state, "--ports-base", strconv.Itoa(base), "--cluster", "simulated", "-o", "json")
		if err == nil {
			err = json.Unmarshal(out, &info)
		}
		up <- err
	}()
	c, err := client.New(client.Config{Node: fmt.Sprintf("tcp://127.0.0.1:%d", base+1)})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first block", func(ctx context.Context) error {
		head, err := c.Head(ctx)
		if err == nil && head.Height < 1 {
			err = fmt.Errorf("height is %d", head.Height)
		}
		return err
	})
	t.Logf("figure: simulated devnet, first block after %.1f s", time.Since(start).Seconds())
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	t.Logf("figure: simulated devnet, providers registered after %.1f s", time.Since(start).Seconds())
}
