package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"

	"berth.dev/berth/provider/gateway/token"
	markettypes "berth.dev/berth/x/market/types"
)

const (
	provider = "berth1provider"
	chainID  = "berth-1"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type signer struct{ key *secp256k1.PrivKey }

func (s signer) Sign(data []byte) (sig, pub []byte, err error) {
	sig, err = s.key.Sign(data)
	return sig, s.key.PubKey().Bytes(), err
}

// namingSigner counts signatures and names its key.
type namingSigner struct {
	signer
	signed *int
}

func (s namingSigner) PublicKey() ([]byte, error) { return s.key.PubKey().Bytes(), nil }
func (s namingSigner) Sign(data []byte) (sig, pub []byte, err error) {
	*s.signed++
	return s.signer.Sign(data)
}

func newSigner(secret string) signer {
	return signer{secp256k1.GenPrivKeyFromSecret([]byte(secret))}
}

func address(t testing.TB, s signer) string {
	t.Helper()
	a, err := token.Address(s.key.PubKey().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newCert(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func claims(cert *x509.Certificate) token.Claims {
	return token.Claims{
		Provider: provider, ChainID: chainID, Scopes: []token.Scope{token.Status},
		IssuedAt: now, NotBefore: now, Expires: now.Add(5 * time.Minute), Thumbprint: token.Thumbprint(cert),
	}
}

func expect(cert *x509.Certificate) token.Expect {
	return token.Expect{Provider: provider, ChainID: chainID, Now: now, ClientCert: cert}
}

func TestIssueVerifyRoundTrip(t *testing.T) {
	cert := newCert(t)
	rapid.Check(t, func(r *rapid.T) {
		s := newSigner(rapid.String().Draw(r, "secret"))
		c := claims(cert)
		c.Scopes = rapid.SliceOfN(rapid.SampledFrom(token.Scopes()), 0, 5).Draw(r, "scopes")
		c.Leases = rapid.SliceOfN(rapid.Custom(func(r *rapid.T) token.Lease {
			l := token.Lease{Dseq: rapid.Uint64Min(1).Draw(r, "dseq"), Gseq: rapid.Uint32().Draw(r, "gseq")}
			if l.Gseq != 0 {
				l.Oseq = rapid.Uint32().Draw(r, "oseq")
			}
			return l
		}), 0, token.MaxLeases).Draw(r, "leases")
		life := time.Duration(rapid.Int64Range(1, int64(token.MaxLifetime/time.Second)).Draw(r, "life")) * time.Second
		c.Expires = c.NotBefore.Add(life)
		raw, err := token.Issue(s, c)
		if err != nil {
			r.Fatalf("Issue(%+v): %v", c, err)
		}
		got, err := token.Verify(raw, expect(cert))
		if err != nil {
			r.Fatalf("Verify: %v", err)
		}
		c.Owner = address(t, s)
		if fmt.Sprint(got) != fmt.Sprint(c) {
			r.Fatalf("Verify = %+v, want %+v", got, c)
		}
	})
}

func TestIssueSignsOnceForASignerThatNamesItsKey(t *testing.T) {
	cert, n := newCert(t), 0
	s := namingSigner{newSigner("a"), &n}
	if _, err := token.Issue(s, claims(cert)); err != nil || n != 1 {
		t.Errorf("Issue: %v after %d signatures, want one", err, n)
	}
}

func TestIssueRefuses(t *testing.T) {
	cert := newCert(t)
	for name, change := range map[string]func(*token.Claims){
		"another owner":     func(c *token.Claims) { c.Owner = "berth1other" },
		"too long a life":   func(c *token.Claims) { c.Expires = now.Add(token.MaxLifetime + time.Second) },
		"no life":           func(c *token.Claims) { c.Expires = now },
		"no times":          func(c *token.Claims) { c.IssuedAt, c.NotBefore = time.Time{}, time.Time{} },
		"too many leases":   func(c *token.Claims) { c.Leases = make([]token.Lease, token.MaxLeases+1) },
		"lease without seq": func(c *token.Claims) { c.Leases = make([]token.Lease, 1) },
		"too large": func(c *token.Claims) {
			c.Scopes = []token.Scope{token.Scope(strings.Repeat("x", token.MaxLength))}
		},
	} {
		c := claims(cert)
		change(&c)
		if _, err := token.Issue(newSigner("a"), c); err == nil {
			t.Errorf("%s: Issue accepts it", name)
		}
	}
}

func TestVerifyTimes(t *testing.T) {
	cert := newCert(t)
	s := newSigner("a")
	c := claims(cert)
	c.Expires = now.Add(token.MaxLifetime)
	raw, err := token.Issue(s, c)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		at   time.Duration
		want error
	}{
		"at its start":            {0, nil},
		"as early as clocks may":  {-token.Leeway, nil},
		"one second earlier":      {-token.Leeway - time.Second, token.ErrEarly},
		"one second before end":   {token.MaxLifetime - time.Second, nil},
		"at its end":              {token.MaxLifetime, token.ErrExpired},
		"long after":              {1000 * time.Hour, token.ErrExpired},
		"in the distant past too": {-1000 * time.Hour, token.ErrEarly},
	} {
		e := expect(cert)
		e.Now = now.Add(tc.at)
		_, err := token.Verify(raw, e)
		if !errors.Is(err, tc.want) || (tc.want != nil && !errors.Is(err, token.ErrInvalid)) {
			t.Errorf("%s: Verify at %s = %v, want %v", name, tc.at, err, tc.want)
		}
	}
}

// Every single bit of a token counts: no other string passes for it.
func TestEveryBitCounts(t *testing.T) {
	cert := newCert(t)
	raw, err := token.Issue(newSigner("a"), claims(cert))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			b := []byte(raw)
			b[i] ^= 1 << bit
			if _, err := token.Verify(string(b), expect(cert)); err == nil {
				t.Fatalf("a token with bit %d of byte %d flipped is accepted", bit, i)
			}
		}
	}
	for _, other := range []string{raw + "=", raw + ".", "." + raw, raw[:len(raw)-1], raw + "A", " " + raw} {
		if _, err := token.Verify(other, expect(cert)); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("Verify(%q...) = %v, want ErrInvalid", other[:10], err)
		}
	}
}

