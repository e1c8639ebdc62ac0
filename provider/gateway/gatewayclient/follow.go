package gatewayclient

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	"berth.dev/berth/provider/gateway/internal/wire"
)

// followed is a stream of messages that is opened again when it breaks or when its token ends. Providers end a stream
// with the token that it was opened with, as whoever holds a token may look for so long and no longer; the client makes
// another one and asks for what it has not seen. One goroutine calls next.
type followed[M any] struct {
	op string
	// endless is true for a stream that has no end of its own; others must not be silent.
	endless bool
	onBreak func(error)
	// ask sends the request for what was not seen yet.
	ask func(context.Context) (grpc.ServerStreamingClient[M], error)

	c      *Client
	ctx    context.Context // ends with cancel
	cancel context.CancelFunc
	stream grpc.ServerStreamingClient[M]
	// end ends the stream; number is that of its token.
	end    context.CancelFunc
	number int
	opened time.Time
	// breaks counts how often the stream broke since there was news of it, which it had by giveUp at the latest.
	breaks int
	giveUp time.Time
	pause  pauses
}

// errTokenOver is why a client ends a stream itself that its provider should have ended.
var errTokenOver = wire.Errorf(wire.Unauthenticated, "the stream has outlived its token")

// follow opens the stream; it returns when the provider has accepted it.
func follow[M any](ctx context.Context, c *Client, f followed[M]) (*followed[M], error) {
	f.c, f.pause = c, pauses{waits: c.waits}
	f.ctx, f.cancel = context.WithCancel(ctx)
	pause := pauses{waits: c.waits}
	for n, start := 1, time.Now(); ; n++ {
		err := f.open()
		if err == nil {
			return &f, nil
		}
		if n == tries || !mayPass(f.ctx, err) || time.Since(start) >= c.waits.Call || pause.wait(f.ctx) != nil {
			f.cancel()
			return nil, err
		}
	}
}

func (f *followed[M]) open() error {
	var stream grpc.ServerStreamingClient[M]
	end, number, err := f.c.openOnce(f.ctx, f.op, f.c.waits.Call, func(ctx context.Context) (headed, error) {
		var err error
		stream, err = f.ask(ctx)
		return stream, err
	}, func() error { _, err := stream.Recv(); return err })
	if err != nil {
		return err
	}
	f.stream, f.end, f.number, f.opened = stream, end, number, time.Now()
	return nil
}

// next returns the next message, which may be one that was seen already; io.EOF at the end; or the error that ended the
// stream.
func (f *followed[M]) next() (*M, error) {
	for {
		m, err := f.recv()
		if err == nil || errors.Is(err, io.EOF) {
			return m, err
		}
		if err := f.reopen(err); err != nil {
			return nil, err
		}
	}
}

// news tells that the last message was a new one.
func (f *followed[M]) news() { f.breaks = 0 }

// errQuiet ends a stream that should have ended by itself.
type errQuiet struct{ *wire.Problem }

func (f *followed[M]) recv() (*M, error) {
	wait := f.c.waits.Quiet
	if f.endless {
		wait = time.Until(f.opened.Add(f.c.waits.Stream))
	}
	late := time.AfterFunc(wait, f.end)
	m, err := f.stream.Recv()
	switch {
	case late.Stop() || err == nil || f.ctx.Err() != nil:
		return m, err
	case f.endless:
		return nil, errTokenOver
	default:
		return nil, errQuiet{wire.Errorf(wire.Unavailable, "the provider sent nothing for %s, and no end either", wait)}
	}
}

// reopen opens the stream that broke with cause, if that may help, and returns the error that ends it otherwise.
func (f *followed[M]) reopen(cause error) error {
	f.end()
	err := f.c.explain(f.ctx, f.op, cause)
	var quiet errQuiet
	over := tokenTurnedAway(cause)
	if errors.As(cause, &quiet) || !over && !mayPass(f.ctx, err) {
		return err
	}
	if f.onBreak != nil {
		f.onBreak(err)
	}
	// A provider that turns away what it has just accepted would have a token signed each time.
	if over && !f.c.renew(f.number) {
		return err
	}
	if time.Since(f.opened) >= f.c.waits.Outage/5 {
		f.breaks = 0 // it went well for long, though it was quiet
	}
	if f.breaks++; f.breaks == 1 {
		f.giveUp, f.pause.last = time.Now().Add(f.c.waits.Outage), 0
	}
	for again := f.breaks > 1; ; again = true {
		if again && (!time.Now().Before(f.giveUp) || f.pause.wait(f.ctx) != nil) {
			return err
		}
		if err = f.open(); err == nil || !mayPass(f.ctx, err) {
			return err
		}
	}
}
