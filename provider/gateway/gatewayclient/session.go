package gatewayclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway/internal/wire"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// chunk is the most data sent in one message; providers take twice that.
const chunk = 32 << 10

// Restart replaces the instances of a service by new ones of the same manifest. It returns when the provider's cluster
// has taken it; LeaseStatus shows how far it is. It is asked once only, as a repeat would restart once more.
func (c *Client) Restart(ctx context.Context, id markettypes.LeaseID, service string) error {
	_, err := once(ctx, c, call[gatewaytypes.RestartResponse]{op: "restart " + service, timeout: c.waits.Put, token: true,
		do: func(ctx context.Context) (*gatewaytypes.RestartResponse, error) {
			return c.api.Restart(ctx, &gatewaytypes.RestartRequest{Id: id, Service: service})
		}})
	return err
}

// openOnce opens a stream, and once more with a new token if the first one was turned away for its age.
func (c *Client) openOnce(ctx context.Context, op string, wait time.Duration, open func(context.Context) (headed, error), recv func() error) (end context.CancelFunc, number int, err error) {
	end, number, err = c.openStream(ctx, op, wait, open, recv)
	var t *turnedAway
	if errors.As(err, &t) && t.token && c.renew(number) {
		end, number, err = c.openStream(ctx, op, wait, open, recv)
	}
	return end, number, plain(err)
}

const execOp = "run a program"

// Exec runs a program in an instance of a lease until it ends or ctx does, and returns its exit code. All that it wrote
// has been written to the streams by then. It is asked once only. A read of s.Stdin may still be waiting when Exec
// returns, as reads cannot be called off; what it reads is lost.
func (c *Client) Exec(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (exitCode int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start := &gatewaytypes.ExecRequest{Id: id, Start: &gatewaytypes.ExecStart{
		Service: o.Service, Instance: o.Instance, Command: o.Command, Terminal: o.Terminal, Stdin: s.Stdin != nil,
	}}
	if o.Terminal && s.Sizes != nil {
		select { // the first size comes with the start, where there is one already
		case size := <-s.Sizes:
			start.TerminalSize = sizeMessage(size)
		default:
		}
	}
	var stream grpc.BidiStreamingClient[gatewaytypes.ExecRequest, gatewaytypes.ExecResponse]
	end, _, err := c.openOnce(ctx, execOp, c.waits.Call, func(ctx context.Context) (headed, error) {
		var err error
		if stream, err = c.api.Exec(ctx); err == nil {
			err = stream.Send(start)
		}
		if errors.Is(err, io.EOF) {
			err = nil // the answer says why
		}
		return stream, err
	}, func() error { _, err := stream.Recv(); return err })
	if err != nil {
		return 0, err
	}
	defer end()
	done := make(chan struct{})
	defer close(done)
	idle := c.newIdle(cancel)
	defer idle.stop()
	talk := &execTalk{stream: stream, cancel: cancel, done: done, idle: idle}
	if s.Stdin != nil {
		go talk.stdin(s.Stdin)
	}
	if o.Terminal && s.Sizes != nil {
		go talk.sizes(s.Sizes)
	}
	for {
		m, err := stream.Recv()
		idle.busy()
		switch {
		case errors.Is(err, io.EOF):
			return 0, c.explain(ctx, execOp, wire.Errorf(wire.Internal, "the provider ended the session without the program's exit code"))
		case err != nil:
			return 0, c.explain(ctx, execOp, err)
		case m.Exit != nil:
			return int(m.Exit.Code), nil
		}
		if err := show(m, s); err != nil {
			return 0, fmt.Errorf("%s: write its output: %w", execOp, err)
		}
	}
}

// idle ends a session in which nothing comes or goes for too long: the provider would have ended it before.
type idle struct {
	timer *time.Timer
	limit time.Duration
}

func (c *Client) newIdle(cancel context.CancelCauseFunc) *idle {
	limit := c.waits.Session
	return &idle{limit: limit, timer: time.AfterFunc(limit, func() {
		cancel(wire.Errorf(wire.Unavailable, "nothing came or went for %s", limit).
			Then("start it anew; if the provider stays silent, end the lease and take another bid"))
	})}
}

// busy puts the end off.
func (i *idle) busy() {
	if i.timer.Stop() { // else it has ended
		i.timer.Reset(i.limit)
	}
}

func (i *idle) stop() { i.timer.Stop() }

func sizeMessage(s cluster.TerminalSize) *gatewaytypes.TerminalSize {
	return &gatewaytypes.TerminalSize{Width: uint32(s.Width), Height: uint32(s.Height)}
}

// show writes a piece of output to where it belongs.
func show(m *gatewaytypes.ExecResponse, s cluster.Streams) error {
	for _, x := range []struct {
		to   io.Writer
		data []byte
	}{{s.Stdout, m.Stdout}, {s.Stderr, m.Stderr}} {
		if x.to == nil || len(x.data) == 0 {
			continue
		}
		if _, err := x.to.Write(x.data); err != nil {
			return err
		}
	}
	return nil
}

// execTalk sends what a program reads, from two goroutines.
type execTalk struct {
	stream grpc.BidiStreamingClient[gatewaytypes.ExecRequest, gatewaytypes.ExecResponse]
	cancel context.CancelCauseFunc
	done   chan struct{}
	idle   *idle
	mu     sync.Mutex
}

// send returns an error when the session is over, as Recv then says why.
func (t *execTalk) send(m *gatewaytypes.ExecRequest) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle.busy()
	return t.stream.Send(m)
}

