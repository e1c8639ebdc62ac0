package build

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// guarded is a registry that only one user may read. It has an image by itself, and one of several platforms.
func guarded(t *testing.T) (repository string, single, several v1.Hash) {
	t.Helper()
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "kanarienvogel" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	repository = strings.TrimPrefix(server.URL, "http://") + "/me/shop"
	put := func(tag string, write func(ref name.Tag, as remote.Option) error) {
		ref, err := name.NewTag(repository + ":" + tag)
		if err == nil {
			err = write(ref, remote.WithAuth(&authn.Basic{Username: "me", Password: "kanarienvogel"}))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	image, err := mutate.Config(empty.Image, v1.Config{ExposedPorts: map[string]struct{}{"8000/tcp": {}, "9000/udp": {}}})
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: empty.Image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}},
		mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}})
	put("single", func(ref name.Tag, as remote.Option) error { return remote.Write(ref, image, as) })
	put("several", func(ref name.Tag, as remote.Option) error { return remote.WriteIndex(ref, index, as) })
	if single, err = image.Digest(); err != nil {
		t.Fatal(err)
	}
	if several, err = index.Digest(); err != nil {
		t.Fatal(err)
	}
	return repository, single, several
}

func TestExposed(t *testing.T) {
	repository, single, several := guarded(t)
	dir := t.TempDir()
	host, _, _ := strings.Cut(repository, "/")
	config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, base64.StdEncoding.EncodeToString([]byte("me:kanarienvogel")))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	for _, digest := range []v1.Hash{single, several} {
		ports, err := exposed(t.Context(), remote.DefaultTransport, repository, digest.String())
		if _, ok := ports["8000/tcp"]; err != nil || !ok || len(ports) != 2 {
			t.Errorf("%s: %v, %v", digest, ports, err)
		}
	}
	absent := "sha256:" + strings.Repeat("0", 64)
	for name, digest := range map[string]string{repository: absent, "not a name": single.String()} {
		if ports, err := exposed(t.Context(), remote.DefaultTransport, name, digest); err == nil || strings.Contains(err.Error(), "kanarienvogel") {
			t.Errorf("%s: %v, %v", name, ports, err)
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	if ports, err := exposed(t.Context(), remote.DefaultTransport, repository, single.String()); err == nil {
		t.Errorf("without a login: %v", ports)
	}
}
