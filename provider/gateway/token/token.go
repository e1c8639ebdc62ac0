// Package token makes and checks the tokens with which tenants prove to a provider who they are: JSON Web Tokens signed
// by an account's key. A token names one provider and one chain, lives at most 15 minutes, and is good only over a
// TLS connection whose client holds the key that it names. Whoever sees a token can therefore do nothing with it, and
// neither a replay cache nor a signature per call is needed.
package token

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	markettypes "berth.dev/berth/x/market/types"
)

const (
	// MaxLifetime is the longest time between a token's start and its end.
	MaxLifetime = 15 * time.Minute
	// Leeway is how far the clocks of tenant and provider may differ before a fresh token is refused.
	Leeway = 30 * time.Second
	// MaxLength is the longest token, in bytes.
	MaxLength = 4096
	// MaxLeases is how many restrictions a token may list.
	MaxLeases = 16
)

var (
	// ErrUnknown is wrapped by an error of Verify, in place of ErrInvalid, when the owner's gateway key could not be learned.
	ErrUnknown = errors.New("the owner's gateway key could not be read")
	// ErrInvalid is wrapped by every other error of Verify: the token proves nothing.
	ErrInvalid = errors.New("token is not valid")
	// ErrExpired is wrapped, next to ErrInvalid, when the token has ended.
	ErrExpired = errors.New("token has expired")
	// ErrEarly is wrapped, next to ErrInvalid, when the token begins in the future.
	ErrEarly = errors.New("token is not valid yet")
	// ErrForbidden is wrapped by every error of Claims.Allow: the token is good, but not for this.
	ErrForbidden = errors.New("token does not allow this")
)

// Scope is one kind of thing that a token allows.
type Scope string

// The scopes that the gateway's routes ask for.
const (
	// Status allows reading what runs for a lease.
	Status Scope = "status"
	// Logs allows reading the output of a lease's services.
	Logs Scope = "logs"
	// Manifest allows sending a lease's manifest and reading it back, secrets included.
	Manifest Scope = "manifest"
	// Events allows reading what happened to a lease in its cluster.
	Events Scope = "events"
	// Exec allows running programs in a lease's instances, and so reading and changing all that they can.
	Exec Scope = "exec"
	// Forward allows connecting to the ports of a lease's instances.
	Forward Scope = "forward"
	// Restart allows replacing a service's instances.
	Restart Scope = "restart"
)

// Scopes are all scopes that exist, in the order of their names.
func Scopes() []Scope { return []Scope{Events, Exec, Forward, Logs, Manifest, Restart, Status} }

// Lease restricts a token to leases of the owner: Gseq and Oseq of 0 stand for any.
type Lease struct {
	Dseq       uint64
	Gseq, Oseq uint32
}

// String gives DSEQ, DSEQ/GSEQ or DSEQ/GSEQ/OSEQ.
func (l Lease) String() string {
	s := strconv.FormatUint(l.Dseq, 10)
	if l.Gseq != 0 {
		s += "/" + strconv.FormatUint(uint64(l.Gseq), 10)
	}
	if l.Gseq != 0 && l.Oseq != 0 {
		s += "/" + strconv.FormatUint(uint64(l.Oseq), 10)
	}
	return s
}

// ParseLease reads what Lease.String gives, and nothing else: no sign, no leading zero.
func ParseLease(s string) (Lease, error) {
	parts := strings.Split(s, "/")
	if len(parts) > 3 {
		return Lease{}, fmt.Errorf("lease %.60q is not DSEQ, DSEQ/GSEQ or DSEQ/GSEQ/OSEQ", s)
	}
	var n [3]uint64
	for i, p := range parts {
		bits := 32
		if i == 0 {
			bits = 64
		}
		var err error
		if n[i], err = strconv.ParseUint(p, 10, bits); err != nil {
			return Lease{}, fmt.Errorf("lease %.60q is not DSEQ, DSEQ/GSEQ or DSEQ/GSEQ/OSEQ", s)
		}
	}
	l := Lease{Dseq: n[0], Gseq: uint32(n[1]), Oseq: uint32(n[2])}
	if l.String() != s || l.Dseq == 0 {
		return Lease{}, fmt.Errorf("lease %.60q: numbers count from 1 and have no leading zeros", s)
	}
	return l, nil
}

