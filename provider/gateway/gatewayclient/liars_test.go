package gatewayclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway/gatewayclient"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// liar is a server that holds a provider's key, or not, and does what it likes with connections.
type liar struct {
	cert tls.Certificate
	pin  []byte
}

func newLiar(t testing.TB) liar {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pin := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return liar{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pin: pin[:]}
}

// listen serves connections until the test ends, when those that are left are closed.
func listen(t testing.TB, serve func(net.Conn)) (uri string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { c.Close() })
			go serve(c)
		}
	}()
	return "https://" + l.Addr().String()
}

// hold keeps a connection and says nothing.
func hold(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// secured does something with a connection after a good handshake.
func (l liar) secured(serve func(net.Conn), protocols ...string) func(net.Conn) {
	return func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{l.cert}, MinVersion: tls.VersionTLS13, NextProtos: protocols})
		if s.Handshake() == nil {
			serve(s)
		}
		c.Close()
	}
}

// The frames of HTTP/2 that liars use.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway, frameContinuation = 0, 1, 3, 4, 6, 7, 9

	endStream, endHeaders, ack = 1, 4, 1
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

// fields are headers without compression.
func fields(pairs ...string) (out []byte) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, 0, byte(len(pairs[i])))
		out = append(append(out, pairs[i]...), byte(len(pairs[i+1])))
		out = append(out, pairs[i+1]...)
	}
	return out
}

// speaks is a server of HTTP/2 that answers pings, and does something with each request.
func (l liar) speaks(answer func(c net.Conn, stream uint32)) func(net.Conn) {
	return l.secured(func(c net.Conn) {
		if _, err := io.ReadFull(c, make([]byte, 24)); err != nil {
			return
		}
		_, _ = c.Write(frame(frameSettings, 0, 0, nil))
		for head := make([]byte, 9); ; {
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
			if _, err := io.ReadFull(c, payload); err != nil {
				return
			}
			switch kind, flags := head[3], head[4]; {
			case kind == frameSettings && flags&ack == 0:
				_, _ = c.Write(frame(frameSettings, ack, 0, nil))
			case kind == framePing && flags&ack == 0:
				_, _ = c.Write(frame(framePing, ack, 0, payload))
			case kind == frameHeaders:
				go answer(c, binary.BigEndian.Uint32(head[5:]))
			}
		}
	}, "h2")
}

// page answers every request with an HTTP answer.
func (l liar) page(status, contentType, body string) func(net.Conn) {
	pairs := []string{":status", status}
	if contentType != "" {
		pairs = append(pairs, "content-type", contentType)
	}
	return l.speaks(func(c net.Conn, stream uint32) {
		_, _ = c.Write(frame(frameHeaders, endHeaders, stream, fields(pairs...)))
		_, _ = c.Write(frame(frameData, endStream, stream, []byte(body)))
	})
}

// accepting begins a gRPC answer as a gateway does, goes on with data, and ends well if end is set.
func (l liar) accepting(data []byte, end bool, more ...string) func(net.Conn) {
	return l.speaks(func(c net.Conn, stream uint32) {
		_, _ = c.Write(frame(frameHeaders, endHeaders, stream, fields(append([]string{
			":status", "200", "content-type", "application/grpc", "berth-stream", "1",
		}, more...)...)))
		if len(data) > 0 {
			_, _ = c.Write(frame(frameData, 0, stream, data))
		}
		if end {
			_, _ = c.Write(frame(frameHeaders, endHeaders|endStream, stream, fields("grpc-status", "0")))
		}
	})
}

// message is a gRPC message with a length that may be a lie.
func message(compressed byte, length uint32, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{compressed}, length), body...)
}

func endless(c net.Conn, piece []byte) {
	for {
		if _, err := c.Write(piece); err != nil {
			return
		}
	}
}

// lie is one kind of server, and what is to come of it.
type lie struct {
	serve func(net.Conn)
	// hangs is set for servers that never end anything; others are given all the time there is.
	hangs bool
	want  []error
	// says is what the message says of it; empty where it depends on the call. Of one that hangs it says for how long: how
	// far it came in that time is the machine's matter.
	says string
}

