// Package gatewaytest runs gateways over real sockets for tests, with a backend whose answers the test sets.
package gatewaytest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/token"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// ChainID is the chain of all test gateways.
const ChainID = "berth-test"

// Account is a tenant's or provider's account.
type Account struct {
	Key     *secp256k1.PrivKey
	Address string
}

// NewAccount makes the account whose key is derived from name; the same name gives the same account.
func NewAccount(name string) Account {
	key := secp256k1.GenPrivKeyFromSecret([]byte(name))
	addr, err := token.Address(key.PubKey().Bytes())
	if err != nil {
		panic(err) // the key has the right length
	}
	return Account{Key: key, Address: addr}
}

// Sign implements token.Signer.
func (a Account) Sign(data []byte) (sig, pubKey []byte, err error) {
	sig, err = a.Key.Sign(data)
	return sig, a.Key.PubKey().Bytes(), err
}

// Backend is a gateway.Backend whose answers are functions; one that is not set answers with ErrNotFound.
type Backend struct {
	StatusFunc      func(context.Context) (gatewaytypes.StatusResponse, error)
	WouldBidFunc    func(context.Context, gatewaytypes.WouldBidRequest) (gatewaytypes.WouldBidResponse, error)
	PutManifestFunc func(context.Context, markettypes.LeaseID, manifesttypes.Envelope) ([]byte, error)
	ManifestFunc    func(context.Context, markettypes.LeaseID) (manifesttypes.Envelope, error)
	LeaseStatusFunc func(context.Context, markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error)
	LogsFunc        func(context.Context, markettypes.LeaseID, cluster.LogOptions) (cluster.LogStream, error)
	EventsFunc      func(context.Context, markettypes.LeaseID, cluster.EventOptions) (cluster.EventStream, error)
	ExecFunc        func(context.Context, markettypes.LeaseID, cluster.ExecOptions, cluster.Streams) (int, error)
	ForwardFunc     func(context.Context, markettypes.LeaseID, cluster.ForwardOptions) (net.Conn, error)
	RestartFunc     func(context.Context, markettypes.LeaseID, string) error
	GatewayKeyFunc  func(context.Context, string) ([]byte, error)
}

// Status implements gateway.Backend.
func (b *Backend) Status(ctx context.Context) (gatewaytypes.StatusResponse, error) {
	if b.StatusFunc == nil {
		return gatewaytypes.StatusResponse{}, gateway.ErrNotFound
	}
	return b.StatusFunc(ctx)
}

// WouldBid implements gateway.Backend.
func (b *Backend) WouldBid(ctx context.Context, req gatewaytypes.WouldBidRequest) (gatewaytypes.WouldBidResponse, error) {
	if b.WouldBidFunc == nil {
		return gatewaytypes.WouldBidResponse{}, gateway.ErrNotFound
	}
	return b.WouldBidFunc(ctx, req)
}

// PutManifest implements gateway.Backend.
func (b *Backend) PutManifest(ctx context.Context, id markettypes.LeaseID, env manifesttypes.Envelope) ([]byte, error) {
	if b.PutManifestFunc == nil {
		return nil, gateway.ErrNotFound
	}
	return b.PutManifestFunc(ctx, id, env)
}

// Manifest implements gateway.Backend.
func (b *Backend) Manifest(ctx context.Context, id markettypes.LeaseID) (manifesttypes.Envelope, error) {
	if b.ManifestFunc == nil {
		return manifesttypes.Envelope{}, gateway.ErrNotFound
	}
	return b.ManifestFunc(ctx, id)
}

// LeaseStatus implements gateway.Backend.
func (b *Backend) LeaseStatus(ctx context.Context, id markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error) {
	if b.LeaseStatusFunc == nil {
		return gatewaytypes.LeaseStatusResponse{}, gateway.ErrNotFound
	}
	return b.LeaseStatusFunc(ctx, id)
}

// Logs implements gateway.Backend.
func (b *Backend) Logs(ctx context.Context, id markettypes.LeaseID, o cluster.LogOptions) (cluster.LogStream, error) {
	if b.LogsFunc == nil {
		return nil, gateway.ErrNotFound
	}
	return b.LogsFunc(ctx, id, o)
}

// Events implements gateway.Backend.
func (b *Backend) Events(ctx context.Context, id markettypes.LeaseID, o cluster.EventOptions) (cluster.EventStream, error) {
	if b.EventsFunc == nil {
		return nil, gateway.ErrNotFound
	}
	return b.EventsFunc(ctx, id, o)
}

