package clustertest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// session runs one of the harness's programs in a service of Harness.Programs.
func (s *suite) session(ctx context.Context, t *testing.T, id markettypes.LeaseID, terminal bool, st cluster.Streams, program ...string) (int, error) {
	t.Helper()
	return s.Cluster.Exec(ctx, id, cluster.ExecOptions{
		Target: cluster.Target{Service: "app"}, Command: s.Program(program...), Terminal: terminal,
	}, st)
}

// testExec holds what a program in an instance reads and writes, and how its end is told.
func testExec(t *testing.T, s *suite) {
	id := s.lease(t)
	s.apply(t, Workload(id, s.Programs("app"), Service("web", s.Image)))
	s.awaitReady(t, id)
	ctx := t.Context()

	var out, errs bytes.Buffer
	code, err := s.session(ctx, t, id, false, cluster.Streams{Stdout: &out, Stderr: &errs}, "write", "one", "two")
	if code != 0 || err != nil || out.String() != "one\n" || errs.String() != "two\n" {
		t.Errorf("write: code %d, %v, output %q and %q", code, err, out.String(), errs.String())
	}
	for _, want := range []int{1, 3, 255} {
		if code, err := s.session(ctx, t, id, false, cluster.Streams{}, "exit", fmt.Sprint(want)); code != want || err != nil {
			t.Errorf("exit %d: code %d, %v", want, code, err)
		}
	}
	// What is read ends with the reader, and every byte comes back.
	sent := bytes.Repeat([]byte("0123456789abcdef\x00\xff\r\n"), 50_000)
	out.Reset()
	code, err = s.session(ctx, t, id, false, cluster.Streams{Stdin: bytes.NewReader(sent), Stdout: &out}, "cat")
	if code != 0 || err != nil || !bytes.Equal(out.Bytes(), sent) {
		t.Errorf("cat of %d bytes: code %d, %v, %d bytes, equal %v", len(sent), code, err, out.Len(), bytes.Equal(out.Bytes(), sent))
	}
	out.Reset()
	code, err = s.session(ctx, t, id, false, cluster.Streams{Stdout: &out}, "cat")
	if code != 0 || err != nil || out.Len() > 0 {
		t.Errorf("cat of nothing: code %d, %v, %q", code, err, out.String())
	}
	s.checkNoProgram(t, id)
}

// checkNoProgram holds what is told of a program that is not there, and of none.
func (s *suite) checkNoProgram(t *testing.T, id markettypes.LeaseID) {
	t.Helper()
	var errs bytes.Buffer
	opts := cluster.ExecOptions{Target: cluster.Target{Service: "app"}, Command: []string{"no-such-program"}}
	if code, err := s.Cluster.Exec(t.Context(), id, opts, cluster.Streams{Stderr: &errs}); code != 127 || err != nil || !strings.Contains(errs.String(), "no-such-program") {
		t.Errorf("a program that is not there: code %d, %v, %q", code, err, errs.String())
	}
	opts.Command = nil
	if _, err := s.Cluster.Exec(t.Context(), id, opts, cluster.Streams{}); !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("no program: got %v, want ErrRefused", err)
	}
}

// testExecTerminal holds that a program gets a terminal that follows sizes, and that the end of the context ends it.
func testExecTerminal(t *testing.T, s *suite) {
	id := s.lease(t)
	s.apply(t, Workload(id, s.Programs("app")))
	s.awaitReady(t, id)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sizes := make(chan cluster.TerminalSize, 1)
	sizes <- cluster.TerminalSize{Width: 80, Height: 24}
	stdin, keyboard := io.Pipe() // a terminal is not closed by what is typed
	defer func() { _ = keyboard.Close() }()
	screen, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := s.session(ctx, t, id, true, cluster.Streams{Stdin: stdin, Stdout: stdout, Sizes: sizes}, "size")
		_ = stdout.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(screen)
	expect := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.TrimSpace(lines.Text()) == want {
				return
			}
		}
		t.Fatalf("the terminal never was %s: %v, %v", want, lines.Err(), <-ended)
	}
	expect("80x24")
	sizes <- cluster.TerminalSize{Width: 132, Height: 43}
	expect("132x43")
	cancel()
	go func() { _, _ = io.Copy(io.Discard, screen) }()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a session whose context has ended: got %v", err)
	}
}

