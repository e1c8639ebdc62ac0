package gatewayclient

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"sync"
	"time"

	"berth.dev/berth/provider/gateway/token"
)

const (
	// backdate makes a token good at providers whose clocks are behind.
	backdate = time.Minute
	// lifetime is what is left of the longest lifetime, with a minute to spare.
	lifetime = token.MaxLifetime - backdate - time.Minute
	// renewBefore is the time before a token's end at which another one is made.
	renewBefore = 2 * time.Minute
)

// source makes tokens of one connection and keeps the newest.
type source struct {
	signer Signer
	claims token.Claims // without times
	ready  string       // a token of somebody else's, in place of own ones
	now    func() time.Time

	mu      sync.Mutex
	raw     string
	expires time.Time
	// made counts the tokens, so that two calls that were turned away with one token make one new token, not two.
	made int
}

// get returns a token that is good for some minutes, and its number.
func (s *source) get() (raw string, number int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready != "" {
		return s.ready, 0, nil
	}
	now := s.now()
	if s.raw != "" && now.Before(s.expires.Add(-renewBefore)) {
		return s.raw, s.made, nil
	}
	c := s.claims
	c.IssuedAt, c.NotBefore, c.Expires = now.Add(-backdate), now.Add(-backdate), now.Add(lifetime)
	issue := token.Issue
	if c.Owner != "" {
		issue = token.IssueFor
	}
	if raw, err = issue(s.signer, c); err != nil {
		return "", 0, err
	}
	s.raw, s.expires = raw, c.Expires
	s.made++
	return s.raw, s.made, nil
}

// aged tells whether the token of that number has been in use for a while, so that its being turned away may be a
// matter of time.
func (s *source) aged(number int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return number != s.made || s.now().After(s.expires.Add(time.Minute-lifetime))
}

// drop forgets the token of that number.
func (s *source) drop(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number == s.made {
		s.raw = ""
	}
}

// numberKey carries the place where the number of a call's token is noted.
type numberKey struct{}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (s *source) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	note, ok := ctx.Value(numberKey{}).(*int)
	if !ok {
		return nil, nil // a call that needs no token
	}
	raw, number, err := s.get()
	if err != nil {
		return nil, err
	}
	*note = number
	return map[string]string{"authorization": "Bearer " + raw}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (*source) RequireTransportSecurity() bool { return true }

// NewCertificate makes a TLS client key, to which tokens can be bound, with a certificate that says nothing of anybody.
func NewCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a TLS client key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "berth"},
		NotBefore:    time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a TLS client certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the TLS client certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
