package gateway

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// Limits bound what one client, and all clients together, can cost the provider.
type Limits struct {
	// MaxBody is the largest request body in bytes, MaxManifest the largest manifest within it.
	MaxBody, MaxManifest int64
	// MaxHeader is the size of request headers in bytes above which they are refused; HTTP/2, which counts 32 bytes for
	// each header too, refuses them above three quarters of it.
	MaxHeader int
	// HeaderTimeout bounds the TLS handshake and the time until a request's headers are there; BodyTimeout that until
	// its body is.
	HeaderTimeout, BodyTimeout time.Duration
	// ArrivalTimeout closes connections over which nothing came since they were opened that the backend works on: who is
	// slow in each of the handshake, the headers and the body has no more time than this for all of them.
	ArrivalTimeout time.Duration
	// CallTimeout bounds the backend's work on a request that is no stream.
	CallTimeout time.Duration
	// IdleTimeout closes connections without requests.
	IdleTimeout time.Duration
	// StallTimeout ends answers of which the client takes nothing for this long.
	StallTimeout time.Duration
	// DrainTimeout bounds the wait for running requests when the server stops.
	DrainTimeout time.Duration
	// SessionIdle ends programs and forwarded connections over which nothing came or went for this long, SessionLife all.
	SessionIdle, SessionLife time.Duration
	// SilenceTimeout ends WebSockets from which nothing comes, not even an answer to a ping.
	SilenceTimeout time.Duration
	// Conns and ConnsPerAddr bound open connections; an address is an IPv4 address or an IPv6 /64.
	Conns, ConnsPerAddr int
	// RequestsPerConn bounds the requests that run at once on one connection.
	RequestsPerConn int
	// Streams and StreamsPerOwner bound the streams that run at once.
	Streams, StreamsPerOwner int
	// AddrRate and OwnerRate bound requests per second of an address and of a tenant; the bursts are twice as large.
	AddrRate, OwnerRate rate.Limit
	// ScreenRate bounds how many questions about bids an address may ask per second; the burst is twice as large.
	ScreenRate rate.Limit
}

// DefaultLimits suit a provider with a few hundred tenants.
func DefaultLimits() Limits {
	return Limits{
		MaxBody:         1 << 20,
		MaxManifest:     512 << 10,
		MaxHeader:       16 << 10,
		HeaderTimeout:   10 * time.Second,
		BodyTimeout:     20 * time.Second,
		ArrivalTimeout:  25 * time.Second,
		CallTimeout:     30 * time.Second,
		IdleTimeout:     30 * time.Second,
		StallTimeout:    30 * time.Second,
		DrainTimeout:    10 * time.Second,
		SessionIdle:     30 * time.Minute,
		SessionLife:     8 * time.Hour,
		SilenceTimeout:  25 * time.Second,
		Conns:           8192,
		ConnsPerAddr:    256,
		RequestsPerConn: 128,
		Streams:         1024,
		StreamsPerOwner: 64,
		AddrRate:        100,
		OwnerRate:       50,
		ScreenRate:      5,
	}
}

// Validate returns an error that names the first limit that makes no sense. There is no way to switch a limit off.
func (l Limits) Validate() error {
	for _, x := range []struct {
		name string
		ok   bool
	}{
		{"max body", l.MaxBody > 0},
		{"max manifest", l.MaxManifest > 0 && l.MaxManifest <= l.MaxBody},
		{"max header", l.MaxHeader >= 8<<10},
		{"header timeout", l.HeaderTimeout > 0},
		{"body timeout", l.BodyTimeout > 0},
		{"arrival timeout", l.ArrivalTimeout > 0},
		{"call timeout", l.CallTimeout > 0},
		{"idle timeout", l.IdleTimeout > 0},
		{"stall timeout", l.StallTimeout > 0},
		{"drain timeout", l.DrainTimeout > 0},
		{"sessions", l.SessionIdle > 0 && l.SessionLife > 0},
		{"silence timeout", l.SilenceTimeout > 0},
		{"connections", l.Conns > 0 && l.ConnsPerAddr > 0},
		{"requests per connection", l.RequestsPerConn > 0},
		{"streams", l.Streams > 0 && l.StreamsPerOwner > 0},
		{"rates", l.AddrRate > 0 && l.OwnerRate > 0 && l.ScreenRate > 0},
	} {
		if !x.ok {
			return fmt.Errorf("gateway: limit %q is out of range", x.name)
		}
	}
	return nil
}
