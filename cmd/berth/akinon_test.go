package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cosmos/gogoproto/proto"
	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/tenanttest"
	providertypes "berth.dev/berth/x/provider/types"
)

// writeFiles fills the working directory.
func writeFiles(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// appDesk is a desk with a key, and an application in the working directory.
func appDesk(t *testing.T, files map[string]string) *desk {
	t.Helper()
	home := envDesk(t)
	able := tenanttest.NewBidder("a", "east", "1")
	able.Record.Attributes = append(able.Record.Attributes, providertypes.Attribute{Key: "ability/storage/default", Value: "true"})
	d := newDesk(t, able)
	d.dir = home // where state and keys are
	t.Chdir(t.TempDir())
	writeFiles(t, files)
	return d
}

// do types a command in the desk's home and expects an exit code.
func (d *desk) do(want int, args ...string) string {
	d.t.Helper()
	stdout, stderr, code := d.run(append([]string{"--home", d.dir}, args...)...)
	if code != want {
		d.t.Fatalf("berth %v: exit %d, want %d\n%s%s", args, code, want, stdout, stderr)
	}
	return stdout + stderr
}

// variables are those of a service in the manifest that this machine holds of a deployment.
func (d *desk) variables(dseq uint64, service string) map[string]string {
	d.t.Helper()
	state, err := tenant.NewFileStore(d.dir, "world").Load(dseq)
	if err != nil {
		d.t.Fatal(err)
	}
	out := map[string]string{}
	for _, g := range state.Groups {
		var env manifesttypes.Envelope
		if err := proto.Unmarshal(g.Envelope, &env); err != nil {
			d.t.Fatal(err)
		}
		group, err := manifest.Decode(env.Group)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, s := range group.Services {
			for _, e := range s.Env {
				if s.Name == service {
					out[e.Name] = e.Value
				}
			}
		}
	}
	return out
}

// only is the number of the one deployment that is not among those given.
func (d *desk) only(but ...uint64) uint64 {
	d.t.Helper()
	all, err := tenant.NewFileStore(d.dir, "world").List()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, dseq := range all {
		if !slices.Contains(but, dseq) {
			return dseq
		}
	}
	d.t.Fatalf("deployments %v, none but %v", all, but)
	return 0
}

var shopFiles = map[string]string{
	"akinon.json": `{"name": "shop", "formation": {"web": {"healthcheck": "/healthz"}}, "addons": [{"plan": "postgresql"}],
		"env": {"SECRET_KEY": {"required": true, "minlength": 12, "maxlength": 128, "description": "Secret Key"}, "API_URL": {"required": true, "description": "Base URL for the API"}}}`,
	"Procfile": "web: run\n",
}

// TestMissingValues: what is missing or wrong is said at once, nothing is sent, and nothing of a refused value is kept.
func TestMissingValues(t *testing.T) {
	d := appDesk(t, shopFiles)
	out := d.do(exitInput, "deploy", "akinon.json", "-y", "--image", "shop:1", "--max-price", "5ubrt", "--env", "SECRET_KEY=kanarienvo")
	for _, want := range []string{"SECRET_KEY: 10 characters, minimum 12", "API_URL: required, not set (Base URL for the API)"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "kanarienvo") || len(d.world.Sent) > 0 {
		t.Errorf("transactions %v\n%s", d.world.Sent, out)
	}
	if out := d.do(exitOK, "env", "list"); !strings.Contains(out, "No variables") {
		t.Error(out)
	}
}

// TestSecondDeploy: it updates the deployment of the application. What was generated stays, what was set by hand counts,
// and another application of the same file has values of its own.
func TestSecondDeploy(t *testing.T) {
	d := appDesk(t, shopFiles)
	common := []string{"-y", "--max-price", "5ubrt"}
	out := d.do(exitOK, append([]string{"deploy", "akinon.json", "--image", "shop:1", "--env", "SECRET_KEY=kanarienvogel-1", "--env", "API_URL=https://a"}, common...)...)
	dseq := d.only()
	first := d.variables(dseq, "web")
	if !regexp.MustCompile(`^[0-9A-Za-z]{32}$`).MatchString(first["DB_PASSWORD"]) || first["API_URL"] != "https://a" || first["DB_HOST"] != "db" || first["PORT"] != "8008" {
		t.Errorf("%v", slices.Sorted(maps.Keys(first)))
	}
	if d.variables(dseq, "db")["POSTGRES_PASSWORD"] != first["DB_PASSWORD"] {
		t.Error("the database has another password than the application")
	}
	d.do(exitOK, "env", "set", "API_URL=https://b")
	out += d.do(exitOK, append([]string{"deploy", "akinon.json", "--image", "shop:2"}, common...)...)
	second := d.variables(dseq, "web")
	first["API_URL"] = "https://b"
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the second deploy: %s", diff)
	}
	out += d.do(exitOK, append([]string{"update", "--image", "shop:3", "akinon.json"}, common[1:]...)...)
	if diff := cmp.Diff(first, d.variables(dseq, "web")); diff != "" {
		t.Errorf("an update: %s", diff)
	}
	out += d.do(exitOK, append([]string{"deploy", "akinon.json", "--app", "blue", "--image", "shop:1", "--env", "SECRET_KEY=kanarienvogel-2", "--env", "API_URL=https://c"}, common...)...)
	other := d.variables(d.only(dseq), "web")
	if other["DB_PASSWORD"] == first["DB_PASSWORD"] || other["SECRET_KEY"] == first["SECRET_KEY"] {
		t.Error("two applications share a secret")
	}
	for _, secret := range []string{"kanarienvogel", first["DB_PASSWORD"], other["DB_PASSWORD"]} {
		if strings.Contains(out, secret) {
			t.Errorf("%.4s... is shown:\n%s", secret, out)
		}
	}
	if out := d.do(exitOK, "env", "list", strconv.FormatUint(dseq, 10)); !strings.Contains(out, "DB_PASSWORD") || !strings.Contains(out, "generated") {
		t.Error(out)
	}
}