// A signature has two forms, s and n-s; only the lower is taken, and no number is taken beyond the group's order.
func TestSignatureHasOneForm(t *testing.T) {
	cert := newCert(t)
	raw, err := token.Issue(newSigner("a"), claims(cert))
	if err != nil {
		t.Fatal(err)
	}
	order, _ := new(big.Int).SetString("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141", 16)
	parts := strings.Split(raw, ".")
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	form := func(r, s *big.Int) string {
		var b [64]byte
		r.FillBytes(b[:32])
		s.FillBytes(b[32:])
		return parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(b[:])
	}
	if _, err := token.Verify(form(r, s), expect(cert)); err != nil {
		t.Fatalf("the lower form: %v", err)
	}
	zero := new(big.Int)
	for name, other := range map[string]string{
		"upper S": form(r, new(big.Int).Sub(order, s)),
		"R zero":  form(zero, s),
		"S zero":  form(r, zero),
		"R order": form(order, s),
		"S order": form(r, order),
	} {
		if _, err := token.Verify(other, expect(cert)); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("%s: Verify = %v, want ErrInvalid", name, err)
		}
	}
}

func TestErrorsDoNotHoldTheToken(t *testing.T) {
	cert := newCert(t)
	raw, err := token.Issue(newSigner("a"), claims(cert))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(raw, ".")
	for _, bad := range []string{parts[0] + "." + parts[1] + "." + parts[2][2:], raw + "AAAA", parts[1] + "." + parts[0] + "." + parts[2]} {
		_, err := token.Verify(bad, expect(cert))
		if err == nil || strings.Contains(err.Error(), parts[2][10:30]) {
			t.Errorf("Verify = %v", err)
		}
	}
}

