package sarif_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/sarif"
)

// document is a document with problems of all sorts: some with a suggestion that can be put in place, one in a line with
// wide characters.
const document = `version: "1.0"
services:
  web:
    image: nginx
    depends-on: [äb, "db1"]
    expose:
      - {port: "80:8080", to: [{global: "yes"}]}
  db: {image: postgres}
profiles:
  compute: {small: {cpu: "0,5", memory: 512mi, storage: 1Gi, gpu: 1}}
  placement: {east: {pricing: {small: 20 u}}}
deployment: {web: {east: {profile: small, count: 51}}, db: {east: {profile: small, count: 1}}}
`

type sarifFile struct {
	Schema  string `json:"$schema"`
	Version string
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name, Version string
				Rules         []struct {
					ID                   string
					ShortDescription     struct{ Text string }
					Help                 struct{ Text, Markdown string }
					DefaultConfiguration struct{ Level string }
				}
			}
		}
		ColumnKind string
		Results    []struct {
			RuleID, Level string
			RuleIndex     *int
			Message       struct{ Text string }
			Locations     []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI string }
					Region           *regionOf
				}
				LogicalLocations []struct{ FullyQualifiedName string }
			}
			Fixes []struct {
				Description     struct{ Text string }
				ArtifactChanges []struct {
					ArtifactLocation struct{ URI string }
					Replacements     []struct {
						DeletedRegion   regionOf
						InsertedContent struct{ Text string }
					}
				}
			}
		}
	}
}

type regionOf struct{ StartLine, StartColumn, EndColumn int }

func read(t *testing.T, data []byte) sarifFile {
	t.Helper()
	var f sarifFile
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestMarshal looks at the parts that readers of the format need, and puts all fixes in place.
func TestMarshal(t *testing.T) {
	const name = "sub dir/deploy.yaml"
	out := compile.Document(compile.Input{File: name, Data: []byte(document)})
	data, err := sarif.Marshal(sarif.Tool{Name: "berth", Version: "1.2.3"}, out.Found, out.Sources)
	if err != nil {
		t.Fatal(err)
	}
	f := read(t, data)
	if f.Version != "2.1.0" || !strings.Contains(f.Schema, "sarif-2.1.0") || len(f.Runs) != 1 {
		t.Fatalf("version %s, schema %s, %d runs", f.Version, f.Schema, len(f.Runs))
	}
	r := f.Runs[0]
	if r.Tool.Driver.Name != "berth" || r.Tool.Driver.Version != "1.2.3" || r.ColumnKind != "unicodeCodePoints" {
		t.Errorf("tool %s %s, columns are %s", r.Tool.Driver.Name, r.Tool.Driver.Version, r.ColumnKind)
	}
	for _, rule := range r.Tool.Driver.Rules {
		if rule.ID == "" || rule.ShortDescription.Text == "" || rule.Help.Text == "" || rule.Help.Markdown == "" || strings.Contains(rule.Help.Text, "`") ||
			rule.DefaultConfiguration.Level != map[byte]string{'E': "error", 'W': "warning"}[rule.ID[0]] {
			t.Errorf("rule %+v", rule)
		}
	}
	if len(r.Results) != len(out.Found) || len(out.Found) < 8 {
		t.Fatalf("%d results for %d diagnostics", len(r.Results), len(out.Found))
	}
	fixes := 0
	lines := strings.Split(document, "\n")
	for i, got := range r.Results {
		d := out.Found[i]
		if got.RuleID != d.Code || got.RuleIndex == nil || r.Tool.Driver.Rules[*got.RuleIndex].ID != d.Code || got.Level != string(d.Severity) ||
			!strings.Contains(got.Message.Text, d.Message) || !strings.Contains(got.Message.Text, d.Hint) || len(got.Locations) != 1 {
			t.Errorf("result %+v of %v", got, d)
			continue
		}
		at := got.Locations[0]
		if at.PhysicalLocation.ArtifactLocation.URI != "sub%20dir/deploy.yaml" || at.PhysicalLocation.Region.StartLine != d.Line ||
			at.PhysicalLocation.Region.StartColumn != d.Column || at.LogicalLocations[0].FullyQualifiedName != d.Path {
			t.Errorf("location %+v of %v", at, d)
		}
		for _, fix := range got.Fixes {
			fixes++
			change := fix.ArtifactChanges[0].Replacements[0]
			line := []rune(lines[change.DeletedRegion.StartLine-1])
			fixed := string(line[:change.DeletedRegion.StartColumn-1]) + change.InsertedContent.Text + string(line[change.DeletedRegion.EndColumn-1:])
			text := strings.Replace(document, string(line), fixed, 1)
			if _, after := compile.Compile(name, []byte(text)); len(after) >= len(out.Found) {
				t.Errorf("%s: the line becomes %q, and nothing is better: %v", d, fixed, after)
			}
		}
	}
	if fixes < 5 {
		t.Errorf("%d fixes", fixes)
	}
}

var update = flag.Bool("update-golden", false, "rewrite the golden file")

// TestGolden holds the output to the letter, without the rules, which their own test holds.
func TestGolden(t *testing.T) {
	out := compile.Document(compile.Input{File: "deploy.yaml", Data: []byte(document)})
	data, err := sarif.Marshal(sarif.Tool{Name: "berth", Version: "1.2.3"}, out.Found, out.Sources)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	i, j := strings.Index(text, `"rules": [`), strings.Index(text, `"columnKind"`)
	got := text[:i] + `"rules": [...], ` + regexp.MustCompile(`"ruleIndex": \d+`).ReplaceAllString(text[j:], `"ruleIndex": 0`)
	file := filepath.Join("testdata", "results.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./sdl/sarif -update-golden rewrites it); got:\n%s", file, got)
	}
}

func TestPlaces(t *testing.T) {
	for file, want := range map[string]string{"a/b.yaml": "a/b.yaml", "/tmp/ä b.yaml": "file:///tmp/%C3%A4%20b.yaml", "-": "-", "c:d.yaml": "./c:d.yaml", "a#b?c%": "a%23b%3Fc%25"} {
		d := sdl.Diagnostic{Severity: sdl.Error, Code: "E-SIZE", File: file, Message: "the document is too large"}
		data, err := sarif.Marshal(sarif.Tool{Name: "berth"}, sdl.Diagnostics{d}, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := read(t, data).Runs[0].Results[0].Locations[0].PhysicalLocation
		if at.ArtifactLocation.URI != want || at.Region != nil {
			t.Errorf("%s: %+v, want %s and no region", file, at, want)
		}
	}
	data, err := sarif.Marshal(sarif.Tool{Name: "berth"}, nil, nil)
	if err != nil || !strings.Contains(string(data), `"results": []`) {
		t.Errorf("without problems: %s, %v", data, err)
	}
}
