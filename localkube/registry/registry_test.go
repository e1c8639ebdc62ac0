package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func program(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(file, []byte("#!not really\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func serve(t *testing.T, cfg Config) string {
	t.Helper()
	h, err := Handler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

func pull(t *testing.T, ref string) (v1.Image, error) {
	t.Helper()
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return remote.Image(r, remote.WithContext(t.Context()))
}

func TestAnImageSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	first := serve(t, Config{Dir: dir})
	digest, err := Push(t.Context(), first+"/berth.local/hello:1", Image{Path: program(t), Env: []string{"A=b"}, User: "65532"})
	if err != nil {
		t.Fatal(err)
	}
	img, err := pull(t, serve(t, Config{Dir: dir})+"/berth.local/hello:1")
	if err != nil {
		t.Fatalf("pull after a restart: %v", err)
	}
	if got, _ := img.Digest(); got.String() != digest {
		t.Errorf("pulled %s, pushed %s", got, digest)
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Config.Entrypoint[0] != "/hello" || cfg.Config.User != "65532" || cfg.Config.Env[1] != "A=b" {
		t.Errorf("configuration = %+v", cfg.Config)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers = %d, %v; want 1", len(layers), err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(entries(t, r), " "); got != "tmp/ etc/ hello" {
		t.Errorf("layer holds %q", got)
	}
}

func entries(t *testing.T, r io.Reader) (names []string) {
	t.Helper()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestSameFilesSameDigest(t *testing.T) {
	file := program(t)
	var digests [2]string
	for i := range digests {
		img, err := Build(Image{Path: file})
		if err != nil {
			t.Fatal(err)
		}
		h, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[i] = h.String()
		if err := os.Chtimes(file, now(i), now(i)); err != nil {
			t.Fatal(err)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("digests differ: %v", digests)
	}
}

func TestADirectoryNeedsOneProgram(t *testing.T) {
	dir := t.TempDir()
	for i, want := range []bool{false, true, false} { // programs in the directory: 0, 1, 2
		if i > 0 {
			if err := os.WriteFile(filepath.Join(dir, "p"+string(rune('0'+i))), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Build(Image{Path: dir}); (err == nil) != want {
			t.Errorf("%d programs: error %v, want success %v", i, err, want)
		}
	}
	if _, err := Build(Image{Path: dir, Entrypoint: []string{"/p1"}}); err != nil {
		t.Errorf("with an entry point: %v", err)
	}
}

// TestLinksStayLinks: a link names what it names in the image, and nothing of the machine that the image is made on.
func TestLinksStayLinks(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "busybox"), nil, 0o755), os.Symlink("busybox", filepath.Join(dir, "sh")), os.Symlink("/etc/shadow", filepath.Join(dir, "x")), os.Mkdir(filepath.Join(dir, "tmp"), 0o755)); err != nil {
		t.Fatal(err)
	}
	data, program, err := pack(dir)
	if err != nil || program != "/busybox" {
		t.Fatalf("program %q, %v", program, err)
	}
	links, seen := map[string]string{}, map[string]bool{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if seen[h.Name] {
			t.Errorf("%s is there twice, which docker refuses", h.Name)
		}
		seen[h.Name] = true
		if h.Typeflag == tar.TypeSymlink {
			links[h.Name] = h.Linkname
		}
	}
	if len(links) != 2 || links["sh"] != "busybox" || links["x"] != "/etc/shadow" {
		t.Errorf("links %v", links)
	}
}

func TestOnlyWritersPush(t *testing.T) {
	h, err := Handler(Config{Dir: t.TempDir(), Writers: []netip.Addr{netip.MustParseAddr("10.200.0.1")}})
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]int{
		"10.200.0.1:9": http.StatusAccepted, "127.0.0.1:9": http.StatusAccepted, "[::1]:9": http.StatusAccepted,
		"10.244.0.7:9": http.StatusForbidden, "10.200.0.2:9": http.StatusForbidden, "nonsense": http.StatusForbidden,
	} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v2/a/blobs/uploads/", bytes.NewReader(nil))
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("push from %s = %d, want %d", from, w.Code, want)
		}
	}
}

func TestDamagedManifestsAreDropped(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "manifests"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a": "{", "b": `{"path":"/v2/x/manifests/1","body":"e30="}`, "c.new": "half"} {
		if err := os.WriteFile(filepath.Join(dir, "manifests", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Handler(Config{Dir: dir}); err != nil {
		t.Errorf("Handler = %v, want nil", err)
	}
}

func now(i int) time.Time { return time.Unix(int64(1000*(i+1)), 0) }
