package link

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"berth.dev/berth/provider/chain"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Chain is what links ask of the chain.
type Chain interface {
	// Linked reads a deployment's groups and leases.
	Linked(ctx context.Context, id deploymenttypes.DeploymentID, notBelow int64) (chain.Linked, error)
	// Record reads a provider's record; found is false when the chain positively has none.
	Record(ctx context.Context, owner string) (record providertypes.Provider, found bool, err error)
}

// view remembers for a while what the chain said.
type view struct {
	chain  Chain
	height func() int64
	now    func() time.Time
	// fresh is how old an answer may be to be given again, trusted how old if the chain can't be read.
	fresh, trusted time.Duration

	mu          sync.Mutex
	deployments map[deploymenttypes.DeploymentID]*cached[chain.Linked]
	records     map[string]*cached[providertypes.Provider]
}

// cached is an answer, with a lock that makes only one caller at a time ask for a newer one.
type cached[T any] struct {
	mu    sync.Mutex
	value T
	at    time.Time
	// failed is when the last try failed, with err: many callers do not all wait for a chain that does not answer.
	failed time.Time
	err    error
}

func newView(c Chain, height func() int64, now func() time.Time, fresh, trusted time.Duration) *view {
	return &view{
		chain: c, height: height, now: now, fresh: fresh, trusted: trusted,
		deployments: map[deploymenttypes.DeploymentID]*cached[chain.Linked]{}, records: map[string]*cached[providertypes.Provider]{},
	}
}

// entry finds or makes the entry of a key.
func entry[K comparable, T any](mu *sync.Mutex, m map[K]*cached[T], key K) *cached[T] {
	mu.Lock()
	defer mu.Unlock()
	c := m[key]
	if c == nil {
		c = &cached[T]{}
		m[key] = c
	}
	return c
}

// get gives what was read at most fresh ago, or reads it anew. If that fails, an answer that is not older than trusted
// will do, and stale says so.
func (c *cached[T]) get(now func() time.Time, fresh, trusted time.Duration, read func() (T, error)) (value T, stale bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && now().Sub(c.at) < fresh {
		return c.value, false, nil
	}
	if err = c.err; err == nil || now().Sub(c.failed) >= newest {
		at := now()
		var got T
		if got, err = read(); err == nil {
			c.value, c.at, c.err = got, at, nil
			return got, false, nil
		}
		c.failed, c.err = now(), err
	}
	if !c.at.IsZero() && now().Sub(c.at) < trusted {
		return c.value, true, nil
	}
	return value, true, err
}

// linked gives what the chain says of a deployment, not older than within unless the chain can't be read.
func (v *view) linked(ctx context.Context, id deploymenttypes.DeploymentID, within time.Duration) (l chain.Linked, stale bool, err error) {
	return entry(&v.mu, v.deployments, id).get(v.now, within, v.trusted, func() (chain.Linked, error) {
		return v.chain.Linked(ctx, id, v.height())
	})
}

// record gives a provider's record, not older than within unless the chain can't be read. A provider without one is an
// error.
func (v *view) record(ctx context.Context, owner string, within time.Duration) (providertypes.Provider, error) {
	r, _, err := entry(&v.mu, v.records, owner).get(v.now, within, v.trusted, func() (providertypes.Provider, error) {
		r, found, err := v.chain.Record(ctx, owner)
		if err == nil && !found {
			err = fmt.Errorf("link: provider %s has no record on chain", owner)
		}
		return r, err
	})
	return r, err
}

// sweep forgets what nobody has asked for lately: what is asked for again is read again.
func (v *view) sweep() {
	v.mu.Lock()
	defer v.mu.Unlock()
	sweep(v.deployments, v.now().Add(-10*v.trusted))
	sweep(v.records, v.now().Add(-10*v.trusted))
}

func sweep[K comparable, T any](m map[K]*cached[T], before time.Time) {
	for key, c := range m {
		if c.mu.TryLock() {
			if c.at.Before(before) {
				delete(m, key)
			}
			c.mu.Unlock()
		}
	}
}

// newest is how old an answer may be when a closer look is worth it: something was not as expected.
const newest = time.Second

// state is what the chain says of one lease of a deployment.
func state(l chain.Linked, id markettypes.LeaseID) (markettypes.LeaseState, bool) {
	for i := range l.Leases {
		if l.Leases[i].Id == id {
			return l.Leases[i].State, true
		}
	}
	return markettypes.LEASE_STATE_UNSPECIFIED, false
}

// runs tells whether a lease in this state is paid for.
func runs(s markettypes.LeaseState) bool {
	return s == markettypes.LEASE_STATE_ACTIVE || s == markettypes.LEASE_STATE_RECLAIMING
}

// pinned tells whether a key is one of a provider's.
func pinned(r providertypes.Provider, pin peerPin) bool {
	for _, p := range r.TlsPins {
		if bytes.Equal(p, pin[:]) {
			return true
		}
	}
	return false
}
