package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	"berth.dev/berth/provider/gateway/internal/wire"
	"berth.dev/berth/provider/gateway/token"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// patience bounds waits for what must happen; nothing is expected to take nearly as long.
const patience = 30 * time.Second

// short is a limit that a test waits out.
const short = 150 * time.Millisecond

// visitor is an owner with a good token and a connection that it is good for.
type visitor struct {
	*rawConn
	owner gatewaytest.Account
	id    markettypes.LeaseID
	token string
}

func newVisitor(t *testing.T, g *gatewaytest.Gateway, change ...func(*token.Claims)) *visitor {
	t.Helper()
	cert := gatewaytest.ClientCert(t)
	owner := gatewaytest.NewAccount("owner")
	claims := g.Claims(owner, cert.Leaf)
	for _, f := range change {
		f(&claims)
	}
	raw, err := token.Issue(owner, claims)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{rawConn: dialRaw(t, g, cert, false, cert), owner: owner, id: g.Lease(owner), token: raw}
}

func (v *visitor) request(verb, path, body string) *http.Request {
	v.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = "/v1/leases/" + v.id.String() + "/" + path
	}
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(verb, v.g.URI+path, r)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+v.token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// ask returns status and body of an answer.
func (v *visitor) ask(req *http.Request) (int, string) {
	v.t.Helper()
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (v *visitor) api() (context.Context, gatewaytypes.GatewayClient) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	v.t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+v.token), gatewaytypes.NewGatewayClient(v.rpc)
}

func TestJSONAnswers(t *testing.T) {
	backend := gatewaytest.Obliging(
		cluster.LogLine{Service: "web", Instance: "web-0", Line: "one", Time: time.Unix(0, 5)},
		cluster.LogLine{Service: "web", Instance: "web-0", Line: "two \xff\n"},
	)
	var asked cluster.LogOptions
	logs := backend.LogsFunc
	backend.LogsFunc = func(ctx context.Context, id markettypes.LeaseID, o cluster.LogOptions) (cluster.LogStream, error) {
		asked = o
		return logs(ctx, id, o)
	}
	g := gatewaytest.Start(t, backend)
	v := newVisitor(t, g)
	var out strings.Builder
	for _, call := range []struct{ verb, path, body string }{
		{"GET", "/v1/status", ""},
		{"GET", "status", ""},
		{"GET", "manifest", ""},
		{"PUT", "manifest", jsonCalls["PutManifest"].body},
		{"GET", "logs?service=web&tail=9&since_unix_nano=12&follow=false", ""},
	} {
		code, body := v.ask(v.request(call.verb, call.path, call.body))
		fmt.Fprintf(&out, "%s %s\n%d %s\n", call.verb, call.path, code, body)
	}
	golden(t, "json.golden", out.String())
	want := cluster.LogOptions{Service: "web", Tail: 9, Since: time.Unix(0, 12)}
	if asked != want {
		t.Errorf("the backend was asked for %+v, want %+v", asked, want)
	}
}

// The same over HTTP/1.1, which curl and proxies speak.
func TestHTTP1(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging(cluster.LogLine{Line: "x"}))
	v := newVisitor(t, g)
	tr := v.http.Transport.(*http.Transport).Clone()
	tr.TLSClientConfig.NextProtos, tr.ForceAttemptHTTP2, tr.Protocols = []string{"http/1.1"}, false, new(http.Protocols)
	tr.Protocols.SetHTTP1(true)
	v.http = &http.Client{Transport: tr}
	defer tr.CloseIdleConnections()
	if code, _ := v.ask(func() *http.Request {
		r := v.request("GET", "status", "")
		padded(17 << 10)(r)
		return r
	}()); code != 431 {
		t.Errorf("headers above 16 KiB = %d, want 431", code)
	}
	for _, path := range []string{"status", "logs", "/v1/status"} {
		resp, err := v.http.Do(v.request("GET", path, ""))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.ProtoMajor != 1 {
			t.Errorf("GET %s = %d over HTTP/%d", path, resp.StatusCode, resp.ProtoMajor)
		}
	}
}

