package kube

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
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
	"pgregory.net/rapid"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

// nodeAgent stands in for what is behind the API server: containers that run programs and listen on ports. It is reached
// over WebSocket, or over SPDY alone if old says so.
type nodeAgent struct {
	old bool
	// run is a program in a container; it returns what the kubelet tells of its end.
	run runFunc
	// listen is what listens on a port; it returns what the kubelet tells of the end of the connection.
	listen func(port string, conn io.ReadWriteCloser) string
}

type runFunc = func(q url.Values, stdin io.Reader, stdout, stderr io.Writer, sizes io.Reader) metav1.Status

// serve implements apiServer.stream.
func (k *nodeAgent) serve(w http.ResponseWriter, r *http.Request) bool {
	exec, forward := strings.HasSuffix(r.URL.Path, "/exec"), strings.HasSuffix(r.URL.Path, "/portforward")
	switch {
	case !exec && !forward:
		return false
	case r.Method == http.MethodGet && k.old:
		http.Error(w, "no WebSocket here", http.StatusBadRequest)
	case exec && r.Method == http.MethodGet:
		k.execSocket(w, r)
	case exec:
		k.execSPDY(w, r)
	default:
		k.forward(w, r)
	}
	return true
}

func (k *nodeAgent) execSocket(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{Subprotocols: []string{remotecommand.StreamProtocolV5Name}}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	stdin, typed := io.Pipe()
	sizes, resized := io.Pipe()
	go func() {
		into := map[byte]*io.PipeWriter{remotecommand.StreamStdIn: typed, remotecommand.StreamResize: resized}
		for {
			_, data, err := conn.ReadMessage()
			if err != nil {
				_ = typed.CloseWithError(err)
				_ = resized.CloseWithError(err)
				return
			}
			if data[0] == remotecommand.StreamClose {
				_ = into[data[1]].Close()
			} else if _, err := into[data[0]].Write(data[1:]); err != nil {
				return
			}
		}
	}()
	out := make(chan []byte)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for data := range out {
			_ = conn.WriteMessage(websocket.BinaryMessage, data)
		}
	}()
	st := k.run(r.URL.Query(), stdin, channel{out, remotecommand.StreamStdOut}, channel{out, remotecommand.StreamStdErr}, sizes)
	if _, err := (channel{out, remotecommand.StreamErr}).Write(mustJSON(st)); err != nil {
		panic(err) // it returns none
	}
	close(out)
	<-written
	_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
}

// channel writes to one of the streams of a WebSocket.
type channel struct {
	out chan<- []byte
	id  byte
}

func (c channel) Write(p []byte) (int, error) {
	c.out <- append([]byte{c.id}, p...)
	return len(p), nil
}

func (k *nodeAgent) execSPDY(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if _, err := httpstream.Handshake(r, w, []string{remotecommand.StreamProtocolV4Name}); err != nil {
		return
	}
	want := 1
	for _, name := range []string{"stdin", "stdout", "stderr", "tty"} {
		if q.Get(name) == "true" {
			want++
		}
	}
	streams := make(chan httpstream.Stream, want)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	got := map[string]httpstream.Stream{}
	for range want {
		s := <-streams
		got[s.Headers().Get(corev1.StreamType)] = s
	}
	var stdin, sizes io.Reader = strings.NewReader(""), strings.NewReader("")
	if s := got[corev1.StreamTypeStdin]; s != nil {
		stdin = s
	}
	if s := got[corev1.StreamTypeResize]; s != nil {
		sizes = s
	}
	stderr := io.Discard
	if s := got[corev1.StreamTypeStderr]; s != nil {
		stderr = s
	}
	st := k.run(q, stdin, got[corev1.StreamTypeStdout], stderr, sizes)
	_, _ = got[corev1.StreamTypeError].Write(mustJSON(st))
	for _, s := range got {
		_ = s.Close()
	}
	<-conn.CloseChan()
}

