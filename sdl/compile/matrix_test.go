package compile_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"berth.dev/berth/sdl/akinon"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/appjson"
)

var updateMatrix = flag.Bool("update-matrix", false, "write docs/spec/conversion.md anew")

const matrixHead = `# What becomes of each field

Manifests of other tools that are read: each field that they know, and what becomes of it. *kept* fields mean here what they mean there,
*changed* ones have an effect that differs, *ignored* ones have none, *refused* ones are errors. Keys that are in no table are
warnings, so that nothing is dropped in silence. The tables are those that the front-ends read by; a test holds this page to them.

`

// TestMatrixIsOfTheTables holds the conversion matrix and the tables that front-ends take their keys from together.
func TestMatrixIsOfTheTables(t *testing.T) {
	const file = "../../docs/spec/conversion.md"
	want := matrixHead
	for _, x := range []struct {
		format string
		fields app.Table
	}{{appjson.Format, appjson.Fields}, {akinon.Format, akinon.Fields}} {
		want += "## " + x.format + "\n\n" + x.fields.Markdown() + "\n"
		for _, f := range x.fields {
			if f.Outcome == "" || !strings.Contains("kept changed ignored refused", string(f.Outcome)) {
				t.Errorf("%s %s: outcome %q", x.format, f.Path, f.Outcome)
			}
			if f.Outcome != app.Kept && f.Note == "" {
				t.Errorf("%s %s is %s, and nothing says why", x.format, f.Path, f.Outcome)
			}
		}
	}
	want = strings.TrimRight(want, "\n") + "\n"
	if *updateMatrix {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Error("docs/spec/conversion.md differs from the tables: go test ./sdl/compile -run Matrix -update-matrix")
	}
}
