package explain_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cosmossdk.io/math"

	sdktypes "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/explain"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sixSeconds is a time per block.
const sixSeconds = 6_000_000_000

func mustCompile(t testing.TB, file string, data []byte) *sdl.Plan {
	t.Helper()
	plan, found := compile.Compile(file, data)
	if plan == nil {
		t.Fatalf("Compile(%s): %v", file, found)
	}
	return plan
}

func mustRead(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// goldens are the documents whose explanations are held to the letter, by the name of their files.
var goldens = map[string]string{
	"hello":     "../../examples/hello/deploy.yaml",
	"guestbook": "../../examples/guestbook/deploy.yaml",
	"seed":      "../compile/testdata/good/seed.yaml",
	"links":     "testdata/links.yaml",
	"units":     "testdata/units.yaml",
	"gpu":       "testdata/gpu.yaml",
}

func TestGolden(t *testing.T) {
	for name, file := range goldens {
		t.Run(name, func(t *testing.T) {
			deposit := sdktypes.NewInt64Coin(sdl.Denom, 5_000_000)
			e := explain.Explain(mustCompile(t, file, mustRead(t, file)), explain.Options{BlockNanos: sixSeconds, Deposit: &deposit})
			object, err := json.MarshalIndent(e, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			for ext, got := range map[string]string{
				"txt": e.Text(), "md": e.Markdown(), "mmd": e.Mermaid(), "svg": e.SVG(), "json": string(object) + "\n",
			} {
				if strings.Contains(got, "hunter") || strings.Contains(got, "null") {
					t.Errorf("%s.%s shows a secret, or a null", name, ext)
				}
				golden(t, filepath.Join("testdata", name+"."+ext), got)
			}
		})
	}
}

// TestDocumentation: what is shown of explanations is what they are, and every field of the JSON is described.
func TestDocumentation(t *testing.T) {
	seed := explain.Explain(mustCompile(t, "seed.yaml", mustRead(t, goldens["seed"])), explain.Options{BlockNanos: sixSeconds})
	golden(t, "../../docs/spec/explain.svg", seed.SVG())
	guestbook := explain.Explain(mustCompile(t, "deploy.yaml", mustRead(t, goldens["guestbook"])), explain.Options{})
	if readme := string(mustRead(t, "../../examples/guestbook/README.md")); !strings.Contains(readme, "```mermaid\n"+guestbook.Mermaid()+"```") {
		t.Errorf("the README of the guestbook shows another drawing than:\n%s", guestbook.Mermaid())
	}
	page := string(mustRead(t, "../../docs/spec/explain.md"))
	deposit := sdktypes.NewInt64Coin(sdl.Denom, 1)
	for _, file := range goldens {
		data, err := json.Marshal(explain.Explain(mustCompile(t, file, mustRead(t, file)), explain.Options{BlockNanos: sixSeconds, Deposit: &deposit}))
		if err != nil {
			t.Fatal(err)
		}
		var e any
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatal(err)
		}
		eachField(e, func(name string) {
			if !strings.Contains(page, "`"+name+"`") {
				t.Errorf("docs/spec/explain.md does not describe the field %s", name)
			}
		})
	}
	for _, code := range []string{
		explain.RemarkNoPublic, explain.RemarkNoPort, explain.RemarkNobody, explain.RemarkClosed, explain.RemarkDependsClosed, explain.RemarkOwnVolumes,
	} {
		if !strings.Contains(page, "| `"+code+"` |") {
			t.Errorf("docs/spec/explain.md does not describe the remark %s", code)
		}
	}
}

// eachField calls f with the names of all fields of a value that was read from JSON.
func eachField(v any, f func(name string)) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			eachField(x, f)
		}
	case map[string]any:
		for name, x := range v {
			f(name)
			if name != "attributes" { // whose keys are the document's
				eachField(x, f)
			}
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := string(mustRead(t, file)); got != want {
		t.Errorf("%s differs (go test ./sdl/explain -update rewrites it); got:\n%s", file, got)
	}
}

// TestSharedUnits: services and resource units do not go in step, and each service shows its own.
func TestSharedUnits(t *testing.T) {
	e := explain.Explain(mustCompile(t, "units.yaml", mustRead(t, "testdata/units.yaml")), explain.Options{BlockNanos: sixSeconds})
	want := map[string]struct {
		instances uint32
		cpu       uint64
		perBlock  string
	}{"api": {1, 100, "5"}, "jobs": {1, 2000, "50"}, "web": {2, 100, "10"}}
	for _, s := range e.Placements[0].Services {
		w := want[s.Name]
		if s.Instances != w.instances || s.Each.CPUMilli != w.cpu || sdl.FormatPrice(s.AtMost.PerBlock) != w.perBlock {
			t.Errorf("%s has %d instances of %dm for %s, want %+v", s.Name, s.Instances, s.Each.CPUMilli, sdl.FormatPrice(s.AtMost.PerBlock), w)
		}
	}
	if got := sdl.FormatPrice(e.AtMost.PerBlock); got != "65" {
		t.Errorf("in all %s, want 65", got)
	}
}