// Exec implements gateway.Backend.
func (b *Backend) Exec(ctx context.Context, id markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error) {
	if b.ExecFunc == nil {
		return 0, gateway.ErrNotFound
	}
	return b.ExecFunc(ctx, id, o, s)
}

// Forward implements gateway.Backend.
func (b *Backend) Forward(ctx context.Context, id markettypes.LeaseID, o cluster.ForwardOptions) (net.Conn, error) {
	if b.ForwardFunc == nil {
		return nil, gateway.ErrNotFound
	}
	return b.ForwardFunc(ctx, id, o)
}

// Restart implements gateway.Backend.
func (b *Backend) Restart(ctx context.Context, id markettypes.LeaseID, service string) error {
	if b.RestartFunc == nil {
		return gateway.ErrNotFound
	}
	return b.RestartFunc(ctx, id, service)
}

// GatewayKey implements gateway.Backend.
func (b *Backend) GatewayKey(ctx context.Context, owner string) ([]byte, error) {
	if b.GatewayKeyFunc == nil {
		return nil, gateway.ErrNotFound
	}
	return b.GatewayKeyFunc(ctx, owner)
}

// Obliging is a backend that answers everything well. Its logs are Lines, with a quiet end if followed.
func Obliging(lines ...cluster.LogLine) *Backend {
	env := manifesttypes.Envelope{Group: []byte("group"), Gseq: 1, Leaves: [][]byte{make([]byte, 32)}}
	return &Backend{
		StatusFunc: func(context.Context) (gatewaytypes.StatusResponse, error) {
			return gatewaytypes.StatusResponse{Version: "test", ChainId: ChainID, Height: 7, ClusterReachable: true}, nil
		},
		WouldBidFunc: func(_ context.Context, req gatewaytypes.WouldBidRequest) (gatewaytypes.WouldBidResponse, error) {
			return gatewaytypes.WouldBidResponse{Groups: make([]gatewaytypes.Screening, len(req.Groups)), Height: 7}, nil
		},
		PutManifestFunc: func(context.Context, markettypes.LeaseID, manifesttypes.Envelope) ([]byte, error) {
			return bytes.Repeat([]byte{1}, 32), nil
		},
		ManifestFunc: func(context.Context, markettypes.LeaseID) (manifesttypes.Envelope, error) { return env, nil },
		LeaseStatusFunc: func(context.Context, markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error) {
			return gatewaytypes.LeaseStatusResponse{Services: []gatewaytypes.ServiceStatus{{Name: "web", Desired: 1}}}, nil
		},
		LogsFunc: func(ctx context.Context, _ markettypes.LeaseID, o cluster.LogOptions) (cluster.LogStream, error) {
			return NewLines(ctx, o.Follow, lines...), nil
		},
		EventsFunc: func(ctx context.Context, _ markettypes.LeaseID, o cluster.EventOptions) (cluster.EventStream, error) {
			return NewEvents(ctx, o.Follow, cluster.Event{Time: time.Unix(0, 5), Service: "web", Instance: "web-0", Kind: "Pulled", Message: "pulled", Count: 2}), nil
		},
		ExecFunc:    Echo,
		ForwardFunc: Loop,
		RestartFunc: func(context.Context, markettypes.LeaseID, string) error { return nil },
	}
}

// Echo is an ExecFunc: it writes the command to standard error, or to the terminal with its first size, copies what it
// reads to standard output and ends with 3.
func Echo(ctx context.Context, _ markettypes.LeaseID, o cluster.ExecOptions, s cluster.Streams) (int, error) {
	if o.Terminal {
		select {
		case size := <-s.Sizes:
			fmt.Fprintf(s.Stdout, "%s on %dx%d\n", o.Command, size.Width, size.Height)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	} else {
		fmt.Fprintf(s.Stderr, "%s\n", o.Command)
	}
	if s.Stdin != nil {
		if _, err := io.Copy(s.Stdout, s.Stdin); err != nil {
			return 0, err
		}
	}
	return 3, ctx.Err()
}

// Loop is a ForwardFunc: it connects to a service that sends back what it gets, and ends when the client does.
func Loop(context.Context, markettypes.LeaseID, cluster.ForwardOptions) (net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c) // the other end tells
	}()
	return net.Dial("tcp", l.Addr().String())
}

// Events is a stream of events that a test gives.
type Events struct {
	events chan cluster.Event
	ctx    context.Context
	closed chan struct{}
	once   sync.Once
}

