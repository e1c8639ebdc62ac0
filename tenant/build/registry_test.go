package build

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const (
	indexDigest    = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	manifestDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	configDigest   = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
)

// registryOf serves one image; what opens it is asked for as guarded says: not, basic or bearer.
func registryOf(t *testing.T, guarded string) (host string) {
	t.Helper()
	const login = "me:kanarienvogel"
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(login))
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	answer := func(path, body string) {
		mux.HandleFunc("GET /v2/me/shop/"+path, func(w http.ResponseWriter, r *http.Request) {
			given := r.Header.Get("Authorization")
			switch {
			case guarded == "basic" && given != basic:
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			case guarded == "bearer" && given != "Bearer open":
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="x",scope="other"`, server.URL))
			case guarded == "elsewhere" && given == "":
				w.Header().Set("WWW-Authenticate", `Bearer realm="http://192.0.2.1/token",service="x"`)
			default:
				_, _ = w.Write([]byte(body))
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
		})
	}
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == basic && r.FormValue("scope") == "repository:me/shop:pull" && r.FormValue("service") == "x" {
			_, _ = w.Write([]byte(`{"token": "open"}`))
			return
		}
		w.WriteHeader(http.StatusForbidden)
	})
	answer("manifests/"+indexDigest, fmt.Sprintf(`{"manifests": [{"digest": "x", "platform": {"os": "unknown", "architecture": "unknown"}},
		{"digest": %q, "platform": {"os": "linux", "architecture": %q}}]}`, manifestDigest, runtime.GOARCH))
	answer("manifests/"+manifestDigest, fmt.Sprintf(`{"config": {"digest": %q}}`, configDigest))
	answer("manifests/"+configDigest, `{"layers": []}`)
	answer("blobs/"+configDigest, `{"config": {"ExposedPorts": {"8000/tcp": {}, "9000/udp": {}}}}`)
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte(login)))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return host
}

func TestExposed(t *testing.T) {
	for _, guarded := range []string{"", "basic", "bearer"} {
		host := registryOf(t, guarded)
		for _, digest := range []string{indexDigest, manifestDigest} {
			ports, err := exposed(t.Context(), http.DefaultClient, host+"/me/shop", digest)
			if _, ok := ports["8000/tcp"]; err != nil || !ok || len(ports) != 2 {
				t.Errorf("%q, %s: %v, %v", guarded, digest, ports, err)
			}
		}
	}
	host := registryOf(t, "elsewhere")
	for name, digest := range map[string]string{host + "/me/shop": indexDigest, host + "/me/other": indexDigest} {
		if ports, err := exposed(t.Context(), http.DefaultClient, name, digest); err == nil || strings.Contains(err.Error(), "kanarienvogel") {
			t.Errorf("%s: %v, %v", name, ports, err)
		}
	}
	host = registryOf(t, "")
	if ports, err := exposed(t.Context(), http.DefaultClient, host+"/me/shop", configDigest); err == nil {
		t.Errorf("no configuration: %v", ports)
	}
	host = registryOf(t, "basic")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	if ports, err := exposed(t.Context(), http.DefaultClient, host+"/me/shop", indexDigest); err == nil {
		t.Errorf("without a login: %v", ports)
	}
}

func TestHere(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "[::1]:5000": true, "10.0.0.1:5000": false, "localhost.example.com": false, "ghcr.io": false,
	} {
		if here(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
}

func TestExposedBy(t *testing.T) {
	for text, want := range map[string]uint32{
		"FROM x\nEXPOSE 8000\n": 8000, "FROM x\nexpose 8000/tcp 53/udp\n": 8000, "FROM x\nEXPOSE 8000 9000\n": 0, "FROM x\nEXPOSE $PORT\n": 0,
		"FROM x\nEXPOSE 8000\nFROM y\nCOPY --from=0 /a /\n": 0, "FROM x\nEXPOSE 1\nFROM y\nEXPOSE 8000\nEXPOSE 8000\n": 8000, "FROM x\nEXPOSE 3000-3005\n": 0, "": 0,
	} {
		if got := ExposedBy(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
