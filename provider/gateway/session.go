package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/cosmos/gogoproto/jsonpb"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway/internal/strictjson"
	"berth.dev/berth/provider/gateway/internal/wire"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

const (
	// maxOutput is the most output in one message.
	maxOutput = 32 << 10
	// maxInstanceName is the longest name that a cluster gives an instance.
	maxInstanceName = 253
	// maxArguments and maxCommand bound a command, the latter in bytes.
	maxArguments = 1024
	maxCommand   = 32 << 10
)

// session is one program or forwarded connection while it lasts. It ends for the first of its reasons: that of the
// context it was opened with, idleness, or what the client did wrong.
type session struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	idle   *time.Timer
	limit  time.Duration
}

// open returns a session that ends when nothing has come or gone for the idle limit. The caller ends it.
func (s *Server) open(ctx context.Context) *session {
	x := &session{limit: s.cfg.Limits.SessionIdle}
	x.ctx, x.cancel = context.WithCancelCause(ctx)
	x.idle = time.AfterFunc(x.limit, func() { x.cancel(errSessionIdle) })
	return x
}

// busy puts the end by idleness off.
func (x *session) busy() {
	if x.idle.Stop() { // else it has ended
		x.idle.Reset(x.limit)
	}
}

func (x *session) end() {
	x.idle.Stop()
	x.cancel(nil)
}

// explain replaces an error that followed from the end of the session by the reason of that, and one that tells nothing
// by what else.
func (x *session) explain(err error, what *wire.Problem) error {
	switch {
	case err == nil:
		return nil
	case x.ctx.Err() != nil:
		return context.Cause(x.ctx)
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrRefused):
		return err
	}
	return fmt.Errorf("%w (%w)", what, err)
}

// What is said of sessions that break for a reason beyond client and gateway.
var (
	errProgramLost = wire.Errorf(wire.Unavailable, "the provider lost the program, or could not reach it").
			Then("it may have run, and may still: look before you start it again")
	errPortLost    = wire.Errorf(wire.Unavailable, "the connection to the port broke").Then("connect again")
	errUnreachable = wire.Errorf(wire.Unavailable, "the provider cannot reach the instance now").Then("try again; nothing was changed")
)

// runRestart replaces a service's instances.
func runRestart(ctx context.Context, b Backend, m proto.Message, out answer) error {
	req := m.(*gatewaytypes.RestartRequest)
	if req.Service == "" || len(req.Service) > maxServiceName {
		return wire.Errorf(wire.Invalid, "the service's name has %d characters, want 1 to %d", len(req.Service), maxServiceName)
	}
	if err := b.Restart(ctx, req.Id, req.Service); err != nil {
		return err
	}
	return out.send(&gatewaytypes.RestartResponse{})
}

// fillEvents reads the query of a JSON request.
func fillEvents(m proto.Message, q url.Values, _ []byte) (err error) {
	req := m.(*gatewaytypes.EventsRequest)
	if err := onlyKeys(q, "service", "follow", "since_unix_nano"); err != nil {
		return err
	}
	req.Service = q.Get("service")
	if req.Follow, err = parseBool(q, "follow"); err != nil {
		return err
	}
	req.SinceUnixNano, err = parseSince(q)
	return err
}

func runEvents(ctx context.Context, b Backend, m proto.Message, out answer) error {
	req := m.(*gatewaytypes.EventsRequest)
	since, err := checkStream(req.Service, req.SinceUnixNano)
	if err != nil {
		return err
	}
	events, err := b.Events(ctx, req.Id, cluster.EventOptions{Service: req.Service, Follow: req.Follow, Since: since})
	if err != nil {
		return err
	}
	closeEvents := sync.OnceFunc(func() { _ = events.Close() }) // they were read; how the stream closes matters to nobody
	defer closeEvents()
	defer context.AfterFunc(ctx, closeEvents)()
	if err := out.begin(); err != nil {
		return err
	}
	for {
		e, err := events.Next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read events: %w", err)
		}
		if err := out.send(eventMessage(e)); err != nil {
			return err
		}
	}
}

