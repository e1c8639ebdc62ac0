// Package gatewayclient speaks to the gateway of a provider for a tenant: it makes sure that the provider's key is the
// one pinned on chain, signs one token per connection with the account's key, renews it, and tries again what may pass.
package gatewayclient

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/gateway/internal/wire"
	"berth.dev/berth/provider/gateway/token"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

const (
	// maxManifest is the largest manifest that providers take.
	maxManifest = 512 << 10
	// maxMessage is the largest message taken from a provider: a manifest and its frame.
	maxMessage = 1 << 20
	// maxHeaders is the most that the headers of an answer may have.
	maxHeaders = 64 << 10
	// tries is how often a call is made before an unavailable provider is given up.
	tries = 5
)

// Provider is the part of a provider's record on chain that a client needs.
type Provider struct {
	// HostURI is the https address of its gateway.
	HostURI string
	// Pins are the SHA-256 digests of its TLS public keys, one to three.
	Pins [][]byte
	// Address is its bech32 account address.
	Address string
}

// Signer signs tokens with the tenant's account key; client.Client is one. A signer that also has a method
// PublicKey() ([]byte, error) is asked for one signature less.
type Signer = token.Signer

// Options change what a client asks for; the zero value suits a lease's owner.
type Options struct {
	// Scopes are what tokens grant; none means all.
	Scopes []token.Scope
	// Leases restrict tokens; none means all leases of the signer with the provider.
	Leases []token.Lease
	// Owner is whose leases they are, if the signer holds not the owner's own key but its gateway key on chain.
	Owner string
	// Token is a ready token, which somebody else signed for Certificate; no signer is needed then, and no other token
	// is made.
	Token string
	// Certificate is the TLS client certificate to present, with its key; without one, each client makes its own.
	Certificate *tls.Certificate
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Waits bound what the client waits for.
	Waits Waits
}

// Client is a connection to one provider. It may be used from several goroutines.
type Client struct {
	host    string
	conn    *grpc.ClientConn
	api     gatewaytypes.GatewayClient
	tokens  *source
	pins    [][sha256.Size]byte
	address string
	waits   Waits
	// reached is how far the last connection came.
	reached atomic.Int32
	// wrongKey is set while whoever answers holds a key that is not pinned.
	wrongKey atomic.Pointer[error]
}

// Dial prepares a client of the provider; the connection is made by the first call, the token by the first call that
// needs one. Without a signer, only Status and WouldBid can be called. The caller closes the client.
func Dial(ctx context.Context, p Provider, chainID string, signer Signer, opts ...Options) (*Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	target, err := hostPort(p.HostURI)
	if err != nil {
		return nil, fmt.Errorf("address of provider %s: %w", p.Address, err)
	}
	pins, err := parsePins(p.Pins)
	if err != nil {
		return nil, fmt.Errorf("record of provider %s: %w", p.Address, err)
	}
	var o Options
	if len(opts) > 0 {
		o = opts[0]
	}
	cert, err := o.certificate()
	if err != nil {
		return nil, err
	}
	c := &Client{host: target, pins: pins, address: p.Address, waits: o.Waits.withDefaults()}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(watched{credentials.NewTLS(c.tlsConfig(cert)), &c.reached}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(wire.Codec{}), grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithMaxHeaderListSize(maxHeaders),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: c.waits.Pause, Multiplier: 2, Jitter: .2, MaxDelay: c.waits.longest()},
			MinConnectTimeout: c.waits.Call,
		}),
		// A quiet log stream notices a peer that is gone.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 15 * time.Second}),
		grpc.WithDisableServiceConfig(),
	}
	if signer != nil || o.Token != "" {
		c.tokens = newSource(signer, p.Address, chainID, cert, o)
		dial = append(dial, grpc.WithPerRPCCredentials(c.tokens))
	}
	if c.conn, err = grpc.NewClient("passthrough:///"+target, dial...); err != nil {
		return nil, fmt.Errorf("prepare the connection to %s: %w", target, err)
	}
	c.api = gatewaytypes.NewGatewayClient(c.conn)
	return c, nil
}

// certificate is the one to present.
func (o Options) certificate() (tls.Certificate, error) {
	switch {
	case o.Certificate == nil && o.Token != "":
		return tls.Certificate{}, errors.New("a ready token is good only with the certificate that it was made for")
	case o.Certificate == nil:
		return NewCertificate()
	}
	cert := *o.Certificate
	if cert.Leaf == nil {
		if len(cert.Certificate) == 0 {
			return tls.Certificate{}, errors.New("the TLS client certificate is empty")
		}
		var err error
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return tls.Certificate{}, fmt.Errorf("read the TLS client certificate: %w", err)
		}
	}
	return cert, nil
}

