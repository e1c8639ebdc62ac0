package compile_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cosmossdk.io/math"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
)

// corpusDir holds real documents of others, which are not part of the project; see its README.
const corpusDir = "../../../shared/corpus/sdl-1.0"

// refused are the corpus's documents that are not valid by the seed, with the code of an error that says why.
var refused = map[string]string{
	"_docs_deployment.yml-20ab5cc.yml": "E-YAML",    // "KEY":"VALUE" without a space
	"_docs_deployment.yml-92d1d19.yml": "E-INCLUDE", // and prices for services
}

func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpusDir, "*.yml"))
	if err != nil || len(files) == 0 {
		t.Skip("the corpus of real documents is not there")
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			result := compile.Document(compile.Input{File: name, Data: data, ReadFile: func(path string) ([]byte, error) {
				return os.ReadFile(filepath.Join(corpusDir, path))
			}})
			plan, found := result.Plan, result.Found
			code, bad := refused[name]
			if (plan == nil) != bad {
				t.Errorf("Compile: refused = %v, want %v", plan == nil, bad)
			}
			has := !bad
			for _, d := range found {
				has = has || d.Code == code
				if testing.Verbose() {
					t.Log(d)
				}
			}
			if !has {
				t.Errorf("Compile: no %s among %v", code, found)
			}
		})
	}
}

// TestCorpusIncludes holds what is said of the files that real documents include.
func TestCorpusIncludes(t *testing.T) {
	const name = "_docs_deployment.yml-92d1d19.yml"
	data, err := os.ReadFile(filepath.Join(corpusDir, name))
	if err != nil {
		t.Skip("the corpus of real documents is not there")
	}
	got := compile.Document(compile.Input{File: name, Data: data, ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist }})
	want := map[string]string{
		"include[0]": `there is no file "foo.yml"`,
		"include[1]": `file "https://foo.yml" is not on this machine, and nothing is fetched`,
	}
	for _, d := range got.Found {
		if d.Code == "E-INCLUDE" && (want[d.Path] != d.Message || d.Hint == "" || d.Line == 0) {
			t.Errorf("%+v", d)
		}
		if d.Code == "E-INCLUDE" {
			delete(want, d.Path)
		}
	}
	if len(want) > 0 {
		t.Errorf("not reported: %v among %v", want, got.Found)
	}
}

// TestCorpusAmounts looks at what some of the documents ask for.
func TestCorpusAmounts(t *testing.T) {
	for name, want := range map[string]struct {
		groups int
		sdl.Resource
		price string
	}{
		"_docs_testnet_testnet-deployment.yml-2c8ea98.yml":      {1, sdl.Resource{Service: "webapp", Count: 1, CPUMilli: 100, MemoryBytes: 512 << 20}, "200"},
		"_run_archive_multi_deployments_global.yml-2790558.yml": {1, sdl.Resource{Service: "web", Count: 2, CPUMilli: 250, MemoryBytes: 128 << 20}, "100"},
		"_run_kube_deployment.yml-0ccaebf.yml":                  {1, sdl.Resource{Service: "web", Count: 2, CPUMilli: 100, MemoryBytes: 512 << 20}, "2000"},
		"_run_kube_deployment.yml-a36e6b7.yml":                  {1, sdl.Resource{Service: "web", Count: 2, CPUMilli: 100, MemoryBytes: 512 << 20}, "101000"},
		"_run_multi_dep-test.yml-a046ee6.yml":                   {2, sdl.Resource{Service: "web", Count: 1, CPUMilli: 250, MemoryBytes: 128 << 20}, "100"},
		"sdl__testdata_simple.yml-14ed8bf.yml":                  {1, sdl.Resource{Service: "web", Count: 2, CPUMilli: 100, MemoryBytes: 128 << 20}, "5000"},
		"sdl__testdata_simple.yml-fd86d6c.yml":                  {1, sdl.Resource{Service: "web", Count: 2, CPUMilli: 100, MemoryBytes: 128 << 20}, "800000"},
	} {
		data, err := os.ReadFile(filepath.Join(corpusDir, name))
		if err != nil {
			t.Skip("the corpus of real documents is not there")
		}
		plan := mustCompile(t, data)
		got := plan.Groups[0].Resources[0]
		if len(plan.Groups) != want.groups || got.Service != want.Service || got.Count != want.Count || got.CPUMilli != want.CPUMilli ||
			got.MemoryBytes != want.MemoryBytes || sdl.FormatPrice(got.Price) != want.price {
			t.Errorf("%s: %d groups, %+v", name, len(plan.Groups), got)
		}
		checkFitsTheChain(t, name, plan)
	}
}