func lies(l, stranger liar) map[string]lie {
	away, faulty := []error{gatewayclient.ErrUnavailable}, []error{gatewayclient.ErrFaulty}
	either := []error{gatewayclient.ErrUnavailable, gatewayclient.ErrFaulty}
	return map[string]lie{
		// The connection.
		"hangs up":                {func(c net.Conn) { c.Close() }, false, away, ""},
		"accepts and is silent":   {hold, true, away, "150ms"},
		"garbage for TLS":         {func(c net.Conn) { endless(c, []byte("\x16\x03\x01garbage")) }, false, away, ""},
		"HTTP without TLS":        {func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); hold(c) }, false, away, "does not speak TLS"},
		"a refused upgrade":       {func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 426 Upgrade Required\r\n\r\n"); hold(c) }, false, away, "does not speak TLS"},
		"somebody else's key":     {stranger.speaks(func(net.Conn, uint32) {}), false, []error{gatewayclient.ErrWrongKey}, "is not the one that provider"},
		"handshakes and hangs up": {l.secured(func(net.Conn) {}, "h2"), false, away, ""},
		// HTTP.
		"handshakes and is silent":       {l.secured(hold, "h2"), true, away, "150ms"},
		"HTTP/1.1 alone":                 {l.secured(hold, "http/1.1"), false, away, "does not speak HTTP/2"},
		"no protocol at all":             {l.secured(hold), false, away, "does not speak HTTP/2"},
		"an upgrade to trash":            {l.secured(func(c net.Conn) { endless(c, []byte("HTTP/1.1 101 Switching Protocols\r\n\r\n\xff\xff")) }, "h2"), false, away, ""},
		"garbage for HTTP/2":             {l.secured(func(c net.Conn) { endless(c, []byte("garbage")) }, "h2"), false, away, ""},
		"settings and silence":           {l.speaks(func(net.Conn, uint32) {}), true, away, "150ms"},
		"a page":                         {l.page("200", "text/html", "<html>"), false, faulty, "no gateway"},
		"JSON that is none":              {l.page("200", "application/json", `{"services": [`), false, faulty, "no gateway"},
		"no content type":                {l.page("200", "", "x"), false, faulty, "no gateway"},
		"a page that is not there":       {l.page("404", "text/plain", "not found"), false, faulty, "no gateway"},
		"a proxy that asks for a login":  {l.page("401", "text/html", "login"), false, faulty, "no gateway"},
		"a proxy before nothing":         {l.page("502", "text/html", "bad gateway"), false, away, "no gateway"},
		"a status that is none":          {l.page("abc", "application/grpc", ""), false, either, ""},
		"headers that break off":         {l.speaks(func(c net.Conn, s uint32) { _, _ = c.Write(frame(frameHeaders, 0, s, fields(":status", "200"))) }), true, away, "150ms"},
		"headers without end":            {l.speaks(func(c net.Conn, s uint32) { endlessHeaders(c, s) }), false, either, ""},
		"a stream that is reset":         {l.speaks(func(c net.Conn, s uint32) { _, _ = c.Write(frame(frameReset, 0, s, []byte{0, 0, 0, 2})) }), false, either, ""},
		"a connection that is going":     {l.speaks(func(c net.Conn, _ uint32) { _, _ = c.Write(frame(frameGoAway, 0, 0, make([]byte, 8))) }), true, away, ""},
		"a frame that is larger than it": {l.speaks(func(c net.Conn, s uint32) { _, _ = c.Write([]byte{0xff, 0xff, 0xff, frameData, 0, 0, 0, 0, byte(s)}) }), false, either, ""},
		// gRPC.
		"accepts a stream and is silent": {l.accepting(nil, false), true, away, "150ms"},
		"half a head":                    {l.accepting([]byte{0, 0}, false), true, away, "150ms"},
		"half a message":                 {l.accepting(message(0, 1000, "half"), false), true, away, "150ms"},
		"a message that is garbage":      {l.accepting(message(0, 4, "\xff\xff\xff\xff"), true), false, faulty, "makes no sense"},
		"a message that is too large":    {l.accepting(message(0, 1<<31, "x"), false), false, faulty, "more than a gateway may send"},
		"a message without end":          {l.speaks(func(c net.Conn, s uint32) { endlessBody(c, s) }), false, faulty, "more than a gateway may send"},
		"a form of compression":          {l.accepting(message(1, 4, "\x1f\x8b\x08\x00"), true, "grpc-encoding", "trash"), false, faulty, ""},
		"an end without an answer":       {l.speaks(onlyTrailer("0")), false, faulty, ""},
		"a code that does not exist":     {l.speaks(onlyTrailer("999")), false, faulty, ""},
		"a code that is none":            {l.speaks(onlyTrailer("xyz")), false, faulty, ""},
	}
}