// NewEvents returns a stream of events; if follow is set it then waits until ctx ends or it is closed.
func NewEvents(ctx context.Context, follow bool, events ...cluster.Event) *Events {
	e := &Events{ctx: ctx, events: make(chan cluster.Event, len(events)), closed: make(chan struct{})}
	for _, x := range events {
		e.events <- x
	}
	if !follow {
		close(e.events)
	}
	return e
}

// Next implements cluster.EventStream.
func (e *Events) Next() (cluster.Event, error) {
	select {
	case x, ok := <-e.events:
		if !ok {
			return x, io.EOF
		}
		return x, nil
	case <-e.closed:
		return cluster.Event{}, io.EOF
	case <-e.ctx.Done():
		return cluster.Event{}, e.ctx.Err()
	}
}

// Close implements cluster.EventStream.
func (e *Events) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

// Lines is a log stream that a test feeds.
type Lines struct {
	ctx    context.Context
	lines  chan cluster.LogLine
	closed chan struct{}
	once   sync.Once
	follow bool
}

// NewLines returns a stream of lines; if follow is set it then waits for those of Feed, until ctx ends or it is closed.
func NewLines(ctx context.Context, follow bool, lines ...cluster.LogLine) *Lines {
	l := &Lines{ctx: ctx, lines: make(chan cluster.LogLine, len(lines)+1), closed: make(chan struct{}), follow: follow}
	for _, line := range lines {
		l.lines <- line
	}
	if !follow {
		close(l.lines)
	}
	return l
}

// Feed gives one more line to a stream that is followed; it returns false once that is closed.
func (l *Lines) Feed(line cluster.LogLine) bool {
	select {
	case l.lines <- line:
		return true
	case <-l.closed:
		return false
	case <-l.ctx.Done():
		return false
	}
}

// Next implements cluster.LogStream.
func (l *Lines) Next() (cluster.LogLine, error) {
	select {
	case line, ok := <-l.lines:
		if !ok {
			return line, io.EOF
		}
		return line, nil
	case <-l.closed:
		return cluster.LogLine{}, io.EOF
	}
}

// Close implements cluster.LogStream.
func (l *Lines) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Gateway is a running gateway.
type Gateway struct {
	*gateway.Server
	URI string
	// Pin is the digest of its TLS key, Account its provider.
	Pin     []byte
	Account Account
	// Log is what it has logged.
	Log *Buffer
	// Stop ends it and waits; a second call does nothing.
	Stop func()
}

// Start runs a gateway on a free loopback port until the test ends; change may alter its configuration.
func Start(t testing.TB, b gateway.Backend, change ...func(*gateway.Config)) *Gateway {
	t.Helper()
	cert, pin, err := gateway.LoadOrCreateKey(filepath.Join(t.TempDir(), "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{Pin: pin, Account: NewAccount("provider"), Log: &Buffer{}}
	cfg := gateway.Config{
		Listen: "127.0.0.1:0", Provider: g.Account.Address, ChainID: ChainID, TLS: cert, Limits: gateway.DefaultLimits(),
		Log: slog.New(slog.NewTextHandler(g.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	// Tests ask more per second than tenants; those that test the limits set them.
	cfg.Limits.AddrRate, cfg.Limits.OwnerRate, cfg.Limits.ScreenRate = 1e6, 1e6, 1e6
	for _, f := range change {
		f(&cfg)
	}
	if g.Server, err = gateway.New(cfg, b); err != nil {
		t.Fatal(err)
	}
	g.URI = "https://" + g.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	g.Stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(g.Stop)
	return g
}

// Lease is the owner's lease 7/1/1 with the gateway's provider.
func (g *Gateway) Lease(owner Account) markettypes.LeaseID {
	return markettypes.LeaseID{Owner: owner.Address, Dseq: 7, Gseq: 1, Oseq: 1, Provider: g.Account.Address}
}

// Claims are those of a good token of the owner for a client certificate, with all scopes.
func (g *Gateway) Claims(owner Account, cert *x509.Certificate) token.Claims {
	now := time.Now()
	return token.Claims{
		Owner: owner.Address, Provider: g.Account.Address, ChainID: ChainID, Scopes: token.Scopes(),
		IssuedAt: now, NotBefore: now, Expires: now.Add(10 * time.Minute), Thumbprint: token.Thumbprint(cert),
	}
}

// ClientCert makes a TLS client key with a certificate.
func ClientCert(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Buffer is a bytes.Buffer that may be used from several goroutines.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
