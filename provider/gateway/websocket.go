package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cosmos/gogoproto/jsonpb"
	"github.com/cosmos/gogoproto/proto"
	"github.com/gorilla/websocket"

	"berth.dev/berth/provider/gateway/internal/strictjson"
	"berth.dev/berth/provider/gateway/internal/wire"
	markettypes "berth.dev/berth/x/market/types"
)

// The subprotocols: how messages are written. The last one carries a token of a client that cannot set headers, and is
// never chosen.
const (
	socketJSON   = "berth.v1.json"
	socketProto  = "berth.v1.proto"
	socketBearer = "berth.bearer."
)

const (
	// closeBase plus a problem's HTTP status is the code with which its WebSocket closes.
	closeBase = 4000
	// lingerTime is how long a client may take to notice that the WebSocket is closed.
	lingerTime = 2 * time.Second
)

// isWebSocket tells requests that want to become a WebSocket. HTTP/2 has no such headers.
func isWebSocket(r *http.Request) bool { return r.ProtoMajor == 1 && websocket.IsWebSocketUpgrade(r) }

// socketTokens are the tokens in a WebSocket's list of subprotocols.
func socketTokens(r *http.Request) (tokens []string) {
	if !isWebSocket(r) {
		return nil
	}
	for _, p := range websocket.Subprotocols(r) {
		if raw, ok := strings.CutPrefix(p, socketBearer); ok {
			tokens = append(tokens, raw)
		}
	}
	return tokens
}

// checkOrigin refuses pages that travel unencrypted, as whoever changes them has their token. No other page has to be
// kept out: nothing that a browser adds by itself opens anything here, only the token that the page sends.
func checkOrigin(r *http.Request) error {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return nil
	}
	u, err := url.Parse(origins[0])
	switch {
	case len(origins) > 1 || err != nil || u.Host == "":
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return wire.Errorf(wire.Forbidden, "a page of this origin may not open a WebSocket here").Then("serve the page over https")
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// socket is one WebSocket.
type socket struct {
	s      *Server
	w      *stallWriter
	r      *http.Request
	rt     *route
	binary bool
	conn   *websocket.Conn // nil until upgraded
	ctx    context.Context
	cancel context.CancelCauseFunc

	frames chan frame
	// over is closed when the answer is complete, read when nothing more comes.
	over, read chan struct{}
	unlink     func() bool
}

type frame struct {
	binary bool
	data   []byte
}

// serveWebSocket answers a request that has passed authenticate and asks for a WebSocket. What can be refused before
// the connection is one is refused by HTTP.
func (s *Server) serveWebSocket(w *stallWriter, r *http.Request, rt *route, id markettypes.LeaseID) {
	s.sockets.Add(1)
	defer s.sockets.Done()
	c := callFrom(r.Context())
	k := &socket{s: s, w: w, r: r, rt: rt, frames: make(chan frame), over: make(chan struct{}), read: make(chan struct{})}
	k.ctx, k.cancel = context.WithCancelCause(r.Context())
	defer k.cancel(nil)
	req := rt.request(id)
	err := k.admit(req)
	if err == nil && rt.talk {
		if err = k.upgrade(); err == nil {
			err = k.first(req)
		}
	}
	if err == nil {
		err = s.dispatch(k.ctx, rt, req, answer{begin: k.upgrade, send: k.send, next: k.next})
	}
	p := wire.FromError(s.explain(k.ctx, rt, err))
	if p != nil {
		c.outcome.set(string(p.Code))
	}
	if k.conn != nil {
		k.close(p)
	} else if p != nil && !w.began {
		failJSON(w, p)
	}
}

// admit checks all that does not need the WebSocket yet.
func (k *socket) admit(req proto.Message) error {
	if err := k.s.authorise(k.rt, callFrom(k.ctx).claims, req); err != nil {
		return err
	}
	if !k.rt.stream {
		return wire.Errorf(wire.Invalid, "%s is no stream", k.rt.method).Then("send a plain request")
	}
	if err := checkOrigin(k.r); err != nil {
		return err
	}
	q, err := url.ParseQuery(k.r.URL.RawQuery)
	if err != nil {
		return wire.Errorf(wire.Invalid, "the query cannot be read")
	}
	if err := k.rt.fill(req, q, nil); err != nil {
		return wire.Errorf(wire.Invalid, "the request of %s cannot be read: %v", k.rt.method, err)
	}
	return nil
}

// upgrade makes the connection a WebSocket, once.
func (k *socket) upgrade() error {
	if k.conn != nil {
		return nil
	}
	up := websocket.Upgrader{
		HandshakeTimeout: k.s.cfg.Limits.StallTimeout,
		WriteBufferSize:  8 << 10, ReadBufferSize: 4 << 10,
		CheckOrigin: func(*http.Request) bool { return true }, // admit did
		Error: func(_ http.ResponseWriter, _ *http.Request, _ int, reason error) {
			failJSON(k.w, wire.Errorf(wire.Invalid, "the WebSocket cannot be opened: %v", reason))
		},
	}
	header := http.Header{}
	offered := websocket.Subprotocols(k.r)
	if i := slices.IndexFunc(offered, func(p string) bool { return p == socketJSON || p == socketProto }); i >= 0 {
		header.Set("Sec-WebSocket-Protocol", offered[i])
		k.binary = offered[i] == socketProto
	}
	conn, err := up.Upgrade(k.w, k.r, header)
	if err != nil {
		return wire.Errorf(wire.Invalid, "the WebSocket cannot be opened: %v", err)
	}
	k.w.began = true
	k.conn = conn
	k.unlink = context.AfterFunc(k.s.dead, func() { _ = conn.Close() }) // nobody waits for it
	conn.SetReadLimit(maxTalk)
	conn.SetPongHandler(func(string) error { k.alive(); return nil })
	go k.reader()
	go k.pinger()
	if !k.rt.talk {
		go k.silence()
	}
	return nil
}

// alive puts off the time at which the client counts as silent.
func (k *socket) alive() {
	_ = k.conn.SetReadDeadline(time.Now().Add(k.s.cfg.Limits.SilenceTimeout)) // a lost connection shows in reading
}

// reader takes frames off the connection, one ahead of who reads them, and all when the answer is complete, so that the
// client can send its own end.
func (k *socket) reader() {
	defer close(k.read)
	for {
		k.alive()
		kind, data, err := k.conn.ReadMessage()
		if err != nil {
			k.cancel(readProblem(err))
			return
		}
		select {
		case k.frames <- frame{kind == websocket.BinaryMessage, data}:
		case <-k.over:
		}
	}
}

// readProblem says why nothing more comes.
func readProblem(err error) *wire.Problem {
	if errors.Is(err, websocket.ErrReadLimit) {
		return wire.Errorf(wire.TooLarge, "a message has more than %d bytes", maxTalk).Then("send the data in smaller pieces")
	}
	return wire.Errorf(wire.Canceled, "the client left")
}

// pinger asks the client for a sign of life.
func (k *socket) pinger() {
	t := time.NewTicker(k.s.cfg.Limits.SilenceTimeout / 3)
	defer t.Stop()
	for {
		select {
		case <-k.read:
			return
		case <-t.C:
			// One that cannot be sent is missed by the client, whose silence then ends the connection.
			_ = k.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(k.s.cfg.Limits.SilenceTimeout/3))
		}
	}
}

