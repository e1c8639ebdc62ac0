package link

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/lease"
	markettypes "berth.dev/berth/x/market/types"
)

// peerPin is the key that a peer has proven to hold.
type peerPin [sha256.Size]byte

// Serve takes the streams of a connection on which Protocol was negotiated, and returns when it has ended. It closes the
// connection. Its peer is nobody until a stream of its names a lease of the provider whose key it holds; a connection
// without such a stream is closed soon.
func (l *Links) Serve(conn *tls.Conn) {
	defer conn.Close()
	certs := conn.ConnectionState().PeerCertificates
	if len(certs) != 1 || !l.enterSession() {
		return
	}
	defer l.leaveSession()
	pin := peerPin(sha256.Sum256(certs[0].RawSubjectPublicKeyInfo))
	session, err := yamux.Server(conn, l.cfg.Limits.sessionConfig(), spans(&budget{max: l.cfg.Limits.Buffer}, l.memory))
	if err != nil {
		return
	}
	defer session.Close()
	unlink := context.AfterFunc(l.ctx, func() { _ = session.Close() })
	defer unlink()
	var known atomic.Bool
	stranger := time.AfterFunc(2*l.cfg.Limits.Open, func() {
		if !known.Load() {
			_ = session.Close()
		}
	})
	defer stranger.Stop()
	for {
		st, err := session.AcceptStream()
		if err != nil {
			return
		}
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			l.serveStream(st, pin, &known)
		}()
	}
}

func (l *Links) enterSession() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil || l.sessions >= l.cfg.Limits.Sessions {
		return false
	}
	l.sessions++
	l.wg.Add(1)
	return true
}

func (l *Links) leaveSession() {
	l.mu.Lock()
	l.sessions--
	l.mu.Unlock()
	l.wg.Done()
}

// serveStream answers one stream and carries it.
func (l *Links) serveStream(st *yamux.Stream, pin peerPin, known *atomic.Bool) {
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.Limits.Open)
	defer cancel()
	_ = st.SetDeadline(time.Now().Add(l.cfg.Limits.Open)) // fails only on a stream that has ended
	h, err := readHeader(st)
	if err != nil {
		if errors.Is(err, errMalformed) {
			l.answer(st, Header{}, refuse(Malformed, "the header is not one of %s", Protocol))
			return
		}
		_ = st.Reset()
		return
	}
	g, err := l.admit(ctx, h, func(markettypes.LeaseID) error { return l.checkPeer(ctx, h.Source.Provider, pin) })
	if err != nil {
		l.answer(st, h, err)
		return
	}
	known.Store(true)
	if h.Kind != Ask {
		key := h.Source.String()
		if err := l.coming.enter(key, l.cfg.Now()); err != nil {
			l.answer(st, h, err)
			return
		}
		defer l.coming.leave(key)
	}
	end, err := l.reach(ctx, g)
	if err != nil || h.Kind == Ask {
		l.answer(st, h, err)
		return
	}
	defer end.close()
	live := &stream{Header: h, serving: true, end: func() { _ = st.Reset(); end.abort() }}
	if !l.keep(live) {
		_ = st.Reset()
		return
	}
	defer l.drop(live)
	l.metrics.answered(serving, h.Kind, OK)
	if _, err := st.Write(appendAnswer(nil, OK, "")); err != nil {
		_ = st.Reset()
		return
	}
	_ = st.SetDeadline(time.Time{})
	if h.Kind == UDP {
		far := &framed{duplex: st, in: bufio.NewReader(st)}
		exchange(far, udpEnd{end.udp}, l.cfg.Limits.IdleUDP, l.metrics.bytes(serving, outgoing), l.metrics.bytes(serving, incoming))
		return
	}
	relay(st, tcpEnd{end.tcp}, l.cfg.Limits.Idle, l.metrics.bytes(serving, outgoing), l.metrics.bytes(serving, incoming))
}

// answer ends a stream with what becomes of it; nil is OK, for questions.
func (l *Links) answer(st *yamux.Stream, h Header, err error) {
	r := refusalOf(err)
	l.metrics.answered(serving, h.Kind, r.Code)
	if r.Code != OK && h.Kind != Ask {
		l.cfg.Log.Debug("link refused", "source", h.Source.String(), "service", h.From, "target", h.Target.String(), "to", h.To, "port", h.Port, "why", r.Error())
	}
	if _, err := st.Write(appendAnswer(nil, r.Code, r.Text)); err != nil {
		_ = st.Reset()
		return
	}
	_ = st.Close() // what the peer makes of it is its affair
}

