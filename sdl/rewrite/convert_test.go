package rewrite_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/rewrite"
)

// convert converts a document that stands for itself.
func convert(file string, data []byte, to string, lossy bool) (string, sdl.Diagnostics) {
	out := rewrite.Convert(compile.Input{File: file, Data: data}, to, lossy)
	if out.Files == nil {
		return "", out.Found
	}
	return string(out.Files[0].After), out.Found
}

// contents are what a plan asks for and runs, service by service: everything but units, and whether a port that only
// services connect to is http, https or tcp.
func contents(plan *sdl.Plan) string {
	var b strings.Builder
	for i, m := range plan.Manifests {
		g := plan.Groups[i]
		fmt.Fprintln(&b, g.Name, g.Attributes, g.SignedBy, m.Edges, plan.Reclaim)
		for _, s := range m.Services {
			r := g.Resources[s.UnitId-1]
			fmt.Fprintln(&b, r.CPUMilli, r.MemoryBytes, r.Storage, r.GPU, r.GPUAttributes, r.Price, r.Denom)
			s.UnitId, s.Expose = 0, slices.Clone(s.Expose)
			for j := range s.Expose {
				if !manifest.Public(s.Expose[j]) {
					s.Expose[j].Proto = 0
				}
			}
			fmt.Fprintln(&b, s.String())
		}
	}
	return b.String()
}

func mustCompile(t testing.TB, file string, data []byte) *sdl.Plan {
	t.Helper()
	plan, found := compile.Compile(file, data)
	if plan == nil {
		t.Fatalf("%s does not compile: %v\n%s", file, found, data)
	}
	return plan
}

// checkConvert converts a document that compiles and holds that it means the same then, or that every reason against it
// has a place. It returns the result, empty if there is none.
func checkConvert(t testing.TB, file string, data []byte, to string) string {
	t.Helper()
	out, found := convert(file, data, to, false)
	if (out == "") != (found.Errors() > 0) {
		t.Fatalf("%s to %s: text %q with %v", file, to, out, found)
	}
	for _, d := range found {
		if d.Line == 0 || d.Path == "" || !strings.HasSuffix(d.Code, "-CONVERT") {
			t.Errorf("%s to %s: %v", file, to, d)
		}
	}
	if out == "" {
		return ""
	}
	before, after := mustCompile(t, file, data), mustCompile(t, file+" in "+to, []byte(out))
	if contents(before) != contents(after) {
		t.Errorf("%s to %s: other contents:\n%s\nbefore\n%s\nafter\n%s", file, to, out, contents(before), contents(after))
	}
	return out
}

func TestConvertCorpusOf1(t *testing.T) {
	for file, data := range documents(t, corpusDir+"/sdl-1.0/*.yml") {
		if plan, _ := compile.Compile(file, data); plan == nil {
			if out, found := convert(file, data, "2.1", true); out != "" || found.Errors() == 0 {
				t.Errorf("%s: a document that does not compile is converted", file)
			}
			continue
		}
		for _, to := range rewrite.Targets {
			out := checkConvert(t, file, data, to)
			if out == "" {
				t.Errorf("%s cannot be converted to %s", file, to)
				continue
			}
			if form, _ := rewrite.Format(file, []byte(out)); string(form) != out {
				t.Errorf("%s: the result has another form than that of fmt:\n%s\nthan\n%s", file, out, form)
			}
		}
	}
}

func TestConvertCorpusOf2(t *testing.T) {
	refused := 0
	for file, data := range documents(t, corpusDir+"/sdl-2/*.y*ml") {
		if plan, _ := compile.Compile(file, data); plan == nil {
			continue
		}
		out := checkConvert(t, file, data, "2.1")
		if out == "" {
			refused++
			continue
		}
		back := checkConvert(t, file, []byte(out), "2.0")
		again := checkConvert(t, file, []byte(back), "2.1")
		if again != out || strings.Count(back, "\n") != strings.Count(string(data), "\n") {
			t.Errorf("%s: there and back gives\n%s", file, back)
		}
	}
	if refused > 0 {
		t.Errorf("%d documents are refused", refused)
	}
}

