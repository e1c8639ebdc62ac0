package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	markettypes "berth.dev/berth/x/market/types"
)

// A client that takes a byte now and then is cut off by the limit on answers of which nothing is taken, as it takes less
// than what is written at once; until then it costs less than 1 MiB.
func TestASlowReaderCostsLittle(t *testing.T) {
	line := cluster.LogLine{Service: "web", Instance: "web-0", Line: strings.Repeat("x", 8<<10)}
	var given atomic.Int64
	closed := make(chan struct{}, 1)
	backend := gatewaytest.Obliging()
	backend.LogsFunc = func(context.Context, markettypes.LeaseID, cluster.LogOptions) (cluster.LogStream, error) {
		return endless{line, &given, closed}, nil
	}
	g := gatewaytest.Start(t, backend, func(c *gateway.Config) { c.Limits.StallTimeout = 5 * short })
	for _, way := range gatewaytest.Ways {
		t.Run(way, func(t *testing.T) {
			given.Store(0)
			v := newVisitor(t, g)
			conn, err := gatewaytest.DialFrom("127.0.0.1", g.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				done <- gatewaytest.ReadSlowly(ctx, conn, v.tls, way, "/v1/leases/"+v.id.String()+"/logs?follow=true", v.token, short/10)
			}()
			select {
			case <-closed:
			case <-time.After(patience):
				t.Fatal("the client is served on")
			}
			if n := given.Load() * int64(len(line.Line)); n == 0 || n > 1<<20 {
				t.Errorf("%d bytes were taken from the backend for a client that reads a few, want at most 1 MiB", n)
			}
			cancel()
			conn.Close()
			<-done
		})
	}
}

// A connection over which nothing worth an answer comes is closed, however lively it is; one that was of use once stays.
func TestConnectionsMustBeOfUse(t *testing.T) {
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) {
		c.Limits.ArrivalTimeout = 8 * short
		c.Limits.HeaderTimeout, c.Limits.BodyTimeout, c.Limits.IdleTimeout = patience, patience, patience
	})
	v := newVisitor(t, g)
	connect := func(protocol string) *tls.Conn {
		cfg := v.tls.Clone()
		cfg.NextProtos = []string{protocol}
		conn, err := tls.Dial("tcp", g.Addr().String(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	ask := func(conn *tls.Conn, in *bufio.Reader, path string) (int, error) {
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: gateway\r\n\r\n", path); err != nil {
			return 0, err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	useful := connect("http/1.1")
	answers := bufio.NewReader(useful)
	if code, err := ask(useful, answers, "/v1/status"); code != 200 || err != nil {
		t.Fatalf("status: %d, %v", code, err)
	}
	silent, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := silent.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	put := fmt.Sprintf("PUT /v1/leases/%s/manifest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n", v.id, v.token)
	for name, serve := range map[string]func() error{
		"silent": func() error { _, err := io.Copy(io.Discard, silent); return err },
		"refused again and again": func() error {
			conn := connect("http/1.1")
			in := bufio.NewReader(conn)
			for {
				if _, err := ask(conn, in, "/v1/leases/"+v.id.String()+"/status"); err != nil {
					return err
				}
			}
		},
		"a header without an end": func() error { return trickle(connect("http/1.1"), "GET /v1/status HTTP/1.1\r\nX-Slow: ", "x") },
		"a body without an end":   func() error { return trickle(connect("http/1.1"), put, " ") },
		"HTTP/2 without a request": func() error {
			return trickle(connect("h2"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := serve(); isTimeout(err) {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
	if code, err := ask(useful, answers, "/v1/status"); code != 200 || err != nil {
		t.Errorf("a connection that was of use: %d, %v", code, err)
	}
}

// trickle writes a text and then, without an end, more of it bit by bit, and returns when the connection was closed.
func trickle(conn net.Conn, text, more string) error {
	if _, err := io.WriteString(conn, text); err != nil {
		return err
	}
	closed := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		closed <- err
	}()
	t := time.NewTicker(short / 10)
	defer t.Stop()
	for {
		select {
		case err := <-closed:
			return err
		case <-t.C:
			if _, err := io.WriteString(conn, more); err != nil && more != "" {
				return err
			}
		}
	}
}

// Slow clients of other addresses, as many as each address may have, keep no connection from a good one.
func TestAGoodClientBesideSlowOnes(t *testing.T) {
	const addresses, each = 8, 16
	g := gatewaytest.Start(t, gatewaytest.Obliging(), func(c *gateway.Config) {
		c.Limits.Conns, c.Limits.ConnsPerAddr = addresses*each+4, each
		c.Limits.HeaderTimeout, c.Limits.ArrivalTimeout = patience, patience
	})
	v := newVisitor(t, g)
	for a := range addresses {
		for i := range each + 1 {
			conn, err := gatewaytest.DialFrom(fmt.Sprintf("127.0.1.%d", a+1), g.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if i < each {
				continue
			}
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
				t.Errorf("one more connection than an address may have: %v", err)
			}
		}
	}
	for range 4 {
		if code, body := v.ask(v.request("GET", "status", "")); code != 200 {
			t.Errorf("a good client beside slow ones: %d %s", code, body)
		}
		v.http.CloseIdleConnections()
	}
}
