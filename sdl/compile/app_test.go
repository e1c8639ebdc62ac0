package compile_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/appjson"
	"berth.dev/berth/sdl/compile"
)

const anImage = "ghcr.io/acme/shop:1"

// application compiles an app.json with the files beside it, which a list of names and texts gives.
func application(text string, beside ...string) compile.Result {
	return compile.Document(applicationInput(text, beside...))
}

func applicationInput(text string, beside ...string) compile.Input {
	return compile.Input{
		File: "app.json", Data: []byte(text), Overlay: app.Overlay{Images: map[string]string{app.All: anImage}},
		ReadFile: func(path string) ([]byte, error) {
			for i := 0; i+1 < len(beside); i += 2 {
				if beside[i] == path {
					return []byte(beside[i+1]), nil
				}
			}
			return nil, fs.ErrNotExist
		},
	}
}

// planned is the plan of a document that has one.
func planned(t *testing.T, r compile.Result) *sdl.Plan {
	t.Helper()
	if r.Plan == nil {
		t.Fatalf("no plan: %v", r.Found)
	}
	return r.Plan
}

func service(t *testing.T, p *sdl.Plan, name string) manifesttypes.Service {
	t.Helper()
	i := slices.IndexFunc(p.Manifests[0].Services, func(s manifesttypes.Service) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no service %s", name)
	}
	return p.Manifests[0].Services[i]
}

func names(p *sdl.Plan) []string {
	var out []string
	for _, s := range p.Manifests[0].Services {
		out = append(out, s.Name)
	}
	return out
}

func find(found sdl.Diagnostics, code string) *sdl.Diagnostic {
	i := slices.IndexFunc(found, func(d sdl.Diagnostic) bool { return d.Code == code })
	if i < 0 {
		return nil
	}
	return &found[i]
}

func variable(s manifesttypes.Service, name string) *manifesttypes.EnvVar {
	for i := range s.Env {
		if s.Env[i].Name == name {
			return &s.Env[i]
		}
	}
	return nil
}

