package compile_test

import (
	"os"
	"path/filepath"
	"testing"

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
