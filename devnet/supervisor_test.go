package devnet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child makes the test binary itself a trivial program: it says its word and waits to be stopped.
const child = "BERTH_TEST_CHILD"

func TestMain(m *testing.M) {
	if word := os.Getenv(child); word != "" {
		fmt.Println(word)
		select {}
	}
	os.Exit(m.Run())
}

const patience = 30 * time.Second

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	if err := await(t.Context(), patience, what, func(context.Context) error { return try() }); err != nil {
		t.Fatal(err)
	}
}

func supervised(t *testing.T) layout {
	t.Helper()
	t.Setenv(child, "started")
	l := layout{t.TempDir()}
	if err := l.make(); err != nil {
		t.Fatal(err)
	}
	return l
}

func startTestSupervisor(t *testing.T, l layout) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Supervise(ctx, l.root) }()
	eventually(t, "the supervisor", func() error {
		if readPid(l.pid(supervisorName)) == 0 {
			return errors.New("no pid")
		}
		return nil
	})
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Supervise: %v", err)
		}
	}
}

func running(l layout, name string) error {
	if readPid(l.pid(name)) == 0 {
		return fmt.Errorf("%s does not run", name)
	}
	return nil
}

func addChild(t *testing.T, l layout, name string) {
	t.Helper()
	if err := writeProcess(l, process{Name: name, Args: []string{os.Args[0]}}); err != nil {
		t.Fatal(err)
	}
}

func TestSupervisorRestartsWhatIsKilled(t *testing.T) {
	l := supervised(t)
	addChild(t, l, "a")
	stop := startTestSupervisor(t, l)
	eventually(t, "a", func() error { return running(l, "a") })
	first := readPid(l.pid("a"))
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a to come back", func() error {
		if pid := readPid(l.pid("a")); pid == 0 || pid == first {
			return fmt.Errorf("pid is %d", pid)
		}
		return nil
	})
	second := readPid(l.pid("a"))
	stop()
	if alive(second) {
		t.Errorf("pid %d outlived its supervisor", second)
	}
	log, err := os.ReadFile(l.log("a"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "a ended (signal: killed)") {
		t.Errorf("log does not say that a was killed:\n%s", log)
	}
}

func TestSupervisorFollowsProcessFiles(t *testing.T) {
	l := supervised(t)
	addChild(t, l, "a")
	stop := startTestSupervisor(t, l)
	defer stop()
	addChild(t, l, "b")
	if err := hangup(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b", func() error { return running(l, "b") })
	if err := os.Remove(filepath.Join(l.processes(), "a.json")); err != nil {
		t.Fatal(err)
	}
	if err := hangup(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a to stop", func() error {
		if running(l, "a") == nil {
			return errors.New("a still runs")
		}
		return nil
	})
	if err := running(l, "b"); err != nil {
		t.Error(err)
	}
}

func TestForwardCarriesBothWays(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		line, _ := bufio.NewReader(conn).ReadString('\n')
		fmt.Fprintf(conn, "echo %s", line)
	}()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := forward{Listen: free.Addr().String(), To: server.Addr().String()}
	free.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.run(ctx) }()
	var conn net.Conn
	eventually(t, "the forwarder", func() (err error) {
		conn, err = net.Dial("tcp", f.Listen)
		return err
	})
	fmt.Fprintln(conn, "hello")
	got, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || got != "echo hello\n" {
		t.Errorf("read %q, %v; want %q", got, err, "echo hello\n")
	}
	conn.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}