func eventMessage(e cluster.Event) *gatewaytypes.Event {
	out := &gatewaytypes.Event{
		Service: e.Service, Instance: e.Instance, Kind: e.Kind, Warning: e.Warning, Message: validText(e.Message), Count: max(1, e.Count),
	}
	if !e.Time.IsZero() {
		out.TimeUnixNano = e.Time.UnixNano()
	}
	return out
}

// fillExec and fillForward read the query of a WebSocket: what is asked stands in its first message.
func fillExec(_ proto.Message, q url.Values, _ []byte) error    { return onlyKeys(q) }
func fillForward(_ proto.Message, q url.Values, _ []byte) error { return onlyKeys(q) }

// fillRestart reads the JSON form of a RestartRequest.
func fillRestart(m proto.Message, q url.Values, body []byte) error {
	if err := onlyKeys(q); err != nil {
		return err
	}
	if err := strictjson.Check(body, "service"); err != nil {
		return err
	}
	return jsonpb.Unmarshal(bytes.NewReader(body), m)
}

// execOptions reads the first message of a program's client.
func execOptions(req *gatewaytypes.ExecRequest) (cluster.ExecOptions, error) {
	start := req.Start
	if start == nil {
		return cluster.ExecOptions{}, wire.Errorf(wire.Invalid, "the first message has no start")
	}
	o := cluster.ExecOptions{
		Target:  cluster.Target{Service: start.Service, Instance: start.Instance},
		Command: start.Command, Terminal: start.Terminal,
	}
	if err := checkTarget(o.Target); err != nil {
		return o, err
	}
	size := 0
	for _, arg := range o.Command {
		size += len(arg)
	}
	switch {
	case len(o.Command) == 0 || o.Command[0] == "":
		return o, wire.Errorf(wire.Invalid, "there is no command")
	case len(o.Command) > maxArguments || size > maxCommand:
		return o, wire.Errorf(wire.Invalid, "the command has %d arguments of %d bytes, at most %d of %d are allowed",
			len(o.Command), size, maxArguments, maxCommand).Then("send a script by standard input, to sh -s")
	}
	return o, checkExec(req, start)
}

// checkExec refuses a message to a program that was started so.
func checkExec(req *gatewaytypes.ExecRequest, start *gatewaytypes.ExecStart) error {
	switch {
	case req.TerminalSize != nil && !start.Terminal:
		return wire.Errorf(wire.Invalid, "terminal_size is set, and the program has no terminal")
	case req.TerminalSize != nil && (req.TerminalSize.Width > math.MaxUint16 || req.TerminalSize.Height > math.MaxUint16):
		return wire.Errorf(wire.Invalid, "a terminal of %d by %d characters is too large", req.TerminalSize.Width, req.TerminalSize.Height)
	case (len(req.Stdin) > 0 || req.StdinEnd) && !start.Stdin:
		return wire.Errorf(wire.Invalid, "stdin is sent, and start does not announce it")
	case len(req.Stdin) > maxChunk:
		return wire.Errorf(wire.TooLarge, "stdin has %d bytes, at most %d are allowed in a message", len(req.Stdin), maxChunk)
	}
	return nil
}

func checkTarget(t cluster.Target) error {
	switch {
	case t.Service == "" || len(t.Service) > maxServiceName:
		return wire.Errorf(wire.Invalid, "the service's name has %d characters, want 1 to %d", len(t.Service), maxServiceName)
	case len(t.Instance) > maxInstanceName:
		return wire.Errorf(wire.Invalid, "the instance's name is longer than %d", maxInstanceName)
	}
	return nil
}

// checkLater refuses what only a first message may have.
func checkLater(id markettypes.LeaseID, started bool) error {
	if id != (markettypes.LeaseID{}) || started {
		return wire.Errorf(wire.Invalid, "only the first message may have id and start")
	}
	return nil
}

