package terms

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"berth.dev/berth/provider/pricing"
)

const page = "../../docs/ops/provider.md"

// TestExamplesOfTheDocumentation: every pricing file and every expression that the page shows can be used.
func TestExamplesOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, m := range regexp.MustCompile("(?s)```(yaml|cel)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		found[m[1]]++
		if m[1] == "cel" {
			if _, err := pricing.CompileExpression(m[2]); err != nil {
				t.Errorf("%v in\n%s", err, m[2])
			}
			continue
		}
		terms, problems := Parse(page, []byte(strings.ReplaceAll(m[2], "OWNER", anOwner)))
		if terms == nil {
			t.Errorf("%v in\n%s", problems, m[2])
			continue
		}
		if _, _, err := terms.Bind(1); err != nil {
			t.Errorf("%v in\n%s", err, m[2])
		}
	}
	if found["yaml"] < 4 || found["cel"] < 3 {
		t.Errorf("found only %v examples", found)
	}
}

// TestEverythingIsDocumented: the page has every key of the file, every name of expressions, and every code.
func TestEverythingIsDocumented(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	need := pricing.Names()
	for _, shape := range [][]string{fileShape.Keys, tableShape.Keys, endpointShape.Keys, programShape.Keys, policyShape.Keys, ownersShape.Keys, attributesShape.Keys} {
		need = append(need, shape...)
	}
	source, err := os.ReadFile("read.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`code[A-Za-z]+ += "([A-Z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		need = append(need, m[1])
	}
	if len(need) < 60 {
		t.Fatalf("only %d names", len(need))
	}
	for _, name := range need {
		if !regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).Match(text) {
			t.Errorf("%s is not in %s", name, page)
		}
	}
}
