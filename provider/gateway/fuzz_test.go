package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"

	"berth.dev/berth/provider/gateway/internal/wire"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// talkers are the routes whose clients send messages.
func talkers() (out []*route) {
	for _, rt := range (&Server{}).routes() {
		if rt.talk {
			out = append(out, rt)
		}
	}
	return out
}

// wireConn is a connection whose client has sent bytes, and leaves.
type wireConn struct {
	net.Conn // nothing else of it is used
	in       io.Reader
	out      int
}

func (c *wireConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *wireConn) Write(p []byte) (int, error)      { c.out += len(p); return len(p), nil }
func (c *wireConn) Close() error                     { return nil }
func (c *wireConn) SetDeadline(time.Time) error      { return nil }
func (c *wireConn) SetReadDeadline(time.Time) error  { return nil }
func (c *wireConn) SetWriteDeadline(time.Time) error { return nil }
func (c *wireConn) Header() http.Header              { return http.Header{} }
func (c *wireConn) WriteHeader(int)                  {}
func (c *wireConn) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// clientFrame is a whole frame as a client sends it, masked by zeros.
func clientFrame(first byte, data string) string {
	head := []byte{first, 0x80 | byte(len(data)), 0, 0, 0, 0}
	if len(data) > 125 {
		head = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(len(data)))
		head = append(head, 0, 0, 0, 0)
	}
	return string(head) + data
}