// TestMailServer: a server of one's own stands in for the addon, and a URL that is none is not shown.
func TestMailServer(t *testing.T) {
	d := appDesk(t, map[string]string{"akinon.json": `{"formation": {"web": {"healthcheck": "/h"}}}`, "Procfile": "web: run\n"})
	d.do(exitOK, "deploy", "akinon.json", "-y", "--image", "shop:1", "--max-price", "5ubrt", "--mail", "smtp://u:kanarienvogel@mail.example.com?tls=true")
	dseq := d.only()
	want := map[string]string{
		"EMAIL_HOST": "mail.example.com", "EMAIL_PORT": "587", "EMAIL_HOST_USER": "u", "EMAIL_HOST_PASSWORD": "kanarienvogel", "EMAIL_USE_TLS": "true", "PORT": "8008",
	}
	if diff := cmp.Diff(want, d.variables(dseq, "web")); diff != "" {
		t.Error(diff)
	}
	if n := len(d.variables(dseq, "mail")); n > 0 {
		t.Error("the companion runs all the same")
	}
	if out := d.do(exitUsage, "plan", "akinon.json", "--mail", "https://u:kanarienvogel@x"); strings.Contains(out, "kanarienvogel") {
		t.Error(out)
	}
}

// TestBuildWithoutBuilder: --build says what is missing on a machine that cannot build.
func TestBuildWithoutBuilder(t *testing.T) {
	d := appDesk(t, map[string]string{
		"akinon.json": `{"runtime": "debian:12-slim", "scripts": {"build": "build.sh"}, "formation": {"web": {"healthcheck": "/h"}}}`, "Procfile": "web: run\n", "build.sh": "true\n",
	})
	t.Setenv("PATH", t.TempDir())
	if out := d.do(exitUsage, "deploy", "akinon.json", "-y", "--max-price", "5ubrt", "--build", "registry.example.com/shop"); !strings.Contains(out, "--image REFERENCE") || len(d.world.Sent) > 0 {
		t.Error(out)
	}
	if out := d.do(exitUsage, "deploy", "akinon.json", "-y", "--max-price", "5ubrt"); !strings.Contains(out, "[E-NO-IMAGE]") {
		t.Error(out)
	}
}