func onlyTrailer(status string) func(net.Conn, uint32) {
	return func(c net.Conn, s uint32) {
		_, _ = c.Write(frame(frameHeaders, endHeaders|endStream, s, fields(":status", "200", "content-type", "application/grpc", "grpc-status", status)))
	}
}

func endlessHeaders(c net.Conn, s uint32) {
	_, _ = c.Write(frame(frameHeaders, 0, s, fields(":status", "200", "content-type", "application/grpc")))
	var piece []byte
	for range 100 {
		piece = append(piece, fields("x-filler", strings.Repeat("x", 100))...)
	}
	endless(c, frame(frameContinuation, 0, s, piece))
}

func endlessBody(c net.Conn, s uint32) {
	_, _ = c.Write(frame(frameHeaders, endHeaders, s, fields(":status", "200", "content-type", "application/grpc", "berth-stream", "1")))
	_, _ = c.Write(frame(frameData, 0, s, message(0, 1<<32-1, "")))
	endless(c, frame(frameData, 0, s, make([]byte, 16<<10)))
}

// asks are all that a client can ask, each until the end of its answer.
var asks = map[string]func(context.Context, *gatewayclient.Client) error{
	"Status": func(ctx context.Context, c *gatewayclient.Client) error { _, err := c.Status(ctx); return err },
	"WouldBid": func(ctx context.Context, c *gatewayclient.Client) error {
		_, err := c.WouldBid(ctx, &gatewaytypes.WouldBidRequest{Groups: make([]deploymenttypes.GroupSpec, 1)})
		return err
	},
	"PutManifest": func(ctx context.Context, c *gatewayclient.Client) error {
		_, err := c.PutManifest(ctx, aLease, manifesttypes.Envelope{Group: []byte("g"), Gseq: 1})
		return err
	},
	"GetManifest": func(ctx context.Context, c *gatewayclient.Client) error {
		_, err := c.GetManifest(ctx, aLease)
		return err
	},
	"LeaseStatus": func(ctx context.Context, c *gatewayclient.Client) error {
		_, err := c.LeaseStatus(ctx, aLease)
		return err
	},
	"Restart": func(ctx context.Context, c *gatewayclient.Client) error { return c.Restart(ctx, aLease, "web") },
	"Logs": func(ctx context.Context, c *gatewayclient.Client) error {
		s, err := c.Logs(ctx, aLease, gatewayclient.LogOptions{})
		for err == nil {
			_, err = s.Next()
		}
		return err
	},
	"Events": func(ctx context.Context, c *gatewayclient.Client) error {
		s, err := c.Events(ctx, aLease, gatewayclient.EventOptions{})
		for err == nil {
			_, err = s.Next()
		}
		return err
	},
	"Exec": func(ctx context.Context, c *gatewayclient.Client) error {
		_, err := c.Exec(ctx, aLease, cluster.ExecOptions{Target: cluster.Target{Service: "web"}, Command: []string{"sh"}},
			cluster.Streams{Stdin: strings.NewReader("x"), Stdout: io.Discard, Stderr: io.Discard})
		return err
	},
	"Forward": func(ctx context.Context, c *gatewayclient.Client) error {
		conn, err := c.Forward(ctx, aLease, cluster.ForwardOptions{Target: cluster.Target{Service: "web"}, Port: 80})
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = io.Copy(io.Discard, conn)
		return err
	},
}

var aLease = markettypes.LeaseID{Owner: owner.Address, Dseq: 1, Gseq: 1, Oseq: 1, Provider: owner.Address}

// TestProvidersThatLieOrHang: whatever a server does, each question ends with an error of a known kind that says what is
// wrong and what to do. Where the server hangs, the client's own time ends it, which is short here; where it does not, no
// time plays a role.
func TestProvidersThatLieOrHang(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	for name, lie := range lies(l, newLiar(t)) {
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) {
			t.Parallel()
			p := gatewayclient.Provider{HostURI: listen(t, lie.serve), Pins: [][]byte{l.pin}, Address: owner.Address}
			for ask, do := range asks {
				t.Run(ask, func(t *testing.T) {
					t.Parallel()
					waits := gatewayclient.Waits{Pause: time.Millisecond, Outage: time.Millisecond}
					if lie.hangs {
						const short = 150 * time.Millisecond
						waits = gatewayclient.Waits{Call: short, Put: short, Pause: time.Millisecond, Quiet: short, Session: short, Outage: short}
					}
					err := do(wait(t), dial(t, p, owner, gatewayclient.Options{Waits: waits}))
					checkLie(t, lie, err)
				})
			}
		})
	}
}

