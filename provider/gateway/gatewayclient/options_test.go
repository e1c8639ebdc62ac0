package gatewayclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway/gatewayclient"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	"berth.dev/berth/provider/gateway/token"
	markettypes "berth.dev/berth/x/market/types"
)

// forAColleague makes the owner's token for somebody else's certificate.
func forAColleague(t *testing.T, g *gatewaytest.Gateway, life time.Duration, scopes ...token.Scope) (tls.Certificate, string) {
	t.Helper()
	cert := gatewaytest.ClientCert(t)
	claims := g.Claims(owner, cert.Leaf)
	claims.Scopes, claims.Leases, claims.Expires = scopes, []token.Lease{{Dseq: g.Lease(owner).Dseq}}, claims.IssuedAt.Add(life)
	raw, err := token.Issue(owner, claims)
	if err != nil {
		t.Fatal(err)
	}
	return cert, raw
}

// TestGivenToken: with a token that the owner made for a colleague's certificate, the colleague can do what it allows,
// on the lease that it names, and nothing else; no key of an account is needed.
func TestGivenToken(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	cert, raw := forAColleague(t, g, 10*time.Minute, token.Logs, token.Status)
	cert.Leaf = nil // as tls.LoadX509KeyPair may give it
	c, ctx, id := dial(t, provider(g), nil, gatewayclient.Options{Certificate: &cert, Token: raw}), wait(t), g.Lease(owner)
	if st, err := c.LeaseStatus(ctx, id); err != nil || len(st.Services) != 1 {
		t.Errorf("LeaseStatus = %v, %v", st, err)
	}
	if s, err := c.Logs(ctx, id, gatewayclient.LogOptions{}); err != nil {
		t.Errorf("Logs = %v", err)
	} else {
		s.Close()
	}
	other := id
	other.Dseq++
	for what, do := range map[string]func() error{
		"another lease": func() error { _, err := c.LeaseStatus(ctx, other); return err },
		"the manifest":  func() error { _, err := c.GetManifest(ctx, id); return err },
		"a restart":     func() error { return c.Restart(ctx, id, "web") },
		"events":        func() error { _, err := c.Events(ctx, id, gatewayclient.EventOptions{}); return err },
		"exec": func() error {
			_, err := c.Exec(ctx, id, cluster.ExecOptions{Target: web, Command: []string{"sh"}}, cluster.Streams{})
			return err
		},
		"a port": func() error { _, err := c.Forward(ctx, id, cluster.ForwardOptions{Target: web, Port: 80}); return err },
	} {
		err := do()
		var e *gatewayclient.Error
		if !errors.Is(err, gatewayclient.ErrUnauthorized) || !errors.As(err, &e) || !strings.Contains(e.Next, "ask whoever made the token") {
			t.Errorf("%s = %v, want ErrUnauthorized and whom to ask", what, err)
		}
	}
	// The token is good over its certificate alone.
	mine := gatewaytest.ClientCert(t)
	thief := dial(t, provider(g), nil, gatewayclient.Options{Certificate: &mine, Token: raw})
	if _, err := thief.LeaseStatus(ctx, id); !errors.Is(err, gatewayclient.ErrUnauthorized) {
		t.Errorf("over another certificate: %v, want ErrUnauthorized", err)
	}
}

// TestGivenCertificate: tokens are bound to the certificate that is given, and are the signer's own.
func TestGivenCertificate(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	cert := gatewaytest.ClientCert(t)
	signer := newSigner()
	for range 2 { // another connection needs another token, though not another certificate
		c := dial(t, provider(g), signer, gatewayclient.Options{Certificate: &cert})
		if _, err := c.LeaseStatus(wait(t), g.Lease(owner)); err != nil {
			t.Error(err)
		}
	}
	if n := signer.n.Load(); n != 2 {
		t.Errorf("%d signatures, want one for each client", n)
	}
}

// TestOwnerWithAGatewayKey: an account that cannot sign tokens is spoken for by the key that it has named on chain, and
// by no other.
func TestOwnerWithAGatewayKey(t *testing.T) {
	multisig, key := gatewaytest.NewAccount("multisig"), gatewaytest.NewAccount("gateway key")
	backend := gatewaytest.Obliging()
	backend.GatewayKeyFunc = func(_ context.Context, who string) ([]byte, error) {
		if who != multisig.Address {
			t.Errorf("the key of %s is asked for", who)
		}
		return key.Key.PubKey().Bytes(), nil
	}
	g := gatewaytest.Start(t, backend)
	lease := g.Lease(multisig)
	for name, tc := range map[string]struct {
		signer gatewayclient.Signer
		o      gatewayclient.Options
		id     markettypes.LeaseID
		want   error
	}{
		"its key":                  {key, gatewayclient.Options{Owner: multisig.Address}, lease, nil},
		"another key":              {owner, gatewayclient.Options{Owner: multisig.Address}, lease, gatewayclient.ErrUnauthorized},
		"its key, for itself":      {key, gatewayclient.Options{}, lease, gatewayclient.ErrUnauthorized},
		"its key, another's lease": {key, gatewayclient.Options{Owner: multisig.Address}, g.Lease(owner), gatewayclient.ErrUnauthorized},
	} {
		c := dial(t, provider(g), tc.signer, tc.o)
		if _, err := c.LeaseStatus(wait(t), tc.id); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// TestOptionsThatMakeNoSense are refused before anything is dialled.
func TestOptionsThatMakeNoSense(t *testing.T) {
	p := gatewayclient.Provider{HostURI: "https://h", Pins: [][]byte{make([]byte, 32)}}
	for name, tc := range map[string]struct {
		o    gatewayclient.Options
		want string
	}{
		"a token without its certificate": {gatewayclient.Options{Token: "x"}, "the certificate that it was made for"},
		"an empty certificate":            {gatewayclient.Options{Certificate: &tls.Certificate{}}, "is empty"},
		"a certificate that is none":      {gatewayclient.Options{Certificate: &tls.Certificate{Certificate: [][]byte{{1}}}}, "read the TLS client certificate"},
	} {
		c, err := gatewayclient.Dial(t.Context(), p, "c", owner, tc.o)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: Dial = %v, want %q", name, err, tc.want)
		}
	}
}
