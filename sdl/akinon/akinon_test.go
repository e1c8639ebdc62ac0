package akinon_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/akinon"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/jsonc"
	"berth.dev/berth/sdl/procfile"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noMail = []string{"mail"}

const web = "web: gunicorn app:app -b 0.0.0.0:8008\n"

// read compiles a manifest with a Procfile, and returns what was found as lines.
func read(t testing.TB, text, processes string, in akinon.Input, c app.Config) (*app.App, *sdl.Plan, string) {
	t.Helper()
	r := sdl.NewReporter("akinon.json")
	r.AddFile("Procfile")
	root := jsonc.Parse(r, []byte(text), jsonc.Options{Drop: []string{akinon.Placeholder}})
	if root == nil {
		return nil, nil, lines(r)
	}
	if processes != "" {
		in.HasProcfile, in.Procfile = true, procfile.Parse(r, "Procfile", []byte(processes))
	}
	c.Overlay = in.Overlay
	a := akinon.Read(r, root, in)
	plan := app.Compile(r, a, c)
	return a, plan, lines(r)
}

func lines(r *sdl.Reporter) string {
	var out []string
	for _, d := range r.Diagnostics() {
		out = append(out, d.String())
	}
	return strings.Join(out, "\n")
}

// good compiles what has no error.
func good(t *testing.T, text, processes string, in akinon.Input) (*app.App, *sdl.Plan) {
	t.Helper()
	a, plan, found := read(t, text, processes, in, app.Config{})
	if plan == nil {
		t.Fatal(found)
	}
	return a, plan
}

func service(t *testing.T, p *sdl.Plan, name string) manifesttypes.Service {
	t.Helper()
	s := p.Manifests[0].Services
	i := slices.IndexFunc(s, func(s manifesttypes.Service) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no service %s", name)
	}
	return s[i]
}

func env(s manifesttypes.Service) map[string]string {
	out := map[string]string{}
	for _, e := range s.Env {
		out[e.Name] = e.Value
	}
	return out
}

// TestSamplesAreOfTheDescription: the samples are those of the format's own description, character by character.
func TestSamplesAreOfTheDescription(t *testing.T) {
	const want = "eefb95d20ef1686a7374a253fd7ea5581553edce0b993f2dfc47330155844831"
	files, err := filepath.Glob("testdata/seed/*.json")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	for _, file := range append(files, "testdata/seed/Procfile") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(data)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		t.Errorf("the samples were changed: their hash is %s", got)
	}
}