func planJSON(t *testing.T, p *sdl.Plan) string {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Behaviour 1: comments and commas change nothing.
func TestAppCommentsChangeNothing(t *testing.T) {
	clean := planned(t, application(`{"env": {"A": "b"}, "formation": {"web": {"quantity": 2}}}`))
	commented := planned(t, application("{// one\n\"env\": {\"A\": \"b\",}, /* two\n */ \"formation\": {\"web\": {\"quantity\": 2,},},}\n"))
	if a, b := planJSON(t, clean), planJSON(t, commented); a != b {
		t.Errorf("the plans differ:\n%s\n%s", a, b)
	}
}

// Behaviour 2: a broken file is shown with its line and a caret.
func TestAppBrokenIsShown(t *testing.T) {
	r := application(`{"cron": [}`)
	var b strings.Builder
	if err := r.Found.WriteText(&b, r.Sources); err != nil {
		t.Fatal(err)
	}
	if r.Plan != nil || !strings.HasPrefix(b.String(), "app.json:1:11: ") || !strings.Contains(b.String(), "  1 | {\"cron\": [}\n    |           ^\n") {
		t.Errorf("it says\n%s", b.String())
	}
}

// Behaviours 3 to 7, as far as they need no chain: what is given wins, what is missing is left out or refused, all at
// once, and no generated value is in a plan.
func TestAppVariables(t *testing.T) {
	const text = `{"env": {"WEB_CONCURRENCY": "5", "SECRET": {"generator": "secret"}, "DATABASE_URL": {"description": "where it is"},
		"API_URL": {"description": "the other", "required": true}, "OPTIONAL": {"required": false}, "FLAGS": {"value": "a", "sync": true}}}`
	in := applicationInput(text)
	p := planned(t, compile.Document(in))
	web := service(t, p, "web")
	if v := variable(web, "WEB_CONCURRENCY"); v == nil || v.Value != "5" || v.Secret {
		t.Errorf("WEB_CONCURRENCY is %v", v)
	}
	if v := variable(web, "SECRET"); v == nil || v.Value != "" || !v.Secret {
		t.Errorf("SECRET is %v", v)
	}
	if variable(web, "OPTIONAL") != nil || variable(web, "DATABASE_URL") != nil {
		t.Error("variables without a value are there")
	}
	want := []sdl.Input{
		{Name: "API_URL", Description: "the other", State: sdl.InputMissing}, {Name: "DATABASE_URL", Description: "where it is", State: sdl.InputMissing},
		{Name: "OPTIONAL", State: sdl.InputAbsent}, {Name: "SECRET", State: sdl.InputGenerated},
	}
	if !slices.Equal(p.Extras.Inputs, want) {
		t.Errorf("inputs %v", p.Extras.Inputs)
	}
	in.Complete = true
	r := compile.Document(in)
	missing := 0
	for _, d := range r.Found {
		if d.Code == "E-VALUE-MISSING" {
			missing++
		}
	}
	if r.Plan != nil || missing != 3 {
		t.Errorf("a deployment without values: %v", r.Found)
	}
	in.Values = map[string]string{"WEB_CONCURRENCY": "9", "SECRET": strings.Repeat("a", 64), "DATABASE_URL": "hunter2", "API_URL": "y", "EXTRA": "hunter2"}
	p = planned(t, compile.Document(in))
	web = service(t, p, "web")
	for name, value := range in.Values {
		if v := variable(web, name); v == nil || v.Value != value || !v.Secret {
			t.Errorf("%s is %v", name, v)
		}
	}
	if text := planJSON(t, p); strings.Contains(text, "hunter") || strings.Contains(text, "aaaa") {
		t.Errorf("the plan shows a secret: %s", text)
	}
}

// Behaviour 8: without a formation web runs, and others are named.
func TestAppProcfileWithoutFormation(t *testing.T) {
	r := application(`{"env": {}}`, "Procfile", "web: ./serve --port $PORT\nworker: ./work\n")
	p := planned(t, r)
	if got := names(p); !slices.Equal(got, []string{"web"}) || len(p.Groups[0].Resources) != 1 || p.Groups[0].Resources[0].Count != 1 {
		t.Errorf("runs %v", got)
	}
	if d := find(r.Found, "W-PROCESS-NOT-IN-FORMATION"); d == nil || !strings.Contains(d.Message, "worker") {
		t.Errorf("said %v", r.Found)
	}
	if got := service(t, p, "web").Command; !slices.Equal(got, []string{"/bin/sh", "-c", "./serve --port $PORT"}) {
		t.Errorf("web runs %q", got)
	}
}

// Behaviour 9.
func TestAppQuantityAndParallel(t *testing.T) {
	p := planned(t, application(`{"formation": {"web": {"quantity": 3, "max_parallel": 2}}}`))
	web := service(t, p, "web")
	if web.Count != 3 || web.Rollout.MaxSurge != 2 || web.Rollout.MaxUnavailable != 0 || p.Groups[0].Resources[0].Count != 3 {
		t.Errorf("web is %+v", web)
	}
	if e := web.Expose[0]; e.Port != 5000 || e.As != 80 || !e.To[0].Global || variable(web, "PORT").Value != "5000" {
		t.Errorf("web is open at %+v", e)
	}
}

// Behaviours 10 to 13: tasks.
func TestAppCron(t *testing.T) {
	task := func(text string) string { return `{"cron": [` + text + `]}` }
	p := planned(t, application(task(`{"command": "echo 'hello'", "schedule": "0 1 * * *"}`)))
	name := app.TaskName("cron", "echo 'hello'", "0 1 * * *")
	s := service(t, p, name)
	want := &manifesttypes.Cron{Schedule: "0 1 * * *", Concurrency: manifesttypes.CONCURRENCY_ALLOW}
	if !reflect.DeepEqual(s.Cron, want) || !slices.Equal(s.Command, []string{"echo", "hello"}) || s.UnitId == 0 || len(name) > 52 {
		t.Errorf("the task is %+v", s)
	}
	for policy, want := range map[string]manifesttypes.Concurrency{"forbid": manifesttypes.CONCURRENCY_FORBID, "replace": manifesttypes.CONCURRENCY_REPLACE} {
		p := planned(t, application(task(`{"command": "x", "schedule": "@daily", "maintenance": true, "concurrency_policy": "`+policy+`"}`)))
		s := service(t, p, app.TaskName("cron", "x", "@daily"))
		if s.Cron.Concurrency != want || !s.Cron.Suspended || s.UnitId != 0 || len(p.Groups[0].Resources) != 1 || p.Groups[0].Resources[0].Service != "web" {
			t.Errorf("%s: %+v", policy, s)
		}
	}
	if p := planned(t, application(task(`{"command": "x", "schedule": "0 1 * * 7"}`))); service(t, p, app.TaskName("cron", "x", "0 1 * * 7")).Cron.Schedule != "0 1 * * 0" {
		t.Error("a Sunday that is 7 stays")
	}
	if p := planned(t, application(task(`{"command": "sh -c 'a && b'", "schedule": "@daily"}`))); !slices.Equal(service(t, p, app.TaskName("cron", "sh -c 'a && b'", "@daily")).Command, []string{"sh", "-c", "a && b"}) {
		t.Error("a command of a shell is another")
	}
	if p := planned(t, application(task(`{"command": "tidy", "schedule": "@daily"}`), "Procfile", "web: x\ntidy: rake tidy\n")); !slices.Equal(service(t, p, app.TaskName("cron", "tidy", "@daily")).Command, []string{"rake", "tidy"}) {
		t.Error("the name of a process is not its command")
	}
	for text, want := range map[string]string{
		`{"command": "x", "schedule": "@daily", "concurrency_policy": "skip"}`:           `cron[0].concurrency_policy: "skip" is not one of allow, forbid, replace [E-CRON-POLICY]`,
		`{"command": "x", "schedule": "61 * * * *"}`:                                     `cron[0].schedule: "61 * * * *" is not a schedule`,
		`{"command": "x", "schedule": "*/5 * * * * *"}`:                                  `cron[0].schedule: `,
		`{"command": "x", "schedule": "@reboot"}`:                                        `cron[0].schedule: `,
		`{"command": "x", "schedule": "CRON_TZ=Asia/Tokyo 0 1 * * *"}`:                   `cron[0].schedule: `,
		`{"command": "x", "schedule": "@every 30s"}`:                                     `cron[0].schedule: `,
		`{"command": "a && b", "schedule": "@daily"}`:                                    `cron[0].command: the command needs a shell`,
		`{"command": "a 'b", "schedule": "@daily"}`:                                      `cron[0].command: a single quote is not closed`,
		`{"command": "x", "schedule": "@daily"}, {"command": "x", "schedule": "@daily"}`: `[E-CRON-DUPLICATE]`,
		`{"schedule": "@daily"}`:                                                         `cron[0].command: command is missing [E-MISSING]`,
	} {
		r := application(task(text))
		if r.Plan != nil || !strings.Contains(r.Found[0].String(), want) {
			t.Errorf("%s: %v, want %s", text, r.Found, want)
		}
	}
	if r := application(task(`{"command": "a && b", "schedule": "@daily"}`)); r.Found[0].Hint != "write sh -c 'a && b'" {
		t.Errorf("the hint is %q", r.Found[0].Hint)
	}
	if r := application(`{"cron": {"web": {"command": "x", "schedule": "@daily"}}}`); r.Plan != nil || r.Found[0].Hint == "" {
		t.Errorf("an object of tasks: %v", r.Found)
	}
}

// Behaviours 14 to 16: checks.
func TestAppHealthchecks(t *testing.T) {
	check := func(text string) compile.Result { return application(`{"healthchecks": {"web": [` + text + `]}}`) }
	numbers := manifesttypes.Probe{PeriodSeconds: 5, TimeoutSeconds: 5, SuccessThreshold: 1, FailureThreshold: 3}
	probe := func(change func(p *manifesttypes.Probe)) *manifesttypes.Probe {
		p := numbers
		change(&p)
		return &p
	}
	for text, want := range map[string]*manifesttypes.Probes{
		`{"type": "startup", "name": "web check", "description": "d", "path": "/health/ready", "attempts": 3}`: {Startup: probe(func(p *manifesttypes.Probe) {
			p.Http = &manifesttypes.HTTPGet{Path: "/health/ready", Port: 5000}
		})},
		`{"type": "readiness", "command": ["/app/ok"]}`: {Readiness: probe(func(p *manifesttypes.Probe) { p.Exec = []string{"/app/ok"} })},
		`{"listening": true, "port": 3000}`:             {Startup: probe(func(p *manifesttypes.Probe) { p.TcpPort = 3000 })},
		`{"uptime": 30}`:                                {},
		`{"type": "liveness", "path": "/x", "scheme": "https", "wait": 7, "timeout": 2, "initialDelay": 9, "attempts": 1, "httpHeaders": [{"name": "Host", "value": "x"}]}`: {
			Liveness: &manifesttypes.Probe{Http: &manifesttypes.HTTPGet{Path: "/x", Port: 5000, Tls: true, Headers: []manifesttypes.Header{{Name: "Host", Value: "x"}}},
				InitialDelaySeconds: 9, PeriodSeconds: 7, TimeoutSeconds: 2, SuccessThreshold: 1, FailureThreshold: 1}},
		`{"path": "/x", "content": "ok"}`: {Startup: probe(func(p *manifesttypes.Probe) { p.Http = &manifesttypes.HTTPGet{Path: "/x", Port: 5000, Content: "ok"} })},
	} {
		r := check(text)
		web := service(t, planned(t, r), "web")
		if !reflect.DeepEqual(web.Probes, want) || len(r.Found) > 0 {
			t.Errorf("%s: %v, %v", text, web.Probes, r.Found)
		}
		if seconds := map[bool]uint32{true: 30}[strings.Contains(text, "uptime")]; web.MinReadySeconds != seconds {
			t.Errorf("%s: counts after %d s", text, web.MinReadySeconds)
		}
	}
	if web := service(t, planned(t, application(`{"env": {}}`)), "web"); web.MinReadySeconds != 10 || web.Probes != nil {
		t.Errorf("without checks: %d s, %v", web.MinReadySeconds, web.Probes)
	}
	for text, code := range map[string]string{
		`{"type": "liveness", "path": "/a"}, {"type": "liveness", "path": "/b"}`: "W-PROBE-MULTI",
		`{"path": "/a", "onFailure": {"command": ["/bin/x"]}}`:                   "W-HOST-COMMAND",
		`{"type": "readiness", "path": "/a", "content": "x"}`:                    "W-PROBE-CONTENT",
		`{"path": "/a", "warn": true}`:                                           "W-PROBE-WARN",
		`{"name": "x"}`:                                                          "W-PROBE-UPTIME",
		`{"path": "/a", "whatever": 1}`:                                          "W-UNKNOWN-KEY",
		`{"command": ["/a"], "path": "/b"}`:                                      "E-PROBE",
		`{"path": "a"}`:                                                          "E-PROBE-PATH",
		`{"type": "ready", "path": "/a"}`:                                        "E-PROBE-TYPE",
		`{"path": "/a", "scheme": "ftp"}`:                                        "E-PROBE-SCHEME",
		`{"path": "/a", "attempts": 0}`:                                          "E-RANGE",
		`{"path": "/a", "port": 70000}`:                                          "E-PORT",
		`{"command": []}`:                                                        "E-MISSING",
		`{"path": "/a", "onFailure": {"url": "ftp://x"}}`:                        "E-URL",
	} {
		r := check(text)
		if find(r.Found, code) == nil || (r.Plan == nil) != strings.HasPrefix(code, "E") {
			t.Errorf("%s: %v, want %s", text, r.Found, code)
		}
	}
	r := check(`{"type": "liveness", "path": "/a"}, {"type": "liveness", "path": "/b"}`)
	if p := service(t, planned(t, r), "web").Probes.Liveness; p.Http.Path != "/a" {
		t.Errorf("the check that counts is %v", p)
	}
	r = check(`{"path": "/a", "name": "c", "onFailure": {"url": "https://u:hunter2@x/"}}`)
	if n := planned(t, r).Extras.Notices; len(n) != 1 || n[0].Service != "web" || n[0].Check != "c" || strings.Contains(planJSON(t, r.Plan), "hunter") {
		t.Errorf("notices %v", n)
	}
}

// Behaviours 17 and 18: scaling.
func TestAppAutoscaling(t *testing.T) {
	scaled := func(text string) compile.Result {
		return application(`{"formation": {"web": {"quantity": 2, "autoscaling": ` + text + `}}}`)
	}
	const cpu = `{"max_quantity": 10, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}], "cooldown_period_seconds": 120}`
	p := planned(t, scaled(cpu))
	web := service(t, p, "web")
	want := &manifesttypes.Scale{Min: 2, CooldownSeconds: 120, Triggers: []manifesttypes.Trigger{{Resource: "cpu", UtilizationPercent: 70}}}
	if !reflect.DeepEqual(web.Scale, want) || web.Count != 10 || p.Groups[0].Resources[0].Count != 10 {
		t.Errorf("web is %+v", web)
	}
	if !slices.Contains(p.Groups[0].Attributes, sdl.Attribute{Key: "ability/autoscale/cpu", Value: "true"}) {
		t.Errorf("asks for %v", p.Groups[0].Attributes)
	}
	in := applicationInput(`{"formation": {"web": {"quantity": 2, "autoscaling": ` + cpu + `}}}`)
	in.Overlay.Reserve = app.ReserveMin
	r := compile.Document(in)
	if web := service(t, planned(t, r), "web"); web.Scale != nil || web.Count != 2 || find(r.Found, "W-RESERVE-MIN") == nil {
		t.Errorf("reserve min: %+v", web)
	}
	a := planned(t, scaled(`{"max_quantity": 4, "triggers": {"http": {"metadata": {"url": "https://example.com/health"}}}}`))
	b := planned(t, scaled(`{"max_quantity": 4, "triggers": [{"name": "http", "type": "http", "metadata": {"url": "https://example.com/health"}}]}`))
	if planJSON(t, a) != planJSON(t, b) {
		t.Errorf("the forms of triggers give other plans:\n%s\n%s", planJSON(t, a), planJSON(t, b))
	}
	if find(a.Warnings, "W-TRIGGER-KEY") == nil || find(a.Warnings, "W-TRIGGER") == nil || service(t, a, "web").Count != 2 {
		t.Errorf("http: %v", a.Warnings)
	}
	for text, code := range map[string]string{
		`{"triggers": {"kafka": {}}}`:                                                                                     "E-TRIGGER",
		`{"triggers": {"cron": {"metadata": {"start": "0 8 * * *"}}}}`:                                                    "E-TRIGGER",
		`{"max_quantity": 3, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}, {"type": "cron"}]}`:               "E-TRIGGER",
		`{"triggers": [{"type": "cpu"}]}`:                                                                                 "E-TRIGGER",
		`{"triggers": [{"type": "cpu", "metadata": {"value": "170"}}]}`:                                                   "E-TRIGGER",
		`{"min_quantity": 5, "max_quantity": 3, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}]}`:              "E-SCALE",
		`{"min_quantity": 0, "max_quantity": 3, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}]}`:              "E-SCALE",
		`{"max_quantity": 1000, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}]}`:                              "E-RANGE",
		`{"max_quantity": 3, "cooldown_seconds": 60, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}]}`:         "W-ALIAS",
		`{"max_quantity": 3, "polling_interval_seconds": 60, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}]}`: "W-NO-EFFECT",
	} {
		r := scaled(text)
		if find(r.Found, code) == nil || (r.Plan == nil) != strings.HasPrefix(code, "E") {
			t.Errorf("%s: %v, want %s", text, r.Found, code)
		}
	}
	r = scaled(`{"max_quantity": 3, "triggers": [{"type": "memory", "metricType": "AverageValue", "metadata": {"value": "200Mi"}}]}`)
	if got := service(t, planned(t, r), "web").Scale.Triggers[0]; got.AverageValue != 200<<20 {
		t.Errorf("an amount of memory: %v", got)
	}
}

// Behaviour 19, as far as it needs no cluster.
func TestAppInternalService(t *testing.T) {
	for _, form := range []string{"true", `{"exposed": true}`} {
		p := planned(t, application(`{"formation": {"internal_web": {"quantity": 1, "service": `+form+`}}}`, "Procfile", "web: a\ninternal_web: b\n"))
		s := service(t, p, "internal-web")
		want := []manifesttypes.Expose{{Port: 5000, As: 5000, Proto: manifesttypes.PROTO_TCP, To: []manifesttypes.To{{Service: "web"}}}}
		if !reflect.DeepEqual(s.Expose, want) || variable(s, "PORT").Value != "5000" || len(p.Groups[0].Resources[0].Endpoints) != 0 {
			t.Errorf("%s: %+v", form, s.Expose)
		}
	}
	for _, form := range []string{"false", `{"exposed": false}`, "{}"} {
		p := planned(t, application(`{"formation": {"internal_web": {"quantity": 1, "service": `+form+`}}}`, "Procfile", "web: a\ninternal_web: b\n"))
		if s := service(t, p, "internal-web"); len(s.Expose) > 0 || variable(s, "PORT") != nil {
			t.Errorf("%s: %+v", form, s.Expose)
		}
	}
	r := application(`{"formation": {"web": {"service": {"exposed": true}}}}`)
	if find(r.Found, "W-WEB-SERVICE") == nil || len(service(t, planned(t, r), "web").Expose) != 1 {
		t.Errorf("service of web: %v", r.Found)
	}
}

// Behaviours 20 and 21, as far as they need no cluster: which hooks there are, in their order.
func TestAppScripts(t *testing.T) {
	const text = `{"scripts": {"dokku": {"predeploy": "touch /app/x", "postdeploy": "notify"}, "postdeploy": "seed"}}`
	r := application(text, "Procfile", "web: a\nrelease: ./migrate\n")
	if find(r.Found, "E-PREDEPLOY-NEEDS-BUILD") == nil || r.Plan != nil {
		t.Errorf("predeploy with an image: %v", r.Found)
	}
	in := applicationInput(text, "Procfile", "web: a\nrelease: ./migrate\n")
	in.Overlay.Predeploy = app.PredeployJob
	var got []string
	for _, h := range service(t, planned(t, compile.Document(in)), "web").Hooks {
		got = append(got, fmt.Sprintf("%s %s %v", h.Name, h.When, h.Once))
	}
	want := []string{"predeploy WHEN_BEFORE_ROLLOUT false", "release WHEN_BEFORE_ROLLOUT false", "postdeploy WHEN_AFTER_ROLLOUT true", "dokku-postdeploy WHEN_AFTER_ROLLOUT false"}
	if !slices.Equal(got, want) {
		t.Errorf("hooks %v, want %v", got, want)
	}
	in.Overlay = app.Overlay{}
	out := compile.Document(in)
	if p := planned(t, out); out.App.Build == nil || out.App.Build.Predeploy != "touch /app/x" || len(p.Extras.Unbuilt) != 1 {
		t.Errorf("predeploy with a build: %+v", out.App.Build)
	}
}

// TestAppRefuses holds what else is wrong, and that all of it is said at once.
func TestAppRefuses(t *testing.T) {
	for text, code := range map[string]string{
		`{"expo": {"name": "x"}}`:                                         "E-EXPO",
		`[]`:                                                              "E-TYPE",
		`{"env": {"1A": "x"}}`:                                            "E-ENV",
		`{"env": {"A": {"generator": "uuid"}}}`:                           "E-GENERATOR",
		`{"env": {"A": ["x"]}}`:                                           "E-TYPE",
		`{"env": {"A": {"required": "yes"}}}`:                             "E-TYPE",
		`{"formation": {"web": {"quantity": -1}}}`:                        "E-RANGE",
		`{"formation": {"web": {"quantity": 51}}}`:                        "E-RANGE",
		`{"formation": {"web": {"max_parallel": 0}}}`:                     "E-RANGE",
		`{"formation": {"web": {"quantity": 0}}}`:                         "E-NOTHING-RUNS",
		`{"addons": ["mongolab:sandbox"]}`:                                "E-ADDON",
		`{"image": "Bad Image"}`:                                          "E-IMAGE",
		`{"formation": {"a_b": {"quantity": 1}, "a-b": {"quantity": 1}}}`: "E-NAME",
		`{"env": {}, "env": {}}`:                                          "E-DUPLICATE-KEY",
		`{"env": {"A": 5}}`:                                               "W-ENV-TYPE",
		`{"env": {"A": {"generator": "secret", "sync": true}}}`:           "W-ROTATING-SECRET",
		`{"env": {"PORT": "80"}}`:                                         "W-PORT",
		`{"formations": {"web": {"quantity": 1}}}`:                        "W-UNKNOWN-KEY",
		`{"formation": {"web": {"size": "huge"}}}`:                        "W-SIZE",
		`{"formation": {"worker": {"quantity": 1}}}`:                      "W-NO-COMMAND",
		`{"formation": {"worker": {"service": true}}}`:                    "W-NOT-RUN",
		`{"healthchecks": {"wbe": [{"path": "/"}]}}`:                      "W-PROCESS-UNKNOWN",
		`{"buildpacks": [{"url": "https://example.com/mine.git"}]}`:       "W-BUILDPACK",
	} {
		r := application(text)
		if find(r.Found, code) == nil || (r.Plan == nil) != strings.HasPrefix(code, "E") {
			t.Errorf("%s: %v, want %s", text, r.Found, code)
		}
	}
	r := application(`{"cron": [{"command": "a && b", "schedule": "x"}], "env": {"1": "", "A": {"generator": "x"}}, "formation": {"beat": {"quantity": 99}}}`,
		"Procfile", "web: a\nworker: b\n", "berth.yaml", "image: Bad Image\n")
	var codes []string
	for _, d := range r.Found {
		codes = append(codes, d.Code)
	}
	for _, want := range []string{"E-CRON-COMMAND", "E-SCHEDULE", "E-ENV", "E-GENERATOR", "E-RANGE", "E-FORMATION-NO-PROCESS", "E-IMAGE"} {
		if !slices.Contains(codes, want) {
			t.Errorf("%s is not among %v", want, codes)
		}
	}
	if d := find(r.Found, "E-FORMATION-NO-PROCESS"); d != nil && d.String() != "app.json:1:109: error: formation.beat: no such process in Procfile (have: web, worker) [E-FORMATION-NO-PROCESS]" {
		t.Errorf("said %s", d)
	}
}

// TestAppOverlay holds what stands over what: flags, then berth.yaml, then the manifest, then defaults.
func TestAppOverlay(t *testing.T) {
	const overlay = `
name: shop
image: {worker: ghcr.io/acme/worker:2, web: ghcr.io/acme/file:1}
compute: {web: {cpu: 750m, memory: 1Gi}, cron: {memory: 128Mi}}
price: {web: 12ubrt}
budget: {perMonth: 40}
placement: {region: eu-west, exclude: [berth1x]}
domain: [shop.example.com]
port: {web: 8080}
deposit: 5BRT
env: {A: from-file}
`
	in := applicationInput(`{"name": "Other", "image": "ghcr.io/acme/heroku:1", "formation": {"web": {"size": "standard-2x"}, "worker": {"quantity": 1, "size": "eco"}},
		"cron": [{"command": "x", "schedule": "@daily"}], "env": {"A": "manifest", "B": "manifest"}, "success_url": "/welcome"}`, "berth.yaml", overlay)
	in.Overlay = app.Overlay{Images: map[string]string{"web": "ghcr.io/acme/flag:1"}, Env: map[string]string{"B": "from-flag"}}
	p := planned(t, compile.Document(in))
	web, worker, task := service(t, p, "web"), service(t, p, "worker"), service(t, p, app.TaskName("cron", "x", "@daily"))
	if web.Image != "ghcr.io/acme/flag:1" || worker.Image != "ghcr.io/acme/worker:2" || task.Image != "ghcr.io/acme/flag:1" {
		t.Errorf("images %s, %s, %s", web.Image, worker.Image, task.Image)
	}
	if web.CpuMilli != 750 || web.MemoryBytes != 1<<30 || worker.CpuMilli != 250 || worker.MemoryBytes != 512<<20 || task.MemoryBytes != 128<<20 {
		t.Errorf("sizes %v %v %v", web.CpuMilli, worker.MemoryBytes, task.MemoryBytes)
	}
	if web.Expose[0].Port != 8080 || variable(web, "PORT").Value != "8080" || !slices.Equal(web.Expose[0].Accept, []string{"shop.example.com"}) {
		t.Errorf("web is open at %+v", web.Expose[0])
	}
	if a, b := variable(web, "A"), variable(web, "B"); a.Value != "from-file" || b.Value != "from-flag" || !a.Secret || !b.Secret {
		t.Errorf("variables %v %v", a, b)
	}
	if p.Groups[0].Name != "shop" || !slices.Contains(p.Groups[0].Attributes, sdl.Attribute{Key: "region", Value: "eu-west"}) || p.Extras.Deposit != "5BRT" || p.Extras.Success != "/welcome" {
		t.Errorf("group %+v", p.Groups[0])
	}
	if !p.OpenPrices() || p.Groups[0].Resources[1].Price.String() != "12.000000000000000000" {
		t.Errorf("prices %v", p.Groups[0].Resources)
	}
	app.Spread(p, 6_000_000_000)
	sum := p.Groups[0].Resources[0].Price
	for _, r := range p.Groups[0].Resources[1:] {
		sum = sum.Add(r.Price)
	}
	// 40 tokens in 432,000 blocks.
	if got := sum.MulInt64(432_000); p.OpenPrices() || got.String()[:8] != "39999999" && got.TruncateInt64() != 40_000_000 {
		t.Errorf("the budget comes to %s", got)
	}
	in.Overlay.Compute = map[string]app.Size{"wbe": {CPUMilli: 1}}
	if d := find(compile.Document(in).Found, "E-OVERLAY"); d == nil || d.Suggestion != "web" {
		t.Errorf("a size of nobody: %v", d)
	}
}

// TestAppEnvironment holds what an environment puts over the document.
func TestAppEnvironment(t *testing.T) {
	in := applicationInput(`{"env": {"A": "1", "B": "2"}, "formation": {"web": {"quantity": 3}}, "environments": {"test": {"env": {"B": "3"}, "formation": {"web": {"quantity": 1}}}}}`)
	in.Environment = "test"
	web := service(t, planned(t, compile.Document(in)), "web")
	if variable(web, "A").Value != "1" || variable(web, "B").Value != "3" || web.Count != 1 {
		t.Errorf("web is %+v", web)
	}
	in.Environment = "tset"
	if r := compile.Document(in); find(r.Found, "E-ENVIRONMENT") == nil {
		t.Errorf("said %v", r.Found)
	}
}

func TestDetect(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"deploy.yaml", "version: 1", compile.FormatSDL}, {"a/app.json", "{}", appjson.Format}, {"prod.json", `{"env": {}}`, appjson.Format},
		{"prod.json", `{"version": "1.0", "services": {}}`, compile.FormatSDL}, {"-", "// x\n{\"formation\": {}}", appjson.Format},
		{"-", "services: {}", compile.FormatSDL}, {"x.json", `{"y": 1}`, compile.FormatSDL}, {"akinon.json", "{}", "akinon.json"},
	} {
		if got := compile.Detect(compile.Input{File: c.file, Data: []byte(c.text)}); got != c.want {
			t.Errorf("%s %s is %s, want %s", c.file, c.text, got, c.want)
		}
	}
}

