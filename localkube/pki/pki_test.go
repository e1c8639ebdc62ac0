package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func parse(t *testing.T, p Pair) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode(p.Cert)
	if block == nil || len(rest) != 0 {
		t.Fatalf("certificate is not exactly one PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestIssuedCertificateVerifies(t *testing.T) {
	ca, err := NewAuthority("test-ca", now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(Subject{
		CommonName: "kube-apiserver", Groups: []string{"g"},
		DNS: []string{"kubernetes.default"}, IPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(pair.Cert, pair.Key); err != nil {
		t.Errorf("key does not fit its certificate: %v", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca.Cert) {
		t.Fatal("authority's certificate is not usable as a root")
	}
	cert := parse(t, pair)
	for _, name := range []string{"kubernetes.default", "10.96.0.1"} {
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			opts := x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}
			if _, err := cert.Verify(opts); err != nil {
				t.Errorf("Verify(%s, usage %v) = %v, want nil", name, usage, err)
			}
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{DNSName: "other", Roots: roots, CurrentTime: now}); err == nil {
		t.Error("Verify(other) = nil, want an error")
	}
	if got := cert.Subject.CommonName + "/" + cert.Subject.Organization[0]; got != "kube-apiserver/g" {
		t.Errorf("subject = %s, want kube-apiserver/g", got)
	}
	if cert.IsCA {
		t.Error("an issued certificate is an authority")
	}
}

func TestWriteKeepsKeysPrivate(t *testing.T) {
	p, err := ServiceAccountKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := p.Write(dir, "sa"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "sa.key"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("sa.key has mode %v, want 0600", info.Mode().Perm())
	}
}
