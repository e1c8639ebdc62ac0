package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func init() { subcommands["web"] = web }

// web serves http and gRPC's health service on port 8080, without TLS, and on port 8443 with a certificate that it makes.
func web([]string) error {
	var failures atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, "web host=%s tls=%v proto=%s body=%d", r.Host, r.TLS != nil, r.Proto, n)
	})
	// /slow answers after the duration of its query's wait.
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		wait, err := time.ParseDuration(r.FormValue("wait"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
		}
		_, _ = fmt.Fprint(w, "slow")
	})
	// /flaky fails two of three requests.
	mux.HandleFunc("/flaky", func(w http.ResponseWriter, _ *http.Request) {
		if failures.Add(1)%3 != 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprint(w, "flaky")
	})
	// /upgrade gives the connection to an echo, as WebSockets begin.
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.Copy(conn, rw)
	})
	cert, err := ownCertificate()
	if err != nil {
		return err
	}
	calls := grpc.NewServer()
	healthpb.RegisterHealthServer(calls, health.NewServer())
	either := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			calls.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
	errs := make(chan error, 2)
	go func() {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetUnencryptedHTTP2(true)
		errs <- (&http.Server{Addr: ":8080", Handler: either, ReadHeaderTimeout: time.Minute, Protocols: protocols}).ListenAndServe()
	}()
	go func() {
		s := &http.Server{Addr: ":8443", Handler: either, ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
		errs <- s.ListenAndServeTLS("", "")
	}()
	return <-errs
}

func ownCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"probe.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
