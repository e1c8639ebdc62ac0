package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

func init() { subcommands["net"] = network }

// network serves ports and dials others on request:
//
//	probe net [-at ADDRESS,...] [-ports 7001,7002] [-tls 7003] [-udp 7004] [-control ADDRESS:PORT] [-first JSON] [-last JSON]
//
// Each port answers http over tcp (-tls: over TLS, with a certificate of no authority) and sends datagrams back (-udp:
// nothing else), at all addresses or those of -at. The control port takes lists of targets at /dial, tells at /received
// what datagrams came, at /addresses which IPv6 addresses there are, and at /first what came of the targets of -first,
// which are dialled at once when the process starts, again and again for a second and a half; /relay/HOST/PATH leads to
// another one. Told to end, it dials the targets of -last until it is killed, and ends at once if there are none.
func network(args []string) error {
	flags := flag.NewFlagSet("net", flag.ContinueOnError)
	ports := flags.String("ports", "", "ports to serve")
	secure := flags.String("tls", "", "those of them that speak TLS")
	datagrams := flags.String("udp", "", "ports to serve in udp alone")
	at := flags.String("at", "", "addresses to serve at")
	control := flags.String("control", "", "address and port of the control server")
	first := flags.String("first", "[]", "targets to dial at once")
	last := flags.String("last", "[]", "targets to dial when told to end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var firstActs, lastActs []netTarget
	if err := errors.Join(json.Unmarshal([]byte(*first), &firstActs), json.Unmarshal([]byte(*last), &lastActs)); err != nil {
		return err
	}
	p := &netProbe{received: []string{}, through: []string{}}
	go p.attempt(firstActs)
	go atTheEnd(lastActs)
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	addresses := fields(*at)
	if len(addresses) == 0 {
		addresses = []string{""}
	}
	for _, address := range addresses {
		for _, port := range fields(*ports) {
			var config *tls.Config
			if slices.Contains(fields(*secure), port) {
				config = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
			}
			if err := serveStream(net.JoinHostPort(address, port), name, config); err != nil {
				return err
			}
		}
		for _, port := range append(fields(*ports), fields(*datagrams)...) {
			if err := p.serveDatagrams(net.JoinHostPort(address, port), name); err != nil {
				return err
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /dial", dialAll)
	mux.HandleFunc("GET /received", func(w http.ResponseWriter, _ *http.Request) { p.tell(w, &p.received) })
	mux.HandleFunc("GET /first", func(w http.ResponseWriter, _ *http.Request) { p.tell(w, &p.through) })
	mux.HandleFunc("GET /addresses", addressesIPv6)
	mux.Handle("/relay/{host}/{path}", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL = &url.URL{Scheme: "http", Host: r.In.PathValue("host"), Path: "/" + r.In.PathValue("path")}
	}})
	srv := &http.Server{Addr: *control, Handler: mux, ReadHeaderTimeout: time.Minute}
	return srv.ListenAndServe()
}

func addressesIPv6(w http.ResponseWriter, _ *http.Request) {
	found := []string{}
	interfaces, err := net.Interfaces()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() == nil {
				found = append(found, n.IP.String()+"%"+i.Name)
			}
		}
	}
	_ = json.NewEncoder(w).Encode(found)
}

func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// netTarget is what is dialled. Proto is tcp, udp, http, tls, icmp, dns-tcp or dns-udp; Host is the name that is asked
// for, over http, TLS or DNS, and what a datagram says. Patience is how long to try, in milliseconds. With Any a refusal
// will do, as it shows that the target's host was reached.
type netTarget struct {
	Proto, Addr, Host string
	Patience          int
	Any               bool
}

// netOutcome is open when the target answered, refused when its host said that nobody is there, and silent otherwise.
type netOutcome struct{ Outcome, Detail string }

type netProbe struct {
	mu        sync.Mutex
	received  []string
	through   []string
	attempted bool
}

// maxNotes bounds what is remembered.
const maxNotes = 20_000

func (p *netProbe) note(list *[]string, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(*list) < maxNotes {
		*list = append(*list, text)
	}
}

// tell answers with a list, or that it is too early for it.
func (p *netProbe) tell(w http.ResponseWriter, list *[]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.attempted {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(*list)
}

func serveStream(address, name string, config *tls.Config) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "probe", name, address)
	})}
	go func() { _ = srv.Serve(l) }()
	return nil
}

func (p *netProbe) serveDatagrams(address, name string) error {
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			p.note(&p.received, string(buf[:n]))
			_, _ = conn.WriteTo(fmt.Appendf(nil, "probe %s %s", name, address), from)
		}
	}()
	return nil
}

