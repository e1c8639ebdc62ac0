package gatewayclient

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"berth.dev/berth/provider/gateway/internal/wire"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// LogOptions select log lines.
type LogOptions struct {
	// Service narrows to one service; empty means all.
	Service string
	// Follow keeps the stream open for lines to come.
	Follow bool
	// Tail is the number of last lines of each instance; 0 means all.
	Tail uint32
	// Since leaves out older lines; the zero time means no limit.
	Since time.Time
	// Previous gives what the instances wrote before they were started last; Follow is then without effect.
	Previous bool
	// OnBreak, if set, is told why the stream broke before it is opened again. That its token has ended, which happens
	// to every stream that lasts, is an error that wraps ErrUnauthorized.
	OnBreak func(error)
}

// LogLine is one line of an instance's output. It was written by the tenant's own program: who prints it on a terminal
// should take control characters out.
type LogLine struct {
	Service, Instance, Line string
	// Time is when the line was written; zero where the provider does not know.
	Time time.Time
}

// LogStream gives the lines of a lease. It outlives the connection and the token: when either ends, it goes on where it
// was. One goroutine calls Next.
type LogStream struct {
	f    *followed[gatewaytypes.LogLine]
	id   markettypes.LeaseID
	opts LogOptions
	seen position
	// first and last are when the first and the last line came, by our clock.
	first, last time.Time
}

const logsOp = "read logs"

// Logs opens a stream of log lines. It returns once the provider has accepted the request, or an error as of the other
// calls. The caller closes the stream; it also ends with ctx.
func (c *Client) Logs(ctx context.Context, id markettypes.LeaseID, o LogOptions) (*LogStream, error) {
	s := &LogStream{id: id, opts: o, seen: position{}}
	var err error
	s.f, err = follow(ctx, c, followed[gatewaytypes.LogLine]{
		op: logsOp, endless: o.Follow && !o.Previous, onBreak: o.OnBreak,
		ask: func(ctx context.Context) (grpc.ServerStreamingClient[gatewaytypes.LogLine], error) {
			return c.api.Logs(ctx, s.request())
		},
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Next returns the next line, or io.EOF when there will be none, or an error that ended the stream. After an error
// there are no more lines.
func (s *LogStream) Next() (LogLine, error) {
	for {
		m, err := s.f.next()
		if err != nil {
			return LogLine{}, err
		}
		s.last = time.Now()
		if s.first.IsZero() {
			s.first = s.last
		}
		line := LogLine{Service: m.Service, Instance: m.Instance, Line: m.Line}
		if m.TimeUnixNano != 0 {
			line.Time = time.Unix(0, m.TimeUnixNano)
		}
		if s.seen.take(line) {
			s.f.news()
			return line, nil
		}
	}
}

// Close ends the stream and a Next that waits.
func (s *LogStream) Close() error {
	s.f.cancel()
	return nil
}

// headed is a stream whose answer begins with a header.
type headed interface{ Header() (metadata.MD, error) }

// openStream opens a stream and waits until the provider has accepted it. The stream lasts until end is called or ctx
// ends. recv reads a message of the stream and drops it.
func (c *Client) openStream(ctx context.Context, op string, wait time.Duration, open func(context.Context) (headed, error), recv func() error) (end context.CancelFunc, number int, err error) {
	sctx, end := context.WithCancel(ctx)
	tctx, n, err := c.withToken(sctx, true)
	if err != nil {
		end()
		return nil, 0, c.explain(ctx, op, err)
	}
	// The provider answers at once, but the answer may never come; the stream itself goes on.
	late := time.AfterFunc(wait, end)
	stream, err := open(tctx)
	if err == nil {
		err = accepted(stream, recv)
	}
	if !late.Stop() && ctx.Err() == nil {
		err = c.tooLate(wait)
	}
	if err != nil {
		end()
		return nil, *n, &turnedAway{error: c.explain(ctx, op, err), token: tokenTurnedAway(err)}
	}
	return end, *n, nil
}

// turnedAway is an explained error that remembers whether the token was the reason.
type turnedAway struct {
	error
	token bool
}

// Unwrap gives the explained error.
func (t *turnedAway) Unwrap() error { return t.error }

// plain takes off what only this package needs.
func plain(err error) error {
	var t *turnedAway
	if errors.As(err, &t) {
		return t.error
	}
	return err
}

// accepted waits until the provider has answered, and returns why if it refused. A stream that was accepted says so in
// its header, as gRPC sends one with a refusal too.
func accepted(stream headed, recv func() error) error {
	header, err := stream.Header()
	if err != nil || len(header.Get(wire.StreamHeader)) > 0 {
		return err
	}
	switch err := recv(); {
	case err == nil, errors.Is(err, io.EOF):
		return wire.Errorf(wire.Internal, "the provider answers what makes no sense")
	default:
		return err
	}
}

func (s *LogStream) request() *gatewaytypes.LogsRequest {
	r := &gatewaytypes.LogsRequest{Id: s.id, Service: s.opts.Service, Follow: s.opts.Follow, Tail: s.opts.Tail, Previous: s.opts.Previous}
	if !s.opts.Since.IsZero() {
		r.SinceUnixNano = s.opts.Since.UnixNano()
	}
	if len(s.seen) == 0 {
		return r
	}
	// Where lines have no times, our own clock says when the last one came: near, but not exact.
	since, ok := s.seen.resume(s.last.Sub(s.first) < settling)
	if !ok {
		since = s.last
	}
	r.Tail, r.SinceUnixNano = 0, since.UnixNano()
	return r
}

// position is how far a stream has come: for each instance the times of its first and last line, and how many lines of
// the last one's time were given.
type position map[instance]*mark

type instance struct{ service, name string }

type mark struct {
	first, time time.Time
	count       int
	// skip is how many lines of that time are to be left out of a stream that was opened again; while behind is true,
	// older lines are left out too.
	skip   int
	behind bool
}

// take notes a line; it returns false for one that was given before the stream broke.
func (p position) take(l LogLine) bool {
	key := instance{l.Service, l.Instance}
	m := p[key]
	if m == nil {
		m = &mark{}
		p[key] = m
	}
	if l.Time.IsZero() {
		return true // nothing is known of it, and what is known of the others stays
	}
	if m.behind {
		switch {
		case l.Time.Before(m.time):
			return false
		case l.Time.Equal(m.time) && m.skip > 0:
			m.skip--
			return false
		}
		m.behind = false
	}
	// Clocks are set back at times; the position follows them, so that no line is lost.
	if !l.Time.Equal(m.time) {
		m.time, m.count = l.Time, 0
	}
	if m.first.IsZero() {
		m.first = l.Time
	}
	m.count++
	return true
}

const (
	// settling is how long it may take until every instance has sent its first line.
	settling = time.Minute
	// slack is how far the lines of instances that come up later may lag behind those of others.
	slack = 10 * time.Second
)

// resume returns the time to ask for lines from, so that none is missing: the earliest that any instance has come to, as
// their lines arrive in any order, less some slack for instances that have sent nothing yet; while early is true, these
// may have as much to send as the others had, so it is the time of the earliest line. What comes twice, take leaves out.
// It returns false if nothing is known, because there was no line or no line has a time.
func (p position) resume(early bool) (time.Time, bool) {
	var since time.Time
	for _, m := range p {
		if m.time.IsZero() {
			continue
		}
		at := m.time.Add(-slack)
		if early {
			at = m.first
		}
		if since.IsZero() || at.Before(since) {
			since = at
		}
		m.skip, m.behind = m.count, true
	}
	return since, !since.IsZero()
}
