package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/cosmos/cosmos-sdk/types/bech32"

	"berth.dev/berth/provider/gateway/internal/wire"
	"berth.dev/berth/units"
	markettypes "berth.dev/berth/x/market/types"
)

// Config says where a gateway listens and who it is.
type Config struct {
	// Listen is the TCP address, for example :8443.
	Listen string
	// Provider is the provider's bech32 address and ChainID its chain: the only audience whose tokens are taken.
	Provider, ChainID string
	// TLS is the certificate with the key that is pinned on chain; see LoadOrCreateKey.
	TLS tls.Certificate
	// Limits are DefaultLimits if zero.
	Limits Limits
	// Protocols take connections on which a name other than those of HTTP was negotiated, by that name. They own the
	// connection, which no longer counts for its address, and must end when the server stops.
	Protocols map[string]func(*tls.Conn)
	// Log takes the provider's faults, never tokens or bodies; nil drops them.
	Log *slog.Logger
	// Metrics is where the gateway's metrics are registered; nil keeps them to itself.
	Metrics prometheus.Registerer
	// Now is the clock that tokens are measured by; nil means time.Now.
	Now func() time.Time
}

// withDefaults fills in what may be left out.
func (c Config) withDefaults() Config {
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate returns an error that names what is wrong.
func (c Config) Validate() error {
	hrp, addr, err := bech32.DecodeAndConvert(c.Provider)
	switch {
	case err != nil:
		return fmt.Errorf("gateway: provider address %q: %w", c.Provider, err)
	case hrp != units.AddressPrefix || len(addr) == 0:
		return fmt.Errorf("gateway: provider address %q does not start with %s1", c.Provider, units.AddressPrefix)
	case c.ChainID == "":
		return errors.New("gateway: chain id is missing")
	case len(c.TLS.Certificate) == 0 || c.TLS.PrivateKey == nil:
		return errors.New("gateway: TLS certificate is missing")
	}
	return c.Limits.Validate()
}

// Server is a gateway that listens. It serves from New on to the end of Run or to Close.
type Server struct {
	cfg     Config
	backend Backend
	router  *router
	metrics *metrics

	listener net.Listener
	http     *http.Server
	grpc     *grpc.Server

	byAddr, byOwner, byScreen *limiter
	keys                      *keyCache
	streams                   *slots
	// draining ends when the server stops, and streams with it.
	draining context.Context
	drain    context.CancelFunc
	// dead ends when WebSockets had their time to end, which net/http does not wait for; sockets counts them.
	dead    context.Context
	kill    context.CancelFunc
	sockets sync.WaitGroup
}

// New checks the configuration, opens the listening socket and returns a server that answers once Run is called. The
// caller calls Run or Close.
func New(cfg Config, backend Backend) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, backend: backend,
		byAddr: newLimiter(cfg.Limits.AddrRate), byOwner: newLimiter(cfg.Limits.OwnerRate), byScreen: newLimiter(cfg.Limits.ScreenRate),
		streams: newSlots(cfg.Limits.Streams, cfg.Limits.StreamsPerOwner),
	}
	s.keys = newKeyCache(backend.GatewayKey, newLimiter(cfg.Limits.ScreenRate))
	var err error
	if s.router, err = newRouter(s.routes(), service); err != nil {
		return nil, fmt.Errorf("gateway: table of routes: %w", err)
	}
	conns := newSlots(cfg.Limits.Conns, cfg.Limits.ConnsPerAddr)
	if s.metrics, err = newMetrics(cfg.Metrics, conns, s.streams); err != nil {
		return nil, fmt.Errorf("gateway: register metrics: %w", err)
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	s.dead, s.kill = context.WithCancel(context.Background())
	s.grpc = s.newGRPC()
	s.http = s.newHTTP()
	inner, err := listen(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("gateway: listen on %s: %w", cfg.Listen, err)
	}
	s.listener = &boundedListener{Listener: inner, slots: conns, refused: s.metrics.refusedConns.Inc, arrival: cfg.Limits.ArrivalTimeout}
	return s, nil
}

// listen opens a socket whose dead peers are noticed within about 30 seconds.
func listen(addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	return lc.Listen(context.Background(), "tcp", addr)
}

// headerSlop is what net/http allows over MaxHeaderBytes in HTTP/1.
const headerSlop = 4096

func (s *Server) newHTTP() *http.Server {
	l := s.cfg.Limits
	return &http.Server{
		Handler:           s,
		TLSConfig:         tlsConfig(s.cfg.TLS, s.cfg.Protocols),
		TLSNextProto:      nextProtocols(s.cfg.Protocols),
		Protocols:         bothHTTP(),
		ReadHeaderTimeout: l.HeaderTimeout,
		IdleTimeout:       l.IdleTimeout,
		ConnContext:       withConn,
		MaxHeaderBytes:    l.MaxHeader - headerSlop,
		ErrorLog:          log.New(errorLog{s.cfg.Log}, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          l.RequestsPerConn,
			MaxReceiveBufferPerConnection: int(2 * l.MaxBody),
			MaxReceiveBufferPerStream:     256 << 10,
			SendPingTimeout:               l.IdleTimeout / 2,
			PingTimeout:                   l.IdleTimeout / 2,
			WriteByteTimeout:              l.StallTimeout,
		},
	}
}

