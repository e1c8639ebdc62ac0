package gatewayclient

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	"berth.dev/berth/provider/gateway/token"
)

// Waits bound what a client waits for, so that no provider holds it up for longer. A field that is zero has its default.
type Waits struct {
	// Call bounds one try of a call and the making of a connection, and Put a call for which the provider has to ask its
	// chain and its cluster: 10 s and 35 s. What was not answered in that time is not tried again.
	Call, Put time.Duration
	// Pause is the first pause between tries; pauses double up to twenty times of it: 250 ms.
	Pause time.Duration
	// Quiet is how long a stream that is to end by itself may bring nothing: 30 s.
	Quiet time.Duration
	// Stream is how long a followed stream may go on. Providers end it with its token; one that does not may have lost
	// it, and no token lives longer than this: 15 min and a half.
	Stream time.Duration
	// Session is how long a program or a forwarded port may be silent in both directions; providers end it after half an
	// hour, so one that is silent for longer is gone: 35 min.
	Session time.Duration
	// Outage is how long a broken stream is tried to be opened again: 5 min.
	Outage time.Duration
}

func (w Waits) withDefaults() Waits {
	return Waits{
		Call:    cmp.Or(w.Call, 10*time.Second),
		Put:     cmp.Or(w.Put, 35*time.Second),
		Pause:   cmp.Or(w.Pause, 250*time.Millisecond),
		Quiet:   cmp.Or(w.Quiet, 30*time.Second),
		Stream:  cmp.Or(w.Stream, token.MaxLifetime+token.Leeway),
		Session: cmp.Or(w.Session, 35*time.Minute),
		Outage:  cmp.Or(w.Outage, 5*time.Minute),
	}
}

// longest is the longest pause between tries.
func (w Waits) longest() time.Duration { return 20 * w.Pause }

// pauses are the waits between tries: they double, and a random part keeps clients apart.
type pauses struct {
	waits Waits
	last  time.Duration
}

// wait returns the context's error if it ends first.
func (p *pauses) wait(ctx context.Context) error {
	p.last = min(max(2*p.last, p.waits.Pause), p.waits.longest())
	t := time.NewTimer(p.last/2 + rand.N(p.last/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
