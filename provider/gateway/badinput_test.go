package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"github.com/gorilla/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	"berth.dev/berth/provider/gateway/internal/wire"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// goodRequests is a good message of each method, about a lease.
func goodRequests(id markettypes.LeaseID) map[string]proto.Message {
	return map[string]proto.Message{
		"Status":      &gatewaytypes.StatusRequest{},
		"WouldBid":    wouldBid(),
		"LeaseStatus": &gatewaytypes.LeaseStatusRequest{Id: id},
		"GetManifest": &gatewaytypes.GetManifestRequest{Id: id},
		"PutManifest": &gatewaytypes.PutManifestRequest{Id: id, Envelope: manifesttypes.Envelope{Group: []byte("group"), Gseq: 1, Leaves: [][]byte{make([]byte, 32)}}},
		"Logs":        &gatewaytypes.LogsRequest{Id: id},
		"Events":      &gatewaytypes.EventsRequest{Id: id},
		"Exec":        execStart(id),
		"PortForward": &gatewaytypes.PortForwardRequest{Id: id, Start: &gatewaytypes.PortForwardStart{Service: "web", Port: 80}},
		"Restart":     &gatewaytypes.RestartRequest{Id: id, Service: "web"},
	}
}

// raw sends bytes as the message of a method by gRPC, and returns the kind of the answer; "" is a good one.
func (v *visitor) raw(method string, msg []byte) wire.Kind {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+v.token), patience)
	defer cancel()
	s, err := v.rpc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/berth.gateway.v1.Gateway/"+method, grpc.ForceCodec(rawCodec{}))
	if err != nil {
		v.t.Fatal(err)
	}
	_ = s.SendMsg(msg) // the answer tells
	_ = s.CloseSend()  // likewise
	err = s.RecvMsg(new([]byte))
	if err == nil || errors.Is(err, io.EOF) {
		return ""
	}
	return wire.FromError(err).Code
}