// silence ends a stream whose client says something, as there is nothing to say.
func (k *socket) silence() {
	select {
	case <-k.frames:
		k.cancel(wire.Errorf(wire.Invalid, "%s takes no messages", k.rt.method))
	case <-k.read:
	case <-k.over:
	}
}

// first reads the message with which a client says what it asks.
func (k *socket) first(req proto.Message) error {
	late := time.AfterFunc(k.s.cfg.Limits.HeaderTimeout, func() {
		k.cancel(wire.Errorf(wire.Invalid, "the first message did not come within %s", k.s.cfg.Limits.HeaderTimeout))
	})
	defer late.Stop()
	id := req.(leaseRequest).GetId()
	if err := k.next(req); err != nil {
		return err
	}
	if req.(leaseRequest).GetId() != id {
		return wire.Errorf(wire.Invalid, "the message names another lease than the path")
	}
	return nil
}

// next reads a message over m.
func (k *socket) next(m proto.Message) error {
	select {
	case f := <-k.frames:
		return decodeFrame(f, k.binary, k.rt, m)
	case <-k.ctx.Done():
		return context.Cause(k.ctx)
	}
}

// decodeFrame reads a message in the form that was agreed on.
func decodeFrame(f frame, binary bool, rt *route, m proto.Message) error {
	if f.binary != binary {
		return wire.Errorf(wire.Invalid, "messages are text in %s and binary in %s", socketJSON, socketProto)
	}
	if binary {
		if err := (wire.Codec{Strict: true}).Merge(f.data, m); err != nil {
			return wire.Errorf(wire.Invalid, "a message of %s cannot be read: %v", rt.method, err)
		}
		return nil
	}
	err := strictjson.Check(f.data, rt.keys...)
	if err == nil {
		err = jsonpb.Unmarshal(bytes.NewReader(f.data), m)
	}
	if err != nil {
		return wire.Errorf(wire.Invalid, "a message of %s cannot be read: %v", rt.method, err)
	}
	return nil
}

// send writes a message. The caller sends one at a time.
func (k *socket) send(m proto.Message) error {
	if err := k.upgrade(); err != nil {
		return err
	}
	if k.binary {
		data, err := proto.Marshal(m)
		if err != nil {
			return err
		}
		return k.write(websocket.BinaryMessage, data)
	}
	text, err := marshaler.MarshalToString(m)
	if err != nil {
		return err
	}
	return k.write(websocket.TextMessage, []byte(text))
}

func (k *socket) write(kind int, data []byte) error {
	_ = k.conn.SetWriteDeadline(time.Now().Add(k.s.cfg.Limits.StallTimeout)) // never fails
	if err := k.conn.WriteMessage(kind, data); err != nil {
		if k.ctx.Err() != nil {
			return context.Cause(k.ctx)
		}
		return wire.Errorf(wire.Canceled, "the client takes nothing: %v", err)
	}
	return nil
}

// close tells the client how the stream ended, and waits for a moment until it has heard: closing the connection while
// the client still sends would take back what is on its way to it.
func (k *socket) close(p *wire.Problem) {
	defer k.unlink()
	code, reason := websocket.CloseNormalClosure, ""
	if p != nil {
		code, reason = closeBase+p.HTTPStatus(), string(p.Code)
		if text, err := json.Marshal(map[string]*wire.Problem{"error": p}); err == nil && p.Code != wire.Canceled {
			_ = k.write(websocket.TextMessage, text) // the client may be gone
		}
	}
	_ = k.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(lingerTime))
	close(k.over)
	late := time.NewTimer(lingerTime)
	defer late.Stop()
	select {
	case <-k.read:
	case <-late.C:
	}
	_ = k.conn.Close() // both ends have said what they had to
	<-k.read
}
