package akinon_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/akinon"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/jsonc"
)

const webAndAddons = `{"formation": {"web": {"healthcheck": "/h"}}, "addons": `

func variable(t *testing.T, a *app.App, name string) app.Variable {
	t.Helper()
	i := slices.IndexFunc(a.Variables, func(v app.Variable) bool { return v.Name == name })
	if i < 0 {
		t.Fatalf("there is no variable %s", name)
	}
	return a.Variables[i]
}

// TestContracts holds the variables of each plan, by the names and in the forms that the format promises.
func TestContracts(t *testing.T) {
	for plan, want := range map[string]string{
		`{"plan": "postgresql"}`:                 "DB_HOST=db DB_NAME=app DB_PASSWORD=* DB_PORT=5432 DB_USER=app",
		`{"plan": "postgresql", "as": "orders"}`: "ORDERS_HOST=orders ORDERS_NAME=app ORDERS_PASSWORD=* ORDERS_PORT=5432 ORDERS_USER=app",
		`{"plan": "redis"}`:                      "CACHE_DATABASE_INDEX=0 CACHE_HOST=cache CACHE_PORT=6379",
		`{"plan": "redis", "as": "My_Queue"}`:    "MY_QUEUE_DATABASE_INDEX=0 MY_QUEUE_HOST=my-queue MY_QUEUE_PORT=6379",
		`{"plan": "sentry"}`:                     "SENTRY_DSN?",
		`{"plan": "sentry", "as": "errors"}`:     "ERRORS_DSN?",
		`{"plan": "mail"}`:                       "EMAIL_HOST=mail EMAIL_HOST_PASSWORD=* EMAIL_HOST_USER=app EMAIL_PORT=1025 EMAIL_USE_TLS=false",
		`{"plan": "cdn"}`: "AWS_ACCESS_KEY_ID=* AWS_ENDPOINT_URL_S3=http://cdn:8333 AWS_S3_ENDPOINT_URL=http://cdn:8333 AWS_SECRET_ACCESS_KEY=* " +
			"CDN_DOMAIN=media.example.com S3_BUCKET_NAME=media S3_REGION_NAME=us-east-1 S3_SIGNATURE_VERSION=s3v4",
		`{"plan": "elasticsearch"}`: "ES_HOST=es ES_PORT=9200",
	} {
		t.Run(plan, func(t *testing.T) {
			in := akinon.Input{}
			if !strings.Contains(plan, "mail") {
				in.Skip = noMail
			}
			if strings.Contains(plan, "cdn") {
				in.Overlay.Domains = map[string][]string{"cdn": {"media.example.com"}}
			}
			a, p := good(t, webAndAddons+"["+plan+"]}", web, in)
			var got []string
			for _, v := range a.Variables {
				switch {
				case v.Value != nil:
					got = append(got, v.Name+"="+*v.Value)
				case v.Generate != nil && v.Secret:
					got = append(got, v.Name+"=*")
				case v.Required:
					got = append(got, v.Name+"?")
				}
			}
			slices.Sort(got)
			if d := cmp.Diff(want, strings.Join(got, " ")); d != "" {
				t.Error(d)
			}
			if strings.Contains(plan, "sentry") {
				return
			}
			// What the application is told of is what runs: a service of that name, which web waits for and may connect to.
			web := service(t, p, "web")
			if len(web.DependsOn) != 1 {
				t.Fatalf("web depends on %v", web.DependsOn)
			}
			s := service(t, p, web.DependsOn[0])
			if !slices.ContainsFunc(s.Expose[0].To, func(to manifesttypes.To) bool { return to.Service == "web" }) {
				t.Errorf("web may not connect to %s: %+v", s.Name, s.Expose)
			}
			if global := slices.ContainsFunc(s.Expose[0].To, func(to manifesttypes.To) bool { return to.Global }); global != strings.Contains(plan, "cdn") {
				t.Errorf("%s is open to anyone: %v", s.Name, global)
			}
		})
	}
}