// errorLog takes what net/http has to say, which is mostly strangers' broken handshakes.
type errorLog struct{ to *slog.Logger }

// Write implements io.Writer.
func (l errorLog) Write(b []byte) (int, error) {
	l.to.Debug("gateway: connection", "err", strings.TrimSpace(string(b)))
	return len(b), nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close releases the socket of a server that will not run.
func (s *Server) Close() error {
	s.drain()
	s.kill()
	return s.listener.Close()
}

// Run serves until ctx ends or the socket fails. It then tells streams to end, waits for running requests up to the
// drain timeout, and returns when all handlers have. It returns nil if ctx ended.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.ServeTLS(s.listener, "", "") }()
	select {
	case err := <-served:
		s.stop(ctx)
		return fmt.Errorf("gateway: serve on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	s.stop(ctx)
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("gateway: serve on %s: %w", s.Addr(), err)
	}
	return nil
}

func (s *Server) stop(ctx context.Context) {
	s.drain()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Limits.DrainTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.cfg.Log.Warn("gateway: requests were cut off", "err", err)
		_ = s.http.Close() // the connections are lost either way
	}
	defer context.AfterFunc(ctx, s.kill)()
	s.sockets.Wait()
	s.kill()
	s.grpc.Stop()
}

// ServeHTTP implements http.Handler: it finds the route, checks rate and token, and hands over to gRPC or JSON.
func (s *Server) ServeHTTP(hw http.ResponseWriter, r *http.Request) {
	start := time.Now()
	w := newStallWriter(hw, s.cfg.Limits.StallTimeout)
	defer w.close()
	c := &call{from: r.RemoteAddr}
	r = r.WithContext(withCall(r.Context(), c))
	var rt *route
	defer func() {
		if v := recover(); v != nil {
			p := s.panicked(rt, v)
			c.outcome.set(string(p.Code))
			if !w.began {
				fail(w, r, p)
			}
		}
		s.metrics.answered(rt, c.outcome.get(), time.Since(start))
	}()
	var id markettypes.LeaseID
	var err error
	rt, id, err = s.admit(w, r, c)
	switch {
	case err != nil:
		p := wire.FromError(err)
		c.outcome.set(string(p.Code))
		fail(w, r, p)
	case isGRPC(r):
		s.grpc.ServeHTTP(w, r)
	case isWebSocket(r) && !rt.public:
		s.serveWebSocket(w, r, rt, id)
	default:
		s.serveJSON(w, r, rt, id)
	}
}

// admit decides whether a request is looked at any further. The order is that of cost: an address that asks too much
// is turned away before its token costs a signature check, a token that is not valid before its body is read.
func (s *Server) admit(w *stallWriter, r *http.Request, c *call) (*route, markettypes.LeaseID, error) {
	var id markettypes.LeaseID
	if !s.byAddr.allow(addrKey(r.RemoteAddr), time.Now()) {
		return nil, id, wire.Errorf(wire.TooMany, "too many requests from this address").Then("wait a second")
	}
	rt, params, err := s.find(w, r)
	s.boundBody(w, r, rt, c)
	if err != nil {
		return nil, id, err
	}
	if c.claims, err = s.authenticate(rt, r); err != nil {
		return rt, id, err
	}
	if !rt.public && !s.byOwner.allow(c.claims.Owner, time.Now()) {
		return rt, id, wire.Errorf(wire.TooMany, "too many requests of this account").Then("wait a second")
	}
	if id, err = leaseOf(params); err != nil {
		return rt, id, err
	}
	return rt, id, nil
}

// grpcFraming is more than gRPC adds to a message.
const grpcFraming = 1 << 10

// boundBody limits time and size of the body. gRPC reads a body into memory however slowly its handler takes it, so
// without the limit on size a client could fill the memory. The body of a client that talks has no size: what counts is
// how far it is ahead, and how long the first message takes.
func (s *Server) boundBody(w *stallWriter, r *http.Request, rt *route, c *call) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	_ = w.control.SetReadDeadline(time.Now().Add(s.cfg.Limits.BodyTimeout)) // supported by both HTTP versions
	if rt != nil && rt.talk && isGRPC(r) {
		c.gate = newGate(r.Body)
		c.heard = func() { _ = w.control.SetReadDeadline(time.Time{}) }
		r.Body = c.gate
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, s.cfg.Limits.MaxBody+grpcFraming)
}

// find returns the request's route and the parameters of its path.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (*route, map[string]string, error) {
	if isGRPC(r) {
		if rt := s.router.byGRPC[r.URL.Path]; rt != nil && r.Method == http.MethodPost {
			return rt, nil, nil
		}
		return nil, nil, wire.Errorf(wire.Unimplemented, "there is no such method").Then("the provider may run an older version")
	}
	rt, params, allow := s.router.findJSON(r.Method, r.URL.Path)
	if rt == nil {
		for _, verb := range allow {
			w.Header().Add("Allow", verb)
		}
		return nil, nil, notServed(r, allow)
	}
	return rt, params, nil
}

// fail answers with a problem in the language of the request.
func fail(w http.ResponseWriter, r *http.Request, p *wire.Problem) {
	if isGRPC(r) {
		failGRPC(w, p)
		return
	}
	failJSON(w, p)
}
