package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/cosmos/cosmos-sdk/types/bech32"

	"berth.dev/berth/provider/gateway/internal/strictjson"
	"berth.dev/berth/units"
)

// Type is the header's typ. It keeps a token from being taken for another kind of JWT signed by the same key.
const Type = "berth-gateway+jwt"

// payload is the token's second part. An unknown member is refused, as it might narrow what the token allows.
type payload struct {
	Issuer    string       `json:"iss"`
	Audience  string       `json:"aud"`
	ChainID   string       `json:"chain_id"`
	IssuedAt  *int64       `json:"iat"`
	NotBefore *int64       `json:"nbf"`
	Expires   *int64       `json:"exp"`
	Scope     string       `json:"scope"`
	Leases    []string     `json:"leases,omitempty"`
	Confirm   confirmation `json:"cnf"`
}

type confirmation struct {
	Thumbprint string `json:"x5t#S256"`
}

var (
	headerKeys  = []string{"alg", "typ", "pub"}
	payloadKeys = []string{"iss", "aud", "chain_id", "iat", "nbf", "exp", "scope", "leases", "cnf", "x5t#S256"}
)

// The methods of jwt.Claims. The parser is told not to validate claims, as Claims.check does, so none is called.

func (p *payload) GetExpirationTime() (*jwt.NumericDate, error) { return date(p.Expires), nil }
func (p *payload) GetIssuedAt() (*jwt.NumericDate, error)       { return date(p.IssuedAt), nil }
func (p *payload) GetNotBefore() (*jwt.NumericDate, error)      { return date(p.NotBefore), nil }
func (p *payload) GetIssuer() (string, error)                   { return p.Issuer, nil }
func (p *payload) GetSubject() (string, error)                  { return "", nil }
func (p *payload) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings{p.Audience}, nil }

func date(unix *int64) *jwt.NumericDate {
	if unix == nil {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(*unix, 0))
}

// Issue makes a token of the claims, signed by s. Owner is taken from the signer's key; if the claims name another
// one, that is an error. The claims' times must be set.
func Issue(s Signer, c Claims) (string, error) {
	pub, err := signerKey(s)
	if err != nil {
		return "", err
	}
	owner, err := Address(pub)
	if err != nil {
		return "", err
	}
	if c.Owner != "" && c.Owner != owner {
		return "", fmt.Errorf("issue a token of %s: the signer's key belongs to %s", c.Owner, owner)
	}
	c.Owner = owner
	return issue(s, pub, c)
}

// IssueFor is Issue for an owner whose gateway key on chain s holds. Owner must be set.
func IssueFor(s Signer, c Claims) (string, error) {
	pub, err := signerKey(s)
	if err != nil {
		return "", err
	}
	if c.Owner == "" {
		return "", errors.New("issue a token by a gateway key: no owner is named")
	}
	return issue(s, pub, c)
}

func signerKey(s Signer) ([]byte, error) {
	pub, err := publicKey(s)
	if err != nil {
		return nil, fmt.Errorf("ask the signer for its public key: %w", err)
	}
	if _, err := parseKey(pub); err != nil {
		return nil, fmt.Errorf("read the signer's public key: %w", err)
	}
	return pub, nil
}

func issue(s Signer, pub []byte, c Claims) (string, error) {
	p := encode(c)
	c, err := p.claims()
	if err != nil {
		return "", fmt.Errorf("issue a token: %w", err)
	}
	if err := c.checkTime(c.NotBefore); err != nil {
		return "", fmt.Errorf("issue a token: %w", err)
	}
	t := jwt.NewWithClaims(es256k{}, p)
	t.Header["typ"] = Type
	t.Header["pub"] = base64.RawURLEncoding.EncodeToString(pub)
	raw, err := t.SignedString(boundSigner{Signer: s, pubKey: pub})
	switch {
	case err != nil:
		return "", fmt.Errorf("sign a token: %w", err)
	case len(raw) > MaxLength:
		return "", fmt.Errorf("token has %d bytes, at most %d are allowed: name fewer leases", len(raw), MaxLength)
	}
	return raw, nil
}

func encode(c Claims) *payload {
	iat, nbf, exp := c.IssuedAt.Unix(), c.NotBefore.Unix(), c.Expires.Unix()
	scopes := make([]string, len(c.Scopes))
	for i, s := range c.Scopes {
		scopes[i] = string(s)
	}
	var leases []string
	for _, l := range c.Leases {
		leases = append(leases, l.String())
	}
	return &payload{
		Issuer: c.Owner, Audience: c.Provider, ChainID: c.ChainID, IssuedAt: &iat, NotBefore: &nbf, Expires: &exp,
		Scope: strings.Join(scopes, " "), Leases: leases, Confirm: confirmation{encodeThumbprint(c.Thumbprint)},
	}
}