// TestMailIsAlwaysThere holds that mail needs no entry, can be left out, and can be somebody else's.
func TestMailIsAlwaysThere(t *testing.T) {
	a, plan := good(t, formation("web", `{"healthcheck": "/h"}`), web, akinon.Input{})
	if s := service(t, plan, "mail"); s.CpuMilli != 50 || s.MemoryBytes != 64<<20 {
		t.Errorf("%+v", s)
	}
	if n := len(a.Variables); n != 5 {
		t.Errorf("%d variables", n)
	}
	a, plan, found := read(t, formation("web", `{"healthcheck": "/h"}`), web, akinon.Input{Skip: noMail}, app.Config{})
	if plan == nil || len(a.Variables) > 0 || !strings.Contains(found, "[W-NO-MAIL]") {
		t.Errorf("%+v %s", a.Variables, found)
	}
	_, plan = good(t, formation("web", `{"healthcheck": "/h"}`), web, akinon.Input{Given: func(name string) bool { return strings.HasPrefix(name, "EMAIL_") }})
	if n := len(plan.Manifests[0].Services); n != 1 {
		t.Errorf("with a server of its own: %d services", n)
	}
}

// TestExternal: what the tenant gives all variables of is not run; of what it gives some, the missing ones are named.
func TestExternal(t *testing.T) {
	all := []string{"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"}
	given := func(names ...string) func(string) bool {
		return func(name string) bool { return slices.Contains(names, name) }
	}
	const text = webAndAddons + `[{"plan": "postgresql"}]}`
	_, plan := good(t, text, web, akinon.Input{Skip: noMail, Given: given(all...)})
	if len(plan.Manifests[0].Services) != 1 {
		t.Error("it runs all the same")
	}
	env := map[string]string{}
	for _, name := range all {
		env[name] = "x"
	}
	_, plan = good(t, text, web, akinon.Input{Skip: noMail, Overlay: app.Overlay{Env: env}})
	if len(plan.Manifests[0].Services) != 1 {
		t.Error("it runs, although the overlay has its variables")
	}
	a, plan := good(t, text, web, akinon.Input{Skip: noMail, Overlay: app.Overlay{External: map[string]bool{"db": true}}})
	if v := variable(t, a, "DB_HOST"); len(plan.Manifests[0].Services) != 1 || !v.Required || v.Value != nil {
		t.Errorf("external in the overlay: %+v", v)
	}
	_, _, found := read(t, text, web, akinon.Input{Skip: noMail, Given: given("DB_HOST", "DB_PASSWORD")}, app.Config{})
	if want := "addons[0]: DB_HOST, DB_PASSWORD is given, but not DB_PORT, DB_NAME, DB_USER: give all variables of db, or none to have it run here [E-ADDON-PARTIAL]"; !strings.Contains(found, want) {
		t.Error(found)
	}
	_, _, found = read(t, text, web, akinon.Input{Skip: noMail, Overlay: app.Overlay{Providers: map[string]string{"db": "rds"}}}, app.Config{})
	if !strings.Contains(found, "[E-ADDON-PROVIDER]") {
		t.Error(found)
	}
}

// TestTwoOfAPlan: two uses are two services with their own volumes.
func TestTwoOfAPlan(t *testing.T) {
	_, plan := good(t, webAndAddons+`[{"plan": "redis", "as": "cache"}, {"plan": "redis", "as": "broker"}]}`, web, akinon.Input{Skip: noMail})
	vars := env(service(t, plan, "web"))
	for name, want := range map[string]string{
		"CACHE_HOST": "cache", "CACHE_PORT": "6379", "CACHE_DATABASE_INDEX": "0", "BROKER_HOST": "broker", "BROKER_PORT": "6379", "BROKER_DATABASE_INDEX": "0",
	} {
		if vars[name] != want {
			t.Errorf("%s = %q, want %q", name, vars[name], want)
		}
	}
	for _, name := range []string{"cache", "broker"} {
		s := service(t, plan, name)
		if len(s.Volumes) != 2 || s.Volumes[1].Mount != "/data" || s.Volumes[1].Bytes != 1<<30 || s.Count != 1 {
			t.Errorf("%s: %+v", name, s.Volumes)
		}
	}
}

