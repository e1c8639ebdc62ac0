package gateway

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"

	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway/internal/wire"
	"berth.dev/berth/provider/gateway/token"
)

// Causes for which the gateway itself ends a request.
var (
	errTokenEnded = wire.Errorf(wire.Unauthenticated, "the token has expired; the stream ends with it").
			Then("make a new token and ask for the lines since the last one")
	errDraining    = wire.Errorf(wire.Unavailable, "the provider is restarting").Then("try again in some seconds")
	errSessionIdle = wire.Errorf(wire.Unavailable, "nothing came or went for so long that the provider ended the session").Then("open another one")
	errSessionLife = wire.Errorf(wire.Unavailable, "the session has lasted for as long as the provider allows").Then("open another one")
	errTooSlow     = wire.Errorf(wire.Unavailable, "the provider took too long").Then("try again")
)

// outcome is how a request ended; gRPC's handlers may outlive ServeHTTP by a moment, hence atomic.
type outcome struct{ code atomic.Value }

// set keeps the first code.
func (o *outcome) set(code string) { o.code.CompareAndSwap(nil, code) }

// get returns the code; a request that ended without one was left by its client.
func (o *outcome) get() string {
	if code, ok := o.code.Load().(string); ok {
		return code
	}
	return string(wire.Canceled)
}

// dispatch is the one way to the backend. It checks that the caller may use the route on the lease that the request
// names, bounds the work, and turns whatever happens into a *wire.Problem.
func (s *Server) dispatch(ctx context.Context, rt *route, req proto.Message, out answer) (err error) {
	c := callFrom(ctx)
	defer func() {
		if r := recover(); r != nil {
			err = s.panicked(rt, r)
		}
		c.outcome.set(codeOf(err))
	}()
	if err := s.authorise(rt, c.claims, req); err != nil {
		return s.explain(ctx, rt, err)
	}
	conn := connOf(ctx)
	if conn != nil {
		conn.arrived()
	}
	if rt.stream {
		if !s.streams.take(c.claims.Owner) {
			return wire.Errorf(wire.TooMany, "too many streams are open").Then("close some, or wait until others have ended")
		}
		defer s.streams.give(c.claims.Owner)
		if conn != nil {
			conn.bound()
		}
	}
	ctx, cancel := s.bound(ctx, rt, c.claims)
	defer cancel()
	return s.explain(ctx, rt, rt.run(ctx, s.backend, req, out))
}

// bound ends calls that take too long, streams with their token or with the server, and sessions after their time.
func (s *Server) bound(ctx context.Context, rt *route, claims token.Claims) (context.Context, context.CancelFunc) {
	if !rt.stream {
		return context.WithTimeoutCause(ctx, s.cfg.Limits.CallTimeout, errTooSlow)
	}
	life, cause := claims.Expires.Sub(s.cfg.Now()), errTokenEnded
	if rt.talk {
		// A program or connection cannot be taken up again by a client with a new token, so the token opens it only.
		life, cause = s.cfg.Limits.SessionLife, errSessionLife
	}
	ctx, end := context.WithTimeoutCause(ctx, life, cause)
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(s.draining, func() { cancel(errDraining) })
	return ctx, func() {
		unlink()
		cancel(nil)
		end()
	}
}

// explain turns an error into what the client is told. What it is not told is logged.
func (s *Server) explain(ctx context.Context, rt *route, err error) error {
	var p *wire.Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	case errors.Is(err, ErrNotFound), errors.Is(err, cluster.ErrNotFound):
		return wire.Errorf(wire.NotFound, "%v", err)
	case errors.Is(err, ErrRefused):
		return wire.Errorf(wire.Refused, "%v", err)
	case errors.As(context.Cause(ctx), &p):
		return p
	case errors.Is(err, cluster.ErrNotNow):
		return wire.Errorf(wire.Unavailable, "%v", err).Then("try again; nothing was changed")
	case errors.Is(err, context.Canceled):
		return wire.Errorf(wire.Canceled, "the client left")
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		s.cfg.Log.Warn("gateway: request cannot be served now", "route", rt.method, "err", err)
		return wire.Errorf(wire.Unavailable, "the provider cannot do this now").Then("try again; nothing was changed")
	default:
		s.cfg.Log.Error("gateway: request failed", "route", rt.method, "err", err)
		return wire.Errorf(wire.Internal, "internal error of the provider").Then("the provider's operator finds the cause in its log")
	}
}

// panicked keeps a fault in one request from ending the provider.
func (s *Server) panicked(rt *route, value any) *wire.Problem {
	name := noRoute
	if rt != nil {
		name = rt.method
	}
	s.metrics.panics.Inc()
	s.cfg.Log.Error("gateway: panic", "route", name, "panic", value, "stack", string(debug.Stack()))
	return wire.Errorf(wire.Internal, "internal error of the provider")
}

// codeOf is the code label of an error.
func codeOf(err error) string {
	if err == nil {
		return outcomeOK
	}
	return string(wire.FromError(err).Code)
}
