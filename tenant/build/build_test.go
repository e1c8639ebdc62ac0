package build_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	upstream "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"berth.dev/berth/tenant/build"
)

var update = flag.Bool("update", false, "write the golden files anew")

// bench is a machine with programs that stand in for builders: they write down what they are called with, and what they
// are given to build.
type bench struct {
	dir  string
	has  []string
	log  bytes.Buffer
	tree build.Tree
	// registry has the image that the stand-ins build.
	registry registry
}

// fake answers as the three builders do, as far as they are asked.
var fake = `#!/bin/sh
here=$(dirname "$0"); me=$(basename "$0"); context= file= report= meta= secret=
printf '%s' "$me" >>"$here/calls"
for a; do printf ' %s' "$a" >>"$here/calls"; done
echo >>"$here/calls"
[ -f "$here/down-$me" ] && { echo "Hello." >&2; echo "Cannot connect to the daemon." >&2; exit 1; }
last=
for a; do
  case "$last" in --file) file=$a;; --path) context=$a;; --report-output-dir) report=$a;; --metadata-file) meta=$a;; esac
  case "$a" in
    context=*) context=${a#context=};; dockerfile=*) file=${a#dockerfile=}/Dockerfile;; id=*,src=*) secret=${a#*,src=};;
  esac
  last=$a
done
case "$me $1 $2" in
"docker version "*) [ -f "$here/old-client" ] && echo 20.10.24 20.10.24 || echo 29.0.1 29.0.1;;
"docker buildx version") [ -f "$here/no-buildx" ] && exit 1; echo buildx;;
"docker image inspect") echo '[{"RepoDigests":["other/shop@` + digest + `","registry.example.com/me/shop@` + digest + `"],"Config":{"ExposedPorts":{"8000/tcp":{},"53/udp":{},"443/tcp":{}}}}]';;
*" build "*)
  [ "$me" = docker ] && context=$last
  (cd "$context" && find . ! -type d | sort | while read -r f; do [ -x "$f" ] && echo "$f*" || echo "$f"; done) >>"$here/context"
  [ -n "$file" ] && cat "$file" >>"$here/dockerfile"
  [ -n "$secret" ] && cat "$secret" >>"$here/secret"
  [ -n "$meta" ] && echo '{"containerimage.digest":"` + digest + `"}' >"$meta"
  [ -n "$report" ] && printf '[image]\ntags = ["x"]\n  digest = "` + digest + `"\n' >"$report/report.toml"
  [ -f "$here/broken" ] && { echo "step 3 failed" >&2; exit 17; }
  ;;
esac
exit 0
`

func newBench(t *testing.T, files map[string]string, has ...string) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), has: has, tree: build.Tree{Dir: t.TempDir()}, registry: newRegistry(t, "registry.example.com/me/shop")}
	for _, name := range has {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(fake), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		mode := fs.FileMode(0o644)
		if rest, ok := strings.CutSuffix(name, "*"); ok {
			name, mode = rest, 0o755
		}
		at := filepath.Join(b.tree.Dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// image is one that exposes ports, as the stand-ins say to have built it, and digest its own.
var (
	image  = exposing("443/tcp", "8000/tcp", "53/udp")
	digest = digestOf(image)
)

func exposing(ports ...string) v1.Image {
	config := v1.Config{ExposedPorts: map[string]struct{}{}}
	for _, p := range ports {
		config.ExposedPorts[p] = struct{}{}
	}
	out, err := mutate.Config(empty.Image, config)
	if err != nil {
		panic(err)
	}
	return out
}

func digestOf(i v1.Image) string {
	h, err := i.Digest()
	if err != nil {
		panic(err)
	}
	return h.String()
}

// registry is a registry of any host that has the image.
type registry struct{ http.Handler }

func newRegistry(t *testing.T, repository string) registry {
	t.Helper()
	r := registry{upstream.New(upstream.Logger(log.New(io.Discard, "", 0)))}
	ref, err := name.NewTag(repository)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithTransport(r), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r registry) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	served := req.Clone(req.Context())
	if served.Body == nil { // as a server never has it
		served.Body = http.NoBody
	}
	r.ServeHTTP(w, served)
	res := w.Result()
	res.Request = req
	return res, nil
}

// mark makes a file that the stand-ins look for.
func (b *bench) mark(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) image(t *testing.T, r build.Recipe, repository string) (build.Built, error) {
	t.Helper()
	builder := build.Builder{Log: &b.log, Transport: b.registry, Look: func(name string) (string, error) {
		if !slices.Contains(b.has, name) {
			return "", exec.ErrNotFound
		}
		return filepath.Join(b.dir, name), nil
	}}
	return builder.Image(t.Context(), b.tree, r, repository)
}

// said is what the builders wrote down, with the private directory's name left out.
func (b *bench) said(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	words := strings.FieldsFunc(string(data), func(r rune) bool { return r == ' ' || r == '=' || r == ',' || r == '\n' })
	out := string(data)
	for _, w := range words {
		if i := strings.Index(w, "/berth-build-"); i >= 0 {
			end := i + 1 + strings.IndexByte(w[i+1:]+"/", '/')
			out = strings.ReplaceAll(out, w[:end], "DIR")
		}
	}
	return out
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	at := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (go test -update writes it anew): %s", at, d)
	}
}

