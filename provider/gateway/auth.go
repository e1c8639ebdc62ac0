package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/gateway/internal/wire"
	"berth.dev/berth/provider/gateway/token"
)

// authenticate returns what the request's token says. Routes that are public do not look at tokens.
func (s *Server) authenticate(rt *route, r *http.Request) (token.Claims, error) {
	if rt.public {
		return token.Claims{}, nil
	}
	raw, err := bearer(r)
	if err != nil {
		return token.Claims{}, err
	}
	now := s.cfg.Now()
	claims, err := token.Verify(raw, token.Expect{
		Provider: s.cfg.Provider, ChainID: s.cfg.ChainID, Now: now, ClientCert: clientCert(r.TLS),
		GatewayKey: func(owner string) ([]byte, error) { return s.keys.get(r.Context(), addrKey(r.RemoteAddr), owner) },
	})
	switch {
	case errors.Is(err, errLookups):
		return token.Claims{}, errLookups
	case errors.Is(err, token.ErrUnknown):
		s.cfg.Log.Warn("gateway: the gateway key of an owner cannot be read", "err", err)
		return token.Claims{}, wire.Errorf(wire.Unavailable, "the provider cannot read the owner's gateway key from the chain now").Then("try again")
	case err != nil:
		return token.Claims{}, wire.Errorf(wire.Unauthenticated, "%v", err).Then(adviceFor(err, now))
	}
	if err := claims.AllowScope(rt.scope); err != nil {
		return token.Claims{}, forbidden(err)
	}
	return claims, nil
}

// bearer takes the token out of the one Authorization header, or out of a WebSocket's subprotocols, as browsers let
// pages set no other header.
func bearer(r *http.Request) (string, error) {
	values, listed := r.Header.Values("Authorization"), socketTokens(r)
	switch {
	case len(values)+len(listed) > 1 && len(listed) > 0:
		return "", wire.Errorf(wire.Unauthenticated, "the request has more than one token")
	case len(listed) == 1:
		return listed[0], nil
	case len(values) == 0:
		return "", wire.Errorf(wire.Unauthenticated, "the request has no token").
			Then("send the header Authorization: Bearer TOKEN over a connection with the client certificate that the token names")
	}
	scheme, raw, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", wire.Errorf(wire.Unauthenticated, "the Authorization header is not one Bearer token")
	}
	return raw, nil
}

// adviceFor says what to do about a token that is not valid.
func adviceFor(err error, now time.Time) string {
	if errors.Is(err, token.ErrExpired) || errors.Is(err, token.ErrEarly) {
		return "make a new token, and set the clock if it is wrong: this provider's says " + now.UTC().Format(time.RFC3339)
	}
	return "make a new token for this provider and this connection"
}

// authorise returns nil if the claims allow the route on the lease that the request names.
func (s *Server) authorise(rt *route, claims token.Claims, req proto.Message) error {
	if rt.public {
		return nil
	}
	of, ok := req.(leaseRequest)
	if !ok {
		return fmt.Errorf("route %s: request %T names no lease", rt.method, req)
	}
	// The claims' provider is this one, as Verify has checked.
	if err := claims.Allow(rt.scope, of.GetId()); err != nil {
		return forbidden(err)
	}
	return nil
}

func forbidden(err error) *wire.Problem { return wire.Errorf(wire.Forbidden, "%v", err) }

// clientCert is the certificate whose key the client of this very connection has proven to hold.
func clientCert(st *tls.ConnectionState) *x509.Certificate {
	if st == nil || len(st.PeerCertificates) == 0 {
		return nil
	}
	return st.PeerCertificates[0]
}

// checkConnection is called for every TLS connection, unlike VerifyPeerCertificate, which is skipped when a session is
// resumed. Tickets are off, so a resumed session cannot happen; should it ever, its client has not proven its key.
func checkConnection(st tls.ConnectionState) error {
	switch {
	case st.DidResume:
		return errors.New("sessions cannot be resumed here")
	case len(st.PeerCertificates) > 1:
		return errors.New("client sent a chain of certificates, want at most one")
	}
	return nil
}

// tlsConfig asks every client for a certificate, whoever signed it: it counts as a key, not as a name.
func tlsConfig(cert tls.Certificate, protocols map[string]func(*tls.Conn)) *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{cert},
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		VerifyConnection:       checkConnection,
		NextProtos:             append([]string{"h2", "http/1.1"}, slices.Sorted(maps.Keys(protocols))...),
	}
}

// call is what is known of a request; it travels in the context from HTTP to the handlers of gRPC.
type call struct {
	from    string // the remote address
	claims  token.Claims
	outcome outcome
	// gate bounds what a client that talks by gRPC sends ahead; nil elsewhere. heard is called when its first message is
	// there.
	gate  *gate
	heard func()
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callFrom returns the request's call; without one, that is in a context that did not come through ServeHTTP, it
// returns a call whose claims allow nothing.
func callFrom(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}
