package gateway_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	"berth.dev/berth/provider/gateway/internal/wire"
	"berth.dev/berth/provider/gateway/token"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

var update = flag.Bool("update", false, "rewrite golden files")

// object is a part of a token that a state may change.
type object map[string]any

// forge holds what a token state is made of.
type forge struct {
	g       *gatewaytest.Gateway
	owner   gatewaytest.Account
	cert    tls.Certificate
	header  object
	payload object
	sign    func(text string) []byte
}

func newForge(g *gatewaytest.Gateway, cert tls.Certificate) *forge {
	f := &forge{g: g, owner: gatewaytest.NewAccount("owner"), cert: cert}
	now := time.Now().Unix()
	thumb := token.Thumbprint(cert.Leaf)
	f.header = object{"alg": "ES256K", "typ": token.Type, "pub": b64(f.owner.Key.PubKey().Bytes())}
	f.payload = object{
		"iss": f.owner.Address, "aud": g.Account.Address, "chain_id": gatewaytest.ChainID, "iat": now, "nbf": now, "exp": now + 600,
		"scope": "status logs manifest events exec forward restart", "cnf": object{"x5t#S256": b64(thumb[:])},
	}
	f.sign = signWith(f.owner)
	return f
}

func signWith(a gatewaytest.Account) func(string) []byte {
	return func(text string) []byte {
		sig, _, err := a.Sign([]byte(text))
		if err != nil {
			panic(err)
		}
		return sig
	}
}

func (f *forge) token() string {
	return f.tokenOf(mustJSON(f.header), mustJSON(f.payload))
}