func (k *nodeAgent) forward(w http.ResponseWriter, r *http.Request) {
	streams := make(chan httpstream.Stream, 2)
	take := func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	}
	var conn httpstream.Connection
	if r.Method == http.MethodGet {
		up := websocket.Upgrader{Subprotocols: []string{"SPDY/3.1+" + portforward.PortForwardProtocolV1Name}}
		socket, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		if conn, err = spdy.NewServerConnection(portforward.NewTunnelingConnection("server", socket), take); err != nil {
			return
		}
	} else {
		if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
			return
		}
		if conn = spdy.NewResponseUpgrader().UpgradeResponse(w, r, take); conn == nil {
			return
		}
	}
	defer func() { _ = conn.Close() }()
	failures, data := <-streams, <-streams
	if why := k.listen(data.Headers().Get(corev1.PortHeader), data); why != "" {
		_, _ = io.WriteString(failures, why)
	}
	_ = failures.Close()
	_ = data.Close()
	<-conn.CloseChan()
}

var ok = metav1.Status{Status: metav1.StatusSuccess}

// program is what the containers of the tests run.
func program(q url.Values, stdin io.Reader, stdout, stderr io.Writer, sizes io.Reader) metav1.Status {
	failed := func(message string) metav1.Status {
		return metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Message: "error executing command in container: " + message}
	}
	switch command := q["command"]; command[0] {
	case "write":
		_, _ = fmt.Fprintln(stdout, command[1])
		_, _ = fmt.Fprintln(stderr, command[2])
	case "cat":
		if q.Get("stdin") == "true" {
			_, _ = io.Copy(stdout, stdin)
		}
	case "size":
		for in := json.NewDecoder(sizes); ; {
			var s cluster.TerminalSize
			if in.Decode(&s) != nil {
				return ok
			}
			_, _ = fmt.Fprintf(stdout, "%dx%d %s\n", s.Width, s.Height, q.Get("tty"))
		}
	case "exit":
		return metav1.Status{
			Status: metav1.StatusFailure, Reason: remotecommand.NonZeroExitCodeReason,
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: remotecommand.ExitCodeCauseType, Message: command[1]}}},
		}
	case "ended":
		return failed("container is not created or running")
	case "broken":
		return failed("the runtime is out of order")
	case "/etc":
		return failed(`OCI runtime exec failed: exec failed: unable to start container process: exec: "/etc": is a directory`)
	default:
		return failed(`failed to start exec: OCI runtime exec failed: unable to start container process: exec: "x": executable file not found in $PATH`)
	}
	return ok
}

// shelled gives the containers of the tests a shell that does as shellScript says.
func shelled(run runFunc) runFunc {
	return func(q url.Values, stdin io.Reader, stdout, stderr io.Writer, sizes io.Reader) metav1.Status {
		command := q["command"]
		if len(command) < 6 || command[0] != shell || command[2] != shellScript {
			return run(q, stdin, stdout, stderr, sizes)
		}
		mark := command[4]
		_, _ = fmt.Fprintln(stdout, mark)
		st := run(url.Values{"command": command[5:], "stdin": q["stdin"]}, stdin, stdout, stderr, sizes)
		code := "0"
		if st.Details != nil {
			code = st.Details.Causes[0].Message
		}
		_, _ = fmt.Fprintln(stdout, mark, code)
		_, _ = fmt.Fprintln(stderr, mark, code)
		_, _ = io.Copy(io.Discard, stdin)
		return st
	}
}

// stuck does as containerd does: it tells nothing of the end of a program that left some of its input, until the test ends.
func stuck(t *testing.T, run runFunc) runFunc {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(q url.Values, stdin io.Reader, stdout, stderr io.Writer, sizes io.Reader) metav1.Status {
		st := run(q, stdin, stdout, stderr, sizes)
		if n, _ := stdin.Read(make([]byte, 1)); n > 0 {
			<-over
		}
		return st
	}
}

