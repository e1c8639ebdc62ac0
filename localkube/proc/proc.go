// Package proc starts processes that outlive their starter, finds them again,
// and ends them. A record names a process by id, start time and boot, so that
// a reused id is never mistaken for the process that was started.
package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poll is how often a dying process is looked at.
const poll = 10 * time.Millisecond

// Spec describes a process to start.
type Spec struct {
	// Name names the log file and the pid record.
	Name string
	// Argv is the program (an absolute path) and its arguments.
	Argv []string
	// Dir is the working directory, empty for the current one.
	Dir string
	// Env is added to the current environment.
	Env []string
	// NetNS is the file of the network namespace to run in, empty for ours.
	NetNS string
	// CPUs are the processors to run on, empty for all.
	CPUs []int
}

// Dir is a directory with pid records and logs.
type Dir struct {
	Pids string
	Logs string
}

// Record identifies a process for as long as the machine is up.
type Record struct {
	PID   int
	Start uint64 // clock ticks since boot
	Boot  string
}

// Start starts s detached, in a session of its own, with its output appended
// to its log, and writes its record. A process of that name that still runs is
// left alone and returned.
func (d Dir) Start(s Spec) (Record, error) {
	if r, ok := d.Running(s.Name); ok {
		return r, nil
	}
	if err := d.make(); err != nil {
		return Record{}, err
	}
	log, err := os.OpenFile(d.Log(s.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return Record{}, fmt.Errorf("open the log of %s: %w", s.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(s.Argv[0], s.Argv[1:]...) //nolint:noctx // it must outlive any context here
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, log, log
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := startIn(s.NetNS, s.CPUs, cmd); err != nil {
		return Record{}, fmt.Errorf("start %s: %w", s.Name, err)
	}
	// Reaped here while we live, by init afterwards.
	go func() { _ = cmd.Wait() }()
	r, err := identify(cmd.Process.Pid)
	if err != nil {
		return Record{}, fmt.Errorf("start %s: it ended at once; its log is %s: %w", s.Name, log.Name(), err)
	}
	return r, d.write(s.Name, r)
}

// Log returns the path of a process's log.
func (d Dir) Log(name string) string { return filepath.Join(d.Logs, name+".log") }

// Running returns the record of a process that was started and still runs.
func (d Dir) Running(name string) (Record, bool) {
	r, err := d.read(name)
	if err != nil {
		return Record{}, false
	}
	return r, r.Alive()
}

// Names lists the processes that have a record, running or not, sorted.
func (d Dir) Names() ([]string, error) {
	entries, err := os.ReadDir(d.Pids)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list pid records: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Kill ends a process with SIGKILL and waits until it is gone. A process
// without a record, or one that has ended, is no error.
func (d Dir) Kill(ctx context.Context, name string) error {
	return d.end(ctx, name, unix.SIGKILL)
}

// Stop asks a process to end with SIGTERM, waits until it is gone, and kills
// it when ctx ends first.
func (d Dir) Stop(ctx context.Context, name string) error {
	err := d.end(ctx, name, unix.SIGTERM)
	if err == nil || ctx.Err() == nil {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return d.end(last, name, unix.SIGKILL)
}

func (d Dir) end(ctx context.Context, name string, sig unix.Signal) error {
	r, ok := d.Running(name)
	if ok {
		if err := r.Signal(sig); err != nil {
			return fmt.Errorf("end %s: %w", name, err)
		}
		if err := r.Wait(ctx); err != nil {
			return fmt.Errorf("wait for %s (pid %d) to end: %w", name, r.PID, err)
		}
	}
	if err := os.Remove(filepath.Join(d.Pids, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the record of %s: %w", name, err)
	}
	return nil
}

// Alive says whether the process still runs. A zombie does not: it holds
// nothing any more, and whoever should reap it may take seconds.
func (r Record) Alive() bool {
	if r.Boot != bootID() {
		return false
	}
	state, start, err := stat(r.PID)
	return err == nil && start == r.Start && state != 'Z' && state != 'X'
}

// Signal sends sig; a process that is gone is no error.
func (r Record) Signal(sig unix.Signal) error {
	if err := unix.Kill(r.PID, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to %d: %w", unix.SignalName(sig), r.PID, err)
	}
	return nil
}

// Wait returns when the process has ended or ctx has.
func (r Record) Wait(ctx context.Context) error {
	for r.Alive() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
	return nil
}

// Self returns the record of the calling process.
func Self() (Record, error) { return identify(os.Getpid()) }

// WriteRecord writes a process's record under name.
func (d Dir) WriteRecord(name string, r Record) error {
	if err := d.make(); err != nil {
		return err
	}
	return d.write(name, r)
}

// startIn starts cmd in another network namespace, if one is given, and on some
// processors only, if any are: a process has those of the thread that starts it.
func startIn(netns string, cpus []int, cmd *exec.Cmd) error {
	start := cmd.Start
	if len(cpus) > 0 {
		start = func() error {
			var set unix.CPUSet
			for _, n := range cpus {
				set.Set(n)
			}
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				return fmt.Errorf("run on processors %v only: %w", cpus, err)
			}
			return cmd.Start()
		}
	}
	switch {
	case netns != "":
		return InNetNS(netns, start)
	case len(cpus) > 0:
		return onOwnThread(start)
	}
	return start()
}

// onOwnThread runs fn on a thread that is thrown away afterwards, with what fn
// made of it.
func onOwnThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- fn()
	}()
	return <-done
}

// InNetNS runs fn on a thread whose network namespace is the one that a file
// holds. Only the network is switched, and the thread is thrown away
// afterwards: ip-netns(8) would also remount /sys and so hide the control groups.
func InNetNS(netns string, fn func() error) error {
	f, err := os.Open(netns)
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer f.Close()
	return onOwnThread(func() error {
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", netns, err)
		}
		return fn()
	})
}

func (d Dir) make() error {
	for _, dir := range []string{d.Pids, d.Logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
	}
	return nil
}

func (d Dir) write(name string, r Record) error {
	path := filepath.Join(d.Pids, name)
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d %d %s\n", r.PID, r.Start, r.Boot), 0o644); err != nil {
		return fmt.Errorf("write the record of %s: %w", name, err)
	}
	return nil
}

func (d Dir) read(name string) (Record, error) {
	data, err := os.ReadFile(filepath.Join(d.Pids, name))
	if err != nil {
		return Record{}, err
	}
	var r Record
	if _, err := fmt.Sscanf(string(data), "%d %d %s", &r.PID, &r.Start, &r.Boot); err != nil {
		return Record{}, fmt.Errorf("read the record of %s: %w", name, err)
	}
	return r, nil
}

func identify(pid int) (Record, error) {
	_, start, err := stat(pid)
	if err != nil {
		return Record{}, err
	}
	return Record{PID: pid, Start: start, Boot: bootID()}, nil
}

// stat reads a process's state and start time from /proc.
func stat(pid int) (state byte, start uint64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	return parseStat(string(data))
}

// parseStat reads the third and the 22nd field of /proc/PID/stat. The second
// is the program's name in brackets, which may itself hold blanks and brackets.
func parseStat(line string) (state byte, start uint64, err error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return 0, 0, fmt.Errorf("unreadable process status %q", line)
	}
	fields := strings.Fields(line[end+1:])
	const startField = 22 - 3 // counted from the state
	if len(fields) <= startField {
		return 0, 0, fmt.Errorf("process status has %d fields", len(fields)+2)
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	return fields[0][0], start, err
}

func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
}