// TestDatabase: the password is the application's own, data lies in a sub-directory of a volume that stays, and it is
// ready when the database answers over TCP.
func TestDatabase(t *testing.T) {
	_, plan, found := read(t, webAndAddons+`[{"plan": "postgresql", "options": {"instance_type": "db.r5.large", "instance_count": 1}}]}`, web,
		akinon.Input{Skip: noMail}, app.Config{Values: map[string]string{"DB_PASSWORD": "kanarienvogel"}})
	if plan == nil {
		t.Fatal(found)
	}
	s := service(t, plan, "db")
	want := map[string]string{"PGDATA": "/var/lib/postgresql/data/pgdata", "POSTGRES_DB": "app", "POSTGRES_USER": "app", "POSTGRES_PASSWORD": "kanarienvogel"}
	if d := cmp.Diff(want, env(s)); d != "" {
		t.Error(d)
	}
	if v := s.Volumes[1]; v.Mount != "/var/lib/postgresql/data" || v.Bytes != 10<<30 || len(v.Attributes) != 2 || v.Attributes[1].Value != "true" {
		t.Errorf("%+v", v)
	}
	if d := cmp.Diff([]string{"pg_isready", "-q", "-h", "127.0.0.1", "-U", "app", "-d", "app"}, s.Probes.Readiness.Exec); d != "" {
		t.Error(d)
	}
	if s.CpuMilli != 2000 || s.MemoryBytes != 16<<30 {
		t.Errorf("%d, %d", s.CpuMilli, s.MemoryBytes)
	}
	for _, m := range plan.Manifests[0].Services {
		for _, e := range m.Env {
			if e.Value == "kanarienvogel" && !e.Secret {
				t.Errorf("%s of %s is no secret", e.Name, m.Name)
			}
		}
	}
}

// TestElasticsearch: versions select the image and the settings that it knows.
func TestElasticsearch(t *testing.T) {
	for version, want := range map[string]string{
		"":       "elasticsearch:8.17.4 -Expack.security.enabled=false",
		"7.17.9": "elasticsearch:7.17.9 -Enode.store.allow_mmap=false",
		"5.5":    "elasticsearch:5.5 -Eindex.store.type=niofs",
	} {
		options := ""
		if version != "" {
			options = `, "options": {"version": "` + version + `", "instance_type": "t2.medium.elasticsearch"}`
		}
		_, plan := good(t, webAndAddons+`[{"plan": "elasticsearch"`+options+`}]}`, web, akinon.Input{Skip: noMail})
		s := service(t, plan, "es")
		image, setting, _ := strings.Cut(want, " ")
		if s.Image != image || !slices.Contains(s.Args, setting) || !slices.Contains(s.Args, "-Ediscovery.type=single-node") {
			t.Errorf("%s %v, want %s", s.Image, s.Args, want)
		}
		if heap := env(s)["ES_JAVA_OPTS"]; version != "" && heap != "-Xms2048m -Xmx2048m" {
			t.Errorf("heap %q", heap)
		}
	}
	_, _, found := read(t, webAndAddons+`[{"plan": "elasticsearch", "options": {"version": "latest"}}]}`, web, akinon.Input{Skip: noMail}, app.Config{})
	if !strings.Contains(found, "[E-ADDON-OPTION]") {
		t.Error(found)
	}
}