func TestBadRequests(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	v := newVisitor(t, g)
	good := jsonCalls["PutManifest"].body
	big := base64.StdEncoding.EncodeToString(make([]byte, 512<<10+1))
	huge := `{"group":"` + strings.Repeat("A", 1<<20) + `"}`
	lease := "/v1/leases/" + v.owner.Address
	for name, tc := range map[string]struct {
		verb, path, body string
		change           func(*http.Request)
		code             int
		want             string
	}{
		"unknown path":           {verb: "GET", path: "/v2/status", code: 404, want: "not_found"},
		"root":                   {verb: "GET", path: "/", code: 404, want: "not_found"},
		"trailing slash":         {verb: "GET", path: "/v1/status/", code: 404, want: "not_found"},
		"wrong verb":             {verb: "POST", path: "/v1/status", code: 405, want: "method_not_allowed"},
		"wrong verb for a lease": {verb: "DELETE", path: "manifest", code: 405, want: "method_not_allowed"},
		"dseq not a number":      {verb: "GET", path: lease + "/x/1/1/" + g.Account.Address + "/status", code: 400, want: "invalid"},
		"dseq with a zero":       {verb: "GET", path: lease + "/07/1/1/" + g.Account.Address + "/status", code: 400, want: "invalid"},
		"gseq beyond 32 bits":    {verb: "GET", path: lease + "/7/4294967296/1/" + g.Account.Address + "/status", code: 400, want: "invalid"},
		"segment missing":        {verb: "GET", path: lease + "/7/1//" + g.Account.Address + "/status", code: 404, want: "not_found"},
		"unknown parameter":      {verb: "GET", path: "status?verbose=1", code: 400, want: "invalid"},
		"unknown log parameter":  {verb: "GET", path: "logs?lines=1", code: 400, want: "invalid"},
		"parameter twice":        {verb: "GET", path: "logs?tail=1&tail=2", code: 400, want: "invalid"},
		"bad escape":             {verb: "GET", path: "logs?service=%zz", code: 400, want: "invalid"},
		"tail not a number":      {verb: "GET", path: "logs?tail=-1", code: 400, want: "invalid"},
		"follow not a boolean":   {verb: "GET", path: "logs?follow=yes", code: 400, want: "invalid"},
		"since negative":         {verb: "GET", path: "logs?since_unix_nano=-1", code: 400, want: "invalid"},
		"service name too long":  {verb: "GET", path: "logs?service=" + strings.Repeat("x", 64), code: 400, want: "invalid"},
		"body where none is due": {verb: "GET", path: "status", body: "{}", code: 400, want: "invalid"},
		"body empty":             {verb: "PUT", path: "manifest", change: asJSON, code: 400, want: "invalid"},
		"body not JSON":          {verb: "PUT", path: "manifest", body: "group: x", code: 400, want: "invalid"},
		"body cut short":         {verb: "PUT", path: "manifest", body: good[:20], code: 400, want: "invalid"},
		"data after the body":    {verb: "PUT", path: "manifest", body: good + "{}", code: 400, want: "goes on"},
		"unknown key":            {verb: "PUT", path: "manifest", body: `{"groups":""}`, code: 400, want: "unknown key"},
		"key in another case":    {verb: "PUT", path: "manifest", body: `{"Group":""}`, code: 400, want: "unknown key"},
		"key twice":              {verb: "PUT", path: "manifest", body: `{"gseq":1,"gseq":1}`, code: 400, want: "twice"},
		"bad UTF-8":              {verb: "PUT", path: "manifest", body: "{\"group\":\"\xff\"}", code: 400, want: "UTF-8"},
		"bad base64":             {verb: "PUT", path: "manifest", body: `{"group":"*"}`, code: 400, want: "invalid"},
		"gseq a fraction":        {verb: "PUT", path: "manifest", body: `{"gseq":1.5}`, code: 400, want: "invalid"},
		"no group":               {verb: "PUT", path: "manifest", body: `{"gseq":1}`, code: 400, want: "empty"},
		"no leaves":              {verb: "PUT", path: "manifest", body: `{"group":"AAAA","gseq":1}`, code: 400, want: "leaves"},
		"short leaf":             {verb: "PUT", path: "manifest", body: `{"group":"AAAA","gseq":1,"leaves":["AAAA"]}`, code: 400, want: "leaf 1"},
		"another group":          {verb: "PUT", path: "manifest", body: strings.Replace(good, `"gseq":1`, `"gseq":2`, 1), code: 422, want: "refused"},
		"manifest too large":     {verb: "PUT", path: "manifest", body: `{"gseq":1,"group":"` + big + `"}`, code: 413, want: "too_large"},
		"body too large":         {verb: "PUT", path: "manifest", body: huge, code: 413, want: "too_large"},
		"too large, unannounced": {verb: "PUT", path: "manifest", body: huge, change: unannounced, code: 413, want: "too_large"},
		"not application/json":   {verb: "PUT", path: "manifest", body: good, change: media("text/plain"), code: 415, want: "unsupported_media"},
		"no content type":        {verb: "PUT", path: "manifest", body: good, change: media(""), code: 415, want: "unsupported_media"},
		"compressed":             {verb: "PUT", path: "manifest", body: good, change: compressed, code: 415, want: "unsupported_media"},
		"with a charset is fine": {verb: "PUT", path: "manifest", body: good, change: media("application/json; charset=utf-8"), code: 200, want: "manifest_hash"},
		"headers of 11 KiB":      {verb: "GET", path: "status", change: padded(10 << 10), code: 200, want: "web"},
		"grpc-web":               {verb: "POST", path: "/berth.gateway.v1.Gateway/Status", change: media("application/grpc-web"), code: 404, want: "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			req := v.request(tc.verb, tc.path, tc.body)
			if tc.change != nil {
				tc.change(req)
			}
			code, body := v.ask(req)
			if code != tc.code || !strings.Contains(body, tc.want) {
				t.Errorf("%s %.80s = %d %s, want %d and %q", tc.verb, tc.path, code, body, tc.code, tc.want)
			}
			var p wire.Problem
			if code >= 400 && (json.Unmarshal([]byte(body), &p) != nil || p.Code == "" || p.Message == "") {
				t.Errorf("answer %q is no problem", body)
			}
		})
	}
}

