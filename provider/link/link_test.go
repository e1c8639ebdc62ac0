package link

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
	"berth.dev/berth/provider/cluster/fake"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/lease"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const patience = 30 * time.Second

var (
	eastID = markettypes.LeaseID{Owner: "berth1tenant", Dseq: 7, Gseq: 1, Oseq: 1, Provider: "berth1east"}
	westID = markettypes.LeaseID{Owner: "berth1tenant", Dseq: 7, Gseq: 2, Oseq: 1, Provider: "berth1west"}
	// doubleID is a lease of the group east at the provider of the west.
	doubleID = markettypes.LeaseID{Owner: "berth1tenant", Dseq: 7, Gseq: 1, Oseq: 2, Provider: "berth1west"}
)

// market is a chain of two providers.
type market struct {
	mu      sync.Mutex
	leases  map[markettypes.LeaseID]markettypes.LeaseState
	records map[string]providertypes.Provider
	down    error
	later   atomic.Int64 // how far the providers' clocks are ahead of ours
}

func (m *market) Linked(_ context.Context, id deploymenttypes.DeploymentID, _ int64) (chain.Linked, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := chain.Linked{Groups: map[uint32]string{1: "east", 2: "west"}}
	for l, s := range m.leases {
		if l.DeploymentID() == id {
			out.Leases = append(out.Leases, markettypes.Lease{Id: l, State: s})
		}
	}
	return out, m.down
}

func (m *market) Record(_ context.Context, owner string) (providertypes.Provider, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[owner]
	return r, ok, m.down
}

func (m *market) set(id markettypes.LeaseID, s markettypes.LeaseState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leases[id] = s
}

func (m *market) pin(owner string, pins ...[]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[owner]
	r.TlsPins = pins
	m.records[owner] = r
}

func (m *market) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

// site is one provider.
type site struct {
	t       testing.TB
	owner   string
	cluster *fake.Cluster
	cfg     Config
	chain   *market
	links   *Links
	listen  net.Listener
	stop    func()

	mu   sync.Mutex
	held map[markettypes.LeaseID]lease.Held
}

func (s *site) Held() ([]lease.Held, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []lease.Held
	for _, h := range s.held {
		out = append(out, h)
	}
	return out, true
}

func (s *site) Height() int64 { return 1 }

// hold makes the provider hold a lease and run its manifest.
func (s *site) hold(id markettypes.LeaseID, g manifesttypes.Group) {
	s.t.Helper()
	w := clustertest.Workload(id, g.Services...)
	w.Group = g
	w.Envelope.Group, _ = g.Marshal()
	if err := s.cluster.Apply(s.t.Context(), w); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.held[id] = lease.Held{Lease: id, Accepted: true, Workload: w}
	s.mu.Unlock()
	if _, err := s.cluster.Status(s.t.Context(), id); err != nil {
		s.t.Fatal(err)
	}
	s.links.Poke()
}

func (s *site) change(id markettypes.LeaseID, f func(h *lease.Held)) {
	s.mu.Lock()
	h := s.held[id]
	f(&h)
	s.held[id] = h
	s.mu.Unlock()
	s.links.Poke()
}

func (s *site) release(id markettypes.LeaseID) {
	s.mu.Lock()
	delete(s.held, id)
	s.mu.Unlock()
	s.links.Poke()
}

// start runs the provider's links on its port.
func (s *site) start() {
	s.t.Helper()
	var err error
	if s.links, err = New(s.cfg, s.chain, s, s.cluster); err != nil {
		s.t.Fatal(err)
	}
	address := "127.0.0.1:0"
	if s.listen != nil {
		address = s.listen.Addr().String()
	}
	var l net.Listener
	eventually(s.t, "the port to be free", func() error {
		l, err = tls.Listen("tcp", address, &tls.Config{
			Certificates: []tls.Certificate{s.cfg.TLS}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", Protocol}, MinVersion: tls.VersionTLS13,
		})
		return err
	})
	s.listen = l
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	links := s.links
	wg.Go(func() { _ = links.Run(ctx) })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				conn, _ := c.(*tls.Conn)
				if conn.HandshakeContext(ctx) == nil && conn.ConnectionState().NegotiatedProtocol == Protocol {
					links.Serve(conn)
				}
				_ = conn.Close()
			})
		}
	})
	s.stop = sync.OnceFunc(func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	})
	s.t.Cleanup(func() { s.stop() })
}

