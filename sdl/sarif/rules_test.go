package sarif

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite rules.go from the page")

// TestRulesAreThoseOfThePage holds the table of rules and docs/spec/diagnostics.md together.
func TestRulesAreThoseOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/spec/diagnostics.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []rule
	section := ""
	row := regexp.MustCompile("^\\| `([EW]-[A-Z0-9-]+)` \\| (.*) \\|$")
	for _, line := range strings.Split(string(page), "\n") {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = name
		}
		if m := row.FindStringSubmatch(line); m != nil {
			want = append(want, rule{m[1], section, m[2]})
		}
	}
	if len(want) < 70 {
		t.Fatalf("only %d codes on the page", len(want))
	}
	if *update {
		var b strings.Builder
		b.WriteString("package sarif\n\n// rule is a code with the part of docs/spec/diagnostics.md that it stands in, and what the page says of it.\n" +
			"type rule struct{ code, section, meaning string }\n\n// rules are the codes in the order of the page; go test ./sdl/sarif -update takes them from there.\nvar rules = []rule{\n")
		for _, r := range want {
			fmt.Fprintf(&b, "\t{%q, %q, %q},\n", r.code, r.section, r.meaning)
		}
		b.WriteString("}\n")
		if err := os.WriteFile("rules.go", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, r := range want {
		if !slices.Contains(rules, r) {
			t.Errorf("%s is not in rules.go as the page has it (go test ./sdl/sarif -update rewrites it)", r.code)
		}
	}
	if len(rules) != len(want) {
		t.Errorf("%d rules, and %d codes on the page (go test ./sdl/sarif -update rewrites them)", len(rules), len(want))
	}
}