func asJSON(r *http.Request)      { r.Header.Set("Content-Type", "application/json") }
func compressed(r *http.Request)  { r.Header.Set("Content-Encoding", "gzip") }
func unannounced(r *http.Request) { r.ContentLength = -1 }
func padded(n int) func(*http.Request) {
	return func(r *http.Request) {
		for i := range n >> 10 {
			r.Header.Set(fmt.Sprintf("X-Padding-%d", i), strings.Repeat("x", 1<<10))
		}
	}
}
func media(m string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Content-Type", m) }
}

func TestBackendErrors(t *testing.T) {
	secret := "dial tcp 10.1.2.3:6443: password=hunter2"
	for name, tc := range map[string]struct {
		err   error
		code  int
		kind  wire.Kind
		shown string // must be in the answer; empty: the error's text must not be
	}{
		"not found":       {fmt.Errorf("no lease 7 here: %w", gateway.ErrNotFound), 404, wire.NotFound, "no lease 7 here"},
		"not in cluster":  {fmt.Errorf("service x: %w", cluster.ErrNotFound), 404, wire.NotFound, "service x"},
		"refused":         {fmt.Errorf("image is missing: %w", gateway.ErrRefused), 422, wire.Refused, "image is missing"},
		"unavailable":     {fmt.Errorf("%s: %w", secret, gateway.ErrUnavailable), 503, wire.Unavailable, ""},
		"anything else":   {errors.New(secret), 500, wire.Internal, ""},
		"deadline inside": {fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), 503, wire.Unavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			backend := gatewaytest.Obliging()
			backend.LeaseStatusFunc = func(context.Context, markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error) {
				return gatewaytypes.LeaseStatusResponse{}, tc.err
			}
			backend.LogsFunc = func(context.Context, markettypes.LeaseID, cluster.LogOptions) (cluster.LogStream, error) {
				return nil, tc.err
			}
			g := gatewaytest.Start(t, backend)
			v := newVisitor(t, g)
			ctx, api := v.api()
			_, err := api.LeaseStatus(ctx, &gatewaytypes.LeaseStatusRequest{Id: v.id})
			stream, serr := api.Logs(ctx, &gatewaytypes.LogsRequest{Id: v.id})
			if serr == nil {
				_, serr = stream.Recv()
			}
			for what, err := range map[string]error{"LeaseStatus": err, "Logs": serr} {
				p := wire.FromError(err)
				if p == nil || p.Code != tc.kind || !strings.Contains(p.Message, tc.shown) || strings.Contains(fmt.Sprint(p), "hunter2") {
					t.Errorf("%s by gRPC = %+v, want kind %s showing %q", what, p, tc.kind, tc.shown)
				}
			}
			for _, path := range []string{"status", "logs"} {
				code, body := v.ask(v.request("GET", path, ""))
				if code != tc.code || !strings.Contains(body, tc.shown) || strings.Contains(body, "hunter2") {
					t.Errorf("%s by JSON = %d %s, want %d showing %q", path, code, body, tc.code, tc.shown)
				}
			}
			if hidden := tc.shown == ""; hidden && !strings.Contains(g.Log.String(), "hunter2") {
				t.Error("the operator's log lacks the cause")
			}
		})
	}
}