func encoded(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := wire.Codec{}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBadMessagesByMethod sends by gRPC, to every method, what none may take.
func TestBadMessagesByMethod(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	v := newVisitor(t, g)
	stranger := v.id
	stranger.Owner = gatewaytest.NewAccount("stranger").Address
	garbled := v.id
	garbled.Owner = "berth1\xff\xfe"
	own, others, bad := goodRequests(v.id), goodRequests(stranger), goodRequests(garbled)
	bad["WouldBid"].(*gatewaytypes.WouldBidRequest).Groups[0].Name = "\xff"
	if len(own) != len(jsonCalls) {
		t.Fatalf("%d methods have a good request, of %d", len(own), len(jsonCalls))
	}
	for method, m := range own {
		good := encoded(t, m)
		for name, tc := range map[string]struct {
			msg  []byte
			want wire.Kind
		}{
			"good":                 {good, ""},
			"larger than 1 MiB":    {make([]byte, 1<<20+1), wire.TooLarge},
			"an unknown field":     {append(bytes.Clone(good), 0xf8, 0x07, 0x01), wire.Invalid},
			"bytes that are none":  {[]byte{0xff, 0xff, 0xff}, wire.Invalid},
			"someone else's lease": {encoded(t, others[method]), wire.Forbidden},
			"bad UTF-8":            {encoded(t, bad[method]), wire.Invalid},
		} {
			public := method == "Status" || method == "WouldBid"
			if public && name == "someone else's lease" || method == "Status" && name == "bad UTF-8" {
				continue // it names no lease, or has no text
			}
			if got := v.raw(method, tc.msg); got != tc.want {
				t.Errorf("%s: %s by gRPC = %q, want %q", method, name, got, tc.want)
			}
		}
	}
}

// TestBadBodiesByRoute sends by HTTP, to every route, what none may take.
func TestBadBodiesByRoute(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	v := newVisitor(t, g)
	huge := `{"x":"` + strings.Repeat("A", 1<<20) + `"}`
	first := map[string]string{"PutManifest": "gseq", "WouldBid": "owner", "Restart": "service"}
	for method, call := range jsonCalls {
		path := call.path
		if path == "" {
			path = "/v1/" + strings.ToLower(method)
		}
		check := func(name, body string, want int, change ...func(*http.Request)) {
			t.Helper()
			req := v.request(call.verb, path, body)
			for _, f := range change {
				f(req)
			}
			if code, text := v.ask(req); code != want || code >= 400 && !strings.Contains(text, `"code"`) {
				t.Errorf("%s: %s by JSON = %d %.200s, want %d", method, name, code, text, want)
			}
		}
		key, takes := first[method]
		switch {
		case takes:
			check("good", call.body, 200)
			check("a body over 1 MiB", huge, 413)
			check("a body over 1 MiB of unknown length", huge, 413, unannounced)
			check("bad UTF-8", "{\""+key+"\":\"\xff\"}", 400)
			check("a key twice", `{"`+key+`":"1","`+key+`":"1"}`, 400)
			check("an unknown key", `{"`+key+`":"1","zzz":1}`, 400)
			check("a key in capitals", `{"`+strings.ToUpper(key)+`":"1"}`, 400)
			check("more after the body", call.body+" {}", 400)
		case call.stream && (method == "Exec" || method == "PortForward"):
			// They are served over WebSocket, by the tests of which.
		default:
			check("a body over 1 MiB", huge, 413)
			check("a body", "{}", 400)
		}
	}
}

// TestUnknownLeases asks every route and method about a lease that the provider does not have, and every route about one of
// somebody else.
func TestUnknownLeases(t *testing.T) {
	g := gatewaytest.Start(t, &gatewaytest.Backend{}) // it knows nothing
	v := newVisitor(t, g)
	stranger := v.id
	stranger.Owner = gatewaytest.NewAccount("stranger").Address
	for method, m := range goodRequests(v.id) {
		if method == "Status" || method == "WouldBid" {
			continue
		}
		if got := v.raw(method, encoded(t, m)); got != wire.NotFound {
			t.Errorf("%s of an unknown lease by gRPC = %q, want %q", method, got, wire.NotFound)
		}
		call := jsonCalls[method]
		theirs := "/v1/leases/" + stranger.String() + "/" + call.path
		if code, text := v.ask(v.request(call.verb, theirs, call.body)); code != 403 || !strings.Contains(text, `"code"`) {
			t.Errorf("%s of someone else's lease by JSON = %d %s, want 403", method, code, text)
		}
		if first := firstMessages[method]; first != "" {
			conn := v.ws(call.path)
			if err := conn.WriteMessage(websocket.TextMessage, []byte(first)); err != nil {
				t.Fatal(err)
			}
			if messages, code := all(t, conn); code != 4404 {
				t.Errorf("%s of an unknown lease by WebSocket: %s, closed with %d, want 4404", method, messages, code)
			}
		} else if code, text := v.ask(v.request(call.verb, call.path, call.body)); code != 404 || !strings.Contains(text, "not_found") {
			t.Errorf("%s of an unknown lease by JSON = %d %s, want 404", method, code, text)
		}
		if call.stream {
			if _, resp := v.open(theirs, http.Header{"Authorization": {"Bearer " + v.token}}); resp.StatusCode != 403 {
				t.Errorf("%s of someone else's lease by WebSocket = %d, want 403", method, resp.StatusCode)
			}
		}
	}
}

// TestLargeHeaders sends headers of more than 16 KiB over HTTP/2, as a JSON and as a gRPC request, and with a WebSocket's.
func TestLargeHeaders(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	v := newVisitor(t, g)
	const kib = 17
	for media, path := range map[string]string{"application/json": "/v1/status", "application/grpc": "/berth.gateway.v1.Gateway/Status"} {
		if code := v.headers(path, media, kib); code != "431" {
			t.Errorf("%s with headers of 17 KiB = %s, want 431", media, code)
		}
		if code := v.headers(path, media, 8); code != "200" && code != "405" {
			t.Errorf("%s with headers of 8 KiB = %s, want an answer of the route", media, code)
		}
	}
	h := http.Header{"Authorization": {"Bearer " + v.token}, "X-Padding": {strings.Repeat("x", kib<<10)}}
	if _, resp := v.open("/v1/leases/"+v.id.String()+"/logs", h); resp.StatusCode != 431 {
		t.Errorf("a WebSocket with headers of 17 KiB = %d, want 431", resp.StatusCode)
	}
}

// headers is the status of a request over HTTP/2 that no client library sends, as the server says how much it takes.
func (v *visitor) headers(path, media string, kib int) string {
	v.t.Helper()
	conn, err := tls.Dial("tcp", v.g.Addr().String(), v.tls)
	if err != nil {
		v.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		v.t.Fatal(err)
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "gateway"}, {":path", path}, {"content-type", media}} {
		if err := enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			v.t.Fatal(err)
		}
	}
	for i := range kib {
		if err := enc.WriteField(hpack.HeaderField{Name: fmt.Sprint("x-padding-", i), Value: strings.Repeat("x", 1<<10)}); err != nil {
			v.t.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		v.t.Fatal(err)
	}
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(); err != nil {
		v.t.Fatal(err)
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		v.t.Fatal(err)
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return fmt.Sprint(err)
		}
		if m, ok := frame.(*http2.MetaHeadersFrame); ok {
			return m.PseudoValue("status")
		}
	}
}
