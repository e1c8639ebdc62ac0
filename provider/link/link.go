package link

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/lease"
	markettypes "berth.dev/berth/x/market/types"
)

// Leases is what links ask of the lease controller.
type Leases interface {
	// Held lists our leases with their accepted manifests; known is false until both were read.
	Held() (all []lease.Held, known bool)
	// Height is the last height that was acted on.
	Height() int64
}

// Config says how a provider links. The zero durations and limits mean their defaults.
type Config struct {
	// Provider is our address, TLS the certificate whose key our record on chain pins.
	Provider string
	TLS      tls.Certificate
	// Address is where pods reach us and where we reach them from; not valid: what the cluster says.
	Address netip.Addr
	// FirstPort to LastPort are the ports at Address that we may take, one for each port elsewhere that a lease may use.
	FirstPort, LastPort uint16
	// AllowPrivateDial lets providers be dialled at private, link-local and other addresses that are not of the internet.
	AllowPrivateDial bool
	Limits           Limits
	// Look is how often chain and cluster are looked at when nothing happens; default 5 s. An answer of the chain that is
	// younger serves for new streams.
	Look time.Duration
	// Trust is how old an answer of the chain may be for new streams when it can't be read; default 30 s.
	Trust   time.Duration
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits()
	}
	if c.Look <= 0 {
		c.Look = 5 * time.Second
	}
	if c.Trust <= 0 {
		c.Trust = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Links are a provider's links, in both directions. Its methods may be called from several goroutines.
type Links struct {
	cfg     Config
	leases  Leases
	cluster cluster.Linker
	view    *view
	metrics *metrics
	poked   chan struct{}
	// going counts the streams that leases open, coming those that reach ours, by source lease.
	going, coming *gate
	memory        *budget

	// ctx ends with Run.
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.Mutex
	live     map[*stream]struct{}
	doors    map[doorKey]*door
	peers    map[peerKey]*peer
	sessions int
	told     map[markettypes.LeaseID]bool // leases whose links the cluster was told of
}

// New puts links together. They take connections of the gateway from New on, and of workloads while Run runs.
func New(cfg Config, c Chain, leases Leases, linker cluster.Linker) (*Links, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Limits.validate(); err != nil {
		return nil, err
	}
	l := &Links{
		cfg: cfg, leases: leases, cluster: linker, view: newView(c, leases.Height, cfg.Now, cfg.Look, cfg.Trust),
		poked: make(chan struct{}, 1), going: newGate(cfg.Limits), coming: newGate(cfg.Limits), memory: &budget{max: cfg.Limits.Buffers},
		live: map[*stream]struct{}{}, doors: map[doorKey]*door{}, peers: map[peerKey]*peer{}, told: map[markettypes.LeaseID]bool{},
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	var err error
	l.metrics, err = newMetrics(cfg.Metrics, l)
	return l, err
}

// Poke makes Run look at leases and manifests at once.
func (l *Links) Poke() {
	select {
	case l.poked <- struct{}{}:
	default:
	}
}

// Run opens and closes doors as leases and manifests come and go, and ends streams whose leases end, until ctx ends. It
// then ends all streams and returns nil when they have ended.
func (l *Links) Run(ctx context.Context) error {
	defer l.close()
	tick := time.NewTicker(l.cfg.Look)
	defer tick.Stop()
	for {
		l.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-l.poked:
		}
	}
}

// close ends everything.
func (l *Links) close() {
	l.stop()
	l.mu.Lock()
	var all []*stream
	for s := range l.live {
		all = append(all, s)
	}
	for key, d := range l.doors {
		d.close()
		delete(l.doors, key)
	}
	for key, p := range l.peers {
		p.close()
		delete(l.peers, key)
	}
	l.mu.Unlock()
	for _, s := range all {
		s.end()
	}
	l.wg.Wait()
}

// look compares what is with what should be, once.
func (l *Links) look(ctx context.Context) {
	held, known := l.leases.Held()
	if !known {
		return
	}
	mine := make(map[markettypes.LeaseID]*lease.Held, len(held))
	for i := range held {
		mine[held[i].Lease] = &held[i]
	}
	l.endStreams(ctx, mine)
	l.keepDoors(ctx, mine)
	l.dropPeers(mine)
	l.view.sweep()
	l.going.sweep(l.cfg.Now())
	l.coming.sweep(l.cfg.Now())
}

// stream is a connection or a flow that is open.
type stream struct {
	Header
	// serving says that the target lease is ours and the stream came from elsewhere.
	serving bool
	end     func()
}

// keep makes a stream end with its leases. drop must be called when it has ended; ok is false if everything ends.
func (l *Links) keep(s *stream) (ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return false
	}
	l.live[s] = struct{}{}
	l.metrics.open(s, 1)
	return true
}

func (l *Links) drop(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.live[s]; ok {
		delete(l.live, s)
		l.metrics.open(s, -1)
	}
}

// endStreams ends the streams one of whose leases has ended or is suspended, and those that the manifest allows no
// longer. What can't be learned ends nothing.
func (l *Links) endStreams(ctx context.Context, mine map[markettypes.LeaseID]*lease.Held) {
	l.mu.Lock()
	all := make([]*stream, 0, len(l.live))
	for s := range l.live {
		all = append(all, s)
	}
	l.mu.Unlock()
	ended := map[[2]markettypes.LeaseID]bool{}
	for _, s := range all {
		pair := [2]markettypes.LeaseID{s.Source, s.Target}
		over, known := ended[pair]
		if !known {
			over = l.over(ctx, s, mine)
			ended[pair] = over
		}
		if over || !allowed(s, mine) {
			l.metrics.ended.Inc()
			s.end()
		}
	}
}

// over tells whether one of a stream's leases is known to have ended or to be suspended.
func (l *Links) over(ctx context.Context, s *stream, mine map[markettypes.LeaseID]*lease.Held) bool {
	for _, id := range []markettypes.LeaseID{s.Source, s.Target} {
		if id.Provider == l.cfg.Provider {
			if h := mine[id]; h == nil || h.Suspended {
				return true
			}
		}
	}
	if s.Source.Provider == l.cfg.Provider && s.Target.Provider == l.cfg.Provider {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Limits.Open)
	defer cancel()
	said, stale, err := l.view.linked(ctx, s.Source.DeploymentID(), l.cfg.Look/2)
	if err != nil || stale {
		return false
	}
	for _, id := range []markettypes.LeaseID{s.Source, s.Target} {
		if st, found := state(said, id); !found || !runs(st) {
			return true
		}
	}
	return false
}

// allowed tells whether the manifest of our end still lets a stream be.
func allowed(s *stream, mine map[markettypes.LeaseID]*lease.Held) bool {
	id := s.Source
	if s.serving {
		id = s.Target
	}
	h := mine[id]
	if h == nil || !h.Accepted {
		return false
	}
	for _, e := range h.Workload.Group.Edges {
		if e.FromService == s.From && e.ToService == s.To && e.Port == uint32(s.Port) {
			return true
		}
	}
	return false
}