// FuzzSocket gives bytes to a WebSocket as a client that was let in sends them. Whatever they are, reading ends, no message
// is larger than allowed, and what was read can be written again and read as the same.
func FuzzSocket(f *testing.F) {
	start, err := proto.Marshal(&gatewaytypes.ExecRequest{Start: &gatewaytypes.ExecStart{Service: "web", Command: []string{"cat"}, Stdin: true}, Stdin: []byte("x")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(true, false, []byte(clientFrame(0x82, string(start))+clientFrame(0x89, "ping")+clientFrame(0x88, "\x03\xe8")))
	f.Add(false, false, []byte(clientFrame(0x81, `{"start":{"service":"web","command":["sh"],"terminal":true},"terminal_size":{"width":80,"height":24}}`)))
	f.Add(false, true, []byte(clientFrame(0x01, `{"start":{"service"`)+clientFrame(0x80, `:"web","port":80},"data":"AAAA"}`)))
	f.Add(false, true, []byte("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Add(true, true, []byte(clientFrame(0xc2, "\x00")+clientFrame(0x82, "")))
	routes := talkers()
	limits := DefaultLimits()
	f.Fuzz(func(t *testing.T, binary, forward bool, data []byte) {
		rt := routes[slices.IndexFunc(routes, func(rt *route) bool { return (rt.method == "PortForward") == forward })]
		conn := &wireConn{in: bytes.NewReader(data)}
		protocol := socketJSON
		if binary {
			protocol = socketProto
		}
		r := &http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Host: "gateway", Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Protocol": {protocol},
		}}
		dead, kill := context.WithCancel(context.Background())
		defer kill()
		k := &socket{s: &Server{cfg: Config{Limits: limits}, dead: dead}, w: newStallWriter(conn, time.Minute), r: r, rt: rt,
			frames: make(chan frame), over: make(chan struct{}), read: make(chan struct{})}
		k.ctx, k.cancel = context.WithCancelCause(context.Background())
		defer k.cancel(nil)
		if err := k.upgrade(); err != nil {
			t.Fatal(err)
		}
		defer k.unlink()
		for {
			m := rt.request(markettypes.LeaseID{})
			if err := k.next(m); err != nil {
				if k.ctx.Err() != nil {
					break
				}
				if p := wire.FromError(err); p.Code != wire.Invalid {
					t.Fatalf("a message that cannot be read is %v", err)
				}
				continue
			}
			again(t, rt, m)
		}
		close(k.over)
		<-k.read
		if conn.out > 8*len(data)+4096 {
			t.Fatalf("%d bytes were answered with %d", len(data), conn.out)
		}
	})
}

// again writes a message that was read in both forms, and reads it as the same.
func again(t *testing.T, rt *route, m proto.Message) {
	t.Helper()
	switch x := m.(type) {
	case *gatewaytypes.ExecRequest:
		if _, err := execOptions(x); err == nil && (x.Start == nil || len(x.Start.Command) == 0) {
			t.Fatalf("%v was taken for a program", x)
		}
	case *gatewaytypes.PortForwardRequest:
		if o, err := forwardOptions(x); err == nil && (o.Port == 0 || o.Port > 65535) {
			t.Fatalf("%v was taken for a port", x)
		}
	}
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > maxTalk {
		t.Fatalf("a message of %d bytes came through", len(data))
	}
	if reflected, ok := m.(leaseRequest); ok && reflected.GetId() != (markettypes.LeaseID{}) {
		return // JSON names no lease but in the path
	}
	text, err := marshaler.MarshalToString(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []frame{{true, data}, {false, []byte(withoutID(text))}} {
		other := rt.request(markettypes.LeaseID{})
		if err := decodeFrame(f, f.binary, rt, other); err != nil {
			t.Fatalf("%q cannot be read again: %v", f.data, err)
		}
		if back, err := proto.Marshal(other); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%q became another message: %v", f.data, err)
		}
	}
}

// withoutID leaves the lease out of a message in JSON.
func withoutID(text string) string {
	empty, err := marshaler.MarshalToString(&markettypes.LeaseID{})
	if err != nil {
		panic(err)
	}
	return strings.Replace(text, `"id":`+empty+`,`, "", 1)
}

// stream is a stream of gRPC of which the gate takes messages.
type stream struct{ grpc.ServerStream }

func (stream) RecvMsg(any) error { return nil }

// FuzzGate gives a body to the gate and reads it as gRPC does, in pieces, taking a message now and then. What passes is what
// came, up to the first message that may not, and never more than the window ahead of what was taken.
func FuzzGate(f *testing.F) {
	one := append([]byte{0, 0, 0, 0, 3}, "abc"...)
	f.Add(slices.Concat(one, one), uint16(4), false)
	f.Add(append(bytes.Clone(one), 1, 0, 0, 0, 0), uint16(1), true)
	f.Add(slices.Concat(one, []byte{0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}), uint16(9000), false)
	f.Add([]byte{0, 0, 1, 0xff, 0xfb}, uint16(3), true)
	f.Fuzz(func(t *testing.T, body []byte, piece uint16, slow bool) {
		whole, wrong := reference(body)
		var in io.Reader = bytes.NewReader(body)
		if slow {
			in = iotest.OneByteReader(in)
		}
		g := newGate(io.NopCloser(in))
		rt := &route{method: "Exec"}
		var got []byte
		p := make([]byte, max(1, int(piece)))
		for {
			if g.waiting >= talkWindow { // gRPC's handler takes what there is
				if err := g.receive(rt, stream{}, &gatewaytypes.ExecRequest{}); err != nil {
					t.Fatalf("receive: %v", err)
				}
				continue
			}
			n, err := g.Read(p)
			got = append(got, p[:n]...)
			if g.waiting > talkWindow {
				t.Fatalf("%d bytes are waiting, more than the window of %d", g.waiting, talkWindow)
			}
			if err != nil {
				if wrong != "" && !errors.Is(err, io.EOF) {
					t.Fatalf("a message that may not come ends the body with %v", err)
				}
				break
			}
			if n == 0 {
				t.Fatal("nothing was read, and no error")
			}
		}
		if !bytes.HasPrefix(body, got) || len(got) < len(whole) {
			t.Fatalf("%d bytes passed of a body with %d bytes of whole messages", len(got), len(whole))
		}
		switch {
		case wrong == "" && g.problem != nil:
			t.Fatalf("a good body is refused: %v", g.problem)
		case wrong != "" && (g.problem == nil || g.problem.Code != wrong || len(got) != len(whole)):
			t.Fatalf("%d of %d bytes passed before a message that may not: %v, want %s", len(got), len(whole), g.problem, wrong)
		}
		if n, err := g.Read(p); n != 0 || err == nil && len(p) > 0 {
			t.Fatalf("after the end: %d bytes, %v", n, err)
		}
	})
}

// reference is the part of a body that holds whole messages, up to one that may not come and why.
func reference(body []byte) (whole []byte, wrong wire.Kind) {
	at := 0
	for len(body)-at >= frameLen {
		size := int(binary.BigEndian.Uint32(body[at+1 : at+frameLen]))
		switch {
		case body[at] != 0:
			return body[:at], wire.UnsupportedMedia
		case size > maxTalk-frameLen:
			return body[:at], wire.TooLarge
		case len(body)-at-frameLen < size:
			return body[:at], ""
		}
		at += frameLen + size
	}
	return body[:at], ""
}

// FuzzPath reads the path of a request. A lease that is found in one has no other path.
func FuzzPath(f *testing.F) {
	r, err := newRouter((&Server{}).routes(), service)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("GET", "/v1/leases/berth1a/7/1/1/berth1b/logs")
	f.Add("PUT", "/v1/leases//07/1/1/../manifest")
	f.Add("POST", "/v1/wouldbid")
	f.Fuzz(func(t *testing.T, verb, path string) {
		rt, params, allow := r.findJSON(verb, path)
		if rt == nil {
			if slices.Contains(allow, verb) {
				t.Fatalf("%s %s has no route, and is allowed", verb, path)
			}
			return
		}
		id, err := leaseOf(params)
		if err != nil || len(params) == 0 {
			return
		}
		if want := "/v1/leases/" + id.String() + "/"; !strings.HasPrefix(path, want) || strings.Contains(path[len(want):], "/") {
			t.Fatalf("path %q is that of lease %s", path, id)
		}
	})
}