// TestSeed holds what becomes of the samples of the format's description, as they stand there: the plan, or the error.
func TestSeed(t *testing.T) {
	files, err := filepath.Glob("testdata/seed/*.json")
	if err != nil || len(files) != 16 {
		t.Fatal(files, err)
	}
	processes, err := os.ReadFile("testdata/seed/Procfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := string(data)
			if strings.HasPrefix(name, "addon-") { // one entry of the list
				text = `{"addons": [` + "\n" + text + "]}"
			}
			_, plan, found := read(t, text, string(processes), akinon.Input{}, app.Config{})
			got := found + "\n"
			if plan != nil {
				var b strings.Builder
				enc := json.NewEncoder(&b)
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				plan.Warnings = nil
				if err := enc.Encode(plan); err != nil {
					t.Fatal(err)
				}
				got += b.String()
			}
			golden(t, "seed/"+name+".golden", got)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	at := filepath.Join("testdata", name)
	if *update {
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

// seed is one of the samples.
func seed(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/seed/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestMinimal is what the smallest sample comes to: one service of the application at port 8008, which is well when its
// path answers 200.
func TestMinimal(t *testing.T) {
	a, plan := good(t, seed(t, "minimal"), web, akinon.Input{Skip: noMail})
	if a.Name != "mcapp-9000" || len(plan.Manifests) != 1 || len(plan.Manifests[0].Services) != 1 {
		t.Fatalf("%s: %+v", a.Name, plan.Manifests)
	}
	s := service(t, plan, "web")
	probe := func(failures uint32) *manifesttypes.Probe {
		return &manifesttypes.Probe{
			Http: &manifesttypes.HTTPGet{Path: "/healthz", Port: 8008, Status: 200}, PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: failures,
		}
	}
	if d := cmp.Diff(&manifesttypes.Probes{Startup: probe(60), Readiness: probe(3)}, s.Probes); d != "" {
		t.Error(d)
	}
	if s.Count != 1 || s.Scale != nil || env(s)["PORT"] != "8008" {
		t.Errorf("count %d, scale %v, env %v", s.Count, s.Scale, env(s))
	}
	if d := cmp.Diff([]string{"gunicorn", "app:app", "-b", "0.0.0.0:8008"}, s.Command); d != "" {
		t.Error(d)
	}
	if e := s.Expose; len(e) != 1 || e[0].Port != 8008 || e[0].As != 80 || len(e[0].To) != 1 || !e[0].To[0].Global {
		t.Errorf("expose %+v", e)
	}
}

// formation is a manifest with a formation of one process.
func formation(process, entry string) string {
	return `{"formation": {"` + process + `": ` + entry + `}}`
}

func TestNumbersOfInstances(t *testing.T) {
	type scaled struct{ count, least, utilization, cooldown uint32 }
	for entry, want := range map[string]scaled{
		`{"healthcheck": "/h"}`:                           {count: 1},
		`{"healthcheck": "/h", "min": 1, "max": 1}`:       {count: 1},
		`{"healthcheck": "/h", "min": 3}`:                 {count: 3},
		`{"healthcheck": "/h", "max": 4}`:                 {4, 1, 80, 300},
		`{"healthcheck": "/h", "min": 2, "max": "auto"}`:  {4, 2, 80, 300},
		`{"healthcheck": "/h", "max": "auto"}`:            {3, 1, 80, 300},
		`{"healthcheck": "/h", "min": 30, "max": "auto"}`: {50, 30, 80, 300},
		`{"healthcheck": "/h", "min": 50, "max": "auto"}`: {count: 50},
	} {
		_, plan := good(t, formation("web", entry), web, akinon.Input{Skip: noMail})
		s := service(t, plan, "web")
		got := scaled{count: s.Count}
		if s.Scale != nil {
			got = scaled{s.Count, s.Scale.Min, s.Scale.Triggers[0].UtilizationPercent, s.Scale.CooldownSeconds}
		}
		if got != want || plan.Groups[0].Resources[0].Count != want.count {
			t.Errorf("%s: %+v, want %+v", entry, got, want)
		}
	}
	_, plan := good(t, formation("web", `{"healthcheck": "/h", "min": 2, "max": "auto"}`), web,
		akinon.Input{Skip: noMail, Overlay: app.Overlay{AutoMax: map[string]uint32{"web": 6}}})
	if s := service(t, plan, "web"); s.Count != 6 || s.Scale.Min != 2 {
		t.Errorf("--auto-max web=6: %+v", s)
	}
	_, plan = good(t, `{"formation": {"web": {"healthcheck": "/h"}, "worker": {"min": 0, "max": "auto"}}}`, web+"worker: x\n", akinon.Input{Skip: noMail})
	if n := len(plan.Manifests[0].Services); n != 1 {
		t.Errorf("min 0: %d services", n)
	}
}

// TestProblems holds what is refused, or taken with a remark, with all of it at once and at its place.
func TestProblems(t *testing.T) {
	const two = web + "worker: worker.py\n"
	files := map[string]akinon.FileInfo{"build.sh": {Exists: true}, "ok.sh": {Exists: true, Executable: true, Shebang: true}}
	for name, tc := range map[string]struct{ text, procfile, want string }{
		"a formation without a process": {
			seed(t, "formation"), two,
			`akinon.json:9:9: error: formation.beat: no such process in Procfile (have: web, worker) [E-FORMATION-NO-PROCESS]`,
		},
		"a missing comma": {
			seed(t, "healthcheck-others"), two,
			`akinon.json:12:9: error: character '"' after a value of the object, expecting ',' or '}' [E-JSON]`,
		},
		"no Procfile": {
			seed(t, "minimal"), "", `akinon.json:1:1: error: there is no Procfile beside the manifest, which says what its processes run [E-PROCFILE]`,
		},
		"web without a healthcheck": {
			formation("web", "{}"), web,
			`akinon.json:1:16: error: formation.web: web has no healthcheck: a path that answers 200 when it can take requests [E-WEB-HEALTHCHECK]`,
		},
		"a process out of the formation": {
			formation("web", `{"healthcheck": "/h"}`), two,
			`Procfile:2:1: warning: worker: process "worker" has no entry in formation, so it does not run [W-PROCESS-NOT-IN-FORMATION]`,
		},
		"max many":       {formation("web", `{"healthcheck": "/h", "max": "many"}`), web, `akinon.json:1:52: error: formation.web.max: max "many" is neither a number nor "auto" [E-SCALE]`},
		"max below min":  {formation("web", `{"healthcheck": "/h", "min": 3, "max": 2}`), web, `akinon.json:1:62: error: formation.web.max: max 2 is less than min 3 [E-SCALE]`},
		"too many":       {formation("web", `{"healthcheck": "/h", "min": 51}`), web, `akinon.json:1:52: error: formation.web.min: min "51" is not a whole number from 0 to 50 [E-RANGE]`},
		"a relative URL": {formation("web", `{"healthcheck": "healthz"}`), web, `akinon.json:1:39: error: formation.web.healthcheck: healthcheck "healthz" of web is not a path that starts with one / [E-HEALTHCHECK]`},
		"a relative file": {
			`{"formation": {"web": {"healthcheck": "/h"}, "worker": {"healthcheck": "tmp/x"}}}`, two,
			`akinon.json:1:72: error: formation.worker.healthcheck: healthcheck "tmp/x" of worker is not the absolute path of a file [E-HEALTHCHECK]`,
		},
		"an unknown plan": {
			`{"addons": [{"plan": "mysql"}]}`, web,
			`akinon.json:1:22: error: addons[0].plan: plan "mysql" is not one of postgresql, redis, sentry, mail, cdn, static_cdn, elasticsearch [E-ADDON-PLAN]`,
		},
		"a role twice": {
			`{"addons": [{"plan": "redis"}, {"plan": "redis", "as": "cache"}]}`, web,
			`akinon.json:1:32: error: addons[1]: the role cache is taken by plan redis already [E-ADDON-ROLE]`,
		},
		"variables twice": {
			`{"addons": [{"plan": "redis", "as": "my-db"}, {"plan": "postgresql", "as": "my_db"}]}`, web,
			`akinon.json:1:47: error: addons[1]: the role my_db is taken by plan redis already [E-ADDON-ROLE]`,
		},
		"a role of fixed names": {
			`{"addons": [{"plan": "cdn", "as": "files"}]}`, web,
			`akinon.json:1:35: error: addons[0].as: plan cdn has no as: its variables have fixed names [E-ADDON-ROLE]`,
		},
		"a role that is a process": {
			`{"formation": {"worker": {}, "web": {"healthcheck": "/h"}}, "addons": [{"plan": "redis", "as": "worker"}]}`, two,
			`akinon.json:1:72: error: addons[0]: the addon redis and the process "worker" would both be called worker where they run [E-ADDON-ROLE]`,
		},
		"options": {
			`{"addons": [{"plan": "postgresql", "options": {"instance_type": "db.x1.huge", "instance_count": 2, "version": "9"}}]}`, web,
			`akinon.json:1:65: error: addons[0].options.instance_type: instance_type "db.x1.huge" is not known here [E-ADDON-OPTION]
akinon.json:1:97: error: addons[0].options.instance_count: instance_count 2: a companion has one instance [E-ADDON-OPTION]
akinon.json:1:111: warning: addons[0].options.version: version "9" of plan postgresql has no effect [W-NO-EFFECT]`,
		},
		"scripts": {
			`{"runtime": "python:3.10-slim", "scripts": {"build": "../build.sh", "release": "gone.sh"}}`, web,
			`akinon.json:1:54: error: scripts.build: scripts.build "../build.sh" is not the path of a file within the application [E-SCRIPT]
akinon.json:1:80: error: scripts.release: scripts.release: there is no file "gone.sh" in the application [E-SCRIPT]`,
		},
		"a script that is not executable": {
			`{"runtime": "python:3.10-slim", "scripts": {"build": "./build.sh", "release": "ok.sh"}}`, web,
			`akinon.json:1:54: warning: scripts.build: scripts.build: "./build.sh" is not executable, so sh runs it whatever its first line says [W-SCRIPT-MODE]`,
		},
		"a build without a runtime": {
			`{"scripts": {"build": "ok.sh"}}`, web, `akinon.json:1:23: warning: scripts.build: the script has no runtime to run in, so no image can be built [W-NO-RUNTIME]`,
		},
		"a runtime that is none": {
			`{"runtime": "Python:3.10 slim"}`, web, `akinon.json:1:13: error: runtime: runtime "Python:3.10 slim" is not the reference of an image [E-IMAGE]`,
		},
		"variables": {
			`{"env": {"1A": {}, "PORT": {}, "DB_HOST": {}, "N": {"minlength": 9, "maxlength": 8, "type": "number"}}, "addons": [{"plan": "postgresql"}]}`, web,
			`akinon.json:1:10: error: env.1A: "1A" cannot name a variable [E-ENV]
akinon.json:1:20: error: env.PORT: PORT is always 8008 [E-ENV]
akinon.json:1:32: error: env.DB_HOST: DB_HOST is a variable of an addon, which gives it its value [E-ENV]
akinon.json:1:66: error: env.N.minlength: minlength 9 is more than maxlength 8 [E-RANGE]
akinon.json:1:93: warning: env.N.type: type "number" is read as "text", the only one there is [W-NO-EFFECT]`,
		},
		"a key twice": {
			`{"name": "a", "...": 1, "...": 2, "name": "b"}`, web,
			`akinon.json:1:35: error: key "name" appears twice; it stands in line 1, column 2 already [E-DUPLICATE-KEY]`,
		},
		"unknown keys": {
			`{"nickname": "x", "formation": {"...": "...", "web": {"healthcheck": "/h", "...": "..."}}}`, web,
			`akinon.json:1:2: warning: nickname: akinon.json has no key "nickname" [W-UNKNOWN-KEY]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := akinon.Input{Skip: noMail, File: func(path string) akinon.FileInfo { return files[path] }}
			if tc.text == seed(t, "minimal") || tc.text == seed(t, "formation") || tc.text == seed(t, "healthcheck-others") {
				in.File = nil
			}
			_, _, found := read(t, tc.text, tc.procfile, in, app.Config{})
			var rest []string
			for line := range strings.Lines(found) {
				line = strings.TrimSpace(line)
				if !strings.Contains(line, "[W-NO-IMAGE]") && !strings.Contains(line, "[W-NO-MAIL]") && !strings.Contains(line, "process web has no entry") {
					rest = append(rest, line)
				}
			}
			if d := cmp.Diff(tc.want, strings.Join(rest, "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestMissingCommaIsExplained holds the source line, the caret and the advice of the sample that is not JSON.
func TestMissingCommaIsExplained(t *testing.T) {
	r := sdl.NewReporter("akinon.json")
	text := seed(t, "healthcheck-others")
	jsonc.Parse(r, []byte(text), jsonc.Options{Drop: []string{akinon.Placeholder}})
	var b strings.Builder
	if err := r.Diagnostics().WriteText(&b, sdl.Sources{"akinon.json": []byte(text)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"akinon.json:12:9:", "  12 | ", "^", "missing comma on the previous line?"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// TestFileHealthcheck: a worker whose file is missing is not ready, and nothing starts it again.
func TestFileHealthcheck(t *testing.T) {
	_, plan := good(t, formation("worker", `{"healthcheck": "/tmp/healthz"}`), "worker: celery\n", akinon.Input{Skip: noMail})
	s := service(t, plan, "worker")
	want := &manifesttypes.Probes{Readiness: &manifesttypes.Probe{
		Exec: []string{"test", "-e", "/tmp/healthz"}, PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: 3,
	}}
	if d := cmp.Diff(want, s.Probes); d != "" || len(s.Expose) > 0 || env(s)["PORT"] != "8008" {
		t.Errorf("%+v %s", s, d)
	}
}

// TestLivenessFile: where the tenant wants it, an instance is started again while its file is missing.
func TestLivenessFile(t *testing.T) {
	overlay := func(text string) akinon.Input {
		t.Helper()
		r := sdl.NewReporter(app.OverlayFile)
		root := doc.NewParser(r).YAML(&doc.File{Name: app.OverlayFile}, []byte(text))
		in := akinon.Input{Skip: noMail, Overlay: app.ReadOverlay(r, root, nil)}
		if r.Failed() {
			t.Fatal(lines(r))
		}
		return in
	}
	const text = `{"formation": {"web": {"healthcheck": "/h"}, "worker": {"healthcheck": "/tmp/healthz"}}}`
	for _, yaml := range []string{"livenessFile: true", "livenessFile: {worker: true}"} {
		_, plan := good(t, text, web+"worker: celery\n", overlay(yaml))
		p, of := service(t, plan, "worker").Probes, []string{"test", "-e", "/tmp/healthz"}
		if p.Liveness == nil || !slices.Equal(p.Liveness.Exec, of) || p.Startup == nil || p.Startup.FailureThreshold != 60 || p.Readiness == nil {
			t.Errorf("%s: %+v", yaml, p)
		}
		if service(t, plan, "web").Probes.Liveness != nil {
			t.Errorf("%s: web has no file", yaml)
		}
	}
	for yaml, code := range map[string]string{"livenessFile: {web: true}": "W-NO-EFFECT", "livenessFile: {beat: true}": "E-OVERLAY"} {
		if _, _, found := read(t, text, web+"worker: celery\n", overlay(yaml), app.Config{}); !strings.Contains(found, "["+code+"]") {
			t.Errorf("%s: %s", yaml, found)
		}
	}
}

func TestNoHealthcheck(t *testing.T) {
	_, plan := good(t, formation("web", "{}"), web, akinon.Input{Skip: noMail, NoHealthcheck: true})
	if p := service(t, plan, "web").Probes; p.Startup != nil || p.Readiness.TcpPort != 8008 {
		t.Errorf("%+v", p)
	}
}

// TestRelease holds how the release script runs: by itself if it can, with sh otherwise, and found out where it runs when
// there is no tree to look at.
func TestRelease(t *testing.T) {
	hook := func(text, processes string, file func(string) akinon.FileInfo) manifesttypes.Hook {
		t.Helper()
		_, plan := good(t, text, processes, akinon.Input{Skip: noMail, File: file})
		hooks := service(t, plan, "web").Hooks
		if len(hooks) != 1 || hooks[0].When != manifesttypes.WHEN_BEFORE_ROLLOUT || hooks[0].Once {
			t.Fatalf("%+v", hooks)
		}
		return hooks[0]
	}
	const text = `{"runtime": "x", "scripts": {"release": "./scripts/release.sh"}, "formation": {"web": {"healthcheck": "/h"}}}`
	is := func(executable, shebang bool) func(string) akinon.FileInfo {
		return func(path string) akinon.FileInfo {
			return akinon.FileInfo{Exists: path == "scripts/release.sh", Executable: executable, Shebang: shebang}
		}
	}
	for _, tc := range []struct {
		text, procfile string
		file           func(string) akinon.FileInfo
		want           []string
	}{
		{text, web, is(true, true), []string{"./scripts/release.sh"}},
		{text, web, is(true, false), []string{"sh", "./scripts/release.sh"}},
		{text, web, is(false, true), []string{"sh", "./scripts/release.sh"}},
		{text, web, nil, []string{"/bin/sh", "-c", `if [ -x "$0" ]; then exec "$0"; else exec sh "$0"; fi`, "./scripts/release.sh"}},
		{formation("web", `{"healthcheck": "/h"}`), web + "release: python migrate.py\n", nil, []string{"python", "migrate.py"}},
	} {
		if d := cmp.Diff(tc.want, hook(tc.text, tc.procfile, tc.file).Command); d != "" {
			t.Error(d)
		}
	}
	if _, _, found := read(t, text, web+"release: x\n", akinon.Input{Skip: noMail}, app.Config{}); !strings.Contains(found, "W-RELEASE-TWICE") {
		t.Error(found)
	}
}
