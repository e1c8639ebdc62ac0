package compile_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/chainspec"
	"berth.dev/berth/sdl/compile"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// twoProfiles is a document with a service of each of two compute profiles, in the same placement or in two.
func twoProfiles(first, second string, counts [2]int, together bool) []byte {
	other := "west"
	if together {
		other = "east"
	}
	return fmt.Appendf(nil, `version: "2.0"
services:
  one: {image: nginx, expose: [{port: 80, to: [{global: true}]}]}
  two: {image: nginx}
profiles:
  compute:
    one: {resources: %s}
    two: {resources: %s}
  placement:
    east: {pricing: {one: {denom: ubrt, amount: 1}, two: {denom: ubrt, amount: 1}}}
    west: {pricing: {one: {denom: ubrt, amount: 1}, two: {denom: ubrt, amount: 1}}}
deployment:
  one: {east: {profile: one, count: %d}}
  two: {%s: {profile: two, count: %d}}
`, first, second, counts[0], other, counts[1])
}

// TestTotalsOfAGroup holds that a placement is refused exactly where the chain would refuse its group.
func TestTotalsOfAGroup(t *testing.T) {
	resources := func(cpu, memory, storage, gpu string) string {
		text := fmt.Sprintf("{cpu: {units: %s}, memory: {size: %s}, storage: %s", cpu, memory, storage)
		if gpu != "" {
			text += fmt.Sprintf(", gpu: {units: %s, attributes: {vendor: {nvidia: []}}}", gpu)
		}
		return text + "}"
	}
	small := resources("10m", "1Mi", "{size: 5Mi}", "")
	for name, tc := range map[string]struct {
		one, two string
		at       [2]int // counts that are just accepted
		message  string
	}{
		"cpu":     {resources("384", "1Mi", "{size: 5Mi}", ""), resources("384", "1Mi", "{size: 5Mi}", ""), [2]int{49, 1}, "768"},
		"memory":  {resources("10m", "2Ti", "{size: 5Mi}", ""), resources("10m", "2Ti", "{size: 5Mi}", ""), [2]int{49, 1}, "102Ti of memory"},
		"gpu":     {resources("10m", "1Mi", "{size: 5Mi}", "24"), resources("10m", "1Mi", "{size: 5Mi}", "24"), [2]int{49, 1}, "1224 gpus"},
		"storage": {resources("10m", "1Mi", "{size: 32Ti}", ""), resources("10m", "1Mi", "{size: 32Ti}", ""), [2]int{49, 1}, "1632Ti of storage"},
		"second volumes": {
			resources("10m", "1Mi", "[{size: 5Mi}, {name: b, size: 32Ti}]", ""), resources("10m", "1Mi", "[{size: 5Mi}, {name: b, size: 32Ti}]", ""),
			[2]int{49, 1}, "1632Ti in their second volumes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			plan, found := compile.Compile("deploy.yaml", twoProfiles(tc.one, tc.two, tc.at, true))
			if plan == nil {
				t.Fatalf("just at the limit it is refused: %v", found)
			}
			checkFitsTheChain(t, "at the limit", plan)

			above := tc.at
			above[1]++
			// In two placements it is accepted; put together, the chain refuses it, and so does the compiler.
			apart := chainspec.Groups(mustCompile(t, twoProfiles(tc.one, tc.two, above, false)))
			merged := apart[0]
			for i, u := range apart[1].Units {
				u.Id = uint32(len(apart[0].Units) + i + 1)
				merged.Units = append(merged.Units, u)
			}
			if err := merged.Validate(sdl.Denom, deploymenttypes.DefaultParams().MaxUnitPrice); err == nil {
				t.Fatal("the chain accepts what is above the limit")
			}
			plan, found = compile.Compile("deploy.yaml", twoProfiles(tc.one, tc.two, above, true))
			if plan != nil || found.Errors() != 1 {
				t.Fatalf("above the limit: plan %v, %v", plan != nil, found)
			}
			i := slices.IndexFunc(found, func(d sdl.Diagnostic) bool { return d.Severity == sdl.Error })
			d := found[i]
			if d.Code != "E-LIMIT" || d.Path != "profiles.placement.east" || d.Line != 10 {
				t.Errorf("above the limit: %v", d)
			}
			if name != "cpu" && !strings.Contains(d.Message, tc.message) {
				t.Errorf("the message lacks %q: %s", tc.message, d.Message)
			}
		})
	}
	// One step above, not a whole instance.
	plan, found := compile.Compile("deploy.yaml", twoProfiles(resources("384", "1Mi", "{size: 5Mi}", ""), small, [2]int{50, 1}, true))
	if plan != nil || !strings.Contains(found[len(found)-1].Message+found[0].Message, "19200.01 cpus") {
		t.Errorf("10m above the limit: plan %v, %v", plan != nil, found)
	}
}

