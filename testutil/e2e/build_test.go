//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
)

// What opens the private part of the cluster's registry, and what pushes to it by way of the guard below.
const (
	readerName     = "reader"
	readerPassword = "localkube-private"
)

// TestBuilds makes images of sources with a Docker of its own, sends them to the cluster's registry, and deploys them.
func TestBuilds(t *testing.T) {
	startDocker(t)
	pushImages(t, "berth.local/debian:12")
	// The BuildKit of this Docker asks registries by TLS only, its pull does not.
	if out, err := exec.CommandContext(t.Context(), "docker", "pull", marketplace.Registry+"/debian:12").CombinedOutput(); err != nil {
		t.Fatalf("docker pull: %v: %s", err, out)
	}
	t.Run("a Dockerfile", buildsADockerfile)
	t.Run("a runtime and a script", buildsARuntime)
	t.Run("refusals", refusesBuilds)
}

// startDocker runs the Docker of $BERTH_E2E_BUILDER with a network, a state and a socket of its own, and lets programs
// find it, until the test ends.
func startDocker(t *testing.T) {
	t.Helper()
	programs := os.Getenv("BERTH_E2E_BUILDER")
	if _, err := os.Stat(filepath.Join(programs, "bin", "dockerd")); programs == "" || err != nil {
		t.Fatalf("BERTH_E2E_BUILDER=%q has no Docker: scripts/local-builder.sh DIR makes one: %v", programs, err)
	}
	// Sockets have short names.
	dir, err := os.MkdirTemp("", "berth-docker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ports, err := strconv.Atoi(portsBase())
	if err != nil {
		t.Fatal(err)
	}
	bridge := fmt.Sprintf("bbuild%d", ports)
	for _, args := range [][]string{
		{"link", "add", bridge, "type", "bridge"}, {"addr", "add", fmt.Sprintf("10.207.%d.1/24", 8+ports/1000), "dev", bridge}, {"link", "set", bridge, "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
		if args[1] == "add" && args[0] == "link" {
			t.Cleanup(func() { _ = exec.Command("ip", "link", "del", bridge).Run() })
		}
	}
	path := filepath.Join(programs, "bin") + string(os.PathListSeparator) + os.Getenv("PATH")
	t.Setenv("PATH", path)
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "s"))
	at := func(name string) string { return filepath.Join(dir, name) }
	// Docker would use a containerd that runs on this machine, and what others run there.
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n", at("images"), at("containers"), at("c"))
	for name, text := range map[string]string{"containerd.toml": config, "daemon.json": "{}"} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runDaemon(t, programs, "containerd", "--config", at("containerd.toml"))
	eventually(t, "containerd", func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", at("c"))
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	runDaemon(t, programs, "dockerd", "--config-file", at("daemon.json"), "--containerd", at("c"), "--host", os.Getenv("DOCKER_HOST"),
		"--data-root", at("data"), "--exec-root", at("run"), "--pidfile", at("pid"), "--bridge", bridge,
		"--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--insecure-registry", marketplace.Registry)
	eventually(t, "Docker", func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, "docker", "version").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
}

// runDaemon runs one of the builder's programs until the test ends.
func runDaemon(t *testing.T, programs, name string, args ...string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(programs, "bin", name), args...)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(programs, "lib"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %v\n%s", name, err, log.Bytes()[max(0, log.Len()-6000):])
		}
	})
}

// guard stands before the cluster's registry and lets nobody in who does not know the password.
func guard(t *testing.T) (address string) {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: marketplace.Registry})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != readerName || password != readerPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="e2e"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).String()
}

