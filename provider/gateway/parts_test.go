package gateway

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestLimiter(t *testing.T) {
	l := newLimiter(10) // a burst of 20
	start := time.Unix(1000, 0)
	count := func(key string, at time.Time) (n int) {
		for l.allow(key, at) {
			n++
		}
		return n
	}
	if n := count("a", start); n != 20 {
		t.Errorf("burst = %d, want 20", n)
	}
	if n := count("b", start); n != 20 {
		t.Errorf("burst of another key = %d, want 20", n)
	}
	if n := count("a", start.Add(time.Second)); n != 10 {
		t.Errorf("after a second %d pass, want 10", n)
	}
	if n := count("a", start.Add(time.Hour)); n != 20 {
		t.Errorf("after an hour %d pass, want 20", n)
	}
}

func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter(10)
	start := time.Unix(1000, 0)
	for i := range maxBuckets + 1000 {
		l.allow(fmt.Sprint(i), start)
	}
	if len(l.buckets) != maxBuckets {
		t.Errorf("%d buckets, want %d", len(l.buckets), maxBuckets)
	}
	if l.allow("late", start) {
		t.Error("strangers beyond the bound do not share a bucket")
	}
	if !l.allow("0", start) {
		t.Error("a key that has its bucket suffers from strangers")
	}
	l.allow("later", start.Add(time.Hour))
	if len(l.buckets) != 1 {
		t.Errorf("%d buckets after an hour, want 1", len(l.buckets))
	}
}

func TestSlots(t *testing.T) {
	s := newSlots(3, 2)
	for i, want := range []bool{true, true, false} {
		if got := s.take("a"); got != want {
			t.Errorf("take %d of a = %v, want %v", i, got, want)
		}
	}
	if !s.take("b") || s.take("c") {
		t.Error("the bound on all slots does not hold")
	}
	s.give("a")
	if !s.take("c") || s.inUse() != 3 {
		t.Errorf("a slot that was given back cannot be taken; in use: %d", s.inUse())
	}
	for _, k := range []string{"a", "b", "c"} {
		s.give(k)
	}
	if s.inUse() != 0 || len(s.used) != 0 {
		t.Errorf("after all were given back: %d in use, %d keys", s.inUse(), len(s.used))
	}
}

func TestAddrKey(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:80":            "192.0.2.1",
		"[::ffff:192.0.2.1]:80":   "192.0.2.1",
		"[2001:db8:1:2:3::4]:443": "2001:db8:1:2::/64",
		"[2001:db8:1:2:5::6]:443": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:443":      "fe80::/64",
		"@":                       "@",
	} {
		if got := addrKey(in); got != want {
			t.Errorf("addrKey(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCutLine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rest := strings.Repeat(rapid.StringN(1, 20, -1).Draw(r, "unit"), rapid.IntRange(0, 20_000).Draw(r, "times"))
		line, got := rest, ""
		for {
			var head string
			head, rest = cutLine(rest)
			if len(head) > maxLine || !utf8.ValidString(head) {
				r.Fatalf("a piece of %d bytes, valid: %v", len(head), utf8.ValidString(head))
			}
			got += head
			if rest == "" {
				break
			}
		}
		if got != line {
			r.Fatal("the pieces are not the line")
		}
	})
}

func TestCheckConnection(t *testing.T) {
	if err := checkConnection(tls.ConnectionState{DidResume: true}); err == nil {
		t.Error("a resumed session is accepted")
	}
	if err := checkConnection(tls.ConnectionState{PeerCertificates: make([]*x509.Certificate, 2)}); err == nil {
		t.Error("a chain is accepted")
	}
	if err := checkConnection(tls.ConnectionState{}); err != nil {
		t.Errorf("a connection without client certificate: %v", err)
	}
}

func TestLoadOrCreateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tls.key")
	first, pin, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, mode %v, want 0600", err, info.Mode())
	}
	again, same, err := LoadOrCreateKey(path)
	if err != nil || !bytes.Equal(pin, same) || len(pin) != 32 {
		t.Errorf("second call: pin %x, %v, want %x", same, err, pin)
	}
	if !bytes.Equal(Pin(first.Leaf), Pin(again.Leaf)) {
		t.Error("the pin changes with the certificate")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*")); len(left) > 0 {
		t.Errorf("files are left behind: %v", left)
	}
}

func TestLoadOrCreateKeyRefuses(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := x509.MarshalPKCS8PrivateKey(ed)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	good := block(keyPEM, ecDER)
	for name, tc := range map[string]struct {
		content string
		mode    os.FileMode
		ok      bool
	}{
		"good":               {good, 0o600, true},
		"read-only":          {good, 0o400, true},
		"readable by group":  {good, 0o640, false},
		"readable by others": {good, 0o604, false},
		"empty":              {"", 0o600, false},
		"not PEM":            {"key", 0o600, false},
		"two keys":           {good + good, 0o600, false},
		"a certificate":      {block("CERTIFICATE", ecDER), 0o600, false},
		"not a key inside":   {block(keyPEM, []byte("x")), 0o600, false},
		"another algorithm":  {block(keyPEM, edDER), 0o600, false},
	} {
		path := filepath.Join(t.TempDir(), "tls.key")
		if err := os.WriteFile(path, []byte(tc.content), tc.mode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := LoadOrCreateKey(path); (err == nil) != tc.ok {
			t.Errorf("%s: %v, want ok %v", name, err, tc.ok)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != tc.content {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, _, err := LoadOrCreateKey(filepath.Join(t.TempDir(), "missing", "tls.key")); err == nil {
		t.Error("a directory that does not exist is made up")
	}
}