func (t *execTalk) stdin(from io.Reader) {
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		if n > 0 && t.send(&gatewaytypes.ExecRequest{Stdin: buf[:n]}) != nil {
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = t.send(&gatewaytypes.ExecRequest{StdinEnd: true}) // the end of the session says more
			return
		case err != nil:
			t.cancel(fmt.Errorf("read what the program is to read: %w", err))
			return
		}
	}
}

func (t *execTalk) sizes(from <-chan cluster.TerminalSize) {
	for {
		select {
		case <-t.done:
			return
		case size, ok := <-from:
			if !ok || t.send(&gatewaytypes.ExecRequest{TerminalSize: sizeMessage(size)}) != nil {
				return
			}
		}
	}
}

const forwardOp = "connect to a port"

// Forward connects to a port of an instance of a lease. The connection ends with ctx; it has a method CloseWrite, which
// closes it for writing alone. An error that broke it is an error as of the other calls. The caller closes it.
func (c *Client) Forward(ctx context.Context, id markettypes.LeaseID, o cluster.ForwardOptions) (net.Conn, error) {
	ctx, stop := context.WithCancelCause(ctx)
	cancel := func() { stop(nil) }
	var stream grpc.BidiStreamingClient[gatewaytypes.PortForwardRequest, gatewaytypes.PortForwardResponse]
	_, _, err := c.openOnce(ctx, forwardOp, c.waits.Put, func(ctx context.Context) (headed, error) {
		var err error
		if stream, err = c.api.PortForward(ctx); err == nil {
			err = stream.Send(&gatewaytypes.PortForwardRequest{Id: id, Start: &gatewaytypes.PortForwardStart{
				Service: o.Service, Instance: o.Instance, Port: o.Port,
			}})
		}
		if errors.Is(err, io.EOF) {
			err = nil // the answer says why
		}
		return stream, err
	}, func() error { _, err := stream.Recv(); return err })
	if err != nil {
		cancel()
		return nil, err
	}
	idle := c.newIdle(stop)
	context.AfterFunc(ctx, idle.stop)
	f := &forwardedConn{remote: forwardAddr(fmt.Sprintf("%s:%d", o.Service, o.Port)), cancel: cancel, idle: idle, received: make(chan struct{})}
	var fromPort, toPort net.Conn
	f.in, fromPort = net.Pipe()
	f.out, toPort = net.Pipe()
	go f.receive(stream.Recv, fromPort, func(err error) error { return c.explain(ctx, forwardOp, err) })
	go send(stream, toPort, idle)
	return f, nil
}