// expected is what the other implementation makes of a document of version 2.
type expected struct {
	File   string
	OK     bool
	Groups []struct {
		Name       string
		Attributes map[string]string
		SignedBy   struct {
			AllOf []string `json:"all_of"`
			AnyOf []string `json:"any_of"`
		} `json:"signed_by"`
		Resources []struct {
			Count       uint32
			CPUMilli    uint64 `json:"cpu_milli"`
			MemoryBytes uint64 `json:"memory_bytes"`
			Storage     []struct {
				Name       string
				Bytes      uint64
				Attributes map[string]string
			}
			GPU           uint32
			GPUAttributes []string `json:"gpu_attributes"`
			Price, Denom  string
		}
	}
}

// TestCorpusOfVersion2 holds that documents of version 2.0 mean what they mean elsewhere: the same are accepted, and
// ask for the same.
func TestCorpusOfVersion2(t *testing.T) {
	const dir = corpusDir + "/../sdl-2/"
	data, err := os.ReadFile(dir + "expected.json")
	if err != nil {
		t.Skip("the corpus of real documents is not there")
	}
	var all []expected
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for _, want := range all {
		t.Run(want.File, func(t *testing.T) {
			data, err := os.ReadFile(dir + want.File)
			if err != nil {
				t.Fatal(err)
			}
			plan, found := compile.Compile(want.File, data)
			if (plan != nil) != want.OK {
				t.Fatalf("Compile: accepted = %v, want %v: %v", plan != nil, want.OK, found)
			}
			if plan != nil {
				sameGroups(t, plan, want)
				if !bytes.Contains(data, []byte("akash1")) { // auditors of another chain
					checkFitsTheChain(t, want.File, plan)
				}
			}
		})
	}
}

func sameGroups(t *testing.T, plan *sdl.Plan, want expected) {
	t.Helper()
	if len(plan.Groups) != len(want.Groups) {
		t.Fatalf("%d groups, want %d", len(plan.Groups), len(want.Groups))
	}
	for i, w := range want.Groups {
		g := plan.Groups[i]
		if g.Name != w.Name || !slices.Equal(g.SignedBy.AllOf, w.SignedBy.AllOf) || !slices.Equal(g.SignedBy.AnyOf, w.SignedBy.AnyOf) {
			t.Errorf("group %+v, want %+v", g, w)
		}
		attributes := map[string]string{}
		for _, a := range g.Attributes {
			if !strings.HasPrefix(a.Key, "ability/") { // what only able providers can run
				attributes[a.Key] = a.Value
			}
		}
		if !maps.Equal(attributes, w.Attributes) {
			t.Errorf("attributes %v, want %v", attributes, w.Attributes)
		}
		if len(g.Resources) != len(w.Resources) {
			t.Fatalf("%d resources, want %d", len(g.Resources), len(w.Resources))
		}
		for j, wr := range w.Resources {
			r := g.Resources[j]
			price, err := math.LegacyNewDecFromStr(wr.Price)
			if err != nil {
				t.Fatal(err)
			}
			var gpus []string
			for _, a := range r.GPUAttributes {
				gpus = append(gpus, a.Key)
			}
			if r.Count != wr.Count || r.CPUMilli != wr.CPUMilli || r.MemoryBytes != wr.MemoryBytes || r.GPU != wr.GPU ||
				!slices.Equal(gpus, wr.GPUAttributes) || !r.Price.Equal(price) || r.Denom != wr.Denom || len(r.Storage) != len(wr.Storage) {
				t.Errorf("resource %+v, want %+v", r, wr)
				continue
			}
			for _, wv := range wr.Storage { // which may stand in another order
				i := slices.IndexFunc(r.Storage, func(v sdl.Volume) bool { return v.Name == wv.Name })
				if i < 0 {
					t.Errorf("no volume %q among %+v", wv.Name, r.Storage)
					continue
				}
				v, have := r.Storage[i], map[string]string{}
				for _, a := range v.Attributes {
					have[a.Key] = a.Value
				}
				if v.Name != wv.Name || v.Bytes != wv.Bytes || !maps.Equal(have, wv.Attributes) {
					t.Errorf("volume %+v, want %+v", v, wv)
				}
			}
		}
	}
}

// TestCorpusSuggestions holds what is suggested for the amounts that documents in use get wrong.
func TestCorpusSuggestions(t *testing.T) {
	const dir = corpusDir + "/../sdl-2/"
	for file, want := range map[string][]string{
		"bancor_deploy_static.yaml": {"512Mi"},
		"bark-small_deploy.yaml":    {"4G", "40G"},
		"handshake_deploy.yaml":     {"2G"},
		"onetimepad_deploy.yaml":    {"512Mi"},
		"paperclip_deploy.yaml":     {"1Gi"},
		"ghost_deploy-mysql.yaml":   {"blog-data", "db-data"},
		"steamcmd_deploy.yaml":      {""},
	} {
		data, err := os.ReadFile(dir + file)
		if err != nil {
			t.Skip("the corpus of real documents is not there")
		}
		_, found := compile.Compile(file, data)
		var got []string
		for _, d := range found {
			if d.Severity == sdl.Error && d.Code != "E-ENV" {
				got = append(got, d.Suggestion)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: suggestions %q, want %q: %v", file, got, want, found)
		}
	}
}