// TestStore: cdn and static_cdn are one store at one host; without a host name it has to be said.
func TestStore(t *testing.T) {
	domains := func(key string) akinon.Input {
		return akinon.Input{Skip: noMail, Overlay: app.Overlay{Domains: map[string][]string{key: {"media.example.com"}}}}
	}
	a, plan := good(t, webAndAddons+`[{"plan": "static_cdn"}, {"plan": "cdn", "scope": "project"}]}`, web, domains("cdn"))
	if s := service(t, plan, "cdn"); len(plan.Manifests[0].Services) != 2 || s.Volumes[1].Bytes != 10<<30 || !slices.Equal(s.Expose[0].Accept, []string{"media.example.com"}) {
		t.Errorf("%+v", s)
	}
	if v := variable(t, a, "BASE_STATIC_URL"); *v.Value != "https://media.example.com/static/" {
		t.Error(*v.Value)
	}
	a, plan = good(t, webAndAddons+`[{"plan": "static_cdn"}]}`, web, domains("static-cdn"))
	if service(t, plan, "cdn"); *variable(t, a, "BASE_STATIC_URL").Value != "https://media.example.com/static/" || variable(t, a, "AWS_ACCESS_KEY_ID").Generate == nil {
		t.Error("static_cdn alone")
	}
	a, _ = good(t, webAndAddons+`[{"plan": "cdn"}, {"plan": "static_cdn"}]}`, web, akinon.Input{Skip: noMail})
	for _, name := range []string{"CDN_DOMAIN", "BASE_STATIC_URL"} {
		if v := variable(t, a, name); !v.Required || v.Value != nil || !strings.Contains(v.Description, "--domain cdn=HOST") {
			t.Errorf("%+v", v)
		}
	}
	// The host alone may be given by its variable, and files be served elsewhere.
	_, plan = good(t, webAndAddons+`[{"plan": "cdn"}]}`, web, akinon.Input{Skip: noMail, Given: func(n string) bool { return n == "CDN_DOMAIN" }})
	service(t, plan, "cdn")
	_, plan = good(t, webAndAddons+`[{"plan": "static_cdn"}]}`, web, akinon.Input{Skip: noMail, Given: func(n string) bool { return n == "BASE_STATIC_URL" }})
	if len(plan.Manifests[0].Services) != 1 {
		t.Error("static files that are elsewhere run a store")
	}
	_, _, found := read(t, webAndAddons+`[{"plan": "cdn", "scope": "project"}]}`, web, domains("cdn"), app.Config{})
	if !strings.Contains(found, "[W-NO-EFFECT]") {
		t.Error(found)
	}
}

// TestEnvSchema holds what the format's schema of variables comes to.
func TestEnvSchema(t *testing.T) {
	a, _ := good(t, seed(t, "env"), web, akinon.Input{Skip: noMail})
	s, u := variable(t, a, "SECRET_KEY"), variable(t, a, "API_URL")
	if !s.Required || s.MinLength != 12 || s.MaxLength != 128 || s.Description != "Secret Key" || !s.Secret {
		t.Errorf("%+v", s)
	}
	if !u.Required || u.MinLength != 0 || u.MaxLength != 0 {
		t.Errorf("%+v", u)
	}
}

func FuzzAkinon(f *testing.F) {
	for _, name := range []string{"minimal", "formation", "healthcheck-others", "addons-two-redis", "addon-elasticsearch", "env"} {
		f.Add(seed(f, name), web+"worker: x\n")
	}
	f.Add(webAndAddons+`[{"plan": "postgresql"}, {"plan": "redis", "as": "b"}, {"plan": "cdn"}, {"plan": "static_cdn"}, {"plan": "sentry"}, {"plan": "elasticsearch", "options": {"version": "7.1"}}], "env": {"A": {"required": true}}, "scripts": {"build": "b.sh", "release": "r"}, "runtime": "x:1"}`, web)
	f.Fuzz(func(t *testing.T, text, processes string) {
		_, plan, found := read(t, text, processes, akinon.Input{Given: func(n string) bool { return len(n)%7 == 0 }}, app.Config{})
		r := sdl.NewReporter("akinon.json")
		jsonc.Parse(r, []byte(text), jsonc.Options{Drop: []string{akinon.Placeholder}})
		if err := r.Diagnostics().WriteText(&strings.Builder{}, sdl.Sources{"akinon.json": []byte(text)}); err != nil {
			t.Fatal(err)
		}
		if plan == nil && !strings.Contains(found, ": error: ") {
			t.Fatalf("no plan and no error: %s", found)
		}
	})
}
