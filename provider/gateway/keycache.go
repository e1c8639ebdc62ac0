package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"berth.dev/berth/provider/gateway/internal/wire"
)

const (
	// keyAge is how long a gateway key is taken to be what it was: a key that its owner replaces on chain is good for as
	// long as that.
	keyAge = 10 * time.Second
	// maxKeys bounds what is remembered.
	maxKeys = 1024
	// keyWait bounds the time of a look at the chain.
	keyWait = 5 * time.Second
)

// errLookups is answered to an address that has too many keys looked up.
var errLookups = wire.Errorf(wire.TooMany, "too many gateway keys were asked for from this address").Then("wait a second")

// keyCache remembers the gateway keys of owners for a moment, those that there are not too.
type keyCache struct {
	ask    func(ctx context.Context, owner string) ([]byte, error)
	byAddr *limiter

	mu   sync.Mutex
	keys map[string]knownKey
}

type knownKey struct {
	key []byte // nil if there is none
	at  time.Time
}

func newKeyCache(ask func(context.Context, string) ([]byte, error), byAddr *limiter) *keyCache {
	return &keyCache{ask: ask, byAddr: byAddr, keys: map[string]knownKey{}}
}

// get returns an owner's gateway key, nil if there is none, for a request from addr.
func (c *keyCache) get(ctx context.Context, addr, owner string) ([]byte, error) {
	now := time.Now()
	c.mu.Lock()
	known, ok := c.keys[owner]
	c.mu.Unlock()
	if ok && now.Sub(known.at) < keyAge {
		return known.key, nil
	}
	if !c.byAddr.allow(addr, now) {
		return nil, errLookups
	}
	ctx, cancel := context.WithTimeout(ctx, keyWait)
	defer cancel()
	key, err := c.ask(ctx, owner)
	if errors.Is(err, ErrNotFound) {
		key, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= maxKeys {
		clear(c.keys) // the cheapest way to forget; those in use come back
	}
	c.keys[owner] = knownKey{key: key, at: now}
	return key, nil
}