var python = map[string]string{
	"akinon.json": "{}", "Procfile": "web: gunicorn app:app -b 0.0.0.0:8008\n", "app.py": "app = 1\n",
	"build.sh*": "#!/bin/bash\nset -euo pipefail\npip install -r requirements.txt\n", "sub/x.py": "", ".git/config": "", ".gitignore": "*.pyc\n",
	"x.pyc": "", "sub/y.pyc": "",
}

// TestBuilds holds, for each way to build, the calls of the builders, what they are given and what they are to make of it.
func TestBuilds(t *testing.T) {
	runtime := build.Recipe{Runtime: "python:3.10-slim", Script: "build.sh", Command: []string{"gunicorn", "app:app", "-b", "0.0.0.0:8008"}}
	own := map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\nCMD [\"/run\"]", "run*": "x", ".dockerignore": "Dockerfile\n", "a.txt": ""}
	secret := build.Recipe{Predeploy: "touch /app/predeploy.test", Env: map[string]string{"A": "it's", "B": "kanarienvogel", "not-a-name": "x"}}
	packs := build.Recipe{Buildpacks: []string{"heroku/python", "heroku/nodejs"}}
	packsThen := packs
	packsThen.Predeploy, packsThen.Env = secret.Predeploy, secret.Env
	for name, tc := range map[string]struct {
		files  map[string]string
		has    []string
		recipe build.Recipe
		to     string
	}{
		"docker-runtime":       {python, []string{"docker", "buildctl"}, runtime, "registry.example.com/me/shop:7"},
		"docker-dockerfile":    {own, []string{"docker"}, build.Recipe{}, "registry.example.com/me/shop"},
		"docker-predeploy":     {own, []string{"docker"}, secret, "registry.example.com/me/shop:7"},
		"buildkit-runtime":     {python, []string{"buildctl"}, runtime, "registry.example.com:5000/shop:7"},
		"buildkit-predeploy":   {own, []string{"buildctl"}, secret, "registry.example.com:5000/shop:7"},
		"buildpacks":           {python, []string{"pack", "docker"}, packs, "registry.example.com/me/shop:7"},
		"buildpacks-predeploy": {python, []string{"pack", "docker"}, packsThen, "registry.example.com/me/shop:7"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, tc.files, tc.has...)
			built, err := b.image(t, tc.recipe, tc.to)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden", "image\n"+built.Ref+"\n\ncalls\n"+b.said(t, "calls")+"\ncontext\n"+b.said(t, "context")+
				"\nDockerfile\n"+b.said(t, "dockerfile")+"\nsecret\n"+b.said(t, "secret"))
			left, err := filepath.Glob(filepath.Join(os.TempDir(), "berth-build-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestScripts holds how a build script runs: by itself if it can, so that bash reads what is written for bash.
func TestScripts(t *testing.T) {
	for name, want := range map[string]string{
		"build.sh*":    `RUN ["./build.sh"]`,
		"build.sh":     `RUN ["sh","./build.sh"]`,
		"scripts/b.sh": `RUN ["sh","./scripts/b.sh"]`,
	} {
		b := newBench(t, map[string]string{name: "#!/bin/bash\nset -euo pipefail\n"}, "docker")
		if _, err := b.image(t, build.Recipe{Runtime: "debian:12-slim", Script: strings.TrimSuffix(name, "*")}, "registry.example.com/me/shop"); err != nil {
			t.Fatal(err)
		}
		if text := b.said(t, "dockerfile"); !strings.Contains(text, want+"\n") || strings.Count(text, "RUN") != 1 {
			t.Errorf("%s: %s", name, text)
		}
	}
	b := newBench(t, map[string]string{"build.sh*": "echo no first line\n"}, "docker")
	if _, err := b.image(t, build.Recipe{Runtime: "debian:12-slim", Script: "build.sh"}, "registry.example.com/me/shop"); err != nil {
		t.Fatal(err)
	}
	if text := b.said(t, "dockerfile"); !strings.Contains(text, `RUN ["sh","./build.sh"]`) {
		t.Error(text)
	}
}

func TestTheSameSourcesHaveTheSameTag(t *testing.T) {
	tag := func(files map[string]string) string {
		b := newBench(t, files, "docker")
		if _, err := b.image(t, build.Recipe{Runtime: "debian:12-slim"}, "registry.example.com/me/shop"); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.said(t, "calls")) {
			if rest, ok := strings.CutPrefix(line, "docker push "); ok {
				return strings.TrimSpace(rest)
			}
		}
		t.Fatal("nothing was pushed")
		return ""
	}
	first := tag(python)
	if again := tag(python); again != first || !strings.HasPrefix(first, "registry.example.com/me/shop:berth-") {
		t.Errorf("%s, then %s", first, again)
	}
	if other := tag(map[string]string{"app.py": "app = 2\n"}); other == first {
		t.Error("other sources have the same tag")
	}
}

func TestFailures(t *testing.T) {
	runtime := build.Recipe{Runtime: "debian:12-slim", Script: "build.sh"}
	for name, tc := range map[string]struct {
		has    []string
		files  map[string]string
		recipe build.Recipe
		to     string
		want   error
		text   string
	}{
		"no builder":    {nil, python, runtime, "r/x", build.ErrNoBuilder, "--image REFERENCE"},
		"no pack":       {[]string{"docker"}, python, build.Recipe{Buildpacks: []string{"heroku/go"}}, "r/x", build.ErrNoBuilder, "pack"},
		"no recipe":     {[]string{"docker"}, python, build.Recipe{}, "r/x", build.ErrNothing, "Dockerfile"},
		"no script":     {[]string{"docker"}, nil, runtime, "r/x", nil, "no file build.sh"},
		"no repository": {[]string{"docker"}, python, runtime, "", nil, "repository"},
		"a digest":      {[]string{"docker"}, python, runtime, "r/x@" + digest, nil, "repository"},
		"other digests": {[]string{"docker"}, python, runtime, "r/x", nil, "no digest"},
		"a fifo's link": {[]string{"docker"}, map[string]string{"build.sh": "", "link!": "../../etc/passwd"}, runtime, "r/x", nil, "leads out of the tree"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for f, text := range tc.files {
				if !strings.HasSuffix(f, "!") {
					files[f] = text
				}
			}
			b := newBench(t, files, tc.has...)
			for f, target := range tc.files {
				if link, ok := strings.CutSuffix(f, "!"); ok {
					if err := os.Symlink(target, filepath.Join(b.tree.Dir, link)); err != nil {
						t.Fatal(err)
					}
				}
			}
			_, err := b.image(t, tc.recipe, tc.to)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%v, want %v with %q", err, tc.want, tc.text)
			}
		})
	}
	b := newBench(t, python, "docker")
	b.mark(t, "broken")
	if _, err := b.image(t, runtime, "r/x"); !errors.Is(err, build.ErrFailed) || !strings.Contains(b.log.String(), "step 3 failed") {
		t.Errorf("%v, log %q", err, b.log.String())
	}
	b = newBench(t, python, "docker", "buildctl") // docker is here, and its daemon is not
	b.mark(t, "down-docker")
	if built, err := b.image(t, runtime, "r/x:1"); err != nil || built.Ref != "r/x@"+digest || !strings.Contains(b.said(t, "calls"), "buildctl build") {
		t.Errorf("%s, %v", built.Ref, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	builder := build.Builder{Log: &b.log, Look: func(string) (string, error) { return filepath.Join(b.dir, "docker"), nil }}
	if _, err := builder.Image(ctx, b.tree, runtime, "r/x"); err == nil {
		t.Error("went on after it was interrupted")
	}
}

// TestHowDockerBuilds: with the BuildKit that its client has, or with buildx; with neither a BuildKit of its own goes
// first, then the older builder, which cannot do predeploy.
func TestHowDockerBuilds(t *testing.T) {
	plain := build.Recipe{Runtime: "debian:12-slim"}
	hooked := build.Recipe{Runtime: "debian:12-slim", Predeploy: "true"}
	for name, tc := range map[string]struct {
		has    []string
		marks  []string
		recipe build.Recipe
		want   string // a call, or the beginning of an error
	}{
		"buildx":                 {[]string{"docker"}, nil, hooked, "build --file DIR/Dockerfile --tag registry.example.com/me/shop:1 --load --secret"},
		"an old client":          {[]string{"docker"}, []string{"old-client", "no-buildx"}, hooked, "build --file DIR/Dockerfile --tag registry.example.com/me/shop:1 --secret"},
		"no buildx":              {[]string{"docker"}, []string{"no-buildx"}, plain, "docker build --file DIR/Dockerfile --tag registry.example.com/me/shop:1 DIR/context"},
		"no buildx and BuildKit": {[]string{"docker", "buildctl"}, []string{"no-buildx"}, plain, "buildctl build"},
		"no buildx, predeploy":   {[]string{"docker"}, []string{"no-buildx"}, hooked, "there is nothing to build with: a build with predeploy needs BuildKit"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil, tc.has...)
			for _, mark := range tc.marks {
				b.mark(t, mark)
			}
			built, err := b.image(t, tc.recipe, "registry.example.com/me/shop:1")
			said := b.said(t, "calls")
			if err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, tc.want) {
				t.Errorf("%s; want %q", said, tc.want)
			}
			if ports := []uint32{443, 8000}; err == nil && !slices.Equal(built.Ports, ports) {
				t.Errorf("ports %v, want %v", built.Ports, ports)
			}
		})
	}
}

// TestWhatIsMissing: each builder is named with what it lacks.
func TestWhatIsMissing(t *testing.T) {
	b := newBench(t, python, "docker")
	b.mark(t, "down-docker")
	_, err := b.image(t, build.Recipe{Runtime: "debian:12-slim"}, "r/x")
	const want = "there is nothing to build with: docker: Cannot connect to the daemon; buildctl is not installed. Install Docker or BuildKit, or start its daemon"
	if !errors.Is(err, build.ErrNoBuilder) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v; want %s", err, want)
	}
}

func TestFile(t *testing.T) {
	b := newBench(t, map[string]string{"a.sh*": "#!/bin/sh\n", "b.sh": "x", "d/c": ""})
	if err := os.Symlink("/etc/passwd", filepath.Join(b.tree.Dir, "out")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][3]bool{
		"a.sh": {true, true, true}, "b.sh": {true, false, false}, "d": {}, "none": {}, "../x": {}, "out": {}, "d/c": {true, false, false},
	} {
		got := b.tree.File(name)
		if [3]bool{got.Exists, got.Executable, got.Shebang} != want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