// dialAll tries all targets at the same time.
func dialAll(w http.ResponseWriter, r *http.Request) {
	var targets []netTarget
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&targets); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	outcomes := make([]netOutcome, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() { outcomes[i] = t.try() })
	}
	wg.Wait()
	_ = json.NewEncoder(w).Encode(outcomes)
}

// try dials until the target answers or patience ends.
func (t netTarget) try() netOutcome {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(t.Patience)*time.Millisecond)
	defer cancel()
	last := netOutcome{Outcome: "silent"}
	for {
		detail, err := t.dial(ctx)
		if err == nil {
			return netOutcome{"open", detail}
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			last.Outcome = "refused"
		}
		last.Detail = err.Error()
		if t.Any && last.Outcome == "refused" {
			return last
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (t netTarget) dial(ctx context.Context) (string, error) {
	var d net.Dialer
	switch t.Proto {
	case "tcp":
		conn, err := d.DialContext(ctx, "tcp", t.Addr)
		if err != nil {
			return "", err
		}
		return "", conn.Close()
	case "udp":
		return t.datagram(ctx)
	case "icmp":
		return "", t.ping(ctx)
	case "http":
		return t.get(ctx)
	case "tls":
		td := tls.Dialer{Config: &tls.Config{ServerName: t.Host, InsecureSkipVerify: true}} //nolint:gosec // whoever answers is looked at, not trusted
		conn, err := td.DialContext(ctx, "tcp", t.Addr)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		if c, ok := conn.(*tls.Conn); !ok || c.ConnectionState().PeerCertificates[0].Subject.CommonName != "probe" {
			return "", errors.New("somebody else answers")
		}
		return "", nil
	case "dns-tcp", "dns-udp":
		_, proto, _ := strings.Cut(t.Proto, "-")
		resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, proto, t.Addr)
		}}
		addrs, err := resolver.LookupHost(ctx, t.Host)
		return strings.Join(addrs, " "), err
	}
	return "", fmt.Errorf("unknown protocol %q", t.Proto)
}

// again is how long one attempt waits for an answer, where the kernel does not send again by itself.
const again = 500 * time.Millisecond

func attemptUntil(ctx context.Context) time.Time {
	until := time.Now().Add(again)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		return deadline
	}
	return until
}

func (t netTarget) datagram(ctx context.Context) (string, error) {
	conn, err := net.Dial("udp", t.Addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(t.Host)); err != nil {
		return "", err
	}
	_ = conn.SetReadDeadline(attemptUntil(ctx))
	buf := make([]byte, 2048)
	n, err := conn.Read(buf)
	return string(buf[:n]), err
}

func (t netTarget) get(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Addr+"/", nil)
	if err != nil {
		return "", err
	}
	req.Host = t.Host
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && (resp.StatusCode != http.StatusOK || !bytes.HasPrefix(body, []byte("probe "))) {
		err = fmt.Errorf("%d %q", resp.StatusCode, body)
	}
	return string(body), err
}

// ping sends an echo request through a socket for which nobody needs rights.
func (t netTarget) ping(ctx context.Context) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, syscall.IPPROTO_ICMP)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	ip := net.ParseIP(t.Addr).To4()
	if ip == nil {
		return fmt.Errorf("%q is not an IPv4 address", t.Addr)
	}
	wait := syscall.NsecToTimeval(max(time.Until(attemptUntil(ctx)), time.Millisecond).Nanoseconds())
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait); err != nil {
		return err
	}
	to := &syscall.SockaddrInet4{Addr: [4]byte(ip)}
	if err := syscall.Sendto(fd, []byte{8, 0, 0, 0, 0, 0, 0, 1, 'h', 'i'}, 0, to); err != nil {
		return err
	}
	_, _, err = syscall.Recvfrom(fd, make([]byte, 64), 0)
	return err
}

// attempt is the first act of an instance.
func (p *netProbe) attempt(targets []netTarget) {
	begin := time.Now()
	var wg sync.WaitGroup
	for _, t := range targets {
		wg.Go(func() {
			for time.Since(begin) < 1500*time.Millisecond {
				ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
				_, err := t.dial(ctx)
				cancel()
				if err == nil {
					p.note(&p.through, fmt.Sprintf("%s %s after %s", t.Proto, t.Addr, time.Since(begin)))
				}
			}
		})
	}
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempted = true
}

// atTheEnd is the last act of an instance. The first process of a container ends by a signal only if it asks for it.
func atTheEnd(targets []netTarget) {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	for len(targets) > 0 {
		for _, t := range targets {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			_, _ = t.dial(ctx)
			cancel()
		}
	}
	os.Exit(0)
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	template.Subject.CommonName = "probe"
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