// covers tells whether the restriction lets id pass.
func (l Lease) covers(id markettypes.LeaseID) bool {
	return l.Dseq == id.Dseq && (l.Gseq == 0 || l.Gseq == id.Gseq) && (l.Oseq == 0 || l.Oseq == id.Oseq)
}

// Claims is what a token says.
type Claims struct {
	// Owner is the bech32 address of the account that signed the token.
	Owner string
	// Provider is the bech32 address of the only provider that may accept it.
	Provider string
	// ChainID is the chain on which both addresses live.
	ChainID string
	// Scopes are what the token allows. Unknown ones grant nothing.
	Scopes []Scope
	// Leases restrict the token; none means all leases of the owner with the provider.
	Leases []Lease
	// IssuedAt, NotBefore and Expires bound the token's life, in whole seconds.
	IssuedAt, NotBefore, Expires time.Time
	// Thumbprint is the SHA-256 of the TLS client certificate that the token is bound to.
	Thumbprint [sha256.Size]byte
}

// Allow returns nil if the token grants scope on the lease, or an error that wraps ErrForbidden. The lease must be
// the signer's own, and with the provider that the token names.
func (c Claims) Allow(scope Scope, id markettypes.LeaseID) error {
	switch {
	case id.Owner != c.Owner:
		return fmt.Errorf("lease belongs to %s, not to %s: %w", id.Owner, c.Owner, ErrForbidden)
	case id.Provider != c.Provider:
		return fmt.Errorf("lease is with provider %s, not with %s: %w", id.Provider, c.Provider, ErrForbidden)
	case len(c.Leases) > 0 && !slices.ContainsFunc(c.Leases, func(l Lease) bool { return l.covers(id) }):
		return fmt.Errorf("token is restricted to other leases: %w", ErrForbidden)
	}
	return c.AllowScope(scope)
}

// AllowScope returns nil if the token grants scope on some lease, or an error that wraps ErrForbidden.
func (c Claims) AllowScope(scope Scope) error {
	if !slices.Contains(c.Scopes, scope) {
		return fmt.Errorf("token lacks the scope %q: %w", scope, ErrForbidden)
	}
	return nil
}

// Expect is what a provider demands of a token.
type Expect struct {
	// Provider and ChainID are the provider's own.
	Provider, ChainID string
	Now               time.Time
	// ClientCert is the certificate whose key the TLS client has proven to hold; nil if it sent none.
	ClientCert *x509.Certificate
	// GatewayKey returns the compressed public key that an owner has registered on chain to sign its tokens, or nil if
	// there is none; an error means that this is not known. Without the function, owners sign with their own keys only.
	GatewayKey func(owner string) ([]byte, error)
}

// Thumbprint is how a token names a certificate: the SHA-256 of its DER encoding (RFC 8705).
func Thumbprint(cert *x509.Certificate) [sha256.Size]byte { return sha256.Sum256(cert.Raw) }

// check returns an error that wraps ErrInvalid unless the claims are what e demands.
func (c Claims) check(e Expect) error {
	switch {
	case c.Provider != e.Provider:
		return invalid("it is for provider %.80q, this is %s", c.Provider, e.Provider)
	case c.ChainID != e.ChainID:
		return invalid("it is for chain %.60q, this is %s", c.ChainID, e.ChainID)
	}
	if err := c.checkTime(e.Now); err != nil {
		return err
	}
	switch {
	case e.ClientCert == nil:
		return invalid("the connection has no client certificate for it to be bound to")
	case Thumbprint(e.ClientCert) != c.Thumbprint:
		return invalid("it is bound to another TLS key than this connection's")
	}
	return nil
}

// checkTime takes the token's life from the earlier of iat and nbf, so that neither can stretch it.
func (c Claims) checkTime(now time.Time) error {
	begin := c.IssuedAt
	if c.NotBefore.Before(begin) {
		begin = c.NotBefore
	}
	switch {
	case c.Expires.Sub(begin) > MaxLifetime:
		return invalid("it lives for %s, more than %s", c.Expires.Sub(begin), MaxLifetime)
	case now.Add(Leeway).Before(c.NotBefore), now.Add(Leeway).Before(c.IssuedAt):
		return fmt.Errorf("%w: %w", ErrInvalid, ErrEarly)
	case !now.Before(c.Expires):
		return fmt.Errorf("%w: %w", ErrInvalid, ErrExpired)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func encodeThumbprint(sum [sha256.Size]byte) string {
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
