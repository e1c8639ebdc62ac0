package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"

	"berth.dev/berth/provider/gateway/gatewayclient"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
	providertypes "berth.dev/berth/x/provider/types"
)

// impostor is what answers at a provider's address in place of its gateway. ends is true for one that ends what it is
// asked, so that no time plays a role.
type impostor struct {
	name  string
	ends  bool
	serve func(l net.Listener, cert tls.Certificate)
	// says is what people are told of it, next what they can do.
	says, next string
}

var impostors = []impostor{
	{"holds the line", false, func(l net.Listener, _ tls.Certificate) { accept(l, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }) },
		"within 100ms", "take another bid"},
	{"never answers", false, func(l net.Listener, cert tls.Certificate) {
		serveHTTP(l, cert, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	}, "within 100ms", "take another bid"},
	{"has another key", true, func(l net.Listener, _ tls.Certificate) { serveHTTP(l, selfSigned(), http.NotFound) },
		"is not the one that provider", "use another provider"},
	{"answers with pages", true, func(l net.Listener, cert tls.Certificate) {
		serveHTTP(l, cert, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>\x1b[31mwelcome") })
	}, "what answers is no gateway", "use another provider"},
	{"does not speak TLS", true, func(l net.Listener, _ tls.Certificate) {
		accept(l, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		})
	}, "it does not speak TLS", "use another provider"},
}

func accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { defer c.Close(); serve(c) }()
	}
}

func serveHTTP(l net.Listener, cert tls.Certificate, answer http.HandlerFunc) {
	s := &http.Server{Handler: answer, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	_ = s.ServeTLS(l, "", "") // ends with the listener
}

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// signerKey signs tokens; whose they are matters to none of the impostors.
type signerKey struct{ *secp256k1.PrivKey }

func (k signerKey) Sign(data []byte) (sig, pub []byte, err error) {
	sig, err = k.PrivKey.Sign(data)
	return sig, k.PubKey().Bytes(), err
}

// replaced makes an impostor answer for a provider, until the returned function is called.
func (d *desk) replaced(t *testing.T, provider string, i impostor) (honest func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	cert := selfSigned()
	go i.serve(l, cert)
	pin := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	waits := gatewayclient.Waits{Pause: time.Millisecond, Outage: time.Millisecond}
	if !i.ends {
		const short = 100 * time.Millisecond
		waits.Call, waits.Put, waits.Quiet, waits.Session = short, short, short, short
	}
	dial := tenant.Dialer(tenanttest.ChainID, signerKey{secp256k1.GenPrivKeyFromSecret([]byte("owner"))}, gatewayclient.Options{Waits: waits})
	d.tune = func(m *tenant.Machine) {
		m.Timing.ManifestWait = 5 * time.Second // of the world's time
		m.Timing.Call, m.Timing.Put, m.Timing.Look = time.Minute, time.Minute, time.Minute
		m.Dial = func(ctx context.Context, p providertypes.Provider) (tenant.Gateway, error) {
			if p.Owner != provider {
				return d.world.Dial(ctx, p)
			}
			p.HostUri, p.TlsPins = "https://"+l.Addr().String(), [][]byte{pin[:]}
			return dial(ctx, p)
		}
	}
	return func() { d.tune = nil }
}

// TestDeployToAnImpostor: a provider that bids, and at whose address something else answers, costs no more than the
// time to learn it. The deployment stays as it is, and goes on when the provider is back.
func TestDeployToAnImpostor(t *testing.T) {
	for _, i := range impostors {
		t.Run(i.name, func(t *testing.T) {
			d := newDesk(t, tenanttest.NewBidder("west", "west", "3.25"))
			honest := d.replaced(t, tenanttest.Address("west"), i)
			_, stderr, code := d.run("deploy", "one.yaml", "-y")
			if code != exitLease {
				t.Errorf("exit %d, want %d", code, exitLease)
			}
			for _, want := range []string{i.says, i.next, "send the manifest of group", "berth deploy --resume 1000", "berth pause 1000", "berth close 1000"} {
				if !strings.Contains(stderr, want) {
					t.Errorf("no %q in:\n%s", want, stderr)
				}
			}
			if strings.Contains(stderr, "\x1b") {
				t.Errorf("what the impostor says steers the terminal: %q", stderr)
			}
			honest()
			if out := d.must("deploy", "--resume", "1000"); !strings.Contains(out, "ready") {
				t.Errorf("resumed:\n%s", out)
			}
		})
	}
}

// TestAProviderBecomesAnImpostor: what runs is unknown while something else answers for its provider. Nothing is said to
// be gone, and nothing that was known is lost.
func TestAProviderBecomesAnImpostor(t *testing.T) {
	for _, i := range impostors {
		t.Run(i.name, func(t *testing.T) {
			d := newDesk(t, tenanttest.NewBidder("west", "west", "3.25"))
			d.must("deploy", "one.yaml", "-y")
			honest := d.replaced(t, tenanttest.Address("west"), i)
			stdout, _, code := d.run("status")
			if code != exitOK || !strings.Contains(stdout, "services unknown: ") || !strings.Contains(stdout, i.says) {
				t.Errorf("status: exit %d\n%s", code, stdout)
			}
			stdout, _, code = d.run("status", "-o", "json")
			var st tenant.Status
			if err := json.Unmarshal([]byte(stdout), &st); code != exitOK || err != nil || st.Ready || !strings.Contains(st.Groups[0].Lease.Unknown, i.says) {
				t.Errorf("status -o json: exit %d, %v\n%s", code, err, stdout)
			}
			for _, args := range []string{"logs", "logs -f", "events", "exec -- ls", "restart", "cp one.yaml web:/data/x"} {
				stdout, stderr, code := d.run(strings.Fields(args)...)
				if code != exitError || stdout != "" || !strings.Contains(stderr, i.says) || !strings.Contains(stderr, i.next) || !strings.Contains(stderr, "berth pause 1000") {
					t.Errorf("berth %s: exit %d, want %d and %q, %q in:\n%s%s", args, code, exitError, i.says, i.next, stdout, stderr)
				}
			}
			honest()
			if out := d.must("status"); !strings.Contains(out, "ready") || strings.Contains(out, "unknown") {
				t.Errorf("status of the provider that is back:\n%s", out)
			}
			d.must("logs")
		})
	}
}

// TestScreeningWithAnImpostor: one provider that hangs or lies is told of as unknown, and the others' answers are there.
func TestScreeningWithAnImpostor(t *testing.T) {
	for _, i := range impostors {
		t.Run(i.name, func(t *testing.T) {
			d := newDesk(t, twoRegions()...)
			d.replaced(t, tenanttest.Address("east-cheap"), i)
			stdout, stderr, code := d.run("plan", "one.yaml", "--check-bids")
			if code != exitOK || !strings.Contains(stdout, "2 providers would bid") || !strings.Contains(stdout, "unknown: ") || !strings.Contains(stdout, i.says) {
				t.Errorf("plan --check-bids: exit %d\n%s%s", code, stdout, stderr)
			}
			for n := range d.world.Bidders {
				d.world.Bidders[n].Price = d.world.Bidders[n].Price.Neg() // nobody bids
			}
			_, stderr, code = d.run("deploy", "one.yaml", "-y", "--bid-wait", "2s")
			if code != exitNoBid || !strings.Contains(stderr, i.says) || !strings.Contains(stderr, "--resume 1000") {
				t.Errorf("deploy: exit %d\n%s", code, stderr)
			}
		})
	}
}