func newSource(signer Signer, provider, chainID string, cert tls.Certificate, o Options) *source {
	s := &source{signer: signer, ready: o.Token, now: o.Now, claims: token.Claims{
		Owner: o.Owner, Provider: provider, ChainID: chainID, Scopes: o.Scopes, Leases: o.Leases, Thumbprint: token.Thumbprint(cert.Leaf),
	}}
	if s.now == nil {
		s.now = time.Now
	}
	if len(o.Scopes) == 0 {
		s.claims.Scopes = token.Scopes()
	}
	return s
}

// hostPort reads a provider's host_uri: https, a host, perhaps a port, and nothing more.
func hostPort(uri string) (string, error) {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return "", err
	case u.Scheme != "https" || u.Hostname() == "":
		return "", fmt.Errorf("%q is not an https address", uri)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/"):
		return "", fmt.Errorf("%q holds more than host and port", uri)
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

func parsePins(pins [][]byte) ([][sha256.Size]byte, error) {
	if len(pins) == 0 {
		return nil, errors.New("it has no TLS pins, so nobody can be told from the provider")
	}
	var out [][sha256.Size]byte
	for i, p := range pins {
		if len(p) != sha256.Size {
			return nil, fmt.Errorf("TLS pin %d has %d bytes, want %d", i+1, len(p), sha256.Size)
		}
		out = append(out, [sha256.Size]byte(p))
	}
	return out, nil
}

// tlsConfig trusts the pinned keys and nothing else: names, dates and issuers of certificates play no role.
func (c *Client) tlsConfig(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{cert},
		InsecureSkipVerify: true, // VerifyConnection takes its place
		VerifyConnection:   c.verifyConnection,
	}
}

// verifyConnection is called in every handshake, before anything is sent.
func (c *Client) verifyConnection(st tls.ConnectionState) error {
	if len(st.PeerCertificates) == 0 {
		return errors.New("server sent no certificate")
	}
	got := sha256.Sum256(st.PeerCertificates[0].RawSubjectPublicKeyInfo)
	for _, pin := range c.pins {
		if pin == got {
			c.wrongKey.Store(nil)
			return nil
		}
	}
	pinned := "not the one"
	if n := len(c.pins); n > 1 {
		pinned = fmt.Sprintf("none of the %d", n)
	}
	err := fmt.Errorf("the server's TLS key (%x...) is %s that provider %s has on chain", got[:4], pinned, c.address)
	c.wrongKey.Store(&err)
	return err
}

// Close ends the connection and all streams on it.
func (c *Client) Close() error { return c.conn.Close() }

// Status returns who the provider is and how it fares. It needs no token.
func (c *Client) Status(ctx context.Context) (*gatewaytypes.StatusResponse, error) {
	return invoke(ctx, c, call[gatewaytypes.StatusResponse]{op: "ask for the provider's status", timeout: c.waits.Call,
		do: func(ctx context.Context) (*gatewaytypes.StatusResponse, error) {
			return c.api.Status(ctx, &gatewaytypes.StatusRequest{})
		}})
}

// WouldBid asks whether the provider would bid on orders for the groups, each for itself. It needs no token. It is asked
// once only: who asks many providers rather does without the answer of one.
func (c *Client) WouldBid(ctx context.Context, req *gatewaytypes.WouldBidRequest) (*gatewaytypes.WouldBidResponse, error) {
	reply, err := once(ctx, c, call[gatewaytypes.WouldBidResponse]{op: "ask whether the provider would bid", timeout: c.waits.Call,
		do: func(ctx context.Context) (*gatewaytypes.WouldBidResponse, error) { return c.api.WouldBid(ctx, req) }})
	if err == nil && len(reply.Groups) != len(req.Groups) {
		return nil, &Error{Host: c.host, Op: "ask whether the provider would bid", is: ErrUnavailable,
			Message: fmt.Sprintf("it answered for %d groups of %d", len(reply.Groups), len(req.Groups))}
	}
	return reply, err
}

