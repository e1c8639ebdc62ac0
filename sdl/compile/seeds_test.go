package compile_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/compile"
)

// samplesHash pins the samples: they are the manifests of the format's own description, character by character.
const samplesHash = "8044d8c36a9cd09794f0da9f7db06b69236cf2881b02876ef03c45a7b8b76b2f"

// TestAppSeeds holds the plans of the samples of the format's own description, as they stand there, and what is said of
// them.
func TestAppSeeds(t *testing.T) {
	files, err := filepath.Glob("testdata/app.json/seed-*.json")
	if err != nil || len(files) != 12 {
		t.Fatalf("%d samples: %v", len(files), err)
	}
	all := sha256.New()
	for _, name := range files {
		file := strings.TrimSuffix(name, ".json")
		sample, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(sample)
		text := string(sample)
		in := applicationInput(text)
		in.Overlay = app.Overlay{}
		r := compile.Document(in)
		if r.Plan == nil {
			t.Errorf("%s: %v", file, r.Found)
			continue
		}
		var got bytes.Buffer
		for _, d := range r.Found {
			if !slices.Contains([]string{"W-NO-IMAGE", "W-NOT-RUN", "W-TRIGGER", "W-TRIGGER-KEY", "W-NO-EFFECT"}, d.Code) {
				t.Errorf("%s: %s", file, d)
			}
			fmt.Fprintln(&got, d)
		}
		r.Plan.Warnings = nil
		enc := json.NewEncoder(&got)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r.Plan); err != nil {
			t.Fatal(err)
		}
		golden(t, file+".golden", got.Bytes())
	}
	if got := hex.EncodeToString(all.Sum(nil)); got != samplesHash {
		t.Errorf("the samples were changed: their hash is %s", got)
	}
}

