package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	manifesttypes "berth.dev/berth/manifest/types"
)

const builtDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// withBuilders puts stand-ins for docker and pack in the place of all programs. Docker's image exposes ports.
func withBuilders(t *testing.T, ports string) {
	t.Helper()
	dir := t.TempDir()
	docker := `#!/bin/sh
case "$1 $2" in
"version --format") echo 29.0.1 29.0.1;;
"image inspect") echo '[{"RepoDigests":["registry.example.com/me/shop@` + builtDigest + `"],"Config":{"ExposedPorts":{` + ports + `}}}]';;
esac
`
	pack := `#!/bin/sh
for a; do [ "$last" = --report-output-dir ] && printf '[image]\ndigest = "` + builtDigest + `"\n' >"$a/report.toml"; last=$a; done
exit 0
`
	for name, text := range map[string]string{"docker": docker, "pack": pack} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := `{"auths": {"registry.example.com": {"auth": "bWU6a2FuYXJpZW52b2dlbA=="}}}` // me:kanarienvogel
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("DOCKER_CONFIG", dir)
}

// serviceOf is a service of the only deployment.
func (d *desk) serviceOf(t *testing.T, name string) manifesttypes.Service {
	t.Helper()
	for _, g := range d.groups(t) {
		for _, s := range g.Services {
			if s.Name == name {
				return s
			}
		}
	}
	t.Fatalf("there is no %s", name)
	return manifesttypes.Service{}
}

// deployBuilt types a deploy with --build, and returns what it printed.
func (d *desk) deployBuilt(args ...string) string {
	d.t.Helper()
	return d.do(exitOK, append([]string{"deploy", "app.json", "-y", "--max-price", "5ubrt", "--build", "registry.example.com/me/shop"}, args...)...)
}

// TestThePortOfABuiltImage: what is given, then the one port that the image exposes, then 5000.
func TestThePortOfABuiltImage(t *testing.T) {
	for name, tc := range map[string]struct {
		exposed string
		args    []string
		want    uint32
		said    string
	}{
		"one":         {`"8000/tcp":{}`, nil, 8000, "web takes connections at 8000, the port that the image exposes"},
		"one of many": {`"8000/tcp":{},"53/udp":{}`, nil, 8000, "at 8000"},
		"two":         {`"8000/tcp":{},"9000/tcp":{}`, nil, 5000, "The image exposes the ports 8000, 9000; web takes connections at 5000. --port web=PORT"},
		"none":        {``, nil, 5000, "Built registry.example.com/me/shop@" + builtDigest},
		"given":       {`"8000/tcp":{}`, []string{"--port", "web=7000"}, 7000, "Built"},
	} {
		t.Run(name, func(t *testing.T) {
			d := appDesk(t, map[string]string{"app.json": `{"formation": {"web": {"quantity": 1}}, "scripts": {"dokku": {"predeploy": "touch x"}}}`, "Dockerfile": "FROM scratch\n"})
			withBuilders(t, tc.exposed)
			said := d.deployBuilt(tc.args...)
			web := d.serviceOf(t, "web")
			if !strings.Contains(said, tc.said) || web.Expose[0].Port != tc.want || web.Image != "registry.example.com/me/shop@"+builtDigest || web.Credentials != nil {
				t.Errorf("%s\n%+v", said, web)
			}
		})
	}
}

// TestLaunched: in an image of buildpacks everything starts by its launcher, but for what the image runs by itself.
func TestLaunched(t *testing.T) {
	d := appDesk(t, map[string]string{
		"app.json": `{"buildpacks": [{"url": "heroku/python"}], "formation": {"worker": {"quantity": 1}}, "scripts": {"postdeploy": "seed"}}`,
		"Procfile": "web: gunicorn app\nworker: run $QUEUE\n", "app.py": "", "plain.json": "{}",
	})
	withBuilders(t, "")
	if out := d.do(exitUsage, "deploy", "--format", "app.json", "plain.json", "-y", "--build", "registry.example.com/me/shop", "--builder", "acme/builder"); !strings.Contains(out, "--builder acme/builder: nothing is built with buildpacks") {
		t.Error(out)
	}
	d.deployBuilt("--command", "web=gunicorn app", "--builder", "acme/builder:1")
	launcher := []string{"/cnb/lifecycle/launcher", "--"}
	web, worker := d.serviceOf(t, "web"), d.serviceOf(t, "worker")
	if !slices.Equal(web.Command, append(launcher, "gunicorn", "app")) || !slices.Equal(worker.Command, append(launcher, "/bin/sh", "-c", "run $QUEUE")) {
		t.Errorf("%q, %q", web.Command, worker.Command)
	}
	if len(web.Hooks) != 1 || !slices.Equal(web.Hooks[0].Command[:2], launcher) {
		t.Errorf("%+v", web.Hooks)
	}
}

// TestRegistryAuth: only what is asked for goes into the manifest, and nothing of it is shown.
func TestRegistryAuth(t *testing.T) {
	d := appDesk(t, map[string]string{"app.json": `{"formation": {"web": {"quantity": 1}}}`, "Dockerfile": "FROM scratch\n", "login": "you:kanarienvogel\n"})
	withBuilders(t, "")
	for _, args := range [][]string{
		{"--image", "ghcr.io/me/shop:1", "--registry-auth", "docker"},
		{"--image", "ghcr.io/me/shop:1", "--registry-auth", "Dockerfile"},
		{"--image", "ghcr.io/me/shop:1", "--image", "web=quay.io/me/shop:1", "--registry-auth", "login"},
		{"--build", "registry.example.com/me/shop", "--dry-run"},
	} {
		if out := d.do(exitUsage, append([]string{"deploy", "app.json", "-y", "--max-price", "5ubrt"}, args...)...); !strings.Contains(out, "--registry-auth") && !strings.Contains(out, "--dry-run") || len(d.world.Sent) > 0 {
			t.Errorf("%v: %s", args, out)
		}
	}
	said := d.deployBuilt("--registry-auth", "docker")
	c := d.serviceOf(t, "web").Credentials
	if c == nil || c.Host != "registry.example.com" || c.Username != "me" || c.Password != "kanarienvogel" || strings.Contains(said, "kanarienvogel") {
		t.Errorf("%v\n%s", c, said)
	}
}

// TestInitNamesThePort: a Dockerfile says where web takes connections, as a comment.
func TestInitNamesThePort(t *testing.T) {
	d := appDesk(t, map[string]string{"app.json": `{"formation": {"web": {"quantity": 1}}}`, "Dockerfile": "FROM x\nEXPOSE 8000\n"})
	if out := d.do(exitOK, "init", "--stdout"); !strings.Contains(out, "\n#port: {web: 8000}\n") {
		t.Error(out)
	}
}
