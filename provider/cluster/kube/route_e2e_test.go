//go:build e2e

package kube

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster/clustertest"
	"berth.dev/berth/testutil/dnstest"
)

// edgeClient asks the entries of the cluster for hosts of any name.
type edgeClient struct {
	http, tls string
	roots     *x509.CertPool
}

func edgeEntries(t *testing.T) edgeClient {
	t.Helper()
	e := edgeClient{http: os.Getenv("BERTH_E2E_INGRESS"), tls: os.Getenv("BERTH_E2E_INGRESS_TLS"), roots: x509.NewCertPool()}
	if e.http == "" || e.tls == "" {
		t.Fatal("BERTH_E2E_INGRESS and BERTH_E2E_INGRESS_TLS name no entries")
	}
	pem, err := os.ReadFile(os.Getenv("BERTH_E2E_EDGE_AUTHORITY"))
	if err != nil || !e.roots.AppendCertsFromPEM(pem) {
		t.Fatalf("BERTH_E2E_EDGE_AUTHORITY names no certificates: %v", err)
	}
	return e
}

// ask makes a request; own says that the certificate is the service's own, else it must be the edge's.
func (e edgeClient) ask(method, url, body string, own bool) (code int, text string, res *http.Response) {
	return e.askWithin(20*time.Second, method, url, body, own)
}

func (e edgeClient) askWithin(wait time.Duration, method, url, body string, own bool) (code int, text string, res *http.Response) {
	tlsConfig := &tls.Config{RootCAs: e.roots, InsecureSkipVerify: own} //nolint:gosec // the service makes its certificate itself
	transport := &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: tlsConfig}
	dialer := &net.Dialer{}
	entry := e.http
	if strings.HasPrefix(url, "https:") {
		entry = e.tls
	}
	c := http.Client{Timeout: wait, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error(), nil
	}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, entry)
	}
	if res, err = c.Do(req); err != nil {
		return 0, err.Error(), nil
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return res.StatusCode, string(data), res
}

func (e edgeClient) await(t *testing.T, url string, own bool, want ...string) {
	t.Helper()
	await(t, url, func() (bool, string) {
		code, text, _ := e.ask(http.MethodGet, url, "", own)
		ok := code == http.StatusOK
		for _, w := range want {
			ok = ok && strings.Contains(text, w)
		}
		return ok, fmt.Sprint(code, " ", text)
	})
}

// probeWeb is a service with three http ports, one of them without HTTP/1, and an https port, each with hosts of its own.
func probeWeb(suffix string) manifesttypes.Service {
	web := clustertest.Service("web", probeImage())
	web.Args = []string{"web"}
	web.Expose[0].Accept = []string{"one-" + suffix}
	web.Expose[0].HttpOptions = &manifesttypes.HTTPOptions{MaxBodyBytes: 1000, ReadTimeoutMs: 3000, NextTries: 3, NextCases: []string{"503"}}
	anyone := []manifesttypes.To{{Global: true}}
	web.Expose = append(web.Expose,
		manifesttypes.Expose{Port: 8080, As: 8081, Proto: manifesttypes.PROTO_HTTP, Accept: []string{"two-" + suffix}, To: anyone},
		manifesttypes.Expose{Port: 8080, As: 8082, Proto: manifesttypes.PROTO_HTTP, HttpOptions: &manifesttypes.HTTPOptions{H2C: true}, To: anyone},
		manifesttypes.Expose{Port: 8443, As: 443, Proto: manifesttypes.PROTO_HTTPS, Accept: []string{"own-" + suffix}, To: anyone})
	return web
}

// TestRoutes asks a service by all its ways in, led there by the Gateway API and by Ingress objects.
func TestRoutes(t *testing.T) {
	e := edgeEntries(t)
	for _, mode := range []RouteMode{RouteGateway, RouteIngress} {
		t.Run(string(mode), func(t *testing.T) {
			cfg := config(t)
			cfg.RouteMode, cfg.EdgeTLS, cfg.IngressNamespaces = mode, SwitchOn, []string{setting("BERTH_E2E_INGRESS_NAMESPACE", "ingress")}
			if mode == RouteIngress {
				cfg.IngressClass = setting("BERTH_E2E_INGRESS_CLASS", "traefik")
			}
			c, _ := start(t, cfg)
			suffix := string(mode) + ".routes.example"
			_, status := deploy(t, c, 1, probeWeb(suffix))
			urls := strings.Join(status[0].URLs, " ")
			for _, u := range status[0].URLs {
				own := strings.Contains(u, "-443-") || strings.Contains(u, "own-")
				e.await(t, u, own, "web host=", fmt.Sprintf("tls=%v", own))
			}
			for _, want := range []string{"http://one-" + suffix, "http://two-" + suffix, "https://own-" + suffix, ".e2e.localhost"} {
				if !strings.Contains(urls, want) || len(status[0].URLs) != 7 {
					t.Errorf("urls %s lack %s", urls, want)
				}
			}
			if _, text, _ := e.ask(http.MethodGet, "https://own-"+suffix, "", true); !strings.Contains(text, "HTTP/2") {
				t.Errorf("HTTP/2, which gRPC needs, is not passed through: %s", text)
			}
			e.checkCalls(t, "own-"+suffix, true)
			for _, u := range status[0].URLs {
				if host := strings.TrimPrefix(u, "https://"); strings.Contains(u, "-8082-") {
					e.await(t, u, false, "proto=HTTP/2.0")
					e.checkCalls(t, host, false)
				}
			}
			e.checkOptions(t, "http://one-"+suffix)
		})
	}
}