// manyProcesses is an app.json of ten processes with its Procfile.
func manyProcesses() (manifest, procfile string) {
	var formation, health []string
	for i := range 10 {
		name := []string{"web", "a", "b", "c", "d", "e", "f", "g", "h", "i"}[i]
		formation = append(formation, fmt.Sprintf(`%q: {"quantity": 2, "max_parallel": 1, "autoscaling": {"max_quantity": 4, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}]}}`, name))
		health = append(health, fmt.Sprintf(`%q: [{"path": "/ready", "attempts": 3}, {"type": "liveness", "command": ["/bin/ok"]}]`, name))
		procfile += name + ": ./run " + name + " --port $PORT\n"
	}
	return `{"name": "ten", "env": {"A": "b", "S": {"generator": "secret"}}, "formation": {` + strings.Join(formation, ", ") + `}, "healthchecks": {` +
		strings.Join(health, ", ") + `}, "cron": [{"command": "tidy", "schedule": "@daily"}]}`, procfile
}

// BenchmarkAppPlan is what berth plan does with an app.json of ten processes; at most 10 ms.
func BenchmarkAppPlan(b *testing.B) {
	text, procfile := manyProcesses()
	in := applicationInput(text, "Procfile", procfile)
	b.ReportAllocs()
	for b.Loop() {
		r := compile.Document(in)
		if r.Plan == nil {
			b.Fatal(r.Found)
		}
		if _, err := json.Marshal(r.Plan); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzAppJSON holds that any manifest, Procfile and overlay are read to an end: there is a plan, or an error, and never
// both, and a plan can be written.
func FuzzAppJSON(f *testing.F) {
	files, _ := filepath.Glob("testdata/app.json/*.json")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			f.Add(data, []byte("web: a\nworker: b $X\n"), []byte("image: a/b\nprice: 1\n"))
		}
	}
	text, procfile := manyProcesses()
	f.Add([]byte(text), []byte(procfile), []byte("compute: {web: {cpu: 1}}\nbudget: 3\nscale: {reserve: min}\n"))
	f.Fuzz(func(t *testing.T, manifest, procfile, overlay []byte) {
		in := applicationInput(string(manifest), "Procfile", string(procfile), "berth.yaml", string(overlay))
		r := compile.Document(in)
		if (r.Plan == nil) != (r.Found.Errors() > 0) {
			t.Fatalf("a plan: %v, with %v", r.Plan != nil, r.Found)
		}
		var b strings.Builder
		if err := r.Found.WriteText(&b, r.Sources); err != nil {
			t.Fatal(err)
		}
		if r.Plan == nil {
			return
		}
		app.Spread(r.Plan, 6_000_000_000)
		if _, err := json.Marshal(r.Plan); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAppExample holds that the example has a plan without anything to remark.
func TestAppExample(t *testing.T) {
	const dir = "../../examples/app-json"
	data, err := os.ReadFile(filepath.Join(dir, "app.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := compile.Document(compile.Input{File: filepath.Join(dir, "app.json"), Data: data, ReadFile: func(path string) ([]byte, error) {
		return os.ReadFile(filepath.Join(dir, path))
	}})
	p := planned(t, r)
	if len(r.Found) > 0 || p.OpenPrices() || len(p.Extras.Unbuilt) > 0 || len(p.Manifests[0].Services) != 4 || len(p.Groups[0].Resources) != 3 {
		t.Errorf("%v, %v, %v", names(p), r.Found, p.Extras)
	}
}
