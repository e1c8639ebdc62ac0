package devnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Down stops everything of the devnet in a state directory and removes all that it made. It returns ErrNone when the
// directory does not exist.
func Down(ctx context.Context, c Config, say Progress, out io.Writer) error {
	l := layout{c.State}
	if !exists(l.root) {
		return fmt.Errorf("%s: %w", c.State, ErrNone)
	}
	if !exists(l.processes()) && !exists(l.info()) {
		return fmt.Errorf("%s does not look like a devnet's state directory: nothing was removed", c.State)
	}
	if err := stopSupervisor(ctx, l); err != nil {
		return err
	}
	if err := endOrphans(ctx, l); err != nil {
		return err
	}
	say("chain and providers are stopped")
	if info, err := Load(c.State); err == nil && info.Cluster == ClusterKubeconfig {
		say("what ran on your cluster is still there; remove it with: kubectl --kubeconfig %s delete namespace -l berth.dev/lease", info.Kubeconfig)
	}
	if err := c.localkubeDown(ctx, l, out); err != nil {
		return err
	}
	if err := os.RemoveAll(l.root); err != nil {
		return fmt.Errorf("remove the state directory: %w", err)
	}
	say("removed %s", c.State)
	return nil
}

// endOrphans ends processes that outlived a killed supervisor.
func endOrphans(ctx context.Context, l layout) error {
	files, err := filepath.Glob(filepath.Join(l.pids(), "*"))
	if err != nil {
		return fmt.Errorf("list the devnet's pids: %w", err)
	}
	for _, file := range files {
		pid := readPid(file)
		if pid == 0 {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop %s (pid %d): %w", filepath.Base(file), pid, err)
		}
		err := await(ctx, stopWait, filepath.Base(file)+" to stop", func(context.Context) error {
			if alive(pid) {
				return fmt.Errorf("pid %d still runs", pid)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func hangup(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("tell the supervisor (pid %d) of its processes: %w", pid, err)
	}
	return nil
}
