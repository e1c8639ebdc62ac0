package gateway_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"github.com/gorilla/websocket"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
	markettypes "berth.dev/berth/x/market/types"
)

// firstMessages open a session by JSON.
var firstMessages = map[string]string{
	"Exec":        `{"start":{"service":"web","command":["cat"]}}`,
	"PortForward": `{"start":{"service":"web","port":80}}`,
}

// open opens a WebSocket; resp is the answer if it was refused.
func (c *rawConn) open(path string, header http.Header, protocols ...string) (conn *websocket.Conn, resp *http.Response) {
	c.t.Helper()
	cfg := c.tls.Clone()
	cfg.NextProtos = []string{"http/1.1"}
	d := websocket.Dialer{TLSClientConfig: cfg, Subprotocols: protocols, HandshakeTimeout: patience}
	conn, resp, err := d.Dial("wss"+strings.TrimPrefix(c.g.URI, "https")+path, header)
	if err != nil && resp == nil {
		c.t.Fatalf("WebSocket %s: %v", path, err)
	}
	if err != nil {
		return nil, resp
	}
	c.t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return conn, resp
}

// socket is how a method answers over a WebSocket, as a status of HTTP; listed sends the token as a subprotocol.
func (c *rawConn) socket(method string, id markettypes.LeaseID, auth []string, listed bool) int {
	c.t.Helper()
	header, protocols := http.Header{}, []string{"berth.v1.json"}
	for _, a := range auth {
		if raw, ok := strings.CutPrefix(a, "Bearer "); ok && listed {
			protocols = append(protocols, "berth.bearer."+raw)
			continue
		}
		header.Add("Authorization", a)
	}
	conn, resp := c.open("/v1/leases/"+id.String()+"/"+jsonCalls[method].path, header, protocols...)
	if conn == nil {
		return resp.StatusCode
	}
	defer conn.Close()
	if conn.Subprotocol() != "berth.v1.json" {
		c.t.Errorf("subprotocol %q was chosen", conn.Subprotocol())
	}
	if first := firstMessages[method]; first != "" {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(first)); err != nil {
			c.t.Error(err)
		}
	}
	_, data, err := conn.ReadMessage()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code == websocket.CloseNormalClosure:
		return http.StatusOK
	case err != nil:
		c.t.Errorf("WebSocket of %s: %v", method, err)
	case bytes.Contains(data, []byte(`"error"`)):
		c.t.Errorf("WebSocket of %s: %s", method, data)
	}
	return http.StatusOK
}

func (v *visitor) ws(path string, protocols ...string) *websocket.Conn {
	v.t.Helper()
	conn, resp := v.open("/v1/leases/"+v.id.String()+"/"+path, http.Header{"Authorization": {"Bearer " + v.token}}, protocols...)
	if conn == nil {
		v.t.Fatalf("WebSocket %s: %s", path, resp.Status)
	}
	return conn
}

// all reads a WebSocket to its end and returns the messages and how it closed.
func all(t *testing.T, conn *websocket.Conn) (messages []string, code int) {
	t.Helper()
	for {
		_, data, err := conn.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			return messages, closed.Code
		}
		if err != nil {
			t.Fatalf("after %q: %v", messages, err)
		}
		messages = append(messages, string(data))
	}
}

