package gatewayclient

import (
	"context"
	"errors"
	"fmt"

	"berth.dev/berth/provider/gateway/internal/wire"
)

var (
	// ErrNotFound means that the provider knows for sure that it does not hold what was asked for.
	ErrNotFound = errors.New("not found at the provider")
	// ErrRefused means that the provider will not accept the request as it is.
	ErrRefused = errors.New("refused by the provider")
	// ErrUnauthorized means that the provider does not accept the token, or the token for this.
	ErrUnauthorized = errors.New("not authorised")
	// ErrUnavailable means that nothing was learned: the provider could not be reached or could not answer. What was
	// asked for may or may not have been done.
	ErrUnavailable = errors.New("provider is unavailable")
	// ErrWrongKey means that whoever answers at the provider's address does not hold a key that is pinned on chain.
	ErrWrongKey = errors.New("TLS key is not the provider's")
	// ErrFaulty means that the provider failed inside, or answered what makes no sense.
	ErrFaulty = errors.New("provider is faulty")
)

// Error is what a call ended with. It wraps one of the package's sentinels.
type Error struct {
	// Host is the provider's address, Op what was being done there.
	Host, Op string
	// Message says what is wrong, for people, and Next what to do about it; Next may be empty.
	Message, Next string

	is error
}

// Error implements error; it leaves Next out.
func (e *Error) Error() string { return fmt.Sprintf("%s at %s: %s", e.Op, e.Host, e.Message) }

// Unwrap gives the sentinel.
func (e *Error) Unwrap() error { return e.is }

// sentinels by kind; kinds that are missing are ErrFaulty.
var sentinels = map[wire.Kind]error{
	wire.NotFound:        ErrNotFound,
	wire.Invalid:         ErrRefused,
	wire.Refused:         ErrRefused,
	wire.TooLarge:        ErrRefused,
	wire.Unimplemented:   ErrRefused,
	wire.Unauthenticated: ErrUnauthorized,
	wire.Forbidden:       ErrUnauthorized,
	wire.Unavailable:     ErrUnavailable,
	wire.TooMany:         ErrUnavailable,
	wire.Canceled:        ErrUnavailable,
}

// explain turns what gRPC returns into an *Error, or into the caller's own context error.
func (c *Client) explain(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if own := ctx.Err(); own != nil {
		return fmt.Errorf("%s at %s: %w", op, c.host, context.Cause(ctx))
	}
	e := &Error{Host: c.host, Op: op}
	if wrong := c.wrongKey.Load(); wrong != nil {
		e.Message, e.is = (*wrong).Error(), ErrWrongKey
		e.Next = "nothing was sent; the provider's operator must repair its record on chain, or someone else answers at its address: use another provider"
		return e
	}
	p := wire.FromError(err)
	e.Message, e.Next = p.Message, p.Next
	if e.is = sentinels[p.Code]; e.is == nil {
		e.is = ErrFaulty
	}
	if e.Next == "" {
		e.Next = nextSteps[e.is]
	}
	return e
}

// nextSteps is advice where the provider gives none.
var nextSteps = map[error]string{
	ErrUnavailable: "try again in a minute; if the provider stays away, close the lease and take another bid",
	ErrFaulty:      "tell the provider's operator; if it persists, close the lease and take another bid",
}

// mayPass tells whether the same request may be answered later. A request whose context ended is not tried again.
func mayPass(ctx context.Context, err error) bool {
	var e *Error
	return ctx.Err() == nil && errors.As(err, &e) && errors.Is(err, ErrUnavailable)
}

// tokenTurnedAway tells whether an error of gRPC means that the token was not accepted.
func tokenTurnedAway(err error) bool {
	return err != nil && wire.FromError(err).Code == wire.Unauthenticated
}