func TestPanicsAreContained(t *testing.T) {
	reg := prometheus.NewRegistry()
	backend := gatewaytest.Obliging()
	backend.LeaseStatusFunc = func(context.Context, markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error) { panic("boom") }
	backend.LogsFunc = func(context.Context, markettypes.LeaseID, cluster.LogOptions) (cluster.LogStream, error) {
		panic("boom")
	}
	g := gatewaytest.Start(t, backend, func(c *gateway.Config) { c.Metrics = reg })
	v := newVisitor(t, g)
	ctx, api := v.api()
	if _, err := api.LeaseStatus(ctx, &gatewaytypes.LeaseStatusRequest{Id: v.id}); wire.FromError(err).Code != wire.Internal {
		t.Errorf("LeaseStatus = %v", err)
	}
	stream, err := api.Logs(ctx, &gatewaytypes.LogsRequest{Id: v.id})
	if err == nil {
		_, err = stream.Recv()
	}
	if wire.FromError(err).Code != wire.Internal {
		t.Errorf("Logs = %v", err)
	}
	for _, path := range []string{"status", "logs"} {
		if code, body := v.ask(v.request("GET", path, "")); code != 500 || strings.Contains(body, "boom") {
			t.Errorf("GET %s = %d %s", path, code, body)
		}
	}
	if code := v.json("Status", v.id, nil); code != 200 {
		t.Errorf("after panics, Status = %d", code)
	}
	if n := metric(t, reg, "berth_gateway_panics_total", ""); n != 4 {
		t.Errorf("panics counted = %v, want 4", n)
	}
	if n := metric(t, reg, "berth_gateway_requests_total", "internal"); n != 4 {
		t.Errorf("internal errors counted = %v, want 4", n)
	}
	if n := metric(t, reg, "berth_gateway_requests_total", "ok"); n != 1 {
		t.Errorf("good answers counted = %v, want 1", n)
	}
}

// metric sums a metric over its labels; label, if not empty, must be the value of one of them.
func metric(t *testing.T, reg *prometheus.Registry, name, label string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			match := label == ""
			for _, l := range m.GetLabel() {
				match = match || l.GetValue() == label
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func TestGRPCRefusesUnknownFieldsAndMethods(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	v := newVisitor(t, g)
	ctx, _ := v.api()
	known, err := wire.Codec{}.Marshal(&gatewaytypes.LogsRequest{Id: v.id})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		method string
		msg    []byte
		want   wire.Kind
	}{
		"unknown field":     {"LeaseStatus", append(bytes.Clone(known), 0xf8, 0x07, 0x01), wire.Invalid},
		"garbage":           {"LeaseStatus", []byte{0xff}, wire.Invalid},
		"larger than a MiB": {"PutManifest", make([]byte, 1<<20+1), wire.TooLarge},
		"unknown method":    {"Reboot", nil, wire.Unimplemented},
	} {
		err := v.rpc.Invoke(ctx, "/berth.gateway.v1.Gateway/"+tc.method, tc.msg, new([]byte), grpc.ForceCodec(rawCodec{}))
		if p := wire.FromError(err); p == nil || p.Code != tc.want {
			t.Errorf("%s: %v, want kind %s", name, err, tc.want)
		}
	}
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string                       { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error)      { return v.([]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }

func TestLogsFollow(t *testing.T) {
	t.Parallel()
	limits := func(c *gateway.Config) {
		// None of these may end a stream that is only quiet.
		c.Limits.BodyTimeout, c.Limits.CallTimeout, c.Limits.StallTimeout, c.Limits.IdleTimeout = short, short, short, short
	}
	streams := make(chan *gatewaytest.Lines, 1)
	backend := gatewaytest.Obliging()
	backend.LogsFunc = func(ctx context.Context, _ markettypes.LeaseID, o cluster.LogOptions) (cluster.LogStream, error) {
		l := gatewaytest.NewLines(ctx, o.Follow)
		streams <- l
		return l, nil
	}
	g := gatewaytest.Start(t, backend, limits)
	v := newVisitor(t, g)
	for name, open := range map[string]func(ctx context.Context) func() (string, error){
		"JSON": v.followJSON, "gRPC": v.followGRPC,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			next := open(ctx)
			lines := <-streams
			quiet := time.NewTimer(3 * short)
			<-quiet.C
			for _, want := range []string{"one", "two"} {
				lines.Feed(cluster.LogLine{Line: want})
				if got, err := next(); got != want {
					t.Fatalf("line %q, %v, want %q", got, err, want)
				}
			}
			cancel() // the client leaves: the backend's stream must be closed
			waitFor(t, func() bool { return !lines.Feed(cluster.LogLine{}) })
		})
	}
}

func (v *visitor) followJSON(ctx context.Context) func() (string, error) {
	v.t.Helper()
	resp, err := v.http.Do(v.request("GET", "logs?follow=true", "").WithContext(ctx))
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { resp.Body.Close() })
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(nil, 1<<20)
	return func() (string, error) {
		if !sc.Scan() {
			return "", errors.Join(sc.Err(), io.EOF)
		}
		var l struct {
			Line  string
			Error *wire.Problem
		}
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return "", err
		}
		if l.Error != nil {
			return "", l.Error
		}
		return l.Line, nil
	}
}

