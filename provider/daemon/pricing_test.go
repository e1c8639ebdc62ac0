package daemon

import (
	"regexp"
	"strings"
	"testing"

	"berth.dev/berth/provider/terms"
)

// TestWrittenPricingFile: what init writes can be read, and so can every setting that it leaves out.
func TestWrittenPricingFile(t *testing.T) {
	text, err := WritePricing("ubrt", RatesConfig{CPU: "2000000", Memory: "1000000", Storage: "50000", GPU: "200000000", Endpoint: "50000", Minimum: "100000"})
	if err != nil {
		t.Fatal(err)
	}
	plain, problems := terms.Parse("pricing.yaml", []byte(text))
	if plain == nil || len(plain.Tables) != 1 || plain.Expression != nil || plain.Program != nil || plain.Rules.Rule != nil {
		t.Fatalf("as written: %+v, %v", plain, problems)
	}
	all := regexp.MustCompile(`(?m)^( *)#([a-z])`).ReplaceAllString(text, "$1$2")
	expression, program, _ := strings.Cut(all, "program:\n")
	_, rest, _ := strings.Cut(program, "\n\n")
	if got, problems := terms.Parse("pricing.yaml", []byte(expression+"\n"+rest)); got == nil || got.Expression == nil || got.Rules.Rule == nil ||
		got.Rules.MaxOpenBids == 0 || !got.Tables[0].IP.Given {
		t.Errorf("with the expression: %+v, %v in\n%s", got, problems, all)
	}
	before, _, _ := strings.Cut(expression, "expression:")
	if got, problems := terms.Parse("pricing.yaml", []byte(before+"\nprogram:\n"+program)); got == nil || got.Program == nil {
		t.Errorf("with the program: %+v, %v", got, problems)
	}
}