// testSessionTargets holds which instances sessions reach, and how it is told that there are none.
func testSessionTargets(t *testing.T, s *suite) {
	id := s.lease(t)
	bad, app := Service("bad", s.MissingImage), s.Programs("app")
	w := Workload(id, app, bad)
	s.apply(t, w)
	s.await(t, "the program's service ready", func() (bool, string) {
		all := s.status(t, id)
		return find(t, all, "app").Ready == 1 && find(t, all, "bad").Failed, fmt.Sprintf("%+v", all)
	})
	run := func(target cluster.Target) error {
		_, err := s.Cluster.Exec(t.Context(), id, cluster.ExecOptions{Target: target, Command: s.Program("exit", "0")}, cluster.Streams{})
		return err
	}
	connect := func(target cluster.Target) error {
		conn, err := s.Cluster.Forward(t.Context(), id, cluster.ForwardOptions{Target: target, Port: 8080})
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	named := ""
	s.await(t, "an instance by name", func() (bool, string) {
		all := s.events(t, id, cluster.EventOptions{Service: "app"})
		for _, e := range all {
			if e.Instance != "" {
				named = e.Instance
			}
		}
		return named != "", fmt.Sprintf("%+v", all)
	})
	other := s.lease(t)
	for name, do := range map[string]func(cluster.Target) error{"exec": run, "forward": connect} {
		if err := do(cluster.Target{Service: "app", Instance: named}); err != nil {
			t.Errorf("%s in instance %s: %v", name, named, err)
		}
		if err := do(cluster.Target{Service: "nobody"}); !errors.Is(err, cluster.ErrNotFound) {
			t.Errorf("%s in an unknown service: got %v", name, err)
		}
		if err := do(cluster.Target{Service: "app", Instance: "manifest"}); !errors.Is(err, cluster.ErrNotFound) {
			t.Errorf("%s in an unknown instance: got %v", name, err)
		}
		if err := do(cluster.Target{Service: "bad", Instance: named}); !errors.Is(err, cluster.ErrNotFound) {
			t.Errorf("%s in an instance of another service: got %v", name, err)
		}
		if text, refused := cluster.Refusal(do(cluster.Target{Service: "bad"})); !refused || !strings.Contains(text, "bad") {
			t.Errorf("%s in a service without instances: refused %v with %q", name, refused, text)
		}
	}
	if _, err := s.Cluster.Exec(t.Context(), other, cluster.ExecOptions{Target: cluster.Target{Service: "app"}, Command: s.Program("exit", "0")}, cluster.Streams{}); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("exec in an unknown lease: got %v", err)
	}
	w.Suspended = true
	s.apply(t, w)
	s.awaitSuspended(t, w)
	s.await(t, "suspended services to refuse sessions", func() (bool, string) {
		err := run(cluster.Target{Service: "app"})
		text, refused := cluster.Refusal(err)
		return refused && strings.Contains(text, "suspended"), fmt.Sprint(err)
	})
	if err := s.Cluster.Restart(t.Context(), id, "app"); !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("restart while suspended: got %v", err)
	}
}

// testForward holds that a port of an instance is reached whether the manifest exposes it or not, and that one that
// nobody listens on is told from one that cannot be reached.
func testForward(t *testing.T, s *suite) {
	id := s.lease(t)
	s.apply(t, Workload(id, Service("web", s.Image)))
	s.awaitReady(t, id)
	var group sync.WaitGroup
	for range 3 { // at once
		group.Go(func() {
			conn, err := s.Cluster.Forward(t.Context(), id, cluster.ForwardOptions{Target: cluster.Target{Service: "web"}, Port: 8080})
			if err != nil {
				t.Errorf("Forward: %v", err)
				return
			}
			defer func() { _ = conn.Close() }()
			in := bufio.NewReader(conn)
			for range 2 { // the connection stays
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: here\r\n\r\n"); err != nil {
					t.Errorf("write: %v", err)
					return
				}
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || len(body) == 0 {
					t.Errorf("answer %s with %q, %v", resp.Status, body, err)
				}
				_ = resp.Body.Close()
			}
		})
	}
	group.Wait()
	conn, err := s.Cluster.Forward(t.Context(), id, cluster.ForwardOptions{Target: cluster.Target{Service: "web"}, Port: 9})
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if text, refused := cluster.Refusal(err); !refused || !strings.Contains(text, "port 9 ") {
		t.Errorf("a port that nobody listens on: got %v", err)
	}
	for _, port := range []uint32{0, 65536} {
		if _, err := s.Cluster.Forward(t.Context(), id, cluster.ForwardOptions{Target: cluster.Target{Service: "web"}, Port: port}); !errors.Is(err, cluster.ErrRefused) {
			t.Errorf("port %d: got %v", port, err)
		}
	}
}