func (v *visitor) followGRPC(ctx context.Context) func() (string, error) {
	v.t.Helper()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+v.token)
	s, err := gatewaytypes.NewGatewayClient(v.rpc).Logs(ctx, &gatewaytypes.LogsRequest{Id: v.id, Follow: true})
	if err != nil {
		v.t.Fatal(err)
	}
	return func() (string, error) {
		l, err := s.Recv()
		if err != nil {
			return "", wire.FromError(err)
		}
		return l.Line, nil
	}
}

// waitFor waits until cond is true.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain")
		}
	}
}

// A stream ends with the token that opened it.
func TestStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	v := newVisitor(t, g)
	// The provider's clock stands just before the token's end when the streams open.
	ahead.Store(int64(10*time.Minute - 5*time.Second))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for name, next := range map[string]func() (string, error){"JSON": v.followJSON(ctx), "gRPC": v.followGRPC(ctx)} {
		_, err := next()
		var p *wire.Problem
		if !errors.As(err, &p) || p.Code != wire.Unauthenticated || !strings.Contains(p.Message, "expired") {
			t.Errorf("%s: stream ended with %v", name, err)
		}
	}
}

// Stopping tells streams to come back, lets a running call finish and leaves no handler behind.
func TestStop(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var finished atomic.Bool
	backend := gatewaytest.Obliging()
	backend.LeaseStatusFunc = func(context.Context, markettypes.LeaseID) (gatewaytypes.LeaseStatusResponse, error) {
		close(entered)
		<-release
		finished.Store(true)
		return gatewaytypes.LeaseStatusResponse{}, nil
	}
	g := gatewaytest.Start(t, backend)
	v := newVisitor(t, g)
	ctx, api := v.api()
	own, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ends := map[string]func() (string, error){"JSON": v.followJSON(own), "gRPC": v.followGRPC(own)}
	answered := make(chan error, 1)
	go func() {
		_, err := api.LeaseStatus(ctx, &gatewaytypes.LeaseStatusRequest{Id: v.id})
		answered <- err
	}()
	<-entered
	stopped := make(chan struct{})
	go func() { g.Stop(); close(stopped) }()
	for name, next := range ends {
		_, err := next()
		var p *wire.Problem
		if !errors.As(err, &p) || p.Code != wire.Unavailable || !strings.Contains(p.Message, "restarting") {
			t.Errorf("%s: stream ended with %v", name, err)
		}
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the running call ended with %v", err)
	}
	<-stopped
	if !finished.Load() {
		t.Error("Run returned before the handler did")
	}
	if _, err := net.DialTimeout("tcp", g.Addr().String(), time.Second); err == nil {
		t.Error("the port is still open")
	}
}