// endless is input that has no end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestExecEndsWithItsProgram holds that the end of a program ends its session with its code, whatever of its input was not
// read, and that the shell which sees to that shows in nothing else.
func TestExecEndsWithItsProgram(t *testing.T) {
	transports(t, func(t *testing.T, _ *apiServer, c *Cluster, k *nodeAgent) {
		k.run = stuck(t, shelled(program))
		for name, stdin := range map[string]func() io.Reader{
			"nothing": func() io.Reader { return strings.NewReader("") },
			"1 MiB":   func() io.Reader { return bytes.NewReader(make([]byte, 1<<20)) },
			"no end":  func() io.Reader { return endless{} },
			"silence": func() io.Reader { r, _ := io.Pipe(); return r },
		} {
			for _, want := range []int{0, 3} {
				o := cluster.ExecOptions{Target: cluster.Target{Service: "web"}, Command: []string{"exit", fmt.Sprint(want)}}
				if code, err := c.Exec(t.Context(), testLease, o, cluster.Streams{Stdin: stdin()}); code != want || err != nil {
					t.Errorf("input %s: code %d, %v, want code %d", name, code, err, want)
				}
			}
		}
		var out, errs bytes.Buffer
		o := cluster.ExecOptions{Target: cluster.Target{Service: "web"}, Command: []string{"write", "one", "two"}}
		code, err := c.Exec(t.Context(), testLease, o, cluster.Streams{Stdin: endless{}, Stdout: &out, Stderr: &errs})
		if code != 0 || err != nil || out.String() != "one\n" || errs.String() != "two\n" {
			t.Errorf("write: %d, %v, %q, %q", code, err, out.String(), errs.String())
		}
		out.Reset()
		o.Command = []string{"cat"}
		sent := strings.Repeat("0123456789abcdef", 10_000)
		if code, err := c.Exec(t.Context(), testLease, o, cluster.Streams{Stdin: strings.NewReader(sent), Stdout: &out}); code != 0 || err != nil || out.String() != sent {
			t.Errorf("cat: %d, %v, %d bytes", code, err, out.Len())
		}
	})
}

// TestWhatIsNoShell holds that a program is run without a shell, with all of its input, where something else stands in the
// shell's place.
func TestWhatIsNoShell(t *testing.T) {
	transports(t, func(t *testing.T, _ *apiServer, c *Cluster, k *nodeAgent) {
		k.run = func(q url.Values, stdin io.Reader, stdout, stderr io.Writer, sizes io.Reader) metav1.Status {
			if q.Get("command") != shell {
				return program(q, stdin, stdout, stderr, sizes)
			}
			_, _ = io.WriteString(stdout, "welcome\n")
			return program(url.Values{"command": {"exit", "2"}}, stdin, stdout, stderr, sizes)
		}
		var out bytes.Buffer
		o := cluster.ExecOptions{Target: cluster.Target{Service: "web"}, Command: []string{"cat"}}
		if code, err := c.Exec(t.Context(), testLease, o, cluster.Streams{Stdin: strings.NewReader("all of it"), Stdout: &out}); code != 0 || err != nil || out.String() != "all of it" {
			t.Errorf("cat: %d, %v, %q", code, err, out.String())
		}
	})
}

// TestMarks holds that marks are found however the output is cut, and that all else passes.
func TestMarks(t *testing.T) {
	const mark = "\x1eabc\x1eabd"
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("\x1eabcd \n")), 0, 40, -1).Filter(func(s string) bool { return !strings.Contains(s, mark) }).Draw(t, "text")
		ends := rapid.Bool().Draw(t, "ends")
		all := mark + "\n" + text
		if ends {
			all += mark + " 7\nnothing of this"
		}
		e, got := newShellEnd(mark), &bytes.Buffer{}
		e.left = 1
		w := e.watch(got, true)
		for all != "" {
			n := rapid.IntRange(1, len(all)).Draw(t, "piece")
			if _, err := w.Write([]byte(all[:n])); err != nil {
				t.Fatal(err)
			}
			all = all[n:]
		}
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-e.ended:
			if !ends || e.code != 7 {
				t.Fatalf("an end with code %d", e.code)
			}
		default:
			if ends {
				t.Fatal("the end was not seen")
			}
		}
		if got.String() != text {
			t.Fatalf("passed %q of %q", got.String(), text)
		}
	})
	// A program that knows the mark cannot make the provider keep what it writes.
	e := newShellEnd(mark)
	w := e.watch(io.Discard, false)
	for range 1000 {
		if _, err := w.Write([]byte(mark + " 1111")); err != nil {
			t.Fatal(err)
		}
		if len(w.held) > 100 {
			t.Fatalf("%d bytes are held", len(w.held))
		}
	}
}

