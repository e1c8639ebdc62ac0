package main

import (
	"strconv"
	"strings"
	"testing"
)

// TestCloseKeepsData: what has persistent volumes is closed by a program only if that says so.
func TestCloseKeepsData(t *testing.T) {
	d := appDesk(t, shopFiles)
	d.do(exitOK, "deploy", "akinon.json", "-y", "--image", "shop:1", "--max-price", "5ubrt", "--env", "SECRET_KEY=kanarienvogel-1", "--env", "API_URL=https://a")
	dseq := strconv.FormatUint(d.only(), 10)
	for _, args := range [][]string{{"close", dseq, "--yes"}, {"close", "--yes"}, {"close", dseq}} {
		out := d.do(exitUsage, args...)
		for _, want := range []string{"persistent volumes, which would be lost: shop/data", "--destroy-data", "addon dump"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: %q is not in\n%s", args, want, out)
			}
		}
	}
	if n := d.world.Sent["close"]; n != 0 {
		t.Errorf("%d times it was closed", n)
	}
	d.do(exitOK, "close", dseq, "--yes", "--destroy-data")
	// There is nothing to lose any more.
	if out := d.do(exitOK, "close", dseq, "--yes"); !strings.Contains(out, "had been closed before") {
		t.Error(out)
	}
}

// TestUpdateSaysOnce: an update compiles the manifest once, with the variables that are stored.
func TestUpdateSaysOnce(t *testing.T) {
	d := appDesk(t, map[string]string{
		"akinon.json": `{"formation": {"web": {"healthcheck": "/h"}}, "addons": [{"plan": "redis"}]}`, "Procfile": "web: run\nworker: work\n",
	})
	d.do(exitOK, "env", "set", "CACHE_HOST=cache.example.com", "CACHE_PORT=6379", "CACHE_DATABASE_INDEX=3")
	d.do(exitOK, "deploy", "akinon.json", "-y", "--image", "shop:1", "--max-price", "5ubrt")
	dseq := d.only()
	for _, args := range [][]string{{"update", "akinon.json"}, {"update", strconv.FormatUint(dseq, 10), "akinon.json"}} {
		out := d.do(exitOK, append(args, "--image", "shop:2", "--max-price", "5ubrt")...)
		if n := strings.Count(out, "W-PROCESS-NOT-IN-FORMATION"); n != 1 {
			t.Errorf("%v says %d times that a process does not run:\n%s", args, n, out)
		}
	}
	if n := len(d.variables(dseq, "cache")); n > 0 {
		t.Error("an update runs the addon that is elsewhere")
	}
}

// TestDiffOfAnApplication: values that were generated or set are those of the deployment, and so no difference.
func TestDiffOfAnApplication(t *testing.T) {
	d := appDesk(t, shopFiles)
	flags := []string{"--image", "shop:1", "--max-price", "5ubrt"}
	d.do(exitOK, append([]string{"deploy", "akinon.json", "-y", "--env", "SECRET_KEY=kanarienvogel-1", "--env", "API_URL=https://a"}, flags...)...)
	for _, args := range [][]string{{"diff", "akinon.json"}, {"diff", strconv.FormatUint(d.only(), 10), "akinon.json"}} {
		if out := d.do(exitOK, append(args, flags...)...); !strings.Contains(out, "runs this document already") {
			t.Errorf("%v:\n%s", args, out)
		}
	}
	out := d.do(exitOK, append([]string{"diff", "akinon.json", "--env", "API_URL=https://kanarien"}, flags...)...)
	if !strings.Contains(out, "API_URL") || strings.Contains(out, "kanarien") || strings.Contains(out, "PASSWORD") {
		t.Errorf("another URL:\n%s", out)
	}
	if out := d.do(exitOK, append([]string{"diff", "akinon.json"}, flags...)...); !strings.Contains(out, "runs this document already") {
		t.Errorf("a comparison has stored something:\n%s", out)
	}
}

// TestVariablesOfARemovedAddon: what was given for an addon does not reach the application once the addon is gone, and is
// there again when it comes back. What was given for the application stays.
func TestVariablesOfARemovedAddon(t *testing.T) {
	const with = `{"formation": {"web": {"healthcheck": "/h"}}, "addons": [{"plan": "sentry"}]}`
	d := appDesk(t, map[string]string{"akinon.json": with, "Procfile": "web: run\n"})
	flags := []string{"-y", "--no-mail", "--image", "shop:1", "--max-price", "5ubrt"}
	d.do(exitOK, append([]string{"deploy", "akinon.json", "--env", "SENTRY_DSN=https://key@sentry.example.com/1", "--env", "EXTRA=x"}, flags...)...)
	dseq := d.only()
	has := func(when string, want bool) {
		t.Helper()
		vars := d.variables(dseq, "web")
		if _, there := vars["SENTRY_DSN"]; there != want || vars["EXTRA"] != "x" {
			t.Errorf("%s: SENTRY_DSN is there: %v, and %v", when, there, vars)
		}
	}
	has("with the addon", true)
	writeFiles(t, map[string]string{"akinon.json": strings.Replace(with, `{"plan": "sentry"}`, "", 1)})
	d.do(exitOK, append([]string{"deploy", "akinon.json"}, flags...)...)
	has("without it", false)
	if out := d.do(exitOK, "env", "list"); !strings.Contains(out, "SENTRY_DSN") {
		t.Errorf("it is not stored any more:\n%s", out)
	}
	writeFiles(t, map[string]string{"akinon.json": with})
	d.do(exitOK, append([]string{"deploy", "akinon.json"}, flags...)...)
	has("with it again", true)
}

