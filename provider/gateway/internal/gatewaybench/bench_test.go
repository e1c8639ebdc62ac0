//go:build gatewaybench

package gatewaybench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"berth.dev/berth/provider/gateway/gatewayclient"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	"berth.dev/berth/provider/gateway/internal/wire"
	"berth.dev/berth/provider/gateway/token"
	gatewaytypes "berth.dev/berth/provider/gateway/types"
)

// figure prints one figure beside its target; a miss fails the run, which is no test of `make test`.
func figure(t *testing.T, what string, got, target string, met bool) {
	t.Helper()
	fmt.Printf("| %s | %s | %s |\n", what, got, target)
	if !met {
		t.Errorf("%s: %s, want %s", what, got, target)
	}
}

// load tells how loaded the machine is.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	return strings.Fields(string(data))[0]
}

// owner is an account with a client key and a token.
type owner struct {
	gatewaytest.Account
	cert  tls.Certificate
	token string
}

func newOwner(t *testing.T, s *server, name string) owner {
	t.Helper()
	o := owner{Account: gatewaytest.NewAccount(name), cert: gatewaytest.ClientCert(t)}
	now := time.Now()
	var err error
	o.token, err = token.Issue(o.Account, token.Claims{
		Owner: o.Address, Provider: s.prov.Address, ChainID: gatewaytest.ChainID, Scopes: token.Scopes(),
		IssuedAt: now, NotBefore: now, Expires: now.Add(10 * time.Minute), Thumbprint: token.Thumbprint(o.cert.Leaf),
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func owners(t *testing.T, s *server, n int) []owner {
	t.Helper()
	out := make([]owner, n)
	for i := range out {
		out[i] = newOwner(t, s, fmt.Sprint("owner", i))
	}
	return out
}

func (o owner) tls(protocol string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, ServerName: "gateway", Certificates: []tls.Certificate{o.cert}}
}

// path is a path of the owner's lease.
func (o owner) path(s *server, rest string) string {
	return "/v1/leases/" + s.lease(o.Account).String() + "/" + rest
}

func TestFigures(t *testing.T) {
	fmt.Printf("load before: %s\n| what | figure | target |\n|---|---|---|\n", load())
	t.Run("logs", logLines)
	t.Run("slow reader", slowReader)
	t.Run("streams", streams)
	t.Run("slow connections", slowConnections)
	fmt.Printf("load after: %s\n", load())
}

// logLines takes lines of 100 bytes through one stream of the tenant's client.
func logLines(t *testing.T) {
	const n = 400_000
	s := start(t)
	account := gatewaytest.NewAccount("owner")
	c, err := gatewayclient.Dial(t.Context(), s.prov, gatewaytest.ChainID, account)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	logs, err := c.Logs(t.Context(), s.lease(account), gatewayclient.LogOptions{Service: fmt.Sprint("flood-", n)})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	began, got := time.Now(), 0
	for {
		l, err := logs.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got++
		if want := time.Unix(7, 0).Add(time.Duration(got) * time.Microsecond); !l.Time.Equal(want) {
			t.Fatalf("line %d is of %s, want %s", got, l.Time, want)
		}
	}
	rate := float64(got) / time.Since(began).Seconds()
	figure(t, "lines of 100 bytes a second through one stream", fmt.Sprintf("%.0f", rate), "20,000", rate >= 20_000)
	figure(t, fmt.Sprintf("of %d lines, lost", n), fmt.Sprint(n-got), "0", got == n)
}

// slowReader reads one byte a second by each way.
func slowReader(t *testing.T) {
	s := start(t)
	o := newOwner(t, s, "owner")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := s.resident()
	began := time.Now()
	for _, way := range gatewaytest.Ways {
		conn, err := gatewaytest.DialFrom("127.0.0.1", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			_ = gatewaytest.ReadSlowly(ctx, conn, o.tls("h2"), way, o.path(s, "logs?follow=true&service="+strings.ReplaceAll(way, "/", "")), o.token, time.Second)
		}()
	}
	await(t, "the streams", 10*time.Second, func() bool { return s.state().Streams == len(gatewaytest.Ways) })
	peak := s.resident()
	await(t, "the slow readers to be cut off", 90*time.Second, func() bool {
		peak = max(peak, s.resident())
		return s.state().Streams == 0
	})
	took := time.Since(began)
	given := s.state().Given
	for _, way := range gatewaytest.Ways {
		n := given[strings.ReplaceAll(way, "/", "")]
		figure(t, "a reader at 1 byte/s over "+way+": bytes on their way to it", fmt.Sprintf("%.2f MiB", mib(n)), "1 MiB", n > 0 && n <= 1<<20)
	}
	fmt.Printf("| the gateway's resident memory for the three of them | %.1f MiB more | - |\n", mib(peak-before))
	figure(t, "all three cut off after", fmt.Sprintf("%.0f s", took.Seconds()), "30 s without progress", took < 45*time.Second)
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func await(t *testing.T, what string, patience time.Duration, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// streams follows the logs of 1,000 services, each over a connection of its own and with a line a second.
func streams(t *testing.T) {
	const n, perOwner = 1000, 50
	s := start(t)
	idle := s.resident()
	accounts := owners(t, s, n/perOwner)
	var lines atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range n {
		o := accounts[i/perOwner]
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 3, byte(1+i/100))}}
		conn, err := grpc.NewClient("passthrough:///"+s.Addr, grpc.WithTransportCredentials(credentials.NewTLS(o.tls("h2"))),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(wire.Codec{})), grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				return d.DialContext(ctx, "tcp", addr)
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		stream, err := gatewaytypes.NewGatewayClient(conn).Logs(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+o.token),
			&gatewaytypes.LogsRequest{Id: s.lease(o.Account), Follow: true, Service: "tick"})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				if _, err := stream.Recv(); err != nil {
					if ctx.Err() == nil {
						t.Errorf("a stream ended: %v", err)
					}
					return
				}
				lines.Add(1)
			}
		}()
	}
	await(t, "all streams", time.Minute, func() bool { return s.state().Streams == n })
	var peak int64
	began, first := time.Now(), lines.Load()
	await(t, "lines of all streams", 2*time.Minute, func() bool {
		peak = max(peak, s.resident())
		return time.Since(began) > 10*time.Second && lines.Load()-first >= 5*n
	})
	cancel() // before the connections are closed
	figure(t, "1,000 log streams at once, a line a second each, a connection each: resident memory of the gateway's process",
		fmt.Sprintf("%.0f MiB (%.0f without them)", mib(peak), mib(idle)), "200 MB", peak <= 200e6)
}