// forwardedConn is a connection that goes through a provider: one pipe for each direction, so that each can end alone.
type forwardedConn struct {
	remote  forwardAddr
	in, out net.Conn
	cancel  context.CancelFunc
	idle    *idle
	// received is closed when nothing comes any more.
	received chan struct{}
	closing  sync.Once

	mu  sync.Mutex
	err error // what broke it
}

// receive gives to what comes from the port, until that ends. What comes after the connection was closed here is dropped.
func (f *forwardedConn) receive(recv func() (*gatewaytypes.PortForwardResponse, error), to net.Conn, explain func(error) error) {
	defer close(f.received)
	defer to.Close()
	ended := false
	for {
		m, err := recv()
		f.idle.busy()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			if !ended {
				f.broken(explain(err))
			}
			return
		}
		if len(m.Data) > 0 && !ended {
			_, err := to.Write(m.Data)
			ended = err != nil
		}
		if m.End {
			ended = true
			_ = to.Close() // never fails
		}
	}
}

func (f *forwardedConn) broken(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// send sends what is written to the port, until that ends.
func send(stream grpc.BidiStreamingClient[gatewaytypes.PortForwardRequest, gatewaytypes.PortForwardResponse], from net.Conn, idle *idle) {
	defer from.Close()
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		idle.busy()
		if n > 0 && stream.Send(&gatewaytypes.PortForwardRequest{Data: buf[:n]}) != nil {
			return // receiving says why
		}
		if err != nil {
			_ = stream.CloseSend() // never fails
			return
		}
	}
}

// Read implements net.Conn.
func (f *forwardedConn) Read(p []byte) (int, error) {
	n, err := f.in.Read(p)
	if errors.Is(err, io.EOF) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.err != nil {
			return n, f.err
		}
	}
	return n, err
}

// Write implements net.Conn.
func (f *forwardedConn) Write(p []byte) (int, error) { return f.out.Write(p) }

// CloseWrite ends what is written; what the port sends can still be read.
func (f *forwardedConn) CloseWrite() error { return f.out.Close() }

// closeWait is how long what was written before Close may be on its way.
const closeWait = 5 * time.Second

// Close implements net.Conn. It does not wait for what was written to arrive, but lets it.
func (f *forwardedConn) Close() error {
	f.closing.Do(func() {
		_, _ = f.in.Close(), f.out.Close() // never fail
		go func() {
			defer f.cancel()
			late := time.NewTimer(closeWait)
			defer late.Stop()
			select {
			case <-f.received:
			case <-late.C:
			}
		}()
	})
	return nil
}

// LocalAddr implements net.Conn.
func (f *forwardedConn) LocalAddr() net.Addr { return forwardAddr("here") }

// RemoteAddr implements net.Conn.
func (f *forwardedConn) RemoteAddr() net.Addr { return f.remote }

// SetDeadline implements net.Conn.
func (f *forwardedConn) SetDeadline(t time.Time) error {
	return errors.Join(f.SetReadDeadline(t), f.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (f *forwardedConn) SetReadDeadline(t time.Time) error {
	return unlessEnded(f.in.SetReadDeadline(t))
}

// SetWriteDeadline implements net.Conn.
func (f *forwardedConn) SetWriteDeadline(t time.Time) error {
	return unlessEnded(f.out.SetWriteDeadline(t))
}

// unlessEnded drops the error of a direction that has ended, to which no deadline matters.
func unlessEnded(err error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

// forwardAddr is SERVICE:PORT.
type forwardAddr string

// Network implements net.Addr.
func (forwardAddr) Network() string { return "berth" }

// String implements net.Addr.
func (a forwardAddr) String() string { return string(a) }