func TestWebSocketExec(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	v := newVisitor(t, g)
	data := base64.StdEncoding.EncodeToString([]byte("typed"))
	for _, protocols := range [][]string{nil, {"berth.v1.json"}, {"other", "berth.v1.json"}} {
		conn := v.ws("exec", protocols...)
		for _, m := range []string{
			`{"start":{"service":"web","command":["cat","-"],"stdin":true}}`, `{"stdin":"` + data + `"}`, `{"stdin_end":true}`,
		} {
			if err := conn.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		messages, code := all(t, conn)
		want := []string{
			`{"stdout":null,"stderr":"` + base64.StdEncoding.EncodeToString([]byte("[cat -]\n")) + `","exit":null}`,
			`{"stdout":"` + data + `","stderr":null,"exit":null}`,
			`{"stdout":null,"stderr":null,"exit":{"code":3}}`,
		}
		if fmt.Sprint(messages) != fmt.Sprint(want) || code != websocket.CloseNormalClosure {
			t.Errorf("protocols %v: %s, closed with %d, want %s", protocols, messages, code, want)
		}
	}
}

func TestWebSocketForwardInBinary(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	conn := newVisitor(t, g).ws("portforward", "berth.v1.proto")
	data := bytes.Repeat([]byte("x"), 64<<10)
	for _, m := range []proto.Message{
		&gatewaytypes.PortForwardRequest{Start: &gatewaytypes.PortForwardStart{Service: "web", Port: 80}},
		&gatewaytypes.PortForwardRequest{Data: data}, &gatewaytypes.PortForwardRequest{Data: data, End: true},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.WriteMessage(websocket.BinaryMessage, b); err != nil {
			t.Fatal(err)
		}
	}
	got, ended := 0, false
	for first := true; !ended; first = false {
		_, b, err := conn.ReadMessage()
		if err != nil {
			t.Fatalf("after %d bytes: %v", got, err)
		}
		var m gatewaytypes.PortForwardResponse
		if err := proto.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		if first && (len(m.Data) > 0 || m.End) {
			t.Error("the first message is not the one that says that the connection stands")
		}
		got, ended = got+len(m.Data), m.End
	}
	if got != 2*len(data) {
		t.Errorf("%d bytes came back, want %d", got, 2*len(data))
	}
}

func TestWebSocketStreams(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging(cluster.LogLine{Service: "web", Instance: "web-0", Line: "one"}))
	v := newVisitor(t, g)
	messages, code := all(t, v.ws("logs?service=web&tail=1"))
	if len(messages) != 1 || !strings.Contains(messages[0], `"line":"one"`) || code != websocket.CloseNormalClosure {
		t.Errorf("logs: %s, closed with %d", messages, code)
	}
	conn := v.ws("events?follow=true")
	if _, data, err := conn.ReadMessage(); err != nil || !bytes.Contains(data, []byte(`"kind":"Pulled"`)) {
		t.Errorf("events: %s, %v", data, err)
	}
	// A stream that only tells takes nothing.
	if err := conn.WriteMessage(websocket.TextMessage, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if messages, code := all(t, conn); code != 4400 || len(messages) != 1 || !strings.Contains(messages[0], "takes no messages") {
		t.Errorf("after a message: %s, closed with %d", messages, code)
	}
}

func TestWebSocketRefusals(t *testing.T) {
	backend := gatewaytest.Obliging()
	backend.ForwardFunc = func(context.Context, markettypes.LeaseID, cluster.ForwardOptions) (net.Conn, error) {
		return nil, fmt.Errorf("%w: nothing listens on port 81", gateway.ErrRefused)
	}
	g := gatewaytest.Start(t, backend)
	v := newVisitor(t, g)
	auth := http.Header{"Authorization": {"Bearer " + v.token}}
	lease := "/v1/leases/" + v.id.String() + "/"
	for name, tc := range map[string]struct {
		path   string
		change func(http.Header)
		code   int
	}{
		"no stream":              {lease + "status", nil, 400},
		"unknown path":           {lease + "shell", nil, 404},
		"unknown parameter":      {lease + "exec?command=sh", nil, 400},
		"bad parameter":          {lease + "logs?tail=x", nil, 400},
		"an unencrypted page":    {lease + "exec", func(h http.Header) { h.Set("Origin", "http://example.com") }, 403},
		"a page of no origin":    {lease + "exec", func(h http.Header) { h.Set("Origin", "null") }, 403},
		"two origins":            {lease + "exec", func(h http.Header) { h["Origin"] = []string{"https://a", "https://b"} }, 403},
		"token twice":            {lease + "exec", func(h http.Header) { h.Set("Sec-WebSocket-Protocol", "berth.bearer."+v.token) }, 401},
		"someone else's lease":   {"/v1/leases/" + g.Account.Address + "/7/1/1/" + g.Account.Address + "/exec", nil, 403},
		"a page that is secured": {lease + "exec", func(h http.Header) { h.Set("Origin", "https://example.com") }, 101},
		"a page from here":       {lease + "exec", func(h http.Header) { h.Set("Origin", "http://localhost:3000") }, 101},
		"a page from here, v6":   {lease + "exec", func(h http.Header) { h.Set("Origin", "http://[::1]") }, 101},
	} {
		h := auth.Clone()
		if tc.change != nil {
			tc.change(h)
		}
		if _, resp := v.open(tc.path, h); resp.StatusCode != tc.code {
			t.Errorf("%s: %s, want %d", name, resp.Status, tc.code)
		}
	}
	start := `{"start":{"service":"web","command":["sh"]}}`
	for name, tc := range map[string]struct {
		path, say string
		code      int
		want      string
	}{
		"not JSON":                {"exec", "start", 4400, "cannot be read"},
		"no start":                {"exec", `{}`, 4400, "no start"},
		"unknown key":             {"exec", `{"begin":{}}`, 4400, "unknown key"},
		"key twice":               {"exec", `{"start":{},"start":{}}`, 4400, "twice"},
		"bad UTF-8":               {"exec", "{\"start\":{\"service\":\"\xff\"}}", 4400, "UTF-8"},
		"a lease":                 {"exec", `{"id":{}}`, 4400, "unknown key"},
		"no command":              {"exec", `{"start":{"service":"web"}}`, 4400, "no command"},
		"no service":              {"exec", `{"start":{"command":["sh"]}}`, 4400, "service's name"},
		"a long instance":         {"exec", `{"start":{"service":"web","instance":"` + strings.Repeat("x", 254) + `","command":["sh"]}}`, 4400, "longer than"},
		"a long command":          {"exec", `{"start":{"service":"web","command":["` + strings.Repeat("x", 33<<10) + `"]}}`, 4400, "arguments"},
		"many arguments":          {"exec", `{"start":{"service":"web","command":["x"` + strings.Repeat(`,""`, 1024) + `]}}`, 4400, "arguments"},
		"a size and no terminal":  {"exec", `{"start":{"service":"web","command":["sh"]},"terminal_size":{"width":1}}`, 4400, "no terminal"},
		"a huge terminal":         {"exec", `{"start":{"service":"web","command":["sh"],"terminal":true},"terminal_size":{"width":65536}}`, 4400, "too large"},
		"input not announced":     {"exec", `{"start":{"service":"web","command":["sh"]},"stdin":"AAAA"}`, 4400, "announce"},
		"too much input":          {"exec", `{"start":{"service":"web","command":["sh"],"stdin":true},"stdin":"` + strings.Repeat("AAAA", 21846) + `"}`, 4413, "at most"},
		"a message beyond limits": {"exec", `{"stdin":"` + strings.Repeat("A", 129<<10) + `"}`, 1009, ""},
		"start twice":             {"exec", start + "\n" + start, 4400, "goes on"},
		"port 0":                  {"portforward", `{"start":{"service":"web"}}`, 4400, "port 0"},
		"port beyond":             {"portforward", `{"start":{"service":"web","port":65536}}`, 4400, "65535"},
		"nobody listens":          {"portforward", `{"start":{"service":"web","port":81}}`, 4422, "nothing listens"},
	} {
		conn := v.ws(tc.path)
		if err := conn.WriteMessage(websocket.TextMessage, []byte(tc.say)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		messages, code := all(t, conn)
		if got := fmt.Sprint(messages); code != tc.code || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %s, closed with %d, want %q and %d", name, got, code, tc.want, tc.code)
		}
		if tc.want != "" {
			var e struct {
				Error struct{ Code, Message string }
			}
			if err := json.Unmarshal([]byte(messages[len(messages)-1]), &e); err != nil || e.Error.Code == "" {
				t.Errorf("%s: %s is no problem", name, messages)
			}
		}
	}
	if log := g.Log.String(); strings.Contains(log, v.token) {
		t.Error("the log holds a token")
	}
}

// A later message may not start anew, nor come in another form.
func TestWebSocketLaterMessages(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	v := newVisitor(t, g)
	start := `{"start":{"service":"web","command":["cat"],"stdin":true}}`
	for name, tc := range map[string]struct {
		kind int
		say  string
		want string
	}{
		"start":  {websocket.TextMessage, start, "only the first"},
		"binary": {websocket.BinaryMessage, "", "messages are text"},
	} {
		conn := v.ws("exec")
		if err := conn.WriteMessage(websocket.TextMessage, []byte(start)); err != nil {
			t.Fatal(err)
		}
		if err := conn.WriteMessage(tc.kind, []byte(tc.say)); err != nil {
			t.Fatal(err)
		}
		if messages, code := all(t, conn); code != 4400 || !strings.Contains(fmt.Sprint(messages), tc.want) {
			t.Errorf("%s: %s, closed with %d", name, messages, code)
		}
	}
	conn := v.ws("exec", "berth.v1.proto")
	other := v.id
	other.Dseq++
	b, err := proto.Marshal(execStart(other))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, b); err != nil {
		t.Fatal(err)
	}
	if messages, code := all(t, conn); code != 4400 || !strings.Contains(fmt.Sprint(messages), "another lease") {
		t.Errorf("another lease in the message: %s, closed with %d", messages, code)
	}
}

