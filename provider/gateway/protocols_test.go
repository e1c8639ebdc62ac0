package gateway_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
)

// TestAnotherProtocolSharesThePort: a connection that negotiates its name is handed over with the client's key, counts no
// longer for its address, and HTTP of both versions goes on.
func TestAnotherProtocolSharesThePort(t *testing.T) {
	g := gatewaytest.Start(t, &gatewaytest.Backend{}, func(c *gateway.Config) {
		c.Limits.ConnsPerAddr = 3
		c.Protocols = map[string]func(*tls.Conn){"test/1": func(conn *tls.Conn) {
			defer conn.Close()
			if len(conn.ConnectionState().PeerCertificates) == 1 {
				_, _ = io.Copy(conn, conn)
			}
		}}
	})
	for range 6 { // more than one address may have
		conn, err := tls.Dial("tcp", g.Addr().String(), &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{"test/1"}, Certificates: []tls.Certificate{gatewaytest.ClientCert(t)},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		got := make([]byte, 5)
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
			t.Fatalf("%q came back, %v", got, err)
		}
	}
	for _, h2 := range []bool{false, true} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2}
		res, err := (&http.Client{Transport: tr, Timeout: patience}).Get(g.URI + "/nowhere")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		tr.CloseIdleConnections()
		if want := map[bool]int{false: 1, true: 2}[h2]; res.ProtoMajor != want || res.StatusCode != http.StatusNotFound {
			t.Errorf("HTTP/%d answers %d, want HTTP/%d and 404", res.ProtoMajor, res.StatusCode, want)
		}
	}
}