func checkLie(t *testing.T, lie lie, err error) {
	t.Helper()
	var e *gatewayclient.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v, want an error of the client", err)
	}
	ok := false
	for _, kind := range lie.want {
		ok = ok || errors.Is(err, kind)
	}
	if !ok || !strings.Contains(e.Message, lie.says) {
		t.Errorf("%v (%v), want one of %v and %q", err, errors.Unwrap(err), lie.want, lie.says)
	}
	if e.Message == "" || e.Next == "" || len(e.Message) > 1100 || strings.Contains(e.Message, "desc =") {
		t.Errorf("message %q, advice %q", e.Message, e.Next)
	}
}

// TestNobodyIsThere: an address where nobody listens is told of at once.
func TestNobodyIsThere(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	c := dial(t, gatewayclient.Provider{HostURI: "https://" + gone.Addr().String(), Pins: [][]byte{make([]byte, 32)}}, owner,
		gatewayclient.Options{Waits: gatewayclient.Waits{Pause: time.Millisecond}})
	for ask, do := range asks {
		t.Run(ask, func(t *testing.T) {
			checkLie(t, lie{want: []error{gatewayclient.ErrUnavailable}, says: "connection refused"}, do(wait(t), c))
		})
	}
}

// TestWhatALiarSaysIsBounded: a provider's long message does not fill the screen.
func TestWhatALiarSaysIsBounded(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	serve := l.page("500", "text/html", strings.Repeat("trash ", 2000))
	c := dial(t, gatewayclient.Provider{HostURI: listen(t, serve), Pins: [][]byte{l.pin}}, owner)
	_, err := c.Status(wait(t))
	checkLie(t, lie{want: []error{gatewayclient.ErrFaulty}, says: "no gateway"}, err)
}

// TestCallersDeadline: what a caller gave too little time for is unavailable, and tells that it was the caller's time.
func TestCallersDeadline(t *testing.T) {
	t.Parallel()
	c := dial(t, gatewayclient.Provider{HostURI: listen(t, hold), Pins: [][]byte{make([]byte, 32)}}, owner)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Status(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not wrap the caller's deadline", err)
	}
	checkLie(t, lie{want: []error{gatewayclient.ErrUnavailable}}, err)
}

// TestSilentFollower: a followed stream of a provider that has lost it, and answers pings, does not wait for ever.
func TestSilentFollower(t *testing.T) {
	t.Parallel()
	l := newLiar(t)
	opened := make(chan struct{}, 100)
	accept := l.accepting(nil, false)
	serve := func(c net.Conn) {
		accept(&noting{Conn: c, seen: opened})
	}
	var ours clock
	signer := newSigner()
	c := dial(t, gatewayclient.Provider{HostURI: listen(t, serve), Pins: [][]byte{l.pin}, Address: owner.Address}, signer, gatewayclient.Options{
		Now: func() time.Time { ours.advance(5 * time.Minute); return ours.now() },
		// Streams are over at once, and none brings news.
		Waits: gatewayclient.Waits{Stream: time.Nanosecond, Pause: time.Millisecond, Outage: 50 * time.Millisecond},
	})
	s, err := c.Events(wait(t), aLease, gatewayclient.EventOptions{EventOptions: cluster.EventOptions{Follow: true}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Next()
	if !errors.Is(err, gatewayclient.ErrUnauthorized) && !errors.Is(err, gatewayclient.ErrUnavailable) {
		t.Errorf("Next = %v", err)
	}
	if signer.n.Load() < 2 {
		t.Errorf("%d tokens were made, want the stream opened anew before it is given up", signer.n.Load())
	}
}

// noting notes that something was written.
type noting struct {
	net.Conn
	seen chan struct{}
}

func (n *noting) Write(p []byte) (int, error) {
	select {
	case n.seen <- struct{}{}:
	default:
	}
	return n.Conn.Write(p)
}