// TestEndpointsOfAUnit: leased addresses count as endpoints beside the ports that they lead to.
func TestEndpointsOfAUnit(t *testing.T) {
	text := func(ports, leased int) []byte {
		var expose []string
		for i := range ports {
			to := "{global: true}"
			if i < leased {
				to = "{global: true, ip: home}"
			}
			expose = append(expose, fmt.Sprintf("{port: %d, to: [%s]}", 1000+i, to))
		}
		return []byte(strings.NewReplacer("EXPOSE", strings.Join(expose, ", ")).Replace(`version: "2.0"
endpoints: {home: {kind: ip}}
services: {web: {image: nginx, expose: [EXPOSE]}}
profiles:
  compute: {web: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}}
  placement: {east: {pricing: {web: {denom: ubrt, amount: 1}}}}
deployment: {web: {east: {profile: web, count: 1}}}
`))
	}
	plan := mustCompile(t, text(60, 4))
	checkFitsTheChain(t, "64 endpoints", plan)
	plan, found := compile.Compile("deploy.yaml", text(60, 5))
	if plan != nil || found.Errors() != 1 || !strings.Contains(found[0].Message, "65 endpoints") || found[0].Code != "E-LIMIT" {
		t.Errorf("65 endpoints: %v", found)
	}
}

func TestAuditorsAndAttributesAreLimited(t *testing.T) {
	address := func(i int) string { return testAddress(byte(i)) }
	text := func(auditors []string, attributes int, image string) []byte {
		var attrs []string
		for i := range attributes {
			attrs = append(attrs, fmt.Sprintf("key%d: v", i))
		}
		return []byte(strings.NewReplacer("AUDITORS", strings.Join(auditors, ", "), "ATTRS", strings.Join(attrs, ", "), "IMAGE", image).Replace(`version: "2.0"
services: {web: {image: IMAGE, expose: [{port: 80, to: [{global: true}]}]}}
profiles:
  compute: {web: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}}}}
  placement: {east: {attributes: {ATTRS}, signedBy: {anyOf: [AUDITORS]}, pricing: {web: {denom: ubrt, amount: 1}}}}
deployment: {web: {east: {profile: web, count: 1}}}
`))
	}
	var many []string
	for i := range 17 {
		many = append(many, address(i))
	}
	const private = "nginx, credentials: {host: ghcr.io, username: a, password: b}"
	for name, tc := range map[string]struct {
		auditors   []string
		attributes int
		image      string
		code       string // empty: accepted
	}{
		"16 auditors":                         {many[:16], 0, "nginx", ""},
		"17 auditors":                         {many, 0, "nginx", "E-LIMIT"},
		"an auditor twice":                    {[]string{address(1), address(1)}, 0, "nginx", "E-AUDITOR"},
		"64 attributes":                       {nil, 64, "nginx", ""},
		"63 attributes and an ability":        {nil, 63, private, ""},
		"64 attributes and one more by need":  {nil, 64, private, "E-LIMIT"},
		"65 attributes that stand in the doc": {nil, 65, "nginx", "E-LIMIT"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, found := compile.Compile("deploy.yaml", text(tc.auditors, tc.attributes, tc.image))
			if tc.code == "" {
				if plan == nil {
					t.Fatalf("refused: %v", found)
				}
				checkFitsTheChain(t, name, plan)
				return
			}
			if plan != nil || found.Errors() != 1 || found[0].Code != tc.code {
				t.Errorf("want %s, got %v", tc.code, found)
			}
		})
	}
}

// TestModelsOfGPUs: what names a model that the chain would refuse as an attribute is refused here.
func TestModelsOfGPUs(t *testing.T) {
	text := func(models []string) []byte {
		return []byte(strings.Replace(`version: "2.0"
services: {web: {image: nginx, expose: [{port: 80, to: [{global: true}]}]}}
profiles:
  compute: {web: {resources: {cpu: {units: 1}, memory: {size: 1Gi}, storage: {size: 1Gi}, gpu: {units: 1, attributes: {vendor: {nvidia: [MODELS]}}}}}}
  placement: {east: {pricing: {web: {denom: ubrt, amount: 1}}}}
deployment: {web: {east: {profile: web, count: 1}}}
`, "MODELS", strings.Join(models, ", "), 1))
	}
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf("{model: m%d}", i))
	}
	for name, tc := range map[string]struct {
		models []string
		code   string
	}{
		"64 models":              {many[:64], ""},
		"65 models":              {many, "E-LIMIT"},
		"any model":              {nil, ""},
		"memory without a model": {[]string{"{ram: 80Gi}"}, "E-GPU"},
		"a long name":            {[]string{"{model: " + strings.Repeat("a", 63) + ", ram: " + strings.Repeat("0", 60) + "1}"}, "E-GPU"},
	} {
		plan, found := compile.Compile("deploy.yaml", text(tc.models))
		switch {
		case tc.code == "" && plan == nil:
			t.Errorf("%s: refused: %v", name, found)
		case tc.code == "":
			checkFitsTheChain(t, name, plan)
		case plan != nil || found.Errors() != 1 || found[0].Code != tc.code:
			t.Errorf("%s: want %s, got %v", name, tc.code, found)
		}
	}
}

// testAddress is the address of an account that is n in each of its bytes.
func testAddress(n byte) string { return sdk.AccAddress(bytes.Repeat([]byte{n}, 20)).String() }