// slow is a kind of slow connection.
type slow struct {
	name string
	n    int
	// open begins a connection, more is what it then sends, bit by bit.
	open func(conn net.Conn, o owner) (net.Conn, error)
	more string
}

// slowConnections opens 5,000 connections that are slow in one thing each and 1,000 WebSockets from which nothing comes,
// and measures what a good client sees beside them, and how long the longest of them lasts.
func slowConnections(t *testing.T) {
	s := start(t)
	accounts := owners(t, s, 25)
	over := func(text func(o owner) string) func(net.Conn, owner) (net.Conn, error) {
		return func(conn net.Conn, o owner) (net.Conn, error) {
			c := tls.Client(conn, o.tls("http/1.1"))
			_, err := io.WriteString(c, text(o))
			return c, err
		}
	}
	socket := func(path string) func(o owner) string {
		return func(o owner) string {
			return "GET " + o.path(s, path) + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + o.token +
				"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
		}
	}
	kinds := []slow{
		{"silent WebSocket of logs", 500, over(socket("logs?follow=true&service=tick")), ""},
		{"slow body", 1250, over(func(o owner) string {
			return "PUT " + o.path(s, "manifest") + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + o.token +
				"\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
		}), " "},
		{"slow header", 1250, over(func(owner) string { return "GET /v1/status HTTP/1.1\r\nHost: gateway\r\nX-Slow: " }), "x"},
		{"silent WebSocket of a program", 500, over(socket("exec")), ""},
		{"slow handshake", 1250, func(c net.Conn, _ owner) (net.Conn, error) {
			_, err := c.Write([]byte{22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3})
			return c, err
		}, "\x00"},
		{"opened and silent", 1250, func(c net.Conn, _ owner) (net.Conn, error) { return c, nil }, ""},
	}
	good := newGood(t, s)
	quiet := good.run(5*time.Second, nil)
	var wg sync.WaitGroup
	var longest, failed, left, open atomic.Int64
	gone := make(chan struct{})
	began, total, next := time.Now(), 0, 0
	limit := make(chan struct{}, 64)
	all, meanwhile := make(chan struct{}), make(chan seen, 1)
	go func() { meanwhile <- good.run(time.Minute, all) }()
	for _, k := range kinds {
		for i := range k.n {
			ip := fmt.Sprintf("127.0.1.%d", 1+next/200)
			o := accounts[next%len(accounts)]
			next++
			total++
			limit <- struct{}{}
			wg.Go(func() {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
				raw, err := d.Dial("tcp", s.Addr)
				if err != nil {
					<-limit
					failed.Add(1)
					return
				}
				defer raw.Close()
				since := time.Now()
				open.Add(1)
				conn, err := k.open(raw, o)
				<-limit
				if err != nil {
					failed.Add(1)
					open.Add(-1)
					return
				}
				if !last(conn, k.more, since.Add(60*time.Second), i) {
					left.Add(1)
				}
				open.Add(-1)
				for took := int64(time.Since(since)); ; {
					if old := longest.Load(); took <= old || longest.CompareAndSwap(old, took) {
						break
					}
				}
			})
		}
	}
	opened := time.Since(began)
	close(all)
	opening := <-meanwhile
	go func() { wg.Wait(); close(gone) }()
	var most, peak atomic.Int64
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			most.Store(max(most.Load(), int64(s.state().Conns)))
			peak.Store(max(peak.Load(), s.resident()))
			select {
			case <-gone:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	beside := good.run(time.Minute, gone)
	<-watched
	fmt.Printf("| slow connections and silent WebSockets opened, in %.1f s; open at once at most, with the good client's | %d; %d | 6,000 |\n", opened.Seconds(), total, most.Load())
	figure(t, "of them, failed to open", fmt.Sprint(failed.Load()), "0", failed.Load() == 0)
	fmt.Printf("| good client while they were being opened, by clients on the same processors: p99 | %s; %s with a new connection each time | - |\n", p99(opening.kept), p99(opening.anew))
	figure(t, "good client on a kept connection: p99 of "+fmt.Sprint(len(beside.kept)), fmt.Sprintf("%s (%s without the others)", p99(beside.kept), p99(quiet.kept)), "500 ms", p99(beside.kept) < 500*time.Millisecond)
	figure(t, "good client, a new connection each time: p99 of "+fmt.Sprint(len(beside.anew)), fmt.Sprintf("%s (%s without the others)", p99(beside.anew), p99(quiet.anew)), "500 ms", p99(beside.anew) < 500*time.Millisecond)
	figure(t, "requests of the good client that failed", fmt.Sprint(opening.failed+beside.failed), "0", opening.failed+beside.failed == 0)
	figure(t, "longest that one of the slow lasted", fmt.Sprintf("%.1f s", time.Duration(longest.Load()).Seconds()), "30 s", time.Duration(longest.Load()) <= 30*time.Second && left.Load() == 0)
	fmt.Printf("| resident memory of the gateway's process at most | %.0f MiB | - |\n", mib(peak.Load()))
}

// last keeps a connection slow until the server closes it; false if it had not by the deadline.
func last(conn net.Conn, more string, deadline time.Time, i int) bool {
	if err := conn.SetReadDeadline(deadline); err != nil {
		return true
	}
	closed := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		closed <- err
	}()
	var tick <-chan time.Time
	if more != "" {
		t := time.NewTicker(2*time.Second + time.Duration(i)*time.Millisecond) // not all at once
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case err := <-closed:
			var late net.Error
			return !(errors.As(err, &late) && late.Timeout())
		case <-tick:
			_, _ = io.WriteString(conn, more) // reading tells when it is closed
		}
	}
}