func (f *forge) tokenOf(header, payload string) string {
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	return text + "." + b64(f.sign(text))
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// state is one way to come to the gateway: the Authorization headers, and the TLS client key.
type state struct {
	name string
	// make returns the Authorization values; it may change f.cert, the certificate of the connection.
	make func(f *forge) []string
}

// with is a state whose token differs from a good one in what change does.
func with(name string, change func(f *forge)) state {
	return state{name, func(f *forge) []string {
		change(f)
		return []string{"Bearer " + f.token()}
	}}
}

func set(part func(*forge) object, key string, value any) func(*forge) {
	return func(f *forge) {
		if value == nil {
			delete(part(f), key)
			return
		}
		part(f)[key] = value
	}
}

func header(f *forge) object  { return f.header }
func payload(f *forge) object { return f.payload }

// later shifts a time of the token.
func later(key string, by time.Duration) func(*forge) {
	return func(f *forge) { f.payload[key] = time.Now().Add(by).Unix() }
}

func both(changes ...func(*forge)) func(*forge) {
	return func(f *forge) {
		for _, c := range changes {
			c(f)
		}
	}
}

var p256, rsaKey = mustECDSA(), mustRSA()

func mustECDSA() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func mustRSA() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

func signES256(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, p256, sum[:])
	if err != nil {
		panic(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func signRS256(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return sig
}

// signHS256 uses the public key as the secret, as in the classic confusion of algorithms.
func signHS256(f *forge) func(string) []byte {
	return func(text string) []byte {
		mac := hmac.New(sha256.New, f.owner.Key.PubKey().Bytes())
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
}

// gatewayKey is what the owner of the lease has registered on chain, oldKey what it had before.
var gatewayKey, oldKey = gatewaytest.NewAccount("gateway key"), gatewaytest.NewAccount("old gateway key")

// withGatewayKey is a backend whose chain has the owner's gateway key.
func withGatewayKey() *gatewaytest.Backend {
	b := gatewaytest.Obliging()
	b.GatewayKeyFunc = func(_ context.Context, owner string) ([]byte, error) {
		if owner != gatewaytest.NewAccount("owner").Address {
			return nil, gateway.ErrNotFound
		}
		return gatewayKey.Key.PubKey().Bytes(), nil
	}
	return b
}

// signDoc signs as the wallet of a does that is asked by the account signer.
func signDoc(a gatewaytest.Account, signer string) func(string) []byte {
	return func(text string) []byte { return signWith(a)(string(token.SignDoc(signer, text))) }
}

func highS(sign func(string) []byte) func(string) []byte {
	order, _ := new(big.Int).SetString("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141", 16)
	return func(text string) []byte {
		sig := sign(text)
		s := new(big.Int).Sub(order, new(big.Int).SetBytes(sig[32:]))
		s.FillBytes(sig[32:])
		return sig
	}
}

func states(t *testing.T) []state {
	stranger := gatewaytest.NewAccount("stranger")
	otherCert := gatewaytest.ClientCert(t)
	otherThumb := token.Thumbprint(otherCert.Leaf)
	raw := func(values ...string) func(*forge) []string { return func(*forge) []string { return values } }
	return []state{
		with("good", func(*forge) {}),
		with("good: for 15 minutes", later("exp", token.MaxLifetime-time.Second)),
		with("good: for this deployment", set(payload, "leases", []string{"7"})),
		with("good: for this order", set(payload, "leases", []string{"9", "7/1/1"})),
		with("scope: status", set(payload, "scope", "status")),
		with("scope: logs", set(payload, "scope", "logs")),
		with("scope: manifest", set(payload, "scope", "manifest")),
		with("scope: events", set(payload, "scope", "events")),
		with("scope: exec", set(payload, "scope", "exec")),
		with("scope: forward", set(payload, "scope", "forward")),
		with("scope: restart", set(payload, "scope", "restart")),
		with("scope: logs and status", set(payload, "scope", "logs status")),
		with("scope: none", set(payload, "scope", "")),
		with("scope: absent", set(payload, "scope", nil)),
		with("scope: unknown", set(payload, "scope", "admin * Status status,logs")),

		{"absent", raw()},
		{"empty header", raw("")},
		{"bearer without token", raw("Bearer ")},
		{"another scheme", raw("Basic b3duZXI6cGFzcw==")},
		{"garbage", raw("Bearer garbage")},
		{"garbage in three parts", raw("Bearer a.b.c")},
		{"too long", raw("Bearer " + strings.Repeat("A", token.MaxLength+1))},
		{"two tokens", func(f *forge) []string { return []string{"Bearer " + f.token(), "Bearer " + f.token()} }},
		{"no signature", func(f *forge) []string { return []string{"Bearer " + f.token()[:len(f.token())-86]} }},

		with("alg: none", both(set(header, "alg", "none"), func(f *forge) { f.sign = func(string) []byte { return nil } })),
		with("alg: none, signed", set(header, "alg", "none")),
		with("alg: HS256 with the public key", func(f *forge) { f.header["alg"], f.sign = "HS256", signHS256(f) }),
		with("alg: ES256", func(f *forge) { f.header["alg"], f.sign = "ES256", signES256 }),
		with("alg: ES256K, signed over P-256", func(f *forge) { f.sign = signES256 }),
		with("alg: RS256", func(f *forge) { f.header["alg"], f.sign = "RS256", signRS256 }),
		with("alg: absent", set(header, "alg", nil)),
		with("typ: JWT", set(header, "typ", "JWT")),
		with("typ: absent", set(header, "typ", nil)),
		with("header: unknown member", set(header, "crit", []string{"exp"})),

		with("signer: another", func(f *forge) { f.sign = signWith(stranger) }),
		with("signer: another, with its key", func(f *forge) {
			f.header["pub"], f.sign = b64(stranger.Key.PubKey().Bytes()), signWith(stranger)
		}),
		with("signer: stranger in its own name", func(f *forge) {
			f.header["pub"], f.sign = b64(stranger.Key.PubKey().Bytes()), signWith(stranger)
			f.payload["iss"] = stranger.Address
		}),
		// Wallets sign a document around the text, and name themselves in it.
		with("ADR-036", func(f *forge) { f.header["alg"], f.sign = "ADR036", signDoc(f.owner, f.owner.Address) }),
		with("ADR-036: another signer in the document", func(f *forge) {
			f.header["alg"], f.sign = "ADR036", signDoc(f.owner, stranger.Address)
		}),
		with("ADR-036: signed by another", func(f *forge) { f.header["alg"], f.sign = "ADR036", signDoc(stranger, f.owner.Address) }),
		with("ADR-036: another, with its key", func(f *forge) {
			f.header["alg"], f.header["pub"] = "ADR036", b64(stranger.Key.PubKey().Bytes())
			f.sign = signDoc(stranger, stranger.Address)
		}),
		with("ADR-036: the text alone signed", set(header, "alg", "ADR036")),
		with("ADR-036: the document under ES256K", func(f *forge) { f.sign = signDoc(f.owner, f.owner.Address) }),
		with("ADR-036: upper S", func(f *forge) { f.header["alg"], f.sign = "ADR036", highS(signDoc(f.owner, f.owner.Address)) }),

		// Owners that cannot sign have a gateway key on chain. The owner of the lease has one as well in these states.
		with("gateway key: registered", func(f *forge) {
			f.header["pub"], f.sign = b64(gatewayKey.Key.PubKey().Bytes()), signWith(gatewayKey)
		}),
		with("gateway key: registered, ADR-036", func(f *forge) {
			f.header["alg"], f.header["pub"] = "ADR036", b64(gatewayKey.Key.PubKey().Bytes())
			f.sign = signDoc(gatewayKey, gatewayKey.Address)
		}),
		with("gateway key: rotated", func(f *forge) {
			f.header["pub"], f.sign = b64(oldKey.Key.PubKey().Bytes()), signWith(oldKey)
		}),
		with("gateway key: in its own name", func(f *forge) {
			f.header["pub"], f.sign = b64(gatewayKey.Key.PubKey().Bytes()), signWith(gatewayKey)
			f.payload["iss"] = gatewayKey.Address
		}),
		with("gateway key: of an owner without one", func(f *forge) {
			f.header["pub"], f.sign = b64(gatewayKey.Key.PubKey().Bytes()), signWith(gatewayKey)
			f.payload["iss"] = stranger.Address
		}),
		with("gateway key: of no address", func(f *forge) {
			f.header["pub"], f.sign = b64(gatewayKey.Key.PubKey().Bytes()), signWith(gatewayKey)
			f.payload["iss"] = strings.ToUpper(f.owner.Address)
		}),

		with("signer: key absent", set(header, "pub", nil)),
		with("signer: key of no point", set(header, "pub", b64(make([]byte, 33)))),
		with("signature: upper S", func(f *forge) { f.sign = highS(f.sign) }),

		with("expired", both(later("iat", -time.Hour), later("nbf", -time.Hour), later("exp", -50*time.Minute))),
		with("begins later", both(later("nbf", 5*time.Minute), later("exp", 6*time.Minute))),
		with("issued later", both(later("iat", 5*time.Minute), later("nbf", 0), later("exp", 6*time.Minute))),
		with("exp: absent", set(payload, "exp", nil)),
		with("exp: a text", set(payload, "exp", "never")),
		with("exp: null", func(f *forge) { f.payload["exp"] = json.RawMessage("null") }),
		with("exp: beyond 64 bits", func(f *forge) { f.payload["exp"] = json.RawMessage("1e300") }),
		with("iat: absent", set(payload, "iat", nil)),
		with("nbf: absent", set(payload, "nbf", nil)),
		with("lives longer than 15 minutes", later("exp", token.MaxLifetime+5*time.Second)),
		with("lives longer by nbf", both(later("nbf", -10*time.Minute), later("exp", 6*time.Minute))),

		with("aud: another provider", set(payload, "aud", stranger.Address)),
		with("aud: absent", set(payload, "aud", nil)),
		with("aud: a list", func(f *forge) { f.payload["aud"] = []string{f.g.Account.Address, stranger.Address} }),
		with("chain: another", set(payload, "chain_id", "berth-main")),
		with("chain: absent", set(payload, "chain_id", nil)),

		with("cnf: another key", set(payload, "cnf", object{"x5t#S256": b64(otherThumb[:])})),
		with("cnf: absent", set(payload, "cnf", nil)),
		with("cnf: empty", set(payload, "cnf", object{})),
		with("cnf: short", set(payload, "cnf", object{"x5t#S256": "AAAA"})),
		{"connection: another TLS key", func(f *forge) []string {
			values := []string{"Bearer " + f.token()}
			f.cert = otherCert
			return values
		}},
		{"connection: no TLS key", func(f *forge) []string {
			values := []string{"Bearer " + f.token()}
			f.cert = tls.Certificate{}
			return values
		}},
		{"connection: resumed with another TLS key", func(f *forge) []string {
			values := []string{"Bearer " + f.token()}
			f.cert = otherCert
			f.payload["resume"] = true // seen by the caller only: the token is made already
			return values
		}},

		with("leases: another deployment", set(payload, "leases", []string{"8"})),
		with("leases: another group", set(payload, "leases", []string{"7/2"})),
		with("leases: another order", set(payload, "leases", []string{"7/1/2"})),
		with("leases: empty", set(payload, "leases", []string{})),
		with("leases: not a lease", set(payload, "leases", []string{"*"})),
		with("leases: too many", set(payload, "leases", slices.Repeat([]string{"7"}, token.MaxLeases+1))),

		with("payload: unknown member", set(payload, "admin", true)),
		with("payload: member in another case", set(payload, "ISS", "x")),
		{"payload: member twice", func(f *forge) []string {
			p := strings.TrimSuffix(mustJSON(f.payload), "}") + `,"scope":"status logs manifest events exec forward restart"}`
			return []string{"Bearer " + f.tokenOf(mustJSON(f.header), p)}
		}},
	}
}

// TestAuthMatrix comes to every endpoint in every state, by JSON and by gRPC, and compares with the allow-list in
// testdata. What is not allowed must be 401 or 403 there, and the two languages must agree.
func TestAuthMatrix(t *testing.T) {
	g := gatewaytest.Start(t, withGatewayKey())
	methods := []string{"Status", "WouldBid", "LeaseStatus", "Logs", "GetManifest", "PutManifest", "Events", "Exec", "PortForward", "Restart"}
	var out strings.Builder
	fmt.Fprintf(&out, "%-42s %s\n", "state", strings.Join(methods, " "))
	ownCert := gatewaytest.ClientCert(t)
	for _, st := range states(t) {
		f := newForge(g, ownCert)
		values := st.make(f)
		conn := dialRaw(t, g, f.cert, f.payload["resume"] == true, ownCert)
		fmt.Fprintf(&out, "%-42s", st.name)
		for _, m := range methods {
			byJSON := conn.json(m, g.Lease(f.owner), values)
			byGRPC := conn.grpc(m, g.Lease(f.owner), values)
			if byJSON != byGRPC {
				t.Errorf("state %q, method %s: JSON answers %d, gRPC %d", st.name, m, byJSON, byGRPC)
			}
			if jsonCalls[m].stream {
				if got := conn.socket(m, g.Lease(f.owner), values, false); got != byJSON {
					t.Errorf("state %q, method %s: a WebSocket is answered %d, JSON %d", st.name, m, got, byJSON)
				}
				if got := conn.socket(m, g.Lease(f.owner), values, true); len(values) == 1 && strings.HasPrefix(values[0], "Bearer ") && got != byJSON {
					t.Errorf("state %q, method %s: a WebSocket with the token as a subprotocol is answered %d, JSON %d", st.name, m, got, byJSON)
				}
			}
			if byJSON != 200 && byJSON != 401 && byJSON != 403 {
				t.Errorf("state %q, method %s: %d, want 200, 401 or 403", st.name, m, byJSON)
			}
			fmt.Fprintf(&out, " %-*d", len(m), byJSON)
		}
		out.WriteString("\n")
	}
	golden(t, "auth.golden", strings.ReplaceAll(out.String(), " \n", "\n"))
	if log := g.Log.String(); strings.Contains(log, "Bearer") || strings.Contains(log, b64([]byte(`{"alg"`))) {
		t.Error("the log holds a token")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	lines := strings.Split(got, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	got = strings.Join(lines, "\n")
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (run with -update to accept); got:\n%s", path, got)
	}
}

// rawConn speaks to a gateway without the checks of a real client.
type rawConn struct {
	t    *testing.T
	g    *gatewaytest.Gateway
	http *http.Client
	rpc  *grpc.ClientConn
	tls  *tls.Config
}

// dialRaw connects with the given client key. If resume is set, it first makes a session with another key and offers
// to go on with that.
func dialRaw(t *testing.T, g *gatewaytest.Gateway, cert tls.Certificate, resume bool, first tls.Certificate) *rawConn {
	t.Helper()
	cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, ServerName: "gateway"}
	if resume {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
		cfg.Certificates = []tls.Certificate{first}
		visit(t, g, cfg)
	}
	cfg.Certificates = nil
	if cert.Leaf != nil {
		cfg.Certificates = []tls.Certificate{cert}
	}
	if resume {
		if visit(t, g, cfg).DidResume {
			t.Error("a TLS session was resumed")
		}
	}
	tr := &http.Transport{TLSClientConfig: cfg.Clone(), ForceAttemptHTTP2: true}
	rpc, err := grpc.NewClient("passthrough:///"+g.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(cfg.Clone())),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(wire.Codec{})))
	if err != nil {
		t.Fatal(err)
	}
	c := &rawConn{t: t, g: g, http: &http.Client{Transport: tr}, rpc: rpc, tls: cfg}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		rpc.Close()
	})
	return c
}