// WebSockets from which nothing comes are closed: those that never say what they ask, and those that answer no ping.
func TestSilentWebSocketsAreReaped(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) {
		c.Limits.SilenceTimeout, c.Limits.HeaderTimeout = 20*short, 4*short
	})
	v := newVisitor(t, g)
	if messages, code := all(t, v.ws("exec")); code != 4400 || !strings.Contains(fmt.Sprint(messages), "did not come") {
		t.Errorf("without a first message: %s, closed with %d", messages, code)
	}
	lively := v.ws("events?follow=true")
	done := make(chan error, 1)
	go func() {
		_, _, err := lively.ReadMessage() // the event
		if err == nil {
			_, _, err = lively.ReadMessage()
		}
		done <- err
	}()
	silent := v.ws("logs?follow=true")
	silent.SetPingHandler(func(string) error { return nil })
	if _, _, err := silent.ReadMessage(); err == nil {
		t.Error("a silent WebSocket is served")
	}
	// The one that answers pings outlives the one that does not, which was opened after it.
	select {
	case err := <-done:
		t.Errorf("a lively WebSocket ended: %v", err)
	default:
	}
}

// The server stops although WebSockets are open, and tells them.
func TestWebSocketsEndWithTheServer(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging())
	v := newVisitor(t, g)
	conn := v.ws("exec")
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"start":{"service":"web","command":["cat"],"stdin":true}}`)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	go g.Stop()
	if messages, code := all(t, conn); code != 4503 || !strings.Contains(fmt.Sprint(messages), "restarting") {
		t.Errorf("%s, closed with %d", messages, code)
	}
	conn.Close()
	g.Stop()
}

// A client that takes nothing of what comes is cut off, and the program with it.
func TestSlowWebSocketIsCutOff(t *testing.T) {
	backend := gatewaytest.Obliging()
	ended := make(chan int64, 1)
	backend.ExecFunc = func(ctx context.Context, _ markettypes.LeaseID, _ cluster.ExecOptions, s cluster.Streams) (int, error) {
		n, err := io.Copy(s.Stdout, io.LimitReader(zeros{}, 64<<20))
		ended <- n
		return 0, err
	}
	g := gatewaytest.Start(t, backend, func(c *gateway.Config) { c.Limits.StallTimeout = 4 * short })
	v := newVisitor(t, g)
	conn := v.ws("exec", "berth.v1.proto")
	b, err := proto.Marshal(&gatewaytypes.ExecRequest{Start: &gatewaytypes.ExecStart{Service: "web", Command: []string{"cat"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, b); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-ended:
		if n > 16<<20 {
			t.Errorf("%d bytes went to a client that takes none", n)
		}
	case <-time.After(patience):
		t.Error("a client that takes nothing is not cut off")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// The end of a program reaches a client that is still sending to it.
func TestWebSocketOfAProgramThatReadsNothing(t *testing.T) {
	backend := gatewaytest.Obliging()
	backend.ExecFunc = func(_ context.Context, _ markettypes.LeaseID, _ cluster.ExecOptions, s cluster.Streams) (int, error) {
		_, err := io.CopyN(io.Discard, s.Stdin, 10_000)
		return 7, err
	}
	g := gatewaytest.Start(t, backend)
	conn := newVisitor(t, g).ws("exec")
	if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"start":{"service":"web","command":["head"],"stdin":true}}`)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		piece := []byte(`{"stdin":"` + base64.StdEncoding.EncodeToString(make([]byte, 32<<10)) + `"}`)
		for conn.WriteMessage(websocket.TextMessage, piece) == nil {
		}
	}()
	if messages, code := all(t, conn); code != websocket.CloseNormalClosure || !strings.Contains(fmt.Sprint(messages), `"code":7`) {
		t.Errorf("%s, closed with %d", messages, code)
	}
	conn.Close()
	<-sent
}