// instanceOf puts a pod of a lease beside what was applied of it.
func instanceOf(s *apiServer, name, service string, change func(map[string]any)) {
	labels := map[string]any{}
	for k, v := range leaseLabels(testLease) {
		labels[k] = v
	}
	labels[labelService] = service
	p := map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": namespaceOf(testLease), "labels": labels, "uid": name},
		"status": map[string]any{
			"phase":             "Running",
			"conditions":        []any{map[string]any{"type": "Ready", "status": "True"}},
			"containerStatuses": []any{map[string]any{"name": service, "state": map[string]any{"running": map[string]any{}}}},
		},
	}
	if change != nil {
		change(p)
	}
	s.put("pods", p)
}

func transports(t *testing.T, test func(t *testing.T, s *apiServer, c *Cluster, k *nodeAgent)) {
	for name, old := range map[string]bool{"WebSocket": false, "SPDY": true} {
		t.Run(name, func(t *testing.T) {
			s, c := serve(t, Config{})
			apply(t, c, clustertest.Workload(testLease, clustertest.Service("web", "hello:1")))
			instanceOf(s, "web-1", "web", nil)
			k := &nodeAgent{old: old, run: program}
			s.mu.Lock()
			s.stream = k.serve
			s.mu.Unlock()
			test(t, s, c, k)
		})
	}
}

func TestExec(t *testing.T) {
	transports(t, func(t *testing.T, _ *apiServer, c *Cluster, _ *nodeAgent) {
		exec := func(st cluster.Streams, terminal bool, command ...string) (int, error) {
			o := cluster.ExecOptions{Target: cluster.Target{Service: "web"}, Command: command, Terminal: terminal}
			return c.Exec(t.Context(), testLease, o, st)
		}
		var out, errs bytes.Buffer
		if code, err := exec(cluster.Streams{Stdout: &out, Stderr: &errs}, false, "write", "one", "two"); code != 0 || err != nil || out.String() != "one\n" || errs.String() != "two\n" {
			t.Errorf("write: %d, %v, %q, %q", code, err, out.String(), errs.String())
		}
		out.Reset()
		sent := strings.Repeat("0123456789abcdef", 10_000)
		if code, err := exec(cluster.Streams{Stdin: strings.NewReader(sent), Stdout: &out}, false, "cat"); code != 0 || err != nil || out.String() != sent {
			t.Errorf("cat: %d, %v, %d bytes", code, err, out.Len())
		}
		out.Reset()
		sizes := make(chan cluster.TerminalSize, 2)
		sizes <- cluster.TerminalSize{Width: 80, Height: 24}
		ctx, cancel := context.WithCancel(t.Context())
		screen, stdout := io.Pipe()
		go func() {
			if _, err := screen.Read(make([]byte, 64)); err == nil {
				cancel()
			}
			_, _ = io.Copy(io.Discard, screen)
		}()
		o := cluster.ExecOptions{Target: cluster.Target{Service: "web"}, Command: []string{"size"}, Terminal: true}
		if _, err := c.Exec(ctx, testLease, o, cluster.Streams{Stdout: stdout, Sizes: sizes}); !errors.Is(err, context.Canceled) {
			t.Errorf("a session that is ended: %v", err)
		}
		_ = stdout.Close()
		for command, want := range map[string]int{"exit 3": 3, "exit 255": 255, "nope": 127, "/etc": 126} {
			errs.Reset()
			code, err := exec(cluster.Streams{Stderr: &errs}, false, strings.Fields(command)...)
			if code != want || err != nil || (want == 126 || want == 127) != strings.HasPrefix(errs.String(), command) {
				t.Errorf("%s: %d, %v, %q", command, code, err, errs.String())
			}
		}
		if _, err := exec(cluster.Streams{}, false, "ended"); !errors.Is(err, cluster.ErrRefused) {
			t.Errorf("a container that has ended: %v", err)
		}
		if _, err := exec(cluster.Streams{}, false, "broken"); err == nil || errors.Is(err, cluster.ErrRefused) || errors.Is(err, cluster.ErrNotFound) {
			t.Errorf("a runtime that is out of order: %v", err)
		}
	})
}