// runExec runs a program for a client. Nothing is kept between the two but the message that is under way in each
// direction: one that is not taken holds the next one up, to the terminal or to the program.
func (s *Server) runExec(ctx context.Context, b Backend, m proto.Message, talk answer) error {
	first := m.(*gatewaytypes.ExecRequest)
	o, err := execOptions(first)
	if err != nil {
		return err
	}
	x := s.open(ctx)
	defer x.end()
	in, stdin := io.Pipe()
	defer in.Close() // a write that waits, of the goroutine below, ends
	defer context.AfterFunc(x.ctx, func() { _ = stdin.CloseWithError(context.Cause(x.ctx)) })()
	sizes := make(chan cluster.TerminalSize, 1)
	out := &sender{session: x, talk: talk}
	streams := cluster.Streams{Stdout: out.writer(func(b []byte) proto.Message { return &gatewaytypes.ExecResponse{Stdout: b} })}
	if !o.Terminal {
		streams.Stderr = out.writer(func(b []byte) proto.Message { return &gatewaytypes.ExecResponse{Stderr: b} })
	} else {
		streams.Sizes = sizes
	}
	if first.Start.Stdin {
		streams.Stdin = in
	}
	if err := talk.begin(); err != nil {
		return err
	}
	go func() {
		if err := hearExec(x, first, talk, stdin, sizes); err != nil {
			x.cancel(err)
		}
	}()
	code, err := b.Exec(x.ctx, first.Id, o, streams)
	if err != nil {
		return x.explain(err, errProgramLost)
	}
	return out.send(&gatewaytypes.ExecResponse{Exit: &gatewaytypes.ExecExit{Code: int32(code)}})
}

// hearExec gives a program what its client sends, until the client has no more to say.
func hearExec(x *session, first *gatewaytypes.ExecRequest, talk answer, stdin *io.PipeWriter, sizes chan cluster.TerminalSize) error {
	for msg := first; ; {
		if msg.TerminalSize != nil {
			select { // a size that was not taken yet counts no longer
			case <-sizes:
			default:
			}
			sizes <- cluster.TerminalSize{Width: uint16(msg.TerminalSize.Width), Height: uint16(msg.TerminalSize.Height)}
		}
		if len(msg.Stdin) > 0 {
			// A program that reads no more makes this fail, and may well go on.
			_, _ = stdin.Write(msg.Stdin)
		}
		if msg.StdinEnd {
			_ = stdin.Close() // never fails
		}
		x.busy()
		msg = &gatewaytypes.ExecRequest{}
		switch err := talk.next(msg); {
		case errors.Is(err, io.EOF):
			return stdin.Close()
		case err != nil:
			return err
		}
		if err := checkLater(msg.Id, msg.Start != nil); err != nil {
			return err
		}
		if err := checkExec(msg, first.Start); err != nil {
			return err
		}
	}
}

// sender sends a session's answers, which may come from several goroutines.
type sender struct {
	session *session
	talk    answer
	mu      sync.Mutex
}

func (s *sender) send(m proto.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session.busy()
	return s.talk.send(m)
}

