package compile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/chainspec"
	"berth.dev/berth/sdl/compile"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

func mustCompile(t testing.TB, data []byte) *sdl.Plan {
	t.Helper()
	plan, found := compile.Compile("deploy.yaml", data)
	if plan == nil {
		t.Fatalf("Compile: %v", found)
	}
	return plan
}

// planBytes is everything of a plan: its JSON and the canonical bytes of its manifests.
func planBytes(t testing.TB, plan *sdl.Plan) []byte {
	t.Helper()
	out, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range plan.Manifests {
		b, err := manifest.Encode(g)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

func root(t testing.TB, plan *sdl.Plan) [32]byte {
	t.Helper()
	salts := make([][]byte, len(plan.Manifests))
	for i := range salts {
		salts[i] = bytes.Repeat([]byte{byte(i)}, manifest.SaltBytes)
	}
	r, _, err := manifest.Seal(plan.Manifests, salts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shuffle puts the keys of all mappings into another order.
func shuffle(t *rapid.T, n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		order := make([]int, len(n.Content)/2)
		for i := range order {
			order[i] = i
		}
		content := make([]*yaml.Node, 0, len(n.Content))
		for _, i := range rapid.Permutation(order).Draw(t, "order") {
			content = append(content, n.Content[2*i], n.Content[2*i+1])
		}
		n.Content = content
	}
	for _, c := range n.Content {
		shuffle(t, c)
	}
}

func TestOrderOfKeysAndCommentsMeanNothing(t *testing.T) {
	for file, data := range documents(t, "testdata/good/*.yaml") {
		if filepath.Base(file) == "anchors.yaml" {
			continue // an anchor stands before its aliases
		}
		want := planBytes(t, mustCompile(t, data))
		rapid.Check(t, func(rt *rapid.T) {
			var doc yaml.Node
			if err := yaml.Unmarshal(data, &doc); err != nil {
				rt.Fatal(err)
			}
			shuffle(rt, &doc)
			other, err := yaml.Marshal(&doc)
			if err != nil {
				rt.Fatal(err)
			}
			other = append([]byte("# "+rapid.StringMatching(`[a-z ]*`).Draw(rt, "comment")+"\n\n"), other...)
			if got := planBytes(t, mustCompile(t, other)); !bytes.Equal(got, want) {
				rt.Fatalf("%s: another order of keys gives another plan:\n%s\n%s", file, got, want)
			}
		})
	}
}

// TestWhatTheHashCovers changes one thing of a document and looks whether the manifest hash follows.
func TestWhatTheHashCovers(t *testing.T) {
	data, err := os.ReadFile("testdata/good/seed.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before := root(t, mustCompile(t, data))
	for name, tc := range map[string]struct {
		old, new string
		covered  bool
	}{
		"price":               {"small: 20u", "small: 21u", false},
		"placement attribute": {"region: us-west", "region: eu-west", false},
		"comment":             {"# Every", "# Each", false},
		"image":               {"berth.local/job:1", "berth.local/job:2", true},
		"env value":           {"MODE: fast", "MODE: slow", true},
		"env name":            {"MODE: fast", "SPEED: fast", true},
		"argument":            {"--verbose", "--quiet", true},
		"port":                {"port: 6432", "port: 6433", true},
		"as":                  {"as: 5432", "as: 5433", true},
		"host":                {"example.com, example.com", "example.com, example.org", true},
		"client":              {"- service: job", "- service: web", true},
		"memory":              {"128Mi", "129Mi", true},
	} {
		changed := strings.Replace(string(data), tc.old, tc.new, 1)
		if changed == string(data) {
			t.Fatalf("%s: nothing changed", name)
		}
		if got := root(t, mustCompile(t, []byte(changed))) != before; got != tc.covered {
			t.Errorf("%s: the hash changed: %v, want %v", name, got, tc.covered)
		}
	}
}

// TestPlanFitsTheChain holds that what a document compiles to is valid on chain and matches its manifests.
func TestPlanFitsTheChain(t *testing.T) {
	all := documents(t, "testdata/good/*.yaml")
	for f, d := range documents(t, "../../examples/*/*.yaml") {
		all[f] = d
	}
	all["large"] = large(20, 20)
	for file, data := range all {
		got := compileFile(file, data)
		if got.Plan == nil {
			t.Fatalf("%s: %v", file, got.Found)
		}
		checkFitsTheChain(t, file, got.Plan)
	}
}

func checkFitsTheChain(t testing.TB, file string, plan *sdl.Plan) {
	t.Helper()
	specs := chainspec.Groups(plan)
	if err := deploymenttypes.ValidateGroups(specs, plan.Groups[0].Resources[0].Denom, deploymenttypes.DefaultParams().MaxUnitPrice); err != nil {
		t.Errorf("%s: the chain refuses the groups: %v", file, err)
	}
	for i, m := range plan.Manifests {
		if err := manifest.Validate(m); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if err := manifest.Check(m, specs[i]); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// document is a document with one service, in which parts can be replaced.
func document(replace ...string) []byte {
	const text = `version: "1.0"
services: {web: {image: nginx}}
profiles:
  compute: {web: {cpu: CPU, memory: MEMORY, storage: STORAGE}}
  placement: {east: {pricing: {web: PRICE}}}
deployment: {web: {east: {profile: web, count: COUNT}}}
`
	defaults := []string{"CPU", "1", "MEMORY", "1Gi", "STORAGE", "1Gi", "PRICE", "20u", "COUNT", "1"}
	return []byte(strings.NewReplacer(append(replace, defaults...)...).Replace(text))
}

// TestBoundaries holds that a document is refused exactly where the chain would refuse it.
func TestBoundaries(t *testing.T) {
	for _, tc := range []struct {
		what string
		good []string
		bad  []string
	}{
		{"CPU", []string{"10m", "0.01", "384", "384000m"}, []string{"9m", "0.009", "384001m", "384.001", "0"}},
		{"MEMORY", []string{"1Mi", "1048576", "2Ti"}, []string{"1048575", "1M", "2199023255553", "0"}},
		{"STORAGE", []string{"5Mi", "5242880", "32Ti"}, []string{"5242879", "35184372088833", "0"}},
		{"COUNT", []string{"1", "50", `"7"`}, []string{"0", "51", "-1", "1.0", "1e1", "07", "0x7", "many"}},
		{"PRICE", []string{"1e-24", "1000000"}, []string{"0", "0u", "-1u"}},
	} {
		for _, value := range tc.good {
			plan, found := compile.Compile("deploy.yaml", document(tc.what, value))
			if plan == nil {
				t.Errorf("%s %s is refused: %v", tc.what, value, found)
				continue
			}
			checkFitsTheChain(t, tc.what+" "+value, plan)
		}
		for _, value := range tc.bad {
			plan, found := compile.Compile("deploy.yaml", document(tc.what, value))
			if plan != nil || len(found) != 1 || found[0].Line < 4 || found[0].Column < 2 {
				t.Errorf("%s %s: %v", tc.what, value, found)
			}
		}
	}
}

func TestGroupsAndUnitsAreLimited(t *testing.T) {
	for name, tc := range map[string]struct {
		groups, services int
		ok               bool
	}{
		"20 groups": {20, 1, true}, "21 groups": {21, 1, false},
		"20 services": {1, 20, true}, "21 services": {1, 21, false}, "401 services": {20, 21, false},
	} {
		plan, found := compile.Compile("deploy.yaml", large(tc.groups, tc.services))
		if (plan != nil) != tc.ok {
			t.Errorf("%s: accepted %v, want %v", name, plan != nil, tc.ok)
		}
		if !tc.ok && !slices.ContainsFunc(found, func(d sdl.Diagnostic) bool { return d.Code == "E-LIMIT" && d.Line > 0 }) {
			t.Errorf("%s: no E-LIMIT among %v", name, found)
		}
	}
}

// TestConnections is design.md's table of expose.to: what stands in the manifests of both datacenters.
func TestConnections(t *testing.T) {
	const text = `version: "1.0"
services:
  db:
    image: postgres:16
    expose:
      - port: 5432
        to: [TO]
  web: {image: nginx}
profiles:
  compute: {web: {cpu: 1, memory: 1Gi, storage: 1Gi}}
  placement: {east: {pricing: {web: 20u}}, west: {pricing: {web: 20u}}}
deployment:
  db: {east: {profile: web, count: 1}}
  web: {east: {profile: web, count: 1}, west: {profile: web, count: 1}}
`
	edge := manifesttypes.Edge{FromGroup: "west", FromService: "web", ToGroup: "east", ToService: "db", Port: 5432}
	for to, want := range map[string]struct {
		to       []manifesttypes.To
		edges    []manifesttypes.Edge
		endpoint int
	}{
		"{global: true}":                                {[]manifesttypes.To{{Global: true}}, nil, 1},
		"{service: web}":                                {[]manifesttypes.To{{Service: "web"}}, nil, 0},
		"{service: web, global: false}":                 {[]manifesttypes.To{{Service: "web"}}, nil, 0},
		"{service: web, global: true}":                  {[]manifesttypes.To{{Service: "web", Global: true}}, []manifesttypes.Edge{edge}, 0},
		"{service: web}, {service: web, global: true}":  {[]manifesttypes.To{{Service: "web", Global: true}}, []manifesttypes.Edge{edge}, 0},
		"{service: db}, {global: true}, {service: web}": {[]manifesttypes.To{{Global: true}, {Service: "db"}, {Service: "web"}}, nil, 1},
		"": {nil, nil, 0},
	} {
		plan := mustCompile(t, []byte(strings.Replace(text, "TO", to, 1)))
		east, west := plan.Manifests[0], plan.Manifests[1]
		if got := east.Services[0].Expose[0].To; !slices.Equal(got, want.to) {
			t.Errorf("%s: to = %v, want %v", to, got, want.to)
		}
		if !slices.Equal(east.Edges, want.edges) || !slices.Equal(west.Edges, want.edges) {
			t.Errorf("%s: edges = %v and %v, want %v in both", to, east.Edges, west.Edges, want.edges)
		}
		if got := len(plan.Groups[0].Resources[0].Endpoints); got != want.endpoint {
			t.Errorf("%s: %d endpoints, want %d", to, got, want.endpoint)
		}
	}
	for _, to := range []string{"{}", "{global: false}", "{service: }"} {
		if plan, found := compile.Compile("deploy.yaml", []byte(strings.Replace(text, "TO", to, 1))); plan != nil || found[0].Code != "E-TO" || found[0].Path != "services.db.expose[0].to[0]" {
			t.Errorf("%s: %v", to, found)
		}
	}
}

func TestDefaultsOfPorts(t *testing.T) {
	for text, want := range map[string]manifesttypes.Expose{
		"{port: 80}":                          {Port: 80, As: 80, Proto: manifesttypes.PROTO_HTTP},
		"{port: 443}":                         {Port: 443, As: 443, Proto: manifesttypes.PROTO_HTTPS},
		"{port: 8080}":                        {Port: 8080, As: 8080, Proto: manifesttypes.PROTO_TCP},
		"{port: 8080, as: 80}":                {Port: 8080, As: 80, Proto: manifesttypes.PROTO_TCP},
		"{port: 80, as: 443}":                 {Port: 80, As: 443, Proto: manifesttypes.PROTO_HTTP},
		"{port: 80, proto: tcp}":              {Port: 80, As: 80, Proto: manifesttypes.PROTO_TCP},
		"{port: 8443, proto: https}":          {Port: 8443, As: 8443, Proto: manifesttypes.PROTO_HTTPS},
		"{port: 65535, as: 1, proto: http}":   {Port: 65535, As: 1, Proto: manifesttypes.PROTO_HTTP},
		"{port: \"80\", as: '81'}":            {Port: 80, As: 81, Proto: manifesttypes.PROTO_HTTP},
		"{port: 80, as: , accept: , proto: }": {Port: 80, As: 80, Proto: manifesttypes.PROTO_HTTP},
	} {
		doc := strings.Replace(string(document()), "{image: nginx}", fmt.Sprintf("{image: nginx, expose: [%s]}", text), 1)
		plan := mustCompile(t, []byte(doc))
		if got := plan.Manifests[0].Services[0].Expose[0]; got.Port != want.Port || got.As != want.As || got.Proto != want.Proto {
			t.Errorf("%s = %+v, want %+v", text, got, want)
		}
	}
}

// FuzzCompile holds that no document panics, that a plan and an error exclude each other, and that what compiles is
// valid on chain and with a provider.
func FuzzCompile(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "../../examples/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, h := range hostile() {
		if len(h.text) < 4096 {
			f.Add([]byte(h.text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		plan, found := compile.Compile("deploy.yaml", data)
		if (plan == nil) != (found.Errors() > 0) {
			t.Fatalf("plan %v with %d errors", plan, found.Errors())
		}
		var out bytes.Buffer
		if err := found.WriteText(&out, sdl.Sources{"deploy.yaml": data}); err != nil {
			t.Fatal(err)
		}
		if plan == nil {
			return
		}
		specs := chainspec.Groups(plan)
		for i, m := range plan.Manifests {
			if err := manifest.Check(m, specs[i]); err != nil {
				t.Fatal(err)
			}
			if err := specs[i].Validate(sdl.Denom, deploymenttypes.DefaultParams().MaxUnitPrice); err != nil && !strings.Contains(err.Error(), "above the largest price") {
				t.Fatal(err)
			}
		}
		planBytes(t, plan)
	})
}