// A client that takes nothing is cut off, and until then costs little.
func TestStalledReaderIsCutOff(t *testing.T) {
	t.Parallel()
	line := cluster.LogLine{Line: strings.Repeat("x", 32<<10)}
	var given atomic.Int64
	closed := make(chan struct{}, 2)
	backend := gatewaytest.Obliging()
	backend.LogsFunc = func(context.Context, markettypes.LeaseID, cluster.LogOptions) (cluster.LogStream, error) {
		return endless{line, &given, closed}, nil
	}
	g := gatewaytest.Start(t, backend, func(c *gateway.Config) { c.Limits.StallTimeout = 5 * short })
	for name, open := range map[string]func(v *visitor){
		"JSON": func(v *visitor) {
			resp, err := v.http.Do(v.request("GET", "logs?follow=true", ""))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { resp.Body.Close() })
		},
		"gRPC": func(v *visitor) {
			ctx, api := v.api()
			if _, err := api.Logs(ctx, &gatewaytypes.LogsRequest{Id: v.id, Follow: true}); err != nil {
				t.Fatal(err)
			}
		},
		"HTTP/1.1": func(v *visitor) {
			conn, err := tls.Dial("tcp", g.Addr().String(), func() *tls.Config {
				c := v.http.Transport.(*http.Transport).TLSClientConfig.Clone()
				c.NextProtos = []string{"http/1.1"}
				return c
			}())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			if err := v.request("GET", "logs?follow=true", "").Write(conn); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			given.Store(0)
			open(newVisitor(t, g))
			select {
			case <-closed:
			case <-time.After(patience):
				t.Fatal("a client that reads nothing is served on")
			}
			// Windows and socket buffers of both ends; measured below 8 MiB, most of it in the kernel.
			if n := given.Load() * int64(len(line.Line)); n > 32<<20 {
				t.Errorf("%d bytes were taken from the backend for a client that reads nothing", n)
			}
		})
	}
}

// endless is a stream of one line, over and over.
type endless struct {
	line   cluster.LogLine
	given  *atomic.Int64
	closed chan struct{}
}

func (e endless) Next() (cluster.LogLine, error) { e.given.Add(1); return e.line, nil }
func (e endless) Close() error                   { e.closed <- struct{}{}; return nil }

// Clients that send too slowly are dropped, whatever they leave unsent.
func TestSlowClientsAreDropped(t *testing.T) {
	t.Parallel()
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) {
		c.Limits.HeaderTimeout, c.Limits.BodyTimeout, c.Limits.IdleTimeout = short, short, short
	})
	v := newVisitor(t, g)
	cfg := v.http.Transport.(*http.Transport).TLSClientConfig.Clone()
	overTLS := func(protocol, text string) func() net.Conn {
		return func() net.Conn {
			c := cfg.Clone()
			c.NextProtos = []string{protocol}
			conn, err := tls.Dial("tcp", g.Addr().String(), c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			return conn
		}
	}
	put := fmt.Sprintf("PUT /v1/leases/%s/manifest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n", v.id)
	authorised := "Authorization: Bearer " + v.token + "\r\n"
	for name, open := range map[string]func() net.Conn{
		"TCP only": func() net.Conn {
			conn, err := net.Dial("tcp", g.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			return conn
		},
		"TLS only":                 overTLS("http/1.1", ""),
		"half a header":            overTLS("http/1.1", "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow"),
		"half a body":              overTLS("http/1.1", put+authorised+"Content-Length: 100\r\n\r\n{"),
		"half a body, no token":    overTLS("http/1.1", put+"Content-Length: 100\r\n\r\n{"),
		"chunked body, no end":     overTLS("http/1.1", put+authorised+"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"),
		"silent after an answer":   overTLS("http/1.1", "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"),
		"HTTP/2, no preface":       overTLS("h2", ""),
		"HTTP/2, no request":       overTLS("h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
		"HTTP/2, half a frame":     overTLS("h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x40\x01\x04\x00"),
		"HTTP/2, headers half way": overTLS("h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := open()
			defer conn.Close()
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
				t.Error("the connection stays open")
			}
		})
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func TestSlowGRPCBodyIsGivenUp(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) { c.Limits.BodyTimeout = short })
	v := newVisitor(t, g)
	ctx, _ := v.api()
	// A stream of the client that never sends its request.
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	for _, method := range []string{"LeaseStatus", "Logs"} {
		s, err := v.rpc.NewStream(ctx, desc, "/berth.gateway.v1.Gateway/"+method)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.RecvMsg(new(gatewaytypes.LeaseStatusResponse)); err == nil || ctx.Err() != nil {
			t.Errorf("%s: %v, want an error before the client's patience ends", method, err)
		}
	}
}