// TestConvertRandom holds over random documents that what is converted means the same and keeps its comments, and that
// what is refused is converted when changes are accepted.
func TestConvertRandom(t *testing.T) {
	base := rand.Uint64()
	t.Logf("seeds from %d on", base)
	for i := range uint64(*seeds) {
		for _, version := range []string{"1.0", "2.0", "2.1"} {
			name := fmt.Sprintf("seed %d of version %s", base+i, version)
			text, _ := random(base+i, version)
			out := checkConvert(t, name, []byte(text), "2.1")
			if out == "" {
				var found sdl.Diagnostics
				out, found = convert(name, []byte(text), "2.1", true)
				// Two ports that would both have to be 80 are not converted.
				if slices.ContainsFunc(found, func(d sdl.Diagnostic) bool { return strings.Contains(d.Message, "exposes port 80") }) {
					continue
				}
				if out == "" {
					t.Errorf("%s: refused though changes are accepted: %v\n%s", name, found, text)
					return
				}
				mustCompile(t, name, []byte(out))
			}
			if !sameComments(text, out) {
				t.Errorf("%s: other comments:\n%s\nbecomes\n%s", name, text, out)
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}

// TestConvertGolden holds what some documents become, to the letter.
func TestConvertGolden(t *testing.T) {
	for file, data := range documents(t, "testdata/convert/*.yaml", "../../examples/guestbook/deploy.yaml") {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if name == "deploy" {
			name = "guestbook"
		}
		golden(t, "testdata/convert/"+name+".golden", []byte(checkConvert(t, file, data, "2.1")))
	}
}

// portDocument has one service with an exposed port, and one that may use it.
const portDocument = `version: "1.0"
services:
  web:
    image: nginx
    expose:
      - PORT
      - {port: 9999, to: [{global: true}]}
  other: {image: nginx}
profiles:
  compute: {small: {cpu: 1, memory: 1Gi, storage: 1Gi}}
  placement: {east: {pricing: {small: 20u}}}
deployment:
  web: {east: {profile: small, count: 1}}
`

// TestConvertPorts is the table of what becomes of ports.
func TestConvertPorts(t *testing.T) {
	for from, want := range map[string]struct {
		to, path, message string // the message of the error or, where nothing is lost, of the warning
		lost              bool
	}{
		"{port: 80, to: [{global: true}]}":                            {"{port: 80, to: [{global: true}]}", "", "", false},
		"{port: 8080, as: 80, proto: http, to: [{global: true}]}":     {"{port: 8080, as: 80, proto: tcp, to: [{global: true}]}", "", "", false},
		"{port: 5432, to: [{global: true}]}":                          {"{port: 5432, to: [{global: true}]}", "", "", false},
		"{port: 5432, proto: tcp, to: [{service: other}]}":            {"{port: 5432, proto: tcp, to: [{service: other}]}", "", "", false},
		"{port: 80, proto: tcp, to: [{service: other}]}":              {"{port: 80, proto: tcp, to: [{service: other}]}", "", "", false},
		"{port: 80, to: [{service: other}]}":                          {"{port: 80, to: [{service: other}]}", "port", "is the same", false},
		"{port: 443, proto: https, to: [{service: other}]}":           {"{port: 443, proto: tcp, to: [{service: other}]}", "proto", "is the same", false},
		"{port: 80, as: 8080, to: [{global: true}]}":                  {"{port: 80, as: 80, to: [{global: true}]}", "as", "services that use port 8080", true},
		"{port: 3000, proto: http, to: [{global: true}]}":             {"{port: 3000, as: 80, proto: tcp, to: [{global: true}]}", "port", "services that use port 3000", true},
		"{port: 443, to: [{global: true}]}":                           {"{port: 443, to: [{global: true}]}", "port", "passes no https", true},
		"{port: 443, as: 80, to: [{global: true}, {service: other}]}": {"{port: 443, as: 80, to: [{global: true}, {service: other}]}", "port", "passes no https", true},
		"{port: 80, proto: tcp, to: [{global: true}]}":                {"{port: 80, proto: tcp, to: [{global: true}]}", "port", "have none of its own", true},
		"{port: 8080, as: 80, to: [{global: true}]}":                  {"{port: 8080, as: 80, to: [{global: true}]}", "as", "have none of its own", true},
	} {
		in := strings.Replace(portDocument, "PORT", from, 1)
		out, found := convert("deploy.yaml", []byte(in), "2.1", false)
		code := "W-CONVERT"
		if want.lost {
			code = "E-CONVERT"
		}
		if (out == "") != want.lost || want.message == "" && len(found) > 0 {
			t.Errorf("%s: %q, %v", from, out, found)
		}
		if want.message != "" && (len(found) == 0 || found[0].Code != code || found[0].Line != 6 ||
			found[0].Path != "services.web.expose[0]."+want.path || !strings.Contains(found[0].Message, want.message)) {
			t.Errorf("%s: %v, want %s at %s: %s", from, found, code, want.path, want.message)
		}
		out, found = convert("deploy.yaml", []byte(in), "2.1", true)
		if !strings.Contains(out, "- "+want.to+"\n") || found.Errors() > 0 {
			t.Errorf("%s becomes %v\n%s\nwant %s", from, found, out, want.to)
		}
	}
}

// TestConvertRefuses holds what cannot be converted even if changes are accepted, with the place.
func TestConvertRefuses(t *testing.T) {
	shared := "version: \"2.0\"\nservices:\n  a: {image: x, expose: [{port: 1, to: [{global: true}]}]}\n  b: {image: x}\nprofiles:\n" +
		"  compute: {s: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}}\n" +
		"  placement:\n    east: {pricing: {s: {denom: ubrt, amount: 1}}}\n" +
		"deployment:\n  a: {east: {profile: s, count: 30}}\n  b: {east: {profile: s, count: 30}}\n"
	for name, tc := range map[string]struct {
		text, code string
		line       int
		message    string
	}{
		"nobody outside":   {strings.Replace(portDocument, "global: true", "service: other", 1), "E-CONVERT", 2, "no service is open"},
		"too many share":   {shared, "E-CONVERT", 8, "60 instances"},
		"does not compile": {strings.Replace(portDocument, "PORT", "{porrt: 80}", 1), "E-UNKNOWN-KEY", 6, "porrt"},
		"question mark":    {strings.Replace(portDocument, "  other: {image: nginx}", "  ? other\n  : {image: nginx}", 1), "E-FORM", 8, "question mark"},
		"no document":      {"", "E-YAML-EMPTY", 1, "empty"},
	} {
		text := strings.Replace(tc.text, "PORT", "{port: 1, to: [{service: other}]}", 1)
		out, found := convert("deploy.yaml", []byte(text), "2.1", true)
		has := slices.ContainsFunc(found, func(d sdl.Diagnostic) bool {
			return d.Code == tc.code && d.Line == tc.line && strings.Contains(d.Message, tc.message)
		})
		if out != "" || !has {
			t.Errorf("%s: %q, %v, want %s in line %d: %s", name, out, found, tc.code, tc.line, tc.message)
		}
	}
}

// TestConvertVersion holds that between versions 2 only the version changes, whatever stands around it.
func TestConvertVersion(t *testing.T) {
	const rest = "services: {a: {image: x, expose: [{port: 1, to: [{global: true}]}]}} # c\n" +
		"profiles:  {compute: {s: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}},\n   placement: {e: {pricing: {s: {denom: ubrt, amount: 1}}}}}\n" +
		"deployment:\n      a: {e: {profile: s, count: 1}}"
	for from, want := range map[string]string{
		"version: \"2.0\"\n":           "version: \"2.1\"\n",
		"version: '2.0'   # c\r\n":     "version: \"2.1\"   # c\r\n",
		"# c\nversion:   2.0\n":        "# c\nversion:   \"2.1\"\n",
		"version: 2 # short\n":         "version: \"2.1\" # short\n",
		"'version' :\n  !!str 2.0\n":   "'version' :\n  !!str \"2.1\"\n",
		"\uFEFFversion: \"2.0\"\n":     "version: \"2.1\"\n",
		"---\nversion: &v \"2.0.0\"\n": "---\nversion: &v \"2.1\"\n",
		"version: \"2.1\"\n":           "version: \"2.1\"\n",
	} {
		out, found := convert("deploy.yaml", []byte(from+rest), "2.1", false)
		if out != want+rest {
			t.Errorf("%q becomes %q (%v), want %q", from+rest, out, found, want+rest)
		}
	}
	const brackets = `{"version": VERSION, "services": {a: {image: x, expose: [{port: 1, to: [{global: true}]}]}},
 "profiles": {compute: {s: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}},
   placement: {e: {pricing: {s: {denom: ubrt, amount: 1}}}}}, "deployment": {a: {e: {profile: s, count: 1}}}}`
	for _, from := range []string{"2.0", "\"2.0\"", "2"} {
		out, found := convert("deploy.yaml", []byte(strings.Replace(brackets, "VERSION", from, 1)), "2.1", false)
		if out != strings.Replace(brackets, "VERSION", `"2.1"`, 1) {
			t.Errorf("%s in brackets becomes %q, %v", from, out, found)
		}
	}
}

// TestConvertAliases holds that anchors stay where they mean the same, and are written out where they do not.
func TestConvertAliases(t *testing.T) {
	const text = `version: "1.0"
services:
  web: &web
    image: nginx
    depends-on: &deps [&db db]
    expose: &ports
      - &http
        port: 80
        to: &anyone [{global: true}]
      - <<: *http
        as: 81
        proto: &proto tcp
  blog:
    <<: *web
    image: ghost
  shop:
    <<: [*web]
    depends-on: [*db]
    expose: *ports
  db:
    image: postgres
    expose: [{port: 5432, proto: *proto, to: [{service: web, global: true}, {service: blog, global: true}, {service: shop, global: true}]}]
profiles:
  compute:
    small: &small
      cpu: &one 1 # a processor
      memory: &size 1Gi
      storage: *size
    same: *small
    large: # twice
      <<: *small
      memory: 2Gi
  placement:
    east: &east
      pricing: &pricing
        small: &price 20u # at most
        same: *price
        large: 1e-4
    west:
      <<: *east
      pricing:
        <<: *pricing
        large: *price
deployment:
  web: {east: {profile: small, count: *one}}
  blog: {east: {profile: same, count: 1}}
  shop: {west: {profile: large, count: 1}}
  db: {east: {profile: large, count: 1}}
`
	out := checkConvert(t, "deploy.yaml", []byte(text), "2.1")
	golden(t, "testdata/convert/aliases.golden", []byte(out))
	for _, comment := range []string{"# a processor", "# twice", "# at most"} {
		if strings.Count(out, comment) != 1 {
			t.Errorf("%s stands %d times in\n%s", comment, strings.Count(out, comment), out)
		}
	}
}

// TestConvertBrackets holds that brackets over several lines are written out, with their comments.
func TestConvertBrackets(t *testing.T) {
	const text = `{"version": "1.0", # c1
"services": {"web": {"image": "nginx", "env": {
    "A": "1", # c2
    # c3
    "B": "2"
  }, "expose": [
    {"port": 80, "to": [{"global": true}]} # c4
  ]}},
"profiles": {
  "compute": {"small": {"cpu": 1, "memory": "1Gi", "storage": "1Gi"}}, "placement": {"east": {"attributes": {
  }, "pricing": {"small": "20u"}}}},
"deployment": {"web": {"east": {"profile": "small", "count": 1}}}}
`
	out := checkConvert(t, "deploy.yaml", []byte(text), "2.0")
	golden(t, "testdata/convert/brackets.golden", []byte(out))
	for _, comment := range []string{"# c1", "# c2", "# c3", "# c4"} {
		if strings.Count(out, comment) != 1 {
			t.Errorf("%s stands %d times in\n%s", comment, strings.Count(out, comment), out)
		}
	}
}

// TestConvertIncludes holds that a document is converted with the files that it includes, each by itself.
func TestConvertIncludes(t *testing.T) {
	files := map[string]string{
		"parts/web.yaml": "# the web\ninclude: prices.yaml\nservices:\n  web: {image: nginx, expose: [{port: 80, to: [{global: true}]}]}\n" +
			"profiles: {compute: {small: {cpu: 1, memory: 1Gi, disk: 1Gi}}}\n",
		"parts/prices.yaml": "version: '1.0' # same\nprofiles: {placement: {east: {pricing: {small: 20u}}}}\n",
	}
	in := compile.Input{File: "dir/deploy.yaml", Data: []byte("version: \"1.0\"\ninclude: [parts/web.yaml]\ndeployment: {web: {east: {profile: small, count: 1}}}\n")}
	in.ReadFile = func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	out := rewrite.Convert(in, "2.1", false)
	want := []struct{ name, text string }{
		{"dir/deploy.yaml", "version: \"2.1\"\ninclude: [parts/web.yaml]\ndeployment: {web: {east: {profile: small, count: 1}}}\n"},
		{"dir/parts/prices.yaml", "version: \"2.1\" # same\nprofiles: {placement: {east: {pricing: {small: {denom: ubrt, amount: 20}}}}}\n"},
		{"dir/parts/web.yaml", "# the web\ninclude: prices.yaml\nservices:\n  web: {image: nginx, expose: [{port: 80, to: [{global: true}]}]}\n" +
			"profiles: {compute: {small: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}}}\n"},
	}
	if len(out.Files) != len(want) {
		t.Fatalf("%d files: %v", len(out.Files), out.Found)
	}
	for i, f := range out.Files {
		if f.Name != want[i].name || string(f.After) != want[i].text {
			t.Errorf("%s becomes\n%s\nwant %s\n%s", f.Name, f.After, want[i].name, want[i].text)
		}
	}
	files["parts/web.yaml"] = strings.Replace(files["parts/web.yaml"], "port: 80,", "port: 443,", 1)
	out = rewrite.Convert(in, "2.1", false)
	if out.Files != nil || !out.Lossy || len(out.Found) != 1 || out.Found[0].File != "dir/parts/web.yaml" || out.Found[0].Line != 4 {
		t.Errorf("%v, %v", out.Files, out.Found)
	}
	delete(files, "parts/prices.yaml")
	if out = rewrite.Convert(in, "2.1", true); out.Files != nil || out.Found[0].Code != "E-INCLUDE" {
		t.Errorf("%v, %v", out.Files, out.Found)
	}
}

// TestConvertVariables holds that variables stay as they are, set or not.
func TestConvertVariables(t *testing.T) {
	text := strings.NewReplacer("PORT", "{port: 80, to: [{global: true}]}", "image: nginx\n",
		"image: nginx\n    args: [\"${MODE:?say which}\"]\n    env: {A: {value: \"${A}\", secret: true}, B: \"${B:-b}$${C}\"}\n").Replace(portDocument)
	out, found := convert("deploy.yaml", []byte(text), "2.1", false)
	for _, want := range []string{"args: [\"${MODE:?say which}\"]", "{value: \"${A}\", secret: true}", "B: \"${B:-b}$${C}\""} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is gone (%v):\n%s", want, found, out)
		}
	}
}

// FuzzConvert holds that converting panics for no text, and that a result compiles and means the same.
func FuzzConvert(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		out := rewrite.Convert(compile.Input{File: "deploy.yaml", Data: data, ReadFile: func(string) ([]byte, error) { return nil, errors.New("no") }}, "2.1", true)
		if (out.Files == nil) != (out.Found.Errors() > 0) {
			t.Fatalf("%v with %v", out.Files, out.Found)
		}
		if out.Files != nil {
			mustCompile(t, "deploy.yaml", out.Files[0].After)
		}
		if plan, _ := compile.Compile("deploy.yaml", data); plan != nil {
			if text, found := convert("deploy.yaml", data, "2.1", false); text != "" && contents(plan) != contents(mustCompile(t, "deploy.yaml", []byte(text))) {
				t.Fatalf("other contents (%v):\n%s\nof\n%s", found, text, data)
			}
		}
	})
}