// TestBadApplications: all that is wrong with a manifest is said at once with its place, nothing is printed for programs to
// take for a plan, and nothing is sent.
func TestBadApplications(t *testing.T) {
	for name, tc := range map[string]struct {
		file, text string
		want       []string
	}{
		"broken": {"app.json", `{"cron": [}`, []string{"app.json:1:11: ", "  1 | {\"cron\": [}\n", "    |           ^\n"}},
		"app.json": {"app.json", `{"cron": [{"command": "x", "schedule": "61 * * * *"}, {"command": "a && b", "schedule": "@daily"}],
  "formation": {"beat": {"quantity": 1}, "web": {"quantity": 99}}, "addons": ["mongolab", "heroku-redis", "heroku-redis"], "env": {"1": ""}}`, []string{
			"app.json:1:40: error: cron[0].schedule", "app.json:1:67: error: cron[1].command", "write sh -c 'a && b'", "app.json:2:17: error: formation.beat: no such process in Procfile (have: web, worker)",
			"app.json:2:62: error: formation.web.quantity", "[E-ADDON]", "[E-ADDON-ROLE]", "[E-ENV]", "7 errors",
		}},
		"akinon.json": {"akinon.json", `{"formation": {"web": {"healthcheck": "/h", "max": "many"}, "beat": {}}, "addons": [{"plan": "mysql"}, {"plan": "redis"}, {"plan": "redis"}],
  "env": {"K": {"minlength": 9, "maxlength": 3}, "L": {"minlength": -1}}}`, []string{
			"[E-SCALE]", "formation.beat: no such process in Procfile (have: web, worker)", "postgresql, redis, sentry, mail, cdn, static_cdn, elasticsearch [E-ADDON-PLAN]",
			"[E-ADDON-ROLE]", "minlength 9 is more than maxlength 3", `minlength "-1" is not a whole number`, "6 errors",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := appDesk(t, map[string]string{tc.file: tc.text, "Procfile": "web: a\nworker: b\n"})
			for _, args := range [][]string{{"plan", tc.file}, {"deploy", tc.file, "-y", "--image", "shop:1"}, {"render", tc.file}} {
				stdout, stderr, code := d.run(append([]string{"--home", d.dir}, args...)...)
				if code != exitUsage || stdout != "" {
					t.Errorf("%v: exit %d, %q", args, code, stdout)
				}
				for _, want := range tc.want {
					if !strings.Contains(stderr, want) {
						t.Errorf("%v: %q is not in\n%s", args, want, stderr)
					}
				}
			}
			if len(d.world.Sent) > 0 {
				t.Errorf("transactions %v", d.world.Sent)
			}
		})
	}
	// A mistake of the document comes before a network that is missing.
	t.Chdir(t.TempDir())
	writeFiles(t, map[string]string{"app.json": `{"cron": [}`})
	if _, stderr, code := runDocuments(t, "", "deploy", "app.json", "-y", "--home", t.TempDir()); code != exitUsage || !strings.Contains(stderr, "app.json:1:11: ") {
		t.Errorf("without a network: exit %d, %s", code, stderr)
	}
}

// TestHerokuAddons: a deployment of app.json makes the password of its database once, and shows it to nobody.
func TestHerokuAddons(t *testing.T) {
	d := appDesk(t, map[string]string{"app.json": `{"addons": ["heroku-postgresql:mini", "heroku-redis"], "env": {"DATABASE_URL": {"required": true}}}`, "Procfile": "web: run\n"})
	out := d.do(exitOK, "deploy", "app.json", "-y", "--image", "shop:1", "--max-price", "5ubrt")
	dseq := d.only()
	first, password := d.variables(dseq, "web"), d.variables(dseq, "database")["POSTGRES_PASSWORD"]
	if len(password) != 32 || first["DATABASE_URL"] != "postgres://app:"+password+"@database:5432/app" || first["REDIS_URL"] != "redis://redis:6379" {
		t.Errorf("%q, %v", password, first)
	}
	out += d.do(exitOK, "deploy", "app.json", "-y", "--image", "shop:2", "--max-price", "5ubrt")
	if d.variables(dseq, "web")["DATABASE_URL"] != first["DATABASE_URL"] || strings.Contains(out, password) {
		t.Errorf("the password has changed, or is shown:\n%s", out)
	}
	d.do(exitOK, "close", strconv.FormatUint(dseq, 10), "--destroy-data")
	d.do(exitOK, "deploy", "app.json", "-y", "--image", "shop:1", "--max-price", "5ubrt", "--env", "DATABASE_URL=postgres://elsewhere/x")
	if other := d.only(dseq); d.variables(other, "web")["DATABASE_URL"] != "postgres://elsewhere/x" || len(d.variables(other, "database")) > 0 {
		t.Error("the database runs although it is elsewhere")
	}
}