// An endless gRPC body must not fill the memory while the handler is busy.
func TestEndlessGRPCBodyIsBounded(t *testing.T) {
	t.Parallel()
	backend := gatewaytest.Obliging()
	backend.PutManifestFunc = func(ctx context.Context, _ markettypes.LeaseID, _ manifesttypes.Envelope) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	g := gatewaytest.Start(t, backend, func(c *gateway.Config) { c.Limits.CallTimeout = 5 * short })
	v := newVisitor(t, g)
	ctx, _ := v.api()
	s, err := v.rpc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/berth.gateway.v1.Gateway/PutManifest")
	if err != nil {
		t.Fatal(err)
	}
	msg := &gatewaytypes.PutManifestRequest{Id: v.id, Envelope: manifesttypes.Envelope{
		Group: make([]byte, 100<<10), Gseq: 1, Leaves: [][]byte{make([]byte, 32)}}}
	sent := 0
	for ; sent < 200; sent++ { // 20 MiB in all
		if err := s.SendMsg(msg); err != nil {
			break
		}
	}
	if err := s.RecvMsg(new(gatewaytypes.PutManifestResponse)); err == nil {
		t.Error("an endless body was answered well")
	}
	if sent == 200 {
		t.Error("all of an endless body was taken")
	}
}

func TestRates(t *testing.T) {
	reg := prometheus.NewRegistry()
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) {
		c.Metrics = reg
		c.Limits.OwnerRate = 0.001 // a burst of one, and no more in this test's life
	})
	v := newVisitor(t, g)
	if code, body := v.ask(v.request("GET", "status", "")); code != 200 {
		t.Fatalf("first request = %d %s", code, body)
	}
	if code, body := v.ask(v.request("GET", "status", "")); code != 429 || !strings.Contains(body, "too_many_requests") {
		t.Errorf("second request = %d %s", code, body)
	}
	ctx, api := v.api()
	if _, err := api.LeaseStatus(ctx, &gatewaytypes.LeaseStatusRequest{Id: v.id}); wire.FromError(err).Code != wire.TooMany {
		t.Errorf("third request, by gRPC = %v", err)
	}
	if code, _ := v.ask(v.request("GET", "/v1/status", "")); code != 200 {
		t.Errorf("a request without owner = %d, want 200", code)
	}
	if n := metric(t, reg, "berth_gateway_requests_total", "too_many_requests"); n != 2 {
		t.Errorf("refusals counted = %v, want 2", n)
	}

	g = gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) { c.Limits.AddrRate = 0.001 })
	v = newVisitor(t, g)
	v.ask(v.request("GET", "/v1/status", ""))
	if code, _ := v.ask(v.request("GET", "/v1/status", "")); code != 429 {
		t.Errorf("second request of an address = %d, want 429", code)
	}
}

func TestStreamsPerOwner(t *testing.T) {
	reg := prometheus.NewRegistry()
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) { c.Limits.StreamsPerOwner, c.Metrics = 1, reg })
	v := newVisitor(t, g)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	v.followJSON(ctx)
	if code, body := v.ask(v.request("GET", "logs", "")); code != 429 {
		t.Errorf("second stream = %d %s", code, body)
	}
	if code, _ := v.ask(v.request("GET", "status", "")); code != 200 {
		t.Errorf("a call beside the stream = %d", code)
	}
	cancel()
	waitFor(t, func() bool { return metric(t, reg, "berth_gateway_streams", "") == 0 })
	if code, body := v.ask(v.request("GET", "logs", "")); code != 200 {
		t.Errorf("a stream after the first has ended = %d %s", code, body)
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	reg := prometheus.NewRegistry()
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) {
		c.Limits.ConnsPerAddr, c.Metrics = 3, reg
		c.Limits.HeaderTimeout = patience
	})
	var held []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	waitFor(t, func() bool { return metric(t, reg, "berth_gateway_connections", "") == 3 })
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a connection beyond the limit is served")
	}
	if n := metric(t, reg, "berth_gateway_connections_refused_total", ""); n != 1 {
		t.Errorf("refused connections = %v, want 1", n)
	}
	// Another address is not held up by the first one's connections.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	if other, err := d.Dial("tcp", g.Addr().String()); err == nil { // 127.0.0.9 exists on Linux only
		conn := tls.Client(other, &tls.Config{InsecureSkipVerify: true})
		defer conn.Close()
		if err := conn.Handshake(); err != nil {
			t.Errorf("handshake from another address: %v", err)
		}
	}
	held[0].Close()
	v := newVisitor(t, g)
	waitFor(t, func() bool { return metric(t, reg, "berth_gateway_connections", "") < 4 })
	if code := v.json("Status", v.id, nil); code != 200 {
		t.Errorf("after a connection was freed, Status = %d", code)
	}
}

