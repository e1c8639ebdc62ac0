package compile_test

import (
	"os"
	"path/filepath"
	"testing"

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
			plan, found := compile.Compile(name, data)
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

// TestCorpusOfVersion2 holds that documents of later versions are refused with one error that says so.
func TestCorpusOfVersion2(t *testing.T) {
	files, err := filepath.Glob(corpusDir + "/../sdl-2/*.y*ml")
	if err != nil || len(files) == 0 {
		t.Skip("the corpus of real documents is not there")
	}
	later := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		plan, found := compile.Compile(file, data)
		if plan != nil {
			t.Errorf("%s: accepted", file)
		}
		if len(found) == 1 && found[0].Code == "E-VERSION" && found[0].Line > 0 {
			later++
		}
	}
	if later < len(files)*9/10 {
		t.Errorf("of %d documents, %d are refused for their version", len(files), later)
	}
}
