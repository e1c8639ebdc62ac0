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