var parser = jwt.NewParser(jwt.WithValidMethods([]string{Alg, AlgADR036}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())

// Verify returns what the token says if it is signed by the account that it names, or by that account's gateway key, and
// meets e; otherwise an error that wraps ErrInvalid, or ErrUnknown where the gateway key could not be learned. It asks for
// that last, so that strangers cannot have it looked up by less than a whole token. Errors never hold the token.
func Verify(raw string, e Expect) (Claims, error) {
	if err := precheck(raw); err != nil {
		return Claims{}, invalid("%v", err)
	}
	var p payload
	var pub *secp256k1.PublicKey
	t, err := parser.ParseWithClaims(raw, &p, func(t *jwt.Token) (any, error) {
		var err error
		pub, err = headerKey(t.Header)
		return pub, err
	})
	switch {
	case err != nil:
		return Claims{}, invalid("%v", err)
	case !t.Valid:
		return Claims{}, invalid("it was not verified")
	}
	c, err := p.claims()
	if err != nil {
		return Claims{}, invalid("%v", err)
	}
	if err := c.check(e); err != nil {
		return Claims{}, err
	}
	if err := c.signedBy(pub.SerializeCompressed(), e); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// Peek returns what the token says, for its holder, who cannot know whether the signature is good: that is the provider's
// to check. Errors never hold the token.
func Peek(raw string) (Claims, error) {
	if err := precheck(raw); err != nil {
		return Claims{}, invalid("%v", err)
	}
	var p payload
	if _, _, err := parser.ParseUnverified(raw, &p); err != nil {
		return Claims{}, invalid("%v", err)
	}
	c, err := p.claims()
	if err != nil {
		return Claims{}, invalid("%v", err)
	}
	return c, nil
}

// signedBy returns nil if the key is the owner's, or the owner's gateway key.
func (c Claims) signedBy(pub []byte, e Expect) error {
	owner, err := Address(pub)
	switch {
	case err != nil:
		return invalid("%v", err)
	case owner == c.Owner:
		return nil
	case e.GatewayKey == nil || !isAddress(c.Owner):
		return invalid("the public key is not the issuer's")
	}
	key, err := e.GatewayKey(c.Owner)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	case !bytes.Equal(key, pub):
		return invalid("the public key is neither the issuer's nor the gateway key that the issuer has on chain")
	}
	return nil
}

// isAddress tells whether a text can be an account of the chain, in its only form.
func isAddress(s string) bool {
	hrp, addr, err := bech32.DecodeAndConvert(s)
	return err == nil && hrp == units.AddressPrefix && len(addr) > 0 && s == strings.ToLower(s)
}

// precheck refuses what two JSON readers could read in two ways, before the parser sees it.
func precheck(raw string) error {
	if len(raw) > MaxLength {
		return fmt.Errorf("it has %d bytes, at most %d are allowed", len(raw), MaxLength)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return errors.New("it does not have three parts")
	}
	for i, keys := range [][]string{headerKeys, payloadKeys} {
		part, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil {
			return errors.New("it is not base64url")
		}
		if err := strictjson.Check(part, keys...); err != nil {
			return err
		}
	}
	return nil
}

// headerKey returns the public key of the header.
func headerKey(header map[string]any) (*secp256k1.PublicKey, error) {
	if typ, _ := header["typ"].(string); typ != Type {
		return nil, fmt.Errorf("typ is not %s", Type)
	}
	encoded, _ := header["pub"].(string)
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errors.New("pub is not base64url")
	}
	key, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("read pub: %w", err)
	}
	return key, nil
}

// claims checks the form of the payload; what it must say is Claims.check's concern.
func (p *payload) claims() (Claims, error) {
	c := Claims{Owner: p.Issuer, Provider: p.Audience, ChainID: p.ChainID}
	for _, t := range []struct {
		name string
		from *int64
		to   *time.Time
	}{{"iat", p.IssuedAt, &c.IssuedAt}, {"nbf", p.NotBefore, &c.NotBefore}, {"exp", p.Expires, &c.Expires}} {
		switch {
		case t.from == nil:
			return Claims{}, fmt.Errorf("%s is missing", t.name)
		case *t.from < 0 || *t.from > maxUnix:
			return Claims{}, fmt.Errorf("%s is out of range", t.name)
		}
		*t.to = time.Unix(*t.from, 0).UTC()
	}
	for _, s := range strings.Fields(p.Scope) {
		c.Scopes = append(c.Scopes, Scope(s))
	}
	// An empty list is not the absence of a restriction.
	if (p.Leases != nil && len(p.Leases) == 0) || len(p.Leases) > MaxLeases {
		return Claims{}, fmt.Errorf("leases has %d entries, want 1 to %d", len(p.Leases), MaxLeases)
	}
	for _, s := range p.Leases {
		l, err := ParseLease(s)
		if err != nil {
			return Claims{}, err
		}
		c.Leases = append(c.Leases, l)
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(p.Confirm.Thumbprint)
	if err != nil || len(sum) != len(c.Thumbprint) {
		return Claims{}, errors.New("cnf x5t#S256 is not a SHA-256 in base64url")
	}
	copy(c.Thumbprint[:], sum)
	return c, nil
}

// maxUnix is the end of the year 9999; differences of smaller times fit into a time.Duration or saturate.
const maxUnix = 253402300799