// TestAppAddons: the databases that Heroku's addons are run as companions, found by the variables that applications of
// Heroku know.
func TestAppAddons(t *testing.T) {
	compiled := func(text string, change func(in *compile.Input)) compile.Result {
		in := applicationInput(text)
		if change != nil {
			change(&in)
		}
		return compile.Document(in)
	}
	const text = `{"addons": ["heroku-postgresql:essential-0", {"plan": "heroku-postgresql", "as": "ORDERS", "options": {"version": "16"}},
		"heroku-redis:mini", {"plan": "rediscloud:30"}], "env": {"DATABASE_URL": {"required": true}, "REDIS_URL": "redis://localhost"},
		"cron": [{"command": "tidy", "schedule": "@daily"}]}`
	r := compiled(text, func(in *compile.Input) {
		in.Complete, in.Values = true, map[string]string{"DATABASE_PASSWORD": "hunter2", "ORDERS_PASSWORD": "hunter3"}
	})
	p := planned(t, r)
	task := app.TaskName("cron", "tidy", "@daily")
	for _, name := range []string{"web", task} {
		s := service(t, p, name)
		for variableName, want := range map[string]string{
			"DATABASE_URL": "postgres://app:hunter2@database:5432/app", "ORDERS_URL": "postgres://app:hunter3@orders:5432/app",
			"REDIS_URL": "redis://redis:6379", "REDISCLOUD_URL": "redis://rediscloud:6379",
		} {
			if v := variable(s, variableName); v == nil || v.Value != want || v.Secret != strings.Contains(want, "hunter") {
				t.Errorf("%s of %s is %v", variableName, name, v)
			}
		}
		if variable(s, "DATABASE_PASSWORD") != nil {
			t.Errorf("%s has the password by itself", name)
		}
		if !slices.Equal(s.DependsOn, []string{"database", "orders", "redis", "rediscloud"}) {
			t.Errorf("%s waits for %v", name, s.DependsOn)
		}
	}
	for name, image := range map[string]string{"database": app.PostgresImage, "orders": "postgres:16", "redis": app.RedisImage, "rediscloud": app.RedisImage} {
		if s := service(t, p, name); s.Image != image || len(s.Volumes) != 2 || s.Expose[0].To[0].Global {
			t.Errorf("%s is %+v", name, s)
		}
	}
	if v := variable(service(t, p, "database"), "POSTGRES_PASSWORD"); v == nil || v.Value != "hunter2" || !v.Secret {
		t.Errorf("the database's password is %v", v)
	}
	if out := planJSON(t, p); strings.Contains(out, "hunter") || len(r.Found) > 0 {
		t.Errorf("the plan shows a password: %s, or %v", out, r.Found)
	}

	// What the tenant gives himself is not run; what is left out is neither run nor refused.
	r = compiled(`{"addons": ["heroku-postgresql"]}`, func(in *compile.Input) {
		in.Given = func(name string) bool { return name == "DATABASE_URL" }
		in.Values = map[string]string{"DATABASE_URL": "postgres://elsewhere"}
	})
	if p := planned(t, r); len(p.Manifests[0].Services) != 1 || variable(service(t, p, "web"), "DATABASE_URL").Value != "postgres://elsewhere" {
		t.Errorf("a database elsewhere: %v", names(p))
	}
	r = compiled(`{"addons": ["papertrail", "heroku-redis"]}`, func(in *compile.Input) { in.SkipAddons = []string{"papertrail", "heroku-redis"} })
	if p := planned(t, r); len(p.Manifests[0].Services) != 1 {
		t.Errorf("addons that are left out: %v", names(p))
	}
	for text, want := range map[string]string{
		`["papertrail:choklad"]`:                                         `addons[0]: addon "papertrail:choklad" does not run here [E-ADDON]`,
		`["heroku-redis", {"plan": "heroku-redis"}]`:                     `addons[1]: the role redis is taken by plan heroku-redis already [E-ADDON-ROLE]`,
		`[{"plan": "heroku-redis", "as": "1x"}]`:                         `addons[0].as: as "1x" cannot begin the names of variables [E-ADDON-ROLE]`,
		`[{"as": "X"}]`:                                                  `addons[0].plan: plan is missing [E-MISSING]`,
		`[{"plan": "heroku-postgresql", "options": {"version": "9.6"}}]`: `version "9.6" is not a major version of PostgreSQL such as 17 [E-ADDON-OPTION]`,
		`[{"plan": "heroku-redis", "options": []}]`:                      `[E-TYPE]`,
		`[{"plan": "heroku-postgresql", "as": "web"}]`:                   `[E-NAME]`,
		`[5, {"plan": "heroku-redis", "options": {"a": "b"}}]`:           `[W-NO-EFFECT]`,
	} {
		r := compiled(`{"addons": `+text+`}`, nil)
		var lines []string
		for _, d := range r.Found {
			lines = append(lines, d.String())
		}
		if found := strings.Join(lines, "\n"); !strings.Contains(found, want) || r.Plan != nil {
			t.Errorf("%s: %s, want %s", text, found, want)
		}
	}
}

// TestPricesAreThoseThatAreWritten: the description of SDL has a placement whose prices its own prose gives otherwise.
func TestPricesAreThoseThatAreWritten(t *testing.T) {
	const text = `version: "1.0"
services: {web: {image: a/web:1}, db: {image: a/db:1}}
profiles:
  compute:
    web: {cpu: 1, memory: 512Mi, storage: 1Gi}
    db: {cpu: 1, memory: 512Mi, storage: 1Gi}
  placement:
    westcoast:
      attributes:
        region: us-west
      pricing:
        web: 8u
        db: 100u
deployment:
  web: {westcoast: {profile: web, count: 1}}
  db: {westcoast: {profile: db, count: 1}}
`
	p, found := compile.Compile("deploy.yaml", []byte(text))
	if p == nil {
		t.Fatal(found)
	}
	for _, r := range p.Groups[0].Resources {
		if want := map[string]int64{"web": 8, "db": 100}[r.Service]; r.Price.TruncateInt64() != want || !r.Price.IsInteger() {
			t.Errorf("%s costs %s, want %d", r.Service, r.Price, want)
		}
	}
}