func TestAllow(t *testing.T) {
	id := markettypes.LeaseID{Owner: "o", Dseq: 7, Gseq: 2, Oseq: 3, Provider: provider}
	base := token.Claims{Owner: "o", Provider: provider, Scopes: []token.Scope{token.Status, token.Logs}}
	for name, tc := range map[string]struct {
		change func(*token.Claims)
		scope  token.Scope
		ok     bool
	}{
		"all leases":               {func(*token.Claims) {}, token.Status, true},
		"a scope it lacks":         {func(*token.Claims) {}, token.Manifest, false},
		"the empty scope":          {func(*token.Claims) {}, "", false},
		"another owner":            {func(c *token.Claims) { c.Owner = "p" }, token.Status, false},
		"another provider":         {func(c *token.Claims) { c.Provider = "q" }, token.Status, false},
		"this deployment":          {leases("7"), token.Status, true},
		"this group":               {leases("7/2"), token.Status, true},
		"this order":               {leases("7/2/3"), token.Status, true},
		"second of two":            {leases("8", "7"), token.Status, true},
		"another deployment":       {leases("8"), token.Status, false},
		"another group":            {leases("7/1"), token.Status, false},
		"another order":            {leases("7/2/4"), token.Status, false},
		"restricted and no scope":  {leases("7"), token.Manifest, false},
		"other lease but in scope": {leases("70"), token.Logs, false},
	} {
		c := base
		tc.change(&c)
		err := c.Allow(tc.scope, id)
		if (err == nil) != tc.ok || (err != nil && !errors.Is(err, token.ErrForbidden)) {
			t.Errorf("%s: Allow = %v, want ok %v", name, err, tc.ok)
		}
	}
}

func leases(ss ...string) func(*token.Claims) {
	return func(c *token.Claims) {
		for _, s := range ss {
			l, err := token.ParseLease(s)
			if err != nil {
				panic(err)
			}
			c.Leases = append(c.Leases, l)
		}
	}
}

func TestParseLease(t *testing.T) {
	for in, want := range map[string]token.Lease{
		"1":                    {Dseq: 1},
		"18446744073709551615": {Dseq: 1<<64 - 1},
		"7/1":                  {Dseq: 7, Gseq: 1},
		"7/4294967295/2":       {Dseq: 7, Gseq: 1<<32 - 1, Oseq: 2},
	} {
		got, err := token.ParseLease(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("ParseLease(%q) = %v (%s), %v", in, got, got, err)
		}
	}
	for _, in := range []string{"", "0", "01", "+1", "-1", "1/0", "1/1/0", "1/", "1/1/1/1", "x", "1/4294967296", "18446744073709551616", " 1"} {
		if got, err := token.ParseLease(in); err == nil {
			t.Errorf("ParseLease(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzVerify(f *testing.F) {
	cert := newCert(f)
	raw, err := token.Issue(newSigner("a"), claims(cert))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add("..")
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, s string) {
		_, err := token.Verify(s, expect(cert))
		if err == nil && s != raw {
			t.Fatalf("accepted %q", s)
		}
		if err != nil && !errors.Is(err, token.ErrInvalid) {
			t.Fatalf("error %v does not wrap ErrInvalid", err)
		}
	})
}

// FuzzPayload signs whatever the fuzzer makes of the payload, so that the checks behind the signature are reached.
func FuzzPayload(f *testing.F) {
	cert, s := newCert(f), newSigner("a")
	owner := address(f, s)
	thumb := token.Thumbprint(cert)
	good := fmt.Sprintf(`{"iss":%q,"aud":%q,"chain_id":%q,"iat":%d,"nbf":%d,"exp":%d,"scope":"status","cnf":{"x5t#S256":%q}}`,
		owner, provider, chainID, now.Unix(), now.Unix(), now.Unix()+60, base64.RawURLEncoding.EncodeToString(thumb[:]))
	f.Add([]byte(good))
	f.Add([]byte(`{}`))
	header := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"alg":%q,"typ":%q,"pub":%q}`,
		token.Alg, token.Type, base64.RawURLEncoding.EncodeToString(s.key.PubKey().Bytes()))))
	f.Fuzz(func(t *testing.T, payload []byte) {
		text := header + "." + base64.RawURLEncoding.EncodeToString(payload)
		sig, err := s.key.Sign([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		c, err := token.Verify(text+"."+base64.RawURLEncoding.EncodeToString(sig), expect(cert))
		if err != nil {
			if !errors.Is(err, token.ErrInvalid) {
				t.Fatalf("error %v does not wrap ErrInvalid", err)
			}
			return
		}
		if c.Owner != owner || c.Provider != provider || c.ChainID != chainID || c.Thumbprint != sha256.Sum256(cert.Raw) ||
			c.Expires.Sub(c.IssuedAt) > token.MaxLifetime || c.Expires.Sub(c.NotBefore) > token.MaxLifetime || !now.Before(c.Expires) {
			t.Fatalf("payload %s gives claims %+v", payload, c)
		}
	})
}
