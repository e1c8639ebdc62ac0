package gateway

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets bounds the memory of a limiter; beyond it, strangers share one bucket.
const maxBuckets = 10_000

// limiter is a token bucket per key.
type limiter struct {
	rate  rate.Limit
	burst int

	mu       sync.Mutex
	buckets  map[string]*rate.Limiter
	swept    time.Time
	overflow *rate.Limiter
}

func newLimiter(r rate.Limit) *limiter {
	burst := max(1, int(2*r))
	return &limiter{rate: r, burst: burst, buckets: map[string]*rate.Limiter{}, overflow: rate.NewLimiter(r, burst)}
}

// allow takes a token of key's bucket, if one is there.
func (l *limiter) allow(key string, now time.Time) bool {
	return l.bucket(key, now).AllowN(now, 1)
}

func (l *limiter) bucket(key string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.buckets[key]; ok {
		return b
	}
	if len(l.buckets) >= maxBuckets {
		l.sweep(now)
	}
	if len(l.buckets) >= maxBuckets {
		return l.overflow
	}
	b := rate.NewLimiter(l.rate, l.burst)
	l.buckets[key] = b
	return b
}

// sweep drops the buckets that are full, as a new one would be. It looks at all, so it does so at most once a second.
func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for key, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, key)
		}
	}
}

// slots bounds how many things run at once, in all and by key.
type slots struct {
	max, perKey int

	mu   sync.Mutex
	used map[string]int
	all  int
}

func newSlots(all, perKey int) *slots {
	return &slots{max: all, perKey: perKey, used: map[string]int{}}
}

// take returns false if no slot is free; after true, the caller gives the slot back with give.
func (s *slots) take(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.max || s.used[key] >= s.perKey {
		return false
	}
	s.all++
	s.used[key]++
	return true
}

func (s *slots) give(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.used[key]--; s.used[key] == 0 {
		delete(s.used, key)
	}
}

// inUse is the number of slots taken.
func (s *slots) inUse() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}
