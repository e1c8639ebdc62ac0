package link

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-yamux/v5"
	"golang.org/x/time/rate"
)

// Limits bound what one lease, and all together, can cost a provider. They hold at each of the two ends.
type Limits struct {
	// Streams is how many connections and udp flows of one lease may be open at once.
	Streams int
	// Rate is how many a lease may open per second; the burst is twice as large.
	Rate rate.Limit
	// Idle ends a connection over which nothing came for this long, IdleUDP a flow of datagrams.
	Idle, IdleUDP time.Duration
	// Buffer is how many bytes may wait in memory for one lease, and Buffers for all leases. Each open stream counts for
	// at least 256 KiB of it.
	Buffer, Buffers int
	// Sessions is how many connections of other providers may be open at once.
	Sessions int
	// Open bounds the opening of a stream.
	Open time.Duration
}

// DefaultLimits suit a provider with a few hundred leases.
func DefaultLimits() Limits {
	return Limits{
		Streams: 256, Rate: 100, Idle: 2 * time.Hour, IdleUDP: time.Minute, Buffer: 96 << 20, Buffers: 1 << 30,
		Sessions: 1024, Open: 10 * time.Second,
	}
}

const (
	// maxWindow is how much a stream may hold for a reader that is slower than its writer: it grows from 256 KiB as the
	// way to the other provider needs it.
	maxWindow = 4 << 20
	// keepAlive is how often a silent connection between providers is tried.
	keepAlive = 15 * time.Second
)

// sessionConfig is how streams share a connection.
func (l Limits) sessionConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.MaxIncomingStreams = uint32(l.Streams) + 16 //nolint:gosec // a few hundred; the others are questions
	c.KeepAliveInterval = keepAlive
	c.ConnectionWriteTimeout = 2 * keepAlive
	c.MaxStreamWindowSize = maxWindow
	c.WriteCoalesceDelay = 0
	c.ReadBufSize = 16 << 10
	c.LogOutput = io.Discard
	return c
}

var errNoMemory = errors.New("link: the memory for waiting bytes is used up")

// budget is an amount of memory that is shared.
type budget struct {
	mu        sync.Mutex
	used, max int
}

func (b *budget) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.max {
		return false
	}
	b.used += n
	return true
}

func (b *budget) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
}

func (b *budget) inUse() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// spans makes the budgets of the streams of one session, within a budget of its own and the one of all.
func spans(own, all *budget) func() (yamux.MemoryManager, error) {
	return func() (yamux.MemoryManager, error) { return &span{own: own, all: all}, nil }
}

// span is what one stream has taken.
type span struct {
	own, all *budget
	mu       sync.Mutex
	taken    int
}

// ReserveMemory implements yamux.MemoryManager.
func (s *span) ReserveMemory(n int, _ uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.own.take(n) {
		return errNoMemory
	}
	if !s.all.take(n) {
		s.own.give(n)
		return errNoMemory
	}
	s.taken += n
	return nil
}

// ReleaseMemory implements yamux.MemoryManager.
func (s *span) ReleaseMemory(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(n, s.taken)
	s.taken -= n
	s.own.give(n)
	s.all.give(n)
}

// Done implements yamux.MemoryManager.
func (s *span) Done() {
	s.mu.Lock()
	n := s.taken
	s.mu.Unlock()
	s.ReleaseMemory(n)
}

// gate counts the streams of leases by a key.
type gate struct {
	limits Limits
	mu     sync.Mutex
	byKey  map[string]*counter
}

type counter struct {
	open int
	rate *rate.Limiter
}

func newGate(l Limits) *gate { return &gate{limits: l, byKey: map[string]*counter{}} }

// enter takes a place, or says which limit is reached.
func (g *gate) enter(key string, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.byKey[key]
	if c == nil {
		c = &counter{rate: rate.NewLimiter(g.limits.Rate, max(1, int(2*g.limits.Rate)))}
		g.byKey[key] = c
	}
	if c.open >= g.limits.Streams {
		return refuse(TooMany, "%d connections are open", c.open)
	}
	if !c.rate.AllowN(now, 1) {
		return refuse(TooMany, "more than %g connections a second", float64(g.limits.Rate))
	}
	c.open++
	return nil
}

func (g *gate) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.byKey[key]; c != nil {
		c.open--
	}
}

// sweep forgets keys without streams whose rate has recovered.
func (g *gate) sweep(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, c := range g.byKey {
		if c.open == 0 && c.rate.TokensAt(now) >= float64(c.rate.Burst()) {
			delete(g.byKey, key)
		}
	}
}

// validate returns an error that names the first limit that makes no sense.
func (l Limits) validate() error {
	for _, x := range []struct {
		name string
		ok   bool
	}{
		{"streams", l.Streams > 0 && l.Streams <= 1<<16},
		{"rate", l.Rate > 0},
		{"idle", l.Idle > 0 && l.IdleUDP > 0},
		{"buffer", l.Buffer >= 1<<20 && l.Buffers >= l.Buffer},
		{"sessions", l.Sessions > 0},
		{"open", l.Open > 0},
	} {
		if !x.ok {
			return fmt.Errorf("link: limit %q is out of range", x.name)
		}
	}
	return nil
}