// checkCalls makes calls of gRPC to a host: one with one answer, one with a stream of them. own says that TLS is passed through
// to the service, else it ends at the edge.
func (e edgeClient) checkCalls(t *testing.T, host string, own bool) {
	t.Helper()
	creds := credentials.NewTLS(&tls.Config{ServerName: host, RootCAs: e.roots, InsecureSkipVerify: own}) //nolint:gosec // the service makes its certificate itself
	conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(creds), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", e.tls)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	health := healthpb.NewHealthClient(conn)
	if got, err := health.Check(ctx, &healthpb.HealthCheckRequest{}); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("a call of gRPC: %v, %v", got, err)
	}
	stream, err := health.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("a stream of gRPC: %v, %v", got, err)
	}
}

// checkOptions tries what http_options ask for, and that the connection can be upgraded all the same.
func (e edgeClient) checkOptions(t *testing.T, url string) {
	t.Helper()
	if code, text, _ := e.ask(http.MethodPost, url, strings.Repeat("x", 1000), false); code != http.StatusOK || !strings.Contains(text, "body=1000") {
		t.Errorf("a body of the largest size: %d %s", code, text)
	}
	if code, text, _ := e.ask(http.MethodPost, url, strings.Repeat("x", 1001), false); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a larger body: %d %s", code, text)
	}
	if code, text, _ := e.ask(http.MethodPost, url+"/slow?wait=10s", "", false); code != http.StatusGatewayTimeout {
		t.Errorf("a service that is slower than read_timeout: %d %s", code, text)
	}
	for range 4 {
		if code, text, _ := e.ask(http.MethodGet, url+"/flaky", "", false); code != http.StatusOK {
			t.Errorf("a request that is to be tried again: %d %s", code, text)
		}
	}
	conn, err := net.Dial("tcp", e.http)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(conn, "GET /upgrade HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", strings.TrimPrefix(url, "http://"))
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %+v, %v", res, err)
	}
	_, _ = fmt.Fprint(conn, "ping\n")
	if line, err := r.ReadString('\n'); line != "ping\n" {
		t.Errorf("echo after the upgrade: %q, %v", line, err)
	}
}

// TestRedirectAndProof: clients are sent to https where there is a certificate, and a host needs a record.
func TestRedirectAndProof(t *testing.T) {
	e, dns := edgeEntries(t), dnstest.New(t)
	cfg := config(t)
	cfg.EdgeTLS, cfg.HTTPSRedirect, cfg.Hosts = SwitchAuto, true, Hosts{ChainID: "e2e-1", Resolver: dns.Addr}
	c, _ := start(t, cfg)
	dns.Set("_berth.shown.example", proofText("e2e-1", "berth1e2e"))
	web := clustertest.Service("web", image())
	web.Expose[0].Accept = []string{"shown.example"}
	id, status := deploy(t, c, 1, web)
	generated := status[0].URLs[0]
	if !strings.HasPrefix(generated, "https://") || status[0].URLs[1] != "http://shown.example" {
		t.Fatalf("urls %v", status[0].URLs)
	}
	e.await(t, generated, false, "hello")
	e.await(t, "http://shown.example", false, "hello")
	plain := strings.Replace(generated, "https:", "http:", 1)
	code, _, res := e.ask(http.MethodGet, plain+"/x", "", false)
	if code != http.StatusMovedPermanently || !strings.HasPrefix(res.Header.Get("Location"), generated) {
		t.Errorf("%s: %d %+v", plain, code, res)
	}
	web.Expose[0].Accept = []string{"shown.example", "unshown.example"}
	refusedWith(t, c.Apply(t.Context(), clustertest.Workload(id, web)), `_berth.unshown.example TXT "berth-owner=e2e-1:berth1e2e"`)
	e.await(t, "http://shown.example", false, "hello")
}

// TestLongAnswers: where the operator allows it, an answer may take longer than a minute, and no longer than its port asks for.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	e := edgeEntries(t)
	cfg := config(t)
	cfg.MaxTimeout = 10 * time.Minute
	c, _ := start(t, cfg)
	web := clustertest.Service("web", probeImage())
	web.Args = []string{"web"}
	web.Expose[0].HttpOptions = &manifesttypes.HTTPOptions{ReadTimeoutMs: 64_000}
	_, status := deploy(t, c, 1, web)
	url := status[0].URLs[0]
	e.await(t, url, false, "web host=")
	var group sync.WaitGroup
	for wait, want := range map[string]int{"61s": http.StatusOK, "5m": http.StatusGatewayTimeout} {
		group.Go(func() {
			if code, text, _ := e.askWithin(3*time.Minute, http.MethodGet, url+"/slow?wait="+wait, "", false); code != want {
				t.Errorf("an answer after %s: %d %s, want %d", wait, code, text, want)
			}
		})
	}
	group.Wait()
}