// visit makes a connection, reads an answer, so that tickets arrive, and closes it.
func visit(t *testing.T, g *gatewaytest.Gateway, cfg *tls.Config) tls.ConnectionState {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get(g.URI + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return *resp.TLS
}

var jsonCalls = map[string]struct {
	verb, path, body string
	stream           bool
}{
	"Status":      {"GET", "", "", false},
	"WouldBid":    {"POST", "", wouldBidBody, false},
	"LeaseStatus": {"GET", "status", "", false},
	"Logs":        {"GET", "logs", "", true},
	"GetManifest": {"GET", "manifest", "", false},
	"Events":      {"GET", "events", "", true},
	"Exec":        {"GET", "exec", "", true},
	"PortForward": {"GET", "portforward", "", true},
	"Restart":     {"POST", "restart", `{"service":"web"}`, false},
	"PutManifest": {"PUT", "manifest", `{"group":"Z3JvdXA=","gseq":1,"leaves":["` + strings.Repeat("A", 43) + `="]}`, false},
}

func (c *rawConn) json(method string, id markettypes.LeaseID, auth []string) int {
	call := jsonCalls[method]
	url := c.g.URI + "/v1/" + strings.ToLower(method)
	if call.path != "" {
		url = fmt.Sprintf("%s/v1/leases/%s/%s", c.g.URI, id, call.path)
	}
	return c.do(call.verb, url, call.body, auth)
}

func (c *rawConn) do(verb, url, body string, auth []string) int {
	c.t.Helper()
	req, err := http.NewRequest(verb, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, a := range auth {
		req.Header.Add("Authorization", a)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusUpgradeRequired {
		return http.StatusOK // the token was good for it
	}
	return resp.StatusCode
}

func (c *rawConn) grpc(method string, id markettypes.LeaseID, auth []string) int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, a := range auth {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", a)
	}
	api := gatewaytypes.NewGatewayClient(c.rpc)
	var err error
	switch method {
	case "Status":
		_, err = api.Status(ctx, &gatewaytypes.StatusRequest{})
	case "WouldBid":
		_, err = api.WouldBid(ctx, wouldBid())
	case "LeaseStatus":
		_, err = api.LeaseStatus(ctx, &gatewaytypes.LeaseStatusRequest{Id: id})
	case "GetManifest":
		_, err = api.GetManifest(ctx, &gatewaytypes.GetManifestRequest{Id: id})
	case "PutManifest":
		_, err = api.PutManifest(ctx, &gatewaytypes.PutManifestRequest{Id: id, Envelope: manifesttypes.Envelope{
			Group: []byte("group"), Gseq: 1, Leaves: [][]byte{make([]byte, 32)},
		}})
	case "Logs":
		var s gatewaytypes.Gateway_LogsClient
		if s, err = api.Logs(ctx, &gatewaytypes.LogsRequest{Id: id}); err == nil {
			if _, err = s.Recv(); err != nil && err.Error() == "EOF" {
				err = nil
			}
		}
	case "Events":
		var s gatewaytypes.Gateway_EventsClient
		if s, err = api.Events(ctx, &gatewaytypes.EventsRequest{Id: id}); err == nil {
			_, err = s.Recv()
		}
	case "Exec":
		var s gatewaytypes.Gateway_ExecClient
		if s, err = api.Exec(ctx); err == nil {
			_ = s.Send(execStart(id)) // the answer tells
			_, err = s.Recv()
		}
	case "PortForward":
		var s gatewaytypes.Gateway_PortForwardClient
		if s, err = api.PortForward(ctx); err == nil {
			_ = s.Send(&gatewaytypes.PortForwardRequest{Id: id, Start: &gatewaytypes.PortForwardStart{Service: "web", Port: 80}}) // the answer tells
			_, err = s.Recv()
		}
	case "Restart":
		_, err = api.Restart(ctx, &gatewaytypes.RestartRequest{Id: id, Service: "web"})
	default:
		c.t.Fatalf("method %s is not in the matrix", method)
	}
	switch code := status.Code(err); code {
	case codes.OK:
		return 200
	case codes.Unauthenticated:
		return 401
	case codes.PermissionDenied:
		return 403
	default:
		c.t.Errorf("method %s: %v", method, err)
		return 1000 + int(code)
	}
}

func execStart(id markettypes.LeaseID) *gatewaytypes.ExecRequest {
	return &gatewaytypes.ExecRequest{Id: id, Start: &gatewaytypes.ExecStart{Service: "web", Command: []string{"cat"}}}
}

// The matrix covers the service: a new method must be added to it.
func TestMatrixCoversTheService(t *testing.T) {
	var want []string
	for _, m := range gatewaytypes.Gateway_serviceDesc.Methods {
		want = append(want, m.MethodName)
	}
	for _, m := range gatewaytypes.Gateway_serviceDesc.Streams {
		want = append(want, m.StreamName)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(jsonCalls)); !slices.Equal(got, want) {
		t.Errorf("the matrix has %v, the service %v", got, want)
	}
}

// A good token opens the owner's leases with this provider, and nobody else's.
func TestOtherLeases(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	cert := gatewaytest.ClientCert(t)
	f := newForge(g, cert)
	auth := []string{"Bearer " + f.token()}
	conn := dialRaw(t, g, cert, false, cert)
	own := g.Lease(f.owner)
	for name, tc := range map[string]struct {
		change func(*markettypes.LeaseID)
		want   int
	}{
		"own":                     {func(*markettypes.LeaseID) {}, 200},
		"own, another deployment": {func(id *markettypes.LeaseID) { id.Dseq++ }, 200},
		"of another owner":        {func(id *markettypes.LeaseID) { id.Owner = gatewaytest.NewAccount("stranger").Address }, 403},
		"of the provider itself":  {func(id *markettypes.LeaseID) { id.Owner = g.Account.Address }, 403},
		"with another provider":   {func(id *markettypes.LeaseID) { id.Provider = gatewaytest.NewAccount("stranger").Address }, 403},
		"of an owner in capitals": {func(id *markettypes.LeaseID) { id.Owner = strings.ToUpper(id.Owner) }, 403},
	} {
		id := own
		tc.change(&id)
		for _, m := range []string{"LeaseStatus", "Logs", "GetManifest"} {
			if got := conn.json(m, id, auth); got != tc.want {
				t.Errorf("%s: %s by JSON = %d, want %d", name, m, got, tc.want)
			}
			if got := conn.grpc(m, id, auth); got != tc.want {
				t.Errorf("%s: %s by gRPC = %d, want %d", name, m, got, tc.want)
			}
		}
	}
}
