package gatewayclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

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

	is    error
	cause error // the caller's own deadline, or nil
}

// Error implements error; it leaves Next out.
func (e *Error) Error() string { return fmt.Sprintf("%s at %s: %s", e.Op, e.Host, e.Message) }

// Unwrap gives the sentinel and, where the time that the caller gave was over, its context's error.
func (e *Error) Unwrap() []error {
	if e.cause != nil {
		return []error{e.is, e.cause}
	}
	return []error{e.is}
}

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

// How far a connection came.
const (
	reachedNothing = iota
	reachedHost    // it was accepted
	reachedGateway // the server has proven that it holds a pinned key
)

// watched notes how far connections come.
type watched struct {
	credentials.TransportCredentials
	reached *atomic.Int32
}

// ClientHandshake implements credentials.TransportCredentials.
func (w watched) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	w.reached.Store(reachedHost)
	secured, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, conn)
	if err == nil {
		w.reached.Store(reachedGateway)
	}
	return secured, info, err
}

// Clone implements credentials.TransportCredentials.
func (w watched) Clone() credentials.TransportCredentials {
	return watched{w.TransportCredentials.Clone(), w.reached}
}

// tooLate is that the provider did not answer in time; a wait of 0 is one that is not known.
func (c *Client) tooLate(wait time.Duration) *wire.Problem {
	within := "in time"
	if wait > 0 {
		within = "within " + wait.String()
	}
	switch c.reached.Load() {
	case reachedNothing:
		return wire.Errorf(wire.Unavailable, "no connection came about %s", within).
			Then("check that this machine reaches other hosts; if it does, the provider is away: wait for it, or end the lease and take another bid")
	case reachedHost:
		return wire.Errorf(wire.Unavailable, "it took the connection and did not prove %s who it is", within)
	default:
		return wire.Errorf(wire.Unavailable, "the provider did not answer %s", within)
	}
}

// explain turns what gRPC returns into an *Error, or into the caller's own context error.
func (c *Client) explain(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Host: c.host, Op: op}
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		switch p := (*wire.Problem)(nil); {
		case errors.As(cause, &p):
			err = p
		case errors.Is(cause, context.DeadlineExceeded):
			err, e.cause = c.tooLate(0), cause
		default:
			return fmt.Errorf("%s at %s: %w", op, c.host, cause)
		}
	}
	if wrong := c.wrongKey.Load(); wrong != nil {
		e.Message, e.is = (*wrong).Error(), ErrWrongKey
		e.Next = "nothing was sent; the provider's operator must repair its record on chain, or someone else answers at its address: use another provider"
		return e
	}
	p := c.problem(err)
	e.Message, e.Next = short(p.Message), short(p.Next)
	if e.is = sentinels[p.Code]; e.is == nil {
		e.is = ErrFaulty
	}
	if errors.Is(e.is, ErrUnauthorized) && c.tokens != nil && c.tokens.ready != "" {
		e.Next = "ask whoever made the token for another one, that allows this"
	}
	if e.Next == "" {
		e.Next = nextSteps[e.is]
	}
	return e
}

// problem is what a call ended with. What gRPC itself says of a server that is no gateway is said in other words.
func (c *Client) problem(err error) *wire.Problem {
	p := wire.FromError(err)
	st, ok := status.FromError(err)
	if !ok || p.Next != "" || len(st.Details()) > 0 {
		return p
	}
	text := plainText(st.Message())
	has := func(s string) bool { return strings.Contains(text, s) }
	switch code := st.Code(); {
	case code == codes.DeadlineExceeded, has("context deadline exceeded"), has("i/o timeout"):
		return c.tooLate(c.waits.Call)
	case has("ALPN"), has("no application protocol"), has("server preface"):
		return wire.Errorf(wire.Unavailable, "it does not speak HTTP/2, as a gateway does").Then(notAGateway)
	case has("first record does not look like a TLS handshake"):
		return wire.Errorf(wire.Unavailable, "it does not speak TLS, as a gateway does").Then(notAGateway)
	case has("unexpected HTTP status code"), has("unexpected content-type"), has("missing HTTP content-type"), has("malformed header"),
		code == codes.Unimplemented: // a gateway says more
		kind := wire.Internal
		if code == codes.Unavailable { // as of a proxy before a gateway that is away
			kind = wire.Unavailable
		}
		return wire.Errorf(kind, "what answers is no gateway: %s", text).Then(notAGateway)
	case has("larger than max"):
		return wire.Errorf(wire.Internal, "it answers with more than a gateway may send (%s)", text)
	case has("failed to unmarshal"), has("ecompress"), has("malformed grpc-status"):
		return wire.Errorf(wire.Internal, "it answers what makes no sense (%s)", text)
	case has("received no response message"):
		return wire.Errorf(wire.Internal, "it ended without an answer")
	case has("connection is draining"):
		return wire.Errorf(wire.Unavailable, "it has closed the connection")
	case text == "":
		return &wire.Problem{Code: p.Code, Message: fmt.Sprintf("it failed without a reason (gRPC code %d)", code)}
	}
	return &wire.Problem{Code: p.Code, Message: text}
}

const notAGateway = "the provider's operator must look at what its address leads to; until then use another provider"

// plainText takes off what gRPC wraps around the reason of a connection that failed.
func plainText(text string) string {
	if _, quoted, found := strings.Cut(text, "connection error: desc = "); found {
		if inner, err := strconv.Unquote(quoted); err == nil {
			text = inner
		}
	}
	for _, wrap := range []string{"transport: ", "Error while dialing: "} {
		text = strings.TrimPrefix(text, wrap)
	}
	return strings.Join(strings.Fields(text), " ")
}

// short bounds what a stranger says.
func short(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// nextSteps is advice where the provider gives none.
var nextSteps = map[error]string{
	ErrNotFound:     "it may be some blocks behind the chain: try again in a moment, and see whether the lease is still active",
	ErrUnauthorized: "use the key of the deployment's owner, or a token that the owner made for this",
	ErrRefused:      "change what it names, and send it again",
	ErrUnavailable:  "try again in a minute; if the provider stays away, end the lease and take another bid",
	ErrFaulty:       "tell the provider's operator; if it persists, end the lease and take another bid",
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