// writer sends what is written to it, in messages that wrap makes of pieces.
func (s *sender) writer(wrap func([]byte) proto.Message) io.Writer {
	return writerFunc(func(p []byte) (n int, err error) {
		for len(p) > n {
			piece := p[n:min(len(p), n+maxOutput)]
			if err := s.send(wrap(piece)); err != nil {
				return n, err
			}
			n += len(piece)
		}
		return n, nil
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// runForward copies between a client and a port, one message at a time in each direction.
func (s *Server) runForward(ctx context.Context, b Backend, m proto.Message, talk answer) error {
	first := m.(*gatewaytypes.PortForwardRequest)
	o, err := forwardOptions(first)
	if err != nil {
		return err
	}
	x := s.open(ctx)
	defer x.end()
	conn, err := s.connect(x, b, first.Id, o)
	if err != nil {
		return x.explain(err, errUnreachable)
	}
	closeConn := sync.OnceFunc(func() { _ = conn.Close() }) // whatever was to be said was said by then
	defer closeConn()
	defer context.AfterFunc(x.ctx, closeConn)()
	if err := talk.begin(); err != nil {
		return err
	}
	out := &sender{session: x, talk: talk}
	if err := out.send(&gatewaytypes.PortForwardResponse{}); err != nil {
		return err
	}
	heard := make(chan error, 1)
	go func() {
		err := hearForward(x, first, talk, conn)
		if err != nil {
			x.cancel(err)
		}
		heard <- err
	}()
	to := out.writer(func(b []byte) proto.Message { return &gatewaytypes.PortForwardResponse{Data: b} })
	if _, err := io.CopyBuffer(to, onlyReader{conn}, make([]byte, maxOutput)); err != nil {
		return x.explain(err, errPortLost)
	}
	if err := out.send(&gatewaytypes.PortForwardResponse{End: true}); err != nil {
		return err
	}
	select {
	case err = <-heard:
		return err
	case <-x.ctx.Done():
		return context.Cause(x.ctx)
	}
}

// onlyReader hides what else a connection can do from io.CopyBuffer, which would take a buffer of its own choice.
type onlyReader struct{ io.Reader }

// connect opens the connection, within the time of a call.
func (s *Server) connect(x *session, b Backend, id markettypes.LeaseID, o cluster.ForwardOptions) (net.Conn, error) {
	late := time.AfterFunc(s.cfg.Limits.CallTimeout, func() { x.cancel(errTooSlow) })
	defer late.Stop()
	return b.Forward(x.ctx, id, o)
}

func forwardOptions(req *gatewaytypes.PortForwardRequest) (cluster.ForwardOptions, error) {
	if req.Start == nil {
		return cluster.ForwardOptions{}, wire.Errorf(wire.Invalid, "the first message has no start")
	}
	o := cluster.ForwardOptions{Target: cluster.Target{Service: req.Start.Service, Instance: req.Start.Instance}, Port: req.Start.Port}
	switch {
	case o.Port == 0 || o.Port > math.MaxUint16:
		return o, wire.Errorf(wire.Invalid, "port %d is not between 1 and 65535", o.Port)
	case len(req.Data) > maxChunk:
		return o, tooMuchData(req.Data)
	}
	return o, checkTarget(o.Target)
}

func tooMuchData(data []byte) *wire.Problem {
	return wire.Errorf(wire.TooLarge, "data has %d bytes, at most %d are allowed in a message", len(data), maxChunk)
}

// hearForward writes what a client sends to its connection, until the client has no more to say.
func hearForward(x *session, first *gatewaytypes.PortForwardRequest, talk answer, conn net.Conn) error {
	ended := false
	end := func() {
		// Where only the whole connection can be closed, it stays open: an answer may be under way.
		if half, ok := conn.(interface{ CloseWrite() error }); ok && !ended {
			_ = half.CloseWrite() // a connection that is lost shows in reading
		}
		ended = true
	}
	for msg := first; ; {
		if len(msg.Data) > 0 && !ended {
			if _, err := conn.Write(msg.Data); err != nil {
				ended = true // the port reads no more; what it still sends arrives
			}
		}
		if msg.End {
			end()
		}
		x.busy()
		msg = &gatewaytypes.PortForwardRequest{}
		switch err := talk.next(msg); {
		case errors.Is(err, io.EOF):
			end()
			return nil
		case err != nil:
			return err
		}
		if err := checkLater(msg.Id, msg.Start != nil); err != nil {
			return err
		}
		if len(msg.Data) > maxChunk {
			return tooMuchData(msg.Data)
		}
	}
}