// testRestart holds that a service gets new instances without a gap, once, whatever is applied or started again then.
func testRestart(t *testing.T, s *suite) {
	id := s.lease(t)
	web, db := Service("web", s.Image), Service("db", s.Image)
	web.Env = []manifesttypes.EnvVar{{Name: "A", Value: "b"}}
	w := Workload(id, db, web)
	s.apply(t, w)
	s.awaitReady(t, id)
	lines := func(service string) []cluster.LogLine {
		return readAll(t, s.logs(t, w, cluster.LogOptions{Service: service}))
	}
	settled := func(service, before string) string {
		after := ""
		s.await(t, "the lines of one new instance of "+service, func() (bool, string) {
			all := lines(service)
			after = fmt.Sprint(all)
			one := len(all) > 0
			for _, l := range all {
				one = one && l.Instance == all[0].Instance
			}
			return one && after != before, after
		})
		return after
	}
	before, other := settled("web", ""), settled("db", "")

	if err := s.Cluster.Restart(t.Context(), id, "web"); err != nil {
		t.Fatal(err)
	}
	s.await(t, "the restart", func() (bool, string) {
		st := s.status(t, id)
		if sv := find(t, st, "web"); sv.Ready < sv.Desired {
			t.Fatalf("a restart left a gap: %+v", st)
		}
		return Complete(st)
	})
	after := settled("web", before)
	sameWorkload(t, s.list(t)[id].Workload, w)

	s.apply(t, w)
	s.apply(t, s.list(t)[id].Workload)
	if ok, what := Complete(s.status(t, id)); !ok || fmt.Sprint(lines("web")) != after {
		t.Errorf("applying the manifest again restarted it again: %s, lines %v, before %s", what, lines("web"), after)
	}
	if now := fmt.Sprint(lines("db")); now != other {
		t.Errorf("the restart of one service touched another: %s, before %s", now, other)
	}
	if err := s.Cluster.Restart(t.Context(), id, "nobody"); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("restart of an unknown service: got %v", err)
	}
	if err := s.Cluster.Restart(t.Context(), s.lease(t), "web"); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("restart in an unknown lease: got %v", err)
	}
	s.Cluster = s.Harness.Restart(t)
	s.apply(t, s.list(t)[id].Workload)
	if ok, what := Complete(s.status(t, id)); !ok {
		t.Errorf("a provider that starts again disturbed it: %s", what)
	}
	if !s.Forgets {
		if now := fmt.Sprint(lines("web")); now != after {
			t.Errorf("a provider that starts again restarted it again: %s, before %s", now, after)
		}
	}
}

// events reads a stream to its end.
func (s *suite) events(t *testing.T, id markettypes.LeaseID, o cluster.EventOptions) []cluster.Event {
	t.Helper()
	st, err := s.Cluster.Events(t.Context(), id, o)
	if err != nil {
		t.Fatalf("Events(%+v): %v", o, err)
	}
	defer func() { _ = st.Close() }()
	var all []cluster.Event
	for {
		e, err := st.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
		all = append(all, e)
	}
}

// testEvents holds what is told of what happened to a lease.
func testEvents(t *testing.T, s *suite) {
	id := s.lease(t)
	s.apply(t, Workload(id, Service("bad", s.MissingImage), Service("web", s.Image)))
	s.await(t, "events of both services", func() (bool, string) {
		s.status(t, id)
		all := s.events(t, id, cluster.EventOptions{})
		started := slices.ContainsFunc(all, func(e cluster.Event) bool {
			return e.Service == "web" && e.Instance != "" && e.Kind == "Started" && !e.Warning
		})
		failed := slices.ContainsFunc(all, func(e cluster.Event) bool { return e.Service == "bad" && e.Warning })
		return started && failed && len(all) > 0 && all[0].Time.Before(time.Now().Add(time.Second)), fmt.Sprintf("%+v", all)
	})
	s.checkEvents(t, id)
	s.checkEventsFollowed(t, id)
}