// TestSessionsStayInTheLease holds that what is not an instance of the lease's service cannot be named.
func TestSessionsStayInTheLease(t *testing.T) {
	s, c := serve(t, Config{})
	web, job := clustertest.Service("web", "hello:1"), clustertest.Service("db", "hello:1")
	apply(t, c, clustertest.Workload(testLease, job, web))
	label := func(k string, v any) func(map[string]any) {
		return func(p map[string]any) { p["metadata"].(map[string]any)["labels"].(map[string]any)[k] = v }
	}
	instanceOf(s, "stranger", "web", label(labelManagedBy, "somebody"))
	instanceOf(s, "other-lease", "web", label(labelLease, "lease-other"))
	instanceOf(s, "db-1", "db", nil)
	instanceOf(s, "hook-1", "web", label(labelJob, "hook"))
	instanceOf(s, "web-ended", "web", func(p map[string]any) { p["status"].(map[string]any)["phase"] = "Failed" })
	pick := func(service, name string) (string, error) {
		p, err := c.target(t.Context(), testLease, cluster.Target{Service: service, Instance: name})
		if err != nil {
			return "", err
		}
		return p.Name, nil
	}
	for _, name := range []string{"stranger", "other-lease", "db-1", "nobody", "../db-1"} {
		if got, err := pick("web", name); !errors.Is(err, cluster.ErrNotFound) {
			t.Errorf("instance %s: got %s, %v", name, got, err)
		}
	}
	if got, err := pick("web", ""); !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("a service without instances: got %s, %v", got, err)
	}
	if _, err := pick("web", "web-ended"); !errors.Is(err, cluster.ErrRefused) {
		t.Errorf("an instance that has ended: %v", err)
	}
	if got, err := pick("web", "hook-1"); got != "hook-1" {
		t.Errorf("a hook's run by its name: %s, %v", got, err)
	}
	instanceOf(s, "web-b", "web", func(p map[string]any) { p["status"].(map[string]any)["conditions"] = nil })
	if got, err := pick("web", ""); got != "web-b" {
		t.Errorf("the one that runs: %s, %v", got, err)
	}
	instanceOf(s, "web-d", "web", nil)
	instanceOf(s, "web-c", "web", nil)
	if got, err := pick("web", ""); got != "web-c" {
		t.Errorf("the first that is ready: %s, %v", got, err)
	}
}

func TestForward(t *testing.T) {
	transports(t, func(t *testing.T, _ *apiServer, c *Cluster, k *nodeAgent) {
		k.listen = func(port string, conn io.ReadWriteCloser) string {
			switch port {
			case "80":
				_, _ = io.Copy(conn, conn)
				return ""
			case "81":
				return "an error occurred forwarding: failed to connect to localhost:81 inside namespace x: dial tcp4 127.0.0.1:81: connect: connection refused"
			default:
				_, _ = io.WriteString(conn, "half")
				return "network namespace for sandbox \x1b[31mis closed"
			}
		}
		dial := func(port uint32) net.Conn {
			t.Helper()
			conn, err := c.Forward(t.Context(), testLease, cluster.ForwardOptions{Target: cluster.Target{Service: "web"}, Port: port})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		conn := dial(80)
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); string(got) != "hello" || err != nil {
			t.Errorf("the echo: %q, %v", got, err)
		}
		_, err := io.ReadAll(dial(81))
		if text, refused := cluster.Refusal(err); !refused || text != "nothing listens on port 81 of instance web-1" {
			t.Errorf("a port that nobody listens on: %v", err)
		}
		_, err = io.ReadAll(dial(82))
		if err == nil || errors.Is(err, cluster.ErrRefused) || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "is closed") {
			t.Errorf("a connection that broke: %v", err)
		}
	})
}
