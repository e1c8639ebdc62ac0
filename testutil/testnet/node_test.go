//go:build testnet

package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	ctypes "github.com/cometbft/cometbft/rpc/core/types"

	"berth.dev/berth/client"
)

const (
	// patience bounds every wait; reaching it is a failure, not a measurement.
	patience = 2 * time.Minute
	// askTimeout bounds one question to a node: one that is paused takes the connection and never answers.
	askTimeout = 5 * time.Second
)

// node is one berthd in a network namespace of its own.
type node struct {
	Name     string `json:"name"`
	Home     string `json:"home"`
	NodeID   string `json:"node_id"`
	Peer     string `json:"peer"`
	Operator string `json:"operator"`

	// binary is what start runs; args come before those of berthd, for a supervisor.
	binary string
	args   []string
	env    []string
	log    string
	client *client.Client
	// running is the node's process, nil if there is none; ended is closed when it has ended.
	running *os.Process
	ended   chan struct{}
}

// installed is a program of $BERTH_BIN.
func installed(name string) string { return filepath.Join(os.Getenv("BERTH_BIN"), name) }

// start runs the node. The process leads a group of its own and dies with the test.
func (n *node) start(t *testing.T) {
	t.Helper()
	out, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	args := append([]string{"netns", "exec", n.Name, n.binary}, n.args...)
	cmd := exec.Command("ip", append(args, "start", "--home", n.Home, "--log_no_color")...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), n.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the death signal comes when this thread ends
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			fmt.Fprintf(os.Stderr, "%s %s ended: %s\n", clock(), n.Name, cmd.ProcessState)
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", n.Name, err)
	}
	n.running, n.ended = cmd.Process, ended
}

// signal reaches the node's process and what it has started.
func (n *node) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if n.running == nil {
		t.Fatalf("%s does not run", n.Name)
	}
	if err := syscall.Kill(-n.running.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("send %s to %s: %v", sig, n.Name, err)
	}
}

// stop ends the node by a signal and waits for that.
func (n *node) stop(t *testing.T, sig syscall.Signal) {
	t.Helper()
	n.signal(t, sig)
	n.awaitEnd(t)
}

func (n *node) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-n.ended:
	case <-time.After(patience):
		t.Fatalf("%s has not ended within %s", n.Name, patience)
	}
	n.running = nil
}

// hasEnded tells whether the process ended by itself.
func (n *node) hasEnded() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

// link takes the node's network away, or gives it back.
func (n *node) link(t *testing.T, state string) {
	t.Helper()
	if err := ip("link set " + n.Name + " " + state); err != nil {
		t.Fatal(err)
	}
}

func (n *node) status(ctx context.Context) (*ctypes.ResultStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	st, err := n.client.RPC().Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	return st, nil
}

func (n *node) height(ctx context.Context) (int64, error) {
	st, err := n.status(ctx)
	if err != nil {
		return 0, err
	}
	return st.SyncInfo.LatestBlockHeight, nil
}

// mustHeight is the height of a node that is up.
func (n *node) mustHeight(t *testing.T) int64 {
	t.Helper()
	h, err := n.height(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// awaitHeight waits until the node has a block.
func (n *node) awaitHeight(t *testing.T, height int64) {
	t.Helper()
	await(t, fmt.Sprintf("height %d of %s", height, n.Name), func(ctx context.Context) error {
		h, err := n.height(ctx)
		if err == nil && h < height {
			err = fmt.Errorf("it is at height %d", h)
		}
		return err
	})
}

// berthd runs a command in the node's namespace and reads what it prints into v; v may be nil.
func (n *node) berthd(t *testing.T, v any, args ...string) {
	t.Helper()
	out, err := program(t.Context(), "ip", append([]string{"netns", "exec", n.Name, n.binary}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("berthd %s: read its output: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// program runs a program and returns its stdout.
func program(ctx context.Context, name string, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.Bytes(), nil
}

// await tries until it succeeds.
func await(t *testing.T, what string, try func(ctx context.Context) error) {
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

// hold keeps a fault for its duration.
func hold(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

func clock() string { return time.Now().Format("15:04:05.000") }

// showLog prints the end of a node's log, for a failure on a machine that is gone when somebody looks.
func (n *node) showLog() {
	data, err := os.ReadFile(n.log)
	if err != nil {
		return
	}
	if len(data) > 5000 {
		data = data[len(data)-5000:]
	}
	fmt.Fprintf(os.Stderr, "--- %s\n%s\n", n.Name, data)
}