// checkEvents holds the form of events and what is selected of them.
func (s *suite) checkEvents(t *testing.T, id markettypes.LeaseID) {
	t.Helper()
	all := s.events(t, id, cluster.EventOptions{})
	for i, e := range all {
		if e.Time.IsZero() || e.Kind == "" || e.Count == 0 || i > 0 && e.Time.Before(all[i-1].Time) {
			t.Errorf("event %d is %+v, after %+v", i, e, all[max(0, i-1)])
		}
	}
	if all[0].Service == "" && all[0].Kind != cluster.EventManifest {
		t.Errorf("the first event is %+v, want the manifest", all[0])
	}
	for _, e := range s.events(t, id, cluster.EventOptions{Service: "web"}) {
		if e.Service != "web" {
			t.Errorf("an event of web is %+v", e)
		}
	}
	if late := s.events(t, id, cluster.EventOptions{Since: time.Now().Add(time.Hour)}); len(late) > 0 {
		t.Errorf("events of the future: %+v", late)
	}
	if _, err := s.Cluster.Events(t.Context(), id, cluster.EventOptions{Service: "nobody"}); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("events of an unknown service: got %v", err)
	}
	if _, err := s.Cluster.Events(t.Context(), s.lease(t), cluster.EventOptions{}); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("events of an unknown lease: got %v", err)
	}
}

// checkEventsFollowed holds that a stream tells what happens, and that closing it ends who waits.
func (s *suite) checkEventsFollowed(t *testing.T, id markettypes.LeaseID) {
	t.Helper()
	st, err := s.Cluster.Events(t.Context(), id, cluster.EventOptions{Service: "web", Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan cluster.Event)
	done := make(chan error, 1)
	go func() {
		defer close(next)
		for {
			e, err := st.Next()
			if err != nil {
				done <- err
				return
			}
			next <- e
		}
	}()
	if err := s.Cluster.Restart(t.Context(), id, "web"); err != nil {
		t.Fatal(err)
	}
	patience := time.After(time.Minute)
	for told := false; !told; {
		select {
		case e, ok := <-next:
			if told = e.Kind == cluster.EventRestarted && e.Service == "web"; !ok {
				t.Fatalf("the stream ended before the restart was told: %v", <-done)
			}
		case <-patience:
			t.Fatal("the restart was never told")
		}
	}
	go func() {
		for range next { // what was read before may still come
		}
	}()
	if err := st.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Errorf("a stream that was closed ends with %v", err)
	}
}

// testUsage holds that a cluster tells what instances use, or that it does not know.
func testUsage(t *testing.T, s *suite) {
	id := s.lease(t)
	if _, err := s.Cluster.Usage(t.Context(), id); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("usage of an unknown lease: got %v", err)
	}
	s.apply(t, Workload(id, Service("web", s.Image)))
	s.awaitReady(t, id)
	if !s.Measures {
		if u, err := s.Cluster.Usage(t.Context(), id); !errors.Is(err, cluster.ErrUnknown) {
			t.Errorf("usage where nothing is measured: got %+v, %v, want ErrUnknown", u, err)
		}
		return
	}
	s.await(t, "what the instance uses", func() (bool, string) {
		all, err := s.Cluster.Usage(t.Context(), id)
		if err != nil {
			t.Fatalf("Usage: %v", err)
		}
		ok := len(all) == 1 && all[0].Service == "web" && all[0].Instance != "" && all[0].Memory > 0 && !all[0].Time.IsZero()
		return ok, fmt.Sprintf("%+v", all)
	})
}

// testLogsPrevious holds that what an instance wrote before it was started last can be read.
func testLogsPrevious(t *testing.T, s *suite) {
	id := s.lease(t)
	w := Workload(id, s.Crashing("bad"), Service("good", s.Image))
	s.apply(t, w)
	s.await(t, "the lines of a former run", func() (bool, string) {
		all := s.status(t, id)
		lines := readAll(t, s.logs(t, w, cluster.LogOptions{Previous: true, Tail: 60}))
		ok := len(lines) == 60 && find(t, all, "bad").Failed
		for i, l := range lines {
			ok = ok && l.Service == "bad" && l.Instance != "" && l.Line == fmt.Sprintf("line %d", i+1)
		}
		return ok, fmt.Sprintf("%d lines, %+v", len(lines), all)
	})
	if got := readAll(t, s.logs(t, w, cluster.LogOptions{Previous: true, Follow: true, Service: "good"})); len(got) > 0 {
		t.Errorf("a service that was started once has a former run: %+v", got)
	}
}
