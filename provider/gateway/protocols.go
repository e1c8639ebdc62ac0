package gateway

import (
	"crypto/tls"
	"net/http"
	"time"
)

// nextProtocols hands connections over by the name that was negotiated. What takes one bounds it by limits of its own:
// many leases may share the address of one other provider, so the connection counts for its address no longer.
func nextProtocols(protocols map[string]func(*tls.Conn)) map[string]func(*http.Server, *tls.Conn, http.Handler) {
	if len(protocols) == 0 {
		return nil
	}
	out := make(map[string]func(*http.Server, *tls.Conn, http.Handler), len(protocols))
	for name, take := range protocols {
		out[name] = func(_ *http.Server, conn *tls.Conn, _ http.Handler) {
			// The limits on requests are not those of streams.
			_ = conn.SetDeadline(time.Time{}) // fails only on a connection that is lost
			if c, ok := conn.NetConn().(*boundedConn); ok {
				c.release()
				c.arrived()
			}
			take(conn)
		}
	}
	return out
}

// bothHTTP says that HTTP/2 is spoken as well: with protocols of our own, net/http would take it for switched off.
func bothHTTP() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	return p
}
