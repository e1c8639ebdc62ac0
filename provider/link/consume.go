package link

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/lease"
	markettypes "berth.dev/berth/x/market/types"
)

// doorKey names a port of a service elsewhere that a lease of ours may use.
type doorKey struct {
	lease   markettypes.LeaseID
	service string
	port    uint32
}

// way is a service of ours that may use a door, and the group that it may reach.
type way struct{ from, group string }

// door is where we take the connections of one such port.
type door struct {
	links *Links
	key   doorKey
	at    netip.AddrPort
	tcp   *net.TCPListener
	udp   *net.UDPConn
	ctx   context.Context
	end   context.CancelFunc

	mu    sync.Mutex
	ways  []way // sorted
	ready map[markettypes.LeaseID]bool
	// state is what the cluster is told.
	isReady bool
	why     string
	flows   map[netip.AddrPort]*flow
}

// wantedDoors are the doors of a lease: its edges to other groups.
func wantedDoors(h *lease.Held) map[doorKey][]way {
	out := map[doorKey][]way{}
	if h.Suspended || !h.Accepted {
		return out
	}
	g := h.Workload.Group
	for _, e := range g.Edges {
		if e.FromGroup == g.Name {
			key := doorKey{h.Lease, e.ToService, e.Port}
			out[key] = append(out[key], way{e.FromService, e.ToGroup})
		}
	}
	return out
}

// address is where doors are.
func (l *Links) address() netip.Addr {
	if l.cfg.Address.IsValid() {
		return l.cfg.Address
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.Limits.Open)
	defer cancel()
	a, err := l.cluster.LinkAddress(ctx)
	if err != nil {
		return netip.Addr{}
	}
	return a
}