// refusalOf says of any error what the peer is told.
func refusalOf(err error) *Refusal {
	var r *Refusal
	switch {
	case err == nil:
		return &Refusal{Code: OK}
	case errors.As(err, &r):
		return r
	default:
		return refuse(Unavailable, "the provider cannot tell now")
	}
}

// checkPeer checks that a key is one that a provider's record on chain pins.
func (l *Links) checkPeer(ctx context.Context, owner string, pin peerPin) error {
	for _, within := range []time.Duration{6 * l.cfg.Look, newest} {
		r, err := l.view.record(ctx, owner, within)
		if err != nil {
			return fmt.Errorf("link: look for the keys of %s: %w", owner, err)
		}
		if pinned(r, pin) {
			return nil
		}
	}
	return refuse(NotPeer, "the caller's key is none of those of %s", owner)
}

// grant is a stream that may be.
type grant struct {
	Header
	// port is the container's.
	port uint32
	udp  bool
}

// admit decides whether a stream may be: the target lease is ours and runs, both leases are of one deployment and paid
// for, the caller is who it must be, and the manifest that was accepted for the target allows it. Its errors are
// refusals, or mean that nothing was learned.
func (l *Links) admit(ctx context.Context, h Header, caller func(markettypes.LeaseID) error) (grant, error) {
	if h.Target.Provider != l.cfg.Provider {
		return grant{}, refuse(WrongProvider, "lease %s is another provider's", h.Target)
	}
	if h.Source.DeploymentID() != h.Target.DeploymentID() {
		return grant{}, refuse(OtherDeployment, "leases %s and %s are of different deployments", h.Source, h.Target)
	}
	// The chain is asked of deployments that we take part in alone, and of providers that hold leases of them: whatever
	// strangers send, there are no more questions than that.
	held, err := l.ours(h.Target)
	if err != nil {
		return grant{}, err
	}
	names, err := l.checkLeases(ctx, h)
	if err != nil {
		return grant{}, err
	}
	if err := caller(h.Source); err != nil {
		return grant{}, err
	}
	g := held.Workload.Group
	if g.Name != names[h.Target.Gseq] {
		return grant{}, refuse(NotAllowed, "the manifest is of another group")
	}
	e, ok := allows(g, manifesttypes.Edge{
		FromGroup: names[h.Source.Gseq], FromService: h.From, ToGroup: g.Name, ToService: h.To, Port: uint32(h.Port),
	}, h.Kind)
	if !ok {
		return grant{}, refuse(NotAllowed, "port %d of %s is not open to %s of group %s", h.Port, h.To, h.From, names[h.Source.Gseq])
	}
	return grant{Header: h, port: e.Port, udp: e.Proto == manifesttypes.PROTO_UDP}, nil
}

// checkLeases checks on chain that both leases run, and gives the names of the deployment's groups. A lease that is not
// as it should be is looked at more closely once: it may have been resumed since.
func (l *Links) checkLeases(ctx context.Context, h Header) (names map[uint32]string, err error) {
	for _, within := range []time.Duration{l.cfg.Look, newest} {
		said, _, err := l.view.linked(ctx, h.Source.DeploymentID(), within)
		if err != nil {
			return nil, fmt.Errorf("link: look for the leases: %w", err)
		}
		bad := (*Refusal)(nil)
		for _, id := range []markettypes.LeaseID{h.Source, h.Target} {
			st, found := state(said, id)
			switch {
			case !found:
				bad = refuse(UnknownLease, "there is no lease %s", id)
			case st == markettypes.LEASE_STATE_SUSPENDED:
				bad = refuse(Suspended, "lease %s is suspended", id)
			case !runs(st):
				bad = refuse(Closed, "lease %s is closed", id)
			}
		}
		if bad == nil {
			return said.Groups, nil
		}
		err = bad
		if within == newest {
			return nil, err
		}
	}
	return nil, refuse(Unavailable, "")
}