// sources writes an application's files, and beside them the program that it runs. Those whose name ends in * can be run.
func sources(t *testing.T, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		files[name] = strings.ReplaceAll(text, "REGISTRY", marketplace.Registry)
	}
	plain := map[string]string{}
	for name, text := range files {
		plain[strings.TrimSuffix(name, "*")] = text
	}
	dir := written(t, plain)
	for name := range files {
		if name, ok := strings.CutSuffix(name, "*"); ok {
			if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	program, err := os.ReadFile(filepath.Join(os.Getenv("BERTH_BIN"), "probe"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "probe"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// builtOf is the image that a deployment's pods of web run, which is pinned; each of them has a file.
func builtOf(t *testing.T, d deployed, repository, file string) (image string) {
	t.Helper()
	pods := podsOf(t.Context(), t, status(t, d.Dseq), "web")
	if len(pods) == 0 {
		t.Fatal("web has no pods")
	}
	for _, p := range pods {
		image = p.Spec.Containers[0].Image
		if !regexp.MustCompile(`^` + regexp.QuoteMeta(repository) + `@sha256:[0-9a-f]{64}$`).MatchString(image) {
			t.Errorf("pod %s runs %s, want %s with a digest", p.Name, image, repository)
		}
		if _, digest, _ := strings.Cut(image, "@"); !strings.HasSuffix(p.Status.ContainerStatuses[0].ImageID, digest) {
			t.Errorf("pod %s pulled %s, want %s", p.Name, p.Status.ContainerStatuses[0].ImageID, digest)
		}
		out, err := program(t.Context(), "berth", "exec", "--home", marketplace.TenantHome, "--instance", p.Name, strconv.FormatUint(d.Dseq, 10), "web", "--", "cat", file)
		if err != nil {
			t.Errorf("%s in %s: %v", file, p.Name, err)
		}
		t.Logf("%s in %s: %s", file, p.Name, out)
	}
	return image
}

// accountSequence is how many transactions the tenant has sent.
func accountSequence(t *testing.T) uint64 {
	t.Helper()
	var key struct{ Address string }
	berth(t, &key, "keys", "show")
	res, err := authtypes.NewQueryClient(chain(t).Conn()).AccountInfo(t.Context(), &authtypes.QueryAccountInfoRequest{Address: key.Address})
	if err != nil {
		t.Fatal(err)
	}
	return res.Info.Sequence
}

const (
	dockerfile = `FROM REGISTRY/debian:12
WORKDIR /app
COPY . /app
RUN test ! -e secret.txt && test ! -e .git && test -e kept.log && test ! -e dropped.log
RUN mv probe /usr/local/bin/ && chmod 777 /app
EXPOSE 8000
USER 1000
ENV APP_VERSION=built
ENTRYPOINT []
CMD ["probe", "app"]
`
	builtApp = `{
  "name": "built",
  "env": {"TOKEN": {"required": true}},
  "formation": {"web": {"quantity": 2}},
  "scripts": {"dokku": {"predeploy": "touch /app/predeploy.test; printf %s \"$TOKEN\" | wc -c >/app/length"}}
}`
)

// buildsADockerfile: to a registry with a password, whose login both the push and the provider's pull use. predeploy is
// the last step: it sees the variables, its files are in every instance, and of the variables nothing is in the image.
func buildsADockerfile(t *testing.T) {
	const token = "a-token-that-is-nowhere"
	dir := sources(t, map[string]string{
		"app.json": builtApp, "Dockerfile": dockerfile, ".dockerignore": "secret.txt\n*.log\n!kept.log\n", "secret.txt": "x", "kept.log": "x", "dropped.log": "x",
	})
	file := filepath.Join(dir, "app.json")
	repository := guard(t) + "/private/built"
	login := base64.StdEncoding.EncodeToString([]byte(readerName + ":" + readerPassword))
	config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, strings.Split(repository, "/")[0], login)
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d := deploy(t, file, append([]string{"--build", repository, "--registry-auth", "docker", "--env", "TOKEN=" + token}, small...)...)
	web := strings.TrimSuffix(d.URLs[0], "/")
	if err := want(t.Context(), web+"/", "app built"); err != nil {
		t.Error(err)
	}
	if err := want(t.Context(), web+"/env?name=PORT", "8000\n"); err != nil {
		t.Errorf("the image exposes 8000: %v", err)
	}
	image := builtOf(t, d, repository, "/app/predeploy.test")
	if out, err := inside(t.Context(), d.Dseq, "web", "cat /app/length; id -u; ls /run/secrets 2>/dev/null | wc -l"); err != nil || out != fmt.Sprintf("%d\n1000\n0", len(token)) {
		t.Errorf("the length of a variable, the user, and what is left of the secrets: %q, %v", out, err)
	}
	for _, args := range [][]string{{"history", "--no-trunc", image}, {"save", image}} {
		out, err := exec.CommandContext(t.Context(), "docker", args...).Output()
		if err != nil || len(out) == 0 || bytes.Contains(out, []byte(token)) {
			t.Errorf("docker %v: %d bytes, with the value of a variable: %v; %v", args, len(out), bytes.Contains(out, []byte(token)), err)
		}
	}
	refused(t, 2, "E-PREDEPLOY-NEEDS-BUILD", append([]string{"deploy", "--yes", file, "--app", "other", "--image", image, "--env", "TOKEN=x"}, small...)...)
}

const script = `#!/bin/bash
set -euo pipefail
test ! -e secret.txt
true | cat
mv probe /usr/local/bin/probe
echo "built by $BASH" >/app/built
`

// buildsARuntime: a script for bash runs by itself where it can be run, and by sh, with a warning, where it cannot.
func buildsARuntime(t *testing.T) {
	files := map[string]string{
		"akinon.json": `{"name": "built", "runtime": "REGISTRY/debian:12", "scripts": {"build": "build.sh"}, "formation": {"web": {"min": 1, "healthcheck": "/healthz"}}}`,
		"Procfile":    "web: probe app\n", "build.sh*": script, ".gitignore": "secret.txt\n", "secret.txt": "x",
	}
	dir := sources(t, files)
	file, repository := filepath.Join(dir, "akinon.json"), marketplace.Registry+"/built/runtime"
	flags := append([]string{"--build", repository, "--no-mail"}, small...)
	d := deploy(t, file, flags...)
	if err := want(t.Context(), d.URLs[0], "app"); err != nil {
		t.Error(err)
	}
	builtOf(t, d, repository, "/app/built")
	if out, err := inside(t.Context(), d.Dseq, "web", "cat /app/built"); err != nil || out != "built by /bin/bash" {
		t.Errorf("what the script left: %q, %v", out, err)
	}

	// Not executable, sh runs it, which is dash: a warning says so, and what is for bash fails the build.
	if err := os.Chmod(filepath.Join(dir, "build.sh"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := accountSequence(t)
	// As text: warnings are for people.
	_, err := program(t.Context(), "berth", append([]string{"deploy", "--yes", file, "--app", "again", "--home", marketplace.TenantHome}, flags...)...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(err.Error(), "W-SCRIPT-MODE") || !strings.Contains(err.Error(), "Illegal option -o pipefail") {
		t.Errorf("bash's script by sh: %v", err)
	}
	if after := accountSequence(t); after != before {
		t.Errorf("builds that failed sent %d transactions", after-before)
	}
	plain := strings.ReplaceAll(strings.ReplaceAll(script, "-euo pipefail", "-eu"), "by $BASH", "by sh")
	if err := os.WriteFile(filepath.Join(dir, "build.sh"), []byte(plain), 0o644); err != nil {
		t.Fatal(err)
	}
	berth(t, nil, append([]string{"update", "--yes", strconv.FormatUint(d.Dseq, 10), file}, flags...)...)
	eventually(t, "the image of sh", func(ctx context.Context) error {
		out, err := inside(ctx, d.Dseq, "web", "cat /app/built")
		if err == nil && out != "built by sh" {
			err = fmt.Errorf("%q", out)
		}
		return err
	})
}

// refusesBuilds: a build that fails shows what its builder said; without a builder it is said what to install or start.
// Neither reaches the chain.
func refusesBuilds(t *testing.T) {
	dir := sources(t, map[string]string{
		"app.json":   `{"name": "broken", "formation": {"web": {"quantity": 1}}}`,
		"Dockerfile": "FROM REGISTRY/debian:12\nRUN echo compiled 41 of 42 && echo 'the last one does not compile' && exit 3\n",
	})
	args := append([]string{"deploy", "--yes", filepath.Join(dir, "app.json"), "--build", marketplace.Registry + "/built/broken"}, small...)
	before := accountSequence(t)
	refused(t, 1, "the last one does not compile", args...)
	refused(t, 2, "--dry-run sends nothing", append(slices.Clone(args), "--dry-run")...)
	t.Run("unreachable", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none"))
		refused(t, 2, "docker: Cannot connect to the Docker daemon", args...)
		refused(t, 2, "Install Docker or BuildKit, or start its daemon", args...)
	})
	t.Run("missing", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		refused(t, 2, "docker is not installed; buildctl is not installed", args...)
	})
	if after := accountSequence(t); after != before {
		t.Errorf("builds that failed sent %d transactions", after-before)
	}
}
