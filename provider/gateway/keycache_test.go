package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	"berth.dev/berth/provider/gateway/token"
)

// byGatewayKey is a visitor whose token is signed by the owner's gateway key.
func byGatewayKey(t *testing.T, g *gatewaytest.Gateway) *visitor {
	t.Helper()
	v := newVisitor(t, g)
	cert := gatewaytest.ClientCert(t)
	raw, err := token.IssueFor(gatewayKey, g.Claims(v.owner, cert.Leaf))
	if err != nil {
		t.Fatal(err)
	}
	v.rawConn, v.token = dialRaw(t, g, cert, false, cert), raw
	return v
}

func TestGatewayKeyIsAskedForOnce(t *testing.T) {
	b := withGatewayKey()
	var asked atomic.Int64
	ask := b.GatewayKeyFunc
	b.GatewayKeyFunc = func(ctx context.Context, owner string) ([]byte, error) {
		asked.Add(1)
		return ask(ctx, owner)
	}
	g := gatewaytest.Start(t, b)
	v := byGatewayKey(t, g)
	for range 3 {
		if code, body := v.ask(v.request("GET", "status", "")); code != http.StatusOK {
			t.Errorf("status = %d %s", code, body)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the chain was asked %d times in a moment, want 1", n)
	}
}

// A key that cannot be read is no reason to say that the token is bad.
func TestUnknownGatewayKeyIsNotAbsent(t *testing.T) {
	b := gatewaytest.Obliging()
	b.GatewayKeyFunc = func(context.Context, string) ([]byte, error) { return nil, errors.New("the node is away") }
	g := gatewaytest.Start(t, b)
	v := byGatewayKey(t, g)
	if code, body := v.ask(v.request("GET", "status", "")); code != http.StatusServiceUnavailable || strings.Contains(body, "node is away") {
		t.Errorf("status = %d %s, want 503 without the cause", code, body)
	}
}

// Strangers cannot have the provider ask the chain as often as they like.
func TestGatewayKeyLookupsAreBounded(t *testing.T) {
	b := gatewaytest.Obliging()
	var asked atomic.Int64
	b.GatewayKeyFunc = func(context.Context, string) ([]byte, error) {
		asked.Add(1)
		return nil, errors.New("away") // so that nothing is remembered
	}
	g := gatewaytest.Start(t, b, func(c *gateway.Config) { c.Limits.ScreenRate = .001 })
	v := byGatewayKey(t, g)
	v.ask(v.request("GET", "status", ""))
	if code, body := v.ask(v.request("GET", "status", "")); code != http.StatusTooManyRequests || asked.Load() != 1 {
		t.Errorf("status = %d %s after %d lookups, want 429 after 1", code, body, asked.Load())
	}
}
