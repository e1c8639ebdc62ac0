// Package registry serves a local OCI registry that survives its own restart,
// and makes images out of single programs.
package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	upstream "github.com/google/go-containerregistry/pkg/registry"
)

// maxManifest bounds what is read of a manifest; real ones are a few KiB.
const maxManifest = 4 << 20

// Config configures a registry.
type Config struct {
	// Dir holds blobs and manifests.
	Dir string
	// Writers are the addresses that may push. Everyone may pull: pods reach
	// the registry's address too, and none of them may replace an image.
	Writers []netip.Addr
}

// What lies below private/ is for those who know the password, as in a
// registry that is not open to all: credentials can be tried with it.
const (
	PrivatePrefix   = "private/"
	PrivateUser     = "reader"
	PrivatePassword = "localkube-private"
)

// storedManifest is a manifest as it is kept on disk, one file each.
type storedManifest struct {
	Path        string `json:"path"` // of the request that put it
	ContentType string `json:"content_type"`
	Body        []byte `json:"body"`
}

type server struct {
	cfg   Config
	inner http.Handler
}

// Handler returns the registry's HTTP handler, with the manifests that Dir
// already holds. Blobs are kept on disk by the library; manifests, which it
// keeps in memory only, are kept here and given back to it.
func Handler(cfg Config) (http.Handler, error) {
	blobs, manifests := filepath.Join(cfg.Dir, "blobs"), filepath.Join(cfg.Dir, "manifests")
	for _, dir := range []string{blobs, manifests} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make the registry's directory: %w", err)
		}
	}
	quiet := log.New(io.Discard, "", 0)
	s := &server{cfg: cfg, inner: upstream.New(upstream.WithBlobHandler(upstream.NewDiskBlobHandler(blobs)), upstream.Logger(quiet))}
	if err := s.restore(); err != nil {
		return nil, err
	}
	return s, nil
}

// Serve listens on addr until ctx ends.
func Serve(ctx context.Context, addr string, cfg Config) error {
	h, err := Handler(cfg)
	if err != nil {
		return err
	}
	srv := &http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the registry on %s: %w", addr, err)
	case <-ctx.Done():
		return srv.Close()
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case reads && !s.mayRead(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="localkube"`)
		http.Error(w, "this image needs a user name and a password", http.StatusUnauthorized)
	case reads:
		s.inner.ServeHTTP(w, r)
	case !s.mayWrite(r.RemoteAddr):
		http.Error(w, "only the machine itself may push", http.StatusForbidden)
	case r.Method == http.MethodPut && isManifest(r.URL):
		s.putManifest(w, r)
	default:
		s.inner.ServeHTTP(w, r)
	}
}

// mayRead asks for the password of a private image, but not those who may
// replace it.
func (s *server) mayRead(r *http.Request) bool {
	if !strings.HasPrefix(r.URL.Path, "/v2/"+PrivatePrefix) || s.mayWrite(r.RemoteAddr) {
		return true
	}
	user, password, given := r.BasicAuth()
	return given && user == PrivateUser && password == PrivatePassword
}

func (s *server) mayWrite(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || slices.Contains(s.cfg.Writers, ip.Unmap()))
}

// putManifest lets the library check and take a manifest, then keeps it.
func (s *server) putManifest(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxManifest))
	if err != nil {
		http.Error(w, "manifest too large", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	s.inner.ServeHTTP(answer, r)
	if answer.Code/100 == 2 {
		m := storedManifest{Path: r.URL.Path, ContentType: r.Header.Get("Content-Type"), Body: body}
		if err := s.keep(m); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// keep writes a manifest under a name of its own, whole or not at all.
func (s *server) keep(m storedManifest) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	file := filepath.Join(s.cfg.Dir, "manifests", url.PathEscape(m.Path))
	if err := errors.Join(os.WriteFile(file+".new", data, 0o644), os.Rename(file+".new", file)); err != nil {
		return fmt.Errorf("keep manifest: %w", err)
	}
	return nil
}

// restore puts the kept manifests into the library. Image indexes refer to
// other manifests, so what is refused is tried again after the rest; what is
// still refused then was incomplete and is dropped with its image.
func (s *server) restore() error {
	dir := filepath.Join(s.cfg.Dir, "manifests")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list manifests: %w", err)
	}
	var pending []storedManifest
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".new") {
			continue
		}
		var m storedManifest
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("read manifest: %w", err)
		}
		if json.Unmarshal(data, &m) == nil {
			pending = append(pending, m)
		}
	}
	for range 3 { // an index of indexes is as deep as anyone goes
		pending = slices.DeleteFunc(pending, s.replay)
	}
	return nil
}

func (s *server) replay(m storedManifest) (taken bool) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPut, "http://localhost"+m.Path, bytes.NewReader(m.Body))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", m.ContentType)
	answer := httptest.NewRecorder()
	s.inner.ServeHTTP(answer, r)
	return answer.Code/100 == 2
}

// isManifest says whether u is /v2/NAME/manifests/REFERENCE.
func isManifest(u *url.URL) bool {
	parts := strings.Split(u.Path, "/")
	return len(parts) >= 5 && parts[len(parts)-2] == "manifests"
}
