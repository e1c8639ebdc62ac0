package link

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"berth.dev/berth/provider/lease"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// peerKey names a connection to another provider. Leases have connections of their own, so that none waits for the bytes
// of another, and none uses up another's memory.
type peerKey struct {
	provider string
	source   markettypes.LeaseID
}

// peer is another provider as one lease of ours reaches it.
type peer struct {
	links *Links
	key   peerKey

	mu      sync.Mutex
	session *yamux.Session
	pin     peerPin // the key of the session's other end
	memory  *budget
	fails   int
	retry   time.Time // no new try before this
	err     error     // the last try's
	closed  bool
}

// The pauses between tries to connect: doubled from first to longest, each by up to a half more or less, so that
// providers that lost each other do not all come back at once.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 15 * time.Second
)

func pauseAfter(fails int) time.Duration {
	p := min(longestPause, firstPause<<min(fails-1, 10))
	return p/2 + rand.N(p) //nolint:gosec // spreads load, keeps no secret
}

func (l *Links) peer(key peerKey) *peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[key]
	if p == nil {
		p = &peer{links: l, key: key, memory: &budget{max: l.cfg.Limits.Buffer}}
		l.peers[key] = p
	}
	return p
}

// dropPeers closes the connections of leases that have no doors any more.
func (l *Links) dropPeers(mine map[markettypes.LeaseID]*lease.Held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	used := map[markettypes.LeaseID]bool{}
	for key := range l.doors {
		used[key.lease] = true
	}
	for key, p := range l.peers {
		if mine[key.source] == nil || !used[key.source] {
			p.close()
			delete(l.peers, key)
		}
	}
}

func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.session != nil {
		go p.session.Close() // it waits for its loops
		p.session = nil
	}
}

// connected returns the session with the peer. One that is lost is made anew, unless it was tried a moment ago.
func (p *peer) connected(ctx context.Context) (*yamux.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session != nil && !p.session.IsClosed() {
		r, err := p.links.view.record(ctx, p.key.provider, 6*p.links.cfg.Look)
		if err != nil || pinned(r, p.pin) {
			return p.session, nil
		}
		// The key was taken off the chain since.
		_ = p.session.Close() // its streams end with it
	}
	if p.closed || p.links.ctx.Err() != nil {
		return nil, errors.New("link: it is closed")
	}
	if p.err != nil && time.Now().Before(p.retry) {
		return nil, p.err
	}
	p.session, p.pin, p.err = p.links.connect(ctx, p.key.provider, p.memory)
	p.links.metrics.dialled(p.err)
	if p.err != nil {
		p.fails++
		p.retry = time.Now().Add(pauseAfter(p.fails))
		return nil, p.err
	}
	p.fails = 0
	return p.session, nil
}

// connect dials a provider at the address of its record and makes sure that it holds a key of it.
func (l *Links) connect(ctx context.Context, owner string, memory *budget) (*yamux.Session, peerPin, error) {
	r, err := l.view.record(ctx, owner, 6*l.cfg.Look)
	if err != nil {
		return nil, peerPin{}, fmt.Errorf("link: look for the address of %s: %w", owner, err)
	}
	session, pin, err := l.connectTo(ctx, r, memory)
	if errors.Is(err, errWrongKey) {
		// The key may have been replaced since.
		if r, rerr := l.view.record(ctx, owner, newest); rerr == nil {
			return l.connectTo(ctx, r, memory)
		}
	}
	return session, pin, err
}

var errWrongKey = errors.New("its TLS key is none of those that it has on chain")

func (l *Links) connectTo(ctx context.Context, r providertypes.Provider, memory *budget) (session *yamux.Session, pin peerPin, err error) {
	raw, err := l.dialRecord(ctx, r)
	if err != nil {
		return nil, pin, err
	}
	conn := tls.Client(raw, &tls.Config{
		Certificates: []tls.Certificate{l.cfg.TLS}, MinVersion: tls.VersionTLS13, NextProtos: []string{Protocol},
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection trusts the keys on chain and nothing else
		VerifyConnection: func(st tls.ConnectionState) error {
			if len(st.PeerCertificates) > 0 {
				pin = sha256.Sum256(st.PeerCertificates[0].RawSubjectPublicKeyInfo)
			}
			if len(st.PeerCertificates) == 0 || !pinned(r, pin) {
				return errWrongKey
			}
			return nil
		},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, pin, fmt.Errorf("link: greet provider %s: %w", r.Owner, err)
	}
	if conn.ConnectionState().NegotiatedProtocol != Protocol {
		_ = conn.Close()
		return nil, pin, fmt.Errorf("link: provider %s does not speak %s", r.Owner, Protocol)
	}
	session, err = yamux.Client(conn, l.cfg.Limits.sessionConfig(), spans(memory, l.memory))
	if err != nil {
		_ = conn.Close()
		return nil, pin, fmt.Errorf("link: start a session with %s: %w", r.Owner, err)
	}
	return session, pin, nil
}

// dialRecord connects to a provider's host. The addresses of a name are looked at before they are dialled, and those that
// were looked at are the ones that are dialled: another provider chooses its name, and could otherwise make us connect to
// what only we can reach.
func (l *Links) dialRecord(ctx context.Context, r providertypes.Provider) (net.Conn, error) {
	u, err := url.Parse(r.HostUri)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("link: provider %s has the address %q", r.Owner, r.HostUri)
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("link: look up provider %s: %w", r.Owner, err)
	}
	d := net.Dialer{Timeout: l.cfg.Limits.Open, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 3}}
	err = fmt.Errorf("link: provider %s has no address", r.Owner)
	for _, ip := range ips {
		if !l.cfg.AllowPrivateDial && !ofInternet(ip) {
			err = fmt.Errorf("link: provider %s is at %s, which is not an address of the internet: link.allow_private_dial allows it", r.Owner, ip)
			continue
		}
		conn, derr := d.DialContext(ctx, "tcp", net.JoinHostPort(ip.Unmap().String(), port))
		if derr == nil {
			return conn, nil
		}
		err = fmt.Errorf("link: dial provider %s: %w", r.Owner, derr)
	}
	return nil, err
}

// closedRanges are what is not of the internet, besides what netip knows: this network, shared and test addresses, and
// those that lead to others by translation.
var closedRanges = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

func ofInternet(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range closedRanges {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// open opens a stream with the provider of the target lease. Its errors are refusals, or say why nothing was learned.
func (l *Links) open(ctx context.Context, h Header) (*yamux.Stream, error) {
	session, err := l.peer(peerKey{h.Target.Provider, h.Source}).connected(ctx)
	if err != nil {
		return nil, err
	}
	head, err := appendHeader(nil, h)
	if err != nil {
		return nil, err
	}
	st, err := session.OpenStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("link: open a stream to %s: %w", h.Target.Provider, err)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(l.cfg.Limits.Open)
	}
	_ = st.SetDeadline(deadline) // fails only on a stream that has ended
	if _, err = st.Write(head); err == nil {
		err = readAnswer(st)
	} else {
		err = fmt.Errorf("link: ask for a stream: %w", err)
	}
	if err != nil {
		_ = st.Reset()
		return nil, err
	}
	_ = st.SetDeadline(time.Time{})
	return st, nil
}