func newSite(t testing.TB, m *market, owner string, firstPort uint16) *site {
	t.Helper()
	cert, pin, err := gateway.LoadOrCreateKey(filepath.Join(t.TempDir(), "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, owner: owner, cluster: fake.New(fake.Config{}), chain: m, held: map[markettypes.LeaseID]lease.Held{}}
	s.cfg = Config{
		Provider: owner, TLS: cert, FirstPort: firstPort, LastPort: firstPort + 999, AllowPrivateDial: true,
		Now:  func() time.Time { return time.Now().Add(time.Duration(m.later.Load())) },
		Look: 50 * time.Millisecond, Trust: 10 * time.Minute, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	s.start()
	m.mu.Lock()
	m.records[owner] = providertypes.Provider{Owner: owner, HostUri: "https://" + s.listen.Addr().String(), TlsPins: [][]byte{pin}}
	m.mu.Unlock()
	return s
}

// groups are those of a document with a database in the west that only app in the east may reach.
func groups(image string) (east, west manifesttypes.Group) {
	edges := []manifesttypes.Edge{{FromGroup: "east", FromService: "app", ToGroup: "west", ToService: "db", Port: 5432}}
	app := clustertest.Service("app", image)
	app.DependsOn = []string{"db"}
	db := clustertest.Service("db", image)
	to := []manifesttypes.To{{Service: "app", Global: true}}
	db.Expose = []manifesttypes.Expose{
		{Port: 8080, As: 5432, Proto: manifesttypes.PROTO_TCP, To: to}, {Port: 8080, As: 5432, Proto: manifesttypes.PROTO_UDP, To: to},
	}
	east = manifesttypes.Group{Name: "east", Services: []manifesttypes.Service{app, clustertest.Service("other", image)}, Edges: edges}
	west = manifesttypes.Group{Name: "west", Services: []manifesttypes.Service{db, clustertest.Service("spare", image)}, Edges: edges}
	return east, west
}

// pair is the market, its two providers, and a database in the west.
type pair struct {
	*market
	east, west *site
}

func newPair(t testing.TB) *pair {
	t.Helper()
	m := &market{leases: map[markettypes.LeaseID]markettypes.LeaseState{}, records: map[string]providertypes.Provider{}}
	p := &pair{market: m, east: newSite(t, m, "berth1east", 21000), west: newSite(t, m, "berth1west", 22000)}
	m.set(eastID, markettypes.LEASE_STATE_ACTIVE)
	m.set(westID, markettypes.LEASE_STATE_ACTIVE)
	east, west := groups("hello:1")
	p.west.cluster.PlaceInstances("db", echo(t))
	p.east.hold(eastID, east)
	p.west.hold(westID, west)
	return p
}

// echo takes connections and datagrams at one port and sends back what comes.
func echo(t testing.TB) netip.AddrPort {
	t.Helper()
	for {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		at := l.Addr().(*net.TCPAddr).AddrPort()
		u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if err != nil {
			_ = l.Close()
			continue
		}
		t.Cleanup(func() { _ = l.Close(); _ = u.Close() })
		go func() {
			for {
				c, err := l.AcceptTCP()
				if err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(c, c)
					_ = c.CloseWrite()
					_ = c.Close()
				}()
			}
		}()
		go func() {
			buf := make([]byte, maxDatagram)
			for {
				n, from, err := u.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				_, _ = u.WriteToUDPAddrPort(buf[:n], from)
			}
		}()
		return at
	}
}

func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %v", what, err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// door is where app connects to db.
func (p *pair) door(t testing.TB) netip.AddrPort {
	t.Helper()
	var at netip.AddrPort
	eventually(t, "the link to be ready", func() error {
		for _, l := range p.east.cluster.Links(eastID) {
			if l.Ready && l.Service == "db" {
				at = l.Address
				return nil
			}
		}
		return fmt.Errorf("links are %+v", p.east.cluster.Links(eastID))
	})
	return at
}

func dialDoor(t testing.TB, at netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// answers checks that a connection is carried to the database and back.
func answers(c net.Conn) error {
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != "hello" {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

func mustAnswer(t testing.TB, c net.Conn) {
	t.Helper()
	if err := answers(c); err != nil {
		t.Fatal(err)
	}
}

// ends checks that a connection is cut.
func ends(t testing.TB, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a connection went on: %v", err)
	} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Fatal("a connection went on")
	}
}

// try opens a connection of its own.
func try(at netip.AddrPort) error {
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	return answers(c)
}

// cut checks that a new connection leads nowhere.
func cut(t testing.TB, at netip.AddrPort) {
	t.Helper()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		return // it was cut before we had seen it
	}
	defer c.Close()
	ends(t, c)
}

// code asks the west for a stream as a peer with the key of some site, and gives the answer.
func (p *pair) code(t testing.TB, as *site, h Header) Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, _, _ := p.Record(ctx, "berth1west")
	r.HostUri = "https://" + p.west.listen.Addr().String()
	session, _, err := as.links.connectTo(ctx, r, &budget{max: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	st, err := session.OpenStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	head, err := appendHeader(nil, h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write(head); err != nil {
		t.Fatal(err)
	}
	err = readAnswer(st)
	if err == nil {
		return OK
	}
	r2, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Fatal(err)
	}
	return r2.Code
}

func header(k Kind) Header {
	return Header{Kind: k, Source: eastID, Target: westID, From: "app", To: "db", Port: 5432}
}

func TestTCPAndUDPReachTheOtherDatacenter(t *testing.T) {
	p := newPair(t)
	at := p.door(t)
	c := dialDoor(t, at)
	mustAnswer(t, c)
	u, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for _, size := range []int{1, 1400, 9000, 60000} {
		want := bytes.Repeat([]byte{byte(size)}, size)
		got := make([]byte, maxDatagram)
		eventually(t, "a datagram to come back", func() error {
			if _, err := u.Write(want); err != nil {
				return err
			}
			_ = u.SetReadDeadline(time.Now().Add(time.Second))
			n, err := u.Read(got)
			if err == nil && !bytes.Equal(got[:n], want) {
				err = fmt.Errorf("%d bytes came back of %d", n, size)
			}
			return err
		})
	}
	if links := p.east.cluster.Links(eastID); len(links) != 1 || !slices.Equal(links[0].Clients, []string{"app"}) {
		t.Errorf("links %+v, want one door for app alone", links)
	}
	st, err := p.east.cluster.Status(t.Context(), eastID)
	if err != nil || st[0].Ready != 1 {
		t.Errorf("app, which depends on db, is %+v, %v", st, err)
	}
}

// TestHalfClose: the end of one direction is carried, and the other goes on.
func TestHalfClose(t *testing.T) {
	p := newPair(t)
	c := dialDoor(t, p.door(t))
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back of %d, %v", len(got), len(sent), err)
	}
}

func TestRefusals(t *testing.T) {
	p := newPair(t)
	p.door(t)
	other := eastID
	other.Dseq = 8
	p.set(other, markettypes.LEASE_STATE_ACTIVE)
	unknown := eastID
	unknown.Oseq = 9
	elsewhere := westID
	elsewhere.Provider = "berth1north"
	for name, tc := range map[string]struct {
		as   *site
		edit func(h *Header)
		want Code
	}{
		"as it should be":        {p.east, func(*Header) {}, OK},
		"another service":        {p.east, func(h *Header) { h.From = "other" }, NotAllowed},
		"a service without edge": {p.east, func(h *Header) { h.To = "spare" }, NotAllowed},
		"another port":           {p.east, func(h *Header) { h.Port = 8080 }, NotAllowed},
		"another deployment":     {p.east, func(h *Header) { h.Source = other }, OtherDeployment},
		"an unknown lease":       {p.east, func(h *Header) { h.Source = unknown }, UnknownLease},
		"another provider":       {p.east, func(h *Header) { h.Target = elsewhere }, WrongProvider},
		"another key":            {p.west, func(*Header) {}, NotPeer},
	} {
		for _, k := range []Kind{Ask, TCP, UDP} {
			h := header(k)
			tc.edit(&h)
			if got := p.code(t, tc.as, h); got != tc.want {
				t.Errorf("%s, %s: %s, want %s", name, k, got, tc.want)
			}
		}
	}
	for _, end := range []markettypes.LeaseID{eastID, westID} {
		for state, want := range map[markettypes.LeaseState]Code{
			markettypes.LEASE_STATE_SUSPENDED: Suspended, markettypes.LEASE_STATE_CLOSED: Closed, markettypes.LEASE_STATE_RECLAIMING: OK,
		} {
			p.set(end, state)
			eventually(t, "the lease's state to count", func() error {
				if got := p.code(t, p.east, header(TCP)); got != want {
					return fmt.Errorf("%s is %s: %s, want %s", end, state, got, want)
				}
				return nil
			})
			p.set(end, markettypes.LEASE_STATE_ACTIVE)
		}
	}
	p.west.cluster.HoldReadiness(true)
	if err := p.west.cluster.Fail(westID, "db", "gone"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that no instance is ready to count", func() error {
		if got := p.code(t, p.east, header(TCP)); got != NotReady {
			return fmt.Errorf("without an instance: %s", got)
		}
		return nil
	})
}

// TestStreamsEndWithTheirLeases: whichever lease ends or is suspended, and whoever learns of it.
func TestStreamsEndWithTheirLeases(t *testing.T) {
	for name, end := range map[string]func(p *pair){
		"source closed on chain":    func(p *pair) { p.set(eastID, markettypes.LEASE_STATE_CLOSED) },
		"target closed on chain":    func(p *pair) { p.set(westID, markettypes.LEASE_STATE_CLOSED) },
		"source suspended on chain": func(p *pair) { p.set(eastID, markettypes.LEASE_STATE_SUSPENDED) },
		"source gone at home":       func(p *pair) { p.east.release(eastID) },
		"target gone at home":       func(p *pair) { p.west.release(westID) },
		"target suspended at home":  func(p *pair) { p.west.change(westID, func(h *lease.Held) { h.Suspended = true }) },
		"source suspended at home":  func(p *pair) { p.east.change(eastID, func(h *lease.Held) { h.Suspended = true }) },
		"edge gone at the target":   func(p *pair) { p.west.change(westID, func(h *lease.Held) { h.Workload.Group.Edges = nil }) },
		"edge gone at the source":   func(p *pair) { p.east.change(eastID, func(h *lease.Held) { h.Workload.Group.Edges = nil }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			c := dialDoor(t, p.door(t))
			mustAnswer(t, c)
			end(p)
			ends(t, c)
		})
	}
}

// TestAnUnreachableChainEndsNothing, and admits new streams for as long as what it said last is young enough.
func TestAnUnreachableChainEndsNothing(t *testing.T) {
	p := newPair(t)
	at := p.door(t)
	c := dialDoor(t, at)
	mustAnswer(t, c)
	p.fail(errors.New("no route to the chain"))
	for range 5 {
		mustAnswer(t, c)
		p.east.links.look(t.Context())
		p.west.links.look(t.Context())
	}
	mustAnswer(t, c)
	mustAnswer(t, dialDoor(t, at))
	p.later.Store(int64(time.Hour))
	cut(t, at)
	mustAnswer(t, c)
	p.fail(nil)
	eventually(t, "new connections after the chain is back", func() error { return try(at) })
}

// TestARestartReconnects: the streams end with the provider, new ones come as soon as it is back.
func TestARestartReconnects(t *testing.T) {
	p := newPair(t)
	at := p.door(t)
	c := dialDoor(t, at)
	mustAnswer(t, c)
	p.west.stop()
	ends(t, c)
	cut(t, at)
	p.west.start()
	eventually(t, "the link to come back", func() error { return try(at) })
	p.east.stop()
	p.east.start()
	p.east.links.Poke()
	if again := p.door(t); again != at {
		t.Errorf("the door moved from %s to %s by a restart", at, again)
	}
	eventually(t, "the door to be open again", func() error { return try(at) })
}

// TestTwoGroupsOfOneProvider: a lease of the same provider is reached within the process, by the same checks.
func TestTwoGroupsOfOneProvider(t *testing.T) {
	p := newPair(t)
	p.set(doubleID, markettypes.LEASE_STATE_ACTIVE)
	east, _ := groups("hello:1")
	p.west.hold(doubleID, east)
	var at netip.AddrPort
	eventually(t, "the link to be ready", func() error {
		for _, l := range p.west.cluster.Links(doubleID) {
			if at = l.Address; l.Ready {
				return nil
			}
		}
		return errors.New("it is not")
	})
	c := dialDoor(t, at)
	mustAnswer(t, c)
	p.west.change(westID, func(h *lease.Held) { h.Suspended = true })
	ends(t, c)
	cut(t, at)
}

// TestFailover: of two leases that hold the service, the one that is reached takes the connections.
func TestFailover(t *testing.T) {
	p := newPair(t)
	second := westID
	second.Oseq, second.Provider = 2, "berth1gone"
	p.set(second, markettypes.LEASE_STATE_ACTIVE)
	at := p.door(t)
	for range 5 {
		mustAnswer(t, dialDoor(t, at))
	}
}

// TestWrongKey: a provider that answers with a key that is not on chain gets nothing.
func TestWrongKey(t *testing.T) {
	p := newPair(t)
	at := p.door(t)
	other := sha256.Sum256([]byte("another"))
	genuine := p.records["berth1west"].TlsPins[0]
	p.pin("berth1west", other[:])
	p.west.stop()
	p.west.start()
	eventually(t, "the reason to show", func() error {
		if l := p.east.cluster.Links(eastID); len(l) != 1 || l[0].Ready || !strings.Contains(l[0].Why, "key") {
			return fmt.Errorf("links are %+v", l)
		}
		return nil
	})
	cut(t, at)
	p.pin("berth1west", other[:], genuine)
	eventually(t, "the link with both keys on chain", func() error { return try(at) })
}

func TestPrivateAddressesAreNotDialled(t *testing.T) {
	p := newPair(t)
	p.door(t)
	p.east.links.cfg.AllowPrivateDial = false
	_, _, err := p.east.links.connect(t.Context(), "berth1west", &budget{max: 1 << 20})
	if err == nil || !strings.Contains(err.Error(), "allow_private_dial") {
		t.Errorf("dialled 127.0.0.1: %v", err)
	}
	for address, want := range map[string]bool{
		"8.8.8.8": true, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "127.0.0.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "::1": false, "fe80::1": false, "fd00::1": false,
		"2606:4700::1111": true, "::ffff:10.0.0.1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false,
	} {
		if got := ofInternet(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s of the internet: %v", address, got)
		}
	}
}

func TestLimits(t *testing.T) {
	g := newGate(Limits{Streams: 2, Rate: 2})
	now := time.Unix(1000, 0)
	for range 2 {
		if err := g.enter("a", now); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.enter("a", now); !errors.Is(err, &Refusal{Code: TooMany}) {
		t.Errorf("a third at once: %v", err)
	}
	if err := g.enter("b", now); err != nil {
		t.Errorf("another lease: %v", err)
	}
	g.leave("a")
	for range 2 {
		if err := g.enter("a", now); err != nil {
			t.Errorf("within the burst: %v", err)
		}
		g.leave("a")
	}
	if err := g.enter("a", now); !errors.Is(err, &Refusal{Code: TooMany}) {
		t.Errorf("beyond the burst: %v", err)
	}
	if err := g.enter("a", now.Add(time.Second)); err != nil {
		t.Errorf("a second later: %v", err)
	}
	g.leave("a")
	g.leave("a")
	g.leave("b")
	g.sweep(now.Add(time.Hour))
	if len(g.byKey) != 0 {
		t.Errorf("%d keys are kept", len(g.byKey))
	}
}

// TestSlowReadersAreBounded: what waits for readers that read nothing stays within the budget, and others go on.
func TestSlowReadersAreBounded(t *testing.T) {
	p := newPair(t)
	at := p.door(t)
	const slow = 8
	block := make([]byte, 64<<10)
	for range slow {
		c := dialDoor(t, at)
		go func() {
			for {
				if _, err := c.Write(block); err != nil {
					return
				}
			}
		}()
	}
	eventually(t, "bytes to wait", func() error {
		if p.east.links.memory.inUse() == 0 || p.west.links.memory.inUse() == 0 {
			return errors.New("none wait")
		}
		return nil
	})
	for range 20 {
		mustAnswer(t, dialDoor(t, at))
	}
	for _, s := range []*site{p.east, p.west} {
		if n, most := s.links.memory.inUse(), (slow+2)*maxWindow; n > most {
			t.Errorf("%d bytes are set aside, more than %d", n, most)
		}
	}
}

func TestMemoryIsGivenBack(t *testing.T) {
	all := &budget{max: 1 << 20}
	own := &budget{max: 768 << 10}
	mm, _ := spans(own, all)()
	if err := mm.ReserveMemory(512<<10, 0); err != nil {
		t.Fatal(err)
	}
	if err := mm.ReserveMemory(512<<10, 0); err == nil {
		t.Error("more than its own budget was given")
	}
	other, _ := spans(&budget{max: 1 << 20}, all)()
	if err := other.ReserveMemory(768<<10, 0); err == nil {
		t.Error("more than there is was given")
	}
	mm.Done()
	if all.inUse() != 0 || own.inUse() != 0 {
		t.Errorf("%d and %d bytes were not given back", all.inUse(), own.inUse())
	}
}

// TestStrangersHaveNoDoor: who is not a client of the door gets nothing.
func TestStrangersHaveNoDoor(t *testing.T) {
	p := newPair(t)
	at := p.door(t)
	p.east.cluster.Intercept(func(op string) error {
		if op == fake.OpClient {
			return errors.New("nothing is known")
		}
		return nil
	})
	cut(t, at)
	p.east.cluster.Intercept(nil)
	mustAnswer(t, dialDoor(t, at))
}

var _ cluster.Linker = (*fake.Cluster)(nil)