func document(price string, count int) []byte {
	return []byte(strings.NewReplacer("PRICE", price, "COUNT", itoa(count)).Replace(`version: "1.0"
services: {web: {image: nginx, expose: [{port: 80, to: [{global: true}]}]}}
profiles:
  compute: {web: {cpu: 1, memory: 1Gi, storage: 1Gi}}
  placement: {east: {pricing: {web: PRICE}}}
deployment: {web: {east: {profile: web, count: COUNT}}}
`))
}

// TestCostsAreExact: costs are decimals, and a maximum that has no end is rounded up.
func TestCostsAreExact(t *testing.T) {
	for name, tc := range map[string]struct {
		price       string
		count       int
		blockNanos  int64
		hour, month string
	}{
		"whole":               {"20u", 3, sixSeconds, "36000", "25920000"},
		"fraction of a micro": {"0.5u", 1, sixSeconds, "300", "216000"},
		"smallest":            {"1e-24", 1, sixSeconds, "0.0000000000000006", "0.000000000000432"},
		"large":               {"1000000", 50, 500_000_000, "360000000000000000", "259200000000000000000"},
		"seven seconds":       {"10u", 1, 7_000_000_000, "5142.857142857142857143", "3702857.142857142857142858"},
		"half a second":       {"10u", 1, 500_000_000, "72000", "51840000"},
		"unknown":             {"10u", 1, 0, "0", "0"},
	} {
		e := explain.Explain(mustCompile(t, "deploy.yaml", document(tc.price, tc.count)), explain.Options{BlockNanos: tc.blockNanos})
		if hour, month := sdl.FormatPrice(e.AtMost.PerHour), sdl.FormatPrice(e.AtMost.PerMonth); hour != tc.hour || month != tc.month {
			t.Errorf("%s: %s per hour and %s per month, want %s and %s", name, hour, month, tc.hour, tc.month)
		}
	}
}

// TestDepositLasts: blocks are cut, so that the deposit is never said to last longer than it does.
func TestDepositLasts(t *testing.T) {
	for name, tc := range map[string]struct {
		price   string
		deposit int64
		blocks  string
		seconds string
		text    string
	}{
		"whole":         {"20u", 2_000_000, "100000", "600000", "6 days and 22 hours"},
		"cut":           {"0.3u", 1, "3", "18", "18 seconds"},
		"one block":     {"500000u", 500_000, "1", "6", "6 seconds"},
		"not one block": {"1", 500_000, "0", "0", "0 seconds"},
		"for ever":      {"1e-24", 500_000, "500000000000000000000000", "3000000000000000000000000", "more than 100 years"},
	} {
		c := sdktypes.NewInt64Coin(sdl.Denom, tc.deposit)
		e := explain.Explain(mustCompile(t, "deploy.yaml", document(tc.price, 1)), explain.Options{BlockNanos: sixSeconds, Deposit: &c})
		if e.Deposit.Blocks != tc.blocks || e.Deposit.Seconds != tc.seconds || !strings.Contains(strings.Join(strings.Fields(e.Text()), " "), "that is "+tc.text) {
			t.Errorf("%s: %s blocks, %s seconds, want %s and %s (%s) in:\n%s", name, e.Deposit.Blocks, e.Deposit.Seconds, tc.blocks, tc.seconds, tc.text, e.Text())
		}
	}
	other := sdktypes.NewInt64Coin("uother", 5)
	if e := explain.Explain(mustCompile(t, "deploy.yaml", document("1u", 1)), explain.Options{Deposit: &other}); e.Deposit != nil {
		t.Error("a deposit in another denomination lasts for some time")
	}
}

func TestRemarks(t *testing.T) {
	e := explain.Explain(mustCompile(t, "links.yaml", mustRead(t, "testdata/links.yaml")), explain.Options{})
	var got []string
	for _, r := range e.Remarks {
		got = append(got, r.Code+" "+r.Placement+"/"+r.Service)
	}
	want := []string{
		"nobody amsterdam/board", "depends-closed amsterdam/board", "no-port amsterdam/worker", "depends-closed amsterdam/worker",
	}
	if !slices.Equal(got, want) {
		t.Errorf("remarks %q, want %q", got, want)
	}
	const closed = `version: "1.0"
services: {web: {image: nginx, expose: [{port: 80, to: [{service: web}]}, {port: 81}]}}
profiles:
  compute: {web: {cpu: 1, memory: 1Gi, storage: 1Gi}}
  placement: {east: {pricing: {web: 1u}}}
deployment: {web: {east: {profile: web, count: 1}}}
`
	got = nil
	for _, r := range explain.Explain(mustCompile(t, "deploy.yaml", []byte(closed)), explain.Options{}).Remarks {
		got = append(got, r.Code)
	}
	if !slices.Equal(got, []string{explain.RemarkNoPublic, explain.RemarkClosed}) {
		t.Errorf("remarks %q", got)
	}
}

func TestMoney(t *testing.T) {
	for in, want := range map[string][2]string{
		"0.5": {"0.5 ubrt", "0.5 ubrt"}, "99.5": {"99.5 ubrt", "99.5 ubrt"}, "100.5": {"0.0001005 BRT", "0.000101 BRT"}, "1000000": {"1 BRT", "1 BRT"},
	} {
		amount := math.LegacyMustNewDecFromStr(in)
		if got := [2]string{explain.Money(amount, sdl.Denom), explain.MoneyUp(amount, sdl.Denom)}; got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
