package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// stopWait is how long a process may take to end after SIGTERM before it is killed.
	stopWait = 10 * time.Second
	// A process that ends is started again after a pause that doubles up to maxPause; one that ran for longer than
	// steady starts over with minPause.
	minPause, maxPause, steady = 200 * time.Millisecond, 5 * time.Second, 30 * time.Second
	supervisorName             = "supervisor"
)

// process is one program that the supervisor keeps running.
type process struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
	// Forward, instead of Args, makes the supervisor itself carry connections from one address to another.
	Forward *forward `json:"forward,omitempty"`
}

// Supervise keeps the processes of a state directory running until ctx ends, and then stops them all. It reads their
// files when it starts and again on SIGHUP, when new ones are started and removed ones stopped.
func Supervise(ctx context.Context, state string) error {
	s := &supervisor{layout: layout{state}, running: map[string]context.CancelFunc{}}
	if err := s.layout.make(); err != nil {
		return err
	}
	// The pid is an invitation to send SIGHUP, so it is written when that is listened for.
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	if err := writePid(s.layout.pid(supervisorName), os.Getpid()); err != nil {
		return err
	}
	defer os.Remove(s.layout.pid(supervisorName))
	defer s.group.Wait()
	for {
		if err := s.reload(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		}
	}
}

type supervisor struct {
	layout  layout
	group   sync.WaitGroup
	running map[string]context.CancelFunc
}

// reload makes what runs agree with the process files.
func (s *supervisor) reload(ctx context.Context) error {
	want, err := readProcesses(s.layout)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, p := range want {
		names[p.Name] = true
		if s.running[p.Name] != nil {
			continue
		}
		one, cancel := context.WithCancel(ctx)
		s.running[p.Name] = cancel
		s.group.Go(func() { s.keep(one, p) })
	}
	for name, cancel := range s.running {
		if !names[name] {
			cancel()
			delete(s.running, name)
		}
	}
	return nil
}

// keep runs a process again and again until ctx ends.
func (s *supervisor) keep(ctx context.Context, p process) {
	// The kernel sends the death signal of proc_linux.go when the thread that started the child ends, so this goroutine
	// keeps its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := os.OpenFile(s.layout.log(p.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintf(os.Stderr, "open the log of %s: %v\n", p.Name, err)
		return
	}
	defer out.Close()
	pause := minPause
	for ctx.Err() == nil {
		start := time.Now()
		err := s.once(ctx, p, out)
		if ctx.Err() != nil {
			return
		}
		if time.Since(start) > steady {
			pause = minPause
		}
		fmt.Fprintf(out, "supervisor: %s ended (%v); starting it again in %s\n", p.Name, err, pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

func (s *supervisor) once(ctx context.Context, p process, out *os.File) error {
	if p.Forward != nil {
		return p.Forward.run(ctx)
	}
	cmd := exec.CommandContext(ctx, p.Args[0], p.Args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopWait
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := writePid(s.layout.pid(p.Name), cmd.Process.Pid); err != nil {
		fmt.Fprintln(out, "supervisor:", err)
	}
	defer os.Remove(s.layout.pid(p.Name))
	return cmd.Wait()
}

func readProcesses(l layout) ([]process, error) {
	files, err := filepath.Glob(filepath.Join(l.processes(), "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list the devnet's processes: %w", err)
	}
	var all []process
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read a process file: %w", err)
		}
		var p process
		if err := json.Unmarshal(data, &p); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func writeProcess(l layout, p process) error {
	return writeJSON(filepath.Join(l.processes(), p.Name+".json"), p)
}

func writePid(path string, pid int) error {
	if err := os.WriteFile(path, []byte(strconv.Itoa(pid)+"\n"), 0o644); err != nil {
		return fmt.Errorf("write a pid file: %w", err)
	}
	return nil
}

// readPid returns the pid in a file while that process runs, and 0 otherwise.
func readPid(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 || !alive(pid) {
		return 0
	}
	return pid
}

// startSupervisor starts a detached supervisor for the state directory and returns once it has taken over.
func startSupervisor(ctx context.Context, l layout, self string) error {
	out, err := os.OpenFile(l.log(supervisorName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the supervisor's log: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(self, "devnet", "supervise", "--state", l.root)
	cmd.Stdout, cmd.Stderr = out, out
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return await(ctx, 20*time.Second, "the supervisor to start", func(context.Context) error {
		select {
		case err := <-ended:
			return fatal{fmt.Errorf("the supervisor ended at once (%w); see %s", err, l.log(supervisorName))}
		default:
		}
		if readPid(l.pid(supervisorName)) == 0 {
			return errors.New("it has no pid yet")
		}
		return nil
	})
}

// stopSupervisor ends the supervisor and with it all processes, and waits for that.
func stopSupervisor(ctx context.Context, l layout) error {
	pid := readPid(l.pid(supervisorName))
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the supervisor (pid %d): %w", pid, err)
	}
	return await(ctx, 2*stopWait, "the supervisor to stop", func(context.Context) error {
		if alive(pid) {
			return fmt.Errorf("pid %d still runs", pid)
		}
		return nil
	})
}

// forward carries TCP connections from one address to another.
type forward struct {
	Listen string `json:"listen"`
	To     string `json:"to"`
}

func (f forward) run(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", f.Listen)
	if err != nil {
		return fmt.Errorf("listen for the forwarder: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept for the forwarder: %w", err)
		}
		group.Go(func() { f.carry(ctx, conn) })
	}
}

func (f forward) carry(ctx context.Context, from net.Conn) {
	defer from.Close()
	d := net.Dialer{Timeout: 5 * time.Second}
	to, err := d.DialContext(ctx, "tcp", f.To)
	if err != nil {
		return
	}
	defer to.Close()
	stop := context.AfterFunc(ctx, func() { _ = from.Close(); _ = to.Close() })
	defer stop()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]*net.TCPConn{{from.(*net.TCPConn), to.(*net.TCPConn)}, {to.(*net.TCPConn), from.(*net.TCPConn)}} {
		go func() {
			_, _ = pair[1].ReadFrom(pair[0])
			_ = pair[1].CloseWrite()
			done <- struct{}{}
		}()
	}
	<-done
	<-done
}

// fatal ends await at once.
type fatal struct{ error }

// await tries until it succeeds, the time is up, or ctx ends; the last failure is in the error.
func await(ctx context.Context, limit time.Duration, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		var f fatal
		if errors.As(err, &f) {
			return f.error
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w (%w)", what, err, ctx.Err())
		case <-tick.C:
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