// good is a client that asks for the state of its lease, over a connection that it keeps and over new ones.
type good struct {
	t    *testing.T
	o    owner
	uri  string
	kept *http.Client
}

type seen struct {
	kept, anew []time.Duration
	failed     int
}

func newGood(t *testing.T, s *server) *good {
	g := &good{t: t, o: newOwner(t, s, "good"), uri: "https://" + s.Addr}
	g.uri += g.o.path(s, "status")
	g.kept = g.client()
	return g
}

func (g *good) client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: g.o.tls("h2"), ForceAttemptHTTP2: true}, Timeout: 30 * time.Second}
}

func (g *good) ask(c *http.Client) (time.Duration, error) {
	began := time.Now()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, g.uri, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+g.o.token)
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, errors.New(resp.Status)
	}
	return time.Since(began), nil
}

// run asks 20 times a second each way until the time is over or stop is closed. It waits for no answer before it asks again.
func (g *good) run(d time.Duration, stop <-chan struct{}) (out seen) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	over := time.After(d)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	ask := func(c *http.Client, into *[]time.Duration) {
		took, err := g.ask(c)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			g.t.Logf("good client: %v", err)
			out.failed++
			return
		}
		*into = append(*into, took)
	}
	for {
		select {
		case <-over:
		case <-stop:
		case <-tick.C:
			wg.Go(func() { ask(g.kept, &out.kept) })
			wg.Go(func() {
				c := g.client()
				defer c.CloseIdleConnections()
				ask(c, &out.anew)
			})
			continue
		}
		wg.Wait()
		return out
	}
}

func p99(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return time.Hour
	}
	d = slices.Sorted(slices.Values(d))
	return d[len(d)*99/100].Round(100 * time.Microsecond)
}