// keepDoors opens and closes doors, and tells the cluster of them.
func (l *Links) keepDoors(ctx context.Context, mine map[markettypes.LeaseID]*lease.Held) {
	wanted := map[doorKey][]way{}
	for _, h := range mine {
		for key, ways := range wantedDoors(h) {
			wanted[key] = ways
		}
	}
	l.mu.Lock()
	for key, d := range l.doors {
		if wanted[key] == nil {
			d.close()
			delete(l.doors, key)
		}
	}
	l.mu.Unlock()
	if len(wanted) > 0 {
		address := l.address()
		for _, key := range sortedKeys(wanted) {
			l.keepDoor(key, wanted[key], address)
		}
	}
	for id, h := range mine {
		// Before there is a manifest, nothing is known of the links that it will ask for.
		if h.Accepted {
			l.tell(ctx, id)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.told {
		if mine[id] == nil {
			l.cluster.ForgetLinks(id)
			delete(l.told, id)
		}
	}
}

func sortedKeys(m map[doorKey][]way) []doorKey {
	keys := make([]doorKey, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b doorKey) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// String names the door in logs; the port that it takes is a hash of it.
func (k doorKey) String() string { return fmt.Sprintf("%s/%s/%d", k.lease, k.service, k.port) }

func (l *Links) keepDoor(key doorKey, ways []way, address netip.Addr) {
	slices.SortFunc(ways, func(a, b way) int { return strings.Compare(a.from+" "+a.group, b.from+" "+b.group) })
	ways = slices.Compact(ways)
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.doors[key]; d != nil {
		d.mu.Lock()
		d.ways = ways
		d.mu.Unlock()
		return
	}
	d := &door{links: l, key: key, ways: ways, ready: map[markettypes.LeaseID]bool{}, flows: map[netip.AddrPort]*flow{}, why: "not tried yet"}
	if err := d.listen(address, l.cfg.FirstPort, l.cfg.LastPort); err != nil {
		l.cfg.Log.Error("a service elsewhere can't be offered to a lease", "lease", key.lease.String(), "service", key.service, "port", key.port, "err", err)
		return
	}
	d.ctx, d.end = context.WithCancel(l.ctx)
	l.doors[key] = d
	l.wg.Go(d.acceptTCP)
	l.wg.Go(d.acceptUDP)
	l.wg.Go(d.keepAsking)
}

// listen takes a port for tcp and udp. The same door takes the same port after a restart, unless another has it, so that
// nothing has to change in the cluster.
func (d *door) listen(address netip.Addr, first, last uint16) error {
	if !address.IsValid() {
		return errors.New("link: no address is known at which pods reach the provider")
	}
	h := fnv.New32a()
	h.Write([]byte(d.key.String()))
	count := uint32(last) - uint32(first) + 1
	err := errors.New("link: all ports are taken")
	for i := range min(count, 1000) {
		at := netip.AddrPortFrom(address, first+uint16((h.Sum32()%count+i)%count)) //nolint:gosec // below the count
		tcp, terr := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		if terr != nil {
			err = terr
			continue
		}
		udp, uerr := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		if uerr != nil {
			err = errors.Join(uerr, tcp.Close())
			continue
		}
		d.at, d.tcp, d.udp = at, tcp, udp
		return nil
	}
	return fmt.Errorf("link: listen at %s, ports %d to %d: %w", address, first, last, err)
}

// close ends the door and all that came through it. The streams end by themselves as the links see that they may not be.
func (d *door) close() {
	d.end()
	_ = d.tcp.Close() // nothing more is read from either
	_ = d.udp.Close()
}

// link is what the cluster is told of a door.
func (d *door) link() cluster.Link {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := cluster.Link{Service: d.key.service, Port: d.key.port, Address: d.at, Ready: d.isReady}
	if !d.isReady {
		out.Why = d.why
	}
	for _, w := range d.ways {
		if !slices.Contains(out.Clients, w.from) {
			out.Clients = append(out.Clients, w.from)
		}
	}
	return out
}

// tell tells the cluster of all doors of a lease. What fails is tried again with the next look.
func (l *Links) tell(ctx context.Context, id markettypes.LeaseID) {
	var links []cluster.Link
	l.mu.Lock()
	for key, d := range l.doors {
		if key.lease == id {
			links = append(links, d.link())
		}
	}
	l.told[id] = true
	l.mu.Unlock()
	slices.SortFunc(links, func(a, b cluster.Link) int {
		if c := strings.Compare(a.Service, b.Service); c != 0 {
			return c
		}
		return int(a.Port) - int(b.Port)
	})
	if err := l.cluster.SetLinks(ctx, id, links); err != nil && ctx.Err() == nil {
		l.cfg.Log.Warn("the cluster could not be told of a lease's links; will try again", "lease", id.String(), "err", err)
	}
}

// The pauses between questions whether the other side takes connections.
const (
	askSoon = time.Second
	askLate = 10 * time.Second
)

// keepAsking keeps in mind which leases take connections now, and has the cluster told when that changes.
func (d *door) keepAsking() {
	misses := 0
	for {
		ready, why := d.ask()
		if ready {
			misses = 0
		} else {
			misses++
		}
		d.mu.Lock()
		// A link that was ready is so until two questions have failed: one may have met a restart.
		next := ready || d.isReady && misses < 2
		changed := next != d.isReady || why != d.why
		d.isReady, d.why = next, why
		d.mu.Unlock()
		if changed {
			d.links.Poke()
		}
		wait := askSoon
		if ready {
			wait = askLate
		}
		t := time.NewTimer(wait)
		select {
		case <-d.ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// ask asks all targets, and says why none is ready.
func (d *door) ask() (ready bool, why string) {
	ctx, cancel := context.WithTimeout(d.ctx, d.links.cfg.Limits.Open)
	defer cancel()
	all, err := d.targets(ctx, "")
	if err != nil {
		return false, shortOf(err)
	}
	why = "no lease of the group is active"
	now := map[markettypes.LeaseID]bool{}
	for _, h := range all {
		h.Kind = Ask
		err := d.links.question(ctx, h)
		now[h.Target] = err == nil
		if err != nil {
			why = shortOf(err)
		} else {
			ready = true
		}
	}
	d.mu.Lock()
	d.ready = now
	d.mu.Unlock()
	if ready {
		why = ""
	}
	return ready, why
}

// shortOf is an error as a tenant may see it: what another side's refusal says, or that it cannot be reached.
func shortOf(err error) string {
	var r *Refusal
	switch {
	case errors.As(err, &r) && r.Text != "":
		return r.Text
	case errors.As(err, &r):
		return r.Code.String()
	case errors.Is(err, errWrongKey):
		return "the other provider has another key than on chain"
	default:
		return "the other provider is not reached"
	}
}

// question asks whether a stream would be taken.
func (l *Links) question(ctx context.Context, h Header) error {
	if h.Target.Provider == l.cfg.Provider {
		g, err := l.admit(ctx, h, func(markettypes.LeaseID) error { return nil })
		if err == nil {
			_, err = l.reach(ctx, g)
		}
		return err
	}
	st, err := l.open(ctx, h)
	if err == nil {
		_ = st.Close()
	}
	return err
}

// targets are the streams that would lead from a service to this door's, one for each lease: those that were ready when
// they were last asked come first, and the first of them is another each time. An empty service means any that may.
func (d *door) targets(ctx context.Context, from string) ([]Header, error) {
	said, _, err := d.links.view.linked(ctx, d.key.lease.DeploymentID(), d.links.cfg.Look)
	if err != nil {
		return nil, fmt.Errorf("link: look for leases of the deployment: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var ready, others []Header
	for i := range said.Leases {
		x := &said.Leases[i]
		if !runs(x.State) {
			continue
		}
		w := slices.IndexFunc(d.ways, func(w way) bool { return w.group == said.Groups[x.Id.Gseq] && (from == "" || w.from == from) })
		if w < 0 {
			continue
		}
		h := Header{Source: d.key.lease, Target: x.Id, From: d.ways[w].from, To: d.key.service, Port: uint16(d.key.port)} //nolint:gosec // checked with the manifest
		if d.ready[x.Id] {
			ready = append(ready, h)
		} else {
			others = append(others, h)
		}
	}
	if n := len(ready); n > 1 {
		first := int(turn.Add(1) % uint64(n)) //nolint:gosec // below the length
		ready = slices.Concat(ready[first:], ready[:first])
	}
	return append(ready, others...), nil
}

// admitted tells which service connects to the door: empty for any that may, an error for none that may.
func (d *door) admitted(ctx context.Context, remote netip.AddrPort) (string, error) {
	from, ok, err := d.links.cluster.Client(ctx, d.key.lease, remote.Addr().Unmap())
	if err != nil {
		return "", fmt.Errorf("link: who connects: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !ok || from != "" && !slices.ContainsFunc(d.ways, func(w way) bool { return w.from == from }) {
		return "", refuse(NotAllowed, "%s may not use this link", remote.Addr())
	}
	return from, nil
}

func (d *door) acceptTCP() {
	for {
		c, err := d.tcp.AcceptTCP()
		if err != nil {
			if d.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			d.links.cfg.Log.Warn("a connection to a service elsewhere was not taken", "err", err)
			wait(d.ctx, 100*time.Millisecond)
			continue
		}
		key := d.key.lease.String()
		if err := d.links.going.enter(key, d.links.cfg.Now()); err != nil {
			d.links.metrics.answered(consuming, TCP, refusalOf(err).Code)
			_ = tcpEnd{c}.Reset()
			continue
		}
		d.links.wg.Add(1)
		go func() {
			defer d.links.wg.Done()
			defer d.links.going.leave(key)
			d.carryTCP(tcpEnd{c})
		}()
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (d *door) carryTCP(c tcpEnd) {
	ctx, cancel := context.WithTimeout(d.ctx, d.links.cfg.Limits.Open)
	defer cancel()
	_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 4}) // its loss is noticed later
	h, far, err := d.connect(ctx, TCP, c.RemoteAddr().(*net.TCPAddr).AddrPort())
	d.links.metrics.answered(consuming, TCP, refusalOf(err).Code)
	if err != nil {
		d.refused(TCP, err)
		_ = c.Reset()
		return
	}
	live := &stream{Header: h, end: func() { abort(c); far.abort() }}
	if !d.links.keep(live) {
		abort(c)
		far.abort()
		return
	}
	defer d.links.drop(live)
	relay(c, far.stream(), d.links.cfg.Limits.Idle, d.links.metrics.bytes(consuming, outgoing), d.links.metrics.bytes(consuming, incoming))
}

func (d *door) refused(k Kind, err error) {
	d.links.cfg.Log.Debug("a connection to a service elsewhere was refused", "lease", d.key.lease.String(), "service", d.key.service,
		"port", d.key.port, "proto", k.String(), "why", err)
}

// far is the other end: a stream to another provider, or an instance of a lease of ours.
type far struct {
	remote duplex
	local  reached
}

func (f far) stream() duplex {
	if f.remote != nil {
		return f.remote
	}
	return tcpEnd{f.local.tcp}
}

func (f far) packets() packets {
	if f.remote != nil {
		return &framed{duplex: f.remote, in: bufio.NewReader(f.remote)}
	}
	return udpEnd{f.local.udp}
}

func (f far) abort() {
	if f.remote != nil {
		abort(f.remote)
		return
	}
	f.local.abort()
}

// connect opens a stream for a client, with the next lease if one refuses or is not reached.
func (d *door) connect(ctx context.Context, k Kind, client netip.AddrPort) (Header, far, error) {
	from, err := d.admitted(ctx, client)
	if err != nil {
		return Header{}, far{}, err
	}
	all, err := d.targets(ctx, from)
	if err != nil {
		return Header{}, far{}, err
	}
	err = refuse(NotReady, "no lease of the group is active")
	for _, h := range all {
		h.Kind = k
		var f far
		if f, err = d.links.openAny(ctx, h); err == nil {
			return h, f, nil
		}
		d.mu.Lock()
		delete(d.ready, h.Target) // until it was asked again, others come first
		d.mu.Unlock()
	}
	return Header{}, far{}, err
}

// openAny opens a stream to one lease. One that is ours is reached within the process, by the same checks.
func (l *Links) openAny(ctx context.Context, h Header) (far, error) {
	if h.Target.Provider != l.cfg.Provider {
		st, err := l.open(ctx, h)
		if err != nil {
			return far{}, err
		}
		return far{remote: st}, nil
	}
	g, err := l.admit(ctx, h, func(markettypes.LeaseID) error { return nil })
	if err != nil {
		return far{}, err
	}
	end, err := l.reach(ctx, g)
	return far{local: end}, err
}

// flow is what one client's datagrams take.
type flow struct {
	door   *door
	client netip.AddrPort
	queue  chan []byte
	waits  atomic.Int64 // bytes in the queue
	done   chan struct{}
	once   sync.Once
}

// What may wait for a flow whose other end is slower than its client; more is dropped, as networks do.
const (
	flowQueue = 256
	flowBytes = 512 << 10
)

// ReadPacket implements packets.
func (f *flow) ReadPacket(buf []byte) (int, error) {
	select {
	case p := <-f.queue:
		f.waits.Add(-int64(len(p)))
		return copy(buf, p), nil
	case <-f.done:
		return 0, net.ErrClosed
	}
}

// WritePacket implements packets.
func (f *flow) WritePacket(p []byte) error {
	_, err := f.door.udp.WriteToUDPAddrPort(p, f.client)
	if err != nil && !temporary(err) {
		return err //nolint:wrapcheck // counted, never shown
	}
	return nil
}

// Close implements packets.
func (f *flow) Close() error {
	f.once.Do(func() { close(f.done) })
	return nil
}

// push queues a datagram, or drops it.
func (f *flow) push(p []byte) bool {
	if f.waits.Load()+int64(len(p)) > flowBytes {
		return false
	}
	select {
	case f.queue <- slices.Clone(p):
		f.waits.Add(int64(len(p)))
		return true
	default:
		return false
	}
}

func (d *door) acceptUDP() {
	buf := make([]byte, maxDatagram)
	for {
		n, client, err := d.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if d.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				d.endFlows()
				return
			}
			continue
		}
		if f := d.flow(client); f == nil || !f.push(buf[:n]) {
			d.links.metrics.dropped.Inc()
		}
	}
}

func (d *door) endFlows() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.flows {
		_ = f.Close()
	}
}

// flow finds the flow of a client or begins one; nil if a limit is reached.
func (d *door) flow(client netip.AddrPort) *flow {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.flows[client]; f != nil {
		return f
	}
	key := d.key.lease.String()
	if err := d.links.going.enter(key, d.links.cfg.Now()); err != nil {
		return nil
	}
	f := &flow{door: d, client: client, queue: make(chan []byte, flowQueue), done: make(chan struct{})}
	d.flows[client] = f
	d.links.wg.Add(1)
	go func() {
		defer d.links.wg.Done()
		defer d.links.going.leave(key)
		defer func() {
			_ = f.Close()
			d.mu.Lock()
			defer d.mu.Unlock()
			delete(d.flows, client)
		}()
		d.carryUDP(f)
	}()
	return f
}

func (d *door) carryUDP(f *flow) {
	ctx, cancel := context.WithTimeout(d.ctx, d.links.cfg.Limits.Open)
	defer cancel()
	h, far, err := d.connect(ctx, UDP, f.client)
	d.links.metrics.answered(consuming, UDP, refusalOf(err).Code)
	if err != nil {
		d.refused(UDP, err)
		return
	}
	live := &stream{Header: h, end: func() { _ = f.Close(); far.abort() }}
	if !d.links.keep(live) {
		far.abort()
		return
	}
	defer d.links.drop(live)
	exchange(f, far.packets(), d.links.cfg.Limits.IdleUDP, d.links.metrics.bytes(consuming, outgoing), d.links.metrics.bytes(consuming, incoming))
}