func TestTLS(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	cert := gatewaytest.ClientCert(t)
	chain := cert
	chain.Certificate = append(chain.Certificate, gatewaytest.ClientCert(t).Certificate...)
	for name, tc := range map[string]struct {
		cfg *tls.Config
		ok  bool
	}{
		"TLS 1.3":                {&tls.Config{}, true},
		"with a client key":      {&tls.Config{Certificates: []tls.Certificate{cert}}, true},
		"TLS 1.2":                {&tls.Config{MaxVersion: tls.VersionTLS12}, false},
		"with a chain":           {&tls.Config{Certificates: []tls.Certificate{chain}}, false},
		"an unknown protocol":    {&tls.Config{NextProtos: []string{"smtp"}}, false},
		"without naming any one": {&tls.Config{NextProtos: nil}, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tc.cfg.Clone()
			cfg.InsecureSkipVerify = true
			conn, err := tls.Dial("tcp", g.Addr().String(), cfg)
			if err == nil {
				defer conn.Close()
				// In TLS 1.3 the server's refusal of the client's certificate comes after the handshake.
				if _, err = io.WriteString(conn, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil {
					_, err = conn.Read(make([]byte, 1))
				}
			}
			if (err == nil) != tc.ok {
				t.Errorf("got %v, want ok %v", err, tc.ok)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	cert, _, err := gateway.LoadOrCreateKey(t.TempDir() + "/tls.key")
	if err != nil {
		t.Fatal(err)
	}
	good := gateway.Config{Listen: "127.0.0.1:0", Provider: gatewaytest.NewAccount("p").Address, ChainID: "c", TLS: cert}
	for name, change := range map[string]func(*gateway.Config){
		"provider missing":      func(c *gateway.Config) { c.Provider = "" },
		"provider of a chain":   func(c *gateway.Config) { c.Provider = "cosmos1qypqxpq9qcrsszgszyfpx9q4zct3sxfqwyxe6k" },
		"chain missing":         func(c *gateway.Config) { c.ChainID = "" },
		"certificate missing":   func(c *gateway.Config) { c.TLS = tls.Certificate{} },
		"address not to be had": func(c *gateway.Config) { c.Listen = "127.0.0.1:x" },
		"a limit of zero": func(c *gateway.Config) {
			c.Limits = gateway.DefaultLimits()
			c.Limits.StallTimeout = 0
		},
	} {
		c := good
		change(&c)
		if s, err := gateway.New(c, gatewaytest.Obliging()); err == nil {
			s.Close()
			t.Errorf("%s: New accepts it", name)
		}
	}
	s, err := gateway.New(good, gatewaytest.Obliging())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// Long lines arrive whole, in pieces that are valid UTF-8.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("ü€x", 50_000)
	g := gatewaytest.Start(t, gatewaytest.Obliging(cluster.LogLine{Line: long}, cluster.LogLine{Line: "end"}))
	v := newVisitor(t, g)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got strings.Builder
	next := v.followGRPC(ctx)
	for {
		l, err := next()
		if err != nil {
			t.Fatal(err)
		}
		if l == "end" {
			break
		}
		if len(l) > 64<<10 {
			t.Errorf("a piece has %d bytes", len(l))
		}
		got.WriteString(l)
	}
	if got.String() != long {
		t.Error("a long line did not arrive whole")
	}
}