// ours finds a lease of ours that runs a manifest.
func (l *Links) ours(id markettypes.LeaseID) (lease.Held, error) {
	all, known := l.leases.Held()
	if !known {
		return lease.Held{}, refuse(Unavailable, "the provider is starting")
	}
	i := slices.IndexFunc(all, func(h lease.Held) bool { return h.Lease == id })
	switch {
	case i < 0:
		return lease.Held{}, refuse(Closed, "lease %s is not one that runs here", id)
	case all[i].Suspended:
		return lease.Held{}, refuse(Suspended, "lease %s is suspended", id)
	case !all[i].Accepted:
		return lease.Held{}, refuse(NotReady, "lease %s has no manifest yet", id)
	}
	return all[i], nil
}

// allows finds the exposed port that an edge leads to, for the kind of stream.
func allows(g manifesttypes.Group, e manifesttypes.Edge, k Kind) (manifesttypes.Expose, bool) {
	i := slices.IndexFunc(g.Services, func(s manifesttypes.Service) bool { return s.Name == e.ToService })
	if i < 0 || !slices.Contains(g.Edges, e) || !manifest.Allows(g.Services[i], e) {
		return manifesttypes.Expose{}, false
	}
	for _, x := range g.Services[i].Expose {
		udp := x.Proto == manifesttypes.PROTO_UDP
		if x.As == e.Port && slices.Contains(x.To, manifesttypes.To{Service: e.FromService, Global: true}) && (k == Ask || udp == (k == UDP)) {
			return x, true
		}
	}
	return manifesttypes.Expose{}, false
}

// reached is a connection to an instance: one of the two, or none for a question.
type reached struct {
	tcp *net.TCPConn
	udp *net.UDPConn
}

func (r reached) close() {
	if r.tcp != nil {
		_ = r.tcp.Close()
	}
	if r.udp != nil {
		_ = r.udp.Close()
	}
}

func (r reached) abort() {
	if r.tcp != nil {
		_ = tcpEnd{r.tcp}.Reset()
	}
	r.close()
}

// tries is how many instances are tried for one connection, each for at most dialFor.
const (
	tries   = 3
	dialFor = 3 * time.Second
)

// reach connects to a ready instance, each time to the next one.
func (l *Links) reach(ctx context.Context, g grant) (reached, error) {
	all, err := l.cluster.Instances(ctx, g.Target, g.To, g.port, g.udp)
	if err != nil {
		return reached{}, fmt.Errorf("link: look for instances: %w", err)
	}
	if len(all) == 0 {
		return reached{}, refuse(NotReady, "no instance of %s is ready", g.To)
	}
	if g.Kind == Ask {
		return reached{}, nil
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	first := int(turn.Add(1) % uint64(len(all))) //nolint:gosec // below the length
	for i := range min(tries, len(all)) {
		at := all[(first+i)%len(all)]
		if r, derr := l.dialInstance(ctx, at, g.udp); derr == nil {
			return r, nil
		} else if err = derr; ctx.Err() != nil {
			break
		}
	}
	l.cfg.Log.Warn("instances that are ready are not reached: does a route lead from here to the pods?", "lease", g.Target.String(), "service", g.To, "err", err)
	return reached{}, refuse(Unreachable, "instances of %s are ready, but do not answer", g.To)
}

// turn spreads connections over instances and leases.
var turn atomic.Uint64

func (l *Links) dialInstance(ctx context.Context, at netip.AddrPort, udp bool) (reached, error) {
	ctx, cancel := context.WithTimeout(ctx, dialFor)
	defer cancel()
	from := l.address()
	if from.IsLoopback() || from.Is4() != at.Addr().Is4() {
		from = netip.Addr{}
	}
	if udp {
		d := net.Dialer{}
		if from.IsValid() {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
		c, err := d.DialContext(ctx, "udp", at.String())
		if err != nil {
			return reached{}, err //nolint:wrapcheck // logged with what was tried
		}
		u, _ := c.(*net.UDPConn)
		return reached{udp: u}, nil
	}
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 4}}
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return reached{}, err //nolint:wrapcheck // logged with what was tried
	}
	t, _ := c.(*net.TCPConn)
	return reached{tcp: t}, nil
}
