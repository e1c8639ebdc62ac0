package link

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// sink takes all that comes, and answers with one byte at its end.
func sink(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 256<<10)
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, buf)
				_, _ = c.Write([]byte{1})
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// plainPair is a pair of proxies with a TLS connection for each connection, and nothing else.
func plainPair(t testing.TB, p *pair, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	inner, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{p.west.cfg.TLS}, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inner.Close(); _ = outer.Close() })
	carry := func(a, b duplex) {
		done := make(chan struct{})
		one := func(to, from duplex) {
			_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 64<<10))
			_ = to.CloseWrite()
			done <- struct{}{}
		}
		go one(a, b)
		go one(b, a)
		<-done
		<-done
		_ = a.Close()
		_ = b.Close()
	}
	serve := func(l net.Listener, dial func() (net.Conn, error)) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				far, err := dial()
				if err != nil {
					_ = c.Close()
					return
				}
				carry(c.(duplex), far.(duplex))
			}()
		}
	}
	go serve(inner, func() (net.Conn, error) { return net.Dial("tcp", to.String()) })
	go serve(outer, func() (net.Conn, error) {
		return tls.Dial("tcp", inner.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	})
	return outer.Addr().(*net.TCPAddr).AddrPort()
}

// BenchmarkAgainstPlain carries 64 MiB and 300 small messages by a plain pair of TLS proxies and by a link, in turn, and
// gives the medians: the link's part of the pair's throughput, and what it adds to the time of a message there and back.
func BenchmarkAgainstPlain(b *testing.B) {
	p := newPair(b)
	at := p.door(b)
	drain, back := sink(b), echo(b)
	throughput := func(to netip.AddrPort) float64 {
		c := dialDoor(b, to)
		_ = c.SetDeadline(time.Now().Add(10 * time.Minute))
		buf := make([]byte, 128<<10)
		start := time.Now()
		for range 512 {
			if _, err := c.Write(buf); err != nil {
				b.Fatal(err)
			}
		}
		_ = c.CloseWrite()
		if _, err := io.ReadFull(c, buf[:1]); err != nil {
			b.Fatal(err)
		}
		return 64 / time.Since(start).Seconds()
	}
	latency := func(to netip.AddrPort) time.Duration {
		c := dialDoor(b, to)
		mustAnswer(b, c)
		var all []time.Duration
		for range 300 {
			start := time.Now()
			mustAnswer(b, c)
			all = append(all, time.Since(start))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	plainDrain, plainBack := plainPair(b, p, drain), plainPair(b, p, back)
	var ratios, speeds, added []float64
	for b.Loop() {
		p.west.cluster.PlaceInstances("db", drain)
		plain, link := throughput(plainDrain), throughput(at)
		ratios, speeds = append(ratios, link/plain), append(speeds, link)
		p.west.cluster.PlaceInstances("db", back)
		added = append(added, float64((latency(at) - latency(plainBack)).Microseconds()))
	}
	median := func(x []float64) float64 {
		slices.Sort(x)
		return x[len(x)/2]
	}
	b.ReportMetric(100*median(ratios), "%-of-plain")
	b.ReportMetric(median(speeds), "MiB/s")
	b.ReportMetric(median(added), "added-us-p50")
}
