//go:build gatewaybench

package gatewaybench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/gateway/gatewayclient"
	"berth.dev/berth/provider/gateway/internal/gatewaytest"
	markettypes "berth.dev/berth/x/market/types"
)

// serving is set in the environment of the process that is the gateway; it names a directory for the key.
const serving = "BERTH_GATEWAYBENCH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serving); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// hello is what the gateway's process says first.
type hello struct {
	Addr, Control string
	Pin           []byte
}

// state is what it tells of itself.
type state struct {
	Conns, Streams int
	// Given counts the bytes of lines that were taken for streams of a service.
	Given map[string]int64
}

// serve runs a gateway with the limits that providers have, until standard input ends.
func serve(dir string) error {
	cert, pin, err := gateway.LoadOrCreateKey(filepath.Join(dir, "tls.key"))
	if err != nil {
		return err
	}
	given := &counts{of: map[string]int64{}}
	backend := gatewaytest.Obliging()
	backend.LogsFunc = given.logs
	reg := prometheus.NewRegistry()
	srv, err := gateway.New(gateway.Config{
		Listen: "127.0.0.1:0", Provider: gatewaytest.NewAccount("provider").Address, ChainID: gatewaytest.ChainID, TLS: cert, Metrics: reg,
	}, backend)
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		_ = http.Serve(control, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(state{Conns: gauge(reg, "berth_gateway_connections"), Streams: gauge(reg, "berth_gateway_streams"), Given: given.all()})
		}))
	}()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := json.NewEncoder(os.Stdout).Encode(hello{Addr: srv.Addr().String(), Control: "http://" + control.Addr().String(), Pin: pin}); err != nil {
		return err
	}
	return srv.Run(ctx)
}

func gauge(reg *prometheus.Registry, name string) int {
	families, err := reg.Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		if f.GetName() == name {
			return int(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return -1
}

// counts are the bytes of lines that were given, by service.
type counts struct {
	mu sync.Mutex
	of map[string]int64
}

func (c *counts) add(service string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[service] += int64(n)
}

func (c *counts) all() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]int64, len(c.of))
	for k, v := range c.of {
		out[k] = v
	}
	return out
}

// logs gives lines as the service's name says: "flood-N" N of 100 bytes as fast as they are taken, "tick" one of 100 bytes a
// second, anything else 8 KiB at once without an end.
func (c *counts) logs(ctx context.Context, _ markettypes.LeaseID, o cluster.LogOptions) (cluster.LogStream, error) {
	l := &lines{ctx: ctx, counts: c, service: o.Service, left: -1}
	l.line = cluster.LogLine{Service: "web", Instance: "web-0", Time: time.Unix(7, 0), Line: strings.Repeat("x", 100)}
	switch n, flood := strings.CutPrefix(o.Service, "flood-"); {
	case flood:
		var err error
		if l.left, err = strconv.Atoi(n); err != nil {
			return nil, err
		}
	case o.Service == "tick":
		l.tick = time.NewTicker(time.Second)
	default:
		l.line.Line = strings.Repeat("x", 8<<10)
	}
	return l, nil
}

type lines struct {
	ctx     context.Context
	counts  *counts
	service string
	line    cluster.LogLine
	left    int // -1 is no end
	tick    *time.Ticker
}

// Next implements cluster.LogStream. The times of lines count up, so that one that is lost leaves a hole.
func (l *lines) Next() (cluster.LogLine, error) {
	if l.left == 0 {
		return cluster.LogLine{}, io.EOF
	}
	if l.left > 0 {
		l.left--
	}
	if l.tick != nil {
		select {
		case <-l.ctx.Done():
			return cluster.LogLine{}, l.ctx.Err()
		case <-l.tick.C:
		}
	}
	l.line.Time = l.line.Time.Add(time.Microsecond)
	if l.left < 0 && l.tick == nil {
		l.counts.add(l.service, len(l.line.Line))
	}
	return l.line, nil
}

// Close implements cluster.LogStream.
func (l *lines) Close() error {
	if l.tick != nil {
		l.tick.Stop()
	}
	return nil
}

// server is the gateway in its process.
type server struct {
	hello
	t    *testing.T
	pid  int
	prov gatewayclient.Provider
}

// start runs a gateway until the test ends.
func start(t *testing.T) *server {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serving+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // what it measured was told
	})
	s := &server{t: t, pid: cmd.Process.Pid}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&s.hello); err != nil {
		t.Fatal(err)
	}
	s.prov = gatewayclient.Provider{HostURI: "https://" + s.Addr, Pins: [][]byte{s.Pin}, Address: gatewaytest.NewAccount("provider").Address}
	return s
}

func (s *server) state() (st state) {
	s.t.Helper()
	resp, err := http.Get(s.Control)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		s.t.Fatal(err)
	}
	return st
}

// resident is the memory of the gateway's process in bytes.
func (s *server) resident() int64 {
	s.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return n << 10
		}
	}
	s.t.Fatal("the process tells no memory")
	return 0
}

// lease is a lease of an owner with the gateway.
func (s *server) lease(owner gatewaytest.Account) markettypes.LeaseID {
	return markettypes.LeaseID{Owner: owner.Address, Dseq: 7, Gseq: 1, Oseq: 1, Provider: s.prov.Address}
}
