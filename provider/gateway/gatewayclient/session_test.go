package gatewayclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/gatewayclient"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	markettypes "berth.dev/berth/x/market/types"
)

var web = cluster.Target{Service: "web"}

func TestExec(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	c, ctx, id := dial(t, provider(g), newSigner()), wait(t), g.Lease(owner)
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	var out, errs bytes.Buffer
	code, err := c.Exec(ctx, id, cluster.ExecOptions{Target: web, Command: []string{"cat", "-"}},
		cluster.Streams{Stdin: bytes.NewReader(data), Stdout: &out, Stderr: &errs})
	if err != nil || code != 3 {
		t.Fatalf("Exec = %d, %v, want 3", code, err)
	}
	if !bytes.Equal(out.Bytes(), data) || errs.String() != "[cat -]\n" {
		t.Errorf("%d bytes of output, want the %d that went in; on standard error %q", out.Len(), len(data), errs.String())
	}
	// Without anything to read, and without anywhere to write to.
	if code, err := c.Exec(ctx, id, cluster.ExecOptions{Target: web, Command: []string{"true"}}, cluster.Streams{}); err != nil || code != 3 {
		t.Errorf("Exec without streams = %d, %v", code, err)
	}
}

func TestExecOnATerminal(t *testing.T) {
	backend := gatewaytest.Obliging()
	sizes := make(chan cluster.TerminalSize, 1)
	resized := make(chan struct{})
	backend.ExecFunc = func(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error) {
		if s.Stderr != nil {
			return 0, errors.New("a terminal has one output")
		}
		defer close(resized)
		for {
			select {
			case size := <-s.Sizes:
				fmt.Fprintf(s.Stdout, "%dx%d ", size.Width, size.Height)
				if size.Height == 50 {
					return 0, nil
				}
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
	g := gatewaytest.Start(t, backend)
	c := dial(t, provider(g), newSigner())
	sizes <- cluster.TerminalSize{Width: 80, Height: 24}
	first := make(chan struct{})
	go func() {
		<-first
		sizes <- cluster.TerminalSize{Width: 100, Height: 50}
	}()
	var out strings.Builder
	to := writerFunc(func(p []byte) (int, error) {
		if out.Len() == 0 {
			close(first)
		}
		return out.Write(p)
	})
	code, err := c.Exec(wait(t), g.Lease(owner), cluster.ExecOptions{Target: web, Command: []string{"sh"}, Terminal: true},
		cluster.Streams{Stdin: strings.NewReader(""), Stdout: to, Sizes: sizes})
	if err != nil || code != 0 || out.String() != "80x24 100x50 " {
		t.Errorf("Exec = %d, %v, output %q", code, err, out.String())
	}
	<-resized
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// What keeps a program from running is told as of the other calls, whenever it comes.
func TestExecRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want error
		text string
	}{
		"not found":   {fmt.Errorf("no such service: %w", gateway.ErrNotFound), gatewayclient.ErrNotFound, "no such service"},
		"refused":     {fmt.Errorf("%w: suspended", gateway.ErrRefused), gatewayclient.ErrRefused, "suspended"},
		"unavailable": {fmt.Errorf("%w: the API server is away", gateway.ErrUnavailable), gatewayclient.ErrUnavailable, "lost the program"},
		"a fault":     {errors.New("secret cause"), gatewayclient.ErrUnavailable, "lost the program"},
	} {
		backend := gatewaytest.Obliging()
		backend.ExecFunc = func(context.Context, markettypes.LeaseID, cluster.ExecOptions, cluster.Streams) (int, error) {
			return 0, tc.err
		}
		backend.ForwardFunc = func(context.Context, markettypes.LeaseID, cluster.ForwardOptions) (net.Conn, error) {
			return nil, tc.err
		}
		g := gatewaytest.Start(t, backend)
		c := dial(t, provider(g), newSigner())
		_, err := c.Exec(wait(t), g.Lease(owner), cluster.ExecOptions{Target: web, Command: []string{"sh"}}, cluster.Streams{Stdin: neverReads(t)})
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: Exec = %v, want %v with %q", name, err, tc.want, tc.text)
		}
		_, err = c.Forward(wait(t), g.Lease(owner), cluster.ForwardOptions{Target: web, Port: 80})
		if !errors.Is(err, tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: Forward = %v, want %v", name, err, tc.want)
		}
	}
}

// neverReads is a terminal at which nobody types.
func neverReads(t *testing.T) io.Reader {
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	return r
}

// A caller who leaves ends the program.
func TestExecEndsWithItsContext(t *testing.T) {
	backend := gatewaytest.Obliging()
	running, ended := make(chan struct{}), make(chan struct{})
	backend.ExecFunc = func(ctx context.Context, _ markettypes.LeaseID, _ cluster.ExecOptions, _ cluster.Streams) (int, error) {
		close(running)
		<-ctx.Done()
		close(ended)
		return 0, ctx.Err()
	}
	g := gatewaytest.Start(t, backend)
	c := dial(t, provider(g), newSigner())
	ctx, cancel := context.WithCancel(wait(t))
	go func() {
		<-running
		cancel()
	}()
	if _, err := c.Exec(ctx, g.Lease(owner), cluster.ExecOptions{Target: web, Command: []string{"sh"}}, cluster.Streams{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Exec = %v, want that it was called off", err)
	}
	<-ended
}

// A program that reads nothing holds up what is typed, and neither client nor provider keeps more than some of it.
func TestExecHoldsUpWhatIsNotRead(t *testing.T) {
	backend := gatewaytest.Obliging()
	read := make(chan struct{})
	backend.ExecFunc = func(ctx context.Context, _ markettypes.LeaseID, _ cluster.ExecOptions, s cluster.Streams) (int, error) {
		select {
		case <-read:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		n, err := io.Copy(io.Discard, s.Stdin)
		fmt.Fprint(s.Stdout, n)
		return 0, err
	}
	g := gatewaytest.Start(t, backend)
	c := dial(t, provider(g), newSigner())
	const size = 16 << 20
	from := &counted{left: size}
	var out strings.Builder
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(wait(t), g.Lease(owner), cluster.ExecOptions{Target: web, Command: []string{"sh"}}, cluster.Streams{Stdin: from, Stdout: &out})
		done <- err
	}()
	// What has been taken stands still at some point, as nobody reads: looks some moments apart agree.
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := from.taken()
	for same := 0; same < 3 || last == 0; same++ {
		<-tick.C
		if now := from.taken(); now != last {
			last, same = now, 0
		}
	}
	if last > 1<<20 {
		t.Errorf("%d bytes were taken of a reader that nobody reads, want at most 1 MiB", last)
	}
	close(read)
	if err := <-done; err != nil || out.String() != fmt.Sprint(size) {
		t.Errorf("Exec = %v, the program read %s of %d bytes", err, out.String(), size)
	}
}

func TestForward(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	c, ctx := dial(t, provider(g), newSigner()), wait(t)
	conn, err := c.Forward(ctx, g.Lease(owner), cluster.ForwardOptions{Target: web, Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.RemoteAddr().String() != "web:80" {
		t.Errorf("RemoteAddr = %s", conn.RemoteAddr())
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	go func() {
		_, _ = conn.Write(data) // what comes back tells
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, %v, want the %d that were sent", len(got), err, len(data))
	}
	if err := conn.SetReadDeadline(time.Now()); err != nil {
		t.Errorf("SetReadDeadline = %v", err)
	}
}

// What was written before Close arrives, and the port learns that the connection is closed.
func TestForwardClose(t *testing.T) {
	backend := gatewaytest.Obliging()
	got := make(chan string, 1)
	backend.ForwardFunc = func(context.Context, markettypes.LeaseID, cluster.ForwardOptions) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			b, _ := io.ReadAll(there)
			got <- string(b)
		}()
		return half{here}, nil
	}
	g := gatewaytest.Start(t, backend)
	c := dial(t, provider(g), newSigner())
	conn, err := c.Forward(wait(t), g.Lease(owner), cluster.ForwardOptions{Target: web, Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "bye"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if s := <-got; s != "bye" {
		t.Errorf("the port got %q", s)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a closed connection can be read")
	}
}

// half is a connection whose writing end closes alone; here that closes all of it.
type half struct{ net.Conn }

func (h half) CloseWrite() error { return h.Close() }

// A port that goes away ends the connection; one that breaks says so.
func TestForwardBreaks(t *testing.T) {
	backend := gatewaytest.Obliging()
	there := make(chan net.Conn, 1)
	backend.ForwardFunc = func(context.Context, markettypes.LeaseID, cluster.ForwardOptions) (net.Conn, error) {
		a, b := net.Pipe()
		there <- b
		return a, nil
	}
	g := gatewaytest.Start(t, backend)
	c := dial(t, provider(g), newSigner())
	conn, err := c.Forward(wait(t), g.Lease(owner), cluster.ForwardOptions{Target: web, Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	(<-there).Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read = %v, want the end", err)
	}
	conn, err = c.Forward(wait(t), g.Lease(owner), cluster.ForwardOptions{Target: web, Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	g.Stop()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, gatewayclient.ErrUnavailable) {
		t.Errorf("Read after the provider stopped = %v, want ErrUnavailable", err)
	}
}

func TestEvents(t *testing.T) {
	backend := gatewaytest.Obliging()
	var asked cluster.EventOptions
	events := backend.EventsFunc
	backend.EventsFunc = func(ctx context.Context, id markettypes.LeaseID, o cluster.EventOptions) (cluster.EventStream, error) {
		asked = o
		return events(ctx, id, o)
	}
	g := gatewaytest.Start(t, backend)
	c := dial(t, provider(g), newSigner())
	o := gatewayclient.EventOptions{EventOptions: cluster.EventOptions{Service: "web", Follow: true, Since: time.Unix(0, 3)}}
	s, err := c.Events(wait(t), g.Lease(owner), o)
	if err != nil {
		t.Fatal(err)
	}
	if asked != o.EventOptions {
		t.Errorf("the backend was asked for %+v, want %+v", asked, o.EventOptions)
	}
	e, err := s.Next()
	want := cluster.Event{Time: time.Unix(0, 5), Service: "web", Instance: "web-0", Kind: "Pulled", Message: "pulled", Count: 2}
	if err != nil || e != want {
		t.Errorf("Next = %+v, %v, want %+v", e, err, want)
	}
	s.Close()
	if _, err := s.Next(); err == nil {
		t.Error("a closed stream gives events")
	}
	o.Follow = false
	if s, err = c.Events(wait(t), g.Lease(owner), o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Next(); err != nil {
		t.Error(err)
	}
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("Next at the end = %v", err)
	}
}

func TestRestart(t *testing.T) {
	backend := gatewaytest.Obliging()
	var service string
	n := 0
	backend.RestartFunc = func(_ context.Context, _ markettypes.LeaseID, s string) error {
		service = s
		if n++; n > 1 {
			return gateway.ErrUnavailable
		}
		return nil
	}
	g := gatewaytest.Start(t, backend)
	c := dial(t, provider(g), newSigner())
	if err := c.Restart(wait(t), g.Lease(owner), "web"); err != nil || service != "web" {
		t.Errorf("Restart = %v, of %q", err, service)
	}
	if err := c.Restart(wait(t), g.Lease(owner), "web"); !errors.Is(err, gatewayclient.ErrUnavailable) || n != 2 {
		t.Errorf("Restart = %v after %d calls, want ErrUnavailable at once", err, n)
	}
}

// counted gives zeros and counts them.
type counted struct {
	mu   sync.Mutex
	n    int
	left int
}

func (c *counted) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(p), c.left-c.n)
	if n == 0 {
		return 0, io.EOF
	}
	c.n += n
	return n, nil
}

func (c *counted) taken() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
