package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"
)

// addrKey names whom a connection is counted for: an IPv4 address, or the /64 network of an IPv6 address, as one
// client commands all of that.
func addrKey(remote string) string {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a.String()
	}
	return p.String()
}

// boundedListener closes connections beyond its slots as soon as they come. Waiting instead would let a client that
// holds all slots keep the others out.
type boundedListener struct {
	net.Listener
	slots   *slots
	refused func()
	// arrival is how long a connection may take to ask something that is worked on.
	arrival time.Duration
}

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		key := addrKey(c.RemoteAddr().String())
		if l.slots.take(key) {
			b := &boundedConn{Conn: c, release: sync.OnceFunc(func() { l.slots.give(key) })}
			b.late = time.AfterFunc(l.arrival, func() { _ = c.Close() }) // who serves it sees that, and gives the slot back
			return b, nil
		}
		l.refused()
		_ = c.Close() // nothing was read or written; there is nobody to tell
	}
}

type boundedConn struct {
	net.Conn
	release func()
	narrow  sync.Once
	// late closes the connection. Each stage of a request has a limit of its own; a client that is slow in all of them
	// would have their sum, and one that asks only what is refused would have no end.
	late *time.Timer
}

// arrived says that something was asked over the connection that is worked on.
func (c *boundedConn) arrived() { c.late.Stop() }

// streamBuffer is the kernel's buffer for a connection that streams, in bytes; it keeps about twice that. Left alone,
// it grows to several megabytes for a client that takes nothing.
const streamBuffer = 256 << 10

// bound keeps what a slow client of a stream costs small.
func (c *boundedConn) bound() {
	c.narrow.Do(func() {
		if t, ok := c.Conn.(*net.TCPConn); ok {
			_ = t.SetWriteBuffer(streamBuffer) // a connection that is lost is bounded enough
		}
	})
}

type connKey struct{}

// withConn keeps a request's connection in its context.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// connOf is the connection that a context came by; nil if it came by none of ours.
func connOf(ctx context.Context) *boundedConn {
	c, _ := ctx.Value(connKey{}).(*boundedConn)
	return c
}

// Close implements net.Conn and gives the slot back.
func (c *boundedConn) Close() error {
	defer c.release()
	c.late.Stop()
	return c.Conn.Close()
}