// PutManifest sends a lease's manifest and returns the deployment's hash that the provider accepted it against. A
// repeat changes nothing, so after ErrUnavailable it can be sent again.
func (c *Client) PutManifest(ctx context.Context, id markettypes.LeaseID, env manifesttypes.Envelope) ([]byte, error) {
	const op = "send the manifest"
	if n := len(env.Group); n > maxManifest {
		return nil, &Error{Host: c.host, Op: op, is: ErrRefused,
			Message: fmt.Sprintf("the manifest has %d bytes, providers take at most %d", n, maxManifest),
			Next:    "put large files into the image or a volume"}
	}
	reply, err := invoke(ctx, c, call[gatewaytypes.PutManifestResponse]{op: op, timeout: c.waits.Put, token: true,
		do: func(ctx context.Context) (*gatewaytypes.PutManifestResponse, error) {
			return c.api.PutManifest(ctx, &gatewaytypes.PutManifestRequest{Id: id, Envelope: env})
		}})
	if err != nil {
		return nil, err
	}
	return reply.ManifestHash, nil
}

// GetManifest returns the manifest that the provider last accepted for the lease, salt and secrets included.
func (c *Client) GetManifest(ctx context.Context, id markettypes.LeaseID) (manifesttypes.Envelope, error) {
	reply, err := invoke(ctx, c, call[gatewaytypes.GetManifestResponse]{op: "read the manifest back", timeout: c.waits.Call, token: true,
		do: func(ctx context.Context) (*gatewaytypes.GetManifestResponse, error) {
			return c.api.GetManifest(ctx, &gatewaytypes.GetManifestRequest{Id: id})
		}})
	if err != nil {
		return manifesttypes.Envelope{}, err
	}
	return reply.Envelope, nil
}

// LeaseStatus returns what runs for the lease.
func (c *Client) LeaseStatus(ctx context.Context, id markettypes.LeaseID) (*gatewaytypes.LeaseStatusResponse, error) {
	return invoke(ctx, c, call[gatewaytypes.LeaseStatusResponse]{op: "ask for the lease's status", timeout: c.waits.Call, token: true,
		do: func(ctx context.Context) (*gatewaytypes.LeaseStatusResponse, error) {
			return c.api.LeaseStatus(ctx, &gatewaytypes.LeaseStatusRequest{Id: id})
		}})
}

// call is one unary call, which can be made again.
type call[R any] struct {
	op      string
	timeout time.Duration
	token   bool
	do      func(context.Context) (*R, error)
}

// invoke makes a call until it is answered, or has been made often or long enough.
func invoke[R any](ctx context.Context, c *Client, k call[R]) (*R, error) {
	pause := pauses{waits: c.waits}
	for n, start := 1, time.Now(); ; n++ {
		reply, err := once(ctx, c, k)
		if err == nil {
			return reply, nil
		}
		if n == tries || !mayPass(ctx, err) || time.Since(start) >= k.timeout {
			return nil, err
		}
		if pause.wait(ctx) != nil {
			return nil, err // what the provider said tells more than that the caller's time is up
		}
	}
}

// once makes a call, and if its token was turned away, makes it again with a new one: tokens can end early at a
// provider whose clock is ahead.
func once[R any](ctx context.Context, c *Client, k call[R]) (*R, error) {
	try := func() (*R, int, error) {
		tctx, cancel := context.WithTimeout(ctx, k.timeout)
		defer cancel()
		tctx, number, err := c.withToken(tctx, k.token)
		if err != nil {
			return nil, 0, err
		}
		reply, err := k.do(tctx)
		if err != nil && ctx.Err() == nil && tctx.Err() != nil {
			err = c.tooLate(k.timeout)
		}
		return reply, *number, err
	}
	reply, number, err := try()
	if k.token && tokenTurnedAway(err) && c.renew(number) {
		reply, _, err = try()
	}
	if err != nil {
		return nil, c.explain(ctx, k.op, err)
	}
	return reply, nil
}

// withToken marks the context of a call that needs a token; number is where the token's number will stand.
func (c *Client) withToken(ctx context.Context, needed bool) (context.Context, *int, error) {
	number := new(int)
	if !needed {
		return ctx, number, nil
	}
	if c.tokens == nil {
		return ctx, number, wire.Errorf(wire.Unauthenticated, "no account key is configured").Then("choose a key")
	}
	// Signing here rather than in the transport keeps a signer's error whole.
	if _, _, err := c.tokens.get(); err != nil {
		return ctx, number, wire.Errorf(wire.Unauthenticated, "make a token: %v", err)
	}
	return context.WithValue(ctx, numberKey{}, number), number, nil
}

// renew drops a token that was turned away; it returns false for a fresh one, as a provider that refuses that will
// refuse the next one too.
func (c *Client) renew(number int) bool {
	if c.tokens == nil || number == 0 || !c.tokens.aged(number) {
		return false
	}
	c.tokens.drop(number)
	return true
}
